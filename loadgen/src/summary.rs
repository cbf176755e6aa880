//! A finished run as plain data. What it looks like is decided elsewhere.

pub mod strain;
mod subject;

use std::time::{Duration, SystemTime};

use hdrhistogram::Histogram;
use touchstone_protocol::client::{Act, Effect};
use touchstone_report::document::Verdict;

use crate::engine::{LoopReport, SessionCounts, StormCounts};
use crate::json;
use crate::ledger::Totals;
use crate::ledger::book::Book;
use crate::ledger::reckon::{Beside, Terms};
use crate::observe::Observed;
use crate::plan::Plan;
use crate::record::{Distribution, Errors, Latency, Measured, Recorder, Second, Traffic};
use crate::thresholds::{DeliveryCount, Metric, Quantile, SessionCount, Threshold};
use crate::watch::Generator;

pub use subject::{PhaseSpan, Subject};

/// Everything a run found out.
#[derive(Debug, Clone)]
pub struct Summary {
    /// The commit this program was built from, set by whoever knows it.
    pub commit: Option<String>,
    /// What was run.
    pub plan: Subject,
    /// Against what: a name or URLs without secrets.
    pub target: String,
    /// When its first phase began.
    pub started_at: SystemTime,
    /// From there to the last closed connection.
    pub duration: Duration,
    /// The one answer.
    pub verdict: Verdict,
    /// How sessions fared.
    pub sessions: Sessions,
    /// How storms went; all zero without one.
    pub storm: Storm,
    /// By kind.
    pub errors: Errors,
    /// The ledger's sums.
    pub delivery: Totals,
    /// What was delivered beside what was owed.
    pub beside: Beside,
    /// The ledger's pages: a book for each run that is in this summary, and only several where reports were merged.
    pub ledger: Vec<Book>,
    /// In the order of [`Latency::ALL`].
    pub measured: Vec<(Latency, Measured)>,
    /// By the names of the protocol's acts that had an effect of their own, in its order.
    pub acts: Vec<(String, Measured)>,
    /// Answers per second, from the first phase's start to the last one's end.
    pub messages_per_second: f64,
    /// Heartbeats heard.
    pub heartbeats: u64,
    /// Other things the servers said of their own accord.
    pub pushes: u64,
    /// Sends that fell due while their session was not connected.
    pub skipped_sends: u64,
    /// Sends for which the generator had no time, until one deadline after the end.
    pub unsent: u64,
    /// Bytes of messages, and on the wire.
    pub traffic: Traffic,
    /// What the generator knows about itself.
    pub generator: Generator,
    /// Actual minus intended send.
    pub send_lag: Distribution,
    /// How late the loops' timers came.
    pub loop_lag: Distribution,
    /// Sends more than 10 ms late.
    pub late_sends: u64,
    /// What was to hold, in the plan's order.
    pub thresholds: Vec<Judged>,
    /// Second by second.
    pub series: Vec<Figures>,
}

/// How sessions fared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sessions {
    /// That arrived, and began to connect.
    pub attempted: u64,
    /// That were connected at least once.
    pub connected: u64,
    /// That gave up, or were not connected when everything had been waited for.
    pub failed: u64,
    /// Connections after a session's first.
    pub reconnects: u64,
    /// Connections that ended without this side having ended them.
    pub unexpected_closes: u64,
}

impl Sessions {
    /// Adds those of another part of the run.
    pub(crate) fn add(&mut self, other: &Self) {
        self.attempted += other.attempted;
        self.connected += other.connected;
        self.failed += other.failed;
        self.reconnects += other.reconnects;
        self.unexpected_closes += other.unexpected_closes;
    }
}

/// How storms went.
#[derive(Debug, Clone, Default)]
pub struct Storm {
    /// Connections that were dropped at once.
    pub dropped: u64,
    /// Sessions of these that came back.
    pub back: u64,
    /// From the drop to the next connection, back-off included.
    pub recovery: Distribution,
}

