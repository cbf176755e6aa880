//! Reading frames: bytes in, messages and control frames out, or the violation that ends the connection.
//!
//! Strict on everything RFC 6455 says about frames. Knows neither sockets nor time: the caller reads bytes into a
//! buffer it shares among connections, and [`Receiver::next`] decodes them in place.

use crate::close_code;
use crate::deflate::{Half, INFLATER_BYTES, Inflater, Takeover, give_back_inflater, take_inflater};
use crate::frame::{CONTROL_BYTES_MAX, Fin, HEADER_BYTES_MAX, OpCode, PayloadForm};
use crate::mask;
use crate::receive::body::Body;
use crate::receive::header::{Context, FrameHead};
use crate::violation::Violation;
use std::ops::Range;

mod body;
mod header;

/// Which side we are; the peer is the other one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// We are the server: the peer's frames must be masked.
    Server,
    /// We are the client: the peer's frames must not be masked.
    Client,
}

/// What to do about binary messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Binary {
    /// Deliver them.
    Accepted,
    /// Fail with 1003 on the header of the first frame.
    Refused,
}

/// What a receiver accepts beyond what RFC 6455 says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rules {
    /// The most payload bytes of one message, over all its fragments. More is refused on the header; what is compressed is
    /// inflated up to this and refused with the next byte.
    pub message_bytes_max: usize,
    /// Whether binary messages are spoken.
    pub binary: Binary,
}

