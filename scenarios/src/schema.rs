//! The JSON Schema of scenario files, for editors: completion, hover, and red underlines before anything is run.
//!
//! Made from the reader's own tables of keys, so that a key which the reader knows and the schema does not is a red
//! test. It is wider than the reader where JSON Schema cannot say what is meant: which actors there are, which
//! variables, which clauses.

use serde_json::{Map, Value, json};

use crate::read::keys;
use crate::scenario::FRAME_TIMES_MAX;

/// The schema of a scenario file, draft 7 (which the YAML language server reads).
#[must_use]
pub fn scenario() -> Value {
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "touchstone scenario",
        "description": "What a WebSocket server has to do, as steps of several connections.",
        "type": "object",
        "required": ["title", "steps"],
        "additionalProperties": false,
        "properties": properties(keys::SCENARIO, scenario_key),
        "definitions": definitions(),
    })
}

/// One property a key.
fn properties(keys: &[&str], schema: fn(&str) -> Value) -> Value {
    Value::Object(keys.iter().map(|key| ((*key).to_owned(), schema(key))).collect())
}

fn closed_object(keys: &[&str], schema: fn(&str) -> Value, description: &str) -> Value {
    json!({
        "type": "object",
        "description": description,
        "additionalProperties": false,
        "properties": properties(keys, schema),
    })
}

/// What is defined elsewhere, with a description of its own here.
fn of(definition: &str, description: &str) -> Value {
    json!({ "description": description, "allOf": [reference(definition)] })
}

fn reference(definition: &str) -> Value {
    json!({ "$ref": format!("#/definitions/{definition}") })
}

fn one_or_more(definition: &str, description: &str) -> Value {
    let items = reference(definition);
    json!({ "description": description, "anyOf": [items, { "type": "array", "items": items, "minItems": 1 }] })
}

fn words(words: &[&str], description: &str) -> Value {
    json!({ "description": description, "enum": words })
}

fn text(description: &str) -> Value {
    json!({ "type": "string", "description": description })
}

fn list_of(definition: &str, description: &str) -> Value {
    json!({ "type": "array", "items": reference(definition), "description": description })
}

fn scenario_key(key: &str) -> Value {
    match key {
        "title" => text("One sentence: what holds if this passes."),
        "rule" => of(
            "clause",
            "The clause that is checked; its basis sets the level. May be missing without a dialect.",
        ),
        "dialect" => text("`none` for any WebSocket server, or a dialect where the folder names none."),
        "dialects" => json!({ "type": "array", "items": { "type": "string" },
            "description": "In `common/`: the dialects it runs on, where not on all that the clause applies to." }),
        "requires" => one_or_more(
            "word",
            "Parts of the target file without which the case is skipped: faults.store.",
        ),
        "alone" => {
            json!({ "type": "boolean", "description": "Everybody on the server would feel it: runs by itself." })
        }
        "actors" => json!({
            "description": "Connections by name.",
            "anyOf": [
                { "type": "array", "items": reference("word") },
                { "type": "object", "additionalProperties": { "anyOf": [{ "type": "null" }, reference("connection")] } },
            ],
        }),
        "variables" => {
            json!({ "type": "object", "description": "Values by name; a later one may use an earlier one." })
        }
        "ignore" => list_of("message", "Messages set aside wherever they arrive."),
        "heartbeats" => words(
            &["judged"],
            "The dialect's heartbeats are messages like any other here.",
        ),
        "given" => list_of(
            "step",
            "Preparation: if it goes otherwise, the case could not run.",
        ),
        "steps" => list_of("step", "What is judged."),
        _ => of(
            "duration",
            "How long duplicates and strays may take to arrive at the end. Default 100ms.",
        ),
    }
}

