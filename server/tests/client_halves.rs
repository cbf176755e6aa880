//! The load generator's client halves in conversation with the server: what each hears is what was said, and all of it is
//! understood.

mod support;

use serde_json::{Value, json};
use support::{Client, KEY, Running, config, start, status_and_json};
use touchstone_protocol::client::{
    Act, Asked, ClientHalf, Draft, Heard, Key, Next, Persona, Stamp, Turn, Way,
};
use touchstone_protocol::direct::client::{self as direct, DirectClient};
use touchstone_protocol::feed::client::{self as feed, FeedClient};
use touchstone_protocol::outbox::client::{self as outbox, OutboxClient};
use touchstone_protocol::rooms::client::{self as rooms, RoomsClient};
use touchstone_protocol::{Dialect, routes};
use touchstone_server::Secret;

/// A user with his half, and his connection while he has one.
struct Peer<'a, H> {
    server: &'a Running,
    dialect: Dialect,
    acts: &'static [Act],
    half: H,
    persona: Persona,
    connection: Option<Client>,
}

/// What was heard, in a word or two.
fn in_words(heard: &Heard<'_>) -> String {
    match heard {
        Heard::Ready => "ready".to_owned(),
        Heard::Answer { stamp, .. } => format!("answer {}", stamp.key.sequence),
        Heard::Confirmed { stamp } => format!("confirmed {}", stamp.key.sequence),
        Heard::Delivery { stamp, by } => {
            let way = match by {
                Way::Live => "live",
                Way::CaughtUp => "caught up",
                Way::Redelivered => "redelivered",
            };
            format!("{} {way}", stamp.key.sequence)
        }
        Heard::Reply { act } => format!("reply {act}"),
        Heard::Push => "push".to_owned(),
        Heard::Heartbeat { .. } => "heartbeat".to_owned(),
        Heard::Refused => "refused".to_owned(),
        Heard::ReadBack => "read back".to_owned(),
        Heard::Unknown => "unknown".to_owned(),
    }
}

impl<H: ClientHalf> Peer<'_, H> {
    /// Connects, and returns what is heard by that alone.
    async fn connect(&mut self) -> Vec<String> {
        let address = self.half.address();
        let mut path = routes::websocket(self.dialect).to_owned();
        for segment in &address.segments {
            let braces = path.find('{').expect("a place for it")..=path.find('}').expect("its end");
            path.replace_range(braces, segment);
        }
        self.connection = Some(self.server.connect(&(path + &address.query)).await);
        let mut told = Vec::new();
        self.half.opened(&mut |heard| told.push(in_words(&heard)));
        told
    }

    /// His connection is gone, without a word.
    fn drop_out(&mut self) {
        self.connection = None;
    }

    fn connection(&mut self) -> &mut Client {
        self.connection.as_mut().expect("he is connected")
    }

    /// What the next text says.
    async fn hear(&mut self) -> Vec<String> {
        let text = self.connection().hear().await;
        let mut told = Vec::new();
        self.half.hear(&text, &mut |heard| told.push(in_words(&heard)));
        assert!(!told.contains(&"unknown".to_owned()), "{text}");
        told
    }

    /// Listens until he has heard this, and nothing but pushes beside it.
    async fn expect(&mut self, expected: &[&str]) {
        let mut heard = Vec::new();
        while heard.len() < expected.len() {
            heard.extend(self.hear().await.into_iter().filter(|word| word != "push"));
        }
        assert_eq!(heard, expected);
    }

    /// Does something, and returns what is heard of it at once: the answer to a request.
    async fn act(&mut self, name: &str, sequence: u32) -> Vec<String> {
        let act = self.acts.iter().position(|act| act.name == name);
        let act = act.expect("one of this dialect's acts");
        let stamp = Stamp {
            key: Key {
                sender: 0xabc_0000_0001,
                sequence,
            },
            intended_micros: 1_000,
            lag_micros: 2,
        };
        let turn = Turn {
            act,
            stamp,
            content_bytes: 100,
            recipient: 1 - self.persona.place,
        };
        let mut draft = Draft::default();
        let next = self.half.act(turn, &mut draft);
        let answer = match next {
            Next::Send(text) => {
                self.connection.as_mut().expect("he is connected").say(text).await;
                return Vec::new();
            }
            Next::Request(request) => {
                let head = format!(
                    "{} {}",
                    request.method,
                    routes::prefixed(self.dialect, request.path)
                );
                let token = &self.persona.token;
                self.server.request_with_key(&head, request.body, token).await
            }
            Next::Inject { kind, data } => {
                let data: Value = serde_json::from_str(data).expect("JSON");
                let to: Vec<_> = self.persona.group.iter().map(|id| json!(id)).collect();
                let body = json!({"dialect": self.dialect.name(), "to": to, "type": kind, "data": data});
                self.server
                    .request("POST /admin/publish", &body.to_string())
                    .await
            }
            Next::Nothing => panic!("there is occasion for it"),
        };
        self.answered(Asked::Act { act, stamp }, &answer)
    }

    fn answered(&mut self, asked: Asked, answer: &str) -> Vec<String> {
        let (status, body) = status_and_json(answer);
        let mut told = Vec::new();
        self.half
            .answered(asked, status, &body.to_string(), &mut |heard| {
                told.push(in_words(&heard));
            });
        told
    }

    /// Reads back all that he may have missed.
    async fn catch_up(&mut self) -> Vec<String> {
        let mut all = Vec::new();
        for step in 0.. {
            let mut draft = Draft::default();
            match self.half.catch_up(step, &mut draft) {
                Next::Send(text) => {
                    self.connection.as_mut().expect("he is connected").say(text).await;
                    while all.last().is_none_or(|last| last != "read back") {
                        all.extend(self.hear().await);
                    }
                }
                Next::Request(request) => {
                    let head = format!(
                        "{} {}",
                        request.method,
                        routes::prefixed(self.dialect, request.path)
                    );
                    let answer = self
                        .server
                        .request_with_key(&head, request.body, &self.persona.token)
                        .await;
                    all.extend(self.answered(Asked::CatchUp, &answer));
                }
                Next::Nothing => break,
                Next::Inject { .. } => panic!("nobody catches up so"),
            }
        }
        all
    }
}

