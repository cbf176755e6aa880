//! The values that apply where nothing else is configured (spec README, "Configuration").

use std::time::Duration;

/// Payload of the longest message that is accepted, reassembled, in bytes (common/5a).
pub const MESSAGE_BYTES_MAX: usize = 65_536;
/// Payload of the longest message on the raw echo route, in bytes: what Autobahn's largest cases need.
pub const RAW_ECHO_BYTES_MAX: usize = 16 << 20;
/// How long a graceful stop may take (common/6a).
pub const GRACE_PERIOD: Duration = Duration::from_secs(10);
/// The advice in the reason of a 1001 is spread evenly over this range, in whole seconds (common/6b).
pub const RETRY_AFTER_SECONDS: std::ops::RangeInclusive<u8> = 3..=12;
/// How long a handshake may take (rfc6455/handshake-slow).
pub const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(10);
/// Request line and headers of a handshake, in bytes; more is answered 431 (rfc6455/handshake-size).
pub const HANDSHAKE_BYTES_MAX: usize = 16 << 10;
/// How long a peer may take to accept the close frame before TCP just ends (common/2c).
pub const CLOSE_DEADLINE: Duration = Duration::from_secs(5);
