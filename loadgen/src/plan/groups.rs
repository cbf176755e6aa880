//! Who talks to whom: sessions of neighbouring numbers are a group.

use std::ops::Range;

use crate::workload::values::Talkers;
use crate::workload::{Groups as Written, Popularity};

/// The groups of a run, as ranges of session numbers. A pure function of the workload.
#[derive(Debug, Clone, PartialEq)]
pub struct Groups {
    sessions: u32,
    sizes: Sizes,
    talkers: Talkers,
}

#[derive(Debug, Clone, PartialEq)]
enum Sizes {
    /// So many groups, whose sizes differ by one at most.
    Even(u32),
    /// The first session of each group, and after the last the number of all sessions.
    Uneven(Vec<u32>),
}

impl Groups {
    /// The groups of `sessions` sessions, at least one.
    pub(super) fn new(sessions: u32, written: Written) -> Self {
        let (count, popularity, talkers) = match written {
            Written::Alone => (sessions, Popularity::Even, Talkers::All),
            Written::Pairs => (sessions / 2, Popularity::Even, Talkers::All),
            Written::Everybody => (1, Popularity::Even, Talkers::All),
            Written::Rooms {
                size,
                popularity,
                talkers,
            } => {
                let rooms = (f64::from(sessions) / f64::from(size)).round() as u32;
                (rooms, popularity, talkers)
            }
        };
        let count = count.max(1);
        let sizes = match popularity {
            Popularity::Even => Sizes::Even(count),
            Popularity::Zipf(exponent) => Sizes::Uneven(zipf(sessions, count, exponent)),
        };
        Self {
            sessions,
            sizes,
            talkers,
        }
    }

    /// How many groups.
    #[must_use]
    pub fn count(&self) -> u32 {
        match &self.sizes {
            Sizes::Even(count) => *count,
            Sizes::Uneven(starts) => starts.len() as u32 - 1,
        }
    }

    /// The group of `session`.
    #[must_use]
    pub fn of(&self, session: u32) -> u32 {
        match &self.sizes {
            // The inverse of `start`: the last group that starts at `session` or before.
            Sizes::Even(count) => {
                let after = (u64::from(session) + 1) * u64::from(*count);
                (after.div_ceil(u64::from(self.sessions)) - 1) as u32
            }
            Sizes::Uneven(starts) => starts.partition_point(|&start| start <= session) as u32 - 1,
        }
    }

    /// The sessions of `group`.
    #[must_use]
    pub fn members(&self, group: u32) -> Range<u32> {
        self.start(group)..self.start(group + 1)
    }

    /// The place of `session` among the members of its group, from 0.
    #[must_use]
    pub fn place(&self, session: u32) -> u32 {
        session - self.start(self.of(session))
    }

    /// Whether `session` acts on its own; the others listen.
    #[must_use]
    pub fn talks(&self, session: u32) -> bool {
        let members = self.members(self.of(session));
        let talkers = match self.talkers {
            Talkers::All => return true,
            Talkers::Share(share) => share.of(members.len() as u32).max(1),
            Talkers::Number(number) => number,
        };
        session - members.start < talkers
    }

    /// How many sessions act on their own.
    #[must_use]
    pub fn talkers(&self) -> u32 {
        match self.talkers {
            Talkers::All => self.sessions,
            Talkers::Share(_) | Talkers::Number(_) => {
                (0..self.sessions).filter(|&session| self.talks(session)).count() as u32
            }
        }
    }

    /// The fewest members that a group has.
    #[must_use]
    pub fn smallest(&self) -> u32 {
        match &self.sizes {
            Sizes::Even(count) => self.sessions / count,
            Sizes::Uneven(starts) => starts.windows(2).map(|pair| pair[1] - pair[0]).min().unwrap_or(0),
        }
    }

    fn start(&self, group: u32) -> u32 {
        match &self.sizes {
            Sizes::Even(count) => (u64::from(group) * u64::from(self.sessions) / u64::from(*count)) as u32,
            Sizes::Uneven(starts) => starts[group as usize],
        }
    }
}

