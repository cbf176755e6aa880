//! The dialect `rooms`: multi-tenant channels (spec `rooms.md`).

#[cfg(feature = "messages")]
pub mod client;
#[cfg(feature = "messages")]
pub mod messages;

use std::time::Duration;

use crate::close::CloseCode;

/// Refused, or the token has expired: do not come back (rooms/1a, 2c).
pub const CLOSE_REFUSED: CloseCode = CloseCode(4000);
/// Unicode scalar values in the longest content (rooms/6b).
pub const CONTENT_CHARS_MAX: usize = 10_000;
/// Messages in the history that a newcomer is sent (rooms/3c).
pub const HISTORY_MESSAGES: usize = 50;
/// Messages in one page of the history over HTTP.
pub const PAGE_MESSAGES_MAX: usize = 200;
/// How long a typing state lasts that is not renewed (rooms/7c).
pub const TYPING_TTL: Duration = Duration::from_secs(10);
/// Data messages a second of one connection in the long run (common/7b).
pub const RATE_PER_SECOND: u32 = 50;
/// Data messages of one connection at once after a pause (common/7b).
pub const RATE_BURST: u32 = 100;
