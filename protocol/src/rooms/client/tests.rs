use super::*;
use crate::client::Comeback;
use crate::client::rehearsal::{act, ann, answered, asked, catch_up, hear, open, stamp};

fn delivery(by: Way) -> Heard<'static> {
    Heard::Delivery { stamp: stamp(), by }
}

#[test]
fn each_message_of_the_server_is_told_apart() {
    let rows: &[(&str, Heard<'_>)] = &[
        (
            r#"{"type":"chat.message","message":{"id":"m1","content":"~3.a.5.1~xx","content_type":"text/plain","user_id":"bob","username":"bob","timestamp":"t","is_own":false,"read_by":[]}}"#,
            delivery(Way::Live),
        ),
        (
            r#"{"message":{"user_id":"ann","is_own":true,"content":"~3.a.5.1~","id":7},"type":"chat.message","more":{}}"#,
            Heard::Confirmed { stamp: stamp() },
        ),
        (
            r#"{"type":"chat.message","message":{"content":"\u007e3.a.5.1~","is_own":true}}"#,
            Heard::Confirmed { stamp: stamp() },
        ),
        (
            r#"{"type":"chat.message","message":{"content":"hello","user_id":1}}"#,
            Heard::Push,
        ),
        (
            r#"{"type":"chat.message","message":{"content":7}}"#,
            Heard::Unknown,
        ),
        (r#"{"type":"chat.message","message":"~3.a.5.1~"}"#, Heard::Unknown),
        (r#"{"type":"chat.message"}"#, Heard::Unknown),
        (
            r#"{"type":"user.join","user_id":1,"username":"b","timestamp":"t"}"#,
            Heard::Push,
        ),
        (
            r#"{"type":"user.leave","user_id":1,"username":"b","timestamp":"t"}"#,
            Heard::Push,
        ),
        (
            r#"{"type":"typing","user_id":1,"username":"b","is_typing":true}"#,
            Heard::Push,
        ),
        (
            r#"{"type":"message.read","message_id":"m","user_id":1,"read_at":"t"}"#,
            Heard::Push,
        ),
        (
            r#"{"type":"presence","user_id":1,"is_online":true,"last_seen":null}"#,
            Heard::Push,
        ),
        (
            r#"{"type":"heartbeat.ack","timestamp":"t"}"#,
            Heard::Heartbeat { reply: None },
        ),
        (
            r#"{"type":"error","message":"Invalid JSON format"}"#,
            Heard::Refused,
        ),
        (r#"{"type":"error","message":{"text":"other"}}"#, Heard::Refused),
        (r#"{"type":"messages.history","messages":{}}"#, Heard::Unknown),
        (r#"{"type":"new"}"#, Heard::Unknown),
        (r#"{"type":7}"#, Heard::Unknown),
        ("[]", Heard::Unknown),
        ("hello", Heard::Unknown),
    ];
    for (text, expected) in rows {
        assert_eq!(
            hear(&mut RoomsClient::new(ann()), text),
            std::slice::from_ref(expected),
            "{text}"
        );
    }
}

#[test]
fn a_connection_is_a_full_one_when_channel_and_history_were_heard() {
    let channel = r#"{"type":"channel.info","channel":{"id":"c","last_message":null}}"#;
    let history = r#"{"type":"messages.history","messages":[
        {"id":"m1","content":"~3.a.5.1~","user_id":"bob"},
        {"id":"m2","content":"~3.a.5.1~","user_id":"ann"},
        {"id":"m3","content":"hello","user_id":"bob"}]}"#;
    let mut client = RoomsClient::new(ann());
    for _connection in 0..2 {
        assert_eq!(open(&mut client), []);
        assert_eq!(hear(&mut client, channel), [Heard::Push]);
        assert_eq!(hear(&mut client, channel), [Heard::Push]);
        assert_eq!(
            hear(&mut client, history),
            [delivery(Way::CaughtUp), Heard::Ready],
            "his own is not owed to him"
        );
        assert_eq!(
            hear(&mut client, history),
            [delivery(Way::CaughtUp), Heard::Push],
            "only once"
        );
    }
    open(&mut client);
    assert_eq!(hear(&mut client, history).last(), Some(&Heard::Push));
    assert_eq!(hear(&mut client, channel), [Heard::Ready], "in whichever order");
}

#[test]
fn what_a_user_does_is_what_the_spec_names() {
    let mut client = RoomsClient::new(ann());
    let said = r#"send {"type":"chat.message","content":"~3.a.5.1~xxx"}"#;
    assert_eq!(act(&mut client, SAY, 1), said);
    let typing = [true, false, true].map(|is| format!(r#"send {{"type":"typing","is_typing":{is}}}"#));
    assert_eq!([(); 3].map(|()| act(&mut client, TYPING, 1)), typing);
    open(&mut client);
    assert_eq!(
        act(&mut client, TYPING, 1),
        typing[0],
        "a new connection types nothing"
    );
    assert_eq!(
        act(&mut client, HISTORY, 1),
        "GET /api/chat/acme/channels/c%2F1/messages/"
    );
    assert_eq!(act(&mut client, ACTS.len(), 1), "nothing");
}

#[test]
fn the_newest_message_of_another_is_marked_read_once() {
    let mut client = RoomsClient::new(ann());
    assert_eq!(act(&mut client, READ, 1), "nothing");
    for message in [
        r#"{"type":"chat.message","message":{"id":"m1","content":"a","user_id":"bob"}}"#,
        r#"{"type":"chat.message","message":{"id":"m\"2","content":"b","user_id":"bob"}}"#,
        r#"{"type":"chat.message","message":{"id":"m3","content":"c","user_id":"ann"}}"#,
    ] {
        hear(&mut client, message);
    }
    assert_eq!(
        act(&mut client, READ, 1),
        r#"send {"type":"message.read","message_id":"m\"2"}"#
    );
    assert_eq!(act(&mut client, READ, 1), "nothing", "it is read already");
}

#[test]
fn history_is_read_back_page_by_page_until_nothing_of_a_run_is_left() {
    const FIRST: &str = "GET /api/chat/acme/channels/c%2F1/messages/?limit=200";
    let stamped = |id: &str, more: bool| {
        format!(r#"{{"messages":[{{"id":{id},"content":"~3.a.5.1~","user_id":"bob"}}],"has_more":{more}}}"#)
    };
    let unstamped = r#"{"messages":[{"id":1,"content":"hello","user_id":"bob"}],"has_more":true}"#.to_owned();
    let empty = r#"{"messages":[],"has_more":true}"#.to_owned();
    let next = |before: &str| format!("{FIRST}&before={before}");
    let nothing = || "nothing".to_owned();
    let rows = [
        ("there is no more", vec![(stamped("9", false), nothing())]),
        (
            "then page by page",
            vec![
                (stamped(r#""m 9""#, true), next("m%209")),
                (stamped("8", true), next("8")),
                (stamped("7", false), nothing()),
            ],
        ),
        ("nothing of a run", vec![(unstamped, nothing())]),
        ("nothing at all", vec![(empty, nothing())]),
        (
            "the same page again",
            vec![(stamped("9", true), next("9")), (stamped("9", true), nothing())],
        ),
        ("no page", vec![("{}".to_owned(), nothing())]),
    ];
    let mut client = RoomsClient::new(ann());
    for (name, pages) in rows {
        assert_eq!(catch_up(&mut client, 0), FIRST, "{name}");
        for (step, (page, expected)) in (1..).zip(pages) {
            answered(&mut client, Asked::CatchUp, 200, &page);
            assert_eq!(catch_up(&mut client, step), expected, "{name}, step {step}");
        }
    }
    catch_up(&mut client, 0);
    assert_eq!(answered(&mut client, Asked::CatchUp, 500, ""), [Heard::Refused]);
    assert_eq!(catch_up(&mut client, 1), "nothing");
}

#[test]
fn a_page_that_was_asked_for_is_a_reply_with_what_is_in_it() {
    let mut client = RoomsClient::new(ann());
    let page = r#"{"messages":[{"id":1,"content":"~3.a.5.1~","user_id":"bob"}],"has_more":false}"#;
    assert_eq!(
        answered(&mut client, asked(HISTORY), 200, page),
        [delivery(Way::CaughtUp), Heard::Reply { act: HISTORY }]
    );
    for (status, body, expected) in [
        (200, "[]", Heard::Unknown),
        (404, r#"{"detail":"Channel not found"}"#, Heard::Refused),
    ] {
        assert_eq!(answered(&mut client, asked(HISTORY), status, body), [expected]);
    }
}

#[test]
fn it_connects_with_its_newest_token() {
    let mut client = RoomsClient::new(ann());
    assert_eq!(client.address().segments, ["c%2F1"]);
    assert_eq!(client.address().query, "?token=a.b-c");
    client.new_token("x+y");
    assert_eq!(client.address().query, "?token=x%2By");
}

#[test]
fn it_comes_back_unless_it_is_not_wanted() {
    let client = RoomsClient::new(ann());
    let again = |code| client.comeback(code) == Comeback::Again;
    for code in [None, Some(1001), Some(1011), Some(1012), Some(4429)] {
        assert!(again(code), "{code:?}");
    }
    for code in [Some(1000), Some(4000), Some(1009)] {
        assert!(!again(code), "{code:?}");
    }
}
