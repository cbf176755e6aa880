//! What the server's parts share. The dialects among them are put together in `parts`.

use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use touchstone_protocol::Dialect;
use touchstone_storage::{BusError, ChosenStore};

use crate::admission::Admission;
use crate::auth::{Passwords, TrustedKeys};
use crate::budget::Budget;
use crate::clock::Clock;
use crate::cluster::Cluster;
use crate::config::Config;
use crate::connection::{Deflation, Numbers};
use crate::dialects::raw_echo::RawEcho;
use crate::faults::Faults;
use crate::hub::Hub;
use crate::metrics::Metrics;
use crate::parts::{self, DirectServer, EchoServer, FeedServer, Inboxes, OutboxServer, Parts, RoomsServer};
use crate::readiness::{Canaries, NotReady};
use crate::relay::Relays;
use crate::route::Route;
use crate::server::StartError;
use crate::stop::Stopping;
use crate::tls::Certificates;
use crate::watched::Watched;

/// What the server's parts share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) faults: Arc<Faults>,
    pub(crate) stopping: Arc<Stopping>,
    pub(crate) admission: Admission,
    /// One permit for each connection that speaks HTTP.
    pub(crate) http_permits: Arc<Semaphore>,
    /// Owns the answers of the dialects' endpoints, and of those of the admin API of which users are told.
    pub(crate) answers: TaskTracker,
    /// Owns the tasks of all WebSocket connections.
    pub(crate) conversations: TaskTracker,
    /// Connections that hear their peers, or have yet to do what these have said.
    pub(crate) hearing: TaskTracker,
    /// Owns what an administrator set going, until `ending`.
    pub(crate) errands: TaskTracker,
    /// The server stops, and errands end.
    pub(crate) ending: CancellationToken,
    pub(crate) store: Arc<Watched<ChosenStore>>,
    /// The public keys of tokens, as they were last read.
    pub(crate) trusted: Arc<TrustedKeys>,
    /// The certificate of the listeners; `None`: they speak plain.
    pub(crate) certificates: Option<Arc<Certificates>>,
    pub(crate) passwords: Passwords,
    /// What answers over HTTP wait to be read.
    pub(crate) unread_answers: Arc<Budget>,
    pub(crate) echo: Arc<Route<EchoServer>>,
    pub(crate) rooms: Arc<Route<RoomsServer>>,
    pub(crate) outbox: Arc<Route<OutboxServer>>,
    pub(crate) feed: Arc<Route<FeedServer>>,
    pub(crate) direct: Arc<Route<DirectServer>>,
    pub(crate) raw_echo: Option<Arc<Route<RawEcho>>>,
    cluster: Cluster,
    canaries: Canaries,
    /// What the bus brings, until [`Upkeep`](crate::upkeep::Upkeep) takes it.
    inboxes: Mutex<Inboxes>,
}

impl Shared {
    /// Everything at its beginning, of a node that is alone.
    ///
    /// # Errors
    /// The store cannot be opened, or a file with keys or a certificate not be used.
    pub(crate) async fn new(config: Config, random: fastrand::Rng) -> Result<Self, StartError> {
        let cluster = Cluster::open(&config).await?;
        Self::node_of(cluster, config, random)
    }

    /// The same of one more node.
    ///
    /// # Errors
    /// A file with keys or a certificate cannot be used.
    pub(crate) fn beside(other: &Self, config: Config, random: fastrand::Rng) -> Result<Self, StartError> {
        Self::node_of(other.cluster.clone(), config, random)
    }

    fn node_of(cluster: Cluster, config: Config, mut random: fastrand::Rng) -> Result<Self, StartError> {
        let metrics = Arc::new(Metrics::new());
        let faults = Arc::new(Faults::default());
        let stopping = Arc::new(Stopping::new(
            config.deadlines.retry_after_seconds.clone(),
            random.usize(..=usize::from(u8::MAX)),
        ));
        let parts = Parts {
            store: Arc::new(Watched::new(
                cluster.store.clone(),
                Arc::clone(&faults),
                Arc::clone(&metrics),
                config.deadlines.store,
            )),
            cluster: cluster.clone(),
            trusted: Arc::new(TrustedKeys::read(&config.auth)?),
            passwords: Passwords::new(),
            clock: Clock::start(),
            metrics: Arc::clone(&metrics),
            faults: Arc::clone(&faults),
            stopping: Arc::clone(&stopping),
            numbers: Arc::new(Numbers::new(random.u64(..))),
            budget: Arc::new(Budget::new(config.limits.queues_bytes)),
            deflation: config.compression.map(Deflation::new),
        };
        let now = parts.clock.now();
        let certificates = config.tls.as_ref().map(|files| Certificates::read(files, now));
        let certificates = certificates.transpose()?;
        let mut inboxes = Inboxes::default();
        let shared = Self {
            metrics,
            faults,
            stopping,
            admission: Admission::new(&config.limits),
            http_permits: Arc::new(Semaphore::new(config.limits.http_connections)),
            answers: TaskTracker::new(),
            conversations: TaskTracker::new(),
            hearing: TaskTracker::new(),
            errands: TaskTracker::new(),
            ending: CancellationToken::new(),
            store: Arc::clone(&parts.store),
            trusted: Arc::clone(&parts.trusted),
            certificates: certificates.map(Arc::new),
            passwords: parts.passwords.clone(),
            unread_answers: Arc::new(Budget::new(config.limits.answers_bytes)),
            echo: parts::echo(&config, &parts, &mut random, &mut inboxes.echo),
            rooms: parts::rooms(&config, &parts, &mut inboxes.rooms),
            outbox: parts::outbox(&config, &parts, &mut random, &mut inboxes.outbox),
            feed: parts::feed(&config, &parts, &mut random, &mut inboxes.feed),
            direct: parts::direct(&config, &parts, &mut random, &mut inboxes),
            raw_echo: parts::raw_echo(&config, &parts),
            cluster,
            canaries: Canaries::new(random.u64(..)),
            inboxes: Mutex::new(inboxes),
            config,
        };
        Ok(shared)
    }

