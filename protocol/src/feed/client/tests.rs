use super::*;
use crate::client::rehearsal::{act, ann, answered, asked, catch_up, hear, open, stamp};

fn delivery(by: Way) -> Heard<'static> {
    Heard::Delivery { stamp: stamp(), by }
}

#[test]
fn each_message_of_the_server_is_told_apart() {
    let rows: &[(&str, Heard<'_>)] = &[
        (
            r#"{"type":"MESSAGE_CREATED","data":{"data":{"id":7,"user_id":1,"content":"~3.a.5.1~xx","created_at":"t"}}}"#,
            delivery(Way::Live),
        ),
        (
            r#"{"data":{"content":"\u007e3.a.5.1~","id":"m"},"more":0,"type":"MESSAGE_CREATED"}"#,
            delivery(Way::Live),
        ),
        (
            r#"{"type":"MESSAGE_CREATED","data":{"data":{"id":7,"content":"hello"}}}"#,
            Heard::Push,
        ),
        (
            r#"{"type":"SYSTEM_NOTIFICATION","data":{"title":"t","message":"~3.a.5.1~","level":"info"}}"#,
            delivery(Way::Live),
        ),
        (
            r#"{"type":"SYSTEM_NOTIFICATION","data":{"title":"t","message":"m","level":"info"}}"#,
            Heard::Push,
        ),
        (
            r#"{"type":"MESSAGE_VIEWED","data":{"id":7,"user_id":1,"viewed_at":"t"}}"#,
            Heard::Push,
        ),
        (r#"{"type":"MESSAGE_DELETED","data":{"id":7}}"#, Heard::Push),
        (
            r#"{"type":"USER_PRESENCE_CONNECTED","data":{"user_id":1,"name":"b"}}"#,
            Heard::Push,
        ),
        (
            r#"{"type":"USER_PRESENCE_DISCONNECTED","data":{"user_id":1,"name":"b"}}"#,
            Heard::Push,
        ),
        (
            r#"{"type":"PHOTO_UPLOADED","data":{"data":{"id":1},"album_id":2}}"#,
            Heard::Push,
        ),
        (
            r#"{"type":"PING","data":{"timestamp":"t"}}"#,
            Heard::Heartbeat {
                reply: Some(r#"{"type":"PONG","data":{}}"#.into()),
            },
        ),
        (
            r#"{"type":"ERROR","data":{"message":"Invalid JSON format"}}"#,
            Heard::Refused,
        ),
        (r#"{"type":"MESSAGE_CREATED"}"#, Heard::Unknown),
        (
            r#"{"type":"MESSAGE_CREATED","data":{"data":{"content":7}}}"#,
            Heard::Unknown,
        ),
        (r#"{"type":"SYSTEM_NOTIFICATION","data":"m"}"#, Heard::Unknown),
        (r#"{"type":"NEW","data":{}}"#, Heard::Unknown),
        ("{}", Heard::Unknown),
        ("PING", Heard::Unknown),
    ];
    for (text, expected) in rows {
        assert_eq!(
            hear(&mut FeedClient::new(ann()), text),
            std::slice::from_ref(expected),
            "{text}"
        );
    }
}

#[test]
fn all_that_the_server_can_tell_is_known() {
    for event in crate::feed::messages::Event::ALL {
        let text = format!(r#"{{"type":"{}","data":{{}}}}"#, event.name());
        assert_eq!(hear(&mut FeedClient::new(ann()), &text), [Heard::Push], "{text}");
    }
}

#[test]
fn every_connection_is_a_full_one_at_once() {
    let mut client = FeedClient::new(ann());
    for _connection in 0..2 {
        assert_eq!(open(&mut client), [Heard::Ready]);
    }
}

#[test]
fn what_a_user_does_is_what_the_spec_names() {
    let created = r#"{"type":"MESSAGE_CREATED","data":{"data":{"id":"m 7","content":"a"}}}"#;
    let mut client = FeedClient::new(ann());
    let rows = [
        (SAY, r#"POST /api/messages/ {"content":"~3.a.5.1~xxx"}"#),
        (VIEW, "nothing"),
        (
            NOTIFY,
            r#"inject SYSTEM_NOTIFICATION {"title":"load","level":"info","message":"~3.a.5.1~xxx"}"#,
        ),
        (ACTS.len(), "nothing"),
    ];
    for (what, expected) in rows {
        assert_eq!(act(&mut client, what, 1), expected);
    }
    hear(&mut client, created);
    assert_eq!(act(&mut client, VIEW, 1), "POST /api/messages/m%207/view/");
    assert_eq!(act(&mut client, VIEW, 1), "nothing", "it is viewed already");
}

#[test]
fn an_answer_is_what_its_status_says() {
    let confirmed = Heard::Confirmed { stamp: stamp() };
    for (what, status, expected) in [
        (SAY, 201, confirmed.clone()),
        (SAY, 400, Heard::Refused),
        (NOTIFY, 202, confirmed),
        (VIEW, 200, Heard::Reply { act: VIEW }),
        (VIEW, 404, Heard::Refused),
    ] {
        let heard = answered(&mut FeedClient::new(ann()), asked(what), status, "{}");
        assert_eq!(heard, [expected], "{what}: {status}");
    }
}

/// A page of messages with these contents, said one after the other from `at` on.
fn page(count: u64, next: &str, at: [u32; 2], content: &str) -> String {
    let [first, last] = at;
    format!(
        r#"{{"count":{count},"next":{next},"previous":null,"results":[{{"id":1,"content":"{content}","created_at":"t{first}"}},{{"id":2,"content":"{content}","created_at":"t{last}"}}]}}"#
    )
}

#[test]
fn messages_are_read_back_from_the_newest_on() {
    const OWN: &str = "~3.a.5.1~";
    const OTHER_RUN: &str = "~100000003.a.5.1~";
    let path = |page: u64| format!("GET /api/messages/?page={page}&page_size=200");
    let nothing = || "nothing".to_owned();
    let more = r#""?page=2""#;
    let rows = [
        ("one page", vec![(page(2, "null", [1, 2], OWN), nothing())]),
        (
            "the newest last",
            vec![
                (page(8, more, [1, 2], OTHER_RUN), path(4)),
                (page(8, "null", [7, 8], OWN), path(3)),
                (page(8, more, [5, 6], OWN), path(2)),
                (page(8, more, [3, 4], OWN), nothing()),
            ],
        ),
        (
            "the newest last, until nothing is of this run",
            vec![
                (page(8, more, [1, 2], OTHER_RUN), path(4)),
                (page(8, "null", [7, 8], OWN), path(3)),
                (page(8, more, [5, 6], OTHER_RUN), nothing()),
            ],
        ),
        (
            "the newest first",
            vec![
                (page(8, more, [8, 7], OWN), path(2)),
                (page(8, more, [6, 5], OWN), path(3)),
                (page(8, more, [4, 3], OTHER_RUN), nothing()),
            ],
        ),
        (
            "the newest first, to the end",
            vec![
                (page(4, more, [4, 3], OWN), path(2)),
                (page(4, "null", [2, 1], OWN), nothing()),
            ],
        ),
        ("no page", vec![("{}".to_owned(), nothing())]),
    ];
    let mut client = FeedClient::new(ann());
    act(&mut client, SAY, 1);
    for (name, pages) in rows {
        assert_eq!(catch_up(&mut client, 0), path(1), "{name}");
        for (step, (page, expected)) in (1..).zip(pages) {
            answered(&mut client, Asked::CatchUp, 200, &page);
            assert_eq!(catch_up(&mut client, step), expected, "{name}, step {step}");
        }
    }
    catch_up(&mut client, 0);
    let own = page(2, "null", [1, 2], OWN);
    assert_eq!(
        answered(&mut client, Asked::CatchUp, 200, &own),
        vec![delivery(Way::CaughtUp); 2]
    );
    catch_up(&mut client, 0);
    assert_eq!(answered(&mut client, Asked::CatchUp, 500, ""), [Heard::Refused]);
    assert_eq!(catch_up(&mut client, 1), "nothing");
}

#[test]
fn it_comes_back_as_the_code_says() {
    let client = FeedClient::new(ann());
    let rows: [(Option<u16>, Comeback); 8] = [
        (None, Comeback::Again),
        (Some(1001), Comeback::Again),
        (Some(1012), Comeback::Again),
        (Some(4000), Comeback::Again),
        (Some(4001), Comeback::WithNewToken),
        (Some(4408), Comeback::Again),
        (Some(4429), Comeback::Again),
        (Some(1000), Comeback::Never),
    ];
    for (code, expected) in rows {
        assert_eq!(client.comeback(code), expected, "{code:?}");
    }
}

#[test]
fn it_connects_with_its_newest_token() {
    let mut client = FeedClient::new(ann());
    assert_eq!(client.address().query, "?accessToken=a.b-c");
    client.new_token("x+y");
    assert_eq!(client.address().query, "?accessToken=x%2By");
}
