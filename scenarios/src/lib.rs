//! The corpus and the crate that reads it: rules, scenarios and workloads, compiled in, and YAML with diagnostics.

pub mod rules;
pub mod scenario;
pub mod source;
