//! The wire of `direct`, literally: a change of a field shows up as an edited file in `wire/direct`.
#![cfg(feature = "messages")]

use std::borrow::Cow;

use proptest::prelude::{Strategy, any, prop_oneof};
use touchstone_protocol::direct::HexId;
use touchstone_protocol::direct::messages::{
    ChatMessage, Down, ListedUser, MessageType, Refusal, SentStatus, Up,
};
use touchstone_protocol::timestamp::Rfc3339;

const NOON: Rfc3339 = Rfc3339(1_704_110_400_000);
const CONTENT: &str = "Hello! How are you?";
const CONTENT_CHARS_MAX: usize = 5_000;

macro_rules! wire {
    ($name:literal) => {
        include_str!(concat!("wire/direct/", $name, ".json")).trim_end()
    };
}

fn id(last: char) -> HexId {
    HexId::parse(&format!("507f1f77bcf86cd79943901{last}")).unwrap()
}

fn john() -> HexId {
    id('0')
}

fn jane() -> HexId {
    id('1')
}

fn decode(text: &str) -> Result<Up<'_>, Refusal> {
    Up::decode(text, john(), CONTENT_CHARS_MAX)
}

#[test]
fn what_the_server_says_is_spelt_as_documented() {
    let users = [
        (john(), "john_doe", None),
        (jane(), "jane_doe", Some("https://example.com/avatar.jpg")),
    ];
    let users = users.map(|(id, username, avatar)| ListedUser { id, username, avatar }.written());
    let (user_id, username) = (john(), "john_doe");
    for (told, expected) in [
        (
            Down::ConnectionEstablished { user_id, username },
            wire!("down/connection_established"),
        ),
        (
            Down::OnlineUsers {
                users: &users,
                total_online: 2,
                timestamp: NOON,
            },
            wire!("down/online_users"),
        ),
        (Down::UserOnline { user_id, username }, wire!("down/user_online")),
        (
            Down::UserOffline { user_id, username },
            wire!("down/user_offline"),
        ),
        (
            Down::MessageSent {
                message_id: id('2'),
                receiver_id: jane(),
                content: CONTENT,
                created_at: NOON,
                status: SentStatus::Sent,
            },
            wire!("down/message_sent"),
        ),
        (
            Down::NewMessage {
                message_id: id('2'),
                sender_id: john(),
                sender_username: "john_doe",
                content: CONTENT,
                message_type: MessageType::Text,
                created_at: NOON,
            },
            wire!("down/new_message"),
        ),
        (
            Down::MessageDelivered {
                message_id: id('2'),
                delivered_at: NOON,
            },
            wire!("down/message_delivered"),
        ),
        (
            Down::TypingIndicator {
                user_id,
                username,
                is_typing: true,
            },
            wire!("down/typing_indicator"),
        ),
        (
            Down::MessagesRead {
                read_by: jane(),
                read_by_username: "jane_doe",
                read_at: NOON,
            },
            wire!("down/messages_read"),
        ),
        (
            Down::MarkReadSuccess {
                sender_id: "507f1f77bcf86cd799439010",
                marked_count: 3,
            },
            wire!("down/mark_read_success"),
        ),
        (
            Down::Error {
                message: &Refusal::ToYourself.message(),
                timestamp: NOON,
            },
            wire!("down/error"),
        ),
    ] {
        assert_eq!(told.to_json(), expected);
    }
}

#[test]
fn what_a_client_says_is_read_as_documented() {
    let chat = |kind| {
        Up::ChatMessage(ChatMessage {
            receiver: jane(),
            content: Cow::Borrowed(CONTENT),
            kind,
        })
    };
    let typing = |is_typing| Up::Typing {
        receiver: Some(jane()),
        is_typing,
    };
    for (text, expected) in [
        (wire!("up/chat_message"), chat(MessageType::Image)),
        (wire!("up/chat_message-bare"), chat(MessageType::Text)),
        (wire!("up/typing_start"), typing(true)),
        (wire!("up/typing_stop"), typing(false)),
        (
            wire!("up/mark_read"),
            Up::MarkRead {
                sender: Cow::Borrowed("507f1f77bcf86cd799439011"),
            },
        ),
        (wire!("up/get_online_users"), Up::GetOnlineUsers),
    ] {
        assert_eq!(decode(text), Ok(expected));
    }
}

