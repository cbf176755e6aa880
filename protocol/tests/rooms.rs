//! The wire of `rooms`, literally: a change of a field shows up as an edited file in `wire/rooms`.
#![cfg(feature = "messages")]

use std::borrow::Cow;

use proptest::prelude::{Strategy, any, prop, prop_oneof};
use touchstone_protocol::rooms::messages::{
    CHANNEL_TYPE, CONTENT_TYPE, Channel, Id, Message, Mover, Participant, Said, Told, Unprocessable,
};
use touchstone_protocol::timestamp::Rfc3339;

const NOON: Rfc3339 = Rfc3339(1_704_110_400_000);
const ELEVEN: Rfc3339 = Rfc3339(1_704_106_800_000);

macro_rules! wire {
    ($name:literal) => {
        include_str!(concat!("wire/rooms/", $name, ".json")).trim_end()
    };
}

fn ann() -> Id<'static> {
    Id::Integer(7)
}

fn bob() -> Id<'static> {
    Id::Text(Cow::Borrowed("b-8"))
}

fn message() -> Message<'static> {
    Message {
        id: "m1",
        content: "hi",
        content_type: CONTENT_TYPE,
        user_id: bob(),
        username: "bob",
        timestamp: NOON,
        is_own: false,
        read_by: vec![ann()],
    }
}

fn channel<'a>(message: &'a Message<'a>) -> Channel<'a> {
    let participants = vec![
        Participant {
            id: ann(),
            username: "ann",
            is_online: true,
            last_seen: None,
        },
        Participant {
            id: bob(),
            username: "bob",
            is_online: false,
            last_seen: Some(ELEVEN),
        },
    ];
    Channel {
        id: "fba1f391-1919-4cec-86e1-7f2c6671a0cc",
        name: Some("general"),
        channel_type: CHANNEL_TYPE,
        participants: Some(participants),
        participants_total: 2,
        unread_count: 1,
        last_message: Some(message),
    }
}

#[track_caller]
fn told(message: &Told<'_>, wire: &str) {
    assert_eq!(serde_json::to_string(message).unwrap(), wire);
}

#[test]
fn what_the_server_says_is_spelt_as_documented() {
    let message = message();
    let new = Channel {
        id: "c",
        name: None,
        participants: Some(Vec::new()),
        participants_total: 0,
        unread_count: 0,
        last_message: None,
        ..channel(&message)
    };
    let ann_moves = Mover {
        user_id: ann(),
        username: "ann",
        timestamp: NOON,
    };
    let info = |channel| Told::ChannelInfo { channel };
    told(&info(channel(&message)), wire!("down/channel.info"));
    told(&info(new), wire!("down/channel.info-new"));
    let messages = std::slice::from_ref(&message);
    told(&Told::History { messages }, wire!("down/messages.history"));
    told(&Told::Message { message: &message }, wire!("down/chat.message"));
    told(&Told::Join(ann_moves.clone()), wire!("down/user.join"));
    told(&Told::Leave(ann_moves), wire!("down/user.leave"));
    let typing = Told::Typing {
        user_id: ann(),
        username: "ann",
        is_typing: false,
    };
    told(&typing, wire!("down/typing"));
    let read = Told::Read {
        message_id: "m1",
        user_id: ann(),
        read_at: NOON,
    };
    told(&read, wire!("down/message.read"));
    let presence = |is_online, last_seen| Told::Presence {
        user_id: ann(),
        is_online,
        last_seen,
    };
    told(&presence(false, Some(NOON)), wire!("down/presence"));
    told(&presence(true, None), wire!("down/presence-never-seen"));
    told(
        &Told::HeartbeatAck { timestamp: NOON },
        wire!("down/heartbeat.ack"),
    );
    let unknown = Unprocessable::TypeUnknown("shout".to_owned());
    let error = Told::Error {
        message: unknown.to_string(),
    };
    told(&error, wire!("down/error"));
}

#[track_caller]
fn said(text: &str, expected: &Result<Said<'_>, Unprocessable>) {
    assert_eq!(&Said::read(text, 10), expected, "{text}");
}

fn content(text: &str) -> Result<Said<'_>, Unprocessable> {
    Ok(Said::Message {
        content: Cow::Borrowed(text),
    })
}

#[test]
fn what_a_client_says_is_understood_as_documented() {
    said(wire!("up/chat.message"), &content(" Hello \u{1F980} "));
    said(wire!("up/typing"), &Ok(Said::Typing { is_typing: true }));
    let message_id = Cow::Borrowed("0197a3f0-1111-7abc-8def-000000000001");
    said(wire!("up/message.read"), &Ok(Said::Read { message_id }));
    said(wire!("up/heartbeat"), &Ok(Said::Heartbeat));
    said(
        r#"{"type":"typing","is_typing":false,"more":[1]}"#,
        &Ok(Said::Typing { is_typing: false }),
    );
    said(
        r#"{"content":"a","type":"chat.message","content":"b"}"#,
        &content("b"),
    );
    said(
        r#"{"type":"chat.message","content":"0123456789"}"#,
        &content("0123456789"),
    );
    said(
        r#"{"type":"chat.message","content":"ééééééééé\n"}"#,
        &content("ééééééééé\n"),
    );
}