fn definitions() -> Value {
    json!({
        "word": { "type": "string" },
        "clause": { "type": "string", "pattern": "^[a-z0-9_-]+/.+$" },
        "duration": { "type": "string", "pattern": "^([0-9]+(\\.[0-9]+)?(ms|us|s|m|h)|\\$\\{.+\\})$",
            "description": "250ms, 1.5s, 2m, or worked out from the target's timings: ${heartbeat * 1.05}." },
        "window": { "anyOf": [reference("duration"),
            { "type": "array", "items": reference("duration"), "minItems": 2, "maxItems": 2 }],
            "description": "Not after, or [not before, not after], from the end of the step before." },
        "step": step(keys::ACTOR_VERBS, r"\.", "One verb, and what stands beside it."),
        "laneStep": step(keys::ACTOR_VERBS, "", "A step of the lane's own actor: `send: …`."),
        "connection": closed_object(keys::CONNECTION, connection_key, "How an actor connects."),
        "connect": connect(),
        "handshake": closed_object(keys::HANDSHAKE, handshake_key, "An opening handshake; what is left out is right."),
        "response": { "anyOf": [reference("statuses"), closed_object(keys::RESPONSE, response_key, "An HTTP answer.")] },
        "token": token(),
        "person": { "type": "string" },
        "user": { "anyOf": [reference("person"), closed_object(keys::USER, user_key, "A user, and what is said of him.")] },
        "statuses": { "anyOf": [reference("status"), { "type": "array", "items": reference("status"), "minItems": 1 }] },
        "status": { "anyOf": [{ "type": "integer", "minimum": 100, "maximum": 599 },
            { "type": "string", "pattern": "^([1-5]xx|\\$\\{.+\\})$" }] },
        "request": request(),
        "payload": { "description": "Text, {hex: …}, {repeat: …, times: …}, or anything else as JSON.",
            "type": ["string", "object", "array"] },
        "frames": { "anyOf": [reference("frame"), { "type": "array", "items": reference("frame") }] },
        "frame": { "anyOf": [{ "type": "string", "pattern": "^\\$\\{.+\\}$" },
            closed_object(keys::FRAME, frame_key, "A frame; every field can be wrong on purpose.")] },
        "closed": { "anyOf": [reference("code"), closed_object(keys::CLOSED, closed_key, "How it must have ended.")] },
        "code": code(),
        "alternative": closed_object(keys::ALTERNATIVE, alternative_key, "A known other outcome, and why it is understandable."),
        "message": message(),
        "messages": { "type": "array", "items": reference("message"), "minItems": 1 },
        "expectation": { "anyOf": [reference("messages"), order_forms(), reference("message")] },
        "matcher": matcher(),
        "table": closed_object(keys::TABLE, table_key, "Each row is a case of its own."),
        "interleave": interleave(),
    })
}

/// A step: verbs of actors by pattern, the others by name.
fn step(actor_verbs: &[&str], dot: &str, description: &str) -> Value {
    let actor = if dot.is_empty() {
        "^"
    } else {
        r"^[A-Za-z_][A-Za-z0-9_]*"
    };
    let by_actor = actor_verbs
        .iter()
        .map(|verb| (format!("{actor}{dot}{verb}$"), actor_verb(verb)));
    let mut by_name: Map<String, Value> = keys::VERBS
        .iter()
        .map(|verb| ((*verb).to_owned(), global_verb(verb)))
        .collect();
    by_name.extend(
        keys::COMPANIONS
            .iter()
            .map(|key| ((*key).to_owned(), companion(key))),
    );
    if dot.is_empty() {
        // In a lane these are the actor's own.
        keys::ACTOR_VERBS
            .iter()
            .for_each(|verb| drop(by_name.remove(*verb)));
        by_name.insert(
            "connect".to_owned(),
            json!({ "type": "null", "description": "Connects the lane's actor." }),
        );
    }
    json!({
        "type": "object",
        "description": description,
        "minProperties": 1,
        "additionalProperties": false,
        "properties": by_name,
        "patternProperties": by_actor.collect::<Map<_, _>>(),
    })
}

fn actor_verb(verb: &str) -> Value {
    match verb {
        "send" => of("payload", "Sends one text message."),
        "send_binary" => of("payload", "Sends one binary message."),
        "raw" => {
            json!({ "description": "Sends frames as written, legal or not.", "anyOf": [reference("frames"),
            closed_object(keys::RAW, raw_key, "Frames in pieces.")] })
        }
        "expect" => of(
            "expectation",
            "The next message, messages in order, or in any order.",
        ),
        "nothing" => of("duration", "Silence for so long."),
        "close" => {
            json!({ "description": "Begins the close handshake.", "anyOf": [{ "type": ["null", "integer"] },
            { "type": "object", "additionalProperties": false,
              "properties": { "code": { "type": "integer" }, "reason": { "type": "string" } } }] })
        }
        "closed" => of("closed", "How the server must have ended it."),
        "ends" => json!({ "description": "It must end, no matter how.", "anyOf": [{ "type": "null" },
            closed_object(keys::MODIFIERS, companion, "Until when.")] }),
        "pings" => {
            json!({ "description": "Sends a ping.", "anyOf": [{ "type": "null" }, reference("payload")] })
        }
        "pinged" => {
            json!({ "description": "Awaits a ping of the server.", "anyOf": [{ "type": "null" }, reference("payload")] })
        }
        "ponged" => of("payload", "Awaits a pong with these bytes."),
        "tcp" => words(keys::TCP, "What happens to the connection below WebSocket."),
        _ => of("response", "Connects, and the handshake must be refused so."),
    }
}

