//! A tiny server with users: as much of `direct` as the language needs, right, or wrong in one way.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};

/// What is wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// Nothing.
    Nothing,
    /// It greets everybody as somebody else.
    Name,
    /// It lets everybody in, whatever he shows.
    LetsIn,
    /// It greets everybody, and only then refuses whom it has to.
    GreetsFirst,
    /// It tells a newcomer of a stranger who is there, and of one who leaves.
    Strangers,
    /// It tells everybody of himself again after what he says.
    Repeats,
    /// Nothing, but it takes up whom it has upgraded only after two messages have been made.
    TakesUpLate,
}

/// The server. It ends with its owner.
pub(crate) struct Village {
    port: u16,
    square: Arc<Square>,
    _tasks: JoinSet<()>,
}

#[derive(Default)]
struct Square {
    present: Mutex<Vec<(Value, mpsc::UnboundedSender<Message>)>>,
    made: Mutex<Vec<Value>>,
    /// How many messages have been made.
    published: watch::Sender<u32>,
    /// Paths of the requests to its admin interface.
    asked: Mutex<Vec<String>>,
}

impl Village {
    pub(crate) async fn start(wrong: Wrong) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let square = Arc::new(Square::default());
        let shared = Arc::clone(&square);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, wrong, Arc::clone(&shared)));
            }
        });
        Self {
            port,
            square,
            _tasks: tasks,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://127.0.0.1:{}", self.port)
    }

    /// What its admin interface was asked.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.square.asked.lock().unwrap().clone()
    }
}

async fn serve(mut stream: TcpStream, wrong: Wrong, square: Arc<Square>) {
    let Some((head, body)) = read_request(&mut stream).await else {
        return;
    };
    let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let Some(key) = header(&head, "sec-websocket-key") else {
        let (status, answer) = respond(&target, &head, &body, &square);
        let text = answer.to_string();
        let length = text.len();
        let answer = format!("HTTP/1.1 {status} So\r\nContent-Length: {length}\r\n\r\n{text}");
        // A client that has gone needs no answer.
        let _gone = stream.write_all(answer.as_bytes()).await;
        return;
    };
    let head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n\r\n",
        derive_accept_key(key.as_bytes())
    );
    if stream.write_all(head.as_bytes()).await.is_err() {
        return;
    }
    let socket = WebSocketStream::from_raw_socket(stream, Role::Server, None).await;
    let token = target.split_once("oken=").map(|(_, token)| token.to_owned());
    speak(socket, token, wrong, &square).await;
}

fn respond(target: &str, head: &str, body: &Value, square: &Square) -> (u16, Value) {
    let bearer = header(head, "authorization").unwrap_or_default();
    let bearer = bearer.trim_start_matches("Bearer ").to_owned();
    if target == "/api/users" {
        return match identity(Some(&bearer)) {
            Ok(id) => (200, json!({"id": id})),
            Err(_) => (401, json!({})),
        };
    }
    if bearer != "key" {
        return (403, json!({}));
    }
    square.asked.lock().unwrap().push(target.to_owned());
    match target {
        "/admin/users" => {
            let mut made = square.made.lock().unwrap();
            let users = body["users"].as_array().cloned().unwrap_or_default();
            let with_id = |user: Value| {
                let id = format!("{:024x}", made.len() + 1);
                made.push(user.clone());
                json!({"id": id, "username": user["username"]})
            };
            (
                200,
                json!({"users": users.into_iter().map(with_id).collect::<Vec<_>>()}),
            )
        }
        "/admin/publish" => {
            square.tell(
                |id| *id == body["to"],
                &json!({"type": body["type"], "data": body["data"]}),
            );
            square.published.send_modify(|published| *published += 1);
            (200, json!({}))
        }
        _ if target.starts_with("/admin/events") => (200, json!([{"status": "sent"}])),
        _ => (404, json!({})),
    }
}

impl Square {
    fn tell(&self, to: impl Fn(&Value) -> bool, message: &Value) {
        for (id, mailbox) in self.present.lock().unwrap().iter() {
            if to(id) {
                // One who is leaving hears it no more.
                let _gone = mailbox.send(Message::text(message.to_string()));
            }
        }
    }
}