/// What has arrived. Borrows from the input, or from the receiver where it had to be put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// A whole text message.
    Text(&'a str),
    /// A whole binary message.
    Binary(&'a [u8]),
    /// A ping; is to be answered by a pong with the same bytes.
    Ping(&'a [u8]),
    /// A pong.
    Pong(&'a [u8]),
    /// The peer's last frame; `None` without a code.
    Close(Option<Close<'a>>),
}

/// The body of a close frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Close<'a> {
    /// A code that may be sent (see [`close_code`]).
    pub code: u16,
    /// Up to 123 bytes; often empty.
    pub reason: &'a str,
}

/// What one call of [`Receiver::next`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step<'a> {
    /// Bytes at the start of the input that are dealt with and must not be given again.
    pub consumed: usize,
    /// The next event; `None` if the input is used up and more is wanted.
    pub event: Option<Event<'a>>,
}

/// Reads the frames of one peer.
///
/// Call [`next`](Self::next) on what was read until it returns no event, each time with the input that is left.
/// While nothing is incomplete a receiver holds no heap; a message that came whole in one frame is handed out from the input without a copy.
/// A compressed message is inflated as it arrives, with an inflater of the thread's; only if messages may refer to earlier
/// ones does the receiver keep one of its own.
#[derive(Debug)]
pub struct Receiver {
    rules: Rules,
    role: Role,
    /// After a close frame or a violation nothing the peer sends means anything.
    ended: bool,
    compression: Compression,
    /// What is incomplete, and what the last event was handed out from. `None` at rest.
    partial: Option<Box<Partial>>,
}

/// There is one per connection, and most of the time it waits.
const _: () = assert!(size_of::<Receiver>() <= 32);

/// What RSV1 means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compression {
    /// Nothing: compression was not agreed on.
    None,
    /// A compressed message that stands by itself.
    PerMessage,
    /// A compressed message that may refer to earlier ones: `partial` stays, because it has the inflater.
    Lasting,
}

/// What has arrived of a frame or a message whose rest has not.
#[derive(Debug)]
struct Partial {
    message: Message,
    /// Of a connection whose messages refer to earlier ones always, otherwise while a compressed message is open.
    inflater: Option<Box<Inflater>>,
    frame: Frame,
    /// The payload of the control frame in progress, or handed out.
    control: [u8; CONTROL_BYTES_MAX],
    control_bytes: usize,
}

/// The message whose fragments are being joined.
#[derive(Debug)]
enum Message {
    None,
    Open(Body),
    /// So many compressed bytes have come of it.
    OpenDeflated(Body, usize),
    /// Handed out by the last step; freed at the start of the next.
    Complete(Body),
}

/// The frame whose bytes are arriving.
#[derive(Debug)]
enum Frame {
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
enum Found {
    /// A whole message or control frame, unmasked, at this place of the input.
    InInput(OpCode, Range<usize>),
    /// A control frame, in the private buffer.
    Control(OpCode),
    /// A message, in the private buffer.
    Message,
}

impl Receiver {
    /// A receiver for one connection, before its first byte.
    #[must_use]
    pub const fn new(role: Role, rules: Rules) -> Self {
        Self {
            rules,
            role,
            ended: false,
            compression: Compression::None,
            partial: None,
        }
    }

    /// A receiver for one connection on which the peer may compress its messages like `peer`.
    #[must_use]
    pub fn with_deflate(role: Role, rules: Rules, peer: Half) -> Self {
        let (compression, partial) = match peer.takeover {
            Takeover::Dropped => (Compression::PerMessage, None),
            Takeover::Kept => {
                let mut partial = Partial::new();
                partial.inflater = Some(Box::new(Inflater::new(peer)));
                (Compression::Lasting, Some(partial))
            }
        };
        Self {
            compression,
            partial,
            ..Self::new(role, rules)
        }
    }

    /// Decodes from the start of `input` up to the next event.
    ///
    /// `input` is unmasked in place, so it is scratch afterwards. Without an event all of it has been consumed, and
    /// what is incomplete is kept. After [`Event::Close`] and after a violation everything is consumed and ignored.
    /// How the bytes are cut into calls changes neither the events nor the violation.
    ///
    /// # Errors
    /// The first fault of the peer, found with the first byte that cannot be right.
    pub fn next<'a>(&'a mut self, input: &'a mut [u8]) -> Result<Step<'a>, Violation> {
        let (consumed, found) = match self.find(input) {
            Ok(found) => found,
            Err(violation) => return Err(self.fail(violation)),
        };
        let event = match found {
            None => None,
            Some(Found::InInput(opcode, place)) => match event_of(opcode, &input[place]) {
                Ok(event) => Some(event),
                Err(violation) => return Err(self.fail(violation)),
            },
            // Was checked when it became complete, so this cannot fail.
            Some(Found::Control(opcode)) => Some(event_of(opcode, self.control())?),
            Some(Found::Message) => Some(self.message()),
        };
        Ok(Step { consumed, event })
    }

    /// Whether a part of a frame or of a message has arrived and the rest has not.
    #[must_use]
    pub fn has_partial(&self) -> bool {
        self.partial.as_ref().is_some_and(|partial| !partial.is_settled())
    }

    /// Whether a close frame or a violation has ended the peer's side.
    #[must_use]
    pub const fn has_ended(&self) -> bool {
        self.ended
    }

    /// Heap that this receiver holds, in bytes: nothing at rest, about what has arrived of an incomplete message; and
    /// [`INFLATER_BYTES`] while it has an inflater.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.partial.as_ref().map_or(0, |partial| {
            let inflater = partial.inflater.as_ref().map_or(0, |_| INFLATER_BYTES);
            size_of::<Partial>() + partial.message.capacity() + inflater
        })
    }

    /// Finds the next complete payload and unmasks it; keeps what is incomplete.
    fn find(&mut self, input: &mut [u8]) -> Result<(usize, Option<Found>), Violation> {
        self.settle();
        if self.ended {
            return Ok((input.len(), None));
        }
        let mut at = 0;
        loop {
            if !self.is_inside_payload() {
                let Some((head, header_bytes)) = self.read_head(&input[at..])? else {
                    return Ok((input.len(), None));
                };
                at += header_bytes;
                if head.is_whole() && input.len() - at >= head.payload_bytes {
                    let place = at..at + head.payload_bytes;
                    if let Some(key) = head.key {
                        mask::apply(&mut input[place.clone()], key);
                    }
                    self.ended = head.opcode == OpCode::Close;
                    return Ok((place.end, Some(Found::InInput(head.opcode, place))));
                }
                let message_bytes_max = self.rules.message_bytes_max;
                self.partial
                    .get_or_insert_with(Partial::new)
                    .begin(head, message_bytes_max);
            }
            let partial = self
                .partial
                .as_mut()
                .expect("a payload in progress lives in `partial`");
            let (taken, found) = partial.take_payload(&mut input[at..])?;
            at += taken;
            if found.is_some() || at == input.len() {
                self.ended = matches!(found, Some(Found::Control(OpCode::Close)));
                return Ok((at, found));
            }
        }
    }

    /// Frees the buffer once nothing is incomplete, and with it what the last step handed out.
    fn settle(&mut self) {
        if self.ended {
            self.partial = None;
        } else if let Some(partial) = &mut self.partial
            && partial.is_settled()
        {
            match self.compression {
                Compression::None | Compression::PerMessage => self.partial = None,
                Compression::Lasting => partial.message = Message::None,
            }
        }
    }

    fn is_inside_payload(&self) -> bool {
        matches!(
            self.partial.as_deref(),
            Some(Partial {
                frame: Frame::Payload { .. },
                ..
            })
        )
    }

    /// Reads a header from `rest`, going on with one that was cut; returns it with the bytes taken from `rest`.
    fn read_head(&mut self, rest: &[u8]) -> Result<Option<(FrameHead, usize)>, Violation> {
        let message = self.partial.as_ref().and_then(|partial| partial.message.open());
        let context = Context {
            role: self.role,
            rules: self.rules,
            compression: self.compression,
            message,
        };
        if let Some(Partial {
            frame: Frame::Header { bytes, arrived },
            ..
        }) = self.partial.as_deref_mut()
            && *arrived > 0
        {
            let before = *arrived;
            let more = rest.len().min(HEADER_BYTES_MAX - before);
            bytes[before..before + more].copy_from_slice(&rest[..more]);
            *arrived += more;
            let read = context.read(&bytes[..*arrived])?;
            if read.is_some() {
                *arrived = 0;
            }
            return Ok(read.map(|(head, header_bytes)| (head, header_bytes - before)));
        }
        let read = context.read(rest)?;
        if read.is_none() && !rest.is_empty() {
            self.partial.get_or_insert_with(Partial::new).keep_header(rest);
        }
        Ok(read)
    }

    fn fail(&mut self, violation: Violation) -> Violation {
        self.ended = true;
        self.partial = None;
        violation
    }

    fn control(&self) -> &[u8] {
        self.partial.as_ref().map_or(&[], |partial| partial.control())
    }

    fn message(&self) -> Event<'_> {
        match self.partial.as_ref().map(|partial| &partial.message) {
            Some(Message::Complete(Body::Text(text))) => Event::Text(text.as_str()),
            Some(Message::Complete(Body::Binary(bytes))) => Event::Binary(bytes),
            Some(Message::Open(_) | Message::OpenDeflated(..) | Message::None) | None => {
                unreachable!("a message is found only when it has been completed")
            }
        }
    }
}

