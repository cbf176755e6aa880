//! The schema of what is expected.

use serde_json::{Map, Value, json};

use super::steps::companion;
use super::{list_of, of, properties, reference, text, variable, words};
use crate::read::keys;

pub(super) fn code() -> Value {
    json!({
        "description": "A code, a list of codes, any, empty (a frame without code) or none (no frame).",
        "anyOf": [
            { "type": "integer", "minimum": 1000 },
            { "enum": ["any", "empty", "none"] },
            variable(),
            { "type": "array", "minItems": 1, "items": { "anyOf": [{ "type": "integer", "minimum": 1000 }, variable()] } },
            { "type": "object", "properties": { "$type": { "enum": ["integer", "number"] } },
              "required": ["$type"], "additionalProperties": false },
        ],
    })
}

pub(super) fn closed_key(key: &str) -> Value {
    match key {
        "code" => json!({ "anyOf": [reference("code"), under("code")] }),
        "reason" => of("matcher", "The close frame's reason."),
        "clean" => json!({ "description": "Close frames crossed, then the server ended TCP without reset.",
            "anyOf": [{ "type": "boolean" }, { "type": "object", "additionalProperties": false,
                "properties": { "$value": { "type": "boolean" }, "$clause": reference("clause") } }] }),
        "before" => json!({ "enum": ["greeting"],
            "description": "Nothing of what the dialect sends a newcomer came before: it was never let in." }),
        other => companion(other),
    }
}

pub(super) fn message() -> Value {
    let form = |key: &str| {
        let value = match key {
            "$json" => reference("matcher"),
            "$text" => json!({ "type": "string" }),
            _ => reference("payload"),
        };
        json!({ "type": "object", "additionalProperties": false, "required": [key], "properties": { key: value } })
    };
    let mut kinds: Vec<Value> = keys::MESSAGE_FORMS.iter().map(|key| form(key)).collect();
    kinds.push(json!({ "type": ["string", "number", "boolean"] }));
    kinds.push(json!({ "type": "object", "allOf": [reference("matcher")] }));
    json!({ "description": "A string is text, letter for letter; a mapping is JSON.", "anyOf": kinds })
}

pub(super) fn order_forms() -> Value {
    json!({ "type": "object", "minProperties": 1, "additionalProperties": false,
        "properties": properties(keys::ORDER_FORMS, |key| match key {
            "$any_order" => reference("messages"),
            _ => json!({ "type": "object", "required": ["by", "of"], "additionalProperties": false,
                "properties": { "by": { "type": "string" }, "of": reference("messages") } }),
        }) })
}

pub(super) fn matcher() -> Value {
    let mut special: Map<String, Value> = keys::MATCHERS
        .iter()
        .map(|key| ((*key).to_owned(), matcher_key(key)))
        .collect();
    special.extend(
        keys::MATCHER_COMPANIONS
            .iter()
            .map(|key| ((*key).to_owned(), matcher_key(key))),
    );
    json!({ "description": "What is expected of a JSON value; objects match as subsets.", "anyOf": [
        { "type": ["null", "boolean", "number", "string"] },
        { "type": "array", "items": reference("matcher") },
        { "type": "object", "properties": special, "additionalProperties": false,
          "patternProperties": { "^([^$]|\\$\\$|$)": reference("matcher") } },
    ] })
}

pub(super) fn matcher_key(key: &str) -> Value {
    let matcher = |description: &str| of("matcher", description);
    match key {
        "$value" => matcher("The value, where $clause or $capture stands beside it."),
        "$exact" => {
            json!({ "type": "object", "additionalProperties": reference("matcher"), "description": "No other field." })
        }
        "$type" => {
            let mut types: Vec<Value> = keys::TYPES.iter().map(|name| json!(name)).collect();
            types.push(Value::Null);
            let one = json!({ "enum": types });
            json!({ "description": "Of this type, or one of these.", "anyOf": [one, { "type": "array", "items": one }] })
        }
        "$regex" => text("A string that matches from start to end."),
        "$range" => {
            json!({ "type": "array", "minItems": 2, "maxItems": 2, "description": "Ends included; null is open." })
        }
        "$any_of" => list_of("matcher", "At least one matches."),
        "$not" => matcher("It is there and does not match."),
        "$contains" => matcher("An array in which at least one item matches."),
        "$length" => {
            json!({ "type": ["integer", "string"], "description": "Of an array, or of a string in characters." })
        }
        "$optional" => matcher("The field may be missing; if it is there it matches."),
        "$absent" | "$any" => {
            json!({ "enum": [true], "description": "Must not be there; must be there, whatever it holds." })
        }
        "$now" => of(
            "duration",
            "A time in epoch milliseconds at most so far from now; $unit: s for seconds, rfc3339 for one that is written out.",
        ),
        "$capture" => text("What matched is a variable of this name from the next step on."),
        "$unit" => words(&["ms", "s", "rfc3339"], "How the time of $now is written."),
        _ => of("clause", "A mismatch here is judged under this clause."),
    }
}

pub(super) fn response_key(key: &str) -> Value {
    match key {
        "status" => {
            json!({ "description": "404, 4xx, or a list; {$value: …, $clause: …} under a clause of its own.",
            "anyOf": [reference("statuses"), under("statuses")] })
        }
        "headers" => json!({ "type": "object", "additionalProperties": reference("matcher") }),
        "json" => of("matcher", "The body as JSON."),
        "upgraded" => json!({ "type": "boolean", "description": "Whether it is a correct upgrade." }),
        _ => json!({ "enum": [true], "description": "TCP ends without an answer." }),
    }
}

/// A value that is judged under a clause of its own.
pub(super) fn under(definition: &str) -> Value {
    json!({ "type": "object", "required": ["$value", "$clause"], "additionalProperties": false,
        "properties": { "$value": reference(definition), "$clause": reference("clause") } })
}
