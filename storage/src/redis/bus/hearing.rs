//! The tasks that keep a node subscribed to what its ears are tuned to, and hand on what comes.

use std::sync::Arc;
use std::time::Duration;

use redis::{PushInfo, PushKind};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::Inner;
use super::numbered::{Numbered, channel_and_message, last_key};
use crate::bus::{BusError, Ear};
use crate::redis::link::{LinkError, LinkState};

/// What a lane is to do.
#[derive(Debug)]
pub(super) enum Order {
    /// Somebody tunes to it for the first time.
    Subscribe { channel: Arc<str>, since: Instant },
    /// The connection it was subscribed on is gone, or the server has dropped it.
    Renew(Arc<str>),
    /// Nobody is tuned to it any more.
    Unsubscribe(Arc<str>),
}

impl Order {
    pub(super) fn subscribe(channel: &Arc<str>) -> Self {
        Self::Subscribe {
            channel: Arc::clone(channel),
            since: Instant::now(),
        }
    }
}

impl Inner {
    /// Starts all tasks.
    pub(super) fn start(
        self: &Arc<Self>,
        lanes: Vec<mpsc::Receiver<Order>>,
        pushes: mpsc::UnboundedReceiver<PushInfo>,
    ) {
        for orders in lanes {
            let inner = Arc::clone(self);
            self.spawn(async move { inner.carry_out(orders).await });
        }
        let inner = Arc::clone(self);
        self.spawn(async move { inner.hear(pushes).await });
        let inner = Arc::clone(self);
        self.spawn(async move { inner.renew().await });
    }

    pub(super) fn spawn(self: &Arc<Self>, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            stop.run_until_cancelled(task).await;
        });
    }

    pub(super) async fn order(&self, channel: &str, order: Order) -> Result<(), BusError> {
        let ordered = self.lane(channel).send(order).await;
        ordered.map_err(|_| BusError::Unavailable("the bus has been stopped".to_owned()))
    }

    pub(super) fn untune(&self, ear: &Ear, channel: &Arc<str>, incarnation: Option<u64>) {
        if self.topics.untune(channel, ear, incarnation) {
            self.unsubscribe_soon(channel);
        }
    }

    fn unsubscribe_soon(&self, channel: &Arc<str>) {
        // A lane that is full forgets it; then the next payload of that channel asks once more.
        let _ = self
            .lane(channel)
            .try_send(Order::Unsubscribe(Arc::clone(channel)));
    }

    /// A lane: one order after the other.
    async fn carry_out(self: &Arc<Self>, mut orders: mpsc::Receiver<Order>) {
        while let Some(order) = orders.recv().await {
            match order {
                Order::Subscribe { channel, since } => {
                    if let Err(error) = self.subscribe(&channel, since.elapsed()).await {
                        let why = BusError::Unavailable(error.to_string());
                        self.topics.not_subscribed(&channel, &why);
                    }
                }
                Order::Renew(channel) => {
                    // An error means that the connection broke: there will be another one, and all is renewed then.
                    let _ = self.subscribe(&channel, Duration::ZERO).await;
                }
                Order::Unsubscribe(channel) if !self.topics.is_tuned(&channel) => {
                    if let LinkState::Up { .. } = self.link.state()
                        && let Ok((generation, mut connection)) = self.link.connection().await
                        && let Err(error) = connection.unsubscribe(&channel).await
                    {
                        self.link.failed(generation, error);
                    }
                }
                Order::Unsubscribe(_) => {}
            }
        }
    }

    /// Subscribes, and finds out where the topic is. `waited` counts towards the patience: whoever waited in a lane while
    /// Redis was away has waited enough.
    async fn subscribe(self: &Arc<Self>, channel: &str, waited: Duration) -> Result<(), LinkError> {
        if !self.topics.is_tuned(channel) {
            return Ok(());
        }
        if let LinkState::Away { since } = self.link.state()
            && waited >= self.link.terms().patience
        {
            return Err(LinkError::Away(since.elapsed()));
        }
        let (generation, mut connection) = self.link.connection().await?;
        let failed = |error| {
            // Also what was refused: this node cannot be without its topics.
            self.link.report_broken(generation);
            self.link.failed(generation, error)
        };
        connection.subscribe(channel).await.map_err(failed)?;
        let asked = redis::cmd("GET").arg(last_key(channel)).to_owned();
        let last: Option<u64> = asked.query_async(&mut connection).await.map_err(failed)?;
        if let Some(behind) = self.topics.subscribed(channel, last.unwrap_or(0)) {
            self.catch_up(channel, behind);
        }
        if !self.topics.is_tuned(channel) {
            // Everybody has left meanwhile, and was told that nobody is subscribed.
            connection.unsubscribe(channel).await.map_err(failed)?;
        }
        Ok(())
    }

    /// Hands on what the server pushes. Never waits for an inbox.
    async fn hear(self: &Arc<Self>, mut pushes: mpsc::UnboundedReceiver<PushInfo>) {
        while let Some(info) = pushes.recv().await {
            match info.kind {
                PushKind::SMessage => self.heard(info.data),
                // Of a topic that somebody is tuned to it means that the slot moves to another server.
                PushKind::SUnsubscribe => {
                    if let Some(redis::Value::BulkString(channel)) = info.data.into_iter().next()
                        && let Ok(channel) = String::from_utf8(channel)
                        && self.topics.is_tuned(&channel)
                    {
                        // A lane that is full is one that subscribes; what it misses shows with the next payload.
                        let _ = self
                            .lane(&channel)
                            .try_send(Order::Renew(channel.as_str().into()));
                    }
                }
                _ => {}
            }
        }
    }

    fn heard(self: &Arc<Self>, data: Vec<redis::Value>) {
        let Some((channel, message)) = channel_and_message(data) else {
            return;
        };
        // What is not ours is nothing to anybody here.
        let Some(payload) = Numbered::of_push(message) else {
            return;
        };
        if !self.topics.is_tuned(&channel) {
            return self.unsubscribe_soon(&channel.into());
        }
        if let Some(behind) = self.topics.pushed(&channel, &payload, &self.node) {
            self.catch_up(&channel, behind);
        }
    }

    /// Subscribes to everything anew whenever there is another connection.
    async fn renew(self: &Arc<Self>) {
        let mut seen = self.link.state();
        while let Some(state) = self.link.state_after(seen).await {
            seen = state;
            if !state.is_up() {
                continue;
            }
            for channel in self.topics.channels() {
                let order = Order::Renew(Arc::clone(&channel));
                if self.order(&channel, order).await.is_err() {
                    return;
                }
            }
        }
    }
}
