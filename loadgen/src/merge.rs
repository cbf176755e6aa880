//! Several reports as one: of the parts of a run that was split over processes or machines, or of runs beside each other.
//!
//! Reports of the same run (`runs[].id`) are parts of it: their sessions talk to each other, and who was owed what is
//! reckoned from the pages of all of them. Other runs keep to themselves. Whatever is counted is added up, histograms are added
//! value by value, seconds are put beside each other by their place in the run, and thresholds are judged anew. So the
//! merged report says what one report of everything would have said; it can be merged again.

use std::collections::BTreeMap;

use serde_json::Value;
use touchstone_report::document::Verdict;

use crate::json::KeyError;
use crate::ledger::Totals;
use crate::ledger::book::BookError;
use crate::ledger::reckon::Beside;
use crate::summary::{Figures, Summary};
use crate::watch::Generator;

/// Why reports cannot be put together.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// There is none.
    #[error("there is no report to merge")]
    Nothing,
    /// A report that cannot be read.
    #[error("{file}: {error}")]
    Key {
        /// Which.
        file: String,
        /// At which key.
        error: KeyError,
    },
    /// Reports of different things.
    #[error("{file}: `{key}` is `{value}`, but in {first} it is `{expected}`: they do not belong together")]
    Different {
        /// The one that differs.
        file: String,
        /// In which key.
        key: &'static str,
        /// What it says.
        value: String,
        /// The first report.
        first: String,
        /// What that says.
        expected: String,
    },
    /// Parts of a run that overlap or contradict each other.
    #[error("{file}: {error}")]
    Book {
        /// The later of the two.
        file: String,
        /// What is wrong.
        error: BookError,
    },
}

/// Puts reports together; each comes with the name of its file.
///
/// # Errors
/// If one cannot be read, or they do not belong together.
pub fn merge(reports: &[(String, Value)]) -> Result<Summary, MergeError> {
    let mut summaries = Vec::new();
    for (file, report) in reports {
        let summary = Summary::from_json(report).map_err(|error| MergeError::Key {
            file: file.clone(),
            error,
        })?;
        summaries.push((file.as_str(), summary));
    }
    let mut summaries = summaries.into_iter();
    let (first, mut merged) = summaries.next().ok_or(MergeError::Nothing)?;
    let mut interrupted = merged.verdict == Verdict::Interrupted;
    let mut thresholds: Vec<_> = merged
        .thresholds
        .iter()
        .map(|judged| judged.threshold.clone())
        .collect();
    for (file, summary) in summaries {
        belongs(first, &merged, file, &summary)?;
        interrupted |= summary.verdict == Verdict::Interrupted;
        for judged in &summary.thresholds {
            if !thresholds
                .iter()
                .any(|known| known.expression == judged.threshold.expression)
            {
                thresholds.push(judged.threshold.clone());
            }
        }
        merged.take_in(summary).map_err(|error| MergeError::Book {
            file: file.to_owned(),
            error,
        })?;
    }
    merged.reckon_anew();
    merged.judge_all(&thresholds, interrupted);
    Ok(merged)
}

/// Whether two reports are of the same workload, and of the same seed where they are parts of one run.
fn belongs(first: &str, merged: &Summary, file: &str, other: &Summary) -> Result<(), MergeError> {
    let phases = |summary: &Summary| {
        let spans = summary.plan.phases.iter();
        let spans = spans.map(|phase| format!("{} to {} ms", phase.name, phase.end / 1_000_000));
        spans.collect::<Vec<_>>().join(", ")
    };
    let same_run = |book: &crate::ledger::book::Book| other.ledger.iter().any(|own| own.run == book.run);
    let seed = |summary: &Summary| summary.plan.seed.to_string();
    let mut rows = vec![
        ("workload.name", merged.plan.name.clone(), other.plan.name.clone()),
        (
            "workload.dialect",
            merged.plan.protocol.clone(),
            other.plan.protocol.clone(),
        ),
        ("phases", phases(merged), phases(other)),
    ];
    if merged.ledger.iter().any(same_run) {
        rows.push(("seed", seed(merged), seed(other)));
    }
    for (key, expected, value) in rows {
        if expected != value {
            return Err(MergeError::Different {
                file: file.to_owned(),
                key,
                value,
                first: first.to_owned(),
                expected,
            });
        }
    }
    Ok(())
}

