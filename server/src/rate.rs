//! A token bucket: how fast one connection may send (common/7b).

use tokio::time::Instant;

use crate::config::Rate;

/// What one connection has left.
#[derive(Debug)]
pub(crate) struct Bucket {
    rate: Rate,
    tokens: f64,
    filled: Instant,
}

impl Bucket {
    /// A full bucket.
    pub(crate) fn new(rate: Rate, now: Instant) -> Self {
        Self {
            rate,
            tokens: f64::from(rate.burst),
            filled: now,
        }
    }

    /// Takes a token for one message, if there is one.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let refill = now.saturating_duration_since(self.filled).as_secs_f64() * self.rate.per_second;
        self.tokens = (self.tokens + refill).min(f64::from(self.rate.burst));
        self.filled = now;
        let enough = self.tokens >= 1.0;
        if enough {
            self.tokens -= 1.0;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_burst_then_the_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::new(
            Rate {
                per_second: 10.0,
                burst: 3,
            },
            start,
        );
        let taken = |bucket: &mut Bucket, millis: u64| bucket.take(start + Duration::from_millis(millis));
        let at = [0, 0, 0, 0, 99, 100, 100, 200, 10_000, 10_000, 10_000, 10_000];
        let expected = [
            true, true, true, false, false, true, false, true, true, true, true, false,
        ];
        assert_eq!(at.map(|millis| taken(&mut bucket, millis)), expected);
    }
}
