//! The corpus and the crate that reads it: rules, scenarios and workloads, compiled in, and YAML with diagnostics.

pub mod cast;
mod corpus;
pub mod diag;
pub mod duration;
pub mod glob;
pub mod habits;
pub mod mutant;
pub mod read;
pub mod rules;
pub mod scenario;
pub mod schema;
pub mod source;
pub mod template;
pub mod yaml;

pub use corpus::{builtin_scenarios, builtin_workloads, load_dir, read_source};
