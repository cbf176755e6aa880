//! The server as a whole: what its parts share, and its life from the first bind to the last goodbye.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use touchstone_protocol::{Dialect, routes};
use touchstone_storage::{EmbeddedSessions, LocalBus};
use touchstone_wire as wire;

use crate::clock::Clock;
use crate::config::Config;
use crate::connection::{OwnAnswers, QueueLimits, Terms};
use crate::dialects::echo::{Echo, Sessions};
use crate::dialects::raw_echo::RawEcho;
use crate::faults::{Faults, Faulty};
use crate::heartbeat::Heartbeats;
use crate::http::{self, Purpose, Reach};
use crate::hub::Hub;
use crate::listen::{self, Acceptor};
use crate::metrics::Metrics;
use crate::route::Route;
use crate::slots::Slots;
use crate::stop::Stopping;
use crate::upgrade::HttpTerms;

/// The least hyper's buffer may be limited to.
const HANDSHAKE_BYTES_MIN: usize = 8 << 10;

/// What the raw echo may hold back for one peer beside the longest message: the answers to what one read brings.
const RAW_ECHO_QUEUE_BYTES: usize = 1 << 20;

/// Sweeps of the embedded store in the life of a session.
const SWEEPS_PER_TTL: u32 = 10;
const SWEEP_PAUSE_MIN: Duration = Duration::from_millis(100);

/// Part of the grace period that connections get; the rest is for what comes after them.
const GRACE_FOR_CONNECTIONS: f64 = 0.8;

/// The store and the bus of this build.
pub(crate) type Store = Faulty<EmbeddedSessions>;
type EchoServer = Echo<Store, LocalBus>;

/// Why a server did not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// Somebody else has the address, or it isn't ours to take.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Where it was tried.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// A server that listens nowhere serves nobody.
    #[error("there is no address to listen on")]
    NoAddress,
    /// The path of the raw echo is not one, or is taken.
    #[error("the raw echo cannot be at `{path}`: {why}")]
    RawEchoPath {
        /// The path asked for.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A limit or a duration that cannot work.
    #[error("`{key}` must be {wanted}")]
    Setting {
        /// The key of the configuration.
        key: &'static str,
        /// What would do.
        wanted: &'static str,
    },
}

/// How a stop went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped {
    /// Connections that had not ended when the grace period was over.
    pub connections_left: usize,
    /// Sessions whose last state could not be stored, because the store was away.
    pub sessions_unsaved: usize,
}

/// A server that listens, but doesn't accept yet.
#[derive(Debug)]
pub struct Server {
    listeners: Vec<(SocketAddr, TcpListener)>,
    admin_listener: Option<(SocketAddr, TcpListener)>,
    shared: Arc<Shared>,
}

/// What the server's parts share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) faults: Arc<Faults>,
    pub(crate) stopping: Arc<Stopping>,
    pub(crate) slots: Arc<Slots>,
    /// Owns the tasks of all WebSocket connections.
    pub(crate) conversations: TaskTracker,
    pub(crate) echo: Arc<Route<EchoServer>>,
    pub(crate) raw_echo: Option<Arc<Route<RawEcho>>>,
}

impl Server {
    /// Takes the addresses. From now on clients can connect; they are answered once [`run`](Self::run) is called.
    ///
    /// # Errors
    /// If a setting cannot work or an address cannot be had. To be called inside a tokio runtime.
    pub fn bind(config: Config) -> Result<Self, StartError> {
        check(&config)?;
        let bind = |address: SocketAddr| {
            let bound = listen::bind(address).and_then(|listener| Ok((listener.local_addr()?, listener)));
            bound.map_err(|source| StartError::Listen { address, source })
        };
        let listeners = config
            .listen
            .iter()
            .copied()
            .map(bind)
            .collect::<Result<Vec<_>, _>>()?;
        let admin_listener = config.admin_listen.map(bind).transpose()?;
        let shared = Arc::new(Shared::new(config, fastrand::Rng::new()));
        Ok(Self {
            listeners,
            admin_listener,
            shared,
        })
    }

