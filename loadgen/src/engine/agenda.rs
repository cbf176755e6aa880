//! What is to happen on a loop and when: one book for all its sessions, so that one timer serves them all.
//!
//! Most of it comes in order, for what a session enters when it has acted lies as far ahead as what the one before it
//! entered. Such entries stand in a queue, in which the next lie side by side; a heap of 5,000 costs a dozen lines of memory for
//! each that is taken, and only has those that come out of order.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

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

/// Entries that come in order, by what is due: each has its own distance.
type Queues = [VecDeque<Entry>; DUES];

/// How many there are to tell apart.
const DUES: usize = 6;

impl Due {
    const fn queue(self) -> usize {
        match self {
            Self::Act => 0,
            Self::Beat { .. } => 1,
            Self::GiveUp { .. } => 2,
            Self::Listen => 3,
            Self::Leave => 4,
            Self::Vanish => 5,
        }
    }
}

#[derive(Default)]
struct Entries {
    in_order: Queues,
    others: BinaryHeap<Reverse<Entry>>,
}

/// Where the first entry stands.
#[derive(Clone, Copy)]
enum Place {
    Queue(usize),
    Heap,
}

impl Entries {
    fn enter(&mut self, entry: Entry) {
        let queue = &mut self.in_order[entry.due.queue()];
        match queue.back() {
            Some(last) if last.at > entry.at => self.others.push(Reverse(entry)),
            Some(_) | None => queue.push_back(entry),
        }
    }

    fn first(&self) -> Option<(Entry, Place)> {
        let queued = self.in_order.iter().enumerate();
        let queued = queued.filter_map(|(number, queue)| Some((*queue.front()?, Place::Queue(number))));
        let other = self.others.peek().map(|Reverse(entry)| (*entry, Place::Heap));
        queued.chain(other).min_by_key(|(entry, _)| entry.at)
    }

    fn take(&mut self, now: Nanos) -> Option<Entry> {
        let (first, place) = self.first()?;
        if first.at > now {
            return None;
        }
        match place {
            Place::Queue(number) => {
                self.in_order[number].pop_front();
            }
            Place::Heap => {
                self.others.pop();
            }
        }
        Some(first)
    }
}

/// The entries of one loop. Whoever enters something that is due before the loop wakes, wakes it.
#[derive(Default)]
pub(super) struct Agenda {
    entries: RefCell<Entries>,
    sleeps_until: Cell<Nanos>,
    sooner: Notify,
}

impl Agenda {
    pub(super) fn enter(&self, at: Nanos, slot: usize, due: Due) {
        let slot = u32::try_from(slot).expect("fewer slots than sessions");
        self.entries.borrow_mut().enter(Entry { at, slot, due });
        if at < self.sleeps_until.get() {
            self.sooner.notify_one();
        }
    }

    /// When the first is due.
    pub(super) fn next_at(&self) -> Option<Nanos> {
        self.entries.borrow().first().map(|(entry, _)| entry.at)
    }

    /// Whose act is the next, among those that come in order.
    pub(super) fn next_act(&self) -> Option<usize> {
        let entries = self.entries.borrow();
        let next = entries.in_order[Due::Act.queue()].front()?;
        Some(next.slot as usize)
    }

    /// Takes the first if it is due at `now`.
    pub(super) fn take(&self, now: Nanos) -> Option<Entry> {
        self.entries.borrow_mut().take(now)
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
        agenda.enter(25, 4, Due::Listen);
        let slots = |now| {
            std::iter::from_fn(|| agenda.take(now))
                .map(|entry| entry.slot)
                .collect::<Vec<_>>()
        };
        assert_eq!(agenda.next_at(), Some(10));
        assert_eq!((slots(9), slots(20), slots(30)), (vec![], vec![2, 3], vec![4, 1]));
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
