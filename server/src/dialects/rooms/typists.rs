//! Who types, and may have stopped without saying so (rooms/7c).

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use tokio::time::Instant;

use super::member::Member;
use crate::wheel::{Stretch, Wheel};

/// One wheel for everybody who types. Each connection is on it at most once, however often it renews its state.
#[derive(Debug)]
pub(super) struct Typists {
    ttl: Duration,
    wheel: Mutex<Wheel<Weak<Member>>>,
}

impl Typists {
    pub(super) fn new(ttl: Duration, now: Instant) -> Self {
        Self {
            ttl,
            wheel: Mutex::new(Wheel::new(ttl, fastrand::Rng::new(), now)),
        }
    }

    /// Somebody types, until the moment that is noted with him.
    pub(super) fn watch(&self, member: &Arc<Member>) {
        let mut wheel = self.wheel();
        if !member.is_watched.swap(true, Ordering::Relaxed) {
            wheel.schedule_after(Instant::now(), self.ttl, Stretch::No, Arc::downgrade(member));
        }
    }

    /// Those whose time may be over, once there are any. `now_millis`: the time of day.
    pub(super) async fn next_due(&self, now_millis: impl Fn() -> u64) -> Vec<Arc<Member>> {
        loop {
            tokio::time::sleep_until(self.next_turn()).await;
            let due = self.take_due(now_millis());
            if !due.is_empty() {
                return due;
            }
        }
    }

    fn take_due(&self, now_millis: u64) -> Vec<Arc<Member>> {
        let now = Instant::now();
        let mut wheel = self.wheel();
        let mut due = Vec::new();
        for member in wheel.take_due(now).iter().filter_map(Weak::upgrade) {
            let until = member.typing_until.load(Ordering::Relaxed);
            let left = Duration::from_millis(until.saturating_sub(now_millis));
            if until != 0 && !left.is_zero() {
                wheel.schedule_after(now, left, Stretch::No, Arc::downgrade(&member));
                continue;
            }
            member.is_watched.store(false, Ordering::Relaxed);
            if until != 0 {
                due.push(member);
            }
        }
        due
    }

    /// When somebody may be due. Who begins after now is not due before one TTL from now.
    fn next_turn(&self) -> Instant {
        let latest = Instant::now() + self.ttl;
        self.wheel().first_due().map_or(latest, |due| due.min(latest))
    }

    fn wheel(&self) -> MutexGuard<'_, Wheel<Weak<Member>>> {
        self.wheel
            .lock()
            .expect("the wheel's lock is never poisoned: no code panics while holding it")
    }
}
