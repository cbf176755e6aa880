//! What no scenario shows of `direct`: crowds, races, and orders that hold under load.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join_all;
use serde_json::{Value, json};
use support::raw::Raw;
use support::{Client, KEY, Running, config, start, within};
use tokio_tungstenite::tungstenite::Message;
use touchstone_server::{Config, Secret};

/// A user with the token by which he connects.
struct User {
    id: String,
    token: String,
}

fn with_secret() -> Config {
    let mut config = config();
    config.auth.secret = Some(Secret::new("a secret of some length"));
    config
}

async fn make_users(server: &Running, names: &[String]) -> Vec<User> {
    let entries: Vec<_> = names.iter().map(|name| json!({"username": name})).collect();
    let body = json!({"dialect": "direct", "users": entries}).to_string();
    let (status, made) = server.ask("POST /admin/users", &body, KEY).await;
    assert_eq!(status, 201, "{made}");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let made = made["users"].as_array().unwrap().iter();
    made.map(|made| User {
        id: text(&made["id"]),
        token: text(&made["token"]),
    })
    .collect()
}

async fn make_two(server: &Running) -> (User, User) {
    let mut users = make_users(server, &["ann".to_owned(), "bob".to_owned()]).await;
    let bob = users.pop().unwrap();
    (users.pop().unwrap(), bob)
}

async fn connect(server: &Running, user: &User) -> Client {
    server.connect(&format!("/ws?token={}", user.token)).await
}

async fn hear(client: &mut Client) -> Value {
    serde_json::from_str(&client.hear().await).unwrap()
}

/// Connects, and returns the list in the greeting as well.
async fn greeted(server: &Running, user: &User) -> (Client, Value) {
    let mut client = connect(server, user).await;
    let established = hear(&mut client).await;
    assert_eq!(established["type"], "connection_established");
    assert_eq!(established["data"]["userId"], user.id);
    let list = hear(&mut client).await;
    assert_eq!(list["type"], "online_users");
    (client, list["data"].clone())
}

async fn say(client: &mut Client, kind: &str, data: Value) {
    client.say(&json!({"type": kind, "data": data}).to_string()).await;
}

async fn chat(client: &mut Client, to: &User, content: &str) {
    say(
        client,
        "chat_message",
        json!({"receiverId": to.id, "content": content}),
    )
    .await;
}

fn kind(message: &Value) -> &str {
    message["type"].as_str().unwrap()
}

