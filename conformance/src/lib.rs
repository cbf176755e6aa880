//! select -> run -> verdict: replays scenarios against a server and says, clause by clause, what holds.

pub mod clauses;
pub mod client;
pub mod coverage;
mod document;
pub mod explain;
pub mod frame_checks;
pub mod frames;
pub mod head;
pub mod json;
pub mod matching;
pub mod results;
mod run;
pub mod select;
pub mod tap;
mod text;
pub mod transcript;
pub mod verdict;

pub use run::{Event, Options, RunError, run};
