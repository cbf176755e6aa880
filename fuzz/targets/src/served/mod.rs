//! Dialects as they are served: whatever one client says, in whatever order, he is answered as the rules say, is closed with
//! a code of the dialect's table or stays, and costs nobody else anything. The server runs in this process, on the loopback.
//!
//! An input is messages with [`BREAK`] between them. One that is UTF-8 is sent as text, unless [`BINARY`] stands before it;
//! anything else is sent as binary. In a text some words stand for what only this run knows, see [`Words`].

mod client;
mod direct;
mod echo;
mod feed;
mod http;
mod outbox;
mod requests;
mod rooms;

use std::net::SocketAddr;
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use touchstone_server::{AuthConfig, Config, Secret, Server};

pub use direct::direct;
pub use echo::echo;
pub use feed::feed;
pub use outbox::outbox;
pub use requests::requests;
pub use rooms::rooms;

use client::Message;

/// Ends a message: in UTF-8 there is no such byte.
pub const BREAK: u8 = 0xFF;

/// At the beginning of a message: it is sent as binary. In UTF-8 there is no such byte either.
pub const BINARY: u8 = 0xFE;

/// The longest message (common/5a), and with it what one costs here. Smaller than what `$huge` stands for.
const MESSAGE_BYTES_MAX: usize = 4_096;

/// The longest content of a message.
const CONTENT_CHARS_MAX: usize = 40;

/// Longer than any run: nothing is sent but what a message causes.
const NEVER: Duration = Duration::from_secs(24 * 60 * 60);

const ADMIN_KEY: &str = "the key of the admin API";

/// Where the server is that all targets share. It ends with the process.
fn server() -> SocketAddr {
    static SERVER: OnceLock<SocketAddr> = OnceLock::new();
    *SERVER.get_or_init(|| {
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .expect("a runtime needs threads and descriptors only");
            runtime.block_on(async {
                let server = Server::bind(config())
                    .await
                    .expect("the loopback has a free port");
                tell.send(server.addresses()[0]).expect("it is waited for");
                server.run(CancellationToken::new()).await
            })
        });
        told.recv().expect("the server is up")
    })
}

fn config() -> Config {
    let mut config = Config {
        listen: vec![SocketAddr::from(([127, 0, 0, 1], 0))],
        admin_key: Some(Secret::new(ADMIN_KEY)),
        auth: AuthConfig {
            secret: Some(Secret::new("a secret that is known to nobody else")),
            ..AuthConfig::default()
        },
        ..Config::default()
    };
    config.limits.message_bytes = MESSAGE_BYTES_MAX;
    config.echo.heartbeat_interval = NEVER;
    config.rooms.content_chars = CONTENT_CHARS_MAX;
    config.rooms.history_messages = rooms::HISTORY_MESSAGES;
    config.rooms.typing_ttl = NEVER;
    // What it costs to send too many is not what is looked for here.
    config.rooms.rate = None;
    config.outbox.sweep_interval = NEVER;
    config.feed.heartbeat_interval = NEVER;
    config.direct.heartbeat_interval = NEVER;
    config.direct.content_chars = CONTENT_CHARS_MAX;
    config
}

/// A stage that is set up once and used by one case at a time. A case that fails leaves none behind.
struct Stage<T>(Mutex<Option<T>>);

impl<T> Stage<T> {
    const fn new() -> Self {
        Self(Mutex::new(None))
    }

    fn play(&self, set_up: fn() -> T, case: impl FnOnce(&mut T)) {
        let mut kept = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut stage = kept.take().unwrap_or_else(set_up);
        case(&mut stage);
        *kept = Some(stage);
    }
}

/// What words in an input stand for.
struct Words<'a> {
    /// `$self`: the id of who speaks.
    own: &'a str,
    /// `$other`: that of somebody else, or of his message.
    other: &'a str,
}

impl Words<'_> {
    /// The messages of an input.
    fn messages(&self, input: &[u8]) -> Vec<Message> {
        let messages = input.split(|byte| *byte == BREAK);
        messages.map(|message| self.message(message)).collect()
    }

    fn message(&self, message: &[u8]) -> Message {
        match (message.strip_prefix(&[BINARY]), std::str::from_utf8(message)) {
            (Some(bytes), _) => Message::Binary(bytes.to_vec()),
            (None, Ok(text)) => {
                let text = text.replace("$self", self.own).replace("$other", self.other);
                Message::Text(text.replace("$huge", &"h".repeat(MESSAGE_BYTES_MAX)))
            }
            (None, Err(_)) => Message::Binary(message.to_vec()),
        }
    }
}

/// How a message closes the connection, before the dialect has a look at it (common/4a, 5a).
fn closes(message: &Message) -> Option<u16> {
    match message {
        Message::Text(text) if text.len() > MESSAGE_BYTES_MAX => Some(1009),
        Message::Binary(bytes) if bytes.len() > MESSAGE_BYTES_MAX => Some(1009),
        Message::Binary(_) => Some(1003),
        Message::Text(_) => None,
    }
}

/// Makes something by the admin API. Returns its id as text, and its token.
fn make(what: &str, dialect: &str, entry: &Value) -> (String, String) {
    let body = json!({"dialect": dialect, what: [entry]}).to_string();
    let path = format!("/admin/{what}");
    let answer = http::Connection::open().ask("POST", &path, ADMIN_KEY, body.as_bytes());
    assert_eq!(answer.status, 201, "{answer:?}");
    let made: Value = serde_json::from_slice(&answer.body).expect("JSON");
    let made = &made[what][0];
    let id = match &made["id"] {
        Value::String(id) => id.clone(),
        other => other.to_string(),
    };
    (id, made["token"].as_str().unwrap_or_default().to_owned())
}
