//! What a raw actor does by itself, so that nobody takes it for dead: it answers pings and the dialect's heartbeats, and
//! while it does not read it says unasked that it is there. A scenario that wants none of it has a silent client.
//!
//! What it says stands between frames, never within one that the scenario writes, and never after a close frame.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::Message;
use touchstone_sut::transport::Stream;

use super::Reflex;
use super::arrivals::Stamped;
use super::raw::masked;
use super::shared::Shared;
use crate::frames::{Content, opcode};
use crate::tap::{Direction, Gate, Log, Record, Tap};

/// How long a look for something to answer lasts where nothing is said unasked: looks follow each other, so any time will do.
const LOOK: Duration = Duration::from_secs(60);
/// How long an answer is awaited to be taken. What is not stays in line before whatever is written next.
const TAKEN_WITHIN: Duration = Duration::from_millis(100);

/// What a raw actor does by itself.
#[derive(Clone, Default)]
pub enum Manners {
    /// Nothing.
    Silent,
    /// It answers pings, and shows that it is there.
    #[default]
    Answers,
    /// The same, and what the dialect has of its own.
    Dialect {
        /// Its answer to the dialect's heartbeats.
        reflex: Option<Reflex>,
        /// What it says while it does not read.
        unasked: Option<Unasked>,
    },
}

/// What is said by somebody who reads nothing.
#[derive(Debug, Clone)]
pub struct Unasked {
    /// A pong, or the dialect's answer to a heartbeat.
    pub message: Message,
    /// Often enough that each heartbeat finds one in time.
    pub every: Duration,
}

/// How far the record was looked through.
#[derive(Default)]
struct Looked {
    frames: AtomicUsize,
    messages: AtomicUsize,
}

/// Answers until the connection is over.
pub(super) async fn stay_alive(stream: Shared<Tap<Stream<Stamped>>>, log: Log, gate: Gate, manners: Manners) {
    let (reflex, unasked) = match manners {
        Manners::Silent => return,
        Manners::Answers => (None, None),
        Manners::Dialect { reflex, unasked } => (reflex, unasked),
    };
    let looked = Looked::default();
    loop {
        let every = unasked.as_ref().map_or(LOOK, |unasked| unasked.every);
        let due = log
            .wait_for(Instant::now() + every, |record| {
                if is_over(record) {
                    return Some(None);
                }
                looked.next(record, reflex.as_ref()).map(Some)
            })
            .await;
        let message = match (due, &unasked) {
            (Some(None), _) => return,
            (Some(Some(answer)), _) => answer,
            (None, Some(unasked)) if gate.is_closed() && is_between_messages(&log.record()) => {
                unasked.message.clone()
            }
            (None, _) => continue,
        };
        if stream.owe(&masked(&message), || is_between_frames(&log.record())) {
            // What is not taken now is written before whatever comes next.
            let _later = timeout(TAKEN_WITHIN, stream.settle()).await;
        }
    }
}

/// There is nobody any more who would hear an answer, or it would come after our close frame.
fn is_over(record: &Record) -> bool {
    record.server_end.is_some() || record.client_close().is_some() || !record.our_ends.is_empty()
}

fn is_between_frames(record: &Record) -> bool {
    record.is_upgraded() && !is_over(record) && record.unfinished(Direction::Up).is_none()
}

/// Between fragments a pong is legal, and a message is not.
fn is_between_messages(record: &Record) -> bool {
    let mut ours = record
        .frames
        .iter()
        .rev()
        .filter(|(direction, frame)| *direction == Direction::Up && !frame.header.is_control());
    is_between_frames(record) && ours.next().is_none_or(|(_, frame)| frame.header.fin)
}

