//! The messages of `direct` as they stand on the wire: every one is `{"type","data"}`.

use std::borrow::Cow;
use std::sync::Arc;

use serde::Serialize;
use serde_json::value::RawValue;

use super::HexId;
use crate::json::{self, Object, Value};
use crate::timestamp::Rfc3339;

/// What a client says, once it was found to be all right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Up<'a> {
    /// A message for somebody else (direct/4a).
    ChatMessage(ChatMessage<'a>),
    /// The sender begins or ceases to write to `receiver` (direct/6a).
    Typing {
        /// `None`: what was given is no id, and nobody is told (direct/6c).
        receiver: Option<HexId>,
        /// Whether he begins.
        is_typing: bool,
    },
    /// Everything from a sender was read (direct/8a).
    MarkRead {
        /// As it was given.
        sender: Cow<'a, str>,
    },
    /// The list of who is online is wanted (direct/9a).
    GetOnlineUsers,
}

/// A message for somebody else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatMessage<'a> {
    /// Not the sender.
    pub receiver: HexId,
    /// Neither blank nor too long.
    pub content: Cow<'a, str>,
    /// What the content is.
    pub kind: MessageType,
}

/// What the content of a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageType {
    /// Text (also if nothing is said: direct/4d).
    #[default]
    Text,
    /// A picture.
    Image,
    /// A file.
    File,
}

impl MessageType {
    /// The name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Image => "image",
            Self::File => "file",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        [Self::Text, Self::Image, Self::File]
            .into_iter()
            .find(|kind| kind.name() == name)
    }
}

/// Why a client's message was not taken (direct/10b to 10d).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It is not JSON, no object, or has no `type` that is a string.
    InvalidFormat,
    /// The type is none of ours; it is cut (common/4c).
    UnknownType(String),
    /// A `chat_message` without receiver or content.
    MissingFields,
    /// The receiver is malformed, or the content or its type will not do.
    Validation,
    /// The receiver is the sender.
    ToYourself,
    /// A typing message without a receiver.
    MissingReceiver,
    /// A `mark_read` without a sender.
    MissingSender,
    /// The store did not do it (common/7d).
    ServerError,
}

impl Refusal {
    /// The sentence the client gets.
    #[must_use]
    pub fn message(&self) -> Cow<'static, str> {
        let sentence = match self {
            Self::InvalidFormat => "Invalid message format. Please send valid JSON.",
            Self::UnknownType(kind) => return format!("Unknown message type: {kind}").into(),
            Self::MissingFields => "Missing required fields: receiverId and content",
            Self::Validation => "Message validation failed. Content may be too long or invalid.",
            Self::ToYourself => "Cannot send message to yourself",
            Self::MissingReceiver => "Missing required field: receiverId",
            Self::MissingSender => "Missing required field: senderId",
            Self::ServerError => "Server error",
        };
        sentence.into()
    }
}

impl<'a> Up<'a> {
    /// What `sender` says with `text`.
    pub fn decode(text: &'a str, sender: HexId, content_chars_max: usize) -> Result<Self, Refusal> {
        let message = json::parse(text).ok().and_then(Value::object);
        let [kind, data] = message.ok_or(Refusal::InvalidFormat)?.members(["type", "data"]);
        let kind = kind.and_then(Value::text).ok_or(Refusal::InvalidFormat)?;
        let data = data.and_then(Value::object);
        match &*kind {
            "chat_message" => ChatMessage::decode(data, sender, content_chars_max).map(Self::ChatMessage),
            "typing_start" | "typing_stop" => {
                let receiver = filled(data, "receiverId").ok_or(Refusal::MissingReceiver)?;
                Ok(Self::Typing {
                    receiver: HexId::parse(&receiver),
                    is_typing: kind == "typing_start",
                })
            }
            "mark_read" => {
                let sender = filled(data, "senderId").ok_or(Refusal::MissingSender)?;
                Ok(Self::MarkRead { sender })
            }
            "get_online_users" => Ok(Self::GetOnlineUsers),
            unknown => Err(Refusal::UnknownType(json::cut_type(unknown).to_owned())),
        }
    }
}

impl<'a> ChatMessage<'a> {
    /// Judges in the order of direct/10c.
    fn decode(data: Option<Object<'a>>, sender: HexId, content_chars_max: usize) -> Result<Self, Refusal> {
        let names = ["receiverId", "content", "messageType"];
        let [receiver, content, kind] = data.ok_or(Refusal::MissingFields)?.members(names);
        let receiver = filled_text(receiver).ok_or(Refusal::MissingFields)?;
        let content = filled_text(content).ok_or(Refusal::MissingFields)?;
        let receiver = HexId::parse(&receiver).ok_or(Refusal::Validation)?;
        if receiver == sender {
            return Err(Refusal::ToYourself);
        }
        if !is_good_content(&content, content_chars_max) {
            return Err(Refusal::Validation);
        }
        let kind = match kind.filter(|kind| !kind.is_null()) {
            None => MessageType::default(),
            Some(kind) => {
                let name = kind.text().ok_or(Refusal::Validation)?;
                MessageType::parse(&name).ok_or(Refusal::Validation)?
            }
        };
        Ok(Self {
            receiver,
            content,
            kind,
        })
    }
}