/// A threshold and what came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// What was to hold.
    pub threshold: Threshold,
    /// The metric's value, in milliseconds where it is a time; `None` if nothing was measured.
    pub actual: Option<f64>,
    /// `Undecided` where nothing was measured, or a starved generator makes the value worthless.
    pub verdict: Verdict,
}

/// One second of the run.
#[derive(Debug, Clone, PartialEq)]
pub struct Figures {
    /// It ends so many seconds after the start.
    pub at_seconds: u32,
    /// Messages sent in it.
    pub sent: u64,
    /// Answers and confirmations heard in it.
    pub answered: u64,
    /// Deliveries heard in it, when they were sent.
    pub delivered: u64,
    /// Heartbeats heard in it.
    pub heartbeats: u64,
    /// Sessions connected at its end.
    pub connected: u32,
    /// Connections in it after a session's first.
    pub reconnects: u32,
    /// Errors of all kinds in it.
    pub errors: u64,
    /// Latencies of what ended in it, in the order of [`Latency::ALL`]; only those of which there were any.
    pub intervals: Vec<Interval>,
    /// What was seen of the target at its end.
    pub target: Option<Observed>,
}

/// The latencies of one kind that ended within one second.
#[derive(Debug, Clone, PartialEq)]
pub struct Interval {
    /// Which kind.
    pub latency: Latency,
    /// How many.
    pub count: u64,
    /// Half of them were no longer.
    pub p50_ms: f64,
    /// 99 % of them were no longer.
    pub p99_ms: f64,
    /// The longest.
    pub max_ms: f64,
    /// All of them: an HDR histogram in µs with 2 digits, V2+DEFLATE in base64.
    pub histogram: String,
}

impl Figures {
    /// The latencies of this kind that ended in it.
    #[must_use]
    pub fn interval(&self, latency: Latency) -> Option<&Interval> {
        self.intervals.iter().find(|interval| interval.latency == latency)
    }

    /// Adds what another generator saw in the same second.
    pub(crate) fn add(&mut self, other: &Self) {
        self.sent += other.sent;
        self.answered += other.answered;
        self.delivered += other.delivered;
        self.heartbeats += other.heartbeats;
        self.connected += other.connected;
        self.reconnects += other.reconnects;
        self.errors += other.errors;
        let both = Latency::ALL.into_iter().filter_map(|latency| {
            match (self.interval(latency), other.interval(latency)) {
                (Some(own), Some(other)) => Some(own.with(other)),
                (one, other) => one.or(other).cloned(),
            }
        });
        self.intervals = both.collect();
        // Whoever looked saw the same target.
        self.target = self.target.or(other.target);
    }
}

impl Interval {
    /// What `all` says of the latencies of one kind.
    pub(crate) fn of(latency: Latency, all: &Histogram<u32>) -> Self {
        let ms = |quantile| all.value_at_quantile(quantile) as f64 / 1e3;
        Self {
            latency,
            count: all.len(),
            p50_ms: ms(0.5),
            p99_ms: ms(0.99),
            max_ms: ms(1.0),
            histogram: json::encoded(all),
        }
    }

    fn with(&self, other: &Self) -> Self {
        let [mut all, more] = [self, other].map(|interval| {
            json::decoded(&interval.histogram).expect("whoever makes an interval has its histogram")
        });
        all.add(more).expect("its bounds were looked at when it was read");
        Self::of(self.latency, &all)
    }
}

impl From<&Second> for Figures {
    fn from(second: &Second) -> Self {
        Self {
            at_seconds: second.number + 1,
            sent: second.sent,
            answered: second.answered,
            delivered: second.delivered,
            heartbeats: second.heartbeats,
            connected: second.connected,
            reconnects: second.reconnects,
            errors: second.errors,
            intervals: Latency::ALL
                .into_iter()
                .filter_map(|latency| Some(Interval::of(latency, second.latency(latency)?)))
                .collect(),
            target: None,
        }
    }
}

