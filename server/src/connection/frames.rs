//! Server frames as they lie one behind the other in what is to be sent.

use touchstone_wire as wire;

/// A whole frame, and what is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    pub(super) whole: &'a [u8],
    pub(super) payload: &'a [u8],
}

impl Frame<'_> {
    /// The opcode of a text or binary message that is whole and not compressed yet.
    pub(super) fn plain_message(&self) -> Option<wire::OpCode> {
        match self.whole[0] {
            0x81 => Some(wire::OpCode::Text),
            0x82 => Some(wire::OpCode::Binary),
            _ => None,
        }
    }
}

/// The frames of a piece, in their order.
pub(super) fn frames(mut piece: &[u8]) -> impl Iterator<Item = Frame<'_>> {
    std::iter::from_fn(move || {
        if piece.is_empty() {
            return None;
        }
        let (whole, behind) = piece.split_at(frame_bytes(piece));
        piece = behind;
        let header_bytes = match whole[1] {
            126 => 4,
            127 => 10,
            _ => 2,
        };
        let payload = &whole[header_bytes..];
        Some(Frame { whole, payload })
    })
}

/// How many messages begin in the frames of a piece.
pub(super) fn messages_in(piece: &[u8]) -> u64 {
    // Text and binary begin a message; what goes on with one, and what controls, does not.
    let begins = |frame: &Frame<'_>| matches!(frame.whole[0] & 0x0F, 1 | 2);
    frames(piece).filter(begins).count() as u64
}

/// Of server frames one behind the other, of which `written` bytes have left: where the last begun frame starts, and
/// where it ends. Both are `written` where it lies between two frames.
pub(super) fn frames_end(frames: &[u8], written: usize) -> (usize, usize) {
    let (mut start, mut end) = (0, 0);
    while end < written {
        start = end;
        end += frame_bytes(&frames[start..]);
    }
    if end == written { (end, end) } else { (start, end) }
}

/// Bytes of the unmasked frame at the start of `frames`, with its header.
pub(super) fn frame_bytes(frames: &[u8]) -> usize {
    match frames[1] {
        126 => 4 + usize::from(u16::from_be_bytes([frames[2], frames[3]])),
        127 => {
            let length: [u8; 8] = frames[2..10].try_into().expect("the slice has eight bytes");
            10 + u64::from_be_bytes(length) as usize
        }
        short => 2 + usize::from(short),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(payloads: &[usize]) -> Vec<u8> {
        let mut frames = Vec::new();
        for bytes in payloads {
            wire::encode_unmasked(&mut frames, wire::OpCode::Text, &vec![b'x'; *bytes]);
        }
        frames
    }

    #[test]
    fn only_messages_are_counted() {
        let mut all = encoded(&[5, 200, 70_000]);
        all.extend_from_slice(&wire::server_ping(b"beat"));
        all.extend_from_slice(&wire::server_close(1000, ""));
        assert_eq!(messages_in(&all), 3);
        assert_eq!(messages_in(&[]), 0);
    }

    #[test]
    fn the_frame_that_has_left_in_part_is_found() {
        let three = encoded(&[5, 200, 70_000]);
        assert_eq!(three.len(), 7 + 204 + 70_010);
        for (written, expected) in [
            (0, (0, 0)),
            (1, (0, 7)),
            (6, (0, 7)),
            (7, (7, 7)),
            (8, (7, 211)),
            (210, (7, 211)),
            (211, (211, 211)),
            (212, (211, 70_221)),
            (70_221, (70_221, 70_221)),
        ] {
            assert_eq!(frames_end(&three, written), expected, "{written} bytes written");
        }
    }

    #[test]
    fn frames_are_told_apart() {
        let lengths = [0, 5, 125, 126, 200, 65_535, 65_536];
        let piece = encoded(&lengths);
        let payloads: Vec<_> = frames(&piece).map(|frame| frame.payload.len()).collect();
        assert_eq!(payloads, lengths);
        let whole: Vec<_> = frames(&piece).flat_map(|frame| frame.whole).copied().collect();
        assert_eq!(whole, piece);
        assert!(frames(&piece).all(|frame| frame.plain_message() == Some(wire::OpCode::Text)));
        assert_eq!(
            frames(&wire::server_ping(b""))
                .next()
                .and_then(|frame| frame.plain_message()),
            None
        );
    }
}
