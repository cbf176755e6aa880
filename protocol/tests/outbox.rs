//! The wire of `outbox`, literally: a change of a field shows up as an edited file in `wire/outbox`.
#![cfg(feature = "messages")]

use proptest::prelude::{Strategy, any, prop_oneof};
use touchstone_protocol::outbox::messages::{
    Down, EventKind, MessageBody, MessageData, Misunderstood, PendingCheck, ResponseMessage, Up, event,
};
use touchstone_protocol::timestamp::Rfc3339;

const NOON: Rfc3339 = Rfc3339(1_704_110_400_000);

macro_rules! wire {
    ($name:literal) => {
        include_str!(concat!("wire/outbox/", $name, ".json")).trim_end()
    };
}

#[test]
fn what_the_server_says_is_spelt_as_documented() {
    let established = Down::ConnectionEstablished {
        user_uuid: "0191e7c1-7b2a-7c3d-8e4f-5a6b7c8d9e0f",
        timestamp: NOON,
    };
    let error = Misunderstood::UnknownType("shout".to_owned()).to_string();
    for (told, expected) in [
        (established, wire!("down/connection_established")),
        (Down::Pong { timestamp: NOON }, wire!("down/pong")),
        (
            Down::PendingCheckComplete {
                data: PendingCheck { count: 3 },
            },
            wire!("down/pending_check_complete"),
        ),
        (Down::Error { message: &error }, wire!("down/error")),
    ] {
        assert_eq!(serde_json::to_string(&told).unwrap(), expected);
    }
}

#[test]
fn an_event_is_what_it_says_with_its_type_and_its_name() {
    let message = |content| {
        let data = MessageData {
            message: MessageBody {
                uuid: "m-1",
                content,
                sender_uuid: "u-1",
                created_at: NOON,
            },
            response_message: ResponseMessage {
                conversation_uuid: "c-1",
            },
        };
        serde_json::to_string(&data).unwrap()
    };
    let notification = r#"{"notification":{"title":"Sale"}}"#.to_owned();
    for (kind, id, data, expected) in [
        (
            EventKind::MessageGenerate,
            "e-1",
            message(r#"Hello "you""#),
            wire!("down/message_generate"),
        ),
        (
            EventKind::MessageRegenerate,
            "e-2",
            message("Hello again"),
            wire!("down/message_regenerate"),
        ),
        (
            EventKind::Notifications,
            "e-3",
            notification,
            wire!("down/notifications"),
        ),
    ] {
        assert_eq!(event(kind.name(), id, &data).as_deref(), Some(expected));
        assert_eq!(EventKind::parse(kind.name()), Some(kind));
    }
    for nothing in ["{}", "[]", "", "null"] {
        assert_eq!(event("notifications", "e-4", nothing), None, "{nothing}");
    }
    assert_eq!(EventKind::parse("notification"), None);
}

#[test]
fn what_a_client_says_is_understood_or_told_why_not() {
    for (said, understood) in [
        (wire!("up/ping"), Ok(Up::Ping)),
        (wire!("up/get_pending"), Ok(Up::GetPending)),
        (r#" {"more":[1],"type":"ping"} "#, Ok(Up::Ping)),
        (r#"{"type":"shout","type":"ping"}"#, Ok(Up::Ping)),
        ("", Err("Invalid JSON")),
        (r#"{"type":"ping"} x"#, Err("Invalid JSON")),
        (r#"{"type":"ping","more":"\ud800"}"#, Err("Invalid JSON")),
        (r#"["ping"]"#, Err("A message is a JSON object")),
        ("{}", Err("A message has a type")),
        (r#"{"type":5}"#, Err("A message has a type")),
        (r#"{"type":"PING"}"#, Err("Unknown message type: PING")),
    ] {
        let decoded = Up::decode(said).map_err(|error| error.to_string());
        assert_eq!(decoded, understood.map_err(str::to_owned), "{said}");
    }
    let long = format!(r#"{{"type":"{}"}}"#, "é".repeat(200));
    let error = Up::decode(&long).unwrap_err().to_string();
    assert_eq!(error, format!("Unknown message type: {}", "é".repeat(100)));
}

fn json_ish() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        proptest::sample::select(vec![
            "{",
            "}",
            "[",
            "]",
            ":",
            ",",
            "\"type\"",
            "\"ping\"",
            "\"get_pending\"",
            "null",
            "1e9",
            "\\u0000",
            "\"\\ud800\"",
            " ",
        ])
        .prop_map(str::to_owned),
        any::<String>(),
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest::proptest! {
    #[test]
    fn nothing_is_too_odd_to_be_decoded(text in json_ish()) {
        let decoded = Up::decode(&text);
        if serde_json::from_str::<serde_json::Value>(&text).is_err() {
            proptest::prop_assert!(decoded.is_err());
        }
    }
}
