//! An HTTP answer, of an endpoint or of a handshake, against what is expected.

use serde_json::Value;
use touchstone_scenarios::scenario::{ResponseMatcher, StatusMatcher};
use touchstone_scenarios::source::Span;

use crate::head::Response;
use crate::verdict::Check;

use super::json::compare_at;
use super::{Comparison, Environment, Mismatch};

/// What was answered.
#[derive(Debug, Clone, Copy)]
pub enum Answer<'a> {
    /// An HTTP answer; `accept` is what `Sec-WebSocket-Accept` has to be, where a key was sent.
    Response {
        /// The answer.
        response: &'a Response,
        /// The right accept value.
        accept: Option<&'a str>,
    },
    /// TCP ended without an answer.
    Dropped,
    /// There was none in time.
    Silence,
}

/// Compares an answer with what is expected. `span` is where the step stands.
#[must_use]
pub fn compare_response(
    matcher: &ResponseMatcher,
    answer: Answer<'_>,
    span: Span,
    environment: &Environment<'_>,
) -> Comparison {
    let (response, accept) = match (answer, matcher.dropped) {
        (Answer::Dropped, true) => return Comparison::default(),
        (Answer::Response { response, .. }, true) => {
            return Comparison::mismatch(span, "TCP to end without an answer", describe(response));
        }
        (Answer::Silence, true) => {
            return Comparison::mismatch(span, "TCP to end without an answer", "it is still open");
        }
        (Answer::Dropped, false) => {
            return Comparison::mismatch(
                span,
                expectation(matcher, environment),
                "TCP ended without an answer",
            );
        }
        (Answer::Silence, false) => {
            return Comparison::mismatch(span, expectation(matcher, environment), "no answer in time");
        }
        (Answer::Response { response, accept }, false) => (response, accept),
    };
    let mut found = Comparison::default();
    compare_status(matcher, response, span, environment, &mut found);
    if let Some(wanted) = matcher.upgraded {
        match (wanted, why_not_upgraded(response, accept)) {
            (true, Some(why)) => found.mismatches.push(miss(span, "a correct upgrade", why)),
            (false, None) => found
                .mismatches
                .push(miss(span, "no upgrade", describe(response))),
            (true, None) | (false, Some(_)) => {}
        }
    }
    for (name, value) in &matcher.headers {
        let values: Vec<_> = response.values(name).collect();
        let actual = (!values.is_empty()).then(|| Value::String(values.join(", ")));
        let place = format!("header {}", name.value);
        found.extend(compare_at(value, actual.as_ref(), &place, environment));
    }
    if let Some(json) = &matcher.json {
        let mut body = compare_at(json, Some(&response.json()), "", environment);
        for mismatch in &mut body.mismatches {
            mismatch.whole = Some(describe(response));
        }
        found.extend(body);
    }
    found
}

fn compare_status(
    matcher: &ResponseMatcher,
    response: &Response,
    span: Span,
    environment: &Environment<'_>,
    found: &mut Comparison,
) {
    if matcher.status.is_empty() {
        return;
    }
    let accepts = |status: &StatusMatcher| match status {
        StatusMatcher::Exactly(wanted) => *wanted == response.status,
        StatusMatcher::Class(hundreds) => u16::from(*hundreds) == response.status / 100,
        StatusMatcher::Variable(template) => match template.resolve(environment.variable) {
            Ok(Value::Array(all)) => all.iter().any(|wanted| is_status(wanted, response.status)),
            Ok(wanted) => is_status(&wanted, response.status),
            Err(_) => false,
        },
    };
    if !matcher.status.iter().any(accepts) {
        let clause = matcher.status_clause.as_ref().map(|clause| clause.value.clone());
        let expected = format!("status {}", statuses(matcher, environment));
        found.mismatches.push(Mismatch {
            clause,
            ..miss(span, &expected, describe(response))
        });
    }
}

fn is_status(wanted: &Value, status: u16) -> bool {
    match wanted {
        Value::String(class) => class
            .strip_suffix("xx")
            .and_then(|hundreds| hundreds.parse::<u16>().ok())
            .is_some_and(|hundreds| status / 100 == hundreds),
        number => number.as_u64() == Some(u64::from(status)),
    }
}

fn miss(span: Span, expected: &str, actual: String) -> Mismatch {
    Mismatch::new(span, expected, actual, Check::Message)
}

/// Why an answer is no correct upgrade (RFC 6455 4.2.2), or `None` if it is one.
fn why_not_upgraded(response: &Response, accept: Option<&str>) -> Option<String> {
    if response.status != 101 {
        return Some(describe(response));
    }
    if !response.has_token("upgrade", "websocket") {
        return Some("101 without `Upgrade: websocket`".to_owned());
    }
    if !response.has_token("connection", "upgrade") {
        return Some("101 without `Connection: Upgrade`".to_owned());
    }
    let given = response.values("sec-websocket-accept").next();
    if given != accept {
        let given = given.unwrap_or("nothing");
        return Some(format!(
            "101 with {given} as Sec-WebSocket-Accept, not {}",
            accept.unwrap_or("nothing")
        ));
    }
    None
}

/// An answer in a few words.
#[must_use]
pub fn describe(response: &Response) -> String {
    let body = String::from_utf8_lossy(&response.body);
    let body = super::shortened(body.trim_end());
    format!("HTTP {} {body}", response.status).trim_end().to_owned()
}

