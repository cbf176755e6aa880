//! What is fuzzed: functions of any bytes that panic when something is wrong. libFuzzer calls them from `fuzz_targets`, the
//! test command from `tests/made_up`.
//!
//! One file for each target. The first bytes of the input set things up; the rest is what a peer could have sent.
//! `model` says a second time, in another way, what the rules make of a message.

mod decoders;
mod handshake;
mod inflate;
mod model;
mod plain;
mod receiver;
mod served;

pub use decoders::decoders;
pub use handshake::handshake;
pub use inflate::inflate;
pub use receiver::receiver;
pub use served::{BINARY, BREAK, direct, echo, feed, outbox, requests, rooms};

/// A function of any bytes.
pub type Target = fn(&[u8]);

/// Every target with its name, as `cargo fuzz run NAME` knows it.
pub const TARGETS: &[(&str, Target)] = &[
    ("receiver", receiver),
    ("handshake", handshake),
    ("inflate", inflate),
    ("decoders", decoders),
    ("echo", echo),
    ("rooms", rooms),
    ("outbox", outbox),
    ("feed", feed),
    ("direct", direct),
    ("requests", requests),
];

/// Takes the byte that sets something up from the front; 0 when there is none left.
fn take(input: &mut &[u8]) -> u8 {
    match input.split_first() {
        Some((first, rest)) => {
            *input = rest;
            *first
        }
        None => 0,
    }
}
