//! `--print-config`: what every value is, and where it came from.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::slot::NONE;
use super::{Origin, Origins, Settings, secrets::Secrets, table};

/// For people, and a configuration file that says the same: where each value came from is a comment.
pub(crate) fn as_text(settings: &mut Settings, origins: &Origins, secrets: &Secrets) -> String {
    let mut lines: Vec<(String, String)> = table::keys()
        .map(|key| {
            let value = written(&key.slot.show(settings));
            (format!("{}: {value}", key.name), origins.of(key.name).to_string())
        })
        .collect();
    lines.extend(secrets.origins().into_iter().map(|(name, origin)| match origin {
        Origin::Default => (format!("# {name} is not set"), String::new()),
        origin => (format!("# {name} is set, and not shown"), origin.to_string()),
    }));
    let width = lines
        .iter()
        .map(|(line, _)| line.chars().count())
        .filter(|width| *width <= COLUMN_MAX)
        .max();
    let width = width.unwrap_or(0);
    let mut text = String::new();
    for (line, origin) in lines {
        // Writing to a String cannot fail.
        let _ = if origin.is_empty() {
            writeln!(text, "{line}")
        } else {
            writeln!(text, "{line:width$}  # {origin}")
        };
    }
    text
}

/// Longer lines do not push the origins of all others away.
const COLUMN_MAX: usize = 60;

/// For machines.
pub(crate) fn as_json(settings: &mut Settings, origins: &Origins, secrets: &Secrets) -> Value {
    let values: Vec<Value> = table::keys()
        .map(|key| json!({"key": key.name, "value": key.slot.show(settings), "origin": origin(&origins.of(key.name))}))
        .collect();
    let secrets: Vec<Value> = secrets
        .origins()
        .iter()
        .map(|(name, from)| json!({"key": name, "set": *from != Origin::Default, "origin": origin(from)}))
        .collect();
    json!({"schema": "touchstone.config/1", "values": values, "secrets": secrets})
}

fn origin(origin: &Origin) -> Value {
    match origin {
        Origin::Default => json!({"kind": "default"}),
        Origin::File { path, line } => json!({"kind": "file", "file": path, "line": line}),
        Origin::Environment(name) => json!({"kind": "environment", "name": name}),
        Origin::Flag(name) => json!({"kind": "flag", "name": name}),
        Origin::Key(name) => json!({"kind": "key", "name": name}),
    }
}

/// As YAML on one line.
fn written(value: &Value) -> String {
    match value {
        Value::Null => NONE.to_owned(),
        Value::String(text) if is_plain(text) => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(written).collect::<Vec<_>>().join(", ")),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => value.to_string(),
    }
}

/// Whether YAML reads it as this text without quotes, wherever it stands.
fn is_plain(text: &str) -> bool {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-._/: ".contains(letter);
    text.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '/')
        && text.chars().all(plain)
        && !text.contains(": ")
        && !text.ends_with([':', ' '])
        && text.parse::<f64>().is_err()
        && !["true", "false", "null", "none"].contains(&text.to_lowercase().as_str())
}
