//! `explain` and `list`: what a clause or a case is about, before or after it was run.

use std::sync::Arc;

use touchstone_scenarios::mutant::Mutant;
use touchstone_scenarios::rules::{Clause, ClauseId, Rules};
use touchstone_scenarios::scenario::Scenario;
use touchstone_sut::Target;

use crate::clauses::clauses_of_scenario;
use crate::near::{hint, near};
use crate::select::{Case, Pattern, cases};

/// A case as `list` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its id.
    pub id: String,
    /// What holds if it passes.
    pub title: String,
    /// The clause it is about.
    pub rule: ClauseId,
    /// `must`, `should`, `may`.
    pub level: &'static str,
    /// It needs the server to itself.
    pub alone: bool,
    /// The key of the target file without which it is skipped.
    pub skipped_without: Option<String>,
}

/// All cases that a target has.
#[must_use]
pub fn list(scenarios: &[Arc<Scenario>], rules: &Rules, target: &Target) -> Vec<Listed> {
    let all = cases(scenarios, &target.dialects);
    all.iter().map(|case| listed(case, rules, target)).collect()
}

fn listed(case: &Case, rules: &Rules, target: &Target) -> Listed {
    Listed {
        id: case.id.clone(),
        title: case.scenario.title.clone(),
        rule: case.rule().clone(),
        level: rules
            .clause(case.rule())
            .map_or("must", |clause| clause.basis.level().name()),
        alone: case.scenario.alone,
        skipped_without: case.missing_requirement(target).map(str::to_owned),
    }
}

/// Nothing has this id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{id}` is neither a clause nor a case nor a mutant; {hint}",
    hint = hint(.near, "`touchstone conform list` and `conform mutants --list` show them")
)]
pub struct Unknown {
    /// What was asked for.
    pub id: String,
    /// What may have been meant.
    pub near: Vec<String>,
}

/// Explains a clause (`echo/2a`), a mutant, or the cases that a pattern names.
///
/// # Errors
/// Nothing has this id.
pub fn explain(
    id: &str,
    scenarios: &[Arc<Scenario>],
    mutants: &[Arc<Mutant>],
    rules: &Rules,
) -> Result<String, Unknown> {
    if let Some(clause) = rules.clause(&ClauseId(id.to_owned())) {
        return Ok(explain_clause(clause, scenarios));
    }
    if let Some(mutant) = mutants.iter().find(|mutant| mutant.id == id) {
        return Ok(explain_mutant(mutant, rules));
    }
    let unknown = || {
        let cases = scenarios.iter().map(|scenario| scenario.id.as_str());
        let clauses = rules.clauses().map(|clause| clause.id.0.as_str());
        let mutants = mutants.iter().map(|mutant| mutant.id.as_str());
        Unknown {
            id: id.to_owned(),
            near: near(id, clauses.chain(cases).chain(mutants)),
        }
    };
    let pattern: Pattern = id.parse().map_err(|_| unknown())?;
    let named: Vec<_> = scenarios
        .iter()
        .filter(|scenario| names(&pattern, scenario))
        .collect();
    if named.is_empty() {
        return Err(unknown());
    }
    let texts = named
        .into_iter()
        .map(|scenario| explain_scenario(scenario, mutants, rules));
    Ok(texts.collect::<Vec<_>>().join("\n"))
}

fn names(pattern: &Pattern, scenario: &Arc<Scenario>) -> bool {
    let dialects = touchstone_protocol::Dialect::ALL;
    cases(std::slice::from_ref(scenario), dialects)
        .iter()
        .any(|case| pattern.matches(case))
}

fn explain_clause(clause: &Clause, scenarios: &[Arc<Scenario>]) -> String {
    let level = clause.basis.level();
    let owed = match level.name() {
        "must" => "a server that does otherwise has failed",
        "should" => "a server that does otherwise is non-strict",
        _ => "a server that does otherwise is only mentioned; the built-in one obeys it",
    };
    let mut out = format!(
        "{} ({level}, basis {}): {owed}\n\n  {}\n\n  why: {}\n",
        clause.id,
        clause.basis.name(),
        clause.sentence,
        clause.why
    );
    for alternative in &clause.alternatives {
        out.push_str(&format!("  known alternative: {alternative}\n"));
    }
    if let Some(needs) = &clause.needs {
        out.push_str(&format!("  can be checked only on a target that has `{needs}`\n"));
    }
    let looks = |scenario: &&Arc<Scenario>| clauses_of_scenario(scenario).contains(&clause.id);
    let cases: Vec<_> = scenarios.iter().filter(looks).collect();
    out.push_str("\n  cases:\n");
    if cases.is_empty() {
        out.push_str("    none\n");
    }
    for scenario in cases {
        out.push_str(&format!("    {}  {}\n", scenario.id, scenario.title));
    }
    out.push_str(&format!(
        "\n  what to change: make the rule above true, then run  touchstone conform run '{}'\n",
        clause.id
    ));
    out
}

fn explain_mutant(mutant: &Mutant, rules: &Rules) -> String {
    let mut out = format!("{}: {}\n  {}\n", mutant.id, mutant.breaks, mutant.source.path);
    if mutant.clauses.is_empty() {
        out.push_str("\n  breaks whatever a scenario asks for\n");
    }
    for clause in &mutant.clauses {
        match rules.clause(&clause.value) {
            Some(clause) => out.push_str(&format!("\n  breaks {}: {}\n", clause.id, clause.sentence)),
            None => out.push_str(&format!("\n  breaks {}\n", clause.value)),
        }
    }
    out.push_str("\n  noticed by:\n");
    for name in &mutant.killed_by {
        out.push_str(&format!("    {}\n", name.value));
    }
    out.push_str(&format!(
        "\n  try it: touchstone conform mutants {} --named --trace\n",
        mutant.id
    ));
    out
}

/// The mutants whose files name a case of the scenario.
fn noticed_by(scenario: &Scenario, mutants: &[Arc<Mutant>]) -> String {
    let names = |mutant: &&Arc<Mutant>| {
        let mut names = mutant.killed_by.iter();
        names.any(|name| name.value.scenarios().matches(&scenario.id))
    };
    let noticed: Vec<_> = mutants.iter().filter(names).collect();
    if noticed.is_empty() {
        return String::new();
    }
    let lines = noticed
        .iter()
        .map(|mutant| format!("    {}  {}\n", mutant.id, mutant.breaks));
    format!("\n  proven able to fail by:\n{}", lines.collect::<String>())
}

fn explain_scenario(scenario: &Scenario, mutants: &[Arc<Mutant>], rules: &Rules) -> String {
    let mut out = format!(
        "{}: {}\n  {}\n",
        scenario.id, scenario.title, scenario.source.path
    );
    for clause in clauses_of_scenario(scenario) {
        if let Some(clause) = rules.clause(&clause) {
            let level = clause.basis.level();
            out.push_str(&format!(
                "\n  {} ({level}): {}\n    why: {}\n",
                clause.id, clause.sentence, clause.why
            ));
        }
    }
    for key in &scenario.requires {
        out.push_str(&format!("\n  skipped unless the target has `{}`\n", key.value));
    }
    if scenario.alone {
        out.push_str("\n  runs by itself, because it needs the whole server\n");
    }
    out.push_str(&noticed_by(scenario, mutants));
    out.push_str(&format!("\n{}\n", scenario.source.text.trim_end()));
    out.push_str(&format!(
        "\n  run it: touchstone conform run '{}' --trace\n",
        scenario.id
    ));
    out
}
