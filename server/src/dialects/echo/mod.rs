//! The dialect `echo`: every message is counted and comes back, sessions go on where they were (spec `echo.md`).

mod admin;
pub(crate) mod http;
mod sessions;
mod store;

use std::sync::Arc;

use bytes::Bytes;
use touchstone_protocol::close::{CloseCode, REASON_SESSION_ID_TOO_LONG};
use touchstone_protocol::echo::messages::{Answer, Broadcast, Farewell, Heartbeat, KeptMessage, to_json};
use touchstone_protocol::echo::{QUERY_PERSISTENCE, QUERY_SESSION};
use touchstone_storage::{Bus, BusError, Payload, SessionStore};
use touchstone_wire as wire;

use crate::clock::Clock;
use crate::connection::{Close, Mailbox, OpenRequest, Sent};
use crate::dialects::{DialectServer, Heard};
use crate::faults::Faults;
use crate::hub::Hub;
use crate::metrics::Metrics;
use crate::query::Query;
use crate::relay::{Hears, Relays};
pub(crate) use sessions::Sessions;
use sessions::Tracked;
pub(crate) use store::Kept;

/// Where broadcasts travel between nodes.
const TOPIC_BROADCAST: &str = "echo:broadcast";

/// The rules of `echo` over any store and bus.
#[derive(Debug)]
pub(crate) struct Echo<S, B> {
    pub(crate) sessions: Arc<Sessions<S>>,
    pub(crate) bus: B,
    pub(crate) relays: Relays,
    pub(crate) hub: Arc<Hub>,
    pub(crate) clock: Clock,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) faults: Arc<Faults>,
    pub(crate) session_id_chars_max: usize,
    pub(crate) log_messages: bool,
    /// The longest broadcast.
    pub(crate) told_bytes_max: usize,
}

/// What one connection counts.
#[derive(Debug)]
pub(crate) enum Counting {
    /// Its own messages.
    Alone { count: u64 },
    /// A session's, and keeps them or not.
    Session { tracked: Arc<Tracked>, keep: Keep },
}

/// Whether a session's messages are kept (echo/7a).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    Count,
    CountAndMessages,
}

impl Counting {
    fn count(&self) -> u64 {
        match self {
            Self::Alone { count } => *count,
            Self::Session { tracked, .. } => tracked.count(),
        }
    }

    fn session_id(&self) -> &str {
        match self {
            Self::Alone { .. } => "",
            Self::Session { tracked, .. } => tracked.id(),
        }
    }
}

impl<S: SessionStore, B: Bus> Echo<S, B> {
    /// Tells every open connection, on every node.
    pub(crate) async fn broadcast(&self, broadcast: &Broadcast) -> Result<(), BusError> {
        self.bus
            .publish(TOPIC_BROADCAST, Bytes::from(to_json(broadcast)))
            .await
    }

    /// From now on broadcasts are heard, and handed on to the connections of this node.
    pub(crate) async fn listen(&self) -> Result<(), BusError> {
        self.relays.tune(&self.bus, TOPIC_BROADCAST).await
    }

    fn sent(&self, sent: Sent) {
        if sent == Sent::Taken {
            self.metrics.messages_sent.inc();
        }
    }
}

impl<S: SessionStore, B: Bus> DialectServer for Echo<S, B> {
    type Session = Counting;

    async fn open(&self, request: OpenRequest, _mailbox: &Mailbox) -> Result<Counting, Close> {
        let query = Query::new(request.query.as_deref());
        let counting = match query.get(QUERY_SESSION) {
            None => Counting::Alone { count: 0 },
            Some(id) if id.chars().count() > self.session_id_chars_max => {
                return Err(Close::new(CloseCode::POLICY, REASON_SESSION_ID_TOO_LONG));
            }
            Some(id) => {
                let keeps = query
                    .get(QUERY_PERSISTENCE)
                    .is_some_and(|value| value.eq_ignore_ascii_case("true"));
                let keep = if keeps {
                    Keep::CountAndMessages
                } else {
                    Keep::Count
                };
                Counting::Session {
                    tracked: self.sessions.open(&id).await,
                    keep,
                }
            }
        };
        self.metrics.connections_opened.inc();
        self.metrics.active_connections.inc();
        Ok(counting)
    }

    async fn hear(&self, counting: &mut Counting, heard: Heard<'_>, mailbox: &Mailbox) -> Result<(), Close> {
        self.metrics.messages_received.inc();
        self.faults.handler();
        let text = match heard {
            Heard::Text(text) => text,
            Heard::Binary(bytes) => std::str::from_utf8(bytes)
                .map_err(|_| Close::new(CloseCode::INVALID_PAYLOAD, "binary message is not UTF-8"))?,
        };
        let count = match counting {
            Counting::Alone { count } => {
                *count += 1;
                *count
            }
            Counting::Session { tracked, keep } => {
                let now = self.clock.now();
                let kept = match keep {
                    Keep::Count => None,
                    Keep::CountAndMessages => {
                        Some(to_json(&KeptMessage::new(text, tracked.id(), now.millis())))
                    }
                };
                // Stored before it is answered: an answered message is a kept message (echo/7d).
                self.sessions.advance(tracked, kept, now).await
            }
        };
        if self.log_messages {
            tracing::info!(
                event = "ws_receive",
                session_id = counting.session_id(),
                count,
                "ws_receive"
            );
        }
        self.sent(mailbox.json(&Answer::new(count, text)));
        Ok(())
    }

    fn heartbeat(&self) -> Bytes {
        wire::server_text(&to_json(&Heartbeat::at(self.clock.now().millis())))
    }

    fn note_sent(&self, messages: u64) {
        self.metrics.messages_sent.inc_by(messages);
    }

    fn farewell(&self, counting: &mut Counting, mailbox: &Mailbox) {
        self.sent(mailbox.json(&Farewell::new(counting.count())));
    }

    async fn closed(&self, counting: Counting) {
        self.metrics.active_connections.dec();
        self.metrics.connections_closed.inc();
        if let Counting::Session { tracked, .. } = counting {
            self.sessions.close(&tracked, self.clock.now()).await;
        }
    }
}

impl<S: SessionStore, B: Bus> Hears for Echo<S, B> {
    async fn heard(&self, batch: &[Payload]) {
        let mut frames = Vec::new();
        for payload in batch {
            wire::encode_unmasked(&mut frames, wire::OpCode::Text, &payload.bytes);
        }
        let taken = self.hub.broadcast(&Bytes::from(frames)).await;
        self.metrics.messages_sent.inc_by(taken * batch.len() as u64);
    }
}
