//! The messages of `rooms` as they stand on the wire, for the server and the load generator.

use std::borrow::Cow;

use serde::{Serialize, Serializer};

use crate::json::{self, Value};
use crate::timestamp::Rfc3339;

/// The content type of every message (rooms/5d).
pub const CONTENT_TYPE: &str = "text/plain";

/// The type of every channel (rooms/3c).
pub const CHANNEL_TYPE: &str = "group";

/// What a client says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said<'a> {
    /// A text for the channel (rooms/5c).
    Message {
        /// As it came, not trimmed.
        content: Cow<'a, str>,
    },
    /// He types, or no longer (rooms/7b).
    Typing {
        /// Which of the two.
        is_typing: bool,
    },
    /// He has read a message (rooms/8c).
    Read {
        /// Which.
        message_id: Cow<'a, str>,
    },
    /// He is still there (rooms/10b).
    Heartbeat,
}

/// Why something cannot be processed; the text of the error frame (rooms/6b, 7b, 8c, 10a).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unprocessable {
    /// Bad JSON, or JSON that is no object.
    InvalidJson,
    /// No `type`, or one that is no string.
    TypeMissing,
    /// A `type` that does not exist, cut to what is repeated of it.
    TypeUnknown(String),
    /// `content` is missing, blank, or no string.
    ContentMissing,
    /// `content` is longer than so many Unicode scalar values.
    ContentTooLong(usize),
    /// `content` has U+0000 in it (common/4c).
    ContentHasNul,
    /// `is_typing` is missing, or no boolean.
    TypingMissing,
    /// There is no message with this id here.
    MessageNotFound,
    /// Nothing is wrong with it, but the server cannot now (common/7d).
    ServerError,
}

impl std::fmt::Display for Unprocessable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::InvalidJson => f.write_str("Invalid JSON format"),
            Self::TypeMissing => f.write_str("Missing message type"),
            Self::TypeUnknown(kind) => write!(f, "Unknown message type: {kind}"),
            Self::ContentMissing => f.write_str("Message content is required"),
            Self::ContentTooLong(chars) => write!(f, "Message content is longer than {chars} characters"),
            Self::ContentHasNul => f.write_str("Message content must not contain U+0000"),
            Self::TypingMissing => f.write_str("is_typing must be true or false"),
            Self::MessageNotFound => f.write_str("Message not found"),
            Self::ServerError => f.write_str("Server error"),
        }
    }
}

impl std::error::Error for Unprocessable {}

impl<'a> Said<'a> {
    /// Reads a message. `content_chars_max`: see [`CONTENT_CHARS_MAX`](super::CONTENT_CHARS_MAX).
    ///
    /// # Errors
    /// It cannot be processed.
    pub fn read(text: &'a str, content_chars_max: usize) -> Result<Self, Unprocessable> {
        let object = json::parse(text).ok().and_then(Value::object);
        let object = object.ok_or(Unprocessable::InvalidJson)?;
        let [kind, content, is_typing, message_id] =
            object.members(["type", "content", "is_typing", "message_id"]);
        let kind = kind.and_then(Value::text).ok_or(Unprocessable::TypeMissing)?;
        match &*kind {
            "chat.message" => {
                let content = content_of(content, content_chars_max)?;
                Ok(Self::Message { content })
            }
            "typing" => match is_typing.map(Value::raw) {
                Some("true") => Ok(Self::Typing { is_typing: true }),
                Some("false") => Ok(Self::Typing { is_typing: false }),
                Some(_) | None => Err(Unprocessable::TypingMissing),
            },
            "message.read" => {
                let message_id = message_id.and_then(Value::text);
                let message_id = message_id.ok_or(Unprocessable::MessageNotFound)?;
                Ok(Self::Read { message_id })
            }
            "heartbeat" => Ok(Self::Heartbeat),
            unknown => Err(Unprocessable::TypeUnknown(json::cut_type(unknown).to_owned())),
        }
    }
}

