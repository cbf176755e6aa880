//! `outbox`: outbox/11a, 12a, 13b.

use super::{object, text};

/// What a client says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Said {
    Ping,
    GetPending,
    Wrong,
}

/// Reads a message.
pub(crate) fn said(message: &str) -> Said {
    let members = object(message);
    match members.as_ref().and_then(|members| text(members, "type")) {
        Some("ping") => Said::Ping,
        Some("get_pending") => Said::GetPending,
        Some(_) | None => Said::Wrong,
    }
}
