//! Messages of many senders, as ranges of their sequences.

use touchstone_protocol::client::Key;

/// Sequences of one sender that follow each other, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// Whose.
    pub sender: u64,
    /// The first of them.
    pub first: u32,
    /// The last of them.
    pub last: u32,
}

/// A set of messages: 16 bytes for each sender of which nothing is missing in between, and 16 more for each gap.
///
/// Taking in the next message of a known sender changes one number in place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keys {
    /// Ascending by sender and sequence, never touching.
    runs: Vec<Run>,
}

impl Keys {
    /// A set of these ranges; `None` unless they are ascending by sender and sequence, none empty and none meeting another.
    #[must_use]
    pub fn from_runs(runs: Vec<Run>) -> Option<Self> {
        let in_order =
            |pair: &[Run]| (pair[0].sender, pair[0].last.saturating_add(1)) < (pair[1].sender, pair[1].first);
        let fine = runs.windows(2).all(in_order) && runs.iter().all(|run| run.first <= run.last);
        fine.then_some(Self { runs })
    }

    /// Whether nothing is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// How many messages are in it.
    #[must_use]
    pub fn count(&self) -> u64 {
        count(&self.runs)
    }

    /// Whether `key` is in it.
    #[must_use]
    pub fn contains(&self, key: Key) -> bool {
        let after = self.after(key);
        after > 0 && self.holds(after - 1, key)
    }

    /// The ranges of `sender`, ascending.
    #[must_use]
    pub fn of(&self, sender: u64) -> &[Run] {
        let start = self.runs.partition_point(|run| run.sender < sender);
        let own = self.runs[start..].partition_point(|run| run.sender == sender);
        &self.runs[start..start + own]
    }

    /// All ranges, ascending by sender and sequence.
    #[must_use]
    pub fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// Adds `key`. `false` if it is in already.
    pub fn insert(&mut self, key: Key) -> bool {
        let Key { sender, sequence } = key;
        let after = self.after(key);
        if after > 0 && self.holds(after - 1, key) {
            return false;
        }
        let joins_left =
            after > 0 && self.runs[after - 1].sender == sender && sequence - 1 == self.runs[after - 1].last;
        let right = self.runs.get(after).filter(|run| run.sender == sender);
        let joins_right = right.is_some_and(|run| sequence == run.first - 1);
        match (joins_left, joins_right) {
            (true, true) => {
                self.runs[after - 1].last = self.runs[after].last;
                self.runs.remove(after);
            }
            (true, false) => self.runs[after - 1].last = sequence,
            (false, true) => self.runs[after].first = sequence,
            (false, false) => self.runs.insert(
                after,
                Run {
                    sender,
                    first: sequence,
                    last: sequence,
                },
            ),
        }
        true
    }

    /// Takes out `key`. `false` if it was not in it.
    pub fn remove(&mut self, key: Key) -> bool {
        let Key { sequence, .. } = key;
        let after = self.after(key);
        if after == 0 || !self.holds(after - 1, key) {
            return false;
        }
        let run = &mut self.runs[after - 1];
        match (run.first == sequence, run.last == sequence) {
            (true, true) => {
                self.runs.remove(after - 1);
            }
            (true, false) => run.first += 1,
            (false, true) => run.last -= 1,
            (false, false) => {
                let above = Run {
                    first: sequence + 1,
                    ..*run
                };
                run.last = sequence - 1;
                self.runs.insert(after, above);
            }
        }
        true
    }

    /// The place after the last range that begins at `key` or before.
    fn after(&self, key: Key) -> usize {
        self.runs
            .partition_point(|run| (run.sender, run.first) <= (key.sender, key.sequence))
    }

    fn holds(&self, at: usize, key: Key) -> bool {
        let run = self.runs[at];
        run.sender == key.sender && run.first <= key.sequence && key.sequence <= run.last
    }
}

/// How many messages `runs` are.
pub(super) fn count(runs: &[Run]) -> u64 {
    runs.iter().map(|run| u64::from(run.last - run.first) + 1).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn it_is_a_set(acts in prop::collection::vec((0_u64..3, 1_u32..20, prop::bool::weighted(0.7)), 0..80)) {
            let mut keys = Keys::default();
            let mut set = BTreeSet::new();
            for (sender, sequence, is_in) in acts {
                let key = Key { sender, sequence };
                if is_in {
                    prop_assert_eq!(keys.insert(key), set.insert(key));
                } else {
                    prop_assert_eq!(keys.remove(key), set.remove(&key));
                }
            }
            for sender in 0..4 {
                for sequence in 0..22 {
                    let key = Key { sender, sequence };
                    prop_assert_eq!(keys.contains(key), set.contains(&key));
                }
                let own = set.iter().filter(|key| key.sender == sender).count();
                prop_assert_eq!(count(keys.of(sender)), own as u64);
            }
            prop_assert_eq!(keys.count(), set.len() as u64);
            let touching = |pair: &[Run]| pair[0].sender == pair[1].sender && pair[0].last + 1 >= pair[1].first;
            prop_assert!(!keys.runs().windows(2).any(touching), "{:?}", keys);
        }
    }
}
