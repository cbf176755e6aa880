//! What was found, how much it weighs, and what follows for the case (spec README, "Rules, clauses, basis, level").

use std::fmt;

use serde::{Deserialize, Serialize};
use touchstone_scenarios::rules::{ClauseId, Level};

/// The aspects of a case that are shown apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// What messages say.
    Message,
    /// In which order they come.
    Order,
    /// When.
    Timing,
    /// That nothing else comes.
    Extra,
    /// The code and reason of the close.
    Close,
    /// That both close frames cross and TCP ends cleanly.
    Clean,
}

impl Check {
    /// In the order in which they are shown.
    pub const ALL: [Self; 6] = [
        Self::Message,
        Self::Order,
        Self::Timing,
        Self::Extra,
        Self::Close,
        Self::Clean,
    ];

    /// Its key in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Order => "order",
            Self::Timing => "timing",
            Self::Extra => "extra",
            Self::Close => "close",
            Self::Clean => "clean",
        }
    }
}

/// The state of one aspect.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckState {
    /// Looked at, and it holds.
    Ok,
    /// Looked at, and it does not.
    Failed,
    /// Nothing in the case looks at it.
    #[default]
    NotApplicable,
}

/// The aspects of one case.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Checks([CheckState; 6]);

impl Checks {
    /// The state of one.
    #[must_use]
    pub fn get(&self, check: Check) -> CheckState {
        self.0[check as usize]
    }

    /// It was looked at; a failure stays one.
    pub fn looked_at(&mut self, check: Check) {
        if self.0[check as usize] == CheckState::NotApplicable {
            self.0[check as usize] = CheckState::Ok;
        }
    }

    /// It does not hold.
    pub fn failed(&mut self, check: Check) {
        self.0[check as usize] = CheckState::Failed;
    }

    /// Puts one into a state, as a report tells it.
    pub fn set(&mut self, check: Check, state: CheckState) {
        self.0[check as usize] = state;
    }

    /// Joins what two runs of the same case looked at.
    pub fn merge(&mut self, other: Self) {
        for check in Check::ALL {
            match other.get(check) {
                CheckState::Ok => self.looked_at(check),
                CheckState::Failed => self.failed(check),
                CheckState::NotApplicable => {}
            }
        }
    }
}

/// How a case ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CaseVerdict {
    /// All that it looked at holds.
    Passed,
    /// A `may` clause was decided otherwise.
    Informational,
    /// A `should` clause does not hold, or a `must` clause only by a listed alternative.
    NonStrict,
    /// A `must` clause does not hold; strictly, any.
    Failed,
    /// A listed case failed, as the list says.
    KnownFailing,
    /// A listed case passed: the list is stale.
    UnexpectedlyPassed,
    /// The target says that it cannot be tried. Never green.
    Skipped,
    /// A preparation went otherwise, the server was gone, or the case itself broke.
    CouldNotRun,
}

impl CaseVerdict {
    /// In the order in which summaries list them.
    pub const ALL: [Self; 8] = [
        Self::Passed,
        Self::Failed,
        Self::NonStrict,
        Self::Informational,
        Self::Skipped,
        Self::CouldNotRun,
        Self::KnownFailing,
        Self::UnexpectedlyPassed,
    ];

    /// Its key in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::NonStrict => "non_strict",
            Self::Informational => "informational",
            Self::Skipped => "skipped",
            Self::CouldNotRun => "could_not_run",
            Self::KnownFailing => "known_failing",
            Self::UnexpectedlyPassed => "unexpectedly_passed",
        }
    }

    /// Whether it makes the whole run fail (design, "Verdicts and exit").
    #[must_use]
    pub const fn fails_the_run(self) -> bool {
        matches!(self, Self::Failed | Self::CouldNotRun | Self::UnexpectedlyPassed)
    }
}

impl fmt::Display for CaseVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How strictly a run judges.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Strictness {
    /// A finding weighs what its clause's level says.
    #[default]
    ByLevel,
    /// Every finding fails its case.
    Strict,
}

/// What one finding makes of its case. `alternative`: what was seen is one of those the clause lists.
#[must_use]
pub fn weight(level: Level, alternative: bool, strictness: Strictness) -> CaseVerdict {
    match (strictness, level, alternative) {
        (Strictness::Strict, _, _) | (Strictness::ByLevel, Level::Must, false) => CaseVerdict::Failed,
        (Strictness::ByLevel, Level::Must, true) | (Strictness::ByLevel, Level::Should, false) => {
            CaseVerdict::NonStrict
        }
        (Strictness::ByLevel, Level::Should, true) | (Strictness::ByLevel, Level::May, _) => {
            CaseVerdict::Informational
        }
    }
}

