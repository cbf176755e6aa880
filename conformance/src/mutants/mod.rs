//! The kill matrix: which case notices which mutant. It proves that the scenarios can fail.
//!
//! | step | where |
//! |---|---|
//! | which mutants there are, on which dialect, and which cases may notice them | `subject` |
//! | trials: a case, through a proxy of its own that breaks one thing, or nothing | `workshop` |
//! | what was seen, what that makes needless, and what it comes to | `tally` |
//! | plain results, and JSON, document and suites made of them | `results` |
//!
//! A case *notices* a mutant when it fails under a clause that the mutant breaks, and passes with nothing broken.

mod document;
mod json;
pub mod results;
mod subject;
mod tally;
mod workshop;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use touchstone_report::Verdict;
use touchstone_scenarios::glob::Glob;
use touchstone_scenarios::mutant::Mutant;
use touchstone_scenarios::rules::Rules;
use touchstone_scenarios::scenario::Scenario;
use touchstone_sut::Sut;

use crate::clauses::clauses_of_scenario;
use crate::near::{hint, near};
use crate::run::bench::Bench;
use crate::select::{Case, cases};
use crate::verdict::{CaseVerdict, Strictness};

use results::{Fate, Matrix};
use subject::{Subject, Watch, folder_of, stretched, subjects};
use tally::{Purpose, Tally, Trial};
use workshop::{Workshop, lock};

pub use json::SCHEMA;

/// How many trials are made at once when they are made again.
const AGAIN_AT_ONCE: usize = 3;

/// How much is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Each mutant with every case of its dialect.
    Full,
    /// Each mutant with the cases that its file names.
    Named,
    /// Each mutant until a case notices it, then each scenario that has noticed none until it does: as soon as can be.
    Quick,
}

impl Extent {
    /// Its name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Named => "named",
            Self::Quick => "quick",
        }
    }
}

/// How a matrix is made.
#[derive(Debug, Clone)]
pub struct Options {
    /// Which mutants, by id; all if there is none.
    pub patterns: Vec<Glob>,
    /// How much is tried.
    pub extent: Extent,
    /// How many times the cases are run with nothing broken. All of them have to be green.
    pub control_runs: u32,
    /// How many trials are made at once on the shared server.
    pub at_once: usize,
    /// How many times what did not come out as it should is tried again, a few at once, before it counts: for machines
    /// that are too busy to keep the time. It hides what happens now and then.
    pub retries: u32,
    /// Keep what every failure says.
    pub trace: bool,
    /// How a case is run. Everything is judged strictly.
    pub run: crate::Options,
}

/// What happens meanwhile.
#[derive(Debug, Clone)]
pub enum Event {
    /// A part of the work begins.
    Begun {
        /// What it is called.
        stage: String,
        /// How many trials it has at most.
        trials: usize,
    },
    /// A trial was made.
    Tried {
        /// Its case.
        case: String,
        /// How it ended.
        verdict: CaseVerdict,
        /// With which mutant; with nothing broken if there is none.
        mutant: Option<String>,
        /// How many mutants have been noticed so far, if this one was by this trial.
        killed: Option<usize>,
    },
}

/// Why there is no matrix.
#[derive(Debug, thiserror::Error)]
pub enum MatrixError {
    /// A pattern of the command line.
    #[error(
        "`{pattern}` names no mutant; {hint}",
        hint = hint(.near, "`touchstone conform mutants --list` shows their ids")
    )]
    NamesNothing {
        /// It.
        pattern: String,
        /// What may have been meant.
        near: Vec<String>,
    },
    /// No mutant is for a dialect that the target speaks.
    #[error("no mutant is for what the target speaks")]
    NoMutants,
}

impl MatrixError {
    fn names_nothing<'a>(pattern: &Glob, ids: impl Iterator<Item = &'a str>) -> Self {
        let pattern = pattern.to_string();
        let near = near(&pattern, ids);
        Self::NamesNothing { pattern, near }
    }
}

/// A mutant as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its id.
    pub id: String,
    /// What no longer holds.
    pub breaks: String,
    /// The clauses that are broken by it.
    pub clauses: Vec<String>,
    /// Who notices, as its file says.
    pub killed_by: Vec<String>,
}

