//! What is seen first: the headline and the tiles.

use touchstone_report::document::Verdict;
use touchstone_report::{Tile, Tone, number};

use super::{actual, ms, plural};
use crate::record::Latency;
use crate::summary::strain::Limit;
use crate::summary::{Figures, Judged, Summary};

/// Thresholds that a headline names; the table has all of them.
const NAMED_MAX: usize = 4;
/// Below so many values the slowest is all that can be said of the slow end.
const P99_VALUES_MIN: u64 = 100;

impl Summary {
    /// Whether it holds, what users got, and what held it back, each in a sentence.
    pub(super) fn headline(&self) -> String {
        let mut sentences = Vec::new();
        if self.verdict == Verdict::Interrupted {
            sentences.push("Interrupted: this is of what ran until then.".to_owned());
        }
        sentences.extend(self.judgement());
        sentences.push(self.outcome());
        let errors: Vec<_> = self
            .errors
            .seen()
            .map(|(kind, count)| format!("{} {}", number::count(count), kind.name()))
            .collect();
        if !errors.is_empty() {
            sentences.push(format!("Errors: {}.", errors.join(", ")));
        }
        sentences.extend(self.limit_in_short());
        if self.generator.saturated {
            sentences
                .push("The generator was the bottleneck: its times say nothing about the server.".to_owned());
        }
        sentences.join(" ")
    }

    /// What does not hold comes first: that is what the reader of a red run looks for. A green one that never asked how long
    /// anything took says so.
    fn judgement(&self) -> Vec<String> {
        let all = self.thresholds.len();
        let with = |verdict| -> Vec<&Judged> {
            let all = self.thresholds.iter();
            all.filter(|judged| judged.verdict == verdict).collect()
        };
        let (failed, undecided) = (with(Verdict::Failed), with(Verdict::Undecided));
        let mut sentences = Vec::new();
        if all == 0 {
            return vec!["No threshold was given, so nothing is judged.".to_owned()];
        }
        if failed.is_empty() && undecided.is_empty() {
            let holds = match all {
                1 => "The threshold holds".to_owned(),
                2 => "Both thresholds hold".to_owned(),
                _ => format!("All {all} thresholds hold"),
            };
            let time = if self.asks_for_time() {
                ""
            } else if all == 1 {
                ", and is not about time"
            } else {
                ", none of them about time"
            };
            return vec![format!("{holds}{time}.")];
        }
        if !failed.is_empty() {
            let which = match (failed.len(), all) {
                (_, 1) => "The threshold does".to_owned(),
                (1, _) => format!("1 of {all} thresholds does"),
                (many, _) => format!("{many} of {all} thresholds do"),
            };
            sentences.push(format!("{which} not hold: {}.", named(&failed)));
        }
        if !undecided.is_empty() {
            sentences.push(format!("Not decided: {}.", named(&undecided)));
        }
        sentences
    }

    pub(super) fn asks_for_time(&self) -> bool {
        let mut all = self.thresholds.iter();
        all.any(|judged| judged.threshold.metric.suffers_from_saturation())
    }

    /// What users got.
    fn outcome(&self) -> String {
        let sessions = match self.sessions.failed {
            0 => plural(self.sessions.attempted, "session"),
            failed => format!(
                "{} of {} failed",
                number::count(failed),
                plural(self.sessions.attempted, "session")
            ),
        };
        let delivery = &self.delivery;
        let what = self.what_is_owed();
        let mut parts = Vec::new();
        match (delivery.expected, delivery.lost) {
            (0, _) if self.heartbeats > 0 => parts.push(plural(self.heartbeats, "heartbeat")),
            (0, _) => {}
            (expected, 0) => parts.push(format!("all {} arrived", plural(expected, what))),
            (expected, lost) => parts.push(format!(
                "{} of {} lost",
                number::count(lost),
                plural(expected, what)
            )),
        }
        for (count, how) in [
            (delivery.duplicated, "twice"),
            (delivery.reordered, "out of order"),
            (delivery.late, "late"),
        ] {
            if count > 0 {
                parts.push(format!("{} {how}", number::count(count)));
            }
        }
        if delivery.unconfirmed > 0 {
            let unconfirmed = plural(delivery.unconfirmed, "message");
            parts.push(format!("{unconfirmed} never confirmed"));
        }
        match parts.is_empty() {
            true => format!("{sessions}."),
            false => format!("{sessions}: {}.", parts.join(", ")),
        }
    }

    fn limit_in_short(&self) -> Option<String> {
        match self.limit() {
            Limit::Silence(silence) => Some(format!(
                "For {} s, from second {} on, nothing was heard though messages were sent.",
                silence.seconds, silence.from_seconds
            )),
            Limit::Backlog(rise) => Some(format!(
                "The server fell behind: the median {} rose from {} to {}.",
                rise.latency.name(),
                number::millis(rise.before_ms),
                number::millis(rise.after_ms)
            )),
            Limit::Generator | Limit::ServerCpu { .. } | Limit::Unseen => None,
        }
    }

