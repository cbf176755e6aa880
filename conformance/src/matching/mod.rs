//! Whether what was seen is what the scenario expects: literal values, never a dialect's message types.

mod closed;
mod expectation;
mod json;
mod nearest;
mod orders;
mod response;
mod time;

use std::time::Duration;

use serde_json::Value;
use touchstone_scenarios::habits::Answers;
use touchstone_scenarios::rules::ClauseId;
use touchstone_scenarios::scenario::{MessageMatcher, Payload};
use touchstone_scenarios::source::Span;
use touchstone_scenarios::template::TemplateError;

pub use closed::{compare_closed, describe_close, unclean, waits_for_tcp};
pub use expectation::{expectation, message_expectation};
pub use json::{compare, same};
pub use nearest::{closeness, differences};
pub use orders::assign;
pub use response::{
    Answer, compare_response, describe as describe_response, expectation as expected_response,
};

use crate::frames::{Content, Message};
use crate::verdict::{Check, Difference};

/// What a matcher may ask for while it looks.
pub struct Environment<'a> {
    /// The value of a variable.
    pub variable: &'a dyn Fn(&str) -> Option<Value>,
    /// The target's own timings, by the name the scenario uses.
    pub timing: &'a dyn Fn(&str) -> Option<Duration>,
    /// What the dialect answers, for `$answer`.
    pub answers: Option<&'a Answers>,
    /// Seconds since the epoch, for `$now`.
    pub epoch_seconds: f64,
}

/// One place at which what was seen is not what was expected.
#[derive(Debug, Clone, PartialEq)]
pub struct Mismatch {
    /// Where in the message: a JSON pointer, empty for all of it.
    pub pointer: String,
    /// In words or JSON.
    pub expected: String,
    /// In words or JSON.
    pub actual: String,
    /// Where the expectation stands in the scenario.
    pub span: Span,
    /// The clause of its own that the place is judged under (`$clause`); without one it is the step's.
    pub clause: Option<ClauseId>,
    /// Which of the sub-verdicts it counts against.
    pub check: Check,
    /// All of the message, where `actual` is a part of it.
    pub whole: Option<String>,
    /// What `actual` and `expected` do not say: every place of a message that differs, or what is otherwise in the
    /// nearest of several candidates.
    pub differences: Vec<Difference>,
}

impl Mismatch {
    /// A mismatch of the whole.
    #[must_use]
    pub fn new(span: Span, expected: impl Into<String>, actual: impl Into<String>, check: Check) -> Self {
        Self {
            pointer: String::new(),
            expected: expected.into(),
            actual: actual.into(),
            span,
            clause: None,
            check,
            whole: None,
            differences: Vec::new(),
        }
    }
}

/// The result of one comparison.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Comparison {
    /// Empty: it matches.
    pub mismatches: Vec<Mismatch>,
    /// What `$capture` took, in order.
    pub captures: Vec<(String, Value)>,
}

impl Comparison {
    /// Whether it is the expected thing, whatever is wrong with fields that are judged under clauses of their own.
    #[must_use]
    pub fn is_recognised(&self) -> bool {
        self.mismatches.iter().all(|mismatch| mismatch.clause.is_some())
    }

    /// Adds what was found at another place of the same thing.
    pub fn extend(&mut self, other: Self) {
        self.mismatches.extend(other.mismatches);
        self.captures.extend(other.captures);
    }

    /// A comparison with one mismatch of the whole.
    #[must_use]
    pub fn mismatch(span: Span, expected: impl Into<String>, actual: impl Into<String>) -> Self {
        Self {
            mismatches: vec![Mismatch::new(span, expected, actual, Check::Message)],
            captures: Vec::new(),
        }
    }
}

/// Compares a message with what is expected.
#[must_use]
pub fn compare_message(
    matcher: &MessageMatcher,
    message: &Message,
    environment: &Environment<'_>,
) -> Comparison {
    match (matcher, &message.content) {
        (MessageMatcher::Answer(payload), _) => compare_answer(payload, message, environment),
        (MessageMatcher::Json(matcher), Content::Text(_)) => match message.json() {
            Some(value) => compare(matcher, value, environment),
            None => Comparison::mismatch(matcher.span, "text that is JSON", describe(&message.content)),
        },
        (MessageMatcher::Text(template), Content::Text(text)) => {
            match template.resolve(environment.variable).map(text_of) {
                Ok(expected) if expected == *text => Comparison::default(),
                Ok(expected) => Comparison::mismatch(template.span, quoted(&expected), quoted(text)),
                Err(error) => Comparison::mismatch(template.span, "a known value", error.to_string()),
            }
        }
        (MessageMatcher::Binary(payload), Content::Binary(bytes)) => {
            match payload_bytes(payload, environment.variable) {
                Ok(expected) if expected == *bytes => Comparison::default(),
                Ok(expected) => Comparison::mismatch(
                    span_of(matcher),
                    describe(&Content::Binary(expected)),
                    describe(&message.content),
                ),
                Err(error) => Comparison::mismatch(span_of(matcher), "a known value", error.to_string()),
            }
        }
        (
            MessageMatcher::Json(_) | MessageMatcher::Text(_),
            Content::Binary(_) | Content::BadText(_) | Content::BadDeflate(..),
        ) => Comparison::mismatch(span_of(matcher), "a text message", describe(&message.content)),
        (MessageMatcher::Binary(_), Content::Text(_) | Content::BadText(_) | Content::BadDeflate(..)) => {
            Comparison::mismatch(span_of(matcher), "a binary message", describe(&message.content))
        }
    }
}

