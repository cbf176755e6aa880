//! Close codes and the reasons the server gives with them (spec README, "Close codes in general").

/// A close code (RFC 6455 7.4) and what a client should do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CloseCode(pub u16);

impl CloseCode {
    /// Normal end.
    pub const NORMAL: Self = Self(1000);
    /// The server stops, or the page was left.
    pub const GOING_AWAY: Self = Self(1001);
    /// A frame broke the protocol.
    pub const PROTOCOL_ERROR: Self = Self(1002);
    /// Binary where text is spoken.
    pub const UNSUPPORTED: Self = Self(1003);
    /// Text that is not UTF-8.
    pub const INVALID_PAYLOAD: Self = Self(1007);
    /// Slow consumer, or a session id that is too long (echo/1b).
    pub const POLICY: Self = Self(1008);
    /// A message over the limit.
    pub const TOO_BIG: Self = Self(1009);
    /// Internal failure.
    pub const INTERNAL: Self = Self(1011);
    /// Drain: the server restarts.
    pub const RESTARTING: Self = Self(1012);
    /// More messages than the configured rate (common/7b).
    pub const RATE_LIMIT: Self = Self(4429);

    /// Whether a client that was closed with this code should come back by itself.
    #[must_use]
    pub const fn invites_back(self) -> bool {
        matches!(self.0, 1001 | 1002 | 1006 | 1008 | 1011 | 1012 | 4429)
    }
}

/// Reason with 1008 when a peer reads slower than its queue fills (common/7a).
pub const REASON_SLOW_CONSUMER: &str = "slow consumer";
/// Reason with 1008 for a session id over its limit (echo/1b).
pub const REASON_SESSION_ID_TOO_LONG: &str = "session id too long";
/// Reason with 1001 when a peer has sent nothing for longer than it may.
pub const REASON_IDLE: &str = "idle for too long";
/// Reason with 4429 (common/7b).
pub const REASON_RATE_LIMIT: &str = "rate limit";

/// The reason of a 1001 at a graceful stop (common/6b): it carries this client's own advice.
#[must_use]
pub fn reason_going_away(retry_after_seconds: u8) -> String {
    format!("server going away; retry after {retry_after_seconds} s")
}

/// The reason of a 1012 when the server is drained (common/6c): it carries this client's own advice.
#[must_use]
pub fn reason_restarting(retry_after_seconds: u8) -> String {
    format!("server restarting; retry after {retry_after_seconds} s")
}

/// The advice in a close reason, in whole seconds, if there is one (common/6b, 6c).
#[must_use]
pub fn retry_after_seconds(reason: &str) -> Option<u32> {
    let (_, tail) = reason.rsplit_once("retry after ")?;
    tail.strip_suffix(" s")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_advice_is_read_back_from_the_reason() {
        assert_eq!(retry_after_seconds(&reason_going_away(7)), Some(7));
        assert_eq!(
            retry_after_seconds("server restarting; retry after 12 s"),
            Some(12)
        );
        assert_eq!(retry_after_seconds("retry after a while"), None);
    }

    #[test]
    fn the_code_says_whether_to_come_back() {
        assert!(CloseCode::GOING_AWAY.invites_back());
        assert!(CloseCode(1006).invites_back());
        assert!(!CloseCode::NORMAL.invites_back());
        assert!(!CloseCode::TOO_BIG.invites_back());
    }
}
