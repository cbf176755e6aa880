//! Times on the wire, read by code that shares nothing with a server that writes them.

use std::time::{Duration, UNIX_EPOCH};

use serde_json::Value;
use touchstone_report::number;
use touchstone_report::timestamp::rfc3339;
use touchstone_scenarios::scenario::TimeUnit;

/// Seconds since the epoch, if the value is a time written so.
pub(super) fn epoch_seconds(value: &Value, unit: TimeUnit) -> Option<f64> {
    let number = || match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
        Value::Null | Value::Bool(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => None,
    };
    match unit {
        TimeUnit::Seconds => number(),
        TimeUnit::Millis => number().map(|number| number / 1000.0),
        TimeUnit::Rfc3339 => value.as_str().and_then(written_out),
    }
}

/// A number that is a time, as a person reads it; nothing for what is written out already, or is no time.
pub(super) fn as_time(value: &Value, unit: TimeUnit) -> Option<String> {
    if unit == TimeUnit::Rfc3339 {
        return None;
    }
    let since = Duration::try_from_secs_f64(epoch_seconds(value, unit)?).ok()?;
    UNIX_EPOCH.checked_add(since).map(rfc3339)
}

/// What is expected of a time around `now` (seconds since the epoch), as a person reads it and as the wire writes it:
/// `2024-01-01T12:00:00Z ± 5 s, in epoch seconds`. Milliseconds are shown where the window is that narrow.
pub(super) fn about(now: f64, within: Duration, unit: TimeUnit) -> String {
    let since = Duration::try_from_secs_f64(now).unwrap_or_default();
    let time = rfc3339(UNIX_EPOCH + since);
    let time = match time.split_once('.') {
        Some((seconds, _)) if within >= Duration::from_secs(1) => format!("{seconds}Z"),
        Some(_) | None => time,
    };
    let unit = match unit {
        TimeUnit::Seconds => "in epoch seconds",
        TimeUnit::Millis => "in epoch milliseconds",
        TimeUnit::Rfc3339 => "as RFC 3339 writes it in UTC",
    };
    format!("{time} ± {}, {unit}", number::duration(within))
}

/// `2024-01-01T12:00:00.000Z`: digits, and no other letters than these.
fn written_out(text: &str) -> Option<f64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let numbers = |text: &str, lengths: [usize; 3], between: char| {
        let parts: Vec<_> = text.split(between).collect();
        let digits = |(part, length): (&&str, usize)| {
            part.len() == length && part.bytes().all(|byte| byte.is_ascii_digit())
        };
        let right = parts.len() == 3 && parts.iter().zip(lengths).all(digits);
        right.then(|| {
            parts
                .iter()
                .map(|part| part.parse().unwrap_or(0))
                .collect::<Vec<i64>>()
        })
    };
    let (whole, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let (date, time) = (numbers(date, [4, 2, 2], '-')?, numbers(whole, [2, 2, 2], ':')?);
    if fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let fraction: f64 = format!("0.{fraction}").parse().ok()?;
    let seconds =
        days_since_epoch(date[0], date[1], date[2]) * 86_400 + time[0] * 3_600 + time[1] * 60 + time[2];
    #[expect(
        clippy::cast_precision_loss,
        reason = "the seconds of ten thousand years fit a double exactly"
    )]
    let seconds = seconds as f64;
    Some(seconds + fraction)
}

/// Days from 1970-01-01 in the Gregorian calendar; the year is counted from March, so that a leap day is its last.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    const DAYS_TO_EPOCH: i64 = 719_468;
    year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1 - DAYS_TO_EPOCH
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_expected_time_is_shown_as_a_time() {
        let rows = [
            (
                1_700_000_000.7,
                60_000,
                TimeUnit::Seconds,
                "2023-11-14T22:13:20Z ± 1 min, in epoch seconds",
            ),
            (
                1_700_000_000.25,
                500,
                TimeUnit::Millis,
                "2023-11-14T22:13:20.250Z ± 500 ms, in epoch milliseconds",
            ),
            (
                0.0,
                5_000,
                TimeUnit::Rfc3339,
                "1970-01-01T00:00:00Z ± 5 s, as RFC 3339 writes it in UTC",
            ),
        ];
        for (now, millis, unit, text) in rows {
            assert_eq!(about(now, Duration::from_millis(millis), unit), text);
        }
        let shown = |value, unit| as_time(&value, unit);
        let time = Some("2023-11-14T22:13:20.000Z".to_owned());
        assert_eq!(shown(json!(1_700_000_000), TimeUnit::Seconds), time);
        assert_eq!(shown(json!("1700000000000"), TimeUnit::Millis), time);
        assert_eq!(shown(json!("2023-11-14T22:13:20Z"), TimeUnit::Rfc3339), None);
        assert_eq!(shown(json!("soon"), TimeUnit::Seconds), None);
        assert_eq!(shown(json!(-1), TimeUnit::Seconds), None);
    }

    #[test]
    fn a_time_that_is_written_out_is_read_to_the_millisecond() {
        let rows = [
            ("1970-01-01T00:00:00Z", Some(0.0)),
            ("1970-01-01T00:00:00.250Z", Some(0.25)),
            ("2000-02-29T23:59:59.5Z", Some(951_868_799.5)),
            ("2023-11-14T22:13:20.000Z", Some(1_700_000_000.0)),
            ("2024-03-01T00:00:00.000Z", Some(1_709_251_200.0)),
            ("2023-11-14T22:13:20.000", None),
            ("2023-11-14T22:13:20.000+01:00", None),
            ("2023-11-14 22:13:20.000Z", None),
            ("2023-11-14T22:13:20.Z", None),
            ("2023-1-14T22:13:20Z", None),
            ("1700000000", None),
            ("", None),
        ];
        for (text, seconds) in rows {
            assert_eq!(epoch_seconds(&json!(text), TimeUnit::Rfc3339), seconds, "{text}");
        }
        assert_eq!(epoch_seconds(&json!(1_700_000_000), TimeUnit::Rfc3339), None);
    }
}
