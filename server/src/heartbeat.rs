//! Heartbeats: one task and a wheel for all connections of a route, instead of a timer in each of them. Where a dialect
//! wants its heartbeats answered, the same wheel finds who did not.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::connection::{Close, Connection, Sent};

/// An interval is stretched by up to this share of it, at random, so that a crowd drifts apart (common/10b).
const STRETCH_MAX: f64 = 0.025;

/// A tick of the wheel is this part of the interval. With the stretch it stays under the 5 % allowed.
const TICKS_PER_INTERVAL: u32 = 100;

/// Tokio's timers don't go finer.
const TICK_MIN: Duration = Duration::from_millis(1);

/// So many are served before others get the thread.
const CROWD_AT_ONCE: usize = 256;

/// Whether a dialect's heartbeats are answered.
#[derive(Debug, Clone)]
pub(crate) enum Answers {
    /// Nobody answers.
    NotAwaited,
    /// Who has not answered in time is ended.
    Awaited {
        /// Counted from the heartbeat.
        timeout: Duration,
        /// How it is ended.
        otherwise: Otherwise,
    },
}

/// What happens to a connection that does not answer.
#[derive(Debug, Clone)]
pub(crate) enum Otherwise {
    /// It is closed.
    Close(Close),
    /// TCP just ends.
    Terminate,
}

/// What is due of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// A heartbeat.
    Beat,
    /// The answer to the last one.
    Answer,
}

type Due = (Weak<Connection>, Turn);

/// Sends heartbeats to the connections of one route.
#[derive(Debug)]
pub(crate) struct Heartbeats {
    interval: Duration,
    answers: Answers,
    wheel: Mutex<Wheel<Due>>,
}

impl Heartbeats {
    /// For nobody yet.
    pub(crate) fn new(interval: Duration, answers: Answers, random: fastrand::Rng) -> Self {
        Self {
            interval,
            answers,
            wheel: Mutex::new(Wheel::new(interval, random, Instant::now())),
        }
    }

    /// From now on the connection gets heartbeats, the first after one interval.
    pub(crate) fn join(&self, connection: &Arc<Connection>) {
        // One that is gone by then is found out when its turn comes.
        self.wheel()
            .schedule(Instant::now(), (Arc::downgrade(connection), Turn::Beat));
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
            for crowd in due.chunks(CROWD_AT_ONCE) {
                let beaten = self.serve(crowd, &frame);
                sent(beaten);
                tokio::task::yield_now().await;
            }
        }
    }

    /// Does what is due and puts back who is still there. Returns how many heartbeats were taken.
    fn serve(&self, crowd: &[Due], frame: &Bytes) -> u64 {
        let now = Instant::now();
        let mut beaten = 0;
        let mut next = Vec::with_capacity(crowd.len());
        for (connection, turn) in crowd {
            let Some(alive) = connection.upgrade() else {
                continue;
            };
            match (turn, &self.answers) {
                (Turn::Answer, Answers::Awaited { timeout, otherwise }) => {
                    if alive.owes_answer() {
                        otherwise.end(&alive);
                    } else {
                        // The interval counts from the heartbeat, not from its answer.
                        let left = self.interval.saturating_sub(*timeout);
                        next.push((left, Stretch::Yes, (Weak::clone(connection), Turn::Beat)));
                    }
                }
                (Turn::Beat | Turn::Answer, answers) => {
                    // Before the frame leaves: the answer may be quicker than we are.
                    alive.await_answer();
                    if alive.send(frame) != Sent::Taken {
                        continue;
                    }
                    beaten += 1;
                    next.push(match answers {
                        Answers::NotAwaited => {
                            (self.interval, Stretch::Yes, (Weak::clone(connection), Turn::Beat))
                        }
                        Answers::Awaited { timeout, .. } => {
                            (*timeout, Stretch::No, (Weak::clone(connection), Turn::Answer))
                        }
                    });
                }
            }
        }
        let mut wheel = self.wheel();
        for (after, stretch, due) in next {
            wheel.schedule_after(now, after, stretch, due);
        }
        beaten
    }

    /// When somebody may be due. Who joins after now is not due before one interval from now, so nobody has to wake the
    /// task for him; answers are awaited by the task itself.
    fn next_turn(&self) -> Instant {
        let latest = Instant::now() + self.interval;
        self.wheel().first_due().map_or(latest, |due| due.min(latest))
    }

    fn wheel(&self) -> MutexGuard<'_, Wheel<Due>> {
        self.wheel
            .lock()
            .expect("the wheel's lock is never poisoned: no code panics while holding it")
    }
}

impl Otherwise {
    fn end(&self, connection: &Connection) {
        match self {
            Self::Close(close) => connection.end(close),
            Self::Terminate => connection.terminate(),
        }
    }
}

/// Whether a time may come a little later, so that a crowd drifts apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stretch {
    Yes,
    No,
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
        self.schedule_after(now, self.interval, Stretch::Yes, item);
    }

    /// Puts `item` where it is due after that time, to the tick; never before.
    fn schedule_after(&mut self, now: Instant, after: Duration, stretch: Stretch, item: T) {
        let stretched = match stretch {
            Stretch::Yes => after + self.interval.mul_f64(STRETCH_MAX * self.random.f64()),
            Stretch::No => after,
        };
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
