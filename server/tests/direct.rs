//! What no scenario shows of `direct`: crowds, races, and orders that hold under load.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
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
