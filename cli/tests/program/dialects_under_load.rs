//! A small load run of every dialect against the built-in server, with a storm in it. Only counts are judged: what a clock says
//! depends on how busy the machine is.

use serde_json::Value;

use crate::support::{folder, run, touchstone};

const WORKLOAD: &str = r"
title: thirty talk, and some of them are dropped once
dialect: DIALECT
sessions: 30
groups: GROUPS
phases:
  - ramp: {for: 500ms}
  - steady: {for: 2s}
  - storm: {for: 2s, drop: 40%, within: 60s}
messages: {rate: 2}
thresholds:
  - delivery.lost == 0
  - delivery.duplicated == 0
  - sessions.failed == 0
  - errors.total == 0
";

struct Ran {
    report: Value,
}

impl Ran {
    fn count(&self, pointer: &str) -> u64 {
        self.report.pointer(pointer).and_then(Value::as_u64).unwrap_or(0)
    }
}

fn load(dialect: &str, groups: &str) -> Ran {
    let workload = WORKLOAD.replace("DIALECT", dialect).replace("GROUPS", groups);
    let folder = folder(&[("w.yaml", &workload)]);
    let ended = run(touchstone(
        folder.path(),
        &["load", "run", "w.yaml", "--report", "json=-", "--allow-saturated"],
    ));
    let report: Value = serde_json::from_str(&ended.stdout).unwrap_or_else(|_| panic!("{ended:#?}"));
    assert_eq!(ended.code, Some(0), "{dialect}: {:#}", report["thresholds"]);
    // Of nobody's token, nor of anybody's password, is there a trace.
    for secret in ["eyJ", "Pass-", "Bearer"] {
        assert!(
            !ended.stdout.contains(secret) && !ended.stderr.contains(secret),
            "{dialect}"
        );
    }
    Ran { report }
}

/// Each message is owed to so many; whoever was not there yet when it was said is owed nothing.
fn check(dialect: &str, groups: &str, recipients: u64) {
    let ran = load(dialect, groups);
    let confirmed = ran.count("/latency/confirm/count");
    let [expected, received, lost] =
        ["expected", "received", "lost"].map(|name| ran.count(&format!("/delivery/{name}")));
    assert_eq!((expected, lost), (received, 0), "{dialect}");
    assert!(confirmed > 100, "{dialect}: {confirmed}");
    let owed = confirmed * recipients;
    assert!(
        (owed * 8 / 10..=owed).contains(&expected),
        "{dialect}: {expected} of {owed}"
    );
    assert_eq!(ran.count("/delivery/beside/stray"), 0, "{dialect}");
    assert_eq!(ran.count("/summary/sessions/connected"), 30, "{dialect}");
    let reconnects = ran.count("/summary/sessions/reconnects");
    assert!((1..=12).contains(&reconnects), "{dialect}: {reconnects}");
    let logins = ran.count("/latency/login/count");
    assert_eq!(logins, 30, "{dialect}");
}

#[test]
fn rooms_loses_nothing_and_reads_back_what_was_missed() {
    check("rooms", "{rooms: {size: 5}}", 4);
}

#[test]
fn outbox_delivers_to_all_of_a_conversation_the_sender_too() {
    check("outbox", "{rooms: {size: 5}}", 5);
}

#[test]
fn feed_delivers_to_everybody() {
    check("feed", "everybody", 30);
}

#[test]
fn direct_delivers_to_one() {
    check("direct", "pairs", 1);
}
