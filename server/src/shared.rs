//! What the server's parts share, put together from the configuration. This is where store and bus are chosen.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use touchstone_protocol as protocol;
use touchstone_protocol::Dialect;
use touchstone_protocol::close::CloseCode;
use touchstone_storage::{BusError, Inbox, LocalBus, LocalPresence, Sqlite};
use touchstone_wire as wire;

use crate::admission::Admission;
use crate::auth::{Passwords, Tokens, TrustedKeys};
use crate::backing::{Backing, Embedded};
use crate::budget::Budget;
use crate::clock::Clock;
use crate::cluster::Cluster;
use crate::config::{Config, DialectAuth, Rate};
use crate::connection::{Close, Deflation, Numbers, OwnAnswers, QueueLimits, Terms};
use crate::dialects::direct::{self, Direct};
use crate::dialects::echo::{Echo, Kept, Sessions};
use crate::dialects::feed::Feed;
use crate::dialects::outbox::Outbox;
use crate::dialects::raw_echo::RawEcho;
use crate::dialects::rooms::Rooms;
use crate::drain::Draining;
use crate::faults::{Faults, Faulty};
use crate::heartbeat::{Answers, Heartbeats, Otherwise};
use crate::hub::Hub;
use crate::metrics::{Metrics, Spoken};
use crate::readiness::{Canaries, NotReady};
use crate::relay::Relays;
use crate::route::Route;
use crate::server::StartError;
use crate::stop::Stopping;
use crate::tls::Certificates;
use crate::watched::Watched;

/// What the raw echo may hold back for one peer beside the longest message: the answers to what one read brings.
const RAW_ECHO_QUEUE_BYTES: usize = 1 << 20;

/// How long a peer of the raw echo may take nothing of what waits for it: longer than a suite pauses between two reads.
const RAW_ECHO_PATIENCE: Duration = Duration::from_secs(30);

/// The store and the bus of `echo` in this build.
pub(crate) type EchoServer = Echo<Faulty<Kept>, LocalBus>;

pub(crate) type RoomsServer = Rooms<Sqlite, LocalBus, LocalPresence>;
type OutboxServer = Outbox<Sqlite, LocalBus, LocalPresence>;
type FeedServer = Feed<Sqlite, LocalBus, LocalPresence>;
type DirectServer = Direct<Sqlite, LocalBus, LocalPresence>;

/// What the server's parts share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) faults: Arc<Faults>,
    pub(crate) stopping: Arc<Stopping>,
    pub(crate) admission: Admission,
    /// Owns the answers of the dialects' endpoints.
    pub(crate) answers: TaskTracker,
    /// Owns the tasks of all WebSocket connections.
    pub(crate) conversations: TaskTracker,
    /// Connections that hear their peers, or have yet to do what these have said.
    pub(crate) hearing: TaskTracker,
    /// Owns what an administrator set going, until `ending`.
    pub(crate) errands: TaskTracker,
    /// The server stops, and errands end.
    pub(crate) ending: CancellationToken,
    pub(crate) store: Arc<Watched<Sqlite>>,
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

/// The inboxes of each dialect's relays, and what else waits for somebody to do it.
#[derive(Debug, Default)]
pub(crate) struct Inboxes {
    pub(crate) echo: Vec<Inbox>,
    pub(crate) rooms: Vec<Inbox>,
    pub(crate) outbox: Vec<Inbox>,
    pub(crate) feed: Vec<Inbox>,
    pub(crate) direct: Vec<Inbox>,
    pub(crate) direct_work: Option<direct::Work>,
}

/// What is put into every dialect.
struct Parts {
    store: Arc<Watched<Sqlite>>,
    cluster: Cluster,
    trusted: Arc<TrustedKeys>,
    passwords: Passwords,
    clock: Clock,
    metrics: Arc<Metrics>,
    faults: Arc<Faults>,
    stopping: Arc<Stopping>,
    numbers: Arc<Numbers>,
    budget: Arc<Budget>,
    deflation: Option<Deflation>,
}

impl Parts {
    fn backing(&self, config: &Config, auth: &DialectAuth) -> (Embedded, Vec<Inbox>) {
        let (relays, inboxes) = Relays::new();
        let backing = Backing {
            store: Arc::clone(&self.store),
            bus: self.cluster.bus.clone(),
            presence: self.cluster.presence.clone(),
            relays,
            tokens: Tokens::new(&config.auth, auth, Arc::clone(&self.trusted)),
            passwords: self.passwords.clone(),
            clock: self.clock,
            metrics: Arc::clone(&self.metrics),
            faults: Arc::clone(&self.faults),
            presence_terms: config.presence.clone(),
            told_bytes_max: config.limits.told_bytes_max(),
            stopping: Arc::clone(&self.stopping),
        };
        (backing, inboxes)
    }

