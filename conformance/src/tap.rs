//! The tap: every byte of a connection with its time and direction, and how TCP ended.
//!
//! Clients read and write through a [`Tap`]; everything that is judged (messages, frames, closes, times) is read from
//! its [`Log`], never from what a client library made of it.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::client::Arrival;
use crate::frames::{Assembler, CloseBody, Decoder, Frame, Message, opcode};
use crate::head::{Response, end_of_head, read_body, read_head};
use crate::inflate::Agreement;

/// Bytes kept of one connection, both directions together. A scenario that moves more than this is a load test.
pub const LOG_BYTES_MAX: usize = 64 << 20;

/// The type of an alert, and the version that every record of TLS names.
const TLS_ALERT: [u8; 2] = [0x15, 0x03];

/// Which way something went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Direction {
    /// From the judge's client to the server.
    Up,
    /// From the server to the judge's client.
    Down,
}

/// Bytes as one read or write moved them.
#[derive(Debug, Clone)]
pub struct Chunk {
    /// A read's time is that of its arrival where the system tells it, else taken after the read; a write's is taken
    /// before it. So an answer never seems older than its question.
    pub at: Instant,
    /// Which way.
    pub direction: Direction,
    /// What.
    pub bytes: Bytes,
}

/// How the server's half of TCP ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerEnd {
    /// FIN; with TLS its `close_notify`, which says the same of what is inside.
    Fin,
    /// FIN inside TLS without a `close_notify`: somebody on the way could have cut it off.
    Truncated,
    /// RST.
    Reset,
    /// Another error of the socket.
    Error(String),
}

/// What the judge's side did to TCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OurEnd {
    /// FIN, with TLS after a `close_notify`; reading on.
    HalfClosed,
    /// RST.
    Reset,
    /// Closed at the end of the case.
    Closed,
}

/// All that is known of a connection. Cheap to clone; every clone is the same log.
///
/// Written by the [`Tap`] and by the actor that ends TCP; read by everyone who judges. It lives as long as somebody
/// wants to read it, longer than its connection.
#[derive(Debug, Clone)]
pub struct Log {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    record: Mutex<Record>,
    changed: watch::Sender<()>,
}

/// The record under a [`Log`].
#[derive(Debug, Default)]
pub struct Record {
    /// Every byte.
    pub chunks: Vec<Chunk>,
    /// The answer to the handshake, as soon as its head is there; the body grows.
    pub response: Option<Response>,
    /// The answer is there with all its body.
    pub response_complete: bool,
    /// What the answer says of compression.
    pub deflate: Option<Agreement>,
    /// When the head of the answer was complete.
    pub response_at: Option<Instant>,
    /// Whole frames of both directions in the order in which they were seen.
    pub frames: Vec<(Direction, Frame)>,
    /// Data messages of the server.
    pub received: Vec<Message>,
    /// Data messages of the client.
    pub sent: Vec<Message>,
    /// How the server ended TCP, and when.
    pub server_end: Option<(ServerEnd, Instant)>,
    /// How we ended TCP, and when.
    pub our_ends: Vec<(OurEnd, Instant)>,
    /// What the client library objected to, and when.
    pub client_errors: Vec<(String, Instant)>,
    /// More than [`LOG_BYTES_MAX`] were moved; what came after was not kept.
    pub overflowed: bool,
    bytes: usize,
    down: Half,
    up: Half,
}

#[derive(Debug, Default)]
struct Half {
    head: Vec<u8>,
    head_done: bool,
    decoder: Decoder,
    assembler: Assembler,
    closed: bool,
}

impl Record {
    /// The server's first close frame and when it was seen.
    #[must_use]
    pub fn server_close(&self) -> Option<(CloseBody, Instant)> {
        self.close_frame(Direction::Down)
    }

    /// Our first close frame and when it was sent.
    #[must_use]
    pub fn client_close(&self) -> Option<(CloseBody, Instant)> {
        self.close_frame(Direction::Up)
    }

    fn close_frame(&self, direction: Direction) -> Option<(CloseBody, Instant)> {
        self.frames
            .iter()
            .find(|(way, frame)| *way == direction && frame.header.opcode == opcode::CLOSE)
            .map(|(_, frame)| (CloseBody::read(&frame.payload), frame.at))
    }

