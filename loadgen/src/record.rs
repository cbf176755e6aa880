//! What one event loop records: samples in, histograms and counters out.
//!
//! A recorder belongs to one thread and is never shared; its parts are merged when the run is over (totals) and once
//! a second (the time series). Histograms are made when first used.

mod distribution;
mod errors;
mod second;
mod traffic;

use crate::ledger::Timing;
use crate::schedule::Nanos;

pub use distribution::Distribution;
pub use errors::{ErrorKind, Errors};
pub use second::Second;
pub use traffic::{Bytes, Traffic};

/// A measured kind of waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Latency {
    /// From the instant a session was to connect to the end of its handshake.
    Connect,
    /// From the instant a session was to arrive, or to come back with another token, to the token it was given.
    Login,
    /// The same as `connect` for a session that comes back, from the end of its back-off.
    Resume,
    /// From the intended send to the answer.
    Answer,
    /// From the intended send to the server's confirmation that it has the message.
    Confirm,
    /// From the intended send to each of those whom the message is for, as it was sent; what is read back later is no
    /// latency.
    Delivery,
    /// How much the gap between two heartbeats of one connection differs from the gap before it: jitter, and no business of
    /// how long the interval is.
    Heartbeat,
}

impl Latency {
    /// All, in the order in which reports list them.
    pub const ALL: [Self; 7] = [
        Self::Connect,
        Self::Login,
        Self::Resume,
        Self::Answer,
        Self::Confirm,
        Self::Delivery,
        Self::Heartbeat,
    ];

    /// The name in thresholds and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Login => "login",
            Self::Resume => "resume",
            Self::Answer => "answer",
            Self::Confirm => "confirm",
            Self::Delivery => "delivery",
            Self::Heartbeat => "heartbeat",
        }
    }

    /// What it is, for whoever reads a report.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Connect => "from when a session was to connect to its open WebSocket",
            Self::Login => "from when a session was to arrive to its token",
            Self::Resume => "like connect, for a session that comes back, after its back-off",
            Self::Answer => "from when a message was to be sent to its answer",
            Self::Confirm => "from when a message was to be sent to the server's word that it has it",
            Self::Delivery => "from when a message was to be sent to each of those whom it is for",
            Self::Heartbeat => "jitter: how much a gap between two heartbeats differs from the gap before",
        }
    }
}

/// Something that was done at `sent`, was meant to be done at `intended`, and had its effect at `answered`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// When it should have been done, and when it was.
    pub timing: Timing,
    /// When its effect was seen.
    pub answered: Nanos,
}

/// A latency and, where there is an intended instant, the service time from the actual one.
#[derive(Debug, Clone, Default)]
pub struct Measured {
    /// From the intended instant.
    pub latency: Distribution,
    /// From the actual one. Empty for heartbeats, which nobody intends.
    pub service_time: Distribution,
}

impl Measured {
    fn record(&mut self, sample: Sample) {
        let Timing { intended, sent } = sample.timing;
        self.latency.record(sample.answered.saturating_sub(intended));
        self.service_time.record(sample.answered.saturating_sub(sent));
    }

    /// Adds another's values.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.latency.merge(&other.latency);
        self.service_time.merge(&other.service_time);
    }
}

/// Everything one loop has seen.
#[derive(Debug)]
pub struct Recorder {
    measured: [Measured; Latency::ALL.len()],
    /// By the act's place in its protocol; as long as the last that was measured.
    acts: Vec<Measured>,
    /// Actual minus intended send.
    pub send_lag: Distribution,
    /// How late the loop's own ticks came.
    pub loop_lag: Distribution,
    /// Sends later than [`LATE_SEND`] after their intended instant.
    pub late_sends: u64,
    /// Sends that fell due while their session was not connected: a user cannot send then either.
    pub skipped_sends: u64,
    /// Sends that were due and for which there was no time, until one deadline after the end.
    pub unsent: u64,
    /// From the instant a storm dropped a session to its next connection, back-off included.
    pub recovery: Distribution,
    /// Connections after a session's first.
    pub reconnects: u64,
    /// Connections that ended without this side having ended them.
    pub unexpected_closes: u64,
    /// Heartbeats heard.
    pub heartbeats: u64,
    /// Other things the server said of its own accord.
    pub pushes: u64,
    /// By kind.
    pub errors: Errors,
    /// What all that took; set when the loop is over.
    pub traffic: Traffic,
    /// The second under way.
    pub second: Second,
}

/// A send this much after its intended instant is counted as late, in nanoseconds.
pub const LATE_SEND: Nanos = 10_000_000;

impl Default for Recorder {
    fn default() -> Self {
        Self {
            measured: Default::default(),
            acts: Vec::new(),
            send_lag: Distribution::default(),
            loop_lag: Distribution::default(),
            late_sends: 0,
            skipped_sends: 0,
            unsent: 0,
            recovery: Distribution::default(),
            reconnects: 0,
            unexpected_closes: 0,
            heartbeats: 0,
            pushes: 0,
            errors: Errors::default(),
            traffic: Traffic::default(),
            second: Second::new(0),
        }
    }
}

impl Recorder {
    /// What was measured of `latency`.
    #[must_use]
    pub fn measured(&self, latency: Latency) -> &Measured {
        &self.measured[latency as usize]
    }

    /// What was measured of the protocol's act at this place; `None` if nothing was.
    #[must_use]
    pub fn act(&self, act: usize) -> Option<&Measured> {
        self.acts.get(act)
    }

