//! HTTP, back doors, metrics, log and process of a server: each of these steps can fail too.
//!
//! The server is this test program, started anew with the one test that serves (see [`child`]).

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use touchstone_conformance::results::CaseResult;
use touchstone_conformance::run;
use touchstone_protocol::Dialect;
use touchstone_scenarios::rules::Rules;
use touchstone_sut::{Sut, Target};

use crate::crooked::{Crook, Server};
use crate::judge::{check, options, scenario, summary};

#[tokio::test]
async fn an_answer_over_http_is_judged_by_status_header_and_body() {
    let asking = |expect: &str| {
        format!(
            "title: it answers\nrule: echo/2a\nsteps:\n  - http: {{get: /things}}\n    expect: {expect}\n"
        )
    };
    check(&[
        ("status", Crook::Honest, &asking("{status: 200}"), "passed"),
        ("body", Crook::Honest, &asking("{json: {things: 1}}"), "passed"),
        (
            "header",
            Crook::Honest,
            &asking("{status: 2xx, headers: {X-Kind: thing}}"),
            "passed",
        ),
        (
            "another status",
            Crook::Honest,
            &asking("{status: [201, 4xx]}"),
            "failed message echo/2a",
        ),
        (
            "another body",
            Crook::Honest,
            &asking("{status: 200, json: {things: 2}}"),
            "failed message echo/2a",
        ),
        (
            "another header",
            Crook::Honest,
            &asking("{status: 200, headers: {X-Kind: other}}"),
            "failed message echo/2a",
        ),
        (
            "a header too many",
            Crook::Honest,
            &asking("{status: 200, headers: {X-Kind: {$absent: true}}}"),
            "failed message echo/2a",
        ),
        (
            "the status is a may",
            Crook::Honest,
            &asking("{status: {$value: 201, $clause: echo/3a}, json: {things: 1}}"),
            "informational message echo/3a",
        ),
        (
            "no answer at all",
            Crook::HangsUp,
            &asking("{status: 200}"),
            "could_not_run",
        ),
    ])
    .await;
}

#[tokio::test]
async fn an_answer_that_becomes_right_in_time_is_awaited() {
    let asking = |wanted: u32| {
        format!(
            "title: it comes to three\nrule: echo/2a\nsteps:\n  - http: {{get: /counting}}\n    \
             expect: {{json: {{asked: {{$range: [{wanted}, null]}}}}}}\n    within: 2s\n"
        )
    };
    check(&[
        ("after a while", Crook::Honest, &asking(3), "passed"),
        (
            "not in time",
            Crook::Honest,
            &asking(1000),
            "failed message echo/2a",
        ),
    ])
    .await;
}

#[tokio::test]
async fn metrics_have_to_rise() {
    let rising = |metric: &str, by: u32| {
        format!(
            "title: it counts\nrule: echo/2a\nrequires: [metrics]\nsteps:\n  - http: {{get: /things}}\n    expect: {{status: 200}}\n  \
             - metrics: {{{metric}: {{at_least: {by}}}}}\n    within: 1s\n"
        )
    };
    check(&[
        ("rises", Crook::Honest, &rising("requests_total", 1), "passed"),
        (
            "rises too little",
            Crook::Honest,
            &rising("requests_total", 1000),
            "failed message echo/2a",
        ),
        (
            "is not there",
            Crook::Honest,
            &rising("unheard_of_total", 1),
            "failed message echo/2a",
        ),
    ])
    .await;
}

#[tokio::test]
async fn a_gauge_has_to_fall_again() {
    let counting = |then: &str| {
        format!(
            "title: it counts\nrule: echo/2a\nrequires: [metrics]\nalone: true\nsteps:\n  - http: {{get: /things}}\n    expect: 200\n  \
             - metrics: {{requests_odd: {{at_least: 1}}}}\n    within: 1s\n{then}  \
             - metrics: {{requests_odd: {{at_most: 0}}}}\n    within: 200ms\n"
        )
    };
    check(&[
        (
            "falls",
            Crook::Honest,
            &counting("  - http: {get: /things}\n    expect: 200\n"),
            "passed",
        ),
        ("stays", Crook::Honest, &counting(""), "failed message echo/2a"),
    ])
    .await;
}

