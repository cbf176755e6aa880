//! One simulated session: what it knows, what it hears, what it says. No waiting is decided here.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use touchstone_protocol::client::{self, ClientHalf, Comeback, Draft, Key, Next, Stamp};
use touchstone_protocol::close::CloseCode;
use touchstone_protocol::defaults;
use touchstone_wire::{Binary, Event, OpCode, Receiver, Role, Rules};

use super::connect::Connected;
use super::hearing::Hearing;
use super::outgoing::Outgoing;
use crate::ledger::Timing;
use crate::record::{ErrorKind, Recorder};
use crate::schedule::{Nanos, Sends};

/// An answer carries what was sent and some JSON around it, escaped at worst sixfold.
const RULES: Rules = Rules {
    message_bytes_max: 8 * defaults::MESSAGE_BYTES_MAX,
    binary: Binary::Refused,
};

/// Buffers shared by all sessions of a loop: none of them holds anything between two turns.
pub(crate) struct Scratch {
    read: Box<[u8]>,
    pub(super) frame: Vec<u8>,
    draft: Draft,
    pub(super) chance: fastrand::Rng,
}

impl Scratch {
    pub(crate) fn new(chance: fastrand::Rng) -> Self {
        Self {
            read: vec![0; 64 << 10].into_boxed_slice(),
            frame: Vec::new(),
            draft: Draft::default(),
            chance,
        }
    }

    pub(crate) fn jitter(&mut self) -> f64 {
        self.chance.f64()
    }

    pub(crate) fn handshake_key(&mut self) -> [u8; 16] {
        self.chance.u128(..).to_ne_bytes()
    }
}

/// What a turn may use of its loop.
pub(crate) struct Turn<'a> {
    pub(crate) now: Nanos,
    pub(crate) deadline: Nanos,
    pub(crate) recorder: &'a mut Recorder,
    pub(crate) scratch: &'a mut Scratch,
}

/// Why a connection is no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// A storm took it.
    Cut,
    /// This side said goodbye and the server closed.
    Farewell,
    /// The server closed it, and may have said when to come back.
    Closed {
        code: Option<u16>,
        advice: Option<Duration>,
    },
    /// It ended without a close frame.
    Dropped,
    /// The server broke the protocol.
    Violated,
}

impl End {
    /// What it counts as, if it counts.
    pub(crate) fn error(self) -> Option<ErrorKind> {
        match self {
            Self::Cut | Self::Farewell => None,
            Self::Closed { .. } => Some(ErrorKind::Closed),
            Self::Dropped => Some(ErrorKind::Dropped),
            Self::Violated => Some(ErrorKind::Protocol),
        }
    }

    /// Whether this client comes back after it, and after how long at least.
    pub(crate) fn comes_back(self, client: &impl ClientHalf) -> Option<Option<Duration>> {
        match self {
            Self::Farewell => None,
            Self::Cut | Self::Dropped | Self::Violated => Some(None),
            Self::Closed { code, advice } => match client.comeback(code) {
                Comeback::Never => None,
                Comeback::Again | Comeback::WithNewToken => Some(advice),
            },
        }
    }
}

/// Where a session stands between connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Its arrival is still to come.
    NotArrived,
    /// It is connecting for the first time, or again.
    Away {
        /// Since when it is missing: its arrival, or the end of its last connection.
        since: Nanos,
        /// A storm took it, and wants it back by then.
        due_back: Option<Nanos>,
    },
    /// It is connected.
    Here,
    /// It does not come back.
    Gone,
}

struct Connection<S> {
    outgoing: Outgoing<S>,
    receiver: Receiver,
    farewell: Farewell,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Farewell {
    Unsaid,
    Said,
}

/// A simulated session, over all its connections.
pub(crate) struct Session<C, S> {
    pub(crate) client: C,
    pub(crate) hearing: Hearing,
    pub(crate) sends: Option<Sends>,
    pub(crate) standing: Standing,
    /// Connections that stood so far.
    pub(crate) connections: u32,
    connection: Option<Connection<S>>,
    /// Of the task that reads this session; whoever changes the session from outside wakes it.
    waker: Waker,
}

impl<C: ClientHalf, S: AsyncRead + AsyncWrite + Unpin> Session<C, S> {
    pub(crate) fn new(sender: u64, client: C, sends: Option<Sends>) -> Self {
        Self {
            client,
            hearing: Hearing::new(sender),
            sends,
            standing: Standing::NotArrived,
            connections: 0,
            connection: None,
            waker: Waker::noop().clone(),
        }
    }

    /// By when a storm wants it back, while it is away.
    pub(crate) fn due_back(&self) -> Option<Nanos> {
        match self.standing {
            Standing::Away { due_back, .. } => due_back,
            Standing::NotArrived | Standing::Here | Standing::Gone => None,
        }
    }

    /// Takes over a connection that stands. What came with the handshake is heard at once.
    pub(crate) fn opened(&mut self, connected: Connected<S>, turn: &mut Turn<'_>) -> Option<End> {
        self.connection = Some(Connection {
            outgoing: Outgoing::new(connected.stream),
            receiver: Receiver::new(Role::Client, RULES),
            farewell: Farewell::Unsaid,
        });
        self.connections += 1;
        self.standing = Standing::Here;
        self.hearing.opened();
        if connected.leftover.is_empty() {
            return None;
        }
        self.hear(&mut Vec::from(connected.leftover), turn)
    }

