//! What must hold: `delivery.lost == 0`, `answer.p99 < 100ms`.

use std::fmt;
use std::str::FromStr;

use touchstone_scenarios::diag::closest;
use touchstone_scenarios::duration;

use crate::record::{ErrorKind, Latency};

/// A metric, a comparison and a bound.
#[derive(Debug, Clone, PartialEq)]
pub struct Threshold {
    /// As it was written.
    pub expression: String,
    /// What is looked at.
    pub metric: Metric,
    /// How it is compared.
    pub comparison: Comparison,
    /// With what, in the metric's unit: milliseconds, messages per second, or a number of things.
    pub bound: f64,
}

/// What a threshold looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// A latency from the intended instant.
    Latency(Latency, Quantile),
    /// Answers per second from the first phase's start to the last one's end.
    MessagesPerSecond,
    /// How many sessions …
    Sessions(SessionCount),
    /// How many messages …
    Delivery(DeliveryCount),
    /// Errors of one kind, or (`errors.total`) of all.
    Errors(Option<ErrorKind>),
}

/// Of a latency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantile {
    /// The median.
    P50,
    /// 90 %.
    P90,
    /// 99 %.
    P99,
    /// 99.9 %.
    P999,
    /// The slowest.
    Max,
    /// Not a time: how many were measured.
    Count,
}

/// `sessions.…`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionCount {
    /// That began to connect.
    Attempted,
    /// That were connected at least once.
    Connected,
    /// That were never connected, or should have been at the end and were not.
    Failed,
    /// Connections after a session's first.
    Reconnects,
    /// Connections that ended without this side having ended them.
    UnexpectedCloses,
}

/// `delivery.…`: the sums of the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "each is the field of the same name in ledger::Totals, which says what it is"
)]
pub enum DeliveryCount {
    Expected,
    Received,
    Lost,
    Duplicated,
    Reordered,
    Late,
    Unconfirmed,
}

/// How a metric is compared with its bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Comparison {
    Less,
    AtMost,
    Equal,
    NotEqual,
    AtLeast,
    Greater,
}

/// A threshold that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("threshold `{expression}`: {why}")]
pub struct ThresholdError {
    /// As it was written.
    pub expression: String,
    /// What is wrong with it.
    pub why: String,
}

/// Longest first, so that `<=` is not read as `<`.
const COMPARISONS: [(&str, Comparison); 6] = [
    ("<=", Comparison::AtMost),
    (">=", Comparison::AtLeast),
    ("==", Comparison::Equal),
    ("!=", Comparison::NotEqual),
    ("<", Comparison::Less),
    (">", Comparison::Greater),
];

const QUANTILES: [(&str, Quantile); 6] = [
    ("p50", Quantile::P50),
    ("p90", Quantile::P90),
    ("p99", Quantile::P99),
    ("p999", Quantile::P999),
    ("max", Quantile::Max),
    ("count", Quantile::Count),
];

const SESSION_COUNTS: [(&str, SessionCount); 5] = [
    ("attempted", SessionCount::Attempted),
    ("connected", SessionCount::Connected),
    ("failed", SessionCount::Failed),
    ("reconnects", SessionCount::Reconnects),
    ("unexpected_closes", SessionCount::UnexpectedCloses),
];

const DELIVERY_COUNTS: [(&str, DeliveryCount); 7] = [
    ("expected", DeliveryCount::Expected),
    ("received", DeliveryCount::Received),
    ("lost", DeliveryCount::Lost),
    ("duplicated", DeliveryCount::Duplicated),
    ("reordered", DeliveryCount::Reordered),
    ("late", DeliveryCount::Late),
    ("unconfirmed", DeliveryCount::Unconfirmed),
];

impl Metric {
    /// Whether a starved generator makes it worthless: times and rates are, counts are not.
    #[must_use]
    pub fn suffers_from_saturation(self) -> bool {
        match self {
            Self::Latency(_, Quantile::Count) => false,
            Self::Latency(..) | Self::MessagesPerSecond => true,
            Self::Sessions(_) | Self::Delivery(_) | Self::Errors(_) => false,
        }
    }

