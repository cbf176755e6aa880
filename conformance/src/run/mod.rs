//! Runs cases: many at once on one server, those that need it to themselves afterwards, one by one.

mod actors;
mod bench;
mod case;
mod connecting;
mod expectations;
mod orders;
mod outside;
mod steps;
mod trial;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use touchstone_report::Verdict;
use touchstone_scenarios::rules::Rules;
use touchstone_scenarios::scenario::Scenario;
use touchstone_sut::Sut;

use crate::coverage::Seen;
use crate::results::{CaseResult, Counts, Run, Tool};
use crate::select::{Case, KnownFailing, NamesNothing, Pattern, cases, choose};
use crate::verdict::{CaseVerdict, Strictness, as_known_failing};

use bench::Bench;
use case::{could_not_run, run_case, skipped};

/// How a run is made.
#[derive(Debug, Clone)]
pub struct Options {
    /// Which cases; all if there is none.
    pub patterns: Vec<Pattern>,
    /// How findings weigh.
    pub strictness: Strictness,
    /// Cases that must fail.
    pub known_failing: KnownFailing,
    /// How many cases run at once.
    pub jobs: usize,
    /// Stop after the first case that makes the run fail.
    pub fail_fast: bool,
    /// Stretches every deadline and every far edge of a window, never a near one. At least 1.
    pub patience: f64,
    /// Run only this order of an interleaving, from 1.
    pub order: Option<usize>,
    /// Unique ids and drawn orders come from it.
    pub seed: u64,
    /// Keep the transcript of every case, not only of those that found something.
    pub trace: bool,
    /// How long a step without `within:` waits.
    pub expectation_deadline: Duration,
    /// How long a whole case may take.
    pub case_deadline: Duration,
    /// What a rerun command begins with: `touchstone conform run --target my.yaml`.
    pub rerun: String,
    /// Which program judges.
    pub tool: Tool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            patterns: Vec::new(),
            strictness: Strictness::ByLevel,
            known_failing: KnownFailing::default(),
            jobs: 8,
            fail_fast: false,
            patience: 1.0,
            order: None,
            seed: 0,
            trace: false,
            expectation_deadline: Duration::from_secs(2),
            case_deadline: Duration::from_secs(60),
            rerun: "touchstone conform run".to_owned(),
            tool: Tool {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                commit: None,
            },
        }
    }
}

/// What happens while a run goes on.
#[derive(Debug, Clone)]
pub enum Event {
    /// The run begins.
    RunStarted {
        /// How many cases it has.
        cases: usize,
    },
    /// A case begins.
    CaseStarted {
        /// Its id.
        id: String,
    },
    /// A case has ended.
    CaseFinished {
        /// What became of it.
        result: Arc<CaseResult>,
        /// All that have ended so far.
        counts: Counts,
        /// How many cases the run has.
        total: usize,
    },
}

/// Why there is no run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A pattern of the command line or a line of the list of known failures.
    #[error(transparent)]
    NamesNothing(#[from] NamesNothing),
    /// No scenario is for a dialect that the target speaks.
    #[error("no scenario is for what the target speaks")]
    NoCases,
}

/// Runs the scenarios against a running system. A failed expectation is data; an error means that nothing was run.
///
/// `events` is a courtesy: when nobody reads them the run goes on. After `stop`, what has not ended is skipped and the
/// verdict is `interrupted`.
///
/// # Errors
/// See [`RunError`].
pub async fn run(
    sut: Arc<Sut>,
    scenarios: &[Arc<Scenario>],
    rules: &'static Rules,
    options: Options,
    events: mpsc::Sender<Event>,
    stop: CancellationToken,
) -> Result<Run, RunError> {
    let all = cases(scenarios, &sut.target().dialects);
    if all.is_empty() {
        return Err(RunError::NoCases);
    }
    options.known_failing.check(&all)?;
    let chosen = choose(all, &options.patterns)?;
    let bench = Arc::new(Bench::new(sut, rules, options));
    let mut runner = Runner {
        bench: Arc::clone(&bench),
        total: chosen.len(),
        events,
        stop,
        halted: None,
        finished: BTreeMap::new(),
        counts: Counts::default(),
        seen: Seen::default(),
    };
    let started_at = SystemTime::now();
    let began = Instant::now();
    runner.tell(Event::RunStarted { cases: chosen.len() }).await;
    runner.run_all(chosen).await;
    Ok(runner.finish(started_at, began.elapsed()))
}

/// What a case hands to the runner.
pub(crate) struct Outcome {
    pub(crate) result: CaseResult,
    pub(crate) seen: Seen,
}

