//! The page of a session whose messages are answered and counted (`echo`): the answer is confirmation and delivery in one.
//!
//! This is what the words mean:
//!
//! * **received**: messages whose answer was heard, each once. A second answer is **duplicated**; one heard after the
//!   answer to a later message of the same connection is **reordered**; one heard more than the deadline after its
//!   message was *meant* to be sent is **late**.
//! * **lost**: counted by the server and not answered. Between two answers that follow each other, the numbers that
//!   nobody was told belong, in this order,
//!     1. to the messages sent between the two on this connection and unanswered: those were counted and are lost
//!        (until their answer comes after all);
//!     2. to messages that were in flight when an earlier connection of the session ended: the server may have counted
//!        them and had nobody left to tell. Each such message excuses one number, once; it stays unconfirmed;
//!     3. to nobody: more was counted than was ever sent. Those are lost as well, for the count no longer says what was heard.
//!
//!   A count that went **back** takes the answered messages with it whose numbers are given out again: they move from
//!   received to lost. The very first count a session hears is its base, whatever it is: before it nothing was confirmed.
//! * **unconfirmed**: sent, never answered, and not known to be counted. Owed to nobody.
//!
//! `expected = received + lost`, and where no count is more than was sent, `sent = expected + unconfirmed`.

use std::collections::VecDeque;

use super::{Timing, Totals};
use crate::ranges::Ranges;
use crate::schedule::Nanos;

/// What an answer turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answered {
    /// The first answer to its message. `None`: what was asked is forgotten, which happens at twice the deadline.
    First(Option<Asked>),
    /// Heard before.
    Again,
    /// To a message that this session never sent.
    Foreign,
}

/// What a message was: kept until its answer comes, since an answer need not bring back more than the message's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// Its place among the acts of its protocol.
    pub act: u32,
    /// When it was meant to be sent, and when it was.
    pub timing: Timing,
}

#[derive(Debug, Clone, Copy)]
struct Pending {
    sequence: u32,
    asked: Asked,
}

/// Something charged to the server, until it proves otherwise.
#[derive(Debug, Default)]
struct Charge {
    /// How many.
    count: u64,
    /// The part that an answer on this connection may still disprove.
    disprovable: u64,
}

impl Charge {
    fn add(&mut self, more: u64) {
        self.count = self.count.saturating_add(more);
        self.disprovable = self.disprovable.saturating_add(more);
    }

    /// Takes one back. `false` if there is none to take.
    fn disprove(&mut self) -> bool {
        let had = self.disprovable > 0;
        self.disprovable -= u64::from(had);
        self.count -= u64::from(had);
        had
    }
}

/// One sender's page of the ledger, over all connections of its session.
#[derive(Debug, Default)]
pub struct Sender {
    /// The last sequence that was sent; the first is 1.
    sent: u32,
    /// The first sequence of the connection that is open.
    connection_first: u32,
    /// The highest sequence answered on it, or the one before its first.
    answered_high: u32,
    /// Sequences that were answered.
    received: Ranges,
    /// Numbers that answers gave, as far as the server has not taken them back.
    counts: Ranges,
    /// Messages in flight when a connection ended that have not excused a number yet.
    excuses: u64,
    /// Messages that were counted and not answered.
    untold: Charge,
    /// Numbers that no message of this sender explains.
    unexplained: Charge,
    taken_back: u64,
    duplicated: u32,
    reordered: u32,
    late: u32,
    /// Unanswered messages, forgotten at twice the deadline.
    pending: Waiting,
}

/// Messages, oldest first. The oldest is inline: most sessions never have another.
#[derive(Debug, Default)]
struct Waiting {
    oldest: Option<Pending>,
    /// Empty without an oldest.
    younger: VecDeque<Pending>,
}

impl Waiting {
    fn newest(&self) -> Option<&Pending> {
        self.younger.back().or(self.oldest.as_ref())
    }

    fn push(&mut self, pending: Pending) {
        if self.oldest.is_none() {
            self.oldest = Some(pending);
        } else {
            self.younger.push_back(pending);
        }
    }

    fn take_oldest(&mut self) -> Option<Pending> {
        std::mem::replace(&mut self.oldest, self.younger.pop_front())
    }

    fn take(&mut self, sequence: u32) -> Option<Pending> {
        if self.oldest.is_some_and(|oldest| oldest.sequence == sequence) {
            return self.take_oldest();
        }
        let at = self
            .younger
            .binary_search_by_key(&sequence, |pending| pending.sequence);
        self.younger.remove(at.ok()?)
    }
}

impl Sender {
    /// The sequence that the next message will have.
    #[must_use]
    pub fn next_sequence(&self) -> u32 {
        self.sent + 1
    }

    /// Notes that the next message was handed to the socket. What has waited for twice the `deadline` is forgotten.
    pub fn sent(&mut self, asked: Asked, deadline: Nanos) {
        self.sent += 1;
        while self
            .pending
            .oldest
            .is_some_and(|oldest| oldest.asked.timing.intended + 2 * deadline < asked.timing.sent)
        {
            self.pending.take_oldest();
        }
        self.pending.push(Pending {
            sequence: self.sent,
            asked,
        });
    }

