//! A part of a run: what one of several processes plays of it.
//!
//! A part is to a run what a loop is to a process: number k of n has every n-th session, from the k-th on. The plan is the whole
//! run's in each of them, so whatever follows from plan and seed is the same however many parts there are.

use serde_json::Value;
use tokio::sync::oneshot;

use crate::cast::Share;

/// Which part of which run, and what binds it to the others.
#[derive(Debug)]
pub struct Part {
    /// The run's mark, the same for all of its parts: its sessions must not meet those of others on the same server.
    pub run: u32,
    /// From 0.
    pub number: u32,
    /// How many parts the run has.
    pub of: u32,
    /// Who its sessions are, where somebody else has made them.
    pub cast: Option<Share>,
    /// The way to the other parts, where there are any.
    pub others: Option<Others>,
}

/// How a part learns what the others have sent: who of its own misses something can only be known from that.
#[derive(Debug)]
pub struct Others {
    /// Is told what this part has sent, once its phases are over; never where nothing is delivered to others. An array of
    /// pages, as reports have them.
    pub tell: oneshot::Sender<Value>,
    /// Hears what all others have sent. When its sender is gone, nothing is known of them before the reports are merged.
    pub hear: oneshot::Receiver<Vec<Value>>,
}

impl Part {
    /// All of a run of its own.
    #[must_use]
    pub fn whole() -> Self {
        Self {
            run: fastrand::u32(..),
            number: 0,
            of: 1,
            cast: None,
            others: None,
        }
    }

    /// The sessions of part `number` of `of`, of all `sessions`.
    pub fn sessions(number: u32, of: u32, sessions: u32) -> impl ExactSizeIterator<Item = u32> {
        (number..sessions).step_by(of as usize)
    }
}