    /// What the bus brings, until somebody takes it.
    pub(crate) fn inboxes(&self) -> MutexGuard<'_, Inboxes> {
        self.inboxes
            .lock()
            .expect("the inboxes' lock is never poisoned: no code panics while holding it")
    }

    /// The relays of every dialect.
    fn relays(&self) -> [(Dialect, &Relays); 5] {
        let of = |dialect: Dialect| match dialect {
            Dialect::Echo => &self.echo.dialect.relays,
            Dialect::Rooms => &self.rooms.dialect.backing.relays,
            Dialect::Outbox => &self.outbox.dialect.backing.relays,
            Dialect::Feed => &self.feed.dialect.backing.relays,
            Dialect::Direct => &self.direct.dialect.backing.relays,
        };
        [
            Dialect::Echo,
            Dialect::Rooms,
            Dialect::Outbox,
            Dialect::Feed,
            Dialect::Direct,
        ]
        .map(|dialect| (dialect, of(dialect)))
    }

    /// From now on one can find out what the relays have handed on.
    pub(crate) async fn watch_relays(&self) -> Result<(), BusError> {
        for (_, relays) in self.relays() {
            relays.tune_marks(&self.cluster.bus).await?;
        }
        Ok(())
    }

    /// Returns once everything that was published before has been handed on, by every relay.
    pub(crate) async fn all_handed_on(&self) -> Result<(), BusError> {
        for (_, relays) in self.relays() {
            relays.all_handed_on(&self.cluster.bus).await?;
        }
        Ok(())
    }

    /// A served dialect that lets nobody new in.
    pub(crate) fn draining(&self) -> Option<Dialect> {
        let has_begun = |dialect: &Dialect| match dialect {
            Dialect::Echo => self.echo.draining.has_begun(),
            Dialect::Rooms => self.rooms.draining.has_begun(),
            Dialect::Outbox => self.outbox.draining.has_begun(),
            Dialect::Feed => self.feed.draining.has_begun(),
            Dialect::Direct => self.direct.draining.has_begun(),
        };
        self.config.dialects.iter().copied().find(has_begun)
    }

    /// Whether what is stored is kept and what is published arrives.
    pub(crate) async fn look(&self) -> Result<(), NotReady> {
        let now = self.echo.dialect.clock.now();
        self.canaries
            .look(&self.store, &self.relays(), &self.cluster.bus, now)
            .await
    }

    /// How often connections have come or gone so far.
    pub(crate) fn comings_and_goings(&self) -> u64 {
        let dialects = [
            &self.echo.terms.metrics,
            &self.rooms.terms.metrics,
            &self.outbox.terms.metrics,
            &self.feed.terms.metrics,
            &self.direct.terms.metrics,
        ];
        dialects
            .iter()
            .map(|metrics| metrics.opened.get() + metrics.closed.get())
            .sum()
    }

    /// Forgets what is still planned for connections that have gone.
    pub(crate) fn forget_gone(&self) {
        let heartbeats = [
            &self.echo.heartbeats,
            &self.feed.heartbeats,
            &self.direct.heartbeats,
        ];
        for heartbeats in heartbeats.into_iter().flatten() {
            heartbeats.forget_gone();
        }
    }

    /// How many connections speak HTTP just now.
    pub(crate) fn http_connections(&self) -> usize {
        let free = self.http_permits.available_permits();
        self.config.limits.http_connections.saturating_sub(free)
    }

    /// Sets the gauges of what is only known when one looks.
    pub(crate) fn measure(&self) {
        let dialects = [
            (&self.echo.hub, &self.echo.terms.metrics),
            (&self.rooms.hub, &self.rooms.terms.metrics),
            (&self.outbox.hub, &self.outbox.terms.metrics),
            (&self.feed.hub, &self.feed.terms.metrics),
            (&self.direct.hub, &self.direct.terms.metrics),
        ];
        let raw_echo = self
            .raw_echo
            .as_ref()
            .map(|route| (&route.hub, &route.terms.metrics));
        for (hub, metrics) in dialects.into_iter().chain(raw_echo) {
            metrics.measure(hub);
        }
        for ((_, relays), (_, metrics)) in self.relays().into_iter().zip(dialects) {
            metrics.inbox.set(relays.waiting() as i64);
        }
    }

    /// The connections of every route.
    pub(crate) fn hubs(&self) -> impl Iterator<Item = &Arc<Hub>> {
        let dialects = [
            &self.echo.hub,
            &self.rooms.hub,
            &self.outbox.hub,
            &self.feed.hub,
            &self.direct.hub,
        ];
        let raw_echo = self.raw_echo.as_ref().map(|route| &route.hub);
        dialects.into_iter().chain(raw_echo)
    }
}
