//! Handshakes: refused, accepted when they must not be, dropped, unanswered, answered wrongly.

use crate::crooked::Crook;
use crate::judge::check;

const CONNECT: &str = "
title: it upgrades
rule: echo/2a
actors: {ann: {}}
steps:
  - connect: ann
";

const CONNECT_RAW: &str = "
title: it upgrades who writes his own frames
rule: echo/2a
steps:
  - connect: {as: c}
  - c.raw: [{op: ping, payload: x}]
  - c.ponged: x
";

const GIVEN: &str = "
title: it upgrades first
rule: echo/2a
actors: {ann: {}}
given: [{connect: ann}]
steps:
  - ann.send: hello
";

const REFUSED: &str = "
title: no key, no upgrade
rule: echo/2a
steps:
  - handshake: {headers: {Sec-WebSocket-Key: null}}
    expect: {status: 400, upgraded: false}
";

const ACCEPTED: &str = "
title: the accept value is right
rule: echo/2a
steps:
  - handshake: {as: c}
    expect: {upgraded: true}
";

const DROPPED: &str = "
title: half a handshake is dropped
rule: echo/2a
steps:
  - handshake: {}
    expect: {dropped: true}
    within: 1s
";

const CLOSED_OR_REFUSED: &str = "
title: a close code says why
rule: RULE
steps:
  - connect: {as: c}
  - c.send: hello
  - c.closed: {code: 1008}
";

const LISTED: &str = "
title: a listed refusal
rule: echo/2a
steps:
  - connect: {as: c}
    alternatives: [{refused: [429], why: too many}]
  - c.send: hello
  - c.expect: {echo: hello}
";

#[tokio::test]
async fn the_right_answer_passes() {
    check(&[
        ("connect", Crook::Honest, CONNECT, "passed"),
        ("refused", Crook::Honest, REFUSED, "passed"),
        ("accepted", Crook::Honest, ACCEPTED, "passed"),
        ("dropped", Crook::HangsUp, DROPPED, "passed"),
        ("listed, not needed", Crook::Honest, LISTED, "passed"),
    ])
    .await;
}

#[tokio::test]
async fn a_wrong_answer_fails() {
    check(&[
        ("refused", Crook::Refuses(500), CONNECT, "failed message echo/2a"),
        ("dropped", Crook::HangsUp, CONNECT, "failed message echo/2a"),
        ("unanswered", Crook::Stalls, CONNECT, "failed message echo/2a"),
        (
            "wrong accept",
            Crook::WrongAccept,
            CONNECT,
            "failed message echo/2a",
        ),
        (
            "wrong accept, on a connection that stays open",
            Crook::WrongAccept,
            CONNECT_RAW,
            "failed message echo/2a",
        ),
        (
            "wrong accept, by hand",
            Crook::WrongAccept,
            ACCEPTED,
            "failed message echo/2a",
        ),
        (
            "accepted",
            Crook::AcceptsAnything,
            REFUSED,
            "failed message echo/2a",
        ),
        (
            "another status",
            Crook::Refuses(404),
            REFUSED,
            "failed message echo/2a",
        ),
        ("answered", Crook::Honest, DROPPED, "failed message echo/2a"),
        ("neither", Crook::Stalls, DROPPED, "failed message echo/2a"),
        (
            "dropped before its time",
            Crook::HangsUp,
            &DROPPED.replace("within: 1s", "within: [900ms, 5s]"),
            "failed timing echo/2a",
        ),
    ])
    .await;
}

#[tokio::test]
async fn a_preparation_that_goes_otherwise_is_no_verdict() {
    check(&[
        ("refused", Crook::Refuses(500), GIVEN, "could_not_run"),
        ("unanswered", Crook::Stalls, GIVEN, "could_not_run"),
    ])
    .await;
    let case = crate::judge::judged(Crook::Refuses(500), GIVEN).await;
    let reason = case.reason.unwrap();
    assert!(
        reason.contains("step 1 (echo/x.yaml:5, echo/2a)") && reason.contains("HTTP 500"),
        "{reason}"
    );
}

#[tokio::test]
async fn a_refusal_in_place_of_a_close_code_is_an_alternative_everywhere() {
    let must = CLOSED_OR_REFUSED.replace("RULE", "echo/2a");
    let without_send = must.replace("  - c.send: hello\n", "");
    let may = without_send.replace("echo/2a", "echo/1b");
    check(&[
        (
            "403 on a must",
            Crook::Refuses(403),
            &without_send,
            "non_strict message echo/2a",
        ),
        (
            "401 on a may",
            Crook::Refuses(401),
            &may,
            "informational message echo/1b",
        ),
        (
            "404",
            Crook::Refuses(404),
            &without_send,
            "failed message echo/2a",
        ),
        (
            "not where something else is awaited",
            Crook::Refuses(403),
            &must,
            "failed message echo/2a",
        ),
        (
            "listed",
            Crook::Refuses(429),
            LISTED,
            "non_strict message echo/2a",
        ),
        (
            "not listed",
            Crook::Refuses(503),
            LISTED,
            "failed message echo/2a",
        ),
    ])
    .await;
}

const MUST_BE_REFUSED: &str = "
title: this one is refused
rule: echo/2a
actors: {ann: {query: {session: x}}}
steps:
  - ann.refused: {status: [403, 5xx]}
";

#[tokio::test]
async fn who_must_be_refused_is_refused() {
    check(&[
        ("refused", Crook::Refuses(403), MUST_BE_REFUSED, "passed"),
        ("refused by class", Crook::Refuses(503), MUST_BE_REFUSED, "passed"),
        (
            "refused otherwise",
            Crook::Refuses(404),
            MUST_BE_REFUSED,
            "failed message echo/2a",
        ),
        (
            "accepted",
            Crook::Honest,
            MUST_BE_REFUSED,
            "failed message echo/2a",
        ),
        (
            "dropped",
            Crook::HangsUp,
            MUST_BE_REFUSED,
            "failed message echo/2a",
        ),
        (
            "unanswered",
            Crook::Stalls,
            MUST_BE_REFUSED,
            "failed message echo/2a",
        ),
    ])
    .await;
}
