//! The closed list of dialects. A new one is a list of compile errors.

use std::fmt;
use std::str::FromStr;

/// An application protocol spoken over WebSocket. Its name is the same in folders, flags, scenario ids, metrics and
/// reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dialect {
    /// Resumable counted echo with heartbeat, broadcast and farewell.
    Echo,
    /// Multi-tenant channels: chat, typing, read receipts, presence.
    Rooms,
    /// Per-user event stream fed from a durable outbox.
    Outbox,
    /// Live updates of resources to users.
    Feed,
    /// One-to-one chat, one connection per user.
    Direct,
}

impl Dialect {
    /// Every dialect, in the order in which reports list them.
    pub const ALL: &'static [Self] = &[Self::Echo, Self::Rooms, Self::Outbox, Self::Feed, Self::Direct];

    /// Whether its connections carry a token, and its server so needs a secret (common/3e).
    #[must_use]
    pub const fn has_tokens(self) -> bool {
        match self {
            Self::Echo => false,
            Self::Rooms | Self::Outbox | Self::Feed | Self::Direct => true,
        }
    }

    /// The name in folders, flags, ids, metrics and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::Rooms => "rooms",
            Self::Outbox => "outbox",
            Self::Feed => "feed",
            Self::Direct => "direct",
        }
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Dialect {
    type Err = UnknownDialect;

    fn from_str(name: &str) -> Result<Self, UnknownDialect> {
        Self::ALL
            .iter()
            .copied()
            .find(|dialect| dialect.name() == name)
            .ok_or_else(|| UnknownDialect(name.to_owned()))
    }
}

/// A name that is no dialect's; the message lists those that are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownDialect(pub String);

impl fmt::Display for UnknownDialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known: Vec<_> = Dialect::ALL.iter().map(|dialect| dialect.name()).collect();
        write!(f, "`{}` is not a dialect; there is: {}", self.0, known.join(", "))
    }
}

impl std::error::Error for UnknownDialect {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_dialect_is_found_by_its_name() {
        for dialect in Dialect::ALL {
            assert_eq!(dialect.name().parse(), Ok(*dialect));
        }
    }

    #[test]
    fn a_wrong_name_lists_the_right_ones() {
        let error = "Echo".parse::<Dialect>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "`Echo` is not a dialect; there is: echo, rooms, outbox, feed, direct"
        );
    }
}