    /// The connection is over for the server: a close frame or the end of TCP, and when.
    #[must_use]
    pub fn server_ended_at(&self) -> Option<Instant> {
        let close = self.server_close().map(|(_, at)| at);
        close.or_else(|| self.server_end.as_ref().map(|(_, at)| *at))
    }

    /// Whether what came first is an alert of TLS (RFC 8446 5.1): the server does not understand us, nor we it.
    #[must_use]
    pub fn speaks_tls(&self) -> bool {
        let mut chunks = self.chunks.iter();
        chunks
            .find(|chunk| chunk.direction == Direction::Down)
            .is_some_and(|chunk| chunk.bytes.starts_with(&TLS_ALERT))
    }

    /// Whether the handshake was answered by 101.
    #[must_use]
    pub fn is_upgraded(&self) -> bool {
        self.response
            .as_ref()
            .is_some_and(|response| response.status == 101)
    }

    /// When bytes first went to the server: nothing that a connection causes comes before.
    #[must_use]
    pub fn first_sent_at(&self) -> Option<Instant> {
        self.chunks
            .iter()
            .find(|chunk| chunk.direction == Direction::Up)
            .map(|chunk| chunk.at)
    }

    /// When bytes last went to the server.
    #[must_use]
    pub fn last_sent_at(&self) -> Option<Instant> {
        self.chunks
            .iter()
            .rev()
            .find(|chunk| chunk.direction == Direction::Up)
            .map(|chunk| chunk.at)
    }

    /// A frame that was begun and never finished, as text for a transcript.
    #[must_use]
    pub fn unfinished(&self, direction: Direction) -> Option<String> {
        let half = match direction {
            Direction::Down => &self.down,
            Direction::Up => &self.up,
        };
        if !half.head_done {
            return (!half.head.is_empty())
                .then(|| format!("{} bytes without an end of headers", half.head.len()));
        }
        let (header, bytes) = half.decoder.unfinished()?;
        Some(match header {
            Some(header) => format!(
                "unfinished frame: opcode {}, {} bytes declared, {bytes} bytes seen with its header",
                header.opcode, header.length
            ),
            None => format!("{bytes} bytes of an unfinished frame"),
        })
    }

    fn push(&mut self, direction: Direction, bytes: &[u8], at: Instant) {
        if self.bytes + bytes.len() > LOG_BYTES_MAX {
            self.overflowed = true;
            return;
        }
        self.bytes += bytes.len();
        self.chunks.push(Chunk {
            at,
            direction,
            bytes: Bytes::copy_from_slice(bytes),
        });
        let half = match direction {
            Direction::Down => &mut self.down,
            Direction::Up => &mut self.up,
        };
        if half.head_done {
            if direction == Direction::Down && self.response.as_ref().is_some_and(|head| head.status != 101) {
                half.head.extend_from_slice(bytes);
                self.body_grew(false);
            } else {
                self.decode(direction, bytes, at);
            }
            return;
        }
        half.head.extend_from_slice(bytes);
        let Some(end) = end_of_head(&half.head) else {
            return;
        };
        half.head_done = true;
        let rest = half.head.split_off(end);
        if direction == Direction::Down {
            let response = read_head(&half.head);
            let upgraded = response.status == 101;
            self.deflate = Agreement::read(&response).filter(|_| upgraded);
            if let Some(agreement) = self.deflate {
                self.down.assembler.agree(agreement.server);
                self.up.assembler.agree(agreement.client);
            }
            self.response = Some(response);
            self.response_at = Some(at);
            if self.up.head.starts_with(b"HEAD ") {
                // Whatever length it announces: it is that of a body which nobody sends.
                self.response_complete = true;
            }
            if !upgraded {
                // From here on the buffer holds the body.
                self.down.head = rest;
                self.body_grew(false);
                return;
            }
            self.response_complete = true;
        }
        self.decode(direction, &rest, at);
    }

    fn body_grew(&mut self, ended: bool) {
        if let Some(response) = &mut self.response
            && !self.response_complete
            && let Some(body) = read_body(response, &self.down.head, ended)
        {
            response.body = body;
            self.response_complete = true;
        }
    }

