//! How nodes hear of each other: text published under a topic reaches every subscriber of it, on every node.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use thiserror::Error;
use tokio::sync::mpsc;

/// Payloads that wait for one subscriber. A relay only hands them on and never blocks, so a full queue means that
/// the machine is out of breath, and publishers then wait.
const SUBSCRIPTION_PAYLOADS_MAX: usize = 1_024;

/// Why a payload was not published.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BusError {
    /// The bus cannot be reached: later, the same call may work.
    #[error("the bus is unavailable: {0}")]
    Unavailable(String),
}

/// Carries payloads from publishers to subscribers.
///
/// Guarantees of every implementation: a subscriber hears what is published after `subscribe` returned, each payload
/// at most once, and those of one publisher in the order in which their `publish` returned. A publisher waits while a
/// subscriber's queue is full; its deadline is the caller's.
pub trait Bus: Send + Sync + 'static {
    /// Hands `payload` to every subscriber of `topic`.
    fn publish(&self, topic: &str, payload: Bytes) -> impl Future<Output = Result<(), BusError>> + Send;

    /// Hears everything published under `topic` from now on.
    fn subscribe(&self, topic: &str) -> impl Future<Output = Result<Subscription, BusError>> + Send;
}

/// The receiving end of a topic; dropping it ends the subscription.
#[derive(Debug)]
pub struct Subscription {
    payloads: mpsc::Receiver<Bytes>,
}

impl Subscription {
    /// The next payload; `None` once the bus is gone. Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<Bytes> {
        self.payloads.recv().await
    }

    /// A payload that is already here.
    pub fn next_now(&mut self) -> Option<Bytes> {
        self.payloads.try_recv().ok()
    }
}

/// `local:` — the bus of a single node. Clones share their subscribers.
#[derive(Debug, Clone, Default)]
pub struct LocalBus {
    topics: Arc<Mutex<Topics>>,
}

type Topics = HashMap<Box<str>, Vec<mpsc::Sender<Bytes>>>;

impl LocalBus {
    fn subscribers(&self, topic: &str) -> Vec<mpsc::Sender<Bytes>> {
        let mut topics = self
            .topics
            .lock()
            .expect("the topics' lock is never poisoned: no code panics in it");
        let Some(subscribers) = topics.get_mut(topic) else {
            return Vec::new();
        };
        subscribers.retain(|subscriber| !subscriber.is_closed());
        let found = subscribers.clone();
        if found.is_empty() {
            topics.remove(topic);
        }
        found
    }
}

impl Bus for LocalBus {
    async fn publish(&self, topic: &str, payload: Bytes) -> Result<(), BusError> {
        for subscriber in self.subscribers(topic) {
            // An error means that it unsubscribed meanwhile: nobody is owed this payload any more.
            let _ = subscriber.send(payload.clone()).await;
        }
        Ok(())
    }

    async fn subscribe(&self, topic: &str) -> Result<Subscription, BusError> {
        let (sender, payloads) = mpsc::channel(SUBSCRIPTION_PAYLOADS_MAX);
        let mut topics = self
            .topics
            .lock()
            .expect("the topics' lock is never poisoned: no code panics in it");
        topics.entry(topic.into()).or_default().push(sender);
        Ok(Subscription { payloads })
    }
}
