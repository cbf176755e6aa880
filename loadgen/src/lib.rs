//! The load generator: thousands of sessions from one machine, and honest numbers about them.
//!
//! A [`plan`] says who does what, when and for how long; a pure [`schedule`] follows from it and its seed. The engine
//! carries it out and hands samples to [`record`] and messages to the [`ledger`]. Nothing in the engine aggregates, and
//! nothing that measures prints.

mod cast;
mod csv;
pub mod custom;
pub mod document;
mod endpoint;
mod engine;
mod exposition;
pub mod feed;
mod interval_log;
pub mod json;
pub mod ledger;
mod limits;
mod merge;
pub mod observe;
pub mod part;
pub mod plan;
pub mod ranges;
pub mod record;
mod run;
pub mod schedule;
pub mod share;
pub mod sources;
pub mod summary;
pub mod thresholds;
pub mod watch;
pub mod workload;

pub use cast::{CastError, Share};
pub use endpoint::{Endpoint, RunError};
pub use limits::DoesNotFit;
pub use merge::{MergeError, merge};
pub use part::Part;
pub use plan::{Plan, PlanError};
pub use run::{Begin, Progress, cast, run, run_part};
pub use summary::Summary;
pub use workload::Workload;
