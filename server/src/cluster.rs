//! What the nodes of one cluster have in common: where state lives, and how they hear of each other.

use std::sync::Arc;

use touchstone_storage::{
    ChosenBus, ChosenPresence, ChosenStore, EmbeddedSessions, LocalBus, LocalPresence, OpenError, Sqlite,
    SqliteSessions,
};

use crate::config::{BusChoice, Config, StoreChoice};
use crate::dialects::echo::Kept;

/// Store, bus and presence. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Cluster {
    pub(crate) store: ChosenStore,
    pub(crate) sessions: Kept,
    pub(crate) bus: ChosenBus,
    pub(crate) presence: ChosenPresence,
}

impl Cluster {
    /// A cluster without nodes, as its first one is configured.
    ///
    /// # Errors
    /// The store cannot be opened.
    pub(crate) async fn open(config: &Config) -> Result<Self, OpenError> {
        let (ttl, limits) = (config.echo.session_ttl, config.echo.embedded);
        let (store, sessions) = match &config.store {
            StoreChoice::Memory => {
                let sessions = EmbeddedSessions::new(ttl, limits);
                (Sqlite::in_memory()?, Kept::InMemory(Arc::new(sessions)))
            }
            StoreChoice::Path(path) => {
                let store = Sqlite::open(path)?;
                let sessions = SqliteSessions::new(store.clone(), ttl, limits);
                (store, Kept::OnDisk(sessions))
            }
        };
        let bus = match config.bus {
            BusChoice::Local => ChosenBus::Local(LocalBus::default()),
        };
        Ok(Self {
            store: ChosenStore::Embedded(store),
            sessions,
            bus,
            presence: ChosenPresence::Local(LocalPresence::default()),
        })
    }
}
