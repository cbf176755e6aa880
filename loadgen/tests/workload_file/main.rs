//! Workload files: what an editor says of them, and what the reader says to whoever made a mistake.

mod mistakes;
mod schema;
#[path = "../../../scenarios/tests/validator/mod.rs"]
mod validator;
