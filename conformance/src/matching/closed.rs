//! How a connection ended, against how it must have ended.

use serde_json::Value;
use touchstone_report::number;
use touchstone_scenarios::rules::ClauseId;
use touchstone_scenarios::scenario::{Client, ClosedMatcher, CodeMatcher};
use touchstone_scenarios::template::Template;

use crate::frames::{CloseBody, opcode};
use crate::tap::{Direction, OurEnd, Record, ServerEnd};
use crate::verdict::Check;

use super::{Comparison, Environment, Mismatch, compare, quoted};

/// How TCP ends has a clause of its own: a dialect whose document demands a close code says nothing of it.
const TCP_CLAUSE: &str = "rfc6455/7.1.1-tcp";

/// Compares how the server ended the connection with what is expected. Call it when there is nothing more to wait for.
#[must_use]
pub fn compare_closed(
    matcher: &ClosedMatcher,
    record: &Record,
    client: Client,
    environment: &Environment<'_>,
) -> Comparison {
    let close = record.server_close().map(|(body, _)| body);
    let mut found = Comparison::default();
    let of_tcp = || only_tcp_is_unclean(record).then(|| ClauseId(TCP_CLAUSE.to_owned()));
    let mut miss = |expected: String, actual: String, check| {
        found.mismatches.push(Mismatch {
            clause: match check {
                Check::Clean => {
                    let written = matcher.clean_clause.as_ref();
                    written.map(|clause| clause.value.clone()).or_else(of_tcp)
                }
                Check::Close => matcher.code_clause.as_ref().map(|clause| clause.value.clone()),
                Check::Message | Check::Order | Check::Timing | Check::Extra => None,
            },
            ..Mismatch::new(matcher.span, expected, actual, check)
        });
    };
    match accepted(&matcher.code, environment) {
        Ok(codes) => {
            if !codes.iter().any(|code| code.accepts(close.as_ref())) {
                let expected: Vec<_> = codes.iter().map(Code::describe).collect();
                let actual = close
                    .as_ref()
                    .map_or_else(|| how_tcp_stands(record), describe_close);
                miss(expected.join(" or "), actual, Check::Close);
            }
        }
        Err(error) => miss("a close code".to_owned(), error, Check::Close),
    }
    if let Some(clean) = matcher.clean {
        match (clean, unclean(record, client)) {
            (true, Some(why)) => miss("a clean close".to_owned(), why, Check::Clean),
            (false, None) => {
                miss(
                    "an unclean close".to_owned(),
                    "a clean one".to_owned(),
                    Check::Clean,
                );
            }
            (true, None) | (false, Some(_)) => {}
        }
    }
    if let (Some(reason), Some(close)) = (&matcher.reason, &close) {
        let compared = compare(reason, &Value::String(close.reason.clone()), environment);
        found.captures = compared.captures;
        found
            .mismatches
            .extend(compared.mismatches.into_iter().map(|mismatch| Mismatch {
                expected: format!("close reason {}", mismatch.expected),
                check: Check::Close,
                ..mismatch
            }));
    }
    found
}

/// Why the end was not clean, or `None` if it was: a close frame each way, no data after the server's, then the
/// server's FIN before ours. A raw client owes no close frame, because the server need not wait for one.
#[must_use]
pub fn unclean(record: &Record, client: Client) -> Option<String> {
    let Some((_, closed_at)) = record.server_close() else {
        return Some(how_tcp_stands(record));
    };
    if data_follows_close(record) {
        return Some("a data frame followed the close frame".to_owned());
    }
    let ended_at = match &record.server_end {
        None => return Some("a close frame came, but the server did not end TCP".to_owned()),
        Some((ServerEnd::Reset, _)) => return Some("a close frame came, then TCP was reset".to_owned()),
        Some((ServerEnd::Truncated, _)) => {
            return Some("a close frame came, then TCP ended without TLS's close_notify".to_owned());
        }
        Some((ServerEnd::Error(error), _)) => {
            return Some(format!("a close frame came, then TCP failed: {error}"));
        }
        Some((ServerEnd::Fin, at)) => *at,
    };
    let ours = record
        .our_ends
        .iter()
        .find(|(end, at)| *end != OurEnd::Closed && *at < ended_at);
    if ours.is_some() {
        return Some("we ended TCP before the server did".to_owned());
    }
    let answered = record.client_close().is_some_and(|(_, at)| at <= ended_at);
    if client == Client::Judge && !answered {
        return Some(format!(
            "the server ended TCP {} after its close frame without waiting for ours",
            number::duration(ended_at.duration_since(closed_at))
        ));
    }
    None
}