    /// Where it listens, in the order of the configuration, with the ports that were free.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.iter().map(|(address, _)| *address).collect()
    }

    /// Where metrics, health and the admin API are, if they have a listener of their own.
    #[must_use]
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin_listener.as_ref().map(|(address, _)| *address)
    }

    /// Serves until `stop`, then stops gracefully: nothing new is accepted, what is in hand is finished, every
    /// connection hears its farewell and is closed 1001, all within the grace period (common/6a).
    pub async fn run(self, stop: CancellationToken) -> Stopped {
        let Self {
            listeners,
            admin_listener,
            shared,
        } = self;
        let (upkeep, requests) = (TaskTracker::new(), TaskTracker::new());
        let end_upkeep = CancellationToken::new();
        shared.start_upkeep(&upkeep, &end_upkeep).await;
        let permits = Arc::new(Semaphore::new(shared.config.limits.http_connections));
        let terms = HttpTerms {
            header_deadline: shared.config.deadlines.handshake,
            header_bytes_max: shared.config.limits.handshake_bytes,
        };
        let purpose = if admin_listener.is_some() {
            Purpose::Dialects
        } else {
            Purpose::All
        };
        let listeners = listeners
            .into_iter()
            .map(|(address, listener)| (address, listener, purpose));
        let admin = admin_listener.map(|(address, listener)| (address, listener, Purpose::Admin));
        for (address, listener, purpose) in listeners.chain(admin) {
            let reach = if address.ip().is_loopback() {
                Reach::Loopback
            } else {
                Reach::Network
            };
            let acceptor = Acceptor {
                listener,
                router: http::router(&shared, purpose, reach),
                terms,
                permits: Arc::clone(&permits),
                tracker: requests.clone(),
            };
            requests.spawn(acceptor.run(stop.child_token()));
            tracing::info!(%address, ?purpose, "listening");
        }
        stop.cancelled().await;
        let patience = Instant::now() + shared.config.deadlines.grace;
        let connections_left = shared.say_goodbye(&requests).await;
        // The mender first: two of them would be in each other's way.
        end_upkeep.cancel();
        upkeep.close();
        if tokio::time::timeout_at(patience, upkeep.wait()).await.is_err() {
            tracing::warn!("the grace period is over before the upkeep has ended");
        }
        let sessions_unsaved = shared.echo.dialect.sessions.mend_at_last(patience).await;
        tracing::info!(connections_left, sessions_unsaved, "stopped");
        Stopped {
            connections_left,
            sessions_unsaved,
        }
    }
}

impl Shared {
    fn new(config: Config, mut random: fastrand::Rng) -> Self {
        let metrics = Arc::new(Metrics::new());
        let faults = Arc::new(Faults::default());
        let stopping = Arc::new(Stopping::new(random.usize(0..10)));
        let limits = &config.limits;
        let queue = QueueLimits {
            bytes: limits.queue_bytes,
            frames: limits.queue_frames,
        };
        let terms = |message_bytes_max, queue, own_answers| {
            Arc::new(Terms {
                rules: wire::Rules {
                    message_bytes_max,
                    binary: wire::Binary::Accepted,
                },
                queue,
                rate: config.echo.rate,
                close_deadline: config.deadlines.close,
                own_answers,
                stopping: Arc::clone(&stopping),
                metrics: Arc::clone(&metrics),
            })
        };
        let store = EmbeddedSessions::new(config.echo.session_ttl, config.echo.embedded);
        let store = Faulty::new(store, Arc::clone(&faults));
        let (deadline, ttl) = (config.echo.store_deadline, config.echo.session_ttl);
        let echo = Arc::new(Route {
            dialect: Arc::new(Echo {
                sessions: Arc::new(Sessions::new(store, deadline, ttl, Arc::clone(&metrics))),
                bus: LocalBus::default(),
                clock: Clock::start(),
                metrics: Arc::clone(&metrics),
                faults: Arc::clone(&faults),
                session_id_chars_max: config.echo.session_id_chars,
                log_messages: config.log_messages,
            }),
            hub: Hub::new(),
            heartbeats: Some(Arc::new(Heartbeats::new(
                config.echo.heartbeat_interval,
                random.fork(),
            ))),
            terms: terms(limits.message_bytes, queue, OwnAnswers::Limited),
        });
        let raw_bytes = limits.raw_echo_bytes;
        let raw_queue = QueueLimits {
            bytes: raw_bytes + RAW_ECHO_QUEUE_BYTES,
            frames: usize::MAX,
        };
        let raw_echo = config.raw_echo.as_ref().map(|_| {
            Arc::new(Route {
                dialect: Arc::new(RawEcho),
                hub: Hub::new(),
                heartbeats: None,
                terms: terms(raw_bytes, raw_queue, OwnAnswers::HeldBack),
            })
        });
        let slots = Slots::new(limits.connections);
        let conversations = TaskTracker::new();
        Self {
            config,
            metrics,
            faults,
            stopping,
            slots,
            conversations,
            echo,
            raw_echo,
        }
    }

