//! The contract, held against what a single node needs: sessions in memory and the local bus.

mod contract;

use std::sync::Arc;
use std::time::Duration;

use touchstone_storage::{EmbeddedLimits, EmbeddedSessions, LocalBus};

const TTL: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn embedded_sessions_keep_the_contract() {
    let store = Arc::new(EmbeddedSessions::new(TTL, EmbeddedLimits::default()));
    contract::session_store(store, TTL, tokio::time::advance).await;
}

#[tokio::test]
async fn the_local_bus_keeps_the_contract() {
    contract::bus(LocalBus::default()).await;
}
