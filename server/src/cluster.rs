//! What the nodes of one cluster have in common: where state lives, and how they hear of each other.

use std::sync::Arc;

#[cfg(feature = "postgres")]
use touchstone_storage::postgres::{Postgres, PostgresError, PostgresOptions, PostgresSessions};
use touchstone_storage::{
    ChosenBus, ChosenPresence, ChosenStore, EmbeddedSessions, LocalBus, LocalPresence, OpenError, Sqlite,
    SqliteSessions,
};

use crate::config::{BusChoice, Config, StoreChoice};
use crate::dialects::echo::Kept;

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
}

/// Store, bus and presence. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Cluster {
    pub(crate) store: ChosenStore,
    pub(crate) sessions: Kept,
    pub(crate) bus: ChosenBus,
    pub(crate) presence: ChosenPresence,
}

impl Cluster {
    /// A cluster without nodes, as its first one is configured. Returns once its store can be used.
    ///
    /// # Errors
    /// The store cannot be opened.
    pub(crate) async fn open(config: &Config) -> Result<Self, ClusterError> {
        let (store, sessions) = open_store(config).await?;
        let bus = match config.bus {
            BusChoice::Local => ChosenBus::Local(LocalBus::default()),
        };
        Ok(Self {
            store,
            sessions,
            bus,
            presence: ChosenPresence::Local(LocalPresence::default()),
        })
    }
}

/// The store, and where `echo` keeps its sessions.
async fn open_store(config: &Config) -> Result<(ChosenStore, Kept), ClusterError> {
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
