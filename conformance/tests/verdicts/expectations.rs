//! Messages: wrong, missing, doubled, in the wrong order, early, late, uncalled-for.

use crate::crooked::Crook;
use crate::judge::check;

/// A clause of level must; echo/2c is a should, echo/3a a may.
const SEND_AND_EXPECT: &str = "
title: a message comes back
rule: echo/2a
actors: {ann: {}}
given: [{connect: ann}]
steps:
  - ann.send: hello
  - ann.expect: {count: 1, echo: hello}
";

const UNDER_CLAUSES: &str = "
title: each field is judged under its own clause
rule: echo/2a
actors: {ann: {}}
given: [{connect: ann}]
steps:
  - ann.send: hello
  - ann.expect: {count: {$value: 1, $clause: echo/2c}, echo: {$value: hello, $clause: echo/3a}}
";

const TWO_IN_ORDER: &str = "
title: two messages come back in their order
rule: echo/2a
actors: {ann: {}}
given: [{connect: ann}]
steps:
  - ann.send: a
  - ann.send: b
  - expect: {on: [ann], of: [{echo: a}, {echo: b}]}
";

const TWO_IN_ANY_ORDER: &str = "
title: two messages come back
rule: echo/2a
actors: {ann: {}}
given: [{connect: ann}]
steps:
  - ann.send: a
  - ann.send: b
  - expect: {on: [ann], of: {$any_order: [{echo: b}, {echo: a}]}}
";

const SILENCE: &str = "
title: one answer and then silence
rule: echo/2a
actors: {ann: {}}
given: [{connect: ann}]
steps:
  - ann.send: hello
  - ann.expect: {echo: hello}
  - nothing: {on: [ann], for: 150ms}
";

const WINDOW: &str = "
title: the answer comes after 1 s and before 10 s
rule: echo/2a
actors: {ann: {}}
given: [{connect: ann}]
steps:
  - ann.send: hello
  - ann.expect: {echo: hello}
    within: [1s, 10s]
";

const SOON: &str = "
title: the answer comes in time
rule: echo/2a
actors: {ann: {}}
given: [{connect: ann}]
steps:
  - ann.send: hello
  - ann.expect: {echo: hello}
    within: WINDOW
";

const ALTERNATIVE: &str = "
title: an answer, or a known other one
rule: RULE
actors: {ann: {}}
given: [{connect: ann}]
steps:
  - ann.send: hello
  - ann.expect: {count: 1, echo: hello}
    alternatives:
      - {message: {count: 2, echo: hello}, why: it counts otherwise}
      - {closed: {code: 1003}, why: it closes}
      - {nothing: true, why: it says nothing}
";

#[tokio::test]
async fn what_is_right_passes() {
    check(&[
        ("send and expect", Crook::Honest, SEND_AND_EXPECT, "passed"),
        ("under clauses", Crook::Honest, UNDER_CLAUSES, "passed"),
        ("in order", Crook::Honest, TWO_IN_ORDER, "passed"),
        ("in any order", Crook::Honest, TWO_IN_ANY_ORDER, "passed"),
        ("any order, swapped", Crook::Swaps, TWO_IN_ANY_ORDER, "passed"),
        ("silence", Crook::Honest, SILENCE, "passed"),
        ("soon", Crook::Honest, &SOON.replace("WINDOW", "10s"), "passed"),
        ("in its window", Crook::Slow, WINDOW, "passed"),
        (
            "alternative not needed",
            Crook::Honest,
            &ALTERNATIVE.replace("RULE", "echo/2a"),
            "passed",
        ),
    ])
    .await;
}

#[tokio::test]
async fn a_missing_message_fails() {
    check(&[
        ("mute", Crook::Mute, SEND_AND_EXPECT, "failed message echo/2a"),
        (
            "mute, in order",
            Crook::Mute,
            TWO_IN_ORDER,
            "failed message echo/2a",
        ),
        (
            "mute, in any order",
            Crook::Mute,
            TWO_IN_ANY_ORDER,
            "failed message echo/2a",
        ),
        ("dropped", Crook::Drops, SEND_AND_EXPECT, "failed message echo/2a"),
        (
            "closed",
            Crook::Closes(1000),
            SEND_AND_EXPECT,
            "failed message echo/2a",
        ),
    ])
    .await;
}

#[tokio::test]
async fn a_wrong_field_weighs_what_its_clause_owes() {
    check(&[
        ("must", Crook::Shouts, SEND_AND_EXPECT, "failed message echo/2a"),
        (
            "should",
            Crook::CountsWrong,
            UNDER_CLAUSES,
            "non_strict message echo/2c",
        ),
        (
            "may",
            Crook::Shouts,
            UNDER_CLAUSES,
            "informational message echo/3a",
        ),
    ])
    .await;
}

#[tokio::test]
async fn order_is_judged_where_it_is_asked_for() {
    check(&[("swapped", Crook::Swaps, TWO_IN_ORDER, "failed order echo/2a")]).await;
}

