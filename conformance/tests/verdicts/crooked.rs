//! A tiny echo server that is right, or wrong in one way.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};

/// What is wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Crook {
    /// Nothing.
    Honest,
    /// Takes messages and answers none.
    Mute,
    /// Counts by two.
    CountsWrong,
    /// Answers in capitals.
    Shouts,
    /// Answers twice.
    Twice,
    /// Answers in capitals the first time it is asked anything.
    ShoutsOnce,
    /// The same, after it has kept this whole thread for a while.
    HogsOnce,
    /// Answers in capitals, and keeps this whole thread for a while before.
    Hogs,
    /// Answers the second of two messages first.
    Swaps,
    /// Says something before it answers.
    Greets,
    /// Says something after it has answered.
    Mumbles,
    /// Answers after 1.2 s.
    Slow,
    /// Closes with this code as soon as it hears something.
    Closes(u16),
    /// Drops TCP as soon as it hears something.
    Drops,
    /// Resets TCP as soon as it hears something.
    Resets,
    /// Sends its close frame and leaves TCP open.
    Lingers,
    /// Sends its close frame, awaits the other one and ends TCP: as it should be.
    ClosesByHand,
    /// Sends its close frame, awaits the other one and resets TCP.
    ClosesThenResets,
    /// Upgrades, and hears and says nothing ever after.
    Deaf,
    /// Sends a message after its close frame.
    Babbles,
    /// Masks its frames.
    Masks,
    /// Pongs nothing.
    PongsNothing,
    /// Writes its lengths in sixteen bits.
    LongLengths,
    /// Sets a reserved bit.
    Reserved,
    /// Answers every handshake with this status.
    Refuses(u16),
    /// Ends TCP instead of answering a handshake.
    HangsUp,
    /// Does not answer a handshake.
    Stalls,
    /// Answers 101 with a wrong accept value.
    WrongAccept,
    /// Upgrades whatever asks for it.
    AcceptsAnything,
}

/// A server on a free port. It ends with its owner.
pub(crate) struct Server {
    port: u16,
    accepted: watch::Receiver<u32>,
    _tasks: JoinSet<()>,
}

impl Server {
    pub(crate) async fn start(crook: Crook) -> Self {
        Self::start_on(0, crook).await
    }

    /// On a port that was chosen by who started this process.
    pub(crate) async fn start_on(port: u16, crook: Crook) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut tasks = JoinSet::new();
        let (sender, accepted) = watch::channel(0);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            let asked = Arc::new(AtomicU32::new(0));
            while let Ok((stream, _)) = listener.accept().await {
                sender.send_modify(|accepted| *accepted += 1);
                connections.spawn(serve(stream, crook, Arc::clone(&asked)));
            }
        });
        Self {
            port,
            accepted,
            _tasks: tasks,
        }
    }

    /// How many connections it has accepted.
    pub(crate) fn accepted(&self) -> watch::Receiver<u32> {
        self.accepted.clone()
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://127.0.0.1:{}", self.port)
    }
}

async fn serve(mut stream: TcpStream, crook: Crook, asked: Arc<AtomicU32>) {
    let Some(request) = read_request(&mut stream).await else {
        return;
    };
    let key = header(&request, "sec-websocket-key");
    match crook {
        Crook::HangsUp => return,
        Crook::Stalls => return std::future::pending().await,
        Crook::Refuses(status) => return refuse(stream, status).await,
        _ if header(&request, "upgrade").is_none() && !request.contains("/ws/") => {
            return answer(stream, &request, &asked).await;
        }
        _ if crook != Crook::AcceptsAnything && (key.is_none() || header(&request, "upgrade").is_none()) => {
            return refuse(stream, 400).await;
        }
        _ => {}
    }
    let key = key.unwrap_or_default();
    let accept = match crook {
        Crook::WrongAccept => derive_accept_key(b"something else"),
        _ => derive_accept_key(key.as_bytes()),
    };
    let head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    if stream.write_all(head.as_bytes()).await.is_err() {
        return;
    }
    match crook {
        Crook::Masks => by_hand(stream, &[0x81, 0x80 | 2, 0, 0, 0, 0, b'h', b'i']).await,
        Crook::LongLengths => by_hand(stream, &[0x81, 126, 0, 2, b'h', b'i']).await,
        Crook::Reserved => by_hand(stream, &[0xC1, 2, b'h', b'i']).await,
        Crook::PongsNothing => by_hand(stream, &[]).await,
        Crook::Babbles => by_hand(stream, &[0x88, 2, 3, 0xE8, 0x81, 2, b'h', b'i']).await,
        Crook::Lingers => by_hand(stream, &[0x88, 2, 3, 0xE8]).await,
        Crook::ClosesByHand => close_by_hand(&mut stream).await,
        Crook::ClosesThenResets => {
            close_by_hand(&mut stream).await;
            reset_on_drop(&stream);
        }
        Crook::Deaf => std::future::pending().await,
        _ => speak(stream, crook, &asked).await,
    }
}

/// Closes as soon as it hears something, and ends TCP when it hears the next thing, which is the answer.
async fn close_by_hand(stream: &mut TcpStream) {
    let mut buffer = [0; 4096];
    if let Ok(1..) = stream.read(&mut buffer).await
        && stream.write_all(&[0x88, 2, 3, 0xE8]).await.is_ok()
    {
        // A client that ends TCP without an answer ends it here too.
        let _answer = stream.read(&mut buffer).await;
    }
}

