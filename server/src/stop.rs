//! A graceful stop: whether it has begun, and when each client should come back.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use touchstone_protocol::defaults::RETRY_AFTER_SECONDS;

/// Whether the server stops. Shared by everything that takes in something new.
#[derive(Debug)]
pub(crate) struct Stopping {
    begun: AtomicBool,
    next: AtomicUsize,
}

impl Stopping {
    /// A server that goes on. `first` is where the advice begins to go round.
    pub(crate) fn new(first: usize) -> Self {
        Self {
            begun: AtomicBool::new(false),
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
        let range = RETRY_AFTER_SECONDS;
        let choices = usize::from(range.end() - range.start()) + 1;
        range.start() + (self.next.fetch_add(1, Ordering::Relaxed) % choices) as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_is_spread_evenly_over_three_to_twelve_seconds() {
        let stopping = Stopping::new(7);
        let mut given: Vec<_> = (0..30).map(|_| stopping.advice()).collect();
        given.sort_unstable();
        assert_eq!(
            given,
            (3..=12).flat_map(|seconds| [seconds; 3]).collect::<Vec<u8>>()
        );
    }
}
