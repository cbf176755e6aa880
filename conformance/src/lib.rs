//! select -> run -> verdict: replays scenarios against a server and says, clause by clause, what holds.
//!
//! | step | where |
//! |---|---|
//! | which cases there are, and which are wanted | [`select`] |
//! | connections: a well-behaved client and raw actors, on a tap that keeps every byte | [`client`], [`tap`] |
//! | what crossed the wire, read by a decoder that shares nothing with the server's | [`frames`], [`frame_checks`] |
//! | whether it is what the scenario expects | [`matching`] |
//! | a proxy that breaks one thing at a time, so that a suite shows that it can fail | [`crooked`] |
//! | the steps themselves, many cases at a time | [`run`](run()) |
//! | whether the target can be used as its file says, before the first case, and what a case needs of it | [`probe`], [`needs`] |
//! | what follows from what was found | [`verdict`] |
//! | plain results, and JSON, document, suites and text made of them | [`results`], [`json`] |
//! | what a run covered of the rules, and its holes | [`coverage`] |
//! | several runs beside each other | [`side_by_side`] |
//! | what a clause or a case is about | [`explain`] |
//!
//! A failed expectation is data. An error means that nothing could be run.

mod clause_states;
pub mod clauses;
pub mod client;
pub mod coverage;
pub mod crooked;
mod document;
pub mod explain;
pub mod frame_checks;
pub mod frames;
pub mod head;
pub mod inflate;
pub mod json;
pub mod matching;
pub mod mutants;
pub mod near;
pub mod needs;
pub mod probe;
pub mod results;
mod run;
mod secrecy;
pub mod select;
pub mod side_by_side;
pub mod tap;
mod text;
pub mod transcript;
pub mod verdict;

pub use run::{Event, Options, Preflight, RunError, run};
