//! Reaching a system under test: target file, TLS, HTTP, inject, faults, start and stop.
//!
//! What is the same for `conform` and `load`, and knows neither scenario steps nor samples. A target is what is
//! *known* of a server ([`Target`]); a [`Sut`] is one that *runs*.

mod accounts;
pub mod file;
mod handover;
pub mod http;
mod launcher;
mod log;
mod metrics;
mod operate;
mod operator;
mod people;
mod process;
pub mod schema;
mod scratch;
mod shown;
mod sut;
mod target;
mod tokens;
pub mod transport;

pub use accounts::{AdminKey, MadeBy, TokensBy, UsersBy};
pub use handover::Handover;
pub use log::{Log, Mark};
pub use metrics::Metrics;
pub use operate::Injection;
pub use people::{ChannelWanted, People, ProvisionError, User, UserWanted};
pub use process::{Signal, StartError};
pub use sut::Sut;
pub use target::{Act, BuiltIn, Origin, Part, Ready, SPAWN_DEADLINE, Security, Store, Target, TargetError};
pub use tokens::{TokenKind, TokenWanted};
pub use transport::{Transport, Trust};
