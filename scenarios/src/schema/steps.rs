//! The schema of steps: what actors do, what is done to the server, tables and orders.

use serde_json::{Map, Value, json};

use super::matching::closed_key;
use super::{
    channel_key, closed_object, disconnect_key, list_of, of, one_or_more, properties, raw_key, reference,
    text, words,
};
use crate::read::keys;
use crate::scenario::REQUESTS_AT_ONCE_MAX;

/// A step: verbs of actors by pattern, the others by name.
pub(super) fn step(actor_verbs: &[&str], dot: &str, description: &str) -> Value {
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

pub(super) fn actor_verb(verb: &str) -> Value {
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

pub(super) fn global_verb(verb: &str) -> Value {
    match verb {
        "connect" => of(
            "connect",
            "Connects, one after the other; {as: …} makes an actor on the spot.",
        ),
        "closed" => {
            let mut ends = closed_object(
                keys::ALL_BUT_ONE,
                all_but_one_key,
                "How the server must have ended all of them but one.",
            );
            ends["required"] = json!(["all_but_one", "left", "code"]);
            ends
        }
        "handshake" => json!({ "description": "An opening handshake by hand; its answer is `expect`.",
            "anyOf": [{ "type": "null" }, reference("handshake")] }),
        // Beside `http` and `handshake` it is the answer.
        "expect" => {
            json!({ "description": "Messages that several actors must see; beside http and handshake, the answer.",
            "anyOf": [expect_on(), reference("response"),
                { "type": "array", "items": reference("response"), "minItems": 2, "maxItems": REQUESTS_AT_ONCE_MAX }] })
        }
        "nothing" => closed_object(keys::NOTHING, nothing_key, "Silence. A close is not silence."),
        "http" => {
            json!({ "description": "A request; its answer is `expect`. Several are made at once, and answered in any order.",
            "anyOf": [reference("request"),
                { "type": "array", "items": reference("request"), "minItems": 2, "maxItems": REQUESTS_AT_ONCE_MAX }] })
        }
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
        "unlogged" => {
            json!({ "type": "string", "description": "No line of the spawned server's log may hold this." })
        }
        "metrics" => json!({ "type": "object", "description": "How far metrics must have moved.",
            "additionalProperties": { "type": "object", "minProperties": 1, "additionalProperties": false,
                "properties": { "at_least": { "type": "number", "minimum": 0, "description": "It has risen so far." },
                    "at_most": { "type": "number", "description": "It has fallen again, to so much above where it was." },
                    "or": one_or_more("word", "Other names of it.") } } }),
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

pub(super) fn companion(key: &str) -> Value {
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
        "at_once" => json!({ "enum": [true], "description": "All handshakes are under way together." }),
        "each" => list_of("step", "Run for each row of the table."),
        _ => global_verb("expect"),
    }
}

fn all_but_one_key(key: &str) -> Value {
    match key {
        "all_but_one" => json!({ "type": "array", "items": reference("word"), "minItems": 2,
            "description": "Of these one is left, whichever the server chose." }),
        "left" => text("The name by which that one goes on."),
        other => closed_key(other),
    }
}

pub(super) fn window_key(key: &str) -> Value {
    match key {
        "since" => json!({ "type": "string", "description": "Whose connection it counts from." }),
        "from" => of("duration", "Not before, from when the handshake was sent."),
        _ => of("duration", "Not after, from the upgrade."),
    }
}

pub(super) fn expect_on() -> Value {
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

pub(super) fn nothing_key(key: &str) -> Value {
    match key {
        "on" => one_or_more("word", "These actors."),
        "for" => of("duration", "For so long."),
        other => companion(other),
    }
}

pub(super) fn alternative_key(key: &str) -> Value {
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

pub(super) fn table_key(key: &str) -> Value {
    match key {
        "columns" => json!({ "type": "array", "items": { "type": "string" }, "minItems": 1,
            "description": "The first is `name`; `clause` judges the row; all but these are variables in `each`." }),
        _ => {
            json!({ "type": "array", "items": { "type": "array" }, "minItems": 1, "description": "One cell a column." })
        }
    }
}

pub(super) fn interleave() -> Value {
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