/// Whether a close frame came, nothing after it, and then TCP ended by a reset: all is as it should be but TCP.
fn only_tcp_is_unclean(record: &Record) -> bool {
    let reset = matches!(record.server_end, Some((ServerEnd::Reset, _)));
    reset && record.server_close().is_some() && !data_follows_close(record)
}

fn data_follows_close(record: &Record) -> bool {
    record
        .frames
        .iter()
        .filter(|(direction, _)| *direction == Direction::Down)
        .skip_while(|(_, frame)| frame.header.opcode != opcode::CLOSE)
        .skip(1)
        .any(|(_, frame)| !frame.header.is_control())
}

/// How TCP stands where there is no close frame.
fn how_tcp_stands(record: &Record) -> String {
    match &record.server_end {
        None => "no close frame, and the connection is still open".to_owned(),
        Some((ServerEnd::Fin | ServerEnd::Truncated, _)) => "TCP ended without a close frame".to_owned(),
        Some((ServerEnd::Reset, _)) => "TCP was reset without a close frame".to_owned(),
        Some((ServerEnd::Error(error), _)) => format!("TCP failed without a close frame: {error}"),
    }
}

/// A close frame in words.
#[must_use]
pub fn describe_close(close: &CloseBody) -> String {
    match close.code {
        Some(code) if close.reason.is_empty() => format!("close {code}"),
        Some(code) => format!("close {code} {}", quoted(&close.reason)),
        None => "a close frame without a code".to_owned(),
    }
}

enum Code {
    Number(u64),
    Any,
    Empty,
    Missing,
}

impl Code {
    fn accepts(&self, close: Option<&CloseBody>) -> bool {
        match self {
            Self::Number(number) => close
                .and_then(|close| close.code)
                .is_some_and(|code| u64::from(code) == *number),
            Self::Any => close.is_some(),
            Self::Empty => close.is_some_and(|close| close.code.is_none()),
            Self::Missing => close.is_none(),
        }
    }

    fn describe(&self) -> String {
        match self {
            Self::Number(code) => format!("close {code}"),
            Self::Any => "a close frame".to_owned(),
            Self::Empty => "a close frame without a code".to_owned(),
            Self::Missing => "the end of TCP without a close frame".to_owned(),
        }
    }
}

fn accepted(matcher: &CodeMatcher, environment: &Environment<'_>) -> Result<Vec<Code>, String> {
    match matcher {
        CodeMatcher::Any => Ok(vec![Code::Any]),
        CodeMatcher::Empty => Ok(vec![Code::Empty]),
        CodeMatcher::Missing => Ok(vec![Code::Missing]),
        CodeMatcher::OneOf(templates) => {
            let codes: Result<Vec<_>, _> = templates
                .iter()
                .map(|template| resolve_codes(template, environment))
                .collect();
            codes.map(|codes| codes.into_iter().flatten().collect())
        }
    }
}

/// A table's cell may hold a code, `none`, `empty`, or a list of these.
fn resolve_codes(template: &Template, environment: &Environment<'_>) -> Result<Vec<Code>, String> {
    let value = template
        .resolve(environment.variable)
        .map_err(|error| error.to_string())?;
    let one = |value: &Value| match value {
        Value::Number(number) => number.as_u64().map(Code::Number),
        Value::String(text) => match text.as_str() {
            "none" => Some(Code::Missing),
            "empty" => Some(Code::Empty),
            digits => digits.parse().ok().map(Code::Number),
        },
        _ => None,
    };
    let items = match &value {
        Value::Array(items) => items.as_slice(),
        single => std::slice::from_ref(single),
    };
    items
        .iter()
        .map(|item| one(item).ok_or_else(|| format!("`{item}` is no close code")))
        .collect()
}

/// Whether the matcher asks for the end of TCP without a close frame, so that a close frame decides nothing yet.
#[must_use]
pub fn waits_for_tcp(matcher: &ClosedMatcher, environment: &Environment<'_>) -> bool {
    matcher.clean.is_some()
        || accepted(&matcher.code, environment)
            .is_ok_and(|codes| codes.iter().all(|code| matches!(code, Code::Missing)))
}
