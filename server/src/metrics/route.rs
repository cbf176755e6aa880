//! What is counted of each dialect. The handles are found once, when a route is set up; counting is a relaxed add.

use std::fmt::Write as _;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use touchstone_protocol::Dialect;

use super::Latency;
use crate::hub::Hub;

/// Whose connections are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Spoken {
    Dialect(Dialect),
    /// The route that is no dialect.
    RawEcho,
}

impl EncodeLabelValue for Spoken {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> std::fmt::Result {
        encoder.write_str(match self {
            Self::Dialect(dialect) => dialect.name(),
            Self::RawEcho => "raw-echo",
        })
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfDialect {
    dialect: Spoken,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfClose {
    dialect: Spoken,
    code: Code,
}

/// A close code as a label. Clients may send thousands of them, and a label for each would be theirs to fill our memory
/// with; so those that no rule names are one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Code {
    Absent,
    Named(u16),
    Other,
}

impl From<Option<u16>> for Code {
    fn from(code: Option<u16>) -> Self {
        match code {
            None => Self::Absent,
            Some(code @ (1000..=1014 | 4000..=4005 | 4408 | 4429)) => Self::Named(code),
            Some(_) => Self::Other,
        }
    }
}

impl EncodeLabelValue for Code {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> std::fmt::Result {
        match self {
            Self::Absent => encoder.write_str("none"),
            Self::Named(code) => write!(encoder, "{code}"),
            Self::Other => encoder.write_str("other"),
        }
    }
}

/// Why a handshake was not granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Refused {
    /// It is no handshake of RFC 6455.
    Malformed,
    Origin,
    Connections,
    ConnectionsOfAddress,
    ConnectionsOfUser,
    Stopping,
    Draining,
    /// The client has gone before it was answered.
    Unanswered,
}

impl EncodeLabelValue for Refused {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> std::fmt::Result {
        encoder.write_str(match self {
            Self::Malformed => "malformed",
            Self::Origin => "origin",
            Self::Connections => "connections",
            Self::ConnectionsOfAddress => "connections_of_address",
            Self::ConnectionsOfUser => "connections_of_user",
            Self::Stopping => "stopping",
            Self::Draining => "draining",
            Self::Unanswered => "unanswered",
        })
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfRefusal {
    dialect: Spoken,
    reason: Refused,
}

/// All of it, for every dialect.
#[derive(Debug, Clone, Default)]
pub(super) struct Families {
    open: Family<OfDialect, Gauge>,
    opened: Family<OfDialect, Counter>,
    closed: Family<OfDialect, Counter>,
    received: Family<OfDialect, Counter>,
    sent: Family<OfDialect, Counter>,
    closes_sent: Family<OfClose, Counter>,
    closes_received: Family<OfClose, Counter>,
    refused: Family<OfRefusal, Counter>,
    slow_consumers: Family<OfDialect, Counter>,
    rate_limited: Family<OfDialect, Counter>,
    panics: Family<OfDialect, Counter>,
    hearing: Family<OfDialect, Latency>,
    fanning_out: Family<OfDialect, Latency>,
    waiting_bytes: Family<OfDialect, Gauge>,
    waiting_bytes_most: Family<OfDialect, Gauge>,
    waiting_frames: Family<OfDialect, Gauge>,
    inbox: Family<OfDialect, Gauge>,
}

impl Families {
    pub(super) fn register(&self, registry: &mut Registry) {
        let gauges = [
            ("touchstone_connections", "Open WebSocket connections", &self.open),
            (
                "touchstone_queued_bytes",
                "Bytes that wait for peers to take them",
                &self.waiting_bytes,
            ),
            (
                "touchstone_queued_bytes_most",
                "Bytes that wait for the peer for whom most wait",
                &self.waiting_bytes_most,
            ),
            (
                "touchstone_queued_pieces",
                "Frames, or several joined, that wait for peers to take them",
                &self.waiting_frames,
            ),
            (
                "touchstone_bus_inbox_payloads",
                "Payloads from the bus that wait to be handed on",
                &self.inbox,
            ),
        ];
        for (name, help, family) in gauges {
            registry.register(name, help, family.clone());
        }
        let counters = [
            (
                "touchstone_connections_opened",
                "Connections opened",
                &self.opened,
            ),
            ("touchstone_connections_closed", "Connections ended", &self.closed),
            (
                "touchstone_messages_received",
                "Messages received",
                &self.received,
            ),
            (
                "touchstone_messages_sent",
                "Messages written or queued",
                &self.sent,
            ),
            (
                "touchstone_slow_consumers",
                "Connections closed 1008 because too much waited for them",
                &self.slow_consumers,
            ),
            (
                "touchstone_rate_limited",
                "Connections closed 4429 because they sent too much",
                &self.rate_limited,
            ),
            ("touchstone_panics", "Handlers that panicked", &self.panics),
        ];
        for (name, help, family) in counters {
            registry.register(name, help, family.clone());
        }
        let closes = [
            ("touchstone_closes_sent", "Close frames sent", &self.closes_sent),
            (
                "touchstone_closes_received",
                "Close frames received",
                &self.closes_received,
            ),
        ];
        for (name, help, family) in closes {
            registry.register(name, help, family.clone());
        }
        let refusals = "Handshakes answered by an error status";
        registry.register("touchstone_handshakes_refused", refusals, self.refused.clone());
        let latencies = [
            (
                "touchstone_hear_seconds",
                "From a message to all that the dialect does about it",
                &self.hearing,
            ),
            (
                "touchstone_fan_out_seconds",
                "From a batch of the bus to the sockets of all it is for",
                &self.fanning_out,
            ),
        ];
        for (name, help, family) in latencies {
            registry.register(name, help, family.clone());
        }
    }

