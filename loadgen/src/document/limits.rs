//! What held the run back: the generator, the server, or nothing that was looked at.

use touchstone_report::number::{self, MISSING};
use touchstone_report::{Cell, Column, Section, Table, Tone};

use super::ms;
use crate::record::LATE_SEND;
use crate::summary::Summary;
use crate::summary::strain::Limit;

impl Summary {
    pub(super) fn limits_section(&self) -> Section {
        let mut table = Table::new([
            Column::text("looked at"),
            Column::text(""),
            Column::text("what was seen"),
        ]);
        let limit = self.limit();
        let (seen, tone) = self.generator_in_short();
        table.push([
            Cell::plain("the generator"),
            Cell::new(word(tone), tone),
            Cell::plain(seen),
        ]);
        let (seen, tone) = match limit {
            Limit::Silence(silence) => (
                format!(
                    "nothing was heard for {} s, from second {} on, though messages were sent",
                    silence.seconds, silence.from_seconds
                ),
                Tone::Bad,
            ),
            Limit::Backlog(rise) => (
                format!(
                    "the median {} rose from {} to {} while everybody was there: more came than was worked off",
                    rise.latency.name(),
                    number::millis(rise.before_ms),
                    number::millis(rise.after_ms)
                ),
                Tone::Bad,
            ),
            Limit::Generator => (
                "cannot be told from outside, while the generator is late".to_owned(),
                Tone::Neutral,
            ),
            Limit::ServerCpu { .. } | Limit::Unseen => (
                "never silent, and no slower at the end than at the beginning".to_owned(),
                Tone::Good,
            ),
        };
        table.push([
            Cell::plain("the server's pace"),
            Cell::new(word(tone), tone),
            Cell::plain(seen),
        ]);
        let (seen, tone) = self.resources_in_short();
        table.push([
            Cell::plain("the server's CPU and memory"),
            Cell::new(word(tone), tone),
            Cell::plain(seen),
        ]);
        Section::new("What limits it").text(advice(limit)).with(table)
    }

    fn generator_in_short(&self) -> (String, Tone) {
        if self.generator.saturated {
            return (self.generator.reasons.join("; "), Tone::Warn);
        }
        let seen = match self.send_lag.quantile_ms(0.99) {
            Some(p99) => format!(
                "99 % of what it sent left within {} of when it was meant",
                number::millis(p99)
            ),
            None => "kept to its schedule".to_owned(),
        };
        (seen, Tone::Good)
    }

    fn resources_in_short(&self) -> (String, Tone) {
        let memory = self.series.iter().filter_map(|figures| figures.target?.rss_bytes);
        let memory = memory
            .max()
            .map(|bytes| format!("{} at most", number::bytes(bytes)));
        let cpu = self.cpu_percent_max();
        let seen: Vec<_> = cpu
            .map(|percent| format!("{} % of a core at most", number::decimal(percent)))
            .into_iter()
            .chain(memory)
            .collect();
        match (seen.is_empty(), self.limit()) {
            (true, _) => (
                "not looked at: `--pid` shows them for a process of this machine, `--scrape` for a server with `/metrics`"
                    .to_owned(),
                Tone::Neutral,
            ),
            (false, Limit::ServerCpu { .. }) => (seen.join(", "), Tone::Warn),
            (false, _) => (seen.join(", "), Tone::Good),
        }
    }

    pub(super) fn generator_section(&self) -> Section {
        let generator = &self.generator;
        let (words, tone) = if generator.saturated {
            ("saturated", Tone::Warn)
        } else {
            ("not the bottleneck", Tone::Good)
        };
        let late = number::millis(LATE_SEND as f64 / 1e6);
        let memory = generator.peak_rss_bytes;
        let memory = memory.map_or_else(|| MISSING.to_owned(), number::bytes);
        let table = [
            ("event loops", number::count(u64::from(generator.loops))),
            (
                "CPU time during the run",
                format!("{:.2} s", generator.cpu_seconds),
            ),
            ("peak memory during the run", memory),
            ("send lag p50", ms(self.send_lag.quantile_ms(0.5))),
            ("send lag p99", ms(self.send_lag.quantile_ms(0.99))),
            ("send lag, worst", ms(self.send_lag.max_ms())),
            ("event loop lag p99", ms(self.loop_lag.quantile_ms(0.99))),
        ]
        .into_iter()
        .fold(
            Table::new([Column::text("the generator itself"), Column::number("value")])
                .row([Cell::plain("verdict"), Cell::new(words, tone)]),
            |table, (name, value)| table.row([Cell::plain(name), Cell::plain(value)]),
        )
        .row([
            Cell::plain(format!("sends more than {late} late")),
            Cell::number(self.late_sends),
        ]);
        let section = Section::new("Generator").with(table);
        if generator.saturated {
            section.text(format!("{}.", generator.reasons.join("; ")))
        } else {
            section
        }
    }
}

/// What to do about it.
fn advice(limit: Limit) -> &'static str {
    match limit {
        Limit::Generator => {
            "The generator, at this load: what it measured of times says nothing about the server. Fewer sessions, \
             `--processes`, or a machine of its own would."
        }
        Limit::Silence(_) => {
            "The server: it stood still for a while. What it did in those seconds (a collection of garbage, a lock, a \
             slow store) is where to look."
        }
        Limit::Backlog(_) => {
            "The server: it did not keep up, and would have become slower yet had the run gone on. What it can take is less than this."
        }
        Limit::ServerCpu { .. } => {
            "The server's CPU, by the look of it: a core is full. A server that runs on one has no more to give."
        }
        Limit::Unseen => {
            "Nothing that was looked at came to its end at this load. How much more it would take only a larger run can tell: \
             `--set sessions=…`, `--set messages.rate=…`."
        }
    }
}

fn word(tone: Tone) -> &'static str {
    match tone {
        Tone::Good => "fine",
        Tone::Warn => "at its end",
        Tone::Bad => "too slow",
        Tone::Neutral => "unknown",
    }
}
