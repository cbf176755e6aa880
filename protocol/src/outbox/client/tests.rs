use super::*;
use crate::client::rehearsal::{act, ann, answered, asked, catch_up, hear, open, stamp};
use crate::client::{Asked, Comeback};

const COMPLETE: &str = r#"{"type":"pending_check_complete","data":{"count":1}}"#;

fn delivery(by: Way) -> Heard<'static> {
    Heard::Delivery { stamp: stamp(), by }
}

fn event(id: &str) -> String {
    format!(
        r#"{{"type":"message_generate","event_id":"{id}","message":{{"uuid":"u","content":"~3.a.5.1~xx","sender_uuid":"bob","created_at":"t"}},"response_message":{{"conversation_uuid":"c"}}}}"#
    )
}

#[test]
fn each_message_of_the_server_is_told_apart() {
    let first = event("e1");
    let rows: &[(&str, Heard<'_>)] = &[
        (&first, delivery(Way::Live)),
        (
            r#"{"message":{"content":"\u007e3.a.5.1~","more":1},"type":"message_generate"}"#,
            delivery(Way::Live),
        ),
        (
            r#"{"type":"message_generate","event_id":7,"message":{"content":"hello"}}"#,
            Heard::Push,
        ),
        (
            r#"{"type":"notifications","event_id":"e","notification":{"content":"~3.a.5.1~"}}"#,
            delivery(Way::Live),
        ),
        (
            r#"{"type":"notification","notification":{"title":"t"}}"#,
            Heard::Push,
        ),
        (
            r#"{"type":"message_regenerate","event_id":"e","message":{"content":"~3.a.5.1~"}}"#,
            Heard::Push,
        ),
        (
            r#"{"type":"connection_established","user_uuid":"ann","timestamp":"t"}"#,
            Heard::Ready,
        ),
        (r#"{"type":"connection_established"}"#, Heard::Ready),
        (
            r#"{"type":"pong","timestamp":"t"}"#,
            Heard::Heartbeat { reply: None },
        ),
        (COMPLETE, Heard::Push),
        (r#"{"type":"error","message":"Invalid JSON"}"#, Heard::Refused),
        (r#"{"type":"message_generate"}"#, Heard::Unknown),
        (
            r#"{"type":"message_generate","message":"~3.a.5.1~"}"#,
            Heard::Unknown,
        ),
        (r#"{"type":"notifications","event_id":"e"}"#, Heard::Unknown),
        (r#"{"type":"new"}"#, Heard::Unknown),
        ("{}", Heard::Unknown),
        ("hello", Heard::Unknown),
    ];
    for (text, expected) in rows {
        let heard = hear(&mut OutboxClient::new(ann()), text).pop();
        assert_eq!(heard, Some(expected.clone()), "{text}");
    }
}

#[test]
fn an_event_of_an_earlier_connection_is_a_redelivery_and_one_of_this_a_duplicate() {
    let mut client = OutboxClient::new(ann());
    // The connection, the event, and how it came.
    let rows = [
        (1, "e1", Way::Live),
        (1, "e2", Way::Live),
        (1, "e1", Way::Live),
        (2, "e2", Way::Redelivered),
        (2, "e2", Way::Live),
        (2, "e3", Way::Live),
        (3, "e3", Way::Redelivered),
        (3, "e4", Way::Live),
    ];
    let mut connection = 0;
    for (number, id, way) in rows {
        while connection < number {
            open(&mut client);
            connection += 1;
        }
        assert_eq!(hear(&mut client, &event(id)), [delivery(way)], "{id} on {number}");
    }
}

#[test]
fn only_the_newest_events_are_remembered() {
    let mut events = Events::default();
    for number in 0..=EVENTS_REMEMBERED {
        events.heard(&number.to_string());
    }
    events.connection_opened();
    assert_eq!(events.heard("0"), Way::Live, "it is forgotten");
    assert_eq!(events.heard("1"), Way::Live, "it had to go for that one");
    assert_eq!(events.heard("3"), Way::Redelivered);
    assert_eq!(events.hashes.len(), EVENTS_REMEMBERED);
}

#[test]
fn each_pending_check_belongs_to_whoever_asked_first() {
    const REPLY: Heard<'_> = Heard::Reply { act: PENDING };
    let asks = r#"send {"type":"get_pending"}"#;
    let mut client = OutboxClient::new(ann());
    assert_eq!(act(&mut client, PENDING, 1), asks);
    assert_eq!(catch_up(&mut client, 0), asks);
    assert_eq!(act(&mut client, PENDING, 1), asks);
    assert_eq!(hear(&mut client, &event("e1")), [delivery(Way::CaughtUp)]);
    for expected in [REPLY, Heard::ReadBack, REPLY, Heard::Push] {
        assert_eq!(hear(&mut client, COMPLETE), [expected]);
    }
    assert_eq!(hear(&mut client, &event("e2")), [delivery(Way::Live)]);
    assert_eq!(catch_up(&mut client, 1), "nothing");
    act(&mut client, PENDING, 1);
    open(&mut client);
    assert_eq!(
        hear(&mut client, COMPLETE),
        [Heard::Push],
        "of another connection"
    );
}

#[test]
fn what_a_user_does_is_what_the_spec_names() {
    let mut client = OutboxClient::new(ann());
    for (what, expected) in [
        (
            SAY,
            r#"POST /api/messages {"conversation_uuid":"c/1","content":"~3.a.5.1~xxx"}"#,
        ),
        (
            NOTIFY,
            r#"inject notifications {"notification":{"content":"~3.a.5.1~xxx"}}"#,
        ),
        (ACTS.len(), "nothing"),
    ] {
        assert_eq!(act(&mut client, what, 1), expected);
    }
    for (status, expected) in [(201, Heard::Confirmed { stamp: stamp() }), (403, Heard::Refused)] {
        assert_eq!(answered(&mut client, asked(SAY), status, "{}"), [expected]);
    }
    assert_eq!(
        answered(&mut client, Asked::CatchUp, 200, "{}"),
        [Heard::Refused],
        "it never asks so"
    );
}

#[test]
fn it_comes_back_unless_it_is_not_wanted() {
    let client = OutboxClient::new(ann());
    for code in [None, Some(1001), Some(1008), Some(1012)] {
        assert_eq!(client.comeback(code), Comeback::Again, "{code:?}");
    }
    for code in [1000, 4001, 4002, 4003, 4004, 4005] {
        assert_eq!(client.comeback(Some(code)), Comeback::Never, "{code}");
    }
    let waits: Vec<_> = (0..11)
        .map(|attempt| client.backoff().wait(attempt, 0.0, None))
        .collect();
    assert_eq!(waits[9..], [Some(Duration::from_secs(512)), None]);
}

#[test]
fn it_connects_to_its_own_stream_with_its_newest_token() {
    let mut client = OutboxClient::new(ann());
    assert_eq!(client.address().segments, ["ann"]);
    client.new_token("x+y");
    assert_eq!(client.address().query, "?token=x%2By");
}
