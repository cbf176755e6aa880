//! A timer wheel: what is due when, for a crowd of which each would else need a timer of its own.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

/// An interval is stretched by up to this share of it, at random, so that a crowd drifts apart (common/10b).
const STRETCH_MAX: f64 = 0.025;

/// A tick of the wheel is this part of the interval. With the stretch it stays under the 5 % allowed.
const TICKS_PER_INTERVAL: u32 = 100;

/// Tokio's timers don't go finer.
const TICK_MIN: Duration = Duration::from_millis(1);

/// Whether a time may come a little later, so that a crowd drifts apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stretch {
    Yes,
    No,
}

/// Who is due when, to the tick: one sorted list instead of a timer for each of a crowd.
#[derive(Debug)]
pub(crate) struct Wheel<T> {
    interval: Duration,
    tick: Duration,
    started: Instant,
    random: fastrand::Rng,
    due: BTreeMap<u64, Vec<T>>,
    scheduled: usize,
}

impl<T> Wheel<T> {
    /// With ticks that suit what is due after `interval`.
    pub(crate) fn new(interval: Duration, random: fastrand::Rng, now: Instant) -> Self {
        let tick = (interval / TICKS_PER_INTERVAL).max(TICK_MIN);
        Self {
            interval,
            tick,
            started: now,
            random,
            due: BTreeMap::new(),
            scheduled: 0,
        }
    }

    /// How many items wait for their time.
    pub(crate) fn len(&self) -> usize {
        self.scheduled
    }

    /// Forgets the items that are not to be kept, and gives their memory back.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        self.due.retain(|_, items| {
            items.retain(&mut keep);
            items.shrink_to_fit();
            !items.is_empty()
        });
        self.scheduled = self.due.values().map(Vec::len).sum();
    }

    /// Puts `item` where it is due next: never before one interval, and soon after.
    pub(crate) fn schedule(&mut self, now: Instant, item: T) {
        self.schedule_after(now, self.interval, Stretch::Yes, item);
    }

    /// Puts `item` where it is due after that time, to the tick; never before.
    pub(crate) fn schedule_after(&mut self, now: Instant, after: Duration, stretch: Stretch, item: T) {
        let stretched = match stretch {
            Stretch::Yes => after + self.interval.mul_f64(STRETCH_MAX * self.random.f64()),
            Stretch::No => after,
        };
        let tick = (now + stretched - self.started)
            .as_nanos()
            .div_ceil(self.tick.as_nanos());
        self.due.entry(tick as u64).or_default().push(item);
        self.scheduled += 1;
    }

    /// When somebody is due next.
    pub(crate) fn first_due(&self) -> Option<Instant> {
        let (tick, _) = self.due.first_key_value()?;
        Some(self.started + Duration::from_nanos(tick.saturating_mul(self.tick.as_nanos() as u64)))
    }

    /// Everything that is due by now.
    pub(crate) fn take_due(&mut self, now: Instant) -> Vec<T> {
        let tick = (now - self.started).as_nanos() / self.tick.as_nanos();
        let later = self.due.split_off(&(tick as u64 + 1));
        let due: Vec<T> = std::mem::replace(&mut self.due, later)
            .into_values()
            .flatten()
            .collect();
        self.scheduled -= due.len();
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_is_due_after_one_interval_and_before_five_percent_more() {
        for interval in [
            Duration::from_millis(100),
            Duration::from_secs(1),
            Duration::from_secs(30),
        ] {
            let start = Instant::now();
            let mut wheel = Wheel::new(interval, fastrand::Rng::with_seed(7), start);
            let mut last = vec![start; 200];
            (0..200).for_each(|item| wheel.schedule(start, item));
            let mut beats = 0;
            while beats < 2_000 {
                let now = wheel.first_due().expect("everybody is put back");
                for item in wheel.take_due(now) {
                    let since_last = now - last[item];
                    assert!(
                        since_last >= interval,
                        "never shortened: {since_last:?} for {interval:?}"
                    );
                    assert!(
                        since_last <= interval.mul_f64(1.05),
                        "{since_last:?} for {interval:?}"
                    );
                    last[item] = now;
                    wheel.schedule(now, item);
                    beats += 1;
                }
            }
            let apart = *last.iter().max().expect("200") - *last.iter().min().expect("200");
            assert!(apart > interval / 20, "a crowd drifts apart, here by {apart:?}");
        }
    }

    #[test]
    fn who_is_not_kept_is_never_due() {
        let start = Instant::now();
        let mut wheel = Wheel::new(Duration::from_secs(1), fastrand::Rng::with_seed(7), start);
        (0..100).for_each(|item| wheel.schedule(start, item));
        wheel.retain(|item| item % 10 == 0);
        assert_eq!(wheel.len(), 10);
        let mut due = wheel.take_due(start + Duration::from_secs(2));
        due.sort_unstable();
        assert_eq!(due, [0, 10, 20, 30, 40, 50, 60, 70, 80, 90]);
        assert_eq!(wheel.len(), 0);
    }

    #[test]
    fn nobody_is_due_before_its_tick() {
        let start = Instant::now();
        let mut wheel = Wheel::new(Duration::from_secs(1), fastrand::Rng::with_seed(7), start);
        wheel.schedule(start, "early");
        let first = wheel.first_due().expect("somebody is scheduled");
        wheel.schedule(first, "late");
        assert!(wheel.take_due(first - Duration::from_nanos(1)).is_empty());
        assert_eq!(wheel.take_due(first), ["early"]);
        assert!(wheel.take_due(first).is_empty());
    }
}