    /// Whether its bound and its value are in milliseconds.
    #[must_use]
    pub fn is_time(self) -> bool {
        matches!(self, Self::Latency(_, quantile) if quantile != Quantile::Count)
    }

    fn read(name: &str) -> Result<Self, String> {
        let (group, field) = name
            .split_once('.')
            .ok_or("a metric has two parts, for example `delivery.lost`")?;
        match group {
            "sessions" => pick(&SESSION_COUNTS, field).map(Self::Sessions),
            "delivery" => {
                let counts = DELIVERY_COUNTS.map(|(name, count)| (name, Self::Delivery(count)));
                let times = QUANTILES.map(|(name, q)| (name, Self::Latency(Latency::Delivery, q)));
                pick(&[counts.as_slice(), &times].concat(), field)
            }
            "messages" => pick(&[("per_second", Self::MessagesPerSecond)], field),
            "errors" => {
                let mut kinds = vec![("total", None)];
                kinds.extend(ErrorKind::ALL.iter().map(|kind| (kind.name(), Some(*kind))));
                pick(&kinds, field).map(Self::Errors)
            }
            latency => {
                let Some(latency) = Latency::ALL.iter().find(|known| known.name() == latency) else {
                    let groups = Latency::ALL
                        .iter()
                        .map(|known| known.name())
                        .chain(["sessions", "messages", "errors"]);
                    return Err(nothing("", latency, &groups.collect::<Vec<_>>()));
                };
                pick(&QUANTILES, field).map(|quantile| Self::Latency(*latency, quantile))
            }
        }
    }
}

fn pick<T: Copy>(known: &[(&str, T)], name: &str) -> Result<T, String> {
    known
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, value)| *value)
        .ok_or_else(|| {
            let names: Vec<_> = known.iter().map(|(name, _)| *name).collect();
            nothing(".", name, &names)
        })
}

/// What to say of a name that is none: the one that was meant, or all there are.
fn nothing(before: &str, name: &str, known: &[&str]) -> String {
    // All quantiles look alike: of `p98` none of them is more likely meant than the others.
    const LETTERS_MIN: usize = 4;
    match closest(name, known) {
        Some(best) if name.len() >= LETTERS_MIN => {
            format!("there is no `{before}{name}`; did you mean `{before}{best}`?")
        }
        Some(_) | None => format!("there is no `{before}{name}`; there is: {}", known.join(", ")),
    }
}

impl Comparison {
    /// Whether `actual` stands so to `bound`.
    #[must_use]
    pub fn holds(self, actual: f64, bound: f64) -> bool {
        match self {
            Self::Less => actual < bound,
            Self::AtMost => actual <= bound,
            Self::Equal => actual == bound,
            Self::NotEqual => actual != bound,
            Self::AtLeast => actual >= bound,
            Self::Greater => actual > bound,
        }
    }
}

impl FromStr for Threshold {
    type Err = ThresholdError;

