//! How nodes hear of each other: what is published under a topic reaches everybody who is tuned to it, on every node.

use std::collections::HashMap;
use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use thiserror::Error;
use tokio::sync::mpsc;

/// Payloads that wait for one inbox. A relay only hands them on and never blocks, so a full inbox means that the
/// machine is out of breath, and publishers then wait.
const INBOX_PAYLOADS_MAX: usize = 1_024;

/// Topics are spread over so many locks.
const SHARDS: usize = 64;

/// Why a payload was not published, or a topic not heard.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BusError {
    /// The bus cannot be reached: later, the same call may work.
    #[error("the bus is unavailable: {0}")]
    Unavailable(String),
}

/// Carries payloads from publishers to whoever is tuned to their topic.
///
/// Guarantees of every implementation: an inbox hears what is published after `tune` returned and before `untune` was
/// called, each payload once however often its ear is tuned to the topic, and those of one publisher in the order in
/// which their `publish` returned. A publisher waits while an inbox is full; its deadline is the caller's. So whoever
/// empties an inbox must not wait for a `publish` that may end in the same inbox.
pub trait Bus: Send + Sync + 'static {
    /// Hands `payload` to every inbox that is tuned to `topic`.
    fn publish(&self, topic: &str, payload: Bytes) -> impl Future<Output = Result<(), BusError>> + Send;

    /// From when this returns, the ear's inbox hears `topic`. Tuning is counted: it takes as many calls of
    /// [`untune`](Self::untune) to end it.
    fn tune(&self, ear: &Ear, topic: &str) -> impl Future<Output = Result<(), BusError>> + Send;

    /// Takes one [`tune`](Self::tune) back.
    fn untune(&self, ear: &Ear, topic: &str) -> impl Future<Output = ()> + Send;
}

/// A payload with the topic under which it was published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// As it was given to `publish`.
    pub topic: Arc<str>,
    /// The same bytes for everybody.
    pub bytes: Bytes,
}

/// The end of an inbox that a bus holds. Clones are the same ear.
#[derive(Debug, Clone)]
pub struct Ear(mpsc::Sender<Payload>);

/// An inbox has no room now.
#[cfg(feature = "redis")]
#[derive(Debug)]
pub(crate) struct Full;

/// Where payloads arrive; dropping it ends the hearing.
#[derive(Debug)]
pub struct Inbox(mpsc::Receiver<Payload>);

/// An inbox that hears nothing yet, and the ear by which a bus is told what it should.
#[must_use]
pub fn inbox() -> (Ear, Inbox) {
    let (sender, receiver) = mpsc::channel(INBOX_PAYLOADS_MAX);
    (Ear(sender), Inbox(receiver))
}

impl Ear {
    /// Puts a payload into the inbox, once there is room. For implementations of [`Bus`].
    pub async fn hear(&self, payload: Payload) {
        // An error means that nobody listens any more, and so nobody is owed this payload.
        let _ = self.0.send(payload).await;
    }

    /// Room for one payload, if there is some now; `None` in place of it if nobody listens any more. For implementations of
    /// [`Bus`].
    #[cfg(feature = "redis")]
    pub(crate) fn room(&self) -> Result<Option<mpsc::Permit<'_, Payload>>, Full> {
        match self.0.try_reserve() {
            Ok(room) => Ok(Some(room)),
            Err(mpsc::error::TrySendError::Closed(())) => Ok(None),
            Err(mpsc::error::TrySendError::Full(())) => Err(Full),
        }
    }

    /// Payloads that wait in the inbox.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.0.max_capacity() - self.0.capacity()
    }

    /// Whether both end in one inbox.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.0.same_channel(&other.0)
    }
}

impl Inbox {
    /// The next payload; `None` once no ear is left. Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<Payload> {
        self.0.recv().await
    }

    /// A payload that is already here.
    pub fn next_now(&mut self) -> Option<Payload> {
        self.0.try_recv().ok()
    }
}

/// `local:` — the bus of a single node. Clones share their topics.
#[derive(Debug, Clone)]
pub struct LocalBus {
    shards: Arc<[Mutex<Topics>]>,
    hasher: RandomState,
}

type Topics = HashMap<Arc<str>, Vec<Tuned>>;

#[derive(Debug)]
struct Tuned {
    ear: Ear,
    times: usize,
}

impl Default for LocalBus {
    fn default() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
        }
    }
}

impl LocalBus {
    fn topics(&self, topic: &str) -> MutexGuard<'_, Topics> {
        self.shards[self.hasher.hash_one(topic) as usize % SHARDS]
            .lock()
            .expect("the topics' lock is never poisoned: no code panics in it")
    }
}

impl Bus for LocalBus {
    async fn publish(&self, topic: &str, payload: Bytes) -> Result<(), BusError> {
        let (topic, ears) = match self.topics(topic).get_key_value(topic) {
            None => return Ok(()),
            Some((topic, tuned)) => {
                let ears: Vec<_> = tuned.iter().map(|tuned| tuned.ear.clone()).collect();
                (Arc::clone(topic), ears)
            }
        };
        for ear in ears {
            let payload = Payload {
                topic: Arc::clone(&topic),
                bytes: payload.clone(),
            };
            ear.hear(payload).await;
        }
        Ok(())
    }

    async fn tune(&self, ear: &Ear, topic: &str) -> Result<(), BusError> {
        let mut topics = self.topics(topic);
        let Some(tuned) = topics.get_mut(topic) else {
            let tuned = Tuned {
                ear: ear.clone(),
                times: 1,
            };
            topics.insert(topic.into(), vec![tuned]);
            return Ok(());
        };
        match tuned.iter_mut().find(|tuned| tuned.ear.is_same(ear)) {
            Some(tuned) => tuned.times += 1,
            None => tuned.push(Tuned {
                ear: ear.clone(),
                times: 1,
            }),
        }
        Ok(())
    }

    async fn untune(&self, ear: &Ear, topic: &str) {
        let mut topics = self.topics(topic);
        let Some(tuned) = topics.get_mut(topic) else {
            return;
        };
        if let Some(at) = tuned.iter().position(|tuned| tuned.ear.is_same(ear)) {
            tuned[at].times -= 1;
            if tuned[at].times == 0 {
                tuned.swap_remove(at);
            }
        }
        if tuned.is_empty() {
            topics.remove(topic);
        }
        // A crowd that has gone gives its memory back.
        if topics.capacity() > 4 * topics.len().max(16) {
            topics.shrink_to_fit();
        }
    }
}
