//! The corpus and the crate that reads it: rules, scenarios, workloads and mutants, compiled in, and YAML with
//! diagnostics.

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

pub use corpus::{
    builtin_mutants, builtin_scenarios, builtin_workloads, generic_mutants, load_all, load_dir, load_mutants,
    read_source,
};
