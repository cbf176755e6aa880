//! How a connection to the database is opened and set, and what makes a file one of ours and whole.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};
use thiserror::Error;

/// `touc` in the header of the file: what tells ours from any other SQLite database.
const APPLICATION_ID: i32 = 0x746f_7563;

/// Which tables there are, and of what shape. Raised with every change that an older program would trip over.
const FORMAT: i32 = 1;

/// The tables of each trait, all written so that they may be there already.
const TABLES: &[&str] = &[
    include_str!("tables/accounts.sql"),
    include_str!("tables/conversations.sql"),
    include_str!("tables/events.sql"),
    include_str!("tables/revocations.sql"),
    include_str!("tables/channels.sql"),
    include_str!("tables/dialogues.sql"),
    include_str!("tables/resources.sql"),
    include_str!("tables/sessions.sql"),
];

/// Prepared statements kept by each connection: more than there are in all.
const STATEMENTS_KEPT: usize = 256;

/// How long a connection waits for another process that has the database to itself for a moment.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Why the store cannot be opened. Nothing of the file was changed.
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
    /// It is one of ours, but not whole.
    #[error(
        "the store {path} is damaged: {why}; restore a backup, or save what can be read with `sqlite3 {path} .recover`"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A newer version has written it.
    #[error(
        "the store {path} has format {found}, this version knows {FORMAT}: use the version that made it, or a newer one"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: i32,
    },
    /// Another process serves from it.
    #[error("the store {path} is in use by another server: stop that one first")]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// SQLite, or the file system below it, refuses.
    #[error("the store {path} cannot be opened: {source}")]
    Refused {
        /// The file.
        path: PathBuf,
        /// What it says.
        source: rusqlite::Error,
    },
    /// The system gives no thread, or no file for the lock.
    #[error("the store cannot be opened: {0}")]
    System(#[from] io::Error),
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

/// Keeps other servers away from the file at `path`, until it is dropped. The system drops it with a process that dies.
pub(super) fn lock(path: &Path) -> Result<File, OpenError> {
    // A file of its own: closing any handle of the database's would drop the locks that SQLite holds on it.
    let mut beside = path.as_os_str().to_owned();
    beside.push("-lock");
    let file = File::options().create(true).append(true).open(beside)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse {
            path: path.to_owned(),
        }),
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}

/// The connection that writes. Makes what is missing.
pub(super) fn for_writing(path: &Path) -> Result<Connection, OpenError> {
    let refused = |source| OpenError::Refused {
        path: path.to_owned(),
        source,
    };
    let connection = Connection::open(path).map_err(refused)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(refused)?;
    recognize(&connection, path)?;
    let set = || {
        connection.pragma_update(None, "journal_mode", "WAL")?;
        // FULL in WAL mode is an fsync at each commit: what was confirmed is on the disk.
        connection.pragma_update(None, "synchronous", "FULL")?;
        make_tables(&connection)?;
        connection.pragma_update(None, "application_id", APPLICATION_ID)?;
        connection.pragma_update(None, "user_version", FORMAT)?;
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

/// Refuses what is somebody else's, newer than this program, or damaged, before a byte of it is changed. A file that was
/// just made is ours.
pub(super) fn recognize(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    let path = path.to_owned();
    let number = |pragma: &str| connection.pragma_query_value(None, pragma, |row| row.get::<_, i32>(0));
    let looked = || -> rusqlite::Result<(i32, i32, i64)> {
        let tables = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        Ok((number("application_id")?, number("user_version")?, tables))
    };
    match looked() {
        Ok((0, 0, 0)) => Ok(()),
        Ok((APPLICATION_ID, found, _)) if found > FORMAT => Err(OpenError::Newer { path, found }),
        Ok((APPLICATION_ID, ..)) => match damage(connection) {
            Ok(None) => Ok(()),
            Ok(Some(why)) => Err(OpenError::Damaged { path, why }),
            Err(source) => Err(broken(path, source)),
        },
        Ok((id, ..)) => Err(OpenError::Foreign {
            path,
            why: format!("it is a database of another program (application id {id})"),
        }),
        Err(source) => Err(broken(path, source)),
    }
}

/// The first thing that is wrong with the database's structure.
fn damage(connection: &Connection) -> rusqlite::Result<Option<String>> {
    let report: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    Ok((report != "ok").then(|| report.replace('\n', "; ")))
}

fn broken(path: PathBuf, source: rusqlite::Error) -> OpenError {
    match source.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => OpenError::Foreign {
            path,
            why: "it is no SQLite database, or its beginning is damaged".to_owned(),
        },
        Some(ErrorCode::DatabaseCorrupt) => OpenError::Damaged {
            path,
            why: source.to_string(),
        },
        _ => OpenError::Refused { path, source },
    }
}

fn make_tables(connection: &Connection) -> rusqlite::Result<()> {
    TABLES
        .iter()
        .try_for_each(|tables| connection.execute_batch(tables))
}
