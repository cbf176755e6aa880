//! The schema of a file of mutants.

use serde_json::{Value, json};

use super::{closed_object, list_of, of, properties, reference, text, words};
use crate::read::keys;

/// The schema of a file of mutants, draft 7 (which the YAML language server reads).
#[must_use]
pub fn mutants() -> Value {
    let mut definitions = super::definitions();
    for (name, schema) in own_definitions() {
        definitions[name] = schema;
    }
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "touchstone mutants",
        "description": "What a proxy or a launcher breaks, one thing at a time, and which scenarios notice.",
        "type": "object",
        "required": ["mutants"],
        "additionalProperties": false,
        "properties": {
            "dialects": dialects("Of all mutants here that name none of their own."),
            "mutants": list_of("mutant", "Each is broken by itself."),
        },
        "definitions": definitions,
    })
}

fn own_definitions() -> [(&'static str, Value); 8] {
    let mut mutant = closed_object(keys::MUTANT, mutant_key, "One thing that is broken.");
    mutant["required"] = json!(["id", "breaks", "clauses", "killed_by"]);
    let mut rule = closed_object(
        keys::MUTANT_RULE,
        mutant_key,
        "When something passes, something is done to it.",
    );
    rule["required"] = json!(["on", "do"]);
    let mut launcher = closed_object(keys::LAUNCHER, launcher_key, "What never passes a proxy.");
    exactly_one(&mut launcher);
    let mut trigger = closed_object(keys::TRIGGERS, trigger_key, "What has to pass.");
    exactly_one(&mut trigger);
    let deed = json!({ "anyOf": [
        words(keys::FLAG_DEEDS, "Done by its name alone."),
        closed_object(keys::DEEDS, deed_key, "What is done, in this order."),
    ] });
    [
        ("mutant", mutant),
        ("mutantRule", rule),
        ("launcher", launcher),
        ("trigger", trigger),
        ("deed", deed),
        (
            "edit",
            closed_object(
                keys::EDITS,
                edit_key,
                "Changes of JSON; places are JSON pointers, * is every item or field.",
            ),
        ),
        (
            "way",
            words(
                keys::WAYS,
                "Whose bytes: the client's (up) or the server's (down).",
            ),
        ),
        ("place", json!({ "type": "string", "pattern": "^/" })),
    ]
}

fn exactly_one(mapping: &mut Value) {
    mapping["minProperties"] = json!(1);
    mapping["maxProperties"] = json!(1);
}

fn dialects(description: &str) -> Value {
    json!({ "type": "array", "items": { "type": "string" }, "description": description })
}

fn one_or_several(schema: &Value, description: &str) -> Value {
    json!({ "description": description, "anyOf": [schema, { "type": "array", "items": schema, "minItems": 1 }] })
}

fn whole(minimum: u64, maximum: u64, description: &str) -> Value {
    json!({ "type": "integer", "minimum": minimum, "maximum": maximum, "description": description })
}

fn mutant_key(key: &str) -> Value {
    match key {
        "id" => {
            json!({ "type": "string", "pattern": "^[a-z0-9-]+$", "description": "The file's name is put before it." })
        }
        "breaks" => text("What no longer holds, in lower case and without a full stop."),
        "clauses" => {
            json!({ "description": "What is broken by it; only a failure under one of these counts.",
            "anyOf": [{ "enum": ["any"] }, { "type": "array", "items": { "type": "string" }, "minItems": 1 }] })
        }
        "killed_by" => one_or_several(
            &reference("word"),
            "The cases that are known to notice, by id or pattern.",
        ),
        "dialects" => dialects("Whose connections it breaks, where the file's name does not say it."),
        "after" => of(
            "trigger",
            "What has to have passed before, on any connection: until then nothing is done, and nothing counted.",
        ),
        "on" => of("trigger", "What has to pass."),
        "nth" => whole(1, u64::from(u32::MAX), "This one alone, from 1."),
        "every" => whole(1, u64::from(u32::MAX), "Each so manieth."),
        "from" => whole(1, u64::from(u32::MAX), "This one and all that follow."),
        "do" => one_or_several(&reference("deed"), "What is done to it, in this order."),
        "rules" => list_of(
            "mutantRule",
            "Several; all that apply to a unit do, in this order.",
        ),
        _ => reference("launcher"),
    }
}

fn launcher_key(key: &str) -> Value {
    match key {
        "log" => words(
            &["token", "nothing"],
            "Every token is written to the log; or what is written is lost.",
        ),
        "store" => words(
            &["emptied"],
            "What was stored is gone when the server starts again.",
        ),
        "signals" => words(&["ignored"], "SIGTERM and SIGINT do not reach the server."),
        "exit" => whole(0, 255, "It ends with this status when asked to stop."),
        _ => words(&["kill"], "Asked to stop it is killed."),
    }
}

fn trigger_key(key: &str) -> Value {
    match key {
        "down" | "up" => json!({
            "description": "A message: any frame, a form, {$regex: …} for text, or a matcher of its JSON.",
            "anyOf": [
                { "enum": keys::FORMS },
                { "type": "object", "additionalProperties": false, "required": ["$regex"], "properties": { "$regex": { "type": "string" } } },
                { "type": "object", "allOf": [reference("message")] },
            ],
        }),
        "frame" => closed_object(keys::HEADER_TRIGGER, header_key, "A frame by its header."),
        "ping" | "pong" | "ended" => reference("way"),
        "close" => json!({ "anyOf": [
            reference("way"),
            closed_object(keys::CLOSE_TRIGGER, |key| match key {
                "way" => reference("way"),
                _ => one_or_several(&json!({ "type": "integer" }), "With one of these codes."),
            }, "A close frame."),
        ] }),
        "request" => closed_object(keys::REQUEST_TRIGGER, request_key, "A request over HTTP."),
        "handshake" => closed_object(keys::REQUEST_TRIGGER, request_key, "An opening handshake."),
        "answer" => closed_object(keys::ANSWER_TRIGGER, request_key, "The answer to a request."),
        _ => json!({ "enum": [true], "description": "The upgrade has been passed on." }),
    }
}

fn header_key(key: &str) -> Value {
    match key {
        "way" => reference("way"),
        "opcodes" => one_or_several(&opcode(), "One of these."),
        "rsv" => one_or_several(&whole(0, 7, "RSV1 is 4."), "Exactly these bits."),
        "bytes_min" => json!({ "type": "integer", "minimum": 0, "description": "Of the payload." }),
        _ => json!({ "type": "boolean" }),
    }
}

fn opcode() -> Value {
    json!({ "anyOf": [{ "enum": keys::OPCODES }, { "type": "integer", "minimum": 0, "maximum": 15 }] })
}

fn request_key(key: &str) -> Value {
    match key {
        "handshake" => json!({ "type": "boolean", "description": "The answer to an opening handshake." }),
        "method" => text("Any if left out."),
        "path" => text("Path and query, a regular expression from start to end."),
        "headers" => json!({ "type": "object", "additionalProperties": { "type": "string" },
            "description": "Regular expressions from start to end." }),
        "json" => of("matcher", "The body of the request as JSON."),
        _ => reference("statuses"),
    }
}

fn deed_key(key: &str) -> Value {
    match key {
        "times" => json!({ "type": "integer", "minimum": 2, "description": "Passed on so often in all." }),
        "delay" => of("duration", "Later; what follows waits too."),
        "late" => of("duration", "Later; what follows goes ahead."),
        "again" => of("duration", "Once more after this time."),
        "edit" => one_or_several(&reference("edit"), "Its JSON is changed."),
        "replace" => of("payload", "This in its place."),
        "reply" => of("payload", "This goes back to where it came from."),
        "also" => of("payload", "This too goes the same way, after it."),
        "frame" => closed_object(
            keys::FRAME_FLAW,
            flaw_key,
            "Written as a frame that breaks the RFC.",
        ),
        "code" => {
            json!({ "description": "Of a close frame.", "anyOf": [{ "enum": ["empty"] }, whole(0, 65_535, "A code.")] })
        }
        "reason" => text("Of a close frame."),
        "close" => whole(
            1000,
            4999,
            "The client is sent a close frame with this code, and nothing more.",
        ),
        "end" => words(&["fin", "reset"], "TCP ends so on both sides."),
        "respond" => respond(),
        "method" => text("Of a request."),
        "status" => whole(100, 599, "Of an answer."),
        "header" => json!({ "type": "object", "additionalProperties": { "type": ["string", "null"] },
            "description": "By name; null takes one out." }),
        "body" => text("Of a request or an answer, letter for letter."),
        "substitute" => {
            json!({ "type": "object", "required": keys::SUBSTITUTE, "additionalProperties": false,
            "properties": properties(keys::SUBSTITUTE, |key| match key {
                "from" => text("A regular expression."),
                _ => text("In place of every match; $1 for groups."),
            }) })
        }
        "sign" => {
            json!({ "type": "object", "description": "The token is signed anew, in force, with these claims; null leaves one out." })
        }
        _ => json!({ "enum": [true] }),
    }
}

fn respond() -> Value {
    let mut respond = closed_object(
        keys::RESPOND,
        |key| match key {
            "status" => whole(100, 599, "Its status."),
            "headers" => json!({ "type": "object", "additionalProperties": { "type": "string" } }),
            _ => json!({ "description": "Its body." }),
        },
        "An answer in place of the server's.",
    );
    respond["required"] = json!(["status"]);
    respond
}

fn flaw_key(key: &str) -> Value {
    match key {
        "mask_flipped" => json!({ "enum": [true], "description": "Masked by a server, or not by a client." }),
        "length_longest" => json!({ "enum": [true], "description": "The length in the longest form." }),
        "rsv" => whole(0, 7, "These bits, RSV1 the highest (4)."),
        "opcode" => opcode(),
        "fin" => json!({ "type": "boolean" }),
        "fragment_bytes" => {
            json!({ "type": "integer", "minimum": 1, "description": "In fragments of so many bytes." })
        }
        "payload_suffix" => text("Hex, after its payload."),
        _ => {
            json!({ "type": "integer", "minimum": 0, "description": "Only so many bytes of the payload; the length says all." })
        }
    }
}

fn edit_key(key: &str) -> Value {
    if keys::PLACE_EDITS.contains(&key) {
        return one_or_several(
            &reference("place"),
            match key {
                "remove" => "Taken out.",
                "retype" => "A number becomes a string, a string an array …",
                "stale" => "As it was in the message before that the rule was applied to.",
                "reverse" => "An array, the other way round.",
                "twice" => "An array's first item, once more.",
                _ => "A string in upper case, or in lower.",
            },
        );
    }
    let (value, description) = match key {
        "set" => (json!({}), "This value at that place."),
        "rename" => (json!({ "type": "string" }), "The field under this name."),
        "copy" => (reference("place"), "At that place what stands at this one."),
        "add" => (json!({ "type": "number" }), "So much more; in a time seconds."),
        "append" => (json!({}), "This at the end."),
        _ => (
            json!({ "type": "integer", "minimum": 0 }),
            "Only so many items or characters.",
        ),
    };
    json!({ "type": "object", "description": description, "additionalProperties": false,
        "patternProperties": { "^/": value } })
}
