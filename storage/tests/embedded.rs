//! The contract, held against what a single node needs: the embedded store, sessions in memory, and what is `local:`.

mod contract;

use std::sync::Arc;
use std::time::Duration;

use touchstone_storage::{EmbeddedLimits, EmbeddedSessions, LocalBus, LocalPresence, Sqlite, SqliteSessions};

const TTL: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn embedded_sessions_keep_the_contract() {
    let store = Arc::new(EmbeddedSessions::new(TTL, EmbeddedLimits::default()));
    contract::session_store(store, TTL, tokio::time::advance).await;
}

#[tokio::test(start_paused = true)]
async fn durable_sessions_keep_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let store = Sqlite::open(&folder.path().join("store.db")).unwrap();
    let store = Arc::new(SqliteSessions::new(store, TTL, EmbeddedLimits::default()));
    contract::session_store(store, TTL, tokio::time::advance).await;
}

#[tokio::test]
async fn the_local_bus_keeps_the_contract() {
    contract::bus::keeps(LocalBus::default()).await;
}

#[tokio::test]
async fn local_presence_keeps_the_contract() {
    contract::presence::keeps(LocalPresence::default()).await;
}

#[tokio::test]
async fn the_embedded_store_keeps_the_contract_in_memory() {
    keeps_the_contract(&Sqlite::in_memory().unwrap()).await;
}

#[tokio::test]
async fn the_embedded_store_keeps_the_contract_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    keeps_the_contract(&Sqlite::open(&folder.path().join("store.db")).unwrap()).await;
}

async fn keeps_the_contract(store: &Sqlite) {
    contract::accounts::keeps(store.clone()).await;
    contract::conversations::keeps(store.clone()).await;
    contract::channels::keeps(store.clone()).await;
    contract::dialogues::keeps(store.clone()).await;
    contract::events::keeps(store.clone()).await;
    contract::resources::keeps(store.clone()).await;
    contract::revocations::keeps(store.clone()).await;
}
