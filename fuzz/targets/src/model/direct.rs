//! `direct`: direct/4a, 6a, 6c, 8a, 9a, 10b to 10d.

use super::{cut, is_blank, object, text};
use crate::plain::Plain;

/// What a client says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Said {
    Message {
        receiver: String,
        content: String,
        kind: &'static str,
    },
    Typing {
        /// An id in lower case, or whatever else was given.
        receiver: String,
        is_typing: bool,
    },
    MarkRead {
        /// As it was given.
        sender: String,
    },
    GetOnlineUsers,
    /// This is what he is told.
    Wrong(String),
}

/// The id that `text` names, in lower case (direct/1f).
pub(crate) fn id(text: &str) -> Option<String> {
    let is_id = text.len() == 24 && text.chars().all(|digit| digit.is_ascii_hexdigit());
    is_id.then(|| text.to_lowercase())
}

/// Reads what `sender` says. `content_chars_max`: the longest content.
pub(crate) fn said(message: &str, sender: &str, content_chars_max: usize) -> Said {
    let wrong = |why: &str| Said::Wrong(why.to_owned());
    let members = object(message);
    let kind = members.as_ref().and_then(|members| text(members, "type"));
    let (Some(members), Some(kind)) = (&members, kind) else {
        return wrong("Invalid message format. Please send valid JSON.");
    };
    // A member of `data` that is a text and not empty.
    let data = |name: &str| {
        let data = members.get("data").cloned().and_then(Plain::object);
        let found = data.and_then(|data| text(&data, name).map(str::to_owned));
        found.filter(|text| !text.is_empty())
    };
    match kind {
        "chat_message" => {
            let (Some(receiver), Some(content)) = (data("receiverId"), data("content")) else {
                return wrong("Missing required fields: receiverId and content");
            };
            chat(members, &receiver, content, sender, content_chars_max)
        }
        "typing_start" | "typing_stop" => match data("receiverId") {
            None => wrong("Missing required field: receiverId"),
            Some(receiver) => Said::Typing {
                receiver: id(&receiver).unwrap_or(receiver),
                is_typing: kind == "typing_start",
            },
        },
        "mark_read" => match data("senderId") {
            None => wrong("Missing required field: senderId"),
            Some(sender) => Said::MarkRead { sender },
        },
        "get_online_users" => Said::GetOnlineUsers,
        unknown => wrong(&format!("Unknown message type: {}", cut(unknown))),
    }
}

/// The second half of direct/10c.
fn chat(
    members: &std::collections::BTreeMap<String, Plain>,
    receiver: &str,
    content: String,
    sender: &str,
    content_chars_max: usize,
) -> Said {
    let invalid = || {
        let why = "Message validation failed. Content may be too long or invalid.";
        Said::Wrong(why.to_owned())
    };
    let Some(receiver) = id(receiver) else {
        return invalid();
    };
    if receiver == sender {
        return Said::Wrong("Cannot send message to yourself".to_owned());
    }
    let given = members.get("data").cloned().and_then(Plain::object);
    let kind = match given.and_then(|mut data| data.remove("messageType")) {
        None | Some(Plain::Null) => Some("text"),
        Some(kind) => ["text", "image", "file"]
            .into_iter()
            .find(|known| kind.text() == Some(known)),
    };
    let is_good =
        !is_blank(&content) && content.chars().count() <= content_chars_max && !content.contains('\0');
    match kind {
        Some(kind) if is_good => Said::Message {
            receiver,
            content,
            kind,
        },
        Some(_) | None => invalid(),
    }
}
