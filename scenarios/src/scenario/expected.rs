//! What has to happen: messages, the end of a connection, answers over HTTP, metrics.

use super::{ActorName, Duration, Payload, Template};
use crate::rules::ClauseId;
use crate::source::{Span, Spanned};

/// What has to arrive: one message, a list (in order), `{$any_order: […]}` or
/// `{$any_order_preserving: {by: /user/id, of: […]}}`.
#[derive(Debug, Clone)]
pub enum Expected {
    /// The next unignored message.
    Next(MessageMatcher),
    /// The next ones, in this order.
    InOrder(Vec<MessageMatcher>),
    /// The next ones, in any order.
    AnyOrder(Vec<MessageMatcher>),
    /// The next ones, in any order that keeps the order of those with the same value at this JSON pointer.
    AnyOrderPreserving {
        /// Whose order is kept: a JSON pointer into the message.
        by: String,
        /// The messages.
        of: Vec<MessageMatcher>,
    },
}

/// One expected message: a string is text, letter for letter; `{$binary: PAYLOAD}` is binary; `{$text: …}` is text,
/// `{$json: MATCHER}` is JSON whatever it looks like; anything else is JSON.
#[derive(Debug, Clone)]
pub enum MessageMatcher {
    /// A text message holding JSON that matches.
    Json(Matcher),
    /// A text message, letter for letter.
    Text(Template),
    /// A binary message, byte for byte.
    Binary(Payload),
    /// `{$answer: PAYLOAD}`: what the dialect answers to this text, which is no JSON.
    Answer(Payload),
}

/// A JSON matcher with its place. Objects match as subsets unless `$exact`.
#[derive(Debug, Clone)]
pub struct Matcher {
    /// Where it stands.
    pub span: Span,
    /// What it accepts.
    pub kind: MatcherKind,
}

/// What a matcher accepts.
#[derive(Debug, Clone)]
pub enum MatcherKind {
    /// This value, after variables are put in; `1` and `1.0` are the same number.
    Value(Template),
    /// An object with at least these fields, or with exactly these.
    Object {
        /// In the order of the file.
        fields: Vec<(Spanned<String>, Matcher)>,
        /// `$exact: {…}`: no other field.
        exact: bool,
    },
    /// An array of exactly these, in this order.
    Array(Vec<Matcher>),
    /// `$type: string`; a list of types is read as [`MatcherKind::AnyOf`].
    Type(JsonType),
    /// `$regex: "…"`: a string that matches from start to end (the anchors are in it).
    Regex(regex::Regex),
    /// `$regex: "${name}"`: the same, compiled by [`crate::template::anchored`] once its variables are put in.
    RegexFrom(Template),
    /// `$range: [min, max]`: a number within, ends included; `null` leaves an end open.
    Range {
        /// Least.
        min: Option<Template>,
        /// Most.
        max: Option<Template>,
    },
    /// `$any_of: […]`: at least one matches.
    AnyOf(Vec<Matcher>),
    /// `$not: …`: the field is there and does not match. Refused as a whole message.
    Not(Box<Matcher>),
    /// `$contains: …`: an array in which at least one item matches.
    Contains(Box<Matcher>),
    /// `$length: N`: an array or string (in scalar values) of this length.
    Length(Template),
    /// `$optional: …`: the field may be missing; if it is there it matches.
    Optional(Box<Matcher>),
    /// `$absent: true`: the field must not be there.
    Absent,
    /// `$any: true`: the field must be there, whatever it holds. Refused as a whole message.
    Any,
    /// `{$now: 5s, $unit: ms}`: a time in epoch milliseconds (`$unit: s` for seconds), number or string of digits, at
    /// most this far from now; with `$unit: rfc3339`, one written out in UTC.
    Now {
        /// How far.
        within: Duration,
        /// How it is written.
        unit: TimeUnit,
    },
    /// `{$capture: name, …}`: what matched is a variable from the next step on. Not inside `$any_of`, `$optional`
    /// or an alternative, where it might not be reached.
    Capture {
        /// The variable.
        name: String,
        /// What it has to match.
        inner: Box<Matcher>,
    },
    /// `{$value: …, $clause: echo/3a}`: a mismatch here belongs to that clause.
    Under {
        /// The clause it is judged under.
        clause: Spanned<ClauseId>,
        /// What it has to match.
        inner: Box<Matcher>,
    },
}

