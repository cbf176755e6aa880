//! The messages of `outbox` as they stand on the wire.

use std::fmt;

use serde::Serialize;

use crate::json;
use crate::timestamp::Rfc3339;

/// What a client says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Up {
    /// It wants a `pong` (outbox/11a).
    Ping,
    /// It wants what is pending (outbox/12a).
    GetPending,
}

/// Why a client's message was not understood (outbox/13b).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Misunderstood {
    /// It is not JSON.
    BadJson,
    /// It is JSON, but no object.
    NoObject,
    /// The object has no `type`, or one that is no string.
    NoType,
    /// There is no such type; here it is as far as an error text repeats it.
    UnknownType(String),
}

impl fmt::Display for Misunderstood {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadJson => f.write_str("Invalid JSON"),
            Self::NoObject => f.write_str("A message is a JSON object"),
            Self::NoType => f.write_str("A message has a type"),
            Self::UnknownType(kind) => write!(f, "Unknown message type: {kind}"),
        }
    }
}

impl Up {
    /// Reads a message. Fields that no rule names are ignored (common/4b).
    pub fn decode(text: &str) -> Result<Self, Misunderstood> {
        let value = json::parse(text).map_err(|_| Misunderstood::BadJson)?;
        let object = value.object().ok_or(Misunderstood::NoObject)?;
        let [kind] = object.members(["type"]);
        let kind = kind.and_then(json::Value::text).ok_or(Misunderstood::NoType)?;
        match &*kind {
            "ping" => Ok(Self::Ping),
            "get_pending" => Ok(Self::GetPending),
            other => Err(Misunderstood::UnknownType(json::cut_type(other).to_owned())),
        }
    }
}

/// What the server says beside the events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Down<'a> {
    /// The first message of all (outbox/3a, 3b).
    ConnectionEstablished {
        /// Whose stream it is.
        user_uuid: &'a str,
        /// When it begins.
        timestamp: Rfc3339,
    },
    /// The answer to `ping` (outbox/11a, 11b).
    Pong {
        /// When it was given.
        timestamp: Rfc3339,
    },
    /// What was pending has been sent (outbox/12a).
    PendingCheckComplete {
        /// How much that was.
        data: PendingCheck,
    },
    /// Something was not understood, or failed (outbox/13a).
    Error {
        /// What.
        message: &'a str,
    },
}

/// What came of a `get_pending` (outbox/12a).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct PendingCheck {
    /// Messages that it caused.
    pub count: u64,
}

/// What an event tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// A new message (outbox/5a).
    MessageGenerate,
    /// A message that takes the place of another (outbox/5c, 5d).
    MessageRegenerate,
    /// Anything else (outbox/5c, 5d).
    Notifications,
}

impl EventKind {
    /// All of them.
    pub const ALL: [Self; 3] = [
        Self::MessageGenerate,
        Self::MessageRegenerate,
        Self::Notifications,
    ];

    /// The `type` on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::MessageGenerate => "message_generate",
            Self::MessageRegenerate => "message_regenerate",
            Self::Notifications => "notifications",
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// What a `message_generate` says (outbox/5a): the event's `message_data`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct MessageData<'a> {
    /// The message.
    pub message: MessageBody<'a>,
    /// Where it belongs.
    pub response_message: ResponseMessage<'a>,
}

/// A message in an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct MessageBody<'a> {
    /// Its name.
    pub uuid: &'a str,
    /// What it says.
    pub content: &'a str,
    /// Who wrote it.
    pub sender_uuid: &'a str,
    /// When.
    pub created_at: Rfc3339,
}

/// Where a message belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ResponseMessage<'a> {
    /// The conversation.
    pub conversation_uuid: &'a str,
}

/// An event as it is sent (outbox/5a, 5d, 9c): what it says, with its type and its name. `None` if `data` is no JSON
/// object with something in it; whether it is good JSON is the caller's care.
#[must_use]
pub fn event(kind: &str, event_id: &str, data: &str) -> Option<String> {
    let members = data.strip_prefix('{').filter(|members| *members != "}")?;
    let [kind, event_id] = [kind, event_id].map(|text| serde_json::Value::from(text).to_string());
    Some(format!(r#"{{"type":{kind},"event_id":{event_id},{members}"#))
}
