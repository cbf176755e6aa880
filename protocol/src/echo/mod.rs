//! The dialect `echo`: resumable counted echo (spec `echo.md`).

#[cfg(feature = "messages")]
pub mod client;
#[cfg(feature = "messages")]
pub mod messages;

use std::time::Duration;

/// Query parameter that names the session to resume.
pub const QUERY_SESSION: &str = "session";
/// Query parameter that asks for the messages to be kept: `true` in any case (echo/1c).
pub const QUERY_PERSISTENCE: &str = "redis_persistence";
/// Unicode scalar values in the longest session id, after decoding (echo/1b).
pub const SESSION_ID_CHARS_MAX: usize = 128;
/// Time between heartbeats of one connection (echo/8c).
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(30);
/// How long a session is kept after its last write (echo/6c).
pub const SESSION_TTL: Duration = Duration::from_secs(3600);
/// A store call slower than this counts as unavailable (echo/11b).
pub const STORE_DEADLINE: Duration = Duration::from_secs(2);
/// Title of a broadcast that names none (echo/9c).
pub const BROADCAST_TITLE: &str = "System Message";
/// The levels of a broadcast, the default first (echo/9c).
pub const BROADCAST_LEVELS: [&str; 4] = ["info", "warning", "error", "success"];
/// Text of the farewell (echo/10a).
pub const FAREWELL: &str = "Server is shutting down gracefully";
