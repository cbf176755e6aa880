//! Which cases a run has: scenarios, once for each dialect and row, and the globs that choose among them.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use touchstone_protocol::Dialect;
use touchstone_scenarios::glob::{Glob, GlobError};
use touchstone_scenarios::rules::ClauseId;
use touchstone_scenarios::scenario::{Action, Scenario, Scope, Table};
use touchstone_sut::Target;

use crate::near::{hint, near};

/// A scenario as it is run once (or, with an interleaving, once for each order).
#[derive(Debug, Clone)]
pub struct Case {
    /// `echo/2a-verbatim[a word]`, `common/5a-limit@echo`.
    pub id: String,
    /// Its file.
    pub scenario: Arc<Scenario>,
    /// What it is run on, if that is a dialect.
    pub dialect: Option<Dialect>,
    /// The row of its table, if it has one.
    pub row: Option<usize>,
}

impl Case {
    /// The clause it is about: the row's, where that names one.
    #[must_use]
    pub fn rule(&self) -> &ClauseId {
        let row = self
            .table()
            .zip(self.row)
            .and_then(|(table, row)| table.rows.get(row));
        let own = row.and_then(|row| row.clause.as_ref());
        own.map_or(&self.scenario.rule.value, |clause| &clause.value)
    }

    /// The table it is a row of.
    #[must_use]
    pub fn table(&self) -> Option<&Table> {
        self.scenario.steps.iter().find_map(|step| match &step.action {
            Action::Table(table) => Some(table),
            _ => None,
        })
    }

    /// The first key of the target file without which it cannot be tried.
    #[must_use]
    pub fn missing_requirement(&self, target: &Target) -> Option<&str> {
        self.scenario
            .requires
            .iter()
            .map(|key| key.value.as_str())
            .find(|key| !target.has(key))
    }
}

/// All cases of these scenarios on a target that speaks these dialects, in the order of the scenarios.
#[must_use]
pub fn cases(scenarios: &[Arc<Scenario>], dialects: &[Dialect]) -> Vec<Case> {
    let mut cases = Vec::new();
    for scenario in scenarios {
        match &scenario.scope {
            Scope::One(dialect) if dialects.contains(dialect) => {
                add_rows(&mut cases, scenario, Some(*dialect), &scenario.id);
            }
            Scope::One(_) => {}
            Scope::Each(wanted) => {
                for dialect in dialects.iter().filter(|dialect| wanted.contains(dialect)) {
                    add_rows(
                        &mut cases,
                        scenario,
                        Some(*dialect),
                        &format!("{}@{dialect}", scenario.id),
                    );
                }
            }
            Scope::First => {
                if let Some(dialect) = dialects.first() {
                    add_rows(&mut cases, scenario, Some(*dialect), &scenario.id);
                }
            }
            Scope::None => add_rows(&mut cases, scenario, None, &scenario.id),
        }
    }
    cases
}

fn add_rows(cases: &mut Vec<Case>, scenario: &Arc<Scenario>, dialect: Option<Dialect>, id: &str) {
    let case = Case {
        id: id.to_owned(),
        scenario: Arc::clone(scenario),
        dialect,
        row: None,
    };
    match case.table() {
        None => cases.push(case),
        Some(table) => cases.extend(table.rows.iter().enumerate().map(|(index, row)| Case {
            id: format!("{id}[{}]", row.name.value),
            row: Some(index),
            ..case.clone()
        })),
    }
}

/// A pattern that names cases: a [`Glob`] over their ids, or the id of a clause.
#[derive(Debug, Clone)]
pub struct Pattern(Glob);

impl Pattern {
    /// Whether it names this case.
    #[must_use]
    pub fn matches(&self, case: &Case) -> bool {
        self.0.matches(&case.id) || self.0.to_string() == case.rule().0
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Pattern {
    type Err = GlobError;

    fn from_str(text: &str) -> Result<Self, GlobError> {
        text.parse().map(Self)
    }
}

/// A pattern that names no case. It is an error, so that a list cannot go stale unseen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{pattern}`{place} names no case; {hint}",
    place = .line.map(|line| format!(" in line {line}")).unwrap_or_default(),
    hint = hint(.near, "`touchstone conform list` shows their ids")
)]
pub struct NamesNothing {
    /// The pattern.
    pub pattern: String,
    /// Its line, if it comes from a file.
    pub line: Option<usize>,
    /// What may have been meant.
    pub near: Vec<String>,
}

impl NamesNothing {
    /// Of a pattern, and its line if it comes from a file, that matches none of these ids and clauses.
    #[must_use]
    pub fn new<'a>(
        pattern: &impl fmt::Display,
        line: Option<usize>,
        known: impl Iterator<Item = &'a str>,
    ) -> Self {
        let pattern = pattern.to_string();
        let near = near(&pattern, known);
        Self { pattern, line, near }
    }
}

/// Keeps the cases that one of the patterns names; all of them if there is none.
///
/// # Errors
/// A pattern that names no case.
pub fn choose(cases: Vec<Case>, patterns: &[Pattern]) -> Result<Vec<Case>, NamesNothing> {
    for pattern in patterns {
        if !cases.iter().any(|case| pattern.matches(case)) {
            return Err(NamesNothing::new(pattern, None, known(&cases)));
        }
    }
    Ok(cases
        .into_iter()
        .filter(|case| patterns.is_empty() || patterns.iter().any(|pattern| pattern.matches(case)))
        .collect())
}

/// All that a pattern may name: ids and clauses.
fn known(cases: &[Case]) -> impl Iterator<Item = &str> {
    cases
        .iter()
        .flat_map(|case| [case.id.as_str(), case.rule().0.as_str()])
}

/// A list of cases that are known to fail: one pattern a line, `#` starts a comment.
#[derive(Debug, Clone, Default)]
pub struct KnownFailing(Vec<(usize, Pattern)>);

/// A line of the list that is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {error}")]
pub struct NotAList {
    /// From 1.
    pub line: usize,
    /// What is wrong with it.
    pub error: GlobError,
}

impl KnownFailing {
    /// Reads the list.
    ///
    /// # Errors
    /// The first line that is no pattern.
    pub fn parse(text: &str) -> Result<Self, NotAList> {
        let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line));
        let patterns = lines.filter_map(|(line, text)| {
            let pattern = text.split('#').next().unwrap_or_default().trim();
            let parsed = || pattern.parse().map_err(|error| NotAList { line, error });
            (!pattern.is_empty()).then(|| parsed().map(|pattern| (line, pattern)))
        });
        patterns.collect::<Result<_, _>>().map(Self)
    }

    /// Whether the case is listed.
    #[must_use]
    pub fn lists(&self, case: &Case) -> bool {
        self.0.iter().any(|(_, pattern)| pattern.matches(case))
    }

    /// Makes sure that every line names one of all the cases there are.
    ///
    /// # Errors
    /// The first line that does not.
    pub fn check(&self, all: &[Case]) -> Result<(), NamesNothing> {
        match self
            .0
            .iter()
            .find(|(_, pattern)| !all.iter().any(|case| pattern.matches(case)))
        {
            Some((line, pattern)) => Err(NamesNothing::new(pattern, Some(*line), known(all))),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_empty_lines_name_nothing() {
        let list = KnownFailing::parse("# why\n\necho/2a-verbatim   # known\n  rfc6455/**\n").unwrap();
        let lines: Vec<_> = list
            .0
            .iter()
            .map(|(line, pattern)| (*line, pattern.to_string()))
            .collect();
        assert_eq!(
            lines,
            [(3, "echo/2a-verbatim".to_owned()), (4, "rfc6455/**".to_owned())]
        );
    }
}
