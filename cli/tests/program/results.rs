//! `conform coverage` and `conform report`: what becomes of a result after its run.

use serde_json::Value;

use crate::support::{Ended, RIGHT, SKIPPED, WRONG, folder, run, touchstone};

/// A folder with the results of a run that failed and of one that passed.
fn results() -> tempfile::TempDir {
    let folder = folder(&[
        (&format!("all/{}", RIGHT.0), RIGHT.1),
        (&format!("all/{}", WRONG.0), WRONG.1),
        (&format!("all/{}", SKIPPED.0), SKIPPED.1),
        (&format!("good/{}", RIGHT.0), RIGHT.1),
    ]);
    for (scenarios, result, code) in [("all", "json=bad.json", 1), ("good", "json=good.json", 0)] {
        let args = ["conform", "run", "--scenarios", scenarios, "--report", result];
        let ended = run(touchstone(folder.path(), &args));
        assert_eq!(ended.code, Some(code), "{ended:#?}");
    }
    folder
}

fn shown(folder: &tempfile::TempDir, args: &[&str]) -> Ended {
    let mut command = touchstone(folder.path(), &[&["conform"], args].concat());
    command.env("COLUMNS", "80");
    run(command)
}

#[test]
fn a_result_becomes_every_report_again() {
    let folder = results();
    let args = ["report", "bad.json"];
    let formats = [
        "json=again.json",
        "junit=j.xml",
        "tap=t.tap",
        "markdown=m.md",
        "html=h.html",
    ];
    let reports = formats.iter().flat_map(|format| ["--report", format]);
    let ended = shown(&folder, &args.into_iter().chain(reports).collect::<Vec<_>>());
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    for part in [
        "FAILED wrong",
        "expected",
        "rerun: ",
        "SKIPPED 1: ",
        "1 of 3 cases passed",
    ] {
        assert!(ended.stdout.contains(part), "no `{part}` in {ended:#?}");
    }
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    assert_eq!(read("again.json"), read("bad.json"));
    for (file, part) in [
        ("j.xml", "<failure"),
        ("t.tap", "not ok"),
        ("m.md", "wrong"),
        ("h.html", "<!doctype html>"),
    ] {
        assert!(read(file).contains(part), "{file}");
    }
}

#[test]
fn results_stand_side_by_side() {
    let folder = results();
    let ended = shown(
        &folder,
        &["report", "good.json", "bad.json", "--report", "html=side.html"],
    );
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    for part in [
        "Where they differ",
        "echo/2c",
        "✔ holds",
        "✘ failed: wrong",
        "good",
        "bad",
    ] {
        assert!(ended.stdout.contains(part), "no `{part}` in {ended:#?}");
    }
    assert!(
        ended.stdout.lines().all(|line| line.chars().count() <= 80),
        "{ended:#?}"
    );
    let ended = shown(
        &folder,
        &["report", "good.json", "bad.json", "--report", "json=-"],
    );
    let json: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(json["schema"], "touchstone.side-by-side/1");
    let same = shown(&folder, &["report", "good.json", "good.json"]);
    assert!(same.stdout.contains("no difference in"), "{same:#?}");
}

#[test]
fn a_hole_in_a_result_is_named_and_makes_the_exit_code_1() {
    let folder = results();
    let ended = shown(&folder, &["coverage", "--from", "good.json"]);
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    for part in [
        "Matrix",
        "✘ clause echo/2a",
        "fill it: ",
        "echo/6g",
        "redis",
        "holes",
    ] {
        assert!(ended.stdout.contains(part), "no `{part}` in {ended:#?}");
    }
    let ended = shown(
        &folder,
        &["coverage", "--from", "good.json", "--report", "json=-"],
    );
    let mut json: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(json["schema"], "touchstone.coverage/1");
    assert!(!json["holes"].as_array().unwrap().is_empty());

    // The same result, had it seen everything.
    json = serde_json::from_str(&std::fs::read_to_string(folder.path().join("good.json")).unwrap()).unwrap();
    for clause in json["coverage"]["clauses"].as_array_mut().unwrap() {
        clause["cases"] = serde_json::json!(["right"]);
    }
    for list in ["messages", "close_codes"] {
        for seen in json["coverage"][list].as_array_mut().unwrap() {
            for key in ["seen", "up", "down"] {
                if seen[key].is_u64() {
                    seen[key] = 1.into();
                }
            }
        }
    }
    std::fs::write(folder.path().join("full.json"), json.to_string()).unwrap();
    let ended = shown(&folder, &["coverage", "--from", "full.json"]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(ended.stdout.contains("no hole"), "{ended:#?}");
}

#[test]
fn what_is_no_result_is_refused_with_what_would_be_one() {
    let folder = folder(&[
        ("x.json", r#"{"schema": "touchstone.load/1"}"#),
        ("y.json", "hello"),
    ]);
    for (args, says) in [
        (&["report", "x.json"][..], "touchstone.conform/1"),
        (&["report", "y.json"], "not JSON"),
        (&["report", "none.json"], "could not read"),
        (&["coverage", "--from", "x.json"], "touchstone.conform/1"),
        (
            &["coverage", "--from", "x.json", "--url", "ws://127.0.0.1:1"],
            "cannot be used with",
        ),
        (&["coverage", "--report", "junit=x"], "json, markdown, html"),
        (&["report"], "FILE"),
    ] {
        let ended = shown(&folder, args);
        assert_eq!(ended.code, Some(2), "{args:?}: {ended:#?}");
        assert!(ended.stderr.contains(says), "{args:?}: {ended:#?}");
    }
    let folder = results();
    let ended = shown(&folder, &["report", "good.json", "bad.json", "--report", "tap=x"]);
    assert!(
        ended.code == Some(2) && ended.stderr.contains("of several"),
        "{ended:#?}"
    );
}
