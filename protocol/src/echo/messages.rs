//! The messages of `echo` as they stand on the wire, for the server and the load generator.
//!
//! The client's own messages have no shape: they are any text, and are never parsed (echo/2a).

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{BROADCAST_LEVELS, BROADCAST_TITLE, FAREWELL};

/// The answer to one message (echo/2a, 3a).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer<'a> {
    /// The session's count after this message.
    pub count: u64,
    /// The message verbatim; missing for an empty one.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub echo: Option<Cow<'a, str>>,
}

impl<'a> Answer<'a> {
    /// The answer to `text`, the `count`-th message of its session.
    #[must_use]
    pub fn new(count: u64, text: &'a str) -> Self {
        Self {
            count,
            echo: (!text.is_empty()).then_some(Cow::Borrowed(text)),
        }
    }
}

/// A heartbeat (echo/8a).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// Milliseconds since the epoch, as a string.
    pub ts: String,
}

impl Heartbeat {
    /// The heartbeat of this moment.
    #[must_use]
    pub fn at(epoch_millis: u64) -> Self {
        Self {
            ts: epoch_millis.to_string(),
        }
    }
}

/// What everybody is told (echo/9a).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Broadcast {
    /// Always `broadcast`.
    pub r#type: Cow<'static, str>,
    /// The text.
    pub message: String,
    /// A heading.
    pub title: String,
    /// One of [`BROADCAST_LEVELS`].
    pub level: String,
    /// Milliseconds since the epoch.
    pub timestamp: u64,
}

/// Why a request to broadcast is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadBroadcast {
    /// It is not JSON.
    InvalidJson,
    /// There is no object with a text in it, or the text is blank.
    MessageMissing,
    /// The level is not one of [`BROADCAST_LEVELS`].
    LevelUnknown,
    /// The title is not a text.
    TitleNotText,
}

impl BadBroadcast {
    /// The sentence the caller gets.
    #[must_use]
    pub fn message(self) -> String {
        match self {
            Self::InvalidJson => "Invalid JSON".to_owned(),
            Self::MessageMissing => "Message is required".to_owned(),
            Self::LevelUnknown => format!("Level must be one of: {}", BROADCAST_LEVELS.join(", ")),
            Self::TitleNotText => "Title must be a string".to_owned(),
        }
    }
}

impl Broadcast {
    /// Reads `{"message","title"?,"level"?}` and makes of it what everybody is told at `epoch_millis`.
    ///
    /// A `null` counts as missing; other fields are ignored.
    pub fn from_request(body: &[u8], epoch_millis: u64) -> Result<Self, BadBroadcast> {
        let request: Value = serde_json::from_slice(body).map_err(|_| BadBroadcast::InvalidJson)?;
        Self::from_fields(&request, epoch_millis)
    }

    /// The same for a request that is part of a larger one.
    pub fn from_fields(request: &Value, epoch_millis: u64) -> Result<Self, BadBroadcast> {
        let text = |name: &str| match &request[name] {
            Value::Null => Ok(None),
            Value::String(text) => Ok(Some(text.clone())),
            Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => Err(()),
        };
        let message = text("message")
            .ok()
            .flatten()
            .filter(|message| !message.trim().is_empty())
            .ok_or(BadBroadcast::MessageMissing)?;
        let title = text("title").map_err(|()| BadBroadcast::TitleNotText)?;
        let level = text("level").map_err(|()| BadBroadcast::LevelUnknown)?;
        let level = level.unwrap_or_else(|| BROADCAST_LEVELS[0].to_owned());
        if !BROADCAST_LEVELS.contains(&level.as_str()) {
            return Err(BadBroadcast::LevelUnknown);
        }
        Ok(Self {
            r#type: Cow::Borrowed("broadcast"),
            message,
            title: title.unwrap_or_else(|| BROADCAST_TITLE.to_owned()),
            level,
            timestamp: epoch_millis,
        })
    }
}

