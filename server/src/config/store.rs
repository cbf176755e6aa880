//! Where state lives, how nodes hear of it, and how long it is kept.

use std::path::PathBuf;
use std::time::Duration;

#[cfg(feature = "postgres")]
use touchstone_storage::postgres::PostgresUrl;
#[cfg(feature = "redis")]
use touchstone_storage::redis::RedisUrl;

/// Where state lives.
#[derive(Debug, Clone, Default)]
pub enum StoreChoice {
    /// `embedded:` — in this process; nothing survives a restart.
    #[default]
    Memory,
    /// `embedded:PATH` — in files below this path; what was confirmed survives.
    Path(PathBuf),
    /// `redis://…` and its like — in Redis; what was confirmed survives as far as Redis is set to keep it.
    #[cfg(feature = "redis")]
    Redis(RedisUrl),
    /// `postgres://…` — in a database, whose tables `touchstone migrate` has made; what was confirmed is committed there.
    #[cfg(feature = "postgres")]
    Postgres(Box<PostgresUrl>),
}

/// How nodes hear of each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BusChoice {
    /// `local:` — there is only this node; what is published never leaves the process.
    #[default]
    Local,
}

/// How long what is stored is kept: messages, and events that were sent. What is pending stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retention {
    /// What is older goes. Default: none, nothing goes by its age.
    pub age: Option<Duration>,
    /// The oldest beyond so many go, in each channel, conversation and queue. Default: none, nothing goes by its number.
    pub count: Option<usize>,
}
