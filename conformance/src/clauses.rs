//! Which clauses a step looks at besides its case's own: for coverage and `explain`.

use touchstone_scenarios::rules::ClauseId;
use touchstone_scenarios::scenario::{
    Action, ClosedMatcher, Expected, Matcher, MatcherKind, MessageMatcher, ResponseMatcher, Scenario, Step,
};

use crate::select::Case;

/// The step's own clause and those of its fields, in the order of the file. Steps inside of it are not looked into.
#[must_use]
pub fn clauses_of(step: &Step) -> Vec<ClauseId> {
    let mut found: Vec<ClauseId> = step.clause.iter().map(|clause| clause.value.clone()).collect();
    match &step.action {
        Action::Expect { expected, .. } => match expected {
            Expected::Next(message) => in_message(message, &mut found),
            Expected::InOrder(messages)
            | Expected::AnyOrder(messages)
            | Expected::AnyOrderPreserving { of: messages, .. } => {
                messages
                    .iter()
                    .for_each(|message| in_message(message, &mut found));
            }
        },
        Action::Closed { matcher, .. } | Action::ClosedAllButOne { matcher, .. } => {
            in_closed(matcher, &mut found);
        }
        Action::Refused { response, .. } | Action::Http { response, .. } => in_response(response, &mut found),
        Action::HttpAtOnce { responses, .. } => {
            responses
                .iter()
                .for_each(|response| in_response(response, &mut found));
        }
        Action::Handshake { response, .. } => {
            response
                .iter()
                .for_each(|response| in_response(response, &mut found));
        }
        Action::Log { matcher } | Action::Events { matcher, .. } => in_matcher(matcher, &mut found),
        Action::Connect { .. }
        | Action::ConnectAs { .. }
        | Action::Send { .. }
        | Action::SendBinary { .. }
        | Action::Raw { .. }
        | Action::Nothing { .. }
        | Action::Close { .. }
        | Action::Ends { .. }
        | Action::Ponged { .. }
        | Action::Pinged { .. }
        | Action::Tcp { .. }
        | Action::Inject { .. }
        | Action::Introduce
        | Action::Operate(_)
        | Action::Kill
        | Action::Unlogged { .. }
        | Action::Fault(_)
        | Action::Stop { .. }
        | Action::Stopped { .. }
        | Action::Start
        | Action::Metrics { .. }
        | Action::Pause(_)
        | Action::Interleave { .. }
        | Action::Table(_) => {}
    }
    found
}

/// Every clause that the judged part of a scenario looks at, its own first, rows and lanes included.
#[must_use]
pub fn clauses_of_scenario(scenario: &Scenario) -> Vec<ClauseId> {
    let mut found = vec![scenario.rule.value.clone()];
    in_steps(&scenario.steps, Rows::All, &mut found);
    each_once(found)
}

/// Every clause that a case would look at, its own first: of a table's rows only that of its own row.
#[must_use]
pub fn clauses_of_case(case: &Case) -> Vec<ClauseId> {
    let mut found = vec![case.rule().clone()];
    in_steps(&case.scenario.steps, Rows::None, &mut found);
    each_once(found)
}

fn each_once(found: Vec<ClauseId>) -> Vec<ClauseId> {
    let mut once: Vec<ClauseId> = Vec::new();
    for clause in found {
        if !once.contains(&clause) {
            once.push(clause);
        }
    }
    once
}

/// Whose clauses are looked for, where steps are a table.
#[derive(Clone, Copy)]
enum Rows {
    All,
    None,
}

fn in_steps(steps: &[Step], rows: Rows, found: &mut Vec<ClauseId>) {
    for step in steps {
        found.extend(clauses_of(step));
        match &step.action {
            Action::Table(table) => {
                if matches!(rows, Rows::All) {
                    let rows = table.rows.iter().filter_map(|row| row.clause.as_ref());
                    found.extend(rows.map(|clause| clause.value.clone()));
                }
                in_steps(&table.each, rows, found);
            }
            Action::Interleave { lanes, .. } => {
                lanes.iter().for_each(|(_, steps)| in_steps(steps, rows, found));
            }
            _ => {}
        }
    }
}

fn in_message(message: &MessageMatcher, found: &mut Vec<ClauseId>) {
    match message {
        MessageMatcher::Json(matcher) => in_matcher(matcher, found),
        MessageMatcher::Text(_) | MessageMatcher::Binary(_) | MessageMatcher::Answer(_) => {}
    }
}

fn in_closed(matcher: &ClosedMatcher, found: &mut Vec<ClauseId>) {
    found.extend(matcher.code_clause.iter().map(|clause| clause.value.clone()));
    found.extend(matcher.clean_clause.iter().map(|clause| clause.value.clone()));
    if let Some(reason) = &matcher.reason {
        in_matcher(reason, found);
    }
}

fn in_response(response: &ResponseMatcher, found: &mut Vec<ClauseId>) {
    found.extend(response.status_clause.iter().map(|clause| clause.value.clone()));
    response
        .headers
        .iter()
        .map(|(_, matcher)| matcher)
        .chain(&response.json)
        .for_each(|matcher| {
            in_matcher(matcher, found);
        });
}

fn in_matcher(matcher: &Matcher, found: &mut Vec<ClauseId>) {
    match &matcher.kind {
        MatcherKind::Under { clause, inner } => {
            found.push(clause.value.clone());
            in_matcher(inner, found);
        }
        MatcherKind::Object { fields, .. } => {
            fields.iter().for_each(|(_, matcher)| in_matcher(matcher, found));
        }
        MatcherKind::Array(items) | MatcherKind::AnyOf(items) => {
            items.iter().for_each(|matcher| in_matcher(matcher, found));
        }
        MatcherKind::Contains(inner)
        | MatcherKind::Not(inner)
        | MatcherKind::Optional(inner)
        | MatcherKind::Capture { inner, .. } => {
            in_matcher(inner, found);
        }
        MatcherKind::Value(_)
        | MatcherKind::Type(_)
        | MatcherKind::Regex(_)
        | MatcherKind::RegexFrom(_)
        | MatcherKind::Range { .. }
        | MatcherKind::Length(_)
        | MatcherKind::Absent
        | MatcherKind::Any
        | MatcherKind::Now { .. } => {}
    }
}
