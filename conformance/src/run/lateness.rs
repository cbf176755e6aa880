//! How late the judge itself is: what a machine takes from the judge, it takes from the server as well.
//!
//! A task asks to be woken again and again and notes by how much that came late. It is the only measure by which
//! anything is excused: a server that is slow makes nobody else late.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Between two wakings.
const TICK: Duration = Duration::from_millis(10);
/// Late by less is what a machine does that has nothing else to do: its timers are no finer.
const SLACK: Duration = Duration::from_millis(5);
/// Late wakings that are kept, which is a minute in which every one was: longer ago than anything that is judged waits.
const KEPT_MAX: usize = 6_000;

/// When the judge was late. Written by [`watch`](Self::watch), read by everybody who judges.
#[derive(Debug, Default)]
pub(crate) struct Lateness {
    late: Mutex<VecDeque<Late>>,
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
        }
    }

    /// How much of the time from then to now it was late.
    pub(crate) fn since(&self, from: Instant) -> Duration {
        let late = self.lock();
        let recent = late.iter().rev().take_while(|late| late.at > from);
        recent.map(|late| late.by.min(late.at - from)).sum()
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

    #[tokio::test(start_paused = true)]
    async fn only_wakings_that_come_late_count() {
        let lateness = Arc::new(Lateness::default());
        let mut tasks = JoinSet::new();
        let watched = Arc::clone(&lateness);
        tasks.spawn(async move { watched.watch().await });
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
        tasks.shutdown().await;
    }
}