impl Partial {
    fn new() -> Box<Self> {
        Box::new(Self {
            message: Message::None,
            inflater: None,
            frame: Frame::BETWEEN,
            control: [0; CONTROL_BYTES_MAX],
            control_bytes: 0,
        })
    }

    fn is_settled(&self) -> bool {
        matches!(self.message, Message::None | Message::Complete(_))
            && matches!(self.frame, Frame::Header { arrived: 0, .. })
    }

    fn control(&self) -> &[u8] {
        &self.control[..self.control_bytes]
    }

    fn keep_header(&mut self, beginning: &[u8]) {
        let mut bytes = [0; HEADER_BYTES_MAX];
        bytes[..beginning.len()].copy_from_slice(beginning);
        self.frame = Frame::Header {
            bytes,
            arrived: beginning.len(),
        };
    }

    /// Goes on with the payload of the frame whose header has been read.
    fn begin(&mut self, head: FrameHead, message_bytes_max: usize) {
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
    fn take_payload(&mut self, rest: &mut [u8]) -> Result<(usize, Option<Found>), Violation> {
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
    fn open(&self) -> Option<(PayloadForm, usize)> {
        match self {
            Self::Open(body) => Some((PayloadForm::Plain, body.len())),
            Self::OpenDeflated(_, bytes) => Some((PayloadForm::Deflated, *bytes)),
            Self::None | Self::Complete(_) => None,
        }
    }

    fn capacity(&self) -> usize {
        match self {
            Self::Open(body) | Self::OpenDeflated(body, _) | Self::Complete(body) => body.capacity(),
            Self::None => 0,
        }
    }
}

/// The event of a payload that is complete.
fn event_of(opcode: OpCode, payload: &[u8]) -> Result<Event<'_>, Violation> {
    match opcode {
        OpCode::Text => {
            let text = simdutf8::basic::from_utf8(payload).map_err(|_| Violation::TextNotUtf8)?;
            Ok(Event::Text(text))
        }
        OpCode::Binary => Ok(Event::Binary(payload)),
        OpCode::Close => Ok(Event::Close(parse_close(payload)?)),
        OpCode::Ping => Ok(Event::Ping(payload)),
        OpCode::Pong => Ok(Event::Pong(payload)),
        OpCode::Continuation => unreachable!("a continuation is joined to its message"),
    }
}

fn parse_close(body: &[u8]) -> Result<Option<Close<'_>>, Violation> {
    match body {
        [] => Ok(None),
        [_] => Err(Violation::CloseOneByte),
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            let reason = std::str::from_utf8(reason).map_err(|_| Violation::CloseReasonNotUtf8)?;
            if close_code::is_sendable(code) {
                Ok(Some(Close { code, reason }))
            } else {
                Err(Violation::CloseCode)
            }
        }
    }
}
