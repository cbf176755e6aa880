//! Values with units, as people write them: times, sizes, rates. Each is written as it is read.

use touchstone_server::Rate;

/// Units of sizes, the largest first.
const SIZE_UNITS: &[(&str, usize)] = &[("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// `65536`, `64KiB`, `1MiB`: bytes.
pub(super) fn size(text: &str) -> Option<usize> {
    let unit = SIZE_UNITS
        .iter()
        .find_map(|(name, bytes)| Some((text.strip_suffix(name)?, *bytes)));
    let (number, bytes) = unit.unwrap_or((text, 1));
    count(number.trim_end())?.checked_mul(bytes)
}

/// As [`size`] reads it, in the largest unit that leaves the number whole.
pub(super) fn written_size(bytes: usize) -> String {
    match SIZE_UNITS
        .iter()
        .find(|(_, unit)| bytes > 0 && bytes.is_multiple_of(*unit))
    {
        Some((name, unit)) if *unit > 1 => format!("{}{name}", bytes / unit),
        _ => bytes.to_string(),
    }
}

/// A whole number, with `_` between its digits if you like.
pub(super) fn count(text: &str) -> Option<usize> {
    let digits: String = text.chars().filter(|letter| *letter != '_').collect();
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    if plain { digits.parse().ok() } else { None }
}

/// `50/s burst 100`; without a burst it is two seconds' worth, as common/7b has it. `50` alone is `50/s`.
pub(super) fn rate(text: &str) -> Option<Rate> {
    let mut words = text.split_whitespace();
    let first = words.next()?;
    let per_second: f64 = first.strip_suffix("/s").unwrap_or(first).parse().ok()?;
    if !(per_second.is_finite() && per_second > 0.0) {
        return None;
    }
    let burst = match (words.next(), words.next(), words.next()) {
        (None, _, _) => (per_second * 2.0).ceil().clamp(1.0, f64::from(u32::MAX)) as u32,
        (Some("burst"), Some(burst), None) => burst.parse().ok().filter(|burst| *burst > 0)?,
        _ => return None,
    };
    Some(Rate { per_second, burst })
}

/// As [`rate`] reads it.
pub(super) fn written_rate(rate: Rate) -> String {
    format!("{}/s burst {}", rate.per_second, rate.burst)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_read_as_it_is_written() {
        for (text, bytes) in [
            ("0", Some(0)),
            ("65536", Some(65_536)),
            ("64KiB", Some(65_536)),
            ("64 KiB", Some(65_536)),
            ("1_000", Some(1_000)),
            ("16MiB", Some(16 << 20)),
            ("1GiB", Some(1 << 30)),
            ("100B", Some(100)),
            ("64KB", None),
            ("64k", None),
            ("-1", None),
            ("1.5MiB", None),
            ("", None),
            ("99999999999GiB", None),
        ] {
            assert_eq!(size(text), bytes, "{text}");
        }
        for bytes in [0, 1, 1_000, 1_024, 65_537, 3 << 20, 1 << 30] {
            assert_eq!(size(&written_size(bytes)), Some(bytes));
        }
    }

    #[test]
    fn a_rate_is_read_as_it_is_written() {
        let rate_of = |per_second, burst| Some(Rate { per_second, burst });
        for (text, expected) in [
            ("50/s burst 100", rate_of(50.0, 100)),
            ("50/s", rate_of(50.0, 100)),
            ("400", rate_of(400.0, 800)),
            ("0.2/s", rate_of(0.2, 1)),
            ("0", None),
            ("-1/s", None),
            ("50/m", None),
            ("50/s burst", None),
            ("50/s burst 0", None),
            ("50/s burst 1 2", None),
            ("inf", None),
            ("", None),
        ] {
            assert_eq!(rate(text), expected, "{text}");
            if let Some(expected) = expected {
                assert_eq!(rate(&written_rate(expected)), Some(expected));
            }
        }
    }
}
