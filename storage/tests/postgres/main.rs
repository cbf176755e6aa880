//! The contract, held against PostgreSQL, and what the store promises beyond it. Every test has a server of its own.
#![cfg(target_os = "linux")]

#[path = "../contract/mod.rs"]
#[expect(dead_code, reason = "the bus and presence are not in PostgreSQL")]
mod contract;
mod nodes;
mod opening;
mod outages;
mod proxy;
mod server;

use std::sync::Arc;
use std::time::Duration;

use server::{Fsync, Server};
use tokio::task::JoinSet;
use touchstone_storage::{EmbeddedLimits, Postgres, PostgresOptions, PostgresSessions, PostgresUrl};

fn parsed(url: &str) -> PostgresUrl {
    url.parse().unwrap()
}

/// A store with its tables, as a node has it.
async fn node(server: &Server) -> Postgres {
    let url = parsed(&server.url());
    touchstone_storage::postgres::migrate(&url).await.unwrap();
    Postgres::open(&url, PostgresOptions::default()).await.unwrap()
}

/// A connection of the test's own.
struct Own {
    client: tokio_postgres::Client,
    _driver: JoinSet<()>,
}

impl std::ops::Deref for Own {
    type Target = tokio_postgres::Client;

    fn deref(&self) -> &Self::Target {
        &self.client
    }
}

async fn own(server: &Server) -> Own {
    let (client, connection) = tokio_postgres::connect(&server.url(), tokio_postgres::NoTls)
        .await
        .unwrap();
    let mut driver = JoinSet::new();
    // The end of the server is an error here, and no news.
    driver.spawn(async move { drop(connection.await) });
    Own {
        client,
        _driver: driver,
    }
}

#[tokio::test]
async fn a_store_keeps_the_contract() {
    let server = Server::start(Fsync::Off);
    let store = node(&server).await;
    contract::accounts::keeps(store.clone()).await;
    contract::conversations::keeps(store.clone()).await;
    contract::channels::keeps(store.clone()).await;
    contract::dialogues::keeps(store.clone()).await;
    contract::events::keeps(store.clone()).await;
    contract::resources::keeps(store.clone()).await;
    contract::revocations::keeps(store.clone()).await;
    store.close().await;
}

#[tokio::test]
async fn sessions_keep_the_contract() {
    const TTL: Duration = Duration::from_secs(60);
    let server = Server::start(Fsync::Off);
    let sessions = PostgresSessions::new(node(&server).await, TTL, EmbeddedLimits::default());
    let client = Arc::new(own(&server).await);
    // The server's clock counts; to its rows time passes all the same when they are made older.
    let pass = |time: Duration| {
        let (client, millis) = (Arc::clone(&client), time.as_millis() as i64);
        async move {
            let age = "UPDATE touchstone.sessions SET runs_out_millis = runs_out_millis - $1";
            client.execute(age, &[&millis]).await.unwrap();
        }
    };
    contract::session_store(Arc::new(sessions), TTL, pass).await;
}
