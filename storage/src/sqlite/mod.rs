//! `embedded:` and `embedded:PATH` — everything that is stored, kept by SQLite in this process.
//!
//! One thread writes, in batches: what is asked for while a batch is being committed goes into the next one, so that
//! many share one `fsync`. Each write is atomic by itself, and it is answered after its batch is on the disk. Readers
//! have connections of their own and never wait for a writer. In memory there is one connection for both.
//!
//! The traits are implemented in a file each, beside the tables that they need.

mod accounts;
mod backup;
mod channels;
mod conversations;
mod dialogues;
mod events;
mod open;
mod posts;
mod reading;
mod resources;
mod revocations;
mod sessions;
mod trimming;
mod writing;

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;

pub use self::backup::{BackupError, backup};
pub use self::open::OpenError;
use self::reading::Readers;
pub use self::sessions::SqliteSessions;
use self::writing::Writer;
use crate::session::StoreError;

/// The embedded store. Clones are the same store.
#[derive(Debug, Clone)]
pub struct Sqlite(Arc<Threads>);

#[derive(Debug)]
struct Threads {
    /// `None` in memory, where the writer reads as well.
    readers: Option<Readers>,
    writer: Writer,
    /// Keeps other servers away; let go after the threads have ended.
    _lock: Option<File>,
}

impl Sqlite {
    /// A store in memory: nothing survives the process.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn in_memory() -> Result<Self, OpenError> {
        let writer = Writer::start(open::in_memory()?)?;
        Ok(Self(Arc::new(Threads {
            readers: None,
            writer,
            _lock: None,
        })))
    }

    /// The store in the file at `path`, which is made if it is not there. What was confirmed is on the disk.
    ///
    /// # Errors
    /// The file cannot be had, is damaged, is not a store of this kind or of a newer version, or another server has it.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let lock = open::lock(path)?;
        // The writer first: it makes the tables.
        let writer = Writer::start(open::for_writing(path)?)?;
        let readers = Some(Readers::start(path)?);
        Ok(Self(Arc::new(Threads {
            readers,
            writer,
            _lock: Some(lock),
        })))
    }

    /// Does `work` as one atomic write and returns once that is as durable as the store is. If `work` fails, nothing of it
    /// was done. The future may be dropped; the work is done all the same.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.0.writer.write(work).await
    }

    /// The same for work that may find that it must not be done: what it did until then is undone, and its reason returned.
    pub(crate) async fn write_or_undo<R: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<Option<R>> + Send + 'static,
    ) -> Result<Option<R>, StoreError> {
        let (tell, told) = std::sync::mpsc::channel();
        let written = self
            .write(move |connection| match work(connection)? {
                None => Ok(()),
                Some(reason) => {
                    // The other end waits until this is over.
                    let _ = tell.send(reason);
                    Err(rusqlite::Error::ExecuteReturnedResults)
                }
            })
            .await;
        match told.try_recv() {
            Ok(reason) => Ok(Some(reason)),
            Err(_) => written.map(|()| None),
        }
    }

    /// Does `work`, which only reads, on what was committed before this call, all of it as it was at one moment.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        match &self.0.readers {
            Some(readers) => readers.read(work).await,
            None => self.0.writer.write(work).await,
        }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Unavailable(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn insert(store: &Sqlite, number: i64, filling: usize) -> Result<(), StoreError> {
        store
            .write(move |connection| {
                connection
                    .prepare_cached("INSERT INTO numbers (number, filling) VALUES (?1, zeroblob(?2))")?
                    .execute(rusqlite::params![number, filling])
                    .map(|_| ())
            })
            .await
    }

    async fn numbers(store: &Sqlite) -> Vec<i64> {
        store
            .read(|connection| {
                connection
                    .prepare_cached("SELECT number FROM numbers ORDER BY number")?
                    .query_map([], |row| row.get(0))?
                    .collect()
            })
            .await
            .unwrap()
    }

    async fn with_numbers(store: Sqlite) -> Sqlite {
        store
            .write(|connection| {
                connection.execute_batch("CREATE TABLE numbers (number INTEGER PRIMARY KEY, filling BLOB)")
            })
            .await
            .unwrap();
        store
    }

    #[tokio::test]
    async fn a_write_that_fails_or_panics_leaves_those_in_its_batch_alone() {
        let store = with_numbers(Sqlite::in_memory().unwrap()).await;
        let fails = store.write(|connection| {
            connection.execute("INSERT INTO numbers (number) VALUES (7)", [])?;
            connection.execute("INSERT INTO nowhere (number) VALUES (7)", [])
        });
        let panics = store.write(|connection| -> rusqlite::Result<()> {
            connection.execute("INSERT INTO numbers (number) VALUES (8)", [])?;
            panic!("a bug in the work");
        });
        let (first, failed, panicked, last) =
            tokio::join!(insert(&store, 1, 0), fails, panics, insert(&store, 2, 0));
        assert!(first.is_ok() && last.is_ok());
        assert!(failed.is_err() && panicked.is_err());
        assert_eq!(numbers(&store).await, [1, 2]);
    }

    #[tokio::test]
    async fn on_a_full_disk_writes_fail_and_what_was_confirmed_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.db");
        let store = with_numbers(Sqlite::open(&path).unwrap()).await;
        insert(&store, 1, 0).await.unwrap();
        let pages_max = |pages: &'static str| {
            store.write(move |connection| connection.pragma_update(None, "max_page_count", pages))
        };
        // SQLite's own limit on pages stands for the disk: it fails with the same code, at the same places.
        pages_max("1").await.unwrap();
        for number in 2..5 {
            let full = insert(&store, number, 1 << 20).await;
            assert!(matches!(full, Err(StoreError::Unavailable(_))), "{full:?}");
        }
        let (one, other) = tokio::join!(insert(&store, 5, 1 << 20), insert(&store, 6, 0));
        assert!(one.is_err());
        let mut expected = vec![1];
        // It fitted into what was there; if it was confirmed, it has to stay.
        expected.extend(other.is_ok().then_some(6));
        assert_eq!(numbers(&store).await, expected);
        pages_max("1000000").await.unwrap();
        insert(&store, 7, 1 << 20).await.unwrap();
        expected.push(7);
        drop(store);
        assert_eq!(numbers(&Sqlite::open(&path).unwrap()).await, expected);
    }

    #[tokio::test]
    async fn writes_that_nobody_waits_for_are_done_before_the_store_is_closed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.db");
        let store = with_numbers(Sqlite::open(&path).unwrap()).await;
        for number in 0..100 {
            // Polled once, so that it is given to the writer, and dropped.
            let mut write = std::pin::pin!(insert(&store, number, 0));
            let polled =
                std::future::poll_fn(|cx| std::task::Poll::Ready(write.as_mut().poll(cx).is_ready()));
            let _ = polled.await;
        }
        drop(store);
        assert_eq!(numbers(&Sqlite::open(&path).unwrap()).await.len(), 100);
    }
}
