//! One second of the run.

use hdrhistogram::Histogram;

use super::Latency;
use super::distribution::{empty, has_bounds_of};
use crate::schedule::Nanos;

/// What happened within one second of the run, on one loop or on all.
#[derive(Debug, Clone)]
pub struct Second {
    /// From `number` to `number + 1` seconds after the start.
    pub number: u32,
    /// Messages handed to sockets.
    pub sent: u64,
    /// Answers and confirmations heard.
    pub answered: u64,
    /// Deliveries heard when they were sent.
    pub delivered: u64,
    /// Heartbeats heard.
    pub heartbeats: u64,
    /// Sessions connected at the second's end.
    pub connected: u32,
    /// Connections after a session's first.
    pub reconnects: u32,
    /// Errors of all kinds.
    pub errors: u64,
    /// Latencies of what ended in it, in µs, with 2 digits, by kind.
    latencies: Box<[Option<Histogram<u32>>; Latency::ALL.len()]>,
}

impl Second {
    /// A second in which nothing has happened yet.
    #[must_use]
    pub fn new(number: u32) -> Self {
        Self {
            number,
            sent: 0,
            answered: 0,
            delivered: 0,
            heartbeats: 0,
            connected: 0,
            reconnects: 0,
            errors: 0,
            latencies: Box::default(),
        }
    }

    /// Whether a histogram that was read back is one of a second.
    pub(crate) fn fits(all: &Histogram<u32>) -> bool {
        has_bounds_of(&empty(2), all)
    }

    /// Adds what another loop saw in the same second.
    pub fn merge(&mut self, other: &Self) {
        self.sent += other.sent;
        self.answered += other.answered;
        self.delivered += other.delivered;
        self.heartbeats += other.heartbeats;
        self.connected += other.connected;
        self.reconnects += other.reconnects;
        self.errors += other.errors;
        for (own, other) in self.latencies.iter_mut().zip(other.latencies.iter()) {
            match (own.as_mut(), other) {
                (_, None) => {}
                (None, Some(_)) => own.clone_from(other),
                (Some(own), Some(other)) => own.add(other).expect("all seconds have the same bounds"),
            }
        }
    }

    /// The latencies of `latency` that ended in it, in µs, within 1 %; `None` if none did.
    #[must_use]
    pub fn latency(&self, latency: Latency) -> Option<&Histogram<u32>> {
        self.latencies[latency as usize].as_ref()
    }

    pub(super) fn record(&mut self, latency: Latency, nanoseconds: Nanos) {
        self.latencies[latency as usize]
            .get_or_insert_with(|| empty(2))
            .saturating_record(nanoseconds.div_ceil(1_000));
    }
}