#[tokio::test]
async fn requests_at_once_are_answered_so_in_any_order() {
    let asking = |expect: &str| {
        format!(
            "title: one wins\nrule: echo/2a\nsteps:\n  - http: [{{get: /first}}, {{get: /first}}, {{get: /first}}]\n    expect: {expect}\n"
        )
    };
    let won = "{json: {won: true}}";
    let lost = "{json: {won: false}}";
    check(&[
        (
            "the first that is named wins",
            Crook::Honest,
            &asking(&format!("[{won}, {lost}, {lost}]")),
            "passed",
        ),
        (
            "the last that is named wins",
            Crook::Honest,
            &asking(&format!("[{lost}, {lost}, {won}]")),
            "passed",
        ),
        (
            "two should win",
            Crook::Honest,
            &asking(&format!("[{won}, {won}, {lost}]")),
            "failed message echo/2a",
        ),
        (
            "none should win",
            Crook::Honest,
            &asking(&format!("[{lost}, {lost}, {lost}]")),
            "failed message echo/2a",
        ),
        (
            "a field under another clause",
            Crook::Honest,
            &asking(&format!(
                "[{won}, {lost}, {{status: 200, json: {{won: {{$value: 1, $clause: echo/3a}}}}}}]"
            )),
            "informational message echo/3a",
        ),
    ])
    .await;
}

#[tokio::test]
async fn a_back_door_that_does_not_open_is_no_verdict() {
    let server = Server::start(Crook::Honest).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("target.yaml");
    let text = format!(
        "urls: [\"{}\"]\ninject: {{echo: {{all: {{post: /nowhere}}}}}}\nfaults: {{store: {{post: /nowhere}}}}\n",
        server.url()
    );
    std::fs::write(&path, text).unwrap();
    for (key, step) in [
        ("inject.echo.all", "inject: {to: all, type: broadcast, data: {}}"),
        ("faults.store", "fault: {store: down, for: 1s}"),
    ] {
        let yaml = format!(
            "title: it is told to\nrule: echo/2a\nrequires: [{key}]\nalone: true\nsteps:\n  - {step}\n  \
             - connect: {{as: c}}\n"
        );
        let case = judge_target(Target::from_file(&path.to_string_lossy()).unwrap(), &yaml).await;
        assert_eq!(summary(&case), "could_not_run", "{key}");
        assert!(case.reason.as_ref().unwrap().contains("404"), "{:?}", case.reason);
    }
}

#[tokio::test]
async fn a_store_that_a_case_leaves_broken_is_mended() {
    let server = Server::start(Crook::Mute).await;
    let folder = tempfile::tempdir().unwrap();
    let (path, told) = (folder.path().join("target.yaml"), folder.path().join("told"));
    let text = format!(
        "urls: [\"{}\"]\nfaults: {{store: {{command: [sh, -c, 'echo $0 >> {}', \"${{for}}\"]}}}}\n",
        server.url(),
        told.display()
    );
    std::fs::write(&path, text).unwrap();
    let yaml = "title: it fails meanwhile\nrule: echo/2a\nrequires: [faults.store]\nalone: true\nsteps:\n  \
                - fault: {store: down, for: 60s}\n  - connect: {as: c}\n  - c.send: hello\n  \
                - c.expect: {echo: hello}\n  - fault: {store: down, for: 0s}\n";
    let case = judge_target(Target::from_file(&path.to_string_lossy()).unwrap(), yaml).await;
    assert_eq!(summary(&case), "failed message echo/2a", "{:?}", case.reason);
    assert_eq!(std::fs::read_to_string(told).unwrap(), "60000ms\n0ms\n");
}

async fn judge_child(behaviour: &str, yaml: &str) -> CaseResult {
    judge_target(child_target(behaviour), yaml).await
}

fn child_target(behaviour: &str) -> Target {
    let program = std::env::current_exe().unwrap();
    let command = format!(
        "env CHILD={behaviour} '{}' outside::child --exact --ignored --nocapture --test-threads=1",
        program.display()
    );
    Target::from_command(&command, &[Dialect::Echo]).unwrap()
}

