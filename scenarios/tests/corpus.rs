//! The corpus that is compiled in: every file reads, and is what its name says.

use std::collections::BTreeSet;

use touchstone_scenarios::diag::{Diag, Paint};
use touchstone_scenarios::rules::{Clause, Rules};
use touchstone_scenarios::scenario::{Scenario, Scope};
use touchstone_scenarios::{builtin_scenarios, builtin_workloads, yaml};

fn scenarios() -> Vec<Scenario> {
    builtin_scenarios().unwrap_or_else(|diags| {
        let shown: Vec<String> = diags
            .iter()
            .map(|diag: &Diag| diag.render(Paint::Plain))
            .collect();
        panic!("\n{}", shown.join("\n\n"))
    })
}

#[test]
fn the_corpus_is_compiled_in() {
    assert!(scenarios().len() > 100, "{} scenarios", scenarios().len());
    for (name, source) in builtin_workloads() {
        assert!(yaml::parse(&source).is_ok(), "the workload {name} is not YAML");
    }
}

fn section(id: &str) -> &str {
    id.split('-').next().unwrap()
}

#[test]
fn a_scenario_whose_name_begins_with_a_clause_checks_that_clause() {
    let rules = Rules::builtin();
    for scenario in scenarios() {
        let rule = &scenario.rule.value;
        assert!(rules.clause(rule).is_some(), "{} checks {rule}", scenario.id);
        let begins_with = |clause: &&Clause| {
            let rest = scenario.id.strip_prefix(&clause.id.0);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        };
        // The longest: `5.6-utf8-fast` is a clause, and so is `5.6-utf8`.
        let named = rules
            .clauses()
            .filter(begins_with)
            .max_by_key(|clause| clause.id.0.len());
        match named {
            Some(clause) => assert_eq!(&clause.id, rule, "{}", scenario.id),
            // `rfc6455/5.4-empty-fragments` is of the section of `rfc6455/5.4-fragments`; what checks a clause of
            // another folder has a name of its own.
            None => assert!(
                section(&scenario.id) == section(&rule.0)
                    || rule.folder() != scenario.id.split('/').next().unwrap(),
                "{} checks {rule}",
                scenario.id
            ),
        }
    }
}

#[test]
fn a_common_scenario_runs_where_its_clause_applies() {
    for scenario in scenarios() {
        if let Scope::Each(dialects) = &scenario.scope {
            let clause = Rules::builtin().clause(&scenario.rule.value).unwrap();
            for dialect in dialects {
                assert!(
                    clause.dialects.contains(dialect),
                    "{} runs on {dialect}",
                    scenario.id
                );
            }
        }
    }
}

#[test]
fn titles_tell_scenarios_apart() {
    let mut seen = BTreeSet::new();
    for scenario in scenarios() {
        assert!(
            seen.insert(scenario.title.clone()),
            "{}: there is another `{}`",
            scenario.id,
            scenario.title
        );
    }
}
