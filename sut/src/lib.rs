//! Reaching a system under test: target file, HTTP, inject, faults, start and stop.
//!
//! What is the same for `conform` and `load`, and knows neither scenario steps nor samples. A target is what is
//! *known* of a server ([`Target`]); a [`Sut`] is one that *runs*.

pub mod file;
pub mod http;
mod log;
mod metrics;
mod process;
mod sut;
mod target;

pub use log::{Log, Mark};
pub use metrics::Metrics;
pub use process::{Signal, StartError};
pub use sut::Sut;
pub use target::{BuiltIn, Origin, Ready, SPAWN_DEADLINE, Target, TargetError};
