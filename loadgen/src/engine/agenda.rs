//! What is to happen on a loop and when: one heap for all its sessions, so that one timer serves them all.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

use tokio::sync::Notify;

use crate::schedule::Nanos;

/// What a session is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
    /// Its next act.
    Act,
    /// Show on this connection (its number, cut to 16 bits: a session whose connections outlive 65,536 others of its own is
    /// none) that it is alive.
    Beat { connection: u16 },
    /// Go on in the closed model although this turn (its number, cut to 16 bits) has had no effect.
    GiveUp { turn: u16 },
    /// Read again.
    Listen,
    /// Say goodbye and go.
    Leave,
    /// Go without an answer to the goodbye.
    Vanish,
}

/// Sixteen bytes, because tens of thousands of sessions have one each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    pub(super) at: Nanos,
    pub(super) slot: u32,
    pub(super) due: Due,
}

/// The entries of one loop. Whoever enters something that is due before the loop wakes, wakes it.
#[derive(Default)]
pub(super) struct Agenda {
    entries: RefCell<BinaryHeap<Reverse<Entry>>>,
    sleeps_until: Cell<Nanos>,
    sooner: Notify,
}

impl Agenda {
    pub(super) fn enter(&self, at: Nanos, slot: usize, due: Due) {
        let slot = u32::try_from(slot).expect("fewer slots than sessions");
        self.entries.borrow_mut().push(Reverse(Entry { at, slot, due }));
        if at < self.sleeps_until.get() {
            self.sooner.notify_one();
        }
    }

    /// When the first is due.
    pub(super) fn next_at(&self) -> Option<Nanos> {
        self.entries.borrow().peek().map(|Reverse(entry)| entry.at)
    }

    /// Takes the first if it is due at `now`.
    pub(super) fn take(&self, now: Nanos) -> Option<Entry> {
        let mut entries = self.entries.borrow_mut();
        let Reverse(first) = *entries.peek()?;
        if first.at > now {
            return None;
        }
        entries.pop();
        Some(first)
    }

    /// Ends when something was entered that is due before `until`, for which the loop is about to sleep.
    pub(super) async fn sooner_than(&self, until: Nanos) {
        self.sleeps_until.set(until);
        self.sooner.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_first_is_taken_first_and_nothing_before_its_time() {
        let agenda = Agenda::default();
        for (at, slot) in [(30, 1), (10, 2), (20, 3)] {
            agenda.enter(at, slot, Due::Act);
        }
        let slots = |now| {
            std::iter::from_fn(|| agenda.take(now))
                .map(|entry| entry.slot)
                .collect::<Vec<_>>()
        };
        assert_eq!(agenda.next_at(), Some(10));
        assert_eq!((slots(9), slots(20), slots(30)), (vec![], vec![2, 3], vec![1]));
        assert_eq!(agenda.next_at(), None);
    }

    #[test]
    fn an_entry_is_small() {
        assert_eq!(size_of::<Entry>(), 16);
    }

    #[tokio::test]
    async fn whoever_is_sooner_wakes_the_loop_and_whoever_is_later_does_not() {
        let agenda = Agenda::default();
        let mut sleeping = std::pin::pin!(agenda.sooner_than(100));
        let mut woken = async || {
            tokio::select! { biased; () = &mut sleeping => true, () = std::future::ready(()) => false }
        };
        assert!(!woken().await);
        agenda.enter(100, 0, Due::Act);
        assert!(!woken().await);
        agenda.enter(99, 0, Due::Act);
        assert!(woken().await);
    }
}
