//! `load run --compression`: offered, agreed on or not, and told in bytes.

use serde_json::Value;

use crate::support::{PROGRAM, folder, run, touchstone};

/// Long messages, of which two are hardly different.
const WORKLOAD: &str = "title: long messages\nsessions: 8\nmessages: {rate: 5, bytes: 2000}\n\
                        phases: [{steady: {for: 2s}}]\nthresholds: [delivery.lost == 0, errors.total == 0]\n";

fn report(more: &[&str]) -> Value {
    let folder = folder(&[("long.yaml", WORKLOAD)]);
    let args = [
        "load",
        "run",
        "long.yaml",
        "--allow-saturated",
        "--report",
        "json=report.json",
        "--report",
        "markdown=report.md",
    ];
    let ended = run(touchstone(folder.path(), &[&args[..], more].concat()));
    assert_eq!(ended.code, Some(0), "{more:?}: {ended:#?}");
    let text = std::fs::read_to_string(folder.path().join("report.json")).unwrap();
    let mut report: Value = serde_json::from_str(&text).unwrap();
    report["markdown"] = std::fs::read_to_string(folder.path().join("report.md"))
        .unwrap()
        .into();
    report
}

/// Wire for payload, sent and received.
fn ratios(report: &Value) -> [f64; 2] {
    ["sent", "received"].map(|direction| {
        let bytes = &report["summary"]["bytes"][direction];
        bytes["wire"].as_f64().unwrap() / bytes["payload"].as_f64().unwrap()
    })
}

#[test]
fn a_server_that_agrees_is_sent_less_and_sends_less() {
    for (how, words) in [
        ("--compression", "each message by itself"),
        ("--compression=context_takeover", "with context takeover"),
    ] {
        for more in [&[how][..], &[how, "--tls", "--processes", "2"]] {
            let report = report(more);
            assert_eq!(report["summary"]["bytes"]["compressed_sessions"], 8, "{more:?}");
            let found = ratios(&report);
            assert!(found.iter().all(|ratio| *ratio < 0.5), "{more:?}: {found:?}");
            let shown = report["markdown"].as_str().unwrap();
            assert!(shown.contains(words), "{shown}");
            assert!(shown.contains("agreed with 8 of 8 sessions"), "{shown}");
        }
    }
}

#[test]
fn what_is_not_offered_or_not_agreed_on_is_not_compressed() {
    let command = format!("{PROGRAM} serve --dev --dialects echo --listen 127.0.0.1:${{port}}");
    let foreign = ["--spawn", &command, "--dialects", "echo", "--compression"];
    for (more, words) in [
        (&[][..], "No compression was offered"),
        (
            &["--set", "connect.compression=per_message", "--compression=none"],
            "No compression was offered",
        ),
        (&foreign, "agreed with 0 of 8 sessions"),
    ] {
        let report = report(more);
        assert_eq!(report["summary"]["bytes"]["compressed_sessions"], 0, "{more:?}");
        let found = ratios(&report);
        assert!(found.iter().all(|ratio| *ratio > 1.0), "{more:?}: {found:?}");
        let shown = report["markdown"].as_str().unwrap();
        assert!(shown.contains(words), "{shown}");
    }
}
