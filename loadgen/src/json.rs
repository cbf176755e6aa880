//! The summary as `touchstone.load/1`: stable keys, for machines.

pub(crate) mod pages;
mod read;
mod reader;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer as _, V2DeflateSerializer};
use serde_json::{Map, Value, json};
use touchstone_report::timestamp::rfc3339;

use crate::record::Distribution;
use crate::summary::{Figures, Interval, Judged, Summary};

pub use reader::KeyError;

/// The name of this shape.
pub const SCHEMA: &str = "touchstone.load/1";

impl Summary {
    /// Everything, as `touchstone.load/1`. Times are in milliseconds unless their key says otherwise; histograms in µs,
    /// V2+DEFLATE in base64, as all HDR tools read them.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "schema": SCHEMA,
            "tool": {"version": env!("CARGO_PKG_VERSION"), "commit": self.commit},
            "target": self.target,
            "started_at": rfc3339(self.started_at),
            "duration_ms": self.duration.as_secs_f64() * 1e3,
            "seed": self.plan.seed,
            "verdict": self.verdict,
            "workload": {
                "name": self.plan.name,
                "title": self.plan.title,
                "dialect": self.plan.protocol,
                "sessions": self.plan.sessions,
                "compression": self.plan.compression,
            },
            "summary": {
                "sessions": {
                    "attempted": self.sessions.attempted,
                    "connected": self.sessions.connected,
                    "failed": self.sessions.failed,
                    "reconnects": self.sessions.reconnects,
                    "unexpected_closes": self.sessions.unexpected_closes,
                },
                "errors": self.errors.seen().map(|(kind, count)| (kind.name().to_owned(), count.into())).collect::<Map<_, _>>(),
                "messages": {
                    "sent": self.delivery.sent,
                    "per_second": self.messages_per_second,
                    "skipped_while_away": self.skipped_sends,
                    "unsent": self.unsent,
                },
                "bytes": {
                    "sent": {"payload": self.traffic.sent.payload, "wire": self.traffic.sent.wire},
                    "received": {"payload": self.traffic.heard.payload, "wire": self.traffic.heard.wire},
                    "compressed_sessions": self.traffic.compressed_sessions,
                },
                "heartbeats": self.heartbeats,
                "pushes": self.pushes,
                "storm": {
                    "dropped": self.storm.dropped,
                    "back": self.storm.back,
                    "recovery": distribution(&self.storm.recovery),
                },
            },
            "delivery": {
                "expected": self.delivery.expected,
                "received": self.delivery.received,
                "lost": self.delivery.lost,
                "duplicated": self.delivery.duplicated,
                "reordered": self.delivery.reordered,
                "late": self.delivery.late,
                "unconfirmed": self.delivery.unconfirmed,
                "beside": {
                    "of_unconfirmed": self.beside.unconfirmed,
                    "not_owed": self.beside.not_owed,
                    "stray": self.beside.stray,
                },
            },
            "runs": self.ledger.iter().map(pages::run).collect::<Vec<_>>(),
            "ledger": self.ledger.iter().enumerate().flat_map(|(run, book)| pages::pages(run, book)).collect::<Vec<_>>(),
            "latency": self.distributions(|measured| &measured.latency),
            "service_time": self.distributions(|measured| &measured.service_time),
            "generator": {
                "loops": self.generator.loops,
                "cpu_seconds": self.generator.cpu_seconds,
                "peak_rss_bytes": self.generator.peak_rss_bytes,
                "send_lag": lag(&self.send_lag),
                "loop_lag": lag(&self.loop_lag),
                "late_sends": self.late_sends,
                "saturated": self.generator.saturated,
                "reasons": self.generator.reasons,
            },
            "phases": self.plan.phases.iter().map(|phase| json!({
                "name": phase.name,
                "start_ms": phase.start as f64 / 1e6,
                "end_ms": phase.end as f64 / 1e6,
            })).collect::<Vec<_>>(),
            "series": self.series.iter().map(second).collect::<Vec<_>>(),
            "thresholds": self.thresholds.iter().map(threshold).collect::<Vec<_>>(),
        })
    }

    fn distributions(&self, which: impl Fn(&crate::record::Measured) -> &Distribution) -> Map<String, Value> {
        let acts = self.acts.iter().map(|(name, measured)| (name.as_str(), measured));
        self.measured
            .iter()
            .map(|(latency, measured)| (latency.name(), measured))
            .chain(acts)
            .filter(|(_, measured)| which(measured).count() > 0)
            .map(|(name, measured)| (name.to_owned(), distribution(which(measured))))
            .collect()
    }
}