/// What the dialect answers to a text: its matcher stands in the rules, and what went otherwise in the scenario.
fn compare_answer(payload: &Payload, message: &Message, environment: &Environment<'_>) -> Comparison {
    let span = payload_span(payload);
    let text = match payload_bytes(payload, environment.variable) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) => return Comparison::mismatch(span, "a known value", error.to_string()),
    };
    let answers = environment.answers;
    let nothing = answers
        .and_then(|answers| answers.nothing.as_ref())
        .filter(|_| text.is_empty());
    let Some(matcher) = nothing.or(answers.map(|answers| &answers.text)) else {
        return Comparison::mismatch(span, "a dialect that answers", "none");
    };
    let Some(value) = message.json() else {
        return Comparison::mismatch(
            span,
            expectation(matcher, environment),
            describe(&message.content),
        );
    };
    let known = |name: &str| match name {
        "text" => Some(Value::String(text.clone())),
        other => (environment.variable)(other),
    };
    let mut found = compare(
        matcher,
        value,
        &Environment {
            variable: &known,
            ..*environment
        },
    );
    for mismatch in &mut found.mismatches {
        mismatch.span = span;
    }
    found
}

/// Where an expected message stands in its file.
#[must_use]
pub fn span_of(matcher: &MessageMatcher) -> Span {
    match matcher {
        MessageMatcher::Json(matcher) => matcher.span,
        MessageMatcher::Text(template) => template.span,
        MessageMatcher::Binary(payload) | MessageMatcher::Answer(payload) => payload_span(payload),
    }
}

/// Where a payload stands in its file.
#[must_use]
pub fn payload_span(payload: &Payload) -> Span {
    match payload {
        Payload::Text(template) | Payload::Json(template) | Payload::Hex(template) => template.span,
        Payload::Repeat { unit, .. } => unit.span,
    }
}

/// A payload that cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// A variable has no value.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// Not pairs of hexadecimal digits.
    #[error("`{0}` is not hexadecimal")]
    Hex(String),
    /// Not a count, or more than [`PAYLOAD_BYTES_MAX`] together.
    #[error("`times: {0}` is not a number of repetitions that makes at most {PAYLOAD_BYTES_MAX} bytes")]
    Times(String),
}

/// What a scenario may send at once. Autobahn's largest messages are 16 MiB.
pub const PAYLOAD_BYTES_MAX: usize = 32 << 20;

/// The bytes of a payload, after variables are put in.
///
/// # Errors
/// When a variable has no value, or the hexadecimal digits or the number of repetitions are none.
pub fn payload_bytes(
    payload: &Payload,
    variable: &dyn Fn(&str) -> Option<Value>,
) -> Result<Vec<u8>, PayloadError> {
    match payload {
        Payload::Text(template) => written_bytes(template.resolve(variable)?),
        Payload::Json(template) => Ok(template.resolve(variable)?.to_string().into_bytes()),
        Payload::Hex(template) => {
            let text = text_of(template.resolve(variable)?);
            from_hex(&text).ok_or(PayloadError::Hex(text))
        }
        Payload::Repeat { unit, times } => {
            repeated(&text_of(unit.resolve(variable)?), &times.resolve(variable)?)
        }
    }
}

/// The bytes of a payload whose variables are put in, however it is written: text, `{hex}`, `{repeat, times}`,
/// `{$json}`, or any other JSON. A text that was one variable alone may turn out to be any of these.
///
/// # Errors
/// When the hexadecimal digits or the number of repetitions are none.
pub fn written_bytes(value: Value) -> Result<Vec<u8>, PayloadError> {
    let Value::Object(fields) = &value else {
        return Ok(text_of(value).into_bytes());
    };
    let field = |name: &str| fields.get(name);
    match (
        field("hex"),
        field("repeat"),
        field("times"),
        field("$json"),
        fields.len(),
    ) {
        (Some(Value::String(digits)), None, None, None, 1) => {
            from_hex(digits).ok_or_else(|| PayloadError::Hex(digits.clone()))
        }
        (None, Some(unit), Some(times), None, 2) => repeated(&text_of(unit.clone()), times),
        (None, None, None, Some(json), 1) => Ok(json.to_string().into_bytes()),
        _ => Ok(value.to_string().into_bytes()),
    }
}

