//! Where values go along an axis, and which of them are labelled: linear, by factors of ten, by quantiles.

use crate::document::{Axis, Scale};
use crate::number;

/// More labelled ticks than this crowd an axis.
const TICKS_MAX: usize = 7;

/// An axis laid out: where values go, and which of them are labelled.
pub(crate) struct Ruler {
    scale: Scale,
    /// In the scale's own units, which are even on paper.
    low: f64,
    high: f64,
    pub(crate) ticks: Vec<(f64, String)>,
}

impl Ruler {
    pub(crate) fn new(axis: &Axis, values: impl Iterator<Item = f64>, anchor: Anchor) -> Option<Self> {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.filter_map(|value| even(axis.scale, value)) {
            low = low.min(value);
            high = high.max(value);
        }
        // Nothing to draw, or a span that no number can hold.
        if low > high || !(high - low).is_finite() {
            return None;
        }
        match axis.scale {
            Scale::Linear => Some(Self::linear(low, high, anchor)),
            Scale::Log => Some(Self::log(low, high)),
            Scale::Quantile => Some(Self::quantile(high)),
        }
    }

    fn linear(mut low: f64, mut high: f64, anchor: Anchor) -> Self {
        if anchor == Anchor::Zero && low >= 0.0 {
            low = 0.0;
        }
        if high - low <= f64::EPSILON * high.abs().max(1.0) {
            high = if high == 0.0 { 1.0 } else { high + high.abs() * 0.5 };
        }
        let step = nice_step((high - low) / (TICKS_MAX - 1) as f64);
        if anchor == Anchor::Zero {
            low = (low / step).floor() * step;
            high = (high / step).ceil() * step;
        }
        let first = (low / step).ceil() as i64;
        let last = (high / step + 1e-9).floor() as i64;
        let ticks = (first..=last)
            .map(|n| n as f64 * step)
            .map(|value| (value, number::tick(value)))
            .collect();
        Self {
            scale: Scale::Linear,
            low,
            high,
            ticks,
        }
    }

    fn log(low: f64, high: f64) -> Self {
        let (mut low, mut high) = (low, high);
        // Whole decades where there are several, halves and fifths of one where there are few.
        let steps: &[f64] = if high - low > 2.5 {
            &[1.0]
        } else {
            &[1.0, 2.0, 5.0]
        };
        let marks: Vec<f64> = ((low.floor() as i32 - 1)..=(high.ceil() as i32 + 1))
            .flat_map(|decade| steps.iter().map(move |step| f64::from(decade) + step.log10()))
            .collect();
        low = marks
            .iter()
            .copied()
            .filter(|mark| *mark <= low + 1e-9)
            .fold(f64::NEG_INFINITY, f64::max);
        high = marks
            .iter()
            .copied()
            .filter(|mark| *mark >= high - 1e-9 && *mark > low)
            .fold(f64::INFINITY, f64::min);
        let within: Vec<f64> = marks
            .into_iter()
            .filter(|mark| (low - 1e-9..=high + 1e-9).contains(mark))
            .collect();
        let every = within.len().div_ceil(TICKS_MAX);
        let ticks = within
            .into_iter()
            .step_by(every)
            .map(|mark| (mark, number::tick(rounded(10f64.powf(mark)))))
            .collect();
        Self {
            scale: Scale::Log,
            low,
            high,
            ticks,
        }
    }

    fn quantile(high: f64) -> Self {
        let high = high.max(1.0);
        let named = [
            (0.5, "50 %"),
            (0.9, "90 %"),
            (0.99, "99 %"),
            (0.999, "99.9 %"),
            (0.9999, "99.99 %"),
            (0.999_99, "99.999 %"),
            (0.999_999, "99.9999 %"),
        ];
        let ticks = named
            .into_iter()
            .filter_map(|(q, name)| Some((even(Scale::Quantile, q)?, name.to_owned())))
            .filter(|(at, _)| *at <= high + 1e-9)
            .collect();
        Self {
            scale: Scale::Quantile,
            low: 0.0,
            high,
            ticks,
        }
    }

    /// Where `value` is between the ends, 0 to 1.
    pub(crate) fn place(&self, value: f64) -> Option<f64> {
        even(self.scale, value).map(|value| self.share(value))
    }

