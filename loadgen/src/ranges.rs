//! A set of numbers that mostly come one after the other.

/// Numbers as inclusive ranges, ascending, never touching.
///
/// The last range is inline, so a set that only ever grew at its end needs no heap.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ranges {
    below: Vec<(u64, u64)>,
    last: Option<(u64, u64)>,
}

impl Ranges {
    /// A set of these ranges; `None` unless they are ascending, none empty and none meeting another.
    #[must_use]
    pub fn from_ascending(mut ranges: Vec<(u64, u64)>) -> Option<Self> {
        let fine = ranges
            .windows(2)
            .all(|pair| pair[0].1.saturating_add(1) < pair[1].0)
            && ranges.iter().all(|(start, end)| start <= end);
        let last = ranges.pop();
        fine.then_some(Self { below: ranges, last })
    }

    /// Whether nothing is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.last.is_none()
    }

    /// The largest number in it.
    #[must_use]
    pub fn max(&self) -> Option<u64> {
        self.last.map(|(_, end)| end)
    }

    /// How many numbers are in it.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.iter().map(|(start, end)| end - start + 1).sum()
    }

    /// Whether `number` is in it.
    #[must_use]
    pub fn contains(&self, number: u64) -> bool {
        match self.last {
            Some((start, end)) if number >= start => number <= end,
            _ => {
                let after = self.below.partition_point(|&(start, _)| start <= number);
                after > 0 && number <= self.below[after - 1].1
            }
        }
    }

    /// The ranges, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.below.iter().copied().chain(self.last)
    }

    /// Adds `number`; no effect if it is in already.
    pub fn insert(&mut self, number: u64) {
        match &mut self.last {
            None => self.last = Some((number, number)),
            Some((_, end)) if number.checked_sub(1) == Some(*end) => *end = number,
            Some(last) if number > last.1 => {
                self.below.push(*last);
                *last = (number, number);
            }
            Some(last) if number >= last.0 => {}
            Some(_) => self.insert_below(number),
        }
    }

    fn insert_below(&mut self, number: u64) {
        self.below.extend(self.last.take());
        let after = self.below.partition_point(|&(start, _)| start <= number);
        let joins_left = after > 0 && number <= self.below[after - 1].1.saturating_add(1);
        let joins_right = after < self.below.len() && number + 1 == self.below[after].0;
        match (joins_left, joins_right) {
            (true, true) => {
                self.below[after - 1].1 = self.below[after].1;
                self.below.remove(after);
            }
            (true, false) => self.below[after - 1].1 = self.below[after - 1].1.max(number),
            (false, true) => self.below[after].0 = number,
            (false, false) => self.below.insert(after, (number, number)),
        }
        self.last = self.below.pop();
    }

    /// Takes out `number` and everything above it, and says how many that were.
    pub fn cut_from(&mut self, number: u64) -> u64 {
        let mut taken = 0;
        while let Some((start, end)) = self.last {
            if end < number {
                break;
            }
            let kept_end = number.max(start);
            taken += end - kept_end + 1;
            if start < number {
                self.last = Some((start, number - 1));
                break;
            }
            self.last = self.below.pop();
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn it_is_a_set(numbers in prop::collection::vec(0_u64..40, 0..60), cut in 0_u64..45) {
            let mut ranges = Ranges::default();
            let mut set = BTreeSet::new();
            for number in numbers {
                ranges.insert(number);
                set.insert(number);
            }
            for number in 0..42 {
                prop_assert_eq!(ranges.contains(number), set.contains(&number));
            }
            prop_assert_eq!(ranges.count(), set.len() as u64);
            prop_assert_eq!(ranges.max(), set.last().copied());
            let pairs: Vec<_> = ranges.iter().collect();
            prop_assert!(pairs.windows(2).all(|pair| pair[0].1 + 1 < pair[1].0), "{:?}", pairs);
            let taken = ranges.cut_from(cut);
            prop_assert_eq!(taken, set.split_off(&cut).len() as u64);
            prop_assert_eq!(ranges.count(), set.len() as u64);
            prop_assert_eq!(ranges.max(), set.last().copied());
        }
    }
}
