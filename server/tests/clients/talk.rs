//! One server, one foreign client, and the users they talk about.

use std::time::Duration;

use serde_json::{Value, json};
use touchstone_server::{Compression, Config, Secret};

use crate::driver::{Driver, Line};
use crate::support::house::House;
use crate::support::raw::Raw;
use crate::support::{self, KEY, Running, status_and_json};

/// Short, so that heartbeats come while the test waits for them.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// Longer than a client on a busy machine takes to answer, and short enough to see somebody cut off who doesn't.
const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(5);

const CLOSE_DEADLINE: Duration = Duration::from_secs(60);

/// Stands in an expectation for whatever string or number is there: an id, or a time.
pub(crate) const ANY: &str = "*";

/// How the bytes travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Plain,
    /// By permessage-deflate, which all of these clients offer.
    Compressed,
    /// Encrypted by the client's own TLS.
    Tls,
}

/// A user with the token by which he connects.
pub(crate) struct User {
    pub(crate) id: Value,
    pub(crate) token: String,
}

/// What the conversations are made of. Every wait has a limit.
pub(crate) struct Talk<'a> {
    pub(crate) server: Running,
    driver: &'a Driver,
    house: &'a House,
    way: Way,
}

impl<'a> Talk<'a> {
    /// Starts the server.
    pub(crate) fn start(driver: &'a Driver, house: &'a House, way: Way) -> Self {
        let mut config = Config {
            origins: Some(Vec::from_iter(driver.origin())),
            // With everything a client may agree to, down to the shortest message.
            compression: (way == Way::Compressed).then(|| Compression {
                context_takeover: true,
                message_bytes_min: 0,
                ..Compression::default()
            }),
            tls: (way == Way::Tls).then(|| house.files()),
            ..support::config()
        };
        config.auth.secret = Some(Secret::new("a secret of some length"));
        // Nobody is given up just because this machine is busy.
        config.deadlines.close = CLOSE_DEADLINE;
        config.echo.heartbeat_interval = HEARTBEAT;
        config.feed.heartbeat_interval = HEARTBEAT;
        config.feed.heartbeat_timeout = HEARTBEAT_TIMEOUT;
        config.direct.heartbeat_interval = HEARTBEAT;
        config.direct.heartbeat_timeout = HEARTBEAT_TIMEOUT;
        Self {
            server: support::start(config),
            driver,
            house,
            way,
        }
    }

    /// The status of the answer to a request, and its body as JSON.
    pub(crate) async fn ask(&self, head: &str, body: &str, key: &str) -> (u16, Value) {
        let address = self.server.address;
        let answer = match self.way {
            Way::Plain | Way::Compressed => self.server.request_with_key(head, body, key).await,
            Way::Tls => self.house.request_with_key(address, head, body, key).await,
        };
        status_and_json(&answer)
    }

    /// Somebody who does nothing that he is not made to.
    pub(crate) async fn raw(&self, path: &str) -> Raw {
        let address = self.server.address;
        match self.way {
            Way::Plain | Way::Compressed => Raw::connect(address, path).await,
            Way::Tls => Raw::over(self.house.tls(address).await, path).await,
        }
    }

    /// What the admin API answers to this; `what` names the list of it that is returned.
    pub(crate) async fn make(&self, what: &str, body: Value) -> Vec<Value> {
        let path = format!("POST /admin/{what}");
        let (status, mut made) = self.ask(&path, &body.to_string(), KEY).await;
        assert_eq!(status, 201, "{made}");
        serde_json::from_value(made[what].take()).unwrap()
    }

    /// The users of `dialect` in a conversation, all of one tenant where there are tenants.
    pub(crate) async fn make_users<const N: usize>(&self, dialect: &str, names: [&str; N]) -> [User; N] {
        let entry = |name| match dialect {
            "rooms" => json!({"username": name, "tenant": "acme"}),
            _ => json!({"username": name}),
        };
        let users = Vec::from(names.map(entry));
        let made = self
            .make("users", json!({"dialect": dialect, "users": users}))
            .await;
        let user = |made: Value| User {
            id: made["id"].clone(),
            token: made["token"].as_str().unwrap().to_owned(),
        };
        let made: Vec<_> = made.into_iter().map(user).collect();
        made.try_into().ok().expect("as many as were asked for")
    }

    /// Does what an operator does; the answer must be a good one.
    pub(crate) async fn operate(&self, head: &str, body: Value) -> Value {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let (status, answer) = self.ask(head, &body, KEY).await;
        assert_eq!(status, 200, "{head}: {answer}");
        answer
    }

