//! How long something took, many times: a histogram.

use hdrhistogram::Histogram;

use crate::schedule::Nanos;

/// A histogram in microseconds, made when first used. What is longer than an hour is counted as an hour.
#[derive(Debug, Clone, Default)]
pub struct Distribution(Option<Histogram<u32>>);

/// Significant digits of a distribution.
const DIGITS: u8 = 3;
/// The longest value a distribution tells apart, in µs.
const LONGEST_MICROS: u64 = 3_600_000_000;

impl Distribution {
    /// Adds one value, rounded up to whole microseconds, with 3 significant digits.
    pub fn record(&mut self, nanoseconds: Nanos) {
        self.0
            .get_or_insert_with(|| empty(DIGITS))
            .saturating_record(nanoseconds.div_ceil(1_000));
    }

    /// Adds another's values.
    pub fn merge(&mut self, other: &Self) {
        match (&mut self.0, &other.0) {
            (_, None) => {}
            (None, Some(_)) => self.0.clone_from(&other.0),
            (Some(own), Some(other)) => own.add(other).expect("all distributions have the same bounds"),
        }
    }

    /// A distribution read back from a report; `None` if it was recorded with other bounds.
    #[must_use]
    pub fn restore(all: Histogram<u32>) -> Option<Self> {
        has_bounds_of(&empty(DIGITS), &all).then_some(Self(Some(all)))
    }

    /// How many values.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.as_ref().map_or(0, Histogram::len)
    }

    /// The value at quantile `q` in [0, 1], in milliseconds; `None` without values.
    #[must_use]
    pub fn quantile_ms(&self, q: f64) -> Option<f64> {
        self.0
            .as_ref()
            .filter(|all| !all.is_empty())
            .map(|all| all.value_at_quantile(q) as f64 / 1e3)
    }

    /// The largest value, in milliseconds, within its three digits.
    #[must_use]
    pub fn max_ms(&self) -> Option<f64> {
        self.quantile_ms(1.0)
    }

    /// The histogram itself, in µs.
    #[must_use]
    pub fn histogram(&self) -> Option<&Histogram<u32>> {
        self.0.as_ref()
    }
}

/// Whether two histograms can be added to each other value by value.
pub(super) fn has_bounds_of(own: &Histogram<u32>, all: &Histogram<u32>) -> bool {
    (own.low(), own.high(), own.sigfig()) == (all.low(), all.high(), all.sigfig())
}

pub(super) fn empty(digits: u8) -> Histogram<u32> {
    Histogram::new_with_bounds(1, LONGEST_MICROS, digits).expect("the bounds are constants that fit")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_longer_than_an_hour_counts_as_an_hour() {
        let mut distribution = Distribution::default();
        distribution.record(u64::MAX);
        assert!((3_600_000.0..3_610_000.0).contains(&distribution.max_ms().unwrap()));
    }
}
