//! One of several rows of cases that run side by side, each case when the one before it has ended.

use std::sync::{Arc, PoisonError};

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use touchstone_sut::Sut;

use super::bench::Bench;
use super::case::{could_not_run, run_case};
use super::{Event, Outcome, Queue};
use crate::select::Case;
use crate::verdict::{CaseVerdict, as_known_failing};

/// On which server a lane runs its cases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Server {
    /// The one that all lanes use.
    Shared,
    /// The same, when no other lane is left.
    Alone,
    /// One that is started for the lane.
    Own,
}

/// A lane.
///
/// It takes cases from `queue`, which the other lanes of its kind take from too, and hands what becomes of them to
/// `results`. It ends when the queue is empty or `halt` is cancelled.
pub(super) struct Lane {
    pub(super) bench: Arc<Bench>,
    pub(super) queue: Queue,
    pub(super) events: mpsc::Sender<Event>,
    pub(super) results: mpsc::Sender<(usize, Outcome)>,
    pub(super) stop: CancellationToken,
    pub(super) halt: CancellationToken,
}

impl Lane {
    pub(super) async fn run(mut self, server: Server) {
        if server == Server::Own {
            let Ok(own) = Sut::start(self.bench.sut.target().clone()).await else {
                // The cases stay in the queue and are run on the shared server at the end.
                return;
            };
            self.bench = Arc::new(self.bench.on(Arc::new(own)));
        }
        while let Some((position, case)) = self.next() {
            self.run_one(position, case, server).await;
        }
    }

    fn next(&self) -> Option<(usize, Case)> {
        if self.halt.is_cancelled() {
            return None;
        }
        self.queue
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front()
    }

    async fn run_one(&self, position: usize, case: Case, server: Server) {
        // Nobody listens any more: the results are returned all the same.
        let _unheard = self.events.send(Event::CaseStarted { id: case.id.clone() }).await;
        let mut outcome = run_apart(&self.bench, &case, &self.stop).await;
        let options = &self.bench.options;
        if options.known_failing.lists(&case) {
            outcome.result.verdict = as_known_failing(outcome.result.verdict);
            if outcome.result.verdict == CaseVerdict::UnexpectedlyPassed {
                let what_to_do = "it is listed as failing and passed: take it off the list";
                outcome.result.reason = Some(what_to_do.to_owned());
            }
        }
        let verdict = outcome.result.verdict;
        if options.fail_fast && options.fails(verdict) {
            self.halt.cancel();
        }
        // The runner reads until every lane has ended.
        let _recorded = self.results.send((position, outcome)).await;
        if server != Server::Shared || verdict == CaseVerdict::CouldNotRun {
            self.bench.revive().await;
        }
    }
}

/// Runs a case in a task of its own, so that a case that breaks breaks nothing else.
pub(crate) async fn run_apart(bench: &Arc<Bench>, case: &Case, stop: &CancellationToken) -> Outcome {
    let (shared, own, stop) = (Arc::clone(bench), case.clone(), stop.clone());
    let mut task = JoinSet::new();
    task.spawn(async move { run_case(&shared, &own, &stop).await });
    match task.join_next().await {
        Some(Ok(outcome)) => outcome,
        Some(Err(error)) => could_not_run(bench, case, format!("the case itself broke: {error}")),
        None => could_not_run(bench, case, "the case was never begun".to_owned()),
    }
}

pub(super) fn queue_length(queue: &Queue) -> usize {
    queue.lock().unwrap_or_else(PoisonError::into_inner).len()
}
