//! How a connection to the database is opened and set, and what makes a file one of ours.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use thiserror::Error;

/// `touc` in the header of the file: what tells ours from any other SQLite database.
const APPLICATION_ID: i32 = 0x746f_7563;

/// The tables of each trait, all written so that they may be there already.
const TABLES: &[&str] = &[
    include_str!("tables/accounts.sql"),
    include_str!("tables/dialogues.sql"),
];

/// Prepared statements kept by each connection: more than there are in all.
const STATEMENTS_KEPT: usize = 256;

/// How long a connection waits for another process that has the database to itself, for instance to make a copy.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Why the store cannot be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The file is there, but it is something else.
    #[error("{path} is not a store of touchstone: {why}; name another file, or move this one away")]
    Foreign {
        /// The file.
        path: PathBuf,
        /// How it shows.
        why: String,
    },
    /// SQLite, or the file system below it, refuses.
    #[error("the store {path} cannot be opened: {source}")]
    Refused {
        /// The file.
        path: PathBuf,
        /// What it says.
        source: rusqlite::Error,
    },
    /// The system gives no thread.
    #[error("no thread for the store: {0}")]
    Thread(#[from] io::Error),
}

/// A database that lives as long as its connection.
pub(super) fn in_memory() -> Result<Connection, OpenError> {
    let opened = || {
        let connection = Connection::open_in_memory()?;
        make_tables(&connection)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
        Ok(connection)
    };
    opened().map_err(|source| OpenError::Refused {
        path: ":memory:".into(),
        source,
    })
}

/// The connection that writes. Makes what is missing.
pub(super) fn for_writing(path: &Path) -> Result<Connection, OpenError> {
    let refused = |source| OpenError::Refused {
        path: path.to_owned(),
        source,
    };
    let connection = Connection::open(path).map_err(refused)?;
    recognize(&connection, path)?;
    let set = || {
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        // FULL in WAL mode is an fsync at each commit: what was confirmed is on the disk.
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        make_tables(&connection)?;
        connection.pragma_update(None, "application_id", APPLICATION_ID)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
        Ok(())
    };
    set().map_err(refused)?;
    Ok(connection)
}

/// A connection that only reads.
pub(super) fn for_reading(path: &Path) -> Result<Connection, OpenError> {
    let opened = || {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
        Ok(connection)
    };
    opened().map_err(|source| OpenError::Refused {
        path: path.to_owned(),
        source,
    })
}

/// Refuses what is somebody else's before a byte of it is changed.
fn recognize(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    let foreign = |why: String| OpenError::Foreign {
        path: path.to_owned(),
        why,
    };
    let looked = || -> rusqlite::Result<(i32, i64)> {
        let id = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
        let tables = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        Ok((id, tables))
    };
    match looked() {
        Ok((APPLICATION_ID, _) | (_, 0)) => Ok(()),
        Ok((id, _)) => Err(foreign(format!("it is a database of another program (id {id})"))),
        Err(rusqlite::Error::SqliteFailure(error, _)) if error.code == rusqlite::ErrorCode::NotADatabase => {
            Err(foreign("it is no SQLite database, or a damaged one".to_owned()))
        }
        Err(source) => Err(OpenError::Refused {
            path: path.to_owned(),
            source,
        }),
    }
}

fn make_tables(connection: &Connection) -> rusqlite::Result<()> {
    TABLES
        .iter()
        .try_for_each(|tables| connection.execute_batch(tables))
}
