//! What held a run back, as far as its own seconds tell.

use super::{Figures, Summary};
use crate::record::Latency;
use crate::schedule::Nanos;

/// So much is usually heard in a second, or a second without anything says nothing: by chance one in a hundred is empty.
const HEARD_USUALLY_MIN: f64 = 5.0;
/// A generator that was never so late did not cause a silence of seconds, however late it was.
const GENERATOR_STOPPED_MS_MIN: f64 = 1_000.0;
/// Fewer seconds in a row without an answer are a slow answer.
const SILENT_SECONDS_MIN: u32 = 2;
/// Seconds with everybody there that it takes to see what changes.
const CALM_SECONDS_MIN: usize = 6;
/// A median that has become so many times as long has risen …
const RISE_MIN: f64 = 3.0;
/// … if it is longer than this: below it a busy machine alone makes such differences.
const RISEN_MS_MIN: f64 = 20.0;
/// A server that uses so much of a core may have no more of it.
const CPU_PERCENT_FULL: f64 = 90.0;

/// What held a run back; the first of these that was seen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Limit {
    /// For seconds on end nothing was heard though messages were sent.
    Silence(Silence),
    /// The generator itself: it was late.
    Generator,
    /// Waiting became longer and longer while everybody was there: more came than was worked off.
    Backlog(Rise),
    /// The server used a whole core, or several.
    ServerCpu {
        /// The most in a second: 100 is one core.
        percent: f64,
    },
    /// Nothing that was looked at came to its end.
    Unseen,
}

/// Seconds in a row in which messages were sent and nothing was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Silence {
    /// It began so long after the start.
    pub from_seconds: u32,
    /// How long it was.
    pub seconds: u32,
}

/// A median that rose.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rise {
    /// Of which waiting.
    pub latency: Latency,
    /// In the first third of the seconds with everybody there.
    pub before_ms: f64,
    /// In the last.
    pub after_ms: f64,
}

impl Summary {
    /// What held the run back.
    #[must_use]
    pub fn limit(&self) -> Limit {
        let never_stopped = [&self.send_lag, &self.loop_lag].into_iter().all(|lag| {
            lag.max_ms()
                .is_none_or(|longest| longest < GENERATOR_STOPPED_MS_MIN)
        });
        if let Some(silence) = longest_silence(self.seconds_of_phases()).filter(|_| never_stopped) {
            return Limit::Silence(silence);
        }
        if self.generator.saturated {
            return Limit::Generator;
        }
        if let Some(rise) = self.main_latency().and_then(|latency| self.rise(latency)) {
            return Limit::Backlog(rise);
        }
        match self.cpu_percent_max() {
            Some(percent) if percent >= CPU_PERCENT_FULL => Limit::ServerCpu { percent },
            Some(_) | None => Limit::Unseen,
        }
    }

    /// The one that counts: what a message takes to whom it is for, or else to its confirmation or answer.
    #[must_use]
    pub fn main_latency(&self) -> Option<Latency> {
        [Latency::Delivery, Latency::Confirm, Latency::Answer]
            .into_iter()
            .find(|latency| self.latency(*latency).latency.count() > 0)
    }

    /// The most CPU time that the server was seen to use within a second, in percent of a core.
    #[must_use]
    pub fn cpu_percent_max(&self) -> Option<f64> {
        let seen = self
            .series
            .iter()
            .filter_map(|figures| figures.target?.cpu_percent);
        seen.reduce(f64::max)
    }

    fn rise(&self, latency: Latency) -> Option<Rise> {
        let full = self.seconds_of_phases().map(|figures| figures.connected).max()?;
        let medians: Vec<f64> = self
            .seconds_of_phases()
            .filter(|figures| figures.connected == full)
            .filter_map(|figures| figures.interval(latency))
            .map(|interval| interval.p50_ms)
            .collect();
        if medians.len() < CALM_SECONDS_MIN {
            return None;
        }
        let third = medians.len() / 3;
        let before_ms = middle(&medians[..third]);
        let after_ms = middle(&medians[medians.len() - third..]);
        (after_ms >= RISEN_MS_MIN && after_ms >= RISE_MIN * before_ms).then_some(Rise {
            latency,
            before_ms,
            after_ms,
        })
    }

    fn seconds_of_phases(&self) -> impl Iterator<Item = &Figures> + Clone {
        const SECOND: Nanos = 1_000_000_000;
        let end = self.plan.end();
        self.series
            .iter()
            .filter(move |figures| Nanos::from(figures.at_seconds) * SECOND <= end)
    }
}