    pub(crate) fn share(&self, even: f64) -> f64 {
        ((even - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }
}

/// Whether a linear axis begins at zero: heights are compared by their length, so y does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Anchor {
    Zero,
    Data,
}

/// A value in units that are even on paper; `None` where the scale has no place for it.
fn even(scale: Scale, value: f64) -> Option<f64> {
    let even = match scale {
        Scale::Linear => value,
        Scale::Log if value > 0.0 => value.log10(),
        Scale::Quantile if (0.0..1.0).contains(&value) => (1.0 / (1.0 - value)).log10(),
        Scale::Log | Scale::Quantile => return None,
    };
    even.is_finite().then_some(even)
}

/// 1, 2 or 5 times a power of ten, at least `least`.
fn nice_step(least: f64) -> f64 {
    let power = 10f64.powf(least.log10().floor());
    let factor = [1.0, 2.0, 5.0]
        .into_iter()
        .find(|factor| factor * power >= least * 0.999_999)
        .unwrap_or(10.0);
    factor * power
}

/// `0.1 + 0.2` is not what an axis should say.
fn rounded(value: f64) -> f64 {
    let power = 10f64.powf(value.log10().floor() - 3.0);
    (value / power).round() * power
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(ruler: Option<Ruler>) -> Vec<String> {
        ruler.map_or_else(Vec::new, |ruler| {
            ruler.ticks.into_iter().map(|(_, label)| label).collect()
        })
    }

    #[test]
    fn ticks_are_round_and_few() {
        for (axis, values, expected) in [
            (
                Axis::linear("y"),
                vec![0.0, 4_410.0],
                vec!["0", "1,000", "2,000", "3,000", "4,000", "5,000"],
            ),
            (
                Axis::linear("y"),
                vec![0.0, 0.3],
                vec!["0", "0.05", "0.1", "0.15", "0.2", "0.25", "0.3"],
            ),
            (
                Axis::linear("y"),
                vec![0.0],
                vec!["0", "0.2", "0.4", "0.6", "0.8", "1"],
            ),
            (
                Axis::linear("y"),
                vec![-3.0, 3.0],
                vec!["-3", "-2", "-1", "0", "1", "2", "3"],
            ),
            (
                Axis::log("y"),
                vec![0.344, 13.2],
                vec!["0.2", "0.5", "1", "2", "5", "10", "20"],
            ),
            (
                Axis::log("y"),
                vec![0.001, 1_000.0],
                vec!["0.001", "0.01", "0.1", "1", "10", "100", "1,000"],
            ),
            (Axis::log("y"), vec![5.0], vec!["5", "10"]),
            (
                Axis::quantile("y"),
                vec![0.5, 0.999],
                vec!["50 %", "90 %", "99 %", "99.9 %"],
            ),
            (Axis::linear("y"), vec![f64::NAN, f64::INFINITY], vec![]),
            (Axis::log("y"), vec![0.0, -1.0], vec![]),
            (Axis::quantile("y"), vec![1.0], vec![]),
        ] {
            let found = labels(Ruler::new(&axis, values.iter().copied(), Anchor::Zero));
            assert_eq!(found, expected, "{:?} {values:?}", axis.scale);
        }
    }

    #[test]
    fn values_beyond_reason_draw_no_endless_axis() {
        for values in [
            vec![1e-300, 1e300],
            vec![f64::MIN, f64::MAX],
            vec![1e300, 1.000_000_000_000_1e300],
            vec![1e18, 1e18 + 256.0],
        ] {
            for axis in [Axis::linear("y"), Axis::log("y")] {
                assert!(
                    labels(Ruler::new(&axis, values.iter().copied(), Anchor::Data)).len() <= 10,
                    "{values:?}"
                );
            }
        }
    }

    #[test]
    fn quantiles_are_evenly_spaced_by_nines() {
        let ruler = Ruler::new(&Axis::quantile("q"), [0.0, 0.999].into_iter(), Anchor::Data).unwrap();
        let places: Vec<String> = [0.0, 0.9, 0.99, 0.999]
            .iter()
            .map(|q| format!("{:.3}", ruler.place(*q).unwrap()))
            .collect();
        assert_eq!(places, ["0.000", "0.333", "0.667", "1.000"]);
    }
}
