//! Heartbeats: one task and a wheel for all connections of a route, instead of a timer in each of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::connection::{Connection, Sent};

/// An interval is stretched by up to this share of it, at random, so that a crowd drifts apart (common/10b).
const STRETCH_MAX: f64 = 0.025;

/// A tick of the wheel is this part of the interval. With the stretch it stays under the 5 % allowed.
const TICKS_PER_INTERVAL: u32 = 100;

/// Tokio's timers don't go finer.
const TICK_MIN: Duration = Duration::from_millis(1);

/// So many are served before others get the thread.
const CROWD_AT_ONCE: usize = 256;

/// Sends heartbeats to the connections of one route.
#[derive(Debug)]
pub(crate) struct Heartbeats {
    interval: Duration,
    wheel: Mutex<Wheel<Weak<Connection>>>,
}

impl Heartbeats {
    /// For nobody yet.
    pub(crate) fn new(interval: Duration, random: fastrand::Rng) -> Self {
        Self {
            interval,
            wheel: Mutex::new(Wheel::new(interval, random, Instant::now())),
        }
    }

    /// From now on the connection gets heartbeats, the first after one interval.
    pub(crate) fn join(&self, connection: &Arc<Connection>) {
        // One that is gone by then is found out when its turn comes.
        self.wheel().schedule(Instant::now(), Arc::downgrade(connection));
    }

    /// Sends `beat()` to whoever is due, until `stop`. `sent` is told how many took it.
    pub(crate) async fn run(&self, beat: impl Fn() -> Bytes, sent: impl Fn(u64), stop: CancellationToken) {
        while stop
            .run_until_cancelled(tokio::time::sleep_until(self.next_turn()))
            .await
            .is_some()
        {
            let due = self.wheel().take_due(Instant::now());
            if due.is_empty() {
                continue;
            }
            let frame = beat();
            let taken = |connection: &Weak<Connection>| {
                connection
                    .upgrade()
                    .is_some_and(|connection| connection.send(&frame) == Sent::Taken)
            };
            for crowd in due.chunks(CROWD_AT_ONCE) {
                let alive: Vec<_> = crowd
                    .iter()
                    .filter(|connection| taken(connection))
                    .cloned()
                    .collect();
                sent(alive.len() as u64);
                self.put_back(alive);
                tokio::task::yield_now().await;
            }
        }
    }

    fn put_back(&self, connections: Vec<Weak<Connection>>) {
        let now = Instant::now();
        let mut wheel = self.wheel();
        for connection in connections {
            wheel.schedule(now, connection);
        }
    }

    /// When somebody may be due. Who joins after now is not due before one interval from now, so nobody has to wake
    /// the task for him.
    fn next_turn(&self) -> Instant {
        let latest = Instant::now() + self.interval;
        self.wheel().first_due().map_or(latest, |due| due.min(latest))
    }

    fn wheel(&self) -> MutexGuard<'_, Wheel<Weak<Connection>>> {
        self.wheel
            .lock()
            .expect("the wheel's lock is never poisoned: no code panics while holding it")
    }
}

/// Who is due when, to the tick.
#[derive(Debug)]
struct Wheel<T> {
    interval: Duration,
    tick: Duration,
    started: Instant,
    random: fastrand::Rng,
    due: BTreeMap<u64, Vec<T>>,
}

impl<T> Wheel<T> {
    fn new(interval: Duration, random: fastrand::Rng, now: Instant) -> Self {
        let tick = (interval / TICKS_PER_INTERVAL).max(TICK_MIN);
        Self {
            interval,
            tick,
            started: now,
            random,
            due: BTreeMap::new(),
        }
    }

    /// Puts `item` where it is due next: never before one interval, and soon after.
    fn schedule(&mut self, now: Instant, item: T) {
        let stretched = self.interval.mul_f64(1.0 + STRETCH_MAX * self.random.f64());
        let tick = (now + stretched - self.started)
            .as_nanos()
            .div_ceil(self.tick.as_nanos());
        self.due.entry(tick as u64).or_default().push(item);
    }

    fn first_due(&self) -> Option<Instant> {
        let (tick, _) = self.due.first_key_value()?;
        Some(self.started + Duration::from_nanos(tick.saturating_mul(self.tick.as_nanos() as u64)))
    }

    /// Everything that is due by now.
    fn take_due(&mut self, now: Instant) -> Vec<T> {
        let tick = (now - self.started).as_nanos() / self.tick.as_nanos();
        let later = self.due.split_off(&(tick as u64 + 1));
        std::mem::replace(&mut self.due, later)
            .into_values()
            .flatten()
            .collect()
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
