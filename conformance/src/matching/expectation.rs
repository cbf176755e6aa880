//! What a matcher accepts, in words: with the values that its variables have at that time, and patterns as they are
//! written.

use touchstone_scenarios::scenario::{JsonType, Matcher, MatcherKind, MessageMatcher, Payload};
use touchstone_scenarios::template::Template;

use super::time::about;
use super::{Environment, quoted, shortened, text_of};

/// What a matcher accepts, in words.
#[must_use]
pub fn expectation(matcher: &Matcher, environment: &Environment<'_>) -> String {
    let all = |matchers: &[Matcher]| {
        let each = matchers.iter().map(|matcher| expectation(matcher, environment));
        each.collect::<Vec<_>>().join(", ")
    };
    match &matcher.kind {
        MatcherKind::Value(template) => value(template, environment),
        MatcherKind::Object { fields, exact } => {
            let fields: Vec<_> = fields
                .iter()
                .map(|(key, matcher)| format!("{}: {}", quoted(key), expectation(matcher, environment)))
                .collect();
            let rest = if *exact { " and nothing else" } else { "" };
            format!("{{{}}}{rest}", fields.join(", "))
        }
        MatcherKind::Array(items) => format!("[{}]", all(items)),
        MatcherKind::Type(kind) => type_name(*kind).to_owned(),
        MatcherKind::Regex(regex) => like(regex.as_str()),
        MatcherKind::RegexFrom(template) => like(&text(template, environment)),
        MatcherKind::Range { min, max } => {
            let edge = |edge: &Option<Template>| {
                edge.as_ref()
                    .map_or_else(|| "…".to_owned(), |edge| value(edge, environment))
            };
            format!("a number within [{}, {}]", edge(min), edge(max))
        }
        MatcherKind::AnyOf(matchers) => format!("one of {}", all(matchers)),
        MatcherKind::Not(inner) => format!("anything but {}", expectation(inner, environment)),
        MatcherKind::Contains(inner) => format!("an array with {}", expectation(inner, environment)),
        MatcherKind::Length(template) => {
            format!("an array or string of length {}", value(template, environment))
        }
        MatcherKind::Optional(inner) => format!("nothing or {}", expectation(inner, environment)),
        MatcherKind::Absent => "no such field".to_owned(),
        MatcherKind::Any => "anything".to_owned(),
        MatcherKind::Now { within, unit } => match within.evaluate(environment.timing) {
            Ok(within) => about(environment.epoch_seconds, within, *unit),
            Err(error) => error.to_string(),
        },
        MatcherKind::Capture { inner, .. } | MatcherKind::Under { inner, .. } => {
            expectation(inner, environment)
        }
    }
}

/// An expected message in words.
#[must_use]
pub fn message_expectation(matcher: &MessageMatcher, environment: &Environment<'_>) -> String {
    match matcher {
        MessageMatcher::Json(matcher) => expectation(matcher, environment),
        MessageMatcher::Text(template) => format!("text {}", value(template, environment)),
        MessageMatcher::Binary(payload) => format!("binary {}", payload_text(payload, environment)),
        MessageMatcher::Answer(payload) => {
            format!("the answer to {}", quoted(&payload_text(payload, environment)))
        }
    }
}

/// A payload as the file writes it, with its variables put in.
fn payload_text(payload: &Payload, environment: &Environment<'_>) -> String {
    match payload {
        Payload::Text(template) | Payload::Json(template) | Payload::Hex(template) => {
            text(template, environment)
        }
        Payload::Repeat { unit, times } => {
            format!("{} × {}", text(unit, environment), text(times, environment))
        }
    }
}

/// A template as JSON with its variables put in; as it is written, where one has no value.
fn value(template: &Template, environment: &Environment<'_>) -> String {
    let resolved = template.resolve(environment.variable);
    shortened(&resolved.unwrap_or_else(|_| template.value.clone()).to_string())
}

/// The same as text: a string without its quotes.
fn text(template: &Template, environment: &Environment<'_>) -> String {
    let resolved = template.resolve(environment.variable);
    shortened(&text_of(resolved.unwrap_or_else(|_| template.value.clone())))
}

/// A pattern as the file writes it, without the anchors that the reader puts around it.
pub(super) fn like(pattern: &str) -> String {
    let written = pattern
        .strip_prefix(r"\A(?:")
        .and_then(|rest| rest.strip_suffix(r")\z"));
    format!("a string like /{}/", shortened(written.unwrap_or(pattern)))
}

pub(super) fn type_name(kind: JsonType) -> &'static str {
    match kind {
        JsonType::Null => "null",
        JsonType::Boolean => "a boolean",
        JsonType::Number => "a number",
        JsonType::Integer => "a whole number",
        JsonType::String => "a string",
        JsonType::Array => "an array",
        JsonType::Object => "an object",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use touchstone_scenarios::source::Span;
    use touchstone_scenarios::template::anchored;

    use super::*;

    fn shown(kind: MatcherKind) -> String {
        let environment = Environment {
            variable: &|name| (name == "ann.id").then(|| json!(7)),
            timing: &|_| None,
            answers: None,
            epoch_seconds: 0.0,
        };
        let matcher = Matcher {
            span: Span::default(),
            kind,
        };
        expectation(&matcher, &environment)
    }

    #[test]
    fn variables_have_their_values_and_patterns_no_anchors() {
        let template = |value| Template::new(value);
        for (kind, expected) in [
            (MatcherKind::Value(template(json!("${ann.id}"))), "7"),
            (
                MatcherKind::Value(template(json!({"to": "user ${ann.id}"}))),
                r#"{"to":"user 7"}"#,
            ),
            (MatcherKind::Value(template(json!("${bob.id}"))), r#""${bob.id}""#),
            (
                MatcherKind::Length(template(json!("${ann.id}"))),
                "an array or string of length 7",
            ),
            (
                MatcherKind::Regex(anchored(r"\d+").unwrap()),
                r"a string like /\d+/",
            ),
            (
                MatcherKind::RegexFrom(template(json!(r"\d{${ann.id}}"))),
                r"a string like /\d{7}/",
            ),
        ] {
            assert_eq!(shown(kind), expected);
        }
    }
}
