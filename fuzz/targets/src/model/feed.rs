//! `feed`: feed/7b, 10a.

use super::{object, text};

/// What a client says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Said {
    Pong,
    Other,
    Wrong,
}

/// Reads a message.
pub(crate) fn said(message: &str) -> Said {
    match object(message) {
        None => Said::Wrong,
        Some(members) if text(&members, "type") == Some("PONG") => Said::Pong,
        Some(_) => Said::Other,
    }
}
