//! The time series as CSV (RFC 4180): one line for each second of the run, for spreadsheets and plotting tools.

use std::fmt::Write as _;

use crate::record::Latency;
use crate::summary::{Figures, Summary};

/// Columns before those of the latencies.
const COLUMNS: [&str; 9] = [
    "at_s",
    "phase",
    "sent",
    "answered",
    "delivered",
    "heartbeats",
    "connected",
    "reconnects",
    "errors",
];

impl Summary {
    /// A heading, and a line for each second. For each kind of latency there is a count, p50, p99 and the longest, in milliseconds,
    /// of what ended in that second; empty where nothing did.
    #[must_use]
    pub fn to_csv(&self) -> String {
        let mut csv = COLUMNS.join(",");
        for latency in Latency::ALL {
            for figure in ["count", "p50_ms", "p99_ms", "max_ms"] {
                write!(csv, ",{}_{figure}", latency.name()).expect("a String takes everything");
            }
        }
        csv.push_str(",target_cpu_percent,target_rss_bytes,target_connections\r\n");
        for figures in &self.series {
            self.line(figures, &mut csv).expect("a String takes everything");
        }
        csv
    }

    fn line(&self, figures: &Figures, csv: &mut String) -> std::fmt::Result {
        write!(
            csv,
            "{},{},{},{},{},{},{},{},{}",
            figures.at_seconds,
            self.phase_at(figures.at_seconds),
            figures.sent,
            figures.answered,
            figures.delivered,
            figures.heartbeats,
            figures.connected,
            figures.reconnects,
            figures.errors
        )?;
        for latency in Latency::ALL {
            match figures.interval(latency) {
                Some(interval) => write!(
                    csv,
                    ",{},{},{},{}",
                    interval.count, interval.p50_ms, interval.p99_ms, interval.max_ms
                )?,
                None => csv.push_str(",0,,,"),
            }
        }
        let target = figures.target.unwrap_or_default();
        let shown = [
            target.cpu_percent.map(|percent| format!("{percent:.1}")),
            target.rss_bytes.map(|bytes| bytes.to_string()),
            target.connections.map(|count| count.to_string()),
        ];
        for value in shown {
            write!(csv, ",{}", value.unwrap_or_default())?;
        }
        csv.push_str("\r\n");
        Ok(())
    }

    /// The phase in which the second that ends `at_seconds` after the start began; `settling` after the last.
    fn phase_at(&self, at_seconds: u32) -> &str {
        let began = u64::from(at_seconds.saturating_sub(1)) * 1_000_000_000;
        self.plan
            .phases
            .iter()
            .find(|phase| began < phase.end)
            .map_or("settling", |phase| phase.name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use crate::summary::tests::summary_with_a_second;

    #[test]
    fn every_line_has_as_many_fields_as_the_heading() {
        let csv = summary_with_a_second().to_csv();
        let fields: Vec<_> = csv
            .split_terminator("\r\n")
            .map(|line| line.split(',').count())
            .collect();
        assert_eq!(fields, [9 + 7 * 4 + 3; 2]);
        assert!(csv.starts_with("at_s,phase,sent,"), "{csv}");
        assert!(csv.contains("\r\n1,ramp,"), "{csv}");
    }
}
