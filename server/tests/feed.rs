//! What no scenario shows of `feed`: crowds, races, and what is left when somebody is deleted.

mod support;

use std::time::Duration;

use futures_util::future::join_all;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use support::{Client, KEY, Running, config, start, within};
use tokio_tungstenite::tungstenite::Message;
use touchstone_server::{Config, Secret};

/// A user with the token by which he connects.
struct User {
    id: i64,
    token: String,
}

fn with_secret() -> Config {
    let mut config = config();
    config.auth.secret = Some(Secret::new("a secret of some length"));
    config
}

async fn make_users(server: &Running, names: &[&str]) -> Vec<User> {
    let entries: Vec<_> = names.iter().map(|name| json!({"username": name})).collect();
    let body = json!({"dialect": "feed", "users": entries}).to_string();
    let (status, made) = server.ask("POST /admin/users", &body, KEY).await;
    assert_eq!(status, 201, "{made}");
    let user = |made: &Value| User {
        id: made["id"].as_i64().unwrap(),
        token: made["token"].as_str().unwrap().to_owned(),
    };
    made["users"].as_array().unwrap().iter().map(user).collect()
}

async fn connect(server: &Running, user: &User) -> Client {
    server.connect(&format!("/ws/?accessToken={}", user.token)).await
}

async fn publish(server: &Running, to: Value, number: usize) {
    let data = json!({"number": number});
    let body = json!({"dialect": "feed", "to": to, "type": "SYSTEM_NOTIFICATION", "data": data});
    let (status, answer) = server.ask("POST /admin/publish", &body.to_string(), KEY).await;
    assert_eq!(status, 200, "{answer}");
}

async fn hear(client: &mut Client) -> Value {
    serde_json::from_str(&client.hear().await).unwrap()
}

/// Everything up to the publication of this number.
async fn hear_until(client: &mut Client, number: usize) -> Vec<Value> {
    let mut heard = Vec::new();
    loop {
        let message = hear(client).await;
        if message["data"]["number"] == json!(number) {
            return heard;
        }
        heard.push(message);
    }
}

