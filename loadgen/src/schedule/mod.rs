//! When things are meant to happen: a pure function of the plan and its seed.
//!
//! Times are nanoseconds since the run began. Which event loop a session lives on, and how the server fares, change
//! nothing here: the same seed gives the same schedule.

mod pace;

use std::sync::Arc;
use std::time::Duration;

pub use pace::{Pace, Stretch};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Nanoseconds since the run began.
pub type Nanos = u64;

/// `duration` as nanoseconds; 584 years at most.
#[must_use]
pub fn nanos(duration: Duration) -> Nanos {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// How the sends of one session are spaced.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Spacing {
    /// Evenly, each session with a phase of its own.
    #[default]
    Uniform,
    /// As independent users do: exponential gaps.
    Poisson,
}

/// The intended times of something that comes again and again, ascending, without end.
#[derive(Debug, Clone)]
pub struct Sends {
    chance: fastrand::Rng,
    spacing: Spacing,
    period: Nanos,
    index: u32,
    /// On the schedule's own clock.
    own: Nanos,
    pace: Arc<Pace>,
    /// Intended times are multiples of it.
    grid: Nanos,
    /// None is before this.
    start: Nanos,
}

/// The coarsest grid: what a user's own timer is late by on most systems.
const GRID_MAX: Nanos = 2_000_000;
/// Sends of all sessions together that fall on one point of the grid, on average and at most.
const SENDS_ON_A_POINT: f64 = 10.0;
/// A session's own period is at least so many times the grid.
const POINTS_OF_A_PERIOD: Nanos = 100;

/// The grid on which the sends of `sessions` with this `period` lie. What falls on one point leaves in one turn of an event
/// loop, which costs a third less than a turn for each; that the point is a little earlier than the draw changes no latency, for
/// the point *is* the intended time.
#[must_use]
pub fn grid(sessions: u32, period: Duration) -> Nanos {
    let period = nanos(period);
    let shared = SENDS_ON_A_POINT * period as f64 / f64::from(sessions.max(1));
    (shared as Nanos)
        .min(GRID_MAX)
        .min(period / POINTS_OF_A_PERIOD)
        .max(1)
}

impl Sends {
    /// The sends of `session`, one per `period` on average where the pace is even, from `start` on.
    #[must_use]
    pub fn new(
        seed: u64,
        session: u32,
        spacing: Spacing,
        period: Duration,
        start: Nanos,
        pace: Arc<Pace>,
    ) -> Self {
        let mut sends = Self {
            chance: chance_of(seed, session),
            spacing,
            period: nanos(period).max(1),
            index: 0,
            own: pace.own(start),
            pace,
            grid: 1,
            start,
        };
        match spacing {
            Spacing::Uniform => sends.own += sends.chance.u64(0..sends.period),
            Spacing::Poisson => sends.step(),
        }
        sends
    }

    /// The same, with intended times that are multiples of `grid`.
    #[must_use]
    pub fn on_grid(self, grid: Nanos) -> Self {
        Self { grid, ..self }
    }

    /// The next intended time.
    #[must_use]
    pub fn due(&self) -> Nanos {
        let drawn = self.pace.run(self.own);
        (drawn - drawn % self.grid).max(self.start)
    }

    /// The number of the next, from 0.
    #[must_use]
    pub fn index(&self) -> u32 {
        self.index
    }

    /// Goes on to the one after.
    pub fn advance(&mut self) {
        self.index = self.index.wrapping_add(1);
        self.step();
    }

    fn step(&mut self) {
        let gap = match self.spacing {
            Spacing::Uniform => self.period,
            Spacing::Poisson => exponential(self.period, &mut self.chance),
        };
        self.own = self.own.saturating_add(gap);
    }
}

/// An exponential time with this mean.
pub(crate) fn exponential(mean: Nanos, chance: &mut fastrand::Rng) -> Nanos {
    // In (0, 1]: the logarithm is finite. Cut at fifty means, once in 10^21 draws.
    let uniform = 1.0 - chance.f64();
    Duration::from_nanos(mean)
        .mul_f64((-uniform.ln()).min(50.0))
        .as_nanos() as Nanos
}

/// When session `index` of `count` arrives, if they come evenly over `[start, end)`.
#[must_use]
pub fn arrival(index: u32, count: u32, start: Nanos, end: Nanos) -> Nanos {
    let width = u128::from(end.saturating_sub(start));
    start + (width * u128::from(index) / u128::from(count.max(1))) as Nanos
}

/// The sessions that storm number `storm` drops, or that read nothing in slow phase number `storm` (by another seed): `share` of all,
/// rounded to the nearest whole session, drawn by the seed; ascending.
#[must_use]
pub fn dropped(seed: u64, storm: u32, sessions: u32, share: f64) -> Vec<u32> {
    let mut chance = fastrand::Rng::with_seed(mix(seed ^ 0x5707_4d00, u64::from(storm)));
    let count = (f64::from(sessions) * share.clamp(0.0, 1.0)).round() as usize;
    let mut chosen: Vec<u32> = (0..sessions).collect();
    chance.shuffle(&mut chosen);
    chosen.truncate(count);
    chosen.sort_unstable();
    chosen
}

/// A session's own chance, independent of all others'.
#[must_use]
pub fn chance_of(seed: u64, session: u32) -> fastrand::Rng {
    fastrand::Rng::with_seed(mix(seed, u64::from(session)))
}

