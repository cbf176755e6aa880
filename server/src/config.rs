//! Everything that can be set. Plain data with the defaults of the specification: no file, no environment, no flag.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use touchstone_protocol::{Dialect, defaults, echo};
use touchstone_storage::EmbeddedLimits;

/// How a server is set up.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where to listen; port 0 takes a free one. Default: `127.0.0.1:8080`.
    pub listen: Vec<SocketAddr>,
    /// Where metrics, health and the admin API are, instead of beside the dialects. Default: none, beside them.
    pub admin_listen: Option<SocketAddr>,
    /// The dialects that are served. Default: all.
    pub dialects: Vec<Dialect>,
    /// Sizes and numbers nothing goes beyond.
    pub limits: Limits,
    /// How long things may take.
    pub deadlines: Deadlines,
    /// The origins that may connect; a request without `Origin` always may (common/2b). Default: `None`, any origin.
    pub origins: Option<Vec<String>>,
    /// A route that is no dialect and echoes text and binary verbatim. Default: none.
    pub raw_echo: Option<String>,
    /// Whether each received message is logged as `ws_receive` (echo/12d). Default: no.
    pub log_messages: bool,
    /// Whether `POST /admin/faults` exists; it needs the admin key as well. Default: no.
    pub allow_faults: bool,
    /// The bearer key of the admin API. Default: none, and then there is no admin API.
    pub admin_key: Option<Secret>,
    /// The dialect `echo`.
    pub echo: EchoConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 8080))],
            admin_listen: None,
            dialects: Dialect::ALL.to_vec(),
            limits: Limits::default(),
            deadlines: Deadlines::default(),
            origins: None,
            raw_echo: None,
            log_messages: false,
            allow_faults: false,
            admin_key: None,
            echo: EchoConfig::default(),
        }
    }
}

/// Sizes and numbers nothing goes beyond.
#[derive(Debug, Clone)]
pub struct Limits {
    /// WebSocket connections at a time; the next handshake is answered 503. Default: 100,000.
    pub connections: usize,
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
    /// Frames that wait for one peer: what they cost beside their bytes. Default: 8,192.
    pub queue_frames: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 100_000,
            http_connections: 16_384,
            message_bytes: defaults::MESSAGE_BYTES_MAX,
            raw_echo_bytes: defaults::RAW_ECHO_BYTES_MAX,
            handshake_bytes: defaults::HANDSHAKE_BYTES_MAX,
            queue_bytes: 1 << 20,
            queue_frames: 8_192,
        }
    }
}

/// How long things may take.
#[derive(Debug, Clone)]
pub struct Deadlines {
    /// For a request's headers to arrive, also on a connection kept alive; as long again for its body and its answer.
    /// Default: 10 s.
    pub handshake: Duration,
    /// For a peer to take the close frame and end TCP on its side. Default: 5 s.
    pub close: Duration,
    /// For a graceful stop. Default: 10 s.
    pub grace: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            handshake: defaults::HANDSHAKE_DEADLINE,
            close: defaults::CLOSE_DEADLINE,
            grace: defaults::GRACE_PERIOD,
        }
    }
}

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

/// A token bucket: how many messages a connection may send.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// Messages a second in the long run.
    pub per_second: f64,
    /// Messages at once after a pause.
    pub burst: u32,
}

/// A key that never shows in a log, an error or a debug print.
#[derive(Clone)]
pub struct Secret(Box<[u8]>);

impl Secret {
    /// Takes the key over.
    pub fn new(key: impl Into<Vec<u8>>) -> Self {
        Self(key.into().into_boxed_slice())
    }

    /// Whether `offered` is the key. Takes the same time wherever the first difference is.
    #[must_use]
    pub fn matches(&self, offered: &[u8]) -> bool {
        let differing = self
            .0
            .iter()
            .zip(offered)
            .fold(0, |seen, (ours, theirs)| seen | (ours ^ theirs));
        std::hint::black_box(differing) == 0 && self.0.len() == offered.len() && !self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(not shown)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_key_matches_and_it_is_never_printed() {
        let key = Secret::new("open sesame");
        assert!(key.matches(b"open sesame"));
        for wrong in ["", "open", "open sesame!", "Open sesame"] {
            assert!(!key.matches(wrong.as_bytes()), "{wrong}");
        }
        assert!(!Secret::new("").matches(b""), "an empty key opens nothing");
        assert!(!format!("{key:?}").contains("sesame"));
    }
}
