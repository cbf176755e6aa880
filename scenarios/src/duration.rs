//! Times as files write them: `250ms`, or worked out from the target's own timings.
//!
//! `300ms`, `1.5s`, `2m`, `1h`; `${heartbeat}`, `${heartbeat * 1.05}`, `${echo.session.ttl + 200ms}`. Inside `${…}`:
//! names, durations, `*` with a number on its right, then `+` and `-`. Parsed when the file is read, so that a
//! mistake has a place; evaluated when the target's timings are known.

use std::borrow::Cow;
use std::time::Duration as Time;

use touchstone_protocol::Dialect;

use crate::source::Span;

/// The timings a target file can hold (spec README, "Configuration").
pub const TIMINGS: &[&str] = &[
    "echo.heartbeat.interval",
    "echo.session.ttl",
    "echo.store.deadline",
    "rooms.typing.ttl",
    "outbox.sweep.interval",
    "outbox.confirm.timeout",
    "feed.heartbeat.interval",
    "feed.heartbeat.timeout",
    "direct.heartbeat.interval",
    "direct.heartbeat.timeout",
    "server.grace",
    "server.handshake.deadline",
    "server.close.deadline",
];

/// Stands for the heartbeat interval of the dialect that the case runs on.
pub const HEARTBEAT: &str = "heartbeat";

/// A time as the file writes it. Worked out by [`Duration::evaluate`] when the timings are known.
#[derive(Debug, Clone, PartialEq)]
pub struct Duration {
    /// As it stands in the file.
    pub expression: String,
    /// Where it stands.
    pub span: Span,
    /// Added up; never empty.
    terms: Vec<Term>,
}

/// `± what * factor`
#[derive(Debug, Clone, PartialEq)]
struct Term {
    what: What,
    /// Negative for a term that is taken off.
    factor: f64,
}

#[derive(Debug, Clone, PartialEq)]
enum What {
    Fixed(Time),
    Timing(String),
}

/// A text that is no duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a duration{}", .detail.as_ref().map(|detail| format!(": {detail}")).unwrap_or_default())]
pub struct NotADuration {
    /// What was written.
    pub text: String,
    /// What about it, where more can be said.
    pub detail: Option<String>,
}

/// A timing that neither the target nor its defaults hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the timing `{0}` is not known")]
pub struct UnknownTiming(pub String);

/// How to write one, for help texts.
pub const EXAMPLE: &str = "write for example 250ms, 1.5s, 2m or \"${heartbeat * 1.05}\"";

impl Duration {
    /// Reads an expression.
    ///
    /// # Errors
    /// When it is none, with what about it.
    pub fn parse(text: &str, span: Span) -> Result<Self, NotADuration> {
        let wrong = |detail: Option<String>| NotADuration {
            text: text.to_owned(),
            detail,
        };
        let trimmed = text.trim();
        let terms = match trimmed.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')) {
            Some(inside) => sum(inside).map_err(|detail| wrong(Some(detail)))?,
            None => vec![Term {
                what: What::Fixed(fixed(trimmed).ok_or_else(|| wrong(None))?),
                factor: 1.0,
            }],
        };
        Ok(Self {
            expression: trimmed.to_owned(),
            span,
            terms,
        })
    }

    /// A time that depends on nothing.
    #[must_use]
    pub fn fixed(time: Time) -> Self {
        Self {
            expression: format!("{time:?}"),
            span: Span::default(),
            terms: vec![Term {
                what: What::Fixed(time),
                factor: 1.0,
            }],
        }
    }

    /// The timings it is made of, as the file names them.
    pub fn timings(&self) -> impl Iterator<Item = &str> {
        self.terms.iter().filter_map(|term| match &term.what {
            What::Timing(name) => Some(name.as_str()),
            What::Fixed(_) => None,
        })
    }

    /// Works it out; `timing` gives the value of a name as the file writes it (see [`full_name`]). What would be
    /// less than zero is zero.
    ///
    /// # Errors
    /// The first name that `timing` does not know.
    pub fn evaluate(&self, timing: &dyn Fn(&str) -> Option<Time>) -> Result<Time, UnknownTiming> {
        if let [
            Term {
                what: What::Fixed(time),
                factor: 1.0,
            },
        ] = self.terms.as_slice()
        {
            return Ok(*time);
        }
        let mut seconds = 0.0;
        for term in &self.terms {
            let value = match &term.what {
                What::Fixed(time) => *time,
                What::Timing(name) => timing(name).ok_or_else(|| UnknownTiming(name.clone()))?,
            };
            seconds += value.as_secs_f64() * term.factor;
        }
        Ok(Time::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Time::MAX))
    }
}