    /// Four, so that a report which joins this one with others still fits on a screen.
    pub(super) fn tiles(&self) -> Vec<Tile> {
        vec![
            self.sessions_tile(),
            self.rate_tile(),
            self.latency_tile(),
            self.lost_tile(),
        ]
    }

    fn latency_tile(&self) -> Tile {
        let shown = self.main_latency().unwrap_or_else(|| {
            let beats = self.latency(Latency::Heartbeat).latency.count() > 0;
            if beats {
                Latency::Heartbeat
            } else {
                Latency::Connect
            }
        });
        let latency = &self.latency(shown).latency;
        let p50 = ms(latency.quantile_ms(0.5));
        let tile = if latency.count() < P99_VALUES_MIN {
            Tile::new(format!("{}, slowest", shown.name()), ms(latency.max_ms()))
                .note(format!("of {}, p50 {p50}", number::count(latency.count())))
        } else {
            Tile::new(format!("{} p99", shown.name()), ms(latency.quantile_ms(0.99)))
                .note(format!("p50 {p50}, slowest {}", ms(latency.max_ms())))
        };
        tile.tone(match self.generator.saturated {
            true => Tone::Warn,
            false => Tone::Neutral,
        })
    }

    /// Of what there was most: that is what the server had to do.
    fn rate_tile(&self) -> Tile {
        let end_seconds = self.plan.end() as f64 / 1e9;
        let seconds = end_seconds.min(self.duration.as_secs_f64());
        let per_second = |which: fn(&Figures) -> u64| {
            let within = self.series.iter();
            let within = within.filter(|figures| f64::from(figures.at_seconds) <= end_seconds.ceil());
            number::decimal(within.map(which).sum::<u64>() as f64 / seconds)
        };
        let of_sent = format!("of {} sent", plural(self.delivery.sent, "message"));
        if self.delivers() {
            Tile::new("deliveries per second", per_second(|figures| figures.delivered)).note(of_sent)
        } else if self.delivery.sent == 0 && self.heartbeats > 0 {
            let note = format!("{} in all", number::count(self.heartbeats));
            Tile::new("heartbeats per second", per_second(|figures| figures.heartbeats)).note(note)
        } else {
            Tile::new("answers per second", number::decimal(self.messages_per_second)).note(of_sent)
        }
    }

    fn sessions_tile(&self) -> Tile {
        let sessions = &self.sessions;
        let mut notes = Vec::new();
        let tone = match (sessions.failed, sessions.unexpected_closes) {
            (0, 0) => Tone::Good,
            (0, _) => Tone::Warn,
            (1.., _) => Tone::Bad,
        };
        notes.push(match sessions.failed {
            0 => "none failed".to_owned(),
            failed => format!(
                "{} of {} failed",
                number::count(failed),
                number::count(sessions.attempted)
            ),
        });
        if sessions.unexpected_closes > 0 {
            notes.push(format!(
                "{} closed unexpectedly",
                number::count(sessions.unexpected_closes)
            ));
        }
        if self.storm.dropped > 0 {
            // A session that a later storm drops before it is back for the first is back once.
            let back = self.storm.back.min(self.storm.dropped);
            let (back, dropped) = (number::count(back), number::count(self.storm.dropped));
            notes.push(format!("{back} of {dropped} back after the storm"));
        }
        Tile::new("sessions", number::count(sessions.connected))
            .note(notes.join(", "))
            .tone(tone)
    }

    fn lost_tile(&self) -> Tile {
        let delivery = &self.delivery;
        let tone = match (delivery.lost, delivery.duplicated + delivery.reordered) {
            _ if delivery.expected == 0 => Tone::Neutral,
            (0, 0) => Tone::Good,
            (0, _) => Tone::Warn,
            (1.., _) => Tone::Bad,
        };
        let mut note = format!("of {}", plural(delivery.expected, self.what_is_owed()));
        for (count, how) in [
            (delivery.duplicated, "came twice"),
            (delivery.reordered, "out of order"),
        ] {
            if count > 0 {
                note.push_str(&format!(", {} {how}", number::count(count)));
            }
        }
        Tile::new("lost", number::count(delivery.lost))
            .note(note)
            .tone(tone)
    }
}

fn named(judged: &[&Judged]) -> String {
    let mut names: Vec<_> = judged
        .iter()
        .take(NAMED_MAX)
        .map(|judged| format!("{} (it is {})", judged.threshold, actual(judged)))
        .collect();
    if judged.len() > NAMED_MAX {
        names.push(format!("and {} more", judged.len() - NAMED_MAX));
    }
    names.join(", ")
}
