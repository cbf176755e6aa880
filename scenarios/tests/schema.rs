//! The JSON Schema against the corpus, and the committed file against the code that makes it.
//!
//! After a change of the language, run with `TOUCHSTONE_WRITE_SCHEMA=1` and commit `schema/*.json`.

mod validator;

use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::{env, fs};

use serde_json::Value;
use touchstone_scenarios::mutant::Mutant;
use touchstone_scenarios::source::Source;
use touchstone_scenarios::{builtin_mutants, builtin_scenarios, generic_mutants, schema, yaml};
use validator::violation;

fn check(schema: &Value, path: &str, text: &str) -> Option<String> {
    let source = Source {
        path: path.to_owned(),
        text: text.to_owned(),
    };
    let value = yaml::parse(&Arc::new(source)).unwrap().to_json();
    violation(schema, schema, &value, path)
}

static SCENARIO: LazyLock<Value> = LazyLock::new(schema::scenario);
static MUTANTS: LazyLock<Value> = LazyLock::new(schema::mutants);

#[test]
fn the_committed_schemas_are_those_that_the_code_makes() {
    for (name, schema) in [("scenario", &*SCENARIO), ("mutants", &*MUTANTS)] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("schema/{name}.json"));
        let made = format!("{schema:#}\n");
        if env::var_os("TOUCHSTONE_WRITE_SCHEMA").is_some() {
            fs::write(&path, &made).unwrap();
        }
        let committed = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            committed == made,
            "schema/{name}.json is stale: run with TOUCHSTONE_WRITE_SCHEMA=1"
        );
    }
}

#[test]
fn every_builtin_scenario_satisfies_the_schema() {
    for scenario in builtin_scenarios().unwrap() {
        assert_eq!(
            check(&SCENARIO, &scenario.source.path, &scenario.source.text),
            None
        );
    }
}

#[test]
fn every_builtin_mutant_satisfies_the_schema() {
    let mut mutants = builtin_mutants().unwrap();
    mutants.extend(generic_mutants().unwrap());
    mutants.dedup_by(|one, other| Arc::ptr_eq(&one.source, &other.source));
    for Mutant { source, .. } in &mutants {
        assert_eq!(check(&MUTANTS, &source.path, &source.text), None);
    }
}

#[test]
fn what_the_schema_of_mutants_can_tell_is_told() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wrong-mutants");
    for name in [
        "bad-id",
        "edit-without-place",
        "form-of-a-message",
        "missing-clauses",
        "nothing-done",
        "nth-of-zero",
        "several-mistakes",
        "two-triggers",
        "unknown-deed",
        "unknown-edit",
        "unknown-key",
        "unknown-launcher",
        "unknown-trigger",
    ] {
        let text = fs::read_to_string(folder.join(format!("{name}.yaml"))).unwrap();
        assert!(
            check(&MUTANTS, name, &text).is_some(),
            "{name} satisfies the schema"
        );
    }
}

#[test]
fn what_the_schema_can_tell_is_told() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wrong");
    for name in [
        "unknown-key",
        "unknown-keys",
        "missing-title",
        "no-mapping",
        "wrong-type",
        "bad-duration",
        "duration-without-unit",
        "bad-window",
        "expect-empty-list",
        "unknown-matcher",
        "unknown-type",
        "unknown-verb",
        "unknown-global-verb",
        "verb-without-actor",
        "bad-frame",
        "bad-status",
        "bad-method",
        "several-mistakes",
        "wrong-lane",
    ] {
        let text = fs::read_to_string(folder.join(format!("{name}.yaml"))).unwrap();
        assert!(
            check(&SCENARIO, name, &text).is_some(),
            "{name} satisfies the schema"
        );
    }
}
