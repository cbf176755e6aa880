//! The kill matrix from outside: what it says of mutants that are noticed, and of those that are not.

use std::path::Path;

use serde_json::Value;

use crate::support::{Ended, RIGHT, WRONG, folder, run, touchstone};

/// Noticed by [`RIGHT`], which looks at the count of the first answer.
const COUNTS_FROM_ZERO: &str = "  - id: counts-from-zero
    breaks: the first message is number 0
    clauses: [echo/2c]
    killed_by: [right]
    on: {down: {count: {$type: integer}}}
    do: {edit: {add: {/count: -1}}}
";

/// Nobody notices: the case looks at the first answer only.
const SECOND_IS_LOST: &str = "  - id: second-is-lost
    breaks: the second answer is lost
    clauses: [echo/2a]
    killed_by: [right]
    on: {down: {count: {$type: integer}}}
    nth: 2
    do: drop
";

/// Met, and of no consequence.
const HEADER_MORE: &str = "  - id: header-more
    breaks: nothing that anybody looks at
    clauses: [echo/2c]
    killed_by: [right]
    on: {answer: {handshake: true}}
    do: {header: {x-more: '1'}}
";

/// A case that looks at nothing which any of these breaks.
const CONNECTS: (&str, &str) = (
    "connects.yaml",
    "title: who connects is not told so\ndialect: echo\nrule: echo/1a\nsteps:\n  - connect: {as: c}\n  \
     - nothing: {on: [c], for: 50ms}\n",
);

fn file(mutants: &[&str]) -> String {
    format!("dialects: [echo]\nmutants:\n{}", mutants.concat())
}

fn tried(scenarios: &[(&str, &str)], mutants: &[&str], more: &[&str]) -> (Ended, Value) {
    let text = file(mutants);
    let mut files = vec![("broken/own.yaml", text.as_str())];
    let named: Vec<_> = scenarios
        .iter()
        .map(|(name, text)| (format!("mine/{name}"), *text))
        .collect();
    files.extend(named.iter().map(|(name, text)| (name.as_str(), *text)));
    let folder = folder(&files);
    let args = [
        "conform",
        "mutants",
        "--scenarios",
        "mine",
        "--mutants",
        "broken",
        "--report",
        "json=matrix.json",
    ];
    let ended = run(touchstone(folder.path(), &[&args, more].concat()));
    let report = json(folder.path(), &ended);
    (ended, report)
}

fn json(folder: &Path, ended: &Ended) -> Value {
    let text = std::fs::read_to_string(folder.join("matrix.json"));
    let text = text.unwrap_or_else(|error| panic!("no report: {error}, {ended:#?}"));
    serde_json::from_str(&text).unwrap()
}

#[track_caller]
fn check(what: &str, (ended, report): &(Ended, Value), code: i32, expected: &[(&str, Value)]) {
    assert_eq!(ended.code, Some(code), "{what}: {ended:#?}");
    for (pointer, value) in expected {
        assert_eq!(
            report.pointer(pointer),
            Some(value),
            "{what}: {pointer} in {report:#}"
        );
    }
}

#[test]
fn a_mutant_is_killed_by_who_notices_it() {
    let matrix = tried(&[RIGHT], &[COUNTS_FROM_ZERO], &[]);
    check(
        "killed",
        &matrix,
        0,
        &[
            ("/schema", "touchstone.mutants/1".into()),
            ("/verdict", "passed".into()),
            ("/control/runs", 1.into()),
            ("/control/green", 1.into()),
            ("/mutants/0/id", "own/counts-from-zero".into()),
            ("/mutants/0/dialect", "echo".into()),
            ("/mutants/0/survived", false.into()),
            ("/mutants/0/killed_by", serde_json::json!(["right"])),
            ("/scenarios_without_kill", serde_json::json!([])),
        ],
    );
}

#[test]
fn a_mutant_that_nobody_notices_survives() {
    let matrix = tried(&[RIGHT], &[COUNTS_FROM_ZERO, HEADER_MORE], &[]);
    check(
        "met, and survived",
        &matrix,
        1,
        &[
            ("/verdict", "failed".into()),
            ("/mutants/0/survived", false.into()),
            ("/mutants/1/survived", true.into()),
            ("/mutants/1/fate", "survived".into()),
            ("/mutants/1/touched", 1.into()),
        ],
    );
    assert!(matrix.0.stdout.contains("own/header-more"), "{}", matrix.0.stdout);
}

