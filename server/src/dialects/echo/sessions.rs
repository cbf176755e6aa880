//! The sessions this node has to do with: what it remembers of them, so that it goes on while the store is away, and
//! brings home once the store is back (echo/11).

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use touchstone_storage::{Absent, Entry, Session, SessionStore, Settlement, StoreError, Timestamp};

use crate::metrics::Metrics;

/// Sessions without an open connection that are remembered for the case that the store goes away.
const REMEMBERED_MAX: usize = 65_536;

/// Bytes of messages that wait for the store, over all sessions. Further ones are answered, but not kept.
const UNSAVED_BYTES_MAX: usize = 64 << 20;

/// Messages brought home in one call: as many as a store takes well within its deadline.
const BATCH_ENTRIES: usize = 500;

/// Sessions renewed in one call.
const RENEWAL_BATCH: usize = 500;

/// The store is tried again after this, then after twice as long, up to the longest: one node asks a store that is
/// away four times a second.
const RETRY_FIRST: Duration = Duration::from_millis(50);
const RETRY_LONGEST: Duration = Duration::from_millis(250);

/// A session nobody has: reading it tells whether the store answers.
const PROBE: &str = "touchstone:probe";

/// How a session's time to live is kept up.
const RENEWALS_PER_TTL: u32 = 4;

/// Counts messages of sessions, in the store while it answers, else in memory.
#[derive(Debug)]
pub(crate) struct Sessions<S> {
    store: S,
    deadline: Duration,
    ttl: Duration,
    metrics: Arc<Metrics>,
    /// Set by whoever finds the store away; cleared by the mender alone.
    away: AtomicBool,
    remembered: Mutex<HashMap<Arc<str>, Arc<Tracked>>>,
    /// Sessions with something to bring home, each at most once.
    unsaved: Mutex<Vec<Arc<Tracked>>>,
    unsaved_bytes: AtomicUsize,
    to_mend: Notify,
    /// Somebody found the store answering while it was thought to be away.
    answered: Notify,
}

/// What this node knows of a session; all its connections here share it.
#[derive(Debug)]
pub(crate) struct Tracked {
    id: Arc<str>,
    memory: Mutex<Memory>,
}

#[derive(Debug)]
struct Memory {
    count: u64,
    connections: u32,
    /// The store has had it. If it has it no more, somebody removed it.
    seen: bool,
    unsaved: Option<Unsaved>,
    last_used: Instant,
}

#[derive(Debug)]
struct Unsaved {
    last_activity: Timestamp,
    entries: Vec<Entry>,
}

impl Tracked {
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Messages counted so far, as far as this node knows.
    pub(crate) fn count(&self) -> u64 {
        self.memory().count
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        lock(&self.memory)
    }

    fn is_saved(&self) -> bool {
        self.memory().unsaved.is_none()
    }
}

impl<S: SessionStore> Sessions<S> {
    pub(crate) fn new(store: S, deadline: Duration, ttl: Duration, metrics: Arc<Metrics>) -> Self {
        Self {
            store,
            deadline,
            ttl,
            metrics,
            away: AtomicBool::new(false),
            remembered: Mutex::default(),
            unsaved: Mutex::default(),
            unsaved_bytes: AtomicUsize::new(0),
            to_mend: Notify::new(),
            answered: Notify::new(),
        }
    }

    /// The store itself, for those who look after it.
    pub(crate) fn store(&self) -> &S {
        &self.store
    }

    /// Whether the store answered when it was last asked.
    pub(crate) fn is_available(&self) -> bool {
        !self.away.load(Ordering::Acquire)
    }

    /// A connection takes the session up. To be followed by one [`close`](Self::close).
    pub(crate) async fn open(&self, id: &str) -> Arc<Tracked> {
        let tracked = self.track(id);
        if self.is_available() && tracked.is_saved() {
            // It must not run out under an open connection, not even if it was about to.
            let loaded = self.call(async {
                let session = self.store.load(id).await?;
                if session.is_some() {
                    self.store.renew(std::slice::from_ref(&tracked.id)).await?;
                }
                Ok(session)
            });
            if let Ok(session) = loaded.await {
                tracked.memory().adopt(session);
            }
        }
        tracked
    }

