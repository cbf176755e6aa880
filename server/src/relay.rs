//! What the bus brings to this node, handed on by a few tasks that do nothing else.
//!
//! Topics are spread over the relays, so that cores share the work and one topic keeps its order. What has piled up
//! while a relay was busy is handed on in one batch, so that frames for one socket can be joined.

use std::future::Future;
use std::hash::{BuildHasher, RandomState};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use touchstone_storage::{Bus, BusError, Ear, Inbox, Payload, bus};

use crate::metrics::Latency;
use crate::readiness::Canaries;

/// Payloads handed on together: beyond this joining them wins nothing more.
const PAYLOADS_PER_BATCH_MAX: usize = 64;

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
        };
        (relays, inboxes)
    }

    /// From when this returns, what is published under `topic` is handed on. Counted, as by [`Bus::tune`].
    pub(crate) async fn tune(&self, bus: &impl Bus, topic: &str) -> Result<(), BusError> {
        bus.tune(self.ear(topic), topic).await
    }

    /// Takes one [`tune`](Self::tune) back.
    pub(crate) async fn untune(&self, bus: &impl Bus, topic: &str) {
        bus.untune(self.ear(topic), topic).await;
    }

    /// One for each relay.
    pub(crate) fn ears(&self) -> &[Ear] {
        &self.ears
    }

    /// Payloads that wait to be handed on.
    pub(crate) fn waiting(&self) -> usize {
        self.ears.iter().map(Ear::waiting).sum()
    }

    fn ear(&self, topic: &str) -> &Ear {
        &self.ears[self.hasher.hash_one(topic) as usize % self.ears.len()]
    }
}

/// Hands on what arrives in `inbox`. After `stop` what lies ready, then it ends.
pub(crate) async fn run(
    hears: &impl Hears,
    mut inbox: Inbox,
    canaries: &Canaries,
    took: &Latency,
    stop: CancellationToken,
) {
    let mut batch = Vec::new();
    loop {
        let next = match stop.run_until_cancelled(inbox.next()).await {
            Some(next) => next,
            None => inbox.next_now(),
        };
        let Some(first) = next else { return };
        batch.push(first);
        while batch.len() < PAYLOADS_PER_BATCH_MAX
            && let Some(next) = inbox.next_now()
        {
            batch.push(next);
        }
        let is_canary = |payload: &mut Payload| Canaries::is_one(&payload.topic);
        for canary in batch.extract_if(.., is_canary) {
            canaries.came_through(&canary.topic, &canary.bytes);
        }
        if !batch.is_empty() {
            let begun = Instant::now();
            hears.heard(&batch).await;
            took.note(begun.elapsed());
        }
        batch.clear();
    }
}
