//! Bytes of a run: what was said and heard, and what that took on the wire.

/// What one loop's sessions, or all of them, sent and received.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// By the sessions.
    pub sent: Bytes,
    /// By the server, as far as it was read.
    pub heard: Bytes,
    /// Sessions whose first connection was compressed: the server has agreed to what was offered.
    pub compressed_sessions: u64,
}

/// Bytes in one direction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bytes {
    /// Of messages, as they are meant.
    pub payload: u64,
    /// Of frames of all kinds with their headers, as they travel; without TLS, TCP and the opening handshake.
    pub wire: u64,
}

impl Bytes {
    /// Wire for payload: below 1 where compression wins; `None` where nothing was said.
    #[must_use]
    pub fn ratio(self) -> Option<f64> {
        (self.payload > 0).then(|| self.wire as f64 / self.payload as f64)
    }

    fn add(&mut self, other: Self) {
        self.payload += other.payload;
        self.wire += other.wire;
    }
}

impl Traffic {
    /// Adds that of others.
    pub fn add(&mut self, other: &Self) {
        self.sent.add(other.sent);
        self.heard.add(other.heard);
        self.compressed_sessions += other.compressed_sessions;
    }
}