async fn made(server: &Running, what: &str, body: Value) -> Vec<Value> {
    let (status, made) = server
        .ask(&format!("POST /admin/{what}"), &body.to_string(), KEY)
        .await;
    assert_eq!(status, 201, "{made}");
    made[what].as_array().expect("a list of what was made").clone()
}

fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn server() -> Running {
    let mut config = config();
    config.auth.secret = Some(Secret::new("a secret of some length"));
    start(config)
}

/// Ann and Bob, who are a group, and share a channel where the dialect has channels.
async fn two<'a, H: ClientHalf>(
    server: &'a Running,
    dialect: Dialect,
    acts: &'static [Act],
    half: fn(Persona) -> H,
) -> [Peer<'a, H>; 2] {
    let name = dialect.name();
    let tenant = match dialect {
        Dialect::Rooms => {
            let tenant = json!({"name": "Acme", "schema_name": "acme"});
            made(server, "tenants", json!({"dialect": name, "tenants": [tenant]})).await;
            json!("acme")
        }
        Dialect::Echo | Dialect::Outbox | Dialect::Feed | Dialect::Direct => Value::Null,
    };
    let users = ["ann", "bob"].map(|user| json!({"username": user, "tenant": tenant}));
    let users = made(server, "users", json!({"dialect": name, "users": users})).await;
    let ids: Vec<_> = users.iter().map(|user| user["id"].clone()).collect();
    let channel = match dialect {
        Dialect::Rooms | Dialect::Outbox => {
            let channel = json!({"name": "c", "members": ids, "tenant": tenant});
            let channels = made(
                server,
                "channels",
                json!({"dialect": name, "channels": [channel]}),
            )
            .await;
            text_of(&channels[0]["id"])
        }
        Dialect::Echo | Dialect::Feed | Dialect::Direct => String::new(),
    };
    let group: std::sync::Arc<[String]> = ids.iter().map(text_of).collect();
    [0, 1].map(|place| {
        let persona = Persona {
            id: group[place].clone(),
            token: text_of(&users[place]["token"]),
            tenant: "acme".to_owned(),
            channel: channel.clone(),
            group: std::sync::Arc::clone(&group),
            place,
        };
        Peer {
            server,
            dialect,
            acts,
            half: half(persona.clone()),
            persona,
            connection: None,
        }
    })
}

#[tokio::test]
async fn two_talk_in_a_room() {
    let server = server();
    let [mut ann, mut bob] = two(&server, Dialect::Rooms, rooms::ACTS, RoomsClient::new).await;
    for peer in [&mut ann, &mut bob] {
        assert!(peer.connect().await.is_empty());
        peer.expect(&["ready"]).await;
    }
    ann.act("typing", 0).await;
    ann.act("say", 1).await;
    ann.expect(&["confirmed 1"]).await;
    bob.expect(&["1 live"]).await;
    bob.act("read", 0).await;
    assert_eq!(bob.act("history", 0).await, ["1 caught up", "reply 3"]);
    let beat = bob.half.beat().expect("this dialect has one").text.to_owned();
    bob.connection().say(&beat).await;
    bob.expect(&["heartbeat"]).await;
    bob.connection().say("{").await;
    bob.expect(&["refused"]).await;
    bob.drop_out();
    ann.act("say", 2).await;
    ann.expect(&["confirmed 2"]).await;
    bob.connect().await;
    bob.expect(&["1 caught up", "2 caught up", "ready"]).await;
    assert_eq!(bob.catch_up().await, ["1 caught up", "2 caught up"]);
    assert!(ann.catch_up().await.is_empty(), "his own is not owed to him");
    server.stop().await;
}

