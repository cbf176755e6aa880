//! For tests: an echo server that does what its script says, and remembers what it did.
//!
//! In memory it runs on the virtual time of the test, so that nothing depends on how busy the machine is; over TCP it runs as
//! any server. It counts per session, as `echo` does.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::rc::Rc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::time::Instant;
use touchstone_protocol::client::Stamp;
use touchstone_wire::{Binary, Event, Receiver, Role, Rules, handshake, server_close, server_text};

use super::Connector;
use super::socket::Pipe;

/// What the server does with a message it has received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Counts it and answers.
    Answer,
    /// Counts it and answers so much later.
    AnswerAfter(Duration),
    /// Counts it and does not answer.
    Swallow,
    /// Neither counts nor answers it.
    Ignore,
    /// Counts it and answers twice.
    Twice,
    /// Counts it and answers after the next one.
    HoldBack,
    /// Counts it and ends the connection without an answer.
    Hang,
    /// Closes with this code, and does not count it.
    Close(u16, &'static str),
    /// Forgets the session's count, then counts and answers.
    Forget,
}

/// A message as the server received it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Received {
    /// The session's number.
    pub(crate) session: u32,
    pub(crate) sequence: u32,
    /// Since the start.
    pub(crate) at: Duration,
}

/// What a connection travels over.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + 'static {}
impl<S: AsyncRead + AsyncWrite + Unpin + 'static> Stream for S {}

/// How the server takes connections and messages.
pub(crate) trait Script {
    /// What to do with a message.
    fn message(&self, received: &Received) -> Verdict;

    /// Whether a connection is taken, and after how long. `attempt` counts all connections from 0.
    fn connection(&self, _attempt: u32, _at: Duration) -> Result<Duration, io::ErrorKind> {
        Ok(Duration::ZERO)
    }

    /// Heartbeats so far apart.
    fn heartbeat(&self, _number: u32) -> Option<Duration> {
        None
    }
}

impl<F: Fn(&Received) -> Verdict> Script for F {
    fn message(&self, received: &Received) -> Verdict {
        self(received)
    }
}

#[derive(Clone)]
pub(crate) struct Scripted(Rc<Server>);

struct Server {
    start: Instant,
    script: Box<dyn Script>,
    counts: RefCell<HashMap<u64, u64>>,
    record: RefCell<Vec<(Received, Verdict)>>,
    /// When each message that was answered was received, and when it was answered, by this server's own clock.
    answered: RefCell<Vec<(Received, Duration)>>,
    attempts: Cell<u32>,
    opened: RefCell<Vec<(String, Duration)>>,
    open: Cell<u32>,
}

impl Scripted {
    pub(crate) fn new(start: Instant, script: impl Script + 'static) -> Self {
        Self(Rc::new(Server {
            start,
            script: Box::new(script),
            counts: RefCell::default(),
            record: RefCell::default(),
            answered: RefCell::default(),
            attempts: Cell::new(0),
            opened: RefCell::default(),
            open: Cell::new(0),
        }))
    }

    /// How many messages arrived.
    pub(crate) fn received(&self) -> u64 {
        self.0.record.borrow().len() as u64
    }

    /// How many messages met this verdict.
    pub(crate) fn met(&self, verdict: Verdict) -> u64 {
        self.0
            .record
            .borrow()
            .iter()
            .filter(|(_, met)| *met == verdict)
            .count() as u64
    }

    /// Everything that arrived, in order.
    pub(crate) fn record(&self) -> Vec<(Received, Verdict)> {
        self.0.record.borrow().clone()
    }

    /// Each message that was answered, and when that was, in order.
    pub(crate) fn answered(&self) -> Vec<(Received, Duration)> {
        self.0.answered.borrow().clone()
    }

    /// When each path was opened.
    pub(crate) fn opened(&self) -> BTreeMap<String, Vec<Duration>> {
        let mut opened = BTreeMap::<String, Vec<Duration>>::new();
        for (path, at) in self.0.opened.borrow().iter() {
            opened.entry(path.clone()).or_default().push(*at);
        }
        opened
    }

    /// Serves a stream that a client has opened. The test's runtime owns the task; it ends with its stream.
    pub(crate) fn take(&self, stream: impl Stream) {
        tokio::task::spawn_local(Rc::clone(&self.0).serve(stream));
    }

    /// Connections that are open now.
    pub(crate) fn open(&self) -> u32 {
        self.0.open.get()
    }
}

impl Pipe for DuplexStream {}

impl Connector for Scripted {
    type Stream = DuplexStream;

    async fn open(&self, _node: usize) -> io::Result<DuplexStream> {
        let attempt = self.0.attempts.get();
        self.0.attempts.set(attempt + 1);
        let wait = self.0.script.connection(attempt, self.0.start.elapsed())?;
        tokio::time::sleep(wait).await;
        let (ours, theirs) = tokio::io::duplex(64 << 10);
        self.take(theirs);
        Ok(ours)
    }
}

