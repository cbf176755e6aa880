use super::*;
use crate::client::rehearsal::{act, ann, answered, asked, catch_up, hear, open, stamp};

const WHO_IS_ONLINE: &str = r#"{"type":"online_users","data":{"users":[{"_id":"ann","username":"a","avatar":null}],"totalOnline":1,"timestamp":"t"}}"#;
const SOMEBODY_WENT: &str = r#"{"type":"user_offline","data":{"userId":"bob","username":"b"}}"#;

fn delivery(by: Way) -> Heard<'static> {
    Heard::Delivery { stamp: stamp(), by }
}

/// A connection whose greeting is complete.
fn ready() -> DirectClient {
    let mut client = DirectClient::new(ann());
    open(&mut client);
    hear(&mut client, WHO_IS_ONLINE);
    client
}

#[test]
fn each_message_of_the_server_is_told_apart() {
    let rows: &[(&str, Heard<'_>)] = &[
        (
            r#"{"type":"message_sent","data":{"messageId":"m","receiverId":"bob","content":"~3.a.5.1~xx","createdAt":"t","status":"sent"}}"#,
            Heard::Confirmed { stamp: stamp() },
        ),
        (
            r#"{"data":{"content":"\u007e3.a.5.1~"},"extra":[],"type":"message_sent"}"#,
            Heard::Confirmed { stamp: stamp() },
        ),
        (
            r#"{"type":"new_message","data":{"messageId":"m","senderId":"bob","senderUsername":"b","content":"~3.a.5.1~","messageType":"text","createdAt":"t"}}"#,
            delivery(Way::Live),
        ),
        (
            r#"{"type":"new_message","data":{"senderId":"bob","content":"hello"}}"#,
            Heard::Push,
        ),
        (
            r#"{"type":"message_delivered","data":{"messageId":"m","deliveredAt":"t"}}"#,
            Heard::Push,
        ),
        (
            r#"{"type":"messages_read","data":{"readBy":"bob","readByUsername":"b","readAt":"t"}}"#,
            Heard::Push,
        ),
        (
            r#"{"type":"typing_indicator","data":{"userId":"bob","username":"b","isTyping":true}}"#,
            Heard::Push,
        ),
        (
            r#"{"type":"mark_read_success","data":{"senderId":"bob","markedCount":0}}"#,
            Heard::Reply { act: READ },
        ),
        (
            r#"{"type":"user_online","data":{"userId":"bob","username":"b"}}"#,
            Heard::Push,
        ),
        (SOMEBODY_WENT, Heard::Push),
        (WHO_IS_ONLINE, Heard::Push),
        (
            r#"{"type":"error","data":{"message":"Server error","timestamp":"t"}}"#,
            Heard::Refused,
        ),
        (r#"{"type":"error"}"#, Heard::Refused),
        (r#"{"type":"message_sent","data":{}}"#, Heard::Unknown),
        (r#"{"type":"new_message"}"#, Heard::Unknown),
        (r#"{"type":"new_message","data":{"content":7}}"#, Heard::Unknown),
        (r#"{"type":"online_users","data":7}"#, Heard::Unknown),
        (r#"{"type":"new","data":{}}"#, Heard::Unknown),
        (r#"{"data":{}}"#, Heard::Unknown),
        ("hello", Heard::Unknown),
    ];
    for (text, expected) in rows {
        assert_eq!(hear(&mut ready(), text), std::slice::from_ref(expected), "{text}");
    }
}

#[test]
fn a_connection_is_a_full_one_when_it_knows_who_is_online() {
    let mut client = DirectClient::new(ann());
    let greeting = r#"{"type":"connection_established","data":{"userId":"ann","username":"a"}}"#;
    let unread = r#"{"type":"new_message","data":{"senderId":"bob","content":"~3.a.5.1~"}}"#;
    for _connection in 0..2 {
        assert_eq!(open(&mut client), []);
        assert_eq!(hear(&mut client, greeting), [Heard::Push]);
        assert_eq!(hear(&mut client, unread), [delivery(Way::CaughtUp)]);
        assert_eq!(hear(&mut client, WHO_IS_ONLINE), [Heard::Ready]);
        assert_eq!(hear(&mut client, unread), [delivery(Way::Live)]);
    }
}

#[test]
fn who_is_online_is_a_reply_where_it_was_asked_for() {
    /// How often it was asked, and what was heard then.
    type Row<'a> = (&'a str, u32, &'a [(&'a str, Heard<'a>)]);
    const REPLY: Heard<'_> = Heard::Reply { act: ONLINE };
    let crowd = r#"{"type":"online_users","data":{"users":[],"totalOnline":101,"timestamp":"t"}}"#;
    let typing = r#"{"type":"typing_indicator","data":{}}"#;
    let rows: &[Row<'_>] = &[
        ("not asked", 0, &[(WHO_IS_ONLINE, Heard::Push)]),
        (
            "asked once",
            1,
            &[(WHO_IS_ONLINE, REPLY), (WHO_IS_ONLINE, Heard::Push)],
        ),
        (
            "asked twice",
            2,
            &[(WHO_IS_ONLINE, REPLY), (WHO_IS_ONLINE, REPLY)],
        ),
        (
            "after a departure the first is a push",
            1,
            &[
                (SOMEBODY_WENT, Heard::Push),
                (WHO_IS_ONLINE, Heard::Push),
                (WHO_IS_ONLINE, REPLY),
            ],
        ),
        (
            "and only one that follows at once",
            1,
            &[
                (SOMEBODY_WENT, Heard::Push),
                (typing, Heard::Push),
                (WHO_IS_ONLINE, REPLY),
            ],
        ),
        (
            "in a crowd nobody is told of his own accord",
            1,
            &[(SOMEBODY_WENT, Heard::Push), (crowd, REPLY)],
        ),
    ];
    for (name, questions, heard) in rows {
        let mut client = ready();
        for _ in 0..*questions {
            assert_eq!(
                act(&mut client, ONLINE, 1),
                r#"send {"type":"get_online_users","data":{}}"#
            );
        }
        for (text, expected) in *heard {
            assert_eq!(
                hear(&mut client, text),
                std::slice::from_ref(expected),
                "{name}: {text}"
            );
        }
    }
}

#[test]
fn what_a_user_does_is_what_the_spec_names() {
    let typing =
        |kind: &str, who: &str| format!(r#"send {{"type":"{kind}","data":{{"receiverId":"{who}"}}}}"#);
    let nothing = || "nothing".to_owned();
    let rows = [
        (
            SAY,
            1,
            r#"send {"type":"chat_message","data":{"receiverId":"bob","content":"~3.a.5.1~xxx"}}"#.to_owned(),
        ),
        (SAY, 0, nothing()),
        (SAY, 3, nothing()),
        (TYPING, 0, nothing()),
        (TYPING, 1, typing("typing_start", "bob")),
        (TYPING, 2, typing("typing_stop", "bob")),
        (TYPING, 2, typing("typing_start", "cy")),
        (READ, 1, nothing()),
        (HISTORY, 2, "GET /api/messages/cy".to_owned()),
        (ACTS.len(), 1, nothing()),
    ];
    let mut client = ready();
    for (number, (what, recipient, expected)) in rows.into_iter().enumerate() {
        assert_eq!(act(&mut client, what, recipient), expected, "row {number}");
    }
}

#[test]
fn whoever_wrote_last_is_marked_read_once() {
    let mut client = ready();
    for writer in ["bob", "cy"] {
        let text = format!(r#"{{"type":"new_message","data":{{"senderId":"{writer}","content":"a"}}}}"#);
        hear(&mut client, &text);
    }
    assert_eq!(
        act(&mut client, READ, 1),
        r#"send {"type":"mark_read","data":{"senderId":"cy"}}"#
    );
    assert_eq!(act(&mut client, READ, 1), "nothing");
}

#[test]
fn each_conversation_is_read_back_page_by_page() {
    let page = |id: &str, content: &str| {
        format!(
            r#"{{"success":true,"data":{{"messages":[{{"_id":"{id}","senderId":"bob","content":"{content}"}},
            {{"_id":"x","senderId":"ANN","content":"~3.a.5.1~"}}]}}}}"#
        )
    };
    let path = |who: &str, page: u32| format!("GET /api/messages/{who}?page={page}&limit=200");
    let empty = r#"{"success":true,"data":{"messages":[]}}"#.to_owned();
    let rows = [
        (200, page("m9", "~3.a.5.1~"), path("bob", 2)),
        (200, page("m8", "~3.a.5.1~"), path("bob", 3)),
        (200, page("m8", "~3.a.5.1~"), path("cy", 1)),
        (200, page("m8", "~3.a.5.1~"), path("cy", 2)),
        (200, empty, "nothing".to_owned()),
    ];
    let mut client = ready();
    assert_eq!(
        catch_up(&mut client, 0),
        path("bob", 1),
        "nobody talks to himself"
    );
    for (step, (status, body, expected)) in (1..).zip(rows) {
        let heard = answered(&mut client, Asked::CatchUp, status, &body);
        let others = usize::from(body.contains("bob"));
        assert_eq!(heard, vec![delivery(Way::CaughtUp); others], "step {step}");
        assert_eq!(catch_up(&mut client, step), expected, "step {step}");
    }
    for (status, body, expected) in [(500, "", Heard::Refused), (200, "{}", Heard::Unknown)] {
        catch_up(&mut client, 0);
        assert_eq!(answered(&mut client, Asked::CatchUp, status, body), [expected]);
        assert_eq!(catch_up(&mut client, 1), path("cy", 1), "on to the next");
    }
}

#[test]
fn a_page_that_was_asked_for_is_a_reply_with_what_is_in_it() {
    let page = r#"{"data":{"messages":[{"_id":"m","senderId":"bob","content":"~3.a.5.1~"}]}}"#;
    let reply = Heard::Reply { act: HISTORY };
    let mut client = ready();
    assert_eq!(
        answered(&mut client, asked(HISTORY), 200, page),
        [delivery(Way::CaughtUp), reply]
    );
    assert_eq!(answered(&mut client, asked(HISTORY), 200, "{}"), [Heard::Unknown]);
    assert_eq!(answered(&mut client, asked(HISTORY), 404, ""), [Heard::Refused]);
}

#[test]
fn it_comes_back_unless_it_is_not_wanted() {
    let client = DirectClient::new(ann());
    for code in [None, Some(1001), Some(1012), Some(4004), Some(4429)] {
        assert_eq!(client.comeback(code), Comeback::Again, "{code:?}");
    }
    for code in [1000, 4001, 4002, 4003, 4005] {
        assert_eq!(client.comeback(Some(code)), Comeback::Never, "{code}");
    }
}

#[test]
fn it_connects_with_its_newest_token() {
    let mut client = DirectClient::new(ann());
    assert_eq!(client.address().query, "?token=a.b-c");
    client.new_token("x+y");
    assert_eq!(client.address().query, "?token=x%2By");
}
