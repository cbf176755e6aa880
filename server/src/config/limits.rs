//! Sizes, numbers and durations that hold for the whole server.

use std::ops::RangeInclusive;
use std::time::Duration;

use touchstone_protocol::defaults;

/// Sizes and numbers nothing goes beyond.
#[derive(Debug, Clone)]
pub struct Limits {
    /// WebSocket connections at a time; the next handshake is answered 503. Default: 100,000.
    pub connections: usize,
    /// WebSocket connections of one user of a dialect; the next handshake is answered 503 (common/7b). Default: none,
    /// no limit.
    pub connections_per_user: Option<usize>,
    /// WebSocket connections of one address; the next handshake is answered 503 (common/7b). Default: none, no limit:
    /// behind a proxy that is not among the trusted ones all the world has one address.
    pub connections_per_ip: Option<usize>,
    /// TCP connections that are not (yet) WebSockets; the next is answered 503. Default: 16,384, so that a crowd that
    /// comes back at once is not taken for an attack.
    pub http_connections: usize,
    /// Payload of one message, reassembled, in bytes (common/5a). Default: 65,536.
    pub message_bytes: usize,
    /// Payload of one message on the raw echo route, in bytes. Default: 16 MiB.
    pub raw_echo_bytes: usize,
    /// Request line and headers, in bytes; more is answered 431. At least 8 KiB. Default: 16 KiB.
    pub handshake_bytes: usize,
    /// Bytes that wait for one peer; one more message, and it is closed 1008 (common/7a). Default: 1 MiB, so that
    /// the answer to the longest message fits even when each of its bytes must be escaped.
    pub queue_bytes: usize,
    /// Bytes that wait for all peers together; as they get more, less may wait for one. Default: 256 MiB, so that
    /// thousands who do not read cannot fill the machine.
    pub queues_bytes: usize,
    /// Bytes of answers over HTTP that wait for all clients together to read them; one that is longer than what is left is
    /// answered 503. Default: 256 MiB, so that thousands who do not read cannot fill the machine.
    pub answers_bytes: usize,
    /// Frames that wait for one peer: what they cost beside their bytes. Default: 8,192.
    pub queue_frames: usize,
    /// Body of one HTTP request to a dialect, in bytes; more is answered 413. Default: 256 KiB.
    pub body_bytes: usize,
    /// Body of one request to the admin API, in bytes; more is answered 413. Default: 16 MiB, so that 10,000 users
    /// are made in one request.
    pub admin_body_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 100_000,
            connections_per_user: None,
            connections_per_ip: None,
            http_connections: 16_384,
            message_bytes: defaults::MESSAGE_BYTES_MAX,
            raw_echo_bytes: defaults::RAW_ECHO_BYTES_MAX,
            handshake_bytes: defaults::HANDSHAKE_BYTES_MAX,
            queue_bytes: 1 << 20,
            queues_bytes: 256 << 20,
            answers_bytes: 256 << 20,
            queue_frames: 8_192,
            body_bytes: 256 << 10,
            admin_body_bytes: 16 << 20,
        }
    }
}

impl Limits {
    /// What may be told to several, in bytes: it has to fit what may wait for each of them, or everybody would be cut off for
    /// what somebody else said.
    pub(crate) fn told_bytes_max(&self) -> usize {
        self.queue_bytes
    }
}

/// How long things may take.
#[derive(Debug, Clone)]
pub struct Deadlines {
    /// For a request's headers to arrive, also on a connection kept alive; as long again for its body.
    /// Default: 10 s.
    pub handshake: Duration,
    /// For a peer to take the close frame and end TCP on its side (common/2c). Default: 5 s.
    pub close: Duration,
    /// For a graceful stop (common/6a). Default: 10 s.
    pub grace: Duration,
    /// For a peer to send anything at all, a pong included; one that is silent for longer is closed 1001. Default:
    /// none, a silent peer stays: the dialects have heartbeats of their own.
    pub idle: Option<Duration>,
    /// For one call of the store; a slower one has failed (common/7d). `echo` has its own. Default: 5 s.
    pub store: Duration,
    /// For a drain: connections are closed 1012, spread over this time (common/6c). Default: 30 s.
    pub drain: Duration,
    /// The advice in the reason of a 1001 or 1012 is spread evenly over this range, in whole seconds (common/6b).
    /// Default: 3 to 12.
    pub retry_after_seconds: RangeInclusive<u8>,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            handshake: defaults::HANDSHAKE_DEADLINE,
            close: defaults::CLOSE_DEADLINE,
            grace: defaults::GRACE_PERIOD,
            idle: None,
            store: Duration::from_secs(5),
            drain: Duration::from_secs(30),
            retry_after_seconds: defaults::RETRY_AFTER_SECONDS,
        }
    }
}

/// A token bucket: how many messages a connection may send.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// Messages a second in the long run.
    pub per_second: f64,
    /// Messages at once after a pause.
    pub burst: u32,
}
