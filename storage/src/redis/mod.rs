//! Redis, where several nodes share it: a bus, presence, and stores, on one server, behind Sentinels, or in a cluster.
//!
//! What is kept under which key stands in `docs/redis.md`.

mod bus;
mod durability;
mod keys;
mod link;
mod presence;
mod reach;
mod sessions;
mod store;
mod url;

pub use bus::{BusTerms, RedisBus};
pub use durability::Durability;
pub use link::{LinkError, LinkState, LinkTerms, OpenLinkError, Redis};
pub use presence::{NewsKind, PresenceNews, PresenceTerms, RedisPresence};
pub use sessions::RedisSessions;
pub use store::RedisStore;
pub use url::{Layout, Node, RedisUrl, Security, UrlError};
