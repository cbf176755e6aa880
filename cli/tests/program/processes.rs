//! `load run --processes`: a run divided over processes, put together, stopped, and short of one of them.

use serde_json::Value;

use crate::support::{Ended, Running, folder, listening, run, touchstone};

const SECRET: (&str, &str) = ("secret", "a secret of some length, enough of it");

/// Who serves, and where.
fn server(folder: &tempfile::TempDir) -> (Running, String) {
    let args = [
        "serve",
        "--secret-file",
        "secret",
        "--listen",
        "127.0.0.1:0",
        "--dialects",
        "echo",
    ];
    let server = Running::start(touchstone(folder.path(), &args));
    let url = format!("ws://{}", listening(&server));
    (server, url)
}

fn report(folder: &tempfile::TempDir) -> Value {
    let text = std::fs::read_to_string(folder.path().join("report.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn load(folder: &tempfile::TempDir, more: &[&str]) -> Ended {
    let args = [
        "load",
        "run",
        "smoke",
        "--dialects",
        "echo",
        "--report",
        "json=report.json",
    ];
    run(touchstone(folder.path(), &[&args[..], more].concat()))
}

#[test]
fn the_parts_of_a_run_are_put_together_exactly() {
    let folder = folder(&[SECRET]);
    let (_server, url) = server(&folder);
    let ended = load(
        &folder,
        &[
            "--url",
            &url,
            "--processes",
            "3",
            "--allow-saturated",
            "--set",
            "sessions=20",
        ],
    );
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let report = report(&folder);
    let sessions = &report["summary"]["sessions"];
    assert_eq!(
        (&sessions["attempted"], &sessions["connected"]),
        (&20.into(), &20.into())
    );
    assert_eq!(report["runs"].as_array().map(Vec::len), Some(3));
    let pages = report["ledger"].as_array().unwrap();
    let sent: u64 = pages.iter().map(|page| page["sent"].as_u64().unwrap()).sum();
    assert_eq!(
        report["delivery"]["received"].as_u64(),
        Some(sent),
        "each page is in the sum"
    );
    assert_eq!(pages.len(), 20);
}

#[test]
fn what_cannot_be_divided_is_said_before_it_begins() {
    let folder = folder(&[SECRET]);
    let rows: &[(&[&str], i32, &str)] = &[
        (&["--processes", "2"], 2, "give its --url"),
        (
            &["--url", "ws://127.0.0.1:1", "--processes", "21"],
            2,
            "this workload has 20 of them",
        ),
        (
            &["--url", "ws://127.0.0.1:1", "--processes", "2"],
            3,
            "process 1 ended with 3",
        ),
        (&["--start-at", "2020-01-01T00:00:00Z"], 2, "--start-at is "),
        (&["--start-at", "soon"], 2, "like +10s"),
    ];
    for (more, code, words) in rows {
        let ended = load(&folder, more);
        assert_eq!(ended.code, Some(*code), "{ended:#?}");
        assert!(ended.stderr.contains(words), "{ended:#?}");
    }
}

#[test]
fn a_run_begins_when_it_was_told_to() {
    let folder = folder(&[SECRET]);
    let (_server, url) = server(&folder);
    let before = std::time::SystemTime::now();
    let ended = load(
        &folder,
        &["--url", &url, "--allow-saturated", "--start-at", "+2s"],
    );
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let report = report(&folder);
    let started = touchstone_report::timestamp::moment(report["started_at"].as_str().unwrap()).unwrap();
    let waited = started.duration_since(before).unwrap();
    assert!(waited.as_millis() >= 1_999, "{waited:?}");
}
