//! What has been seen so far, what that makes needless, and what it comes to in the end.

use std::collections::{BTreeMap, BTreeSet};

use super::results::{ByCatch, Control, Fate, MutantResult, NotGreen};
use super::subject::Subject;
use crate::results::CaseResult;
use crate::select::Case;
use crate::verdict::CaseVerdict;

/// Why a trial is made, and with it when it is needless.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The case with nothing broken, in this run, from 1.
    Control {
        /// Which.
        run: u32,
    },
    /// To see which of the mutants that can be watched the case ever meets: with none it does not it need not be tried.
    Watch,
    /// To see whether the case notices, whatever the others did.
    EachCase,
    /// To see whether this name of the mutant's file is right.
    Name(usize),
    /// To see whether any case notices.
    AnyCase,
    /// To see whether the scenario notices anything.
    Scenario,
}

/// One run of a case.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trial {
    pub(crate) purpose: Purpose,
    /// With which mutant, by position; with nothing broken if there is none.
    pub(crate) subject: Option<usize>,
    /// By position.
    pub(crate) case: usize,
}

/// What is kept of a trial.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) result: CaseResult,
    /// What the mutant breaks came by.
    pub(crate) touched: bool,
    /// Of a watch: which subjects it met, and which it did not, by position.
    pub(crate) met: BTreeMap<usize, bool>,
}

impl Seen {
    /// Whether the mutant was noticed: what it breaks came by, and a clause failed that it names.
    pub(crate) fn notices(&self, subject: &Subject) -> bool {
        end(self, subject) == End::Noticed
    }
}

/// How a case ended with a mutant.
#[derive(Debug, Clone, PartialEq, Eq)]
enum End {
    Noticed,
    FailedOtherwise(Vec<String>),
    Passed,
    CouldNotRun,
    NotTried,
}

/// What has been seen so far.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    control_runs: u32,
    control: BTreeMap<usize, Vec<NotGreen>>,
    skipped: BTreeMap<usize, String>,
    /// Subjects that a case never meets, by case.
    never_met: BTreeMap<usize, BTreeSet<usize>>,
    /// By subject and case.
    ends: BTreeMap<usize, BTreeMap<usize, End>>,
    touched: BTreeMap<usize, usize>,
    traces: BTreeMap<usize, Vec<String>>,
    scenarios_that_noticed: BTreeSet<String>,
    pub(crate) trials: usize,
}

impl Tally {
    /// Whether nothing could be learnt from the trial any more.
    pub(crate) fn makes_needless(&self, trial: &Trial, subjects: &[Subject], all: &[Case]) -> bool {
        let Some(subject) = trial.subject else {
            return trial.purpose == Purpose::Watch && !self.is_green(trial.case);
        };
        if self.has_tried(subject, trial.case)
            || self.never_meets(trial.case, subject)
            || !self.is_green(trial.case)
        {
            return true;
        }
        match trial.purpose {
            Purpose::Control { .. } | Purpose::Watch | Purpose::EachCase => false,
            Purpose::Name(name) => subjects[subject].names[name]
                .cases
                .iter()
                .any(|case| self.noticed(subject, *case)),
            Purpose::AnyCase => self.is_killed(subject),
            Purpose::Scenario => self.scenarios_that_noticed.contains(&all[trial.case].scenario.id),
        }
    }

    /// Takes in how a trial ended. True if a mutant was noticed by it for the first time.
    pub(crate) fn add(&mut self, trial: &Trial, seen: &Seen, subjects: &[Subject], trace: bool) -> bool {
        let result = &seen.result;
        let Some(position) = trial.subject else {
            self.trials += 1;
            match trial.purpose {
                Purpose::Control { run } => self.add_control(trial.case, run, result),
                Purpose::Watch => self.add_watch(trial.case, seen),
                Purpose::EachCase | Purpose::Name(_) | Purpose::AnyCase | Purpose::Scenario => {}
            }
            return false;
        };
        if result.verdict == CaseVerdict::Skipped {
            return false;
        }
        self.trials += 1;
        let was_killed = self.is_killed(position);
        let end = end(seen, &subjects[position]);
        if end == End::Noticed {
            self.scenarios_that_noticed.insert(result.scenario.clone());
        }
        if trace && result.verdict != CaseVerdict::Passed {
            self.traces
                .entry(position)
                .or_default()
                .push(result.failure_text());
        }
        *self.touched.entry(position).or_default() += usize::from(seen.touched);
        self.ends.entry(position).or_default().insert(trial.case, end);
        !was_killed && self.is_killed(position)
    }

