//! What a receiver made of a stream of bytes, kept.

use touchstone_wire::{Binary, Event, Receiver, Role, Rules, Violation};

/// An event that owns what it carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Heard {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<(u16, String)>),
}

impl From<Event<'_>> for Heard {
    fn from(event: Event<'_>) -> Self {
        match event {
            Event::Text(text) => Self::Text(text.to_owned()),
            Event::Binary(bytes) => Self::Binary(bytes.to_vec()),
            Event::Ping(bytes) => Self::Ping(bytes.to_vec()),
            Event::Pong(bytes) => Self::Pong(bytes.to_vec()),
            Event::Close(body) => Self::Close(body.map(|body| (body.code, body.reason.to_owned()))),
        }
    }
}

/// The messages of a stream, and what it ended with if it did not just stop.
pub(crate) type Hearing = (Vec<Heard>, Option<Violation>);

pub(crate) const LIMIT: usize = 1_000;
pub(crate) const RULES: Rules = Rules {
    message_bytes_max: LIMIT,
    binary: Binary::Accepted,
};

/// Gives `pieces` to a receiver, one after the other, and checks what holds for every stream.
pub(crate) fn hear<'p>(role: Role, rules: Rules, pieces: impl IntoIterator<Item = &'p [u8]>) -> Hearing {
    hear_by(Receiver::new(role, rules), pieces)
}

/// The same for a receiver that is given; one that inflates for itself keeps what it began with.
pub(crate) fn hear_by<'p>(mut receiver: Receiver, pieces: impl IntoIterator<Item = &'p [u8]>) -> Hearing {
    let at_rest = receiver.heap_bytes();
    let mut heard = Vec::new();
    for piece in pieces {
        let mut piece = piece.to_vec();
        let mut at = 0;
        loop {
            let left = piece.len() - at;
            let step = match receiver.next(&mut piece[at..]) {
                Ok(step) => step,
                Err(violation) => {
                    assert!(receiver.has_ended());
                    assert_eq!(receiver.heap_bytes(), 0, "nothing is kept after a violation");
                    return (heard, Some(violation));
                }
            };
            assert!(step.consumed <= left);
            at += step.consumed;
            let Some(event) = step.event else {
                assert_eq!(at, piece.len(), "without an event everything is consumed");
                break;
            };
            heard.push(Heard::from(event));
        }
        if !receiver.has_partial() {
            assert!(
                at_rest > 0 || receiver.heap_bytes() == 0,
                "nothing is kept at rest"
            );
        }
    }
    (heard, None)
}

/// The bytes in one piece.
pub(crate) fn hear_whole(role: Role, bytes: &[u8]) -> Hearing {
    hear(role, RULES, [bytes])
}

/// The bytes one by one.
pub(crate) fn hear_bytewise(role: Role, bytes: &[u8]) -> Hearing {
    hear(role, RULES, bytes.chunks(1))
}
