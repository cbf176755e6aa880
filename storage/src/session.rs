//! What is kept of a counted, resumable session, and what every store of it promises.

use std::future::Future;
use std::time::Duration;

use thiserror::Error;

/// A moment of the wall clock, in whole milliseconds since the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The moment `millis` milliseconds after the epoch.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Whole milliseconds since the epoch.
    #[must_use]
    pub const fn millis(self) -> u64 {
        self.0
    }

    /// Seconds since the epoch, with the milliseconds as fraction.
    #[must_use]
    pub fn seconds(self) -> f64 {
        self.0 as f64 / 1_000.0
    }
}

/// A session as a store has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Session {
    /// Messages counted so far.
    pub count: u64,
    /// When it was last written.
    pub last_activity: Timestamp,
    /// How long a session is kept after a write.
    pub ttl: Duration,
    /// How much of that is left.
    pub remaining: Duration,
}

/// A piece of text that is kept with a session; the store doesn't look inside.
pub type Entry = Box<str>;

/// What is done about a session that the store does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absent {
    /// It comes into being.
    Create,
    /// It stays away: somebody deleted it.
    Leave,
}

/// A write that does not count a message: the last one of a connection, or what a node kept while the store was away.
#[derive(Debug, Clone, Copy)]
pub struct Settlement<'a> {
    /// The session's count is this or what the store has, whichever is higher.
    pub count_min: u64,
    /// When the session was last active; an older moment than the store's is not written.
    pub at: Timestamp,
    /// Appended behind what is kept, in this order.
    pub entries: &'a [Entry],
    /// Whether a session that is not there is made.
    pub absent: Absent,
}

/// Why a store did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StoreError {
    /// It cannot be reached or does not answer: later, the same call may work.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
}

/// Keeps sessions: a count, a time, and entries in order.
///
/// Guarantees of every implementation:
/// - A call that returned `Ok` is visible to every later call, from any node that shares the store.
/// - `advance` is atomic: two that run at once return different counts, with none left out.
/// - `advance` and `settle` renew the time to live of the state and of the entries; reading does not.
/// - A session that has run out, or was removed, is as if it had never been.
/// - A call that failed, or whose future was dropped, may or may not have been done.
///
/// Deadlines are the caller's.
pub trait SessionStore: Send + Sync + 'static {
    /// The session's state; `None` if there is none.
    fn load(&self, id: &str) -> impl Future<Output = Result<Option<Session>, StoreError>> + Send;

    /// Counts one message, keeps `entry` with it, and returns the new count: 1 for a session that wasn't there.
    fn advance(
        &self,
        id: &str,
        entry: Option<&str>,
        at: Timestamp,
    ) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Writes without counting and returns the resulting count; `None` if there was no session and none was made.
    fn settle(
        &self,
        id: &str,
        settlement: Settlement<'_>,
    ) -> impl Future<Output = Result<Option<u64>, StoreError>> + Send;

    /// Starts the time to live of each of these sessions anew, as far as they exist, and writes nothing else.
    fn renew(&self, ids: &[std::sync::Arc<str>]) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// What is kept with the session, oldest first; empty for an unknown one.
    fn entries(&self, id: &str) -> impl Future<Output = Result<Vec<Entry>, StoreError>> + Send;

    /// Removes the session and what is kept with it; says whether there was one.
    fn remove(&self, id: &str) -> impl Future<Output = Result<bool, StoreError>> + Send;
}

/// A shared store is a store.
impl<S: SessionStore> SessionStore for std::sync::Arc<S> {
    async fn load(&self, id: &str) -> Result<Option<Session>, StoreError> {
        (**self).load(id).await
    }

    async fn advance(&self, id: &str, entry: Option<&str>, at: Timestamp) -> Result<u64, StoreError> {
        (**self).advance(id, entry, at).await
    }

    async fn settle(&self, id: &str, settlement: Settlement<'_>) -> Result<Option<u64>, StoreError> {
        (**self).settle(id, settlement).await
    }

    async fn renew(&self, ids: &[std::sync::Arc<str>]) -> Result<(), StoreError> {
        (**self).renew(ids).await
    }

    async fn entries(&self, id: &str) -> Result<Vec<Entry>, StoreError> {
        (**self).entries(id).await
    }

    async fn remove(&self, id: &str) -> Result<bool, StoreError> {
        (**self).remove(id).await
    }
}
