//! A histogram of durations that costs its user two relaxed adds.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::{MetricType, TypedMetric};

/// The upper ends of the buckets, in microseconds: from a message that is echoed to a store that gives no answer.
const BUCKETS_MICROS: [u64; 16] = [
    10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 500_000, 2_000_000,
    5_000_000,
];

/// How long something took, again and again. Clones are the same histogram.
#[derive(Debug, Clone, Default)]
pub(crate) struct Latency(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    /// The last counts what is beyond all buckets.
    buckets: [AtomicU64; BUCKETS_MICROS.len() + 1],
    nanos: AtomicU64,
}

impl Latency {
    /// Counts one more.
    pub(crate) fn note(&self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let bucket = BUCKETS_MICROS.partition_point(|end| end * 1_000 < nanos);
        self.0.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.0.nanos.fetch_add(nanos, Ordering::Relaxed);
    }
}

impl TypedMetric for Latency {
    const TYPE: MetricType = MetricType::Histogram;
}

impl EncodeMetric for Latency {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> std::fmt::Result {
        let ends = BUCKETS_MICROS.iter().map(|micros| *micros as f64 / 1e6);
        let counts = self.0.buckets.iter().map(|count| count.load(Ordering::Relaxed));
        let buckets: Vec<_> = ends.chain([f64::INFINITY]).zip(counts).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        let seconds = self.0.nanos.load(Ordering::Relaxed) as f64 / 1e9;
        encoder.encode_histogram::<NoLabelSet>(seconds, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::encoding::text::encode;
    use prometheus_client::registry::Registry;

    #[test]
    fn each_duration_is_in_the_buckets_that_reach_so_far() {
        let latency = Latency::default();
        for micros in [3, 10, 11, 700, 9_000_000] {
            latency.note(Duration::from_micros(micros));
        }
        let mut registry = Registry::default();
        registry.register("took_seconds", "How long it took", latency);
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        for line in [
            "took_seconds_sum 9.000724",
            "took_seconds_count 5",
            "took_seconds_bucket{le=\"0.00001\"} 2",
            "took_seconds_bucket{le=\"0.000025\"} 3",
            "took_seconds_bucket{le=\"0.0005\"} 3",
            "took_seconds_bucket{le=\"0.001\"} 4",
            "took_seconds_bucket{le=\"5.0\"} 4",
            "took_seconds_bucket{le=\"+Inf\"} 5",
        ] {
            assert!(text.lines().any(|found| found == line), "no {line} in {text}");
        }
    }
}
