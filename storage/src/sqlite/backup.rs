//! A copy of a store that is in use.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::backup::Backup;
use thiserror::Error;

use super::open::{self, OpenError};

/// Pages copied in one go; a server that writes meanwhile waits no longer than that takes.
const PAGES_AT_ONCE: i32 = 1_024;

/// Between two goes the server has the database to itself.
const PAUSE: Duration = Duration::from_millis(1);

/// Why there is no copy.
#[derive(Debug, Error)]
pub enum BackupError {
    /// What is to be copied cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// There is something at the place of the copy already.
    #[error("{0} is there already: name a file that is not")]
    Exists(PathBuf),
    /// The store to be copied is not there.
    #[error("there is no store at {0}")]
    Missing(PathBuf),
    /// Copying failed; nothing is left of it.
    #[error("the copy to {path} failed: {source}")]
    Copy {
        /// Where it should have been.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// The copy cannot be put in its place.
    #[error("the copy cannot be written to {path}: {source}")]
    Write {
        /// Where it should have been.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// Copies the store at `from`, which may be in use, to a new file at `to`: all that was confirmed before this was called, and
/// of what is written meanwhile all or nothing. `to` comes into being when the copy is whole and on the disk.
///
/// # Errors
/// There is no store, or there is something at `to`, or the disk does not take it.
pub fn backup(from: &Path, to: &Path) -> Result<(), BackupError> {
    if !from.is_file() {
        return Err(BackupError::Missing(from.to_owned()));
    }
    if to.exists() {
        return Err(BackupError::Exists(to.to_owned()));
    }
    let source = open::for_reading(from)?;
    open::recognize(&source, from)?;
    let mut beside = to.as_os_str().to_owned();
    beside.push("-unfinished");
    let unfinished = PathBuf::from(beside);
    let finished = copy(&source, &unfinished)
        .map_err(|source| BackupError::Copy {
            path: to.to_owned(),
            source,
        })
        .and_then(|()| {
            keep(&unfinished, to).map_err(|source| BackupError::Write {
                path: to.to_owned(),
                source,
            })
        });
    if finished.is_err() {
        // It may never have been made.
        let _ = fs::remove_file(&unfinished);
    }
    finished
}

fn copy(source: &Connection, to: &Path) -> rusqlite::Result<()> {
    let mut copy = Connection::open(to)?;
    Backup::new(source, &mut copy)?.run_to_completion(PAGES_AT_ONCE, PAUSE, None)?;
    // One file, not one with a log beside it.
    copy.pragma_update(None, "journal_mode", "DELETE")
}

fn keep(unfinished: &Path, to: &Path) -> io::Result<()> {
    File::open(unfinished)?.sync_all()?;
    fs::rename(unfinished, to)?;
    let folder = match to.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    File::open(folder)?.sync_all()
}
