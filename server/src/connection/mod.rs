//! One WebSocket: a task that reads and hands on what it hears, and a shared half that anybody may send to.
//!
//! Nothing here looks inside a text frame; what a message means is the dialect's.

mod buffers;
mod closing;
mod deflating;
mod encrypted;
mod frames;
mod outgoing;
mod reading;
mod transport;

use std::net::IpAddr;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use prometheus_client::metrics::counter::Counter;
use serde::Serialize;
use tokio::sync::oneshot;
use tokio_util::task::task_tracker::TaskTrackerToken;
use touchstone_protocol::close::{CloseCode, REASON_IDLE};
use touchstone_storage::{ConnectionId, Timestamp};
use touchstone_wire as wire;
use touchstone_wire::deflate::Half;

use crate::admission::Admitted;
use crate::budget::Budget;
use crate::clock::Clock;
use crate::config::Rate;
use crate::hub::{Hub, Seat};
use crate::metrics::RouteMetrics;
use crate::socket::Socket;
use crate::stop::Parting;
use deflating::Sending;
pub(crate) use deflating::{Deflation, Granted};
use outgoing::Outgoing;
pub(crate) use outgoing::{Phase, QueueLimits, Sent};
pub(crate) use reading::converse;
use transport::Transport;

/// What every connection of a route has in common.
#[derive(Debug)]
pub(crate) struct Terms {
    pub(crate) rules: wire::Rules,
    pub(crate) queue: QueueLimits,
    pub(crate) rate: Option<Rate>,
    /// `None`: no offer of compression is taken.
    pub(crate) deflation: Option<Deflation>,
    pub(crate) close_deadline: Duration,
    /// What happens when a peer does not read what it caused itself.
    pub(crate) own_answers: OwnAnswers,
    /// How a connection is closed whose token has expired; `None` where that is of no account (common/3g).
    pub(crate) expired: Option<Close>,
    pub(crate) numbers: Arc<Numbers>,
    pub(crate) clock: Clock,
    /// What all connections of the server together may have queued.
    pub(crate) budget: Arc<Budget>,
    pub(crate) metrics: RouteMetrics,
    /// Panics, where they are counted by a documented name as well (echo/12b).
    pub(crate) errors: Option<Counter>,
}

/// What happens when a peer does not read the answers to its own messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OwnAnswers {
    /// They count like everything else: a full queue closes it.
    Limited,
    /// Nothing more is read from it until they have left: for a route that test suites use. A peer that takes not one
    /// byte of them for so long is closed like a slow consumer.
    HeldBack { patience: Duration },
}

/// A close code with its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Close {
    pub(crate) code: CloseCode,
    pub(crate) reason: String,
}

impl Close {
    pub(crate) fn new(code: CloseCode, reason: impl Into<String>) -> Self {
        Self {
            code,
            reason: reason.into(),
        }
    }
}

/// Numbers for the connections of one server: unique over all servers and restarts.
#[derive(Debug)]
pub(crate) struct Numbers {
    server: u64,
    next: AtomicU64,
}

impl Numbers {
    /// `server` is drawn at random.
    pub(crate) fn new(server: u64) -> Self {
        Self {
            server,
            next: AtomicU64::new(0),
        }
    }
}

/// The second in which a connection expires that never does.
const NEVER: u64 = u64::MAX;

/// The parting of a connection that is not being seen off.
const GO_ON: u16 = 0;

/// The shared half of a connection: anybody may send to it or tell it to end; only its own task reads.
#[derive(Debug)]
pub(crate) struct Connection {
    transport: Transport,
    terms: Arc<Terms>,
    /// Why it is being seen off, as [`Parting`]'s bits.
    parting: AtomicU16,
    /// Set when it is to hear nothing more.
    rests: AtomicBool,
    /// Set while what the peer has said is being dealt with: meanwhile nothing is read, also no answer of his.
    is_heard: AtomicBool,
    /// Set when a heartbeat leaves that is to be answered, cleared by its answer.
    owes_answer: AtomicBool,
    /// The second of the epoch from which it is closed as expired. Set once, by the dialect.
    expires_second: AtomicU64,
    /// How often somebody looked whether it is idle since its peer last sent something.
    quiet_rounds: AtomicU8,
    number: u64,
    since: Timestamp,
    peer: Option<IpAddr>,
    sending: Sending,
    outgoing: Mutex<Outgoing>,
}