    /// Takes in what a case met. One that went otherwise this time may have met less than it does.
    fn add_watch(&mut self, case: usize, seen: &Seen) {
        if seen.result.verdict == CaseVerdict::Passed {
            let unmet = seen.met.iter().filter(|(_, met)| !**met);
            self.never_met
                .insert(case, unmet.map(|(subject, _)| *subject).collect());
        }
    }

    fn never_meets(&self, case: usize, subject: usize) -> bool {
        self.never_met
            .get(&case)
            .is_some_and(|unmet| unmet.contains(&subject))
    }

    fn add_control(&mut self, case: usize, run: u32, result: &CaseResult) {
        self.control_runs = self.control_runs.max(run);
        let failures = self.control.entry(case).or_default();
        // Made again: what counts is how it ended then.
        failures.retain(|failure| failure.run != run);
        match result.verdict {
            CaseVerdict::Passed => {}
            CaseVerdict::Skipped => {
                let why = result.reason.clone().unwrap_or_default();
                self.skipped.insert(case, why);
            }
            CaseVerdict::Failed
            | CaseVerdict::NonStrict
            | CaseVerdict::Informational
            | CaseVerdict::KnownFailing
            | CaseVerdict::UnexpectedlyPassed
            | CaseVerdict::CouldNotRun => failures.push(NotGreen {
                case: result.id.clone(),
                run,
                verdict: result.verdict,
                message: result.message(),
                text: result.failure_text(),
            }),
        }
    }

    /// Cases that failed in this run with nothing broken.
    pub(crate) fn red_cases(&self, run: u32) -> BTreeSet<usize> {
        let red = self.control.iter().filter(|(_, failures)| {
            let mut failures = failures.iter();
            failures.any(|failure| failure.run == run)
        });
        red.map(|(case, _)| *case).collect()
    }

    /// Whether a name of a mutant's file was tried with this case, and neither this nor another of its cases noticed.
    pub(crate) fn is_unkept(&self, trial: &Trial, subjects: &[Subject]) -> bool {
        let (Some(subject), Purpose::Name(name)) = (trial.subject, trial.purpose) else {
            return false;
        };
        let mut cases = subjects[subject].names[name].cases.iter();
        self.has_tried(subject, trial.case) && !cases.any(|case| self.noticed(subject, *case))
    }

    /// These are to be made again.
    pub(crate) fn forget(&mut self, trials: &[Trial]) {
        for trial in trials {
            if let Some(ends) = trial.subject.and_then(|subject| self.ends.get_mut(&subject)) {
                ends.remove(&trial.case);
            }
        }
    }

    /// Whether the case passed with nothing broken, each time.
    fn is_green(&self, case: usize) -> bool {
        self.control.get(&case).is_some_and(Vec::is_empty) && !self.skipped.contains_key(&case)
    }

    fn has_tried(&self, subject: usize, case: usize) -> bool {
        self.ends
            .get(&subject)
            .is_some_and(|cases| cases.contains_key(&case))
    }

    fn noticed(&self, subject: usize, case: usize) -> bool {
        self.ends
            .get(&subject)
            .is_some_and(|cases| cases.get(&case) == Some(&End::Noticed))
    }

    pub(crate) fn is_killed(&self, subject: usize) -> bool {
        self.ends
            .get(&subject)
            .is_some_and(|cases| cases.values().any(|end| *end == End::Noticed))
    }

    /// How many mutants were noticed.
    pub(crate) fn killed(&self) -> usize {
        let subjects = self.ends.keys();
        subjects.filter(|subject| self.is_killed(**subject)).count()
    }

    pub(crate) fn scenario_noticed(&self, scenario: &str) -> bool {
        self.scenarios_that_noticed.contains(scenario)
    }

    /// Whether the case could be tried at all, and held: a scenario without such a case owes no kill.
    pub(crate) fn could_notice(&self, case: usize) -> bool {
        self.is_green(case)
    }

    pub(crate) fn control(&self) -> Control {
        let not_green: Vec<_> = self.control.values().flatten().cloned().collect();
        let red: BTreeSet<u32> = not_green.iter().map(|failure| failure.run).collect();
        let red = u32::try_from(red.len()).unwrap_or(u32::MAX);
        Control {
            runs: self.control_runs,
            green: self.control_runs.saturating_sub(red),
            cases: self.control.len(),
            skipped: self.skipped.len(),
            not_green,
        }
    }