struct Runner {
    bench: Arc<Bench>,
    total: usize,
    events: mpsc::Sender<Event>,
    stop: CancellationToken,
    /// Why no further case is begun.
    halted: Option<&'static str>,
    /// By position in the run.
    finished: BTreeMap<usize, Arc<CaseResult>>,
    counts: Counts,
    seen: Seen,
}

impl Runner {
    async fn run_all(&mut self, chosen: Vec<Case>) {
        let (alone, together): (Vec<_>, Vec<_>) = chosen
            .into_iter()
            .enumerate()
            .partition(|(_, case)| case.scenario.alone);
        self.run_together(together).await;
        for (position, case) in alone {
            self.run_together(vec![(position, case)]).await;
            self.bench.revive().await;
        }
    }

    /// Runs these, `jobs` at a time, and awaits them all.
    async fn run_together(&mut self, cases: Vec<(usize, Case)>) {
        let permits = Arc::new(Semaphore::new(self.bench.options.jobs.max(1)));
        let mut tasks: JoinSet<Outcome> = JoinSet::new();
        let mut running = BTreeMap::new();
        for (position, case) in cases {
            let permit = loop {
                tokio::select! {
                    biased;
                    Some(joined) = tasks.join_next_with_id(), if !tasks.is_empty() => {
                        self.take(joined, &mut running).await;
                    }
                    permit = Arc::clone(&permits).acquire_owned() => break permit,
                }
            };
            self.look_for_a_halt();
            if let Some(why) = self.halted {
                self.record(position, &case, skipped(&self.bench, &case, why.to_owned()))
                    .await;
                continue;
            }
            self.tell(Event::CaseStarted { id: case.id.clone() }).await;
            let (bench, own, stop) = (Arc::clone(&self.bench), case.clone(), self.stop.clone());
            let handle = tasks.spawn(async move {
                let outcome = run_case(&bench, &own, &stop).await;
                drop(permit);
                outcome
            });
            running.insert(handle.id(), (position, case));
        }
        while let Some(joined) = tasks.join_next_with_id().await {
            self.take(joined, &mut running).await;
        }
    }

    async fn take(
        &mut self,
        joined: Result<(tokio::task::Id, Outcome), tokio::task::JoinError>,
        running: &mut BTreeMap<tokio::task::Id, (usize, Case)>,
    ) {
        let id = joined
            .as_ref()
            .map_or_else(tokio::task::JoinError::id, |(id, _)| *id);
        let Some((position, case)) = running.remove(&id) else {
            return;
        };
        let outcome = match joined {
            Ok((_, outcome)) => outcome,
            Err(error) => could_not_run(&self.bench, &case, format!("the case itself broke: {error}")),
        };
        self.record(position, &case, outcome).await;
    }

    async fn record(&mut self, position: usize, case: &Case, outcome: Outcome) {
        let Outcome { mut result, seen } = outcome;
        if self.bench.options.known_failing.lists(case) {
            result.verdict = as_known_failing(result.verdict);
        }
        self.seen.merge(seen);
        self.counts.add(result.verdict);
        if self.bench.options.fail_fast && result.verdict.fails_the_run() && self.halted.is_none() {
            self.halted = Some("an earlier case failed, and the run stops at the first");
        }
        let result = Arc::new(result);
        self.finished.insert(position, Arc::clone(&result));
        self.tell(Event::CaseFinished {
            result,
            counts: self.counts,
            total: self.total,
        })
        .await;
    }

    fn look_for_a_halt(&mut self) {
        if self.stop.is_cancelled() && self.halted.is_none() {
            self.halted = Some("the run was interrupted");
        }
    }

    async fn tell(&self, event: Event) {
        // Nobody listens any more: the results are returned all the same.
        let _unheard = self.events.send(event).await;
    }

    fn finish(self, started_at: SystemTime, duration: Duration) -> Run {
        let cases: Vec<CaseResult> = self.finished.into_values().map(Arc::unwrap_or_clone).collect();
        let verdict = if self.stop.is_cancelled() {
            Verdict::Interrupted
        } else if cases.iter().any(|case| case.verdict.fails_the_run()) {
            Verdict::Failed
        } else {
            Verdict::Passed
        };
        let judged = cases
            .iter()
            .filter(|case| !matches!(case.verdict, CaseVerdict::Skipped | CaseVerdict::CouldNotRun))
            .map(|case| (case.id.as_str(), case.clauses.as_slice()));
        let target = self.bench.sut.target();
        let coverage = self.seen.coverage(&target.dialects, self.bench.rules, judged);
        Run {
            tool: self.bench.options.tool.clone(),
            target: target.name.clone(),
            started_at,
            duration,
            seed: self.bench.options.seed,
            verdict,
            coverage,
            cases,
        }
    }
}
