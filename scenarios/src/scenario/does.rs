//! What is done to connections, to the server and to the users beside speaking to it.

use super::Duration;
use crate::source::Spanned;

/// What happens to a connection below WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TcpFault {
    /// RST, no close frame.
    Reset,
    /// FIN; reading goes on.
    HalfClose,
    /// Nothing is read any more, so that the server's queue fills.
    StopReading,
    /// Reading goes on.
    ResumeReading,
}

/// A fault of the server, caused by the way the target names.
#[derive(Debug, Clone)]
pub enum Fault {
    /// The store refuses or stalls for a time; zero time ends it.
    Store {
        /// How it fails.
        mode: StoreFault,
        /// For how long.
        lasting: Duration,
    },
    /// The next so many calls of the dialect's handler panic.
    Handler {
        /// How many.
        times: u32,
    },
}

/// How a store fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreFault {
    /// Refuses at once.
    Down,
    /// Answers later than the dialect waits.
    Slow,
}

/// What an operator does to the server, by its admin interface or by the way that the target names.
#[derive(Debug, Clone)]
pub enum Operation {
    /// Closes the connections of a user.
    Disconnect {
        /// Whose.
        user: Spanned<String>,
        /// The close code; the server's own if left out.
        code: Option<u16>,
        /// The reason; the server's own if left out.
        reason: Option<String>,
    },
    /// Takes the user and all his data away.
    DeleteUser {
        /// Whom.
        user: Spanned<String>,
    },
    /// Closes all connections, spread over a window, for a rolling restart.
    Drain {
        /// The window; the server's own if left out.
        window: Option<Duration>,
    },
    /// Sends what is pending, now.
    Sweep,
}

/// Whether something is awaited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Awaited {
    /// It comes into the inbox like anything else.
    #[default]
    No,
    /// It is awaited.
    Yes,
}

/// A signal to the spawned server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Graceful.
    Term,
    /// Graceful.
    Int,
    /// `kill -9`.
    Kill,
}
