//! Frames, on cases that are about something else.

use crate::crooked::Crook;
use crate::judge::check;

const ANY: &str = "
title: something comes back
rule: echo/2a
actors: {ann: {}}
given: [{connect: ann}]
steps:
  - ann.send: hello
  - ann.expect: hi
";

const PING: &str = "
title: a ping is answered
rule: echo/2a
steps:
  - connect: {as: c}
  - c.raw: {op: ping, payload: alive}
  - c.ponged: alive
";

const PING_UNHEEDED: &str = "
title: nobody waits for the pong
rule: echo/2a
steps:
  - connect: {as: c}
  - c.raw: {op: ping, payload: alive}
";

const CLOSE: &str = "
title: a close is answered
rule: echo/2a
steps:
  - connect: {as: c}
  - c.raw: {op: close, code: 1000}
  - c.closed: {code: 1000}
";

#[tokio::test]
async fn a_frame_that_breaks_the_rfc_fails_whatever_the_case_is_about() {
    check(&[
        ("masked", Crook::Masks, ANY, "failed message rfc6455/5.1-masked"),
        (
            "lengths",
            Crook::LongLengths,
            ANY,
            "non_strict message rfc6455/5.2-length",
        ),
        (
            "reserved bit",
            Crook::Reserved,
            ANY,
            "failed message rfc6455/5.2-rsv",
        ),
        (
            "data after close",
            Crook::Babbles,
            CLOSE,
            "failed clean rfc6455/5.5.1-close",
        ),
    ])
    .await;
}

#[tokio::test]
async fn a_ping_owes_a_pong_also_where_nobody_waits_for_it() {
    check(&[
        ("ponged", Crook::Honest, PING, "passed"),
        (
            "not ponged",
            Crook::PongsNothing,
            PING,
            "failed message echo/2a rfc6455/5.5.2-ping",
        ),
        (
            "unheeded",
            Crook::PongsNothing,
            PING_UNHEEDED,
            "failed message rfc6455/5.5.2-ping",
        ),
        ("unheeded, ponged", Crook::Honest, PING_UNHEEDED, "passed"),
    ])
    .await;
}
