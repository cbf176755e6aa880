//! What can be set of each dialect.

use std::time::Duration;

use touchstone_protocol::echo;
use touchstone_storage::EmbeddedLimits;

use super::{DialectAuth, Rate};

/// What can be set of the dialect `echo`.
#[derive(Debug, Clone)]
pub struct EchoConfig {
    /// Time between two heartbeats of a connection (echo/8c). Default: 30 s.
    pub heartbeat_interval: Duration,
    /// How long a session is kept after its last write (echo/6c). Default: 3600 s.
    pub session_ttl: Duration,
    /// Unicode scalar values in the longest session id (echo/1b). Default: 128.
    pub session_id_chars: usize,
    /// A store call slower than this counts as unavailable (echo/11b). Default: 2 s.
    pub store_deadline: Duration,
    /// Who may use the HTTP endpoints. Default: everybody on a loopback listener, elsewhere the admin.
    pub http: HttpAccess,
    /// Data messages of one connection (common/7b). Default: none, no limit.
    pub rate: Option<Rate>,
    /// What the embedded store keeps of one session.
    pub embedded: EmbeddedLimits,
}

impl Default for EchoConfig {
    fn default() -> Self {
        Self {
            heartbeat_interval: echo::HEARTBEAT_INTERVAL,
            session_ttl: echo::SESSION_TTL,
            session_id_chars: echo::SESSION_ID_CHARS_MAX,
            store_deadline: echo::STORE_DEADLINE,
            http: HttpAccess::default(),
            rate: None,
            embedded: EmbeddedLimits::default(),
        }
    }
}

/// Who may use the HTTP endpoints of a dialect without users.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HttpAccess {
    /// Everybody on a listener bound to a loopback address; on any other, who has the admin key.
    #[default]
    LoopbackOrAdmin,
    /// Everybody.
    Open,
}

/// What can be set of the dialect `rooms`.
#[derive(Debug, Clone)]
pub struct RoomsConfig {
    /// Whose tokens are taken, where it is not what holds for all dialects.
    pub auth: DialectAuth,
    /// Data messages of one connection (common/7b). Default: 50 a second, 100 at once.
    pub rate: Option<Rate>,
    /// Unicode scalar values in the longest message (rooms/6b). Default: 10,000.
    pub content_chars: usize,
    /// Messages in the history that a newcomer is sent (rooms/3c). Default: 50.
    pub history_messages: usize,
    /// Messages in one page over HTTP; a request for more gets as many. Default: 200.
    pub page_messages: usize,
    /// How long a typing state lasts that is not renewed (rooms/7c). Default: 10 s.
    pub typing_ttl: Duration,
}

impl Default for RoomsConfig {
    fn default() -> Self {
        Self {
            auth: DialectAuth::default(),
            rate: Some(Rate {
                per_second: 50.0,
                burst: 100,
            }),
            content_chars: 10_000,
            history_messages: 50,
            page_messages: 200,
            typing_ttl: Duration::from_secs(10),
        }
    }
}

/// What can be set of the dialect `outbox`.
#[derive(Debug, Clone)]
pub struct OutboxConfig {
    /// Whose tokens are taken, where it is not what holds for all dialects.
    pub auth: DialectAuth,
    /// Data messages of one connection (common/7b). Default: none, no limit.
    pub rate: Option<Rate>,
    /// Time between two sweeps for what is pending and due (outbox/6a). Default: 30 s.
    pub sweep_interval: Duration,
    /// What has to happen before an event counts as sent (outbox/9b). Default: the pong.
    pub confirm: Confirm,
    /// How long the pong may take; then the connection is closed 1008 `no pong` (outbox/9d). Default: 30 s.
    pub confirm_timeout: Duration,
}

impl Default for OutboxConfig {
    fn default() -> Self {
        Self {
            auth: DialectAuth::default(),
            rate: None,
            sweep_interval: Duration::from_secs(30),
            confirm: Confirm::default(),
            confirm_timeout: Duration::from_secs(30),
        }
    }
}

/// When an event of `outbox` counts as sent (outbox/9b).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Confirm {
    /// When the client has answered a ping that was sent after it.
    #[default]
    Pong,
    /// As soon as it is written.
    Write,
}

/// What can be set of the dialect `feed`.
#[derive(Debug, Clone)]
pub struct FeedConfig {
    /// Whose tokens are taken, where it is not what holds for all dialects.
    pub auth: DialectAuth,
    /// Data messages of one connection (common/7b). Default: none, no limit.
    pub rate: Option<Rate>,
    /// Time between two `PING`s to a connection (feed/7a). Default: 30 s.
    pub heartbeat_interval: Duration,
    /// How long the `PONG` may take; then the connection is closed 4408 (feed/8a). Default: 10 s.
    pub heartbeat_timeout: Duration,
    /// Resources in one page over HTTP; a request for more gets as many. Default: 200.
    pub page_resources: usize,
}

impl Default for FeedConfig {
    fn default() -> Self {
        Self {
            auth: DialectAuth::default(),
            rate: None,
            heartbeat_interval: Duration::from_secs(30),
            heartbeat_timeout: Duration::from_secs(10),
            page_resources: 200,
        }
    }
}

/// What can be set of the dialect `direct`.
#[derive(Debug, Clone)]
pub struct DirectConfig {
    /// Whose tokens are taken, where it is not what holds for all dialects.
    pub auth: DialectAuth,
    /// Data messages of one connection (common/7b). Default: none, no limit.
    pub rate: Option<Rate>,
    /// Time between two pings to a connection (direct/11a). Default: 30 s.
    pub heartbeat_interval: Duration,
    /// How long the pong may take; then the connection is terminated, at the latest one interval after that
    /// (direct/11b). Default: 30 s.
    pub heartbeat_timeout: Duration,
    /// Unicode scalar values in the longest message (direct/10c). Default: 5,000.
    pub content_chars: usize,
    /// Messages in one page over HTTP; a request for more gets as many. Default: 200.
    pub page_messages: usize,
}

impl Default for DirectConfig {
    fn default() -> Self {
        Self {
            auth: DialectAuth::default(),
            rate: None,
            heartbeat_interval: Duration::from_secs(30),
            heartbeat_timeout: Duration::from_secs(30),
            content_chars: 5_000,
            page_messages: 200,
        }
    }
}