/// Spreads neighbouring numbers over all of `u64` (the finalizer of SplitMix64).
fn mix(seed: u64, number: u64) -> u64 {
    let mut z = seed.wrapping_add(number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Nanos = 1_000_000_000;

    fn times(seed: u64, session: u32, spacing: Spacing) -> Vec<Nanos> {
        let even = Arc::default();
        let mut sends = Sends::new(seed, session, spacing, Duration::from_secs(1), 0, even);
        std::iter::repeat_with(|| {
            let due = sends.due();
            sends.advance();
            due
        })
        .take(2_000)
        .collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_schedule_and_another_another() {
        for spacing in [Spacing::Uniform, Spacing::Poisson] {
            assert_eq!(times(7, 3, spacing), times(7, 3, spacing));
            assert_ne!(times(7, 3, spacing), times(8, 3, spacing));
            assert_ne!(times(7, 3, spacing), times(7, 4, spacing));
        }
        assert_eq!(dropped(7, 0, 2_000, 0.25), dropped(7, 0, 2_000, 0.25));
        assert_ne!(dropped(7, 0, 2_000, 0.25), dropped(7, 1, 2_000, 0.25));
    }

    #[test]
    fn the_schedule_of_seed_1_is_this_one() {
        assert_eq!(
            times(1, 0, Spacing::Uniform)[..3],
            [371_337_715, 1_371_337_715, 2_371_337_715]
        );
        assert_eq!(dropped(1, 0, 12, 0.25), [6, 9, 11]);
    }

    #[test]
    fn a_grid_gathers_ten_sends_at_most_and_is_never_coarse_for_its_session() {
        let rows = [
            (1, 1_000, 2_000_000),
            (5_000, 1_000, 2_000_000),
            (50_000, 1_000, 200_000),
            (1, 10, 100_000),
            (2_000, 10, 50_000),
        ];
        for (sessions, period_ms, expected) in rows {
            assert_eq!(
                grid(sessions, Duration::from_millis(period_ms)),
                expected,
                "{sessions}"
            );
        }
        assert_eq!(grid(u32::MAX, Duration::from_nanos(5)), 1, "there is always one");
    }

    #[test]
    fn on_a_grid_every_send_comes_at_the_last_point_before_its_draw_and_none_before_the_start() {
        let pace = Arc::new(Pace::default());
        let start = 7 * GRID_MAX + 1;
        let period = Duration::from_micros(500);
        let drawn = Sends::new(1, 0, Spacing::Poisson, period, start, pace);
        let (mut exact, mut placed) = (drawn.clone(), drawn.on_grid(GRID_MAX));
        assert_eq!(
            placed.due(),
            start,
            "the first draw is sooner than the next point"
        );
        for _ in 0..1_000 {
            let early = exact.due() - placed.due();
            let on_point = placed.due() % GRID_MAX == 0 || placed.due() == start;
            assert!(early < GRID_MAX && on_point, "{early}");
            exact.advance();
            placed.advance();
        }
    }

    #[test]
    fn uniform_sends_are_a_period_apart_and_phases_spread_over_it() {
        let mut phases = [0; 4];
        for session in 0..4_000 {
            let times = times(1, session, Spacing::Uniform);
            assert!(times.windows(2).all(|pair| pair[1] - pair[0] == SECOND));
            phases[(times[0] / (SECOND / 4)) as usize] += 1;
        }
        assert!(
            phases.iter().all(|&count| (900..1_100).contains(&count)),
            "{phases:?}"
        );
    }

    #[test]
    fn poisson_gaps_have_the_mean_and_the_spread_of_an_exponential() {
        let times = times(1, 0, Spacing::Poisson);
        let gaps: Vec<f64> = times
            .windows(2)
            .map(|pair| (pair[1] - pair[0]) as f64 / SECOND as f64)
            .collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let below_mean = gaps.iter().filter(|&&gap| gap < 1.0).count() as f64 / gaps.len() as f64;
        assert!((0.9..1.1).contains(&mean), "{mean}");
        assert!(
            (0.60..0.66).contains(&below_mean),
            "1 - 1/e = 0.632, got {below_mean}"
        );
    }

    #[test]
    fn arrivals_are_even_and_a_storm_takes_its_exact_share() {
        let arrivals: Vec<_> = (0..4).map(|index| arrival(index, 4, 10, 50)).collect();
        assert_eq!(arrivals, [10, 20, 30, 40]);
        for (sessions, share, expected) in [(2_000, 0.25, 500), (3, 0.5, 2), (10, 0.0, 0), (10, 1.0, 10)] {
            let chosen = dropped(1, 0, sessions, share);
            assert_eq!(chosen.len(), expected);
            assert!(chosen.windows(2).all(|pair| pair[0] < pair[1]), "each once");
        }
    }

    #[test]
    fn a_spike_holds_as_many_sends_as_its_factor_says_and_changes_none_before_it() {
        let spike = |factor| {
            let stretch = Stretch {
                start: 10 * SECOND,
                end: 20 * SECOND,
                factor,
            };
            let pace = Arc::new(Pace::new(&[stretch]));
            let mut sends = Sends::new(3, 5, Spacing::Uniform, Duration::from_secs(1), 0, pace);
            std::iter::repeat_with(move || {
                let due = sends.due();
                sends.advance();
                due
            })
            .take_while(|&due| due < 30 * SECOND)
            .collect::<Vec<_>>()
        };
        let (even, spiked) = (spike(1.0), spike(5.0));
        assert_eq!(even.len(), 30);
        assert_eq!(spiked.len(), 10 + 50 + 10);
        assert_eq!(even[..10], spiked[..10]);
        assert_eq!(spiked[11] - spiked[10], SECOND / 5);
    }
}
