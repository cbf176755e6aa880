//! What is seen first: the headline and the tiles.

use touchstone_report::document::Verdict;
use touchstone_report::{Tile, Tone, number};

use super::{actual, ms};
use crate::record::Latency;
use crate::summary::Summary;

impl Summary {
    /// What does not hold and what went wrong come first: that is what the reader of a red run looks for.
    pub(super) fn headline(&self) -> String {
        let mut sentences = Vec::new();
        let named = |verdict| {
            let of_verdict = self
                .thresholds
                .iter()
                .filter(move |judged| judged.verdict == verdict);
            of_verdict.map(|judged| format!("{} (it is {})", judged.threshold, actual(judged)))
        };
        let broken: Vec<_> = named(Verdict::Failed).collect();
        if !broken.is_empty() {
            sentences.push(format!("does not hold: {}", broken.join(", ")));
        }
        let undecided: Vec<_> = named(Verdict::Undecided).collect();
        if !undecided.is_empty() {
            sentences.push(format!("not decided: {}", undecided.join(", ")));
        }
        let errors: Vec<_> = self
            .errors
            .seen()
            .map(|(kind, count)| format!("{} {}", number::count(count), kind.name()))
            .collect();
        if !errors.is_empty() {
            sentences.push(format!("errors: {}", errors.join(", ")));
        }
        let lost = match self.delivery.lost {
            0 => "no confirmed message was lost".to_owned(),
            lost => format!(
                "{} of {} confirmed messages were lost",
                number::count(lost),
                number::count(self.delivery.expected)
            ),
        };
        sentences.push(format!(
            "{} sessions, {} messages answered, {lost}",
            number::count(self.sessions.attempted),
            number::count(self.delivery.received)
        ));
        if self.generator.saturated {
            sentences
                .push("the generator was the bottleneck, its times say nothing about the server".to_owned());
        }
        let mut headline = sentences.join("; ");
        if let Some(first) = headline.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        headline
    }

    /// Four, so that a report which joins this one with others still fits on a screen.
    pub(super) fn tiles(&self) -> Vec<Tile> {
        let shown = self.main_latency().unwrap_or(Latency::Answer);
        let latency = &self.latency(shown).latency;
        let times = match self.generator.saturated {
            true => Tone::Warn,
            false => Tone::Neutral,
        };
        let answered = format!("{} answered", number::count(self.delivery.received));
        vec![
            self.sessions_tile(),
            Tile::new("answers per second", number::decimal(self.messages_per_second)).note(answered),
            Tile::new(format!("{} p99", shown.name()), ms(latency.quantile_ms(0.99)))
                .note(format!(
                    "p50 {}, slowest {}",
                    ms(latency.quantile_ms(0.5)),
                    ms(latency.max_ms())
                ))
                .tone(times),
            self.lost_tile(),
        ]
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
        let tone = match (delivery.lost, delivery.duplicated) {
            (0, 0) => Tone::Good,
            (0, _) => Tone::Warn,
            (1.., _) => Tone::Bad,
        };
        let mut note = format!("of {} confirmed", number::count(delivery.expected));
        if delivery.duplicated > 0 {
            note.push_str(&format!(
                ", {} answered twice",
                number::count(delivery.duplicated)
            ));
        }
        Tile::new("lost", number::count(delivery.lost))
            .note(note)
            .tone(tone)
    }
}