/// What is said of this user's presence, in order.
fn presence_of(user: &User, heard: &[Value]) -> Vec<String> {
    let about = heard
        .iter()
        .filter(|told| told["data"]["user_id"] == json!(user.id));
    about
        .map(|told| told["type"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn what_is_told_to_all_and_to_some_arrives_in_one_order_and_once() {
    let server = start(with_secret());
    let users = make_users(&server, &["ann", "bob"]).await;
    let (ann, bob) = (&users[0], &users[1]);
    let mut clients = [
        connect(&server, ann).await,
        connect(&server, ann).await,
        connect(&server, bob).await,
    ];
    for (number, to) in [
        json!("all"),
        json!(ann.id),
        json!([ann.id, bob.id, ann.id.to_string()]),
        json!("all"),
        json!([bob.id]),
        json!("all"),
    ]
    .into_iter()
    .enumerate()
    {
        publish(&server, to, number).await;
    }
    for (client, expected) in
        clients
            .iter_mut()
            .zip([&[0, 1, 2, 3, 5][..], &[0, 1, 2, 3, 5], &[0, 2, 3, 4, 5]])
    {
        let mut numbers = Vec::new();
        while numbers.last() != Some(&5) {
            // Of the first it is also told that bob came.
            if let Some(number) = hear(client).await["data"]["number"].as_u64() {
                numbers.push(number);
            }
        }
        assert_eq!(numbers, expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_last_that_is_told_of_a_user_is_what_he_is() {
    let server = start(with_secret());
    let users = make_users(&server, &["ann", "bob"]).await;
    let (ann, bob) = (&users[0], &users[1]);
    let mut listener = connect(&server, bob).await;
    let mut current = connect(&server, ann).await;
    for round in 0..30 {
        // Whichever is first: his last connection ends, or another one begins.
        let leave = async {
            current.0.send(Message::Close(None)).await.unwrap();
            current.closed_by_us().await;
        };
        let (next, ()) = tokio::join!(connect(&server, ann), leave);
        current = next;
        publish(&server, json!(bob.id), round).await;
        let told = presence_of(ann, &hear_until(&mut listener, round).await);
        if round > 0 {
            assert!(
                matches!(
                    told.last().map(String::as_str),
                    None | Some("USER_PRESENCE_CONNECTED")
                ),
                "round {round}: {told:?}"
            );
        }
        let changes = told.windows(2).all(|pair| pair[0] != pair[1]);
        assert!(changes, "no change is told twice: {told:?}");
    }
}

#[tokio::test]
async fn a_notification_of_the_system_is_for_everybody_and_anything_else_says_whom_it_is_for() {
    let server = start(with_secret());
    let users = make_users(&server, &["ann", "bob"]).await;
    let mut clients = [
        connect(&server, &users[0]).await,
        connect(&server, &users[1]).await,
    ];
    let publish = async |kind: &str| {
        let body = json!({"dialect": "feed", "type": kind, "data": {"number": 1}});
        server.ask("POST /admin/publish", &body.to_string(), KEY).await
    };
    let (status, answer) = publish("ALBUM_CREATED").await;
    assert_eq!((status, &answer["error"]), (400, &json!("missing field `to`")));
    let (status, answer) = publish("SYSTEM_NOTIFICATION").await;
    assert_eq!(status, 200, "{answer}");
    for client in &mut clients {
        let heard = hear_until(client, 1).await;
        let kinds = heard.iter().map(|told| told["type"].as_str().unwrap());
        assert!(
            kinds.into_iter().all(|kind| kind == "USER_PRESENCE_CONNECTED"),
            "{heard:?}"
        );
    }
}

#[tokio::test]
async fn a_crowd_is_told_in_batches_and_nobody_about_himself() {
    let mut config = with_secret();
    config.presence.crowd_connections = 2;
    config.presence.batch_interval = Duration::from_millis(50);
    let server = start(config);
    let users = make_users(&server, &["a", "b", "c", "d"]).await;
    let mut clients = Vec::new();
    for user in &users {
        clients.push(connect(&server, user).await);
    }
    let mut seen_himself = false;
    for (client, user) in clients.iter_mut().zip(&users).take(3) {
        // Each hears of a last one in the end, whatever was dropped before.
        loop {
            let told = hear(client).await;
            seen_himself |= told["data"]["user_id"] == json!(user.id);
            if told["data"]["user_id"] == json!(users[3].id) {
                assert_eq!(told["type"], "USER_PRESENCE_CONNECTED");
                break;
            }
        }
    }
    assert!(!seen_himself);
    let mut last = clients.pop().unwrap();
    last.0.send(Message::Close(None)).await.unwrap();
    last.closed_by_us().await;
    for client in &mut clients {
        let told = hear(client).await;
        let expected =
            json!({"type": "USER_PRESENCE_DISCONNECTED", "data": {"user_id": users[3].id, "name": "d"}});
        assert_eq!(told, expected);
    }
}

#[tokio::test]
async fn a_stop_tells_nobody_who_has_gone() {
    let server = start(with_secret());
    let users = make_users(&server, &["ann", "bob", "cid"]).await;
    let mut clients = Vec::new();
    for user in &users {
        clients.push(connect(&server, user).await);
    }
    publish(&server, json!("all"), 0).await;
    for client in &mut clients {
        hear_until(client, 0).await;
    }
    server.tell_to_stop();
    for client in &mut clients {
        match within(client.0.next()).await {
            Some(Ok(Message::Close(Some(close)))) => assert_eq!(u16::from(close.code), 1001),
            other => panic!("expected the close frame and nothing before it, got {other:?}"),
        }
    }
}

#[tokio::test]
async fn of_a_deleted_user_nothing_is_left() {
    let server = start(with_secret());
    let users = make_users(&server, &["ann", "bob"]).await;
    let (ann, bob) = (&users[0], &users[1]);
    let mut client = connect(&server, ann).await;
    for (path, body) in [
        ("messages", r#"{"content":"c"}"#),
        ("albums", r#"{"title":"t"}"#),
        ("bucketpoints", r#"{"title":"t"}"#),
    ] {
        let (status, made) = server
            .ask(&format!("POST /feed/api/{path}/"), body, &ann.token)
            .await;
        assert_eq!(status, 201, "{made}");
        hear(&mut client).await;
    }
    let path = format!("DELETE /admin/users/{}?dialect=feed", ann.id);
    assert_eq!(server.ask(&path, "", KEY).await.0, 204);
    assert_eq!(server.ask(&path, "", KEY).await.0, 404);
    assert_eq!(u16::from(client.closed().await.code), 4001);
    for path in ["messages", "albums", "bucketpoints"] {
        let get = format!("GET /feed/api/{path}/");
        let (status, page) = server.ask(&get, "", &bob.token).await;
        assert_eq!((status, &page["count"]), (200, &json!(0)), "{path}");
        assert_eq!(server.ask(&get, "", &ann.token).await.0, 401);
    }
    let mut refused = connect(&server, ann).await;
    assert_eq!(u16::from(refused.closed().await.code), 4001);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_last_change_that_is_told_is_the_one_that_holds() {
    let server = start(with_secret());
    let ann = &make_users(&server, &["ann"]).await[0];
    let mut client = connect(&server, ann).await;
    let (_, made) = server
        .ask("POST /api/bucketpoints/", r#"{"title":"0"}"#, &ann.token)
        .await;
    let path = format!("/api/bucketpoints/{}/", made["id"]);
    let head = format!("PATCH {path}");
    let bodies: Vec<_> = (1..=40)
        .map(|title| format!(r#"{{"title":"{title}"}}"#))
        .collect();
    join_all(bodies.iter().map(|body| server.ask(&head, body, &ann.token))).await;
    let (_, stored) = server.ask(&format!("GET {path}"), "", &ann.token).await;
    publish(&server, json!("all"), 0).await;
    let told = hear_until(&mut client, 0).await;
    assert_eq!(told.len(), 41);
    assert_eq!(told[40]["data"]["data"], stored);
}