/// What the loops brought home, put together.
pub(crate) struct Gathered {
    pub(crate) recorder: Recorder,
    book: Book,
    sessions: SessionCounts,
    storm: StormCounts,
    interrupted: bool,
}

impl Gathered {
    /// Adds up the reports of all loops.
    pub(crate) fn of(run: u64, terms: Terms, reports: Vec<LoopReport>) -> Self {
        let mut all = Self {
            recorder: Recorder::default(),
            book: Book::new(run, terms),
            sessions: SessionCounts::default(),
            storm: StormCounts::default(),
            interrupted: false,
        };
        for report in reports {
            all.recorder.merge(&report.recorder);
            all.book.counted_totals.add(&report.totals);
            all.book.counted.extend(report.pages);
            all.book.sent.extend(report.sent);
            all.book.heard.extend(report.heard);
            all.sessions.attempted += report.sessions.attempted;
            all.sessions.connected += report.sessions.connected;
            all.sessions.failed += report.sessions.failed;
            all.storm.dropped += report.storm.dropped;
            all.storm.back += report.storm.back;
            all.interrupted |= report.interrupted;
        }
        all.book.sort();
        all
    }
}

/// When and against what a run was.
pub(crate) struct Occasion {
    pub(crate) target: String,
    pub(crate) started_at: SystemTime,
    pub(crate) duration: Duration,
}

impl Summary {
    pub(crate) fn new(
        plan: &Plan,
        occasion: Occasion,
        gathered: Gathered,
        generator: Generator,
        series: Vec<Figures>,
    ) -> Self {
        let Gathered {
            recorder,
            book,
            sessions,
            storm,
            interrupted,
        } = gathered;
        let (delivery, beside) = book.reckon();
        let end_seconds = plan.end() as f64 / 1e9;
        let answered: u64 = series
            .iter()
            .filter(|figures| f64::from(figures.at_seconds) <= end_seconds.ceil())
            .map(|f| f.answered)
            .sum();
        let mut summary = Self {
            commit: None,
            target: occasion.target,
            started_at: occasion.started_at,
            duration: occasion.duration,
            verdict: Verdict::Passed,
            sessions: Sessions {
                attempted: sessions.attempted,
                connected: sessions.connected,
                failed: sessions.failed,
                reconnects: recorder.reconnects,
                unexpected_closes: recorder.unexpected_closes,
            },
            storm: Storm {
                dropped: storm.dropped,
                back: storm.back,
                recovery: recorder.recovery.clone(),
            },
            errors: recorder.errors,
            delivery,
            beside,
            ledger: vec![book],
            acts: acts(plan.protocol.acts(), &recorder),
            measured: Latency::ALL
                .map(|latency| (latency, recorder.measured(latency).clone()))
                .into(),
            messages_per_second: answered as f64 / end_seconds.min(occasion.duration.as_secs_f64()),
            heartbeats: recorder.heartbeats,
            pushes: recorder.pushes,
            skipped_sends: recorder.skipped_sends,
            unsent: recorder.unsent,
            traffic: recorder.traffic,
            generator,
            send_lag: recorder.send_lag,
            loop_lag: recorder.loop_lag,
            late_sends: recorder.late_sends,
            thresholds: Vec::new(),
            series,
            plan: Subject::from(plan),
        };
        summary.judge_all(&plan.thresholds, interrupted);
        summary
    }

    /// What was measured of `latency`.
    #[must_use]
    pub fn latency(&self, latency: Latency) -> &Measured {
        &self.measured[latency as usize].1
    }

    /// Whether nothing but the generator's own saturation keeps this run from passing. What was never measured keeps it, too.
    #[must_use]
    pub fn passes_but_for_saturation(&self) -> bool {
        let undecided = |judged: &&Judged| judged.verdict == Verdict::Undecided;
        self.verdict == Verdict::Undecided
            && self
                .thresholds
                .iter()
                .filter(undecided)
                .all(|judged| judged.actual.is_some())
    }

