//! select -> run -> verdict: replays scenarios against a server and says, clause by clause, what holds.

pub mod clauses;
pub mod client;
pub mod coverage;
pub mod frame_checks;
pub mod frames;
pub mod head;
pub mod matching;
pub mod results;
mod run;
pub mod select;
pub mod tap;
pub mod transcript;
pub mod verdict;

pub use run::{Event, Options, RunError, run};
