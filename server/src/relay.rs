//! What the bus brings to this node, handed on by a few tasks that do nothing else.
//!
//! Topics are spread over the relays, so that cores share the work and one topic keeps its order. What has piled up
//! while a relay was busy is handed on in one batch, so that frames for one socket can be joined.

use std::collections::HashMap;
use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use touchstone_storage::{Bus, BusError, Ear, Inbox, Payload, bus};
use uuid::Uuid;

use crate::metrics::Latency;

/// Payloads handed on together: beyond this joining them wins nothing more.
const PAYLOADS_PER_BATCH_MAX: usize = 64;

/// What the topics of marks begin with; no dialect's do.
const MARKS_PREFIX: &str = "relay:";

/// Whoever makes frames of payloads. It must not wait for a publish: that might wait for this very relay.
pub(crate) trait Hears: Send + Sync + 'static {
    /// Payloads in the order in which they were published, those of several topics mixed.
    fn heard(&self, batch: &[Payload]) -> impl Future<Output = ()> + Send;
}

/// The ears of a dialect's relays.
#[derive(Debug)]
pub(crate) struct Relays {
    ears: Box<[Ear]>,
    hasher: RandomState,
    marks: Arc<Marks>,
}

/// Marks that are on their way through the bus to one of these relays: when one has come through, so has all that was
/// published before.
#[derive(Debug)]
pub(crate) struct Marks {
    /// These relays among those of all nodes and dialects.
    relays: Uuid,
    next: AtomicU64,
    /// Who waits for a mark, by its number; `None` once a relay has ended.
    waiting: Mutex<Option<HashMap<u64, oneshot::Sender<()>>>>,
}

impl Relays {
    /// One relay for each core, and their inboxes, each to be given to [`run`].
    pub(crate) fn new() -> (Self, Vec<Inbox>) {
        Self::so_many(std::thread::available_parallelism().map_or(1, usize::from))
    }

    /// A single relay, which keeps the order of what is published under different topics as well.
    pub(crate) fn single() -> (Self, Vec<Inbox>) {
        Self::so_many(1)
    }

    fn so_many(relays: usize) -> (Self, Vec<Inbox>) {
        let (ears, inboxes): (Vec<_>, _) = (0..relays).map(|_| bus::inbox()).unzip();
        let relays = Self {
            ears: ears.into(),
            hasher: RandomState::new(),
            marks: Arc::new(Marks {
                relays: Uuid::new_v4(),
                next: AtomicU64::new(0),
                waiting: Mutex::new(Some(HashMap::new())),
            }),
        };
        (relays, inboxes)
    }

    /// From now on marks come through.
    pub(crate) async fn tune_marks(&self, bus: &impl Bus) -> Result<(), BusError> {
        for (relay, ear) in self.ears.iter().enumerate() {
            bus.tune(ear, &self.marks.topic(relay)).await?;
        }
        Ok(())
    }

    /// The marks, for [`run`].
    pub(crate) fn marks(&self) -> &Arc<Marks> {
        &self.marks
    }

    /// Returns once everything that was published before has been handed on by all of these relays.
    pub(crate) async fn all_handed_on(&self, bus: &impl Bus) -> Result<(), BusError> {
        for relay in 0..self.ears.len() {
            self.marks.come_through(bus, relay).await?;
        }
        Ok(())
    }

    /// The same of what was published under `topic`.
    pub(crate) async fn handed_on(&self, bus: &impl Bus, topic: &str) -> Result<(), BusError> {
        self.marks.come_through(bus, self.relay_of(topic)).await
    }

    /// From when this returns, what is published under `topic` is handed on. Counted, as by [`Bus::tune`].
    pub(crate) async fn tune(&self, bus: &impl Bus, topic: &str) -> Result<(), BusError> {
        bus.tune(self.ear(topic), topic).await
    }

    /// Takes one [`tune`](Self::tune) back.
    pub(crate) async fn untune(&self, bus: &impl Bus, topic: &str) {
        bus.untune(self.ear(topic), topic).await;
    }

    /// Payloads that wait to be handed on.
    pub(crate) fn waiting(&self) -> usize {
        self.ears.iter().map(Ear::waiting).sum()
    }

    fn ear(&self, topic: &str) -> &Ear {
        &self.ears[self.relay_of(topic)]
    }

    fn relay_of(&self, topic: &str) -> usize {
        self.hasher.hash_one(topic) as usize % self.ears.len()
    }
}

impl Marks {
    fn topic(&self, relay: usize) -> String {
        format!("{MARKS_PREFIX}{}:{relay}", self.relays)
    }

    /// Sends a mark to a relay, and returns when it is there. How long that may take is the caller's to say.
    async fn come_through(&self, bus: &impl Bus, relay: usize) -> Result<(), BusError> {
        let ended = || BusError::Unavailable("the relay has ended".to_owned());
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (passed, waiting) = oneshot::channel();
        self.waiting().as_mut().ok_or_else(ended)?.insert(number, passed);
        let _awaited = Awaited { marks: self, number };
        let mark = Bytes::copy_from_slice(&number.to_be_bytes());
        bus.publish(&self.topic(relay), mark).await?;
        waiting.await.map_err(|_| ended())
    }

    fn is_one(payload: &Payload) -> bool {
        payload.topic.starts_with(MARKS_PREFIX)
    }

    /// A mark is through.
    fn passed(&self, mark: &Payload) {
        let number = (*mark.bytes).try_into().map(u64::from_be_bytes);
        if let Some(waiting) = number.ok().and_then(|number| self.forget(number)) {
            // An error means that he no longer waits.
            let _ = waiting.send(());
        }
    }

    fn forget(&self, number: u64) -> Option<oneshot::Sender<()>> {
        self.waiting().as_mut()?.remove(&number)
    }

    /// A relay has ended: nobody waits for marks any more.
    fn end(&self) {
        *self.waiting() = None;
    }

    fn waiting(&self) -> MutexGuard<'_, Option<HashMap<u64, oneshot::Sender<()>>>> {
        self.waiting
            .lock()
            .expect("the marks' lock is never poisoned: no code panics while holding it")
    }
}

/// A mark that somebody waits for, until he no longer does.
struct Awaited<'a> {
    marks: &'a Marks,
    number: u64,
}

impl Drop for Awaited<'_> {
    fn drop(&mut self) {
        self.marks.forget(self.number);
    }
}

/// Hands on what arrives in `inbox`. After `stop` what lies ready, then it ends.
pub(crate) async fn run(
    hears: &impl Hears,
    mut inbox: Inbox,
    marks: &Marks,
    took: &Latency,
    stop: CancellationToken,
) {
    let mut batch = Vec::new();
    loop {
        let next = match stop.run_until_cancelled(inbox.next()).await {
            Some(next) => next,
            None => inbox.next_now(),
        };
        let Some(first) = next else {
            marks.end();
            return;
        };
        batch.push(first);
        while batch.len() < PAYLOADS_PER_BATCH_MAX
            && let Some(next) = inbox.next_now()
        {
            batch.push(next);
        }
        let passed: Vec<_> = batch.extract_if(.., |payload| Marks::is_one(payload)).collect();
        if !batch.is_empty() {
            let begun = Instant::now();
            hears.heard(&batch).await;
            took.note(begun.elapsed());
        }
        passed.iter().for_each(|mark| marks.passed(mark));
        batch.clear();
    }
}
