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

/// Who is due when.
#[derive(Debug)]
pub(crate) struct Heartbeats {
    interval: Duration,
    tick: Duration,
    started: Instant,
    wheel: Mutex<Wheel>,
}

#[derive(Debug)]
struct Wheel {
    random: fastrand::Rng,
    /// By the tick in which they are due. A connection that is gone is found out when its turn comes.
    due: BTreeMap<u64, Vec<Weak<Connection>>>,
}

impl Heartbeats {
    /// A wheel without connections.
    pub(crate) fn new(interval: Duration, random: fastrand::Rng) -> Self {
        Self {
            interval,
            tick: (interval / TICKS_PER_INTERVAL).max(TICK_MIN),
            started: Instant::now(),
            wheel: Mutex::new(Wheel {
                random,
                due: BTreeMap::new(),
            }),
        }
    }

    /// From now on the connection gets heartbeats, the first after one interval.
    pub(crate) fn join(&self, connection: &Arc<Connection>) {
        self.schedule(Instant::now(), std::iter::once(Arc::downgrade(connection)));
    }

    /// Sends `beat()` to whoever is due, until `stop`. `sent` is told how many took it.
    pub(crate) async fn run(&self, beat: impl Fn() -> Bytes, sent: impl Fn(u64), stop: CancellationToken) {
        // Nobody who joins after now is due before one interval from now: there is no need to be woken for him.
        let until_next = || {
            self.next_due()
                .map_or(self.interval, |due| due.min(self.interval))
        };
        while stop
            .run_until_cancelled(tokio::time::sleep(until_next()))
            .await
            .is_some()
        {
            let now = Instant::now();
            let due = self.take_due(now);
            if due.is_empty() {
                continue;
            }
            let frame = beat();
            let taken = |connection: &Weak<Connection>| {
                connection
                    .upgrade()
                    .is_some_and(|connection| connection.send(&frame) == Sent::Taken)
            };
            let alive: Vec<_> = due.into_iter().flatten().filter(taken).collect();
            sent(alive.len() as u64);
            self.schedule(now, alive.into_iter());
        }
    }

    fn next_due(&self) -> Option<Duration> {
        let first = *self.lock().due.first_key_value()?.0;
        let due = self.started + Duration::from_nanos(first.saturating_mul(self.tick.as_nanos() as u64));
        Some(due.saturating_duration_since(Instant::now()))
    }

    /// Everybody whose tick has begun.
    fn take_due(&self, now: Instant) -> Vec<Vec<Weak<Connection>>> {
        let ticks = (now - self.started).as_nanos() / self.tick.as_nanos();
        let mut wheel = self.lock();
        let later = wheel.due.split_off(&(ticks as u64 + 1));
        std::mem::replace(&mut wheel.due, later).into_values().collect()
    }

    fn schedule(&self, now: Instant, connections: impl Iterator<Item = Weak<Connection>>) {
        let mut wheel = self.lock();
        for connection in connections {
            let stretched = self.interval.mul_f64(1.0 + STRETCH_MAX * wheel.random.f64());
            let due = (now + stretched - self.started)
                .as_nanos()
                .div_ceil(self.tick.as_nanos());
            wheel.due.entry(due as u64).or_default().push(connection);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Wheel> {
        self.wheel
            .lock()
            .expect("the wheel's lock is never poisoned: no code panics while holding it")
    }
}
