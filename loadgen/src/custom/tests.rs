use super::*;
use serde_json::json;
use std::sync::Arc;
use touchstone_protocol::client::{Asked, ClientHalf, Comeback, Draft, Heard, Key, Next, Stamp, Turn, Way};

fn protocol(written: Value) -> Result<Arc<CustomProtocol>, Mistake> {
    let written: Custom = serde_json::from_value(written).unwrap();
    CustomProtocol::new(&written, &["products"]).map(Arc::new)
}

fn client(written: Value) -> CustomClient {
    let who = Who {
        sender: 0xa_0000_0003,
        group: 1,
        place: 1,
        members: 2,
    };
    CustomClient::new(protocol(written).unwrap(), Arc::default(), who)
}

fn turn(sequence: u32) -> Turn {
    let stamp = Stamp {
        key: Key {
            sender: 0xa_0000_0003,
            sequence,
        },
        intended_micros: 5,
        lag_micros: 1,
    };
    Turn {
        act: 0,
        stamp,
        content_bytes: 20,
        recipient: 0,
    }
}

fn said(client: &mut CustomClient, turn: Turn) -> String {
    match client.act(turn, &mut Draft::default()) {
        Next::Send(text) => text.to_owned(),
        other => panic!("{other:?}"),
    }
}

fn heard(client: &mut CustomClient, text: &str) -> Vec<String> {
    let mut all = Vec::new();
    client.hear(text, &mut |heard| {
        all.push(match heard {
            Heard::Answer { stamp, .. } => format!("answer {}", stamp.key.sequence),
            Heard::Confirmed { stamp } => format!("confirmed {}", stamp.key.sequence),
            Heard::Delivery { stamp, by: Way::Live } => {
                format!("delivery {:x}.{}", stamp.key.sender, stamp.key.sequence)
            }
            Heard::Heartbeat { reply } => format!("heartbeat {}", reply.as_deref().unwrap_or("-")),
            other => format!("{other:?}"),
        });
    });
    all
}

/// As `examples/ticker` has it: numbers in place of contents.
fn ticker() -> Value {
    json!({
        "acts": {"order": {
            "send_in_turn": [
                {"op": "subscribe", "topic": "t-${session}", "id": "${index}"},
                {"op": "unsubscribe", "topic": "t-${session}", "id": "${index}"},
            ],
            "answer": {"key": "/ack"},
        }},
        "pushes": [{"where": {"/tick": "gold"}}, {"matches": "^hello"}],
        "stay_away_after": [4400],
    })
}

fn chat() -> Value {
    json!({
        "path": "/ws/${channel}?me=${user.id}&token=${token}",
        "greeting": ["HELLO ${user.id}"],
        "resume": {"send": {"resume": "${last}"}, "last": "/seq"},
        "ready": {"where": {"/type": "welcome"}},
        "acts": {"tell": {
            "send": {"type": "tell", "to": "${recipient.id}", "text": "${stamp}"},
            "confirm": {"where": {"/type": "got"}, "key": "/text"},
            "delivery": {"where": {"/type": "told", "/v": 1}, "key": "/text"},
            "to": "recipient",
        }},
        "heartbeat": {
            "send": {"every": "30s", "text": {"type": "beat"}},
            "answer": [{"when": {"where": {"/type": "ping"}}, "reply": {"type": "pong"}}],
        },
        "errors": [{"where": {"/type": "error"}}],
    })
}

