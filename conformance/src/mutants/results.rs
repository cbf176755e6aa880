//! What a matrix found, as plain data: every report is a function of it.

use std::time::{Duration, SystemTime};

use touchstone_report::Verdict;

use super::Extent;
use crate::results::Tool;
use crate::verdict::CaseVerdict;

/// A whole matrix.
#[derive(Debug, Clone)]
pub struct Matrix {
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
    /// How much was tried.
    pub extent: Extent,
    /// The one answer.
    pub verdict: Verdict,
    /// How many times a case was run, with mutants and without.
    pub trials: usize,
    /// The same cases with nothing broken.
    pub control: Control,
    /// In the order of their files.
    pub mutants: Vec<MutantResult>,
    /// Scenarios that were tried and noticed no mutant, where that was asked: of folders whose mutants were all chosen.
    pub scenarios_without_kill: Vec<String>,
}

/// The cases with nothing broken, by way of a proxy all the same.
#[derive(Debug, Clone, Default)]
pub struct Control {
    /// How many times they were run.
    pub runs: u32,
    /// In how many of these none failed.
    pub green: u32,
    /// How many cases there are.
    pub cases: usize,
    /// How many of them the target could not be tried with.
    pub skipped: usize,
    /// Those that failed in one of the runs: no mutant is tried with them.
    pub not_green: Vec<NotGreen>,
}

/// A case that failed though nothing was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotGreen {
    /// Its id.
    pub case: String,
    /// In which of the runs, from 1.
    pub run: u32,
    /// How it ended.
    pub verdict: CaseVerdict,
    /// Why, in a line.
    pub message: String,
    /// All of the failure.
    pub text: String,
}

/// A mutant and what became of it.
#[derive(Debug, Clone)]
pub struct MutantResult {
    /// `rooms/sender-left-out`, `common/answers-late@echo`.
    pub id: String,
    /// The dialect or the RFC it is about; `none` without either.
    pub dialect: String,
    /// What no longer holds.
    pub breaks: String,
    /// The clauses that are broken by it.
    pub clauses: Vec<String>,
    /// What became of it.
    pub fate: Fate,
    /// The cases that noticed.
    pub killed_by: Vec<String>,
    /// Names of its file none of whose cases noticed, though they were tried.
    pub wrong_names: Vec<String>,
    /// Cases that failed with it under no clause it names.
    pub by_catch: Vec<ByCatch>,
    /// Cases that could not be judged with it, because it broke what they prepare.
    pub could_not_run: Vec<String>,
    /// How many cases were tried with it.
    pub tried: usize,
    /// In how many of these what it breaks came by.
    pub touched: usize,
    /// What every failure with it said, where a trace was asked for.
    pub traces: Vec<String>,
}

/// What became of a mutant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// A case failed under a clause that it breaks.
    Killed,
    /// None did, though what it breaks came by.
    Survived,
    /// None did, and what it breaks never came by: it broke nothing.
    Untouched,
    /// It was not tried, and why.
    NotTried(String),
}

impl Fate {
    /// Its key in reports.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Killed => "killed",
            Self::Survived => "survived",
            Self::Untouched => "untouched",
            Self::NotTried(_) => "not_tried",
        }
    }

    /// Whether it was tried and nobody noticed.
    #[must_use]
    pub const fn is_survival(&self) -> bool {
        match self {
            Self::Survived | Self::Untouched => true,
            Self::Killed | Self::NotTried(_) => false,
        }
    }
}

/// A case that failed, but not under a clause that the mutant names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ByCatch {
    /// Its id.
    pub case: String,
    /// Under what it failed.
    pub clauses: Vec<String>,
}