fn global_verb(verb: &str) -> Value {
    match verb {
        "connect" => of(
            "connect",
            "Connects, one after the other; {as: …} makes an actor on the spot.",
        ),
        "handshake" => json!({ "description": "An opening handshake by hand; its answer is `expect`.",
            "anyOf": [{ "type": "null" }, reference("handshake")] }),
        // Beside `http` and `handshake` it is the answer.
        "expect" => {
            json!({ "description": "Messages that several actors must see; beside http and handshake, the answer.",
            "anyOf": [expect_on(), reference("response")] })
        }
        "nothing" => closed_object(keys::NOTHING, nothing_key, "Silence. A close is not silence."),
        "http" => of("request", "A request; its answer is `expect`."),
        "inject" => json!({ "type": "object", "description": "Makes the server emit, by its back door.",
            "required": ["to", "type", "data"], "additionalProperties": false,
            "properties": { "to": {}, "type": text("The message type."), "data": {},
                "scheduled_at": { "type": "string", "pattern": "^\\+" } } }),
        "users" => json!({ "description": "Users that no actor stands for.", "anyOf": [reference("user"),
            { "type": "array", "items": reference("user"), "minItems": 1 }] }),
        "channel" => {
            let mut made = closed_object(keys::CHANNEL, channel_key, "A channel, or a conversation.");
            made["required"] = json!(["as", "members"]);
            made
        }
        "events" => json!({ "type": "object", "required": ["of"], "additionalProperties": true,
            "description": "The queued events of a user: `of`, and beside it a matcher of their list.",
            "properties": { "of": reference("person") } }),
        "disconnect" => {
            json!({ "description": "Closes the connections of a user.", "anyOf": [reference("person"),
            closed_object(keys::DISCONNECT, disconnect_key, "Whose, and with what.")] })
        }
        "delete_user" => of("person", "Takes a user and all his data away."),
        "drain" => {
            json!({ "description": "Closes all connections, spread over a window.", "anyOf": [{ "type": "null" },
            closed_object(keys::DRAIN, |_| of("duration", "Over so long."), "How.")] })
        }
        "sweep" => json!({ "description": "Sends what is pending, now.", "type": ["null", "boolean"] }),
        "kill" => {
            json!({ "description": "Ends the spawned server as kill -9 does.", "type": ["null", "boolean"] })
        }
        "fault" => {
            json!({ "type": "object", "description": "Breaks a part of the server.", "additionalProperties": false,
            "properties": { "store": words(&["down", "slow"], "How the store fails."),
                "for": reference("duration"), "handler": words(&["panic"], "How the handler fails."),
                "times": { "type": "integer", "minimum": 1 } } })
        }
        "stop" => words(keys::SIGNALS, "Signals the spawned server."),
        "stopped" => {
            json!({ "description": "The process must have ended so.", "anyOf": [{ "type": "integer" },
            { "type": "object", "additionalProperties": false, "required": ["exit"],
              "properties": { "exit": { "type": "integer" } } }] })
        }
        "start" => json!({ "description": "Starts the stopped server again.", "type": ["null", "boolean"] }),
        "log" => of("matcher", "A line of the spawned server's log must match."),
        "metrics" => json!({ "type": "object", "description": "How far metrics must have moved.",
            "additionalProperties": { "type": "object", "required": ["at_least"], "additionalProperties": false,
                "properties": { "at_least": { "type": "number" }, "or": one_or_more("word", "Other names of it.") } } }),
        "pause" => of(
            "duration",
            "Lets time pass that the clause is about. Never to wait for an event.",
        ),
        "interleave" => of(
            "interleave",
            "The case runs once for each order of several actors' steps.",
        ),
        _ => of(
            "table",
            "The only step of its scenario; `each` is run for every row.",
        ),
    }
}

