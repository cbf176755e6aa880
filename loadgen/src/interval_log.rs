//! The latencies second by second as an HDR histogram log (format 1.3), as HistogramLogAnalyzer and others read it.
//!
//! One line for each second and kind of latency, tagged with the kind. Histograms count µs and have 2 digits; the
//! column `Interval_Max` is in milliseconds.

use std::fmt::Write as _;
use std::time::UNIX_EPOCH;

use crate::summary::Summary;

impl Summary {
    /// The log. A run of which nothing was measured has only its head.
    #[must_use]
    pub fn to_interval_log(&self) -> String {
        self.log().expect("a String takes everything")
    }

    fn log(&self) -> Result<String, std::fmt::Error> {
        let started = self
            .started_at
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs_f64();
        let mut log = format!(
            "#[touchstone {}: load {}, histograms in microseconds]\n#[Histogram log format version 1.3]\n\
             #[StartTime: {started:.3} (seconds since epoch)]\n#[BaseTime: {started:.3} (seconds since epoch)]\n",
            env!("CARGO_PKG_VERSION"),
            self.plan.name.replace(['\n', '\r', ']'], " "),
        );
        log.push_str(
            "\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"\n",
        );
        for figures in &self.series {
            let begins = figures.at_seconds.saturating_sub(1);
            for interval in &figures.intervals {
                writeln!(
                    log,
                    "Tag={},{begins}.000,1.000,{:.3},{}",
                    interval.latency.name(),
                    interval.max_ms,
                    interval.histogram
                )?;
            }
        }
        Ok(log)
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use hdrhistogram::Histogram;
    use hdrhistogram::serialization::Deserializer;
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    use crate::summary::tests::summary_with_a_second;

    #[test]
    fn the_log_is_read_back_by_the_library_that_defines_it() {
        let log = summary_with_a_second().to_interval_log();
        let entries: Vec<_> = IntervalLogIterator::new(log.as_bytes())
            .map(|entry| entry.expect("each line is well-formed"))
            .collect();
        assert!(matches!(entries[0], LogEntry::StartTime(_)), "{log}");
        let intervals: Vec<_> = entries
            .iter()
            .filter_map(|entry| match entry {
                LogEntry::Interval(interval) => Some(interval),
                LogEntry::StartTime(_) | LogEntry::BaseTime(_) => None,
            })
            .collect();
        assert_eq!(intervals.len(), 1);
        assert_eq!(intervals[0].tag().map(|tag| tag.as_str()), Some("answer"));
        let bytes = STANDARD.decode(intervals[0].encoded_histogram()).unwrap();
        let read: Histogram<u64> = Deserializer::new().deserialize(&mut bytes.as_slice()).unwrap();
        assert_eq!((read.len(), read.max()), (1, 25_087), "25 ms within two digits");
    }
}