fn distribution(all: &Distribution) -> Value {
    json!({
        "count": all.count(),
        "p50_ms": all.quantile_ms(0.5),
        "p90_ms": all.quantile_ms(0.9),
        "p99_ms": all.quantile_ms(0.99),
        "p999_ms": all.quantile_ms(0.999),
        "max_ms": all.max_ms(),
        "histogram": histogram(all),
    })
}

/// `None` without values.
fn histogram(all: &Distribution) -> Option<String> {
    all.histogram().map(encoded)
}

/// V2+DEFLATE in base64, as all HDR tools read it.
pub(crate) fn encoded(all: &Histogram<u32>) -> String {
    let mut bytes = Vec::new();
    V2DeflateSerializer::new()
        .serialize(all, &mut bytes)
        .expect("a Vec takes everything, and the counts are 32-bit");
    STANDARD.encode(bytes)
}

/// Reads what [`encoded`] wrote, or any other HDR tool with 32-bit counts.
pub(crate) fn decoded(text: &str) -> Result<Histogram<u32>, String> {
    let bytes = STANDARD
        .decode(text)
        .map_err(|error| format!("is no base64: {error}"))?;
    Deserializer::new()
        .deserialize(&mut bytes.as_slice())
        .map_err(|error| format!("is no HDR histogram: {error}"))
}

fn lag(all: &Distribution) -> Value {
    json!({
        "p50_ms": all.quantile_ms(0.5),
        "p99_ms": all.quantile_ms(0.99),
        "max_ms": all.max_ms(),
        "histogram": histogram(all),
    })
}

fn second(figures: &Figures) -> Value {
    json!({
        "at_s": figures.at_seconds,
        "sent": figures.sent,
        "answered": figures.answered,
        "delivered": figures.delivered,
        "heartbeats": figures.heartbeats,
        "connected": figures.connected,
        "reconnects": figures.reconnects,
        "errors": figures.errors,
        "latency": figures.intervals.iter().map(interval).collect::<Map<_, _>>(),
        "target": figures.target.map(|target| json!({
            "cpu_percent": target.cpu_percent,
            "rss_bytes": target.rss_bytes,
            "connections": target.connections,
        })),
    })
}

fn interval(interval: &Interval) -> (String, Value) {
    let figures = json!({
        "count": interval.count,
        "p50_ms": interval.p50_ms,
        "p99_ms": interval.p99_ms,
        "max_ms": interval.max_ms,
        "histogram": interval.histogram,
    });
    (interval.latency.name().to_owned(), figures)
}

fn threshold(judged: &Judged) -> Value {
    json!({"expression": judged.threshold.expression, "actual": judged.actual, "verdict": judged.verdict})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_is_read_back_whole_by_any_hdr_tool() {
        let mut all = Distribution::default();
        for milliseconds in 1..=1_000 {
            all.record(milliseconds * 1_000_000);
        }
        let bytes = STANDARD.decode(histogram(&all).unwrap()).unwrap();
        let read: Histogram<u64> = Deserializer::new().deserialize(&mut bytes.as_slice()).unwrap();
        assert_eq!(read.len(), 1_000);
        assert_eq!(
            read.value_at_quantile(0.9),
            all.histogram().unwrap().value_at_quantile(0.9)
        );
        assert_eq!(histogram(&Distribution::default()), None);
    }
}