/// The name under which a target knows a timing: `heartbeat` is that of the dialect the case runs on.
#[must_use]
pub fn full_name(name: &str, dialect: Option<Dialect>) -> Cow<'_, str> {
    match dialect {
        Some(dialect) if name == HEARTBEAT => Cow::Owned(format!("{dialect}.heartbeat.interval")),
        _ => Cow::Borrowed(name),
    }
}

/// `250ms`, `1.5s`, `2m`, `1h`: a number and its unit, nothing between.
#[must_use]
pub fn fixed(text: &str) -> Option<Time> {
    let (number, unit_seconds) = [("ms", 1e-3), ("us", 1e-6), ("s", 1.0), ("m", 60.0), ("h", 3600.0)]
        .iter()
        .find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, *seconds)))?;
    let number = plain_number(number)?;
    // Rounded, so that 0.3 s is 300 ms exactly.
    Time::try_from_secs_f64((number * unit_seconds * 1e9).round() / 1e9).ok()
}

/// Digits with at most one point: no sign, no exponent, no infinity.
fn plain_number(text: &str) -> Option<f64> {
    let digits = text.strip_prefix(|first: char| first.is_ascii_digit())?;
    let plain = digits.chars().all(|digit| digit.is_ascii_digit() || digit == '.') && !text.ends_with('.');
    if plain { text.parse().ok() } else { None }
}

fn sum(inside: &str) -> Result<Vec<Term>, String> {
    let mut terms = Vec::new();
    let mut sign = 1.0;
    let mut words: Vec<&str> = Vec::new();
    let spaced = spaced(inside);
    for word in spaced.split_whitespace() {
        match word {
            "+" | "-" => {
                terms.push(product(&words, sign)?);
                words.clear();
                sign = if word == "+" { 1.0 } else { -1.0 };
            }
            _ => words.push(word),
        }
    }
    terms.push(product(&words, sign)?);
    Ok(terms)
}

/// The text with its operators set apart.
fn spaced(inside: &str) -> String {
    let mut out = String::with_capacity(inside.len() + 8);
    for letter in inside.chars() {
        if matches!(letter, '+' | '-' | '*') {
            out.extend([' ', letter, ' ']);
        } else {
            out.push(letter);
        }
    }
    out
}

fn product(words: &[&str], sign: f64) -> Result<Term, String> {
    let (first, rest) = words.split_first().ok_or("a name or a duration is missing")?;
    let what = if first.starts_with(|letter: char| letter.is_ascii_digit()) {
        What::Fixed(fixed(first).ok_or_else(|| format!("`{first}` has to be a duration such as 200ms"))?)
    } else if is_name(first) {
        What::Timing((*first).to_owned())
    } else {
        return Err(format!("`{first}` is not a name"));
    };
    let mut factor = sign;
    for pair in rest.chunks(2) {
        match pair {
            ["*", number] => {
                factor *= plain_number(number)
                    .ok_or_else(|| format!("`{number}` has to be a number such as 1.5"))?;
            }
            ["*"] => return Err("a number is missing after `*`".to_owned()),
            [other, ..] => return Err(format!("`{other}` has to be `*`, `+` or `-`")),
            [] => {}
        }
    }
    Ok(Term { what, factor })
}

fn is_name(word: &str) -> bool {
    word.starts_with(|letter: char| letter.is_ascii_alphabetic())
        && word
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_'))
}

/// A time in a file that is read with `serde`: `250ms`, `1.5s`, `2m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FixedDuration(pub Time);

impl<'de> serde::Deserialize<'de> for FixedDuration {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FixedDurationVisitor)
    }
}

/// Takes whatever stands there, so that `250` is answered as what it is: a time without its unit.
struct FixedDurationVisitor;

impl serde::de::Visitor<'_> for FixedDurationVisitor {
    type Value = FixedDuration;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a time such as 250ms")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<FixedDuration, E> {
        fixed(text.trim())
            .map(FixedDuration)
            .ok_or_else(|| E::custom(format!("`{text}` is not a duration, write for example 250ms")))
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<FixedDuration, E> {
        Err(E::custom(format!(
            "`{number}` has no unit, write for example {number}ms or {number}s"
        )))
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<FixedDuration, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<FixedDuration, E> {
        Err(E::custom(format!(
            "`{number}` has no unit, write for example {number}ms or {number}s"
        )))
    }
}

