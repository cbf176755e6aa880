//! Which close codes may stand in a close frame (RFC 6455 7.4, and the IANA registry that followed it).
//!
//! One small table, used by the receiver and by whoever answers a close or judges one.

use std::ops::RangeInclusive;

/// What a number between 0 and 65535 is as a close code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CodeKind {
    /// Defined by RFC 6455 or registered since (1000–1003, 1007–1014): both sides may send it.
    Defined,
    /// Stands for something that happened without a close frame (1005, 1006, 1015): never sent.
    LocalOnly,
    /// Set aside by RFC 6455, or not assigned to anything (0–999, 1004, 1016–2999): never sent.
    Reserved,
    /// For libraries and frameworks (3000–3999), and for applications (4000–4999): may be sent.
    Free,
    /// Beyond what RFC 6455 gives out (5000 and over): never sent.
    OutOfRange,
}

impl CodeKind {
    /// Whether a code of this kind may stand in a close frame.
    #[must_use]
    pub const fn is_sendable(self) -> bool {
        match self {
            Self::Defined | Self::Free => true,
            Self::LocalOnly | Self::Reserved | Self::OutOfRange => false,
        }
    }
}

/// Every 16-bit number, in order and without gaps.
pub const CLOSE_CODES: [(RangeInclusive<u16>, CodeKind); 10] = [
    (0..=999, CodeKind::Reserved),
    (1000..=1003, CodeKind::Defined),
    (1004..=1004, CodeKind::Reserved),
    (1005..=1006, CodeKind::LocalOnly),
    (1007..=1014, CodeKind::Defined),
    (1015..=1015, CodeKind::LocalOnly),
    (1016..=2999, CodeKind::Reserved),
    (3000..=3999, CodeKind::Free),
    (4000..=4999, CodeKind::Free),
    (5000..=u16::MAX, CodeKind::OutOfRange),
];

/// What `code` is.
#[must_use]
pub fn kind(code: u16) -> CodeKind {
    CLOSE_CODES
        .iter()
        .find_map(|(range, kind)| range.contains(&code).then_some(*kind))
        .expect("the table covers every 16-bit number, which its test checks")
}

/// Whether `code` may stand in a close frame; if not, its sender is answered 1002.
#[must_use]
pub fn is_sendable(code: u16) -> bool {
    kind(code).is_sendable()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_neither_gaps_nor_overlaps() {
        let mut next = 0_u32;
        for (range, _) in &CLOSE_CODES {
            assert_eq!(u32::from(*range.start()), next);
            next = u32::from(*range.end()) + 1;
        }
        assert_eq!(next, 65_536);
    }

    #[test]
    fn the_edges_of_what_may_be_sent() {
        let sendable = [
            1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999,
        ];
        let unsendable = [
            0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535,
        ];
        for code in sendable {
            assert!(is_sendable(code), "{code}");
        }
        for code in unsendable {
            assert!(!is_sendable(code), "{code}");
        }
    }
}
