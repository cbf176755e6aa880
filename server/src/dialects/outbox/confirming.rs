//! What follows on writing an event: that its arrival is recorded, and that a client who never answers is closed. A task
//! for each, for all connections together.

use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use touchstone_protocol::close::CloseCode;
use touchstone_protocol::outbox::REASON_NO_PONG;
use touchstone_storage::{Arrived, Events};

use super::REALM;
use super::recipient::Recipient;
use crate::config::OutboxConfig;
use crate::connection::Close;
use crate::watched::Watched;
use crate::wheel::{Stretch, Wheel};

/// Arrivals that are recorded together: what the store commits in a few milliseconds.
const ARRIVALS_AT_ONCE: usize = 4_096;

/// After a failure of the store so much time passes before arrivals are recorded again. Until then they are pending, and
/// would be sent again to whoever connects.
const RECORD_PAUSE: Duration = Duration::from_secs(1);

/// Events that have arrived, and the connection on which they did.
type Confirmation = (Arc<Recipient>, Vec<Arrived>);

/// Shared by all connections and by the two tasks.
#[derive(Debug)]
pub(super) struct Confirming {
    timeout: Duration,
    /// To be recorded. Bounded by what connections may leave unconfirmed.
    confirmations: Mutex<Vec<Confirmation>>,
    confirmed: Notify,
    /// Whoever has a ping under way, in the tick in which its answer is late.
    wheel: Mutex<Wheel<Weak<Recipient>>>,
}

impl Confirming {
    pub(super) fn new(config: &OutboxConfig, random: fastrand::Rng) -> Self {
        Self {
            timeout: config.confirm_timeout,
            confirmations: Mutex::default(),
            confirmed: Notify::new(),
            wheel: Mutex::new(Wheel::new(config.confirm_timeout, random, Instant::now())),
        }
    }

    /// Events have arrived: that is recorded soon.
    pub(super) fn record(&self, recipient: &Arc<Recipient>, arrived: Vec<Arrived>) {
        self.confirmations().push((Arc::clone(recipient), arrived));
        self.confirmed.notify_one();
    }

    /// A ping has left: its answer is awaited.
    pub(super) fn watch(&self, recipient: &Arc<Recipient>) {
        self.look_after(self.timeout, Arc::downgrade(recipient));
    }

    fn look_after(&self, time: Duration, recipient: Weak<Recipient>) {
        self.wheel()
            .schedule_after(Instant::now(), time, Stretch::No, recipient);
    }

    /// Records arrivals as they come, many in one write, until `stop`, and then those that are left.
    pub(super) async fn record_arrivals<S: Events>(&self, store: &Watched<S>, stop: CancellationToken) {
        loop {
            let going_on = stop.run_until_cancelled(self.confirmed.notified()).await;
            while let Some(batch) = self.take_batch() {
                if self.record_batch(store, batch).await {
                    continue;
                }
                if stop
                    .run_until_cancelled(tokio::time::sleep(RECORD_PAUSE))
                    .await
                    .is_none()
                {
                    return;
                }
            }
            if going_on.is_none() {
                return;
            }
        }
    }

    /// False if the store did not take it; then it is to be recorded as before.
    async fn record_batch<S: Events>(&self, store: &Watched<S>, batch: Vec<Confirmation>) -> bool {
        let arrived = batch.iter().flat_map(|(_, arrived)| arrived).copied().collect();
        // A failure has been noted where the store is watched.
        let recorded = store.call(store.note_arrived(REALM, arrived)).await.is_ok();
        if recorded {
            let now = Instant::now();
            for (recipient, arrived) in &batch {
                recipient.ledger().note_recorded(arrived, now);
            }
        } else {
            // In front of what came meanwhile: a ledger has its confirmations in their order.
            self.confirmations().splice(..0, batch);
        }
        recorded
    }

    fn take_batch(&self) -> Option<Vec<Confirmation>> {
        let mut confirmations = self.confirmations();
        let mut events = 0;
        let count = confirmations
            .iter()
            .take_while(|(_, arrived)| {
                let fits = events < ARRIVALS_AT_ONCE;
                events += arrived.len();
                fits
            })
            .count();
        let rest = confirmations.split_off(count);
        let batch = std::mem::replace(&mut *confirmations, rest);
        (!batch.is_empty()).then_some(batch)
    }

    /// Closes whoever has not answered a ping in time (outbox/9d), until `stop`.
    pub(super) async fn close_silent(&self, stop: CancellationToken) {
        while stop
            .run_until_cancelled(tokio::time::sleep_until(self.next_look()))
            .await
            .is_some()
        {
            let now = Instant::now();
            let due = self.wheel().take_due(now);
            for recipient in due {
                if let Some(alive) = recipient.upgrade() {
                    self.look(&alive, now);
                }
            }
        }
    }

    fn look(&self, recipient: &Arc<Recipient>, now: Instant) {
        let mut ledger = recipient.ledger();
        match ledger.pinged_at() {
            None => ledger.is_watched = false,
            Some(_) if recipient.mailbox.is_heard() => {
                self.look_after(self.timeout, Arc::downgrade(recipient));
            }
            Some(pinged) if now >= pinged + self.timeout => {
                recipient
                    .mailbox
                    .close(&Close::new(CloseCode::POLICY, REASON_NO_PONG));
            }
            // The ping that it was watched for was answered; this is a later one.
            Some(pinged) => self.look_after(pinged + self.timeout - now, Arc::downgrade(recipient)),
        }
    }

    /// When an answer may be late. One that is awaited from now on is not late before the timeout.
    fn next_look(&self) -> Instant {
        let latest = Instant::now() + self.timeout;
        self.wheel().first_due().map_or(latest, |due| due.min(latest))
    }

    fn confirmations(&self) -> MutexGuard<'_, Vec<Confirmation>> {
        self.confirmations
            .lock()
            .expect("the confirmations' lock is never poisoned: no code panics while holding it")
    }

    fn wheel(&self) -> MutexGuard<'_, Wheel<Weak<Recipient>>> {
        self.wheel
            .lock()
            .expect("the wheel's lock is never poisoned: no code panics while holding it")
    }
}
