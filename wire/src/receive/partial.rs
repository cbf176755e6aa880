//! What a receiver keeps while a frame or a message is incomplete, and how it becomes complete.

use super::body::{self, Body};
use super::header::FrameHead;
use super::parse_close;
use crate::deflate::{Inflater, Takeover, give_back_inflater, take_inflater};
use crate::frame::{CONTROL_BYTES_MAX, Fin, HEADER_BYTES_MAX, OpCode, PayloadForm};
use crate::mask;
use crate::violation::Violation;
use std::ops::Range;

/// What has arrived of a frame or a message whose rest has not.
#[derive(Debug)]
pub(super) struct Partial {
    pub(super) message: Message,
    /// Of a connection whose messages refer to earlier ones always, otherwise while a compressed message is open.
    pub(super) inflater: Option<Box<Inflater>>,
    pub(super) frame: Frame,
    /// The payload of the control frame in progress, or handed out.
    control: [u8; CONTROL_BYTES_MAX],
    control_bytes: usize,
}

/// The message whose fragments are being joined.
#[derive(Debug)]
pub(super) enum Message {
    None,
    Open(Body),
    /// So many compressed bytes have come of it.
    OpenDeflated(Body, usize),
    /// Handed out by the last step; freed at the start of the next.
    Complete(Body),
}

/// The frame whose bytes are arriving.
#[derive(Debug)]
pub(super) enum Frame {
    /// Between two frames, or inside a header: so many of its bytes are here.
    Header {
        bytes: [u8; HEADER_BYTES_MAX],
        arrived: usize,
    },
    /// Inside a payload: what the header said, of which so much is still to come, masked with `key`.
    Payload {
        head: FrameHead,
        left: usize,
        key: Option<[u8; 4]>,
    },
}

/// Where a complete payload lies.
pub(super) enum Found {
    /// A whole message or control frame, unmasked, at this place of the input.
    InInput(OpCode, Range<usize>),
    /// A control frame, in the private buffer.
    Control(OpCode),
    /// A message, in the private buffer.
    Message,
}

impl Partial {
    pub(super) fn new() -> Box<Self> {
        Box::new(Self {
            message: Message::None,
            inflater: None,
            frame: Frame::BETWEEN,
            control: [0; CONTROL_BYTES_MAX],
            control_bytes: 0,
        })
    }

    pub(super) fn is_settled(&self) -> bool {
        matches!(self.message, Message::None | Message::Complete(_))
            && matches!(self.frame, Frame::Header { arrived: 0, .. })
    }

    pub(super) fn control(&self) -> &[u8] {
        &self.control[..self.control_bytes]
    }

    pub(super) fn keep_header(&mut self, beginning: &[u8]) {
        let mut bytes = [0; HEADER_BYTES_MAX];
        bytes[..beginning.len()].copy_from_slice(beginning);
        self.frame = Frame::Header {
            bytes,
            arrived: beginning.len(),
        };
    }

    /// Goes on with the payload of the frame whose header has been read.
    pub(super) fn begin(&mut self, head: FrameHead, message_bytes_max: usize) {
        let body = match head.opcode {
            OpCode::Text => Some(Body::text()),
            OpCode::Binary => Some(Body::binary()),
            OpCode::Continuation => None,
            OpCode::Close | OpCode::Ping | OpCode::Pong => {
                self.control_bytes = 0;
                None
            }
        };
        match (body, head.form) {
            (Some(body), PayloadForm::Plain) => self.message = Message::Open(body),
            (Some(body), PayloadForm::Deflated) => {
                self.inflater
                    .get_or_insert_with(take_inflater)
                    .begin(message_bytes_max);
                self.message = Message::OpenDeflated(body, 0);
            }
            (None, _) => {}
        }
        self.frame = Frame::Payload {
            head,
            left: head.payload_bytes,
            key: head.key,
        };
    }

    /// Takes what `rest` has of the payload in progress; returns how much that was, and what it completed.
    pub(super) fn take_payload(&mut self, rest: &mut [u8]) -> Result<(usize, Option<Found>), Violation> {
        let Frame::Payload { head, left, key } = &mut self.frame else {
            unreachable!("called inside a payload only")
        };
        let head = *head;
        let frame_bytes = *left;
        let taken = rest.len().min(frame_bytes);
        let arrived = &mut rest[..taken];
        if let Some(key) = key {
            mask::apply(arrived, *key);
            *key = mask::rotated(*key, taken);
        }
        *left -= taken;
        if head.opcode.is_control() {
            self.control[self.control_bytes..][..taken].copy_from_slice(arrived);
            self.control_bytes += taken;
        } else {
            match (&mut self.message, &mut self.inflater) {
                (Message::Open(body), _) => body.push(arrived, frame_bytes)?,
                (Message::OpenDeflated(body, bytes), Some(inflater)) => {
                    *bytes += taken;
                    body.inflate(inflater, arrived)?;
                }
                (Message::OpenDeflated(..), None) => unreachable!("it began by taking an inflater"),
                (Message::None | Message::Complete(_), _) => {}
            }
        }
        if taken < frame_bytes {
            return Ok((taken, None));
        }
        self.frame = Frame::BETWEEN;
        Ok((taken, self.complete(&head)?))
    }

    /// What the end of a frame's payload completes.
    fn complete(&mut self, head: &FrameHead) -> Result<Option<Found>, Violation> {
        match (head.opcode, head.fin) {
            (OpCode::Close, _) => {
                parse_close(self.control())?;
                Ok(Some(Found::Control(OpCode::Close)))
            }
            (opcode @ (OpCode::Ping | OpCode::Pong), _) => Ok(Some(Found::Control(opcode))),
            (OpCode::Text | OpCode::Binary | OpCode::Continuation, Fin::More) => Ok(None),
            (OpCode::Text | OpCode::Binary | OpCode::Continuation, Fin::Last) => {
                let body = match std::mem::replace(&mut self.message, Message::None) {
                    Message::Open(body) => body,
                    Message::OpenDeflated(body, _) => {
                        self.end_inflating()?;
                        body
                    }
                    Message::None | Message::Complete(_) => {
                        unreachable!("a header that ends a message is refused outside of one")
                    }
                };
                body.finish()?;
                self.message = Message::Complete(body);
                Ok(Some(Found::Message))
            }
        }
    }

    /// The compressed message is complete. An inflater that remembers nothing goes back to the thread.
    fn end_inflating(&mut self) -> Result<(), Violation> {
        let inflater = self.inflater.as_mut().expect("the message began by taking one");
        inflater.finish().map_err(body::violation)?;
        if inflater.takeover() == Takeover::Dropped {
            let spent = self.inflater.take().expect("it was there a moment ago");
            give_back_inflater(spent);
        }
        Ok(())
    }
}

impl Frame {
    const BETWEEN: Self = Self::Header {
        bytes: [0; HEADER_BYTES_MAX],
        arrived: 0,
    };
}

impl Message {
    /// How the fragments come, and the bytes of those so far; `None` outside of a message.
    pub(super) fn open(&self) -> Option<(PayloadForm, usize)> {
        match self {
            Self::Open(body) => Some((PayloadForm::Plain, body.len())),
            Self::OpenDeflated(_, bytes) => Some((PayloadForm::Deflated, *bytes)),
            Self::None | Self::Complete(_) => None,
        }
    }

    pub(super) fn capacity(&self) -> usize {
        match self {
            Self::Open(body) | Self::OpenDeflated(body, _) | Self::Complete(body) => body.capacity(),
            Self::None => 0,
        }
    }
}
