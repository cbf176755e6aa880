//! Durations and shares as people write them.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A duration, written `250ms`, `10s`, `1.5m` or `2h`.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Span(pub Duration);

/// A share, written `25%`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Share(f64);

const UNITS: [(&str, f64); 6] = [
    ("ns", 1e-9),
    ("us", 1e-6),
    ("ms", 1e-3),
    ("s", 1.0),
    ("m", 60.0),
    ("h", 3600.0),
];

impl std::str::FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("`{text}` is not a duration, write for example 250ms, 10s or 1m");
        let unit_at = text.find(|c: char| c.is_ascii_alphabetic()).ok_or_else(bad)?;
        let (number, unit) = text.split_at(unit_at);
        let (_, seconds) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(bad)?;
        let number: f64 = number.trim_end().parse().map_err(|_| bad())?;
        // Rounded, so that `0.1ms` is exactly 100 µs.
        let nanoseconds = (number * seconds * 1e9).round();
        if !(0.0..=1e18).contains(&nanoseconds) {
            return Err(bad());
        }
        Ok(Self(Duration::from_nanos(nanoseconds as u64)))
    }
}

impl TryFrom<String> for Span {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Span> for String {
    fn from(span: Span) -> Self {
        span.to_string()
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanoseconds = self.0.as_nanos();
        let (unit, per) = [("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000)]
            .into_iter()
            .find(|(_, per)| nanoseconds.is_multiple_of(*per))
            .unwrap_or(("ns", 1));
        write!(f, "{}{unit}", nanoseconds / per)
    }
}

impl Share {
    /// Everyone.
    #[must_use]
    pub const fn all() -> Self {
        Self(1.0)
    }

    /// This share of `count`, rounded.
    #[must_use]
    pub fn of(self, count: u32) -> u32 {
        (f64::from(count) * self.0).round() as u32
    }

    /// In millionths.
    #[must_use]
    pub fn millionths(self) -> u32 {
        self.of(1_000_000)
    }
}

impl TryFrom<String> for Share {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.strip_suffix('%')
            .and_then(|number| number.trim_end().parse::<f64>().ok())
            .filter(|percent| (0.0..=100.0).contains(percent))
            .map(|percent| Self(percent / 100.0))
            .ok_or_else(|| format!("`{text}` is not a share, write for example 25%"))
    }
}

impl From<Share> for String {
    fn from(share: Share) -> Self {
        format!("{}%", share.0 * 100.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_written_as_people_write_them() {
        for (text, nanoseconds, written) in [
            ("250ms", 250_000_000, "250ms"),
            ("10s", 10_000_000_000, "10s"),
            ("1.5m", 90_000_000_000, "90s"),
            ("0.1ms", 100_000, "100us"),
            ("2h", 7_200_000_000_000, "7200s"),
            ("0s", 0, "0s"),
            ("7ns", 7, "7ns"),
        ] {
            let span: Span = text.parse().unwrap();
            assert_eq!(span.0.as_nanos(), nanoseconds, "{text}");
            assert_eq!(span.to_string(), written);
        }
    }

    #[test]
    fn what_is_no_duration_or_share_says_what_would_be_one() {
        for text in ["", "5", "s", "5 parsecs", "-1s", "1e99s", "nans"] {
            assert_eq!(
                text.parse::<Span>().unwrap_err(),
                format!("`{text}` is not a duration, write for example 250ms, 10s or 1m")
            );
        }
        for text in ["", "25", "101%", "-1%", "x%", "NaN%"] {
            assert!(Share::try_from(text.to_owned()).is_err(), "{text}");
        }
    }

    #[test]
    fn a_share_of_a_crowd_is_a_whole_number() {
        let quarter = Share::try_from("25%".to_owned()).unwrap();
        assert_eq!([quarter.of(2_000), quarter.of(10), quarter.of(1)], [500, 3, 0]);
        assert_eq!(String::from(quarter), "25%");
    }
}