#[tokio::test]
async fn two_talk_to_each_other() {
    let server = server();
    let [mut ann, mut bob] = two(&server, Dialect::Direct, direct::ACTS, DirectClient::new).await;
    for peer in [&mut ann, &mut bob] {
        assert!(peer.connect().await.is_empty());
        peer.expect(&["ready"]).await;
    }
    ann.act("typing", 0).await;
    ann.act("say", 1).await;
    ann.expect(&["confirmed 1"]).await;
    bob.expect(&["1 live"]).await;
    bob.act("read", 0).await;
    bob.expect(&["reply 2"]).await;
    assert_eq!(bob.act("history", 0).await, ["1 caught up", "reply 4"]);
    bob.connection().say("{").await;
    bob.expect(&["refused"]).await;
    bob.drop_out();
    ann.act("online", 0).await;
    ann.expect(&["reply 3"]).await;
    ann.act("say", 2).await;
    ann.expect(&["confirmed 2"]).await;
    bob.connect().await;
    bob.expect(&["ready"]).await;
    assert_eq!(bob.catch_up().await, ["1 caught up", "2 caught up"]);
    assert!(ann.catch_up().await.is_empty(), "his own is not owed to him");
    server.stop().await;
}

#[tokio::test]
async fn two_are_told_what_is_in_their_outboxes() {
    let server = server();
    let [mut ann, mut bob] = two(&server, Dialect::Outbox, outbox::ACTS, OutboxClient::new).await;
    for peer in [&mut ann, &mut bob] {
        assert!(peer.connect().await.is_empty());
        peer.expect(&["ready"]).await;
    }
    assert_eq!(ann.act("say", 1).await, ["confirmed 1"]);
    ann.expect(&["1 live"]).await;
    bob.expect(&["1 live"]).await;
    // He has read the event, and not yet the ping behind it: so the server cannot know (outbox/9b).
    bob.drop_out();
    assert_eq!(ann.act("say", 2).await, ["confirmed 2"]);
    ann.expect(&["2 live"]).await;
    bob.connect().await;
    bob.expect(&["ready", "1 redelivered", "2 live"]).await;
    assert_eq!(bob.act("notify", 3).await, ["confirmed 3"]);
    ann.expect(&["3 live"]).await;
    bob.expect(&["3 live"]).await;
    bob.act("pending", 0).await;
    assert_eq!(bob.catch_up().await, ["reply 1", "read back"]);
    let beat = bob.half.beat().expect("this dialect has one").text.to_owned();
    bob.connection().say(&beat).await;
    bob.expect(&["heartbeat"]).await;
    bob.connection().say("{").await;
    bob.expect(&["refused"]).await;
    server.stop().await;
}

#[tokio::test]
async fn two_read_the_feed() {
    let server = server();
    let [mut ann, mut bob] = two(&server, Dialect::Feed, feed::ACTS, FeedClient::new).await;
    assert_eq!(ann.connect().await, ["ready"]);
    assert_eq!(bob.connect().await, ["ready"]);
    assert_eq!(ann.hear().await, ["push"], "he is there");
    assert_eq!(ann.act("say", 1).await, ["confirmed 1"]);
    ann.expect(&["1 live"]).await;
    bob.expect(&["1 live"]).await;
    assert_eq!(bob.act("view", 0).await, ["reply 1"]);
    assert_eq!(ann.hear().await, ["push"], "it was viewed");
    bob.connection().say("{").await;
    bob.expect(&["refused"]).await;
    bob.drop_out();
    assert_eq!(ann.hear().await, ["push"], "he is gone");
    assert_eq!(ann.act("say", 2).await, ["confirmed 2"]);
    ann.expect(&["2 live"]).await;
    // What is told next is told when the last was told to all: so Bob does not come in the middle of it, and hear it too.
    assert_eq!(ann.act("view", 0).await, ["reply 1"]);
    assert_eq!(ann.hear().await, ["push"], "it was viewed");
    assert_eq!(bob.connect().await, ["ready"]);
    assert_eq!(ann.hear().await, ["push"], "he is back");
    assert_eq!(bob.catch_up().await, ["1 caught up", "2 caught up"]);
    assert_eq!(bob.act("notify", 3).await, ["confirmed 3"]);
    ann.expect(&["3 live"]).await;
    bob.expect(&["3 live"]).await;
    server.stop().await;
}