/// The text of `content`, if it will do (rooms/6b).
///
/// # Errors
/// It is missing, blank, no string, too long, or cannot be stored.
pub fn content_of(content: Option<Value<'_>>, chars_max: usize) -> Result<Cow<'_, str>, Unprocessable> {
    let content = content.and_then(Value::text);
    let content = content.filter(|content| !content.trim().is_empty());
    let content = content.ok_or(Unprocessable::ContentMissing)?;
    // A scalar value has at least one byte.
    if content.len() > chars_max && content.chars().count() > chars_max {
        return Err(Unprocessable::ContentTooLong(chars_max));
    }
    if json::has_nul(&content) {
        return Err(Unprocessable::ContentHasNul);
    }
    Ok(content)
}

/// The id of a user or a tenant, as it was provisioned (rooms/1c).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Id<'a> {
    /// A string.
    Text(Cow<'a, str>),
    /// An integer.
    Integer(u64),
}

impl Serialize for Id<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(id) => serializer.serialize_str(id),
            Self::Integer(id) => serializer.serialize_u64(*id),
        }
    }
}

/// What the server says. Each serializes with its `type` first.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type")]
pub enum Told<'a> {
    /// The channel, to who has just come (rooms/3c).
    #[serde(rename = "channel.info")]
    ChannelInfo {
        /// The channel.
        channel: Channel<'a>,
    },
    /// What was said before, to who has just come (rooms/3c).
    #[serde(rename = "messages.history")]
    History {
        /// The oldest first.
        messages: &'a [Message<'a>],
    },
    /// Something was said (rooms/5d).
    #[serde(rename = "chat.message")]
    Message {
        /// What.
        message: &'a Message<'a>,
    },
    /// Somebody has come (rooms/4b).
    #[serde(rename = "user.join")]
    Join(Mover<'a>),
    /// Somebody has left (rooms/4b).
    #[serde(rename = "user.leave")]
    Leave(Mover<'a>),
    /// Somebody types, or no longer (rooms/7b).
    #[serde(rename = "typing")]
    Typing {
        /// Who.
        user_id: Id<'a>,
        /// What he is called.
        username: &'a str,
        /// Which of the two.
        is_typing: bool,
    },
    /// Somebody has read a message (rooms/8c).
    #[serde(rename = "message.read")]
    Read {
        /// Which.
        message_id: &'a str,
        /// Who.
        user_id: Id<'a>,
        /// When.
        read_at: Rfc3339,
    },
    /// Somebody came to the tenant, or left it (rooms/13b).
    #[serde(rename = "presence")]
    Presence {
        /// Who.
        user_id: Id<'a>,
        /// Which of the two.
        is_online: bool,
        /// When his last connection ended, if one ever did.
        last_seen: Option<Rfc3339>,
    },
    /// The answer to a heartbeat (rooms/10b).
    #[serde(rename = "heartbeat.ack")]
    HeartbeatAck {
        /// Now.
        timestamp: Rfc3339,
    },
    /// Something cannot be processed (rooms/6a).
    #[serde(rename = "error")]
    Error {
        /// Why.
        message: String,
    },
}

/// Who comes or leaves.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Mover<'a> {
    /// Who.
    pub user_id: Id<'a>,
    /// What he is called.
    pub username: &'a str,
    /// When.
    pub timestamp: Rfc3339,
}

/// A channel as one of its members sees it (rooms/3c).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Channel<'a> {
    /// Which.
    pub id: &'a str,
    /// For people.
    pub name: Option<&'a str>,
    /// Always [`CHANNEL_TYPE`].
    pub channel_type: &'static str,
    /// Its members, at most 100, who connected last first (common/11b); in a list of channels they are missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub participants: Option<Vec<Participant<'a>>>,
    /// How many members it has.
    pub participants_total: u64,
    /// Messages of others that he has not read.
    pub unread_count: u64,
    /// The newest message.
    pub last_message: Option<&'a Message<'a>>,
}

/// A member of a channel (rooms/3c).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Participant<'a> {
    /// Who.
    pub id: Id<'a>,
    /// What he is called.
    pub username: &'a str,
    /// Whether he is connected to any channel of the tenant.
    pub is_online: bool,
    /// When his last connection ended, if one ever did.
    pub last_seen: Option<Rfc3339>,
}

/// Something that was said (rooms/5d).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Message<'a> {
    /// Unique over all channels.
    pub id: &'a str,
    /// The text as it came.
    pub content: &'a str,
    /// Always [`CONTENT_TYPE`].
    pub content_type: &'static str,
    /// Who said it.
    pub user_id: Id<'a>,
    /// What he is called.
    pub username: &'a str,
    /// When.
    pub timestamp: Rfc3339,
    /// Whether it was he who is told this.
    pub is_own: bool,
    /// Who has read it, without the author.
    pub read_by: Vec<Id<'a>>,
}
