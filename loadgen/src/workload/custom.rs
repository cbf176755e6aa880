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
/// `${session}`, `${user.COLUMN}`, `${recipient.COLUMN}`, `${channel}` and `${token}` say who speaks to whom; `${FEED.COLUMN}` stands in
/// a file of `feed`. `$$` is a dollar. A template is a text, or JSON; a `"${index}"` that stands alone in JSON becomes a number, and what
/// stands alone and comes from a JSON file stays what it is there.
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
    /// Sent with every handshake and request, beside the target's; their values are templates: `{Cookie: "session=${token}"}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The dialect whose `users` and `auth` of the target file count, where it has them by dialect; missing: the first it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::dialect")]
    pub users_of: Option<String>,
    /// Asked for in the handshake (`Sec-WebSocket-Protocol`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subprotocol: Option<String>,
    /// Said first on every connection, one after the other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub greeting: Vec<Value>,
    /// Said first by those who come back, in place of the greeting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume: Option<Resume>,
    /// How what was missed is read back, where the server keeps it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catch_up: Option<CustomCatchUp>,
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
    /// After a close with one of these codes, or a handshake that was refused with one of these statuses, whoever comes back
    /// gets a new token first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub new_token_after: Vec<u16>,
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
    /// A request over HTTP in place of a frame. An answer of 200 to 299 confirms what is delivered; where nothing is, the act is
    /// timed until it, unless `answer` says how the server answers over the connection.
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

/// A request over HTTP: one of `get`, `post`, `put`, `patch` and `delete` with its path, a template.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("oneOf" = schema::either(["get", "post", "put", "patch", "delete"])))]
pub struct CustomRequest {
    /// The path of a GET.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<schema::Pointer>")]
    pub get: Option<String>,
    /// The path of a POST.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<schema::Pointer>")]
    pub post: Option<String>,
    /// The path of a PUT.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<schema::Pointer>")]
    pub put: Option<String>,
    /// The path of a PATCH.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<schema::Pointer>")]
    pub patch: Option<String>,
    /// The path of a DELETE.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<schema::Pointer>")]
    pub delete: Option<String>,
    /// Beside those of the handshake; their values are templates. Without `Authorization` it is `Bearer` and the user's token, where
    /// there is one.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// A template; missing: no body.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub body: Value,
}

/// How what was missed is read back: every `${stamp}` in the answer is a message that was kept.
///
/// With `${last}` in what is asked, whoever comes back asks at once for what came after; without it, who misses something asks
/// at the end of the run. With `${page}` it is asked for page after page, from 1, until one has no message.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CustomCatchUp {
    /// A template of the frame that asks. Without it and without `request` it is `resume` that asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub send: Option<Value>,
    /// A request over HTTP in its place, whose answer holds what was missed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<CustomRequest>,
    /// How the frames are told that bring what was missed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missed: Option<Recogniser>,
    /// How the frame is told after which nothing more comes; missing: the first that brings something.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub done: Option<Recogniser>,
    /// JSON pointer to the number or text that the server counts its messages with, for `${last}`; as in `resume`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<schema::Pointer>")]
    pub last: Option<String>,
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
