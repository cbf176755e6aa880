//! The finished run in Prometheus' text format (0.0.4), for a textfile collector or a push gateway.

use std::fmt::Write as _;

use touchstone_report::document::Verdict;

use crate::record::Distribution;
use crate::summary::Summary;

const QUANTILES: [f64; 4] = [0.5, 0.9, 0.99, 0.999];

/// Families one after the other, each with all of its samples.
struct Exposition {
    text: String,
    /// Of every sample.
    workload: String,
}

impl Exposition {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        writeln!(self.text, "# HELP touchstone_load_{name} {help}").expect("a String takes everything");
        writeln!(self.text, "# TYPE touchstone_load_{name} {kind}").expect("a String takes everything");
    }

    /// Labels come after that of the workload, each as `,name="value"`; their values are names of ours and need no escape.
    fn sample(&mut self, name: &str, labels: &str, value: f64) {
        let Self { text, workload } = self;
        writeln!(
            text,
            "touchstone_load_{name}{{workload=\"{workload}\"{labels}}} {value}"
        )
        .expect("a String takes everything");
    }

    fn gauge(&mut self, name: &str, help: &str, value: f64) {
        self.family(name, "gauge", help);
        self.sample(name, "", value);
    }

    fn counts(&mut self, name: &str, label: &str, help: &str, counts: &[(&str, u64)]) {
        self.family(name, "gauge", help);
        for (which, count) in counts {
            self.sample(name, &format!(",{label}=\"{which}\""), *count as f64);
        }
    }

    fn latencies<'a>(
        &mut self,
        name: &str,
        help: &str,
        all: impl Iterator<Item = (&'a str, &'a Distribution)>,
    ) {
        self.family(name, "summary", help);
        for (kind, distribution) in all {
            for quantile in QUANTILES {
                if let Some(ms) = distribution.quantile_ms(quantile) {
                    let labels = format!(",kind=\"{kind}\",quantile=\"{quantile}\"");
                    self.sample(name, &labels, ms / 1e3);
                }
            }
            let labels = format!(",kind=\"{kind}\"");
            let sum = distribution
                .histogram()
                .map_or(0.0, |all| all.mean() * all.len() as f64 / 1e6);
            self.sample(&format!("{name}_sum"), &labels, sum);
            self.sample(&format!("{name}_count"), &labels, distribution.count() as f64);
        }
    }
}

impl Summary {
    /// Every figure that a threshold can name, times in seconds.
    #[must_use]
    pub fn to_prometheus(&self) -> String {
        let mut all = Exposition {
            text: String::new(),
            workload: escaped(&self.plan.name),
        };
        let passed = f64::from(self.verdict == Verdict::Passed);
        all.gauge("passed", "Whether all thresholds hold.", passed);
        all.gauge(
            "saturated",
            "Whether the generator was the bottleneck: times and rates are worth nothing then.",
            f64::from(self.generator.saturated),
        );
        all.gauge(
            "duration_seconds",
            "How long it ran.",
            self.duration.as_secs_f64(),
        );
        let sessions = &self.sessions;
        all.counts(
            "sessions",
            "state",
            "Sessions, by how they fared.",
            &[
                ("attempted", sessions.attempted),
                ("connected", sessions.connected),
                ("failed", sessions.failed),
            ],
        );
        all.gauge(
            "reconnects",
            "Connections after a session's first.",
            sessions.reconnects as f64,
        );
        all.gauge(
            "unexpected_closes",
            "Connections that the generator did not end.",
            sessions.unexpected_closes as f64,
        );
        let delivery = &self.delivery;
        all.counts(
            "messages",
            "state",
            "Messages, by what came of them.",
            &[
                ("sent", delivery.sent),
                ("expected", delivery.expected),
                ("received", delivery.received),
                ("lost", delivery.lost),
                ("duplicated", delivery.duplicated),
                ("reordered", delivery.reordered),
                ("late", delivery.late),
                ("unconfirmed", delivery.unconfirmed),
            ],
        );
        let errors: Vec<_> = self
            .errors
            .seen()
            .map(|(kind, count)| (kind.name(), count))
            .collect();
        all.counts("errors", "kind", "Errors, by kind.", &errors);
        let measured = || {
            self.measured
                .iter()
                .filter(|(_, measured)| measured.latency.count() > 0)
        };
        all.latencies(
            "latency_seconds",
            "From the intended instant.",
            measured().map(|(latency, measured)| (latency.name(), &measured.latency)),
        );
        all.latencies(
            "service_time_seconds",
            "From the actual instant.",
            measured()
                .filter(|(_, measured)| measured.service_time.count() > 0)
                .map(|(latency, measured)| (latency.name(), &measured.service_time)),
        );
        all.gauge(
            "generator_cpu_seconds",
            "User and system time of the generator.",
            self.generator.cpu_seconds,
        );
        all.text
    }
}

/// A label's value as the format wants it.
fn escaped(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use crate::summary::tests::summary_with_a_second;

    #[test]
    fn every_sample_belongs_to_the_family_before_it() {
        let mut summary = summary_with_a_second();
        summary.plan.name = "a \"quoted\\\nname".to_owned();
        let text = summary.to_prometheus();
        let mut family = "";
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                family = rest.split(' ').next().unwrap();
            } else if !line.starts_with('#') {
                assert!(line.starts_with(family), "{line} after {family}");
                assert!(line.contains(r#"{workload="a \"quoted\\\nname""#), "{line}");
                let value = line.rsplit(' ').next().unwrap();
                assert!(value.parse::<f64>().is_ok(), "{line}");
            }
        }
        assert!(text.contains("kind=\"answer\",quantile=\"0.99\"} 0.04"), "{text}");
    }
}
