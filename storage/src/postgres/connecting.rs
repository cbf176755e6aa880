//! Connections: some that read, one that writes, made when they are needed and again when they are lost.

use std::time::Duration;

use deadpool_postgres::{
    ClientWrapper, Hook, HookError, Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Runtime,
};
use tokio_postgres::config::Config;
use tokio_postgres::{Client, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::failures::{PostgresError, late, unavailable};
use super::statement::SHARED_SCHEMA;
use super::tls;
use super::url::PostgresUrl;
use crate::session::StoreError;

/// A connection over which nothing comes is asked after so long whether it is still there.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(15);

/// What is sent and not acknowledged for so long is lost, and the connection with it.
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(20);

/// A commit is on the disk before it is confirmed, whatever is set for the user or the database. Who asks for more than
/// that, of a standby, keeps it.
const INSIST_ON_THE_DISK: &str = "SELECT set_config('synchronous_commit', 'on', false)
    WHERE current_setting('synchronous_commit') = 'off'";

/// A pool of at most `size` connections.
pub(super) fn pool(url: &PostgresUrl, size: usize, deadline: Duration) -> Result<Pool, PostgresError> {
    let config = configured(url, deadline);
    let terms = ManagerConfig {
        recycling_method: RecyclingMethod::Fast,
    };
    let manager = match tls::client(url)? {
        None => Manager::from_config(config, NoTls, terms),
        Some(tls) => Manager::from_config(config, MakeRustlsConnect::new(tls), terms),
    };
    let pool = Pool::builder(manager)
        .max_size(size)
        .runtime(Runtime::Tokio1)
        .wait_timeout(Some(deadline))
        .create_timeout(Some(deadline))
        .recycle_timeout(Some(deadline))
        .post_create(Hook::async_fn(|client, _| {
            Box::pin(async move {
                client
                    .batch_execute(INSIST_ON_THE_DISK)
                    .await
                    .map_err(HookError::Backend)
            })
        }))
        .build()
        .expect("a pool with deadlines has a runtime for them");
    Ok(pool)
}

/// How every connection is set. The server gives up a statement, and a transaction that nobody continues, when we have
/// given it up: what it has locked is for others then.
fn configured(url: &PostgresUrl, deadline: Duration) -> Config {
    let mut config = url.config.clone();
    let limit = deadline.as_millis();
    let given = config.get_options().unwrap_or_default();
    let options = format!(
        "{given} -c search_path={SHARED_SCHEMA} -c statement_timeout={limit} \
         -c idle_in_transaction_session_timeout={limit}"
    );
    config
        .options(options)
        .keepalives_idle(KEEPALIVE_IDLE)
        .tcp_user_timeout(UNACKNOWLEDGED_MAX);
    if config.get_application_name().is_none() {
        config.application_name("touchstone");
    }
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(deadline);
    }
    config
}

/// A connection on loan. It goes back only when what was begun on it has ended: one in the middle of a transaction would
/// lend its schema, and its locks, to the next.
pub(super) struct Lease(Option<Object>);

impl Lease {
    pub(super) async fn take(pool: &Pool, deadline: Duration) -> Result<Self, StoreError> {
        match pool.get().await {
            Ok(object) => Ok(Self(Some(object))),
            Err(PoolError::Backend(error)) => Err(unavailable(&error)),
            Err(_) => Err(late(deadline)),
        }
    }

    pub(super) fn client(&self) -> &ClientWrapper {
        self.0.as_ref().expect("it is here until it is given back")
    }

    pub(super) fn client_mut(&mut self) -> &mut Client {
        self.0.as_mut().expect("it is here until it is given back")
    }

    /// Nothing is left open on it.
    pub(super) fn give_back(mut self) {
        self.0 = None;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(object) = self.0.take() {
            drop(Object::take(object));
        }
    }
}

/// What the server does with a commit that is confirmed, if that is not to put it on the disk.
pub(super) async fn caution(client: &Client) -> Result<Option<String>, tokio_postgres::Error> {
    let settings = "SELECT current_setting('fsync'), current_setting('full_page_writes')";
    let row = client.query_one(settings, &[]).await?;
    let off = |column: usize| row.get::<_, &str>(column) == "off";
    let which = match (off(0), off(1)) {
        (true, _) => "fsync",
        (false, true) => "full_page_writes",
        (false, false) => return Ok(None),
    };
    Ok(Some(format!(
        "the PostgreSQL server runs with {which} = off: what was confirmed is lost when its machine fails"
    )))
}
