//! The dialects' decoders: any text means what the rules say it means.

use touchstone_protocol::direct::HexId;
use touchstone_protocol::echo::messages::{Answer, BadBroadcast, Broadcast, to_json};
use touchstone_protocol::{direct, feed, outbox, rooms};

use crate::model;
use crate::plain::Plain;

/// Small, so that the limit is met.
const CONTENT_CHARS_MAX: usize = 40;

/// Who says what is said on `direct`.
const SENDER: u128 = 0xabc;

/// Gives one text to the decoders of all dialects. Bytes that are not UTF-8 never get so far.
pub fn decoders(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    check_echo(text);
    check_rooms(text);
    check_outbox(text);
    check_feed(text);
    check_direct(text);
}

fn check_echo(text: &str) {
    let answer = to_json(&Answer::new(7, text));
    let answer = Plain::read(&answer).and_then(Plain::object);
    let answer = answer.expect("an answer is a JSON object, whatever it repeats");
    let echo = answer.get("echo").and_then(Plain::text);
    assert_eq!(
        echo,
        Some(text).filter(|text| !text.is_empty()),
        "verbatim (echo/2a)"
    );
    let broadcast = Broadcast::from_request(text.as_bytes(), 5);
    match (Plain::read(text), broadcast) {
        // Bad JSON, or nested deeper than the other reader goes.
        (None, Err(_)) | (Some(_), Err(BadBroadcast::InvalidJson)) => {}
        (None, Ok(broadcast)) => panic!("{broadcast:?} of what is no JSON"),
        (Some(request), Ok(broadcast)) => {
            let request = request.object().expect("only an object has a message");
            let message = request.get("message").and_then(Plain::text);
            assert_eq!(Some(&*broadcast.message), message);
            assert!(!model::is_blank(&broadcast.message));
        }
        (Some(request), Err(_)) => {
            let request = request.object().unwrap_or_default();
            let is_text = |name| matches!(request.get(name), None | Some(Plain::Null | Plain::Text(_)));
            let level = request.get("level").and_then(Plain::text).unwrap_or("info");
            let is_good = matches!(request.get("message"), Some(Plain::Text(text)) if !model::is_blank(text))
                && is_text("title")
                && is_text("level")
                && ["info", "warning", "error", "success"].contains(&level);
            assert!(!is_good, "nothing is wrong with {text}");
        }
    }
}

fn check_rooms(text: &str) {
    use model::rooms::{Said as Expected, Wrong};
    use rooms::messages::{Said, Unprocessable};
    let said = Said::read(text, CONTENT_CHARS_MAX);
    let said = match said {
        Ok(Said::Message { content }) => Expected::Message(content.into_owned()),
        Ok(Said::Typing { is_typing }) => Expected::Typing(is_typing),
        Ok(Said::Read { message_id }) => Expected::Read(message_id.into_owned()),
        Ok(Said::Heartbeat) => Expected::Heartbeat,
        Err(
            why @ (Unprocessable::InvalidJson
            | Unprocessable::TypeMissing
            | Unprocessable::TypeUnknown(_)
            | Unprocessable::MessageNotFound
            | Unprocessable::ServerError),
        ) => Expected::Wrong(Wrong::Told(why.to_string())),
        Err(
            Unprocessable::ContentMissing
            | Unprocessable::ContentTooLong(_)
            | Unprocessable::ContentHasNul
            | Unprocessable::TypingMissing,
        ) => Expected::Wrong(Wrong::Any),
    };
    assert_eq!(said, model::rooms::said(text, CONTENT_CHARS_MAX), "rooms: {text}");
}

fn check_outbox(text: &str) {
    use model::outbox::Said;
    use outbox::messages::Up;
    let said = match Up::decode(text) {
        Ok(Up::Ping) => Said::Ping,
        Ok(Up::GetPending) => Said::GetPending,
        Err(why) => {
            // 100 characters of a type, and the sentence around it.
            assert!(why.to_string().chars().count() <= 140, "{why}");
            Said::Wrong
        }
    };
    assert_eq!(said, model::outbox::said(text), "outbox: {text}");
}

fn check_feed(text: &str) {
    use feed::messages::Up;
    use model::feed::Said;
    let said = match Up::decode(text) {
        Ok(Up::Pong) => Said::Pong,
        Ok(Up::Other) => Said::Other,
        Err(_) => Said::Wrong,
    };
    assert_eq!(said, model::feed::said(text), "feed: {text}");
}

fn check_direct(text: &str) {
    use direct::messages::Up;
    use model::direct::Said;
    let sender = HexId::from_number(SENDER);
    let said = match Up::decode(text, sender, CONTENT_CHARS_MAX) {
        Ok(Up::ChatMessage(chat)) => Said::Message {
            receiver: chat.receiver.to_string(),
            content: chat.content.into_owned(),
            kind: chat.kind.name(),
        },
        Ok(Up::Typing {
            receiver: Some(receiver),
            is_typing,
        }) => Said::Typing {
            receiver: receiver.to_string(),
            is_typing,
        },
        Ok(Up::Typing {
            receiver: None,
            is_typing,
        }) => {
            let Said::Typing { receiver, .. } = expected_of_direct(text) else {
                panic!("no typing: {text}");
            };
            assert_eq!(model::direct::id(&receiver), None, "it is an id: {text}");
            Said::Typing { receiver, is_typing }
        }
        Ok(Up::MarkRead { sender }) => Said::MarkRead {
            sender: sender.into_owned(),
        },
        Ok(Up::GetOnlineUsers) => Said::GetOnlineUsers,
        Err(refusal) => Said::Wrong(refusal.message().into_owned()),
    };
    assert_eq!(said, expected_of_direct(text), "direct: {text}");
}

fn expected_of_direct(text: &str) -> model::direct::Said {
    let sender = HexId::from_number(SENDER).to_string();
    model::direct::said(text, &sender, CONTENT_CHARS_MAX)
}
