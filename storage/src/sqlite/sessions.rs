//! Sessions in SQLite: what `embedded:PATH` keeps of them. Times of day decide when one runs out, because it may run out
//! while no server is there.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, OptionalExtension, params};
use tokio::time::Instant;

use super::Sqlite;
use crate::embedded::EmbeddedLimits;
use crate::session::{Absent, Entry, Session, SessionStore, Settlement, StoreError, Timestamp};

/// Sessions that are removed at once when they have run out; the rest waits for the next sweep.
const SWEPT_AT_ONCE: usize = 1_000;

/// Sessions of the durable embedded store.
#[derive(Debug, Clone)]
pub struct SqliteSessions {
    store: Sqlite,
    ttl: Duration,
    limits: EmbeddedLimits,
    clock: Clock,
}

/// The time of day, moving with the runtime's clock.
#[derive(Debug, Clone, Copy)]
struct Clock {
    started: Instant,
    epoch_millis_at_start: u64,
}

impl Clock {
    fn start() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            started: Instant::now(),
            epoch_millis_at_start: since_epoch.as_millis() as u64,
        }
    }

    fn millis(&self) -> u64 {
        self.epoch_millis_at_start + self.started.elapsed().as_millis() as u64
    }
}

impl SqliteSessions {
    /// Sessions in `store` that are kept for `ttl` after their last write, each within `limits`; what all of them take
    /// together is limited by the disk alone.
    #[must_use]
    pub fn new(store: Sqlite, ttl: Duration, limits: EmbeddedLimits) -> Self {
        Self {
            store,
            ttl,
            limits,
            clock: Clock::start(),
        }
    }

    /// Removes sessions that have run out, a crowd of them in several calls.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn sweep(&self) -> Result<(), StoreError> {
        let now = self.clock.millis();
        let write = move |connection: &Connection| {
            connection
                .prepare_cached(
                    "DELETE FROM session_entries WHERE session IN
                     (SELECT id FROM sessions WHERE runs_out_millis <= ?1 ORDER BY runs_out_millis LIMIT ?2)",
                )?
                .execute(params![now, SWEPT_AT_ONCE])?;
            connection
                .prepare_cached(
                    "DELETE FROM sessions WHERE id IN
                     (SELECT id FROM sessions WHERE runs_out_millis <= ?1 ORDER BY runs_out_millis LIMIT ?2)",
                )?
                .execute(params![now, SWEPT_AT_ONCE])
                .map(|_| ())
        };
        self.store.write(write).await
    }

    fn write(&self) -> Write {
        let now = self.clock.millis();
        Write {
            now,
            runs_out: now + self.ttl.as_millis() as u64,
            limits: self.limits,
        }
    }
}

/// What a write of a session knows beside the session.
#[derive(Clone, Copy)]
struct Write {
    now: u64,
    runs_out: u64,
    limits: EmbeddedLimits,
}

/// A session that is alive.
struct Alive {
    count: u64,
    last_activity: u64,
    runs_out: u64,
    entry_bytes: usize,
}

fn alive(connection: &Connection, id: &str, now: u64) -> rusqlite::Result<Option<Alive>> {
    connection
        .prepare_cached(
            "SELECT count, last_activity_millis, runs_out_millis, entry_bytes FROM sessions
             WHERE id = ?1 AND runs_out_millis > ?2",
        )?
        .query_row(params![id, now], |row| {
            Ok(Alive {
                count: row.get(0)?,
                last_activity: row.get(1)?,
                runs_out: row.get(2)?,
                entry_bytes: row.get(3)?,
            })
        })
        .optional()
}

fn forget_entries(connection: &Connection, id: &str) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM session_entries WHERE session = ?1")?
        .execute([id])
        .map(|_| ())
}

impl Write {
    /// Sets the session's count by what it was, appends entries, and starts its time anew.
    fn session(
        self,
        connection: &Connection,
        id: &str,
        at: Timestamp,
        count: impl FnOnce(u64) -> u64,
        entries: &[Entry],
    ) -> rusqlite::Result<u64> {
        let before = alive(connection, id, self.now)?;
        if before.is_none() {
            // One that has run out is as if it had never been, its entries included.
            forget_entries(connection, id)?;
        }
        let mut entry_bytes = before.as_ref().map_or(0, |before| before.entry_bytes);
        for entry in entries {
            entry_bytes += entry.len();
            connection
                .prepare_cached(
                    "INSERT INTO session_entries (session, number, entry) VALUES (?1,
                     (SELECT coalesce(max(number), 0) + 1 FROM session_entries WHERE session = ?1), ?2)",
                )?
                .execute(params![id, &**entry])?;
        }
        if !entries.is_empty() {
            entry_bytes = self.drop_oldest(connection, id, entry_bytes)?;
        }
        let count = count(before.as_ref().map_or(0, |before| before.count));
        let last_activity = before.map_or(0, |before| before.last_activity).max(at.millis());
        connection
            .prepare_cached(
                "INSERT OR REPLACE INTO sessions (id, count, last_activity_millis, runs_out_millis, entry_bytes)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![id, count, last_activity, self.runs_out, entry_bytes])?;
        Ok(count)
    }

