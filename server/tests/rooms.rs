//! `rooms` over a real server: what no scenario can see.

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use support::{Client, Running, config, start};
use touchstone_server::{AuthConfig, Config, PresenceConfig, RoomsConfig, Secret};

/// A server with the tenant `acme`, and what was made in it.
struct Acme {
    server: Running,
    channel: String,
    tokens: BTreeMap<String, String>,
}

fn with_secret(config: Config) -> Config {
    Config {
        auth: AuthConfig {
            secret: Some(Secret::new("a secret of some length")),
            ..config.auth
        },
        ..config
    }
}

/// The JSON of an answer, which must have this status.
fn answered(answer: &str, status: &str) -> Value {
    assert_eq!(answer.split(' ').nth(1), Some(status), "{answer}");
    let body = answer.split_once("\r\n\r\n").expect("a head and a body").1;
    serde_json::from_str(body).unwrap_or_else(|_| panic!("JSON: {answer}"))
}

async fn made(server: &Running, what: &str, body: Value) -> Vec<Value> {
    let answer = server
        .request(&format!("POST /admin/{what}"), &body.to_string())
        .await;
    let answer = answered(&answer, "201");
    answer[what].as_array().expect("a list of what was made").clone()
}

impl Acme {
    /// Users who are members of one channel.
    async fn start(config: Config, users: &[&str]) -> Self {
        let server = start(with_secret(config));
        let tenant = json!({"name": "Acme", "schema_name": "acme"});
        made(
            &server,
            "tenants",
            json!({"dialect": "rooms", "tenants": [tenant]}),
        )
        .await;
        let new: Vec<_> = users
            .iter()
            .map(|user| json!({"username": user, "tenant": "acme"}))
            .collect();
        let new = made(&server, "users", json!({"dialect": "rooms", "users": new})).await;
        let ids: Vec<_> = new.iter().map(|user| user["id"].clone()).collect();
        let channel = json!({"name": "general", "members": ids, "tenant": "acme"});
        let channels = made(
            &server,
            "channels",
            json!({"dialect": "rooms", "channels": [channel]}),
        )
        .await;
        let channel = channels[0]["id"].as_str().expect("a UUID").to_owned();
        let token = |user: &Value| user["token"].as_str().expect("a token").to_owned();
        let tokens = users.iter().map(|user| (*user).to_owned());
        Self {
            server,
            channel,
            tokens: tokens.zip(new.iter().map(token)).collect(),
        }
    }

    /// A connection that has not read its greeting.
    async fn connect(&self, user: &str) -> Client {
        let path = format!("/ws/chat/{}/?token={}", self.channel, self.tokens[user]);
        self.server.connect(&path).await
    }

    /// A connection, and the messages of its history.
    async fn enter(&self, user: &str) -> (Client, Vec<Value>) {
        let mut client = self.connect(user).await;
        assert_eq!(hear(&mut client).await["type"], "channel.info");
        let history = hear(&mut client).await;
        assert_eq!(history["type"], "messages.history");
        (client, history["messages"].as_array().expect("a list").clone())
    }
}

async fn hear(client: &mut Client) -> Value {
    serde_json::from_str(&client.hear().await).expect("JSON")
}

/// The next message, and nothing else meanwhile but who comes and goes.
async fn hear_message(client: &mut Client) -> Value {
    loop {
        let heard = hear(client).await;
        match heard["type"].as_str() {
            Some("user.join" | "user.leave" | "presence") => {}
            Some("chat.message") => return heard["message"].clone(),
            _ => panic!("{heard}"),
        }
    }
}

fn saying(content: &str) -> String {
    json!({"type": "chat.message", "content": content}).to_string()
}

fn number(message: &Value) -> u64 {
    let content = message["content"].as_str().expect("a text");
    content.parse().expect("messages are numbered")
}

#[tokio::test]
async fn whoever_comes_while_much_is_said_sees_each_message_once() {
    const MESSAGES: u64 = 400;
    const NEWCOMERS: usize = 20;
    let unlimited = Config {
        rooms: RoomsConfig {
            rate: None,
            ..RoomsConfig::default()
        },
        ..config()
    };
    let acme = Acme::start(unlimited, &["ann", "bob"]).await;
    let (mut ann, _) = acme.enter("ann").await;
    let talking = async {
        for number in 1..=MESSAGES {
            ann.say(&saying(&number.to_string())).await;
            // Not all at once: the newcomers are to come in the middle of it.
            if number % 5 == 0 {
                while self::number(&hear_message(&mut ann).await) < number {}
            }
        }
    };
    let listening = async {
        for _ in 0..NEWCOMERS {
            let (mut bob, history) = acme.enter("bob").await;
            let mut next = history.first().map_or(1, number);
            for message in &history {
                assert_eq!(number(message), next, "the history has no gap");
                next += 1;
            }
            for _ in 0..3 {
                if next > MESSAGES {
                    return;
                }
                assert_eq!(
                    number(&hear_message(&mut bob).await),
                    next,
                    "neither twice nor never"
                );
                next += 1;
            }
        }
    };
    tokio::join!(talking, listening);
}