impl Server {
    async fn serve(self: Rc<Self>, mut stream: impl Stream) {
        self.open.set(self.open.get() + 1);
        // An error is the other side being gone.
        let _gone = self.talk(&mut stream).await;
        self.open.set(self.open.get() - 1);
    }

    async fn talk(&self, stream: &mut impl Stream) -> io::Result<()> {
        let path = upgrade(stream).await?;
        self.opened.borrow_mut().push((path, self.start.elapsed()));
        let (mut receiver, mut buffer) = receiver();
        let mut held_back: Option<String> = None;
        let mut beat = 0;
        let mut next_beat = self.script.heartbeat(beat).map(|gap| Instant::now() + gap);
        loop {
            let read = tokio::select! {
                read = stream.read(&mut buffer) => read?,
                () = async { tokio::time::sleep_until(next_beat.unwrap()).await }, if next_beat.is_some() => {
                    stream.write_all(&server_text(r#"{"ts":"1"}"#)).await?;
                    beat += 1;
                    next_beat = self.script.heartbeat(beat).map(|gap| next_beat.unwrap() + gap);
                    continue;
                }
            };
            if read == 0 {
                return Ok(());
            }
            let mut at = 0;
            loop {
                let step = receiver
                    .next(&mut buffer[at..read])
                    .expect("the generator keeps to RFC 6455");
                at += step.consumed;
                match step.event {
                    None => break,
                    Some(Event::Text(text)) => {
                        if !self.hear(text.to_owned(), stream, &mut held_back).await? {
                            return Ok(());
                        }
                    }
                    Some(Event::Close(_)) => return stream.write_all(&server_close(1000, "")).await,
                    Some(other) => panic!("the generator only sends text: {other:?}"),
                }
            }
        }
    }

    /// Whether the connection goes on.
    async fn hear(
        &self,
        text: String,
        stream: &mut impl Stream,
        held_back: &mut Option<String>,
    ) -> io::Result<bool> {
        let key = Stamp::read(&text).expect("every message has a stamp").key;
        let received = Received {
            session: key.sender as u32,
            sequence: key.sequence,
            at: self.start.elapsed(),
        };
        let verdict = self.script.message(&received);
        self.record.borrow_mut().push((received, verdict));
        if let Verdict::Close(code, reason) = verdict {
            stream.write_all(&server_close(code, reason)).await?;
            return Ok(false);
        }
        if verdict == Verdict::Ignore {
            return Ok(true);
        }
        let count = {
            let mut counts = self.counts.borrow_mut();
            let count = counts.entry(key.sender).or_default();
            *count = if verdict == Verdict::Forget { 1 } else { *count + 1 };
            *count
        };
        let answer = format!(r#"{{"count":{count},"echo":"{text}"}}"#);
        match verdict {
            Verdict::Swallow => return Ok(true),
            Verdict::Hang => return Ok(false),
            Verdict::HoldBack => {
                *held_back = Some(answer);
                return Ok(true);
            }
            Verdict::AnswerAfter(wait) => tokio::time::sleep(wait).await,
            Verdict::Answer | Verdict::Twice | Verdict::Forget | Verdict::Ignore | Verdict::Close(..) => {}
        }
        stream.write_all(&server_text(&answer)).await?;
        let answered = (received, self.start.elapsed());
        self.answered.borrow_mut().push(answered);
        if verdict == Verdict::Twice {
            stream.write_all(&server_text(&answer)).await?;
        }
        if let Some(held_back) = held_back.take() {
            stream.write_all(&server_text(&held_back)).await?;
        }
        Ok(true)
    }
}

/// Reads the request and accepts it; its path.
pub(super) async fn upgrade(stream: &mut impl Stream) -> io::Result<String> {
    let head = read_head(stream).await?;
    stream.write_all(accept(&head).as_bytes()).await?;
    Ok(head.split(' ').nth(1).expect("a request line").to_owned())
}

/// What a test's server reads a connection with, and into.
pub(super) fn receiver() -> (Receiver, Vec<u8>) {
    let rules = Rules {
        message_bytes_max: 65_536,
        binary: Binary::Accepted,
    };
    (Receiver::new(Role::Server, rules), vec![0; 65_536])
}

/// A request up to its body.
pub(super) async fn read_head(stream: &mut impl Stream) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    Ok(String::from_utf8(head).expect("an ASCII head"))
}

/// The answer that opens a WebSocket.
pub(super) fn accept(head: &str) -> String {
    let header = |name: &str| {
        head.lines()
            .find_map(|line| {
                line.split_once(": ")
                    .filter(|(key, _)| key.eq_ignore_ascii_case(name))
            })
            .map(|(_, value)| value.trim().to_owned())
            .expect("the handshake names it")
    };
    let key = STANDARD
        .decode(header("Sec-WebSocket-Key"))
        .expect("a key in base64");
    let accept = handshake::Key::from_bytes(key.try_into().expect("16 bytes")).accept();
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    )
}
