//! What nodes tell each other about a user over the bus.

use bytes::{BufMut, Bytes, BytesMut};
use touchstone_protocol::close::CloseCode;
use touchstone_protocol::outbox::messages;
use touchstone_storage::{Event, Payload, Timestamp};
use touchstone_wire as wire;

use crate::connection::Close;

/// What all topics of users begin with.
const USER_TOPICS: &str = "outbox:user:";

/// The topic that every node hears.
pub(super) const NODES_TOPIC: &str = "outbox:nodes";

const EVENT: u8 = b'e';
const CLOSE: u8 = b'c';
const SWEEP: u8 = b's';

/// Something to be done where the user is connected, or on every node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum News {
    /// An event to be written.
    Event(EventNews),
    /// The user's connections end.
    Close(Close),
    /// Every node but this one is to sweep.
    Sweep { node: u64 },
}

/// An event, ready to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EventNews {
    /// The event's number.
    pub(super) number: u64,
    /// Whoever hears of it later leaves it: by then it is another's to send.
    pub(super) until: Timestamp,
    /// Encoded once for everybody.
    pub(super) frame: Bytes,
}

impl EventNews {
    /// `None` if what the store has is no event that can be sent.
    pub(super) fn new(event: &Event, until: Timestamp) -> Option<Self> {
        let Event {
            number,
            id,
            kind,
            data,
            ..
        } = event;
        match messages::event(kind, id, data) {
            Some(text) => Some(Self {
                number: *number,
                until,
                frame: wire::server_text(&text),
            }),
            None => {
                tracing::error!(number, "an event in the store is no JSON object, and is not sent");
                None
            }
        }
    }
}

/// The topic under which there is news of a user.
pub(super) fn topic(user: &str) -> String {
    format!("{USER_TOPICS}{user}")
}

/// Whom a topic is about.
pub(super) fn user_of(topic: &str) -> Option<&str> {
    topic.strip_prefix(USER_TOPICS)
}

impl News {
    /// As bytes for the bus.
    pub(super) fn encode(&self) -> Bytes {
        let mut bytes = BytesMut::new();
        match self {
            Self::Event(EventNews { number, until, frame }) => {
                bytes.reserve(17 + frame.len());
                bytes.put_u8(EVENT);
                bytes.put_u64(*number);
                bytes.put_u64(until.millis());
                bytes.put_slice(frame);
            }
            Self::Close(Close { code, reason }) => {
                bytes.put_u8(CLOSE);
                bytes.put_u16(code.0);
                bytes.put_slice(reason.as_bytes());
            }
            Self::Sweep { node } => {
                bytes.put_u8(SWEEP);
                bytes.put_u64(*node);
            }
        }
        bytes.freeze()
    }

    /// What a payload says; `None` for what another version of this program may have said.
    pub(super) fn decode(payload: &Payload) -> Option<Self> {
        let (kind, rest) = payload.bytes.split_first()?;
        let number = |at: usize| Some(u64::from_be_bytes(rest.get(at..at + 8)?.try_into().ok()?));
        match *kind {
            EVENT => Some(Self::Event(EventNews {
                number: number(0)?,
                until: Timestamp::from_millis(number(8)?),
                frame: payload.bytes.slice(17..),
            })),
            CLOSE => {
                let (code, reason) = rest.split_first_chunk()?;
                let reason = std::str::from_utf8(reason).ok()?;
                Some(Self::Close(Close::new(
                    CloseCode(u16::from_be_bytes(*code)),
                    reason,
                )))
            }
            SWEEP => Some(Self::Sweep { node: number(0)? }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_published_is_what_is_heard() {
        for news in [
            News::Event(EventNews {
                number: 7,
                until: Timestamp::from_millis(1_700_000_000_123),
                frame: wire::server_text("{}"),
            }),
            News::Close(Close::new(CloseCode::NORMAL, "logged out")),
            News::Sweep { node: u64::MAX },
        ] {
            let payload = Payload {
                topic: topic("ann").into(),
                bytes: news.encode(),
            };
            assert_eq!(News::decode(&payload), Some(news));
            assert_eq!(user_of(&payload.topic), Some("ann"));
        }
    }

    proptest::proptest! {
        #[test]
        fn no_payload_is_too_odd(bytes in proptest::collection::vec(0_u8.., 0..40)) {
            let payload = Payload { topic: NODES_TOPIC.into(), bytes: bytes.into() };
            let _ = News::decode(&payload);
        }
    }
}