/// The last message before a graceful stop closes the connection (echo/10a).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Farewell {
    /// Always true.
    pub bye: bool,
    /// The session's count, 0 before the first message.
    pub total: u64,
    /// Always [`FAREWELL`].
    pub message: Cow<'static, str>,
}

impl Farewell {
    /// The farewell to a session of `total` messages.
    #[must_use]
    pub fn new(total: u64) -> Self {
        Self {
            bye: true,
            total,
            message: Cow::Borrowed(FAREWELL),
        }
    }
}

/// A client's message as it is kept with its session (echo/7a).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeptMessage<'a> {
    /// The message verbatim.
    #[serde(borrow)]
    pub content: Cow<'a, str>,
    /// Milliseconds since the epoch.
    pub timestamp: u64,
    /// Always true: the server's answers are not kept (echo/7b).
    pub is_sent: bool,
    /// The session it belongs to.
    #[serde(borrow)]
    pub session_id: Cow<'a, str>,
}

impl<'a> KeptMessage<'a> {
    /// `content` as the client of `session_id` sent it at `epoch_millis`.
    #[must_use]
    pub fn new(content: &'a str, session_id: &'a str, epoch_millis: u64) -> Self {
        Self {
            content: Cow::Borrowed(content),
            timestamp: epoch_millis,
            is_sent: true,
            session_id: Cow::Borrowed(session_id),
        }
    }
}

/// A message as JSON. Every message of this module can be written: there is nothing in it that JSON cannot say.
#[must_use]
pub fn to_json(message: &impl Serialize) -> String {
    serde_json::to_string(message).expect("strings, numbers and booleans are always JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The wire, literally: a change of a field shows up here.
    #[test]
    fn every_message_is_spelt_as_documented() {
        assert_eq!(
            to_json(&Answer::new(6, "Hello World")),
            r#"{"count":6,"echo":"Hello World"}"#
        );
        assert_eq!(
            to_json(&Answer::new(1, r#"{"type":"ping"}"#)),
            r#"{"count":1,"echo":"{\"type\":\"ping\"}"}"#
        );
        assert_eq!(to_json(&Answer::new(7, "")), r#"{"count":7}"#);
        assert_eq!(
            to_json(&Heartbeat::at(1_703_123_456_789)),
            r#"{"ts":"1703123456789"}"#
        );
        assert_eq!(
            to_json(&Farewell::new(3)),
            r#"{"bye":true,"total":3,"message":"Server is shutting down gracefully"}"#
        );
        assert_eq!(
            to_json(&KeptMessage::new("hi", "abc123", 1_703_123_456_789)),
            r#"{"content":"hi","timestamp":1703123456789,"isSent":true,"sessionId":"abc123"}"#
        );
    }

    #[test]
    fn a_broadcast_has_its_defaults_and_its_refusals() {
        let told =
            |body: &str| Broadcast::from_request(body.as_bytes(), 5).map(|broadcast| to_json(&broadcast));
        assert_eq!(
            told(r#"{"message":"m"}"#).as_deref(),
            Ok(r#"{"type":"broadcast","message":"m","title":"System Message","level":"info","timestamp":5}"#)
        );
        assert_eq!(
            told(r#"{"message":"m","title":"t","level":"error","more":1}"#).as_deref(),
            Ok(r#"{"type":"broadcast","message":"m","title":"t","level":"error","timestamp":5}"#)
        );
        for (body, refusal) in [
            ("", "Invalid JSON"),
            ("[]", "Message is required"),
            (r#"{"message":5}"#, "Message is required"),
            ("{}", "Message is required"),
            (r#"{"message":" "}"#, "Message is required"),
            (r#"{"message":"m","title":5}"#, "Title must be a string"),
            (r#"{"message":null}"#, "Message is required"),
            (
                r#"{"message":"m","level":"loud"}"#,
                "Level must be one of: info, warning, error, success",
            ),
        ] {
            assert_eq!(
                told(body).map_err(BadBroadcast::message),
                Err(refusal.to_owned()),
                "{body}"
            );
        }
    }
}