    /// Notes that an act had its effect.
    pub fn acted(&mut self, act: usize, sample: Sample) {
        if self.acts.len() <= act {
            self.acts.resize_with(act + 1, Measured::default);
        }
        self.acts[act].record(sample);
    }

    /// Notes a message handed to its socket.
    pub fn sent(&mut self, timing: Timing) {
        let lag = timing.sent.saturating_sub(timing.intended);
        self.send_lag.record(lag);
        self.late_sends += u64::from(lag > LATE_SEND);
        self.second.sent += 1;
    }

    /// Notes a finished sample.
    pub fn sample(&mut self, latency: Latency, sample: Sample) {
        let from_intended = sample.answered.saturating_sub(sample.timing.intended);
        self.measured[latency as usize].record(sample);
        self.second.record(latency, from_intended);
    }

    /// Notes that an answer was heard, timed or not.
    pub fn answered(&mut self) {
        self.second.answered += 1;
    }

    /// Notes that a message of somebody else was heard when it was sent.
    pub fn delivered(&mut self) {
        self.second.delivered += 1;
    }

    /// Notes a heartbeat and, from a connection's third on, its jitter.
    pub fn heartbeat(&mut self, jitter: Option<Nanos>) {
        self.heartbeats += 1;
        self.second.heartbeats += 1;
        if let Some(jitter) = jitter {
            self.measured[Latency::Heartbeat as usize].latency.record(jitter);
            self.second.record(Latency::Heartbeat, jitter);
        }
    }

    /// Counts an error.
    pub fn error(&mut self, kind: ErrorKind, count: u64) {
        self.errors.add(kind, count);
        self.second.errors += count;
    }

    /// Ends the second under way, with `connected` sessions at its end.
    pub fn next_second(&mut self, connected: u32) -> Second {
        self.second.connected = connected;
        let next = Second::new(self.second.number + 1);
        std::mem::replace(&mut self.second, next)
    }

    /// Adds what another loop recorded. The seconds are not part of it: they were handed out one by one.
    pub fn merge(&mut self, other: &Self) {
        for (own, other) in self.measured.iter_mut().zip(&other.measured) {
            own.merge(other);
        }
        if self.acts.len() < other.acts.len() {
            self.acts.resize_with(other.acts.len(), Measured::default);
        }
        for (own, other) in self.acts.iter_mut().zip(&other.acts) {
            own.merge(other);
        }
        self.send_lag.merge(&other.send_lag);
        self.loop_lag.merge(&other.loop_lag);
        self.late_sends += other.late_sends;
        self.skipped_sends += other.skipped_sends;
        self.unsent += other.unsent;
        self.recovery.merge(&other.recovery);
        self.reconnects += other.reconnects;
        self.unexpected_closes += other.unexpected_closes;
        self.heartbeats += other.heartbeats;
        self.pushes += other.pushes;
        self.errors.merge(&other.errors);
        self.traffic.add(&other.traffic);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Nanos = 1_000_000;

    fn sample(intended: Nanos, sent: Nanos, answered: Nanos) -> Sample {
        Sample {
            timing: Timing { intended, sent },
            answered,
        }
    }

    #[test]
    fn latency_starts_at_the_intended_instant_and_service_time_at_the_actual_one() {
        let mut recorder = Recorder::default();
        recorder.sample(Latency::Answer, sample(0, 40 * MS, 50 * MS));
        let Measured {
            latency,
            service_time,
        } = recorder.measured(Latency::Answer);
        assert_eq!(
            latency.quantile_ms(0.5),
            Some(50.015),
            "50 ms within three digits"
        );
        assert_eq!(service_time.max_ms(), Some(10.007), "10 ms within three digits");
        assert_eq!(recorder.measured(Latency::Connect).latency.quantile_ms(0.5), None);
    }

    #[test]
    fn nothing_is_lost_in_a_merge() {
        let mut all = Recorder::default();
        for from in [0, 500] {
            let mut one = Recorder::default();
            for millisecond in from..from + 500 {
                one.sample(Latency::Answer, sample(0, 0, millisecond * MS));
                one.sent(Timing {
                    intended: 0,
                    sent: millisecond * MS,
                });
            }
            one.error(ErrorKind::Closed, 3);
            one.heartbeat(None);
            one.heartbeat(Some(MS));
            all.merge(&one);
        }
        let answers = &all.measured(Latency::Answer).latency;
        assert_eq!(answers.count(), 1_000);
        let p90 = answers.quantile_ms(0.9).unwrap();
        assert!((899.0..=900.0).contains(&p90), "{p90}");
        assert_eq!(
            (all.late_sends, all.heartbeats, all.errors.of(ErrorKind::Closed)),
            (1_000 - 11, 4, 6)
        );
        assert_eq!(all.errors.seen().collect::<Vec<_>>(), [(ErrorKind::Closed, 6)]);
    }

    #[test]
    fn a_second_ends_with_its_figures_and_the_next_begins_empty() {
        let mut recorder = Recorder::default();
        recorder.sent(Timing { intended: 0, sent: 0 });
        recorder.answered();
        recorder.sample(Latency::Answer, sample(0, 0, 2 * MS));
        let first = recorder.next_second(7);
        assert_eq!(
            (first.number, first.sent, first.answered, first.connected),
            (0, 1, 1, 7)
        );
        let p99 = |second: &Second| {
            let answers = second.latency(Latency::Answer)?;
            Some(answers.value_at_quantile(0.99) as f64 / 1e3)
        };
        assert!((1.98..2.02).contains(&p99(&first).unwrap()));
        let second = recorder.next_second(7);
        assert_eq!((second.number, second.sent, p99(&second)), (1, 0, None));
    }
}