    pub(super) fn of(&self, dialect: Spoken) -> RouteMetrics {
        let label = OfDialect { dialect };
        let counter = |family: &Family<OfDialect, Counter>| family.get_or_create_owned(&label);
        let gauge = |family: &Family<OfDialect, Gauge>| family.get_or_create_owned(&label);
        RouteMetrics {
            dialect,
            open: gauge(&self.open),
            opened: counter(&self.opened),
            closed: counter(&self.closed),
            received: counter(&self.received),
            sent: counter(&self.sent),
            slow_consumers: counter(&self.slow_consumers),
            rate_limited: counter(&self.rate_limited),
            panics: counter(&self.panics),
            hearing: self.hearing.get_or_create_owned(&label),
            fanning_out: self.fanning_out.get_or_create_owned(&label),
            waiting_bytes: gauge(&self.waiting_bytes),
            waiting_bytes_most: gauge(&self.waiting_bytes_most),
            waiting_frames: gauge(&self.waiting_frames),
            inbox: gauge(&self.inbox),
            families: self.clone(),
        }
    }
}

/// What is counted of one dialect.
#[derive(Debug, Clone)]
pub(crate) struct RouteMetrics {
    dialect: Spoken,
    pub(crate) open: Gauge,
    pub(crate) opened: Counter,
    pub(crate) closed: Counter,
    pub(crate) received: Counter,
    pub(crate) sent: Counter,
    pub(crate) slow_consumers: Counter,
    pub(crate) rate_limited: Counter,
    pub(crate) panics: Counter,
    /// From a message to the end of what the dialect does about it.
    pub(crate) hearing: Latency,
    /// From a batch of the bus to its last socket.
    pub(crate) fanning_out: Latency,
    /// The gauges from here on are set when somebody looks.
    pub(crate) waiting_bytes: Gauge,
    pub(crate) waiting_bytes_most: Gauge,
    pub(crate) waiting_frames: Gauge,
    pub(crate) inbox: Gauge,
    /// For what is counted once in the life of a connection, by a label that is not known before.
    families: Families,
}

impl RouteMetrics {
    /// Whose these are.
    pub(crate) fn spoken(&self) -> Spoken {
        self.dialect
    }

    /// Sets the gauges of what waits for the peers in `hub`.
    pub(crate) fn measure(&self, hub: &Hub) {
        let (mut bytes, mut most, mut frames) = (0, 0, 0);
        hub.for_each(|connection| {
            let waiting = connection.waiting_bytes();
            bytes += waiting;
            most = most.max(waiting);
            frames += connection.waiting_pieces();
        });
        self.waiting_bytes.set(bytes as i64);
        self.waiting_bytes_most.set(most as i64);
        self.waiting_frames.set(frames as i64);
    }

    /// A close frame is sent.
    pub(crate) fn close_sent(&self, code: Option<u16>) {
        self.families
            .closes_sent
            .get_or_create(&self.of_close(code))
            .inc();
    }

    /// A close frame has come.
    pub(crate) fn close_received(&self, code: Option<u16>) {
        self.families
            .closes_received
            .get_or_create(&self.of_close(code))
            .inc();
    }

    /// A handshake is answered by an error status.
    pub(crate) fn refused(&self, reason: Refused) {
        let label = OfRefusal {
            dialect: self.dialect,
            reason,
        };
        self.families.refused.get_or_create(&label).inc();
    }

    fn of_close(&self, code: Option<u16>) -> OfClose {
        OfClose {
            dialect: self.dialect,
            code: code.into(),
        }
    }
}
