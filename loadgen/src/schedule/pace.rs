//! A schedule that runs faster for a while.
//!
//! Whatever has a rate is drawn on a clock of its own, on which the rate is even, and then placed on the run's clock. A
//! spike of factor 5 is a stretch in which the own clock goes five times as fast: every draw stays what it was, nothing
//! is thinned out or added, and the number of sends in the stretch is exactly the integral of the rate.

use super::Nanos;

/// How the own clock of the schedule goes on the clock of the run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Pace {
    /// Ascending; before the first, both clocks are the same.
    bends: Vec<Bend>,
}

/// From here on the own clock goes `factor` times as fast.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Bend {
    run: Nanos,
    own: Nanos,
    factor: f64,
}

/// A stretch of the run and its factor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stretch {
    /// From here.
    pub start: Nanos,
    /// To here.
    pub end: Nanos,
    /// Above zero.
    pub factor: f64,
}

impl Pace {
    /// The pace of a run with these stretches: ascending, not overlapping.
    #[must_use]
    pub fn new(stretches: &[Stretch]) -> Self {
        let mut pace = Self::default();
        for stretch in stretches {
            for (run, factor) in [(stretch.start, stretch.factor), (stretch.end, 1.0)] {
                let own = pace.own(run);
                pace.bends.push(Bend { run, own, factor });
            }
        }
        pace
    }

    /// The own time at the run's time `run`.
    #[must_use]
    pub fn own(&self, run: Nanos) -> Nanos {
        match self.bends[..self.bends.partition_point(|bend| bend.run <= run)].last() {
            None => run,
            Some(bend) => bend.own.saturating_add(times(run - bend.run, bend.factor)),
        }
    }

    /// The run's time at the own time `own`.
    #[must_use]
    pub fn run(&self, own: Nanos) -> Nanos {
        match self.bends[..self.bends.partition_point(|bend| bend.own <= own)].last() {
            None => own,
            Some(bend) => bend.run.saturating_add(times(own - bend.own, 1.0 / bend.factor)),
        }
    }
}

/// Exact below 104 days, where a nanosecond count fits the 53 bits of a float; a run has 30.
fn times(width: Nanos, factor: f64) -> Nanos {
    (width as f64 * factor).round() as Nanos
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Nanos = 1_000_000_000;

    #[test]
    fn an_even_pace_changes_nothing() {
        let pace = Pace::new(&[]);
        assert_eq!((pace.own(17), pace.run(17)), (17, 17));
    }

    #[test]
    fn a_spike_of_five_for_two_seconds_holds_ten_seconds_of_the_schedule() {
        let pace = Pace::new(&[Stretch {
            start: 3 * SECOND,
            end: 5 * SECOND,
            factor: 5.0,
        }]);
        let rows = [(2, 2), (3, 3), (4, 8), (5, 13), (7, 15)];
        for (run, own) in rows {
            assert_eq!(pace.own(run * SECOND), own * SECOND, "{run} s");
            assert_eq!(pace.run(own * SECOND), run * SECOND, "{run} s");
        }
    }

    #[test]
    fn spikes_and_lulls_may_follow_each_other() {
        let stretch = |start: Nanos, end: Nanos, factor| Stretch {
            start: start * SECOND,
            end: end * SECOND,
            factor,
        };
        let pace = Pace::new(&[stretch(0, 2, 0.5), stretch(2, 4, 3.0), stretch(6, 7, 2.0)]);
        for (run, own) in [(0, 0), (2, 1), (4, 7), (6, 9), (7, 11), (8, 12)] {
            assert_eq!(pace.own(run * SECOND), own * SECOND, "{run} s");
            assert_eq!(pace.run(own * SECOND), run * SECOND, "{run} s");
        }
    }
}
