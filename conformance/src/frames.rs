//! A frame decoder of the judge's own, and the messages that its frames make.
//!
//! It reads what the tap recorded, in either direction, and refuses nothing: a frame that breaks RFC 6455 is what the
//! judge has to see. It shares no code with `wire`, so that a server built on it cannot agree with itself.

use std::sync::{Arc, OnceLock};

use serde_json::Value;
use tokio::time::Instant;

use crate::inflate::{Breach, Inflater, Terms};

/// How the payload length was written (RFC 6455 5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LengthForm {
    /// Seven bits.
    Short,
    /// Sixteen bits.
    Sixteen,
    /// Sixty-four bits.
    SixtyFour,
}

/// The frame types that mean something.
pub mod opcode {
    /// A further fragment.
    pub const CONTINUATION: u8 = 0;
    /// Text.
    pub const TEXT: u8 = 1;
    /// Bytes.
    pub const BINARY: u8 = 2;
    /// The close handshake.
    pub const CLOSE: u8 = 8;
    /// Answered by a pong.
    pub const PING: u8 = 9;
    /// Answers a ping.
    pub const PONG: u8 = 10;
}

/// RSV1 in [`Header::rsv`]: on the first frame of a message, that it is compressed, where that was agreed on.
pub const RSV1: u8 = 4;

/// The first bytes of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Last fragment of its message.
    pub fin: bool,
    /// The three reserved bits, RSV1 the highest.
    pub rsv: u8,
    /// One of [`opcode`], or one of the reserved ones.
    pub opcode: u8,
    /// The masking key, if the frame is masked.
    pub mask: Option<[u8; 4]>,
    /// How the length is written.
    pub length_form: LengthForm,
    /// Declared payload in bytes; all 64 bits of the long form, the top one too.
    pub length: u64,
}

impl Header {
    /// Whether the length is in its shortest form, with the top bit clear.
    #[must_use]
    pub fn is_minimal(&self) -> bool {
        match self.length_form {
            LengthForm::Short => true,
            LengthForm::Sixteen => self.length > 125,
            LengthForm::SixtyFour => self.length > 0xFFFF && self.length >> 63 == 0,
        }
    }

    /// Whether the opcode is of a control frame.
    #[must_use]
    pub fn is_control(&self) -> bool {
        self.opcode & 0x8 != 0
    }

    /// The header at the start of `bytes` with its own size, or `None` while it is incomplete.
    pub(crate) fn read(bytes: &[u8]) -> Option<(Self, usize)> {
        let [first, second, rest @ ..] = bytes else {
            return None;
        };
        let (length_form, length, extended) = match second & 0x7F {
            126 => (
                LengthForm::Sixteen,
                u64::from(u16::from_be_bytes(rest.get(..2)?.try_into().ok()?)),
                2,
            ),
            127 => (
                LengthForm::SixtyFour,
                u64::from_be_bytes(rest.get(..8)?.try_into().ok()?),
                8,
            ),
            short => (LengthForm::Short, u64::from(short), 0),
        };
        let (mask, key) = if second & 0x80 == 0 {
            (None, 0)
        } else {
            (Some(rest.get(extended..extended + 4)?.try_into().ok()?), 4)
        };
        let header = Self {
            fin: first & 0x80 != 0,
            rsv: (first >> 4) & 0x7,
            opcode: first & 0xF,
            mask,
            length_form,
            length,
        };
        Some((header, 2 + extended + key))
    }
}

/// A whole frame as it was on the wire, its payload unmasked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Its first bytes.
    pub header: Header,
    /// Unmasked.
    pub payload: Vec<u8>,
    /// When its first byte was seen.
    pub began: Instant,
    /// When its last byte was seen.
    pub at: Instant,
}

/// Cuts a stream of bytes into frames, wherever the reads fell.
#[derive(Debug, Default)]
pub struct Decoder {
    pending: Vec<u8>,
    began: Option<Instant>,
}