/// Everything before the answer to an unknown type, which is behind whatever was on its way.
async fn heard_so_far(client: &mut Client) -> Vec<Value> {
    say(client, "so far", Value::Null).await;
    let mut heard = Vec::new();
    loop {
        let message = hear(client).await;
        if message["data"]["message"] == "Unknown message type: so far" {
            return heard;
        }
        heard.push(message);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn messages_are_sent_then_delivered_then_read() {
    const AT_ONCE: usize = 20;
    let server = start(with_secret());
    let (ann, bob) = make_two(&server).await;
    let (mut of_ann, _) = greeted(&server, &ann).await;
    let (mut of_bob, list) = greeted(&server, &bob).await;
    assert_eq!(list["totalOnline"], 2);
    assert_eq!(kind(&hear(&mut of_ann).await), "user_online");
    for round in 0..50 {
        for number in 0..AT_ONCE {
            chat(&mut of_ann, &bob, &format!("{number}")).await;
        }
        for _ in 0..AT_ONCE {
            assert_eq!(kind(&hear(&mut of_bob).await), "new_message");
        }
        say(&mut of_bob, "mark_read", json!({"senderId": ann.id})).await;
        let told = hear(&mut of_bob).await;
        assert_eq!(kind(&told), "mark_read_success");
        assert_eq!(told["data"]["markedCount"], AT_ONCE);
        let mut told = Vec::new();
        for _ in 0..2 * AT_ONCE + 1 {
            told.push(hear(&mut of_ann).await);
        }
        let last = told.pop().map(|told| kind(&told).to_owned());
        assert_eq!(last.as_deref(), Some("messages_read"), "round {round}: {told:?}");
        for message in &told {
            let id = &message["data"]["messageId"];
            let about = told.iter().filter(|told| told["data"]["messageId"] == *id);
            let kinds: Vec<_> = about.map(kind).collect();
            assert_eq!(kinds, ["message_sent", "message_delivered"]);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_many_send_to_one_arrives_once_in_each_ones_order_and_each_is_told() {
    const SENDERS: usize = 20;
    const MESSAGES: usize = 50;
    let server = start(with_secret());
    let names: Vec<_> = (0..=SENDERS).map(|number| format!("user {number}")).collect();
    let users = make_users(&server, &names).await;
    let (receiver, senders) = users.split_first().unwrap();
    let (mut heard, _) = greeted(&server, receiver).await;
    let sending = senders.iter().map(async |sender| {
        let mut client = connect(&server, sender).await;
        for number in 0..MESSAGES {
            chat(&mut client, receiver, &number.to_string()).await;
        }
        let (mut sent, mut delivered) = (Vec::new(), Vec::new());
        while delivered.len() < MESSAGES {
            let told = hear(&mut client).await;
            let id = told["data"]["messageId"].as_str().map(str::to_owned);
            match kind(&told) {
                "message_sent" => sent.extend(id),
                "message_delivered" => {
                    assert!(
                        sent.contains(id.as_ref().unwrap()),
                        "only behind its confirmation"
                    );
                    delivered.extend(id);
                }
                _ => {}
            }
        }
        assert_eq!(sent, delivered, "all of them, each once, in order");
        (sender.id.clone(), sent)
    });
    let receiving = async {
        let mut arrived = BTreeMap::<String, Vec<(String, String)>>::new();
        let mut left = SENDERS * MESSAGES;
        while left > 0 {
            let told = hear(&mut heard).await;
            if kind(&told) == "new_message" {
                let field = |name: &str| told["data"][name].as_str().unwrap().to_owned();
                let message = (field("content"), field("messageId"));
                arrived.entry(field("senderId")).or_default().push(message);
                left -= 1;
            }
        }
        arrived
    };
    let (sent, arrived) = within(async { tokio::join!(join_all(sending), receiving) }).await;
    for (sender, ids) in sent {
        let expected: Vec<_> = (0..MESSAGES).map(|number| number.to_string()).zip(ids).collect();
        assert_eq!(arrived[&sender], expected);
    }
    let path = "GET /direct/api/messages/unread/count";
    let (_, unread) = server.ask(path, "", &receiver.token).await;
    assert_eq!(unread["data"]["unreadCount"], SENDERS * MESSAGES);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_connections_that_come_at_once_the_last_one_stays() {
    const AT_ONCE: usize = 20;
    let server = start(with_secret());
    let (ann, bob) = make_two(&server).await;
    let (mut of_ann, _) = greeted(&server, &ann).await;
    for _ in 0..5 {
        let clients = join_all((0..AT_ONCE).map(|_| connect(&server, &bob))).await;
        // Behind every takeover: whoever hears this is the one that stays.
        chat(&mut of_ann, &bob, "which of you").await;
        let mut left = Vec::new();
        for mut client in clients {
            loop {
                match within(client.0.next())
                    .await
                    .expect("TCP does not just end")
                    .unwrap()
                {
                    Message::Close(close) => {
                        let close = close.expect("a code");
                        let expected = (4005, "New connection established");
                        assert_eq!((u16::from(close.code), &*close.reason), expected);
                        break;
                    }
                    Message::Text(text) if text.contains(r#""type":"new_message""#) => {
                        left.push(client);
                        break;
                    }
                    _ => {}
                }
            }
        }
        assert_eq!(left.len(), 1, "exactly one stays");
        let mut told = Vec::new();
        while told.last().map(kind) != Some("message_delivered") {
            told.push(hear(&mut of_ann).await);
        }
        let presence: Vec<_> = told
            .iter()
            .map(kind)
            .filter(|kind| kind.starts_with("user_"))
            .collect();
        assert_eq!(presence, ["user_online"], "he came once and did not leave");
        left[0].0.close(None).await.unwrap();
        left[0].closed_by_us().await;
        assert_eq!(kind(&hear(&mut of_ann).await), "user_offline");
        let list = hear(&mut of_ann).await;
        assert_eq!(
            (kind(&list), &list["data"]["totalOnline"]),
            ("online_users", &json!(1))
        );
    }
}

/// With presence told to so few at once, and in batches so quick, that a test sees both sides.
#[tokio::test]
async fn a_receiver_that_does_not_read_is_cut_while_others_get_everything() {
    let server = start(with_secret());
    let names = ["ann", "bob", "slow"].map(str::to_owned);
    let users = make_users(&server, &names).await;
    let [ann, bob, slow] = &users[..] else {
        panic!("three were made")
    };
    let mut of_slow = Raw::connect(server.address, &format!("/ws?token={}", slow.token)).await;
    let (mut of_bob, _) = greeted(&server, bob).await;
    let (mut of_ann, _) = greeted(&server, ann).await;
    assert_eq!(kind(&hear(&mut of_bob).await), "user_online");
    let slow_consumers = "touchstone_slow_consumers_total{dialect=\"direct\"}";
    let long = "\u{1F980}".repeat(5_000);
    let mut number = 0;
    while server.metric(slow_consumers).await == 0 {
        for _ in 0..10 {
            chat(&mut of_ann, slow, &long).await;
        }
        chat(&mut of_ann, bob, &format!("{number}")).await;
        loop {
            let heard = hear(&mut of_bob).await;
            // That the slow one has been sent away is told as well.
            if kind(&heard) == "new_message" {
                assert_eq!(heard["data"]["content"], format!("{number}"), "not held up");
                break;
            }
        }
        number += 1;
        let mut confirmed = 0;
        while confirmed < 11 {
            confirmed += usize::from(kind(&hear(&mut of_ann).await) == "message_sent");
        }
    }
    let last = of_slow.until_end().await.pop().expect("a close frame at least");
    assert_eq!(
        (last.opcode, &last.payload[..]),
        (8, &b"\x03\xf0slow consumer"[..])
    );
}

fn with_small_crowd() -> Config {
    let mut config = with_secret();
    config.presence.crowd_connections = 10;
    config.presence.batch_interval = Duration::from_millis(100);
    config.presence.listed_users = 10;
    config
}

#[tokio::test]
async fn a_crowd_hears_the_latest_changes_in_batches_and_everybody_finds_himself_in_a_short_list() {
    const USERS: usize = 40;
    let config = with_small_crowd();
    let changes_max = config.presence.batch_changes;
    let server = start(config);
    let names: Vec<_> = (0..USERS).map(|number| format!("user {number}")).collect();
    let users = make_users(&server, &names).await;
    let mut clients = Vec::new();
    for (number, user) in users.iter().enumerate() {
        let (client, list) = greeted(&server, user).await;
        assert_eq!(list["totalOnline"], number + 1);
        let listed: Vec<_> = list["users"]
            .as_array()
            .unwrap()
            .iter()
            .map(|user| &user["_id"])
            .collect();
        let latest = users[..=number].iter().rev().take(10).map(|user| json!(user.id));
        assert!(
            listed.into_iter().eq(&latest.collect::<Vec<_>>()),
            "the latest first"
        );
        clients.push(client);
    }
    let (first, others) = clients.split_first_mut().unwrap();
    say(first, "get_online_users", Value::Null).await;
    let mut heard = Vec::new();
    while heard.last().map(kind) != Some("online_users") {
        heard.push(hear(first).await);
    }
    let list = &heard.pop().unwrap()["data"];
    let listed = list["users"].as_array().unwrap();
    assert_eq!((listed.len(), &list["totalOnline"]), (10, &json!(USERS)));
    assert_eq!(listed[0]["_id"], users[USERS - 1].id);
    assert_eq!(
        listed[9]["_id"], users[0].id,
        "the one who asks is always among them"
    );

    // All but a few leave at once.
    for client in others.iter_mut().skip(4) {
        client.0.close(None).await.unwrap();
    }
    for client in others.iter_mut().skip(4) {
        client.closed_by_us().await;
    }
    let mut told = BTreeMap::<String, Vec<String>>::new();
    let mut lists = 0;
    // The last departures are told to so few that each comes with a list.
    while lists == 0
        || told
            .values()
            .flatten()
            .filter(|kind| *kind == "user_offline")
            .count()
            < 10
    {
        let message = hear(first).await;
        match kind(&message) {
            "online_users" => lists += 1,
            kind => {
                let user = message["data"]["userId"].as_str().unwrap().to_owned();
                assert_ne!(user, users[0].id, "nobody is told about himself");
                told.entry(user).or_default().push(kind.to_owned());
            }
        }
    }
    let everybody_else: BTreeSet<_> = users[1..].iter().map(|user| user.id.clone()).collect();
    assert!(told.keys().all(|user| everybody_else.contains(user)));
    assert!(
        told.values()
            .flatten()
            .filter(|kind| *kind == "user_online")
            .count()
            <= 10 + changes_max * 10,
        "the crowd was not told of each of its own"
    );
}

#[tokio::test]
async fn a_deleted_user_leaves_nothing_and_his_connection_ends() {
    let server = start(with_secret());
    let (ann, bob) = make_two(&server).await;
    let (mut of_ann, _) = greeted(&server, &ann).await;
    let (mut of_bob, _) = greeted(&server, &bob).await;
    chat(&mut of_bob, &ann, "forget me").await;
    while kind(&hear(&mut of_ann).await) != "new_message" {}
    let path = format!("DELETE /admin/users/{}?dialect=direct", bob.id.to_uppercase());
    assert_eq!(server.ask(&path, "", KEY).await.0, 204);
    let close = of_bob.closed().await;
    assert_eq!((u16::from(close.code), &*close.reason), (4003, "User not found"));
    assert_eq!(server.ask(&path, "", KEY).await.0, 404);
    assert_eq!(kind(&hear(&mut of_ann).await), "user_offline");
    let path = format!("GET /direct/api/messages/{}", bob.id);
    let (status, history) = server.ask(&path, "", &ann.token).await;
    assert_eq!((status, &history["data"]["messages"]), (200, &json!([])));
    assert_eq!(server.ask("GET /direct/api/auth/me", "", &bob.token).await.0, 401);
}

#[tokio::test]
async fn what_is_published_as_a_users_message_is_one() {
    let server = start(with_secret());
    let (ann, bob) = make_two(&server).await;
    let (mut of_ann, _) = greeted(&server, &ann).await;
    let (mut of_bob, _) = greeted(&server, &bob).await;
    assert_eq!(kind(&hear(&mut of_ann).await), "user_online");
    let publish = async |to: Value, kind: &str, data: Value| {
        let body = json!({"dialect": "direct", "to": to, "type": kind, "data": data});
        server.ask("POST /admin/publish", &body.to_string(), KEY).await.0
    };
    // Ids are compared without case and sent in lower case.
    let (upper, data) = (
        bob.id.to_uppercase(),
        json!({"senderId": ann.id.to_uppercase(), "content": "hello"}),
    );
    assert_eq!(publish(json!(upper), "chat_message", data).await, 200);
    let arrived = hear(&mut of_bob).await;
    assert_eq!(
        (kind(&arrived), &arrived["data"]["senderId"]),
        ("new_message", &json!(ann.id))
    );
    assert_eq!(arrived["data"]["senderUsername"], "ann");
    for expected in ["message_sent", "message_delivered"] {
        let told = hear(&mut of_ann).await;
        assert_eq!(
            (kind(&told), &told["data"]["messageId"]),
            (expected, &arrived["data"]["messageId"])
        );
    }
    let data = json!({"senderId": ann.id.to_uppercase(), "content": " "});
    for (to, kind, data, status) in [
        (json!(bob.id), "chat_message", data, 400),
        (json!(bob.id), "chat_message", json!("text"), 400),
        (
            json!(ann.id),
            "chat_message",
            json!({"senderId": ann.id, "content": "to myself"}),
            400,
        ),
        (
            json!("all"),
            "chat_message",
            json!({"senderId": ann.id, "content": "to all"}),
            400,
        ),
        (
            json!(bob.id),
            "chat_message",
            json!({"senderId": "0".repeat(24), "content": "of nobody"}),
            404,
        ),
        (json!("nobody"), "typing_indicator", json!({}), 400),
        (
            json!([ann.id, bob.id]),
            "typing_indicator",
            json!({"userId": "x"}),
            200,
        ),
        (json!("all"), "notice", json!({"text": "for all"}), 200),
    ] {
        assert_eq!(publish(to, kind, data).await, status);
    }
    for client in [&mut of_ann, &mut of_bob] {
        let heard = heard_so_far(client).await;
        let heard: Vec<_> = heard.iter().map(kind).collect();
        assert_eq!(heard, ["typing_indicator", "notice"]);
    }
}

#[tokio::test]
async fn ids_are_compared_without_case() {
    let server = start(with_secret());
    let id = "ABCDEF0123456789ABCDEF01";
    let body = json!({"dialect": "direct", "users": [{"id": id, "username": "eve"}]}).to_string();
    let (_, made) = server.ask("POST /admin/users", &body, KEY).await;
    let eve = User {
        id: id.to_lowercase(),
        token: made["users"][0]["token"].as_str().unwrap().to_owned(),
    };
    assert_eq!(made["users"][0]["id"], eve.id);
    assert_eq!(
        server.ask("POST /admin/users", &body, KEY).await.0,
        400,
        "it is taken"
    );
    let (mut of_eve, _) = greeted(&server, &eve).await;
    let itself = User {
        id: id.to_owned(),
        token: String::new(),
    };
    chat(&mut of_eve, &itself, "to myself").await;
    assert_eq!(
        hear(&mut of_eve).await["data"]["message"],
        "Cannot send message to yourself"
    );
}

#[tokio::test]
async fn what_is_wrong_over_http_is_told_in_the_shape_of_the_dialect() {
    let server = start(with_secret());
    let (ann, _) = make_two(&server).await;
    let large = format!(r#"{{"email":"{}"}}"#, "x".repeat(300 << 10));
    for (head, body, expected) in [
        ("GET /direct/api/users/nobody", "", 404),
        ("GET /direct/api/auth", "", 404),
        ("POST /direct/api/users", "", 405),
        ("GET /direct/api/auth/login", "", 405),
        ("DELETE /direct/api/messages/conversations", "", 405),
        ("POST /direct/api/auth/login", &large, 413),
        ("PUT /direct/api/messages/read/nobody", "", 400),
    ] {
        let (status, answer) = server.ask(head, body, &ann.token).await;
        assert_eq!((status, &answer["success"]), (expected, &json!(false)), "{head}");
        assert!(answer["message"].is_string(), "{answer}");
    }
    server
        .request("POST /admin/faults", r#"{"store":"down","for":"60s"}"#)
        .await;
    let (status, answer) = server.ask("GET /direct/api/users", "", &ann.token).await;
    assert_eq!((status, &answer["message"]), (503, &json!("Server error")));
}