impl Connection {
    /// Before its socket is there: what is sent waits in the queue.
    fn expected(terms: Arc<Terms>, peer: Option<IpAddr>, granted: Option<Granted>) -> Self {
        let number = terms.numbers.next.fetch_add(1, Ordering::Relaxed);
        let (sending, lasting) = match (&terms.deflation, granted) {
            (Some(deflation), Some(granted)) => deflation.sending(granted),
            (_, _) => (Sending::Plain, None),
        };
        Self {
            transport: Transport::expected(),
            since: terms.clock.now(),
            peer,
            terms,
            parting: AtomicU16::new(GO_ON),
            rests: AtomicBool::new(false),
            is_heard: AtomicBool::new(false),
            owes_answer: AtomicBool::new(false),
            expires_second: AtomicU64::new(NEVER),
            quiet_rounds: AtomicU8::new(0),
            number,
            sending,
            outgoing: Mutex::new(Outgoing::new(lasting)),
        }
    }

    /// Sends a frame that others may get as well. Never waits; the order is that of the calls.
    pub(crate) fn send(&self, frame: &Bytes) -> Sent {
        let deflated = match (self.sending, &self.terms.deflation) {
            (Sending::Alone(window), Some(deflation)) => {
                Some(deflation.thrift().deflate_frames(frame, window))
            }
            (_, _) => None,
        };
        let frame = deflated.as_ref().unwrap_or(frame);
        let limits = self.queue_limits();
        let sent = self.outgoing().send(frame, &self.transport, limits);
        if sent == Sent::Taken {
            self.terms.metrics.sent.inc_by(frames::messages_in(frame));
        }
        self.note(sent)
    }

    /// From now on nothing more is read from the peer: what is in hand is done, and then the connection waits to be seen
    /// off.
    pub(crate) fn rest(&self) {
        self.rests.store(true, Ordering::Release);
        self.outgoing().wake();
    }

    /// Ends the connection, once what is in hand is done. The first reason stands.
    pub(crate) fn see_off(&self, parting: Parting) {
        let bits = parting.into_bits();
        let seen_off = self
            .parting
            .compare_exchange(GO_ON, bits, Ordering::AcqRel, Ordering::Relaxed);
        if seen_off.is_ok() {
            self.outgoing().wake();
        }
    }

    /// Puts the close frame behind everything else; the connection's task does the rest.
    pub(crate) fn end(&self, close: &Close) {
        self.close(wire::server_close(close.code.0, &close.reason));
    }

    /// Ends TCP without a close frame.
    pub(crate) fn terminate(&self) {
        self.outgoing().terminate();
    }

    /// A heartbeat is about to leave.
    pub(crate) fn await_answer(&self) {
        self.owes_answer.store(true, Ordering::Release);
    }

    /// Whether the last heartbeat was not answered.
    pub(crate) fn owes_answer(&self) -> bool {
        self.owes_answer.load(Ordering::Acquire)
    }

    /// Whether something that the peer has said is being dealt with. What he has sent since waits for that, and his
    /// silence is none.
    pub(crate) fn is_heard(&self) -> bool {
        self.is_heard.load(Ordering::Acquire)
    }

    /// To be called again and again, in the same intervals: closes the connection if its peer has sent nothing since
    /// `rounds` calls of this.
    pub(crate) fn end_if_idle(&self, rounds: u8) {
        if self.is_heard() {
            return;
        }
        if self.quiet_rounds.fetch_add(1, Ordering::Relaxed) >= rounds {
            self.end(&Close::new(CloseCode::GOING_AWAY, REASON_IDLE));
        }
    }

    /// Closes the connection if its token has expired.
    pub(crate) fn end_if_expired(&self, now: Timestamp) {
        let expired = self.expires_second.load(Ordering::Relaxed) <= now.millis() / 1_000;
        if let (true, Some(close)) = (expired, &self.terms.expired) {
            self.end(close);
        }
    }

    /// What no other connection of this server has.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// When its handshake was granted.
    pub(crate) fn since(&self) -> Timestamp {
        self.since
    }

    /// Who is at its other end, as far as we believe what we are told.
    pub(crate) fn peer(&self) -> Option<IpAddr> {
        self.peer
    }