impl Summary {
    /// Adds everything but what is judged or reckoned from the whole.
    fn take_in(&mut self, other: Self) -> Result<(), BookError> {
        let mut is_part = false;
        for book in other.ledger {
            match self.ledger.iter_mut().find(|own| own.run == book.run) {
                Some(own) => {
                    own.join(book)?;
                    is_part = true;
                }
                None => self.ledger.push(book),
            }
        }
        // Parts of a run all tell how many sessions the whole run was to have.
        if !is_part {
            self.plan.sessions += other.plan.sessions;
        }
        if self.commit != other.commit {
            self.commit = None;
        }
        if !self.target.split(", ").any(|known| known == other.target) {
            self.target = format!("{}, {}", self.target, other.target);
        }
        let end = (self.started_at + self.duration).max(other.started_at + other.duration);
        self.started_at = self.started_at.min(other.started_at);
        self.duration = end.duration_since(self.started_at).unwrap_or(self.duration);
        self.sessions.add(&other.sessions);
        self.storm.dropped += other.storm.dropped;
        self.storm.back += other.storm.back;
        self.storm.recovery.merge(&other.storm.recovery);
        self.errors.merge(&other.errors);
        for ((_, own), (_, other)) in self.measured.iter_mut().zip(&other.measured) {
            own.merge(other);
        }
        for (name, measured) in &other.acts {
            match self.acts.iter_mut().find(|(own, _)| own == name) {
                Some((_, own)) => own.merge(measured),
                None => self.acts.push((name.clone(), measured.clone())),
            }
        }
        self.messages_per_second += other.messages_per_second;
        self.heartbeats += other.heartbeats;
        self.pushes += other.pushes;
        self.skipped_sends += other.skipped_sends;
        self.unsent += other.unsent;
        self.traffic.add(&other.traffic);
        self.generator.add(other.generator);
        self.send_lag.merge(&other.send_lag);
        self.loop_lag.merge(&other.loop_lag);
        self.late_sends += other.late_sends;
        self.series = beside_each_other(std::mem::take(&mut self.series), other.series);
        Ok(())
    }

    /// Who was owed what, by all pages together.
    fn reckon_anew(&mut self) {
        (self.delivery, self.beside) = (Totals::default(), Beside::default());
        for book in &self.ledger {
            let (totals, beside) = book.reckon();
            self.delivery.add(&totals);
            self.beside += beside;
        }
    }
}

impl Generator {
    /// Several generators as one: together they use so much, and one that is starved spoils the whole.
    fn add(&mut self, other: Self) {
        self.cpu_seconds += other.cpu_seconds;
        self.peak_rss_bytes = self
            .peak_rss_bytes
            .zip(other.peak_rss_bytes)
            .map(|(own, other)| own + other);
        self.loops += other.loops;
        self.saturated |= other.saturated;
        for reason in other.reasons {
            if !self.reasons.contains(&reason) {
                self.reasons.push(reason);
            }
        }
    }
}

fn beside_each_other(one: Vec<Figures>, other: Vec<Figures>) -> Vec<Figures> {
    let mut seconds: BTreeMap<u32, Figures> = BTreeMap::new();
    for figures in one.into_iter().chain(other) {
        match seconds.get_mut(&figures.at_seconds) {
            Some(known) => known.add(&figures),
            None => {
                seconds.insert(figures.at_seconds, figures);
            }
        }
    }
    seconds.into_values().collect()
}

#[cfg(test)]
mod tests;
