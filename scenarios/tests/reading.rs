//! What a scenario file means: constructs of the language against what is read from them.

use std::sync::Arc;
use std::time::Duration;

use touchstone_protocol::Dialect;
use touchstone_scenarios::diag::Diag;
use touchstone_scenarios::read;
use touchstone_scenarios::rules::Rules;
use touchstone_scenarios::scenario::{
    Action, Client, CodeMatcher, Expected, MatcherKind, MessageMatcher, Orders, Outcome, Payload, Scenario,
    Scope, StatusMatcher,
};
use touchstone_scenarios::source::Source;

const RULES: &str = "
folder: common
clauses:
  - {id: common/1a, basis: doc, rule: Somewhere., dialects: [echo]}
  - {id: common/2a, basis: ours, rule: Everywhere.}
";
const ECHO_RULES: &str = "
dialect: echo
clauses:
  - {id: echo/2a, basis: doc, rule: Each message is answered.}
  - {id: echo/2b, basis: implied, rule: N grows by 1.}
";

fn source(path: &str, text: &str) -> Arc<Source> {
    Arc::new(Source {
        path: path.to_owned(),
        text: text.to_owned(),
    })
}

fn read_as(id: &str, text: &str) -> Result<Scenario, Vec<Diag>> {
    let rules = Rules::read(&[source("common.yaml", RULES), source("echo.yaml", ECHO_RULES)]).unwrap();
    read::scenario(&source("a.yaml", text), id, &rules)
}

/// Reads steps of an echo scenario with the connected actors `ann` and `bob`.
fn steps(steps: &str) -> Vec<Action> {
    let text = format!(
        "title: t\nrule: echo/2a\nactors: {{ann: {{}}, bob: {{}}}}\ngiven: [{{connect: [ann, bob]}}]\nsteps:\n{steps}"
    );
    let scenario = read_as("echo/2a-x", &text).unwrap_or_else(|diags| panic!("{}", diags[0]));
    scenario.steps.into_iter().map(|step| step.action).collect()
}

fn step(text: &str) -> Action {
    let mut read = steps(&format!("  - {text}\n"));
    assert_eq!(read.len(), 1);
    read.remove(0)
}

fn expected(text: &str) -> Expected {
    match step(&format!("ann.expect: {text}")) {
        Action::Expect { expected, .. } => expected,
        other => panic!("{other:?}"),
    }
}

