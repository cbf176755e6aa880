//! The wire of `feed`, literally: a change of a field shows up as an edited file in `wire/feed`.
#![cfg(feature = "messages")]

use proptest::prelude::any;
use touchstone_protocol::feed::messages::{Down, Event, INVALID_JSON, Presence, Resource, ResourceKind, Up};
use touchstone_protocol::timestamp::Rfc3339;

const NOON: Rfc3339 = Rfc3339(1_704_110_400_000);

macro_rules! wire {
    ($name:literal) => {
        include_str!(concat!("wire/feed/", $name, ".json")).trim_end()
    };
}

const BUCKETPOINT: Resource<'_> = Resource::Bucketpoint {
    id: 11,
    title: "See the northern lights",
    description: "",
    completed: false,
    created_at: NOON,
};

const ALBUM: Resource<'_> = Resource::Album {
    id: 7,
    title: "Troms\u{f8}",
    created_at: NOON,
};

const PHOTO: Resource<'_> = Resource::Photo {
    id: 12,
    album_id: 7,
    caption: "At last",
    url: "https://example.com/12.jpg",
    created_at: NOON,
};

const MESSAGE: Resource<'_> = Resource::Message {
    id: 13,
    user_id: 1,
    content: "Look at \"this\"!",
    created_at: NOON,
};

#[test]
fn resources_are_told_with_all_their_fields() {
    let shown = |resource, event| Down::Shown { event, resource }.to_json();
    for (kind, resource, made, changed, removed) in [
        (
            ResourceKind::Bucketpoint,
            &BUCKETPOINT,
            wire!("down/BUCKETPOINT_CREATED"),
            Some(wire!("down/BUCKETPOINT_UPDATED")),
            wire!("down/BUCKETPOINT_DELETED"),
        ),
        (
            ResourceKind::Album,
            &ALBUM,
            wire!("down/ALBUM_CREATED"),
            Some(wire!("down/ALBUM_UPDATED")),
            wire!("down/ALBUM_DELETED"),
        ),
        (
            ResourceKind::Photo,
            &PHOTO,
            wire!("down/PHOTO_UPLOADED"),
            Some(wire!("down/PHOTO_UPDATED")),
            wire!("down/PHOTO_DELETED"),
        ),
        (
            ResourceKind::Message,
            &MESSAGE,
            wire!("down/MESSAGE_CREATED"),
            None,
            wire!("down/MESSAGE_DELETED"),
        ),
    ] {
        assert_eq!(shown(resource, kind.made()), made);
        let told = kind.changed().map(|event| shown(resource, event));
        assert_eq!(told.as_deref(), changed);
        let gone = Down::Removed {
            event: kind.removed(),
            id: 11,
            album_id: resource.album_id(),
        };
        assert_eq!(gone.to_json(), removed);
    }
}

#[test]
fn everything_else_the_server_says_is_spelt_as_documented() {
    let presence = |presence| Down::Presence {
        presence,
        user_id: 1,
        name: "Ann",
    };
    let data = serde_json::json!({"title": "Maintenance", "message": "Tonight at ten", "level": "info"});
    for (told, expected) in [
        (
            Down::Viewed {
                id: 13,
                user_id: 2,
                viewed_at: NOON,
            },
            wire!("down/MESSAGE_VIEWED"),
        ),
        (
            presence(Presence::Connected),
            wire!("down/USER_PRESENCE_CONNECTED"),
        ),
        (
            presence(Presence::Disconnected),
            wire!("down/USER_PRESENCE_DISCONNECTED"),
        ),
        (Down::Ping { timestamp: NOON }, wire!("down/PING")),
        (
            Down::Published {
                event: Event::SystemNotification,
                data: &data,
            },
            wire!("down/SYSTEM_NOTIFICATION"),
        ),
    ] {
        let (told, expected): (serde_json::Value, serde_json::Value) = (
            serde_json::from_str(&told.to_json()).unwrap(),
            serde_json::from_str(expected).unwrap(),
        );
        assert_eq!(told, expected);
    }
    assert_eq!(INVALID_JSON, wire!("down/ERROR"));
}

#[test]
fn every_type_is_found_by_its_name() {
    for event in Event::ALL {
        assert_eq!(Event::named(event.name()), Some(event));
    }
    for other in ["PING", "ERROR", "photo_uploaded", ""] {
        assert_eq!(Event::named(other), None);
    }
}

#[test]
fn a_pong_is_one_whatever_its_data() {
    for (text, expected) in [
        (wire!("up/PONG"), Some(Up::Pong)),
        (wire!("up/PONG-bare"), Some(Up::Pong)),
        (r#" {"data":null,"type":"PO\u004eG"} "#, Some(Up::Pong)),
        (r#"{"type":"PING","type":"PONG"}"#, Some(Up::Pong)),
        (r#"{"type":"PONG","type":"PING"}"#, Some(Up::Other)),
        (wire!("up/PING"), Some(Up::Other)),
        (r#"{"type":"pong"}"#, Some(Up::Other)),
        (r#"{"type":["PONG"]}"#, Some(Up::Other)),
        (r#"{"data":{"type":"PONG"}}"#, Some(Up::Other)),
        ("{}", Some(Up::Other)),
        ("PONG", None),
        (r#""PONG""#, None),
        (r#"[{"type":"PONG"}]"#, None),
        (r#"{"type":"PONG"} x"#, None),
        ("null", None),
        ("", None),
    ] {
        assert_eq!(Up::decode(text).ok(), expected, "{text}");
    }
}

proptest::proptest! {
    #[test]
    fn whatever_a_client_sends_is_read_or_refused(text in any::<String>(), kind in "[A-Z\\\\\"u0-9]{0,8}") {
        let _ = Up::decode(&text);
        let odd = format!(r#"{{"type":"{kind}"}}"#);
        proptest::prop_assert_eq!(Up::decode(&odd).is_ok(), serde_json::from_str::<serde_json::Value>(&odd).is_ok());
    }
}
