//! The pages of a session whose messages go to others: what it sent, and what it heard of everybody.
//!
//! Both are plain data of one session; nobody else writes them. Times on them are whole milliseconds since the run began,
//! rounded so that a connection never seems to stand longer than it did.

use touchstone_protocol::client::{Key, Stamp, Way};

use super::Keys;
use super::send_log::{NoSendLog, SendLog, Sent, To};
use crate::ranges::Ranges;
use crate::schedule::Nanos;

/// What a confirmation turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirmed {
    /// The first for its message: from now on it is owed.
    First,
    /// Heard before.
    Again,
    /// Of a message that this session never sent.
    Foreign,
}

/// What a session sent, over all its connections.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outbox {
    sent: u32,
    confirmed: Ranges,
    log: SendLog,
}

impl Outbox {
    /// The sequence that the next message will have; the first is 1.
    #[must_use]
    pub fn next_sequence(&self) -> u32 {
        self.sent + 1
    }

    /// Notes that the next message, for `to`, was handed to the socket at `at`.
    pub fn sent(&mut self, at: Nanos, to: To) {
        self.sent += 1;
        self.log.push(millisecond(at), to);
    }

    /// Takes in that the server has message `sequence`.
    pub fn confirmed(&mut self, sequence: u32) -> Confirmed {
        if sequence == 0 || sequence > self.sent {
            return Confirmed::Foreign;
        }
        if self.confirmed.contains(u64::from(sequence)) {
            return Confirmed::Again;
        }
        self.confirmed.insert(u64::from(sequence));
        Confirmed::First
    }

    /// How many messages were sent.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.sent
    }

    /// How many of them the server has not confirmed (yet): owed to nobody.
    #[must_use]
    pub fn unconfirmed(&self) -> u64 {
        u64::from(self.sent) - self.confirmed.count()
    }

    /// The sequences that were confirmed.
    #[must_use]
    pub fn confirmations(&self) -> &Ranges {
        &self.confirmed
    }

    /// When the messages were sent and for whom, in their order.
    pub fn spans(&self) -> impl Iterator<Item = Sent> + '_ {
        self.log.spans()
    }

    /// The log of sends as reports carry it.
    #[must_use]
    pub fn log(&self) -> &[u8] {
        self.log.bytes()
    }

    /// An outbox read back from a report.
    ///
    /// # Errors
    /// If `log` is none, or tells of other messages than were confirmed.
    pub fn restore(confirmed: Ranges, log: Vec<u8>) -> Result<Self, NoSendLog> {
        let log = SendLog::from_bytes(log)?;
        let sent = log.spans().last().map_or(0, |span| span.last);
        let within = confirmed
            .iter()
            .all(|(first, last)| first > 0 && last <= u64::from(sent));
        within.then_some(Self { sent, confirmed, log }).ok_or(NoSendLog)
    }
}

/// A stretch of time in which a connection stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stay {
    /// The first millisecond that lies wholly within it.
    pub from: u32,
    /// The millisecond in which it ended; [`Stay::LASTS`] if it has not.
    pub until: u32,
}

impl Stay {
    /// The end of a stay that has none. A run is 30 days at most; these are 49.
    pub const LASTS: u32 = u32::MAX;
}

/// What a delivery turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// The first of its message, in time.
    First,
    /// The first of its message, more than the deadline after it was meant to be sent.
    Late,
    /// Sent live once more: a duplicate.
    Again,
    /// Known already, and rightly told once more: read back after it came live, or the other way round.
    Known,
}

/// What a session heard of everybody's messages, over all its connections.
///
/// 32 bytes for each sender it heard on the open connection, 16 for one it heard before, 16 more for each gap.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inbox {
    stays: Vec<Stay>,
    received: Keys,
    /// Those of `received` that were only read back so far.
    read_back: Keys,
    late: Keys,
    /// Of each sender the highest sequence that came live on this connection; ascending by sender.
    highest: Vec<(u64, u32)>,
    duplicated: u32,
    reordered: u32,
}

