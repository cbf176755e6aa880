//! The dialect `feed`: live updates of resources to users (spec `feed.md`).

#[cfg(feature = "messages")]
pub mod client;
#[cfg(feature = "messages")]
pub mod messages;

use std::time::Duration;

use crate::close::CloseCode;

/// The server failed while connecting: come back (feed/2a).
pub const CLOSE_SERVER_ERROR: CloseCode = CloseCode(4000);
/// Reason with it.
pub const REASON_SERVER_ERROR: &str = "server error";
/// Unauthenticated: refresh the token first (feed/1a).
pub const CLOSE_UNAUTHENTICATED: CloseCode = CloseCode(4001);
/// Reason with it.
pub const REASON_UNAUTHENTICATED: &str = "unauthenticated";
/// No answer to a heartbeat in time (feed/8b).
pub const CLOSE_HEARTBEAT_MISSED: CloseCode = CloseCode(4408);
/// Reason with 4408 (feed/8b).
pub const REASON_HEARTBEAT_MISSED: &str = "heartbeat missed";
/// Time between two heartbeats (feed/7a).
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(30);
/// How long a client may take to answer one (feed/8a).
pub const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(10);