#[tokio::test]
async fn what_nobody_expected_fails() {
    check(&[
        ("doubled", Crook::Twice, SEND_AND_EXPECT, "failed extra echo/2a"),
        (
            "doubled, in silence",
            Crook::Twice,
            SILENCE,
            "failed extra echo/2a",
        ),
        (
            "doubled, on the way",
            Crook::Twice,
            TWO_IN_ORDER,
            "failed extra echo/2a",
        ),
        (
            "before it",
            Crook::Greets,
            SEND_AND_EXPECT,
            "failed extra echo/2a",
        ),
        (
            "at the end",
            Crook::Mumbles,
            SEND_AND_EXPECT,
            "failed extra echo/2a",
        ),
    ])
    .await;
}

#[tokio::test]
async fn what_is_ignored_is_set_aside_and_counted() {
    let ignoring = SEND_AND_EXPECT.replace("steps:", "ignore: [{hello: you}, {by: {$type: string}}]\nsteps:");
    check(&[
        ("before it", Crook::Greets, &ignoring, "passed"),
        ("at the end", Crook::Mumbles, &ignoring, "passed"),
        (
            "not what is ignored",
            Crook::Twice,
            &ignoring,
            "failed extra echo/2a",
        ),
    ])
    .await;
    let case = crate::judge::judged(Crook::Greets, &ignoring).await;
    assert_eq!(case.set_aside, 1);
}

#[tokio::test]
async fn time_is_judged_at_both_edges() {
    check(&[
        ("early", Crook::Honest, WINDOW, "failed timing echo/2a"),
        (
            "late",
            Crook::Slow,
            &SOON.replace("WINDOW", "500ms"),
            "failed timing echo/2a",
        ),
        (
            "never",
            Crook::Mute,
            &SOON.replace("WINDOW", "500ms"),
            "failed timing echo/2a",
        ),
    ])
    .await;
}

#[tokio::test]
async fn an_alternative_is_less_than_right() {
    let must = ALTERNATIVE.replace("RULE", "echo/2a");
    let may = ALTERNATIVE.replace("RULE", "echo/3a");
    check(&[
        (
            "another message",
            Crook::CountsWrong,
            &must,
            "non_strict message echo/2a",
        ),
        (
            "a close",
            Crook::Closes(1003),
            &must,
            "non_strict message echo/2a",
        ),
        ("nothing", Crook::Mute, &must, "non_strict message echo/2a"),
        ("of a may", Crook::Mute, &may, "informational message echo/3a"),
        ("none of them", Crook::Shouts, &must, "failed message echo/2a"),
        (
            "another close",
            Crook::Closes(1002),
            &must,
            "failed message echo/2a",
        ),
    ])
    .await;
    let case = crate::judge::judged(Crook::Mute, &must).await;
    assert_eq!(case.findings[0].alternative.as_deref(), Some("it says nothing"));
}

const KEEPING_ORDER: &str = "
title: two messages come back, in the order in which they were sent
rule: echo/2a
actors: {ann: {}}
given: [{connect: ann}]
steps:
  - ann.send: a
  - ann.send: b
  - expect: {on: [ann], of: {$any_order_preserving: {by: /kind, of: [{echo: a}, {echo: b}]}}}
";

const CAPTURED: &str = "
title: the count goes on from where it was
rule: echo/2a
actors: {ann: {}}
given: [{connect: ann}]
steps:
  - ann.send: a
  - ann.expect: {count: {$capture: first, $type: integer}}
  - ann.send: b
  - ann.expect: {count: \"${first + 1}\"}
";

const LETTER_FOR_LETTER: &str = "
title: not a letter otherwise
rule: echo/2a
actors: {ann: {}}
given: [{connect: ann}]
steps:
  - ann.send: hello
  - ann.expect: '{\"count\":1,\"echo\":\"hello\"}'
";

#[tokio::test]
async fn each_senders_order_is_kept_where_the_rest_is_free() {
    check(&[
        ("kept", Crook::Honest, KEEPING_ORDER, "passed"),
        ("not kept", Crook::Swaps, KEEPING_ORDER, "failed order echo/2a"),
        ("missing", Crook::Mute, KEEPING_ORDER, "failed message echo/2a"),
        (
            "a stranger among them",
            Crook::Greets,
            KEEPING_ORDER,
            "failed message echo/2a",
        ),
    ])
    .await;
}

#[tokio::test]
async fn what_was_captured_is_expected_again() {
    check(&[
        ("goes on", Crook::Honest, CAPTURED, "passed"),
        ("jumps", Crook::CountsWrong, CAPTURED, "failed message echo/2a"),
    ])
    .await;
}

#[tokio::test]
async fn a_text_is_compared_letter_for_letter() {
    check(&[
        ("the same", Crook::Honest, LETTER_FOR_LETTER, "passed"),
        (
            "in capitals",
            Crook::Shouts,
            LETTER_FOR_LETTER,
            "failed message echo/2a",
        ),
    ])
    .await;
}
