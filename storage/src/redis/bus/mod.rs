//! A bus of several nodes: sharded pub/sub brings payloads at once, and a bounded stream per topic keeps them for a node that
//! was away.
//!
//! Every payload of a topic has a number, and names the one before it. A node that has not heard that one reads the stream
//! from where it was, and so it does for every topic once it is connected again, or when an inbox was full for a while.

mod catching_up;
mod hearing;
mod numbered;
mod topics;

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use redis::Script;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use self::hearing::Order;
use self::topics::{Topics, Tuning};
use super::keys::part;
use super::link::{LinkError, LinkState, LinkTerms, OpenLinkError, Redis};
use super::url::RedisUrl;
use crate::bus::{Bus, BusError, Ear, Payload};

/// Subscriptions are asked for in so many lanes at once; those of one topic in one lane, in their order.
const LANES: usize = 16;

/// Subscriptions that wait in one lane. Whoever tunes waits anyway.
const ORDERS_MAX: usize = 1_024;

/// Streams that are read at once: more only wait in Redis, and their answers would be late.
const READS_AT_ONCE: usize = 32;

/// How payloads are kept for nodes that were away.
#[derive(Debug, Clone)]
pub struct BusTerms {
    /// What all keys and channels begin with: clusters of other names hear nothing of each other.
    pub namespace: String,
    /// Payloads kept of one topic, about: a node that missed more has lost the older ones, which is counted.
    pub kept_payloads_max: usize,
    /// How long payloads of a topic are kept after the last one: a node that was away for longer may miss some.
    pub kept_for: Duration,
    /// How long `publish` tries before it says that the bus is unavailable.
    pub publish_deadline: Duration,
}

impl Default for BusTerms {
    /// 4,096 payloads for a minute: a restart of Redis takes seconds, and in a room of the busiest kind 100 are said in
    /// each. 4 s for a publish: less than the 5 s after which the server's dialects give up.
    fn default() -> Self {
        Self {
            namespace: "touchstone".to_owned(),
            kept_payloads_max: 4_096,
            kept_for: Duration::from_secs(60),
            publish_deadline: Duration::from_secs(4),
        }
    }
}

/// `redis://` and its like: the bus of several nodes. Clones are the same node.
///
/// Beyond what every [`Bus`] guarantees:
/// - Inboxes of the publisher's own node hear a payload before `publish` asks Redis, also while Redis is away; so an
///   error of `publish` means that other nodes may not have heard it, never that this one has not.
/// - Other nodes hear a payload once if `publish` returned `Ok`, also when Redis or the node's connection was away
///   meanwhile, as long as the topic's stream keeps it (see [`BusTerms`]). What could not be brought any more is counted
///   in [`gaps`](Self::gaps).
/// - After an error a payload may yet be heard elsewhere, at most once.
/// - The order of one publisher is kept in each topic; over several topics only on the publisher's own node, and elsewhere
///   while nothing was caught up on and the topics are on one server.
/// - A full inbox makes publishers of its own node wait. Those of other nodes do not: its topic is read from the stream
///   when there is room again.
/// - While Redis is away, an ear can be tuned to a topic that this node hears already, and to no other.
#[derive(Debug, Clone)]
pub struct RedisBus {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    link: Redis,
    terms: BusTerms,
    /// What channels and keys begin with.
    prefix: String,
    /// This node among all that ever were.
    node: String,
    next: AtomicU64,
    publish: Script,
    topics: Topics,
    lanes: Vec<mpsc::Sender<Order>>,
    hasher: RandomState,
    reads: Semaphore,
    tasks: TaskTracker,
    stop: CancellationToken,
    caught_up: AtomicU64,
    gaps: AtomicU64,
}

