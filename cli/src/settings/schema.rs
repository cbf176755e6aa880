//! The JSON Schema of the configuration file, for editors, and for `docs/configuration.md`, which is made from it.

use serde_json::{Map, Value, json};

use super::Settings;
use super::slot::{Slot, Words};
use super::table::{self, Key};

/// The schema, draft 7 (which the YAML language server reads). A key stands in it twice: with dots, and in its tree.
pub(crate) fn schema() -> Value {
    let mut settings = Settings::default();
    let definitions: Map<String, Value> = table::keys()
        .map(|key| (key.name.to_owned(), definition(key, &mut settings)))
        .collect();
    let mut root = Value::Object(branch(""));
    for key in table::keys().filter(|key| key.name.contains('.')) {
        root["properties"][key.name] = reference(key.name);
    }
    root["$schema"] = "http://json-schema.org/draft-07/schema#".into();
    root["title"] = "touchstone serve --config".into();
    root["definitions"] = definitions.into();
    root
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/definitions/{name}")})
}

/// The mapping of everything below `prefix`.
fn branch(prefix: &str) -> Map<String, Value> {
    let mut properties = Map::new();
    for key in table::keys() {
        let Some(rest) = key.name.strip_prefix(prefix) else {
            continue;
        };
        let name = rest.split('.').next().unwrap_or(rest);
        if properties.contains_key(name) {
            continue;
        }
        let full = format!("{prefix}{name}");
        let below = format!("{full}.");
        let is_branch = table::keys().any(|key| key.name.starts_with(&below));
        let property = match (table::find(&full), is_branch) {
            (Some(_), false) => reference(&full),
            (None, _) => Value::Object(branch(&below)),
            (Some(_), true) => json!({"anyOf": [reference(&full), Value::Object(branch(&below))]}),
        };
        properties.insert(name.to_owned(), property);
    }
    let mut branch = Map::new();
    branch.insert("type".into(), "object".into());
    branch.insert("additionalProperties".into(), false.into());
    branch.insert("properties".into(), properties.into());
    branch
}

fn definition(key: &Key, settings: &mut Settings) -> Value {
    let mut definition = kind(&key.slot);
    if key.slot.is_optional() {
        definition = json!({"anyOf": [definition, {"enum": ["none", null]}]});
    }
    definition["description"] = key.doc.into();
    definition["default"] = key.slot.show(settings);
    definition["x-environment"] = key.variables().into();
    if let Some(flag) = key.flag {
        definition["x-flag"] = format!("--{flag}").into();
    }
    if let Some(general) = key.falls_back_to {
        definition["x-falls-back-to"] = general.into();
    }
    definition
}

/// What may be written. Wider than the reader where a pattern would not help anybody.
fn kind(slot: &Slot) -> Value {
    let text = |pattern: &str| json!({"type": "string", "pattern": pattern});
    let several = |item: Value| json!({"anyOf": [item, {"type": "array", "items": item}]});
    let string = json!({"type": "string"});
    match *slot {
        Slot::Switch(_) | Slot::OnOff(_) => json!({"type": "boolean"}),
        Slot::Count(_, least) | Slot::OptionalCount(_, least) => {
            json!({"anyOf": [{"type": "integer", "minimum": least}, text("^[0-9_]+$")]})
        }
        Slot::SmallCount(_, least, most) => json!({"type": "integer", "minimum": least, "maximum": most}),
        Slot::Size(..) => {
            json!({"anyOf": [{"type": "integer", "minimum": 0}, text("^[0-9_]+ ?(B|KiB|MiB|GiB)?$")]})
        }
        Slot::Time(..) | Slot::OptionalTime(_) => text("^[0-9]+(\\.[0-9]+)?(us|ms|s|m|h)$"),
        Slot::Rate(_) => {
            json!({"anyOf": [{"type": "number", "exclusiveMinimum": 0}, text("^[0-9.]+(/s)?( +burst +[0-9]+)?$")]})
        }
        Slot::Text(_) | Slot::Filter(_) | Slot::File(_) | Slot::Address(_) => string,
        Slot::Texts(_) | Slot::OptionalTexts(_) | Slot::Files(_) | Slot::Addresses(_) | Slot::Networks(_) => {
            several(string)
        }
        Slot::Dialects(_) => {
            let names: Vec<&str> = touchstone_protocol::Dialect::ALL
                .iter()
                .map(|dialect| dialect.name())
                .collect();
            json!({"anyOf": [string, {"type": "array", "items": {"enum": names}, "minItems": 1}]})
        }
        Slot::Store(_) => text("^embedded:"),
        Slot::Bus(_) => json!({"enum": ["local:"]}),
        Slot::Words(Words { words, .. }) => json!({"enum": words}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After a change of the keys, run with `TOUCHSTONE_WRITE_SCHEMA=1`, commit it, and run `cargo xtask docs`.
    #[test]
    fn the_committed_schema_is_the_one_that_the_table_makes() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/schema/config.json");
        let made = format!("{:#}\n", schema());
        if std::env::var_os("TOUCHSTONE_WRITE_SCHEMA").is_some() {
            std::fs::write(path, &made).unwrap();
        }
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            committed == made,
            "cli/schema/config.json is not what the keys say: run this test with TOUCHSTONE_WRITE_SCHEMA=1"
        );
    }
}