    /// Until when the open connection's newest unanswered message is waited for; `None` if there is none.
    #[must_use]
    pub fn waits_until(&self, deadline: Nanos) -> Option<Nanos> {
        let newest = self.pending.newest()?;
        (newest.sequence >= self.connection_first).then_some(newest.asked.timing.intended + deadline)
    }

    /// Whether the open connection's last message has no answer: nothing tells yet whether it was counted.
    #[must_use]
    pub fn is_last_unanswered(&self) -> bool {
        self.answered_high < self.sent
    }

    /// How many messages of the open connection have no answer yet.
    #[must_use]
    pub fn unanswered(&self) -> u32 {
        let answered = self.received.iter().fold(0, |sum, (start, end)| {
            let start = start.max(u64::from(self.connection_first.max(1)));
            sum + (end + 1).saturating_sub(start)
        });
        let of_connection = u64::from(self.sent + 1 - self.connection_first.max(1));
        u32::try_from(of_connection - answered).expect("at most as many as were sent")
    }

    /// Whether nothing was sent on the open connection.
    #[must_use]
    pub fn is_silent_since_open(&self) -> bool {
        self.sent < self.connection_first
    }

    /// Notes that a connection is open: what comes is of it.
    pub fn opened(&mut self) {
        self.connection_first = self.sent + 1;
        self.answered_high = self.sent;
    }

    /// Notes that the connection ended, whoever ended it: what is in flight may or may not have been counted.
    pub fn ended(&mut self) {
        self.excuses += u64::from(self.sent - self.answered_high);
        self.nothing_is_disprovable();
        self.connection_first = self.sent + 1;
        self.answered_high = self.sent;
    }

    /// Takes in an answer heard at `now`.
    pub fn answer(&mut self, sequence: u32, count: Option<u64>, now: Nanos, deadline: Nanos) -> Answered {
        if sequence == 0 || sequence > self.sent {
            return Answered::Foreign;
        }
        let of_this_connection = sequence >= self.connection_first;
        let again = self.received.contains(u64::from(sequence));
        if let Some(count) = count {
            self.count(sequence, count, again);
        }
        if again {
            self.duplicated += 1;
            return Answered::Again;
        }
        self.received.insert(u64::from(sequence));
        if !of_this_connection {
            // Told after all, on a later connection: it excuses nothing any more.
            self.excuses = self.excuses.saturating_sub(1);
        } else if sequence < self.answered_high {
            self.reordered += 1;
        } else {
            self.answered_high = sequence;
        }
        let asked = self.pending.take(sequence).map(|pending| pending.asked);
        if asked.is_none_or(|asked| now > asked.timing.intended + deadline) {
            self.late += 1;
        }
        Answered::First(asked)
    }

    /// Judges the number that came with an answer; called before the answer itself is entered.
    fn count(&mut self, sequence: u32, count: u64, again: bool) {
        let Some(high) = self.counts.max() else {
            // The base of the session. What it skips on this connection is judged as everywhere; what lies before is not.
            let skipped = u64::from(sequence.saturating_sub(self.connection_first));
            let untold = count.saturating_sub(1);
            let of_skipped = untold.min(skipped);
            self.excuses = self.excuses.saturating_sub(untold - of_skipped);
            self.untold.add(of_skipped);
            self.counts.insert(count);
            return;
        };
        if count > high {
            let untold = count - high - 1;
            let skipped = u64::from(sequence.saturating_sub(self.answered_high + 1));
            let of_skipped = untold.min(skipped);
            let excused = (untold - of_skipped).min(self.excuses);
            self.excuses -= excused;
            self.untold.add(of_skipped);
            self.unexplained.add(untold - of_skipped - excused);
        } else if again && self.counts.contains(count) {
            // The same answer once more.
        } else if self.counts.contains(count) || sequence > self.answered_high || !self.disprove(again) {
            self.taken_back += self.counts.cut_from(count);
            self.excuses = 0;
            self.nothing_is_disprovable();
        }
        self.counts.insert(count);
    }

    /// An answer that was skipped came after all: so the charge against it falls.
    fn disprove(&mut self, again: bool) -> bool {
        if again {
            self.unexplained.disprove()
        } else {
            self.untold.disprove()
        }
    }

    fn nothing_is_disprovable(&mut self) {
        self.untold.disprovable = 0;
        self.unexplained.disprovable = 0;
    }

    /// The sums as they stand.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let answered = self.received.count();
        let taken_back = self.taken_back.min(answered);
        let received = answered - taken_back;
        let lost = self
            .untold
            .count
            .saturating_add(self.unexplained.count)
            .saturating_add(taken_back);
        Totals {
            sent: u64::from(self.sent),
            expected: received.saturating_add(lost),
            received,
            lost,
            duplicated: u64::from(self.duplicated),
            reordered: u64::from(self.reordered),
            late: u64::from(self.late),
            unconfirmed: (u64::from(self.sent) - answered).saturating_sub(self.untold.count),
        }
    }

    /// The sequences that were answered: what `load merge` joins.
    #[must_use]
    pub fn confirmed(&self) -> &Ranges {
        &self.received
    }
}

#[cfg(test)]
mod tests;
