//! The summary as `touchstone.load/1`: stable keys, for machines.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::serialization::{Serializer as _, V2DeflateSerializer};
use serde_json::{Map, Value, json};

use crate::record::Distribution;
use crate::summary::{Figures, Judged, SenderPage, Summary};

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
                "dialect": self.plan.dialect.name(),
                "sessions": self.plan.sessions,
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
            },
            "ledger": self.ledger.iter().map(page).collect::<Vec<_>>(),
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
        self.measured
            .iter()
            .filter(|(_, measured)| which(measured).count() > 0)
            .map(|(latency, measured)| (latency.name().to_owned(), distribution(which(measured))))
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
    let mut bytes = Vec::new();
    V2DeflateSerializer::new()
        .serialize(all.histogram()?, &mut bytes)
        .expect("a Vec takes everything, and the counts are 32-bit");
    Some(STANDARD.encode(bytes))
}

fn lag(all: &Distribution) -> Value {
    json!({"p50_ms": all.quantile_ms(0.5), "p99_ms": all.quantile_ms(0.99), "max_ms": all.max_ms()})
}

fn page(page: &SenderPage) -> Value {
    json!({"sender": page.sender, "sent": page.sent, "confirmed": page.confirmed})
}

fn second(figures: &Figures) -> Value {
    json!({
        "at_s": figures.at_seconds,
        "sent": figures.sent,
        "answered": figures.answered,
        "heartbeats": figures.heartbeats,
        "connected": figures.connected,
        "reconnects": figures.reconnects,
        "errors": figures.errors,
        "answer_p50_ms": figures.answer_p50_ms,
        "answer_p99_ms": figures.answer_p99_ms,
    })
}

fn threshold(judged: &Judged) -> Value {
    json!({"expression": judged.threshold.expression, "actual": judged.actual, "verdict": judged.verdict})
}

/// RFC 3339 in UTC with milliseconds, for times from 1970 on.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!(
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z",
        since.subsec_millis()
    )
}

/// Year, month and day of a day counted from 1970-01-01 (Howard Hinnant, "chrono-compatible low-level date algorithms").
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Years begin in March here, so that a leap day is the last of its year.
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hdrhistogram::Histogram;
    use hdrhistogram::serialization::Deserializer;
    use std::time::Duration;

    #[test]
    fn a_time_is_written_as_rfc_3339() {
        for (seconds, millis, text) in [
            (0, 0, "1970-01-01T00:00:00.000Z"),
            (951_782_399, 999, "2000-02-28T23:59:59.999Z"),
            (951_782_400, 0, "2000-02-29T00:00:00.000Z"),
            (1_709_251_199, 1, "2024-02-29T23:59:59.001Z"),
            (4_107_542_400, 0, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(
                rfc3339(UNIX_EPOCH + Duration::from_millis(seconds * 1_000 + millis)),
                text
            );
        }
    }

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