fn companion(key: &str) -> Value {
    match key {
        "clause" => of("clause", "A mismatch here is judged under this clause."),
        "within" => of("window", "When it has to happen."),
        "alternatives" => list_of(
            "alternative",
            "Other outcomes that are known, worse and understandable.",
        ),
        "greeted" => {
            json!({ "enum": [true], "description": "Each awaits its greeting before the next one connects." })
        }
        "each" => list_of("step", "Run for each row of the table."),
        _ => global_verb("expect"),
    }
}

fn expect_on() -> Value {
    json!({
        "type": "object",
        "required": ["on", "of"],
        "additionalProperties": false,
        "properties": properties(keys::EXPECT_ON, |key| match key {
            "on" => one_or_more("word", "Each of these actors must see it."),
            "of" => of("expectation", "What, in this order."),
            "$any_order" => json!({ "enum": [true], "description": "In any order." }),
            "$any_order_preserving" => json!({ "type": "object", "additionalProperties": false, "required": ["by"],
                "properties": { "by": text("A JSON pointer: those with the same value there keep their order.") } }),
            other => companion(other),
        }),
    })
}

fn nothing_key(key: &str) -> Value {
    match key {
        "on" => one_or_more("word", "These actors."),
        "for" => of("duration", "For so long."),
        other => companion(other),
    }
}

fn connect() -> Value {
    let mut made = closed_object(keys::CONNECTION, connection_key, "An actor made on the spot.");
    made["properties"]["as"] = text("Its name.");
    made["required"] = json!(["as"]);
    json!({ "anyOf": [reference("word"), { "type": "array", "items": reference("word"), "minItems": 1 }, made] })
}

fn connection_key(key: &str) -> Value {
    match key {
        "path" => text("In place of the dialect's own; needed where there is no dialect."),
        "dialect" => text("The dialect it speaks, where that is not the folder's."),
        "user" => text("Whose connection it is, where that is not the actor's own name."),
        "token" => of("token", "In place of a valid token of its user."),
        "channel" => text("The channel in its path: one that `channel` makes, or an id."),
        "tenant" => text("The tenant of its user, by any name."),
        "query" => json!({ "type": ["object", "string"], "description": "Parameters; a list repeats one." }),
        "headers" => json!({ "type": "object", "description": "Extra request headers; a list repeats one." }),
        _ => words(
            &["judge", "raw"],
            "Raw: no pong, no close answer, frames by hand. Follows from the steps.",
        ),
    }
}

fn token() -> Value {
    let key = |key: &str| match key {
        "of" => of("person", "Whose."),
        "kind" => words(keys::TOKEN_KINDS, "What is wrong with it."),
        "claims" => {
            json!({ "type": "object", "description": "Claims in place of its own; null leaves one out." })
        }
        _ => text("Sent as it stands."),
    };
    json!({ "anyOf": [{ "type": "string" }, closed_object(keys::TOKEN, key, "A token made of another one.")] })
}

fn user_key(key: &str) -> Value {
    match key {
        "as" => text("The name of its variable."),
        "tenant" => text("By any name."),
        _ => json!({}),
    }
}

fn channel_key(key: &str) -> Value {
    match key {
        "as" => text("The name of its variable."),
        "members" => one_or_more("person", "Its members."),
        "tenant" => text("By any name."),
        _ => json!({}),
    }
}

fn disconnect_key(key: &str) -> Value {
    match key {
        "user" => reference("person"),
        "code" => json!({ "type": "integer" }),
        _ => text("The reason of the close."),
    }
}

fn bearer_key(key: &str) -> Value {
    match key {
        "user" => reference("person"),
        _ => reference("token"),
    }
}

fn handshake_key(key: &str) -> Value {
    match key {
        "as" => text("The actor it becomes if it is upgraded."),
        "method" | "version" => json!({ "type": "string" }),
        "target" => text("Request target, in place of the dialect's path and query."),
        "query" => connection_key("query"),
        "headers" => json!({ "type": ["object", "string"],
            "description": "A value replaces the header, a list repeats it, null leaves it out." }),
        "padding_bytes" | "stop_after_bytes" => json!({ "type": "integer", "minimum": 0 }),
        _ => of("frames", "Frames in the same TCP segment as the request."),
    }
}

fn response_key(key: &str) -> Value {
    match key {
        "status" => {
            json!({ "description": "404, 4xx, or a list; {$value: …, $clause: …} under a clause of its own.",
            "anyOf": [reference("statuses"), under("statuses")] })
        }
        "headers" => json!({ "type": "object", "additionalProperties": reference("matcher") }),
        "json" => of("matcher", "The body as JSON."),
        "upgraded" => json!({ "type": "boolean", "description": "Whether it is a correct upgrade." }),
        _ => json!({ "enum": [true], "description": "TCP ends without an answer." }),
    }
}

