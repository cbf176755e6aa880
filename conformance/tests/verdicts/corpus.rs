//! Every clause, every kind of message in each direction and every close code of the rules is what some scenario is about.
//!
//! What crosses the wire is counted in a run: `touchstone conform coverage` lists the holes, and `touchstone check` of the
//! whole suite fails by one. Here is told, without a server, what no run could ever see.

use std::collections::BTreeSet;
use std::fmt::Write;

use touchstone_conformance::clauses::clauses_of_scenario;
use touchstone_protocol::Dialect;
use touchstone_scenarios::builtin_scenarios;
use touchstone_scenarios::rules::{Clause, Direction, MessageKind, Rules, SentBy, Shape};
use touchstone_scenarios::scenario::{Action, MatcherKind, Scenario, Scope, Step};

/// What scenarios write down, as words.
#[derive(Default)]
struct Words {
    sent: BTreeSet<String>,
    expected: BTreeSet<String>,
}

impl Words {
    fn of(scenarios: &[&Scenario]) -> Self {
        let mut words = Self::default();
        for scenario in scenarios {
            let mut texts = Texts::default();
            texts.steps(&scenario.given);
            texts.steps(&scenario.steps);
            // A variable may be sent as well as expected.
            let either = format!("{:?}", scenario.variables);
            words.sent.extend(split(&(texts.sent + &either)));
            words.expected.extend(split(&(texts.expected + &either)));
        }
        words
    }
}

#[derive(Default)]
struct Texts {
    sent: String,
    expected: String,
}

impl Texts {
    fn steps(&mut self, steps: &[Step]) {
        for step in steps {
            let _cannot_fail = match &step.action {
                Action::Send { .. }
                | Action::SendBinary { .. }
                | Action::Raw { .. }
                | Action::Close { .. } => {
                    write!(self.sent, "{:?}", step.action)
                }
                Action::Table(table) => {
                    self.steps(&table.each);
                    for cell in table.rows.iter().flat_map(|row| &row.cells) {
                        let cell = format!("{:?} ", cell.value);
                        self.sent.push_str(&cell);
                        self.expected.push_str(&cell);
                    }
                    Ok(())
                }
                Action::Interleave { lanes, .. } => {
                    lanes.iter().for_each(|(_, steps)| self.steps(steps));
                    Ok(())
                }
                _ => write!(self.expected, "{:?} {:?} ", step.action, step.alternatives),
            };
        }
    }
}

/// The words of a text, without the places in files, whose numbers may be anything.
fn split(text: &str) -> BTreeSet<String> {
    let (first, rest) = text.split_once("Span {").unwrap_or((text, ""));
    let behind = rest.split("Span {").filter_map(|part| part.split_once('}'));
    let text = behind.fold(first.to_owned(), |text, (_, behind)| text + " " + behind);
    let words = text.split(|c: char| !(c.is_alphanumeric() || "._-".contains(c)));
    words.map(str::to_owned).collect()
}

fn is_of(scenario: &Scenario, dialect: Dialect) -> bool {
    match &scenario.scope {
        Scope::One(one) => *one == dialect,
        Scope::Each(each) => each.contains(&dialect),
        Scope::First | Scope::None => Dialect::ALL[0] == dialect,
    }
}

/// What a message of this kind cannot do without: `type`, and its value.
fn words_of(kind: &MessageKind) -> Vec<String> {
    let Shape::Json(matcher) = &kind.shape else {
        return Vec::new();
    };
    let MatcherKind::Object { fields, .. } = &matcher.kind else {
        return Vec::new();
    };
    let words = fields.iter().flat_map(|(key, matcher)| {
        let value = match &matcher.kind {
            MatcherKind::Value(template) => template.value.as_str().map(str::to_owned),
            _ => None,
        };
        [Some(key.value.clone()), value].into_iter().flatten()
    });
    words.collect()
}

/// Whether some scenario asks for what the clause needs: then it can be looked at somewhere.
fn is_within_reach(clause: &Clause, scenarios: &[Scenario]) -> bool {
    clause.needs.as_ref().is_none_or(|needs| {
        let mut keys = scenarios.iter().flat_map(|scenario| &scenario.requires);
        keys.any(|key| key.value == *needs)
    })
}

fn unnamed(rules: &Rules, scenarios: &[Scenario]) -> Vec<String> {
    let looked_at: BTreeSet<_> = scenarios.iter().flat_map(clauses_of_scenario).collect();
    let clauses = rules
        .clauses()
        .filter(|clause| is_within_reach(clause, scenarios) && !looked_at.contains(&clause.id));
    let mut missing: Vec<_> = clauses.map(|clause| format!("clause {}", clause.id)).collect();
    for dialect in Dialect::ALL {
        let folder = rules.dialect(*dialect).unwrap();
        let of_dialect: Vec<_> = scenarios
            .iter()
            .filter(|scenario| is_of(scenario, *dialect))
            .collect();
        let mut words = Words::of(&of_dialect);
        words
            .expected
            .extend(split(&format!("{:?}", folder.habits.greeting)));
        for kind in &folder.messages {
            let written = match kind.direction {
                Direction::Up => &words.sent,
                Direction::Down => &words.expected,
            };
            if !words_of(kind).iter().all(|word| written.contains(word)) {
                missing.push(format!(
                    "message {} {} on {dialect}",
                    kind.direction.name(),
                    kind.kind
                ));
            }
        }
        for close in &folder.close_codes {
            let code = close.code.to_string();
            let (up, down) = match close.sent_by {
                SentBy::Server => (false, true),
                SentBy::Client => (true, false),
                SentBy::Both => (true, true),
            };
            if (up && !words.sent.contains(&code)) || (down && !words.expected.contains(&code)) {
                missing.push(format!("close code {code} on {dialect}"));
            }
        }
    }
    missing
}

#[test]
fn every_clause_message_and_close_code_is_named_by_a_scenario() {
    let scenarios = builtin_scenarios().unwrap();
    assert_eq!(unnamed(Rules::builtin(), &scenarios), Vec::<String>::new());
}

#[test]
fn what_only_one_scenario_names_is_missed_without_it() {
    let mut scenarios = builtin_scenarios().unwrap();
    for (id, missed) in [
        ("common/7a-slow-consumer-direct", "close code 1008 on direct"),
        ("echo/7d-answered-is-kept", "clause echo/7d"),
    ] {
        let at = scenarios.iter().position(|scenario| scenario.id == id).unwrap();
        let taken = scenarios.remove(at);
        let missing = unnamed(Rules::builtin(), &scenarios);
        assert!(missing.iter().any(|name| name == missed), "{id}: {missing:?}");
        scenarios.push(taken);
    }
    scenarios.retain(|scenario| !is_of(scenario, Dialect::Outbox));
    let missing = unnamed(Rules::builtin(), &scenarios);
    for missed in [
        "message up get_pending on outbox",
        "message down message_generate on outbox",
    ] {
        assert!(missing.iter().any(|name| name == missed), "{missing:?}");
    }
}
