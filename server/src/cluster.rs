//! What the nodes of one cluster have in common: where state lives, and how they hear of each other.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
#[cfg(feature = "postgres")]
use touchstone_storage::postgres::{Postgres, PostgresError, PostgresOptions, PostgresSessions};
use touchstone_storage::{
    ChosenBus, ChosenPresence, ChosenStore, EmbeddedSessions, LocalBus, LocalPresence, OpenError, Sqlite,
    SqliteSessions,
};

#[cfg(feature = "redis")]
use touchstone_storage::redis::{Durability, LinkTerms, OpenLinkError, Redis, RedisSessions, RedisStore};

use crate::config::{BusChoice, Config, StoreChoice};
use crate::dialects::echo::Kept;

/// What keys in Redis begin with, unless a document names them.
#[cfg(feature = "redis")]
const NAMESPACE: &str = "touchstone";

/// Why what was configured cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// The embedded store cannot be opened.
    #[error(transparent)]
    Embedded(#[from] OpenError),
    /// The database cannot be used.
    #[cfg(feature = "postgres")]
    #[error(transparent)]
    Postgres(#[from] PostgresError),
    /// Redis cannot be used.
    #[cfg(feature = "redis")]
    #[error(transparent)]
    Redis(#[from] OpenLinkError),
}

/// Store, bus and presence. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Cluster {
    pub(crate) store: ChosenStore,
    pub(crate) sessions: Kept,
    pub(crate) bus: ChosenBus,
    pub(crate) presence: ChosenPresence,
    /// Watches what the others hold, until the last clone is dropped.
    _ties: Arc<Ties>,
}

/// Tasks that keep connections to where state lives. They have nothing to finish, so they end when nobody needs them.
#[derive(Debug, Default)]
struct Ties {
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Drop for Ties {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Cluster {
    /// A cluster without nodes, as its first one is configured. Returns once its store can be used.
    ///
    /// # Errors
    /// The store cannot be opened.
    pub(crate) async fn open(config: &Config) -> Result<Self, ClusterError> {
        let ties = Arc::new(Ties::default());
        let (store, sessions) = open_store(config, &ties).await?;
        let bus = match config.bus {
            BusChoice::Local => ChosenBus::Local(LocalBus::default()),
        };
        Ok(Self {
            store,
            sessions,
            bus,
            presence: ChosenPresence::Local(LocalPresence::default()),
            _ties: ties,
        })
    }
}

/// The store, and where `echo` keeps its sessions.
#[cfg_attr(
    not(feature = "redis"),
    expect(unused_variables, reason = "nothing else is watched")
)]
async fn open_store(config: &Config, ties: &Ties) -> Result<(ChosenStore, Kept), ClusterError> {
    let (ttl, limits) = (config.echo.session_ttl, config.echo.embedded);
    match &config.store {
        StoreChoice::Memory => {
            let sessions = Kept::InMemory(Arc::new(EmbeddedSessions::new(ttl, limits)));
            Ok((ChosenStore::Embedded(Sqlite::in_memory()?), sessions))
        }
        StoreChoice::Path(path) => {
            let store = Sqlite::open(path)?;
            let sessions = Kept::OnDisk(SqliteSessions::new(store.clone(), ttl, limits));
            Ok((ChosenStore::Embedded(store), sessions))
        }
        #[cfg(feature = "redis")]
        StoreChoice::Redis(url) => {
            let stop = ties.stop.child_token();
            let link = Redis::open(url.clone(), LinkTerms::default(), &ties.tasks, stop).await?;
            warn_of_losses(&link).await;
            let sessions = RedisSessions::new(link.clone(), link.clone(), ttl, limits);
            Ok((
                ChosenStore::Redis(RedisStore::new(link, NAMESPACE)),
                Kept::InRedis(sessions),
            ))
        }
        #[cfg(feature = "postgres")]
        StoreChoice::Postgres(url) => {
            let options = PostgresOptions {
                deadline: config.deadlines.store,
                ..PostgresOptions::default()
            };
            let store = Postgres::open(url, options).await?;
            if let Some(caution) = store.caution() {
                tracing::warn!(store = %url, "{caution}");
            }
            let sessions = Kept::InPostgres(PostgresSessions::new(store.clone(), ttl, limits));
            Ok((ChosenStore::Postgres(store), sessions))
        }
    }
}

/// Says so where Redis is set to lose what it confirmed.
#[cfg(feature = "redis")]
async fn warn_of_losses(link: &Redis) {
    let unknown = |why: String| format!("it is not known whether it keeps what was confirmed: {why}");
    let caution = match link.durability().await {
        Ok(Durability::Everything) => return,
        Ok(Durability::AllButTheLast { appendfsync }) => {
            format!("`appendfsync {appendfsync}` may lose what was confirmed last: set it to `always`")
        }
        Ok(Durability::Snapshots) => {
            "it may lose what was confirmed: set `appendonly yes` and `appendfsync always`".to_owned()
        }
        Ok(Durability::Unknown { why }) => unknown(why),
        Err(error) => unknown(error.to_string()),
    };
    tracing::warn!(store = %link.url(), "{caution}");
}
