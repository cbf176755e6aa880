//! How a server stops, seen from inside: a store that is held until the stop has begun, and connections that nobody else counts.

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use touchstone_storage::SessionStore;

use super::*;
use crate::admin::{Administered, Made, NewChannel, NewUser};
use crate::config::{AuthConfig, PresenceConfig, Secret};
use crate::faults::StoreFault;
use std::time::Duration;

/// Nothing on this machine takes longer, unless it never comes.
const PATIENCE: Duration = Duration::from_secs(20);

const ADMIN_KEY: &str = "the admin's key";

/// So many times everything else on this thread gets its turn.
const TURNS: usize = 200;

type Client = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A server that runs, from inside.
struct Running {
    shared: Arc<Shared>,
    address: SocketAddr,
    users: Vec<TrialUser>,
    stop: CancellationToken,
}

/// Lets `act` happen while a server runs, which it has to stop.
async fn while_it_runs(act: impl AsyncFnOnce(Running)) -> Stopped {
    while_it_runs_as(config(), act).await
}

fn config() -> Config {
    Config {
        admin_key: Some(Secret::new(ADMIN_KEY)),
        listen: vec![SocketAddr::from(([127, 0, 0, 1], 0))],
        auth: AuthConfig {
            secret: Some(Secret::new("a secret of some length")),
            ..AuthConfig::default()
        },
        ..Config::default()
    }
}

async fn while_it_runs_as(config: Config, act: impl AsyncFnOnce(Running)) -> Stopped {
    let server = Server::bind(config).await.unwrap();
    let stop = CancellationToken::new();
    let running = Running {
        shared: Arc::clone(&server.shared),
        address: server.addresses()[0],
        users: server.make_trial_users().await,
        stop: stop.clone(),
    };
    let both = async { tokio::join!(server.run(stop), act(running)) };
    let (stopped, ()) = tokio::time::timeout(PATIENCE, both).await.expect("it ends");
    stopped
}

impl Running {
    /// Where the trial users of a dialect connect.
    fn targets(&self, dialect: Dialect) -> Vec<&str> {
        let of_dialect = self.users.iter().filter(|user| user.dialect == dialect);
        of_dialect.map(|user| &*user.target).collect()
    }

    async fn connect(&self, target: &str) -> Client {
        let url = format!("ws://{}{target}", self.address);
        tokio_tungstenite::connect_async(url).await.unwrap().0
    }

