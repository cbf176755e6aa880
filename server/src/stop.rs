//! How connections are seen off: all at once by a graceful stop, one after the other by a drain.

use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use touchstone_protocol::close::{CloseCode, reason_going_away, reason_restarting};

use crate::connection::Close;

/// Whether the server stops. Shared by everything that takes in something new.
#[derive(Debug)]
pub(crate) struct Stopping {
    begun: AtomicBool,
    advice_seconds: RangeInclusive<u8>,
    next: AtomicUsize,
}

impl Stopping {
    /// A server that goes on. The advice goes round through `advice_seconds`; `first` is where it begins to.
    pub(crate) fn new(advice_seconds: RangeInclusive<u8>, first: usize) -> Self {
        Self {
            begun: AtomicBool::new(false),
            advice_seconds,
            next: AtomicUsize::new(first),
        }
    }

    /// From now on nothing new is taken in.
    pub(crate) fn begin(&self) {
        self.begun.store(true, Ordering::SeqCst);
    }

    pub(crate) fn has_begun(&self) -> bool {
        self.begun.load(Ordering::SeqCst)
    }

    /// The seconds after which the next client should come back: round and round, so that they are spread evenly
    /// (common/6b).
    pub(crate) fn advice(&self) -> u8 {
        let range = &self.advice_seconds;
        let choices = usize::from(range.end().saturating_sub(*range.start())) + 1;
        range.start() + (self.next.fetch_add(1, Ordering::Relaxed) % choices) as u8
    }
}

/// Why a connection that nothing is wrong with is seen off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parting {
    /// The server stops: the dialect says its farewell, if it has one (common/6a).
    GoingAway { retry_after_seconds: u8 },
    /// The server is drained (common/6c).
    Restarting { retry_after_seconds: u8 },
}

impl Parting {
    /// The close that tells the client when to come back.
    pub(crate) fn close(self) -> Close {
        match self {
            Self::GoingAway { retry_after_seconds } => {
                Close::new(CloseCode::GOING_AWAY, reason_going_away(retry_after_seconds))
            }
            Self::Restarting { retry_after_seconds } => {
                Close::new(CloseCode::RESTARTING, reason_restarting(retry_after_seconds))
            }
        }
    }

    /// In two bytes, which are never both zero.
    pub(crate) fn into_bits(self) -> u16 {
        let (kind, seconds) = match self {
            Self::GoingAway { retry_after_seconds } => (1, retry_after_seconds),
            Self::Restarting { retry_after_seconds } => (2, retry_after_seconds),
        };
        u16::from_be_bytes([kind, seconds])
    }

    /// What [`into_bits`](Self::into_bits) was made of; `None` of nothing.
    pub(crate) fn from_bits(bits: u16) -> Option<Self> {
        let [kind, retry_after_seconds] = bits.to_be_bytes();
        match kind {
            1 => Some(Self::GoingAway { retry_after_seconds }),
            2 => Some(Self::Restarting { retry_after_seconds }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_is_spread_evenly_over_its_range() {
        for (range, first) in [(3..=12, 7), (0..=0, 3), (200..=255, 1)] {
            let choices = range.clone().count();
            let stopping = Stopping::new(range.clone(), first);
            let mut given: Vec<_> = (0..3 * choices).map(|_| stopping.advice()).collect();
            given.sort_unstable();
            assert_eq!(given, range.flat_map(|seconds| [seconds; 3]).collect::<Vec<u8>>());
        }
    }

    #[test]
    fn a_parting_survives_as_bits() {
        for retry_after_seconds in [0, 3, 255] {
            for parting in [
                Parting::GoingAway { retry_after_seconds },
                Parting::Restarting { retry_after_seconds },
            ] {
                assert_ne!(parting.into_bits(), 0);
                assert_eq!(Parting::from_bits(parting.into_bits()), Some(parting));
            }
        }
        assert_eq!(Parting::from_bits(0), None);
    }
}
