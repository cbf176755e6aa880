//! The server's life, from the first bind to the last goodbye.

use std::net::SocketAddr;
use std::sync::Arc;

use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use touchstone_protocol::{Dialect, routes};

use crate::admin::{self, TrialUser};
use crate::auth::KeyFileError;
use crate::clock::Clock;
use crate::cluster::ClusterError;
use crate::config::Config;
use crate::drain::{self, Scope};
use crate::http::{self, Purpose, Reach};
use crate::listen::{self, Acceptor};
use crate::memory;
use crate::shared::Shared;
use crate::stop::Parting;
use crate::tls::TlsError;
use crate::upgrade::HttpTerms;
use crate::upkeep::Upkeep;

/// The least hyper's buffer may be limited to.
const HANDSHAKE_BYTES_MIN: usize = 8 << 10;

/// Part of the grace period in which what is in hand is to be done: with the default, longer than a call of the store may
/// take.
const GRACE_FOR_WHAT_IS_IN_HAND: f64 = 0.6;

/// Part of the grace period after which no connection is waited for; the rest is for what comes after them.
const GRACE_FOR_CONNECTIONS: f64 = 0.8;

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
    /// The store cannot be opened.
    #[error(transparent)]
    Store(Box<ClusterError>),
    /// A file with keys for tokens cannot be used.
    #[error(transparent)]
    Keys(#[from] KeyFileError),
    /// The certificate or its key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A limit or a duration that cannot work.
    #[error("`{key}` must be {wanted}")]
    Setting {
        /// The key of the configuration.
        key: &'static str,
        /// What would do.
        wanted: &'static str,
    },
}

impl From<ClusterError> for StartError {
    fn from(error: ClusterError) -> Self {
        Self::Store(Box::new(error))
    }
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

/// Begins a drain: nobody new is let in, and every connection is closed 1012, spread over the configured window, while
/// those not yet closed go on working (common/6c).
#[derive(Debug, Clone)]
pub struct Drain(Arc<Shared>);

impl Drain {
    /// Begins it. To be called inside the runtime of a server that runs.
    pub fn begin(&self) {
        drain::begin(&self.0, Scope::Everything, self.0.config.deadlines.drain);
    }
}

/// Reads the files again that may change while the server runs: those with keys for tokens, and those of TLS.
#[derive(Debug, Clone)]
pub struct Reload(Arc<Shared>);

impl Reload {
    /// Reads them. A file that cannot be used is logged, and what came of it before stays in use.
    pub fn now(&self) {
        match self.0.trusted.read_again(&self.0.config.auth) {
            Ok(keys) => tracing::info!(keys, "the keys for tokens have been read again"),
            Err(error) => tracing::error!(%error, "the keys for tokens stay what they are"),
        }
        match &self.0.certificates {
            None => {}
            Some(certificates) => match certificates.read_again(Clock::start().now()) {
                Ok(()) => tracing::info!("the certificate has been read again"),
                Err(error) => tracing::error!(%error, "the certificate stays what it is"),
            },
        }
    }
}

/// What a server has taken before anybody serves there.
struct Addresses {
    listeners: Vec<(SocketAddr, TcpListener)>,
    admin_listener: Option<(SocketAddr, TcpListener)>,
}

impl Addresses {
    fn bind(config: &Config) -> Result<Self, StartError> {
        check(config)?;
        memory::keep_nothing_large();
        let bind = |address: SocketAddr| {
            let bound = listen::bind(address).and_then(|listener| Ok((listener.local_addr()?, listener)));
            bound.map_err(|source| StartError::Listen { address, source })
        };
        Ok(Self {
            listeners: config
                .listen
                .iter()
                .copied()
                .map(bind)
                .collect::<Result<_, _>>()?,
            admin_listener: config.admin_listen.map(bind).transpose()?,
        })
    }

    fn served_by(self, shared: Shared) -> Server {
        Server {
            listeners: self.listeners,
            admin_listener: self.admin_listener,
            shared: Arc::new(shared),
        }
    }
}

impl Server {
    /// Takes the addresses. From now on clients can connect; they are answered once [`run`](Self::run) is called.
    ///
    /// # Errors
    /// If a setting cannot work or an address cannot be had. To be called inside a tokio runtime.
    pub async fn bind(config: Config) -> Result<Self, StartError> {
        let addresses = Addresses::bind(&config)?;
        let shared = Shared::new(config, fastrand::Rng::new()).await?;
        Ok(addresses.served_by(shared))
    }

    /// The same for one more node in this process: what one of them stores and tells, the other has and hears.
    ///
    /// # Errors
    /// As those of [`bind`](Self::bind).
    pub fn bind_beside(&self, config: Config) -> Result<Self, StartError> {
        let addresses = Addresses::bind(&config)?;
        let shared = Shared::beside(&self.shared, config, fastrand::Rng::new())?;
        Ok(addresses.served_by(shared))
    }

