//! Ends: the wrong code, no close frame, a reset, TCP left open, an end that nobody expected.

use crate::crooked::Crook;
use crate::judge::check;

const CLOSED: &str = "
title: it closes 1001, cleanly
rule: echo/2a
actors: {ann: {}}
given: [{connect: ann}]
steps:
  - ann.send: hello
  - ann.closed: {code: 1001, reason: so there, clean: {$value: true, $clause: echo/2c}}
";

const ENDS: &str = "
title: it ends
rule: echo/2a
actors: {ann: {}}
given: [{connect: ann}]
steps:
  - ann.send: hello
  - ann.ends: {}
    within: 1s
";

const OURS: &str = "
title: our close is answered
rule: echo/2a
actors: {ann: {}}
given: [{connect: ann}]
steps:
  - ann.close: {code: 1000}
  - ann.closed: {code: 1000, clean: true}
";

const UNEXPECTED: &str = "
title: nothing happens
rule: echo/2a
actors: {ann: {}}
given: [{connect: ann}]
steps:
  - ann.send: hello
";

const SILENCE: &str = "
title: silence, and a close is none
rule: echo/2a
actors: {ann: {}}
given: [{connect: ann}]
steps:
  - ann.send: hello
  - nothing: {on: [ann], for: 150ms}
";

const WITHOUT_FRAME: &str = "
title: TCP ends without a close frame
rule: echo/2a
actors: {ann: {}}
given: [{connect: ann}]
steps:
  - ann.send: hello
  - ann.closed: {code: none}
";

#[tokio::test]
async fn the_right_end_passes() {
    check(&[
        ("closed", Crook::Closes(1001), CLOSED, "passed"),
        ("ends", Crook::Drops, ENDS, "passed"),
        ("ours", Crook::Honest, OURS, "passed"),
        ("without a close frame", Crook::Drops, WITHOUT_FRAME, "passed"),
    ])
    .await;
}

#[tokio::test]
async fn a_wrong_end_fails() {
    check(&[
        (
            "another code",
            Crook::Closes(1002),
            CLOSED,
            "failed close echo/2a",
        ),
        (
            "no close frame",
            Crook::Drops,
            CLOSED,
            "failed close clean echo/2a echo/2c",
        ),
        (
            "a reset",
            Crook::Resets,
            CLOSED,
            "failed close clean echo/2a echo/2c",
        ),
        ("still open", Crook::Mute, CLOSED, "failed close echo/2a"),
        (
            "an answer, and open",
            Crook::Honest,
            ENDS,
            "failed timing echo/2a",
        ),
        (
            "a close frame, where none should be",
            Crook::Closes(1000),
            WITHOUT_FRAME,
            "failed close echo/2a",
        ),
        ("TCP left open", Crook::Lingers, OURS, "failed clean echo/2a"),
    ])
    .await;
}

#[tokio::test]
async fn an_end_that_nobody_expected_fails() {
    check(&[
        ("closed", Crook::Closes(1000), UNEXPECTED, "failed close echo/2a"),
        ("dropped", Crook::Drops, UNEXPECTED, "failed close echo/2a"),
        (
            "closed in silence",
            Crook::Closes(1000),
            SILENCE,
            "failed extra echo/2a",
        ),
        (
            "dropped in silence",
            Crook::Drops,
            SILENCE,
            "failed extra echo/2a",
        ),
        ("silence", Crook::Mute, SILENCE, "passed"),
    ])
    .await;
}

#[tokio::test]
async fn whoever_sends_to_a_closed_connection_is_told() {
    let yaml = format!("{ENDS}  - ann.send: again\n");
    check(&[("closed", Crook::Closes(1000), &yaml, "failed close echo/2a")]).await;
}

const RAW: &str = "
title: a raw actor's protocol error is answered by a close, and TCP ends
rule: echo/2a
steps:
  - connect: {as: c}
  - c.raw: {op: 3, payload: x}
  - c.closed: {code: 1000, clean: true}
";

const RESET: &str = "
title: a connection that was reset is no surprise, and another one works
rule: echo/2a
actors: {ann: {}}
given: [{connect: ann}]
steps:
  - ann.tcp: reset
  - connect: ann
  - ann.send: hello
  - ann.expect: {count: 1}
";

const NOT_READING: &str = "
title: what is not read does not arrive
rule: echo/2a
actors: {ann: {}}
given: [{connect: ann}]
steps:
  - ann.tcp: stop_reading
  - ann.send: hello
  - nothing: {on: [ann], for: 100ms}
  - ann.tcp: resume_reading
  - ann.expect: {count: 1}
";

const HALF_CLOSED: &str = "
title: TCP ends after our half has
rule: echo/2a
actors: {ann: {}}
given: [{connect: ann}]
steps:
  - ann.tcp: half_close
  - ann.closed: {code: none}
";

#[tokio::test]
async fn a_raw_actor_completes_a_close_that_has_to_be_clean() {
    check(&[
        (
            "left open",
            Crook::Lingers,
            RAW,
            "failed clean echo/2a rfc6455/5.5.1-close",
        ),
        ("ended", Crook::ClosesByHand, RAW, "passed"),
        (
            "ended by a reset",
            Crook::ClosesThenResets,
            RAW,
            "non_strict clean rfc6455/7.1.1-tcp",
        ),
        ("nothing", Crook::PongsNothing, RAW, "failed close echo/2a"),
    ])
    .await;
}

#[tokio::test]
async fn what_is_done_to_tcp_happens() {
    check(&[
        ("reset", Crook::Honest, RESET, "passed"),
        ("not reading", Crook::Honest, NOT_READING, "passed"),
        ("half closed", Crook::Honest, HALF_CLOSED, "passed"),
        (
            "half closed, and no end",
            Crook::Deaf,
            HALF_CLOSED,
            "failed close echo/2a",
        ),
    ])
    .await;
}

#[tokio::test]
async fn a_wrong_code_belongs_to_its_own_clause() {
    let under = CLOSED.replace("code: 1001", "code: {$value: 1001, $clause: echo/3a}");
    check(&[(
        "another code",
        Crook::Closes(1000),
        &under.replace("reason: so there, ", ""),
        "informational close echo/3a",
    )])
    .await;
}
