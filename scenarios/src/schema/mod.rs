//! The JSON Schemas of scenario files and of files of mutants, for editors: completion, hover, and red underlines before anything is run.
//!
//! Made from the reader's own tables of keys, so that a key which the reader knows and the schema does not is a red
//! test. It is wider than the reader where JSON Schema cannot say what is meant: which actors there are, which
//! variables, which clauses.

mod matching;
mod mutants;
mod steps;

use serde_json::{Value, json};

pub use self::mutants::mutants;
use crate::read::keys;
use crate::scenario::FRAME_TIMES_MAX;
use matching::{closed_key, code, matcher, message, order_forms, response_key};
use steps::{alternative_key, interleave, step, table_key, window_key};

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
            { "type": "array", "items": reference("duration"), "minItems": 2, "maxItems": 2 },
            { "type": "object", "required": ["since", "to"], "additionalProperties": false,
              "properties": properties(keys::WINDOW, window_key) }],
            "description": "Not after, or [not before, not after], from the end of the step before; or from a connection's beginning." },
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
            &["judge", "raw", "silent"],
            "Raw: no close answer, frames by hand; follows from the steps. Silent: no pong either.",
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