    /// Opens a connection; `what` is for who reads a failure.
    pub(crate) async fn open(&self, what: &str, path: &str) -> Peer<'_> {
        let peer = self.open_unheard(what, path).await;
        peer.listen().await;
        peer
    }

    /// Opens a connection of a client that does not listen before it is told to. Not every client can be like that.
    pub(crate) async fn open_unheard(&self, what: &str, path: &str) -> Peer<'_> {
        let scheme = match self.way {
            Way::Plain | Way::Compressed => "ws",
            Way::Tls => "wss",
        };
        let url = format!("{scheme}://{}{path}", self.server.address);
        let mut peer = Peer(self.driver.open(what, &url).await);
        let seen = peer.0.saw().await;
        assert_eq!(seen["saw"], "opened", "{what}: {seen}");
        let extensions = seen["extensions"].as_str().unwrap();
        match self.way {
            Way::Compressed => assert!(extensions.starts_with("permessage-deflate"), "{extensions}"),
            Way::Plain | Way::Tls => assert_eq!(extensions, ""),
        }
        peer
    }
}

/// A connection of the foreign client.
pub(crate) struct Peer<'a>(Line<'a>);

impl Peer<'_> {
    pub(crate) async fn listen(&self) {
        self.0.tell(json!({"act": "listen"})).await;
    }

    pub(crate) async fn say(&mut self, text: &str) {
        self.0.tell(json!({"act": "say", "text": text})).await;
    }

    pub(crate) async fn say_json(&mut self, message: Value) {
        self.say(&message.to_string()).await;
    }

    /// Sends the bytes of a text as a binary message.
    pub(crate) async fn say_bytes(&mut self, text: &str) {
        self.0.tell(json!({"act": "say_bytes", "text": text})).await;
    }

    /// Closes a connection as an application does, and sees it closed cleanly.
    pub(crate) async fn close(self) {
        self.0
            .tell(json!({"act": "close", "code": 1000, "reason": "bye 👋"}))
            .await;
        self.sees_close(1000, "").await;
    }

    /// The next thing is the end, with this code and reason as the client's own interface tells them.
    pub(crate) async fn sees_close(mut self, code: u16, reason: &str) {
        assert_eq!(self.seen().await, closed(code, reason), "{}", self.0.name);
    }

    /// The next thing is the end, with this code; returns the reason.
    pub(crate) async fn sees_close_with(mut self, code: u16) -> String {
        let seen = self.seen().await;
        let reason = seen["reason"].as_str().unwrap_or_default();
        assert_eq!(seen, closed(code, reason), "{}", self.0.name);
        reason.to_owned()
    }

    /// Whatever comes before the end, it is not answered.
    pub(crate) async fn sees_cut_off(mut self, code: u16, reason: &str) {
        let mut seen = self.0.saw().await;
        while seen["saw"] == "text" {
            seen = self.0.saw().await;
        }
        assert_eq!(seen, closed(code, reason), "{}", self.0.name);
    }

    /// The next message is this one, but for what is [`ANY`] in it; returns it.
    pub(crate) async fn hears(&mut self, expected: Value) -> Value {
        let seen = self.seen().await;
        let heard = message(&seen);
        let name = &self.0.name;
        assert!(
            agree(&expected, &heard),
            "{name} was to hear {expected}, and saw {seen}"
        );
        heard
    }

    /// The next is a message, whatever it says.
    pub(crate) async fn hears_something(&mut self) {
        let seen = self.seen().await;
        assert_eq!(seen["saw"], "text", "{}: {seen}", self.0.name);
    }

    /// The next is a heartbeat that is a message. It is answered, where it is to be.
    pub(crate) async fn hears_heartbeat(&mut self) {
        let seen = self.0.saw().await;
        assert!(self.is_heartbeat(&seen).await, "{}: {seen}", self.0.name);
    }

    /// What comes next that is no heartbeat.
    async fn seen(&mut self) -> Value {
        loop {
            let seen = self.0.saw().await;
            if !self.is_heartbeat(&seen).await {
                return seen;
            }
        }
    }

    async fn is_heartbeat(&mut self, seen: &Value) -> bool {
        let message = message(seen);
        let of_feed = agree(&json!({"type": "PING", "data": {"timestamp": ANY}}), &message);
        if of_feed {
            self.say_json(json!({"type": "PONG", "data": message["data"]}))
                .await;
        }
        of_feed || agree(&json!({"ts": ANY}), &message)
    }
}

fn closed(code: u16, reason: &str) -> Value {
    json!({"saw": "closed", "code": code, "reason": reason})
}

/// The JSON of a text message; null if something else was seen.
fn message(seen: &Value) -> Value {
    let text = seen["text"].as_str().filter(|_| seen["saw"] == "text");
    text.and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default()
}

/// Whether `heard` is `expected`, but for what is [`ANY`] in it.
fn agree(expected: &Value, heard: &Value) -> bool {
    match (expected, heard) {
        (Value::Object(expected), Value::Object(heard)) => {
            let alike = |(key, value)| heard.get(key).is_some_and(|heard| agree(value, heard));
            expected.len() == heard.len() && expected.iter().all(alike)
        }
        (Value::Array(expected), Value::Array(heard)) => {
            let mut pairs = expected.iter().zip(heard);
            expected.len() == heard.len() && pairs.all(|(expected, heard)| agree(expected, heard))
        }
        (Value::String(any), Value::String(_) | Value::Number(_)) if any == ANY => true,
        (expected, heard) => expected == heard,
    }
}
