//! The delivery ledger: what was sent, and what came of it, exactly and in bounded memory.
//!
//! Every session keeps its pages alone, on its own event loop: [`counted`] where the answer is the delivery, [`delivery`]
//! where messages go to others. Who was owed what, and who got it, is [reckoned](reckon) from all pages together, when
//! the run is over or its phases are.
//!
//! A session of a dialect that delivers has an outbox and an inbox:
//! `sent` when a message with [`Effect::Delivery`] was handed to a socket or a request (its stamp carries `next_sequence`),
//! `confirmed` for its own `Heard::Confirmed`, `heard` for each `Heard::Delivery`, `ready` for `Heard::Ready`, `left` when a
//! connection ended and when it says goodbye. When the phases are over and the last deadline has passed, the loops tell
//! each other their [sent pages](reckon::SentPage) (a clone of each outbox: a few dozen bytes and its log); every loop reckons
//! them with its own heard pages, and those who miss something read it back. At the end all pages go to one last reckoning.
//!
//! [`Effect::Delivery`]: touchstone_protocol::client::Effect::Delivery

pub mod book;
pub mod counted;
pub mod delivery;
mod keys;
pub mod reckon;
pub mod send_log;

use crate::schedule::Nanos;

pub use counted::{Answered, Asked, Sender};
pub use keys::{Keys, Run};
pub use send_log::To;

/// When a message was meant to be sent, and when it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// By the schedule.
    pub intended: Nanos,
    /// When its frame was handed to the socket.
    pub sent: Nanos,
}

/// The sums of one sender, or of all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Messages handed to a socket.
    pub sent: u64,
    /// `received + lost`.
    pub expected: u64,
    /// See the module.
    pub received: u64,
    /// See the module.
    pub lost: u64,
    /// Answers beyond the first.
    pub duplicated: u64,
    /// Answers heard after that of a later message.
    pub reordered: u64,
    /// Part of `received`.
    pub late: u64,
    /// See the module.
    pub unconfirmed: u64,
}

impl Totals {
    /// Adds another sender's sums.
    pub fn add(&mut self, other: &Self) {
        self.sent += other.sent;
        self.expected = self.expected.saturating_add(other.expected);
        self.received += other.received;
        self.lost = self.lost.saturating_add(other.lost);
        self.duplicated += other.duplicated;
        self.reordered += other.reordered;
        self.late += other.late;
        self.unconfirmed += other.unconfirmed;
    }
}
