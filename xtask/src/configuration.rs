//! `docs/configuration.md`, made from `cli/schema/config.json`: every key of `touchstone serve` in a table.
//!
//! A test of `cli` holds that file against the table of keys, so that this page is what the program says.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

/// The groups of keys, by what their names begin with, in the order of the page. The rest comes first.
const GROUPS: &[(&str, &str)] = &[
    ("limits.", "Limits"),
    ("server.", "Durations"),
    ("auth.", "Tokens"),
    ("presence.", "Presence"),
    ("compression.", "Compression"),
    ("log.", "Log"),
    ("echo.", "Dialect `echo`"),
    ("rooms.", "Dialect `rooms`"),
    ("outbox.", "Dialect `outbox`"),
    ("feed.", "Dialect `feed`"),
    ("direct.", "Dialect `direct`"),
];

const HEAD: &str = "\
# Every key of `touchstone serve`

Made from `cli/schema/config.json` by `cargo xtask docs`. How they are used: [serving.md](serving.md).

A value comes from the command line (a flag, or `--set KEY=VALUE`), else from the environment, else from the file of `--config`, else it is the
default. The variable of a key is `TOUCHSTONE_` and its name in capitals, `_` for a dot: `feed.heartbeat.interval` is
`TOUCHSTONE_FEED_HEARTBEAT_INTERVAL`; a flag's name makes a variable, too. Times have a unit (`250ms`, `1.5s`, `2m`, `1h`), sizes may (`65536`, `64KiB`,
`1MiB`), rates are `50/s` or `50/s burst 100`, lists have commas between their items, `none` is no limit or nothing.

Secrets are no keys: see [serving.md](serving.md#secrets).
";

/// The page.
pub(crate) fn page() -> Result<String> {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../cli/schema/config.json"));
    let text = std::fs::read_to_string(path).with_context(|| format!("could not read {}", path.display()))?;
    let schema: Value = serde_json::from_str(&text).context("the schema of the configuration is JSON")?;
    let keys = schema["definitions"]
        .as_object()
        .context("the schema has `definitions`")?;
    let mut page = HEAD.to_owned();
    let group_of = |name: &str| GROUPS.iter().position(|(prefix, _)| name.starts_with(prefix));
    let titles = GROUPS.iter().map(|(_, title)| *title);
    for (group, title) in std::iter::once("Server").chain(titles).enumerate() {
        let mut rows = String::new();
        for (name, key) in keys {
            if group_of(name).map_or(0, |index| index + 1) == group {
                row(&mut rows, name, key);
            }
        }
        // Writing to a String cannot fail.
        let _ = write!(
            page,
            "\n## {title}\n\n| key | default | flag | what it is |\n|---|---|---|---|\n{rows}"
        );
    }
    Ok(page)
}

fn row(rows: &mut String, name: &str, key: &Value) {
    let default = match &key["default"] {
        Value::Null => "none".to_owned(),
        Value::Array(items) if items.is_empty() => "none".to_owned(),
        Value::Array(items) => items.iter().map(code).collect::<Vec<_>>().join(", "),
        value => code(value),
    };
    let flag = key["x-flag"]
        .as_str()
        .map(|flag| format!("`{flag}`"))
        .unwrap_or_default();
    let general = key["x-falls-back-to"]
        .as_str()
        .map(|general| format!(". If it is not set: `{general}`"))
        .unwrap_or_default();
    let doc = key["description"].as_str().unwrap_or_default();
    let _ = writeln!(rows, "| `{name}` | {default} | {flag} | {doc}{general} |");
}

fn code(value: &Value) -> String {
    match value {
        Value::String(text) => format!("`{text}`"),
        other => format!("`{other}`"),
    }
}
