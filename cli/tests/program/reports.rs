//! What a run leaves: exit code, stdout, files.

use std::process::Stdio;

use serde_json::Value;

use crate::support::{Ended, PROGRAM, QUIET_CASE, RIGHT, SKIPPED, WRONG, folder, run, touchstone};

fn run_in(files: &[(&str, &str)], args: &[&str]) -> Ended {
    run(touchstone(folder(files).path(), args))
}

const OWN: &[&str] = &["conform", "run", "--scenarios", "."];

#[track_caller]
fn check(what: &str, files: &[(&str, &str)], more: &[&str], code: i32, says: &[&str]) {
    let ended = run_in(files, &[OWN, more].concat());
    assert_eq!(ended.code, Some(code), "{what}: {ended:#?}");
    for part in says {
        assert!(ended.stdout.contains(part), "{what}: no `{part}` in {ended:#?}");
    }
}

#[test]
fn the_exit_code_is_the_verdict() {
    check("all passed", &[RIGHT], &[], 0, &["PASSED"]);
    check(
        "one failed",
        &[RIGHT, WRONG],
        &[],
        1,
        &["FAILED wrong", "wrong.yaml:7:", "expected", "rerun: "],
    );
    check("only the right one", &[RIGHT, WRONG], &["right"], 0, &["PASSED"]);
    check(
        "skipped",
        &[RIGHT, SKIPPED],
        &[],
        0,
        &["SKIPPED 1: the target has no `faults.network`", "PASSED"],
    );
    check(
        "skipped is too little",
        &[RIGHT, SKIPPED],
        &["--no-skips"],
        1,
        &["faults.network"],
    );
    let known = ("known", "wrong  # we know\n");
    let known_args = &["--known-failing", "known"];
    check(
        "known to fail",
        &[RIGHT, WRONG, known],
        known_args,
        0,
        &["PASSED"],
    );
    let fixed = ("known", "right\n");
    check(
        "fixed meanwhile",
        &[RIGHT, fixed],
        known_args,
        1,
        &["right", "take it off the list"],
    );
}

#[test]
fn a_difference_that_fails_nothing_is_shown_all_the_same() {
    let mine = "title: my own count\nrule: echo/2c\ndialect: echo\nactors: [ann]\nsteps:\n  - connect: ann\n  - ann.send: a\n  - ann.expect: {count: 7}\n";
    let spawn = format!("{PROGRAM} serve --dev --listen 127.0.0.1:${{port}}");
    let ended = run_in(&[("mine.yaml", mine)], &[OWN, &["--spawn", &spawn]].concat());
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    for part in [
        "NON-STRICT mine   echo/2c: expected 7 at /count, got 1",
        "--strict",
        "1 non-strict",
    ] {
        assert!(ended.stdout.contains(part), "no `{part}` in {ended:#?}");
    }
}

#[test]
fn a_case_of_the_suite_is_run_by_its_id() {
    let ended = run_in(&[], &["conform", "run", "echo/2a-verbatim"]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(ended.stdout.contains("PASSED"), "{ended:#?}");
}

#[cfg(unix)]
#[test]
fn the_command_that_a_failure_names_fails_in_the_same_way() {
    let folder = folder(&[
        ("it's mine/wrong.yaml", WRONG.1),
        ("it's mine/right.yaml", RIGHT.1),
    ]);
    let first = run(touchstone(
        folder.path(),
        &["conform", "run", "--scenarios", "it's mine"],
    ));
    let rerun = first
        .stdout
        .lines()
        .find_map(|line| line.trim().strip_prefix("rerun: "));
    let rerun = rerun.unwrap_or_else(|| panic!("{first:#?}"));
    let mut pasted = std::process::Command::new("/bin/sh");
    let programs = std::path::Path::new(PROGRAM).parent().unwrap();
    pasted
        .args(["-c", rerun])
        .current_dir(folder.path())
        .env("PATH", programs);
    let second = run(pasted);
    assert_eq!(second.code, Some(1), "{second:#?}");
    assert!(
        second.stdout.contains("FAILED wrong") && second.stdout.contains("of 1 cases"),
        "{second:#?}"
    );
}

#[test]
fn a_json_report_on_stdout_is_alone_there() {
    let ended = run_in(&[RIGHT, WRONG], &[OWN, &["--report", "json=-"]].concat());
    let report: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(report["schema"], "touchstone.conform/1");
    assert_eq!(
        (&report["summary"]["total"], &report["summary"]["failed"]),
        (&2.into(), &1.into())
    );
    assert_eq!(report["verdict"], "failed");
}

#[test]
fn a_reader_that_has_gone_is_no_mistake() {
    let folder = folder(&[]);
    for args in [
        &["conform", "list"][..],
        &["conform", "list", "--report", "json=-"],
        &["completions", "bash"],
        &["load", "list"],
        &["--help"],
    ] {
        // The reading end of this pipe is closed before the program has it.
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let child = touchstone(folder.path(), args)
            .stdout(Stdio::from(writer))
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&child.stderr), "", "{args:?}");
        assert_eq!(child.status.code(), Some(0), "{args:?}");
    }
}

