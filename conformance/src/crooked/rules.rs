//! Which rules of a mutant are about what passes.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;
use tokio::time::Instant;
use touchstone_scenarios::mutant::{Control, Form, HeaderMatcher, RequestMatcher, Rule, Trigger, Way, Which};
use touchstone_scenarios::scenario::{Matcher, StatusMatcher};

use super::http::HttpUnit;
use crate::frames::{Content, Header, Message, opcode};
use crate::matching::{Environment, compare, compare_message};

/// Something that passes, as a trigger sees it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Subject<'a> {
    /// A frame; with the message, if it is all of one.
    Frame {
        way: Way,
        header: &'a Header,
        payload: &'a [u8],
        message: Option<&'a Message>,
    },
    /// A message whose fragments have been joined.
    Message { way: Way, message: &'a Message },
    /// A request with its body.
    Request(&'a HttpUnit),
    /// An answer with its body, and what it answers.
    Answer { answer: &'a HttpUnit, to: &'a HttpUnit },
    /// A connection has been opened.
    Opened,
    /// A side has ended TCP.
    Ended(Way),
}

impl Subject<'_> {
    /// Whether it happens once on a connection, so that it is counted over all of them.
    pub(super) fn is_counted_over_all(self) -> bool {
        match self {
            Self::Frame { .. } | Self::Message { .. } => false,
            Self::Request(_) | Self::Answer { .. } | Self::Opened | Self::Ended(_) => true,
        }
    }
}

/// The message of a whole data frame, or of several.
pub(super) fn message_of(code: u8, payload: &[u8]) -> Message {
    let content = match code {
        opcode::BINARY => Content::Binary(payload.to_vec()),
        _ => String::from_utf8(payload.to_vec())
            .map_or_else(|bad| Content::BadText(bad.into_bytes()), Content::Text),
    };
    Message::new(content, Instant::now())
}

/// Whether this is what the rule waits for.
pub(super) fn matches(trigger: &Trigger, subject: Subject<'_>) -> bool {
    match trigger {
        Trigger::Message { way, of } => message(*way, subject)
            .is_some_and(|message| compare_message(of, message, &environment()).mismatches.is_empty()),
        Trigger::Form { way, of } => message(*way, subject).is_some_and(|message| has_form(of, message)),
        Trigger::Frame { way } => frame(*way, subject).is_some_and(|(header, _)| !header.is_control()),
        Trigger::Header { way, like } => {
            frame(*way, subject).is_some_and(|(header, _)| has_header(like, header))
        }
        Trigger::Control { way, kind } => {
            frame(*way, subject).is_some_and(|(header, _)| header.opcode == code_of(*kind))
        }
        Trigger::Close { way, codes } => frame(*way, subject).is_some_and(|(header, payload)| {
            header.opcode == opcode::CLOSE
                && (codes.is_empty() || close_code(payload).is_some_and(|code| codes.contains(&code)))
        }),
        Trigger::Request(wanted) => match subject {
            Subject::Request(request) => is_request(wanted, request),
            _ => false,
        },
        Trigger::Answer { to, status } => match subject {
            Subject::Answer { answer, to: request } => {
                has_status(status, answer.status()) && is_request(to, request)
            }
            _ => false,
        },
        Trigger::Opened => matches!(subject, Subject::Opened),
        Trigger::Ended { way } => matches!(subject, Subject::Ended(ended) if ended == *way),
    }
}

fn frame(wanted: Way, subject: Subject<'_>) -> Option<(&Header, &[u8])> {
    match subject {
        Subject::Frame {
            way, header, payload, ..
        } if way == wanted => Some((header, payload)),
        _ => None,
    }
}

fn message(wanted: Way, subject: Subject<'_>) -> Option<&Message> {
    match subject {
        Subject::Frame { way, message, .. } if way == wanted => message,
        Subject::Message { way, message } if way == wanted => Some(message),
        _ => None,
    }
}

fn environment() -> Environment<'static> {
    Environment {
        variable: &|_| None,
        timing: &|_| None,
        answers: None,
        epoch_seconds: SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs_f64(),
    }
}

fn has_form(form: &Form, message: &Message) -> bool {
    match (form, &message.content) {
        (Form::Text(regex), Content::Text(text)) => regex.is_match(text),
        (Form::Binary, Content::Binary(_)) => true,
        (Form::Empty, content) => content.is_empty(),
        (Form::Text(_) | Form::Binary, _) => false,
    }
}

fn has_header(like: &HeaderMatcher, header: &Header) -> bool {
    let one_of = |wanted: &[u8], is: u8| wanted.is_empty() || wanted.contains(&is);
    one_of(&like.opcodes, header.opcode)
        && one_of(&like.rsv, header.rsv)
        && like.masked.is_none_or(|masked| masked == header.mask.is_some())
        && like.fin.is_none_or(|fin| fin == header.fin)
        && like.minimal.is_none_or(|minimal| minimal == header.is_minimal())
        && header.length >= like.bytes_min
}

fn code_of(kind: Control) -> u8 {
    match kind {
        Control::Ping => opcode::PING,
        Control::Pong => opcode::PONG,
    }
}

fn close_code(payload: &[u8]) -> Option<u16> {
    let [high, low, ..] = payload else {
        return None;
    };
    Some(u16::from_be_bytes([*high, *low]))
}

