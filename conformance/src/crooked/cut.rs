//! Cuts one way of a connection into frames. What nobody wants to see whole is passed as it comes, byte by byte if it
//! comes so; what somebody wants is held until it is there.

use crate::frames::Header;

/// What is larger is passed as it comes: four times the largest message that the suite's limits let pass.
pub(super) const UNIT_BYTES_MAX: usize = 256 << 10;

/// A whole frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame {
    /// Its first bytes.
    pub(super) header: Header,
    /// Unmasked.
    pub(super) payload: Vec<u8>,
    /// As it came.
    pub(super) raw: Vec<u8>,
}

/// What is next on the way.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// Passed as it came.
    Bytes {
        /// What.
        bytes: Vec<u8>,
        /// The header of the frame that begins here.
        begins: Option<Header>,
        /// Whether a frame ends here, so that another can follow.
        whole: bool,
    },
    /// One that somebody wanted.
    Frame(Frame),
}

/// Cuts bytes into frames, wherever the reads fell.
#[derive(Debug, Default)]
pub(super) struct FrameCutter {
    /// The start of a frame, or what has not been looked at.
    pending: Vec<u8>,
    /// How much of `pending` was passed on before its header was there.
    passed: usize,
    /// What is left of a frame that is passed as it comes.
    left: u64,
}

impl FrameCutter {
    /// Takes what was read.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
    }

    /// What is next, if it is there. `wanted` says which frames are held until they are whole.
    pub(super) fn next(&mut self, wanted: impl Fn(&Header) -> bool) -> Option<Piece> {
        if self.left > 0 {
            return self.go_on();
        }
        let (header, header_bytes) = Header::read(&self.pending)?;
        let whole = usize::try_from(header.length)
            .ok()
            .and_then(|length| header_bytes.checked_add(length))
            .filter(|whole| *whole <= UNIT_BYTES_MAX && self.passed == 0 && wanted(&header));
        let Some(whole) = whole else {
            let begun: Vec<u8> = self.pending.drain(..header_bytes).skip(self.passed).collect();
            self.passed = 0;
            self.left = header.length;
            return Some(Piece::Bytes {
                bytes: begun,
                begins: Some(header),
                whole: self.left == 0,
            });
        };
        if self.pending.len() < whole {
            return None;
        }
        let raw: Vec<u8> = self.pending.drain(..whole).collect();
        let mut payload = raw[header_bytes..].to_vec();
        if let Some(key) = header.mask {
            touchstone_wire::mask::apply(&mut payload, key);
        }
        Some(Piece::Frame(Frame { header, payload, raw }))
    }

    fn go_on(&mut self) -> Option<Piece> {
        if self.pending.is_empty() {
            return None;
        }
        let there =
            usize::try_from(self.left).map_or(self.pending.len(), |left| left.min(self.pending.len()));
        let bytes = self.pending.drain(..there).collect();
        self.left -= there as u64;
        Some(Piece::Bytes {
            bytes,
            begins: None,
            whole: self.left == 0,
        })
    }

    /// Whether something waits for the rest of its frame.
    pub(super) fn is_holding(&self) -> bool {
        self.pending.len() > self.passed
    }

    /// Gives up what waits for the rest of its frame: it is passed as it comes from here on. Only after
    /// [`next`](Self::next) had nothing more.
    pub(super) fn release(&mut self) -> Option<Piece> {
        if !self.is_holding() {
            return None;
        }
        let bytes = self.pending[self.passed..].to_vec();
        let mut begins = None;
        match Header::read(&self.pending) {
            Some((header, header_bytes)) => {
                self.left = header.length - (self.pending.len() - header_bytes) as u64;
                self.pending.clear();
                self.passed = 0;
                begins = Some(header);
            }
            None => self.passed = self.pending.len(),
        }
        Some(Piece::Bytes {
            bytes,
            begins,
            whole: false,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Everything that comes out, in order, and which frames were seen whole.
    fn cut(bytes: &[u8], chunk: usize, wanted: impl Fn(&Header) -> bool + Copy) -> (Vec<u8>, Vec<Vec<u8>>) {
        let mut cutter = FrameCutter::default();
        let (mut out, mut seen) = (Vec::new(), Vec::new());
        let mut take = |piece| match piece {
            Piece::Bytes { bytes, .. } => out.extend(bytes),
            Piece::Frame(frame) => {
                out.extend(frame.raw);
                seen.push(frame.payload);
            }
        };
        for piece in bytes.chunks(chunk) {
            cutter.feed(piece);
            while let Some(piece) = cutter.next(wanted) {
                take(piece);
            }
        }
        if let Some(piece) = cutter.release() {
            take(piece);
        }
        (out, seen)
    }

    #[test]
    fn wanted_frames_are_seen_whole_and_the_others_pass() {
        let bytes = [
            0x81,
            0x82,
            1,
            2,
            3,
            4,
            b'h' ^ 1,
            b'i' ^ 2,
            0x89,
            1,
            b'!',
            0x82,
            2,
            8,
            9,
        ];
        for chunk in 1..bytes.len() {
            let (out, seen) = cut(&bytes, chunk, |header| header.opcode == 1 || header.opcode == 2);
            assert_eq!(out, bytes, "{chunk}");
            assert_eq!(seen, [b"hi".to_vec(), vec![8, 9]], "{chunk}");
            assert!(cut(&bytes, chunk, |_| false).1.is_empty(), "{chunk}");
        }
    }

    #[test]
    fn what_is_too_large_or_too_late_is_passed_as_it_comes() {
        let mut large = FrameCutter::default();
        large.feed(&[0x82, 127, 0, 0, 0, 0, 4, 0, 0, 0, b'x']);
        let first = large.next(|_| true).unwrap();
        assert!(matches!(
            first,
            Piece::Bytes {
                begins: Some(_),
                whole: false,
                ..
            }
        ));
        assert!(matches!(large.next(|_| true), Some(Piece::Bytes { bytes, .. }) if bytes == b"x"));

        let mut late = FrameCutter::default();
        late.feed(&[0x82, 3, b'x']);
        assert_eq!(late.next(|_| true), None);
        assert!(late.is_holding());
        assert!(matches!(late.release(), Some(Piece::Bytes { bytes, .. }) if bytes == [0x82, 3, b'x']));
        late.feed(&[b'y', b'z', 0x89, 0]);
        let last = Piece::Bytes {
            bytes: b"yz".to_vec(),
            begins: None,
            whole: true,
        };
        assert_eq!(late.next(|_| true), Some(last));
        assert!(matches!(late.next(|_| true), Some(Piece::Frame(frame)) if frame.header.opcode == 9));
    }

    proptest! {
        #[test]
        fn any_bytes_come_out_as_they_went_in(
            bytes in proptest::collection::vec(any::<u8>(), 1..300),
            chunk in 1_usize..40,
            opcode in 0_u8..16,
        ) {
            let (out, _) = cut(&bytes, chunk, |header| header.opcode == opcode);
            prop_assert_eq!(out, bytes);
        }
    }
}
