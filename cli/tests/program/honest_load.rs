//! `load run` as a process tells the truth about itself and about servers that die: nothing here looks at a clock. Whoever
//! is stopped is stopped by this test, and what was confirmed and is gone is known from the seconds before.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::lifetimes::{looked_up, send};
use crate::support::{Running, eventually, folder, listening, pause, touchstone};

/// A starved program gets a sixth of the time. A stop is longer than the lag from which a run counts as saturated (20 ms).
const STOPPED: Duration = Duration::from_millis(50);
const RUNNING: Duration = Duration::from_millis(10);

/// Forty sessions that talk without a pause: at whatever instant a server dies, some have said something.
const TALK: &str = "title: talk\nsessions: 40\nphases: [{steady: {for: ${for}}}]\nmessages: {rate: 25}\ndeadline: ${deadline}\n";

fn talk(lasts: &str, deadline: &str) -> String {
    TALK.replace("${for}", lasts).replace("${deadline}", deadline)
}

fn serve(folder: &Path, listen: &str, store: &str) -> Running {
    let args = [
        "serve",
        "--dialects",
        "echo",
        "--listen",
        listen,
        "--store",
        store,
    ];
    Running::start(touchstone(folder, &args))
}

/// `load run talk.yaml` with its JSON report in `NAME.json`.
fn load(folder: &Path, address: &str, name: &str, more: &[&str]) -> Running {
    let url = format!("ws://{address}");
    let report = format!("json={name}.json");
    let args = ["load", "run", "talk.yaml", "--url", &url, "--report", &report];
    Running::start(touchstone(folder, &[&args, more].concat()))
}

