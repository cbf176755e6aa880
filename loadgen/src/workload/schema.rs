//! The JSON Schema of workload files, for editors: completion, hover, and red underlines before anything is run.
//!
//! Made from the types of [`crate::workload`], so that a key which the reader knows and the schema does not cannot be.
//! What serde does not know of them is here: values that may be written in more than one way, names from closed lists,
//! and times. It is wider than the reader where JSON Schema cannot say what is meant: what goes together.

use std::borrow::Cow;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};
use touchstone_protocol::{Dialect, defaults};
use touchstone_scenarios::duration::TIMINGS;

use super::Workload;
use super::values::{Feeder, Heartbeat, MixEntry, RowOrder, Size, SizeRange, Spread, Talkers, WeightedSize};
use crate::plan::acts_of;
use crate::plan::limits::{CONTENT_BYTES_MIN, WEIGHT_MAX, WEIGHT_MIN};
use crate::share::Share;

/// The schema of a workload file, draft 7 (which the YAML language server reads).
#[must_use]
pub fn workload() -> Value {
    let generator = SchemaSettings::draft07().into_generator();
    let mut schema = generator.into_root_schema_for::<Workload>().to_value();
    schema["title"] = "touchstone workload".into();
    schema
}

/// A time as files write it.
pub(crate) struct Time;

impl JsonSchema for Time {
    fn schema_name() -> Cow<'static, str> {
        "Time".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "250ms, 1.5s, 2m, 1h.",
            "type": "string",
            "pattern": "^\\s*[0-9]+(\\.[0-9]+)?(ms|us|s|m|h)\\s*$",
        })
    }
}

/// What begins with a slash: a JSON pointer, or a path.
pub(crate) struct Pointer;

impl JsonSchema for Pointer {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Pointer".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^/" })
    }
}

impl JsonSchema for Share {
    fn schema_name() -> Cow<'static, str> {
        "Share".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A share, for example 25%.",
            "type": "string",
            "pattern": "^(100(\\.0*)?|[0-9]{1,2}(\\.[0-9]*)?) *%$",
        })
    }
}

impl JsonSchema for Spread {
    fn schema_name() -> Cow<'static, str> {
        "Spread".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let time = generator.subschema_for::<Time>();
        json_schema!({
            "description": "A time that is drawn anew each time: 2s, {uniform: {from: 1s, to: 3s}} or {exponential: 2s}.",
            "anyOf": [
                time,
                one_key("uniform", &json_schema!({
                    "type": "object",
                    "description": "Every time between the two as likely as any other.",
                    "properties": { "from": time, "to": time },
                    "required": ["from", "to"],
                    "additionalProperties": false,
                })),
                one_key("exponential", &json_schema!({
                    "description": "As long as independent people take, with this mean.",
                    "allOf": [time],
                })),
            ],
        })
    }
}

/// A mapping with this key and no other.
fn one_key(key: &str, value: &Schema) -> Schema {
    json_schema!({
        "type": "object",
        "properties": { key: value },
        "required": [key],
        "additionalProperties": false,
    })
}

impl JsonSchema for Size {
    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let (range, weighted) = (
            generator.subschema_for::<SizeRange>(),
            generator.subschema_for::<WeightedSize>(),
        );
        json_schema!({
            "description": "Bytes of content: 64, {from: 32, to: 1024} or [{bytes: 64, weight: 9}, {bytes: 4096}].",
            "anyOf": [
                { "type": "integer", "minimum": CONTENT_BYTES_MIN, "maximum": defaults::MESSAGE_BYTES_MAX },
                range,
                { "type": "array", "items": weighted, "minItems": 1 },
            ],
        })
    }
}

impl JsonSchema for MixEntry {
    fn schema_name() -> Cow<'static, str> {
        "MixEntry".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let weight = json!({ "type": "number", "minimum": WEIGHT_MIN, "maximum": WEIGHT_MAX, "description": "Its part of the sum of all weights." });
        let (size, spread) = (
            generator.subschema_for::<Size>(),
            generator.subschema_for::<Spread>(),
        );
        json_schema!({
            "description": "An act of the mix: its weight, or {weight: 3, bytes: 64}.",
            "anyOf": [weight, {
                "type": "object",
                "properties": {
                    "weight": weight,
                    "bytes": { "description": "In place of `messages.bytes`.", "allOf": [size] },
                    "think": { "description": "The think time after it, in place of `messages.think`.", "allOf": [spread] },
                },
                "additionalProperties": false,
            }],
        })
    }
}

impl JsonSchema for Feeder {
    fn schema_name() -> Cow<'static, str> {
        "Feeder".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let order = generator.subschema_for::<RowOrder>();
        json_schema!({
            "description": "A file such as users.csv, or {file: products.json, rows: random}.",
            "anyOf": [{ "type": "string" }, {
                "type": "object",
                "properties": {
                    "file": { "type": "string", "description": "From the workload's folder on." },
                    "rows": { "description": "Which row is whose.", "allOf": [order] },
                },
                "required": ["file"],
                "additionalProperties": false,
            }],
        })
    }
}

impl JsonSchema for Talkers {
    fn schema_name() -> Cow<'static, str> {
        "Talkers".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Who of each room talks: `all`, a share such as 10%, or a number.",
            "anyOf": [
                { "enum": ["all"] },
                generator.subschema_for::<Share>(),
                { "type": "integer", "minimum": 0 },
            ],
        })
    }
}

impl JsonSchema for Heartbeat {
    fn schema_name() -> Cow<'static, str> {
        "Heartbeat".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "From one sign of life to the next, or `none`.",
            "anyOf": [{ "enum": ["none"] }, generator.subschema_for::<Time>()],
        })
    }
}

pub(super) fn dialect(_: &mut SchemaGenerator) -> Schema {
    let names: Vec<_> = Dialect::ALL.iter().map(|dialect| dialect.name()).collect();
    json_schema!({ "enum": names })
}

pub(super) fn timings(generator: &mut SchemaGenerator) -> Schema {
    let time = generator.subschema_for::<Time>();
    let properties: Map<String, Value> = TIMINGS
        .iter()
        .map(|name| ((*name).to_owned(), time.clone().to_value()))
        .collect();
    json_schema!({ "type": "object", "properties": properties, "additionalProperties": false })
}

/// The acts of the dialects, and those of somebody's own protocol.
pub(super) fn mix(generator: &mut SchemaGenerator) -> Schema {
    let entry = generator.subschema_for::<MixEntry>();
    let acts = Dialect::ALL
        .iter()
        .filter_map(|dialect| acts_of(*dialect))
        .flatten();
    let properties: Map<String, Value> = acts
        .map(|act| (act.name.to_string(), entry.clone().to_value()))
        .collect();
    json_schema!({ "type": "object", "properties": properties, "additionalProperties": entry })
}

/// JSON pointers, and what must stand there.
pub(super) fn conditions(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "patternProperties": { "^/": true }, "additionalProperties": false })
}

/// `matches` by itself, or `where`, `key` or both.
pub(super) fn recogniser() -> Value {
    let matched = json!({ "required": ["matches"], "not": { "anyOf": either(["where", "key"]) } });
    let found = json!({ "anyOf": either(["where", "key"]), "not": { "required": ["matches"] } });
    json!([matched, found])
}

/// Exactly one of these keys.
pub(super) fn either<const N: usize>(keys: [&str; N]) -> Value {
    keys.iter().map(|key| json!({ "required": [key] })).collect()
}

/// All of these keys.
pub(super) fn both<const N: usize>(keys: [&str; N]) -> Value {
    json!({ "required": keys.as_slice() })
}
