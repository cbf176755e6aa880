//! What a session is to do, where it stands between connections, and how one of them ended.

use std::time::Duration;

use touchstone_protocol::client::{ClientHalf, Comeback};

use crate::record::ErrorKind;
use crate::schedule::Nanos;

/// Something a session is to do, decided by the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Errand {
    pub(crate) intended: Nanos,
    /// Which of the protocol's acts.
    pub(crate) act: u32,
    pub(crate) content_bytes: u32,
    /// The place of the other user in the group.
    pub(crate) recipient: u32,
    /// From its effect to the next act, in the closed model.
    pub(crate) think: Nanos,
}

/// What became of an errand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was done, and has an effect to come.
    Awaited,
    /// Nothing is to come of it.
    Over,
}

/// Why a connection is no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// A storm took it.
    Cut,
    /// This side said goodbye and the server closed.
    Farewell,
    /// The server closed it, and may have said when to come back.
    Closed {
        code: Option<u16>,
        advice: Option<Duration>,
    },
    /// It ended without a close frame.
    Dropped,
    /// The server broke the protocol.
    Violated,
}

impl End {
    /// What it counts as, if it counts.
    pub(crate) fn error(self) -> Option<ErrorKind> {
        match self {
            Self::Cut | Self::Farewell => None,
            Self::Closed { .. } => Some(ErrorKind::Closed),
            Self::Dropped => Some(ErrorKind::Dropped),
            Self::Violated => Some(ErrorKind::Protocol),
        }
    }

    /// Whether this client comes back after it, after how long at least, and with which token.
    pub(crate) fn comes_back(self, client: &impl ClientHalf) -> Option<(Option<Duration>, Token)> {
        let (comeback, advice) = match self {
            Self::Farewell => return None,
            Self::Cut | Self::Dropped | Self::Violated => (client.comeback(None), None),
            Self::Closed { code, advice } => (client.comeback(code), advice),
        };
        match comeback {
            Comeback::Never => None,
            Comeback::Again => Some((advice, Token::Kept)),
            Comeback::WithNewToken => Some((advice, Token::Wanted)),
        }
    }
}

/// What a session needs before it can connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token {
    /// A new one, where there are tokens.
    Wanted,
    /// Nothing: it has one.
    Kept,
}

/// Where a session stands between connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Its arrival is still to come.
    NotArrived,
    /// It is connecting for the first time, or again.
    Away {
        /// Since when it is missing: its arrival, or the end of its last connection.
        since: Nanos,
        /// A storm took it, and wants it back by then.
        due_back: Option<Nanos>,
    },
    /// It is connected.
    Here,
    /// It does not come back.
    Gone,
    /// It has left, as the plan wanted.
    Left,
}
