//! What a scenario file says, after it was read and before it is run.
//!
//! Plain data with the place of everything that can go wrong: the runner (`conformance`) gives it meaning, the
//! reader (`read`) makes it from YAML and refuses what could never fail. Nothing here opens a file or a socket.

mod does;
mod expected;
mod sent;

use std::sync::Arc;

use touchstone_protocol::Dialect;

pub use self::does::*;
pub use self::expected::*;
pub use self::sent::*;
pub use crate::cast::{Bearer, Cast, CastChannel, CastUser};
pub use crate::duration::Duration;
use crate::rules::ClauseId;
use crate::source::{Source, Span, Spanned};
pub use crate::template::Template;

/// One scenario file.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// Folder and file name without ending, `echo/2a-verbatim`: what globs, reports and reruns name it by.
    pub id: String,
    /// The file, for diagnostics and for the excerpt that a failure shows.
    pub source: Arc<Source>,
    /// One sentence: what holds if this passes.
    pub title: String,
    /// The clause the scenario is about; its basis sets the level of every step that names none of its own.
    /// A scenario without a dialect may name none: then it is the scenario's own id, at level `must`.
    pub rule: Spanned<ClauseId>,
    /// Which dialects it is run on.
    pub scope: Scope,
    /// Keys of the target file without which the case is skipped, e.g. `faults.store`, `spawn`, `limits.message_bytes`.
    pub requires: Vec<Spanned<String>>,
    /// Needs the whole server: runs by itself, or on a server of its own where one can be spawned.
    pub alone: bool,
    /// In the order of the file. Steps may also name actors that `connect: {as: …}` or `handshake: {as: …}` make.
    pub actors: Vec<Actor>,
    /// The users and channels that actors and steps name, of a dialect that has them.
    pub cast: Cast,
    /// Names for values, in order: a later one may use an earlier one.
    pub variables: Vec<(Spanned<String>, Template)>,
    /// Messages set aside wherever they arrive, counted in the transcript.
    pub ignore: Vec<MessageMatcher>,
    /// Whether the dialect's heartbeats are messages like any other here; otherwise they are set aside.
    pub heartbeats_judged: bool,
    /// Preparation: if one of these goes otherwise, the case could not run.
    pub given: Vec<Step>,
    /// What is judged.
    pub steps: Vec<Step>,
    /// How long after the last step duplicates and strays have a chance to arrive. Default 100 ms.
    pub settle: Option<Duration>,
}

/// Which dialects a scenario is run on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// The folder's own dialect.
    One(Dialect),
    /// `common/`: one case for each of these that the target speaks, `common/5a-…@echo`.
    Each(Vec<Dialect>),
    /// `rfc6455/`, `rfc7692/`: the target's first dialect.
    First,
    /// `dialect: none`: literal paths, tokens and frames against any WebSocket server.
    None,
}

/// A connection that the scenario speaks of by name.
#[derive(Debug, Clone)]
pub struct Actor {
    /// Unique in the file; the `ann` of `ann.send`.
    pub name: Spanned<String>,
    /// How it connects.
    pub connection: Connection,
}

/// How an actor connects. Everything left out follows from the dialect and the target.
#[derive(Debug, Clone, Default)]
pub struct Connection {
    /// The dialect it speaks, where that is not the one that the case runs on.
    pub dialect: Option<Dialect>,
    /// Whose it is; the actor's own name unless the file says otherwise.
    pub user: Option<Spanned<String>>,
    /// The token it carries: a word (`valid`, `expired`, `wrong_key`, `none`, `other_algorithm`, `missing`), a mapping
    /// (`{of: bob, kind: expired, claims: {…}}`, `{raw: …}`), or a text that is sent as it stands. A valid one of its
    /// user if left out.
    pub token: Option<Template>,
    /// The channel in its path: the name of one, or an id.
    pub channel: Option<Template>,
    /// The tenant of its user, by a name of the scenario's; the case's first if left out.
    pub tenant: Option<Spanned<String>>,
    /// Path in place of the dialect's own; required where the scenario has no dialect.
    pub path: Option<Template>,
    /// Query parameters in order. A list as value repeats the parameter. Encoded when they are sent.
    pub query: Vec<(String, Template)>,
    /// `query: "${query}"`, the query as a whole: an object's fields are parameters, a string is sent as it stands.
    /// Then `query` is empty.
    pub query_whole: Option<Template>,
    /// Extra request headers in order. A list as value repeats the header.
    pub headers: Vec<(String, Template)>,
    /// The client that is driven. The well-behaved one unless a step needs frames that it cannot send.
    pub client: Client,
}

/// Who drives the connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Client {
    /// `tokio-tungstenite`: pongs, answers closes, sends only what is legal.
    #[default]
    Judge,
    /// Frames by hand, anything that a broken client could do: pongs, and no close answer.
    Raw,
    /// The same, and answers no ping either.
    Silent,
}

