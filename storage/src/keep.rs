//! How much is kept of what is over.

use crate::session::Timestamp;

/// What is kept of the past; what is not over yet is kept in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Keep {
    /// What is older goes.
    pub since: Option<Timestamp>,
    /// The oldest beyond so many go, of each user or conversation by itself.
    pub count_max: Option<u64>,
}
