//! How the dialects are put together: the terms of their connections, what they stand on, and their own settings.

use std::sync::Arc;
use std::time::Duration;

use touchstone_protocol as protocol;
use touchstone_protocol::close::CloseCode;
use touchstone_storage::{ChosenBus, ChosenPresence, ChosenStore, Inbox};
use touchstone_wire as wire;

use crate::auth::{Passwords, Tokens, TrustedKeys};
use crate::backing::{Backing, Chosen};
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
use crate::relay::Relays;
use crate::route::Route;
use crate::stop::Stopping;
use crate::watched::Watched;

/// What the raw echo may hold back for one peer beside the longest message: the answers to what one read brings.
const RAW_ECHO_QUEUE_BYTES: usize = 1 << 20;

/// How long a peer of the raw echo may take nothing of what waits for it: longer than a suite pauses between two reads.
const RAW_ECHO_PATIENCE: Duration = Duration::from_secs(30);

/// The store and the bus of `echo` in this build.
pub(crate) type EchoServer = Echo<Faulty<Kept>, ChosenBus>;

pub(crate) type RoomsServer = Rooms<ChosenStore, ChosenBus, ChosenPresence>;
pub(crate) type OutboxServer = Outbox<ChosenStore, ChosenBus, ChosenPresence>;
pub(crate) type FeedServer = Feed<ChosenStore, ChosenBus, ChosenPresence>;
pub(crate) type DirectServer = Direct<ChosenStore, ChosenBus, ChosenPresence>;

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
pub(crate) struct Parts {
    pub(crate) store: Arc<Watched<ChosenStore>>,
    pub(crate) cluster: Cluster,
    pub(crate) trusted: Arc<TrustedKeys>,
    pub(crate) passwords: Passwords,
    pub(crate) clock: Clock,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) faults: Arc<Faults>,
    pub(crate) stopping: Arc<Stopping>,
    pub(crate) numbers: Arc<Numbers>,
    pub(crate) budget: Arc<Budget>,
    pub(crate) deflation: Option<Deflation>,
}

impl Parts {
    fn backing(&self, config: &Config, auth: &DialectAuth) -> (Chosen, Vec<Inbox>) {
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

pub(crate) fn echo(
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

pub(crate) fn rooms(config: &Config, parts: &Parts, inboxes: &mut Vec<Inbox>) -> Arc<Route<RoomsServer>> {
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

pub(crate) fn outbox(
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

pub(crate) fn feed(
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

pub(crate) fn direct(
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

pub(crate) fn raw_echo(config: &Config, parts: &Parts) -> Option<Arc<Route<RawEcho>>> {
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