impl Decoder {
    /// Takes bytes that were seen at `at` and gives every frame they complete.
    pub fn push(&mut self, bytes: &[u8], at: Instant) -> Vec<Frame> {
        if bytes.is_empty() {
            return Vec::new();
        }
        self.pending.extend_from_slice(bytes);
        let mut frames = Vec::new();
        let mut taken = 0;
        loop {
            let began = *self.began.get_or_insert(at);
            let rest = &self.pending[taken..];
            let Some((header, header_bytes)) = Header::read(rest) else {
                break;
            };
            let whole = usize::try_from(header.length)
                .ok()
                .and_then(|length| header_bytes.checked_add(length))
                .filter(|whole| *whole <= rest.len());
            let Some(whole) = whole else {
                break;
            };
            let mut payload = rest[header_bytes..whole].to_vec();
            if let Some(key) = header.mask {
                for (index, byte) in payload.iter_mut().enumerate() {
                    *byte ^= key[index % 4];
                }
            }
            frames.push(Frame {
                header,
                payload,
                began,
                at,
            });
            taken += whole;
            self.began = None;
            if taken == self.pending.len() {
                break;
            }
        }
        self.pending.drain(..taken);
        if self.pending.is_empty() {
            self.began = None;
        }
        frames
    }

    /// The header of a frame that was begun and not finished, where it is known, and the bytes there are of it.
    #[must_use]
    pub fn unfinished(&self) -> Option<(Option<Header>, usize)> {
        if self.pending.is_empty() {
            return None;
        }
        Some((
            Header::read(&self.pending).map(|(header, _)| header),
            self.pending.len(),
        ))
    }
}

/// What a message holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Text.
    Text(String),
    /// Bytes.
    Binary(Vec<u8>),
    /// A text message that is not UTF-8; no expectation matches it.
    BadText(Vec<u8>),
    /// A compressed message, as it came, that breaks what was agreed on; no expectation matches it.
    BadDeflate(Breach, Vec<u8>),
}

impl Content {
    /// Size in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(bytes) | Self::BadText(bytes) | Self::BadDeflate(_, bytes) => bytes.len(),
        }
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A data message, its fragments joined.
#[derive(Debug, Clone)]
pub struct Message {
    /// What it holds.
    pub content: Content,
    /// When its last byte was seen.
    pub at: Instant,
    /// Read when somebody first asks: every later look at the inbox passes by all that was set aside before.
    json: OnceLock<Option<Arc<Value>>>,
}

impl Message {
    /// A message that was seen then.
    #[must_use]
    pub const fn new(content: Content, at: Instant) -> Self {
        Self {
            content,
            at,
            json: OnceLock::new(),
        }
    }

    /// What it says in JSON, if it is text and that.
    #[must_use]
    pub fn json(&self) -> Option<&Value> {
        let read = || match &self.content {
            Content::Text(text) => serde_json::from_str(text).ok().map(Arc::new),
            Content::Binary(_) | Content::BadText(_) | Content::BadDeflate(..) => None,
        };
        self.json.get_or_init(read).as_deref()
    }
}

impl PartialEq for Message {
    fn eq(&self, other: &Self) -> bool {
        (&self.content, self.at) == (&other.content, other.at)
    }
}

impl Eq for Message {}

/// Joins fragments.
#[derive(Debug, Default)]
pub struct Assembler {
    begun: Option<Begun>,
    /// There once compression was agreed on.
    inflater: Option<Inflater>,
}

#[derive(Debug)]
struct Begun {
    opcode: u8,
    compressed: bool,
    bytes: Vec<u8>,
}

impl Assembler {
    /// From now on a message whose first frame has RSV1 is compressed.
    pub fn agree(&mut self, terms: Terms) {
        self.inflater = Some(Inflater::new(terms));
    }

    /// Takes a frame and gives the message that it completes. A fragment out of place starts anew or is dropped: the
    /// frame checks report it, here it only must not disturb what follows.
    pub fn push(&mut self, frame: &Frame) -> Option<Message> {
        match frame.header.opcode {
            opcode::TEXT | opcode::BINARY => {
                self.begun = Some(Begun {
                    opcode: frame.header.opcode,
                    compressed: frame.header.rsv & RSV1 != 0,
                    bytes: frame.payload.clone(),
                });
            }
            opcode::CONTINUATION => self.begun.as_mut()?.bytes.extend_from_slice(&frame.payload),
            _ => return None,
        }
        if !frame.header.fin {
            return None;
        }
        let begun = self.begun.take()?;
        let bytes = match &mut self.inflater {
            Some(inflater) if begun.compressed => match inflater.inflate(&begun.bytes) {
                Ok(bytes) => Ok(bytes),
                Err(breach) => Err(Content::BadDeflate(breach, begun.bytes)),
            },
            Some(_) | None => Ok(begun.bytes),
        };
        let content = match bytes {
            Err(bad) => bad,
            Ok(bytes) if begun.opcode == opcode::BINARY => Content::Binary(bytes),
            Ok(bytes) => {
                String::from_utf8(bytes).map_or_else(|bad| Content::BadText(bad.into_bytes()), Content::Text)
            }
        };
        Some(Message::new(content, frame.at))
    }
}

