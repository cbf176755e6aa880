//! A text message that grows as its bytes arrive, checked as it grows.

use crate::violation::Violation;

/// The longest UTF-8 sequence, less the byte that would complete it.
const TAIL_BYTES_MAX: usize = 3;

/// Text so far: whole characters, and the beginning of one that has not arrived completely.
///
/// Fails with the first byte that no continuation could make right, and validates each byte once.
#[derive(Debug, Default)]
pub(crate) struct TextBuffer {
    whole: String,
    tail: [u8; TAIL_BYTES_MAX],
    tail_bytes: u8,
}

impl TextBuffer {
    /// Bytes that have arrived.
    pub(crate) fn len(&self) -> usize {
        self.whole.len() + usize::from(self.tail_bytes)
    }

    /// Heap this text holds.
    pub(crate) fn capacity(&self) -> usize {
        self.whole.capacity()
    }

    /// Adds what arrived; `frame_bytes` is what the frame has left, this included, and bounds the growth.
    pub(crate) fn push(&mut self, arrived: &[u8], frame_bytes: usize) -> Result<(), Violation> {
        let room = growth(
            self.whole.len(),
            self.whole.capacity(),
            arrived.len() + TAIL_BYTES_MAX,
            frame_bytes,
        );
        self.whole.reserve_exact(room);
        let arrived = self.complete_tail(arrived)?;
        let (body, cut_off) = arrived.split_at(arrived.len() - cut_off_bytes(arrived));
        let body = simdutf8::basic::from_utf8(body).map_err(|_| Violation::TextNotUtf8)?;
        self.whole.push_str(body);
        if !cut_off.is_empty() {
            self.keep_tail(cut_off)?;
        }
        Ok(())
    }

    /// The text, if it does not end inside a character.
    pub(crate) fn finish(&self) -> Result<(), Violation> {
        if self.tail_bytes == 0 {
            Ok(())
        } else {
            Err(Violation::TextNotUtf8)
        }
    }

    /// The whole characters.
    pub(crate) fn as_str(&self) -> &str {
        &self.whole
    }

    /// Completes the character that was cut off, byte by byte; returns what comes after it.
    fn complete_tail<'a>(&mut self, mut arrived: &'a [u8]) -> Result<&'a [u8], Violation> {
        while self.tail_bytes > 0 {
            let Some((&byte, rest)) = arrived.split_first() else {
                break;
            };
            arrived = rest;
            let kept = usize::from(self.tail_bytes);
            let mut sequence = [0; TAIL_BYTES_MAX + 1];
            sequence[..kept].copy_from_slice(&self.tail[..kept]);
            sequence[kept] = byte;
            self.tail_bytes = 0;
            match std::str::from_utf8(&sequence[..=kept]) {
                Ok(character) => self.whole.push_str(character),
                Err(_) => self.keep_tail(&sequence[..=kept])?,
            }
        }
        Ok(arrived)
    }

    /// Keeps the beginning of a character, if it is one.
    fn keep_tail(&mut self, beginning: &[u8]) -> Result<(), Violation> {
        match std::str::from_utf8(beginning) {
            Err(error) if error.valid_up_to() == 0 && error.error_len().is_none() => {
                self.tail[..beginning.len()].copy_from_slice(beginning);
                self.tail_bytes = beginning.len() as u8;
                Ok(())
            }
            Ok(_) | Err(_) => Err(Violation::TextNotUtf8),
        }
    }
}

/// How many bytes at the end look like the beginning of a character whose rest has not arrived.
fn cut_off_bytes(bytes: &[u8]) -> usize {
    for (behind, byte) in bytes.iter().rev().take(TAIL_BYTES_MAX).enumerate() {
        let sequence_bytes = match byte {
            0x80..=0xBF => continue,
            0xC0..=0xDF => 2,
            0xE0..=0xEF => 3,
            0xF0..=0xFF => 4,
            0x00..=0x7F => 1,
        };
        return if sequence_bytes > behind + 1 {
            behind + 1
        } else {
            0
        };
    }
    0
}

/// Bytes to reserve so that `more` fit: four times what is held, but no more than the frame can still bring.
///
/// What a frame declares is never reserved; it only keeps the growth from overshooting.
pub(crate) fn growth(held: usize, capacity: usize, more: usize, frame_bytes: usize) -> usize {
    if held + more <= capacity {
        return 0;
    }
    more.max((3 * held).min(frame_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Byte at a time: the index of the byte that was refused.
    fn refused_at(bytes: &[u8]) -> Option<usize> {
        let mut text = TextBuffer::default();
        bytes.iter().position(|byte| text.push(&[*byte], 1).is_err())
    }

    #[test]
    fn the_first_byte_that_cannot_be_right_is_refused() {
        let rows: &[(&[u8], Option<usize>)] = &[
            (b"plain", None),
            ("κόσμε 🌍".as_bytes(), None),
            (b"a\x80", Some(1)),
            (b"a\xC0", Some(1)),
            (b"a\xC1", Some(1)),
            (b"a\xC3\x28", Some(2)),
            (b"a\xE0\x9F", Some(2)),
            (b"a\xED\xA0", Some(2)),
            (b"a\xE2\x82\x28", Some(3)),
            (b"a\xF0\x8F", Some(2)),
            (b"a\xF0\x9F\x8C\x41", Some(4)),
            (b"a\xF4\x90", Some(2)),
            (b"a\xF5", Some(1)),
            (b"a\xFF", Some(1)),
        ];
        for (bytes, expected) in rows {
            assert_eq!(refused_at(bytes), *expected, "{bytes:02x?}");
        }
    }

    #[test]
    fn every_cut_of_a_text_gives_the_text() {
        let whole = "ä€🌍x\u{0}\u{7FF}\u{800}\u{FFFF}\u{10000}\u{10FFFF}";
        let bytes = whole.as_bytes();
        for first in 0..=bytes.len() {
            for second in first..=bytes.len() {
                let mut text = TextBuffer::default();
                for piece in [&bytes[..first], &bytes[first..second], &bytes[second..]] {
                    text.push(piece, piece.len()).unwrap();
                }
                text.finish().unwrap();
                assert_eq!(text.as_str(), whole);
            }
        }
    }

    #[test]
    fn a_text_that_ends_inside_a_character_is_not_finished() {
        for end in ["ä", "€", "🌍"] {
            for kept in 1..end.len() {
                let mut text = TextBuffer::default();
                text.push(&end.as_bytes()[..kept], kept).unwrap();
                assert_eq!(text.finish(), Err(Violation::TextNotUtf8));
                assert_eq!(text.len(), kept);
            }
        }
    }
}
