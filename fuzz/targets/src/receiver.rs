//! The frame receiver: a peer's bytes in pieces.

use touchstone_wire::deflate::{Half, Takeover, WindowBits};
use touchstone_wire::{Binary, Event, Receiver, Role, Rules, Violation};

use crate::take;

/// Small, so that the limit is met.
const MESSAGE_BYTES_MAX: usize = 2_000;

/// What a receiver holds beside the message: its own bookkeeping, and an inflater.
const HELD_BESIDE_BYTES: usize = 100 * 1024;

/// Reads the same bytes whole, one by one, and cut somewhere else: nothing of it may show.
pub fn receiver(mut input: &[u8]) {
    let setting = take(&mut input);
    let piece_bytes = usize::from(take(&mut input)) + 1;
    let new = || set_up(setting);
    let whole = hear(new(), input, input.len().max(1));
    assert_eq!(hear(new(), input, 1), whole, "byte by byte");
    assert_eq!(
        hear(new(), input, piece_bytes),
        whole,
        "in pieces of {piece_bytes}"
    );
}

fn set_up(setting: u8) -> Receiver {
    let role = if setting & 1 == 0 {
        Role::Server
    } else {
        Role::Client
    };
    let rules = Rules {
        message_bytes_max: MESSAGE_BYTES_MAX,
        binary: if setting & 2 == 0 {
            Binary::Accepted
        } else {
            Binary::Refused
        },
    };
    let window = WindowBits::new(8 + (setting >> 4 & 7)).expect("8 to 15");
    let takeover = match setting >> 2 & 3 {
        0 | 1 => return Receiver::new(role, rules),
        2 => Takeover::Dropped,
        _ => Takeover::Kept,
    };
    Receiver::with_deflate(role, rules, Half { takeover, window })
}

/// The events, each as its kind and its bytes, and how it ended.
fn hear(
    mut receiver: Receiver,
    bytes: &[u8],
    piece_bytes: usize,
) -> (Vec<(u16, Vec<u8>)>, Option<Violation>) {
    let mut heard = Vec::new();
    for piece in bytes.chunks(piece_bytes) {
        let mut piece = piece.to_vec();
        let mut at = 0;
        loop {
            let step = match receiver.next(&mut piece[at..]) {
                Ok(step) => step,
                Err(violation) => {
                    assert!(receiver.has_ended());
                    return (heard, Some(violation));
                }
            };
            at += step.consumed;
            let Some(event) = step.event else {
                assert_eq!(at, piece.len(), "without an event everything is consumed");
                break;
            };
            heard.push(kept(event));
        }
        assert!(receiver.heap_bytes() <= 4 * MESSAGE_BYTES_MAX + HELD_BESIDE_BYTES);
    }
    (heard, None)
}

fn kept(event: Event<'_>) -> (u16, Vec<u8>) {
    let (kind, bytes, bytes_max) = match event {
        Event::Text(text) => (1, text.as_bytes(), MESSAGE_BYTES_MAX),
        Event::Binary(bytes) => (2, bytes, MESSAGE_BYTES_MAX),
        Event::Ping(bytes) => (9, bytes, 125),
        Event::Pong(bytes) => (10, bytes, 125),
        Event::Close(None) => (8, &b""[..], 0),
        Event::Close(Some(close)) => {
            assert!(touchstone_wire::close_code::is_sendable(close.code));
            (close.code, close.reason.as_bytes(), 123)
        }
    };
    assert!(bytes.len() <= bytes_max, "{} bytes of kind {kind}", bytes.len());
    (kind, bytes.to_vec())
}
