//! Mutants: what a crooked proxy or a crooked launcher breaks between the suite and a server, one thing at a time, and
//! who has to notice.
//!
//! A file `mutants/<folder>.yaml` holds those of one folder of scenarios. What they do is data, so that whoever writes
//! scenarios of his own can write mutants for them too, and learn which of his scenarios can fail.

mod names;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use touchstone_protocol::Dialect;

pub use self::names::check_names;
use crate::glob::Glob;
use crate::rules::ClauseId;
use crate::scenario::{MessageMatcher, Payload, StatusMatcher};
use crate::source::{Source, Span, Spanned};

/// One thing that is broken.
#[derive(Debug, Clone)]
pub struct Mutant {
    /// `rooms/sender-left-out`: the folder, and a name.
    pub id: String,
    /// What no longer holds, in lower case and without a full stop: it is shown behind the id and a colon.
    pub breaks: String,
    /// The clauses that are broken by it: a case that fails under one of them has noticed. Without a dialect a scenario's
    /// own id may stand here, or none at all (`clauses: any`): then it has noticed under whichever it fails. Asked by
    /// [`Mutant::breaks_clause`].
    pub clauses: Vec<Spanned<ClauseId>>,
    /// The cases that are known to notice, by id or glob: at least one. A run of the named ones alone proves each mutant.
    pub killed_by: Vec<Spanned<Glob>>,
    /// The dialects whose connections and cases it is about; empty where there is none (`dialect: none`). Of a folder
    /// that is a dialect it is that one; of `rfc6455` and `rfc7692` the target's first, whichever that is.
    pub dialects: Vec<Dialect>,
    /// What does it.
    pub fault: Fault,
    /// The file.
    pub source: Arc<Source>,
    /// Where it stands.
    pub span: Span,
}

impl Mutant {
    /// Whether a case that fails under this clause has noticed.
    #[must_use]
    pub fn breaks_clause(&self, clause: &ClauseId) -> bool {
        self.clauses.is_empty() || self.clauses.iter().any(|broken| broken.value == *clause)
    }
}

/// What does it.
#[derive(Debug, Clone)]
pub enum Fault {
    /// The proxy, by these rules. All that apply to a unit do, in this order.
    Proxy(Vec<Rule>),
    /// The launcher: what never passes a proxy.
    Launcher(LauncherFault),
}

/// What a launcher can break.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LauncherFault {
    /// `log: token`: every token that was used is written to the log.
    LogsTokens,
    /// `log: nothing`: what the server writes is lost.
    LogsNothing,
    /// `store: emptied`: what was stored is gone when the server is started again.
    EmptiesStore,
    /// `signals: ignored`: SIGTERM and SIGINT do not reach it.
    IgnoresSignals,
    /// `exit: 3`: it ends with this status when asked to stop.
    ExitsWith(i32),
    /// `stop: kill`: asked to stop it is killed, and says goodbye to nobody.
    KillsOnStop,
}

/// When something passes, something is done to it.
#[derive(Debug, Clone)]
pub struct Rule {
    /// `after: TRIGGER`: what has to have passed before, on any connection. Until then the rule is about nothing, and
    /// nothing is counted for it; what passes is not yet itself affected.
    pub after: Option<Trigger>,
    /// What has to pass.
    pub on: Trigger,
    /// Which of those that match.
    pub which: Which,
    /// What is done to it, in this order. Never empty.
    pub does: Vec<Deed>,
}

impl Rule {
    /// All that has to be looked at for it: what it is about, and what has to come before.
    pub fn triggers(&self) -> impl Iterator<Item = &Trigger> {
        std::iter::once(&self.on).chain(&self.after)
    }
}

/// Whose bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Way {
    /// From the client to the server.
    Up,
    /// From the server to the client.
    Down,
}

