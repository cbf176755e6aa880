//! What a dialect with users stands on: store, bus, presence, and what else all of them share.

use std::sync::Arc;
use std::time::Duration;

use touchstone_storage::{Bus, ChosenBus, ChosenPresence, ChosenStore};

use crate::auth::{Passwords, Tokens};
use crate::clock::Clock;
use crate::config::PresenceConfig;
use crate::faults::Faults;
use crate::lingering::Stranded;
use crate::metrics::Metrics;
use crate::relay::Relays;
use crate::stop::Stopping;
use crate::watched::Watched;

/// Built once for each dialect: keys and relays are its own, the rest is one thing under several names.
#[derive(Debug)]
pub(crate) struct Backing<S, B, P> {
    /// Every call goes through [`Watched::call`].
    pub(crate) store: Arc<Watched<S>>,
    pub(crate) bus: B,
    pub(crate) presence: P,
    pub(crate) relays: Relays,
    pub(crate) tokens: Tokens,
    pub(crate) passwords: Passwords,
    pub(crate) clock: Clock,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) faults: Arc<Faults>,
    /// How presence is told.
    pub(crate) presence_terms: PresenceConfig,
    /// The longest that several are told.
    pub(crate) told_bytes_max: usize,
    /// Whether this node stops.
    pub(crate) stopping: Arc<Stopping>,
}

/// A bus that takes nothing for so long is away.
const PUBLISH_DEADLINE: Duration = Duration::from_secs(5);

impl<S, B: Bus, P> Backing<S, B, P> {
    /// Tells the other nodes, under `topic`, of a connection that ends with its node.
    pub(crate) async fn leave_behind(&self, topic: &str, stranded: &Stranded) {
        let published = self.bus.publish(topic, stranded.to_payload());
        match tokio::time::timeout(PUBLISH_DEADLINE, published).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "other nodes are not told who is left behind"),
            Err(_) => tracing::warn!("other nodes are not told in time who is left behind"),
        }
    }
}

/// What every dialect of this server stands on, whatever was configured.
pub(crate) type Chosen = Backing<ChosenStore, ChosenBus, ChosenPresence>;
