//! What reports say of a run.

use touchstone_conformance::explain::explain;
use touchstone_conformance::results::Run;
use touchstone_report::cases::Outcome;
use touchstone_scenarios::rules::Rules;

use crate::crooked::{Crook, Server};
use crate::judge::{options, run_against, scenario};

const SHOUTED: &str = "title: a text comes back
rule: echo/2a
actors: {ann: {}}
given: [{connect: ann}]
steps:
  - ann.send: hello
  - ann.expect: {count: 1, echo: hello}
";

async fn red_run() -> Run {
    let server = Server::start(Crook::Shouts).await;
    let skipped = SHOUTED.replace("actors:", "requires: [faults.store]\nactors:");
    let scenarios = [scenario("echo/x", SHOUTED), scenario("echo/y", &skipped)];
    run_against(&server, &scenarios, options()).await
}

#[tokio::test]
async fn a_failure_says_clause_place_expected_actual_transcript_and_rerun() {
    let run = red_run().await;
    let text = run.cases[0].failure_text();
    let shape: Vec<_> = text
        .lines()
        .map(str::trim_end)
        .filter(|line| !line.contains(" ms "))
        .collect();
    assert_eq!(
        shape,
        [
            "FAILED echo/x   echo/2a (must): a text comes back",
            "  echo/2a (must): \"Each client message that is not empty is answered by one text frame \
         `{\"count\":N,\"echo\":TEXT}`; TEXT is the message verbatim (JSON included: it is not parsed, \
         `{\"type\":\"ping\"}` comes back as a string).\"",
            "   --> echo/x.yaml:7:34  step 3",
            "  7 |   - ann.expect: {count: 1, echo: hello}",
            "    |                                  ^^^^^",
            "    expected  ann: \"hello\" at /echo",
            "    actual    ann: \"HELLO\" in {\"count\":1,\"echo\":\"HELLO\"}",
            "  checks: message ✘",
            "  transcript:",
            "  rerun: touchstone conform run 'echo/x'",
        ]
    );
    assert!(text.contains("ann  --> GET /ws/chat/ HTTP/1.1"), "{text}");
    assert!(
        text.contains("ann  <-- text {\"count\":1,\"echo\":\"HELLO\"}"),
        "{text}"
    );
}

#[tokio::test]
async fn the_json_has_the_keys_that_scripts_rely_on() {
    let json = red_run().await.to_json();
    assert_eq!(json["schema"], "touchstone.conform/1");
    assert_eq!(json["verdict"], "failed");
    let summary = serde_json::json!({
        "total": 2, "passed": 0, "failed": 1, "non_strict": 0, "informational": 0, "skipped": 1,
        "could_not_run": 0, "known_failing": 0, "unexpectedly_passed": 0,
    });
    assert_eq!(json["summary"], summary);
    let case = &json["cases"][0];
    assert_eq!(
        (case["id"].as_str(), case["rule"].as_str()),
        (Some("echo/x"), Some("echo/2a"))
    );
    assert_eq!(
        (case["level"].as_str(), case["verdict"].as_str()),
        (Some("must"), Some("failed"))
    );
    let checks = serde_json::json!({
        "message": "failed", "order": "not_applicable", "timing": "not_applicable", "extra": "not_applicable",
        "close": "not_applicable", "clean": "not_applicable",
    });
    assert_eq!(case["checks"], checks);
    assert_eq!(case["failure"]["pointer"], "/echo");
    assert_eq!(case["rerun"], "touchstone conform run 'echo/x'");
    let skipped = &json["cases"][1];
    assert_eq!(skipped["verdict"], "skipped");
    assert!(skipped["reason"].as_str().unwrap().contains("`faults.store`"));
    let seen = |list: &str, key: &str, wanted: serde_json::Value| {
        let entries = json["coverage"][list].as_array().unwrap();
        entries
            .iter()
            .find(|entry| entry[key] == wanted)
            .map(|entry| entry["seen"].clone())
            .unwrap()
    };
    assert_eq!(seen("messages", "type", "answer".into()), 1);
    assert_eq!(seen("close_codes", "code", 1011.into()), 0);
    let clauses = json["coverage"]["clauses"].as_array().unwrap();
    let clause = clauses.iter().find(|clause| clause["id"] == "echo/2a").unwrap();
    assert_eq!(clause["cases"], serde_json::json!(["echo/x"]));
}

#[tokio::test]
async fn the_document_tells_failures_first_and_every_clause() {
    let document = red_run().await.document();
    let sections: Vec<_> = document
        .sections
        .iter()
        .map(|section| section.title.as_str())
        .collect();
    assert_eq!(
        sections,
        [
            "What does not hold",
            "Clauses",
            "What crossed the wire",
            "Not tried",
            "Cases"
        ]
    );
    assert_eq!(document.headline, "0 of 2 cases passed, 1 failed, 1 skipped");
    let page = touchstone_report::markdown::render(&document, 1 << 20);
    assert!(page.contains("echo/2a"), "{page}");
}

#[tokio::test]
async fn for_junit_failed_is_a_failure_and_skipped_is_skipped() {
    let suites = red_run().await.suites();
    assert_eq!(suites.suites.len(), 1);
    let outcomes: Vec<_> = suites.suites[0].cases.iter().map(|case| &case.outcome).collect();
    assert!(
        matches!(outcomes[..], [Outcome::Failed { .. }, Outcome::Skipped { .. }]),
        "{outcomes:?}"
    );
}

#[test]
fn explain_knows_clauses_and_cases_and_nothing_else() {
    let scenarios = [scenario("echo/x", SHOUTED)];
    let clause = explain("echo/2a", &scenarios, &[], Rules::builtin()).unwrap();
    assert!(
        clause.starts_with("echo/2a (must, basis doc)") && clause.contains("echo/x  a text comes back"),
        "{clause}"
    );
    let case = explain("echo/x", &scenarios, &[], Rules::builtin()).unwrap();
    assert!(case.contains("ann.expect") && case.contains("why:"), "{case}");
    assert!(explain("echo/nonesuch", &scenarios, &[], Rules::builtin()).is_err());
}