/// One step, with what holds for any of them.
#[derive(Debug, Clone)]
pub struct Step {
    /// The step's verb, where a failure points to.
    pub span: Span,
    /// What is done or expected.
    pub action: Action,
    /// A clause of its own: a mismatch here has that clause's level and is reported under it.
    pub clause: Option<Spanned<ClauseId>>,
    /// When it has to happen, from the end of the step before. An expectation without one gets the suite's deadline.
    pub within: Option<Window>,
    /// Other outcomes that are known, worse and understandable.
    pub alternatives: Vec<Alternative>,
}

/// A known other outcome of an expectation (spec README, "A clause may list alternatives"). Written with its `why`
/// beside one of `message: …`, `messages: […]`, `closed: {…}`, `refused: [401, 403]`, `nothing: true`; the fields of
/// `closed` may also stand by themselves: `{code: none, why: …}`.
#[derive(Debug, Clone)]
pub struct Alternative {
    /// What is accepted instead.
    pub outcome: Outcome,
    /// Shown in the report beside what was seen.
    pub why: String,
    /// Where it stands.
    pub span: Span,
}

/// What an alternative accepts instead of its step's own expectation.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// Another message, in place of the expected message, close or end.
    Message(MessageMatcher),
    /// These messages, in this order.
    Messages(Vec<MessageMatcher>),
    /// Another end of the connection.
    Closed(ClosedMatcher),
    /// The handshake was refused with one of these statuses.
    Refused(Vec<u16>),
    /// Nothing arrived within the step's time.
    Nothing,
}

/// Where an expectation of several actors, or one about several messages, looks.
pub type ActorName = Spanned<String>;

/// How several connections are opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// The next one when the one before is upgraded, and greeted where that is awaited.
    InTurn,
    /// `at_once: true`: all handshakes are under way together.
    AtOnce,
}

