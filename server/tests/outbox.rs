//! What the conformance scenarios cannot tell of `outbox`: long queues, a store that goes away, restarts, and churn.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::StreamExt;
use serde_json::{Value, json};
use support::raw::Raw;
use support::{Client, Running, config, start, within};
use tokio_tungstenite::tungstenite::Message;
use touchstone_server::{Config, Confirm, OutboxConfig, Secret, StoreChoice};
use uuid::Uuid;

/// A user who was made for a test.
struct User {
    id: String,
    token: String,
}

fn outbox(outbox: OutboxConfig) -> Config {
    let mut config = Config { outbox, ..config() };
    config.auth.secret = Some(Secret::new("a secret of these tests"));
    config
}

/// What stands behind the head of an answer, which must be a good one.
fn body(answer: &str) -> Value {
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
    assert!(head.starts_with("HTTP/1.1 20"), "{answer}");
    serde_json::from_str(body).unwrap_or_default()
}

async fn admin(server: &Running, path: &str, request: Value) -> Value {
    let answer = server
        .request(&format!("POST /admin/{path}"), &request.to_string())
        .await;
    body(&answer)
}

async fn make_user(server: &Running, name: &str) -> User {
    let made = admin(
        server,
        "users",
        json!({"dialect": "outbox", "users": [{"username": name}]}),
    );
    let made = made.await["users"][0].clone();
    let text = |field: &str| made[field].as_str().expect("it is a text").to_owned();
    User {
        id: text("id"),
        token: text("token"),
    }
}

impl User {
    async fn connect(&self, server: &Running) -> Client {
        let path = format!("/ws/user/{}?token={}", self.id, self.token);
        let mut client = server.connect(&path).await;
        let greeting: Value = serde_json::from_str(&client.hear().await).unwrap();
        assert_eq!(greeting["type"], "connection_established");
        assert_eq!(greeting["user_uuid"], *self.id);
        client
    }

    async fn publish(&self, server: &Running, content: &str) {
        let data = json!({"message": {"content": content}});
        let publication =
            json!({"dialect": "outbox", "to": self.id, "type": "message_generate", "data": data});
        admin(server, "publish", publication).await;
    }

    /// The user's events in the store: what each says, and whether it is sent.
    async fn events(&self, server: &Running) -> Vec<(String, bool)> {
        let answer = server
            .request(&format!("GET /admin/events?user={}", self.id), "")
            .await;
        let events = body(&answer)["events"].clone();
        let events = events.as_array().expect("it is a list").iter();
        let shown = |event: &Value| {
            let content = event["message_data"]["message"]["content"]
                .as_str()
                .unwrap()
                .to_owned();
            assert_eq!(event["sent_at"].is_string(), event["status"] == "sent");
            (content, event["status"] == "sent")
        };
        events.map(shown).collect()
    }

    /// Until all events are sent, which takes somebody who reads.
    async fn settled(&self, server: &Running) {
        while self.events(server).await.iter().any(|(_, sent)| !sent) {
            tokio::task::yield_now().await;
        }
    }

    /// Reads until all events are sent. Returns what was heard meanwhile.
    async fn all_sent(&self, server: &Running, client: &mut Client) -> Vec<Value> {
        let mut heard = Vec::new();
        let mut settled = std::pin::pin!(within(self.settled(server)));
        loop {
            tokio::select! {
                () = &mut settled => return heard,
                next = client.0.next() => match next {
                    Some(Ok(Message::Text(text))) => heard.push(serde_json::from_str(&text).unwrap()),
                    Some(Ok(_)) => {}
                    other => panic!("the connection ended: {other:?}"),
                },
            }
        }
    }
}