    fn append(&self, opcode: wire::OpCode, payload: &[u8]) -> Sent {
        let deflated = match (self.sending, &self.terms.deflation) {
            (Sending::Alone(window), Some(deflation)) => deflation.thrift().deflate(opcode, payload, window),
            (_, _) => None,
        };
        let (form, payload) = match &deflated {
            Some(deflated) => (wire::PayloadForm::Deflated, &deflated[..]),
            None => (wire::PayloadForm::Plain, payload),
        };
        let limits = self.queue_limits();
        let sent = self
            .outgoing()
            .append(opcode, form, payload, &self.transport, limits);
        if sent == Sent::Taken && !opcode.is_control() {
            self.terms.metrics.sent.inc();
        }
        self.note(sent)
    }

    fn cork(&self) {
        self.outgoing().cork();
    }

    fn uncork(&self) -> Sent {
        let limits = self.queue_limits();
        let sent = self.outgoing().uncork(&self.transport, limits);
        self.note(sent)
    }

    fn close(&self, frame: Bytes) {
        let code = frame.get(2..4).map(|code| u16::from_be_bytes([code[0], code[1]]));
        let limits = self.queue_limits();
        if self.outgoing().close(frame, &self.transport, limits) {
            self.terms.metrics.close_sent(code);
        }
    }

    fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.outgoing().poll_flush(&self.transport, cx)
    }

    /// Bytes that wait for the peer.
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.outgoing().queued_bytes()
    }

    /// Pieces, each of one or more whole frames, that wait for the peer.
    pub(crate) fn waiting_pieces(&self) -> usize {
        self.outgoing().queued_pieces()
    }

    /// Closes 1008 a peer that does not take what waits for it.
    fn give_up(&self) {
        let cut = self.outgoing().give_up();
        self.note(cut);
    }

    fn phase(&self) -> Phase {
        self.outgoing().phase()
    }

    fn rests(&self) -> bool {
        self.rests.load(Ordering::Acquire)
    }

    fn parting(&self) -> Option<Parting> {
        Parting::from_bits(self.parting.load(Ordering::Acquire))
    }

    fn note(&self, sent: Sent) -> Sent {
        if sent == Sent::Overflowed {
            self.terms.metrics.slow_consumers.inc();
            self.terms.metrics.close_sent(Some(CloseCode::POLICY.0));
        }
        sent
    }

    /// How full its queue may get just now.
    fn queue_limits(&self) -> QueueLimits {
        let QueueLimits { bytes, frames } = self.terms.queue;
        let bytes = bytes.min(self.terms.budget.free());
        QueueLimits { bytes, frames }
    }

    fn outgoing(&self) -> HeldOutgoing<'_> {
        let outgoing = self
            .outgoing
            .lock()
            .expect("a connection's lock is never poisoned: no code panics while holding it");
        HeldOutgoing {
            queued_bytes: outgoing.queued_bytes(),
            outgoing,
            budget: &self.terms.budget,
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let queued_bytes = self.outgoing().queued_bytes();
        self.terms.budget.changed(queued_bytes, 0);
    }
}

/// The writing half while it is locked; what it then holds more or less, the server's budget is told.
struct HeldOutgoing<'a> {
    outgoing: MutexGuard<'a, Outgoing>,
    queued_bytes: usize,
    budget: &'a Budget,
}

impl Deref for HeldOutgoing<'_> {
    type Target = Outgoing;

    fn deref(&self) -> &Outgoing {
        &self.outgoing
    }
}

impl DerefMut for HeldOutgoing<'_> {
    fn deref_mut(&mut self) -> &mut Outgoing {
        &mut self.outgoing
    }
}

impl Drop for HeldOutgoing<'_> {
    fn drop(&mut self) {
        let queued_bytes = self.outgoing.queued_bytes();
        if queued_bytes != self.queued_bytes {
            self.budget.changed(self.queued_bytes, queued_bytes);
        }
    }
}

/// What a dialect has of a connection: a place to put messages for its peer.
#[derive(Debug, Clone)]
pub(crate) struct Mailbox(Arc<Connection>);

impl Mailbox {
    /// Sends `text` as it is.
    pub(crate) fn text(&self, text: &str) -> Sent {
        self.0.append(wire::OpCode::Text, text.as_bytes())
    }

    /// Sends a message as JSON text.
    pub(crate) fn json(&self, message: &impl Serialize) -> Sent {
        let mut json = buffers::Scratch::for_text();
        serde_json::to_writer::<&mut Vec<u8>, _>(&mut json, message)
            .expect("a message is always JSON, and a Vec takes it");
        self.0.append(wire::OpCode::Text, &json)
    }

