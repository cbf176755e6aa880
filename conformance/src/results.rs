//! What a run found, as plain data: every report is a function of it.

use std::time::{Duration, SystemTime};

use touchstone_protocol::Dialect;
use touchstone_report::Verdict;
use touchstone_scenarios::rules::{ClauseId, Level};

use crate::coverage::Coverage;
use crate::transcript::Transcript;
use crate::verdict::{CaseVerdict, Checks, Finding};

/// A whole run.
#[derive(Debug, Clone)]
pub struct Run {
    /// Which program judged.
    pub tool: Tool,
    /// How the target is named.
    pub target: String,
    /// When it began.
    pub started_at: SystemTime,
    /// How long it took.
    pub duration: Duration,
    /// What unique ids and drawn orders come from.
    pub seed: u64,
    /// The one answer.
    pub verdict: Verdict,
    /// Which cases were asked for, as patterns; empty for all of them.
    pub only: Vec<String>,
    /// In the order of their ids.
    pub cases: Vec<CaseResult>,
    /// What crossed the wire.
    pub coverage: Coverage,
}

/// Which program judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tool {
    /// Its version.
    pub version: String,
    /// The commit it was built from, if it is known.
    pub commit: Option<String>,
}

/// One case and what became of it.
#[derive(Debug, Clone)]
pub struct CaseResult {
    /// `echo/2a-verbatim[a word]`, `common/5a-limit@echo`.
    pub id: String,
    /// The file it comes from, without `@dialect` and row.
    pub scenario: String,
    /// What holds if it passes.
    pub title: String,
    /// What it was run on, if that is a dialect.
    pub dialect: Option<Dialect>,
    /// The clause it is about.
    pub rule: ClauseId,
    /// The level of that clause.
    pub level: Level,
    /// How it ended.
    pub verdict: CaseVerdict,
    /// How long it took.
    pub duration: Duration,
    /// How much of that the judge itself was late.
    pub late: Duration,
    /// What came of a first attempt that does not count, because the judge was late in it.
    pub first_attempt: Option<Box<CaseResult>>,
    /// The aspects it looked at.
    pub checks: Checks,
    /// What was not as expected, in the order in which it was found.
    pub findings: Vec<Finding>,
    /// Why it was skipped or could not be run.
    pub reason: Option<String>,
    /// The order of the interleaving that failed.
    pub order: Option<OrderName>,
    /// Messages that `ignore:` and heartbeats took out of the way.
    pub set_aside: usize,
    /// What was seen, where something was not as expected or a trace was asked for.
    pub transcript: Option<Transcript>,
    /// Reruns just this case.
    pub rerun: String,
    /// The clauses that its steps looked at, its own first.
    pub clauses: Vec<ClauseId>,
}

/// A judge that was late by less is excused by nothing. It is the least room that a window of the built-in scenarios
/// leaves for the way of what it waits for.
pub const LATE_MIN: Duration = Duration::from_millis(50);

impl CaseResult {
    /// Whether it says as much of this machine as of the server: not all was as it should be, and the judge itself was
    /// late by at least [`LATE_MIN`]. There is a second attempt and no third, so that who fails now and then is found.
    #[must_use]
    pub fn deserves_another(&self) -> bool {
        let excusable = match self.verdict {
            CaseVerdict::Failed
            | CaseVerdict::NonStrict
            | CaseVerdict::Informational
            | CaseVerdict::CouldNotRun => true,
            CaseVerdict::Passed
            | CaseVerdict::Skipped
            | CaseVerdict::KnownFailing
            | CaseVerdict::UnexpectedlyPassed => false,
        };
        excusable && self.first_attempt.is_none() && self.late >= LATE_MIN
    }
}

/// One order of an interleaving.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderName {
    /// From 1.
    pub number: usize,
    /// Of how many.
    pub of: usize,
    /// Whose turn it is, step by step: `ann ann bob`.
    pub turns: String,
}

/// How many cases ended how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts([usize; CaseVerdict::ALL.len()]);

impl Counts {
    /// Of one verdict.
    #[must_use]
    pub fn of(&self, verdict: CaseVerdict) -> usize {
        self.0[verdict as usize]
    }

    /// Of all.
    #[must_use]
    pub fn total(&self) -> usize {
        self.0.iter().sum()
    }

    /// One more.
    pub fn add(&mut self, verdict: CaseVerdict) {
        self.0[verdict as usize] += 1;
    }
}

impl Run {
    /// The cases whose first attempt does not count.
    pub fn second_attempts(&self) -> impl Iterator<Item = &CaseResult> {
        self.cases.iter().filter(|case| case.first_attempt.is_some())
    }

    /// How many cases ended how.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        self.cases.iter().for_each(|case| counts.add(case.verdict));
        counts
    }
}
