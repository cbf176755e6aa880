//! The JSON Schema of target files, for editors: completion, hover, and red underlines before anything is reached.
//!
//! Made from the types of [`crate::file`], so that a key which the reader knows and the schema does not cannot be.
//! What serde does not know of them is here: names from closed lists, and times.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value};
use touchstone_protocol::Dialect;
use touchstone_scenarios::duration::TIMINGS;
use touchstone_scenarios::read::{LIMITS, REQUIREMENTS};

use crate::file::{FileCall, FileText, PerDialect, TargetFile};
use crate::target::{ACTS, AUDIENCES, FAULTS};

/// The schema of a target file, draft 7 (which the YAML language server reads).
#[must_use]
pub fn target() -> Value {
    let generator = SchemaSettings::draft07().into_generator();
    let mut schema = generator.into_root_schema_for::<TargetFile>().to_value();
    schema["title"] = "touchstone target".into();
    schema
}

fn dialect_names() -> impl Iterator<Item = &'static str> {
    Dialect::ALL.iter().map(|dialect| dialect.name())
}

/// A mapping with these keys and no other.
fn closed<'a>(names: impl IntoIterator<Item = &'a str>, value: &Schema) -> Schema {
    let properties: Map<String, Value> = names
        .into_iter()
        .map(|name| (name.to_owned(), value.clone().to_value()))
        .collect();
    json_schema!({ "type": "object", "properties": properties, "additionalProperties": false })
}

pub(crate) fn dialects(_: &mut SchemaGenerator) -> Schema {
    let names: Vec<_> = dialect_names().collect();
    json_schema!({ "type": "array", "items": { "enum": names } })
}

pub(crate) fn by_dialect<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    let value = generator.subschema_for::<T>();
    closed(dialect_names(), &value)
}

fn time() -> Schema {
    json_schema!({ "type": "string", "pattern": "^[0-9]+(\\.[0-9]+)?(ms|us|s|m|h)$" })
}

pub(crate) fn timings(_: &mut SchemaGenerator) -> Schema {
    closed(TIMINGS.iter().copied(), &time())
}

pub(crate) fn optional_time(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "anyOf": [time(), { "type": "null" }] })
}

/// Those that are known, and those of somebody's own protocol.
fn open<'a>(known: impl IntoIterator<Item = &'a str>, value: &Value) -> Schema {
    let properties: Map<String, Value> = known
        .into_iter()
        .map(|name| (name.to_owned(), value.clone()))
        .collect();
    json_schema!({ "type": "object", "properties": properties, "additionalProperties": value })
}

pub(crate) fn limits(_: &mut SchemaGenerator) -> Schema {
    open(
        LIMITS.iter().copied(),
        &serde_json::json!({ "type": "integer", "minimum": 0 }),
    )
}

pub(crate) fn capabilities(_: &mut SchemaGenerator) -> Schema {
    open(
        REQUIREMENTS.iter().copied(),
        &serde_json::json!({ "type": "boolean" }),
    )
}

pub(crate) fn inject(generator: &mut SchemaGenerator) -> Schema {
    let call = generator.subschema_for::<FileCall>();
    closed(dialect_names(), &closed(AUDIENCES.iter().copied(), &call))
}

pub(crate) fn operate(generator: &mut SchemaGenerator) -> Schema {
    let call = generator.subschema_for::<FileCall>();
    closed(dialect_names(), &closed(ACTS.iter().map(|act| act.name()), &call))
}

pub(crate) fn faults(generator: &mut SchemaGenerator) -> Schema {
    let call = generator.subschema_for::<FileCall>();
    closed(FAULTS.iter().copied(), &call)
}

/// Exactly one of these keys.
pub(crate) fn one_of(keys: &[&str]) -> Value {
    keys.iter()
        .map(|key| serde_json::json!({ "required": [key] }))
        .collect()
}

impl JsonSchema for FileText {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "FileText".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A text, or `{env: NAME}`: the environment variable that holds it.",
            "anyOf": [
                { "type": ["string", "integer"] },
                { "type": "object", "required": ["env"], "additionalProperties": false,
                  "properties": { "env": { "type": "string" } } },
            ],
        })
    }
}

impl<T: JsonSchema> JsonSchema for PerDialect<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("PerDialect_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let for_all = generator.subschema_for::<T>();
        let mut each = closed(dialect_names(), &for_all);
        each.insert("minProperties".into(), 1.into());
        json_schema!({ "anyOf": [each, for_all] })
    }
}
