//! The summary as people read it: a document for HTML, Markdown and terminal, and cases for JUnit.

use std::time::Duration;

use touchstone_report::cases::{Case, Outcome, Suite, Suites};
use touchstone_report::document::Verdict;
use touchstone_report::number::{self, MISSING};
use touchstone_report::timestamp::rfc3339;
use touchstone_report::{Axis, Cell, Column, Document, Plot, Section, Table};

mod bytes;
mod course;
mod delivery;
mod glance;
mod latency;
mod limits;

use crate::record::Latency;
use crate::summary::{Judged, Summary};
use crate::thresholds::Threshold;

impl Summary {
    /// The whole report.
    #[must_use]
    pub fn document(&self) -> Document {
        let title = format!("load {}", self.plan.name);
        let mut document = Document::new(title, self.verdict, self.headline())
            .fact("workload", &self.plan.title)
            .fact("target", &self.target)
            .fact("load", self.load())
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
            self.limits_section(),
            self.latency_section(),
            self.delivery_section(),
            self.course_section(),
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
            Column::text("verdict"),
            Column::text("threshold"),
            Column::number("actual"),
        ]);
        for judged in &self.thresholds {
            table.push([
                Cell::new(judged.verdict.word(), judged.verdict.tone()),
                Cell::plain(judged.threshold.expression.as_str()),
                Cell::plain(actual(judged)),
            ]);
        }
        let section = Section::new("Thresholds");
        if self.thresholds.is_empty() {
            return section;
        }
        let section = section.with(table);
        let whys = self.whys_undecided();
        let section = if whys.is_empty() {
            section
        } else {
            section.text(format!("Not decided, because {}.", whys.join("; ")))
        };
        if self.asks_for_time() {
            section
        } else {
            let asked = self.main_latency().unwrap_or(Latency::Connect).name();
            section.text(format!(
                "Nothing here says how long anything may take: `--threshold '{asked}.p99 < 100ms'` would."
            ))
        }
    }

    /// Why thresholds are undecided, each reason once.
    fn whys_undecided(&self) -> Vec<String> {
        let undecided = self.thresholds.iter();
        let undecided = undecided.filter(|judged| judged.verdict == Verdict::Undecided);
        let mut whys: Vec<_> = undecided.map(|judged| self.undecided_because(judged)).collect();
        whys.dedup();
        whys
    }

    /// Who talked, and when.
    fn load(&self) -> String {
        let phases: Vec<_> = self
            .plan
            .phases
            .iter()
            .map(|phase| {
                let lasts = Duration::from_nanos(phase.end.saturating_sub(phase.start));
                format!("{} {}", phase.name, number::duration(lasts))
            })
            .collect();
        format!(
            "{} of {}: {}",
            plural(self.plan.sessions, "session"),
            self.plan.protocol,
            phases.join(", ")
        )
    }

    /// Axes over the run's seconds, its phases marked.
    fn over_seconds(&self, title: impl Into<String>, y: Axis) -> Plot {
        let xs = self.series.iter().map(|figures| f64::from(figures.at_seconds));
        let plot = Plot::new(title, Axis::linear("seconds since the start"), y, xs.collect());
        self.plan.phases.iter().fold(plot, |plot, phase| {
            plot.mark(phase.start as f64 / 1e9, phase.name.as_str())
        })
    }
}

/// `1 session`, `2 sessions`, `3 deliveries`.
fn plural(count: u64, what: &str) -> String {
    let number = number::count(count);
    match (count, what.strip_suffix('y')) {
        (1, _) => format!("{number} {what}"),
        (_, Some(stem)) => format!("{number} {stem}ies"),
        (_, None) => format!("{number} {what}s"),
    }
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