/// The mutants that these patterns name; all of them if there is none.
///
/// # Errors
/// A pattern that names none.
pub fn list(mutants: &[Arc<Mutant>], patterns: &[Glob]) -> Result<Vec<Listed>, MatrixError> {
    for pattern in patterns {
        if !mutants.iter().any(|mutant| pattern.matches(&mutant.id)) {
            let ids = mutants.iter().map(|mutant| mutant.id.as_str());
            return Err(MatrixError::names_nothing(pattern, ids));
        }
    }
    let chosen = mutants
        .iter()
        .filter(|mutant| patterns.is_empty() || patterns.iter().any(|pattern| pattern.matches(&mutant.id)));
    let listed = chosen
        .map(|mutant| Listed {
            id: mutant.id.clone(),
            breaks: mutant.breaks.clone(),
            clauses: mutant
                .clauses
                .iter()
                .map(|clause| clause.value.0.clone())
                .collect(),
            killed_by: mutant
                .killed_by
                .iter()
                .map(|glob| glob.value.to_string())
                .collect(),
        })
        .collect();
    Ok(listed)
}

/// Tries the mutants on a running system. What survives is data; an error means that nothing was tried.
///
/// `events` is a courtesy: when nobody reads them the work goes on. After `stop`, what was seen until then is returned,
/// and the verdict is `interrupted`.
///
/// # Errors
/// See [`MatrixError`].
pub async fn run(
    sut: Arc<Sut>,
    (scenarios, mutants): (&[Arc<Scenario>], &[Arc<Mutant>]),
    rules: &'static Rules,
    options: Options,
    events: mpsc::Sender<Event>,
    stop: CancellationToken,
) -> Result<Matrix, MatrixError> {
    let cases = cases(scenarios, &sut.target().dialects);
    let patience = options.run.patience;
    let stretched = mutants.iter().map(|mutant| Arc::new(stretched(mutant, patience)));
    let every = subjects(&stretched.collect::<Vec<_>>(), &cases, sut.target());
    let chosen = choose(&every, &options.patterns)?;
    let whole = whole_folders(&cases, &every, &chosen);
    let mut judging = options.run.clone();
    judging.strictness = Strictness::Strict;
    let watches = match options.extent {
        Extent::Full | Extent::Quick => watches(&chosen),
        Extent::Named => BTreeMap::new(),
    };
    let work = Work {
        started_at: SystemTime::now(),
        began: Instant::now(),
        whole,
        workshop: Arc::new(Workshop {
            bench: Bench::new(sut, rules, judging),
            cases,
            subjects: chosen,
            watches,
            tally: Mutex::new(Tally::default()),
            to_try_again: Mutex::default(),
            begun: AtomicU64::new(0),
            trace: options.trace,
            events,
            stop,
        }),
        options,
    };
    work.run().await;
    Ok(work.finish())
}

fn choose(every: &[Subject], patterns: &[Glob]) -> Result<Vec<Subject>, MatrixError> {
    if every.is_empty() {
        return Err(MatrixError::NoMutants);
    }
    for pattern in patterns {
        if !every.iter().any(|subject| subject.is_named_by(pattern)) {
            let ids = every.iter().map(|subject| subject.id.as_str());
            return Err(MatrixError::names_nothing(pattern, ids));
        }
    }
    let is_chosen = |subject: &&Subject| {
        patterns.is_empty() || patterns.iter().any(|pattern| subject.is_named_by(pattern))
    };
    Ok(every.iter().filter(is_chosen).cloned().collect())
}

/// With what each case is watched: all mutants that it may be tried with. Cases of a dialect share theirs.
fn watches(subjects: &[Subject]) -> BTreeMap<usize, Arc<Watch>> {
    let mut by_case: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (position, subject) in subjects.iter().enumerate() {
        for case in subject.named_first() {
            by_case.entry(case).or_default().push(position);
        }
    }
    let mut made: BTreeMap<Vec<usize>, Option<Arc<Watch>>> = BTreeMap::new();
    let mut watches = BTreeMap::new();
    for (case, positions) in by_case {
        let watch = made.entry(positions).or_insert_with_key(|positions| {
            let of = |position: &usize| (*position, &subjects[*position]);
            Watch::of(&positions.iter().map(of).collect::<Vec<_>>()).map(Arc::new)
        });
        if let Some(watch) = watch {
            watches.insert(case, Arc::clone(watch));
        }
    }
    watches
}

