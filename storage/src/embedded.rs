//! `embedded:` — sessions in this process's memory. Nothing survives a restart, and no other node sees them.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::time::Instant;

use crate::session::{Absent, Entry, Session, SessionStore, Settlement, StoreError, Timestamp};

/// Sessions are spread over this many locks, so that cores rarely wait for each other.
const SHARDS: usize = 64;

/// What a session costs beside its id and its entries: its place in a map that is between half and all full, and the
/// count of references in front of its id.
const SESSION_BYTES: usize = 2 * (size_of::<Kept>() + size_of::<Arc<str>>());

/// One in so many sessions of a shard leaves when there is no room.
const CROWDED_OUT_SHARE: usize = 8;

/// What the embedded store holds at most.
#[derive(Debug, Clone, Copy)]
pub struct EmbeddedLimits {
    /// Entries of one session; the oldest go first.
    pub entries_per_session_max: usize,
    /// Bytes of text in the entries of one session; the oldest go first. The newest entry is always kept.
    pub entry_bytes_per_session_max: usize,
    /// Bytes of all sessions together, about. While they are used up, a session that is written crowds out others: those
    /// that would run out first. It is as if these had been removed.
    pub bytes_max: usize,
}

impl Default for EmbeddedLimits {
    /// 10,000 entries and 16 MiB: more than a chat of a day, and one session alone cannot eat the machine. 1 GiB in all:
    /// ids cost nothing to make up, so neither can any number of them.
    fn default() -> Self {
        Self {
            entries_per_session_max: 10_000,
            entry_bytes_per_session_max: 16 << 20,
            bytes_max: 1 << 30,
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
    /// What the sessions of all shards cost.
    bytes: AtomicUsize,
    crowded_out: AtomicUsize,
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
            bytes: AtomicUsize::new(0),
            crowded_out: AtomicUsize::new(0),
        }
    }

    /// Gives back the memory of every session that has run out. Locks one part of the store at a time.
    pub fn sweep(&self) {
        let now = Instant::now();
        for shard in &self.shards {
            let mut sessions = lock(shard);
            sessions.retain(|id, kept| {
                let alive = kept.runs_out > now;
                if !alive {
                    self.bytes.fetch_sub(kept.bytes(id), Ordering::Relaxed);
                }
                alive
            });
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

    /// Sessions crowded out since this was last asked.
    #[must_use]
    pub fn take_crowded_out(&self) -> usize {
        self.crowded_out.swap(0, Ordering::Relaxed)
    }

    fn shard(&self, id: &str) -> MutexGuard<'_, Shard> {
        lock(&self.shards[self.hasher.hash_one(id) as usize % SHARDS])
    }

    /// Runs `write` on the session that is alive, or on a new one, and starts its time anew.
    fn write<T>(&self, id: &str, at: Timestamp, write: impl FnOnce(&mut Kept) -> T) -> T {
        let now = Instant::now();
        let mut shard = self.shard(id);
        let (kept, bytes_before) = match shard.get_mut(id) {
            Some(kept) => {
                let bytes = kept.bytes(id);
                if kept.runs_out <= now {
                    *kept = Kept::new(at, now);
                }
                (kept, bytes)
            }
            None => (
                shard.entry(Arc::from(id)).or_insert_with(|| Kept::new(at, now)),
                0,
            ),
        };
        kept.runs_out = now + self.ttl;
        kept.last_activity = kept.last_activity.max(at);
        let written = write(kept);
        let bytes = kept.bytes(id);
        // Nearly every write that keeps no entry leaves them alone, and so the counter that all shards share.
        if bytes != bytes_before {
            self.bytes.fetch_add(bytes, Ordering::Relaxed);
            let total = self.bytes.fetch_sub(bytes_before, Ordering::Relaxed) - bytes_before;
            if total > self.limits.bytes_max {
                self.crowd_out(&mut shard, id);
            }
        }
        written
    }

    /// Drops an eighth of the shard, those that would run out first, but never `newest`: so that the search for them is
    /// paid for by the writes that follow. What this leaves over the limit is the next shard's turn.
    fn crowd_out(&self, shard: &mut Shard, newest: &str) {
        let mut others: Vec<_> = shard
            .iter()
            .filter(|(id, _)| &***id != newest)
            .map(|(id, kept)| (kept.runs_out, Arc::clone(id)))
            .collect();
        let leaving = others.len().div_ceil(CROWDED_OUT_SHARE);
        if leaving < others.len() {
            others.select_nth_unstable(leaving);
        }
        for (_, id) in &others[..leaving] {
            if let Some(kept) = shard.remove(id) {
                self.bytes.fetch_sub(kept.bytes(id), Ordering::Relaxed);
                self.crowded_out.fetch_add(1, Ordering::Relaxed);
            }
        }
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

    /// What the session costs, about.
    fn bytes(&self, id: &str) -> usize {
        SESSION_BYTES + id.len() + self.entry_bytes + self.entries.len() * size_of::<Entry>()
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
        let removed = self.shard(id).remove(id);
        if let Some(kept) = &removed {
            self.bytes.fetch_sub(kept.bytes(id), Ordering::Relaxed);
        }
        Ok(removed.is_some_and(|kept| kept.runs_out > now))
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
            ..EmbeddedLimits::default()
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

    #[tokio::test(start_paused = true)]
    async fn any_number_of_sessions_takes_no_more_than_the_limit_and_the_oldest_leave() {
        const BYTES_MAX: usize = 1 << 20;
        let limits = EmbeddedLimits {
            bytes_max: BYTES_MAX,
            ..EmbeddedLimits::default()
        };
        let store = EmbeddedSessions::new(Duration::from_secs(10_000), limits);
        let entry = "x".repeat(200);
        for number in 0..10_000 {
            store
                .advance(&number.to_string(), Some(&entry), AT)
                .await
                .unwrap();
            tokio::time::advance(Duration::from_millis(1)).await;
            assert!(store.bytes.load(Ordering::Relaxed) <= BYTES_MAX + 1_024);
        }
        let held = store.held();
        assert!(held > 1_000, "{held} are held");
        assert_eq!(store.take_crowded_out(), 10_000 - held);
        assert_eq!(store.take_crowded_out(), 0);
        for (number, kept) in [(0, false), (9_000, true), (9_999, true)] {
            let session = store.load(&number.to_string()).await.unwrap();
            assert_eq!(session.is_some(), kept, "{number}");
        }
        tokio::time::advance(Duration::from_secs(20_000)).await;
        store.sweep();
        assert_eq!(store.bytes.load(Ordering::Relaxed), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_sessions_cost_is_counted_whatever_becomes_of_them() {
        let store = EmbeddedSessions::new(Duration::from_secs(10), EmbeddedLimits::default());
        let settlement = Settlement {
            count_min: 5,
            at: AT,
            entries: &["one".into(), "two".into()],
            absent: Absent::Create,
        };
        store.advance("removed", Some("entry"), AT).await.unwrap();
        store.settle("settled", settlement).await.unwrap();
        store.remove("removed").await.unwrap();
        store.remove("unknown").await.unwrap();
        tokio::time::advance(Duration::from_secs(11)).await;
        store.advance("settled", Some("begun anew"), AT).await.unwrap();
        let expected = SESSION_BYTES + "settled".len() + "begun anew".len() + size_of::<Entry>();
        assert_eq!(store.bytes.load(Ordering::Relaxed), expected);
        store.remove("settled").await.unwrap();
        assert_eq!(store.bytes.load(Ordering::Relaxed), 0);
    }
}