#[test]
fn what_a_person_sets_for_a_server_of_theirs_does_not_reach_the_one_that_is_judged() {
    let folder = folder(&[]);
    let mut command = touchstone(folder.path(), &["conform", "run", "echo/12c*", "echo/2b*"]);
    command.envs([
        ("TOUCHSTONE_LOG", "off"),
        ("TOUCHSTONE_LISTEN", "nowhere"),
        ("TOUCHSTONE_RATE", "1"),
        ("REDIS_SESSION_TTL", "an hour"),
    ]);
    let ended = run(command);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
}

#[test]
fn help_fits_eighty_columns() {
    let folder = folder(&[]);
    for args in [
        &[][..],
        &["check"],
        &["serve"],
        &["conform", "run"],
        &["conform", "explain"],
        &["conform", "coverage"],
        &["conform", "report"],
        &["load", "run"],
        &["load", "merge"],
        &["completions"],
    ] {
        let mut command = touchstone(folder.path(), &[args, &["--help"]].concat());
        command.env("COLUMNS", "80");
        let ended = run(command);
        let examples = ended
            .stdout
            .split("Example")
            .nth(1)
            .unwrap_or_else(|| panic!("{args:?}"));
        for line in examples.lines() {
            assert!(line.chars().count() <= 80, "{args:?}: {line}");
        }
    }
}

#[test]
fn a_quick_check_passes_and_leaves_its_report() {
    let folder = folder(&[]);
    let ended = run(touchstone(
        folder.path(),
        &["check", QUIET_CASE, "--quick", "--out", "out", "--seed", "7"],
    ));
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let read = |name: &str| std::fs::read_to_string(folder.path().join("out").join(name)).unwrap();
    let (html, junit) = (read("index.html"), read("junit.xml"));
    assert!(html.starts_with("<!DOCTYPE html>") || html.starts_with("<!doctype html>"));
    assert!(junit.contains("<testsuites"));
    let report: Value = serde_json::from_str(&read("report.json")).unwrap();
    for (key, value) in [
        ("/schema", "touchstone.check/1".into()),
        ("/verdict", "passed".into()),
        ("/seed", 7.into()),
        ("/target", "built-in".into()),
        ("/tool/version", env!("CARGO_PKG_VERSION").into()),
        ("/conform/schema", "touchstone.conform/1".into()),
        ("/conform/summary/failed", 0.into()),
        ("/conform/summary/could_not_run", 0.into()),
        ("/load/schema", "touchstone.load/1".into()),
        ("/load/delivery/lost", 0.into()),
    ] {
        assert_eq!(report.pointer(key), Some(&value), "{key}");
    }
    for key in [
        "/started_at",
        "/duration_ms",
        "/conform/cases/0/checks/clean",
        "/conform/cases/0/rerun",
        "/conform/coverage/clauses/0/cases",
        "/load/summary/sessions/connected",
        "/load/latency/answer/p99_ms",
        "/load/latency/answer/histogram",
        "/load/generator/send_lag/p99_ms",
        "/load/generator/saturated",
        "/load/ledger",
        "/load/thresholds/0/expression",
    ] {
        assert!(report.pointer(key).is_some(), "no {key}");
    }
    for text in [&html, &junit, &read("report.json"), &ended.stdout, &ended.stderr] {
        assert!(!has_key(text), "a secret is shown");
    }
}

/// Whether there is a word that looks like a key made for a run: 256 bits in hex.
pub(crate) fn has_key(text: &str) -> bool {
    text.split(|c: char| !c.is_ascii_alphanumeric())
        .any(|word| word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[test]
fn a_key_is_known_when_it_is_seen() {
    assert!(has_key(&format!("\"key\":\"{}\"", "0a".repeat(32))));
    assert!(!has_key("deadbeef"));
}
