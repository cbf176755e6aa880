//! Failures on request, so that a suite can see what the server does about them. Only where the configuration
//! allows it; otherwise nothing here is ever switched on.

use std::future::Future;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;
use tokio::time::{Duration, Instant};
use touchstone_storage::{Entry, Session, SessionStore, Settlement, StoreError, Timestamp};

/// How a store can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StoreFault {
    /// Every call fails at once.
    Down,
    /// No call is answered before the fault is over.
    Slow,
}

/// What is broken on purpose, and for how long.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    store: Mutex<Option<(StoreFault, Instant)>>,
    /// Something else was asked of the store.
    changed: Notify,
    panics: AtomicU32,
}

impl Faults {
    /// Lets the store fail until `lasting` has passed; replaces what was asked before.
    pub(crate) fn break_store(&self, fault: StoreFault, lasting: Duration) {
        *self.lock() = Some((fault, Instant::now() + lasting));
        self.changed.notify_waiters();
    }

    /// Lets the next `times` messages find a handler that panics.
    pub(crate) fn panic_handlers(&self, times: u32) {
        self.panics.store(times, Ordering::Relaxed);
    }

    /// Panics if that was asked for. To be called where a message is handled, inside what isolates panics.
    pub(crate) fn handler(&self) {
        let due = self.panics.load(Ordering::Relaxed) > 0
            && self
                .panics
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1))
                .is_ok();
        assert!(!due, "a panic was asked for by POST /admin/faults");
    }

    /// Fails, or waits, as long as the store is to be broken. To be awaited before each call of it.
    pub(crate) async fn store(&self) -> Result<(), StoreError> {
        loop {
            // Before the look: a change between the two is not missed.
            let changed = self.changed.notified();
            match self.store_fault() {
                None => return Ok(()),
                Some((StoreFault::Down, _)) => {
                    let why = "a fault was asked for by POST /admin/faults";
                    return Err(StoreError::Unavailable(why.to_owned()));
                }
                // Over or replaced, it is looked at again.
                Some((StoreFault::Slow, until)) => drop(tokio::time::timeout_at(until, changed).await),
            }
        }
    }

    fn store_fault(&self) -> Option<(StoreFault, Instant)> {
        let mut store = self.lock();
        store.take_if(|(_, until)| *until <= Instant::now());
        *store
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<(StoreFault, Instant)>> {
        self.store
            .lock()
            .expect("the faults' lock is never poisoned: no code panics while holding it")
    }
}

/// A store that fails when it is asked to, and else is the one inside.
#[derive(Debug)]
pub(crate) struct Faulty<S> {
    store: S,
    faults: Arc<Faults>,
}

impl<S> Faulty<S> {
    pub(crate) fn new(store: S, faults: Arc<Faults>) -> Self {
        Self { store, faults }
    }

    pub(crate) fn inner(&self) -> &S {
        &self.store
    }

    async fn then<T>(&self, call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        self.faults.store().await?;
        call.await
    }
}

impl<S: SessionStore> SessionStore for Faulty<S> {
    async fn load(&self, id: &str) -> Result<Option<Session>, StoreError> {
        self.then(self.store.load(id)).await
    }

    async fn advance(&self, id: &str, entry: Option<&str>, at: Timestamp) -> Result<u64, StoreError> {
        self.then(self.store.advance(id, entry, at)).await
    }

    async fn settle(&self, id: &str, settlement: Settlement<'_>) -> Result<Option<u64>, StoreError> {
        self.then(self.store.settle(id, settlement)).await
    }

    async fn renew(&self, ids: &[Arc<str>]) -> Result<(), StoreError> {
        self.then(self.store.renew(ids)).await
    }

    async fn entries(&self, id: &str) -> Result<Vec<Entry>, StoreError> {
        self.then(self.store.entries(id)).await
    }

    async fn remove(&self, id: &str) -> Result<bool, StoreError> {
        self.then(self.store.remove(id)).await
    }
}
