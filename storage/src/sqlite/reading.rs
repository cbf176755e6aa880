//! The threads that read, each with a connection of its own.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::open::{self, OpenError};
use crate::session::StoreError;

/// Threads that read: what is read is mostly in memory, so more than two only take turns.
const THREADS: usize = 2;

/// Reads that wait for a thread; whoever brings one more waits.
const JOBS_WAITING_MAX: usize = 4_096;

type Job = Box<dyn FnOnce(&Connection) + Send>;

/// The reading threads; dropping them lets them finish what they were given.
#[derive(Debug)]
pub(super) struct Readers {
    /// `None` only while they are being dropped.
    jobs: Option<mpsc::Sender<Job>>,
    threads: Vec<JoinHandle<()>>,
}

impl Readers {
    /// Starts the threads on the file at `path`.
    pub(super) fn start(path: &Path) -> Result<Self, OpenError> {
        let (jobs, receiver) = mpsc::channel(JOBS_WAITING_MAX);
        let receiver = Arc::new(Mutex::new(receiver));
        let mut readers = Self {
            jobs: Some(jobs),
            threads: Vec::new(),
        };
        for number in 1..=THREADS {
            let connection = open::for_reading(path)?;
            let receiver = Arc::clone(&receiver);
            let thread = std::thread::Builder::new()
                .name(format!("store-reader-{number}"))
                .spawn(move || run(&connection, &receiver))?;
            readers.threads.push(thread);
        }
        Ok(readers)
    }

    /// See [`Sqlite::read`](super::Sqlite::read).
    pub(super) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            // An error means that nobody waits for the answer any more.
            let _ = answer.send(at_one_moment(connection, work).map_err(StoreError::from));
        });
        let gone = || StoreError::Unavailable("the store gave no answer".to_owned());
        let jobs = self
            .jobs
            .as_ref()
            .expect("the readers take jobs until they are dropped");
        jobs.send(job).await.map_err(|_| gone())?;
        answered.await.unwrap_or_else(|_| Err(gone()))
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.jobs = None;
        for thread in self.threads.drain(..) {
            // A panic has been reported by the thread itself.
            let _ = thread.join();
        }
    }
}

/// Does `work` on one snapshot: without a transaction each statement would see what was committed before it.
fn at_one_moment<T>(
    connection: &Connection,
    work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    let snapshot = connection.unchecked_transaction()?;
    let read = work(&snapshot);
    snapshot.finish()?;
    read
}

/// Takes jobs in turn with the other threads: one of them waits for the next while it holds the lock.
fn run(connection: &Connection, jobs: &Mutex<mpsc::Receiver<Job>>) {
    loop {
        let next = jobs
            .lock()
            .expect("the jobs' lock is never poisoned: no code panics while holding it")
            .blocking_recv();
        let Some(job) = next else { return };
        // A job that panics drops its answer, and so its caller is told; the thread goes on.
        let _ = catch_unwind(AssertUnwindSafe(|| job(connection)));
    }
}