fn report(folder: &Path, name: &str) -> Value {
    let text = std::fs::read_to_string(folder.join(format!("{name}.json"))).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn count(report: &Value, pointer: &str) -> u64 {
    let found = report.pointer(pointer);
    found
        .and_then(Value::as_u64)
        .unwrap_or_else(|| panic!("{pointer}"))
}

fn verdicts(report: &Value) -> Vec<&str> {
    let thresholds = report["thresholds"].as_array().unwrap().iter();
    thresholds
        .map(|threshold| threshold["verdict"].as_str().unwrap())
        .collect()
}

/// Lines of progress in which sessions are shown to be there.
fn seconds_told(running: &Running) -> usize {
    let said = running.said();
    said.lines().filter(|line| line.contains("40 sessions")).count()
}

fn await_seconds(running: &Running, more: usize) {
    let told = seconds_told(running);
    eventually("so many seconds are told", || {
        (seconds_told(running) >= told + more).then_some(())
    });
}

/// Lets these run for a sixth of the time until the last has ended.
fn starve(pids: &[u32]) {
    loop {
        let alive: Vec<u32> = pids
            .iter()
            .copied()
            .filter(|pid| looked_up(*pid).is_some())
            .collect();
        if alive.is_empty() {
            return;
        }
        alive.iter().for_each(|pid| send(*pid, libc::SIGSTOP));
        pause(STOPPED);
        alive.iter().for_each(|pid| send(*pid, libc::SIGCONT));
        pause(RUNNING);
    }
}

#[test]
fn a_starved_generator_says_so_and_decides_nothing_about_time() {
    let folder = folder(&[("talk.yaml", &talk("3s", "30s"))]);
    let server = serve(folder.path(), "127.0.0.1:0", "embedded:");
    let address = listening(&server);
    // Anybody would say that both times hold: an hour.
    let times = [
        "--threshold",
        "answer.p99 < 1h",
        "--threshold",
        "messages.per_second > 0",
    ];
    let held = ["--threshold", "delivery.lost == 0"];
    let broken = ["--threshold", "delivery.received == 1"];
    let start = |name, more: &[&[&str]]| load(folder.path(), &address, name, &more.concat());
    let runs = [
        ("strict", start("strict", &[&times, &held]), 1, "passed"),
        (
            "lenient",
            start("lenient", &[&times, &held, &["--allow-saturated"]]),
            0,
            "passed",
        ),
        (
            "wrong",
            start("wrong", &[&times, &broken, &["--allow-saturated"]]),
            1,
            "failed",
        ),
    ];
    starve(&runs.each_ref().map(|(_, run, ..)| run.id()));
    for (name, run, code, counted) in runs {
        let ended = run.end();
        assert_eq!(ended.code, Some(code), "{name}: {ended:#?}");
        let report = report(folder.path(), name);
        assert_eq!(report["generator"]["saturated"], true, "{name}");
        let reasons = report["generator"]["reasons"].as_array().unwrap();
        assert!(
            reasons.iter().any(|reason| reason
                .as_str()
                .unwrap()
                .contains("late at p99, the limit is 20 ms")),
            "{name}: {reasons:?}"
        );
        assert_eq!(verdicts(&report), ["undecided", "undecided", counted], "{name}");
        assert!(ended.stdout.contains("saturated"), "{name}: {ended:#?}");
        assert_eq!(count(&report, "/delivery/lost"), 0, "{name}");
        let sent = count(&report, "/summary/messages/sent");
        assert_eq!(
            count(&report, "/delivery/received"),
            sent,
            "{name}: starved, and yet it counts right"
        );
        let skipped = count(&report, "/summary/messages/skipped_while_away");
        let unsent = count(&report, "/summary/messages/unsent");
        assert_eq!(sent + skipped + unsent, 3_000, "{name}: all that was meant");
    }
}

/// What became of a run whose server died under it and was there again, at the same address.
struct Restarted {
    report: Value,
    /// Answers that were heard before the server died.
    answered_before: u64,
}

/// Runs against a server that is stopped, then killed, and then started again on another store or the same.
fn restarted(stores: [&str; 2]) -> Restarted {
    let folder = folder(&[("talk.yaml", &talk("12s", "30s"))]);
    let server = serve(folder.path(), "127.0.0.1:0", stores[0]);
    let address = listening(&server);
    let run = load(folder.path(), &address, "run", &[]);
    await_seconds(&run, 2);
    // Stopped, it answers nothing that is said now: whole seconds pass, so that something is in flight when it dies.
    send(server.id(), libc::SIGSTOP);
    await_seconds(&run, 3);
    drop(server);
    let _again = serve(folder.path(), &address, stores[1]);
    let ended = run.end();
    assert_eq!(ended.code, Some(0), "no threshold, and it ends: {ended:#?}");
    let report = report(folder.path(), "run");
    let series = report["series"].as_array().unwrap();
    let answered = series.iter().map(|second| count(second, "/answered"));
    let answered_before = answered.take_while(|answered| *answered > 0).sum();
    assert!(answered_before > 0);
    Restarted {
        report,
        answered_before,
    }
}

#[test]
fn a_killed_server_with_a_durable_store_has_lost_nothing_and_what_it_never_confirmed_is_told_apart() {
    let Restarted {
        report,
        answered_before,
    } = restarted(["embedded:store.db", "embedded:store.db"]);
    assert_eq!(count(&report, "/summary/sessions/failed"), 0, "everybody is back");
    assert!(count(&report, "/summary/sessions/unexpected_closes") >= 40);
    let delivery = |name: &str| count(&report, &format!("/delivery/{name}"));
    assert_eq!(
        (delivery("lost"), delivery("duplicated")),
        (0, 0),
        "{}",
        report["delivery"]
    );
    assert!(
        delivery("unconfirmed") >= 40,
        "each had something in flight: {}",
        report["delivery"]
    );
    assert!(
        delivery("received") > answered_before,
        "it went on: {}",
        report["delivery"]
    );
    let sent = count(&report, "/summary/messages/sent");
    assert_eq!(
        sent,
        delivery("received") + delivery("unconfirmed"),
        "nothing is left out"
    );
}

#[test]
fn a_killed_server_with_an_empty_store_has_lost_all_it_had_confirmed() {
    let Restarted {
        report,
        answered_before,
    } = restarted(["embedded:store.db", "embedded:another.db"]);
    assert_eq!(count(&report, "/summary/sessions/failed"), 0, "everybody is back");
    let delivery = |name: &str| count(&report, &format!("/delivery/{name}"));
    assert_eq!(delivery("lost"), answered_before, "{}", report["delivery"]);
    assert!(delivery("unconfirmed") >= 40, "{}", report["delivery"]);
    let sent = count(&report, "/summary/messages/sent");
    assert_eq!(
        sent,
        delivery("received") + delivery("lost") + delivery("unconfirmed"),
        "nothing is left out"
    );
}

#[test]
fn one_ctrl_c_ends_a_run_early_with_a_full_report() {
    let folder = folder(&[("talk.yaml", &talk("1h", "5s"))]);
    let server = serve(folder.path(), "127.0.0.1:0", "embedded:");
    let run = load(
        folder.path(),
        &listening(&server),
        "run",
        &["--threshold", "delivery.lost == 0"],
    );
    await_seconds(&run, 2);
    send(run.id(), libc::SIGINT);
    let ended = run.end();
    assert_eq!(ended.code, Some(130), "{ended:#?}");
    assert!(ended.stdout.contains("INTERRUPTED"), "{ended:#?}");
    let report = report(folder.path(), "run");
    assert_eq!(report["verdict"], "interrupted");
    let sent = count(&report, "/summary/messages/sent");
    assert_eq!(
        count(&report, "/delivery/received"),
        sent,
        "what was under way is awaited"
    );
    assert_eq!(count(&report, "/latency/answer/count"), sent);
    assert!(sent > 0 && report["series"].as_array().unwrap().len() >= 2);
    assert_eq!(count(&report, "/summary/sessions/failed"), 0);
}

#[test]
fn ctrl_c_twice_ends_a_run_at_once_without_a_report() {
    let folder = folder(&[("talk.yaml", &talk("1h", "30m"))]);
    let server = serve(folder.path(), "127.0.0.1:0", "embedded:");
    let run = load(folder.path(), &listening(&server), "run", &[]);
    await_seconds(&run, 1);
    // It owes answers now, which are waited for: half an hour, if nobody asks again.
    send(server.id(), libc::SIGSTOP);
    await_seconds(&run, 2);
    send(run.id(), libc::SIGINT);
    eventually("the first is heeded", || {
        run.said().contains("waiting for the last").then_some(())
    });
    send(run.id(), libc::SIGINT);
    let ended = run.end();
    assert_eq!(ended.code, Some(130), "{ended:#?}");
    assert!(ended.stderr.contains("interrupted twice"), "{ended:#?}");
    assert!(!folder.path().join("run.json").exists());
}