    /// Counts a message and keeps `entry` with it; returns once both are stored, or remembered while the store is away.
    pub(crate) async fn advance(&self, tracked: &Arc<Tracked>, entry: Option<String>, at: Timestamp) -> u64 {
        if self.is_available()
            && tracked.is_saved()
            && let Ok(count) = self
                .call(self.store.advance(&tracked.id, entry.as_deref(), at))
                .await
        {
            let mut memory = tracked.memory();
            memory.seen = true;
            // 1 means that it was removed or ran out elsewhere. Otherwise, of two counts that crossed each other, the
            // higher is the newer.
            memory.count = if count == 1 { 1 } else { memory.count.max(count) };
            return count;
        }
        let mut memory = tracked.memory();
        memory.count += 1;
        let count = memory.count;
        self.remember(tracked, memory, entry, at);
        count
    }

    /// The connection has ended: the session's state is written once more.
    pub(crate) async fn close(&self, tracked: &Arc<Tracked>, at: Timestamp) {
        let absent = if tracked.memory().seen {
            Absent::Leave
        } else {
            Absent::Create
        };
        let settlement = Settlement {
            count_min: 0,
            at,
            entries: &[],
            absent,
        };
        let written = self.is_available()
            && tracked.is_saved()
            && self
                .call(self.store.settle(&tracked.id, settlement))
                .await
                .is_ok();
        let mut memory = tracked.memory();
        memory.connections -= 1;
        memory.last_used = Instant::now();
        if memory.connections == 0 {
            self.metrics.sessions_tracked.dec();
        }
        if written {
            drop(memory);
            self.forget_at_once(&tracked.id);
        } else {
            self.remember(tracked, memory, None, at);
        }
    }

    /// The session as the store has it.
    pub(crate) async fn load(&self, id: &str) -> Result<Option<Session>, StoreError> {
        self.ask(self.store.load(id)).await
    }

    /// What is kept with the session.
    pub(crate) async fn entries(&self, id: &str) -> Result<Vec<Entry>, StoreError> {
        self.ask(self.store.entries(id)).await
    }

    /// Removes the session, from this node's memory as well.
    pub(crate) async fn remove(&self, id: &str) -> Result<bool, StoreError> {
        let existed = self.ask(self.store.remove(id)).await?;
        let tracked = lock(&self.remembered).get(id).cloned();
        if let Some(tracked) = tracked {
            let mut memory = tracked.memory();
            memory.count = 0;
            let unsaved = memory
                .unsaved
                .take()
                .map_or(0, |unsaved| unsaved.entries.iter().map(|e| e.len()).sum());
            self.unsaved_bytes.fetch_sub(unsaved, Ordering::Relaxed);
        }
        Ok(existed)
    }