    /// Judges the run by `thresholds`, in place of whatever it was judged by before.
    pub(crate) fn judge_all(&mut self, thresholds: &[Threshold], interrupted: bool) {
        self.thresholds = thresholds.iter().map(|threshold| self.judge(threshold)).collect();
        self.verdict = verdict(interrupted, &self.thresholds);
    }

    fn judge(&self, threshold: &Threshold) -> Judged {
        let actual = self.value(threshold.metric);
        let undecided = self.generator.saturated && threshold.metric.suffers_from_saturation();
        let verdict = match actual {
            None => Verdict::Undecided,
            Some(_) if undecided => Verdict::Undecided,
            Some(actual) if threshold.comparison.holds(actual, threshold.bound) => Verdict::Passed,
            Some(_) => Verdict::Failed,
        };
        Judged {
            threshold: threshold.clone(),
            actual,
            verdict,
        }
    }

    fn value(&self, metric: Metric) -> Option<f64> {
        let count = match metric {
            Metric::Latency(latency, quantile) => return self.latency_value(latency, quantile),
            Metric::MessagesPerSecond => return Some(self.messages_per_second),
            Metric::Sessions(which) => match which {
                SessionCount::Attempted => self.sessions.attempted,
                SessionCount::Connected => self.sessions.connected,
                SessionCount::Failed => self.sessions.failed,
                SessionCount::Reconnects => self.sessions.reconnects,
                SessionCount::UnexpectedCloses => self.sessions.unexpected_closes,
            },
            Metric::Delivery(which) => match which {
                DeliveryCount::Expected => self.delivery.expected,
                DeliveryCount::Received => self.delivery.received,
                DeliveryCount::Lost => self.delivery.lost,
                DeliveryCount::Duplicated => self.delivery.duplicated,
                DeliveryCount::Reordered => self.delivery.reordered,
                DeliveryCount::Late => self.delivery.late,
                DeliveryCount::Unconfirmed => self.delivery.unconfirmed,
            },
            Metric::Errors(None) => self.errors.total(),
            Metric::Errors(Some(kind)) => self.errors.of(kind),
        };
        Some(count as f64)
    }

    fn latency_value(&self, latency: Latency, quantile: Quantile) -> Option<f64> {
        let distribution = &self.latency(latency).latency;
        let q = match quantile {
            Quantile::P50 => 0.5,
            Quantile::P90 => 0.9,
            Quantile::P99 => 0.99,
            Quantile::P999 => 0.999,
            Quantile::Max => 1.0,
            Quantile::Count => return Some(distribution.count() as f64),
        };
        distribution.quantile_ms(q)
    }
}

/// What was measured of each act that had an effect of its own.
fn acts(acts: &[Act], recorder: &Recorder) -> Vec<(String, Measured)> {
    let measured_of = |place: usize, act: &Act| match (act.effect, acts.len()) {
        // All answers are its own, and a loop does not record them twice.
        (Effect::Answer, 1) => Some(recorder.measured(Latency::Answer)),
        (Effect::Answer | Effect::Delivery { .. } | Effect::Reply | Effect::Nothing, _) => {
            recorder.act(place)
        }
    };
    acts.iter()
        .enumerate()
        .filter_map(|(place, act)| Some((act.name.to_string(), measured_of(place, act)?.clone())))
        .filter(|(_, measured)| measured.latency.count() > 0)
        .collect()
}

fn verdict(interrupted: bool, thresholds: &[Judged]) -> Verdict {
    let any = |verdict| thresholds.iter().any(|judged| judged.verdict == verdict);
    if interrupted {
        Verdict::Interrupted
    } else if any(Verdict::Failed) {
        Verdict::Failed
    } else if any(Verdict::Undecided) {
        Verdict::Undecided
    } else {
        Verdict::Passed
    }
}

#[cfg(test)]
pub(crate) mod tests;
