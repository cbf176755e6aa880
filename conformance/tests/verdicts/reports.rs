//! What reports say of a run.

use touchstone_conformance::coverage::HoleKind;
use touchstone_conformance::explain::explain;
use touchstone_conformance::results::Run;
use touchstone_conformance::side_by_side::{Extent, SideBySide};
use touchstone_conformance::{Options, json};
use touchstone_report::cases::Outcome;
use touchstone_report::terminal::{self, Detail};
use touchstone_report::{Block, Palette, Verdict};
use touchstone_scenarios::rules::Rules;

use crate::crooked::{Crook, Server};
use crate::judge::{judged, options, run_against, scenario};

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
            "    actual    ann: \"HELLO\"",
            "    in        {\"count\":1,\"echo\":\"HELLO\"}",
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
async fn an_answer_over_http_is_shown_whole_and_in_the_transcript_without_its_secrets() {
    let asking = "title: it answers\nrule: echo/2a\nsteps:\n  - http: {get: /login}\n    \
                  expect: {status: 200, json: {user: {id: 8}}}\n";
    let text = judged(Crook::Honest, asking).await.failure_text();
    for line in [
        "    expected  8 at /user/id\n",
        "    actual    7\n",
        "    in        HTTP 200 {\"token\":\"<secret>\",\"user\":{\"id\":7}}\n",
        " *  GET /login\n",
        " *  GET /login: HTTP 200 {\"token\":\"<secret>\",\"user\":{\"id\":7}}\n",
    ] {
        assert!(text.contains(line), "no {line:?} in\n{text}");
    }
    assert!(!text.contains("opaque-1"), "{text}");
}

#[tokio::test]
async fn answers_that_come_at_once_are_in_the_transcript_and_those_that_are_asked_for_again_as_they_change() {
    let asking = "title: it answers\nrule: echo/2a\nsteps:\n  - http: [{get: /things}, {get: /things}]\n    \
                  expect: [{status: 200}, {status: 404}]\n";
    let text = judged(Crook::Honest, asking).await.failure_text();
    let told = text.matches(" *  GET /things: HTTP 200 {\"things\":1}\n").count();
    assert_eq!(told, 2, "{text}");
    let again = "title: it answers\nrule: echo/2a\nsteps:\n  - http: {get: /things}\n    \
                 expect: {json: {things: 2}}\n    within: 200ms\n";
    let text = judged(Crook::Honest, again).await.failure_text();
    assert_eq!(text.matches("GET /things: HTTP 200").count(), 1, "{text}");
}

#[tokio::test]
async fn on_a_terminal_a_failure_is_as_wide_as_it_is_and_says_its_clause_once() {
    let case = &red_run().await.cases[0];
    let sentence = &case.findings[0].sentence;
    for columns in [60, 80, 120] {
        let text = case.failure_text_within(columns);
        let too_wide = text
            .lines()
            .find(|line| line.chars().count() > columns && !line.starts_with("  rerun: "));
        assert_eq!(too_wide, None, "in {columns} columns:\n{text}");
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(words(&text).matches(&words(sentence)).count(), 1, "{text}");
    }
    assert_eq!(case.failure_text().matches(sentence.as_str()).count(), 1);
}

#[tokio::test]
async fn all_that_differs_is_shown_with_the_values_of_variables() {
    let server = Server::start(Crook::Shouts).await;
    let text = SHOUTED.replace(
        "{count: 1, echo: hello}",
        "{count: 9, echo: '${uid.x}', of: {$regex: '\\d+'}}",
    );
    let run = run_against(&server, &[scenario("echo/x", &text)], options()).await;
    let text = run.cases[0].failure_text();
    for line in [
        "    expected  ann: 9 at /count\n",
        "    actual    ann: 1\n",
        "              /of: expected a string like /\\d+/, got nothing there\n",
        "    in        {\"count\":1,\"echo\":\"HELLO\"}\n",
    ] {
        assert!(text.contains(line), "no {line}: {text}");
    }
    assert!(
        text.contains("    differs   /echo: expected \"") && text.contains("got \"HELLO\"\n"),
        "{text}"
    );
    assert!(!text.contains("expected \"${"), "{text}");
    let json = run.to_json();
    assert_eq!(
        json["cases"][0]["failure"]["findings"][0]["differences"]
            .as_array()
            .unwrap()
            .len(),
        3
    );
}