    /// Brings home what was remembered, whenever there is something and the store is back. Ends with `stop`.
    pub(crate) async fn mend(&self, stop: CancellationToken) {
        while stop.run_until_cancelled(self.to_mend.notified()).await.is_some() {
            let mut pause = RETRY_FIRST;
            while self.mend_all().await.is_err() {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = self.answered.notified() => {}
                    () = tokio::time::sleep(pause) => pause = (pause * 2).min(RETRY_LONGEST),
                }
            }
        }
    }

    /// Tries once more, until `patience`; to be called when every connection and the mender have ended. Says how many
    /// sessions could not be saved.
    pub(crate) async fn mend_at_last(&self, patience: Instant) -> usize {
        match tokio::time::timeout_at(patience, self.mend_all()).await {
            Ok(Ok(())) => 0,
            // Where the time was over, one session may be on its way.
            Ok(Err(_)) | Err(_) => lock(&self.unsaved).len(),
        }
    }

    /// Keeps sessions with open connections from running out, and forgets those that would have run out by now.
    pub(crate) async fn keep_up(&self, stop: CancellationToken) {
        let pause = self.ttl / RENEWALS_PER_TTL;
        while stop
            .run_until_cancelled(tokio::time::sleep(pause))
            .await
            .is_some()
        {
            self.forget();
            for ids in self.open_ids().chunks(RENEWAL_BATCH) {
                if self.is_available() {
                    // A failure has been noted; the mender's writes renew as well.
                    let _ = self.call(self.store.renew(ids)).await;
                }
            }
        }
    }

    fn track(&self, id: &str) -> Arc<Tracked> {
        let mut remembered = lock(&self.remembered);
        let tracked = match remembered.get(id) {
            Some(tracked) => Arc::clone(tracked),
            None => {
                let tracked = Arc::new(Tracked {
                    id: id.into(),
                    memory: Mutex::new(Memory::new()),
                });
                remembered.insert(Arc::clone(&tracked.id), Arc::clone(&tracked));
                tracked
            }
        };
        let mut memory = tracked.memory();
        if memory.connections == 0 {
            self.metrics.sessions_tracked.inc();
        }
        memory.connections += 1;
        drop(memory);
        tracked
    }

    /// Notes what the store could not be told, for the mender. Takes the memory's lock over.
    fn remember(
        &self,
        tracked: &Arc<Tracked>,
        mut memory: MutexGuard<'_, Memory>,
        entry: Option<String>,
        at: Timestamp,
    ) {
        let first = memory.unsaved.is_none();
        let unsaved = memory.unsaved.get_or_insert_with(|| Unsaved {
            last_activity: at,
            entries: Vec::new(),
        });
        unsaved.last_activity = unsaved.last_activity.max(at);
        if let Some(entry) = entry {
            let bytes = self.unsaved_bytes.fetch_add(entry.len(), Ordering::Relaxed) + entry.len();
            if bytes <= UNSAVED_BYTES_MAX {
                unsaved.entries.push(entry.into_boxed_str());
            } else {
                self.unsaved_bytes.fetch_sub(entry.len(), Ordering::Relaxed);
                self.metrics.unsaved_dropped.inc();
            }
        }
        drop(memory);
        if first {
            lock(&self.unsaved).push(Arc::clone(tracked));
        }
        self.to_mend.notify_one();
    }

    async fn mend_all(&self) -> Result<(), StoreError> {
        if !self.is_available() {
            self.within_deadline(self.store.load(PROBE)).await?;
            self.away.store(false, Ordering::Release);
            tracing::info!("the session store is back");
        }
        loop {
            let Some(tracked) = lock(&self.unsaved).pop() else {
                return Ok(());
            };
            if let Err(error) = self.bring_home(&tracked).await {
                lock(&self.unsaved).push(tracked);
                self.note_away(&error);
                return Err(error);
            }
        }
    }

    /// Writes what is remembered of one session until nothing is left; messages that come meanwhile queue behind.
    async fn bring_home(&self, tracked: &Tracked) -> Result<(), StoreError> {
        loop {
            let (count_min, at, entries) = {
                let memory = tracked.memory();
                let Some(unsaved) = &memory.unsaved else {
                    return Ok(());
                };
                let batch = unsaved.entries.len().min(BATCH_ENTRIES);
                (
                    memory.count,
                    unsaved.last_activity,
                    unsaved.entries[..batch].to_vec(),
                )
            };
            let settlement = Settlement {
                count_min,
                at,
                entries: &entries,
                absent: Absent::Create,
            };
            let count = self
                .within_deadline(self.store.settle(&tracked.id, settlement))
                .await?;
            let bytes = entries.iter().map(|entry| entry.len()).sum();
            self.unsaved_bytes.fetch_sub(bytes, Ordering::Relaxed);
            let mut memory = tracked.memory();
            memory.seen = true;
            let changed = memory.count != count_min;
            // Whichever is higher wins; what was counted here meanwhile comes on top.
            memory.count += count.unwrap_or_default().saturating_sub(count_min);
            if let Some(unsaved) = &mut memory.unsaved {
                unsaved.entries.drain(..entries.len());
                if unsaved.entries.is_empty() && !changed {
                    memory.unsaved = None;
                    return Ok(());
                }
            }
        }
    }

    fn open_ids(&self) -> Vec<Arc<str>> {
        let remembered = lock(&self.remembered);
        remembered
            .values()
            .filter(|tracked| tracked.memory().connections > 0)
            .map(|t| Arc::clone(&t.id))
            .collect()
    }

    /// Forgets a session that was left and is saved, if too many are remembered: ids cost nothing to make up, and
    /// [`keep_up`](Self::keep_up) comes by too rarely for a flood of them.
    fn forget_at_once(&self, id: &str) {
        let mut remembered = lock(&self.remembered);
        // Looked up again: somebody else may have taken the session up meanwhile.
        let is_idle = |tracked: &Arc<Tracked>| tracked.memory().is_idle();
        if remembered.len() > REMEMBERED_MAX && remembered.get(id).is_some_and(is_idle) {
            remembered.remove(id);
        }
    }

    fn forget(&self) {
        let now = Instant::now();
        let mut remembered = lock(&self.remembered);
        let mut spare = remembered.len().saturating_sub(REMEMBERED_MAX);
        remembered.retain(|_, tracked| {
            let memory = tracked.memory();
            let forget = memory.is_idle() && (spare > 0 || now - memory.last_used >= self.ttl);
            spare -= usize::from(forget && spare > 0);
            !forget
        });
        if remembered.capacity() > 4 * remembered.len().max(16) {
            remembered.shrink_to_fit();
        }
    }

    /// A call on behalf of somebody over HTTP, who wants the store's answer or none: tried also while it is away.
    async fn ask<T>(&self, call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        let answer = self.call(call).await;
        if answer.is_ok() && !self.is_available() {
            self.answered.notify_one();
        }
        answer
    }

    async fn call<T>(&self, call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        self.within_deadline(call)
            .await
            .inspect_err(|error| self.note_away(error))
    }

    async fn within_deadline<T>(
        &self,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        match tokio::time::timeout(self.deadline, call).await {
            Ok(done) => done,
            Err(_) => Err(StoreError::Unavailable(format!(
                "no answer within {:?}",
                self.deadline
            ))),
        }
    }

    fn note_away(&self, error: &StoreError) {
        if !self.away.swap(true, Ordering::AcqRel) {
            self.metrics.store_unavailable.inc();
            self.metrics.errors.inc();
            tracing::warn!(%error, "the session store is away; sessions go on from memory");
        }
        self.to_mend.notify_one();
    }
}