fn reset_on_drop(stream: &TcpStream) {
    let socket = socket2::SockRef::from(stream);
    socket.set_linger(Some(Duration::ZERO)).unwrap();
}

/// Answers whatever comes with these bytes, until the client goes.
async fn by_hand(mut stream: TcpStream, answer: &[u8]) {
    let mut buffer = [0; 4096];
    while let Ok(1..) = stream.read(&mut buffer).await {
        if stream.write_all(answer).await.is_err() {
            return;
        }
    }
}

/// How long a hog keeps the thread: more than a judge on it is late by on its own.
const HOGGED: Duration = Duration::from_millis(300);

/// Lets nobody else on this thread have a turn.
fn hog() {
    let began = std::time::Instant::now();
    while began.elapsed() < HOGGED {
        std::hint::spin_loop();
    }
}

async fn speak(stream: TcpStream, crook: Crook, asked: &AtomicU32) {
    let mut socket = WebSocketStream::from_raw_socket(stream, Role::Server, None).await;
    let mut count = 0;
    let mut held = None;
    while let Some(Ok(message)) = socket.next().await {
        let (Message::Text(_) | Message::Binary(_)) = message else {
            continue;
        };
        count += if crook == Crook::CountsWrong { 2 } else { 1 };
        let text = message
            .into_text()
            .map(|text| text.to_string())
            .unwrap_or_default();
        let is_first = asked.fetch_add(1, Ordering::Relaxed) == 0;
        let (hogs, shouts) = match crook {
            Crook::Shouts => (false, true),
            Crook::ShoutsOnce => (false, is_first),
            Crook::HogsOnce => (is_first, is_first),
            Crook::Hogs => (true, true),
            _ => (false, false),
        };
        if hogs {
            hog();
        }
        let text = if shouts { text.to_uppercase() } else { text };
        let answer = serde_json::json!({"count": count, "echo": text}).to_string();
        let done = match crook {
            Crook::Mute => Ok(()),
            Crook::Greets => say(&mut socket, &[r#"{"hello":"you"}"#, &answer]).await,
            Crook::Twice => say(&mut socket, &[&answer, &answer]).await,
            Crook::Swaps => match held.take() {
                None => {
                    held = Some(answer);
                    Ok(())
                }
                Some(first) => say(&mut socket, &[&answer, &first]).await,
            },
            Crook::Mumbles => say(&mut socket, &[&answer, r#"{"by":"the way"}"#]).await,
            Crook::Slow => {
                tokio::time::sleep(Duration::from_millis(1200)).await;
                say(&mut socket, &[&answer]).await
            }
            Crook::Closes(code) => {
                let frame = CloseFrame {
                    code: CloseCode::from(code),
                    reason: "so there".into(),
                };
                socket.close(Some(frame)).await.map_err(drop)
            }
            Crook::Drops => return,
            Crook::Resets => {
                reset_on_drop(&socket.into_inner());
                return;
            }
            _ => say(&mut socket, &[&answer]).await,
        };
        if done.is_err() {
            return;
        }
    }
}

async fn say(socket: &mut WebSocketStream<TcpStream>, texts: &[&str]) -> Result<(), ()> {
    for text in texts {
        socket.send(Message::text(*text)).await.map_err(drop)?;
    }
    Ok(())
}

/// Five endpoints: one that is always the same, one that gives out a token, one that counts, one that only the first to ask wins, and metrics: a counter
/// of requests, and a gauge that rises with each odd one and falls with each even one.
async fn answer(mut stream: TcpStream, request: &str, asked: &AtomicU32) {
    let count = asked.fetch_add(u32::from(!request.contains("/metrics")), Ordering::Relaxed);
    let body = match request.split(' ').nth(1) {
        Some("/things") => r#"{"things":1}"#.to_owned(),
        Some("/login") => r#"{"token":"opaque-1","user":{"id":7}}"#.to_owned(),
        Some("/counting") => format!(r#"{{"asked":{count}}}"#),
        Some("/first") => format!(r#"{{"won":{}}}"#, count == 0),
        Some("/metrics") => format!("requests_total {count}\nrequests_odd {}\n", count % 2),
        _ => return refuse(stream, 404).await,
    };
    let head = format!(
        "HTTP/1.1 200 OK\r\nX-Kind: thing\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    // A client that has gone needs no answer.
    let _gone = stream.write_all(format!("{head}{body}").as_bytes()).await;
}

async fn refuse(mut stream: TcpStream, status: u16) {
    let answer = format!("HTTP/1.1 {status} No\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno");
    // A client that has gone needs no refusal.
    let _gone = stream.write_all(answer.as_bytes()).await;
}

async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await.ok()?);
    }
    String::from_utf8(request).ok()
}

fn header(request: &str, name: &str) -> Option<String> {
    let lines = request.lines().filter_map(|line| line.split_once(':'));
    let mut values = lines.filter(|(header, _)| header.eq_ignore_ascii_case(name));
    values.next().map(|(_, value)| value.trim().to_owned())
}
