//! Runs cases: many at once on one server, those that need it to themselves afterwards, one by one.

mod actors;
mod aside;
pub(crate) mod bench;
mod case;
mod cast;
mod connecting;
mod ends;
mod expectations;
mod greeting;
mod lane;
mod lateness;
mod leftovers;
mod operations;
mod orders;
mod outside;
mod preflight;
mod sounding;
mod steps;
mod trial;
mod waits;
mod windows;

use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use touchstone_report::Verdict;
use touchstone_scenarios::rules::Rules;
use touchstone_scenarios::scenario::Scenario;
use touchstone_sut::Sut;

use crate::coverage::{Looked, Seen};
use crate::results::{CaseResult, Counts, Run, Tool};
use crate::select::{Case, KnownFailing, NamesNothing, Pattern, cases, choose};
use crate::verdict::{CaseVerdict, Strictness};

pub(crate) use case::could_not_run;
pub(crate) use lane::run_apart;

use bench::Bench;
use case::skipped;
use lane::{Lane, Pace, Server};
use waits::waits;

pub(crate) use cast::encoded;

/// Servers that are started for cases which need one to themselves. Few machines run more of them well at a time.
const SERVERS_MAX: usize = 6;
/// So many lanes of a kind begin cases also while the judge is behind, so that on a machine which always is the run ends.
const STEADY_LANES: usize = 4;
/// Second attempts at once: so few that what made the judge late is not its own doing again.
const AGAIN_AT_ONCE_MAX: usize = 2;
/// Results that wait to be recorded; a lane that is faster waits.
const RESULTS_MAX: usize = 64;

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
    /// What could not be tried makes the run fail.
    pub no_skips: bool,
    /// Keep the transcript of every case, not only of those that found something.
    pub trace: bool,
    /// How long a step without `within:` waits.
    pub expectation_deadline: Duration,
    /// How long a whole case may take beyond what its own pauses and windows do.
    pub case_deadline: Duration,
    /// A case that waits longer than this at the target's timings is skipped: nobody sits out a session's hour.
    pub waits_max: Duration,
    /// What a rerun command begins with: `touchstone conform run --target my.yaml`.
    pub rerun: String,
    /// Whether a look is taken at the target before the first case.
    pub preflight: Preflight,
    /// Which program judges.
    pub tool: Tool,
}

/// Whether a look is taken at the target before the first case, so that what its file says wrongly is said once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preflight {
    /// It is.
    Taken,
    /// The target is known: it is our own, or broken on purpose.
    Omitted,
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
            no_skips: false,
            trace: false,
            expectation_deadline: Duration::from_secs(2),
            case_deadline: Duration::from_secs(60),
            waits_max: Duration::from_secs(180),
            rerun: "touchstone conform run".to_owned(),
            preflight: Preflight::Omitted,
            tool: Tool {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                commit: None,
            },
        }
    }
}