fn repeated(unit: &str, times: &Value) -> Result<Vec<u8>, PayloadError> {
    times
        .as_u64()
        .and_then(|times| usize::try_from(times).ok())
        .filter(|count| {
            unit.len()
                .checked_mul(*count)
                .is_some_and(|bytes| bytes <= PAYLOAD_BYTES_MAX)
        })
        .map(|count| unit.repeat(count).into_bytes())
        .ok_or_else(|| PayloadError::Times(times.to_string()))
}

/// Hexadecimal digits, spaces between them allowed.
#[must_use]
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text
        .chars()
        .filter(|letter| !letter.is_whitespace())
        .map(|letter| letter.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect::<Option<_>>()?;
    (digits.len().is_multiple_of(2)).then(|| digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

/// A string as it is, anything else as JSON.
#[must_use]
pub fn text_of(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

/// Characters of a message that a report shows; the rest is counted.
const SHOWN_CHARS_MAX: usize = 400;

/// A message's content for a report: short, on one line.
#[must_use]
pub fn describe(content: &Content) -> String {
    match content {
        // JSON is quoted enough.
        Content::Text(text) if text.starts_with(['{', '[']) => shortened(text),
        Content::Text(text) => quoted(text),
        Content::Binary(bytes) => format!("binary, {} bytes: {}", bytes.len(), hex(bytes)),
        Content::BadDeflate(_, bytes) => {
            format!(
                "a compressed message that cannot be inflated, {} bytes: {}",
                bytes.len(),
                hex(bytes)
            )
        }
        Content::BadText(bytes) => format!("text that is not UTF-8, {} bytes: {}", bytes.len(), hex(bytes)),
    }
}

/// A text in quotes, escaped and shortened.
#[must_use]
pub fn quoted(text: &str) -> String {
    shortened(&Value::String(text.to_owned()).to_string())
}

/// A text of at most some hundred characters, on one line.
#[must_use]
pub fn shortened(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN_CHARS_MAX).flat_map(printable).collect();
    let left = text.chars().count().saturating_sub(SHOWN_CHARS_MAX);
    if left > 0 {
        shown.push_str(&format!("… ({left} more characters)"));
    }
    shown
}

fn printable(letter: char) -> Vec<char> {
    if letter.is_control() {
        letter.escape_default().collect()
    } else {
        vec![letter]
    }
}

/// The first bytes of something that is no text.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    let mut shown: String = bytes.iter().take(64).map(|byte| format!("{byte:02x}")).collect();
    if bytes.len() > 64 {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use touchstone_scenarios::template::Template;

    use super::*;

    #[test]
    fn payloads_are_made_of_text_json_hex_and_repetition() {
        let known = |name: &str| match name {
            "n" => Some(json!(3)),
            "cell" => Some(json!({"hex": "0102"})),
            _ => None,
        };
        let template = |value| Template::new(value);
        for (payload, expected) in [
            (Payload::Text(template(json!("n=${n}"))), Ok(b"n=3".to_vec())),
            (Payload::Text(template(json!("${n}"))), Ok(b"3".to_vec())),
            (Payload::Text(template(json!("${cell}"))), Ok(vec![1, 2])),
            (
                Payload::Json(template(json!({"a": "${n}"}))),
                Ok(br#"{"a":3}"#.to_vec()),
            ),
            (Payload::Hex(template(json!("00 fF"))), Ok(vec![0, 255])),
            (
                Payload::Hex(template(json!("0"))),
                Err(PayloadError::Hex("0".into())),
            ),
            (
                Payload::Repeat {
                    unit: template(json!("ab")),
                    times: template(json!("${n}")),
                },
                Ok(b"ababab".to_vec()),
            ),
            (
                Payload::Repeat {
                    unit: template(json!("ab")),
                    times: template(json!(1 << 30)),
                },
                Err(PayloadError::Times((1 << 30).to_string())),
            ),
        ] {
            assert_eq!(payload_bytes(&payload, &known), expected, "{payload:?}");
        }
    }

    #[test]
    fn what_is_shown_is_short_and_on_one_line() {
        assert_eq!(shortened("a\nb\u{1b}"), "a\\nb\\u{1b}");
        assert!(shortened(&"x".repeat(1000)).ends_with("x… (600 more characters)"));
        assert_eq!(describe(&Content::Binary(vec![0, 255])), "binary, 2 bytes: 00ff");
    }
}
