//! One of several rows of cases that run side by side, each case when the one before it has ended.

use std::sync::{Arc, PoisonError};

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use touchstone_sut::Sut;

use super::bench::Bench;
use super::case::{could_not_run, run_case};
use super::{Event, Outcome, Queue, Waiting};
use crate::results::CaseResult;
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

/// When a lane begins its next case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// As soon as the one before has ended.
    Steady,
    /// Not while the judge is behind: a busy machine gets fewer cases at once, and not later ones.
    Yielding,
}

/// A lane.
///
/// It takes cases from `queue`, which the other lanes of its kind take from too, and hands what becomes of them to
/// `results`. It ends when the queue is empty or `halt` is cancelled.
pub(super) struct Lane {
    pub(super) bench: Arc<Bench>,
    pub(super) server: Server,
    pub(super) pace: Pace,
    pub(super) queue: Queue,
    pub(super) events: mpsc::Sender<Event>,
    pub(super) results: mpsc::Sender<(Waiting, Outcome)>,
    pub(super) stop: CancellationToken,
    pub(super) halt: CancellationToken,
}

impl Lane {
    pub(super) async fn run(mut self) {
        if self.server == Server::Own {
            let Ok(own) = Sut::start(self.bench.sut.target().clone()).await else {
                // The cases stay in the queue and are run on the shared server at the end.
                return;
            };
            self.bench = Arc::new(self.bench.on(Arc::new(own)));
        }
        while let Some(waiting) = self.next().await {
            self.run_one(waiting).await;
        }
    }

    async fn next(&self) -> Option<Waiting> {
        match self.pace {
            Pace::Steady => {}
            Pace::Yielding => {
                let keeping_up = self.bench.lateness.caught_up();
                self.halt.run_until_cancelled(keeping_up).await?;
            }
        }
        if self.halt.is_cancelled() {
            return None;
        }
        self.queue
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front()
    }

    async fn run_one(&self, waiting: Waiting) {
        let case = &waiting.case;
        // Nobody listens any more: the results are returned all the same.
        let _unheard = self.events.send(Event::CaseStarted { id: case.id.clone() }).await;
        let options = &self.bench.options;
        let first = waiting.first_attempt.clone();
        let mut outcome = self.attempt(&self.bench, case, first).await;
        if options.fail_fast && outcome.result.deserves_another() {
            // Whether the run goes on depends on it, so it cannot wait until little else runs.
            let again = Arc::new(self.bench.again());
            let first = Box::new(outcome.result);
            outcome = self.attempt(&again, case, Some(first)).await;
        }
        let verdict = outcome.result.verdict;
        if options.fail_fast && options.fails(verdict) {
            self.halt.cancel();
        }
        // The runner reads until every lane has ended.
        let _recorded = self.results.send((waiting, outcome)).await;
        if self.server != Server::Shared || verdict == CaseVerdict::CouldNotRun {
            self.bench.revive().await;
        }
    }

    /// Runs the case once.
    async fn attempt(&self, bench: &Arc<Bench>, case: &Case, first: Option<Box<CaseResult>>) -> Outcome {
        let mut outcome = run_apart(bench, case, &self.stop).await;
        if bench.options.known_failing.lists(case) {
            outcome.result.verdict = as_known_failing(outcome.result.verdict);
            if outcome.result.verdict == CaseVerdict::UnexpectedlyPassed {
                let what_to_do = "it is listed as failing and passed: take it off the list";
                outcome.result.reason = Some(what_to_do.to_owned());
            }
        }
        outcome.result.first_attempt = first;
        outcome
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