impl Options {
    /// Whether a case with this verdict makes the run fail.
    #[must_use]
    pub fn fails(&self, verdict: CaseVerdict) -> bool {
        verdict.fails_the_run() || (self.no_skips && verdict == CaseVerdict::Skipped)
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
    /// A look at the target found something that will be in the way of some cases.
    InTheWay {
        /// What, naming the key of the target file.
        what: String,
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
    /// Nothing can be tried: of every dialect something that all its cases need is not to be had as the target file
    /// says.
    #[error("nothing can be tried as the target file says:\n  {}", .0.join("\n  "))]
    NothingWorks(Vec<String>),
    /// No scenario is for a dialect that the target speaks.
    #[error("no scenario is for what the target speaks")]
    NoCases,
}

/// Runs the scenarios against a running system. A failed expectation is data; an error means that nothing was run.
///
/// Cases that need a server to themselves get one of their own where the target can be started, and run by themselves
/// at the end where it cannot. `events` is a courtesy: when nobody reads them the run goes on. After `stop`, what has
/// not ended is skipped and the verdict is `interrupted`.
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
    let in_the_way = match options.preflight {
        // Interrupted meanwhile: no case is begun, and the report says so.
        Preflight::Taken => match stop.run_until_cancelled(preflight::look(&sut, &chosen)).await {
            Some(found) => found?,
            None => Vec::new(),
        },
        Preflight::Omitted => Vec::new(),
    };
    let warnings: Vec<String> = in_the_way.iter().map(preflight::sentence).collect();
    let bench = Arc::new(Bench::new(sut, rules, options).knowing(in_the_way));
    let started_at = SystemTime::now();
    let began = Instant::now();
    let mut runner = Runner {
        bench,
        cases: chosen,
        to_try_again: Vec::new(),
        events,
        halt: stop.child_token(),
        stop,
        finished: BTreeMap::new(),
        counts: Counts::default(),
        seen: Seen::default(),
    };
    runner
        .tell(Event::RunStarted {
            cases: runner.cases.len(),
        })
        .await;
    for what in warnings {
        runner.tell(Event::InTheWay { what }).await;
    }
    let mut watching = JoinSet::new();
    let lateness = Arc::clone(&runner.bench.lateness);
    watching.spawn(async move { lateness.watch().await });
    runner.run_all().await;
    watching.shutdown().await;
    Ok(runner.finish(started_at, began.elapsed()))
}

/// What a case hands to the runner.
pub(crate) struct Outcome {
    pub(crate) result: CaseResult,
    pub(crate) seen: Seen,
}

struct Runner {
    bench: Arc<Bench>,
    cases: Vec<Case>,
    /// Cases whose first attempt does not count.
    to_try_again: Vec<Waiting>,
    events: mpsc::Sender<Event>,
    stop: CancellationToken,
    /// No further case is begun: interrupted, or told to stop at the first failure.
    halt: CancellationToken,
    /// By position in `cases`.
    finished: BTreeMap<usize, Arc<CaseResult>>,
    counts: Counts,
    seen: Seen,
}

/// A case that waits for a lane.
pub(crate) struct Waiting {
    /// Its position in the run.
    position: usize,
    case: Case,
    /// What came of it before, if that did not count.
    first_attempt: Option<Box<CaseResult>>,
}

/// Cases that wait for a lane.
type Queue = Arc<Mutex<VecDeque<Waiting>>>;

impl Runner {
    async fn run_all(&mut self) {
        let mut waiting: Vec<Waiting> = self.cases.iter().cloned().enumerate().map(Waiting::new).collect();
        if self.bench.options.jobs > 1 {
            // Whoever waits longest begins first, or the run would end with everybody waiting for the last one.
            waiting.sort_by_cached_key(|waiting| Reverse(waits(&self.bench, &waiting.case)));
        }
        let (alone, together) = queues(waiting);
        let jobs = self.bench.options.jobs.max(1);
        let servers = if self.bench.sut.target().is_spawned() {
            SERVERS_MAX.min(length(&alone))
        } else {
            0
        };
        let shared = (0..jobs).map(|number| (Server::Shared, pace(number), &together));
        let own = (0..servers).map(|number| (Server::Own, pace(number), &alone));
        self.run_lanes(Arc::clone(&self.bench), shared.chain(own)).await;
        // What is left: there is no server that could be had alone, so the shared one is, now.
        let alone = std::iter::once((Server::Alone, Pace::Steady, &alone));
        self.run_lanes(Arc::clone(&self.bench), alone).await;
        self.try_again().await;
        self.skip_the_rest().await;
    }

    /// The second attempts, when little else runs.
    async fn try_again(&mut self) {
        let bench = Arc::new(self.bench.again());
        let (alone, together) = queues(std::mem::take(&mut self.to_try_again));
        let lanes = AGAIN_AT_ONCE_MAX.min(length(&together));
        let shared = (0..lanes).map(|_| (Server::Shared, Pace::Steady, &together));
        self.run_lanes(Arc::clone(&bench), shared).await;
        self.run_lanes(bench, std::iter::once((Server::Alone, Pace::Steady, &alone)))
            .await;
        // Nothing more is begun, so what was seen is what there is to say.
        for queue in [together, alone] {
            let left = std::mem::take(&mut *queue.lock().unwrap_or_else(PoisonError::into_inner));
            for waiting in left {
                if let Some(first) = waiting.first_attempt {
                    self.record(waiting.position, *first).await;
                }
            }
        }
    }