#[test]
fn a_mutant_that_was_never_met_is_told_apart() {
    let matrix = tried(&[RIGHT], &[SECOND_IS_LOST], &["--named"]);
    check(
        "untouched",
        &matrix,
        1,
        &[
            ("/mutants/0/survived", true.into()),
            ("/mutants/0/fate", "untouched".into()),
        ],
    );
    assert!(matrix.0.stdout.contains("never came by"), "{}", matrix.0.stdout);
}

#[test]
fn a_name_that_does_not_notice_is_wrong() {
    let both = COUNTS_FROM_ZERO.replace("[right]", "[right, connects]");
    let matrix = tried(&[RIGHT, CONNECTS], &[&both], &["--named"]);
    check(
        "a wrong name",
        &matrix,
        1,
        &[
            ("/mutants/0/survived", false.into()),
            ("/mutants/0/wrong_names", serde_json::json!(["connects"])),
        ],
    );
}

#[test]
fn a_failure_under_another_clause_is_by_catch() {
    let elsewhere = COUNTS_FROM_ZERO.replace("[echo/2c]", "[echo/4a]");
    let matrix = tried(&[RIGHT], &[&elsewhere], &[]);
    check(
        "by-catch",
        &matrix,
        1,
        &[
            ("/mutants/0/fate", "survived".into()),
            ("/mutants/0/by_catch/0/id", "right".into()),
            ("/mutants/0/by_catch/0/clauses", serde_json::json!(["echo/2c"])),
        ],
    );
}

#[test]
fn what_fails_with_nothing_broken_proves_nothing() {
    let by_wrong = COUNTS_FROM_ZERO.replace("[right]", "[wrong]");
    let matrix = tried(&[WRONG], &[&by_wrong], &["--control", "2"]);
    check(
        "a red control",
        &matrix,
        1,
        &[
            ("/control/runs", 2.into()),
            ("/control/green", 0.into()),
            ("/control/not_green/0/id", "wrong".into()),
            ("/mutants/0/fate", "not_tried".into()),
            ("/mutants/0/survived", false.into()),
        ],
    );
}

#[test]
fn what_a_launcher_breaks_needs_a_server_that_can_be_started() {
    let launcher = "  - id: deaf
    breaks: it does not stop
    clauses: [echo/10a]
    killed_by: [stops]
    launcher: {signals: ignored}
";
    let stops = (
        "stops.yaml",
        "title: told to stop it ends\ndialect: echo\nrule: echo/10a\nrequires: [spawn]\nalone: true\nsteps:\n  \
         - stop: TERM\n  - stopped: 0\n    within: 5s\n",
    );
    let matrix = tried(&[stops], &[launcher], &[]);
    check(
        "of a server that was started",
        &matrix,
        0,
        &[("/mutants/0/killed_by", serde_json::json!(["stops"]))],
    );
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}", silent.local_addr().unwrap());
    let matrix = tried(&[stops], &[launcher], &["--url", &url, "--dialects", "echo"]);
    check(
        "of one that runs",
        &matrix,
        1,
        &[("/mutants/0/fate", "not_tried".into())],
    );
    let why = matrix.1["mutants"][0]["reason"].as_str().unwrap();
    assert!(why.contains("`spawn`"), "{why}");
}

#[test]
fn a_quick_matrix_asks_both_questions() {
    let matrix = tried(&[RIGHT, CONNECTS], &[COUNTS_FROM_ZERO], &["--quick"]);
    check(
        "one scenario notices nothing",
        &matrix,
        1,
        &[
            ("/mutants/0/killed_by", serde_json::json!(["right"])),
            ("/scenarios_without_kill", serde_json::json!(["connects"])),
        ],
    );
}

#[test]
fn mutants_are_listed_and_explained() {
    let nowhere = folder(&[]);
    let listed = run(touchstone(
        nowhere.path(),
        &["conform", "mutants", "--list", "echo/answer-lost"],
    ));
    assert_eq!(listed.code, Some(0), "{listed:#?}");
    assert!(
        listed.stdout.starts_with("echo/answer-lost  "),
        "{}",
        listed.stdout
    );
    let explained = run(touchstone(
        nowhere.path(),
        &["conform", "explain", "echo/answer-lost"],
    ));
    assert!(
        explained.stdout.contains("noticed by:\n    echo/2b-grows-by-one"),
        "{}",
        explained.stdout
    );
    let case = run(touchstone(
        nowhere.path(),
        &["conform", "explain", "echo/2b-grows-by-one"],
    ));
    assert!(
        case.stdout
            .contains("proven able to fail by:\n    echo/answer-lost"),
        "{}",
        case.stdout
    );
    let unknown = run(touchstone(
        nowhere.path(),
        &["conform", "mutants", "--list", "echo/nonesuch"],
    ));
    assert_eq!(unknown.code, Some(2), "{unknown:#?}");
}
