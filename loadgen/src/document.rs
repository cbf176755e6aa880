//! The summary as people read it: a document for HTML, Markdown and terminal, and cases for JUnit.

use touchstone_report::cases::{Case, Outcome, Suite, Suites};
use touchstone_report::document::Verdict;
use touchstone_report::number::{self, MISSING};
use touchstone_report::timestamp::rfc3339;
use touchstone_report::{Axis, Cell, Column, Document, Plot, Section, Table, Tone};

mod bytes;
mod glance;

use crate::observe::Observed;
use crate::record::{Distribution, LATE_SEND, Latency};
use crate::summary::{Figures, Interval, Judged, Summary};
use crate::thresholds::Threshold;

/// Up to here the percentile curve is drawn; each further nine needs ten times the samples.
const QUANTILES: [f64; 16] = [
    0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 0.9999,
];
/// A quantile is only drawn if this many values lie beyond it.
const VALUES_BEYOND: f64 = 5.0;

impl Summary {
    /// The whole report.
    #[must_use]
    pub fn document(&self) -> Document {
        let title = format!("load {}", self.plan.name);
        let mut document = Document::new(title, self.verdict, self.headline())
            .fact("workload", &self.plan.title)
            .fact("target", &self.target)
            .fact("started", rfc3339(self.started_at))
            .fact("duration", number::duration(self.duration))
            .fact("seed", self.plan.seed.to_string())
            .fact("version", env!("CARGO_PKG_VERSION"));
        if let Some(commit) = &self.commit {
            document = document.fact("commit", commit);
        }
        document.tiles = self.tiles();
        document.sections = vec![
            self.thresholds_section(),
            self.latency_section(),
            self.delivery_section(),
            self.sessions_section(),
            self.bytes_section(),
            self.target_section(),
            self.generator_section(),
        ];
        document.sections.retain(|section| !section.blocks.is_empty());
        document
    }

    /// The thresholds as cases, for JUnit and TAP.
    #[must_use]
    pub fn suites(&self) -> Suites {
        let mut suite = Suite::new(format!("load {}", self.plan.name));
        suite.properties = vec![
            ("target".to_owned(), self.target.clone()),
            ("seed".to_owned(), self.plan.seed.to_string()),
            ("saturated".to_owned(), self.generator.saturated.to_string()),
        ];
        suite.cases = self.thresholds.iter().map(|judged| self.case(judged)).collect();
        let mut suites = Suites::new("touchstone load", self.duration);
        suites.suites.push(suite);
        suites
    }

    fn case(&self, judged: &Judged) -> Case {
        let Threshold { expression, .. } = &judged.threshold;
        let outcome = match judged.verdict {
            Verdict::Passed => Outcome::Passed,
            Verdict::Failed => Outcome::Failed {
                message: format!("{expression}, but it is {}", actual(judged)),
                text: self.headline(),
            },
            Verdict::Undecided | Verdict::Interrupted => Outcome::Error {
                message: format!("{expression} is not decided"),
                text: self.undecided_because(judged),
            },
        };
        Case::new(
            expression.as_str(),
            format!("load.{}", self.plan.name),
            self.duration,
            outcome,
        )
    }

    fn undecided_because(&self, judged: &Judged) -> String {
        match judged.actual {
            None => "nothing was measured".to_owned(),
            Some(_) => self.generator.reasons.join("; "),
        }
    }

    fn thresholds_section(&self) -> Section {
        let mut table = Table::new([
            Column::text("threshold"),
            Column::number("actual"),
            Column::text("verdict"),
        ]);
        for judged in &self.thresholds {
            table.push([
                Cell::plain(judged.threshold.expression.as_str()),
                Cell::plain(actual(judged)),
                Cell::new(judged.verdict.word(), judged.verdict.tone()),
            ]);
        }
        let section = Section::new("Thresholds");
        if self.thresholds.is_empty() {
            section
        } else {
            section.with(table)
        }
    }

    fn latency_section(&self) -> Section {
        let mut table = Table::new(
            [Column::text("latency")]
                .into_iter()
                .chain(["count", "p50", "p90", "p99", "p99.9", "max"].map(Column::number)),
        );
        let acts = self.acts.iter().map(|(name, measured)| (name.as_str(), measured));
        let kinds = self.measured.iter();
        let kinds = kinds.map(|(latency, measured)| (latency.name(), measured));
        for (name, measured) in kinds.chain(acts) {
            let rows = [
                (name.to_owned(), &measured.latency),
                (format!("{name}, service time"), &measured.service_time),
            ];
            for (name, distribution) in rows {
                if distribution.count() > 0 {
                    table.push(row(&name, distribution));
                }
            }
        }
        let section = Section::new("Latency").text(
            "From the instant at which something was meant to happen, so that a server that stalls is charged for everyone it keeps \
             waiting; service time starts when it really happened. Heartbeat is jitter: by how much the gap between two \
             heartbeats differs from the gap before.",
        );
        let section = self.talked_of().fold(section.with(table), |section, latency| {
            section.with(self.over_time(latency))
        });
        match self.main_latency() {
            Some(latency) => section.with(self.percentiles(latency)),
            None => section,
        }
    }

