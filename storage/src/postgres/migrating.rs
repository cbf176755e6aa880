//! How the tables come to be, and how they are told from those of another version.
//!
//! A migration is done in the shared schema and in that of every tenant, all in one transaction: there is no state in
//! between. What the tables of a version are is in `migrations/`, and never changes once a version was released.

use deadpool_postgres::ClientWrapper;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Error};

use super::connecting;
use super::failures::PostgresError;
use super::statement::{Place, SHARED_SCHEMA};
use super::url::PostgresUrl;
use super::writing::lock;
use super::{PostgresOptions, realms};

/// What changes from one version to the next.
struct Migration {
    /// In the shared schema alone.
    shared: &'static str,
    /// In the shared schema and in that of every tenant.
    realm: &'static str,
}

/// The first makes version 1.
const MIGRATIONS: &[Migration] = &[Migration {
    shared: include_str!("migrations/1_shared.sql"),
    realm: include_str!("migrations/1_realm.sql"),
}];

/// The version of the tables that this program works with.
pub(super) const VERSION: i32 = MIGRATIONS.len() as i32;

/// What [`migrate`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migrated {
    /// The version that was found; `None` if there were no tables.
    pub from: Option<i32>,
    /// The version of this program.
    pub to: i32,
    /// Schemas of tenants that were brought along.
    pub tenants: usize,
}

/// Makes the tables in an empty database, or brings those of an older version up to date. All of it or nothing; doing it
/// again changes nothing, and of two at once the second finds nothing left to do.
///
/// # Errors
/// The server cannot be reached or refuses, the user lacks a right, or a newer version has been there.
pub async fn migrate(url: &PostgresUrl) -> Result<Migrated, PostgresError> {
    let deadline = PostgresOptions::default().deadline;
    let pool = connecting::pool(url, 1, deadline)?;
    let mut object = pool
        .get()
        .await
        .map_err(|error| PostgresError::of_pool(url, error, deadline))?;
    let client: &mut Client = &mut object;
    let of = |error| PostgresError::of(url, &error);
    let transaction = client.transaction().await.map_err(of)?;
    // A large table takes longer than any call of a server.
    transaction
        .batch_execute("SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0")
        .await
        .map_err(of)?;
    take_lock(transaction.client()).await.map_err(of)?;
    let from = version(transaction.client()).await.map_err(of)?;
    if let Some(found) = from.filter(|found| *found > VERSION) {
        let at = url.to_string();
        return Err(PostgresError::Newer {
            at,
            found,
            known: VERSION,
        });
    }
    let tenants = advance(transaction.client(), from).await.map_err(of)?;
    transaction.commit().await.map_err(of)?;
    Ok(Migrated {
        from,
        to: VERSION,
        tenants,
    })
}

/// Does what is missing since `from`. Returns how many tenants there are.
async fn advance(client: &Client, from: Option<i32>) -> Result<usize, Error> {
    if from.is_none() {
        let begin = format!(
            "CREATE SCHEMA {SHARED_SCHEMA};
             CREATE TABLE {SHARED_SCHEMA}.migrations
             (version integer PRIMARY KEY, done_at timestamptz NOT NULL DEFAULT now())"
        );
        client.batch_execute(&begin).await?;
    }
    let done = from.unwrap_or(0);
    let missing = &MIGRATIONS[done as usize..];
    for migration in missing {
        enter(client, &Place::Shared).await?;
        client.batch_execute(migration.shared).await?;
        client.batch_execute(migration.realm).await?;
    }
    let tenants = realms::places(client).await?;
    for place in &tenants {
        enter(client, place).await?;
        for migration in missing {
            client.batch_execute(migration.realm).await?;
        }
    }
    for version in done + 1..=VERSION {
        let note = format!("INSERT INTO {SHARED_SCHEMA}.migrations (version) VALUES ($1)");
        client.execute(&note, &[&version]).await?;
    }
    Ok(tenants.len())
}

async fn enter(client: &Client, place: &Place) -> Result<(), Error> {
    client.batch_execute(&place.enter()).await
}

/// What every schema of a tenant begins with: the tables as they are now.
pub(super) fn tables_of_a_realm() -> impl Iterator<Item = &'static str> {
    MIGRATIONS.iter().map(|migration| migration.realm)
}

/// Until the end of the transaction nobody else changes what tables there are.
pub(super) async fn take_lock(client: &Client) -> Result<(), Error> {
    let number = lock("schema", "", "");
    client
        .execute("SELECT pg_advisory_xact_lock($1)", &[&number])
        .await
        .map(|_| ())
}

/// The version of the tables; `None` if there are none.
pub(super) async fn version(client: &Client) -> Result<Option<i32>, Error> {
    let table = format!("{SHARED_SCHEMA}.migrations");
    let found = client
        .query_one("SELECT to_regclass($1) IS NOT NULL", &[&table])
        .await?;
    if !found.get::<_, bool>(0) {
        return Ok(None);
    }
    let newest = client
        .query_one(&format!("SELECT max(version) FROM {table}"), &[])
        .await?;
    newest.try_get(0)
}

/// Refuses tables of another version than this program's.
pub(super) async fn check(url: &PostgresUrl, client: &ClientWrapper) -> Result<(), PostgresError> {
    let at = url.to_string();
    match version(client).await {
        Ok(Some(VERSION)) => Ok(()),
        Ok(Some(found)) if found < VERSION => Err(PostgresError::Older {
            at,
            found,
            needed: VERSION,
        }),
        Ok(Some(found)) => Err(PostgresError::Newer {
            at,
            found,
            known: VERSION,
        }),
        Ok(None) => Err(PostgresError::NotMigrated { at }),
        Err(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => {
            Err(PostgresError::NotMigrated { at })
        }
        Err(error) => Err(PostgresError::of(url, &error)),
    }
}