/// How the time of a `$now` is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeUnit {
    /// Seconds since the epoch, fractional allowed.
    Seconds,
    /// Milliseconds since the epoch.
    Millis,
    /// `2024-01-01T12:00:00.000Z`, with any number of digits of a second.
    Rfc3339,
}

/// JSON's own types, `integer` apart from `number`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonType {
    /// `null`
    Null,
    /// `true`, `false`
    Boolean,
    /// any number
    Number,
    /// a number without fraction
    Integer,
    /// a string
    String,
    /// an array
    Array,
    /// an object
    Object,
}

/// How a connection must have ended.
#[derive(Debug, Clone)]
pub struct ClosedMatcher {
    /// Where it stands.
    pub span: Span,
    /// The close frame's code.
    pub code: CodeMatcher,
    /// The clause the code is judged under, where it is not the step's: `code: {$value: 1001, $clause: …}`.
    pub code_clause: Option<Spanned<ClauseId>>,
    /// The close frame's reason.
    pub reason: Option<Matcher>,
    /// Both close frames crossed, then the server ended TCP without reset; `None` does not ask.
    pub clean: Option<bool>,
    /// The clause `clean` is judged under, where it is not the step's: `clean: {$value: true, $clause: …}`.
    pub clean_clause: Option<Spanned<ClauseId>>,
    /// What may not have come before.
    pub before: Before,
}

/// What may not have come before the end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Before {
    /// Anything may: messages are judged by themselves.
    #[default]
    Anything,
    /// Nothing of what the dialect sends a newcomer: `before: greeting`. So a refusal is told from the later end of a
    /// connection that was let in.
    Greeting,
}

/// The code of a close frame.
#[derive(Debug, Clone)]
pub enum CodeMatcher {
    /// A close frame with one of these; templates, because tables fill them in (with a code, a list of codes,
    /// `empty` or `none`).
    OneOf(Vec<Template>),
    /// A close frame with any code: `code: any`, or `{$type: integer}`.
    Any,
    /// A close frame without a body: `code: empty`.
    Empty,
    /// No close frame at all: TCP just ended (`code: none`).
    Missing,
}

/// An HTTP answer, of an endpoint or of a handshake.
#[derive(Debug, Clone, Default)]
pub struct ResponseMatcher {
    /// One of these statuses; classes as `4xx`. Empty: any.
    pub status: Vec<StatusMatcher>,
    /// The clause the status is judged under, where it is not the step's: `status: {$value: 400, $clause: …}`.
    pub status_clause: Option<Spanned<ClauseId>>,
    /// Each header that must be there, by a matcher on its value; `$absent` for one that must not.
    pub headers: Vec<(Spanned<String>, Matcher)>,
    /// The body as JSON.
    pub json: Option<Matcher>,
    /// Whether the answer is a correct upgrade (101, `Upgrade`, `Connection`, the right `Sec-WebSocket-Accept`).
    pub upgraded: Option<bool>,
    /// TCP ends without an answer.
    pub dropped: bool,
}

/// A status or a class of them.
#[derive(Debug, Clone)]
pub enum StatusMatcher {
    /// This one.
    Exactly(u16),
    /// `4xx`: the hundreds digit.
    Class(u8),
    /// From the table's row: a variable.
    Variable(Template),
}

/// More requests at once are a load test.
pub const REQUESTS_AT_ONCE_MAX: usize = 16;

/// How far a metric must have moved since the case began. At least one of the two bounds is there.
#[derive(Debug, Clone)]
pub struct MetricMoved {
    /// Any of these names; the first is the documented one: `{name: {at_least: 2, or: [other_name]}}`.
    pub names: Vec<Spanned<String>>,
    /// At least so far up.
    pub at_least: Option<f64>,
    /// At most so far up: a gauge has fallen again. Negative: below where it was.
    pub at_most: Option<f64>,
}

/// When something has to happen: `DURATION` or `[DURATION, DURATION]` from the end of the step before, or
/// `{since: ann, from: DURATION, to: DURATION}` from the beginning of a connection.
#[derive(Debug, Clone)]
pub struct Window {
    /// Whose connection it counts from: the near edge from when its handshake was sent, the far one from its upgrade.
    /// `None`: from the end of the step before.
    pub since: Option<ActorName>,
    /// Not before; patience never moves it.
    pub from: Option<Duration>,
    /// Not after; `--patience` stretches it.
    pub to: Duration,
}
