//! Values from files beside the workload: CSV with a header row, or a JSON array of objects; and which row is whose.

mod rows;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use rows::{Cell, Rows};

use crate::schedule::chance_of;
use crate::workload::Workload;
use crate::workload::values::{Feeder, RowOrder};

/// The file that says who the sessions are.
pub const USERS: &str = "users";

/// Where the chance begins by which rows are drawn: far from all others of the same seed.
const DRAWING: u64 = 0x6472_6177;

/// Why there are no rows.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum FeedError {
    /// The file cannot be read.
    #[error("{file} cannot be read: {why}")]
    Unreadable {
        /// Which.
        file: PathBuf,
        /// What the system says.
        why: String,
    },
    /// The file is neither of the two.
    #[error("{file}: {why}")]
    Malformed {
        /// Which.
        file: PathBuf,
        /// What is wrong, and where.
        why: String,
    },
    /// There are fewer rows than the run takes.
    #[error("{file} has {rows} rows, but {needed} are needed: {why}")]
    TooFew {
        /// Which.
        file: PathBuf,
        /// In the file.
        rows: usize,
        /// Wanted.
        needed: u64,
        /// What for.
        why: &'static str,
    },
    /// A template names a column that is not there.
    #[error("{file} has no column `{column}`; there is: {}", known.join(", "))]
    NoColumn {
        /// Which.
        file: PathBuf,
        /// As the template has it.
        column: String,
        /// Those of the file.
        known: Vec<String>,
    },
}

/// All files of a workload, and which of their rows is whose: a pure function of the seed, the session and its turn.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Feeds {
    users: Option<Feed>,
    /// By name, `users` apart.
    others: Vec<Feed>,
    crowd: Crowd,
}

/// Among whom the rows are divided.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Crowd {
    /// How many sessions.
    pub sessions: u32,
    /// The number of the first of them, where others have rows of the same files.
    pub first_session: u32,
    /// The most turns that one of them has, and one more.
    pub turns_max: u64,
    /// By which rows are drawn.
    pub seed: u64,
}

#[derive(Debug, Clone, PartialEq)]
struct Feed {
    rows: Arc<Rows>,
    order: RowOrder,
    seed: u64,
}

/// The names of all files but `users`, in the order by which templates know them.
pub(crate) fn names(workload: &Workload) -> Vec<&str> {
    let names = workload.feed.keys().map(String::as_str);
    names.filter(|name| *name != USERS).collect()
}

impl Feeds {
    /// Reads the files of `workload` in `folder`, and checks that they have rows enough, the columns `of_users`, and those
    /// of the others by their places in [`names`].
    ///
    /// # Errors
    /// If one cannot be read, is malformed, or something is missing.
    pub(crate) fn read(
        workload: &Workload,
        crowd: Crowd,
        folder: &Path,
        (of_users, of_others): (&[&str], &[(usize, &str)]),
    ) -> Result<Self, FeedError> {
        let read = |feeder: &Feeder, salt: u64, columns: &[&str], needed: (u64, &'static str)| {
            let rows = Rows::read(&folder.join(&feeder.file), needed, columns)?;
            Ok(Feed {
                rows: Arc::new(rows),
                order: feeder.rows,
                seed: crowd.seed ^ DRAWING ^ (salt << 32),
            })
        };
        let users = match workload.feed.get(USERS) {
            Some(feeder) => Some(read(feeder, 0, of_users, crowd.users(feeder.rows))?),
            None => None,
        };
        let mut others = Vec::new();
        for (place, name) in names(workload).into_iter().enumerate() {
            let feeder = &workload.feed[name];
            let named = of_others.iter().filter(|(of, _)| *of == place);
            let columns: Vec<_> = named.map(|(_, column)| *column).collect();
            let salt = place as u64 + 1;
            others.push(read(feeder, salt, &columns, crowd.turns(feeder.rows))?);
        }
        Ok(Self { users, others, crowd })
    }

    /// The same with these users, one for each session.
    #[must_use]
    pub(crate) fn with_users(&self, rows: Rows) -> Self {
        let users = Feed {
            rows: Arc::new(rows),
            order: RowOrder::Session,
            seed: 0,
        };
        Self {
            users: Some(users),
            crowd: Crowd {
                first_session: 0,
                ..self.crowd
            },
            ..self.clone()
        }
    }

    /// Whether a file says who the sessions are.
    #[must_use]
    pub fn has_users(&self) -> bool {
        self.users.is_some()
    }

    /// Whether their file has this column.
    #[must_use]
    pub fn users_have(&self, column: &str) -> bool {
        self.users.as_ref().is_some_and(|users| users.rows.has(column))
    }

    /// What stands in `column` of the user of `session`.
    #[must_use]
    pub fn user(&self, session: u32, column: &str) -> Option<&Cell> {
        let users = self.users.as_ref()?;
        users.rows.value(users.row(self.crowd, session, 0), column)
    }

    /// The user of `session`, as JSON.
    #[must_use]
    pub fn user_object(&self, session: u32) -> serde_json::Map<String, serde_json::Value> {
        match &self.users {
            Some(users) => users.rows.object(users.row(self.crowd, session, 0)),
            None => serde_json::Map::new(),
        }
    }

    /// What stands in `column` of the row that file number `feed` has for `session` at its turn of this number.
    #[must_use]
    pub fn value(&self, feed: usize, (session, turn): (u32, u32), column: &str) -> Option<&Cell> {
        let feed = self.others.get(feed)?;
        feed.rows.value(feed.row(self.crowd, session, turn), column)
    }
}

impl Feed {
    fn row(&self, crowd: Crowd, session: u32, turn: u32) -> usize {
        let count = self.rows.count() as u64;
        let session = u64::from(crowd.first_session) + u64::from(session);
        let nth = session + u64::from(turn) * u64::from(crowd.sessions);
        let row = match self.order {
            RowOrder::Session => session,
            RowOrder::Unique => nth,
            RowOrder::Cyclic => nth % count.max(1),
            RowOrder::Random => {
                let of_session = chance_of(self.seed, session as u32).u64(..);
                chance_of(of_session, turn).u64(..count.max(1))
            }
        };
        row as usize
    }
}

impl Crowd {
    /// How many rows users take, and why.
    fn users(self, order: RowOrder) -> (u64, &'static str) {
        match order {
            RowOrder::Session | RowOrder::Unique => {
                let needed = u64::from(self.first_session) + u64::from(self.sessions);
                (needed, "each session has one of its own")
            }
            RowOrder::Cyclic | RowOrder::Random => (1, "every session has one"),
        }
    }

    /// How many rows other files have to have, and why.
    fn turns(self, order: RowOrder) -> (u64, &'static str) {
        match order {
            RowOrder::Session | RowOrder::Cyclic | RowOrder::Random => self.users(order),
            RowOrder::Unique => (
                u64::from(self.sessions) * self.turns_max,
                "each turn of each session has one of its own",
            ),
        }
    }
}

#[cfg(test)]
mod tests;