impl Looked {
    /// The answer to the first of what came and was not answered yet.
    fn next(&self, record: &Record, reflex: Option<&Reflex>) -> Option<Message> {
        if !is_between_frames(record) {
            return None;
        }
        while let Some((direction, frame)) = record.frames.get(self.frames.load(Relaxed)) {
            self.frames.fetch_add(1, Relaxed);
            if *direction == Direction::Down && frame.header.opcode == opcode::PING {
                return Some(Message::Pong(frame.payload.clone().into()));
            }
        }
        let reflex = reflex.filter(|_| is_between_messages(record))?;
        while let Some(message) = record.received.get(self.messages.load(Relaxed)) {
            self.messages.fetch_add(1, Relaxed);
            if let Content::Text(text) = &message.content
                && let Some(answer) = reflex(text)
            {
                return Some(Message::text(answer));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::task::JoinSet;
    use touchstone_sut::Transport;

    use super::*;
    use crate::client::{Address, Connection};

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    const ANSWER: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    const PING: &[u8] = b"\x89\x02hi";
    const PONG: &[u8] = b"\x8a\x82\0\0\0\0hi";
    const TEXT: &[u8] = b"\x81\x83\0\0\0\0abc";

    /// A connection with these manners that is upgraded, and the server's end of it.
    async fn upgraded(manners: Manners, tasks: &mut JoinSet<()>) -> (Connection, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let address = Address::new(&Transport::Plain, &host, "/");
        let deadline = in_time();
        let opened = Connection::open_raw(&address, REQUEST, Log::default(), deadline, manners, tasks).await;
        let (mut server, _) = listener.accept().await.unwrap();
        let mut request = vec![0; REQUEST.len()];
        server.read_exact(&mut request).await.unwrap();
        server.write_all(ANSWER).await.unwrap();
        let connection = opened.unwrap();
        let is_upgraded = |record: &Record| record.is_upgraded().then_some(());
        connection.log().wait_for(deadline, is_upgraded).await.unwrap();
        (connection, server)
    }

    fn in_time() -> Instant {
        Instant::now() + Duration::from_secs(10)
    }

    async fn heard(server: &mut TcpStream, expected: &[u8]) {
        let mut bytes = vec![0; expected.len()];
        timeout(Duration::from_secs(10), server.read_exact(&mut bytes))
            .await
            .expect("the client says something in time")
            .unwrap();
        assert_eq!(bytes, expected);
    }

    async fn pings_arrived(connection: &Connection, count: usize) {
        let arrived = |record: &Record| {
            let pings = record
                .frames
                .iter()
                .filter(|(_, frame)| frame.header.opcode == opcode::PING);
            (pings.count() == count).then_some(())
        };
        connection.log().wait_for(in_time(), arrived).await.unwrap();
    }

    #[tokio::test]
    async fn a_ping_is_answered_between_two_frames_and_never_within_one() {
        let mut tasks = JoinSet::new();
        let (mut connection, mut server) = upgraded(Manners::Answers, &mut tasks).await;
        server.write_all(PING).await.unwrap();
        heard(&mut server, PONG).await;
        connection.write(&TEXT[..7], None, in_time()).await.unwrap();
        server.write_all(PING).await.unwrap();
        pings_arrived(&connection, 2).await;
        connection.write(&TEXT[7..], None, in_time()).await.unwrap();
        heard(&mut server, TEXT).await;
        heard(&mut server, PONG).await;
    }

    #[tokio::test]
    async fn who_is_silent_and_who_has_said_goodbye_answer_nothing() {
        let mut tasks = JoinSet::new();
        let (mut connection, mut server) = upgraded(Manners::Silent, &mut tasks).await;
        server.write_all(PING).await.unwrap();
        pings_arrived(&connection, 1).await;
        connection.write(TEXT, None, in_time()).await.unwrap();
        heard(&mut server, TEXT).await;

        let (mut connection, mut server) = upgraded(Manners::Answers, &mut tasks).await;
        let close = b"\x88\x80\0\0\0\0";
        connection.write(close, None, in_time()).await.unwrap();
        server.write_all(PING).await.unwrap();
        pings_arrived(&connection, 1).await;
        connection.write(TEXT, None, in_time()).await.unwrap();
        heard(&mut server, close).await;
        heard(&mut server, TEXT).await;
    }

    #[tokio::test]
    async fn heartbeats_of_the_dialect_are_answered_and_who_reads_nothing_says_so_unasked() {
        let mut tasks = JoinSet::new();
        let reflex = |text: &str| (text == "PING").then(|| "abc".to_owned());
        let manners = Manners::Dialect {
            reflex: Some(std::sync::Arc::new(reflex)),
            unasked: Some(Unasked {
                message: Message::Pong(b"hi".as_slice().into()),
                every: Duration::from_millis(20),
            }),
        };
        let (connection, mut server) = upgraded(manners, &mut tasks).await;
        server.write_all(b"\x81\x04PING").await.unwrap();
        heard(&mut server, TEXT).await;
        connection.stop_reading();
        heard(&mut server, PONG).await;
        heard(&mut server, PONG).await;
    }
}
