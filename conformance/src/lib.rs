//! select -> run -> verdict: replays scenarios against a server and says, clause by clause, what holds.

pub mod frames;
pub mod head;
pub mod tap;