/// Each message has every fault from its own on; the first in the order of direct/10c decides.
#[test]
fn of_several_faults_the_first_is_named() {
    let (own, other) = (john().to_string().to_uppercase(), jane().to_string());
    let long = "\u{1F980}".repeat(5_001);
    let chat = |data: &str| format!(r#"{{"type":"chat_message","data":{data}}}"#);
    let to = |receiver: &str, rest: &str| chat(&format!(r#"{{"receiverId":"{receiver}",{rest}}}"#));
    let missing = "Missing required fields: receiverId and content";
    let invalid = "Message validation failed. Content may be too long or invalid.";
    let to_yourself = "Cannot send message to yourself";
    let format = "Invalid message format. Please send valid JSON.";
    for (text, expected) in [
        (chat(r#""text""#), missing),
        (chat("null"), missing),
        (r#"{"type":"chat_message"}"#.to_owned(), missing),
        (chat(r#"{"content":" "}"#), missing),
        (chat(r#"{"receiverId":null,"content":" "}"#), missing),
        (chat(r#"{"receiverId":"","content":" "}"#), missing),
        (chat(r#"{"receiverId":7,"content":" "}"#), missing),
        (to("x", r#""messageType":5"#), missing),
        (to("x", r#""content":null"#), missing),
        (to("x", r#""content":"""#), missing),
        (to("x", r#""content":["a"]"#), missing),
        (to("x", r#""content":"a""#), invalid),
        (to("507f1f77bcf86cd79943901\\u0000", r#""content":"a""#), invalid),
        (to(&own, r#""content":" ","messageType":5"#), to_yourself),
        (to(&other, "\"content\":\" \\n\u{2003}\""), invalid),
        (to(&other, &format!(r#""content":"{long}""#)), invalid),
        (to(&other, r#""content":"a\u0000""#), invalid),
        (to(&other, r#""content":"a","messageType":"video""#), invalid),
        (to(&other, r#""content":"a","messageType":"""#), invalid),
        (to(&other, r#""content":"a","messageType":5"#), invalid),
        (
            r#"{"type":"typing_start","data":{"receiverId":5}}"#.to_owned(),
            "Missing required field: receiverId",
        ),
        (
            r#"{"type":"typing_stop","data":[]}"#.to_owned(),
            "Missing required field: receiverId",
        ),
        (
            r#"{"type":"mark_read","data":{"senderId":""}}"#.to_owned(),
            "Missing required field: senderId",
        ),
        ("hello".to_owned(), format),
        ("[]".to_owned(), format),
        ("null".to_owned(), format),
        (r#"{"data":{}}"#.to_owned(), format),
        (r#"{"type":null}"#.to_owned(), format),
        (r#"{"type":"mark_read","type":7}"#.to_owned(), format),
        (r#"{"type":"mark_read","data":"\ud800"}"#.to_owned(), format),
        (r#"{"type":"join\n"}"#.to_owned(), "Unknown message type: join\n"),
        (r#"{"type":""}"#.to_owned(), "Unknown message type: "),
    ] {
        let refused = decode(&text).map_err(|refusal| refusal.message());
        assert_eq!(refused, Err(Cow::Borrowed(expected)), "{text}");
    }
}

#[test]
fn what_just_fits_is_taken_as_it_came() {
    let other = jane();
    let largest = format!("  {}", "\u{1F980}".repeat(4_998));
    for (rest, content, kind) in [
        (r#""messageType":null"#, "a", MessageType::Text),
        (r#""messageType":"file""#, " a ", MessageType::File),
        (r#""more":{"content":5}"#, &largest, MessageType::Text),
    ] {
        let text = format!(
            r#"{{"data":{{"receiverId":"{other}","content":"{content}",{rest}}},"type":"chat_message"}}"#
        );
        let expected = ChatMessage {
            receiver: other,
            content: Cow::Borrowed(content),
            kind,
        };
        assert_eq!(decode(&text), Ok(Up::ChatMessage(expected)));
    }
    let odd = decode(r#"{"type":"typing_start","data":{"receiverId":"nobody"}}"#);
    let expected = Up::Typing {
        receiver: None,
        is_typing: true,
    };
    assert_eq!(odd, Ok(expected));
}

fn texts() -> impl Strategy<Value = String> {
    let kinds = "(chat_message|typing_start|mark_read|get_online_users|.{0,8})";
    let values = prop_oneof![
        "[0-9a-fA-F]{22,26}".prop_map(|id| format!("{id:?}")),
        any::<String>().prop_map(|text| serde_json::Value::from(text).to_string()),
        "[\\[\\]{}\":,0-9a-z\\\\ ]{0,12}",
    ];
    (kinds, values.clone(), values).prop_map(|(kind, id, content)| {
        format!(r#"{{"type":"{kind}","data":{{"receiverId":{id},"senderId":{id},"content":{content}}}}}"#)
    })
}

proptest::proptest! {
    #[test]
    fn whatever_a_client_sends_is_taken_or_refused(text in prop_oneof![any::<String>(), texts()]) {
        if let Ok(Up::ChatMessage(chat)) = decode(&text) {
            proptest::prop_assert_ne!(chat.receiver, john());
            proptest::prop_assert!(!chat.content.trim().is_empty() && !chat.content.contains('\0'));
        }
    }
}