impl RedisBus {
    /// Connects. Tasks that hear run on `tasks` until `stop`.
    ///
    /// # Errors
    /// Redis is not there, does not let us in, or is too old.
    pub async fn open(
        url: RedisUrl,
        link_terms: LinkTerms,
        terms: BusTerms,
        tasks: &TaskTracker,
        stop: CancellationToken,
    ) -> Result<Self, OpenLinkError> {
        let (pushes, pushed) = mpsc::unbounded_channel();
        let prefix = format!("{}:bus:{}:", part(&terms.namespace), url.database);
        let link = Redis::open_hearing(url, link_terms, Some(pushes), tasks, stop.clone()).await?;
        let (lanes, orders): (Vec<_>, Vec<_>) = (0..LANES).map(|_| mpsc::channel(ORDERS_MAX)).unzip();
        let inner = Arc::new(Inner {
            link,
            terms,
            prefix,
            node: Uuid::new_v4().simple().to_string(),
            next: AtomicU64::new(0),
            publish: Script::new(include_str!("../scripts/publish.lua")),
            topics: Topics::default(),
            lanes,
            hasher: RandomState::new(),
            reads: Semaphore::new(READS_AT_ONCE),
            tasks: tasks.clone(),
            stop,
            caught_up: AtomicU64::new(0),
            gaps: AtomicU64::new(0),
        });
        inner.start(orders, pushed);
        Ok(Self { inner })
    }

    /// Whether Redis can be reached, and since when.
    #[must_use]
    pub fn state(&self) -> LinkState {
        self.inner.link.state()
    }

    /// Waits until the state is another one than `seen`. `None` once the bus has been stopped.
    pub async fn state_after(&self, seen: LinkState) -> Option<LinkState> {
        self.inner.link.state_after(seen).await
    }

    /// Payloads that this node took from streams, because it had missed them.
    #[must_use]
    pub fn caught_up(&self) -> u64 {
        self.inner.caught_up.load(Ordering::Relaxed)
    }

    /// How often something that this node should have heard was in no stream any more: one payload or several.
    #[must_use]
    pub fn gaps(&self) -> u64 {
        self.inner.gaps.load(Ordering::Relaxed)
    }
}

impl Inner {
    /// The channel of a topic. What is in braces alone says which server of a cluster has it, and so its keys.
    fn channel(&self, topic: &str) -> Arc<str> {
        format!("{}{{{}}}", self.prefix, part(topic)).into()
    }

    fn lane(&self, channel: &str) -> &mpsc::Sender<Order> {
        &self.lanes[self.hasher.hash_one(channel) as usize % self.lanes.len()]
    }

    /// Hands the payload to Redis, again after a connection that broke.
    async fn send(&self, channel: &str, bytes: &[u8]) -> Result<(), BusError> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let from = format!("{} {number}", self.node);
        let until = Instant::now() + self.terms.publish_deadline;
        let mut attempt = "first";
        loop {
            let mut script = self.publish.key(numbered::last_key(channel));
            script
                .key(numbered::stream_key(channel))
                .key(channel)
                .arg(&from)
                .arg(bytes)
                .arg(self.terms.kept_payloads_max)
                .arg(self.terms.kept_for.as_millis() as u64)
                .arg(attempt);
            let sent = tokio::time::timeout_at(until, self.link.run_script::<u64>(&script)).await;
            match sent {
                Ok(Ok(_)) => return Ok(()),
                Ok(Err(LinkError::Broken(_))) if Instant::now() < until => attempt = "again",
                Ok(Err(error)) => return Err(BusError::Unavailable(error.to_string())),
                Err(_) => {
                    let deadline = self.terms.publish_deadline;
                    return Err(BusError::Unavailable(format!("no answer within {deadline:?}")));
                }
            }
        }
    }
}

impl Bus for RedisBus {
    async fn publish(&self, topic: &str, payload: Bytes) -> Result<(), BusError> {
        let channel = self.inner.channel(topic);
        if let Some((topic, ears)) = self.inner.topics.ears(&channel) {
            for ear in ears {
                let payload = Payload {
                    topic: Arc::clone(&topic),
                    bytes: payload.clone(),
                };
                ear.hear(payload).await;
            }
        }
        self.inner.send(&channel, &payload).await
    }

    async fn tune(&self, ear: &Ear, topic: &str) -> Result<(), BusError> {
        let channel = self.inner.channel(topic);
        let tuned = self.inner.topics.tune(&channel, topic, ear);
        let mut tuning = Tuning::new(&self.inner, ear, &channel, tuned.incarnation);
        if tuned.is_first {
            self.inner.order(&channel, Order::subscribe(&channel)).await?;
        }
        if let Some(subscribed) = tuned.subscribed {
            let away = || BusError::Unavailable("the subscription was given up".to_owned());
            subscribed.await.map_err(|_| away())??;
        }
        tuning.keep();
        Ok(())
    }

    async fn untune(&self, ear: &Ear, topic: &str) {
        let channel = self.inner.channel(topic);
        self.inner.untune(ear, &channel, None);
    }
}
