//! Ids that nobody else makes: the second, the node, and a number.

use std::sync::atomic::{AtomicU32, Ordering};

use touchstone_protocol::direct::HexId;
use touchstone_storage::Timestamp;

const NODE_BITS: u32 = 40;
const NUMBER_BITS: u32 = 24;

/// Makes ids: 32 bits of seconds, 40 of the node, 24 of a number that goes round. Nodes draw theirs at random, so two of a
/// hundred share one in a run in two hundred million; sixteen million ids a second are one node's own.
#[derive(Debug)]
pub(super) struct Ids {
    node: u64,
    next: AtomicU32,
}

impl Ids {
    /// `node` is drawn at random; 40 bits of it count.
    pub(super) fn new(node: u64) -> Self {
        Self {
            node: node & ((1 << NODE_BITS) - 1),
            next: AtomicU32::new(0),
        }
    }

    /// An id that was made at this time.
    pub(super) fn next(&self, at: Timestamp) -> HexId {
        let second = u128::from((at.millis() / 1_000) as u32);
        let number = self.next.fetch_add(1, Ordering::Relaxed) & ((1 << NUMBER_BITS) - 1);
        let number = u128::from(self.node) << NUMBER_BITS | u128::from(number);
        HexId::from_number(second << (NODE_BITS + NUMBER_BITS) | number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_rise_and_those_of_another_node_are_others() {
        let at = Timestamp::from_millis(1_704_110_400_999);
        let (one, other) = (Ids::new(u64::MAX), Ids::new(7));
        let made = [one.next(at), one.next(at), other.next(at)].map(|id| id.to_string());
        let expected = [
            "6592a940ffffffffff000000",
            "6592a940ffffffffff000001",
            "6592a9400000000007000000",
        ];
        assert_eq!(made, expected);
    }
}