/// What has to pass.
#[derive(Debug, Clone)]
pub enum Trigger {
    /// `down: MATCHER`, `up: MATCHER`: a whole, uncompressed message that matches. In a matcher no variable is known.
    Message {
        /// Whose.
        way: Way,
        /// Which.
        of: MessageMatcher,
    },
    /// `up: text`, `up: binary`, `up: empty`, `up: {$regex: REGEX}`: a whole, uncompressed message of this form, JSON or
    /// not.
    Form {
        /// Whose.
        way: Way,
        /// Of which form.
        of: Form,
    },
    /// `down: any`: any data frame, compressed, fragmented or neither, as a frame.
    Frame {
        /// Whose.
        way: Way,
    },
    /// `frame: {way: up, masked: false}`: a whole frame with such a header, of whatever kind and however wrong. One that
    /// is mended (`frame: {mask_flipped: true}`) makes a server that tolerates what it should refuse.
    Header {
        /// Whose.
        way: Way,
        /// Which.
        like: HeaderMatcher,
    },
    /// `ping: down`, `pong: down`.
    Control {
        /// Whose.
        way: Way,
        /// Which.
        kind: Control,
    },
    /// `close: down`, `close: {way: down, codes: [1009]}`: a close frame with one of these codes; with any or none if
    /// there is none.
    Close {
        /// Whose.
        way: Way,
        /// With which codes.
        codes: Vec<u16>,
    },
    /// `request: {method: POST, path: REGEX}`: a request over HTTP, or an opening handshake (`handshake: {path: REGEX}`).
    Request(RequestMatcher),
    /// `answer: {method, path, status}`: the answer to one. Of a handshake: whatever was answered, 101 or not.
    Answer {
        /// To what.
        to: RequestMatcher,
        /// With which status; any if there is none.
        status: Vec<StatusMatcher>,
    },
    /// `opened: true`: the upgrade has been passed on.
    Opened,
    /// `ended: down`: that side has ended TCP, by FIN or by RST.
    Ended {
        /// Which side.
        way: Way,
    },
}

/// What a whole message is, whatever it says.
#[derive(Debug, Clone)]
pub enum Form {
    /// Text that matches from start to end; `text` is any.
    Text(regex::Regex),
    /// Binary.
    Binary,
    /// Without payload, text or binary.
    Empty,
}

/// A frame by its header; what is left out may be anything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeaderMatcher {
    /// `opcodes: [3, 4]`: one of these.
    pub opcodes: Vec<u8>,
    /// `masked: false`.
    pub masked: Option<bool>,
    /// `fin: false`.
    pub fin: Option<bool>,
    /// `rsv: [1, 2]`: exactly these bits, RSV1 the highest (4).
    pub rsv: Vec<u8>,
    /// `minimal: false`: whether the length is in its shortest form.
    pub minimal: Option<bool>,
    /// `bytes_min: 126`: a payload of at least so many bytes.
    pub bytes_min: u64,
}

/// Control frames other than close.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// Asks for a pong.
    Ping,
    /// Answers a ping.
    Pong,
}

/// A request by its head.
#[derive(Debug, Clone)]
pub struct RequestMatcher {
    /// An opening handshake, and not a plain request.
    pub handshake: bool,
    /// `POST`; any if left out.
    pub method: Option<String>,
    /// Its path and query as they are on the target, from start to end; any if left out.
    pub path: Option<regex::Regex>,
    /// Headers that it has, by lower-case name, each from start to end.
    pub headers: Vec<(String, regex::Regex)>,
    /// What its body is, as JSON.
    pub json: Option<crate::scenario::Matcher>,
}

/// Which of those that match, counted on each connection by itself. What is triggered by requests over HTTP, each on a
/// connection of its own, is counted over all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Which {
    /// All.
    #[default]
    Each,
    /// `nth: 2`: this one alone, from 1.
    Nth(u32),
    /// `every: 3`: each third.
    Every(u32),
    /// `from: 2`: this one and all that follow.
    From(u32),
}

