//! The time of day, as it moves with the runtime's clock: under a paused clock it stands still.

use std::time::{SystemTime, UNIX_EPOCH};

use tokio::time::Instant;
use touchstone_storage::Timestamp;

/// Tells the time of day. It never goes back, and is not moved when the machine's clock is set.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    started: Instant,
    epoch_millis_at_start: u64,
}

impl Clock {
    /// A clock that is right now.
    pub(crate) fn start() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            started: Instant::now(),
            epoch_millis_at_start: since_epoch.as_millis() as u64,
        }
    }

    /// The time of day.
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.epoch_millis_at_start + self.started.elapsed().as_millis() as u64)
    }
}