/// The verbs. `ann.send: …` is [`Action::Send`] with actor `ann`.
#[derive(Debug, Clone)]
pub enum Action {
    /// `connect: ann` or `[ann, bob]`; succeeds when each is upgraded.
    Connect {
        /// In this order.
        actors: Vec<ActorName>,
        /// Whether they wait for each other.
        opening: Opening,
        /// Whether each awaits its greeting before the next one connects.
        greeting: Awaited,
    },
    /// `connect: {as: c, path: …}`: an actor made on the spot, as tables need it.
    ConnectAs {
        /// The new actor's name.
        actor: ActorName,
        /// How it connects.
        connection: Connection,
        /// Whether the greeting is awaited.
        greeting: Awaited,
    },
    /// `ann.refused: {status: [401, 403]}`: connects, and the handshake must be refused so.
    Refused {
        /// Who tries.
        actor: ActorName,
        /// What the answer has to be.
        response: ResponseMatcher,
    },
    /// `handshake: {…}` with `expect: {…}`: an opening handshake written by hand.
    Handshake {
        /// The request.
        request: Box<RawHandshake>,
        /// What the answer has to be. `None`, only where the request stops early: none is waited for.
        response: Option<ResponseMatcher>,
    },
    /// `ann.send: …`: one text message; a map or list is sent as JSON.
    Send {
        /// Who sends.
        actor: ActorName,
        /// The text.
        payload: Payload,
    },
    /// `ann.send_binary: …`: one binary message.
    SendBinary {
        /// Who sends.
        actor: ActorName,
        /// The bytes.
        payload: Payload,
    },
    /// `ann.raw: …`: frames as written here, legal or not. The actor's client must be raw.
    Raw {
        /// Who sends.
        actor: ActorName,
        /// In this order, in one write unless chopped.
        frames: Vec<RawFrame>,
        /// `{frames: […], chop: 1}`: bytes in each write, where the bytes are to arrive in pieces.
        chop: Option<usize>,
    },
    /// `ann.expect: …` or `expect: {on: […], of: […]}`: messages that must arrive, on each of the actors.
    Expect {
        /// Each of them must see it.
        actors: Vec<ActorName>,
        /// What, and in which order.
        expected: Expected,
    },
    /// `nothing: {on: […], for: 300ms}`: silence. A close is not silence.
    Nothing {
        /// Each of them must be silent.
        actors: Vec<ActorName>,
        /// For this long.
        lasting: Duration,
    },
    /// `ann.close: {code: 1000}`: the client begins the close handshake. Without a code the frame has no body.
    Close {
        /// Who closes.
        actor: ActorName,
        /// Code, if any.
        code: Option<u16>,
        /// Reason; only with a code.
        reason: String,
    },
    /// `ann.closed: {code: 1001, reason: …, clean: true}`: how the server must have ended it.
    Closed {
        /// Whose connection.
        actor: ActorName,
        /// What is expected.
        matcher: ClosedMatcher,
    },
    /// `closed: {all_but_one: [b1, b2], left: bob, code: 4005}`: the server must have ended all of them but one so.
    ClosedAllButOne {
        /// Of these. Which one is left is the server's choice.
        actors: Vec<ActorName>,
        /// By this name it goes on.
        left: ActorName,
        /// How the others end.
        matcher: ClosedMatcher,
    },
    /// `ann.ends:`: the connection must end, no matter how.
    Ends {
        /// Whose connection.
        actor: ActorName,
    },
    /// `ann.ponged: …` awaits a pong with these bytes. (`ann.pings: …` is read as [`Action::Raw`] with one ping.)
    Ponged {
        /// Who awaits it.
        actor: ActorName,
        /// The pong's application data.
        payload: Payload,
    },
    /// `ann.pinged:` awaits a ping of the server, with these bytes if the file names any.
    Pinged {
        /// Who awaits it.
        actor: ActorName,
        /// The ping's application data.
        payload: Option<Payload>,
    },
    /// `ann.tcp: reset`.
    Tcp {
        /// Whose connection.
        actor: ActorName,
        /// What happens to it below WebSocket.
        fault: TcpFault,
    },
    /// `http: {get: …}` with `expect: {…}`.
    Http {
        /// The request.
        request: HttpRequest,
        /// What the answer has to be. With `within:`, asked again until it is.
        response: ResponseMatcher,
    },
    /// `http: [{post: …}, {post: …}]` with `expect: [{…}, {…}]`: asked at once, answered in any order.
    HttpAtOnce {
        /// The requests, two or more.
        requests: Vec<HttpRequest>,
        /// What the answers have to be, one for each request, whichever it answers.
        responses: Vec<ResponseMatcher>,
    },
    /// `inject: {to: all, type: broadcast, data: {…}}`: make the server emit, by its back door.
    Inject {
        /// User, users, channel or `all`.
        to: Template,
        /// The message type.
        kind: Template,
        /// Its data.
        data: Template,
        /// For when it is scheduled, from now on. `None`: now.
        later: Option<Duration>,
    },
    /// `users: […]` or `channel: {…}`: whom and what [`Scenario::cast`] holds. Nothing is left to do.
    Introduce,
    /// `events: {of: ann, $contains: {…}}`: the queued events of a user, as the server lists them.
    Events {
        /// Whose.
        user: Spanned<String>,
        /// Against the list. With `within:`, asked again until it fits.
        matcher: Matcher,
    },
    /// What an operator does to the server: `disconnect`, `drain`, `sweep`, `delete_user`.
    Operate(Operation),
    /// `kill:`: ends the spawned server as `kill -9` does, and awaits its end.
    Kill,
    /// `fault: {store: down, for: 2s}`.
    Fault(Fault),
    /// `stop: TERM`: signal the server, which has to be one that the suite started.
    Stop {
        /// Which signal.
        signal: Signal,
    },
    /// `stopped: {exit: 0}`: the process must have ended so.
    Stopped {
        /// Its exit status.
        exit: i32,
    },
    /// `start:` the stopped server again, on the same port.
    Start,
    /// `log: {event: ws_receive, …}`: a line of the spawned server's log, written since the case began, must match.
    Log {
        /// Against the line read as JSON; a line that is not JSON is matched as a string.
        matcher: Matcher,
    },
    /// `unlogged: "${ann.token}"`: no line of the spawned server's log, written since the case began, may hold the text.
    Unlogged {
        /// The text.
        text: Template,
    },
    /// `metrics: {app_messages_total: {at_least: 2}}`: how far a metric must have moved since the case began.
    Metrics {
        /// One entry a metric.
        moved: Vec<MetricMoved>,
    },
    /// `pause: 300ms`: lets time pass that the clause is about (a time to live). Never to wait for an event.
    Pause(Duration),
    /// `interleave: {orders: all, ann: […], bob: […]}`: the case runs once for each order. At most one in `steps`,
    /// none elsewhere. Inside, `send: …` is the lane's own actor's.
    Interleave {
        /// Which orders.
        orders: Orders,
        /// Each actor's own steps keep their order.
        lanes: Vec<(ActorName, Vec<Step>)>,
    },
    /// `table: {columns, rows}` with `each:`: every row is a case of its own, `id[name]`.
    Table(Table),
}

/// One scenario, many rows. The first column is `name`; a column `clause` judges the row at that clause's level.
/// The only step of its scenario; `given` is run for each row.
#[derive(Debug, Clone)]
pub struct Table {
    /// Column names; variables of the same name in `each`.
    pub columns: Vec<Spanned<String>>,
    /// The rows.
    pub rows: Vec<Row>,
    /// Run for each row, on fresh connections.
    pub each: Vec<Step>,
}

/// A row of a table.
#[derive(Debug, Clone)]
pub struct Row {
    /// Unique in the table.
    pub name: Spanned<String>,
    /// The clause the row is about, where it is not the scenario's.
    pub clause: Option<Spanned<ClauseId>>,
    /// One a column, the name's and the clause's included. Frames are kept as templates and read when the row is
    /// bound.
    pub cells: Vec<Template>,
}

/// Which orders of several actors' steps are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Orders {
    /// Every one; the reader refuses more than 64.
    All,
    /// So many, drawn from this seed.
    Random {
        /// How many.
        count: u32,
        /// From where.
        seed: u64,
    },
}