    /// Sends a request whose answer has yet to be read.
    async fn begin_request(&self, head: &str, bearer: &str, body: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = format!(
            "{head} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {bearer}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }

    /// Holds the store, has `begin` begin something that needs it, which is so once `has_begun` says so; then stops the
    /// server, and lets the store go on once the stop is under way.
    async fn stop_in_the_middle(&self, begin: impl Future<Output = ()>, has_begun: impl Fn(&Shared) -> bool) {
        let hour = Duration::from_secs(3_600);
        self.shared.faults.break_store(StoreFault::Slow, hour);
        begin.await;
        while !has_begun(&self.shared) {
            tokio::task::yield_now().await;
        }
        others_turn().await;
        self.stop.cancel();
        while !self.shared.stopping.has_begun() {
            tokio::task::yield_now().await;
        }
        others_turn().await;
        self.shared.faults.break_store(StoreFault::Slow, Duration::ZERO);
    }
}

/// Whatever can be done by now is done.
async fn others_turn() {
    for _ in 0..TURNS {
        tokio::task::yield_now().await;
    }
}

async fn say(client: &mut Client, text: &str) {
    client.send(Message::text(text)).await.unwrap();
}

/// All that a client is told up to its close, which must be 1001, and the clean end of TCP.
async fn until_closed(client: &mut Client) -> Vec<Value> {
    let mut heard = Vec::new();
    let mut code = None;
    while let Some(message) = client.next().await {
        match message.expect("TCP ends cleanly") {
            Message::Text(text) => heard.push(serde_json::from_str(&text).expect("JSON")),
            Message::Close(close) => code = close.map(|close| u16::from(close.code)),
            _ => {}
        }
    }
    assert_eq!(code, Some(1001), "{heard:?}");
    heard
}

fn kinds(heard: &[Value]) -> Vec<&str> {
    heard.iter().filter_map(|told| told["type"].as_str()).collect()
}

/// The next ping, whatever comes before it. Its answer is on its way when something is read or flushed.
async fn hear_ping(client: &mut Client) {
    while !matches!(client.next().await, Some(Ok(Message::Ping(_)))) {}
}

/// The next message of this type, whatever comes before it.
async fn hear_kind(client: &mut Client, kind: &str) -> Value {
    loop {
        let message = client
            .next()
            .await
            .expect("it is still open")
            .expect("it is whole");
        let Message::Text(text) = message else { continue };
        let told: Value = serde_json::from_str(&text).expect("JSON");
        if told["type"] == kind {
            return told;
        }
    }
}

#[tokio::test]
async fn a_stop_stores_the_last_state_of_each_session() {
    let stopped = while_it_runs(async |server| {
        let _client = server.connect("/ws/chat/?session=silent").await;
        while server.shared.metrics.active_connections.get() == 0 {
            tokio::task::yield_now().await;
        }
        server.stop.cancel();
        server.shared.conversations.wait().await;
        // A session whose connection said nothing is written by its end alone.
        let store = server.shared.echo.dialect.sessions.store();
        let kept = store.load("silent").await.unwrap().map(|session| session.count);
        assert_eq!(kept, Some(0));
    });
    assert_eq!(stopped.await.sessions_unsaved, 0);
}

#[tokio::test]
async fn what_is_being_stored_for_echo_is_answered_before_the_farewell() {
    while_it_runs(async |server| {
        let mut ann = server.connect("/ws/chat/?session=s").await;
        say(&mut ann, "first").await;
        assert!(ann.next().await.is_some());
        let begin = say(&mut ann, "in hand");
        let has_begun = |shared: &Shared| shared.echo.terms.metrics.received.get() == 2;
        server.stop_in_the_middle(begin, has_begun).await;
        let heard = until_closed(&mut ann).await;
        assert_eq!(heard.len(), 2, "{heard:?}");
        assert_eq!(
            (&heard[0]["echo"], &heard[1]["bye"]),
            (&Value::from("in hand"), &Value::from(true))
        );
    })
    .await;
}

#[tokio::test]
async fn what_is_being_stored_for_a_room_is_told_to_it_before_anybody_is_sent_away() {
    while_it_runs(async |server| {
        let targets = server.targets(Dialect::Rooms);
        let mut ann = server.connect(targets[0]).await;
        let mut bob = server.connect(targets[1]).await;
        let begin = say(&mut ann, r#"{"type":"chat.message","content":"in hand"}"#);
        let has_begun = |shared: &Shared| shared.rooms.terms.metrics.received.get() == 1;
        server.stop_in_the_middle(begin, has_begun).await;
        for client in [&mut ann, &mut bob] {
            let heard = until_closed(client).await;
            let last = heard.last().expect("something was told");
            assert_eq!(last["message"]["content"], "in hand", "{heard:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_being_stored_for_a_room_is_told_to_its_author_before_a_drain_closes_him() {
    while_it_runs(async |server| {
        let mut ann = server.connect(server.targets(Dialect::Rooms)[0]).await;
        hear_kind(&mut ann, "messages.history").await;
        let faults = &server.shared.faults;
        faults.break_store(StoreFault::Slow, Duration::from_secs(3_600));
        say(&mut ann, r#"{"type":"chat.message","content":"in hand"}"#).await;
        while server.shared.rooms.terms.metrics.received.get() == 0 {
            tokio::task::yield_now().await;
        }
        drain::begin(&server.shared, Scope::Everything, Duration::ZERO);
        others_turn().await;
        faults.break_store(StoreFault::Slow, Duration::ZERO);
        let told = hear_kind(&mut ann, "chat.message").await;
        assert_eq!(told["message"]["content"], "in hand");
        let Some(Ok(Message::Close(Some(close)))) = ann.next().await else {
            panic!("a close frame comes next")
        };
        assert_eq!(u16::from(close.code), 1012);
        server.stop.cancel();
    })
    .await;
}

#[tokio::test]
async fn what_is_being_stored_for_direct_is_confirmed_and_delivered_before_anybody_is_sent_away() {
    while_it_runs(async |server| {
        let targets = server.targets(Dialect::Direct);
        let mut bob = server.connect(targets[1]).await;
        let established = hear_kind(&mut bob, "connection_established").await;
        let to = established["data"]["userId"].as_str().unwrap();
        let mut ann = server.connect(targets[0]).await;
        let message =
            format!(r#"{{"type":"chat_message","data":{{"receiverId":"{to}","content":"in hand"}}}}"#);
        let has_begun = |shared: &Shared| shared.direct.terms.metrics.received.get() == 1;
        server
            .stop_in_the_middle(say(&mut ann, &message), has_begun)
            .await;
        let heard = until_closed(&mut ann).await;
        let kinds_at_last = kinds(&heard).split_off(2);
        assert_eq!(kinds_at_last, ["message_sent", "message_delivered"], "{heard:?}");
        let heard = until_closed(&mut bob).await;
        assert_eq!(kinds(&heard).last(), Some(&"new_message"), "{heard:?}");
    })
    .await;
}

#[tokio::test]
async fn what_is_being_looked_up_for_outbox_is_answered_before_the_close() {
    while_it_runs(async |server| {
        let mut ann = server.connect(server.targets(Dialect::Outbox)[0]).await;
        hear_kind(&mut ann, "connection_established").await;
        let begin = say(&mut ann, r#"{"type":"get_pending"}"#);
        let has_begun = |shared: &Shared| shared.outbox.terms.metrics.received.get() == 1;
        server.stop_in_the_middle(begin, has_begun).await;
        assert_eq!(kinds(&until_closed(&mut ann).await), ["pending_check_complete"]);
    })
    .await;
}

#[tokio::test]
async fn what_is_being_stored_for_a_request_is_told_before_anybody_is_sent_away() {
    while_it_runs(async |server| {
        let targets = server.targets(Dialect::Feed);
        let mut ann = server.connect(targets[0]).await;
        let (_, token) = targets[1].split_once('=').unwrap();
        let mut asking = None;
        let begin = async {
            let body = r#"{"title":"in hand"}"#;
            asking = Some(server.begin_request("POST /api/bucketpoints/", token, body).await);
        };
        let has_begun = |shared: &Shared| !shared.answers.is_empty();
        server.stop_in_the_middle(begin, has_begun).await;
        let mut asking = asking.expect("it was begun");
        let mut answer = String::new();
        asking.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
        assert_eq!(kinds(&until_closed(&mut ann).await), ["BUCKETPOINT_CREATED"]);
    })
    .await;
}

#[tokio::test]
async fn what_is_being_stored_for_an_administrator_is_told_before_anybody_is_sent_away() {
    while_it_runs(async |server| {
        let mut ids = Vec::new();
        let mut clients = Vec::new();
        for target in server.targets(Dialect::Direct) {
            let mut client = server.connect(target).await;
            let established = hear_kind(&mut client, "connection_established").await;
            ids.push(established["data"]["userId"].clone());
            clients.push(client);
        }
        let data = serde_json::json!({"senderId": ids[0], "content": "in hand"});
        let publication =
            serde_json::json!({"dialect": "direct", "to": ids[1], "type": "chat_message", "data": data});
        let mut asking = None;
        let begin = async {
            let body = publication.to_string();
            asking = Some(
                server
                    .begin_request("POST /admin/publish", ADMIN_KEY, &body)
                    .await,
            );
        };
        let has_begun = |shared: &Shared| !shared.answers.is_empty();
        server.stop_in_the_middle(begin, has_begun).await;
        let heard = until_closed(&mut clients[1]).await;
        assert_eq!(kinds(&heard).last(), Some(&"new_message"), "{heard:?}");
    })
    .await;
}

/// More than are told at once who comes and goes (common/11a).
const CROWD: usize = 110;

/// So that batches are told before anything else happens.
const BATCH_INTERVAL: Duration = Duration::from_millis(1);

/// Users of a dialect, of which no name is taken.
async fn make_users(dialect: &impl Administered, count: usize, tenant: Option<&str>) -> Vec<Made> {
    let user = |number| NewUser {
        id: None,
        username: format!("user-{number}"),
        email: None,
        password_hash: None,
        name: None,
        avatar: None,
        tenant: tenant.map(str::to_owned),
    };
    let users = (0..count).map(user).collect();
    dialect.make_users(users).await.unwrap()
}

fn token(user: &Made) -> &str {
    user.token.as_deref().expect("there is a secret")
}

/// Connects a crowd, each of whom is told of the last one to come, with a message in which he is found at `whom`. Then the stop
/// begins, the last one leaves, and all the others go: nobody is told anything of that.
async fn nobody_is_told_that_a_crowd_goes(
    server: &Running,
    users: &[Made],
    targets: &[String],
    (kind, whom): (&str, &str),
) {
    let mut clients = Vec::new();
    for target in targets {
        clients.push(server.connect(target).await);
    }
    let mut last = clients.pop().expect("a crowd is somebody");
    for client in &mut clients {
        while hear_kind(client, kind).await.pointer(whom) != users.last().map(|user| &user.id) {}
    }
    server.shared.stopping.begin();
    last.close(None).await.unwrap();
    while last.next().await.is_some() {}
    // What must not come would come with the next batch or the one after it.
    tokio::time::sleep(20 * BATCH_INTERVAL).await;
    server.stop.cancel();
    for mut client in clients {
        let heard = until_closed(&mut client).await;
        assert!(heard.is_empty(), "{heard:?}");
    }
}

fn batches_at_once() -> Config {
    Config {
        presence: PresenceConfig {
            batch_interval: BATCH_INTERVAL,
            ..PresenceConfig::default()
        },
        ..config()
    }
}

#[tokio::test]
async fn of_a_crowd_on_direct_nobody_is_told_that_the_others_go() {
    while_it_runs_as(batches_at_once(), async |server| {
        let users = make_users(&*server.shared.direct.dialect, CROWD, None).await;
        let targets: Vec<_> = users
            .iter()
            .map(|user| format!("/ws?token={}", token(user)))
            .collect();
        nobody_is_told_that_a_crowd_goes(&server, &users, &targets, ("user_online", "/data/userId")).await;
    })
    .await;
}

#[tokio::test]
async fn of_a_crowd_on_feed_nobody_is_told_that_the_others_go() {
    while_it_runs_as(batches_at_once(), async |server| {
        let users = make_users(&*server.shared.feed.dialect, CROWD, None).await;
        let targets: Vec<_> = users
            .iter()
            .map(|user| format!("/ws/?accessToken={}", token(user)))
            .collect();
        let told = ("USER_PRESENCE_CONNECTED", "/data/user_id");
        nobody_is_told_that_a_crowd_goes(&server, &users, &targets, told).await;
    })
    .await;
}

#[tokio::test]
async fn of_a_crowd_on_rooms_nobody_is_told_that_the_others_go() {
    while_it_runs_as(batches_at_once(), async |server| {
        let rooms = &*server.shared.rooms.dialect;
        // The tenant of the trial users.
        let tenant = "trial";
        let users = make_users(rooms, CROWD, Some(tenant)).await;
        let channel = NewChannel {
            id: None,
            name: None,
            members: users.iter().map(|user| user.id.to_string()).collect(),
            tenant: Some(tenant.to_owned()),
        };
        let channel = rooms.make_channels(vec![channel]).await.unwrap();
        let channel = channel[0].id.as_str().unwrap();
        let target = |user| format!("/ws/chat/{channel}/?token={}", token(user));
        let targets: Vec<_> = users.iter().map(target).collect();
        nobody_is_told_that_a_crowd_goes(&server, &users, &targets, ("user.join", "/user_id")).await;
    })
    .await;
}

#[tokio::test]
async fn who_left_before_a_stop_is_not_told_of_after_it_has_begun() {
    while_it_runs(async |server| {
        let targets = server.targets(Dialect::Direct);
        let mut ann = server.connect(targets[0]).await;
        let mut bob = server.connect(targets[1]).await;
        hear_kind(&mut ann, "user_online").await;
        // When he was last seen is noted before his leaving is told, and the store is held.
        let begin = async { bob.close(None).await.unwrap() };
        let has_begun = |shared: &Shared| shared.direct.terms.metrics.closed.get() == 1;
        server.stop_in_the_middle(begin, has_begun).await;
        let heard = until_closed(&mut ann).await;
        assert!(heard.is_empty(), "{heard:?}");
    })
    .await;
}

#[tokio::test]
async fn a_peer_who_is_still_heard_is_not_silent() {
    let mut config = config();
    config.direct.heartbeat_interval = Duration::from_secs(1);
    config.direct.heartbeat_timeout = Duration::from_secs(1);
    while_it_runs_as(config, async |server| {
        let targets = server.targets(Dialect::Direct);
        let mut ann = server.connect(targets[0]).await;
        let mut bob = server.connect(targets[1]).await;
        let established = hear_kind(&mut bob, "connection_established").await;
        let to = established["data"]["userId"].as_str().unwrap();
        server
            .shared
            .faults
            .break_store(StoreFault::Slow, Duration::from_secs(3_600));
        let message =
            format!(r#"{{"type":"chat_message","data":{{"receiverId":"{to}","content":"slowly"}}}}"#);
        say(&mut ann, &message).await;
        while server.shared.direct.terms.metrics.received.get() == 0 {
            tokio::task::yield_now().await;
        }
        // Her answer is not read before the store is back.
        hear_ping(&mut ann).await;
        ann.flush().await.unwrap();
        // With the second of these she has been looked after.
        for _ in 0..3 {
            hear_ping(&mut bob).await;
        }
        server.shared.faults.break_store(StoreFault::Slow, Duration::ZERO);
        hear_kind(&mut ann, "message_sent").await;
        server.stop.cancel();
        until_closed(&mut ann).await;
    })
    .await;
}
