//! The words of the language, as tables: the reader knows no others, and the schema is made from them.

/// A scenario file.
pub(crate) const SCENARIO: &[&str] = &[
    "title",
    "rule",
    "dialect",
    "dialects",
    "requires",
    "alone",
    "actors",
    "variables",
    "ignore",
    "heartbeats",
    "given",
    "steps",
    "settle",
];
/// Verbs of one actor: `ann.send`.
pub(crate) const ACTOR_VERBS: &[&str] = &[
    "send",
    "send_binary",
    "raw",
    "expect",
    "nothing",
    "close",
    "closed",
    "ends",
    "pings",
    "ponged",
    "pinged",
    "tcp",
    "refused",
];
/// Verbs that stand by themselves.
pub(crate) const VERBS: &[&str] = &[
    "connect",
    "handshake",
    "expect",
    "nothing",
    "closed",
    "http",
    "inject",
    "users",
    "channel",
    "events",
    "disconnect",
    "delete_user",
    "drain",
    "sweep",
    "fault",
    "stop",
    "kill",
    "stopped",
    "start",
    "log",
    "unlogged",
    "metrics",
    "pause",
    "interleave",
    "table",
];
/// What holds for any step.
pub(crate) const MODIFIERS: &[&str] = &["clause", "within", "alternatives"];
/// A window that counts from a connection's beginning.
pub(crate) const WINDOW: &[&str] = &["since", "from", "to"];
/// Keys beside a verb.
pub(crate) const COMPANIONS: &[&str] = &[
    "clause",
    "within",
    "alternatives",
    "expect",
    "each",
    "greeted",
    "at_once",
];
/// Verbs that wait for something, and so may say until when.
pub(crate) const WAITING: &[&str] = &[
    "connect",
    "handshake",
    "refused",
    "expect",
    "closed",
    "ends",
    "ponged",
    "pinged",
    "http",
    "events",
    "log",
    "metrics",
    "stopped",
];
/// Those of them that are told when their thing happened, and so may also say from when on.
pub(crate) const WITH_NEAR_EDGE: &[&str] = &[
    "handshake",
    "refused",
    "expect",
    "closed",
    "ends",
    "ponged",
    "pinged",
];
/// Verbs that judge nothing, and so are under no clause.
pub(crate) const UNJUDGED: &[&str] = &[
    "tcp",
    "inject",
    "users",
    "channel",
    "disconnect",
    "delete_user",
    "drain",
    "sweep",
    "fault",
    "stop",
    "kill",
    "start",
    "pause",
    "interleave",
    "table",
];
/// Verbs that open a connection: nothing but another answer can take the place of theirs.
pub(crate) const OPENING: &[&str] = &["connect", "handshake", "refused"];
/// Verbs whose outcome may be another one.
pub(crate) const WITH_ALTERNATIVES: &[&str] = &[
    "connect",
    "handshake",
    "refused",
    "expect",
    "nothing",
    "closed",
    "ends",
    "ponged",
    "pinged",
];
/// Verbs that may stand in a lane beside those of its actor.
pub(crate) const LANE_VERBS: &[&str] = &["connect", "http", "inject", "pause"];
/// `expect: {on: …}`.
pub(crate) const EXPECT_ON: &[&str] = &[
    "on",
    "of",
    "$any_order",
    "$any_order_preserving",
    "clause",
    "within",
    "alternatives",
];
/// `nothing: {on: …}`.
pub(crate) const NOTHING: &[&str] = &["on", "for", "clause", "within", "alternatives"];
/// An actor, in `actors` and in `connect: {as: …}`.
pub(crate) const CONNECTION: &[&str] = &[
    "dialect", "user", "token", "channel", "tenant", "path", "query", "headers", "client",
];
/// A token that is not one text.
pub(crate) const TOKEN: &[&str] = &["of", "kind", "claims", "raw"];
/// What is wrong with a token, or nothing.
pub(crate) const TOKEN_KINDS: &[&str] = &[
    "valid",
    "expired",
    "wrong_key",
    "none",
    "other_algorithm",
    "missing",
];
/// A user of `users`.
pub(crate) const USER: &[&str] = &[
    "as", "id", "username", "email", "password", "name", "avatar", "tenant",
];
/// A channel.
pub(crate) const CHANNEL: &[&str] = &["as", "members", "id", "name", "tenant"];
/// Who asks over HTTP.
pub(crate) const BEARER: &[&str] = &["user", "token"];
/// A disconnection.
pub(crate) const DISCONNECT: &[&str] = &["user", "code", "reason"];
/// A drain.
pub(crate) const DRAIN: &[&str] = &["window"];
/// A handshake by hand.
pub(crate) const HANDSHAKE: &[&str] = &[
    "as",
    "method",
    "target",
    "query",
    "version",
    "headers",
    "padding_bytes",
    "frames",
    "stop_after_bytes",
];
/// An HTTP answer.
pub(crate) const RESPONSE: &[&str] = &["status", "headers", "json", "upgraded", "dropped"];
/// The methods, each the key of its path.
pub(crate) const METHODS: &[&str] = &["get", "post", "put", "patch", "delete", "head", "options"];
/// An HTTP request.
pub(crate) const REQUEST: &[&str] = &[
    "get", "post", "put", "patch", "delete", "head", "options", "as", "headers", "json", "body",
];
/// A frame.
pub(crate) const FRAME: &[&str] = &[
    "op",
    "fin",
    "rsv",
    "mask",
    "length",
    "length_form",
    "payload",
    "hex",
    "code",
    "reason",
    "deflate",
    "fragment_bytes",
    "bytes",
    "times",
];
/// Frames in pieces.
pub(crate) const RAW: &[&str] = &["frames", "chop"];
/// Opcodes with a name.
pub(crate) const OPCODES: &[&str] = &["text", "binary", "cont", "close", "ping", "pong"];
/// How a length is written.
pub(crate) const LENGTH_FORMS: &[&str] = &["minimal", "16", "64"];
/// An end.
pub(crate) const CLOSED: &[&str] = &[
    "code",
    "reason",
    "clean",
    "before",
    "clause",
    "within",
    "alternatives",
];
/// The end of all connections but one.
pub(crate) const ALL_BUT_ONE: &[&str] = &[
    "all_but_one",
    "left",
    "code",
    "reason",
    "clean",
    "before",
    "clause",
    "within",
    "alternatives",
];
/// An alternative.
pub(crate) const ALTERNATIVE: &[&str] = &[
    "message", "messages", "closed", "refused", "nothing", "code", "reason", "clean", "before", "why",
];
/// A message made by the back door.
pub(crate) const INJECT: &[&str] = &["to", "type", "data", "scheduled_at"];
/// A table.
pub(crate) const TABLE: &[&str] = &["columns", "rows"];
/// Signals.
pub(crate) const SIGNALS: &[&str] = &["TERM", "INT", "KILL"];
/// What happens below WebSocket.
pub(crate) const TCP: &[&str] = &["reset", "half_close", "stop_reading", "resume_reading"];
/// Matchers, one of which may stand in a mapping.
pub(crate) const MATCHERS: &[&str] = &[
    "$value",
    "$exact",
    "$type",
    "$regex",
    "$range",
    "$any_of",
    "$not",
    "$contains",
    "$length",
    "$optional",
    "$absent",
    "$any",
    "$now",
];
/// What may stand beside a matcher.
pub(crate) const MATCHER_COMPANIONS: &[&str] = &["$capture", "$clause", "$unit"];
/// Forms of a whole message.
pub(crate) const MESSAGE_FORMS: &[&str] = &["$json", "$text", "$binary", "$answer"];
/// Forms of several messages.
pub(crate) const ORDER_FORMS: &[&str] = &["$any_order", "$any_order_preserving"];
/// JSON's types.
pub(crate) const TYPES: &[&str] = &[
    "null", "boolean", "number", "integer", "string", "array", "object",
];
/// What `requires` can name: a part of the target file, with what is asked of it after a dot.
pub const REQUIREMENTS: &[&str] = &[
    "spawn",
    "restart",
    "log",
    "metrics",
    "faults",
    "inject",
    "operate",
    "limits",
    "timings",
    "compression",
    "admin",
    "auth",
    "users",
    "channels",
    "events",
    "durable",
];
/// A file of mutants.
pub(crate) const MUTANTS_FILE: &[&str] = &["dialects", "mutants"];
/// A mutant.
pub(crate) const MUTANT: &[&str] = &[
    "id",
    "breaks",
    "clauses",
    "killed_by",
    "dialects",
    "after",
    "on",
    "nth",
    "every",
    "from",
    "do",
    "rules",
    "launcher",
];
/// One rule of several.
pub(crate) const MUTANT_RULE: &[&str] = &["after", "on", "nth", "every", "from", "do"];
/// What a launcher breaks.
pub(crate) const LAUNCHER: &[&str] = &["log", "store", "signals", "exit", "stop"];
/// What has to pass.
pub(crate) const TRIGGERS: &[&str] = &[
    "down",
    "up",
    "frame",
    "ping",
    "pong",
    "close",
    "request",
    "handshake",
    "answer",
    "opened",
    "ended",
];
/// Forms of a message that need no matcher.
pub(crate) const FORMS: &[&str] = &["any", "text", "binary", "empty"];
/// Whose bytes.
pub(crate) const WAYS: &[&str] = &["up", "down"];
/// A close frame that passes.
pub(crate) const CLOSE_TRIGGER: &[&str] = &["way", "codes"];
/// A frame that passes, by its header.
pub(crate) const HEADER_TRIGGER: &[&str] =
    &["way", "opcodes", "masked", "fin", "rsv", "minimal", "bytes_min"];
