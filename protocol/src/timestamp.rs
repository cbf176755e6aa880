//! Times as the wire has them (common/10a).

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

const MILLIS_PER_DAY: u64 = 86_400_000;

/// The last day that four digits of a year can name: 9999-12-31, counted from 1970-01-01.
const DAY_MAX: u64 = 2_932_896;

/// Milliseconds since the epoch that are written as RFC 3339 in UTC with milliseconds: `2024-01-01T12:00:00.000Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rfc3339(pub u64);

/// A text that is no time, or none from 1970 to 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidTime;

impl fmt::Display for InvalidTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a time is written as RFC 3339, for example 2024-01-01T12:00:00.000Z")
    }
}

impl std::error::Error for InvalidTime {}

impl fmt::Display for Rfc3339 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (day, milli) = (self.0 / MILLIS_PER_DAY, self.0 % MILLIS_PER_DAY);
        let (year, month, day) = civil(day.min(DAY_MAX));
        let (hour, minute, second) = (milli / 3_600_000, milli / 60_000 % 60, milli / 1_000 % 60);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z",
            milli % 1_000
        )
    }
}

impl Serialize for Rfc3339 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Rfc3339 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

impl FromStr for Rfc3339 {
    type Err = InvalidTime;

    /// Takes any offset, and any number of digits behind the second; those behind the millisecond are dropped.
    fn from_str(text: &str) -> Result<Self, InvalidTime> {
        parse(text).map(Self).ok_or(InvalidTime)
    }
}

fn parse(text: &str) -> Option<u64> {
    // A date and a time of day have 19 characters, all of them ASCII.
    let (moment, behind) = text.split_at_checked(19)?;
    let bytes = moment.as_bytes();
    let marks = [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')];
    if marks.iter().any(|(at, mark)| bytes[*at] != *mark) || !matches!(bytes[10], b'T' | b't' | b' ') {
        return None;
    }
    let field = |at: usize, most: u64| digits(moment.get(at..at + 2)?).filter(|value| *value <= most);
    let (year, month, day) = (digits(&moment[..4])?, field(5, 12)?, field(8, 31)?);
    let (hour, minute, second) = (field(11, 23)?, field(14, 59)?, field(17, 60)?);
    let day = days(year, month, day)?;
    let (millis, offset) = fraction(behind)?;
    let seconds = (day * 86_400 + hour * 3_600 + minute * 60 + second).checked_add_signed(-offset)?;
    Some(seconds * 1_000 + millis)
}

/// What stands behind the seconds: milliseconds, and how many seconds the offset is ahead of UTC.
fn fraction(text: &str) -> Option<(u64, i64)> {
    let (millis, offset) = match text.strip_prefix('.') {
        None => (0, text),
        Some(rest) => {
            let end = rest.find(|c: char| !c.is_ascii_digit())?;
            let (fraction, offset) = rest.split_at(end);
            let millis: String = fraction.chars().chain("00".chars()).take(3).collect();
            (digits(&millis).filter(|_| end > 0)?, offset)
        }
    };
    if offset.eq_ignore_ascii_case("z") {
        return Some((millis, 0));
    }
    let ahead = match offset.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, minutes) = offset[1..].split_once(':')?;
    let two = |text: &str, most: u64| digits(text).filter(|value| text.len() == 2 && *value <= most);
    let seconds = two(hours, 23)? * 3_600 + two(minutes, 59)? * 60;
    Some((millis, ahead * seconds as i64))
}

fn digits(text: &str) -> Option<u64> {
    let all_digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| all_digits)
}

/// Days from 1970-01-01 to this day, if there is such a day.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    // Years begin in March here, so that a leap day is the last of its year (Howard Hinnant, "chrono-compatible
    // low-level date algorithms").
    let march_year = year.checked_sub(u64::from(month <= 2))?;
    let (era, year_of_era) = (march_year / 400, march_year % 400);
    let march_month = (month + 9) % 12;
    let day_of_year = (153 * march_month + 2) / 5 + day.checked_sub(1)?;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = (era * 146_097 + day_of_era).checked_sub(719_468)?;
    // A day that the month does not have would be one of the next month.
    (civil(days) == (year, month, day)).then_some(days)
}

/// Year, month and day of a day counted from 1970-01-01.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
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

    #[test]
    fn a_time_is_written_with_milliseconds_and_read_with_any_offset() {
        for (text, millis) in [
            ("1970-01-01T00:00:00.000Z", 0),
            ("2000-02-29T23:59:59.999Z", 951_868_799_999),
            ("2024-01-01T12:00:00.000Z", 1_704_110_400_000),
            ("2100-03-01T00:00:00.001Z", 4_107_542_400_001),
            ("9999-12-31T23:59:59.999Z", 253_402_300_799_999),
        ] {
            assert_eq!(Rfc3339(millis).to_string(), text);
            assert_eq!(text.parse(), Ok(Rfc3339(millis)));
        }
        for (text, millis) in [
            ("2024-01-01T12:00:00Z", 1_704_110_400_000),
            ("2024-01-01t12:00:00.5z", 1_704_110_400_500),
            ("2024-01-01T13:30:00.1239999+01:30", 1_704_110_400_123),
            ("2024-01-01T07:00:00-05:00", 1_704_110_400_000),
        ] {
            assert_eq!(text.parse(), Ok(Rfc3339(millis)), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "now",
            "2024-01-01",
            "2024-01-01T12:00:00",
            "2024-01-01T12:00:00.Z",
            "2024-01-01T12:00:00.5",
            "2024-02-30T12:00:00Z",
            "2023-02-29T12:00:00Z",
            "2024-13-01T12:00:00Z",
            "2024-00-01T12:00:00Z",
            "2024-01-00T12:00:00Z",
            "2024-01-01T24:00:00Z",
            "2024-01-01T12:00:00+1:00",
            "2024-01-01T12:00:00+0100",
            "2024-01-01T12:00:00Zulu",
            "1969-12-31T23:59:59Z",
            "1970-01-01T00:00:00+00:01",
            "+024-01-01T12:00:00Z",
            "2024-01-01T12:00:0é",
        ] {
            assert_eq!(text.parse::<Rfc3339>(), Err(InvalidTime), "{text}");
        }
    }
}