/// What is done. What a deed means for a trigger it is not for is refused by the reader.
#[derive(Debug, Clone)]
pub enum Deed {
    /// `drop: true`: it is not passed on. Of a request: no answer comes, the connection stays open. Of an answer: TCP
    /// ends without it.
    Drop,
    /// `times: 2`: it is passed on so often in all.
    Times(u32),
    /// `delay: 300ms`: it is passed on later; what comes after it on the connection waits too (`delay`), or goes ahead
    /// (`late`).
    Delay {
        /// How much later.
        by: Duration,
        /// Whether what follows overtakes it.
        overtaken: bool,
    },
    /// `swap: true`: it is passed on after the next message of its way; if none comes for 200 ms, alone.
    Swap,
    /// `edit: [...]`: its JSON, or the JSON body of a request or an answer, is changed.
    Edit(Vec<Edit>),
    /// `replace: PAYLOAD`: this in its place (of a control frame: its payload).
    Replace(Payload),
    /// `leak: true`: it also goes to every other connection of the same dialect that is open through the proxy.
    Leak,
    /// `keep: true`: every connection of the same dialect that is opened later gets it too, before all else.
    Keep,
    /// `divert: true`: it goes to one other connection (the one opened last), and not where it should.
    Divert,
    /// `reply: PAYLOAD`: this goes back to where it came from. With `drop` beside it: in place of being passed on.
    Reply(Payload),
    /// `also: PAYLOAD`: this too goes the same way, right after it.
    Also(Payload),
    /// `again: 500ms`: it is passed on once more after this time.
    Again(Duration),
    /// `frame: {…}`: it is written as a frame that breaks RFC 6455 or 7692.
    Frame(FrameFlaw),
    /// `code: 4999`, `code: empty`: of a close frame, its code; its reason stays.
    Code(Option<u16>),
    /// `reason: text`: of a close frame, its reason.
    Reason(String),
    /// `close: 1011`: after it the proxy sends the client a close frame with this code, whichever way it went, and passes
    /// nothing more. With `drop` beside it: in its place.
    Close(u16),
    /// `end: fin`, `end: reset`: after it TCP ends so on both sides. With `drop` beside it: in its place.
    End(TcpEnd),
    /// `hang: true`: nothing more is passed that way, and TCP stays open.
    Hang,
    /// `respond: {status, headers, json}`: the request is answered with this and never reaches the server.
    Respond {
        /// Its status.
        status: u16,
        /// Its headers, beside `Content-Length`.
        headers: Vec<(String, String)>,
        /// Its body; none if `null`.
        json: Value,
    },
    /// `method: GET`: of a request, its method; the rest stays.
    Method(String),
    /// `status: 200`: of an answer, its status; the rest stays.
    Status(u16),
    /// `header: {name: value}`: of a request or an answer; `null` takes it out.
    Header {
        /// Its name.
        name: String,
        /// Its value.
        value: Option<String>,
    },
    /// `body: text`: of a request or an answer, letter for letter.
    Body(String),
    /// `substitute: {from: REGEX, to: TEXT}`: in a request's path and query, in a header-less text body or a text message:
    /// every match is replaced (`$1` for groups).
    Substitute {
        /// What.
        from: regex::Regex,
        /// By what.
        to: String,
    },
    /// `sign: {claims}`: whatever token the request carries is replaced by one with the same claims over these (`null`
    /// leaves one out), in force and signed with the target's key: a server that does not look. Needs `auth.secret`.
    Sign(Map<String, Value>),
}

/// How TCP ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TcpEnd {
    /// FIN.
    Fin,
    /// RST.
    Reset,
}

/// One change of a JSON value. Places are JSON pointers; `*` as a component is every item of an array and every field of
/// an object. A place that is not there is left alone, so that one mutant fits several shapes.
#[derive(Debug, Clone, PartialEq)]
pub enum Edit {
    /// `set: {/a/b: VALUE}`: made if its parent is there.
    Set(String, Value),
    /// `remove: /a`.
    Remove(String),
    /// `rename: {/a/b: c}`.
    Rename(String, String),
    /// `retype: /a`: a number becomes a string of its digits, a string of digits a number, another string an array
    /// around it, a boolean a string, `null` an empty object, an object or array a string of its JSON.
    Retype(String),
    /// `copy: {/to: /from}`.
    Copy {
        /// Where to.
        to: String,
        /// Where from.
        from: String,
    },
    /// `add: {/count: 1}`: to a number, or to each number in a string of digits; in a time (RFC 3339) seconds.
    Add(String, f64),
    /// `stale: /a`: the value that stood there in the message before that the rule was applied to, on any connection.
    Stale(String),
    /// `append: {/a: "x"}`: to a string as text, to an array as an item, to an object each field.
    Append(String, Value),
    /// `reverse: /items`: of an array.
    Reverse(String),
    /// `first: {/items: 1}`: only so many items of an array, or characters of a string, stay.
    First(String, usize),
    /// `twice: /items`: the first item of an array, once more.
    Twice(String),
    /// `recase: /a`: a string in upper case, or in lower case if it has no lower case letter.
    Recase(String),
}

/// How a frame is written wrongly.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FrameFlaw {
    /// Masked by a server, or not by a client.
    pub mask_flipped: bool,
    /// These bits, RSV1 the highest (4).
    pub rsv: Option<u8>,
    /// This opcode.
    pub opcode: Option<u8>,
    /// `true` or `false` in place of what it was.
    pub fin: Option<bool>,
    /// The length in the longest form.
    pub length_longest: bool,
    /// Cut into fragments of so many bytes.
    pub fragment_bytes: Option<usize>,
    /// These bytes after its payload, counted in its length.
    pub payload_suffix: Vec<u8>,
    /// Only so many bytes of the payload are sent; the length says all of them.
    pub cut_to_bytes: Option<usize>,
}
