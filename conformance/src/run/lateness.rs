//! How late the judge itself is: what a machine takes from the judge, it takes from the server as well.
//!
//! A task asks to be woken again and again and notes by how much that came late. It is the only measure by which
//! anything is excused: a server that is slow makes nobody else late.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// Between two wakings.
const TICK: Duration = Duration::from_millis(10);
/// Late by less is what a machine does that has nothing else to do: its timers are no finer.
const SLACK: Duration = Duration::from_millis(5);
/// Late wakings that are kept, which is a minute in which every one was: longer ago than anything that is judged waits.
const KEPT_MAX: usize = 6_000;
/// How far back it is of interest whether the judge keeps up.
const LOOK_BACK: Duration = Duration::from_millis(250);
/// Late by more than this of that time, half of it, it does not.
const BEHIND: Duration = Duration::from_millis(125);

/// When the judge was late. Written by [`watch`](Self::watch), read by everybody who judges.
#[derive(Debug, Default)]
pub(crate) struct Lateness {
    late: Mutex<VecDeque<Late>>,
    woken: watch::Sender<()>,
    /// Held by the one who goes next when the judge has caught up; until when everybody goes a waking apart.
    turn: tokio::sync::Mutex<Option<Instant>>,
}

/// One waking that came late.
#[derive(Debug, Clone, Copy)]
struct Late {
    at: Instant,
    by: Duration,
}

impl Lateness {
    /// Watches for as long as it is polled.
    pub(crate) async fn watch(&self) {
        loop {
            let due = Instant::now() + TICK;
            sleep_until(due).await;
            let at = Instant::now();
            let by = at.saturating_duration_since(due);
            if by >= SLACK {
                let mut late = self.lock();
                if late.len() == KEPT_MAX {
                    late.pop_front();
                }
                late.push_back(Late { at, by });
            }
            self.woken.send_replace(());
        }
    }

    /// How much of the time from then to now it was late.
    pub(crate) fn since(&self, from: Instant) -> Duration {
        let late = self.lock();
        let recent = late.iter().rev().take_while(|late| late.at > from);
        recent.map(|late| late.by.min(late.at - from)).sum()
    }

    /// Resolves when the judge keeps up: at once, or else for one after the other and for a while a waking apart, so
    /// that they do not make it late again together. Needs somebody who watches.
    pub(crate) async fn caught_up(&self) {
        let mut apart_until = self.turn.lock().await;
        let mut woken = self.woken.subscribe();
        while self.is_behind() {
            // The sender is in `self`, so there is no error.
            let _watched = woken.changed().await;
            *apart_until = Some(Instant::now() + LOOK_BACK);
        }
        if apart_until.is_some_and(|until| Instant::now() < until) {
            let _watched = woken.changed().await;
        }
    }

    fn is_behind(&self) -> bool {
        Instant::now()
            .checked_sub(LOOK_BACK)
            .is_some_and(|from| self.since(from) > BEHIND)
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Late>> {
        self.late.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::task::JoinSet;
    use tokio::time::{advance, sleep};

    use super::*;

    const fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// Who is watched, and the tasks that do it.
    fn watched() -> (Arc<Lateness>, JoinSet<()>) {
        let lateness = Arc::new(Lateness::default());
        let mut tasks = JoinSet::new();
        let own = Arc::clone(&lateness);
        tasks.spawn(async move { own.watch().await });
        (lateness, tasks)
    }

    #[tokio::test(start_paused = true)]
    async fn only_wakings_that_come_late_count() {
        let (lateness, _tasks) = watched();
        let began = Instant::now();
        sleep(millis(1_000)).await;
        assert_eq!(lateness.since(began), Duration::ZERO, "nothing was late");
        // The clock goes on while nothing gets its turn.
        let stalled = Instant::now();
        advance(millis(300)).await;
        sleep(millis(100)).await;
        let late = lateness.since(began);
        assert!(late >= millis(285) && late <= millis(300), "{late:?}");
        assert_eq!(
            lateness.since(stalled + millis(310)),
            Duration::ZERO,
            "it is over"
        );
        let half = lateness.since(stalled + millis(150));
        assert!(half <= millis(150) && half >= millis(140), "{half:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_it_goes_on_when_it_keeps_up_one_after_the_other() {
        let (lateness, mut tasks) = watched();
        sleep(millis(500)).await;
        let began = Instant::now();
        lateness.caught_up().await;
        assert_eq!(began.elapsed(), Duration::ZERO, "it keeps up");
        advance(millis(300)).await;
        sleep(millis(10)).await;
        let passed = Arc::new(Mutex::new(Vec::new()));
        for _ in 0..3 {
            let (lateness, passed) = (Arc::clone(&lateness), Arc::clone(&passed));
            tasks.spawn(async move {
                lateness.caught_up().await;
                passed.lock().unwrap().push(Instant::now());
            });
        }
        sleep(LOOK_BACK - BEHIND - millis(20)).await;
        assert_eq!(passed.lock().unwrap().len(), 0, "it is behind");
        sleep(millis(200)).await;
        let passed = passed.lock().unwrap();
        assert_eq!(passed.len(), 3, "it has caught up");
        let apart = passed.windows(2).map(|pair| pair[1] - pair[0]);
        assert!(
            apart.clone().all(|apart| apart >= TICK),
            "{:?}",
            apart.collect::<Vec<_>>()
        );
    }
}
