//! What an operator does to a server, by the names that a target file has for it.

use touchstone_protocol::Dialect;

use super::{Target, TargetError};
use crate::accounts::UsersBy;

/// What an operator does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Act {
    /// Closes the connections of a user.
    Disconnect,
    /// Takes a user and all his data away.
    DeleteUser,
    /// Closes all connections, spread over a window.
    Drain,
    /// Sends what is pending, now.
    Sweep,
}

/// All of it.
pub(crate) const ACTS: [Act; 4] = [Act::Disconnect, Act::DeleteUser, Act::Drain, Act::Sweep];

impl Act {
    /// Its name in a target file: `operate.<dialect>.<name>`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Disconnect => "disconnect",
            Self::DeleteUser => "delete_user",
            Self::Drain => "drain",
            Self::Sweep => "sweep",
        }
    }

    /// The variables of a request or command that does it.
    pub(super) const fn variables(self) -> &'static [&'static str] {
        match self {
            Self::Disconnect => &["user", "code", "reason"],
            Self::DeleteUser => &["user"],
            Self::Drain => &["window", "seconds"],
            Self::Sweep => &[],
        }
    }

    /// The one of this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        ACTS.into_iter().find(|act| act.name() == name)
    }
}

impl Target {
    /// Whether an operator can do this: by the way that the file names, or by the admin interface.
    #[must_use]
    pub fn can(&self, dialect: Dialect, act: Act) -> bool {
        let by_admin = matches!(self.accounts.users.get(&dialect), Some(UsersBy::Admin(_)));
        by_admin
            || self
                .operate
                .get(&dialect)
                .is_some_and(|ways| ways.contains_key(&act))
    }

    /// A user who is lent to one case after another must not be taken away by one of them.
    pub(super) fn check_lent(&self) -> Result<(), TargetError> {
        for (dialect, ways) in &self.operate {
            let lent = matches!(self.accounts.users.get(dialect), Some(UsersBy::List(_)));
            if lent && ways.contains_key(&Act::DeleteUser) {
                let key = format!("operate.{dialect}.delete_user");
                let message =
                    format!("`{key}` would take away users of `users.list`, who are lent to every case");
                return Err(TargetError::name(&key, message).with_help(
                    "leave it out, or say by `users.steps` or `users.command` how users are made",
                ));
            }
        }
        Ok(())
    }
}
