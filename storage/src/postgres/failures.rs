//! What can go wrong with a PostgreSQL server, and what to do about it.

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use deadpool_postgres::PoolError;
use thiserror::Error;
use tokio_postgres::error::SqlState;

use super::url::PostgresUrl;
use crate::session::StoreError;

/// Why a PostgreSQL store was not opened, or not brought up to date. Nothing in it was changed.
#[derive(Debug, Error)]
pub enum PostgresError {
    /// Nobody answers.
    #[error("no PostgreSQL server answers at {at}: {why}; check host and port, and that it runs")]
    Unreachable {
        /// Where.
        at: String,
        /// How it shows.
        why: String,
    },
    /// It does not let us in.
    #[error("the PostgreSQL server at {at} refuses: {why}; check user, password, database and pg_hba.conf")]
    Refused {
        /// Where.
        at: String,
        /// What it says.
        why: String,
    },
    /// A certificate, ours or its.
    #[error("TLS with the PostgreSQL server at {at} fails: {why}; check sslmode and sslrootcert")]
    Tls {
        /// Where.
        at: String,
        /// What is wrong.
        why: String,
    },
    /// The file of `sslrootcert` has no certificates.
    #[error("{path} cannot be used as `sslrootcert`: {why}")]
    Authorities {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// It is an empty database.
    #[error("the database {at} has no tables of touchstone yet: run `touchstone migrate --store URL`")]
    NotMigrated {
        /// Where.
        at: String,
    },
    /// An older version made its tables.
    #[error(
        "the tables in {at} are of version {found}, this program needs {needed}: stop the servers that use them and run \
         `touchstone migrate --store URL`"
    )]
    Older {
        /// Where.
        at: String,
        /// Their version.
        found: i32,
        /// The program's.
        needed: i32,
    },
    /// A newer version made its tables.
    #[error(
        "the tables in {at} are of version {found}, this program knows {known}: use the program that made them, or a newer one"
    )]
    Newer {
        /// Where.
        at: String,
        /// Their version.
        found: i32,
        /// The program's.
        known: i32,
    },
    /// The user may not do what has to be done.
    #[error("the user lacks a right in {at}: {why}; docs/postgres.md says which rights are needed")]
    Forbidden {
        /// Where.
        at: String,
        /// What he may not.
        why: String,
    },
    /// Anything else that the server says.
    #[error("the database {at} failed: {why}")]
    Failed {
        /// Where.
        at: String,
        /// What it says.
        why: String,
    },
}

impl PostgresError {
    /// What an error of the driver means while a store is opened.
    pub(super) fn of(url: &PostgresUrl, error: &tokio_postgres::Error) -> Self {
        let (at, why) = (url.to_string(), whole(error));
        let Some(code) = error.code() else {
            return match why.contains("TLS") || why.contains("certificate") {
                true => Self::Tls { at, why },
                false => Self::Unreachable { at, why },
            };
        };
        match code {
            &SqlState::INVALID_PASSWORD
            | &SqlState::INVALID_AUTHORIZATION_SPECIFICATION
            | &SqlState::INVALID_CATALOG_NAME
            | &SqlState::TOO_MANY_CONNECTIONS => Self::Refused { at, why },
            &SqlState::CANNOT_CONNECT_NOW | &SqlState::ADMIN_SHUTDOWN => Self::Unreachable { at, why },
            &SqlState::INSUFFICIENT_PRIVILEGE => Self::Forbidden { at, why },
            _ => Self::Failed { at, why },
        }
    }

    pub(super) fn of_pool(url: &PostgresUrl, error: PoolError, deadline: Duration) -> Self {
        match error {
            PoolError::Backend(error) => Self::of(url, &error),
            PoolError::Timeout(_)
            | PoolError::Closed
            | PoolError::NoRuntimeSpecified
            | PoolError::PostCreateHook(_) => Self::Unreachable {
                at: url.to_string(),
                why: format!("no answer within {deadline:?}"),
            },
        }
    }
}

/// An error with its causes: the driver's own text leaves out what the server said.
pub(super) fn whole(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = error.source();
    }
    text
}

/// The same as what a caller of the store is told.
pub(super) fn unavailable(error: &dyn Error) -> StoreError {
    StoreError::Unavailable(whole(error))
}

pub(super) fn late(deadline: Duration) -> StoreError {
    StoreError::Unavailable(format!("PostgreSQL gives no answer within {deadline:?}"))
}