fn statuses(matcher: &ResponseMatcher, environment: &Environment<'_>) -> String {
    let shown = matcher.status.iter().map(|status| match status {
        StatusMatcher::Exactly(status) => status.to_string(),
        StatusMatcher::Class(hundreds) => format!("{hundreds}xx"),
        StatusMatcher::Variable(template) => match template.resolve(environment.variable) {
            Ok(Value::Array(all)) => {
                let all: Vec<_> = all.into_iter().map(super::text_of).collect();
                all.join(" or ")
            }
            Ok(wanted) => super::text_of(wanted),
            Err(_) => super::text_of(template.value.clone()),
        },
    });
    shown.collect::<Vec<_>>().join(" or ")
}

/// What is expected, in a few words.
#[must_use]
pub fn expectation(matcher: &ResponseMatcher, environment: &Environment<'_>) -> String {
    match (matcher.status.is_empty(), matcher.upgraded) {
        (false, _) => format!("an answer with status {}", statuses(matcher, environment)),
        (true, Some(true)) => "an upgrade".to_owned(),
        (true, Some(false) | None) => "an answer".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(status: u16, headers: &[(&str, &str)]) -> Response {
        let headers = headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Response {
            status,
            headers,
            body: b"{\"a\":1}".to_vec(),
        }
    }

    fn mismatches(matcher: &ResponseMatcher, answer: Answer<'_>) -> Vec<String> {
        let environment = Environment {
            variable: &|_| None,
            timing: &|_| None,
            answers: None,
            epoch_seconds: 0.0,
        };
        let found = compare_response(matcher, answer, Span::default(), &environment);
        found
            .mismatches
            .into_iter()
            .map(|mismatch| mismatch.expected)
            .collect()
    }

    #[test]
    fn statuses_and_classes_are_told_apart() {
        let matcher = ResponseMatcher {
            status: vec![StatusMatcher::Exactly(426), StatusMatcher::Class(5)],
            ..ResponseMatcher::default()
        };
        for (status, good) in [(426, true), (503, true), (400, false), (101, false)] {
            let response = response(status, &[]);
            let found = mismatches(
                &matcher,
                Answer::Response {
                    response: &response,
                    accept: None,
                },
            );
            assert_eq!(found.is_empty(), good, "{status}");
        }
        assert_eq!(
            mismatches(&matcher, Answer::Dropped),
            ["an answer with status 426 or 5xx"]
        );
        assert_eq!(
            mismatches(&matcher, Answer::Silence),
            ["an answer with status 426 or 5xx"]
        );
    }

    #[test]
    fn a_status_of_a_tables_row_is_shown_as_it_is_there() {
        let template = touchstone_scenarios::scenario::Template::new(Value::String("${status}".to_owned()));
        let matcher = ResponseMatcher {
            status: vec![StatusMatcher::Variable(template)],
            ..ResponseMatcher::default()
        };
        let environment = Environment {
            variable: &|name| (name == "status").then(|| serde_json::json!([401, "5xx"])),
            timing: &|_| None,
            answers: None,
            epoch_seconds: 0.0,
        };
        let (refused, let_in) = (response(401, &[]), response(200, &[]));
        let compared = |response| {
            let answer = Answer::Response {
                response,
                accept: None,
            };
            compare_response(&matcher, answer, Span::default(), &environment).mismatches
        };
        assert!(compared(&refused).is_empty());
        assert_eq!(compared(&let_in)[0].expected, "status 401 or 5xx");
    }

    #[test]
    fn an_upgrade_needs_all_its_headers_and_the_right_accept() {
        let upgraded = ResponseMatcher {
            upgraded: Some(true),
            ..ResponseMatcher::default()
        };
        let refused = ResponseMatcher {
            upgraded: Some(false),
            ..ResponseMatcher::default()
        };
        let full = [
            ("Upgrade", "WebSocket"),
            ("Connection", "keep-alive, upgrade"),
            ("Sec-WebSocket-Accept", "ok"),
        ];
        let good = response(101, &full);
        fn answer(response: &Response) -> Answer<'_> {
            let accept = Some("ok");
            Answer::Response { response, accept }
        }
        assert!(mismatches(&upgraded, answer(&good)).is_empty());
        assert_eq!(mismatches(&refused, answer(&good)), ["no upgrade"]);
        for left_out in 0..3 {
            let headers: Vec<_> = full
                .iter()
                .enumerate()
                .filter(|(index, _)| *index != left_out)
                .map(|(_, h)| *h)
                .collect();
            assert_eq!(
                mismatches(&upgraded, answer(&response(101, &headers))),
                ["a correct upgrade"]
            );
        }
        assert_eq!(
            mismatches(&upgraded, answer(&response(400, &full))),
            ["a correct upgrade"]
        );
        assert!(mismatches(&refused, answer(&response(400, &[]))).is_empty());
    }

    #[test]
    fn a_drop_is_only_what_it_says() {
        let dropped = ResponseMatcher {
            dropped: true,
            ..ResponseMatcher::default()
        };
        assert!(mismatches(&dropped, Answer::Dropped).is_empty());
        assert_eq!(mismatches(&dropped, Answer::Silence).len(), 1);
        let answered = response(400, &[]);
        assert_eq!(
            mismatches(
                &dropped,
                Answer::Response {
                    response: &answered,
                    accept: None
                }
            )
            .len(),
            1
        );
    }
}