    /// What holds for the connections of a dialect in which text is spoken.
    fn terms(
        &self,
        config: &Config,
        spoken: Spoken,
        rate: Option<Rate>,
        expired: (CloseCode, &str),
    ) -> Terms {
        let limits = &config.limits;
        Terms {
            rules: wire::Rules {
                message_bytes_max: limits.message_bytes,
                binary: wire::Binary::Refused,
            },
            queue: QueueLimits {
                bytes: limits.queue_bytes,
                frames: limits.queue_frames,
            },
            rate,
            deflation: self.deflation.clone(),
            close_deadline: config.deadlines.close,
            own_answers: OwnAnswers::Limited,
            expired: config
                .auth
                .close_on_expiry
                .then(|| Close::new(expired.0, expired.1)),
            numbers: Arc::clone(&self.numbers),
            clock: self.clock,
            budget: Arc::clone(&self.budget),
            metrics: self.metrics.of(spoken),
            errors: None,
        }
    }
}

impl Shared {
    /// Everything at its beginning, of a node that is alone.
    ///
    /// # Errors
    /// The store cannot be opened, or a file with keys or a certificate not be used.
    pub(crate) fn new(config: Config, random: fastrand::Rng) -> Result<Self, StartError> {
        let cluster = Cluster::open(&config)?;
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
            echo: echo(&config, &parts, &mut random, &mut inboxes.echo),
            rooms: rooms(&config, &parts, &mut inboxes.rooms),
            outbox: outbox(&config, &parts, &mut random, &mut inboxes.outbox),
            feed: feed(&config, &parts, &mut random, &mut inboxes.feed),
            direct: direct(&config, &parts, &mut random, &mut inboxes),
            raw_echo: raw_echo(&config, &parts),
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

    /// How many connections have ended so far.
    pub(crate) fn connections_gone(&self) -> u64 {
        let dialects = [
            &self.echo.terms.metrics,
            &self.rooms.terms.metrics,
            &self.outbox.terms.metrics,
            &self.feed.terms.metrics,
            &self.direct.terms.metrics,
        ];
        dialects.iter().map(|metrics| metrics.closed.get()).sum()
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

fn echo(
    config: &Config,
    parts: &Parts,
    random: &mut fastrand::Rng,
    inboxes: &mut Vec<Inbox>,
) -> Arc<Route<EchoServer>> {
    let sessions = parts.cluster.sessions.clone();
    let store = Faulty::new(sessions, Arc::clone(&parts.faults));
    let ttl = config.echo.session_ttl;
    let deadline = config.echo.store_deadline;
    let (relays, heard) = Relays::new();
    *inboxes = heard;
    let hub = Hub::new();
    let mut terms = parts.terms(
        config,
        Spoken::Dialect(protocol::Dialect::Echo),
        config.echo.rate,
        (CloseCode::NORMAL, ""),
    );
    terms.rules.binary = wire::Binary::Accepted;
    terms.expired = None;
    terms.errors = Some(parts.metrics.errors.clone());
    Arc::new(Route {
        dialect: Arc::new(Echo {
            sessions: Arc::new(Sessions::new(store, deadline, ttl, Arc::clone(&parts.metrics))),
            bus: parts.cluster.bus.clone(),
            relays,
            hub: Arc::clone(&hub),
            clock: parts.clock,
            metrics: Arc::clone(&parts.metrics),
            faults: Arc::clone(&parts.faults),
            session_id_chars_max: config.echo.session_id_chars,
            log_messages: config.log_messages,
            told_bytes_max: config.limits.told_bytes_max(),
        }),
        heartbeats: Some(Arc::new(Heartbeats::new(
            Arc::clone(&hub),
            config.echo.heartbeat_interval,
            Answers::NotAwaited,
            random.fork(),
        ))),
        hub,
        terms: Arc::new(terms),
        draining: Draining::default(),
    })
}

fn rooms(config: &Config, parts: &Parts, inboxes: &mut Vec<Inbox>) -> Arc<Route<RoomsServer>> {
    let (backing, heard) = parts.backing(config, &config.rooms.auth);
    *inboxes = heard;
    let mut terms = parts.terms(
        config,
        Spoken::Dialect(protocol::Dialect::Rooms),
        config.rooms.rate,
        (protocol::rooms::CLOSE_REFUSED, "token expired"),
    );
    // A newcomer's history is one message, and has to fit whatever was said.
    terms.queue.bytes += config.rooms.history_messages * config.limits.message_bytes;
    Arc::new(Route {
        dialect: Arc::new(Rooms::new(backing, config.rooms.clone())),
        hub: Hub::new(),
        heartbeats: None,
        terms: Arc::new(terms),
        draining: Draining::default(),
    })
}

fn outbox(
    config: &Config,
    parts: &Parts,
    random: &mut fastrand::Rng,
    inboxes: &mut Vec<Inbox>,
) -> Arc<Route<OutboxServer>> {
    let (backing, heard) = parts.backing(config, &config.outbox.auth);
    *inboxes = heard;
    let expired = (protocol::outbox::CLOSE_INVALID_TOKEN, "token expired");
    Arc::new(Route {
        dialect: Arc::new(Outbox::new(backing, config.outbox.clone(), random.fork())),
        hub: Hub::new(),
        heartbeats: None,
        terms: Arc::new(parts.terms(
            config,
            Spoken::Dialect(protocol::Dialect::Outbox),
            config.outbox.rate,
            expired,
        )),
        draining: Draining::default(),
    })
}

fn feed(
    config: &Config,
    parts: &Parts,
    random: &mut fastrand::Rng,
    inboxes: &mut Vec<Inbox>,
) -> Arc<Route<FeedServer>> {
    let (relays, heard) = Relays::single();
    let (backing, _) = parts.backing(config, &config.feed.auth);
    let backing = Backing { relays, ..backing };
    *inboxes = heard;
    let expired = (protocol::feed::CLOSE_UNAUTHENTICATED, "token expired");
    let missed = Close::new(
        protocol::feed::CLOSE_HEARTBEAT_MISSED,
        protocol::feed::REASON_HEARTBEAT_MISSED,
    );
    let answers = Answers::Awaited {
        timeout: config.feed.heartbeat_timeout,
        otherwise: Otherwise::Close(missed),
    };
    let hub = Hub::new();
    Arc::new(Route {
        dialect: Arc::new(Feed::new(backing, config.feed.clone())),
        heartbeats: Some(Arc::new(Heartbeats::new(
            Arc::clone(&hub),
            config.feed.heartbeat_interval,
            answers,
            random.fork(),
        ))),
        hub,
        terms: Arc::new(parts.terms(
            config,
            Spoken::Dialect(protocol::Dialect::Feed),
            config.feed.rate,
            expired,
        )),
        draining: Draining::default(),
    })
}

fn direct(
    config: &Config,
    parts: &Parts,
    random: &mut fastrand::Rng,
    inboxes: &mut Inboxes,
) -> Arc<Route<DirectServer>> {
    let (backing, heard) = parts.backing(config, &config.direct.auth);
    inboxes.direct = heard;
    let (dialect, work) = Direct::new(backing, config.direct.clone(), random.u64(..));
    inboxes.direct_work = Some(work);
    let expired = (
        protocol::direct::CLOSE_INVALID_TOKEN,
        protocol::direct::REASON_INVALID_TOKEN,
    );
    let answers = Answers::Awaited {
        timeout: config.direct.heartbeat_timeout,
        otherwise: Otherwise::Terminate,
    };
    let hub = Hub::new();
    Arc::new(Route {
        dialect: Arc::new(dialect),
        heartbeats: Some(Arc::new(Heartbeats::new(
            Arc::clone(&hub),
            config.direct.heartbeat_interval,
            answers,
            random.fork(),
        ))),
        hub,
        terms: Arc::new(parts.terms(
            config,
            Spoken::Dialect(protocol::Dialect::Direct),
            config.direct.rate,
            expired,
        )),
        draining: Draining::default(),
    })
}

fn raw_echo(config: &Config, parts: &Parts) -> Option<Arc<Route<RawEcho>>> {
    config.raw_echo.as_ref()?;
    let bytes = config.limits.raw_echo_bytes;
    let mut terms = parts.terms(config, Spoken::RawEcho, None, (CloseCode::NORMAL, ""));
    terms.rules = wire::Rules {
        message_bytes_max: bytes,
        binary: wire::Binary::Accepted,
    };
    terms.queue = QueueLimits {
        bytes: bytes + RAW_ECHO_QUEUE_BYTES,
        frames: usize::MAX,
    };
    terms.own_answers = OwnAnswers::HeldBack {
        patience: RAW_ECHO_PATIENCE,
    };
    terms.expired = None;
    Some(Arc::new(Route {
        dialect: Arc::new(RawEcho),
        hub: Hub::new(),
        heartbeats: None,
        terms: Arc::new(terms),
        draining: Draining::default(),
    }))
}