    /// Drops the oldest entries that are over a limit, never the newest. Returns the bytes of those that stay.
    fn drop_oldest(self, connection: &Connection, id: &str, mut bytes: usize) -> rusqlite::Result<usize> {
        let numbers = |order: &str| {
            connection
                .prepare_cached(&format!(
                    "SELECT number, length(CAST(entry AS BLOB)) FROM session_entries WHERE session = ?1
                     ORDER BY number {order} LIMIT 1"
                ))?
                .query_row([id], |row| Ok((row.get::<_, u64>(0)?, row.get::<_, usize>(1)?)))
        };
        loop {
            let ((oldest, oldest_bytes), (newest, _)) = (numbers("ASC")?, numbers("DESC")?);
            let entries = newest - oldest + 1;
            let over = entries > self.limits.entries_per_session_max as u64
                || bytes > self.limits.entry_bytes_per_session_max;
            if !over || entries == 1 {
                return Ok(bytes);
            }
            connection
                .prepare_cached("DELETE FROM session_entries WHERE session = ?1 AND number = ?2")?
                .execute(params![id, oldest])?;
            bytes = bytes.saturating_sub(oldest_bytes);
        }
    }
}

impl SessionStore for SqliteSessions {
    async fn load(&self, id: &str) -> Result<Option<Session>, StoreError> {
        let (id, now, ttl) = (id.to_owned(), self.clock.millis(), self.ttl);
        self.store
            .read(move |connection| {
                let found = alive(connection, &id, now)?;
                Ok(found.map(|found| Session {
                    count: found.count,
                    last_activity: Timestamp::from_millis(found.last_activity),
                    ttl,
                    remaining: Duration::from_millis(found.runs_out - now),
                }))
            })
            .await
    }

    async fn advance(&self, id: &str, entry: Option<&str>, at: Timestamp) -> Result<u64, StoreError> {
        let (id, entry, write) = (id.to_owned(), entry.map(Entry::from), self.write());
        self.store
            .write(move |connection| write.session(connection, &id, at, |count| count + 1, entry.as_slice()))
            .await
    }

    async fn settle(&self, id: &str, settlement: Settlement<'_>) -> Result<Option<u64>, StoreError> {
        let (id, write) = (id.to_owned(), self.write());
        let (at, count_min, absent) = (settlement.at, settlement.count_min, settlement.absent);
        let entries = settlement.entries.to_vec();
        self.store
            .write(move |connection| {
                if absent == Absent::Leave && alive(connection, &id, write.now)?.is_none() {
                    return Ok(None);
                }
                let count = |count: u64| count.max(count_min);
                write.session(connection, &id, at, count, &entries).map(Some)
            })
            .await
    }

    async fn renew(&self, ids: &[Arc<str>]) -> Result<(), StoreError> {
        let (ids, write) = (ids.to_vec(), self.write());
        self.store
            .write(move |connection| {
                let mut renew = connection.prepare_cached(
                    "UPDATE sessions SET runs_out_millis = ?3 WHERE id = ?1 AND runs_out_millis > ?2",
                )?;
                ids.iter().try_for_each(|id| {
                    renew
                        .execute(params![&**id, write.now, write.runs_out])
                        .map(|_| ())
                })
            })
            .await
    }

    async fn entries(&self, id: &str) -> Result<Vec<Entry>, StoreError> {
        let (id, now) = (id.to_owned(), self.clock.millis());
        self.store
            .read(move |connection| {
                if alive(connection, &id, now)?.is_none() {
                    return Ok(Vec::new());
                }
                connection
                    .prepare_cached("SELECT entry FROM session_entries WHERE session = ?1 ORDER BY number")?
                    .query_map([id], |row| row.get::<_, String>(0).map(Entry::from))?
                    .collect()
            })
            .await
    }

    async fn remove(&self, id: &str) -> Result<bool, StoreError> {
        let (id, now) = (id.to_owned(), self.clock.millis());
        self.store
            .write(move |connection| {
                let was_there = alive(connection, &id, now)?.is_some();
                forget_entries(connection, &id)?;
                connection
                    .prepare_cached("DELETE FROM sessions WHERE id = ?1")?
                    .execute([id])?;
                Ok(was_there)
            })
            .await
    }
}