fn is_good_content(content: &str, chars_max: usize) -> bool {
    // There are never more characters than bytes.
    let is_short = content.len() <= chars_max || content.chars().count() <= chars_max;
    is_short && !content.trim().is_empty() && !json::has_nul(content)
}

fn filled<'a>(data: Option<Object<'a>>, name: &str) -> Option<Cow<'a, str>> {
    let [value] = data?.members([name]);
    filled_text(value)
}

fn filled_text(value: Option<Value<'_>>) -> Option<Cow<'_, str>> {
    value?.text().filter(|text| !text.is_empty())
}

/// What the server says.
#[derive(Debug, Clone, Serialize)]
#[serde(
    tag = "type",
    content = "data",
    rename_all = "snake_case",
    rename_all_fields = "camelCase"
)]
pub enum Down<'a> {
    /// The first thing a newcomer hears (direct/2a).
    ConnectionEstablished {
        /// Himself.
        user_id: HexId,
        /// His name.
        username: &'a str,
    },
    /// Who is online (direct/3a).
    OnlineUsers {
        /// Each a [`ListedUser`], already written.
        users: &'a [Arc<RawValue>],
        /// All of them, also those beyond the list (common/11b).
        total_online: usize,
        /// When that was so.
        timestamp: Rfc3339,
    },
    /// Somebody is there now (direct/2b).
    UserOnline {
        /// Who.
        user_id: HexId,
        /// His name.
        username: &'a str,
    },
    /// Somebody is gone (direct/12a).
    UserOffline {
        /// Who.
        user_id: HexId,
        /// His name.
        username: &'a str,
    },
    /// The sender's message is stored (direct/4a).
    MessageSent {
        /// The message.
        message_id: HexId,
        /// For whom it is.
        receiver_id: HexId,
        /// As it came.
        content: &'a str,
        /// When it was taken.
        created_at: Rfc3339,
        /// How far it has got.
        status: SentStatus,
    },
    /// A message for the one who hears this (direct/4b).
    NewMessage {
        /// The message.
        message_id: HexId,
        /// Who wrote it.
        sender_id: HexId,
        /// His name.
        sender_username: &'a str,
        /// As it came.
        content: &'a str,
        /// What the content is.
        message_type: MessageType,
        /// When it was taken.
        created_at: Rfc3339,
    },
    /// The sender's message was handed to its receiver (direct/4c).
    MessageDelivered {
        /// The message.
        message_id: HexId,
        /// When.
        delivered_at: Rfc3339,
    },
    /// Somebody writes, or no longer does (direct/6a).
    TypingIndicator {
        /// Who.
        user_id: HexId,
        /// His name.
        username: &'a str,
        /// Whether he does.
        is_typing: bool,
    },
    /// The receiver has read everything from the one who hears this (direct/8a).
    MessagesRead {
        /// The receiver.
        read_by: HexId,
        /// His name.
        read_by_username: &'a str,
        /// When.
        read_at: Rfc3339,
    },
    /// The answer to `mark_read` (direct/8b).
    MarkReadSuccess {
        /// Whose messages.
        sender_id: &'a str,
        /// Messages that were not read before.
        marked_count: u64,
    },
    /// A message was not taken (direct/10a).
    Error {
        /// Why.
        message: &'a str,
        /// When.
        timestamp: Rfc3339,
    },
}

/// The one status a message has when it is confirmed (direct/4d).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SentStatus {
    /// It is stored.
    Sent,
}

/// A user in the list of who is online (direct/3a).
#[derive(Debug, Clone, Copy, Serialize)]
pub struct ListedUser<'a> {
    /// Who.
    #[serde(rename = "_id")]
    pub id: HexId,
    /// His name.
    pub username: &'a str,
    /// Where his picture is.
    pub avatar: Option<&'a str>,
}

impl ListedUser<'_> {
    /// The user as he stands in lists, written once.
    #[must_use]
    pub fn written(&self) -> Arc<RawValue> {
        let written = serde_json::value::to_raw_value(self);
        Arc::from(written.expect("strings are always JSON"))
    }
}

impl Down<'_> {
    /// The message as JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("strings, numbers and booleans are always JSON")
    }
}
