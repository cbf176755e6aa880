//! When a session's messages were sent, and whom they were for.
//!
//! Two bytes a message where the next comes within two seconds, three within four minutes; one more for the recipient where it is
//! for one, two in groups of more than 128. A log that has
//! outgrown `BYTES_MAX` is thinned: of neighbours in its older three quarters that were for the same audience it only keeps
//! within which span they were sent, of as few messages as will do. What is owed only if one of them was sent at one end of its span rather than the other is then not counted
//! as lost: a thinned log may miss a loss next to a connection's begin or end, and never makes one up.

use touchstone_protocol::client::Audience;

/// The size at which a log is thinned for the first time: half an hour of one message a second. 5,000 sessions that talk all
/// night have 20 MiB of it. Where the audience keeps changing there is less to thin, and the log grows on: a million messages a
/// minute, each for somebody else, are 3 MiB a minute.
const BYTES_MAX: usize = 4 << 10;
/// No span has more than two to the power of this: a million messages of one sender.
const GRAIN_MAX: u8 = 20;

/// Whom a message is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum To {
    /// The members of the sender's group, himself not.
    OthersOfGroup,
    /// The members of the sender's group, himself too.
    Group,
    /// The member of the sender's group at this place.
    Member(u32),
    /// Every session of the run.
    Everybody,
}

impl To {
    /// Whom a message for `audience` is for; `recipient` is the place of the one it names, if it does.
    #[must_use]
    pub fn of(audience: Audience, recipient: u32) -> Self {
        match audience {
            Audience::OthersOfGroup => Self::OthersOfGroup,
            Audience::Group => Self::Group,
            Audience::Recipient => Self::Member(recipient),
            Audience::Everybody => Self::Everybody,
        }
    }
}

/// Messages that were sent one after the other, within a known span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// The last of them; the first is the one after the span before.
    pub last: u32,
    /// None was sent before, in ms since the run began.
    pub earliest: u32,
    /// None was sent in a later millisecond.
    pub latest: u32,
    /// Whom all of them are for.
    pub to: To,
}

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SendLog {
    bytes: Vec<u8>,
    /// Where it is thinned next; 0 stands for [`BYTES_MAX`].
    thinned_at: usize,
    /// Two to the power of it is how many messages a thinned span has at most.
    grain: u8,
    latest: u32,
}

#[derive(Clone, Copy)]
struct Entry {
    count: u32,
    delta: u32,
    to: To,
}

/// Bytes that are no send log.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("no log of sends: it ends within a number, or a number is too large")]
pub struct NoSendLog;

impl SendLog {
    /// Notes that the next message was sent in millisecond `at`; no earlier than the one before.
    pub fn push(&mut self, at: u32, to: To) {
        let delta = at.saturating_sub(self.latest);
        self.latest += delta;
        Entry { count: 1, delta, to }.write(&mut self.bytes);
        if self.bytes.len() > self.thinned_at.max(BYTES_MAX) {
            self.thin();
        }
    }

    fn thin(&mut self) {
        let entries: Vec<Entry> = Entries(&self.bytes).map_while(Result::ok).collect();
        let (older, newer) = entries.split_at(entries.len() / 4 * 3);
        let mut thinned = Vec::with_capacity(self.bytes.len());
        loop {
            thinned.clear();
            join(older, 1 << self.grain, &mut thinned);
            for entry in newer {
                entry.write(&mut thinned);
            }
            if thinned.len() <= BYTES_MAX / 4 * 3 || self.grain == GRAIN_MAX {
                break;
            }
            self.grain += 1;
        }
        // Where little can be joined it is not tried again with every message.
        self.thinned_at = BYTES_MAX.max(thinned.len() / 4 * 5);
        self.bytes.clear();
        self.bytes.extend_from_slice(&thinned);
    }

    /// All spans, in the order of the messages.
    pub fn spans(&self) -> impl Iterator<Item = Sent> + '_ {
        let (mut last, mut latest) = (0_u32, 0_u32);
        let entries = Entries(&self.bytes).map_while(Result::ok);
        entries.map(move |entry| {
            let before = latest;
            last = last.saturating_add(entry.count);
            latest = latest.saturating_add(entry.delta);
            Sent {
                last,
                earliest: if entry.count == 1 { latest } else { before },
                latest,
                to: entry.to,
            }
        })
    }

    /// As reports carry it.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Reads a log back.
    ///
    /// # Errors
    /// If the bytes were not written by [`bytes`](Self::bytes).
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, NoSendLog> {
        let (mut count, mut latest) = (0_u32, 0_u32);
        for entry in Entries(&bytes) {
            let entry = entry?;
            count = count.checked_add(entry.count).ok_or(NoSendLog)?;
            latest = latest.checked_add(entry.delta).ok_or(NoSendLog)?;
        }
        Ok(Self {
            bytes,
            thinned_at: 0,
            grain: 0,
            latest,
        })
    }
}