    fn decode(&mut self, direction: Direction, bytes: &[u8], at: Instant) {
        let (half, messages) = match direction {
            Direction::Down => (&mut self.down, &mut self.received),
            Direction::Up => (&mut self.up, &mut self.sent),
        };
        for frame in half.decoder.push(bytes, at) {
            // What follows a close frame is no message any more; the frame checks report it.
            if !half.closed {
                messages.extend(half.assembler.push(&frame));
            }
            half.closed |= frame.header.opcode == opcode::CLOSE;
            self.frames.push((direction, frame));
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self {
            shared: Arc::new(Shared {
                record: Mutex::default(),
                changed: watch::Sender::new(()),
            }),
        }
    }
}

impl Log {
    /// The record as it is now. Held only for a look: the tap waits for it.
    pub fn record(&self) -> MutexGuard<'_, Record> {
        self.shared
            .record
            .lock()
            .expect("no code panics while it holds the record")
    }

    /// Looks until `look` finds something or the deadline has passed; then it looks a last time.
    ///
    /// It looks first, so what is already there is found also after the deadline.
    pub async fn wait_for<T>(&self, deadline: Instant, look: impl Fn(&Record) -> Option<T>) -> Option<T> {
        let mut changed = self.shared.changed.subscribe();
        loop {
            changed.mark_unchanged();
            if let Some(found) = look(&self.record()) {
                return Some(found);
            }
            // The sender is in `self`, so the only error is that time is up.
            if tokio::time::timeout_at(deadline, changed.changed())
                .await
                .is_err()
            {
                return look(&self.record());
            }
        }
    }

    /// Notes what the judge's side does to TCP.
    pub fn note_our_end(&self, end: OurEnd) {
        self.change(|record| record.our_ends.push((end, Instant::now())));
    }

    /// Notes what the client library objects to.
    pub fn note_client_error(&self, error: String) {
        self.change(|record| record.client_errors.push((error, Instant::now())));
    }

    fn note_server_end(&self, end: ServerEnd) {
        self.change(|record| {
            if record.server_end.is_none() {
                record.server_end = Some((end, Instant::now()));
                record.body_grew(true);
            }
        });
    }

    fn change(&self, change: impl FnOnce(&mut Record)) {
        change(&mut self.record());
        self.shared.changed.send_replace(());
    }
}

/// Lets reading rest, so that a server's queue fills.
#[derive(Debug, Clone, Default)]
pub struct Gate {
    state: Arc<Mutex<GateState>>,
}

#[derive(Debug, Default)]
struct GateState {
    closed: bool,
    waiting: Option<Waker>,
}

impl Gate {
    /// Nothing is read any more.
    pub fn close(&self) {
        self.lock().closed = true;
    }

    /// Reading goes on.
    pub fn open(&self) {
        let waiting = {
            let mut state = self.lock();
            state.closed = false;
            state.waiting.take()
        };
        if let Some(waker) = waiting {
            waker.wake();
        }
    }

    /// Whether nothing is read.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }

    fn poll_open(&self, context: &Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if state.closed {
            state.waiting = Some(context.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    fn lock(&self) -> MutexGuard<'_, GateState> {
        self.state.lock().expect("no code panics while it holds the gate")
    }
}

/// A stream whose every byte is in its [`Log`].
#[derive(Debug)]
pub struct Tap<S> {
    stream: S,
    log: Log,
    gate: Gate,
    arrival: Option<Arrival>,
}

impl<S> Tap<S> {
    /// Taps `stream`; bytes that were moved before are not known.
    pub fn new(stream: S, log: Log, gate: Gate) -> Self {
        Self {
            stream,
            log,
            gate,
            arrival: None,
        }
    }

    /// Reads take their times from here.
    #[must_use]
    pub fn stamped_by(self, arrival: Arrival) -> Self {
        Self {
            arrival: Some(arrival),
            ..self
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Tap<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.gate.poll_open(context));
        let before = buffer.filled().len();
        let had_room = buffer.remaining() > 0;
        let read = ready!(Pin::new(&mut self.stream).poll_read(context, buffer));
        match &read {
            Ok(()) => {
                let bytes = &buffer.filled()[before..];
                if bytes.is_empty() {
                    if had_room {
                        self.log.note_server_end(ServerEnd::Fin);
                    }
                } else {
                    let arrived = self.arrival.as_ref().and_then(Arrival::last);
                    let at = arrived.unwrap_or_else(Instant::now);
                    self.log.change(|record| record.push(Direction::Down, bytes, at));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                self.log.note_server_end(ServerEnd::Reset);
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                self.log.note_server_end(ServerEnd::Truncated);
            }
            Err(error) => self.log.note_server_end(ServerEnd::Error(error.to_string())),
        }
        Poll::Ready(read)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Tap<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let at = Instant::now();
        let written = ready!(Pin::new(&mut self.stream).poll_write(context, bytes));
        if let Ok(count) = written {
            self.log
                .change(|record| record.push(Direction::Up, &bytes[..count], at));
        }
        Poll::Ready(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    fn tap() -> (Tap<tokio::io::DuplexStream>, tokio::io::DuplexStream, Log, Gate) {
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        let (log, gate) = (Log::default(), Gate::default());
        (Tap::new(ours, log.clone(), gate.clone()), theirs, log, gate)
    }

    #[tokio::test]
    async fn bytes_frames_and_the_end_are_in_the_log() {
        let (mut tap, mut server, log, _) = tap();
        tap.write_all(b"GET / HTTP/1.1\r\n\r\n\x81\x80\0\0\0\0")
            .await
            .unwrap();
        server
            .write_all(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\x81\x02hi")
            .await
            .unwrap();
        drop(server);
        tap.read_to_end(&mut Vec::new()).await.unwrap();
        let record = log.record();
        assert!(record.is_upgraded());
        assert_eq!(
            record.received[0].content,
            crate::frames::Content::Text("hi".into())
        );
        assert_eq!(record.sent.len(), 1);
        assert!(matches!(record.server_end, Some((ServerEnd::Fin, _))));
        assert_eq!(
            record.chunks.iter().map(|chunk| chunk.bytes.len()).sum::<usize>(),
            24 + 56 + 4
        );
    }

    #[tokio::test]
    async fn a_refusal_is_kept_with_its_body() {
        let (mut tap, mut server, log, _) = tap();
        server
            .write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\n\r\n")
            .await
            .unwrap();
        let mut buffer = [0; 256];
        assert!(tap.read(&mut buffer).await.unwrap() > 0);
        assert!(!log.record().response_complete);
        server.write_all(b"no").await.unwrap();
        assert!(tap.read(&mut buffer).await.unwrap() > 0);
        assert!(log.record().response_complete);
        assert_eq!(log.record().response.as_ref().unwrap().body, b"no");
    }

    #[tokio::test]
    async fn an_answer_to_head_is_whole_without_the_body_it_announces() {
        let (mut tap, mut server, log, _) = tap();
        tap.write_all(b"HEAD / HTTP/1.1\r\n\r\n").await.unwrap();
        server
            .write_all(b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 9\r\n\r\n")
            .await
            .unwrap();
        let mut buffer = [0; 256];
        assert!(tap.read(&mut buffer).await.unwrap() > 0);
        assert!(log.record().response_complete);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_is_woken_by_what_arrives_and_given_up_at_the_deadline() {
        let (mut tap, mut server, log, _) = tap();
        let started = Instant::now();
        let nothing = log
            .wait_for(started + Duration::from_secs(1), Record::client_close)
            .await;
        assert_eq!((nothing, started.elapsed()), (None, Duration::from_secs(1)));
        server
            .write_all(b"HTTP/1.1 101 x\r\n\r\n\x88\x02\x03\xe8")
            .await
            .unwrap();
        let mut bytes = [0; 22];
        let (seen, _) = tokio::join!(
            log.wait_for(Instant::now() + Duration::from_secs(1), Record::server_close),
            tap.read_exact(&mut bytes)
        );
        assert_eq!(seen.unwrap().0.code, Some(1000));
        assert_eq!(started.elapsed(), Duration::from_secs(1), "woken, not timed out");
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_read_behind_a_closed_gate() {
        let (mut tap, mut server, log, gate) = tap();
        server.write_all(b"x").await.unwrap();
        gate.close();
        let mut buffer = [0; 8];
        let waiting = tokio::time::timeout(Duration::from_secs(1), tap.read(&mut buffer)).await;
        assert!(waiting.is_err());
        assert!(log.record().chunks.is_empty());
        let (read, ()) = tokio::join!(tap.read(&mut buffer), async { gate.open() });
        assert_eq!(read.unwrap(), 1);
    }
}