/// What a close frame says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloseBody {
    /// The code; `None` if the frame is empty or has one byte.
    pub code: Option<u16>,
    /// The reason, lossily decoded.
    pub reason: String,
}

impl CloseBody {
    /// Reads a close frame's payload.
    #[must_use]
    pub fn read(payload: &[u8]) -> Self {
        match payload {
            [high, low, reason @ ..] => Self {
                code: Some(u16::from_be_bytes([*high, *low])),
                reason: String::from_utf8_lossy(reason).into_owned(),
            },
            _ => Self {
                code: None,
                reason: String::new(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(bytes: &[u8], chunk: usize) -> Vec<Frame> {
        let mut decoder = Decoder::default();
        let at = Instant::now();
        bytes
            .chunks(chunk)
            .flat_map(|piece| decoder.push(piece, at))
            .collect()
    }

    #[test]
    fn frames_are_the_same_however_the_bytes_are_cut() {
        let mut bytes = vec![
            0x81,
            0x82,
            1,
            2,
            3,
            4,
            b'h' ^ 1,
            b'i' ^ 2,
            0x89,
            0x00,
            0x82,
            126,
            0,
            200,
        ];
        bytes.extend([7; 200]);
        let whole = decode(&bytes, bytes.len());
        let payloads: Vec<_> = whole.iter().map(|frame| frame.payload.clone()).collect();
        assert_eq!(payloads, [b"hi".to_vec(), vec![], vec![7; 200]]);
        for chunk in 1..20 {
            let cut: Vec<_> = decode(&bytes, chunk)
                .into_iter()
                .map(|frame| frame.payload)
                .collect();
            assert_eq!(cut, payloads, "cut into pieces of {chunk}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_give_the_same_frames_however_they_are_cut(
            bytes in proptest::collection::vec(0_u8..=255, 0..400),
            chunk in 1_usize..50,
        ) {
            let payloads = |frames: Vec<Frame>| -> Vec<_> {
                frames.into_iter().map(|frame| (frame.header, frame.payload)).collect()
            };
            let whole = payloads(decode(&bytes, bytes.len().max(1)));
            proptest::prop_assert_eq!(payloads(decode(&bytes, chunk)), whole);
        }
    }

    #[test]
    fn what_breaks_the_rfc_is_decoded_and_named() {
        let cases: [(&str, &[u8], bool); 5] = [
            ("short", &[0x81, 0x00], true),
            ("200 in sixteen bits", &[0x82, 126, 0, 200], true),
            ("5 in sixteen bits", &[0x82, 126, 0, 5], false),
            (
                "65535 in sixty-four bits",
                &[0x82, 127, 0, 0, 0, 0, 0, 0, 255, 255],
                false,
            ),
            ("the top bit set", &[0x82, 127, 128, 0, 0, 0, 0, 1, 0, 0], false),
        ];
        for (name, bytes, minimal) in cases {
            let (header, _) = Header::read(bytes).unwrap();
            assert_eq!(header.is_minimal(), minimal, "{name}");
        }
        let reserved = decode(&[0x81 | 0x40, 0x00], 1);
        assert_eq!(reserved[0].header.rsv, 4);
    }

    #[test]
    fn an_unfinished_frame_is_reported_as_such() {
        let mut decoder = Decoder::default();
        assert!(decoder.push(&[0x81, 10, b'x'], Instant::now()).is_empty());
        let (header, bytes) = decoder.unfinished().unwrap();
        assert_eq!((header.unwrap().length, bytes), (10, 3));
    }

    #[test]
    fn fragments_are_joined_around_control_frames() {
        let frames = decode(&[0x01, 1, b'a', 0x89, 0, 0x80, 1, b'b', 0x82, 1, 0xFF], 2);
        let mut assembler = Assembler::default();
        let messages: Vec<_> = frames
            .iter()
            .filter_map(|frame| assembler.push(frame))
            .map(|message| message.content)
            .collect();
        assert_eq!(
            messages,
            [Content::Text("ab".into()), Content::Binary(vec![0xFF])]
        );
    }

    #[test]
    fn a_close_frame_is_read_also_when_it_is_too_short() {
        let read = CloseBody::read(&[0x03, 0xE8, b'b', b'y', b'e']);
        assert_eq!((read.code, read.reason.as_str()), (Some(1000), "bye"));
        assert_eq!(CloseBody::read(&[3]).code, None);
        assert_eq!(CloseBody::read(&[]).code, None);
    }
}