impl Memory {
    fn new() -> Self {
        Self {
            count: 0,
            connections: 0,
            seen: false,
            unsaved: None,
            last_used: Instant::now(),
        }
    }

    /// Whether nobody is connected and the store has everything.
    fn is_idle(&self) -> bool {
        self.connections == 0 && self.unsaved.is_none()
    }

    /// Takes over what the store says at the start of a connection.
    fn adopt(&mut self, session: Option<Session>) {
        // Another connection's messages may have been counted while the store was read.
        let alone = self.connections == 1;
        match session {
            Some(session) if alone => self.count = session.count,
            Some(session) => self.count = self.count.max(session.count),
            None if alone => self.count = 0,
            None => {}
        }
        if alone {
            self.seen = false;
        }
        self.seen |= session.is_some();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .expect("a session's lock is never poisoned: no code panics while holding it")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::{Faults, Faulty, StoreFault};
    use touchstone_storage::{EmbeddedLimits, EmbeddedSessions};

    const AT: Timestamp = Timestamp::from_millis(1_700_000_000_000);
    const DEADLINE: Duration = Duration::from_secs(2);
    const TTL: Duration = Duration::from_secs(60);

    struct Node {
        sessions: Arc<Sessions<Faulty<Arc<EmbeddedSessions>>>>,
        store: Arc<EmbeddedSessions>,
        faults: Arc<Faults>,
        metrics: Arc<Metrics>,
        tasks: tokio::task::JoinSet<()>,
    }

    /// A node whose store can be broken; the mender and the keeper are running.
    fn node() -> Node {
        let store = Arc::new(EmbeddedSessions::new(TTL, EmbeddedLimits::default()));
        let faults = Arc::new(Faults::default());
        let metrics = Arc::new(Metrics::new());
        let faulty = Faulty::new(Arc::clone(&store), Arc::clone(&faults));
        let sessions = Arc::new(Sessions::new(faulty, DEADLINE, TTL, Arc::clone(&metrics)));
        let mut tasks = tokio::task::JoinSet::new();
        let mending = Arc::clone(&sessions);
        tasks.spawn(async move { mending.mend(CancellationToken::new()).await });
        let keeping = Arc::clone(&sessions);
        tasks.spawn(async move { keeping.keep_up(CancellationToken::new()).await });
        Node {
            sessions,
            store,
            faults,
            metrics,
            tasks,
        }
    }

    impl Node {
        async fn say(&self, tracked: &Arc<Tracked>, text: &str) -> u64 {
            self.sessions.advance(tracked, Some(text.to_owned()), AT).await
        }

        async fn stored(&self, id: &str) -> (u64, Vec<String>) {
            let count = self
                .store
                .load(id)
                .await
                .unwrap()
                .map_or(0, |session| session.count);
            let entries = self.store.entries(id).await.unwrap();
            (count, entries.into_iter().map(String::from).collect())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn while_the_store_is_down_counting_goes_on_and_is_brought_home_in_order() {
        let node = node();
        let one = node.sessions.open("s").await;
        assert_eq!(node.say(&one, "a").await, 1);
        node.faults.break_store(StoreFault::Down, Duration::from_secs(5));
        assert_eq!(node.say(&one, "b").await, 2);
        let other = node.sessions.open("s").await;
        assert_eq!(
            node.say(&other, "c").await,
            3,
            "connections of a session share what is remembered"
        );
        assert_eq!(node.say(&one, "d").await, 4);
        assert!(!node.sessions.is_available());
        assert!(node.sessions.load("s").await.is_err());
        node.sessions.close(&other, AT).await;
        assert_eq!(node.stored("s").await, (1, vec!["a".to_owned()]));
        tokio::time::sleep(Duration::from_secs(6)).await;
        assert!(node.sessions.is_available());
        assert_eq!(node.say(&one, "e").await, 5);
        assert_eq!(
            node.stored("s").await,
            (5, ["a", "b", "c", "d", "e"].map(String::from).to_vec())
        );
        assert_eq!(
            node.metrics.store_unavailable.get(),
            1,
            "noted once, not per message"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn more_than_one_batch_is_brought_home_whole_and_in_order() {
        let node = node();
        let session = node.sessions.open("s").await;
        node.faults.break_store(StoreFault::Down, Duration::from_secs(5));
        let said: Vec<_> = (0..BATCH_ENTRIES * 2 + 1)
            .map(|number| number.to_string())
            .collect();
        for text in &said {
            node.say(&session, text).await;
        }
        tokio::time::sleep(Duration::from_secs(6)).await;
        assert_eq!(node.stored("s").await, (said.len() as u64, said));
        assert_eq!(node.sessions.unsaved_bytes.load(Ordering::Relaxed), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_store_costs_one_deadline_and_not_one_per_message() {
        let node = node();
        let session = node.sessions.open("s").await;
        node.faults.break_store(StoreFault::Slow, Duration::from_secs(60));
        let begun = Instant::now();
        for count in 1..=10 {
            assert_eq!(node.say(&session, "x").await, count);
        }
        assert_eq!(begun.elapsed(), DEADLINE);
        let begun = Instant::now();
        let fresh = node.sessions.open("unknown here").await;
        assert_eq!(node.say(&fresh, "x").await, 1);
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn the_higher_count_wins_when_both_have_counted() {
        let node = node();
        let here = node.sessions.open("here ahead").await;
        let there = node.sessions.open("there ahead").await;
        node.faults.break_store(StoreFault::Down, Duration::from_secs(5));
        for count in 1..=3 {
            assert_eq!(node.say(&here, "x").await, count);
            assert_eq!(node.say(&there, "x").await, count);
        }
        for _ in 0..7 {
            node.store.advance("there ahead", None, AT).await.unwrap();
        }
        node.store.advance("here ahead", None, AT).await.unwrap();
        tokio::time::sleep(Duration::from_secs(6)).await;
        assert_eq!((here.count(), there.count()), (3, 7));
        assert_eq!(node.say(&here, "y").await, 4);
        assert_eq!(node.say(&there, "y").await, 8);
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_does_not_run_out_while_a_connection_is_open() {
        let node = node();
        let open = node.sessions.open("open").await;
        node.say(&open, "x").await;
        let left = node.sessions.open("left").await;
        node.say(&left, "x").await;
        node.sessions.close(&left, AT).await;
        tokio::time::sleep(TTL * 5).await;
        assert_eq!(node.say(&open, "x").await, 2);
        let back = node.sessions.open("left").await;
        assert_eq!(back.count(), 0);
        assert_eq!(node.say(&back, "x").await, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_write_makes_a_session_but_never_brings_a_removed_one_back() {
        let node = node();
        let silent = node.sessions.open("silent").await;
        node.sessions.close(&silent, AT).await;
        assert!(
            node.store.load("silent").await.unwrap().is_some(),
            "written when the connection ends"
        );
        let removed = node.sessions.open("removed").await;
        node.say(&removed, "x").await;
        assert!(node.sessions.remove("removed").await.unwrap());
        assert_eq!(removed.count(), 0);
        node.sessions.close(&removed, AT).await;
        assert_eq!(node.store.load("removed").await.unwrap(), None);
        assert_eq!(node.metrics.sessions_tracked.get(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_that_is_left_is_forgotten_after_its_time() {
        let mut node = node();
        for number in 0..100 {
            let session = node.sessions.open(&format!("s{number}")).await;
            node.sessions.close(&session, AT).await;
        }
        assert_eq!(lock(&node.sessions.remembered).len(), 100);
        tokio::time::sleep(TTL * 2).await;
        assert_eq!(lock(&node.sessions.remembered).len(), 0);
        node.tasks.shutdown().await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_session_ids_is_not_remembered() {
        let node = node();
        let open = node.sessions.open("open").await;
        node.say(&open, "x").await;
        for number in 0..REMEMBERED_MAX + 100 {
            let session = node.sessions.open(&format!("s{number}")).await;
            node.sessions.close(&session, AT).await;
        }
        assert_eq!(lock(&node.sessions.remembered).len(), REMEMBERED_MAX);
        assert_eq!(node.say(&open, "x").await, 2);
        assert_eq!(node.sessions.open("open").await.count(), 2);
    }
}