/// Who a token says it is, or the code of the refusal. The signature is not looked at.
fn identity(token: Option<&str>) -> Result<Value, u16> {
    let token = token.ok_or(4001_u16)?;
    let part = |index| {
        let bytes = URL_SAFE_NO_PAD.decode(token.split('.').nth(index)?).ok()?;
        serde_json::from_slice::<Value>(&bytes).ok()
    };
    let (head, claims) = part(0).zip(part(1)).ok_or(4002_u16)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let good = head["alg"] == "HS256" && claims["exp"].as_u64().is_some_and(|exp| exp > now);
    claims.get("id").filter(|_| good).cloned().ok_or(4002)
}

async fn speak(mut socket: WebSocketStream<TcpStream>, token: Option<String>, wrong: Wrong, square: &Square) {
    let id = match identity(token.as_deref()) {
        Ok(id) => id,
        Err(_) if wrong == Wrong::LetsIn => json!("0"),
        Err(code) => {
            let frame = CloseFrame {
                code: CloseCode::from(code),
                reason: "no".into(),
            };
            if wrong == Wrong::GreetsFirst {
                let greeting = json!({"type": "connection_established", "data": {"userId": "0"}});
                // A client that has gone needs no greeting.
                let _gone = socket.send(Message::text(greeting.to_string())).await;
            }
            // A client that has gone needs no refusal.
            let _gone = socket.close(Some(frame)).await;
            while let Some(Ok(_)) = socket.next().await {}
            return;
        }
    };
    let username = {
        let made = square.made.lock().unwrap();
        let place = usize::from_str_radix(id.as_str().unwrap_or("0"), 16).unwrap_or(0);
        made.get(place.wrapping_sub(1))
            .map_or(Value::Null, |user| user["username"].clone())
    };
    let shown = if wrong == Wrong::Name {
        json!("somebody")
    } else {
        username.clone()
    };
    let list = json!({"type": "online_users", "data": {
        "users": [{"_id": id, "username": username, "avatar": null}], "totalOnline": 1, "timestamp": "now"}});
    let (mailbox, mut letters) = mpsc::unbounded_channel();
    let told = |message: Value| mailbox.send(Message::text(message.to_string())).unwrap();
    told(json!({"type": "connection_established", "data": {"userId": id, "username": shown}}));
    told(list.clone());
    if wrong == Wrong::Strangers {
        told(json!({"type": "user_online", "data": {"userId": "f00d", "username": "x"}}));
        told(json!({"type": "user_offline", "data": {"userId": "f00d", "username": "x"}}));
        told(list.clone());
    }
    square.tell(
        |_| true,
        &json!({"type": "user_online", "data": {"userId": id, "username": username}}),
    );
    if wrong == Wrong::TakesUpLate {
        let mut published = square.published.subscribe();
        published.wait_for(|published| *published >= 2).await.unwrap();
    }
    square.present.lock().unwrap().push((id.clone(), mailbox.clone()));
    loop {
        tokio::select! {
            heard = socket.next() => match heard {
                Some(Ok(Message::Text(text))) => {
                    told(json!({"type": "heard", "data": {"text": text.as_str()}}));
                    if wrong == Wrong::Repeats {
                        told(json!({"type": "user_online", "data": {"userId": id, "username": username}}));
                    }
                    let ping = socket.send(Message::Ping("p".into()));
                    if tokio::time::timeout(Duration::from_secs(5), ping).await.is_err() {
                        break;
                    }
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => break,
            },
            Some(letter) = letters.recv() => {
                if socket.send(letter).await.is_err() {
                    break;
                }
            }
        }
    }
    square
        .present
        .lock()
        .unwrap()
        .retain(|(present, _)| *present != id);
}

/// Head and body of a request.
async fn read_request(stream: &mut TcpStream) -> Option<(String, Value)> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).ok()?;
    let length = header(&head, "content-length").and_then(|length| length.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).await.ok()?;
    Some((head, serde_json::from_slice(&body).unwrap_or_default()))
}

fn header(head: &str, name: &str) -> Option<String> {
    let lines = head.lines().filter_map(|line| line.split_once(':'));
    let mut values = lines.filter(|(header, _)| header.eq_ignore_ascii_case(name));
    values.next().map(|(_, value)| value.trim().to_owned())
}
