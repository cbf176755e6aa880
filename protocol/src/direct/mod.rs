//! The dialect `direct`: one-to-one chat, one connection per user (spec `direct.md`).

#[cfg(feature = "messages")]
pub mod client;
mod id;
#[cfg(feature = "messages")]
pub mod messages;

use std::time::Duration;

use crate::close::CloseCode;
pub use id::{HexId, ID_DIGITS};

/// No token (direct/1a).
pub const CLOSE_NO_TOKEN: CloseCode = CloseCode(4001);
/// Reason with it.
pub const REASON_NO_TOKEN: &str = "Authentication required";
/// Invalid token (direct/1b).
pub const CLOSE_INVALID_TOKEN: CloseCode = CloseCode(4002);
/// Reason with it.
pub const REASON_INVALID_TOKEN: &str = "Invalid token";
/// The user is not in the store (direct/1c).
pub const CLOSE_UNKNOWN_USER: CloseCode = CloseCode(4003);
/// Reason with it.
pub const REASON_UNKNOWN_USER: &str = "User not found";
/// The store failed while authenticating (direct/1d).
pub const CLOSE_SERVER_ERROR: CloseCode = CloseCode(4004);
/// Reason with it.
pub const REASON_SERVER_ERROR: &str = "Server error";
/// Another connection of the user took over (direct/7a).
pub const CLOSE_TAKEN_OVER: CloseCode = CloseCode(4005);
/// Reason with it.
pub const REASON_TAKEN_OVER: &str = "New connection established";
/// Unicode scalar values in the longest content (direct/10c).
pub const CONTENT_CHARS_MAX: usize = 5_000;
/// Time between two pings of a connection (direct/11a).
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(30);
/// A ping unanswered for so long terminates the connection (direct/11b).
pub const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(30);