fn json(text: &str) -> MatcherKind {
    match expected(text) {
        Expected::Next(MessageMatcher::Json(matcher)) => matcher.kind,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_folder_says_which_dialects_a_scenario_is_for() {
    let text = |rule: &str, more: &str| {
        format!("title: t\nrule: {rule}\n{more}steps: [{{handshake: {{target: /x}}, expect: 101}}]\n")
    };
    for (id, rule, more, scope) in [
        ("echo/2a-x", "echo/2a", "", Scope::One(Dialect::Echo)),
        ("common/1a-x", "common/1a", "", Scope::Each(vec![Dialect::Echo])),
        (
            "common/2a-x",
            "common/2a",
            "dialects: [echo]\n",
            Scope::Each(vec![Dialect::Echo]),
        ),
        ("rfc6455/5.1", "echo/2a", "", Scope::First),
        ("mine/first", "mine/1a", "", Scope::None),
        (
            "mine/first",
            "echo/2a",
            "dialect: echo\n",
            Scope::One(Dialect::Echo),
        ),
        ("echo/2a-x", "echo/2a", "dialect: none\n", Scope::None),
    ] {
        assert_eq!(
            read_as(id, &text(rule, more)).unwrap().scope,
            scope,
            "{id} {more}"
        );
    }
}

#[test]
fn without_a_dialect_a_scenario_may_be_its_own_clause_but_names_its_paths() {
    let text = "title: t\nactors: {c: {path: /ws}}\nsteps: [{connect: c}, {c.send: hi}, {c.expect: hi}]\n";
    assert_eq!(read_as("mine/first", text).unwrap().rule.value.0, "mine/first");
    let text = "title: t\nactors: {c: {}}\nsteps: [{connect: c}]\n";
    assert_eq!(read_as("mine/first", text).unwrap_err()[0].code, "missing-key");
}

#[test]
fn payloads_are_what_they_look_like() {
    for (text, check) in [
        ("hello", "Text"),
        ("\"${uid.x}\"", "Text"),
        ("{type: ping}", "Json"),
        ("[1, 2]", "Json"),
        ("{hex: \"00 ff\"}", "Hex"),
        ("{repeat: x, times: 5}", "Repeat"),
        ("{repeat: x, times: 5, more: 1}", "Json"),
        ("{$json: {hex: ff}}", "Json"),
    ] {
        let Action::Send { payload, .. } = step(&format!("ann.send: {text}")) else {
            panic!("{text}")
        };
        let kind = match payload {
            Payload::Text(_) => "Text",
            Payload::Json(_) => "Json",
            Payload::Hex(_) => "Hex",
            Payload::Repeat { .. } => "Repeat",
        };
        assert_eq!(kind, check, "{text}");
    }
}

#[test]
fn expectations_are_one_message_several_or_any_order() {
    assert!(matches!(
        expected("hello"),
        Expected::Next(MessageMatcher::Text(_))
    ));
    assert!(matches!(
        expected("{$text: hello}"),
        Expected::Next(MessageMatcher::Text(_))
    ));
    assert!(matches!(
        expected("{$binary: {hex: ff}}"),
        Expected::Next(MessageMatcher::Binary(Payload::Hex(_)))
    ));
    assert!(matches!(
        expected("{$json: [1]}"),
        Expected::Next(MessageMatcher::Json(_))
    ));
    assert!(matches!(expected("5"), Expected::Next(MessageMatcher::Json(_))));
    assert!(matches!(expected("[{a: 1}, hello]"), Expected::InOrder(of) if of.len() == 2));
    assert!(matches!(expected("{$any_order: [{a: 1}, {b: 1}]}"), Expected::AnyOrder(of) if of.len() == 2));
    let preserving = expected("{$any_order_preserving: {by: /user, of: [{a: 1}]}}");
    assert!(matches!(preserving, Expected::AnyOrderPreserving { by, .. } if by == "/user"));
    let on = step("expect: {on: [ann, bob], $any_order: true, of: [{a: 1}, {a: 2}]}");
    assert!(matches!(on, Action::Expect { actors, expected: Expected::AnyOrder(_) } if actors.len() == 2));
}

#[test]
fn matchers_wrap_in_the_order_of_their_meaning() {
    let MatcherKind::Object { fields, exact: false } =
        json("{a: {$capture: x, $clause: echo/2b, $type: integer}, $$b: {$any: true}, c: {$absent: true}}")
    else {
        panic!("not an object");
    };
    let names: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["a", "$b", "c"]);
    let MatcherKind::Under { clause, inner } = &fields[0].1.kind else {
        panic!("no clause")
    };
    assert_eq!(clause.value.0, "echo/2b");
    let MatcherKind::Capture { name, inner } = &inner.kind else {
        panic!("no capture")
    };
    assert_eq!(name, "x");
    assert!(matches!(inner.kind, MatcherKind::Type(_)));
    assert!(matches!(fields[1].1.kind, MatcherKind::Any));
    assert!(matches!(fields[2].1.kind, MatcherKind::Absent));
    assert!(matches!(
        json("{$exact: {}}"),
        MatcherKind::Object { exact: true, .. }
    ));
    assert!(matches!(
        json("{a: {$type: [string, null]}}"),
        MatcherKind::Object { .. }
    ));
}

#[test]
fn a_regular_expression_matches_from_start_to_end() {
    let MatcherKind::Object { fields, .. } = json("{a: {$regex: \"a|b\"}}") else {
        panic!("not an object")
    };
    let MatcherKind::Regex(regex) = &fields[0].1.kind else {
        panic!("not a regular expression")
    };
    assert!(regex.is_match("a") && regex.is_match("b") && !regex.is_match("ab") && !regex.is_match("b\n"));
}

#[test]
fn a_capture_is_a_variable_from_the_next_step_on() {
    let read = steps(
        "  - ann.expect: {n: {$capture: n}}\n  - ann.send: {n: \"${n}\", m: \"${n/deep/0}\", f: \"${n.field}\"}\n",
    );
    assert_eq!(read.len(), 2);
}

#[test]
fn what_holds_for_a_step_stands_beside_the_verb_or_in_its_value() {
    let text = "title: t\nrule: echo/2a\nactors: [c]\ngiven: [{connect: c}]\nsteps:
  - c.ends: {within: 1s}
    clause: echo/2b
  - c.closed: {code: \"${uid}\", clean: {$value: true, $clause: echo/2b}, alternatives: [{code: none, why: w}]}
    within: [100ms, 2s]
";
    let scenario = read_as("echo/2a-x", text).unwrap();
    let [ends, closed] = scenario.steps.as_slice() else {
        panic!("two steps")
    };
    assert_eq!(ends.clause.as_ref().unwrap().value.0, "echo/2b");
    assert_eq!(
        ends.within.as_ref().unwrap().to.evaluate(&|_| None),
        Ok(Duration::from_secs(1))
    );
    assert!(closed.within.as_ref().unwrap().from.is_some());
    let Action::Closed { matcher, .. } = &closed.action else {
        panic!("not closed")
    };
    assert_eq!(matcher.clean, Some(true));
    assert_eq!(matcher.clean_clause.as_ref().unwrap().value.0, "echo/2b");
    let Outcome::Closed(alternative) = &closed.alternatives[0].outcome else {
        panic!("not closed")
    };
    assert!(matches!(alternative.code, CodeMatcher::Missing));
    assert_eq!(
        &scenario.source.text[closed.span.start..closed.span.end],
        "c.closed"
    );
}

#[test]
fn frames_by_hand_make_the_client_raw() {
    let text = "title: t\nrule: echo/2a\nactors: {ann: {}, bob: {}}\nsteps:
  - connect: [ann, bob]
  - ann.pings: {hex: \"01\"}
  - connect: {as: c}
  - c.raw: [{op: text, payload: hi}]
  - connect: {as: d}
";
    let scenario = read_as("echo/2a-x", text).unwrap();
    let clients: Vec<Client> = scenario
        .actors
        .iter()
        .map(|actor| actor.connection.client)
        .collect();
    assert_eq!(clients, [Client::Raw, Client::Judge]);
    let made: Vec<Client> = scenario
        .steps
        .iter()
        .filter_map(|step| match &step.action {
            Action::ConnectAs { connection, .. } => Some(connection.client),
            _ => None,
        })
        .collect();
    assert_eq!(made, [Client::Raw, Client::Judge]);
}

#[test]
fn statuses_are_numbers_classes_or_variables() {
    let Action::Http { response, request } =
        &steps("  - http: {post: /x, json: {a: 1}}\n    expect: {status: [200, 4xx, \"${uid}\"]}\n")[0]
    else {
        panic!("not http");
    };
    assert_eq!(request.method, "POST");
    assert!(matches!(
        response.status.as_slice(),
        [
            StatusMatcher::Exactly(200),
            StatusMatcher::Class(4),
            StatusMatcher::Variable(_)
        ]
    ));
}

#[test]
fn lanes_speak_for_their_actor() {
    let read = steps(
        "  - interleave:\n      orders: {random: 3, seed: 7}\n      ann: [{send: a}, {expect: {a: 1}}]\n      bob: [{send: b}, {http: {get: /x}, expect: 200}]\n",
    );
    let Action::Interleave { orders, lanes } = &read[0] else {
        panic!("not interleaved")
    };
    assert_eq!(*orders, Orders::Random { count: 3, seed: 7 });
    let Action::Send { actor, .. } = &lanes[1].1[0].action else {
        panic!("not a send")
    };
    assert_eq!(actor.value, "bob");
}

#[test]
fn a_row_is_judged_under_its_own_clause() {
    let text = "title: t\nrule: echo/2a\nsteps:
  - table:
      columns: [name, clause, raw, code]
      rows:
        - [one, echo/2b, {op: text}, 1002]
        - [two, null, [{op: 3}, {op: cont}], none]
    each:
      - connect: {as: c}
      - c.raw: \"${raw}\"
      - c.closed: \"${code}\"
";
    let scenario = read_as("echo/2a-x", text).unwrap();
    let Action::Table(table) = &scenario.steps[0].action else {
        panic!("not a table")
    };
    assert_eq!(table.rows[0].clause.as_ref().unwrap().value.0, "echo/2b");
    assert!(table.rows[1].clause.is_none());
    assert_eq!(table.rows[1].cells[3].value, "none");
    assert_eq!(table.each.len(), 3);
}

#[test]
fn places_are_right_with_a_byte_order_mark_and_with_windows_line_ends() {
    for text in [
        "\u{feff}title: t\nrule: echo/2a\nactors: [ann]\nsteps:\n  - connect: ann\n  - \"ann.sned\": é\n",
        "title: t\r\nrule: echo/2a\r\nactors: [ann]\r\nsteps:\r\n  - connect: ann\r\n  - 'ann.sned': é\r\n",
    ] {
        let diags = read_as("echo/2a-x", text).unwrap_err();
        let shown: Vec<String> = diags.iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            ["a.yaml:6:10: `sned` is not a verb of an actor (did you mean `send`?)"],
            "{text:?}"
        );
    }
}
