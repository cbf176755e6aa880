//! A summary, its JSON, its document and its cases, from runs on virtual time.

use std::collections::BTreeSet;
use std::time::UNIX_EPOCH;

use serde_json::Value;
use touchstone_report::Tone;
use touchstone_report::cases::Outcome;

use super::*;
use crate::engine::scripted::{Received, Script, Verdict as Does};
use crate::engine::tests::{run, workload};
use crate::ledger::Timing;
use crate::ledger::reckon::CatchUp;
use crate::record::Sample;

fn plan(thresholds: &[&str]) -> Plan {
    workload(serde_json::json!({
        "title": "a storm over steady talk", "sessions": 20, "thresholds": thresholds,
        "phases": [{"ramp": {"for": "1s"}}, {"steady": {"for": "3s"}}, {"storm": {"for": "2s", "drop": "25%"}}],
    }))
}

fn summary(plan: &Plan, script: impl Script + 'static, generator: Generator) -> Summary {
    let ran = run(plan.clone(), script);
    let occasion = Occasion {
        target: "scripted".to_owned(),
        started_at: UNIX_EPOCH,
        duration: Duration::from_secs(7),
    };
    let observed = Observed {
        cpu_percent: Some(12.5),
        rss_bytes: Some(1 << 20),
        connections: Some(20),
    };
    let series = vec![Figures {
        target: Some(observed),
        ..Figures::from(&second())
    }];
    let terms = Terms {
        deadline: plan.deadline,
        catch_up: CatchUp::Impossible,
    };
    Summary::new(
        plan,
        occasion,
        Gathered::of(7, terms, vec![ran.report]),
        generator,
        series,
    )
}

/// A run whose series is one second of the ramp, in which one answer took 25 ms.
pub(crate) fn summary_with_a_second() -> Summary {
    summary(&plan(&[]), answer, Generator::default())
}

/// The first, in which one answer took 25 ms.
fn second() -> Second {
    let mut recorder = Recorder::default();
    let sample = Sample {
        timing: Timing { intended: 0, sent: 0 },
        answered: 25_000_000,
    };
    recorder.sample(Latency::Answer, sample);
    recorder.next_second(20)
}

fn answer(_: &Received) -> Does {
    Does::AnswerAfter(Duration::from_millis(40))
}

fn swallow(received: &Received) -> Does {
    if received.sequence == 2 {
        Does::Swallow
    } else {
        Does::Answer
    }
}

fn saturated() -> Generator {
    Generator {
        saturated: true,
        reasons: vec!["sends left 40 ms late".to_owned()],
        ..Generator::default()
    }
}

fn verdicts(summary: &Summary) -> Vec<Verdict> {
    summary.thresholds.iter().map(|judged| judged.verdict).collect()
}

#[test]
fn thresholds_are_judged_by_what_was_measured() {
    use Verdict::{Failed, Passed, Undecided};
    let thresholds = [
        "answer.p50 < 50ms",
        "answer.p50 < 30ms",
        "delivery.lost == 0",
        "heartbeat.p99 < 1s",
        "resume.count == 5",
    ];
    let healthy = summary(&plan(&thresholds), answer, Generator::default());
    assert_eq!(verdicts(&healthy), [Passed, Failed, Passed, Undecided, Passed]);
    assert_eq!(healthy.verdict, Failed);
    assert_eq!(healthy.thresholds[3].actual, None, "nothing beat");
    let starved = summary(&plan(&thresholds), answer, saturated());
    assert_eq!(
        verdicts(&starved),
        [Undecided, Undecided, Passed, Undecided, Passed],
        "counts are judged as ever"
    );
    assert_eq!(starved.verdict, Undecided);
    assert_eq!(
        summary(&plan(&[]), answer, saturated()).verdict,
        Passed,
        "who asks for nothing gets it"
    );
}

#[test]
fn saturation_excuses_what_it_made_undecided_and_nothing_else() {
    for (thresholds, generator, expected) in [
        (&["answer.p99 < 1s", "delivery.lost == 0"][..], saturated(), true),
        (&["answer.p99 < 1s", "delivery.lost == 1"], saturated(), false),
        (&["answer.p99 < 1s", "heartbeat.p99 < 1s"], saturated(), false),
        (&["heartbeat.p99 < 1s"], Generator::default(), false),
    ] {
        let summary = summary(&plan(thresholds), answer, generator);
        assert_eq!(summary.passes_but_for_saturation(), expected, "{thresholds:?}");
    }
}

#[test]
fn an_interrupted_run_says_so_whatever_its_thresholds_say() {
    assert_eq!(verdict(true, &[]), Verdict::Interrupted);
}

#[test]
fn the_keys_of_the_json_report_are_these() {
    let thresholds = ["delivery.lost == 0"];
    let mut keys = BTreeSet::new();
    collect(
        "",
        &summary(&plan(&thresholds), swallow, saturated()).to_json(),
        &mut keys,
    );
    let found: Vec<_> = keys.iter().map(String::as_str).collect();
    let expected: Vec<_> = include_str!("../json/keys.txt").lines().collect();
    assert_eq!(found, expected, "{}", found.join("\n"));
}

/// Every leaf as `path: type`; the elements of a list share one path.
fn collect(path: &str, value: &Value, keys: &mut BTreeSet<String>) {
    let leaf = match value {
        Value::Object(map) => {
            return map
                .iter()
                .for_each(|(key, inner)| collect(&format!("{path}/{key}"), inner, keys));
        }
        Value::Array(items) => {
            return items
                .iter()
                .for_each(|inner| collect(&format!("{path}[]"), inner, keys));
        }
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
    };
    keys.insert(format!("{path}: {leaf}"));
}