    /// What became of a mutant.
    pub(crate) fn result(&self, position: usize, subject: &Subject, all: &[Case]) -> MutantResult {
        let none = BTreeMap::new();
        let ends = self.ends.get(&position).unwrap_or(&none);
        let ids_of = |wanted: &End| {
            let chosen = ends.iter().filter(|(_, end)| *end == wanted);
            chosen.map(|(case, _)| all[*case].id.clone()).collect::<Vec<_>>()
        };
        let by_catch = ends.iter().filter_map(|(case, end)| match end {
            End::FailedOtherwise(clauses) => Some(ByCatch {
                case: all[*case].id.clone(),
                clauses: clauses.clone(),
            }),
            End::Noticed | End::Passed | End::CouldNotRun | End::NotTried => None,
        });
        let touched = self.touched.get(&position).copied().unwrap_or_default();
        let clauses = subject.mutant.clauses.iter();
        MutantResult {
            id: subject.id.clone(),
            dialect: subject.group.clone(),
            breaks: subject.mutant.breaks.clone(),
            clauses: clauses.map(|clause| clause.value.0.clone()).collect(),
            fate: self.fate(position, subject, touched),
            killed_by: ids_of(&End::Noticed),
            wrong_names: self.wrong_names(position, subject),
            by_catch: by_catch.collect(),
            could_not_run: ids_of(&End::CouldNotRun),
            tried: ends.len() + self.count_unmet(position, subject),
            touched,
            traces: self.traces.get(&position).cloned().unwrap_or_default(),
        }
    }

    fn fate(&self, position: usize, subject: &Subject, touched: usize) -> Fate {
        if let Some(key) = subject.needs {
            let why = format!("the target has no `{key}`; its target file can say how to reach it");
            return Fate::NotTried(why);
        }
        let tried = self.ends.get(&position).is_some_and(|ends| !ends.is_empty())
            || self.count_unmet(position, subject) > 0;
        match (tried, self.is_killed(position), touched) {
            (true, true, _) => Fate::Killed,
            // What fits any protocol need not fit these scenarios.
            (true, false, 0) if subject.mutant.clauses.is_empty() => {
                Fate::NotTried("no case comes by what it breaks".to_owned())
            }
            (true, false, 0) => Fate::Untouched,
            (true, false, _) => Fate::Survived,
            (false, ..) => Fate::NotTried(self.why_not_tried(subject)),
        }
    }

    /// How many of its cases never meet what it breaks.
    fn count_unmet(&self, position: usize, subject: &Subject) -> usize {
        let cases = subject.named_first();
        let unmet = cases.iter().filter(|case| self.never_meets(**case, position));
        unmet.count()
    }

    fn why_not_tried(&self, subject: &Subject) -> String {
        if subject.names.is_empty() {
            return format!("its file names no case of {}", subject.group);
        }
        let cases = subject.named_first();
        let red = cases.iter().find_map(|case| self.control.get(case)?.first());
        if let Some(red) = red {
            return format!("{} fails with nothing broken", red.case);
        }
        let skipped = cases.iter().find_map(|case| self.skipped.get(case));
        skipped
            .cloned()
            .unwrap_or_else(|| "its turn did not come".to_owned())
    }

    /// A name of which every case was tried, or never meets what is broken, and none noticed.
    fn wrong_names(&self, position: usize, subject: &Subject) -> Vec<String> {
        if subject.mutant.clauses.is_empty() {
            // It names whoever there is.
            return Vec::new();
        }
        let wrong = subject.names.iter().filter(|name| {
            let is_known =
                |case: &&usize| self.has_tried(position, **case) || self.never_meets(**case, position);
            let tried = name.cases.iter().filter(is_known);
            let could = name.cases.iter().filter(|case| self.is_green(**case));
            let (tried, could) = (tried.count(), could.count());
            tried > 0 && tried == could && !name.cases.iter().any(|case| self.noticed(position, *case))
        });
        let mut wrong: Vec<_> = wrong.map(|name| name.pattern.clone()).collect();
        if subject.names.is_empty() && subject.owes_names() {
            wrong.push(format!("no case of {}", subject.group));
        }
        wrong
    }
}

/// A kill counts when what failed is a clause that the mutant names, and what it breaks came by: otherwise something else
/// failed.
fn end(seen: &Seen, subject: &Subject) -> End {
    let result = &seen.result;
    match result.verdict {
        CaseVerdict::Passed => End::Passed,
        CaseVerdict::Skipped => End::NotTried,
        CaseVerdict::CouldNotRun => End::CouldNotRun,
        CaseVerdict::Failed
        | CaseVerdict::NonStrict
        | CaseVerdict::Informational
        | CaseVerdict::KnownFailing
        | CaseVerdict::UnexpectedlyPassed => {
            let mut findings = result.findings.iter();
            if seen.touched && findings.any(|finding| subject.mutant.breaks_clause(&finding.clause)) {
                return End::Noticed;
            }
            let mut clauses: Vec<_> = result
                .findings
                .iter()
                .map(|finding| finding.clause.0.clone())
                .collect();
            clauses.dedup();
            End::FailedOtherwise(clauses)
        }
    }
}
