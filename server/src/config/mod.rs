//! Everything that can be set. Plain data with the defaults of the specification: no file, no environment, no flag.

mod auth;
mod dialects;
mod limits;
mod network;
mod presence;
mod secret;
mod store;

use std::net::{Ipv4Addr, SocketAddr};

use touchstone_protocol::Dialect;

pub use auth::{AuthConfig, DialectAuth};
pub use dialects::{Confirm, DirectConfig, EchoConfig, FeedConfig, HttpAccess, OutboxConfig, RoomsConfig};
pub use limits::{Deadlines, Limits, Rate};
pub use network::{Compression, InvalidNetwork, Network, TlsFiles};
pub use presence::PresenceConfig;
pub use secret::Secret;
pub use store::{BusChoice, Retention, StoreChoice};

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
    /// The origins whose pages may call the HTTP side (CORS); `*` is any. Default: none, and no such header is sent.
    pub cors_origins: Vec<String>,
    /// The proxies whose `X-Forwarded-For` is believed. Default: none; the address of a client is that of its
    /// connection.
    pub trusted_proxies: Vec<Network>,
    /// The certificate and its key; every listener then speaks TLS, the admin's too. Default: none, plain.
    pub tls: Option<TlsFiles>,
    /// permessage-deflate. Default: off.
    pub compression: Option<Compression>,
    /// Where state lives. Default: in memory.
    pub store: StoreChoice,
    /// How nodes hear of each other. Default: there is only this one.
    pub bus: BusChoice,
    /// How long what is stored is kept. Default: for ever.
    pub retention: Retention,
    /// Whose tokens are taken.
    pub auth: AuthConfig,
    /// What is told of who is there.
    pub presence: PresenceConfig,
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
    /// The dialect `rooms`.
    pub rooms: RoomsConfig,
    /// The dialect `outbox`.
    pub outbox: OutboxConfig,
    /// The dialect `feed`.
    pub feed: FeedConfig,
    /// The dialect `direct`.
    pub direct: DirectConfig,
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
            cors_origins: Vec::new(),
            trusted_proxies: Vec::new(),
            tls: None,
            compression: None,
            store: StoreChoice::default(),
            bus: BusChoice::default(),
            retention: Retention::default(),
            auth: AuthConfig::default(),
            presence: PresenceConfig::default(),
            raw_echo: None,
            log_messages: false,
            allow_faults: false,
            admin_key: None,
            echo: EchoConfig::default(),
            rooms: RoomsConfig::default(),
            outbox: OutboxConfig::default(),
            feed: FeedConfig::default(),
            direct: DirectConfig::default(),
        }
    }
}
