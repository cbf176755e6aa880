//! Reading frames: bytes in, messages and control frames out, or the violation that ends the connection.
//!
//! Strict on everything RFC 6455 says about frames. Knows neither sockets nor time: the caller reads bytes into a
//! buffer it shares among connections, and [`Receiver::next`] decodes them in place.

use crate::close_code;
use crate::deflate::{Half, INFLATER_BYTES, Inflater, Takeover};
use crate::frame::{HEADER_BYTES_MAX, OpCode};
use crate::mask;
use crate::receive::body::Body;
use crate::receive::header::{Context, FrameHead};
use crate::receive::partial::{Found, Frame, Message, Partial};
use crate::violation::Violation;

mod body;
mod header;
mod partial;

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
