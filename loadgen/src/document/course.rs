//! The course of the run: who was there, what was said, what the server used, second by second.

use touchstone_report::{Axis, Cell, Column, Plot, Section, Table, Tone, number};

use super::ms;
use crate::observe::Observed;
use crate::summary::{Figures, Summary};

/// A name, and what it shows of a second.
type Curve<'n> = (&'n str, fn(&Figures) -> f64);

impl Summary {
    pub(super) fn course_section(&self) -> Section {
        let mut table = Table::new([Column::text("sessions"), Column::number("count")]);
        for (name, count, tone) in [
            ("attempted", self.sessions.attempted, Tone::Neutral),
            ("connected", self.sessions.connected, Tone::Neutral),
            ("failed", self.sessions.failed, Tone::Bad),
            ("dropped by a storm", self.storm.dropped, Tone::Neutral),
            ("reconnects", self.sessions.reconnects, Tone::Neutral),
            ("unexpected closes", self.sessions.unexpected_closes, Tone::Bad),
        ] {
            table.push([
                Cell::plain(name),
                Cell::new(
                    number::count(count),
                    if count == 0 { Tone::Neutral } else { tone },
                ),
            ]);
        }
        let mut section = Section::new("Throughput and sessions").with(table);
        if self.storm.recovery.count() > 0 {
            let recovery = &self.storm.recovery;
            section = section.text(format!(
                "After the storm half of the dropped were back within {}, 99 % within {}, the last after {}; the back-off of their \
                 clients is part of it.",
                ms(recovery.quantile_ms(0.5)),
                ms(recovery.quantile_ms(0.99)),
                ms(recovery.max_ms())
            ));
        }
        let messages = self.curves(
            self.over_seconds("Messages per second", Axis::linear("messages/s")),
            &[
                ("sent", |figures| figures.sent as f64),
                ("answered", |figures| figures.answered as f64),
                ("delivered", |figures| figures.delivered as f64),
                ("heartbeats", |figures| figures.heartbeats as f64),
            ],
        );
        let sessions = self.curves(
            self.over_seconds("Sessions", Axis::linear("sessions")),
            &[
                ("connected", |figures| f64::from(figures.connected)),
                ("reconnects", |figures| f64::from(figures.reconnects)),
                ("errors", |figures| figures.errors as f64),
            ],
        );
        section.with(messages).with(sessions)
    }

    /// Those of the curves that ever leave zero; the first, if none does.
    fn curves(&self, plot: Plot, curves: &[Curve<'_>]) -> Plot {
        let values = |which: fn(&Figures) -> f64| self.series.iter().map(which);
        let leaves_zero = |which: fn(&Figures) -> f64| values(which).any(|value| value > 0.0);
        let plot = curves
            .iter()
            .filter(|(_, which)| leaves_zero(*which))
            .fold(plot, |plot, (label, which)| plot.curve(*label, values(*which)));
        match curves.first() {
            Some((label, which)) if plot.series.is_empty() => plot.curve(*label, values(*which)),
            Some(_) | None => plot,
        }
    }

    /// What was seen of the target; empty where nothing was.
    pub(super) fn target_section(&self) -> Section {
        let section = Section::new("Server resources");
        if self.series.iter().all(|figures| figures.target.is_none()) {
            return section;
        }
        let seen = |which: fn(&Observed) -> Option<f64>| -> Vec<Option<f64>> {
            let targets = self.series.iter().map(|figures| figures.target.as_ref());
            targets.map(|target| target.and_then(which)).collect()
        };
        let plots = [
            (
                "CPU of the server",
                "used",
                "% of a core",
                seen(|target| target.cpu_percent),
            ),
            (
                "Memory of the server",
                "resident",
                "MiB",
                seen(|target| target.rss_bytes.map(|bytes| bytes as f64 / f64::from(1 << 20))),
            ),
            (
                "Connections by the server's own count",
                "open",
                "connections",
                seen(|target| target.connections.map(|count| count as f64)),
            ),
        ];
        plots
            .into_iter()
            .filter(|(.., values)| values.iter().any(Option::is_some))
            .fold(section, |section, (title, label, unit, values)| {
                let plot = self.over_seconds(title, Axis::linear(unit));
                section.with(plot.series(label, values))
            })
    }
}