fn longest_silence<'s>(seconds: impl Iterator<Item = &'s Figures> + Clone) -> Option<Silence> {
    let heard = |figures: &Figures| figures.answered + figures.delivered;
    let talking = seconds.clone().filter(|figures| figures.sent > 0).count();
    let all: u64 = seconds.clone().map(heard).sum();
    if (all as f64) < HEARD_USUALLY_MIN * talking as f64 {
        return None;
    }
    let mut longest: Option<Silence> = None;
    let mut lasts: u32 = 0;
    for figures in seconds {
        lasts = if figures.sent > 0 && heard(figures) == 0 {
            lasts + 1
        } else {
            0
        };
        if lasts >= SILENT_SECONDS_MIN && longest.is_none_or(|longest| lasts > longest.seconds) {
            longest = Some(Silence {
                from_seconds: figures.at_seconds - lasts,
                seconds: lasts,
            });
        }
    }
    longest
}

/// The middle one of a few values; of an even number the upper.
fn middle(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::Observed;
    use crate::summary::Interval;
    use crate::summary::tests::summary_with_a_second;

    /// A second: sent, heard, connected, its median in milliseconds.
    type Row = (u64, u64, u32, f64);

    fn limit(rows: &[Row], cpu_percent: f64) -> Limit {
        summary_of(rows, cpu_percent).limit()
    }

    fn summary_of(rows: &[Row], cpu_percent: f64) -> Summary {
        let mut summary = summary_with_a_second();
        let model = summary.series[0].intervals[0].clone();
        summary.series = (1..)
            .zip(rows)
            .map(|(at_seconds, (sent, answered, connected, p50_ms))| Figures {
                at_seconds,
                sent: *sent,
                answered: *answered,
                delivered: 0,
                heartbeats: 0,
                connected: *connected,
                reconnects: 0,
                errors: 0,
                intervals: vec![Interval {
                    p50_ms: *p50_ms,
                    ..model.clone()
                }],
                target: Some(Observed {
                    cpu_percent: Some(cpu_percent),
                    ..Observed::default()
                }),
            })
            .collect();
        summary.plan.phases[0].end = 0;
        summary.plan.phases.last_mut().unwrap().end = rows.len() as u64 * 1_000_000_000;
        summary
    }

    #[test]
    fn nothing_is_seen_where_nothing_changes() {
        assert_eq!(limit(&[(20, 20, 20, 5.0); 9], 12.0), Limit::Unseen);
        assert_eq!(limit(&[], 12.0), Limit::Unseen);
    }

    #[test]
    fn a_server_that_stands_still_is_seen_by_what_is_not_heard() {
        let mut rows = [(20, 20, 20, 5.0); 9];
        rows[2].1 = 0;
        assert_eq!(limit(&rows, 12.0), Limit::Unseen, "one second is a slow answer");
        for row in &mut rows[4..7] {
            row.1 = 0;
        }
        let silence = Silence {
            from_seconds: 4,
            seconds: 3,
        };
        assert_eq!(limit(&rows, 12.0), Limit::Silence(silence));
        for row in &mut rows[4..7] {
            row.0 = 0;
        }
        assert_eq!(limit(&rows, 12.0), Limit::Unseen, "nobody asked");
        let seldom = [(1, 1, 20, 5.0), (1, 0, 20, 5.0), (1, 0, 20, 5.0)].repeat(3);
        assert_eq!(limit(&seldom, 12.0), Limit::Unseen, "by chance");
    }

    #[test]
    fn a_server_that_falls_behind_is_seen_by_medians_that_rise_while_all_are_there() {
        let rising = |at: u32, connected| (20, 20, connected, f64::from(at * at));
        let rows: Vec<Row> = (1..=9).map(|at| rising(at, 20)).collect();
        let rise = Rise {
            latency: Latency::Answer,
            before_ms: 4.0,
            after_ms: 64.0,
        };
        assert_eq!(limit(&rows, 12.0), Limit::Backlog(rise));
        let ramp: Vec<Row> = (1..=9).map(|at| rising(at, at)).collect();
        assert_eq!(limit(&ramp, 12.0), Limit::Unseen, "more people, more waiting");
        let small: Vec<Row> = (1..=9).map(|at| (20, 20, 20, f64::from(at))).collect();
        assert_eq!(limit(&small, 12.0), Limit::Unseen, "nobody feels that");
    }

    #[test]
    fn a_whole_core_is_a_limit() {
        let limit = limit(&[(20, 20, 20, 5.0); 9], 98.0);
        assert_eq!(limit, Limit::ServerCpu { percent: 98.0 });
    }

    #[test]
    fn a_generator_that_was_late_may_be_why_and_one_that_stopped_explains_silence() {
        let mut rows = [(20, 20, 20, 5.0); 9];
        rows[4].1 = 0;
        rows[5].1 = 0;
        let mut summary = summary_of(&rows, 98.0);
        summary.generator.saturated = true;
        assert!(
            matches!(summary.limit(), Limit::Silence(_)),
            "{:?}",
            summary.limit()
        );
        summary.loop_lag.record(2_000_000_000);
        assert_eq!(summary.limit(), Limit::Generator);
    }
}
