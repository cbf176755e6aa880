//! `embedded:` and `embedded:PATH` — everything but sessions in memory, kept by SQLite in this process.
//!
//! One thread writes, in batches: what is asked for while a batch is being committed goes into the next one, so that
//! many share one `fsync`. Each write is atomic by itself, and it is answered after its batch is on the disk. Readers
//! have connections of their own and never wait for a writer. In memory there is one connection for both.
//!
//! The traits are implemented in a file each, beside the tables that they need.

mod accounts;
mod dialogues;
mod open;
mod reading;
mod writing;

use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;

pub use self::open::OpenError;
use self::reading::Readers;
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
        })))
    }

    /// The store in the file at `path`, which is made if it is not there. What was confirmed is on the disk.
    ///
    /// # Errors
    /// The file is not there to be had, is damaged, or is not a store of this kind.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        // The writer first: it makes the tables.
        let writer = Writer::start(open::for_writing(path)?)?;
        let readers = Some(Readers::start(path)?);
        Ok(Self(Arc::new(Threads { readers, writer })))
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

    /// Does `work`, which only reads, on what was committed before this call.
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
