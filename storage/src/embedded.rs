//! `embedded:` — sessions in this process's memory. Nothing survives a restart, and no other node sees them.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::time::Instant;

use crate::session::{Absent, Entry, Session, SessionStore, Settlement, StoreError, Timestamp};

/// Sessions are spread over this many locks, so that cores rarely wait for each other.
const SHARDS: usize = 64;

/// What the embedded store holds at most.
#[derive(Debug, Clone, Copy)]
pub struct EmbeddedLimits {
    /// Entries of one session; the oldest go first.
    pub entries_per_session_max: usize,
    /// Bytes of text in the entries of one session; the oldest go first. The newest entry is always kept.
    pub entry_bytes_per_session_max: usize,
}

impl Default for EmbeddedLimits {
    /// 10,000 entries and 16 MiB: more than a chat of a day, and one session alone cannot eat the machine.
    fn default() -> Self {
        Self {
            entries_per_session_max: 10_000,
            entry_bytes_per_session_max: 16 << 20,
        }
    }
}

/// Sessions in memory. What has run out is gone for every caller at once; its memory goes with [`sweep`](Self::sweep).
#[derive(Debug)]
pub struct EmbeddedSessions {
    ttl: Duration,
    limits: EmbeddedLimits,
    hasher: RandomState,
    shards: Box<[Mutex<Shard>]>,
}

type Shard = HashMap<Arc<str>, Kept>;

#[derive(Debug)]
struct Kept {
    count: u64,
    last_activity: Timestamp,
    runs_out: Instant,
    entries: VecDeque<Entry>,
    entry_bytes: usize,
}

impl EmbeddedSessions {
    /// An empty store whose sessions are kept for `ttl` after their last write.
    #[must_use]
    pub fn new(ttl: Duration, limits: EmbeddedLimits) -> Self {
        Self {
            ttl,
            limits,
            hasher: RandomState::new(),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
        }
    }

    /// Gives back the memory of every session that has run out. Locks one part of the store at a time.
    pub fn sweep(&self) {
        let now = Instant::now();
        for shard in &self.shards {
            let mut sessions = lock(shard);
            sessions.retain(|_, kept| kept.runs_out > now);
            if sessions.capacity() > 4 * sessions.len().max(16) {
                sessions.shrink_to_fit();
            }
        }
    }

    /// Sessions held, counting those that have run out and were not swept yet.
    #[must_use]
    pub fn held(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).len()).sum()
    }

    fn shard(&self, id: &str) -> MutexGuard<'_, Shard> {
        lock(&self.shards[self.hasher.hash_one(id) as usize % SHARDS])
    }

    /// Runs `write` on the session that is alive, or on a new one, and starts its time anew.
    fn write<T>(&self, id: &str, at: Timestamp, write: impl FnOnce(&mut Kept) -> T) -> T {
        let now = Instant::now();
        let mut shard = self.shard(id);
        let kept = match shard.get_mut(id) {
            Some(kept) if kept.runs_out > now => kept,
            Some(run_out) => {
                *run_out = Kept::new(at, now);
                run_out
            }
            None => shard.entry(Arc::from(id)).or_insert_with(|| Kept::new(at, now)),
        };
        kept.runs_out = now + self.ttl;
        kept.last_activity = kept.last_activity.max(at);
        write(kept)
    }

    fn alive<T>(&self, id: &str, read: impl FnOnce(&Kept, Instant) -> T) -> Option<T> {
        let now = Instant::now();
        let shard = self.shard(id);
        shard
            .get(id)
            .filter(|kept| kept.runs_out > now)
            .map(|kept| read(kept, now))
    }
}

impl Kept {
    fn new(at: Timestamp, now: Instant) -> Self {
        Self {
            count: 0,
            last_activity: at,
            runs_out: now,
            entries: VecDeque::new(),
            entry_bytes: 0,
        }
    }

