//! The production WebSocket server, as a library: connections, fan-out, the dialects' rules, HTTP, metrics, stop.
//!
//! [`Server::bind`] takes addresses, [`Server::run`] serves until it is told to stop. Nothing here reads a flag or the
//! environment, or a file that the configuration does not name; nothing ends the process. It logs through `tracing` and
//! counts in a registry of its own.

mod admin;
mod admission;
mod answers;
mod arriving;
mod auth;
mod backing;
mod budget;
mod clock;
mod cluster;
mod config;
mod connection;
mod cors;
mod crowd;
mod dialects;
mod drain;
mod faults;
mod forwarded;
mod groups;
mod heartbeat;
mod http;
mod hub;
mod identity;
mod lingering;
mod listen;
mod memory;
mod metrics;
mod parts;
mod query;
mod rate;
mod readiness;
mod relay;
mod retention;
mod route;
mod server;
mod shared;
mod slots;
mod socket;
mod stop;
mod tls;
mod turns;
mod unread;
mod upgrade;
mod upkeep;
mod watched;
mod wheel;

pub use admin::TrialUser;
pub use auth::{KeyFileError, mint};
pub use cluster::ClusterError;
pub use config::{
    AuthConfig, BusChoice, Compression, Config, Confirm, Deadlines, DialectAuth, DirectConfig, EchoConfig,
    FeedConfig, HttpAccess, InvalidNetwork, Limits, Network, OutboxConfig, PresenceConfig, Rate, Retention,
    RoomsConfig, Secret, StoreChoice, TlsFiles,
};
pub use server::{Drain, Reload, Server, StartError, Stopped};
pub use tls::TlsError;
pub use touchstone_storage::EmbeddedLimits;