impl Inbox {
    /// Notes that from now on what is sent to this session reaches it. No effect while it is so already.
    pub fn ready(&mut self, now: Nanos) {
        if self.is_standing() {
            return;
        }
        let from = millisecond(now.saturating_add(NANOS_PER_MS - 1));
        self.stays.push(Stay {
            from,
            until: Stay::LASTS,
        });
        self.highest.clear();
    }

    /// Notes that the connection ended, whoever ended it.
    pub fn left(&mut self, now: Nanos) {
        if let Some(stay) = self.stays.last_mut().filter(|stay| stay.until == Stay::LASTS) {
            stay.until = millisecond(now).max(stay.from);
        }
    }

    fn is_standing(&self) -> bool {
        self.stays.last().is_some_and(|stay| stay.until == Stay::LASTS)
    }

    /// Takes in a message that arrived at `now`. `deadline` is what its kind has to arrive, from its intended send on.
    ///
    /// What is read back is only late where its recipient was connected all that time, and should have had it live.
    pub fn heard(&mut self, stamp: Stamp, way: Way, now: Nanos, deadline: Nanos) -> Arrival {
        let key = stamp.key;
        let is_first = match way {
            Way::Live => {
                let is_first = self.received.insert(key);
                if !is_first && !self.read_back.remove(key) {
                    self.duplicated += 1;
                    return Arrival::Again;
                }
                self.came_live(key);
                is_first
            }
            Way::CaughtUp | Way::Redelivered => self.received.insert(key) && self.read_back.insert(key),
        };
        if !is_first {
            return Arrival::Known;
        }
        let due = stamp
            .intended_micros
            .saturating_mul(1_000)
            .saturating_add(deadline);
        let sent = stamp
            .intended_micros
            .saturating_add(stamp.lag_micros)
            .saturating_mul(1_000);
        let in_time = now <= due
            || match way {
                Way::Live => false,
                Way::CaughtUp | Way::Redelivered => !self.stood(sent, due),
            };
        if in_time {
            return Arrival::First;
        }
        self.late.insert(key);
        Arrival::Late
    }

    /// Whether one connection stood from `from` to `until`.
    fn stood(&self, from: Nanos, until: Nanos) -> bool {
        let (from, until) = (millisecond(from), millisecond(until));
        self.stays
            .iter()
            .any(|stay| stay.from <= from && until < stay.until)
    }

    /// Judges the order in which `key` came.
    fn came_live(&mut self, key: Key) {
        let at = self.highest.partition_point(|&(sender, _)| sender < key.sender);
        match self.highest.get_mut(at) {
            Some((sender, highest)) if *sender == key.sender => {
                self.reordered += u32::from(key.sequence < *highest);
                *highest = key.sequence.max(*highest);
            }
            Some(_) | None => self.highest.insert(at, (key.sender, key.sequence)),
        }
    }

    /// An inbox read back from a report. It hears nothing more.
    #[must_use]
    pub fn restore(stays: Vec<Stay>, received: Keys, late: Keys, duplicated: u32, reordered: u32) -> Self {
        Self {
            stays,
            received,
            late,
            duplicated,
            reordered,
            ..Self::default()
        }
    }

    /// When a connection stood.
    #[must_use]
    pub fn stays(&self) -> &[Stay] {
        &self.stays
    }

    /// The messages that arrived, by whichever way.
    #[must_use]
    pub fn received(&self) -> &Keys {
        &self.received
    }

    /// Those that arrived late.
    #[must_use]
    pub fn late(&self) -> &Keys {
        &self.late
    }

    /// Live deliveries beyond the first.
    #[must_use]
    pub fn duplicated(&self) -> u32 {
        self.duplicated
    }

    /// Live deliveries after one of a later message of the same sender, on the same connection.
    #[must_use]
    pub fn reordered(&self) -> u32 {
        self.reordered
    }
}

const NANOS_PER_MS: Nanos = 1_000_000;

/// The millisecond in which `at` lies.
fn millisecond(at: Nanos) -> u32 {
    u32::try_from(at / NANOS_PER_MS).unwrap_or(Stay::LASTS - 1)
}