#[test]
fn a_number_that_comes_back_names_its_message() {
    let mut client = client(ticker());
    assert_eq!(
        said(&mut client, turn(1)),
        r#"{"id":1,"op":"subscribe","topic":"t-a00000003"}"#
    );
    assert_eq!(
        said(&mut client, turn(2)),
        r#"{"id":2,"op":"unsubscribe","topic":"t-a00000003"}"#
    );
    assert_eq!(heard(&mut client, r#"{"seq":3,"ack":2}"#), ["answer 2"]);
    assert_eq!(heard(&mut client, r#"{"seq":1,"ack":1}"#), ["answer 1"]);
    assert_eq!(heard(&mut client, r#"{"seq":1,"ack":3}"#), ["Unknown"]);
    assert_eq!(heard(&mut client, r#"{"seq":2,"tick":"gold"}"#), ["Push"]);
    assert_eq!(heard(&mut client, "hello you"), ["Push"]);
    assert_eq!(heard(&mut client, "nonsense"), ["Unknown"]);
    client.greeting(&mut |_| ());
    assert!(
        said(&mut client, turn(3)).contains(r#""subscribe""#),
        "from the first again"
    );
    assert_eq!(client.comeback(Some(4400)), Comeback::Never);
    assert_eq!(client.comeback(Some(1006)), Comeback::Again);
}

#[test]
fn a_stamp_is_confirmed_to_its_sender_and_delivered_to_whom_it_is_for() {
    let mut client = client(chat());
    let text = said(&mut client, turn(10));
    assert_eq!(
        text,
        r#"{"text":"~a00000003.a.5.1~xxx","to":"a00000002","type":"tell"}"#
    );
    let stamp = "~a00000003.a.5.1~xxx";
    let message = |kind: &str, v: u32| format!(r#"{{"type":"{kind}","v":{v},"text":"{stamp}"}}"#);
    assert_eq!(heard(&mut client, &message("got", 1)), ["confirmed 10"]);
    assert_eq!(heard(&mut client, &message("told", 1)), ["delivery a00000003.10"]);
    assert_eq!(heard(&mut client, &message("told", 2)), ["Unknown"]);
    assert_eq!(
        heard(&mut client, r#"{"type":"told","v":1,"text":"hi"}"#),
        ["Unknown"]
    );
    assert_eq!(
        heard(&mut client, r#"{"type":"ping"}"#),
        [r#"heartbeat {"type":"pong"}"#]
    );
    assert_eq!(heard(&mut client, r#"{"type":"welcome"}"#), ["Ready"]);
    assert_eq!(heard(&mut client, r#"{"type":"error"}"#), ["Refused"]);
    let beat = client.beat().unwrap();
    assert_eq!((beat.interval.as_secs(), beat.text), (30, r#"{"type":"beat"}"#));
}

#[test]
fn whoever_comes_back_says_where_he_was() {
    let mut client = client(chat());
    client.new_token("a b");
    assert_eq!(client.address().segments, ["ws/a-1?me=a00000003&token=a%20b"]);
    let greeting = |client: &mut CustomClient| {
        let mut all = Vec::new();
        client.greeting(&mut |text| all.push(text.to_owned()));
        all
    };
    assert_eq!(greeting(&mut client), ["HELLO a00000003"]);
    heard(&mut client, r#"{"seq":41,"type":"x"}"#);
    heard(&mut client, r#"{"seq":42,"type":"x"}"#);
    heard(&mut client, r#"{"type":"x"}"#);
    assert_eq!(greeting(&mut client), [r#"{"resume":42}"#]);
    heard(&mut client, r#"{"seq":"b-7","type":"x"}"#);
    assert_eq!(greeting(&mut client), [r#"{"resume":"b-7"}"#]);
}

#[test]
fn a_group_that_hears_its_own_needs_no_other_confirmation() {
    let mut client = client(json!({"acts": {"say": {
        "send": "SAY ${stamp}", "delivery": {"matches": r"^SAID .*?(~\S+)"}, "to": "group",
    }}}));
    assert_eq!(said(&mut client, turn(10)), "SAY ~a00000003.a.5.1~xxx");
    assert_eq!(
        heard(&mut client, "SAID by me ~a00000003.a.5.1~xxx"),
        ["confirmed 10", "delivery a00000003.10"]
    );
    assert_eq!(
        heard(&mut client, "SAID by him ~a00000004.a.5.1~"),
        ["delivery a00000004.10"]
    );
}

#[test]
fn a_mistake_says_where_it_is_and_what_would_be_right() {
    let act = |act: Value| json!({"acts": {"say": act}});
    let rows = [
        (json!({"acts": {}}), "custom.acts: users can do nothing"),
        (
            json!({"path": "ws", "acts": {}}),
            "custom.path: `ws` does not begin with `/`",
        ),
        (
            act(json!({})),
            "custom.acts.say: it has one of `send`, `send_in_turn` and `request`",
        ),
        (
            act(json!({"send": "${stmp}"})),
            "custom.acts.say.send: `${stmp}` stands for nothing (did you mean `${stamp}`?)",
        ),
        (
            act(json!({"send": "x", "delivery": {"key": "/a"}})),
            "custom.acts.say: nobody is owed the delivery (write `to: others`, `group`, `recipient` or `everybody`)",
        ),
        (
            act(json!({"send": "x", "delivery": {"key": "/a"}, "to": "others"})),
            "custom.acts.say: without `confirm` nobody knows what the server owes (say how the server tells the sender that it has the message)",
        ),
        (
            act(json!({"send": "x", "answer": {"key": "a"}})),
            "custom.acts.say.answer.key: `a` is no JSON pointer (write `/a`)",
        ),
        (
            act(json!({"send": "x", "answer": {}})),
            "custom.acts.say.answer: it would recognise everything (write `where: {/pointer: value}`, `key: /pointer` or `matches: …`)",
        ),
        (
            act(json!({"send": "x", "confirm": {"matches": "yes"}})),
            "custom.acts.say.confirm: it does not say where the key of the message is (write `key: /pointer`, or a group in `matches`, to where `${stamp}` or `${index}` comes back)",
        ),
        (
            act(json!({"send": "x", "answer": {"matches": "(", "key": "/a"}})),
            "custom.acts.say.answer: `matches` stands alone, without `where` and `key`",
        ),
    ];
    for (written, message) in rows {
        let Mistake { key, why, help } = protocol(written).unwrap_err();
        let help = help.map_or_else(String::new, |help| format!(" ({help})"));
        assert_eq!(format!("{key}: {why}{help}"), message);
    }
}

fn acts_of(client: &CustomClient) -> &[Act] {
    client.protocol.acts()
}

/// How an act or a reading back is done, in words.
fn in_words(next: Next<'_>) -> String {
    match next {
        Next::Send(text) => format!("send {text}"),
        Next::Request(request) => {
            let headers: Vec<_> = request
                .headers
                .iter()
                .map(|(name, value)| format!(" {name}={value}"))
                .collect();
            format!(
                "{} {} {}{}",
                request.method,
                request.path,
                request.body,
                headers.concat()
            )
        }
        Next::Inject { .. } => panic!("a protocol of one's own has no back door"),
        Next::Nothing => "nothing".to_owned(),
    }
}

fn answered(client: &mut CustomClient, asked: Asked, status: u16, body: &str) -> Vec<String> {
    let mut all = Vec::new();
    client.answered(asked, status, body, &mut |heard| {
        all.push(match heard {
            Heard::Confirmed { stamp } => format!("confirmed {}", stamp.key.sequence),
            Heard::Delivery { stamp, by } => format!("{by:?} {:x}.{}", stamp.key.sender, stamp.key.sequence),
            other => format!("{other:?}"),
        });
    });
    all
}

#[test]
fn a_request_carries_what_its_template_says_and_its_answer_is_the_effect() {
    let mut client = client(json!({
        "headers": {"Cookie": "session=${token}", "X-Team": "blue"},
        "subprotocol": "chat.v$2",
        "acts": {
            "look": {"request": {"get": "/rooms/${channel}?n=${index}"}},
            "post": {
                "request": {"put": "/say", "headers": {"X-Team": "red", "X-Id": "${index}"}, "body": {"text": "${stamp}", "n": "${index}"}},
                "delivery": {"key": "/text"}, "to": "others",
            },
            "tell": {"request": {"post": "/tell", "body": "${stamp}"}, "answer": {"key": "/told"}},
        },
    }));
    client.new_token("a b");
    let headers = [
        ("Cookie", "session=a b"),
        ("X-Team", "blue"),
        ("Sec-WebSocket-Protocol", "chat.v$2"),
    ];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(client.address().headers, headers);
    let mut act = |act, sequence| {
        let turn = Turn {
            act,
            ..turn(sequence)
        };
        in_words(client.act(turn, &mut Draft::default()))
    };
    assert_eq!(act(0, 0), "GET /rooms/a-1?n=1  Cookie=session=a b X-Team=blue");
    assert_eq!(act(0, 0), "GET /rooms/a-1?n=2  Cookie=session=a b X-Team=blue");
    assert_eq!(
        act(1, 10),
        "PUT /say {\"n\":10,\"text\":\"~a00000003.a.5.1~xxx\"} Cookie=session=a b X-Team=blue X-Id=10 X-Team=red"
    );
    let effects: Vec<_> = acts_of(&client).iter().map(|act| act.effect).collect();
    let audience = Audience::OthersOfGroup;
    assert_eq!(
        effects,
        [Effect::Reply, Effect::Delivery { audience }, Effect::Answer]
    );
    let asked = |act| Asked::Act {
        act,
        stamp: turn(10).stamp,
    };
    assert_eq!(answered(&mut client, asked(0), 204, ""), ["Reply { act: 0 }"]);
    assert_eq!(answered(&mut client, asked(1), 201, ""), ["confirmed 10"]);
    assert_eq!(answered(&mut client, asked(1), 500, ""), ["Refused"]);
    assert_eq!(
        answered(&mut client, asked(2), 200, ""),
        [""; 0],
        "its answer comes over the connection"
    );
}

const MISSED: &str = r#"[{"text": "~a00000002.1.5.1~xx", "n": 1}, {"text": "~a00000003.7.5.1~"}, {"text": "~a00000002.2.5.1~"}]"#;

#[test]
fn what_was_missed_stands_in_the_answer_to_a_request_page_after_page() {
    let mut client = client(json!({
        "acts": {"say": {
            "send": "SAY ${stamp}", "confirm": {"matches": r"^GOT (\S+)"}, "delivery": {"matches": r"^SAID (\S+)"}, "to": "others",
        }},
        "catch_up": {"request": {"get": "/history/${channel}?page=${page}&of=${recipient.id}"}},
    }));
    assert!(!client.catches_up_at_once());
    let asks = |client: &mut CustomClient, step| in_words(client.catch_up(step, &mut Draft::default()));
    assert_eq!(asks(&mut client, 0), "GET /history/a-1?page=1&of=a00000002 ");
    assert_eq!(
        answered(&mut client, Asked::CatchUp, 200, MISSED),
        ["CaughtUp a00000002.1", "CaughtUp a00000002.2"],
        "his own are not owed to him"
    );
    assert_eq!(asks(&mut client, 1), "GET /history/a-1?page=2&of=a00000002 ");
    assert_eq!(answered(&mut client, Asked::CatchUp, 200, "[]"), [""; 0]);
    assert_eq!(asks(&mut client, 2), "nothing");
    assert_eq!(asks(&mut client, 0), "GET /history/a-1?page=1&of=a00000002 ");
    assert_eq!(answered(&mut client, Asked::CatchUp, 503, "no"), ["Refused"]);
    assert_eq!(asks(&mut client, 1), "nothing");
}

#[test]
fn what_was_missed_comes_in_frames_after_what_was_heard_last() {
    let mut client = client(json!({
        "acts": {"say": {"send": "SAY ${stamp}", "delivery": {"where": {"/type": "said"}, "key": "/text"}, "to": "group"}},
        "catch_up": {
            "send": {"since": "${last}"}, "last": "/seq",
            "missed": {"where": {"/type": "missed"}}, "done": {"where": {"/type": "end"}},
        },
    }));
    assert!(client.catches_up_at_once());
    assert_eq!(
        heard(
            &mut client,
            r#"{"type":"said","text":"~a00000002.1.5.1~","seq":41}"#
        ),
        ["delivery a00000002.1"]
    );
    let asks = |client: &mut CustomClient, step| in_words(client.catch_up(step, &mut Draft::default()));
    assert_eq!(asks(&mut client, 0), r#"send {"since":41}"#);
    let missed = r#"{"type":"missed","all":["~a00000002.2.5.1~","~a00000003.7.5.1~"]}"#;
    let [first, own] = heard(&mut client, missed).try_into().unwrap();
    assert!(
        first.contains("CaughtUp") && own.contains("CaughtUp"),
        "a group hears its own: {first} {own}"
    );
    assert_eq!(heard(&mut client, r#"{"type":"end"}"#), ["ReadBack"]);
    assert_eq!(asks(&mut client, 1), "nothing", "without pages once is all");
    assert_eq!(
        heard(&mut client, r#"{"type":"end"}"#),
        [""; 0],
        "nobody has asked"
    );
}

#[test]
fn a_refusal_or_a_close_may_want_a_new_token() {
    let client = client(json!({
        "acts": {"say": {"send": "SAY"}}, "stay_away_after": [403], "new_token_after": [401, 4401],
    }));
    assert_eq!(client.refused(401), Some(Comeback::WithNewToken));
    assert_eq!(client.refused(403), Some(Comeback::Never));
    assert_eq!(client.refused(404), None);
    assert_eq!(client.comeback(Some(4401)), Comeback::WithNewToken);
    assert_eq!(client.comeback(None), Comeback::Again);
}