/// Folders of scenarios all of whose mutants were chosen: of these it can be asked which scenario notices none. Those of a
/// folder about several dialects, or without mutants of its own, may be meant by any mutant that there is.
fn whole_folders(cases: &[Case], every: &[Subject], chosen: &[Subject]) -> BTreeSet<String> {
    let count = |subjects: &[Subject], folder: &str| {
        let of_folder = subjects.iter().filter(|subject| subject.folder() == folder);
        of_folder.count()
    };
    let dialects = |folder: &str| {
        let of_folder = cases.iter().filter(|case| folder_of(&case.scenario.id) == folder);
        of_folder.map(|case| case.dialect).collect::<BTreeSet<_>>().len()
    };
    let is_whole = |folder: &&str| match (count(every, folder), dialects(folder)) {
        (0, _) | (_, 2..) => every.len() == chosen.len(),
        (all, _) => count(chosen, folder) == all,
    };
    let folders: BTreeSet<&str> = cases.iter().map(|case| folder_of(&case.scenario.id)).collect();
    folders.into_iter().filter(is_whole).map(str::to_owned).collect()
}

/// The work of one matrix.
struct Work {
    started_at: SystemTime,
    began: Instant,
    /// Folders of scenarios all of whose mutants were chosen.
    whole: BTreeSet<String>,
    workshop: Arc<Workshop>,
    options: Options,
}

impl Work {
    async fn run(&self) {
        let runs = self.options.control_runs;
        for run in 1..=runs {
            let stage = format!("control {run} of {runs}");
            self.make(&stage, self.control(run, self.tried_cases())).await;
            for _ in 0..self.options.retries {
                let red = lock(&self.workshop.tally).red_cases(run);
                self.make_again(&stage, self.control(run, red)).await;
            }
        }
        if !self.workshop.watches.is_empty() {
            self.make("watch", self.watched()).await;
        }
        match self.options.extent {
            Extent::Full => self.make("mutants", self.each_case()).await,
            Extent::Named => self.make("mutants", self.names()).await,
            Extent::Quick => self.make("mutants", self.any_case()).await,
        }
        for _ in 0..self.options.retries {
            let again = self.unkept_names();
            lock(&self.workshop.tally).forget(&again);
            self.make_again("mutants", again).await;
        }
        if self.options.extent == Extent::Quick {
            self.make("scenarios", self.each_scenario()).await;
        }
    }

    async fn make(&self, stage: &str, trials: Vec<Trial>) {
        self.make_at_once(stage, trials, self.options.at_once).await;
    }

    async fn make_again(&self, stage: &str, trials: Vec<Trial>) {
        if !trials.is_empty() {
            self.make_at_once(&format!("{stage}, again"), trials, AGAIN_AT_ONCE)
                .await;
        }
    }

    async fn make_at_once(&self, stage: &str, mut trials: Vec<Trial>, at_once: usize) {
        let Workshop { subjects, cases, .. } = &*self.workshop;
        {
            let tally = lock(&self.workshop.tally);
            trials.retain(|trial| !tally.makes_needless(trial, subjects, cases));
        }
        let event = Event::Begun {
            stage: stage.to_owned(),
            trials: trials.len(),
        };
        // Nobody listens any more: the results are returned all the same.
        let _unheard = self.workshop.events.send(event).await;
        self.workshop.make(trials, at_once).await;
    }

    fn control(&self, run: u32, cases: BTreeSet<usize>) -> Vec<Trial> {
        let trial = |case| Trial {
            purpose: Purpose::Control { run },
            subject: None,
            case,
        };
        cases.into_iter().map(trial).collect()
    }

    fn watched(&self) -> Vec<Trial> {
        let trial = |case: &usize| Trial {
            purpose: Purpose::Watch,
            subject: None,
            case: *case,
        };
        self.workshop.watches.keys().map(trial).collect()
    }

    /// The named cases that were tried and did not notice, of names none of whose cases did.
    fn unkept_names(&self) -> Vec<Trial> {
        let tally = lock(&self.workshop.tally);
        let trials = self.names().into_iter();
        trials
            .filter(|trial| tally.is_unkept(trial, &self.workshop.subjects))
            .collect()
    }

    /// Subjects that can be tried, with their positions.
    fn possible(&self) -> impl Iterator<Item = (usize, &Subject)> {
        let subjects = self.workshop.subjects.iter().enumerate();
        subjects.filter(|(_, subject)| subject.needs.is_none())
    }

    /// Every case that any mutant is tried with.
    fn tried_cases(&self) -> BTreeSet<usize> {
        let of = |(_, subject): (usize, &Subject)| match self.options.extent {
            Extent::Full | Extent::Quick => subject.named_first(),
            Extent::Named => subject.named_cases(),
        };
        self.possible().flat_map(of).collect()
    }

    fn each_case(&self) -> Vec<Trial> {
        let of = |(position, subject): (usize, &Subject)| {
            let cases = subject.named_first().into_iter();
            cases.map(move |case| Trial {
                purpose: Purpose::EachCase,
                subject: Some(position),
                case,
            })
        };
        self.possible().flat_map(of).collect()
    }

