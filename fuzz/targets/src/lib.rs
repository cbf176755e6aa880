//! What is fuzzed: functions of any bytes that panic when something is wrong. libFuzzer calls them from `fuzz_targets`, the
//! test command from `tests/made_up.rs`.
//!
//! One file for each target. The first bytes of the input set things up; the rest is what a peer could have sent.

mod handshake;
mod inflate;
mod receiver;

pub use handshake::handshake;
pub use inflate::inflate;
pub use receiver::receiver;

/// A function of any bytes.
pub type Target = fn(&[u8]);

/// Every target with its name, as `cargo fuzz run NAME` knows it.
pub const TARGETS: &[(&str, Target)] = &[
    ("receiver", receiver),
    ("handshake", handshake),
    ("inflate", inflate),
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