/// Where the rooms of `sessions` begin whose sizes go with 1/k^`exponent`. None has fewer than two members, if there are as many; what
/// remains of rounding down goes to the largest remainders.
fn zipf(sessions: u32, rooms: u32, exponent: f64) -> Vec<u32> {
    const MEMBERS_MIN: u32 = 2;
    let rooms = rooms.min(sessions / MEMBERS_MIN).max(1);
    let spread = sessions.saturating_sub(rooms * MEMBERS_MIN);
    let least = if rooms == 1 {
        sessions - spread
    } else {
        MEMBERS_MIN
    };
    let weights: Vec<f64> = (1..=rooms).map(|rank| f64::from(rank).powf(-exponent)).collect();
    let sum: f64 = weights.iter().sum();
    let exact: Vec<f64> = weights
        .iter()
        .map(|weight| f64::from(spread) * weight / sum)
        .collect();
    let mut sizes: Vec<u32> = exact.iter().map(|share| least + share.floor() as u32).collect();
    let mut by_remainder: Vec<usize> = (0..sizes.len()).collect();
    by_remainder.sort_by(|&a, &b| exact[b].fract().total_cmp(&exact[a].fract()).then(a.cmp(&b)));
    let missing = sessions.saturating_sub(sizes.iter().sum()) as usize;
    for &room in by_remainder.iter().cycle().take(missing) {
        sizes[room] += 1;
    }
    let mut start = 0;
    let mut starts = vec![0];
    for size in sizes {
        start += size;
        starts.push(start);
    }
    starts
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rooms(size: u32, popularity: Popularity, talkers: Talkers) -> Written {
        Written::Rooms {
            size,
            popularity,
            talkers,
        }
    }

    fn sizes(groups: &Groups) -> Vec<usize> {
        (0..groups.count())
            .map(|group| groups.members(group).len())
            .collect()
    }

    proptest! {
        #[test]
        fn everybody_is_in_one_group_and_knows_his_place(sessions in 1_u32..400, size in 1_u32..50, exponent in 0.0_f64..3.0) {
            for written in [
                Written::Alone,
                Written::Pairs,
                Written::Everybody,
                rooms(size, Popularity::Even, Talkers::All),
                rooms(size, Popularity::Zipf(exponent), Talkers::All),
            ] {
                let groups = Groups::new(sessions, written);
                let mut next = 0;
                for group in 0..groups.count() {
                    let members = groups.members(group);
                    prop_assert_eq!(members.start, next);
                    prop_assert!(!members.is_empty());
                    next = members.end;
                    for session in members.clone() {
                        prop_assert_eq!(groups.of(session), group);
                        prop_assert_eq!(groups.place(session), session - members.start);
                    }
                }
                prop_assert_eq!(next, sessions);
                prop_assert_eq!(sizes(&groups).iter().min().copied(), Some(groups.smallest() as usize));
            }
        }
    }

    #[test]
    fn whoever_is_left_over_joins_another_pair() {
        assert_eq!(sizes(&Groups::new(7, Written::Pairs)), [2, 2, 3]);
        assert_eq!(sizes(&Groups::new(1, Written::Pairs)), [1]);
        assert_eq!(sizes(&Groups::new(3, Written::Alone)), [1, 1, 1]);
    }

    #[test]
    fn rooms_by_zipf_go_with_one_over_their_rank() {
        let groups = Groups::new(1_000, rooms(100, Popularity::Zipf(1.0), Talkers::All));
        // 980 beside the two that each has: 980 / H(10) = 334.59 for the first, and that by the rank for the others; the six largest
        // remainders are rounded up.
        assert_eq!(sizes(&groups), [337, 169, 113, 86, 69, 58, 50, 44, 39, 35]);
        let even = Groups::new(1_000, rooms(100, Popularity::Zipf(0.0), Talkers::All));
        assert_eq!(sizes(&even), [100; 10]);
    }

    #[test]
    fn talkers_are_the_first_of_each_room() {
        let talking = |talkers| {
            let groups = Groups::new(12, rooms(4, Popularity::Even, talkers));
            (0..12)
                .filter(|&session| groups.talks(session))
                .collect::<Vec<_>>()
        };
        assert_eq!(talking(Talkers::All).len(), 12);
        assert_eq!(talking(Talkers::Number(1)), [0, 4, 8]);
        let share = |text: &str| Talkers::Share(text.to_owned().try_into().unwrap());
        assert_eq!(talking(share("50%")), [0, 1, 4, 5, 8, 9]);
        assert_eq!(talking(share("1%")), [0, 4, 8], "at least one");
        assert!(talking(Talkers::Number(0)).is_empty());
    }
}