#[tokio::test]
async fn the_json_has_the_keys_that_scripts_rely_on() {
    let json = red_run().await.to_json();
    assert_eq!(json["schema"], "touchstone.conform/1");
    assert_eq!(json["verdict"], "failed");
    let summary = serde_json::json!({
        "total": 2, "passed": 0, "failed": 1, "non_strict": 0, "informational": 0, "skipped": 1,
        "could_not_run": 0, "known_failing": 0, "unexpectedly_passed": 0, "second_attempts": 0,
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
    let Some(Block::Details { blocks, .. }) = document.sections[0].blocks.first() else {
        panic!("{:?}", document.sections[0])
    };
    let [Block::Text(again), Block::Code(failure)] = &blocks[..] else {
        panic!("{blocks:?}")
    };
    assert_eq!(again, "Run it again: `touchstone conform run 'echo/x'`");
    assert!(
        failure.starts_with("FAILED echo/x") && !failure.contains("rerun"),
        "{failure}"
    );
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

#[tokio::test]
async fn a_result_that_was_written_is_read_as_it_was() {
    let server = Server::start(Crook::Shouts).await;
    let skipped = SHOUTED.replace("actors:", "requires: [faults.store]\nactors:");
    let broken = SHOUTED.replace(
        "given: [{connect: ann}]",
        "given: [{connect: ann}, {ann.expect: {a: b}}]",
    );
    let scenarios = [
        scenario("echo/x", SHOUTED),
        scenario("echo/y", &skipped),
        scenario("echo/z", &broken),
    ];
    let traced = Options {
        trace: true,
        patterns: vec!["echo/*".parse().unwrap()],
        ..options()
    };
    let run = run_against(&server, &scenarios, traced).await;
    let written = run.to_json();
    let read = json::read(&written.to_string()).unwrap();
    assert_eq!(read.to_json(), written);
    assert_eq!(read.document(), run.document());
    let outcomes = |run: &Run| {
        let cases = run.suites().suites.into_iter().flat_map(|suite| suite.cases);
        cases.map(|case| (case.name, case.outcome)).collect::<Vec<_>>()
    };
    assert_eq!(outcomes(&read), outcomes(&run));
    let texts = |run: &Run| {
        run.cases
            .iter()
            .map(|case| case.failure_text())
            .collect::<Vec<_>>()
    };
    assert_eq!(texts(&read), texts(&run));
    assert_eq!(read.only, ["echo/*"]);
    // As `check` leaves it.
    let check = serde_json::json!({"schema": "touchstone.check/1", "conform": written});
    assert_eq!(json::read(&check.to_string()).unwrap().to_json(), written);
}

#[test]
fn what_is_no_result_is_told_from_one() {
    for (text, why) in [
        ("{", "it is not JSON"),
        ("{}", "its `schema` is missing"),
        (
            r#"{"schema": "touchstone.load/1"}"#,
            "its `schema` is `touchstone.load/1`",
        ),
        (
            r#"{"schema": "touchstone.conform/1"}"#,
            "this version cannot read it: missing field",
        ),
        (r#"{"schema": "touchstone.check/1"}"#, "its `schema` is missing"),
    ] {
        let error = json::read(text).unwrap_err().to_string();
        assert!(error.starts_with(why), "{text}: {error}");
    }
}

#[tokio::test]
async fn a_hole_is_named_with_what_would_fill_it() {
    let run = red_run().await;
    let holes = run.coverage.holes();
    let fill = |kind, name: &str| {
        let hole = holes.iter().find(|hole| hole.kind == kind && hole.name == name);
        hole.map(|hole| hole.fill.as_str())
    };
    assert_eq!(
        fill(HoleKind::Clause, "echo/2a"),
        None,
        "it failed, so it was looked at"
    );
    assert_eq!(
        fill(HoleKind::Clause, "echo/2c"),
        Some("a scenario with `rule: echo/2c`, or with a step or field under this clause")
    );
    assert_eq!(fill(HoleKind::Message, "answer, from the server, on echo"), None);
    assert_eq!(
        fill(HoleKind::Message, "bye, from the server, on echo"),
        Some("a scenario of echo that makes the server send `bye`, and expects it")
    );
    assert_eq!(
        fill(HoleKind::CloseCode, "1003 on echo"),
        Some(
            "a scenario of echo in which the client closes, with `close: {code: 1003}`: the client's own; answered with the same"
        )
    );
    let document = run.coverage_document();
    assert_eq!(document.verdict, Verdict::Failed);
    assert_eq!(document.headline, format!("{} holes", holes.len()));
    let waiting: Vec<_> = run
        .coverage
        .waiting()
        .into_iter()
        .map(|waiting| (waiting.name, waiting.needs))
        .collect();
    assert!(
        waiting.contains(&("echo/6g".to_owned(), "redis".to_owned())),
        "{waiting:?}"
    );
    assert!(fill(HoleKind::Clause, "echo/6g").is_none());
    let json = run.coverage_report_json();
    assert_eq!(json["schema"], "touchstone.coverage/1");
    assert_eq!(json["holes"].as_array().unwrap().len(), holes.len());
}

#[tokio::test]
async fn a_clause_whose_cases_were_skipped_is_a_hole_that_says_why() {
    let server = Server::start(Crook::Honest).await;
    let skipped = SHOUTED.replace("actors:", "requires: [faults.store]\nactors:");
    let run = run_against(&server, &[scenario("echo/y", &skipped)], options()).await;
    let holes = run.coverage.holes();
    let hole = holes.iter().find(|hole| hole.name == "echo/2a").unwrap();
    assert!(
        hole.fill
            .starts_with("its cases were not judged: the target has no `faults.store`"),
        "{hole:?}"
    );
}

#[tokio::test]
async fn two_servers_stand_side_by_side_with_what_differs() {
    let shouting = red_run().await;
    let honest = Server::start(Crook::Honest).await;
    let honest = run_against(&honest, &[scenario("echo/x", SHOUTED)], options()).await;
    let (shouting_target, honest_target) = (shouting.target.clone(), honest.target.clone());
    let sides = SideBySide::new(vec![("a".to_owned(), shouting), ("b".to_owned(), honest)]);
    let json = sides.to_json();
    assert_eq!(json["schema"], "touchstone.side-by-side/1");
    assert_eq!(json["verdict"], "failed");
    let clauses = json["clauses"].as_array().unwrap();
    let row = clauses.iter().find(|row| row["id"] == "echo/2a").unwrap();
    let cells =
        serde_json::json!([{"verdict": "failed", "cases": ["echo/x"]}, {"verdict": "passed", "cases": []}]);
    assert_eq!((&row["cells"], &row["differs"]), (&cells, &true.into()));
    let document = sides.document(Extent::Differences);
    assert_eq!(
        document.headline,
        format!("1 of {} clauses differs", clauses.len())
    );
    let text = terminal::render(
        &document,
        terminal::Options {
            columns: 80,
            palette: Palette::Plain,
            detail: Detail::Full,
        },
    );
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    assert!(
        text.contains("✘ failed: echo/x") && text.contains("✔ holds"),
        "{text}"
    );
    let page = touchstone_report::html::render(&sides.document(Extent::Everything)).unwrap();
    for part in [&shouting_target, &honest_target, "All clauses", "echo/2c"] {
        assert!(
            page.contains(part.replace('/', "&#x2f;").as_str()) || page.contains(part),
            "no {part}"
        );
    }
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
