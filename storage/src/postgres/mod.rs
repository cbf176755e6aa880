//! `postgres://…` — everything that is stored, kept by a PostgreSQL server that any number of nodes share.
//!
//! Writes of a node go over one connection, in the order in which they were asked for: what is asked for while a commit is
//! under way goes into the next one, so that many share it. A write is answered after its commit. Before it touches what
//! other nodes touch as well it takes a lock by name, those of a transaction in one order, so that no two nodes wait for
//! each other, and what is numbered becomes visible in the order of its numbers. Reads have connections of their own.
//!
//! The traits are implemented in a file each. Their statements are data; `statement` is what sends them.

mod accounts;
mod channels;
mod connecting;
mod conversations;
mod dialogues;
mod events;
mod failures;
mod migrating;
mod posts;
mod realms;
mod resources;
mod revocations;
mod sessions;
mod statement;
mod tls;
mod url;
mod writing;

use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::Pool;
use tokio_postgres::Row;
use tokio_util::task::TaskTracker;

pub use self::failures::PostgresError;
pub use self::migrating::{Migrated, migrate};
pub use self::sessions::PostgresSessions;
pub use self::url::{PostgresUrl, PostgresUrlError};

use self::connecting::Lease;
use self::failures::{late, unavailable};
use self::realms::KnownRealms;
use self::statement::{Answers, Statement};
use self::writing::{Write, Writer};
use crate::session::StoreError;

/// How a node uses the server.
#[derive(Debug, Clone, Copy)]
pub struct PostgresOptions {
    /// Connections that read, beside the one that writes.
    pub readers: usize,
    /// How long a connection, and a statement, may take.
    pub deadline: Duration,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self {
            // A read takes a fraction of a millisecond, so that a few of them keep up with thousands of users; and ten
            // nodes stay below the hundred connections that a server takes by default.
            readers: 8,
            deadline: Duration::from_secs(5),
        }
    }
}

/// A store in a PostgreSQL database. Clones are the same store.
#[derive(Debug, Clone)]
pub struct Postgres(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    readers: Pool,
    writer: Writer,
    /// Has the writer's task, which ends by itself when this is dropped.
    tasks: TaskTracker,
    known_realms: KnownRealms,
    deadline: Duration,
    /// What the server is set to that loses what was confirmed.
    caution: Option<String>,
}

impl Postgres {
    /// The store in the database at `url`, whose tables [`migrate`] has made. What was confirmed is committed, and on the
    /// server's disk unless [`caution`](Self::caution) says otherwise.
    ///
    /// # Errors
    /// The server cannot be reached or refuses, or the tables are missing or of another version.
    pub async fn open(url: &PostgresUrl, options: PostgresOptions) -> Result<Self, PostgresError> {
        let deadline = options.deadline;
        let readers = connecting::pool(url, options.readers, deadline)?;
        let caution = {
            let client = readers
                .get()
                .await
                .map_err(|error| PostgresError::of_pool(url, error, deadline))?;
            migrating::check(url, &client).await?;
            connecting::caution(&client)
                .await
                .map_err(|error| PostgresError::of(url, &error))?
        };
        let (writer, writing) = Writer::new(connecting::pool(url, 1, deadline)?, deadline);
        let tasks = TaskTracker::new();
        tasks.spawn(writing);
        tasks.close();
        Ok(Self(Arc::new(Inner {
            readers,
            writer,
            tasks,
            known_realms: KnownRealms::default(),
            deadline,
            caution,
        })))
    }

    /// How the server is set that what was confirmed can be lost when its machine fails, in words for whoever runs it.
    #[must_use]
    pub fn caution(&self) -> Option<&str> {
        self.0.caution.as_deref()
    }

    /// Returns once everything that was to be written is answered. Other clones have to be gone by then.
    pub async fn close(self) {
        let tasks = self.0.tasks.clone();
        drop(self);
        tasks.wait().await;
    }

    fn known_realms(&self) -> &KnownRealms {
        &self.0.known_realms
    }

    fn deadline(&self) -> Duration {
        self.0.deadline
    }

    async fn lease(&self) -> Result<Lease, StoreError> {
        Lease::take(&self.0.readers, self.0.deadline).await
    }

    /// Does several statements as one atomic write, after everything that was to be written before.
    async fn write(&self, locks: Vec<i64>, statements: Vec<Statement>) -> Result<Answers, StoreError> {
        self.0.writer.write(Write { locks, statements }).await
    }

    /// The same for one statement. Returns its rows.
    async fn write_one(&self, locks: Vec<i64>, statement: Statement) -> Result<Vec<Row>, StoreError> {
        let mut answers = self.write(locks, vec![statement]).await?;
        Ok(answers.pop().unwrap_or_default())
    }

    /// Reads, by all statements as of one moment, what was committed before this call.
    async fn read(&self, statements: Vec<Statement>) -> Result<Answers, StoreError> {
        // A connection may have been lost while nobody used it: that shows at the first use, and another one is as good.
        let mut may_try_again = true;
        loop {
            let lease = self.lease().await?;
            let read = statement::read(lease.client(), &statements);
            match tokio::time::timeout(self.0.deadline, read).await {
                Ok(Ok(answers)) => {
                    lease.give_back();
                    return Ok(answers);
                }
                Ok(Err(_)) if lease.client().is_closed() && may_try_again => may_try_again = false,
                // The connection is not given back: it is in the middle of something.
                Ok(Err(error)) => return Err(unavailable(&error)),
                Err(_) => return Err(late(self.0.deadline)),
            }
        }
    }

    /// The same for one statement. Returns its rows.
    async fn read_one(&self, statement: Statement) -> Result<Vec<Row>, StoreError> {
        let mut answers = self.read(vec![statement]).await?;
        Ok(answers.pop().unwrap_or_default())
    }

    /// Does one statement in a commit of its own, beside those of the writer. Returns its rows.
    async fn change(&self, statement: Statement) -> Result<Vec<Row>, StoreError> {
        let lease = self.lease().await?;
        let statements = [statement];
        let changed = statement::write(lease.client(), &[], statements.iter());
        match tokio::time::timeout(self.0.deadline, changed).await {
            Ok(Ok(mut answers)) => {
                lease.give_back();
                Ok(answers.pop().unwrap_or_default())
            }
            // The connection is not given back: it may be in the middle of something.
            Ok(Err(error)) => Err(unavailable(&error)),
            Err(_) => Err(late(self.0.deadline)),
        }
    }
}
