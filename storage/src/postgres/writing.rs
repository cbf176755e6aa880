//! The task that writes: in the order in which it was asked, many to a commit.

use std::time::Duration;

use deadpool_postgres::Pool;
use tokio::sync::{mpsc, oneshot};
use tokio_postgres::error::SqlState;

use super::connecting::Lease;
use super::failures::{late, unavailable};
use super::statement::{self, Answers, Statement};
use crate::session::StoreError;

/// Writes that wait for their turn; whoever brings one more waits.
const WRITES_WAITING_MAX: usize = 4_096;

/// Writes in one commit: a few milliseconds' worth of the server, so that the first does not wait much longer than a
/// commit takes; and few enough for their locks to fit into the server's table, which has 6,400 places by default.
const WRITES_PER_COMMIT_MAX: usize = 256;

/// How often a write is begun that the server broke off for the sake of another.
const ATTEMPTS_MAX: usize = 5;

/// One atomic write. It may be begun several times, and is done at most once.
#[derive(Debug)]
pub(super) struct Write {
    /// What no other node may touch meanwhile.
    pub(super) locks: Vec<i64>,
    pub(super) statements: Vec<Statement>,
}

/// The number of the lock for what `kind`, `realm` and `id` name: the same on every node and in every version.
pub(super) fn lock(kind: &str, realm: &str, id: &str) -> i64 {
    // FNV-1a. Two names with one number wait for each other, and that is all.
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for part in [kind, realm, id] {
        for byte in part.bytes().chain([0xff]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    hash.cast_signed()
}

struct Job {
    write: Write,
    answer: oneshot::Sender<Result<Answers, StoreError>>,
}

/// Where writes are handed in.
#[derive(Debug, Clone)]
pub(super) struct Writer {
    jobs: mpsc::Sender<Job>,
}

impl Writer {
    /// A writer on the one connection of `pool`, and its task. The task ends when the last clone of the writer is gone
    /// and everything that was handed in is answered.
    pub(super) fn new(pool: Pool, deadline: Duration) -> (Self, impl Future<Output = ()> + Send) {
        let (jobs, receiver) = mpsc::channel(WRITES_WAITING_MAX);
        (Self { jobs }, run(pool, receiver, deadline))
    }

    /// Done and on the disk when it returns; if it fails, it may be done or not.
    pub(super) async fn write(&self, write: Write) -> Result<Answers, StoreError> {
        let (answer, answered) = oneshot::channel();
        let gone = || StoreError::Unavailable("the store is closed".to_owned());
        self.jobs.send(Job { write, answer }).await.map_err(|_| gone())?;
        answered.await.unwrap_or_else(|_| Err(gone()))
    }
}

async fn run(pool: Pool, mut jobs: mpsc::Receiver<Job>, deadline: Duration) {
    let mut batch = Vec::new();
    while jobs.recv_many(&mut batch, WRITES_PER_COMMIT_MAX).await > 0 {
        // Whoever stopped waiting has told somebody that it was not done.
        batch.retain(|job| !job.answer.is_closed());
        commit(&pool, std::mem::take(&mut batch), deadline).await;
    }
}

/// Does all jobs in one transaction. If one of them cannot be done, nothing was, and each gets a transaction of its own.
async fn commit(pool: &Pool, batch: Vec<Job>, deadline: Duration) {
    if batch.is_empty() {
        return;
    }
    let writes: Vec<_> = batch.iter().map(|job| &job.write).collect();
    match attempt(pool, &writes, deadline).await {
        Ok(answers) => {
            for (job, answers) in batch.into_iter().zip(answers) {
                answer(job, Ok(answers));
            }
        }
        Err(Failure::Refused { .. }) => {
            // By now some may have stopped waiting.
            for job in batch.into_iter().filter(|job| !job.answer.is_closed()) {
                let outcome = alone(pool, &job.write, deadline).await;
                answer(job, outcome);
            }
        }
        Err(Failure::Lost(error)) => {
            for job in batch {
                answer(job, Err(error.clone()));
            }
        }
    }
}

fn answer(job: Job, outcome: Result<Answers, StoreError>) {
    // An error means that nobody waits for the answer any more.
    let _ = job.answer.send(outcome);
}

async fn alone(pool: &Pool, write: &Write, deadline: Duration) -> Result<Answers, StoreError> {
    let mut attempts = 0;
    loop {
        attempts += 1;
        match attempt(pool, &[write], deadline).await {
            Ok(mut answers) => return Ok(answers.pop().unwrap_or_default()),
            Err(Failure::Refused { again, .. }) if again && attempts < ATTEMPTS_MAX => {}
            Err(Failure::Refused { error, .. } | Failure::Lost(error)) => return Err(error),
        }
    }
}

enum Failure {
    /// The server did nothing of it.
    Refused {
        error: StoreError,
        /// The same may work now.
        again: bool,
    },
    /// Nobody knows what it did.
    Lost(StoreError),
}

/// One transaction. Returns what each write's statements gave.
async fn attempt(pool: &Pool, writes: &[&Write], deadline: Duration) -> Result<Vec<Answers>, Failure> {
    let lease = Lease::take(pool, deadline).await.map_err(Failure::Lost)?;
    let mut locks: Vec<i64> = writes
        .iter()
        .flat_map(|write| write.locks.iter().copied())
        .collect();
    locks.sort_unstable();
    locks.dedup();
    let statements = writes.iter().flat_map(|write| &write.statements);
    let written = statement::write(lease.client(), &locks, statements);
    let Ok(written) = tokio::time::timeout(deadline, written).await else {
        return Err(Failure::Lost(late(deadline)));
    };
    let mut rows = match written {
        Ok(rows) => rows.into_iter(),
        Err(error) => return Err(failure(&error, lease)),
    };
    lease.give_back();
    let each = writes
        .iter()
        .map(|write| rows.by_ref().take(write.statements.len()).collect());
    Ok(each.collect())
}

fn failure(error: &tokio_postgres::Error, lease: Lease) -> Failure {
    let told = unavailable(error);
    let Some(code) = error.code().filter(|_| !lease.client().is_closed()) else {
        return Failure::Lost(told);
    };
    let again = [
        SqlState::T_R_DEADLOCK_DETECTED,
        SqlState::T_R_SERIALIZATION_FAILURE,
    ]
    .contains(code);
    // The commit that was sent behind it has ended the transaction.
    lease.give_back();
    Failure::Refused { error: told, again }
}

#[cfg(test)]
mod tests {
    use super::lock;

    #[test]
    fn locks_are_told_apart_by_every_part_and_never_change() {
        let names = [("a", "b", "c"), ("a", "bc", ""), ("ab", "", "c"), ("a", "b", "d")];
        let numbers = names.map(|(kind, realm, id)| lock(kind, realm, id));
        for (place, number) in numbers.iter().enumerate() {
            assert!(!numbers[..place].contains(number), "{:?}", names[place]);
        }
        // Nodes of different versions wait for each other.
        assert_eq!(
            lock("channel", "rooms:acme", "general"),
            2_723_819_011_133_341_171
        );
    }
}
