//! The JSON Schema of target files against the files that people are shown, and the committed one against the code.
//!
//! After a change of the target file, run with `TOUCHSTONE_WRITE_SCHEMA=1` and commit `schema/target.json`.

use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::{env, fs};

use serde_json::Value;
use touchstone_scenarios::source::Source;
use touchstone_scenarios::yaml;
use touchstone_sut::file::TargetFile;
use touchstone_sut::schema;

use crate::validator::violation;

/// Why a file does not satisfy the schema.
pub(crate) fn check(source: &Arc<Source>) -> Option<String> {
    static SCHEMA: LazyLock<Value> = LazyLock::new(schema::target);
    let value = yaml::parse(source).unwrap().to_json();
    violation(&SCHEMA, &SCHEMA, &value, &source.path)
}

#[test]
fn the_committed_schema_is_the_one_that_the_types_make() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema/target.json");
    let made = format!("{:#}\n", schema::target());
    if env::var_os("TOUCHSTONE_WRITE_SCHEMA").is_some() {
        fs::write(&path, &made).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == made,
        "schema/target.json is stale: run with TOUCHSTONE_WRITE_SCHEMA=1"
    );
}

/// What describes a target has `urls`.
fn is_target(text: &str) -> bool {
    text.lines().any(|line| line.starts_with("urls:"))
}

fn found_in(path: &Path, found: &mut Vec<(String, String)>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            found_in(&entry.unwrap().path(), found);
        }
        return;
    }
    let name = path.display().to_string();
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("md") => {
            let text = fs::read_to_string(path).unwrap();
            let blocks = text.split("```yaml\n").skip(1);
            let blocks = blocks.filter_map(|rest| rest.split("```").next());
            found.extend(
                blocks
                    .filter(|block| is_target(block))
                    .map(|block| (name.clone(), block.to_owned())),
            );
        }
        Some("yaml") => {
            let text = fs::read_to_string(path).unwrap();
            if is_target(&text) {
                found.push((name, text));
            }
        }
        _ => {}
    }
}

#[test]
fn every_target_file_that_people_are_shown_is_one() {
    let house = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut shown = Vec::new();
    for place in ["README.md", "docs", "examples", "deploy"] {
        let path = house.join(place);
        if path.exists() {
            found_in(&path, &mut shown);
        }
    }
    assert!(shown.len() >= 2, "only {} were found", shown.len());
    for (path, text) in shown {
        let source = Arc::new(Source { path, text });
        assert_eq!(check(&source), None);
        if let Err(diag) = yaml::from_str::<TargetFile>(&source) {
            panic!("{diag}");
        }
    }
}
