//! `rooms`: rooms/5c, 6b, 7b, 8c, 10a, 10b.

use super::{cut, is_blank, object, text};
use crate::plain::Plain;

/// What a client says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Said {
    Message(String),
    Typing(bool),
    Read(String),
    Heartbeat,
    Wrong(Wrong),
}

/// What is wrong with it, as far as the rules tell it apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// This is what he is told (rooms/8c, 10a).
    Told(String),
    /// He is told something (rooms/6b, 7b).
    Any,
}

/// Reads a message. `content_chars_max`: the longest content.
pub(crate) fn said(message: &str, content_chars_max: usize) -> Said {
    let told = |why: &str| Said::Wrong(Wrong::Told(why.to_owned()));
    let Some(members) = object(message) else {
        return told("Invalid JSON format");
    };
    let Some(kind) = text(&members, "type") else {
        return told("Missing message type");
    };
    match kind {
        "chat.message" => match text(&members, "content") {
            Some(content)
                if !is_blank(content)
                    && content.chars().count() <= content_chars_max
                    && !content.contains('\0') =>
            {
                Said::Message(content.to_owned())
            }
            Some(_) | None => Said::Wrong(Wrong::Any),
        },
        "typing" => match members.get("is_typing") {
            Some(Plain::Bool(is_typing)) => Said::Typing(*is_typing),
            Some(_) | None => Said::Wrong(Wrong::Any),
        },
        "message.read" => match text(&members, "message_id") {
            Some(id) => Said::Read(id.to_owned()),
            None => told("Message not found"),
        },
        "heartbeat" => Said::Heartbeat,
        unknown => told(&format!("Unknown message type: {}", cut(unknown))),
    }
}
