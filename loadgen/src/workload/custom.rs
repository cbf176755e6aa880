//! A protocol of one's own, as people write it under `custom:`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use touchstone_scenarios::duration::FixedDuration;

use super::schema;

/// A protocol that is no dialect.
///
/// In templates, `${stamp}` names the message to those who hear it, `${index}` is its number among the sender's, from 1;
/// `${session}`, `${user.COLUMN}`, `${recipient.COLUMN}`, `${channel}` and `${token}` say who speaks to whom. `$$` is a dollar. A template
/// is a text, or JSON; a `"${index}"` that stands alone in JSON becomes a number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Custom {
    /// What reports call it.
    #[serde(default = "custom")]
    pub name: String,
    /// Where connections go: a path with its query, a template.
    #[serde(default = "root")]
    #[schemars(regex(pattern = "^/"))]
    pub path: String,
    /// Sent with every handshake, beside the target's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Asked for in the handshake (`Sec-WebSocket-Protocol`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subprotocol: Option<String>,
    /// Said first on every connection, one after the other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub greeting: Vec<Value>,
    /// Said first by those who come back, in place of the greeting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume: Option<Resume>,
    /// What users do, by name.
    #[schemars(extend("minProperties" = 1))]
    pub acts: BTreeMap<String, CustomAct>,
    /// When the connection is a full one; missing: from its beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready: Option<Recogniser>,
    /// What the server says of its own accord.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pushes: Vec<Recogniser>,
    /// How the server says that it will not do what was asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<Recogniser>,
    /// Signs of life.
    #[serde(default)]
    pub heartbeat: Heartbeats,
    /// How long who was dropped waits before coming back.
    #[serde(default)]
    pub backoff: CustomBackoff,
    /// After a close with one of these codes nobody comes back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stay_away_after: Vec<u16>,
}

/// How a session is taken up again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Resume {
    /// A template; `${last}` is what was last heard at `last`.
    pub send: Value,
    /// JSON pointer to the number or text that the server counts its messages with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<schema::Pointer>")]
    pub last: Option<String>,
}

/// Something that users do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = schema::either(["send", "send_in_turn", "request"])))]
pub struct CustomAct {
    /// A template of the frame.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send: Option<Value>,
    /// Templates of frames that take turns, from the first again on each connection.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub send_in_turn: Vec<Value>,
    /// A request over HTTP in place of a frame; an answer of 200 to 299 confirms it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<CustomRequest>,
    /// How the server answers the sender, with the message's key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Recogniser>,
    /// How the server tells the sender that it has the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm: Option<Recogniser>,
    /// How others hear the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<Recogniser>,
    /// Who is owed the delivery: `others`, `group`, `recipient` or `everybody`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<To>,
}

/// A request over HTTP.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CustomRequest {
    /// The path, a template.
    pub post: String,
    /// A template.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub body: Value,
}

/// Who is owed a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum To {
    /// The others of the sender's group.
    Others,
    /// The sender's group, the sender too.
    Group,
    /// The one whom `${recipient.…}` names.
    Recipient,
    /// Everybody who is connected.
    Everybody,
}

/// How a message of the server is told from the others.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("anyOf" = schema::recogniser()))]
pub struct Recogniser {
    /// JSON pointers, and what must stand there.
    #[serde(default, rename = "where", skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: BTreeMap<String, Value>,
    /// JSON pointer to the text with `${stamp}` in it, or to the number that was sent as `${index}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<schema::Pointer>")]
    pub key: Option<String>,
    /// In place of both: a regular expression that finds the key as its first group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matches: Option<String>,
}

/// Signs of life.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Heartbeats {
    /// What clients say unasked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub send: Option<CustomBeat>,
    /// What the server says, and what it wants to hear.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub answer: Vec<CustomReply>,
}

/// What clients say unasked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CustomBeat {
    /// From one to the next.
    #[schemars(with = "schema::Time")]
    pub every: FixedDuration,
    /// A text or JSON, as it is.
    pub text: Value,
}

/// A sign of life of the server's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CustomReply {
    /// How it is told from other messages.
    pub when: Recogniser,
    /// What it wants to hear; missing: nothing.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub reply: Value,
}

/// How long who was dropped waits before coming back.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CustomBackoff {
    /// Before the first attempt.
    #[schemars(with = "schema::Time")]
    pub first: FixedDuration,
    /// Each wait is so many times as long as the one before.
    #[schemars(range(min = 1.0, max = 100.0))]
    pub factor: f64,
    /// No wait is longer.
    #[schemars(with = "schema::Time")]
    pub max: FixedDuration,
    /// After so many attempts in a row that failed, a client gives up; missing: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u32>,
}

impl Default for CustomBackoff {
    fn default() -> Self {
        Self {
            first: FixedDuration(std::time::Duration::from_millis(500)),
            factor: 2.0,
            max: FixedDuration(std::time::Duration::from_secs(10)),
            attempts: None,
        }
    }
}

fn custom() -> String {
    "custom".to_owned()
}

fn root() -> String {
    "/".to_owned()
}