    /// Where it listens, in the order of the configuration, with the ports that were free.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.iter().map(|(address, _)| *address).collect()
    }

    /// Makes users of every dialect that is served, for trying it out.
    pub async fn make_trial_users(&self) -> Vec<TrialUser> {
        admin::make_trial_users(&self.shared).await
    }

    /// Where metrics, health and the admin API are, if they have a listener of their own.
    #[must_use]
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin_listener.as_ref().map(|(address, _)| *address)
    }

    /// By which a drain is begun from outside.
    #[must_use]
    pub fn drain(&self) -> Drain {
        Drain(Arc::clone(&self.shared))
    }

    /// By which files are read again.
    #[must_use]
    pub fn reload(&self) -> Reload {
        Reload(Arc::clone(&self.shared))
    }

    /// Serves until `stop`, then stops gracefully: nothing new is accepted and nothing more is heard, what is in hand is
    /// finished and told, then every connection hears its farewell and is closed 1001, all within the grace period
    /// (common/6a).
    pub async fn run(self, stop: CancellationToken) -> Stopped {
        let Self {
            listeners,
            admin_listener,
            shared,
        } = self;
        let upkeep = Upkeep::start(&shared).await;
        let requests = TaskTracker::new();
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
                certificates: shared.certificates.clone(),
                permits: Arc::clone(&shared.http_permits),
                tracker: requests.clone(),
            };
            requests.spawn(acceptor.run(stop.child_token()));
            tracing::info!(%address, ?purpose, "listening");
        }
        stop.cancelled().await;
        shared.stopping.begin();
        shared.ending.cancel();
        shared.errands.close();
        tracing::info!(connections = shared.conversations.len(), "stopping");
        let (begun, grace) = (Instant::now(), shared.config.deadlines.grace);
        let patience = begun + grace;
        finish_what_is_in_hand(&shared, begun + grace.mul_f64(GRACE_FOR_WHAT_IS_IN_HAND)).await;
        upkeep.end_relay(patience).await;
        let patience_for_goodbyes = begun + grace.mul_f64(GRACE_FOR_CONNECTIONS);
        let connections_left = say_goodbye(&shared, &requests, patience_for_goodbyes).await;
        // They end as soon as they look: none of them waits for longer than a round of closing.
        shared.errands.wait().await;
        // The mender first: two of them would be in each other's way.
        upkeep.end(patience).await;
        let sessions_unsaved = shared.echo.dialect.sessions.mend_at_last(patience).await;
        tracing::info!(connections_left, sessions_unsaved, "stopped");
        Stopped {
            connections_left,
            sessions_unsaved,
        }
    }
}

/// Hears nobody any more, and returns when all that was said and asked for is done, and told to those who are here: a
/// message must not be stored and its sender sent away without a word.
async fn finish_what_is_in_hand(shared: &Shared, patience: Instant) {
    for hub in shared.hubs() {
        hub.for_each(|connection| connection.rest());
    }
    for tracker in [&shared.hearing, &shared.answers] {
        tracker.close();
    }
    let finishing = async {
        tokio::join!(shared.hearing.wait(), shared.answers.wait());
        shared.all_handed_on().await?;
        // What was handed over on `direct` is confirmed to its sender.
        shared.direct.dialect.settle().await;
        shared.all_handed_on().await
    };
    match tokio::time::timeout_at(patience, finishing).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "what was said last may not be told"),
        Err(_) => {
            let (hearing, answers) = (shared.hearing.len(), shared.answers.len());
            tracing::warn!(hearing, answers, "what is in hand takes too long");
        }
    }
}

/// Sees everybody off. Returns how many had not ended when their time was over.
async fn say_goodbye(shared: &Shared, requests: &TaskTracker, patience: Instant) -> usize {
    for hub in shared.hubs() {
        hub.for_each(|connection| {
            let retry_after_seconds = shared.stopping.advice();
            connection.see_off(Parting::GoingAway { retry_after_seconds });
        });
    }
    // Requests first: one of them may still become a connection.
    for tracker in [requests, &shared.answers, &shared.conversations] {
        tracker.close();
        if tokio::time::timeout_at(patience, tracker.wait()).await.is_err() {
            tracing::warn!(left = tracker.len(), "the time for goodbyes is over");
        }
    }
    shared.conversations.len()
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
    let compression = config.compression.unwrap_or_default();
    let windows = [compression.server_window_bits, compression.client_window_bits];
    let settings = settings.into_iter().chain([
        (
            windows.iter().all(|bits| (9..=15).contains(bits)),
            "compression.server_window_bits and compression.client_window_bits",
            "9 to 15",
        ),
        (
            (1..=9).contains(&compression.level),
            "compression.level",
            "1 to 9",
        ),
    ]);
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
            || path.starts_with(routes::http_base(*dialect))
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

#[cfg(test)]
mod tests;
