//! What became of each clause in a run: the worst that any of its cases found under it.

use std::collections::BTreeMap;

use touchstone_report::Tone;
use touchstone_scenarios::rules::ClauseId;

use crate::results::{CaseResult, Run};
use crate::verdict::CaseVerdict;

/// What became of a clause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClauseState {
    /// The worst of its cases.
    pub verdict: CaseVerdict,
    /// The cases that make it that; empty where it holds.
    pub cases: Vec<String>,
}

impl ClauseState {
    fn add(&mut self, verdict: CaseVerdict, case: &str) {
        if rank(verdict) > rank(self.verdict) {
            self.verdict = verdict;
            self.cases.clear();
        }
        let names_it = verdict != CaseVerdict::Passed && verdict == self.verdict;
        if names_it && !self.cases.iter().any(|known| known == case) {
            self.cases.push(case.to_owned());
        }
    }
}

/// Which of two decides. What was not tried decides only where nothing was tried.
const fn rank(verdict: CaseVerdict) -> u8 {
    match verdict {
        CaseVerdict::Skipped => 0,
        CaseVerdict::Passed => 1,
        CaseVerdict::Informational => 2,
        CaseVerdict::NonStrict => 3,
        CaseVerdict::KnownFailing => 4,
        CaseVerdict::UnexpectedlyPassed => 5,
        CaseVerdict::CouldNotRun => 6,
        CaseVerdict::Failed => 7,
    }
}

impl Run {
    /// What became of every clause that a case of this run is about.
    #[must_use]
    pub fn clause_states(&self) -> BTreeMap<ClauseId, ClauseState> {
        let mut states = BTreeMap::new();
        for case in &self.cases {
            add_case(case, &mut states);
        }
        states
    }
}

fn add_case(case: &CaseResult, states: &mut BTreeMap<ClauseId, ClauseState>) {
    let mut add = |clause: &ClauseId, verdict| {
        let state = states.entry(clause.clone()).or_insert(ClauseState {
            verdict: CaseVerdict::Skipped,
            cases: Vec::new(),
        });
        state.add(verdict, &case.id);
    };
    match case.verdict {
        CaseVerdict::Skipped => case.clauses.iter().for_each(|clause| add(clause, case.verdict)),
        // What a preparation broke says nothing of the clauses that were to be looked at after it.
        CaseVerdict::CouldNotRun | CaseVerdict::UnexpectedlyPassed => add(&case.rule, case.verdict),
        CaseVerdict::Passed
        | CaseVerdict::Informational
        | CaseVerdict::NonStrict
        | CaseVerdict::Failed
        | CaseVerdict::KnownFailing => {
            case.clauses
                .iter()
                .for_each(|clause| add(clause, CaseVerdict::Passed));
            for finding in &case.findings {
                let known = case.verdict == CaseVerdict::KnownFailing;
                add(&finding.clause, if known { case.verdict } else { finding.weight });
            }
        }
    }
}

/// A verdict as what it says of a clause.
pub(crate) const fn word(verdict: CaseVerdict) -> &'static str {
    match verdict {
        CaseVerdict::Passed => "holds",
        CaseVerdict::Failed => "failed",
        CaseVerdict::NonStrict => "non-strict",
        CaseVerdict::Informational => "informational",
        CaseVerdict::KnownFailing => "known failing",
        CaseVerdict::UnexpectedlyPassed => "unexpectedly passed",
        CaseVerdict::Skipped => "skipped",
        CaseVerdict::CouldNotRun => "could not run",
    }
}

/// How a verdict is to be taken.
pub(crate) const fn tone(verdict: CaseVerdict) -> Tone {
    match verdict {
        CaseVerdict::Passed => Tone::Good,
        CaseVerdict::Failed | CaseVerdict::CouldNotRun | CaseVerdict::UnexpectedlyPassed => Tone::Bad,
        CaseVerdict::NonStrict | CaseVerdict::Skipped | CaseVerdict::KnownFailing => Tone::Warn,
        CaseVerdict::Informational => Tone::Neutral,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clause_is_as_bad_as_the_worst_case_and_names_it() {
        let mut state = ClauseState {
            verdict: CaseVerdict::Skipped,
            cases: Vec::new(),
        };
        for (verdict, case, worst, named) in [
            (CaseVerdict::Skipped, "a", CaseVerdict::Skipped, "a"),
            (CaseVerdict::Passed, "b", CaseVerdict::Passed, ""),
            (CaseVerdict::Skipped, "c", CaseVerdict::Passed, ""),
            (CaseVerdict::NonStrict, "d", CaseVerdict::NonStrict, "d"),
            (CaseVerdict::Failed, "e", CaseVerdict::Failed, "e"),
            (CaseVerdict::CouldNotRun, "f", CaseVerdict::Failed, "e"),
            (CaseVerdict::Failed, "g", CaseVerdict::Failed, "e g"),
        ] {
            state.add(verdict, case);
            assert_eq!((state.verdict, state.cases.join(" ").as_str()), (worst, named));
        }
    }
}