/// Joins neighbours for the same audience, up to `count_max` messages.
fn join(entries: &[Entry], count_max: u32, bytes: &mut Vec<u8>) {
    let mut joined: Option<Entry> = None;
    for &entry in entries {
        match &mut joined {
            Some(all) if all.to == entry.to && all.count.saturating_add(entry.count) <= count_max => {
                all.count += entry.count;
                all.delta = all.delta.saturating_add(entry.delta);
            }
            Some(_) | None => {
                if let Some(all) = joined.replace(entry) {
                    all.write(bytes);
                }
            }
        }
    }
    if let Some(all) = joined {
        all.write(bytes);
    }
}

impl Entry {
    /// The delta above two bits of audience and one that says whether a count follows; then the count, then the place.
    fn write(self, bytes: &mut Vec<u8>) {
        let audience = match self.to {
            To::OthersOfGroup => 0,
            To::Group => 1,
            To::Member(_) => 2,
            To::Everybody => 3,
        };
        let is_many = u64::from(self.count != 1);
        write_number(u64::from(self.delta) << 3 | audience << 1 | is_many, bytes);
        if self.count != 1 {
            write_number(u64::from(self.count), bytes);
        }
        if let To::Member(place) = self.to {
            write_number(u64::from(place), bytes);
        }
    }
}

/// Seven bits a byte, the lowest first; the eighth says that more follow.
fn write_number(mut number: u64, bytes: &mut Vec<u8>) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// What is left of a log.
struct Entries<'a>(&'a [u8]);

impl Entries<'_> {
    fn number(&mut self) -> Result<u64, NoSendLog> {
        let mut number = 0_u64;
        for shift in (0..42).step_by(7) {
            let (first, rest) = self.0.split_first().ok_or(NoSendLog)?;
            self.0 = rest;
            number |= u64::from(first & 0x7f) << shift;
            if first & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(NoSendLog)
    }

    fn entry(&mut self) -> Result<Entry, NoSendLog> {
        let head = self.number()?;
        let count = if head & 1 == 1 { self.number()? } else { 1 };
        let small = |number: u64| u32::try_from(number).map_err(|_| NoSendLog);
        Ok(Entry {
            count: small(count)?,
            delta: small(head >> 3)?,
            to: match head >> 1 & 3 {
                0 => To::OthersOfGroup,
                1 => To::Group,
                2 => To::Member(small(self.number()?)?),
                _ => To::Everybody,
            },
        })
    }
}

impl Iterator for Entries<'_> {
    type Item = Result<Entry, NoSendLog>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let entry = self.entry();
        if entry.is_err() {
            self.0 = &[];
        }
        Some(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn log(sends: impl IntoIterator<Item = (u32, To)>) -> SendLog {
        let mut log = SendLog::default();
        for (at, to) in sends {
            log.push(at, to);
        }
        log
    }

    #[test]
    fn a_message_a_second_costs_two_bytes() {
        let log = log((1..=100).map(|second| (second * 1_000, To::Group)));
        assert_eq!(log.bytes().len(), 200);
        let spans: Vec<_> = log.spans().collect();
        let expected = |last| Sent {
            last,
            earliest: last * 1_000,
            latest: last * 1_000,
            to: To::Group,
        };
        assert_eq!(spans, (1..=100).map(expected).collect::<Vec<_>>());
    }

    #[test]
    fn a_log_of_a_day_stays_small_and_its_last_minutes_exact() {
        let log = log((1..=86_400).map(|second| (second * 1_000, To::Group)));
        assert!(log.bytes().len() <= BYTES_MAX, "{}", log.bytes().len());
        let exact = |sent: &&Sent| sent.earliest == sent.latest;
        assert!(log.spans().filter(|sent| exact(&sent)).count() >= 200);
        let mut last = 0;
        for span in log.spans() {
            assert!(span.last - last <= 512, "{span:?}");
            last = span.last;
        }
        assert_eq!(log.spans().last().map(|sent| sent.last), Some(86_400));
    }

    #[test]
    fn other_bytes_are_refused() {
        for bytes in [
            vec![0x80],
            vec![1],
            vec![0xff; 8],
            vec![0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
        ] {
            assert_eq!(SendLog::from_bytes(bytes), Err(NoSendLog));
        }
    }

    proptest! {
        #[test]
        fn every_message_lies_within_its_span(
            sends in prop::collection::vec((0_u32..3_000, prop::sample::select(vec![To::Group, To::Everybody, To::Member(3), To::Member(300)])), 0..300),
            times in 1_usize..20,
        ) {
            let mut at = 0;
            let sends: Vec<_> = sends.iter().copied().cycle().take(sends.len() * times).map(|(gap, to)| {
                at += gap;
                (at, to)
            }).collect();
            let log = log(sends.iter().copied());
            let mut next = 1;
            for span in log.spans() {
                for sequence in next..=span.last {
                    let (at, to) = sends[sequence as usize - 1];
                    prop_assert!((span.earliest..=span.latest).contains(&at));
                    prop_assert_eq!(to, span.to);
                }
                next = span.last + 1;
            }
            prop_assert_eq!(next as usize, sends.len() + 1);
            prop_assert_eq!(&SendLog::from_bytes(log.bytes().to_vec()).unwrap().bytes, &log.bytes);
        }
    }
}
