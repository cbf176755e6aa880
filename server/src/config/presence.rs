//! What is told of who is there (common/6d, common/11).

use std::time::Duration;

/// How presence is told, in particular in a crowd.
#[derive(Debug, Clone)]
pub struct PresenceConfig {
    /// When a change would be told to more connections than this, they get batches instead (common/11a). Default: 100.
    pub crowd_connections: usize,
    /// Time between two batches to one connection (common/11a). Default: 1 s.
    pub batch_interval: Duration,
    /// Changes in one batch, the latest; older ones are dropped (common/11a). Default: 20.
    pub batch_changes: usize,
    /// Users in any list on the wire (common/11b). Default: 100.
    pub listed_users: usize,
    /// How long after his node stopped a user who is not back is announced as gone (common/6d). Default: 15 s.
    pub gone_after_stop: Duration,
    /// How long after his node died a user who is not back is announced as gone (common/6d). Default: 30 s.
    pub gone_after_death: Duration,
}

impl Default for PresenceConfig {
    fn default() -> Self {
        Self {
            crowd_connections: 100,
            batch_interval: Duration::from_secs(1),
            batch_changes: 20,
            listed_users: 100,
            gone_after_stop: Duration::from_secs(15),
            gone_after_death: Duration::from_secs(30),
        }
    }
}
