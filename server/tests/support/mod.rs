//! A server on a free port, and clients of it.
#![allow(dead_code, reason = "each test file uses its share")]

pub(crate) mod house;
pub(crate) mod raw;

use std::net::SocketAddr;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use tokio_util::sync::CancellationToken;
use touchstone_server::{Config, Reload, Secret, Server, Stopped};

/// Nothing on this machine takes longer, unless it never comes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The key of the admin API in these tests.
pub(crate) const KEY: &str = "the admin's key";

/// A running server; it stops when it is dropped, or when it is told.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) admin_address: Option<SocketAddr>,
    reload: Reload,
    stop: CancellationToken,
    run: JoinHandle<Stopped>,
}

/// The defaults, on a free port, with the admin API and faults.
pub(crate) fn config() -> Config {
    Config {
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        admin_key: Some(Secret::new(KEY)),
        allow_faults: true,
        ..Config::default()
    }
}

pub(crate) fn start(config: Config) -> Running {
    run(bind(config))
}

/// Without anybody to wait for, as what is embedded is there at once.
fn bind(config: Config) -> Server {
    let bound = pin!(Server::bind(config));
    match bound.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(server) => server.unwrap(),
        Poll::Pending => panic!("what is embedded is opened without waiting"),
    }
}

/// Two nodes that share store, bus and presence.
pub(crate) fn start_two(config: &Config) -> [Running; 2] {
    let server = bind(config.clone());
    let other = server.bind_beside(config.clone()).unwrap();
    [server, other].map(run)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the test owns the task and joins it in `stop`"
)]
fn run(server: Server) -> Running {
    let reload = server.reload();
    let (address, admin_address) = (server.addresses()[0], server.admin_address());
    // Of an address that stands for all of them, this machine reaches one.
    let address = SocketAddr::from(([127, 0, 0, 1], address.port()));
    let stop = CancellationToken::new();
    let run = tokio::spawn(server.run(stop.clone()));
    Running {
        address,
        admin_address,
        reload,
        stop,
        run,
    }
}

impl Running {
    pub(crate) fn tell_to_stop(&self) {
        self.stop.cancel();
    }

    /// Has the files read again that may change.
    pub(crate) fn reload(&self) {
        self.reload.now();
    }

    pub(crate) async fn stop(self) -> Stopped {
        self.stop.cancel();
        within(self.run).await.unwrap()
    }

    pub(crate) async fn connect(&self, path: &str) -> Client {
        let url = format!("ws://{}{path}", self.address);
        let (stream, _) = within(tokio_tungstenite::connect_async(url)).await.unwrap();
        Client(stream)
    }

    pub(crate) async fn tcp(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends a request and returns the whole answer.
    pub(crate) async fn request(&self, head: &str, body: &str) -> String {
        self.request_with_key(head, body, KEY).await
    }

    pub(crate) async fn request_with_key(&self, head: &str, body: &str, key: &str) -> String {
        let mut stream = self.tcp().await;
        let length = body.len();
        let request = format!(
            "{head} HTTP/1.1\r\nHost: h\r\nConnection: close\r\nAuthorization: Bearer {key}\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        within(stream.read_to_string(&mut answer)).await.unwrap();
        answer
    }

    /// The status of the answer to a request, and its body as JSON; null where there is none.
    pub(crate) async fn ask(&self, head: &str, body: &str, key: &str) -> (u16, serde_json::Value) {
        status_and_json(&self.request_with_key(head, body, key).await)
    }

    /// Asks for an upgrade, and returns the head of the answer and what came with it, up to the first pause.
    pub(crate) async fn handshake(&self, head: &str) -> String {
        let mut stream = self.tcp().await;
        let request = format!(
            "{head} HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = vec![0; 1_024];
        let read = within(stream.read(&mut answer)).await.unwrap();
        String::from_utf8_lossy(&answer[..read]).into_owned()
    }

    /// Sends a request as it is, which asks for the end of the connection, and returns the whole answer.
    pub(crate) async fn raw_request(&self, request: &str) -> String {
        let mut stream = self.tcp().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        within(stream.read_to_string(&mut answer)).await.unwrap();
        answer
    }

    /// The value of a metric, named with its labels if it has some.
    pub(crate) async fn metric(&self, name: &str) -> u64 {
        let text = self.request("GET /metrics", "").await;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in {text}"))
            .trim()
            .parse()
            .unwrap()
    }
}

/// The status of an answer, and its body as JSON; null where there is none.
pub(crate) fn status_and_json(answer: &str) -> (u16, serde_json::Value) {
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    let (_, body) = answer
        .split_once("\r\n\r\n")
        .expect("a head ends in a blank line");
    let json = if body.is_empty() { "null" } else { body };
    let json = serde_json::from_str(json).unwrap_or_else(|_| panic!("JSON, not {answer}"));
    (status.unwrap_or_else(|| panic!("a status, not {answer}")), json)
}

/// A well-behaved client.
pub(crate) struct Client<S = MaybeTlsStream<TcpStream>>(pub(crate) WebSocketStream<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub(crate) async fn say(&mut self, text: &str) {
        self.0.send(Message::text(text)).await.unwrap();
    }

    /// The next text message. Pings before it are answered.
    pub(crate) async fn hear(&mut self) -> String {
        loop {
            match within(self.0.next()).await {
                Some(Ok(Message::Text(text))) => return text.to_string(),
                Some(Ok(Message::Ping(_))) => {}
                other => panic!("expected text, got {other:?}"),
            }
        }
    }

    /// What is sent comes back, with this count.
    pub(crate) async fn echo(&mut self, text: &str, count: u64) {
        self.say(text).await;
        assert_eq!(
            self.hear().await,
            format!(r#"{{"count":{count},"echo":"{text}"}}"#)
        );
    }

    /// The answer to our close frame, and then the end.
    pub(crate) async fn closed_by_us(&mut self) {
        while within(self.0.next()).await.is_some() {}
    }

    /// The close frame, whatever comes before it, and then the end of TCP.
    pub(crate) async fn closed(&mut self) -> CloseFrame {
        let mut close = None;
        loop {
            match within(self.0.next()).await {
                Some(Ok(Message::Close(frame))) => close = Some(frame.expect("a close frame with a code")),
                Some(Ok(_)) => {}
                None => return close.expect("a close frame before the end"),
                Some(Err(error)) => panic!("expected a close frame and a clean end, got {error}"),
            }
        }
    }
}

/// What a peer heard who read too slowly while so many broadcasts left: whole frames, not all of them, and that he was too
/// slow (common/7a).
pub(crate) fn check_cut_off(heard: &[raw::Frame], broadcasts: u64) {
    let (last, before) = heard.split_last().expect("a close frame at least");
    assert_eq!(
        (last.opcode, &last.payload[..]),
        (8, b"\x03\xf0slow consumer".as_slice())
    );
    assert!(before.len() < broadcasts as usize, "what was queued is discarded");
    assert!(
        before.iter().all(|frame| frame.payload.ends_with(b"}")),
        "frames that left are whole"
    );
}

/// Waits for something that must happen.
pub(crate) async fn within<T>(event: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, event)
        .await
        .expect("it never happened")
}
