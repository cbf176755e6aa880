//! JSON Schema, as far as our schemas use it, so that files are checked against them without a network or a library.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex};

use regex::Regex;
use serde_json::Value;

/// Why `value` does not satisfy `schema`; panics on a keyword that it does not know, so that it never passes by
/// ignorance.
pub(crate) fn violation(root: &Value, schema: &Value, value: &Value, at: &str) -> Option<String> {
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
        // Said to whoever reads it: a default, and how wide a number is.
        "default" | "format" => true,
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
        "oneOf" => {
            let all = rule.as_array().unwrap().iter();
            all.filter(|one| violation(root, one, value, at).is_none())
                .count()
                == 1
        }
        "not" => violation(root, rule, value, at).is_some(),
        "const" => rule == value,
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
        // Every mapping of the schema says what its other keys may be, if only that there are none. What only looks at
        // keys that are there has no `type`.
        "properties" if !keywords.contains_key("type") => return field_violation(root, keywords, value, at),
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
            ([], None) => None,
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
