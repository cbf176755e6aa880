//! A judge that is late itself tries once more; nothing else is a reason to.
//!
//! Judge and server share one thread here, so a server that keeps it makes the judge late, as a busy machine would.

use touchstone_conformance::Options;
use touchstone_conformance::results::{CaseResult, LATE_MIN, Run};
use touchstone_conformance::verdict::{CaseVerdict, Strictness};
use touchstone_report::Verdict;

use crate::crooked::{Crook, Server};
use crate::judge::{judged, options, run_against, scenario};

const ECHO: &str = "
title: a text comes back
rule: echo/2a
actors: [ann]
steps:
  - connect: ann
  - ann.send: hello
  - ann.expect: {echo: hello}
";

const SOON: &str = "
title: a text comes back soon
rule: echo/2a
actors: [ann]
steps:
  - connect: ann
  - ann.send: hello
  - ann.expect: {echo: hello}
    within: 200ms
";

#[tokio::test]
async fn what_is_found_while_the_judge_is_late_is_tried_again_and_both_are_told() {
    let server = Server::start(Crook::HogsOnce).await;
    let run = run_against(&server, &[scenario("echo/x", ECHO)], options()).await;
    let case = &run.cases[0];
    assert_eq!(case.verdict, CaseVerdict::Passed);
    let first = case.first_attempt.as_ref().unwrap();
    assert_eq!(first.verdict, CaseVerdict::Failed);
    assert!(first.late >= LATE_MIN, "{:?}", first.late);
    assert!(first.message().contains("HELLO"), "{}", first.message());

    assert_eq!(run.verdict, Verdict::Passed);
    assert!(
        run.headline().ends_with("1 judged by a second attempt"),
        "{}",
        run.headline()
    );
    let line = case.second_attempt_line().unwrap();
    assert!(
        line.starts_with("echo/x   failed while the judge was late by "),
        "{line}"
    );
    assert!(line.ends_with("; then passed"), "{line}");
    let json = run.to_json();
    assert_eq!(json["summary"]["second_attempts"], 1);
    assert_eq!(json["cases"][0]["first_attempt"]["verdict"], "failed");
    assert!(
        json["cases"][0]["first_attempt"]["message"]
            .as_str()
            .unwrap()
            .contains("HELLO")
    );
}

/// Whether a first attempt was set aside only for a reason.
fn is_excused_rightly(case: &CaseResult) -> bool {
    case.first_attempt
        .as_ref()
        .is_none_or(|first| first.late >= LATE_MIN)
}

#[tokio::test]
async fn a_server_that_fails_now_and_then_is_not_excused_by_a_judge_that_is_in_time() {
    let server = Server::start(Crook::ShoutsOnce).await;
    let run = run_against(&server, &[scenario("echo/x", ECHO)], options()).await;
    let case = &run.cases[0];
    // On a machine that is late by itself, there is a reason; otherwise there is none.
    assert!(is_excused_rightly(case), "{case:?}");
    assert_eq!(case.first_attempt.is_none(), case.verdict == CaseVerdict::Failed);
}

#[tokio::test]
async fn a_slow_server_fails_however_late_the_judge_is() {
    let case = judged(Crook::Slow, SOON).await;
    assert_eq!(case.verdict, CaseVerdict::Failed);
    assert!(is_excused_rightly(&case), "{case:?}");
}

#[tokio::test]
async fn a_server_that_makes_the_judge_late_each_time_fails_in_the_second_attempt() {
    let server = Server::start(Crook::Hogs).await;
    let run = run_against(&server, &[scenario("echo/x", ECHO)], options()).await;
    let case = &run.cases[0];
    assert_eq!(case.verdict, CaseVerdict::Failed);
    assert!(case.first_attempt.is_some(), "it was tried again");
    let text = case.failure_text();
    assert!(
        text.contains("second attempt: the judge itself was late by "),
        "{text}"
    );
    assert!(text.contains("\n  the judge itself was late by "), "{text}");
}

async fn fail_fast(crook: Crook) -> Run {
    let server = Server::start(crook).await;
    let scenarios = [scenario("echo/a", ECHO), scenario("echo/b", ECHO)];
    let fast = Options {
        fail_fast: true,
        jobs: 1,
        strictness: Strictness::Strict,
        ..options()
    };
    run_against(&server, &scenarios, fast).await
}

#[tokio::test]
async fn a_run_that_ends_at_the_first_failure_makes_sure_of_it_first() {
    let run = fail_fast(Crook::Hogs).await;
    assert_eq!(run.cases[0].verdict, CaseVerdict::Failed);
    assert!(run.cases[0].first_attempt.is_some());
    assert_eq!(run.cases[1].verdict, CaseVerdict::Skipped);
    let run = fail_fast(Crook::HogsOnce).await;
    assert!(run.cases[0].first_attempt.is_some());
    assert!(run.cases.iter().all(|case| case.verdict == CaseVerdict::Passed));
}
