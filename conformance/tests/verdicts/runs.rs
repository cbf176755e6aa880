//! Whole runs: selection, strictness, known failures, rows, orders, interruption.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use touchstone_conformance::results::Run;
use touchstone_conformance::select::KnownFailing;
use touchstone_conformance::verdict::{CaseVerdict, Strictness};
use touchstone_conformance::{Options, RunError, run};
use touchstone_protocol::Dialect;
use touchstone_report::Verdict;
use touchstone_scenarios::rules::Rules;
use touchstone_sut::{Sut, Target};

use crate::crooked::{Crook, Server};
use crate::judge::{options, run_against, scenario};

const TABLE: &str = "
title: texts come back
rule: echo/2a
steps:
  - table:
      columns: [name, text, clause]
      rows:
        - [lower, hello, echo/3a]
        - [upper, HELLO, echo/2a]
    each:
      - connect: {as: c}
      - c.send: \"${text}\"
      - c.expect: {echo: \"${text}\"}
";

const INTERLEAVED: &str = "
title: two senders
rule: echo/2a
actors: {ann: {}, bob: {}}
given: [{connect: [ann, bob]}]
steps:
  - interleave:
      orders: all
      ann: [{send: a1}, {send: a2}]
      bob: [{send: b1}]
  - expect: {on: [ann], of: [{echo: a1}, {echo: a2}]}
  - bob.expect: {echo: b1}
";

fn verdicts(run: &Run) -> Vec<(&str, CaseVerdict)> {
    run.cases
        .iter()
        .map(|case| (case.id.as_str(), case.verdict))
        .collect()
}

async fn table_run(crook: Crook, options: Options) -> Run {
    let server = Server::start(crook).await;
    run_against(&server, &[scenario("echo/x", TABLE)], options).await
}

#[tokio::test]
async fn every_row_is_a_case_with_a_verdict_of_its_own() {
    let run = table_run(Crook::Shouts, options()).await;
    let expected = [
        ("echo/x[lower]", CaseVerdict::Informational),
        ("echo/x[upper]", CaseVerdict::Passed),
    ];
    assert_eq!(verdicts(&run), expected);
    assert_eq!(run.verdict, Verdict::Passed);
    assert_eq!(run.cases[0].rerun, "touchstone conform run 'echo/x[lower]'");
}

#[tokio::test]
async fn strictly_every_finding_fails() {
    let strict = Options {
        strictness: Strictness::Strict,
        ..options()
    };
    let run = table_run(Crook::Shouts, strict).await;
    assert_eq!(run.cases[0].verdict, CaseVerdict::Failed);
    assert_eq!(run.verdict, Verdict::Failed);
}

#[tokio::test]
async fn a_list_of_known_failures_must_be_true() {
    let list = |text: &str| Options {
        known_failing: KnownFailing::parse(text).unwrap(),
        ..options()
    };
    let run = table_run(Crook::Mute, list("echo/x   # every row\n")).await;
    assert!(
        run.cases
            .iter()
            .all(|case| case.verdict == CaseVerdict::KnownFailing)
    );
    assert_eq!(run.verdict, Verdict::Passed);
    let run = table_run(Crook::Honest, list("echo/x[lower]\n")).await;
    assert_eq!(run.cases[0].verdict, CaseVerdict::UnexpectedlyPassed);
    assert_eq!(run.verdict, Verdict::Failed);
}

#[tokio::test]
async fn a_pattern_that_names_nothing_is_an_error() {
    let server = Server::start(Crook::Honest).await;
    let sut = || async {
        let target = Target::from_url(&server.url(), &[Dialect::Echo]).unwrap();
        Arc::new(Sut::start(target).await.unwrap())
    };
    for options in [
        Options {
            patterns: vec!["echo/y*".parse().unwrap()],
            ..options()
        },
        Options {
            known_failing: KnownFailing::parse("\necho/y\n").unwrap(),
            ..options()
        },
    ] {
        let (events, _heard) = mpsc::channel(64);
        let scenarios = [scenario("echo/x", TABLE)];
        let ran = run(
            sut().await,
            &scenarios,
            Rules::builtin(),
            options,
            events,
            CancellationToken::new(),
        )
        .await;
        assert!(matches!(ran, Err(RunError::NamesNothing(_))));
    }
}

#[tokio::test]
async fn patterns_choose_cases_by_id_and_by_clause() {
    for (pattern, expected) in [
        ("echo/x", vec!["echo/x[lower]", "echo/x[upper]"]),
        ("echo/*[upper]", vec!["echo/x[upper]"]),
        ("echo/3a", vec!["echo/x[lower]"]),
    ] {
        let chosen = Options {
            patterns: vec![pattern.parse().unwrap()],
            ..options()
        };
        let run = table_run(Crook::Honest, chosen).await;
        let ids: Vec<_> = run.cases.iter().map(|case| case.id.as_str()).collect();
        assert_eq!(ids, expected, "{pattern}");
    }
}

#[tokio::test]
async fn an_interleaving_is_run_in_every_order_and_a_failing_one_is_named() {
    let server = Server::start(Crook::Honest).await;
    let scenarios = [scenario("echo/x", INTERLEAVED)];
    let run = run_against(&server, &scenarios, options()).await;
    assert_eq!(run.cases[0].verdict, CaseVerdict::Passed);
    assert_eq!(
        run.coverage
            .messages
            .iter()
            .find(|kind| kind.kind == "answer")
            .unwrap()
            .seen,
        9
    );

    let server = Server::start(Crook::Shouts).await;
    let only = Options {
        order: Some(2),
        ..options()
    };
    let run = run_against(&server, &scenarios, only).await;
    let order = run.cases[0].order.as_ref().unwrap();
    assert_eq!(
        (order.number, order.of, order.turns.as_str()),
        (2, 3, "ann bob ann")
    );
    assert_eq!(run.cases[0].rerun, "touchstone conform run 'echo/x' --order 2");
    assert!(
        run.cases[0]
            .failure_text()
            .lines()
            .next()
            .unwrap()
            .contains("order 2/3 (ann bob ann)"),
        "the failure says which order it was"
    );

    let none = Options {
        order: Some(4),
        ..options()
    };
    let run = run_against(&server, &scenarios, none).await;
    assert_eq!(
        run.cases[0].verdict,
        CaseVerdict::CouldNotRun,
        "an order that is not there passes nothing"
    );
    assert!(
        !run.cases[0].failure_text().contains("checks:"),
        "nothing was looked at"
    );
}

#[tokio::test]
async fn what_the_target_lacks_is_skipped_and_named() {
    let yaml = TABLE.replace("steps:", "requires: [spawn]\nsteps:");
    let server = Server::start(Crook::Honest).await;
    let run = run_against(&server, &[scenario("echo/x", &yaml)], options()).await;
    assert!(run.cases.iter().all(|case| case.verdict == CaseVerdict::Skipped));
    assert!(run.cases[0].reason.as_ref().unwrap().contains("`spawn`"));
    assert!(
        run.coverage.clauses.iter().all(|clause| clause.cases.is_empty()),
        "skipped is never covered"
    );
}

#[tokio::test]
async fn a_case_that_waits_too_long_at_the_targets_timings_is_skipped_and_says_what_to_change() {
    let yaml = "title: a session ends\nrule: echo/6c\nactors: [ann]\nsteps:\n  - connect: ann\n  - pause: \"${echo.session.ttl}\"\n  - ann.send: a\n  - ann.expect: {count: 1}\n";
    let server = Server::start(Crook::Honest).await;
    let run = run_against(&server, &[scenario("echo/x", yaml)], options()).await;
    assert_eq!(run.cases[0].verdict, CaseVerdict::Skipped);
    let reason = run.cases[0].reason.as_ref().unwrap();
    assert!(reason.contains("`timings:`"), "{reason}");
}

#[tokio::test]
async fn a_case_may_take_its_own_waits_beside_its_deadline() {
    let yaml =
        "title: silence\nrule: echo/1a\nactors: [ann]\nsteps:\n  - connect: ann\n  - ann.nothing: 700ms\n";
    let server = Server::start(Crook::Honest).await;
    let hasty = Options {
        case_deadline: Duration::from_millis(600),
        ..options()
    };
    let run = run_against(&server, &[scenario("echo/x", yaml)], hasty).await;
    assert_eq!(
        run.cases[0].verdict,
        CaseVerdict::Passed,
        "{:?}",
        run.cases[0].reason
    );
}

#[tokio::test]
async fn the_first_failure_ends_a_run_that_is_told_so() {
    let fast = Options {
        fail_fast: true,
        jobs: 1,
        strictness: Strictness::Strict,
        ..options()
    };
    let run = table_run(Crook::Mute, fast).await;
    let expected = [
        ("echo/x[lower]", CaseVerdict::Failed),
        ("echo/x[upper]", CaseVerdict::Skipped),
    ];
    assert_eq!(verdicts(&run), expected);
}

#[tokio::test]
async fn an_interrupted_run_reports_what_it_has() {
    let server = Server::start(Crook::Stalls).await;
    let target = Target::from_url(&server.url(), &[Dialect::Echo]).unwrap();
    let sut = Arc::new(Sut::start(target).await.unwrap());
    let (events, mut heard) = mpsc::channel(64);
    let stop = CancellationToken::new();
    let patient = Options {
        expectation_deadline: Duration::from_secs(60),
        jobs: 1,
        ..options()
    };
    let scenarios = [scenario("echo/x", TABLE)];
    let interrupting = async {
        // Once the first case waits for its handshake.
        while let Some(event) = heard.recv().await {
            if matches!(event, touchstone_conformance::Event::CaseStarted { .. }) {
                stop.cancel();
            }
        }
    };
    let running = run(sut, &scenarios, Rules::builtin(), patient, events, stop.clone());
    let (run, ()) = tokio::join!(running, interrupting);
    let run = run.unwrap();
    assert_eq!(run.verdict, Verdict::Interrupted);
    assert_eq!(run.counts().of(CaseVerdict::Skipped), 2);
}

#[tokio::test]
async fn a_case_that_takes_too_long_could_not_be_run() {
    let hasty = Options {
        case_deadline: Duration::from_millis(100),
        ..options()
    };
    let server = Server::start(Crook::Stalls).await;
    let run = run_against(&server, &[scenario("echo/x", TABLE)], hasty).await;
    assert!(
        run.cases
            .iter()
            .all(|case| case.verdict == CaseVerdict::CouldNotRun)
    );
    assert_eq!(run.verdict, Verdict::Failed);
}

#[tokio::test]
async fn a_server_that_is_gone_is_no_verdict_on_it() {
    let server = Server::start(Crook::Honest).await;
    let target = Target::from_url(&server.url(), &[Dialect::Echo]).unwrap();
    let sut = Arc::new(Sut::start(target).await.unwrap());
    drop(server);
    let (events, _heard) = mpsc::channel(64);
    let scenarios = [scenario("echo/x", TABLE)];
    let run = run(
        sut,
        &scenarios,
        Rules::builtin(),
        options(),
        events,
        CancellationToken::new(),
    )
    .await
    .unwrap();
    assert!(
        run.cases
            .iter()
            .all(|case| case.verdict == CaseVerdict::CouldNotRun)
    );
}

#[tokio::test]
async fn common_cases_are_named_by_their_dialect_and_own_protocols_need_none() {
    let common = TABLE
        .replace("rule: echo/2a", "rule: common/1a\ndialects: [echo]")
        .replace("echo/3a", "common/1b");
    let own = "
title: a protocol of somebody's own
dialect: none
actors: {ann: {path: /ws/own}}
steps:
  - connect: ann
  - ann.send: hello
  - ann.expect: {echo: hello}
";
    let scenarios = [scenario("common/x", &common), scenario("mine/y", own)];
    let server = Server::start(Crook::Shouts).await;
    let run = run_against(&server, &scenarios, options()).await;
    let expected = [
        ("common/x@echo[lower]", CaseVerdict::NonStrict),
        ("common/x@echo[upper]", CaseVerdict::Passed),
        ("mine/y", CaseVerdict::Failed),
    ];
    assert_eq!(verdicts(&run), expected);
    assert_eq!(run.cases[2].findings[0].sentence, "a protocol of somebody's own");
}