#[test]
fn the_json_report_says_what_the_summary_says() {
    let summary = summary(&plan(&["delivery.lost == 0"]), swallow, Generator::default());
    let json = summary.to_json();
    let at = |pointer: &str| {
        json.pointer(pointer)
            .cloned()
            .unwrap_or_else(|| panic!("{pointer} is missing"))
    };
    assert_eq!(at("/schema"), "touchstone.load/1");
    assert_eq!(at("/verdict"), "failed");
    assert_eq!(at("/started_at"), "1970-01-01T00:00:00.000Z");
    assert_eq!(at("/duration_ms"), 7_000.0);
    assert_eq!(at("/delivery/lost"), 20, "one of each session");
    assert_eq!(at("/summary/sessions/reconnects"), 5);
    assert_eq!(at("/summary/storm/back"), 5);
    assert_eq!(
        at("/summary/errors/unanswered"),
        15,
        "of those whose connection stayed up"
    );
    assert_eq!(at("/latency/answer/count"), summary.delivery.received);
    let threshold =
        serde_json::json!({"expression": "delivery.lost == 0", "actual": 20.0, "verdict": "failed"});
    assert_eq!(at("/thresholds/0"), threshold);
    let page = &json["ledger"][0];
    assert_eq!(page["sender"], 0);
    assert_eq!(
        (&page["confirmed"][0], &page["confirmed"][1][0]),
        (&serde_json::json!([1, 1]), &3.into())
    );
}

#[test]
fn the_document_tells_at_a_glance_what_was_lost() {
    let document = summary(&plan(&["delivery.lost == 0"]), swallow, Generator::default()).document();
    assert_eq!(document.verdict, Verdict::Failed);
    let headline = &document.headline;
    let start = "The threshold does not hold: delivery.lost == 0 (it is 20). 20 sessions: 20 of 1";
    assert!(headline.starts_with(start), "{headline}");
    let end = " answers lost. Errors: 15 unanswered.";
    assert!(headline.ends_with(end), "{headline}");
    let tiles: Vec<_> = document
        .tiles
        .iter()
        .map(|tile| (tile.label.as_str(), tile.tone))
        .collect();
    assert_eq!(
        tiles,
        [
            ("sessions", Tone::Good),
            ("answers per second", Tone::Neutral),
            ("answer, slowest", Tone::Neutral),
            ("lost", Tone::Bad),
        ]
    );
    assert_eq!(document.tiles[0].note, "none failed, 5 of 5 back after the storm");
    assert_eq!(document.tiles[3].value, "20");
    let sections: Vec<_> = document
        .sections
        .iter()
        .map(|section| section.id.as_str())
        .collect();
    assert_eq!(
        sections,
        [
            "thresholds",
            "what-limits-it",
            "latency",
            "delivery",
            "throughput-and-sessions",
            "bytes",
            "server-resources",
            "generator"
        ]
    );
    touchstone_report::html::render(&document).expect("it can be drawn");
}

#[test]
fn a_tile_shows_what_fails_a_run_though_nobody_was_lost() {
    let hang = |received: &Received| match received.sequence {
        2 => Does::Hang,
        _ => Does::Twice,
    };
    let document = summary(&plan(&[]), hang, Generator::default()).document();
    let [sessions, _, _, lost] = &document.tiles[..] else {
        panic!("{:?}", document.tiles)
    };
    assert_eq!((sessions.tone, lost.tone), (Tone::Warn, Tone::Warn));
    assert!(
        sessions.note.starts_with("none failed, 20 closed unexpectedly, "),
        "{}",
        sessions.note
    );
    assert!(lost.note.ends_with(" came twice"), "{}", lost.note);
}

#[test]
fn a_run_that_is_not_decided_names_what() {
    let thresholds = ["heartbeat.p99 < 1s", "answer.p99 < 1s"];
    let summary = summary(&plan(&thresholds), answer, saturated());
    let headline = summary.document().headline;
    assert!(
        headline.starts_with("Not decided: heartbeat.p99 < 1s (it is –), answer.p99 < 1s (it is "),
        "{headline}"
    );
    let suites = summary.suites();
    let whys = suites.suites[0].cases.iter().map(|case| match &case.outcome {
        Outcome::Error { text, .. } => text.as_str(),
        other => panic!("{other:?}"),
    });
    assert_eq!(
        whys.collect::<Vec<_>>(),
        ["nothing was measured", "sends left 40 ms late"]
    );
}

#[test]
fn a_saturated_run_says_so_where_its_numbers_are_read() {
    let document = summary(&plan(&["answer.p99 < 1s"]), answer, saturated()).document();
    assert!(
        document
            .headline
            .ends_with("its times say nothing about the server."),
        "{}",
        document.headline
    );
    assert_eq!(document.tiles[2].tone, Tone::Warn);
}

#[test]
fn each_threshold_is_a_case() {
    let thresholds = ["delivery.lost == 0", "sessions.failed == 0", "answer.p99 < 1s"];
    let suites = summary(&plan(&thresholds), swallow, saturated()).suites();
    let cases = &suites.suites[0].cases;
    let [lost, failed, p99] = &cases[..] else {
        panic!("{cases:?}")
    };
    assert!(
        matches!(&lost.outcome, Outcome::Failed { message, .. } if message == "delivery.lost == 0, but it is 20")
    );
    assert_eq!(failed.outcome, Outcome::Passed);
    assert!(
        matches!(&p99.outcome, Outcome::Error { text, .. } if text == "sends left 40 ms late"),
        "{p99:?}"
    );
}
