//! The thread that writes: jobs in the order in which they came, many to a commit.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use crate::session::StoreError;

/// Jobs that wait for the writer; whoever brings one more waits.
const JOBS_WAITING_MAX: usize = 4_096;

/// Jobs in one commit: a few milliseconds' worth, so that the first of them does not wait much longer than the disk takes.
const JOBS_PER_COMMIT_MAX: usize = 512;

/// Does the work, and says what is to be done once it is known whether it was committed.
type Job = Box<dyn FnOnce(&Connection) -> Outcome + Send>;

/// What became of one job inside its batch.
enum Outcome {
    /// Done; to be told when it is committed, or why it is not.
    Done(Box<dyn FnOnce(Result<(), StoreError>) + Send>),
    /// Undone, and answered already.
    Undone,
}

/// The writing thread; dropping it lets it finish what it was given.
#[derive(Debug)]
pub(super) struct Writer {
    /// `None` only while it is being dropped.
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread with the connection that it writes to.
    pub(super) fn start(connection: Connection) -> std::io::Result<Self> {
        let (jobs, receiver) = mpsc::channel(JOBS_WAITING_MAX);
        let thread = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || run(&connection, receiver))?;
        Ok(Self {
            jobs: Some(jobs),
            thread: Some(thread),
        })
    }

    /// See [`Sqlite::write`](super::Sqlite::write).
    pub(super) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |connection| match work(connection) {
            Ok(done) => Outcome::Done(Box::new(move |committed| {
                // An error means that nobody waits for the answer any more.
                let _ = answer.send(committed.map(|()| done));
            })),
            Err(error) => {
                let _ = answer.send(Err(error.into()));
                Outcome::Undone
            }
        });
        let jobs = self
            .jobs
            .as_ref()
            .expect("the writer takes jobs until it is dropped");
        // Errors here mean that the thread has ended, or that the work panicked.
        jobs.send(job).await.map_err(|_| gone())?;
        answered.await.unwrap_or_else(|_| Err(gone()))
    }
}

fn gone() -> StoreError {
    StoreError::Unavailable("the store gave no answer".to_owned())
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // A panic has been reported by the thread itself.
            let _ = thread.join();
        }
    }
}

fn run(connection: &Connection, mut jobs: mpsc::Receiver<Job>) {
    while let Some(first) = jobs.blocking_recv() {
        let batch = std::iter::once(first).chain(std::iter::from_fn(|| jobs.try_recv().ok()));
        commit(connection, batch.take(JOBS_PER_COMMIT_MAX));
    }
}

/// Does all jobs of one batch and answers them once they are committed.
fn commit(connection: &Connection, batch: impl Iterator<Item = Job>) {
    let begun = execute(connection, "BEGIN IMMEDIATE");
    let mut done = Vec::new();
    for job in batch {
        if let Outcome::Done(tell) = attempt(connection, job) {
            done.push(tell);
        }
        // Some failures, a full disk for one, take the whole transaction back: nothing before them was done either.
        if begun.is_ok() && connection.is_autocommit() {
            let undone = StoreError::Unavailable("the store took a batch of writes back".to_owned());
            done.drain(..).for_each(|tell| tell(Err(undone.clone())));
            // If this fails, so does the commit, and whoever comes behind is told.
            let _ = execute(connection, "BEGIN IMMEDIATE");
        }
    }
    let committed = begun
        .and_then(|()| execute(connection, "COMMIT"))
        .map_err(StoreError::from);
    if committed.is_err() && !connection.is_autocommit() {
        // Nothing is left to be done about a failure of this: the next batch will fail as well, and be told.
        let _ = execute(connection, "ROLLBACK");
    }
    done.into_iter().for_each(|tell| tell(committed.clone()));
}

/// Does one job so that its failure leaves the others alone.
fn attempt(connection: &Connection, job: Job) -> Outcome {
    if execute(connection, "SAVEPOINT job").is_err() {
        // Dropped, the job's answer is that the store gave none.
        return Outcome::Undone;
    }
    let outcome = catch_unwind(AssertUnwindSafe(|| job(connection))).unwrap_or(Outcome::Undone);
    if matches!(outcome, Outcome::Undone) {
        // If the transaction is gone, so is the savepoint.
        let _ = execute(connection, "ROLLBACK TO job");
    }
    let _ = execute(connection, "RELEASE job");
    outcome
}

fn execute(connection: &Connection, statement: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(statement)?.execute([]).map(|_| ())
}
