//! Which protocol a run speaks, and what its users can do: the one place where acts are looked up.

use std::sync::Arc;

use touchstone_protocol::client::Act;
use touchstone_protocol::{Dialect, direct, echo, feed, outbox, rooms};

use crate::custom::CustomProtocol;

/// What the sessions of a run speak.
#[derive(Debug, Clone, PartialEq)]
pub enum Protocol {
    /// One of the documented ones.
    Dialect(Dialect),
    /// One of somebody's own.
    Custom(Arc<CustomProtocol>),
}

impl Protocol {
    /// The protocol of this dialect.
    ///
    /// # Errors
    /// If there is none, or nobody who could speak it; says what there is.
    pub(super) fn of_dialect(name: &str) -> Result<Self, String> {
        let dialect: Dialect = name.parse().map_err(|error| format!("{error}"))?;
        if acts_of(dialect).is_some() {
            return Ok(Self::Dialect(dialect));
        }
        let known: Vec<_> = Dialect::ALL
            .iter()
            .filter(|known| acts_of(**known).is_some())
            .map(|known| known.name())
            .collect();
        Err(format!(
            "`{dialect}` has no simulated users; there is: {}",
            known.join(", ")
        ))
    }

    /// Its name in reports.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Dialect(dialect) => dialect.name(),
            Self::Custom(protocol) => protocol.name(),
        }
    }

    /// The dialect, if it is one.
    #[must_use]
    pub fn dialect(&self) -> Option<Dialect> {
        match self {
            Self::Dialect(dialect) => Some(*dialect),
            Self::Custom(_) => None,
        }
    }

    /// What its users can do.
    #[must_use]
    pub fn acts(&self) -> &[Act] {
        match self {
            Self::Dialect(dialect) => acts_of(*dialect).unwrap_or_default(),
            Self::Custom(protocol) => protocol.acts(),
        }
    }
}

/// What the users of `dialect` can do; `None` where nobody simulates them.
#[must_use]
pub const fn acts_of(dialect: Dialect) -> Option<&'static [Act]> {
    match dialect {
        Dialect::Echo => Some(echo::client::ACTS),
        Dialect::Rooms => Some(rooms::client::ACTS),
        Dialect::Outbox => Some(outbox::client::ACTS),
        Dialect::Feed => Some(feed::client::ACTS),
        Dialect::Direct => Some(direct::client::ACTS),
    }
}