/// A value that is judged under a clause of its own.
fn under(definition: &str) -> Value {
    json!({ "type": "object", "required": ["$value", "$clause"], "additionalProperties": false,
        "properties": { "$value": reference(definition), "$clause": reference("clause") } })
}

fn request() -> Value {
    closed_object(
        keys::REQUEST,
        request_key,
        "One method with its path, headers, and json or body.",
    )
}

fn request_key(key: &str) -> Value {
    match key {
        "as" => json!({ "description": "Whose token it carries.", "anyOf": [reference("person"),
            closed_object(keys::BEARER, bearer_key, "And which one.")] }),
        "headers" => json!({ "type": "object" }),
        "json" => json!({ "description": "The body, as JSON." }),
        "body" => text("The body, letter for letter."),
        _ => text("A path as the dialect documents it, from / on."),
    }
}

fn frame_key(key: &str) -> Value {
    match key {
        "op" => {
            json!({ "anyOf": [{ "enum": keys::OPCODES }, { "type": "integer", "minimum": 0, "maximum": 15 },
            variable()] })
        }
        "deflate" => {
            json!({ "description": "The payload is compressed, by itself, and RSV1 set.", "anyOf": [{ "type": "boolean" }, variable()] })
        }
        "fragment_bytes" => {
            json!({ "description": "Cut into fragments of so many bytes, once it is compressed.", "anyOf": [
            { "type": "integer", "minimum": 1 }, variable()] })
        }
        "fin" | "mask" => json!({ "anyOf": [{ "type": "boolean" }, variable()] }),
        "rsv" => json!({ "anyOf": [{ "type": "integer", "minimum": 0, "maximum": 7 }, variable()] }),
        "length" => {
            json!({ "description": "The declared length.", "anyOf": [{ "type": "integer" }, variable()] })
        }
        "length_form" => json!({ "enum": ["minimal", "16", "64", 16, 64] }),
        "payload" => of("payload", "Text, a repetition or JSON."),
        "code" => json!({ "description": "Of a close frame.", "anyOf": [{ "type": "integer" }, variable()] }),
        "reason" => text("Of a close frame; only with a code."),
        "bytes" => text("Hex, for bytes that are no frame."),
        "times" => json!({ "description": "The same frame, so often.", "anyOf": [
            { "type": "integer", "minimum": 1, "maximum": FRAME_TIMES_MAX }, variable()] }),
        _ => text("The payload as hex."),
    }
}

fn variable() -> Value {
    json!({ "type": "string", "pattern": "\\$\\{.+\\}" })
}

fn raw_key(key: &str) -> Value {
    match key {
        "frames" => reference("frames"),
        _ => json!({ "type": "integer", "minimum": 1, "description": "Bytes in each write." }),
    }
}

fn code() -> Value {
    json!({
        "description": "A code, a list of codes, any, empty (a frame without code) or none (no frame).",
        "anyOf": [
            { "type": "integer", "minimum": 1000 },
            { "enum": ["any", "empty", "none"] },
            variable(),
            { "type": "array", "minItems": 1, "items": { "anyOf": [{ "type": "integer", "minimum": 1000 }, variable()] } },
            { "type": "object", "properties": { "$type": { "enum": ["integer", "number"] } },
              "required": ["$type"], "additionalProperties": false },
        ],
    })
}

fn closed_key(key: &str) -> Value {
    match key {
        "code" => json!({ "anyOf": [reference("code"), under("code")] }),
        "reason" => of("matcher", "The close frame's reason."),
        "clean" => json!({ "description": "Close frames crossed, then the server ended TCP without reset.",
            "anyOf": [{ "type": "boolean" }, { "type": "object", "additionalProperties": false,
                "properties": { "$value": { "type": "boolean" }, "$clause": reference("clause") } }] }),
        "before" => json!({ "enum": ["greeting"],
            "description": "Nothing of what the dialect sends a newcomer came before: it was never let in." }),
        other => companion(other),
    }
}

fn alternative_key(key: &str) -> Value {
    match key {
        "message" => of("message", "Another message instead."),
        "messages" => of("messages", "These messages, in this order."),
        "closed" => of("closed", "Another end."),
        "refused" => of("statuses", "The handshake was refused with one of these."),
        "nothing" => json!({ "enum": [true], "description": "Nothing arrived in time." }),
        "why" => text("Why it is understandable: shown in the report."),
        other => closed_key(other),
    }
}

