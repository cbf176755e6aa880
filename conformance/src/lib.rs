//! select -> run -> verdict: replays scenarios against a server and says, clause by clause, what holds.

pub mod client;
pub mod frames;
pub mod head;
pub mod matching;
pub mod tap;
pub mod verdict;