    fn keep(&mut self, entry: Entry, limits: &EmbeddedLimits) {
        self.entry_bytes += entry.len();
        self.entries.push_back(entry);
        while self.entries.len() > 1
            && (self.entries.len() > limits.entries_per_session_max
                || self.entry_bytes > limits.entry_bytes_per_session_max)
        {
            let oldest = self.entries.pop_front().map_or(0, |entry| entry.len());
            self.entry_bytes -= oldest;
        }
    }
}

impl SessionStore for EmbeddedSessions {
    async fn load(&self, id: &str) -> Result<Option<Session>, StoreError> {
        Ok(self.alive(id, |kept, now| Session {
            count: kept.count,
            last_activity: kept.last_activity,
            ttl: self.ttl,
            remaining: kept.runs_out - now,
        }))
    }

    async fn advance(&self, id: &str, entry: Option<&str>, at: Timestamp) -> Result<u64, StoreError> {
        Ok(self.write(id, at, |kept| {
            kept.count += 1;
            if let Some(entry) = entry {
                kept.keep(entry.into(), &self.limits);
            }
            kept.count
        }))
    }

    async fn settle(&self, id: &str, settlement: Settlement<'_>) -> Result<Option<u64>, StoreError> {
        let Settlement {
            count_min,
            at,
            entries,
            absent,
        } = settlement;
        if absent == Absent::Leave && self.alive(id, |_, _| ()).is_none() {
            return Ok(None);
        }
        Ok(Some(self.write(id, at, |kept| {
            kept.count = kept.count.max(count_min);
            for entry in entries {
                kept.keep(entry.clone(), &self.limits);
            }
            kept.count
        })))
    }

    async fn renew(&self, ids: &[Arc<str>]) -> Result<(), StoreError> {
        let now = Instant::now();
        for id in ids {
            if let Some(kept) = self.shard(id).get_mut(id).filter(|kept| kept.runs_out > now) {
                kept.runs_out = now + self.ttl;
            }
        }
        Ok(())
    }

    async fn entries(&self, id: &str) -> Result<Vec<Entry>, StoreError> {
        Ok(self
            .alive(id, |kept, _| kept.entries.iter().cloned().collect())
            .unwrap_or_default())
    }

    async fn remove(&self, id: &str) -> Result<bool, StoreError> {
        let now = Instant::now();
        Ok(self.shard(id).remove(id).is_some_and(|kept| kept.runs_out > now))
    }
}

/// Stores live as long as the server; a panic elsewhere must not take them along.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .expect("a store's lock is never poisoned: no code panics while holding it")
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Timestamp = Timestamp::from_millis(1_700_000_000_000);

    #[tokio::test(start_paused = true)]
    async fn what_has_run_out_is_swept_and_the_rest_stays() {
        let store = EmbeddedSessions::new(Duration::from_secs(10), EmbeddedLimits::default());
        store.advance("old", None, AT).await.unwrap();
        tokio::time::advance(Duration::from_secs(6)).await;
        store.advance("young", None, AT).await.unwrap();
        tokio::time::advance(Duration::from_secs(6)).await;
        assert_eq!(store.held(), 2);
        store.sweep();
        assert_eq!(store.held(), 1);
        assert_eq!(
            store.load("young").await.unwrap().map(|session| session.count),
            Some(1)
        );
    }

    #[tokio::test]
    async fn of_too_many_entries_the_oldest_go() {
        let limits = EmbeddedLimits {
            entries_per_session_max: 2,
            entry_bytes_per_session_max: 8,
        };
        let store = EmbeddedSessions::new(Duration::from_secs(10), limits);
        for entry in ["a", "b", "c"] {
            store.advance("s", Some(entry), AT).await.unwrap();
        }
        assert_eq!(
            store.entries("s").await.unwrap(),
            ["b".into(), "c".into()] as [Entry; 2]
        );
        store.advance("s", Some("a long one"), AT).await.unwrap();
        assert_eq!(
            store.entries("s").await.unwrap(),
            ["a long one".into()] as [Entry; 1]
        );
        assert_eq!(
            store.load("s").await.unwrap().map(|session| session.count),
            Some(4)
        );
    }
}