    fn names(&self) -> Vec<Trial> {
        let of = |(position, subject): (usize, &Subject)| {
            let names = subject.names.iter().enumerate();
            let trials = names.flat_map(|(name, named)| {
                named.cases.iter().map(move |case| Trial {
                    purpose: Purpose::Name(name),
                    subject: Some(position),
                    case: *case,
                })
            });
            trials.collect::<Vec<_>>()
        };
        in_turn(&self.possible().map(of).collect::<Vec<_>>())
    }

    fn any_case(&self) -> Vec<Trial> {
        let of = |(position, subject): (usize, &Subject)| {
            let cases = subject.named_first().into_iter();
            let trials = cases.map(|case| Trial {
                purpose: Purpose::AnyCase,
                subject: Some(position),
                case,
            });
            trials.collect::<Vec<_>>()
        };
        in_turn(&self.possible().map(of).collect::<Vec<_>>())
    }

    /// Of each scenario that has noticed nothing yet, its cases with the mutants that break a clause it looks at.
    fn each_scenario(&self) -> Vec<Trial> {
        let idle = self.idle_scenarios();
        let of = |scenario: &Arc<Scenario>| {
            let clauses = clauses_of_scenario(scenario);
            let mut trials = Vec::new();
            for (position, subject) in self.possible() {
                if clauses.iter().any(|clause| subject.mutant.breaks_clause(clause)) {
                    let cases = subject.named_first().into_iter();
                    let own = cases.filter(|case| self.workshop.cases[*case].scenario.id == scenario.id);
                    trials.extend(own.map(|case| Trial {
                        purpose: Purpose::Scenario,
                        subject: Some(position),
                        case,
                    }));
                }
            }
            trials
        };
        in_turn(&idle.iter().map(of).collect::<Vec<_>>())
    }

    /// Scenarios of whole folders that could notice something and have not.
    fn idle_scenarios(&self) -> Vec<Arc<Scenario>> {
        let tally = lock(&self.workshop.tally);
        let tried = self.tried_cases();
        let mut idle: Vec<Arc<Scenario>> = Vec::new();
        for (position, case) in self.workshop.cases.iter().enumerate() {
            let Case { scenario, .. } = case;
            let owes = self.whole.contains(folder_of(&scenario.id))
                && tried.contains(&position)
                && tally.could_notice(position)
                && !tally.scenario_noticed(&scenario.id);
            if owes && !idle.iter().any(|known| known.id == scenario.id) {
                idle.push(Arc::clone(scenario));
            }
        }
        idle
    }

    fn finish(&self) -> Matrix {
        let idle = match self.options.extent {
            Extent::Full | Extent::Quick => self.idle_scenarios(),
            Extent::Named => Vec::new(),
        };
        let tally = lock(&self.workshop.tally);
        let subjects = self.workshop.subjects.iter().enumerate();
        let mutants: Vec<_> = subjects
            .map(|(position, subject)| tally.result(position, subject, &self.workshop.cases))
            .collect();
        let control = tally.control();
        let tried_any = mutants
            .iter()
            .any(|mutant| !matches!(mutant.fate, Fate::NotTried(_)));
        let proven = mutants.iter().all(|mutant| {
            mutant.wrong_names.is_empty() && matches!(mutant.fate, Fate::Killed | Fate::NotTried(_))
        });
        let verdict = if self.workshop.stop.is_cancelled() {
            Verdict::Interrupted
        } else if tried_any && proven && control.green == control.runs && idle.is_empty() {
            Verdict::Passed
        } else {
            Verdict::Failed
        };
        let bench = &self.workshop.bench;
        Matrix {
            tool: bench.options.tool.clone(),
            target: bench.sut.target().name.clone(),
            started_at: self.started_at,
            duration: self.began.elapsed(),
            seed: bench.options.seed,
            extent: self.options.extent,
            verdict,
            trials: tally.trials,
            control,
            mutants,
            scenarios_without_kill: idle.iter().map(|scenario| scenario.id.clone()).collect(),
        }
    }
}

/// The first of each list, then the second of each, and so on: what one of a list makes needless is known before its
/// next comes.
fn in_turn(lists: &[Vec<Trial>]) -> Vec<Trial> {
    let longest = lists.iter().map(Vec::len).max().unwrap_or_default();
    (0..longest)
        .flat_map(|turn| lists.iter().filter_map(move |list| list.get(turn).copied()))
        .collect()
}
