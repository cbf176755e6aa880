//! `rooms` over a real server: what no scenario can see.

mod support;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use support::{Client, Running, config, start};
use touchstone_server::{AuthConfig, Config, RoomsConfig, Secret};

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