#[test]
fn what_cannot_be_processed_is_told_why() {
    use Unprocessable::{
        ContentHasNul, ContentMissing, ContentTooLong, InvalidJson, MessageNotFound, TypeMissing,
        TypeUnknown, TypingMissing,
    };
    for (text, why, sentence) in [
        ("hello", InvalidJson, "Invalid JSON format"),
        ("", InvalidJson, "Invalid JSON format"),
        (r#"["type"]"#, InvalidJson, "Invalid JSON format"),
        (r#""chat.message""#, InvalidJson, "Invalid JSON format"),
        (
            r#"{"type":"chat.message","content":"\ud800"}"#,
            InvalidJson,
            "Invalid JSON format",
        ),
        ("{}", TypeMissing, "Missing message type"),
        (r#"{"type":5}"#, TypeMissing, "Missing message type"),
        (
            r#"{"type":"shout"}"#,
            TypeUnknown("shout".to_owned()),
            "Unknown message type: shout",
        ),
        (
            r#"{"type":""}"#,
            TypeUnknown(String::new()),
            "Unknown message type: ",
        ),
        (
            r#"{"type":"chat.message"}"#,
            ContentMissing,
            "Message content is required",
        ),
        (
            r#"{"type":"chat.message","content":5}"#,
            ContentMissing,
            "Message content is required",
        ),
        (
            r#"{"type":"chat.message","content":null}"#,
            ContentMissing,
            "Message content is required",
        ),
        (
            r#"{"type":"chat.message","content":" \t\n\u2003"}"#,
            ContentMissing,
            "Message content is required",
        ),
        (
            r#"{"type":"chat.message","content":"01234567890"}"#,
            ContentTooLong(10),
            "Message content is longer than 10 characters",
        ),
        (
            r#"{"type":"chat.message","content":"a\u0000"}"#,
            ContentHasNul,
            "Message content must not contain U+0000",
        ),
        (
            r#"{"type":"typing"}"#,
            TypingMissing,
            "is_typing must be true or false",
        ),
        (
            r#"{"type":"typing","is_typing":"true"}"#,
            TypingMissing,
            "is_typing must be true or false",
        ),
        (r#"{"type":"message.read"}"#, MessageNotFound, "Message not found"),
        (
            r#"{"type":"message.read","message_id":5}"#,
            MessageNotFound,
            "Message not found",
        ),
    ] {
        assert_eq!(why.to_string(), sentence);
        said(text, &Err(why));
    }
    let long = format!(r#"{{"type":"{}"}}"#, "\u{1F980}".repeat(150));
    said(&long, &Err(TypeUnknown("\u{1F980}".repeat(100))));
}

/// Objects with the members of this dialect, with values that fit or not, and text that is no JSON.
fn texts() -> impl Strategy<Value = String> {
    let value = prop_oneof![
        any::<String>().prop_map(serde_json::Value::from),
        any::<bool>().prop_map(serde_json::Value::from),
        any::<i64>().prop_map(serde_json::Value::from),
        prop::sample::select(vec!["chat.message", "typing", "message.read", "heartbeat"])
            .prop_map(serde_json::Value::from),
    ];
    let name = prop::sample::select(vec!["type", "content", "is_typing", "message_id", "x"]);
    let object = prop::collection::hash_map(name.prop_map(str::to_owned), value, 0..5)
        .prop_map(|members| serde_json::Value::Object(members.into_iter().collect()).to_string());
    prop_oneof![object, any::<String>()]
}

proptest::proptest! {
    /// Another parser as the oracle.
    #[test]
    fn anything_is_understood_or_refused_as_another_parser_sees_it(text in texts()) {
        let theirs = serde_json::from_str::<serde_json::Value>(&text).ok().filter(serde_json::Value::is_object);
        let field = |name: &str| theirs.as_ref().and_then(|object| object.get(name));
        let kind = field("type").and_then(serde_json::Value::as_str);
        match Said::read(&text, 10) {
            Ok(Said::Message { content }) => {
                proptest::prop_assert_eq!(kind, Some("chat.message"));
                proptest::prop_assert_eq!(field("content").and_then(|content| content.as_str()), Some(&*content));
                proptest::prop_assert!(content.chars().count() <= 10 && !content.contains('\0'));
            }
            Ok(Said::Typing { is_typing }) => {
                proptest::prop_assert_eq!(kind, Some("typing"));
                proptest::prop_assert_eq!(field("is_typing").and_then(|typing| typing.as_bool()), Some(is_typing));
            }
            Ok(Said::Read { message_id }) => {
                proptest::prop_assert_eq!(kind, Some("message.read"));
                proptest::prop_assert_eq!(field("message_id").and_then(|id| id.as_str()), Some(&*message_id));
            }
            Ok(Said::Heartbeat) => proptest::prop_assert_eq!(kind, Some("heartbeat")),
            Err(Unprocessable::InvalidJson) => proptest::prop_assert!(theirs.is_none()),
            Err(Unprocessable::TypeMissing) => proptest::prop_assert_eq!(kind, None),
            Err(_) => proptest::prop_assert!(kind.is_some()),
        }
    }
}