fn message() -> Value {
    let form = |key: &str| {
        let value = match key {
            "$json" => reference("matcher"),
            "$text" => json!({ "type": "string" }),
            _ => reference("payload"),
        };
        json!({ "type": "object", "additionalProperties": false, "required": [key], "properties": { key: value } })
    };
    let mut kinds: Vec<Value> = keys::MESSAGE_FORMS.iter().map(|key| form(key)).collect();
    kinds.push(json!({ "type": ["string", "number", "boolean"] }));
    kinds.push(json!({ "type": "object", "allOf": [reference("matcher")] }));
    json!({ "description": "A string is text, letter for letter; a mapping is JSON.", "anyOf": kinds })
}

fn order_forms() -> Value {
    json!({ "type": "object", "minProperties": 1, "additionalProperties": false,
        "properties": properties(keys::ORDER_FORMS, |key| match key {
            "$any_order" => reference("messages"),
            _ => json!({ "type": "object", "required": ["by", "of"], "additionalProperties": false,
                "properties": { "by": { "type": "string" }, "of": reference("messages") } }),
        }) })
}

fn matcher() -> Value {
    let mut special: Map<String, Value> = keys::MATCHERS
        .iter()
        .map(|key| ((*key).to_owned(), matcher_key(key)))
        .collect();
    special.extend(
        keys::MATCHER_COMPANIONS
            .iter()
            .map(|key| ((*key).to_owned(), matcher_key(key))),
    );
    json!({ "description": "What is expected of a JSON value; objects match as subsets.", "anyOf": [
        { "type": ["null", "boolean", "number", "string"] },
        { "type": "array", "items": reference("matcher") },
        { "type": "object", "properties": special, "additionalProperties": false,
          "patternProperties": { "^([^$]|\\$\\$|$)": reference("matcher") } },
    ] })
}

fn matcher_key(key: &str) -> Value {
    let matcher = |description: &str| of("matcher", description);
    match key {
        "$value" => matcher("The value, where $clause or $capture stands beside it."),
        "$exact" => {
            json!({ "type": "object", "additionalProperties": reference("matcher"), "description": "No other field." })
        }
        "$type" => {
            let mut types: Vec<Value> = keys::TYPES.iter().map(|name| json!(name)).collect();
            types.push(Value::Null);
            let one = json!({ "enum": types });
            json!({ "description": "Of this type, or one of these.", "anyOf": [one, { "type": "array", "items": one }] })
        }
        "$regex" => text("A string that matches from start to end."),
        "$range" => {
            json!({ "type": "array", "minItems": 2, "maxItems": 2, "description": "Ends included; null is open." })
        }
        "$any_of" => list_of("matcher", "At least one matches."),
        "$contains" => matcher("An array in which at least one item matches."),
        "$length" => {
            json!({ "type": ["integer", "string"], "description": "Of an array, or of a string in characters." })
        }
        "$optional" => matcher("The field may be missing; if it is there it matches."),
        "$absent" | "$any" => {
            json!({ "enum": [true], "description": "Must not be there; must be there, whatever it holds." })
        }
        "$now" => of(
            "duration",
            "A time in epoch milliseconds at most so far from now; $unit: s for seconds.",
        ),
        "$capture" => text("What matched is a variable of this name from the next step on."),
        "$unit" => words(&["ms", "s"], "What $now counts."),
        _ => of("clause", "A mismatch here is judged under this clause."),
    }
}

fn table_key(key: &str) -> Value {
    match key {
        "columns" => json!({ "type": "array", "items": { "type": "string" }, "minItems": 1,
            "description": "The first is `name`; `clause` judges the row; all but these are variables in `each`." }),
        _ => {
            json!({ "type": "array", "items": { "type": "array" }, "minItems": 1, "description": "One cell a column." })
        }
    }
}

fn interleave() -> Value {
    json!({
        "type": "object",
        "required": ["orders"],
        "properties": { "orders": { "description": "Every order (at most 64), or some drawn from a seed.", "anyOf": [
            { "enum": ["all"] },
            { "type": "object", "required": ["random", "seed"], "additionalProperties": false,
              "properties": { "random": { "type": "integer" }, "seed": { "type": "integer" } } } ] } },
        "additionalProperties": list_of("laneStep", "What this actor does, in this order."),
    })
}