    /// Starts what goes on beside the connections. All of it ends with `end`.
    async fn start_upkeep(self: &Arc<Self>, tracker: &TaskTracker, end: &CancellationToken) {
        let echo = &self.echo;
        let sessions = Arc::clone(&echo.dialect.sessions);
        let stop = end.clone();
        tracker.spawn(async move { sessions.mend(stop).await });
        let sessions = Arc::clone(&echo.dialect.sessions);
        let stop = end.clone();
        tracker.spawn(async move { sessions.keep_up(stop).await });
        let (sessions, stop) = (Arc::clone(&echo.dialect.sessions), end.clone());
        let pause = (self.config.echo.session_ttl / SWEEPS_PER_TTL).max(SWEEP_PAUSE_MIN);
        tracker.spawn(async move {
            while stop
                .run_until_cancelled(tokio::time::sleep(pause))
                .await
                .is_some()
            {
                sessions.store().inner().sweep();
            }
        });
        match echo.dialect.subscribe().await {
            Ok(broadcasts) => {
                let (route, stop) = (Arc::clone(echo), end.clone());
                tracker.spawn(async move { route.dialect.relay(broadcasts, &route.hub, stop).await });
            }
            Err(error) => tracing::error!(%error, "broadcasts are not heard"),
        }
        if let Some(heartbeats) = &echo.heartbeats {
            let (heartbeats, route, stop) = (Arc::clone(heartbeats), Arc::clone(echo), end.clone());
            tracker.spawn(async move {
                let sent = |taken| {
                    route.dialect.metrics.messages_sent.inc_by(taken);
                };
                heartbeats.run(|| route.dialect.heartbeat(), sent, stop).await;
            });
        }
    }

    /// Lets nobody in any more and sees everybody off. Returns how many had not ended when their time was over.
    async fn say_goodbye(&self, requests: &TaskTracker) -> usize {
        let patience = Instant::now() + self.config.deadlines.grace.mul_f64(GRACE_FOR_CONNECTIONS);
        self.stopping.begin();
        tracing::info!(connections = self.conversations.len(), "stopping");
        self.echo
            .hub
            .for_each(|connection| connection.stop(self.stopping.advice()));
        if let Some(raw_echo) = &self.raw_echo {
            raw_echo
                .hub
                .for_each(|connection| connection.stop(self.stopping.advice()));
        }
        requests.close();
        let answered = tokio::time::timeout_at(patience, requests.wait()).await.is_ok();
        self.conversations.close();
        let ended = tokio::time::timeout_at(patience, self.conversations.wait())
            .await
            .is_ok();
        if !answered || !ended {
            let connections = self.conversations.len();
            tracing::warn!(connections, "the time for goodbyes is over");
        }
        self.conversations.len()
    }
}

fn check(config: &Config) -> Result<(), StartError> {
    if config.listen.is_empty() {
        return Err(StartError::NoAddress);
    }
    let positive = "more than nothing";
    let settings = [
        (
            config.limits.handshake_bytes >= HANDSHAKE_BYTES_MIN,
            "limits.handshake_bytes",
            "at least 8192",
        ),
        (
            config.limits.http_connections <= Semaphore::MAX_PERMITS,
            "limits.http_connections",
            "a smaller number",
        ),
        (
            !config.echo.heartbeat_interval.is_zero(),
            "echo.heartbeat.interval",
            positive,
        ),
        (!config.echo.session_ttl.is_zero(), "echo.session.ttl", positive),
        (
            !config.echo.store_deadline.is_zero(),
            "echo.store.deadline",
            positive,
        ),
    ];
    for (works, key, wanted) in settings {
        if !works {
            return Err(StartError::Setting { key, wanted });
        }
    }
    let Some(path) = &config.raw_echo else {
        return Ok(());
    };
    let taken = Dialect::ALL.iter().any(|dialect| {
        let websocket = routes::websocket(*dialect);
        *path == websocket
            || path.starts_with(&routes::prefixed(*dialect, "/"))
            || path.starts_with(routes::http_root(*dialect))
    });
    let why = if !path.starts_with('/') {
        "a path starts with a slash"
    } else if !path
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && !b"{}*?#%".contains(&byte))
    {
        "it has a character that a plain path does not have"
    } else if taken
        || path.starts_with("/admin")
        || ["/metrics", "/healthz", "/readyz"].contains(&path.as_str())
    {
        "something else is there"
    } else {
        return Ok(());
    };
    Err(StartError::RawEchoPath {
        path: path.clone(),
        why,
    })
}
