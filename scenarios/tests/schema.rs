//! The JSON Schema against the corpus, and the committed file against the code that makes it.
//!
//! After a change of the language, run with `TOUCHSTONE_WRITE_SCHEMA=1` and commit `schema/*.json`.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex};
use std::{env, fs};

use regex::Regex;
use serde_json::Value;
use touchstone_scenarios::mutant::Mutant;
use touchstone_scenarios::source::Source;
use touchstone_scenarios::{builtin_mutants, builtin_scenarios, generic_mutants, schema, yaml};

/// Why `value` does not satisfy `schema`; panics on a keyword that it does not know, so that it never passes by
/// ignorance.
fn violation(root: &Value, schema: &Value, value: &Value, at: &str) -> Option<String> {
    if let Value::Bool(anything) = schema {
        return (!anything).then(|| format!("{at}: nothing may be here"));
    }
    let keywords = schema.as_object().expect("a schema is an object");
    keywords
        .iter()
        .find_map(|(keyword, rule)| keyword_violation(root, keywords, (keyword, rule), value, at))
}

fn keyword_violation(
    root: &Value,
    keywords: &serde_json::Map<String, Value>,
    (keyword, rule): (&str, &Value),
    value: &Value,
    at: &str,
) -> Option<String> {
    let wrong = |why: &str| Some(format!("{at}: {why} {rule}, not {value}"));
    let holds = match keyword {
        "$schema" | "title" | "description" | "definitions" | "patternProperties" => true,
        "$ref" => {
            let pointer = rule.as_str().unwrap().trim_start_matches('#');
            return violation(root, root.pointer(pointer).expect(pointer), value, at);
        }
        "allOf" => {
            return rule
                .as_array()
                .unwrap()
                .iter()
                .find_map(|one| violation(root, one, value, at));
        }
        "anyOf" => rule
            .as_array()
            .unwrap()
            .iter()
            .any(|one| violation(root, one, value, at).is_none()),
        "enum" => rule.as_array().unwrap().contains(value),
        "type" => match rule {
            Value::Array(types) => types.iter().any(|one| is_a(value, one)),
            one => is_a(value, one),
        },
        "pattern" => value.as_str().is_none_or(|text| matches(rule, text)),
        "minimum" => value
            .as_f64()
            .is_none_or(|number| number >= rule.as_f64().unwrap()),
        "maximum" => value
            .as_f64()
            .is_none_or(|number| number <= rule.as_f64().unwrap()),
        "minItems" => value
            .as_array()
            .is_none_or(|items| items.len() as u64 >= rule.as_u64().unwrap()),
        "maxItems" => value
            .as_array()
            .is_none_or(|items| items.len() as u64 <= rule.as_u64().unwrap()),
        "maxProperties" => value
            .as_object()
            .is_none_or(|fields| fields.len() as u64 <= rule.as_u64().unwrap()),
        "minProperties" => value
            .as_object()
            .is_none_or(|fields| fields.len() as u64 >= rule.as_u64().unwrap()),
        "required" => {
            let has = |name: &Value| value.get(name.as_str().unwrap()).is_some();
            !value.is_object() || rule.as_array().unwrap().iter().all(has)
        }
        "items" => {
            let items = value.as_array().into_iter().flatten();
            return items
                .enumerate()
                .find_map(|(n, item)| violation(root, rule, item, &format!("{at}/{n}")));
        }
        // Every mapping of the schema says what its other keys may be, if only that there are none.
        "properties" => {
            assert!(
                keywords.contains_key("additionalProperties"),
                "{at}: open to any key"
            );
            true
        }
        "additionalProperties" => return field_violation(root, keywords, value, at),
        other => panic!("the validator does not know `{other}`"),
    };
    if holds { None } else { wrong(keyword) }
}

fn field_violation(
    root: &Value,
    keywords: &serde_json::Map<String, Value>,
    value: &Value,
    at: &str,
) -> Option<String> {
    let patterns = keywords.get("patternProperties").and_then(Value::as_object);
    value.as_object().into_iter().flatten().find_map(|(name, field)| {
        let at = format!("{at}/{name}");
        let named = keywords
            .get("properties")
            .and_then(|properties| properties.get(name));
        let by_pattern = patterns.into_iter().flatten();
        let by_pattern = by_pattern
            .filter(|(pattern, _)| matches(&Value::from(pattern.as_str()), name))
            .map(|(_, rule)| rule);
        let rules: Vec<&Value> = named.into_iter().chain(by_pattern).collect();
        match (rules.as_slice(), keywords.get("additionalProperties")) {
            ([], Some(Value::Bool(false))) => Some(format!("{at}: no such key")),
            ([], Some(rule)) => violation(root, rule, field, &at),
            (rules, _) => rules.iter().find_map(|rule| violation(root, rule, field, &at)),
        }
    })
}

fn matches(pattern: &Value, text: &str) -> bool {
    static COMPILED: LazyLock<Mutex<HashMap<String, Regex>>> = LazyLock::new(Mutex::default);
    let pattern = pattern.as_str().unwrap();
    let mut compiled = COMPILED.lock().unwrap();
    compiled
        .entry(pattern.to_owned())
        .or_insert_with(|| Regex::new(pattern).unwrap())
        .is_match(text)
}

fn is_a(value: &Value, kind: &Value) -> bool {
    match kind.as_str().unwrap() {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("the validator does not know the type `{other}`"),
    }
}

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