fn is_request(wanted: &RequestMatcher, request: &HttpUnit) -> bool {
    has_head(wanted, request)
        && wanted
            .json
            .as_ref()
            .is_none_or(|json| has_json(json, &request.body))
}

fn has_json(wanted: &Matcher, body: &[u8]) -> bool {
    let value: Result<Value, _> = serde_json::from_slice(body);
    value.is_ok_and(|value| compare(wanted, &value, &environment()).mismatches.is_empty())
}

fn has_head(wanted: &RequestMatcher, head: &HttpUnit) -> bool {
    wanted.handshake == head.is_handshake()
        && wanted
            .method
            .as_ref()
            .is_none_or(|method| method == head.method())
        && wanted
            .path
            .as_ref()
            .is_none_or(|path| path.is_match(head.target()))
        && wanted.headers.iter().all(|(name, value)| {
            let mut headers = head.headers.iter();
            headers.any(|(header, text)| header.eq_ignore_ascii_case(name) && value.is_match(text))
        })
}

fn has_status(wanted: &[StatusMatcher], status: u16) -> bool {
    let accepts = |wanted: &StatusMatcher| match wanted {
        StatusMatcher::Exactly(exactly) => *exactly == status,
        StatusMatcher::Class(hundreds) => u16::from(*hundreds) == status / 100,
        // No variable is known here, and the reader takes none.
        StatusMatcher::Variable(_) => false,
    };
    wanted.is_empty() || wanted.iter().any(accepts)
}

/// What the rules are about, and what has to come before.
fn triggers(rules: &[Rule]) -> impl Iterator<Item = &Trigger> {
    rules.iter().flat_map(Rule::triggers)
}

/// Whether a whole frame with this header is something a rule may be about.
pub(super) fn want_frame(rules: &[Rule], way: Way, header: &Header) -> bool {
    triggers(rules).any(|trigger| match trigger {
        Trigger::Message { way: of, .. } | Trigger::Form { way: of, .. } => {
            *of == way && is_plain_data(header)
        }
        Trigger::Frame { way: of } => *of == way && !header.is_control(),
        Trigger::Header { way: of, like } => *of == way && has_header(like, header),
        Trigger::Control { way: of, kind } => *of == way && header.opcode == code_of(*kind),
        Trigger::Close { way: of, .. } => *of == way && header.opcode == opcode::CLOSE,
        Trigger::Request(_) | Trigger::Answer { .. } | Trigger::Opened | Trigger::Ended { .. } => false,
    })
}

/// Whether a rule is about whole messages of this way.
pub(super) fn want_messages(rules: &[Rule], way: Way) -> bool {
    triggers(rules).any(|trigger| match trigger {
        Trigger::Message { way: of, .. } | Trigger::Form { way: of, .. } => *of == way,
        Trigger::Frame { .. }
        | Trigger::Header { .. }
        | Trigger::Control { .. }
        | Trigger::Close { .. }
        | Trigger::Request(_)
        | Trigger::Answer { .. }
        | Trigger::Opened
        | Trigger::Ended { .. } => false,
    })
}

/// Whether a rule is about any frame of this way.
pub(super) fn want_frames(rules: &[Rule], way: Way) -> bool {
    triggers(rules).any(|trigger| match trigger {
        Trigger::Message { way: of, .. }
        | Trigger::Form { way: of, .. }
        | Trigger::Frame { way: of }
        | Trigger::Header { way: of, .. }
        | Trigger::Control { way: of, .. }
        | Trigger::Close { way: of, .. } => *of == way,
        Trigger::Request(_) | Trigger::Answer { .. } | Trigger::Opened | Trigger::Ended { .. } => false,
    })
}

/// Part of an uncompressed data message, as far as its header tells.
pub(super) fn is_plain_data(header: &Header) -> bool {
    header.opcode <= opcode::BINARY && header.rsv == 0
}

/// Whether a rule is about a request with this head, or about the answer to it and its body.
pub(super) fn want_request(rules: &[Rule], head: &HttpUnit) -> bool {
    triggers(rules).any(|trigger| match trigger {
        Trigger::Request(wanted) => has_head(wanted, head),
        Trigger::Answer { to, .. } => to.json.is_some() && has_head(to, head),
        _ => false,
    })
}

/// Whether a rule is about an answer with this head.
pub(super) fn want_answer(rules: &[Rule], head: &HttpUnit, to: &HttpUnit) -> bool {
    triggers(rules).any(|trigger| match trigger {
        Trigger::Answer { to: wanted, status } => has_status(status, head.status()) && is_request(wanted, to),
        _ => false,
    })
}

/// Whether a rule is about any request (up) or any answer (down).
pub(super) fn want_http(rules: &[Rule], way: Way) -> bool {
    triggers(rules).any(|trigger| match (trigger, way) {
        (Trigger::Request(_), Way::Up) | (Trigger::Answer { .. }, Way::Down) => true,
        (Trigger::Answer { to, .. }, Way::Up) => to.json.is_some(),
        _ => false,
    })
}

/// Whether it is this one's turn: the `count`th that matched.
pub(super) fn is_turn(which: Which, count: u32) -> bool {
    match which {
        Which::Each => true,
        Which::Nth(nth) => count == nth,
        Which::Every(every) => count.is_multiple_of(every.max(1)),
        Which::From(from) => count >= from,
    }
}
