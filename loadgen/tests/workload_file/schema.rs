//! The JSON Schema of workload files against the files that people are shown, and the committed one against the code.
//!
//! After a change of the workload file, run with `TOUCHSTONE_WRITE_SCHEMA=1` and commit `schema/workload.json`.

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::{env, fs};

use serde_json::Value;
use touchstone_loadgen::Workload;
use touchstone_loadgen::workload::schema;
use touchstone_scenarios::diag::Paint;
use touchstone_scenarios::source::Source;
use touchstone_scenarios::{builtin_workloads, yaml};

use crate::validator::violation;

/// Why a file does not satisfy the schema.
pub(crate) fn check(source: &Arc<Source>) -> Option<String> {
    static SCHEMA: LazyLock<Value> = LazyLock::new(schema::workload);
    let value = yaml::parse(source).unwrap().to_json();
    violation(&SCHEMA, &SCHEMA, &value, &source.path)
}

fn house() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

#[test]
fn the_committed_schema_is_the_one_that_the_types_make() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema/workload.json");
    let made = format!("{:#}\n", schema::workload());
    if env::var_os("TOUCHSTONE_WRITE_SCHEMA").is_some() {
        fs::write(&path, &made).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == made,
        "schema/workload.json is stale: run with TOUCHSTONE_WRITE_SCHEMA=1"
    );
}

/// Both the schema and the reader take it.
fn assert_is_workload(source: &Arc<Source>) {
    assert_eq!(check(source), None);
    if let Err(diag) = Workload::read(source) {
        panic!("{}", diag.render(Paint::Plain));
    }
}

#[test]
fn every_ready_made_workload_satisfies_the_schema() {
    let all = builtin_workloads();
    assert!(all.len() >= 14, "only {}", all.len());
    for (_, source) in all {
        assert_is_workload(&source);
    }
}

/// The blocks of YAML in a document that are workloads, or the part of one that describes a protocol.
fn shown_in(document: &Path) -> Vec<String> {
    let text = fs::read_to_string(document).unwrap();
    let blocks = text.split("```yaml\n").skip(1);
    let blocks = blocks.filter_map(|rest| rest.split("```").next());
    blocks
        .filter_map(|block| match block.split(':').next() {
            Some("title") => Some(block.to_owned()),
            Some("custom") => Some(format!(
                "title: t\nsessions: 2\nphases: [{{steady: {{for: 1s}}}}]\n{block}"
            )),
            Some(_) | None => None,
        })
        .collect()
}

#[test]
fn every_workload_that_people_are_shown_is_one() {
    let document = house().join("docs/workloads.md");
    let mut shown: Vec<(PathBuf, String)> = shown_in(&document)
        .into_iter()
        .map(|text| (document.clone(), text))
        .collect();
    assert!(shown.len() >= 2, "only {} blocks", shown.len());
    let ticker = house().join("examples/ticker/load.yaml");
    shown.push((ticker.clone(), fs::read_to_string(ticker).unwrap()));
    for (path, text) in shown {
        let path = path.display().to_string();
        assert_is_workload(&Arc::new(Source { path, text }));
    }
}

/// An editor takes the schema by the first line of a file, from where that is.
#[test]
fn workloads_name_their_schema_where_it_is() {
    let mut files: Vec<_> = fs::read_dir(house().join("scenarios/load"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.push(house().join("examples/ticker/load.yaml"));
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let named = text.lines().next().unwrap().split_once("$schema=");
        let (_, named) = named.unwrap_or_else(|| panic!("{} names no schema", file.display()));
        let schema = file.parent().unwrap().join(named);
        assert!(schema.is_file(), "{}", schema.display());
    }
}
