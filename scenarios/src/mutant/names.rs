//! Whether the scenarios that mutants name are there.

use std::collections::HashSet;

use crate::diag::{Diag, closest};
use crate::glob::Glob;
use crate::mutant::Mutant;
use crate::rules::{ClauseId, Rules};
use crate::scenario::{Action, Scenario, Scope};
use crate::source::Spanned;

/// What mutants name and these scenarios do not have: in `killed_by` a pattern that matches no case, in `clauses` one
/// that is neither a clause of the rules nor a scenario's own.
#[must_use]
pub fn check_names(mutants: &[Mutant], scenarios: &[Scenario]) -> Vec<Diag> {
    let cases: Vec<String> = scenarios.iter().flat_map(case_names).collect();
    let own: HashSet<&str> = scenarios
        .iter()
        .flat_map(|scenario| [scenario.id.as_str(), scenario.rule.value.0.as_str()])
        .collect();
    let mut diags = Vec::new();
    for mutant in mutants {
        for clause in &mutant.clauses {
            if Rules::builtin().clause(&clause.value).is_none() && !own.contains(clause.value.0.as_str()) {
                diags.push(unknown_clause(mutant, clause, &own));
            }
        }
        for pattern in &mutant.killed_by {
            if !cases.iter().any(|case| pattern.value.matches(case)) {
                diags.push(matches_nothing(mutant, pattern, scenarios));
            }
        }
    }
    diags
}

fn unknown_clause(mutant: &Mutant, clause: &Spanned<ClauseId>, own: &HashSet<&str>) -> Diag {
    let message = format!(
        "there is no clause `{}`, and no scenario of this name",
        clause.value
    );
    let known: Vec<&str> = own.iter().copied().collect();
    let diag = Diag::new("unknown-clause", &mutant.source, clause.span, message);
    match closest(&clause.value.0, &known) {
        Some(best) => diag.help(format!("did you mean `{best}`?")),
        None => diag.help("without a dialect a scenario's own id stands here, or `clauses: any`"),
    }
}

fn matches_nothing(mutant: &Mutant, pattern: &Spanned<Glob>, scenarios: &[Scenario]) -> Diag {
    let shown = pattern.value.to_string();
    let diag = Diag::new(
        "unknown-case",
        &mutant.source,
        pattern.span,
        format!("`{shown}` matches no case"),
    );
    let known: Vec<&str> = scenarios.iter().map(|scenario| scenario.id.as_str()).collect();
    match closest(shown.split(['@', '[']).next().unwrap_or_default(), &known) {
        Some(best) => diag.help(format!("did you mean `{best}`?")),
        None => diag.help("name a scenario, a case of it (`echo/2a-verbatim[a word]`), or several by `*`"),
    }
}

/// The cases that a scenario makes: on each of its dialects, of each row.
fn case_names(scenario: &Scenario) -> Vec<String> {
    let ids = match &scenario.scope {
        Scope::Each(dialects) => dialects
            .iter()
            .map(|dialect| format!("{}@{dialect}", scenario.id))
            .collect(),
        Scope::One(_) | Scope::First | Scope::None => vec![scenario.id.clone()],
    };
    let rows: Vec<&str> = scenario
        .steps
        .iter()
        .filter_map(|step| match &step.action {
            Action::Table(table) => Some(&table.rows),
            _ => None,
        })
        .flatten()
        .map(|row| row.name.value.as_str())
        .collect();
    if rows.is_empty() {
        return ids;
    }
    ids.iter()
        .flat_map(|id| rows.iter().map(move |row| format!("{id}[{row}]")))
        .collect()
}
