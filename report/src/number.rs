//! Numbers as people read them: three digits that matter, a unit, thousands set apart.

use std::time::Duration;

/// A count: `12,345`.
#[must_use]
pub fn count(count: u64) -> String {
    thousands(&count.to_string())
}

/// A duration in the unit that suits it, from `1 ns` to `2 h 5 min`; three digits below a minute.
#[must_use]
pub fn duration(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    if duration == Duration::ZERO {
        return "0 s".to_owned();
    }
    // The bounds are where three digits would round up into the next unit.
    for (below, unit_nanos, unit) in [
        (1_000.0, 1.0, "ns"),
        (999.5e3, 1e3, "µs"),
        (999.5e6, 1e6, "ms"),
        (59.95e9, 1e9, "s"),
    ] {
        if (nanos as f64) < below {
            return format!("{} {unit}", three_digits(nanos as f64 / unit_nanos));
        }
    }
    let seconds = duration.as_secs() + u64::from(duration.subsec_millis() >= 500);
    match (seconds / 3_600, seconds / 60 % 60, seconds % 60) {
        (0, minutes, 0) => format!("{minutes} min"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, 0, _) => format!("{} h", count(hours)),
        (hours, minutes, _) => format!("{} h {minutes} min", count(hours)),
    }
}

/// A duration given in milliseconds, as the JSON reports hold it; `–` where it is not a number a clock can show.
#[must_use]
pub fn millis(millis: f64) -> String {
    match Duration::try_from_secs_f64(millis / 1e3) {
        Ok(shown) => duration(shown),
        Err(_) => MISSING.to_owned(),
    }
}

/// What stands where there is no number.
pub const MISSING: &str = "–";

/// A share of a whole in percent: `99.98 %`. It is rounded away from the ends: `100 %` and `0 %` are exact, and a single failure
/// among millions still shows. `–` where the whole is nothing.
#[must_use]
pub fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return MISSING.to_owned();
    }
    if part == 0 || part == whole {
        return format!("{} %", if part == 0 { 0 } else { 100 });
    }
    let share = part as f64 / whole as f64 * 100.0;
    let shown = if share > 99.0 && share < 100.0 {
        // As many nines as it takes to show that it is not all, but no more than four.
        (1..=4)
            .map(|digits| floor_to(share, digits))
            .find(|shown| shown.trim_end_matches('9') != "99.")
            .unwrap_or_else(|| "99.9999".to_owned())
    } else if share < 0.01 {
        return "< 0.01 %".to_owned();
    } else {
        three_digits(share)
    };
    format!("{shown} %")
}

/// Rounded down to so many digits after the point.
fn floor_to(value: f64, digits: usize) -> String {
    let factor = 10f64.powi(digits as i32);
    format!("{:.digits$}", (value * factor).floor() / factor)
}

/// Bytes by factors of 1,024: `64 KiB`, `1.5 MiB`.
#[must_use]
pub fn bytes(bytes: u64) -> String {
    if bytes < 1_024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64;
    let mut unit = "B";
    for next in ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"] {
        if value < 1_023.5 {
            break;
        }
        value /= 1_024.0;
        unit = next;
    }
    format!("{} {unit}", decimal(value))
}

/// A number with thousands set apart: three digits below 100, whole from there on; `–` where it is no number.
#[must_use]
pub fn decimal(value: f64) -> String {
    if !value.is_finite() {
        return MISSING.to_owned();
    }
    if value.abs() < 99.95 {
        three_digits(value)
    } else {
        thousands(&format!("{value:.0}"))
    }
}

/// A tick of an axis: short, without rounding away what tells ticks apart.
pub(crate) fn tick(value: f64) -> String {
    let size = value.abs();
    let (scaled, unit) = match size {
        _ if size >= 1e9 => (value / 1e9, "G"),
        _ if size >= 1e6 => (value / 1e6, "M"),
        _ if size >= 1e4 => (value / 1e3, "k"),
        _ => (value, ""),
    };
    let digits = if scaled == 0.0 {
        0
    } else {
        (3 - scaled.abs().log10().floor() as i32).clamp(0, 9) as usize
    };
    format!("{}{unit}", thousands(trimmed(&format!("{scaled:.digits$}"))))
}

/// At most three digits that matter, without trailing zeros: `0.0123`, `1.24`, `12.4`, `124`.
fn three_digits(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let digits = (2 - value.abs().log10().floor() as i32).clamp(0, 9) as usize;
    trimmed(&format!("{value:.digits$}")).to_owned()
}

/// Without trailing zeros after the point.
pub(crate) fn trimmed(number: &str) -> &str {
    if number.contains('.') {
        number.trim_end_matches('0').trim_end_matches('.')
    } else {
        number
    }
}

/// Commas between the thousands of the whole part.
fn thousands(number: &str) -> String {
    let (sign, digits) = number
        .strip_prefix('-')
        .map_or(("", number), |digits| ("-", digits));
    let (whole, fraction) = digits
        .split_once('.')
        .map_or((digits, None), |(whole, fraction)| (whole, Some(fraction)));
    let mut shown = sign.to_owned();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    if let Some(fraction) = fraction {
        shown.push('.');
        shown.push_str(fraction);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_their_thousands_set_apart() {
        for (n, expected) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(count(n), expected);
        }
    }

    #[test]
    fn durations_choose_their_unit() {
        for (nanos, expected) in [
            (0, "0 s"),
            (1, "1 ns"),
            (999, "999 ns"),
            (1_000, "1 µs"),
            (1_240, "1.24 µs"),
            (999_600, "1 ms"),
            (12_400_000, "12.4 ms"),
            (999_400_000, "999 ms"),
            (999_700_000, "1 s"),
            (1_240_000_000, "1.24 s"),
            (10_000_000_000, "10 s"),
            (59_949_000_000, "59.9 s"),
            (59_970_000_000, "1 min"),
            (125_000_000_000, "2 min 5 s"),
            (3_600_000_000_000, "1 h"),
            (7_500_000_000_000, "2 h 5 min"),
        ] {
            assert_eq!(duration(Duration::from_nanos(nanos)), expected, "{nanos} ns");
        }
        assert_eq!(millis(0.85), "850 µs");
        assert_eq!(millis(f64::NAN), "–");
        assert_eq!(millis(-1.0), "–");
    }

    #[test]
    fn percentages_are_whole_only_when_nothing_is_missing() {
        for (part, whole, expected) in [
            (0, 0, "–"),
            (0, 7, "0 %"),
            (7, 7, "100 %"),
            (1, 3, "33.3 %"),
            (117, 118, "99.1 %"),
            (1_999, 2_000, "99.95 %"),
            (9_999_999_999, 10_000_000_000, "99.9999 %"),
            (1, 1_000_000, "< 0.01 %"),
        ] {
            assert_eq!(percent(part, whole), expected, "{part} of {whole}");
        }
    }

    #[test]
    fn bytes_and_ticks_keep_what_matters() {
        for (n, expected) in [
            (0, "0 B"),
            (1_023, "1023 B"),
            (1_024, "1 KiB"),
            (65_536, "64 KiB"),
            (1_572_864, "1.5 MiB"),
            (1_048_575, "1 MiB"),
        ] {
            assert_eq!(bytes(n), expected, "{n}");
        }
        for (value, expected) in [
            (0.0, "0"),
            (0.05, "0.05"),
            (2.5, "2.5"),
            (1_000.0, "1,000"),
            (20_000.0, "20k"),
            (1_500_000.0, "1.5M"),
            (-3.0, "-3"),
        ] {
            assert_eq!(tick(value), expected, "{value}");
        }
    }
}