    /// Ends the connection, if there is one.
    pub(crate) fn ended(&mut self, now: Nanos, due_back: Option<Nanos>) {
        self.connection = None;
        self.hearing.ledger.ended();
        // A storm may have set it already, and knows by when.
        if let Standing::Here | Standing::NotArrived = self.standing {
            self.standing = Standing::Away { since: now, due_back };
        }
    }

    /// Drops the connection without a word. `false` if there was none.
    pub(crate) fn cut(&mut self, now: Nanos, due_back: Nanos) -> bool {
        let had = self.connection.take().is_some();
        if had {
            self.ended(now, Some(due_back));
            self.waker.wake_by_ref();
        }
        had
    }

    /// Sends the next message.
    pub(crate) fn send(&mut self, intended: Nanos, content_bytes: usize, turn: &mut Turn<'_>) {
        let Some(connection) = &mut self.connection else {
            turn.recorder.skipped_sends += 1;
            return;
        };
        if connection.outgoing.is_full() {
            turn.recorder.error(ErrorKind::NotSent, 1);
            return;
        }
        let stamp = Stamp {
            key: Key {
                sender: self.hearing.sender,
                sequence: self.hearing.ledger.next_sequence(),
            },
            intended_micros: intended / 1_000,
            lag_micros: turn.now.saturating_sub(intended) / 1_000,
        };
        let Scratch {
            frame, draft, chance, ..
        } = &mut *turn.scratch;
        let asked = client::Turn {
            act: 0,
            stamp,
            content_bytes,
            recipient: 0,
        };
        let text = match self.client.act(asked, draft) {
            Next::Send(text) => text,
            // A user who says nothing of his own owes no answer and is owed none.
            Next::Request(_) | Next::Inject { .. } | Next::Nothing => return,
        };
        let timing = Timing {
            intended,
            sent: turn.now,
        };
        self.hearing.ledger.sent(timing, turn.deadline);
        turn.recorder.sent(timing);
        connection
            .outgoing
            .frame(frame, chance, OpCode::Text, text.as_bytes(), &self.waker);
    }

    /// Whether it came back and has said nothing since.
    pub(crate) fn is_silent_since_return(&self) -> bool {
        let Standing::Here = self.standing else {
            return false;
        };
        self.connections > 1 && self.hearing.ledger.is_silent_since_open()
    }

    /// Says goodbye; the connection ends when the server has answered. `false` if there is none.
    pub(crate) fn say_farewell(&mut self, turn: &mut Turn<'_>) -> bool {
        let Some(connection) = &mut self.connection else {
            return false;
        };
        connection.farewell = Farewell::Said;
        connection
            .outgoing
            .close(turn.scratch, CloseCode::NORMAL.0, "", &self.waker);
        true
    }

    /// Writes what waits and hears what has arrived, until the socket has no more.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, turn: &mut Turn<'_>) -> Poll<End> {
        if !self.waker.will_wake(cx.waker()) {
            self.waker = cx.waker().clone();
        }
        // The buffer is the loop's; it is lent to this session for the turn.
        let mut buffer = std::mem::take(&mut turn.scratch.read);
        let polled = self.poll_with(&mut buffer, cx, turn);
        turn.scratch.read = buffer;
        polled
    }

    fn poll_with(&mut self, buffer: &mut [u8], cx: &mut Context<'_>, turn: &mut Turn<'_>) -> Poll<End> {
        loop {
            let Some(connection) = &mut self.connection else {
                return Poll::Ready(End::Cut);
            };
            connection.outgoing.flush(cx);
            let mut read = ReadBuf::new(buffer);
            match Pin::new(&mut connection.outgoing.stream).poll_read(cx, &mut read) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) if !read.filled().is_empty() => {
                    if let Some(end) = self.hear(read.filled_mut(), turn) {
                        return Poll::Ready(end);
                    }
                }
                Poll::Ready(Ok(()) | Err(_)) => {
                    return Poll::Ready(match connection.farewell {
                        Farewell::Said => End::Farewell,
                        Farewell::Unsaid => End::Dropped,
                    });
                }
            }
        }
    }

    fn hear(&mut self, bytes: &mut [u8], turn: &mut Turn<'_>) -> Option<End> {
        let Connection {
            outgoing,
            receiver,
            farewell,
        } = self.connection.as_mut()?;
        let mut at = 0;
        loop {
            let step = match receiver.next(&mut bytes[at..]) {
                Ok(step) => step,
                Err(violation) => {
                    outgoing.close(
                        turn.scratch,
                        violation.close_code(),
                        violation.reason(),
                        &self.waker,
                    );
                    return Some(End::Violated);
                }
            };
            at += step.consumed;
            match step.event? {
                Event::Text(text) => {
                    let reply = self.hearing.text(&mut self.client, text, turn);
                    if let Some(reply) = reply {
                        outgoing.reply(turn.scratch, OpCode::Text, reply.as_bytes(), &self.waker);
                    }
                }
                Event::Ping(payload) => outgoing.reply(turn.scratch, OpCode::Pong, payload, &self.waker),
                Event::Pong(_) | Event::Binary(_) => {}
                Event::Close(close) => {
                    return match farewell {
                        // Ours is answered; TCP's end is still to come.
                        Farewell::Said => None,
                        Farewell::Unsaid => Some(outgoing.closed(close, turn.scratch, &self.waker)),
                    };
                }
            }
        }
    }
}