/// A request that passes.
pub(crate) const REQUEST_TRIGGER: &[&str] = &["method", "path", "headers", "json"];
/// An answer that passes.
pub(crate) const ANSWER_TRIGGER: &[&str] = &["handshake", "method", "path", "headers", "json", "status"];
/// What is done to it.
pub(crate) const DEEDS: &[&str] = &[
    "drop",
    "times",
    "delay",
    "late",
    "swap",
    "edit",
    "replace",
    "leak",
    "keep",
    "divert",
    "reply",
    "also",
    "again",
    "frame",
    "code",
    "reason",
    "close",
    "end",
    "hang",
    "respond",
    "method",
    "status",
    "header",
    "body",
    "substitute",
    "sign",
];
/// Those that need nothing but their name.
pub(crate) const FLAG_DEEDS: &[&str] = &["drop", "swap", "leak", "keep", "divert", "hang"];
/// How JSON is changed.
pub(crate) const EDITS: &[&str] = &[
    "set", "remove", "rename", "retype", "copy", "add", "stale", "append", "reverse", "first", "twice",
    "recase",
];
/// Those that need nothing but places.
pub(crate) const PLACE_EDITS: &[&str] = &["remove", "retype", "stale", "reverse", "twice", "recase"];
/// How a frame is written wrongly.
pub(crate) const FRAME_FLAW: &[&str] = &[
    "mask_flipped",
    "rsv",
    "opcode",
    "fin",
    "length_longest",
    "fragment_bytes",
    "payload_suffix",
    "cut_to_bytes",
];
/// An answer in place of the server's.
pub(crate) const RESPOND: &[&str] = &["status", "headers", "json"];
/// A replacement in text.
pub(crate) const SUBSTITUTE: &[&str] = &["from", "to"];