    fn from_str(expression: &str) -> Result<Self, ThresholdError> {
        let bad = |why: String| ThresholdError {
            expression: expression.to_owned(),
            why,
        };
        let (at, sign, comparison) = COMPARISONS
            .iter()
            .filter_map(|(sign, comparison)| expression.find(sign).map(|at| (at, *sign, *comparison)))
            .min_by_key(|(at, sign, _)| (*at, usize::MAX - sign.len()))
            .ok_or_else(|| bad("there is no comparison in it: < <= == != >= >".to_owned()))?;
        let metric = Metric::read(expression[..at].trim()).map_err(bad)?;
        let bound = expression[at + sign.len()..].trim();
        let bound = if metric.is_time() {
            let limit = duration::fixed(bound).ok_or_else(|| {
                bad(format!(
                    "`{bound}` is not a duration, write for example 250ms, 10s or 1m"
                ))
            })?;
            limit.as_secs_f64() * 1e3
        } else {
            bound
                .parse::<f64>()
                .ok()
                .filter(|number| number.is_finite())
                .ok_or_else(|| bad(format!("`{bound}` is not a number")))?
        };
        Ok(Self {
            expression: expression.trim().to_owned(),
            metric,
            comparison,
            bound,
        })
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.expression)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_read() {
        let rows = [
            (
                "delivery.lost == 0",
                Metric::Delivery(DeliveryCount::Lost),
                Comparison::Equal,
                0.0,
            ),
            (
                "answer.p99 < 100ms",
                Metric::Latency(Latency::Answer, Quantile::P99),
                Comparison::Less,
                100.0,
            ),
            (
                " connect.max<=1.5s ",
                Metric::Latency(Latency::Connect, Quantile::Max),
                Comparison::AtMost,
                1500.0,
            ),
            (
                "delivery.p99 < 250ms",
                Metric::Latency(Latency::Delivery, Quantile::P99),
                Comparison::Less,
                250.0,
            ),
            (
                "sessions.failed == 0",
                Metric::Sessions(SessionCount::Failed),
                Comparison::Equal,
                0.0,
            ),
            (
                "messages.per_second >= 1e3",
                Metric::MessagesPerSecond,
                Comparison::AtLeast,
                1000.0,
            ),
            (
                "errors.total != 1",
                Metric::Errors(None),
                Comparison::NotEqual,
                1.0,
            ),
            (
                "heartbeat.count > 2",
                Metric::Latency(Latency::Heartbeat, Quantile::Count),
                Comparison::Greater,
                2.0,
            ),
        ];
        for (text, metric, comparison, bound) in rows {
            let threshold: Threshold = text.parse().unwrap();
            assert_eq!(
                (threshold.metric, threshold.comparison, threshold.bound),
                (metric, comparison, bound),
                "{text}"
            );
            assert_eq!(threshold.to_string(), text.trim());
        }
    }

    #[test]
    fn a_wrong_expression_says_what_would_be_right() {
        let rows = [
            ("delivery.lost", "there is no comparison in it: < <= == != >= >"),
            ("lost == 0", "a metric has two parts, for example `delivery.lost`"),
            ("anser.p99 < 1ms", "there is no `anser`; did you mean `answer`?"),
            (
                "delivery.losst == 0",
                "there is no `.losst`; did you mean `.lost`?",
            ),
            (
                "xyz.p99 < 1ms",
                "there is no `xyz`; there is: connect, login, resume, answer, confirm, delivery, heartbeat, sessions, messages, errors",
            ),
            (
                "answer.p98 < 1ms",
                "there is no `.p98`; there is: p50, p90, p99, p999, max, count",
            ),
            (
                "answer.p99 < 100",
                "`100` is not a duration, write for example 250ms, 10s or 1m",
            ),
            ("delivery.lost == none", "`none` is not a number"),
            (
                "delivery.p98 < 1ms",
                "there is no `.p98`; there is: expected, received, lost, duplicated, reordered, late, unconfirmed, p50, p90, p99, p999, max, count",
            ),
            (
                "delivery.lost = 0",
                "there is no comparison in it: < <= == != >= >",
            ),
        ];
        for (text, why) in rows {
            let error = text.parse::<Threshold>().unwrap_err();
            assert_eq!(error.to_string(), format!("threshold `{text}`: {why}"));
        }
    }

    #[test]
    fn each_comparison_is_what_its_sign_says() {
        for (sign, comparison) in COMPARISONS {
            let holds = [1.0, 2.0, 3.0].map(|actual| comparison.holds(actual, 2.0));
            let expected = match sign {
                "<" => [true, false, false],
                "<=" => [true, true, false],
                "==" => [false, true, false],
                "!=" => [true, false, true],
                ">=" => [false, true, true],
                _ => [false, false, true],
            };
            assert_eq!(holds, expected, "{sign}");
        }
    }

    #[test]
    fn only_times_and_rates_suffer_from_saturation() {
        let suffers = |text: &str| {
            text.parse::<Threshold>()
                .unwrap()
                .metric
                .suffers_from_saturation()
        };
        assert!(suffers("answer.p99 < 1ms") && suffers("messages.per_second > 1"));
        assert!(
            !suffers("delivery.lost == 0") && !suffers("answer.count > 1") && !suffers("errors.total == 0")
        );
    }
}
