//! The dialect `outbox`: a per-user stream of events from a durable outbox (spec `outbox.md`).

#[cfg(feature = "messages")]
pub mod client;
#[cfg(feature = "messages")]
pub mod messages;

use std::time::Duration;

use crate::close::CloseCode;

/// No token (outbox/2b).
pub const CLOSE_NO_TOKEN: CloseCode = CloseCode(4001);
/// Invalid or expired token: the client must not reconnect (outbox/1a).
pub const CLOSE_INVALID_TOKEN: CloseCode = CloseCode(4002);
/// The user is unknown (outbox/2b).
pub const CLOSE_UNKNOWN_USER: CloseCode = CloseCode(4003);
/// The UUID in the path cannot be decoded (outbox/2b).
pub const CLOSE_UNDECODABLE: CloseCode = CloseCode(4004);
/// The token is another user's (outbox/2b).
pub const CLOSE_OTHER_USER: CloseCode = CloseCode(4005);
/// Time between two sweeps of what is pending (outbox/6a).
pub const SWEEP_INTERVAL: Duration = Duration::from_secs(30);
/// A ping of the server unanswered for so long ends the connection (outbox/9d).
pub const CONFIRM_TIMEOUT: Duration = Duration::from_secs(30);
/// Reason with 1008 when a confirming ping goes unanswered (outbox/9d).
pub const REASON_NO_PONG: &str = "no pong";
/// Reason with 1000 at a logout (outbox/14b).
pub const REASON_LOGGED_OUT: &str = "logged out";