fn contents(heard: &[Value]) -> Vec<&str> {
    let content = |message: &Value| message["type"] == "message_generate";
    let events = heard.iter().filter(|message| content(message));
    events
        .map(|event| event["message"]["content"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn a_stream_is_found_by_each_form_of_its_users_uuid() {
    let server = start(outbox(OutboxConfig::default()));
    let ann = make_user(&server, "ann").await;
    let bytes = Uuid::parse_str(&ann.id).unwrap().into_bytes();
    for form in [
        ann.id.clone(),
        ann.id.to_uppercase(),
        URL_SAFE_NO_PAD.encode(bytes),
    ] {
        let path = format!("/ws/user/{form}?token={}", ann.token);
        let greeting: Value = serde_json::from_str(&server.connect(&path).await.hear().await).unwrap();
        assert_eq!(greeting["user_uuid"], *ann.id, "{form}");
    }
}

#[tokio::test]
async fn a_connection_that_is_not_read_is_cut_while_others_of_its_user_get_everything() {
    let server = start(outbox(OutboxConfig::default()));
    let ann = make_user(&server, "ann").await;
    let path = format!("/ws/user/{}?token={}", ann.id, ann.token);
    let mut slow = Raw::connect(server.address, &path).await;
    let mut quick = ann.connect(&server).await;
    let slow_consumers = "touchstone_slow_consumers_total{dialect=\"outbox\"}";
    let mut number = 0;
    while server.metric(slow_consumers).await == 0 {
        let content = format!("{number} {}", "x".repeat(100_000));
        ann.publish(&server, &content).await;
        let heard: Value = serde_json::from_str(&quick.hear().await).unwrap();
        assert_eq!(heard["message"]["content"], content, "not held up");
        number += 1;
    }
    let last = slow.until_end().await.pop().expect("a close frame at least");
    assert_eq!(
        (last.opcode, &last.payload[..]),
        (8, &b"\x03\xf0slow consumer"[..])
    );
    ann.publish(&server, "afterwards").await;
    assert_eq!(contents(&ann.all_sent(&server, &mut quick).await), ["afterwards"]);
}

#[tokio::test]
async fn a_long_queue_comes_in_its_order_each_once_and_is_counted() {
    for confirm in [Confirm::Pong, Confirm::Write] {
        let config = outbox(OutboxConfig {
            confirm,
            ..OutboxConfig::default()
        });
        let server = start(config);
        let (ann, conversation) = (
            make_user(&server, "ann").await,
            "0191e7c1-7b2a-7c3d-8e4f-fffb7c8d9e0f",
        );
        let channel = json!({"dialect": "outbox", "channels": [{"id": conversation, "members": [ann.id]}]});
        admin(&server, "channels", channel).await;
        let expected: Vec<_> = (0..700).map(|number| number.to_string()).collect();
        for content in &expected {
            ann.publish(&server, content).await;
        }
        let mut client = ann.connect(&server).await;
        client.say(r#"{"type":"get_pending"}"#).await;
        client.say(r#"{"type":"get_pending"}"#).await;
        let heard = ann.all_sent(&server, &mut client).await;
        assert_eq!(contents(&heard), expected, "{confirm:?}");
        let ids: BTreeSet<_> = heard
            .iter()
            .filter_map(|event| event["event_id"].as_str())
            .collect();
        assert_eq!(ids.len(), expected.len());
        let mut counts = heard
            .iter()
            .filter(|message| message["type"] == "pending_check_complete");
        let first = counts.next().expect("the first question is answered");
        assert!(first["data"]["count"].as_u64() <= Some(700));
        let second = counts.next().expect("the second question is answered");
        assert_eq!(second["data"]["count"], 0);
        // On this connection none comes again, by whatever way.
        admin(&server, "sweep", json!({})).await;
        client.say(r#"{"type":"get_pending"}"#).await;
        let answer: Value = serde_json::from_str(&client.hear().await).unwrap();
        assert_eq!(
            answer,
            json!({"type": "pending_check_complete", "data": {"count": 0}})
        );
    }
}

#[tokio::test]
async fn who_leaves_pings_unanswered_is_closed_and_his_events_come_again() {
    let server = start(outbox(OutboxConfig {
        confirm_timeout: Duration::from_millis(200),
        ..OutboxConfig::default()
    }));
    let ann = make_user(&server, "ann").await;
    // The client answers pings only while it reads.
    let mut silent = ann.connect(&server).await;
    ann.publish(&server, "one").await;
    let closed = async {
        let list = "GET /admin/connections?dialect=outbox";
        while body(&server.request(list, "").await)["connections"] != json!([]) {
            tokio::task::yield_now().await;
        }
    };
    within(closed).await;
    let close = silent.closed().await;
    assert_eq!((u16::from(close.code), &*close.reason), (1008, "no pong"));
    assert_eq!(ann.events(&server).await, [("one".to_owned(), false)]);
    let mut client = ann.connect(&server).await;
    let heard = ann.all_sent(&server, &mut client).await;
    assert_eq!(contents(&heard), ["one"]);
}

#[tokio::test]
async fn what_waits_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let durable = || Config {
        store: StoreChoice::Path(folder.path().join("store.db")),
        ..outbox(OutboxConfig::default())
    };
    let server = start(durable());
    let ann = make_user(&server, "ann").await;
    let mut client = ann.connect(&server).await;
    ann.publish(&server, "sent before").await;
    ann.all_sent(&server, &mut client).await;
    client.0.close(None).await.unwrap();
    client.closed_by_us().await;
    for content in ["one", "two"] {
        ann.publish(&server, content).await;
    }
    server.stop().await;

    let server = start(durable());
    let mut client = ann.connect(&server).await;
    let heard = ann.all_sent(&server, &mut client).await;
    assert_eq!(contents(&heard), ["one", "two"]);
}

#[tokio::test]
async fn while_the_store_is_away_nothing_is_lost_and_later_it_is_recorded() {
    let server = start(outbox(OutboxConfig::default()));
    let ann = make_user(&server, "ann").await;
    let mut client = ann.connect(&server).await;
    ann.publish(&server, "one").await;
    assert!(client.hear().await.contains("one"));
    // The ping behind it is read, and so answered, by the next look for a message.
    admin(&server, "faults", json!({"store": "down", "for": "700ms"})).await;
    client.say(r#"{"type":"get_pending"}"#).await;
    let answer: Value = serde_json::from_str(&client.hear().await).unwrap();
    assert_eq!(answer, json!({"type": "error", "message": "Server error"}));
    let path = format!("/ws/user/{}?token={}", ann.id, ann.token);
    let close = server.connect(&path).await.closed().await;
    assert_eq!(u16::from(close.code), 1011);
    let data = json!({"message": {"content": "not stored"}});
    let publication = json!({"dialect": "outbox", "to": ann.id, "type": "message_generate", "data": data});
    let answer = server
        .request("POST /admin/publish", &publication.to_string())
        .await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    let back = async {
        while !server
            .request(&format!("GET /admin/events?user={}", ann.id), "")
            .await
            .starts_with("HTTP/1.1 200")
        {
            tokio::task::yield_now().await;
        }
    };
    within(back).await;
    let heard = ann.all_sent(&server, &mut client).await;
    assert_eq!(
        contents(&heard),
        [""; 0],
        "it came already, and nothing else was stored"
    );
}

#[tokio::test]
async fn through_churn_each_event_arrives_and_never_twice_on_one_connection() {
    const EVENTS: usize = 300;
    let server = start(outbox(OutboxConfig {
        sweep_interval: Duration::from_millis(50),
        ..OutboxConfig::default()
    }));
    let ann = make_user(&server, "ann").await;
    let publishing = async {
        for number in 0..EVENTS {
            ann.publish(&server, &number.to_string()).await;
        }
    };
    let mut publishing = std::pin::pin!(publishing);
    let (mut is_published, mut is_settled) = (false, false);
    let mut times_heard = BTreeMap::<String, usize>::new();
    let mut connections = 0;
    while !is_settled {
        connections += 1;
        let mut client = ann.connect(&server).await;
        let mut settled = std::pin::pin!(within(ann.settled(&server)));
        let mut heard = BTreeSet::new();
        // Each connection hears a few and is then dropped, with whatever is under way.
        while heard.len() < connections % 7 + 3 && !is_settled {
            tokio::select! {
                () = &mut publishing, if !is_published => is_published = true,
                () = &mut settled, if is_published => is_settled = true,
                next = client.0.next() => match next {
                    Some(Ok(Message::Text(text))) => {
                        let event: Value = serde_json::from_str(&text).unwrap();
                        let id = event["event_id"].as_str().expect("events are named").to_owned();
                        assert!(heard.insert(id), "twice on one connection: {text}");
                    }
                    Some(Ok(Message::Ping(_))) => {}
                    other => panic!("expected an event, got {other:?}"),
                },
            }
        }
        for id in heard {
            *times_heard.entry(id).or_default() += 1;
        }
    }
    assert_eq!(times_heard.len(), EVENTS, "each at least once");
    assert!(connections > 10, "{connections} connections are no churn");
}
