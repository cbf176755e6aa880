//! Which cases a run has: scenarios, once for each dialect and row, and the globs that choose among them.

use std::sync::Arc;

use touchstone_protocol::Dialect;
use touchstone_scenarios::rules::ClauseId;
use touchstone_scenarios::scenario::{Action, Scenario, Scope, Table};
use touchstone_sut::Target;

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

/// A pattern that names cases: the id of a case, of a scenario (all its cases), or of a clause; `*` stands for any
/// part of one component, `**` for anything, `?` for one character.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(String);

impl Pattern {
    /// Every text is a pattern.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.trim().to_owned())
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it names this case.
    #[must_use]
    pub fn matches(&self, case: &Case) -> bool {
        let without_row = case.id.split('[').next().unwrap_or(&case.id);
        [case.id.as_str(), without_row, &case.scenario.id, &case.rule().0]
            .iter()
            .any(|name| glob(self.0.as_bytes(), name.as_bytes()))
    }
}

fn glob(pattern: &[u8], text: &[u8]) -> bool {
    match pattern {
        [] => text.is_empty(),
        [b'*', b'*', rest @ ..] => (0..=text.len()).any(|cut| glob(rest, &text[cut..])),
        [b'*', rest @ ..] => {
            let component = text.iter().position(|byte| *byte == b'/').unwrap_or(text.len());
            (0..=component).any(|cut| glob(rest, &text[cut..]))
        }
        [b'?', rest @ ..] => text
            .split_first()
            .is_some_and(|(first, text)| *first != b'/' && glob(rest, text)),
        [wanted, rest @ ..] => text
            .split_first()
            .is_some_and(|(first, text)| first == wanted && glob(rest, text)),
    }
}

/// A pattern that names no case. It is an error, so that a list cannot go stale unseen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{pattern}`{place} names no case; `touchstone conform list` shows their ids", place = .line.map(|line| format!(" in line {line}")).unwrap_or_default())]
pub struct NamesNothing {
    /// The pattern.
    pub pattern: String,
    /// Its line, if it comes from a file.
    pub line: Option<usize>,
}

/// Keeps the cases that one of the patterns names; all of them if there is none.
///
/// # Errors
/// A pattern that names no case.
pub fn choose(cases: Vec<Case>, patterns: &[Pattern]) -> Result<Vec<Case>, NamesNothing> {
    for pattern in patterns {
        if !cases.iter().any(|case| pattern.matches(case)) {
            return Err(NamesNothing {
                pattern: pattern.0.clone(),
                line: None,
            });
        }
    }
    Ok(cases
        .into_iter()
        .filter(|case| patterns.is_empty() || patterns.iter().any(|pattern| pattern.matches(case)))
        .collect())
}

/// A list of cases that are known to fail: one pattern a line, `#` starts a comment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KnownFailing(Vec<(usize, Pattern)>);

impl KnownFailing {
    /// Reads the list.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let patterns = text.lines().enumerate().filter_map(|(index, line)| {
            let pattern = line.split('#').next().unwrap_or_default().trim();
            (!pattern.is_empty()).then(|| (index + 1, Pattern::new(pattern)))
        });
        Self(patterns.collect())
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
            Some((line, pattern)) => Err(NamesNothing {
                pattern: pattern.0.clone(),
                line: Some(*line),
            }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stay_within_a_component_unless_doubled() {
        for (pattern, text, matches) in [
            ("echo/*", "echo/2a-verbatim", true),
            ("*", "echo/2a-verbatim", false),
            ("**", "echo/2a-verbatim", true),
            ("**/2?-verb*", "echo/2a-verbatim", true),
            ("echo/2a", "echo/2a-verbatim", false),
            ("echo/x[a*]", "echo/x[a row]", true),
            ("echo/x[a*]", "echo/x[b]", false),
        ] {
            assert_eq!(
                glob(pattern.as_bytes(), text.as_bytes()),
                matches,
                "{pattern} {text}"
            );
        }
    }

    #[test]
    fn comments_and_empty_lines_name_nothing() {
        let list = KnownFailing::parse("# why\n\necho/2a-verbatim   # known\n  rfc6455/**\n");
        assert_eq!(
            list.0,
            [
                (3, Pattern::new("echo/2a-verbatim")),
                (4, Pattern::new("rfc6455/**"))
            ]
        );
    }
}