#[tokio::test]
async fn what_one_connection_says_is_told_in_its_order() {
    let acme = Acme::start(config(), &["ann", "bob"]).await;
    let (mut ann, _) = acme.enter("ann").await;
    let (mut bob, _) = acme.enter("bob").await;
    for number in 0..30 {
        ann.say(&saying(&number.to_string())).await;
        ann.say(r#"{"type":"typing","is_typing":true}"#).await;
    }
    for next in (0..30_u64).flat_map(|number| [Some(number), None]) {
        let heard = hear(&mut bob).await;
        match next {
            Some(next) => assert_eq!(number(&heard["message"]), next, "{heard}"),
            None => assert_eq!(heard["type"], "typing", "{heard}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_error_is_told_between_what_was_said_before_and_after_it() {
    let unlimited = Config {
        rooms: RoomsConfig {
            rate: None,
            ..RoomsConfig::default()
        },
        ..config()
    };
    let acme = Acme::start(unlimited, &["ann", "bob"]).await;
    let (mut ann, _) = acme.enter("ann").await;
    let unknown = json!({"type": "message.read", "message_id": "none"}).to_string();
    for round in 0..100 {
        for said in [
            &saying("1"),
            "{",
            &saying("2"),
            &unknown,
            &saying("3"),
            &saying(" "),
        ] {
            ann.say(said).await;
        }
        let mut heard = Vec::new();
        while heard.len() < 6 {
            let told = hear(&mut ann).await;
            let content = &told["message"]["content"];
            heard.push(content.as_str().unwrap_or("error").to_owned());
        }
        assert_eq!(heard, ["1", "error", "2", "error", "3", "error"], "round {round}");
    }
}

#[tokio::test]
async fn a_crowd_is_told_the_latest_of_each_user_in_batches() {
    let crowded = Config {
        presence: PresenceConfig {
            crowd_connections: 2,
            batch_changes: 3,
            batch_interval: Duration::from_millis(300),
            ..PresenceConfig::default()
        },
        ..config()
    };
    let users = ["ann", "bob", "carl", "u0", "u1", "u2", "u3", "u4"];
    let acme = Acme::start(crowded, &users).await;
    let (mut ann, _) = acme.enter("ann").await;
    let mut others = Vec::new();
    for user in &users[1..] {
        others.push(acme.enter(user).await);
    }
    let mut told = Vec::new();
    while told.last().is_none_or(|(_, name)| name != "u4") {
        let heard = hear(&mut ann).await;
        let kind = heard["type"].as_str().expect("a type").to_owned();
        let name = heard["username"].as_str().unwrap_or_default().to_owned();
        told.push((kind, name));
    }
    // Two came before there was a crowd, and were told of at once: their join, then their presence.
    let kinds: Vec<_> = told.iter().map(|(kind, _)| &**kind).collect();
    assert_eq!(kinds[..4], ["user.join", "presence", "user.join", "presence"]);
    // To the crowd a join says enough.
    assert!(kinds[4..].iter().all(|kind| *kind == "user.join"), "{told:?}");
}

#[tokio::test]
async fn who_is_deleted_is_sent_away_and_leaves_nothing() {
    let acme = Acme::start(config(), &["ann", "bob"]).await;
    let (mut ann, _) = acme.enter("ann").await;
    let (mut bob, _) = acme.enter("bob").await;
    bob.say(&saying("1")).await;
    ann.say(&saying("2")).await;
    for client in [&mut ann, &mut bob] {
        let mut numbers = [
            number(&hear_message(client).await),
            number(&hear_message(client).await),
        ];
        numbers.sort_unstable();
        assert_eq!(numbers, [1, 2]);
    }
    let connections = acme
        .server
        .request("GET /admin/connections?dialect=rooms", "")
        .await;
    let connections = answered(&connections, "200");
    let connections = connections["connections"].as_array().expect("a list");
    assert_eq!(connections.len(), 2);
    assert_eq!(connections[0]["tenant"], "acme");
    let (_, history) = acme.enter("ann").await;
    let bobs = history.iter().find(|message| message["username"] == "bob");
    let id = &bobs.expect("he said something")["user_id"];
    let gone = format!("DELETE /admin/users/{id}?dialect=rooms&tenant=acme");
    for status in ["204", "404"] {
        let answer = acme.server.request(&gone, "").await;
        assert_eq!(answer.split(' ').nth(1), Some(status), "{answer}");
    }
    assert_eq!(u16::from(bob.closed().await.code), 4000);
    let mut again = acme.connect("bob").await;
    assert_eq!(u16::from(again.closed().await.code), 4000);
    let (_, history) = acme.enter("ann").await;
    assert_eq!(history.iter().map(number).collect::<Vec<_>>(), [2]);
}

#[tokio::test]
async fn a_bad_entry_makes_nothing_of_a_request_for_several_tenants() {
    let acme = Acme::start(config(), &["ann"]).await;
    let server = &acme.server;
    let other = json!({"name": "Other", "schema_name": "other"});
    made(server, "tenants", json!({"dialect": "rooms", "tenants": [other]})).await;
    let user = |username: &str, tenant: &str| json!({"username": username, "tenant": tenant});
    for bad in [
        user("ann", "acme"),
        user("new", "nowhere"),
        json!({"username": "new"}),
        user(" ", "acme"),
    ] {
        let users = [user("one", "acme"), user("two", "other"), bad];
        let body = json!({"dialect": "rooms", "users": users}).to_string();
        let refused = answered(&server.request("POST /admin/users", &body).await, "400");
        let why = refused["error"].as_str().expect("a text");
        assert!(why.contains("entry 2"), "{why}");
    }
    let both = json!({"dialect": "rooms", "users": [user("one", "acme"), user("two", "other")]});
    let both = made(server, "users", both).await;
    let strangers = json!({"members": [both[0]["id"], both[1]["id"]], "tenant": "acme"});
    let body = json!({"dialect": "rooms", "channels": [strangers]}).to_string();
    answered(&server.request("POST /admin/channels", &body).await, "400");
    for schema_name in ["a:b", "a/b", ""] {
        let tenant = json!({"name": "Odd", "schema_name": schema_name});
        let body = json!({"dialect": "rooms", "tenants": [tenant]}).to_string();
        answered(&server.request("POST /admin/tenants", &body).await, "400");
    }
}
