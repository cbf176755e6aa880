//! What all queues of the server together may hold. A limit for each alone would let thousands of peers, none of them
//! over his own, fill the memory of the machine.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes that wait in all queues, and how many may.
#[derive(Debug)]
pub(crate) struct Budget {
    bytes_max: usize,
    used: AtomicUsize,
}

impl Budget {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            used: AtomicUsize::new(0),
        }
    }

    /// Bytes that are free. As much, and no more, may one queue hold: while there is plenty each has its own limit; when it
    /// gets tight, the longest queues are the first that may not grow, and whoever reads is not cut off for those who do not
    /// (the "dynamic threshold" by which switches share their buffers, Choudhury and Hahne 1998).
    pub(crate) fn free(&self) -> usize {
        self.bytes_max.saturating_sub(self.used.load(Ordering::Relaxed))
    }

    /// A queue that held `before` bytes now holds `after`.
    pub(crate) fn changed(&self, before: usize, after: usize) {
        if after > before {
            self.used.fetch_add(after - before, Ordering::Relaxed);
        } else {
            self.used.fetch_sub(before - after, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_free_shrinks_and_grows_with_the_queues() {
        let budget = Budget::new(100);
        budget.changed(0, 60);
        assert_eq!(budget.free(), 40);
        budget.changed(60, 130);
        assert_eq!(budget.free(), 0);
        budget.changed(130, 0);
        assert_eq!(budget.free(), 100);
    }
}