    /// What the users of this run waited for, messages only.
    fn talked_of(&self) -> impl Iterator<Item = Latency> + '_ {
        [Latency::Answer, Latency::Confirm, Latency::Delivery]
            .into_iter()
            .filter(|latency| self.latency(*latency).latency.count() > 0)
    }

    /// The one that counts: what a message takes to whom it is for.
    fn main_latency(&self) -> Option<Latency> {
        self.talked_of().last()
    }

    fn over_time(&self, latency: Latency) -> Plot {
        let title = format!("Latency over time: {}", latency.name());
        let curve = |which: fn(&Interval) -> f64| {
            self.series
                .iter()
                .map(|figures| figures.interval(latency).map(which))
                .collect()
        };
        Plot::new(title, seconds(), Axis::log("ms"), self.xs())
            .series("p50", curve(|interval| interval.p50_ms))
            .series("p99", curve(|interval| interval.p99_ms))
            .series("slowest", curve(|interval| interval.max_ms))
    }

    fn percentiles(&self, latency: Latency) -> Plot {
        let measured = self.latency(latency);
        let values = measured.latency.count() as f64;
        let drawn: Vec<f64> = QUANTILES
            .into_iter()
            .filter(|q| *q < 0.99 || values * (1.0 - q) >= VALUES_BEYOND)
            .collect();
        let curve =
            |distribution: &Distribution| drawn.iter().map(|q| distribution.quantile_ms(*q)).collect();
        let (from_intended, service_time) = (curve(&measured.latency), curve(&measured.service_time));
        Plot::new(
            format!("Latency by percentile: {}", latency.name()),
            Axis::quantile("percentile"),
            Axis::log("ms"),
            drawn,
        )
        .series("from the intended send", from_intended)
        .series("service time", service_time)
    }

    fn delivery_section(&self) -> Section {
        let delivery = &self.delivery;
        let mut table = Table::new([
            Column::text("messages"),
            Column::number("count"),
            Column::text("meaning"),
        ]);
        let bad = |count: u64| if count == 0 { Tone::Neutral } else { Tone::Bad };
        let warn = |count: u64| if count == 0 { Tone::Neutral } else { Tone::Warn };
        for (name, count, tone, meaning) in [
            ("sent", delivery.sent, Tone::Neutral, "handed to a socket"),
            (
                "expected",
                delivery.expected,
                Tone::Neutral,
                "confirmed: received and lost together",
            ),
            ("received", delivery.received, Tone::Neutral, "answered"),
            (
                "lost",
                delivery.lost,
                bad(delivery.lost),
                "counted and not answered, or counted and then forgotten",
            ),
            (
                "duplicated",
                delivery.duplicated,
                bad(delivery.duplicated),
                "answers beyond the first",
            ),
            (
                "reordered",
                delivery.reordered,
                bad(delivery.reordered),
                "answered after a later message",
            ),
            (
                "late",
                delivery.late,
                warn(delivery.late),
                "answered after the deadline, part of received",
            ),
            (
                "unconfirmed",
                delivery.unconfirmed,
                Tone::Neutral,
                "sent and never answered: owed to nobody",
            ),
            (
                "not sent",
                self.skipped_sends,
                Tone::Neutral,
                "due while their session was away: a user could not either",
            ),
            (
                "unsent",
                self.unsent,
                bad(self.unsent),
                "due, and the generator had no time until one deadline after the end",
            ),
        ] {
            table.push([
                Cell::plain(name),
                Cell::new(number::count(count), tone),
                Cell::plain(meaning),
            ]);
        }
        let mut section = Section::new("Delivery").with(table);
        if self.errors.total() > 0 {
            let mut errors = Table::new([
                Column::text("error"),
                Column::number("count"),
                Column::text("meaning"),
            ]);
            for (kind, count) in self.errors.seen() {
                errors.push([
                    Cell::plain(kind.name()),
                    Cell::warn(number::count(count)),
                    Cell::plain(kind.meaning()),
                ]);
            }
            section = section.with(errors);
        }
        section
    }

    fn sessions_section(&self) -> Section {
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
        let per_second = |which: fn(&Figures) -> f64| self.series.iter().map(which).collect::<Vec<_>>();
        let throughput = Plot::new(
            "Messages per second",
            seconds(),
            Axis::linear("messages/s"),
            self.xs(),
        )
        .curve("sent", per_second(|figures| figures.sent as f64))
        .curve(
            "answered or confirmed",
            per_second(|figures| figures.answered as f64),
        )
        .curve("delivered", per_second(|figures| figures.delivered as f64))
        .curve("heartbeats", per_second(|figures| figures.heartbeats as f64));
        let connected = Plot::new("Sessions", seconds(), Axis::linear("sessions"), self.xs())
            .curve("connected", per_second(|figures| f64::from(figures.connected)))
            .curve(
                "reconnects in this second",
                per_second(|figures| f64::from(figures.reconnects)),
            )
            .curve(
                "errors in this second",
                per_second(|figures| figures.errors as f64),
            );
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
        section.with(throughput).with(connected)
    }

    /// What was seen of the target; empty where nothing was.
    fn target_section(&self) -> Section {
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
                "% of a core",
                seen(|target| target.cpu_percent),
            ),
            (
                "Memory of the server",
                "MiB resident",
                seen(|target| target.rss_bytes.map(|bytes| bytes as f64 / f64::from(1 << 20))),
            ),
            (
                "Connections by the server's own count",
                "connections",
                seen(|target| target.connections.map(|count| count as f64)),
            ),
        ];
        plots
            .into_iter()
            .filter(|(_, _, values)| values.iter().any(Option::is_some))
            .fold(section, |section, (title, unit, values)| {
                let plot = Plot::new(title, seconds(), Axis::linear(unit), self.xs());
                section.with(plot.series(unit, values))
            })
    }

    fn generator_section(&self) -> Section {
        let generator = &self.generator;
        let (words, tone) = if generator.saturated {
            ("saturated", Tone::Warn)
        } else {
            ("not the bottleneck", Tone::Good)
        };
        let late = number::millis(LATE_SEND as f64 / 1e6);
        let table = Table::new([Column::text("the generator itself"), Column::number("value")])
            .row([Cell::plain("verdict"), Cell::new(words, tone)])
            .row([
                Cell::plain("event loops"),
                Cell::number(u64::from(generator.loops)),
            ])
            .row([
                Cell::plain("CPU time during the run"),
                Cell::plain(format!("{:.2} s", generator.cpu_seconds)),
            ])
            .row([
                Cell::plain("peak memory during the run"),
                Cell::plain(
                    generator
                        .peak_rss_bytes
                        .map_or_else(|| MISSING.to_owned(), number::bytes),
                ),
            ])
            .row([
                Cell::plain("send lag p50"),
                Cell::plain(ms(self.send_lag.quantile_ms(0.5))),
            ])
            .row([
                Cell::plain("send lag p99"),
                Cell::plain(ms(self.send_lag.quantile_ms(0.99))),
            ])
            .row([
                Cell::plain("send lag, worst"),
                Cell::plain(ms(self.send_lag.max_ms())),
            ])
            .row([
                Cell::plain(format!("sends more than {late} late")),
                Cell::number(self.late_sends),
            ])
            .row([
                Cell::plain("event loop lag p99"),
                Cell::plain(ms(self.loop_lag.quantile_ms(0.99))),
            ]);
        let section = Section::new("Generator").with(table);
        if generator.saturated {
            section.text(format!("{}.", generator.reasons.join("; ")))
        } else {
            section
        }
    }

    fn xs(&self) -> Vec<f64> {
        self.series
            .iter()
            .map(|figures| f64::from(figures.at_seconds))
            .collect()
    }
}

fn seconds() -> Axis {
    Axis::linear("seconds since the start")
}

fn row(name: &str, distribution: &Distribution) -> Vec<Cell> {
    let quantiles = [0.5, 0.9, 0.99, 0.999, 1.0].map(|q| Cell::plain(ms(distribution.quantile_ms(q))));
    [Cell::plain(name), Cell::number(distribution.count())]
        .into_iter()
        .chain(quantiles)
        .collect()
}

fn ms(milliseconds: Option<f64>) -> String {
    milliseconds.map_or_else(|| MISSING.to_owned(), number::millis)
}

fn actual(judged: &Judged) -> String {
    match judged.actual {
        None => MISSING.to_owned(),
        Some(value) if judged.threshold.metric.is_time() => number::millis(value),
        Some(value) => number::decimal(value),
    }
}