/// The verdict of a case of which these were found: the worst of them.
pub fn worst(weights: impl Iterator<Item = CaseVerdict>) -> CaseVerdict {
    weights.max().unwrap_or(CaseVerdict::Passed)
}

/// What a list of known failures makes of the verdict of a listed case. What could not be tried stays what it is.
#[must_use]
pub fn as_known_failing(verdict: CaseVerdict) -> CaseVerdict {
    match verdict {
        CaseVerdict::Passed => CaseVerdict::UnexpectedlyPassed,
        CaseVerdict::Failed | CaseVerdict::NonStrict | CaseVerdict::Informational => {
            CaseVerdict::KnownFailing
        }
        CaseVerdict::KnownFailing
        | CaseVerdict::UnexpectedlyPassed
        | CaseVerdict::Skipped
        | CaseVerdict::CouldNotRun => verdict,
    }
}

/// Something that was not as expected.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// The clause it is judged under.
    pub clause: ClauseId,
    /// The level that follows from the clause's basis.
    pub level: Level,
    /// The clause in a sentence or a few.
    pub sentence: String,
    /// What it makes of the case.
    pub weight: CaseVerdict,
    /// The aspect it is about.
    pub check: Check,
    /// Whose connection, if it is about one.
    pub actor: Option<String>,
    /// Where the expectation stands, if it is one of the scenario's.
    pub place: Option<Place>,
    /// JSON pointer into the message; empty for all of it.
    pub pointer: String,
    /// What was expected.
    pub expected: String,
    /// What was seen.
    pub actual: String,
    /// All of the message, where `actual` is a part of it.
    pub whole: Option<String>,
    /// Every place at which the message is not the expected one, if it is more than one; what is the same is left out.
    pub differences: Vec<Difference>,
    /// Why this outcome is known, if it is a listed alternative.
    pub alternative: Option<String>,
}

/// A place in a message at which it is not the expected one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// JSON pointer into the message; empty for all of it.
    pub pointer: String,
    /// What was expected there.
    pub expected: String,
    /// What is there.
    pub actual: String,
}

/// A place in a scenario file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The step, counted from 1 through `given` and `steps`.
    pub step: usize,
    /// The file as it is shown.
    pub path: String,
    /// From 1.
    pub line: usize,
    /// From 1, in Unicode scalar values.
    pub column: usize,
    /// The line itself.
    pub text: String,
    /// How many scalar values of the line are meant.
    pub width: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_weighs_what_its_clause_owes() {
        use CaseVerdict::{Failed, Informational, NonStrict};
        for (level, alternative, by_level) in [
            (Level::Must, false, Failed),
            (Level::Must, true, NonStrict),
            (Level::Should, false, NonStrict),
            (Level::Should, true, Informational),
            (Level::May, false, Informational),
            (Level::May, true, Informational),
        ] {
            assert_eq!(
                weight(level, alternative, Strictness::ByLevel),
                by_level,
                "{level:?} {alternative}"
            );
            assert_eq!(weight(level, alternative, Strictness::Strict), Failed);
        }
    }

    #[test]
    fn a_case_is_as_bad_as_the_worst_it_found() {
        use CaseVerdict::{Failed, Informational, NonStrict, Passed};
        assert_eq!(worst([].into_iter()), Passed);
        assert_eq!(worst([Informational, NonStrict].into_iter()), NonStrict);
        assert_eq!(worst([Failed, Informational].into_iter()), Failed);
    }

    #[test]
    fn a_listed_case_that_passes_makes_the_run_red() {
        assert!(as_known_failing(CaseVerdict::Passed).fails_the_run());
        assert!(!as_known_failing(CaseVerdict::Failed).fails_the_run());
        assert_eq!(
            as_known_failing(CaseVerdict::CouldNotRun),
            CaseVerdict::CouldNotRun
        );
        assert_eq!(as_known_failing(CaseVerdict::Skipped), CaseVerdict::Skipped);
    }

    #[test]
    fn a_check_that_failed_once_stays_failed() {
        let mut checks = Checks::default();
        assert_eq!(checks.get(Check::Extra), CheckState::NotApplicable);
        checks.looked_at(Check::Extra);
        checks.failed(Check::Extra);
        checks.looked_at(Check::Extra);
        assert_eq!(checks.get(Check::Extra), CheckState::Failed);
        let mut merged = Checks::default();
        merged.looked_at(Check::Close);
        merged.merge(checks);
        assert_eq!(
            (merged.get(Check::Extra), merged.get(Check::Close)),
            (CheckState::Failed, CheckState::Ok)
        );
    }
}