    /// Sends a frame, or several one behind the other, that others get as well.
    pub(crate) fn frames(&self, frames: &Bytes) -> Sent {
        self.0.send(frames)
    }

    /// Closes the connection, from wherever this is called.
    pub(crate) fn close(&self, close: &Close) {
        self.0.end(close);
    }

    /// See [`Connection::is_heard`].
    pub(crate) fn is_heard(&self) -> bool {
        self.0.is_heard()
    }

    /// The peer has answered the heartbeat under way, if there is one.
    pub(crate) fn heartbeat_answered(&self) {
        self.0.owes_answer.store(false, Ordering::Release);
    }

    /// When the token runs out by which the peer was let in (common/3g).
    pub(crate) fn expires(&self, at: Timestamp) {
        self.0
            .expires_second
            .store(at.millis().div_ceil(1_000), Ordering::Relaxed);
    }

    /// The connection's name among all there ever were.
    pub(crate) fn id(&self) -> ConnectionId {
        let server = self.0.terms.numbers.server;
        ConnectionId(u128::from(server) << 64 | u128::from(self.0.number))
    }

    /// When the handshake was granted.
    pub(crate) fn since(&self) -> Timestamp {
        self.0.since
    }

    /// Who is at the other end, as far as we believe what we are told.
    pub(crate) fn peer(&self) -> Option<IpAddr> {
        self.0.peer
    }

    /// Sends `bytes` as a binary message.
    pub(crate) fn binary(&self, bytes: &[u8]) -> Sent {
        self.0.append(wire::OpCode::Binary, bytes)
    }
}

/// A connection whose handshake is about to be granted. It has its seat already: a client who has read the 101 misses
/// nothing that everybody is told from then on (echo/9b), and a stop finds it. Dropped, it has never been.
#[derive(Debug)]
pub(crate) struct Expected {
    connection: Arc<Connection>,
    /// How the peer's messages are compressed, if they may be.
    inflated: Option<Half>,
    seat: Seat,
    request: OpenRequest,
    admitted: Admitted,
    hearing: TaskTrackerToken,
}

impl Expected {
    /// Takes a seat in `hub`. `admitted` is given back when TCP has ended, `hearing` as soon as the peer is heard no longer
    /// and what it has said is done; `granted` is what the handshake's answer says of compression.
    pub(crate) fn new(
        hub: &Arc<Hub>,
        terms: &Arc<Terms>,
        request: OpenRequest,
        (admitted, hearing): (Admitted, TaskTrackerToken),
        granted: Option<Granted>,
    ) -> Self {
        let inflated = granted
            .as_ref()
            .map(|granted| granted.negotiated.agreement.client);
        let connection = Arc::new(Connection::expected(Arc::clone(terms), request.peer, granted));
        let seat = hub.seat(&connection);
        Self {
            connection,
            inflated,
            seat,
            request,
            admitted,
            hearing,
        }
    }
}

/// A socket whose 101 has left, with what came behind the handshake in the same reads.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) socket: Socket,
    pub(crate) leftover: Bytes,
}

/// The connection's side of its handshake. The dialect opens first and the 101 leaves then: who has read it is known
/// here, and hears what is meant for him.
#[derive(Debug)]
pub(crate) struct Handshake {
    /// Told once the 101 may leave.
    opened: oneshot::Sender<()>,
    /// Brings the socket when it has; an error means that nothing came of the handshake.
    arriving: oneshot::Receiver<Arrival>,
}

/// The same of whoever answers the handshake.
#[derive(Debug)]
pub(crate) struct Answering {
    /// Ready once the 101 may leave.
    pub(crate) opened: oneshot::Receiver<()>,
    /// Where the socket goes.
    pub(crate) arriving: oneshot::Sender<Arrival>,
}

impl Handshake {
    /// Both sides of a handshake.
    pub(crate) fn new() -> (Self, Answering) {
        let (tell_opened, opened) = oneshot::channel();
        let (arriving, arrival) = oneshot::channel();
        let handshake = Self {
            opened: tell_opened,
            arriving: arrival,
        };
        (handshake, Answering { opened, arriving })
    }
}

/// What a dialect is told of a new connection.
#[derive(Debug, Clone, Default)]
pub(crate) struct OpenRequest {
    /// The query string, not decoded.
    pub(crate) query: Option<String>,
    /// The part of the path that the route leaves open, decoded; empty where it leaves none.
    pub(crate) place: String,
    /// Who asks, as far as we believe what we are told.
    pub(crate) peer: Option<IpAddr>,
}