impl serde::Serialize for FixedDuration {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&written(self.0))
    }
}

/// As [`fixed`] reads it; the unit is the longest that leaves the number whole, so that nothing is rounded away.
#[must_use]
pub fn written(time: Time) -> String {
    let nanos = time.as_nanos();
    let units = [
        ("h", 3_600_000_000_000),
        ("m", 60_000_000_000),
        ("s", 1_000_000_000),
        ("ms", 1_000_000),
        ("us", 1_000),
    ];
    if nanos == 0 {
        return "0ms".to_owned();
    }
    match units.iter().find(|(_, unit)| nanos.is_multiple_of(*unit)) {
        Some((name, unit)) => format!("{}{name}", nanos / unit),
        None => format!("{}.{:03}us", nanos / 1_000, nanos % 1_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evaluated(text: &str) -> Result<Time, String> {
        let duration = Duration::parse(text, Span::default()).map_err(|error| error.to_string())?;
        duration
            .evaluate(&|name| match name {
                "heartbeat" => Some(Time::from_secs(1)),
                "echo.session.ttl" => Some(Time::from_millis(800)),
                _ => None,
            })
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_duration_is_worked_out() {
        for (text, millis) in [
            ("0s", 0),
            ("300ms", 300),
            ("0.3s", 300),
            ("1.5s", 1_500),
            ("2m", 120_000),
            ("1h", 3_600_000),
            ("${heartbeat}", 1_000),
            ("${ heartbeat*1.5 }", 1_500),
            ("${echo.session.ttl + 200ms}", 1_000),
            ("${echo.session.ttl * 2 - heartbeat * 0.5}", 1_100),
            ("${heartbeat - 2s}", 0),
        ] {
            assert_eq!(evaluated(text), Ok(Time::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused_with_a_reason() {
        for (text, error) in [
            ("5 parsecs", "`5 parsecs` is not a duration"),
            ("5", "`5` is not a duration"),
            ("-5s", "`-5s` is not a duration"),
            ("infs", "`infs` is not a duration"),
            ("1e3s", "`1e3s` is not a duration"),
            ("heartbeat", "`heartbeat` is not a duration"),
            ("", "`` is not a duration"),
            ("${}", "`${}` is not a duration: a name or a duration is missing"),
            (
                "${heartbeat *}",
                "`${heartbeat *}` is not a duration: a number is missing after `*`",
            ),
            (
                "${heartbeat 2}",
                "`${heartbeat 2}` is not a duration: `2` has to be `*`, `+` or `-`",
            ),
            (
                "${heartbeat * x}",
                "`${heartbeat * x}` is not a duration: `x` has to be a number such as 1.5",
            ),
            (
                "${2 * heartbeat}",
                "`${2 * heartbeat}` is not a duration: `2` has to be a duration such as 200ms",
            ),
            ("${nobody}", "the timing `nobody` is not known"),
        ] {
            assert_eq!(evaluated(text), Err(error.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        for (nanos, text) in [
            (0, "0ms"),
            (1, "0.001us"),
            (1_500, "1.500us"),
            (500_000, "500us"),
            (1_500_000, "1500us"),
            (300_000_000, "300ms"),
            (1_500_000_000, "1500ms"),
            (90_000_000_000, "90s"),
            (120_000_000_000, "2m"),
            (7_200_000_000_000, "2h"),
            (86_399_999_999_999, "86399999999.999us"),
        ] {
            let time = Time::from_nanos(nanos);
            let json = serde_json::to_string(&FixedDuration(time)).unwrap();
            assert_eq!(json, format!("\"{text}\""));
            assert_eq!(
                serde_json::from_str::<FixedDuration>(&json).unwrap(),
                FixedDuration(time)
            );
        }
    }

    #[test]
    fn the_heartbeat_is_the_dialects_own() {
        assert_eq!(
            full_name("heartbeat", Some(Dialect::Echo)),
            "echo.heartbeat.interval"
        );
        assert_eq!(full_name("heartbeat", None), "heartbeat");
        assert_eq!(full_name("server.grace", Some(Dialect::Echo)), "server.grace");
    }
}