async fn judge_target(target: Target, yaml: &str) -> CaseResult {
    judge_cases(target, yaml).await.remove(0)
}

async fn judge_cases(target: Target, yaml: &str) -> Vec<CaseResult> {
    let sut = Arc::new(Sut::start(target).await.unwrap());
    let (events, mut heard) = mpsc::channel(64);
    let scenarios = [scenario("echo/x", yaml)];
    let running = run(
        sut,
        &scenarios,
        Rules::builtin(),
        options(),
        events,
        CancellationToken::new(),
    );
    let (run, ()) = tokio::join!(running, async { while heard.recv().await.is_some() {} });
    run.unwrap().cases
}

async fn check_child(cases: &[(&str, &str, &str)]) {
    let judging = cases
        .iter()
        .map(|(behaviour, yaml, _)| judge_child(behaviour, yaml));
    let judged = futures_util::future::join_all(judging).await;
    for ((behaviour, _, expected), case) in cases.iter().zip(judged) {
        assert_eq!(
            summary(&case),
            *expected,
            "{behaviour}: {:#?} {:?}",
            case.findings,
            case.reason
        );
    }
}

const STOPPED: &str = "
title: it stops when it is told to
rule: echo/2a
requires: [spawn]
alone: true
steps:
  - stop: TERM
  - stopped: {exit: 0}
    within: 3s
  - start:
  - connect: {as: c}
";

#[tokio::test]
async fn a_process_has_to_end_as_it_should() {
    check_child(&[
        ("graceful", STOPPED, "passed"),
        ("stubborn", STOPPED, "failed timing echo/2a"),
        ("careless", STOPPED, "failed message echo/2a"),
    ])
    .await;
}

const TOLD_TO_STOP: &str = "
title: it is told to stop, and nobody waits for it
rule: echo/2a
requires: [spawn]
alone: true
steps:
  - table:
      columns: [name]
      rows: [[a], [b], [c], [d], [e], [f], [g], [h], [i]]
    each:
      - connect: {as: c}
      - c.tcp: reset
      - stop: TERM
";

#[tokio::test]
async fn a_server_that_is_slow_to_stop_is_not_left_to_the_next_case() {
    // More cases than servers are started at once, so that some have to follow others.
    for case in judge_cases(child_target("slow"), TOLD_TO_STOP).await {
        assert_eq!(summary(&case), "passed", "{}: {:?}", case.id, case.reason);
    }
}

const LOGGED: &str = "
title: it writes what it hears
rule: echo/2a
requires: [log]
actors: {ann: {}}
given: [{connect: ann}]
steps:
  - log: {event: heard, count: COUNT}
    within: 2s
";

#[tokio::test]
async fn a_line_has_to_be_in_the_log() {
    check_child(&[
        ("graceful", &LOGGED.replace("COUNT", "1"), "passed"),
        (
            "graceful",
            &LOGGED.replace("COUNT", "2"),
            "failed message echo/2a",
        ),
    ])
    .await;
}

/// The server of the tests above, when they start this program with `CHILD` set; by itself it does nothing.
#[tokio::test]
#[ignore = "the other tests start it as a process of its own"]
async fn child() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(behaviour), Ok(port)) = (std::env::var("CHILD"), std::env::var("PORT")) else {
        return;
    };
    let mut term = signal(SignalKind::terminate()).unwrap();
    let server = Server::start_on(port.parse().unwrap(), Crook::Honest).await;
    let mut accepted = server.accepted();
    let writing = async move {
        while accepted.changed().await.is_ok() {
            println!("\n{{\"event\":\"heard\",\"count\":1}}");
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = writing => {}
        // Otherwise the signal is caught, and nothing follows from it.
        _ = term.recv(), if behaviour != "stubborn" => {
            assert_ne!(behaviour, "careless", "so the process does not end with 0");
            if behaviour == "slow" {
                // It accepts nobody any more, and is not done.
                drop(server);
                std::future::pending::<()>().await;
            }
        }
    }
}