    /// Runs lanes, each on a server from a queue, until all of them have ended.
    async fn run_lanes(&mut self, bench: Arc<Bench>, lanes: impl Iterator<Item = (Server, Pace, &Queue)>) {
        let (results, mut arrived) = mpsc::channel(RESULTS_MAX);
        let mut running = JoinSet::new();
        for (server, pace, queue) in lanes {
            let lane = Lane {
                bench: Arc::clone(&bench),
                server,
                pace,
                queue: Arc::clone(queue),
                events: self.events.clone(),
                results: results.clone(),
                stop: self.stop.clone(),
                halt: self.halt.clone(),
            };
            running.spawn(lane.run());
        }
        drop(results);
        while let Some((waiting, outcome)) = arrived.recv().await {
            let Outcome { result, seen } = outcome;
            self.seen.merge(seen);
            if result.deserves_another() && !self.stop.is_cancelled() {
                self.to_try_again.push(Waiting {
                    first_attempt: Some(Box::new(result)),
                    ..waiting
                });
            } else {
                self.record(waiting.position, result).await;
            }
        }
        running.join_all().await;
    }

    async fn skip_the_rest(&mut self) {
        let why = if self.stop.is_cancelled() {
            "the run was interrupted"
        } else {
            "an earlier case failed, and the run stops at the first"
        };
        for position in 0..self.cases.len() {
            if !self.finished.contains_key(&position) {
                let outcome = skipped(&self.bench, &self.cases[position], why.to_owned());
                self.record(position, outcome.result).await;
            }
        }
    }

    async fn record(&mut self, position: usize, result: CaseResult) {
        self.counts.add(result.verdict);
        let result = Arc::new(result);
        self.finished.insert(position, Arc::clone(&result));
        self.tell(Event::CaseFinished {
            result,
            counts: self.counts,
            total: self.cases.len(),
        })
        .await;
    }

    async fn tell(&self, event: Event) {
        // Nobody listens any more: the results are returned all the same.
        let _unheard = self.events.send(event).await;
    }

    fn finish(self, started_at: SystemTime, duration: Duration) -> Run {
        let cases: Vec<CaseResult> = self.finished.into_values().map(Arc::unwrap_or_clone).collect();
        let verdict = if self.stop.is_cancelled() {
            Verdict::Interrupted
        } else if cases.iter().any(|case| self.bench.options.fails(case.verdict)) {
            Verdict::Failed
        } else {
            Verdict::Passed
        };
        let looked = cases.iter().map(|case| Looked {
            case: &case.id,
            clauses: &case.clauses,
            not_judged: match case.verdict {
                CaseVerdict::Skipped | CaseVerdict::CouldNotRun => Some(case.reason.as_deref().unwrap_or("")),
                CaseVerdict::Passed
                | CaseVerdict::Failed
                | CaseVerdict::NonStrict
                | CaseVerdict::Informational
                | CaseVerdict::KnownFailing
                | CaseVerdict::UnexpectedlyPassed => None,
            },
        });
        let target = self.bench.sut.target();
        let has = |key: &str| target.has(key);
        let coverage = self
            .seen
            .coverage(&target.dialects, self.bench.rules, &has, looked);
        let only = self.bench.options.patterns.iter().map(ToString::to_string);
        Run {
            tool: self.bench.options.tool.clone(),
            target: target.name.clone(),
            started_at,
            duration,
            seed: self.bench.options.seed,
            verdict,
            only: only.collect(),
            coverage,
            cases,
        }
    }
}

impl Waiting {
    fn new((position, case): (usize, Case)) -> Self {
        Self {
            position,
            case,
            first_attempt: None,
        }
    }
}

/// Those that need a server to themselves, and those that do not.
fn queues(waiting: Vec<Waiting>) -> (Queue, Queue) {
    let (alone, together): (VecDeque<_>, VecDeque<_>) = waiting
        .into_iter()
        .partition(|waiting| waiting.case.scenario.alone);
    (Queue::new(Mutex::new(alone)), Queue::new(Mutex::new(together)))
}

fn length(queue: &Queue) -> usize {
    queue.lock().unwrap_or_else(PoisonError::into_inner).len()
}

/// The pace of the lane of this number among those of its kind.
const fn pace(number: usize) -> Pace {
    if number < STEADY_LANES {
        Pace::Steady
    } else {
        Pace::Yielding
    }
}
