//! Who was owed what, and what came of it: all pages put together.
//!
//! * A message is **owed** once its sender's server has confirmed it: to each recipient of its audience who was there.
//!   Where there is a way to catch up that is everybody from the first time he was ready on; elsewhere it is whoever's
//!   connection stood from the send until the delivery, or for the deadline after.
//! * **received**: owed messages that arrived, each once per recipient; those of them that took longer than the deadline are
//!   **late**. **lost**: owed messages that did not arrive. `expected = received + lost`.
//! * **unconfirmed**: messages that were sent and never confirmed. They are owed to nobody, whoever dropped the
//!   connection: that a server took a message and lost it is only known where it said that it has it.
//! * Beside these are counted: live deliveries beyond the first (**duplicated**) and out of order (**reordered**); deliveries
//!   of **unconfirmed** messages; those to members of the audience who were **not owed** them, because they came later or
//!   were away; and **strays**, which were not for their recipient at all or of no message of this run.
//!
//! One sender's log is unfolded at a time. The time goes with the pairs of sender and recipient, not with deliveries.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use super::delivery::{Inbox, Outbox, Stay};
use super::send_log::{Sent, To};
use super::{Totals, keys};
use crate::schedule::Nanos;

/// Who a session is among the others of its run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// As in its stamps: its generator's tag above its number.
    pub session: u64,
    /// Its group; numbered over the whole run, whichever process a member lives in.
    pub group: u32,
    /// Its place in the group, from 0.
    pub place: u32,
}

/// What one session sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentPage {
    /// Who.
    pub member: Member,
    /// What.
    pub outbox: Outbox,
}

/// What one session heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeardPage {
    /// Who.
    pub member: Member,
    /// What.
    pub inbox: Inbox,
}

/// Whether somebody who was away can learn what was said meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CatchUp {
    /// History, resume, queued events: it was read back before the run ended.
    Possible,
    /// What was said while somebody was away is gone for him.
    Impossible,
}

/// By what it is judged who was owed what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// How long a delivery may take.
    pub deadline: Nanos,
    /// Whether being away is an excuse.
    pub catch_up: CatchUp,
}

/// Deliveries beside those that were owed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Beside {
    /// Of messages that were never confirmed.
    pub unconfirmed: u64,
    /// To members of the audience who came later or were away.
    pub not_owed: u64,
    /// To somebody whom they were not for, or of no message of this run.
    pub stray: u64,
}

impl AddAssign for Beside {
    fn add_assign(&mut self, other: Self) {
        self.unconfirmed += other.unconfirmed;
        self.not_owed += other.not_owed;
        self.stray += other.stray;
    }
}

/// What all pages together say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reckoning {
    /// The sums.
    pub totals: Totals,
    /// What was delivered beside what was owed.
    pub beside: Beside,
    /// How much each recipient misses, in the order of the pages that were given.
    pub lost: Vec<u64>,
}

/// Puts pages together. Each session has at most one of each kind.
///
/// To learn during a run who has to read back what, a loop reckons everybody's sent pages with its own heard ones: whose
/// [`lost`](Reckoning::lost) is not 0 misses something that he is owed. Sums are then those of the given recipients.
#[must_use]
pub fn reckon(terms: Terms, sent: &[SentPage], heard: &[HeardPage]) -> Reckoning {
    let mut books = Books::new(terms, heard);
    for page in sent.iter().filter(|page| page.outbox.count() > 0) {
        books.enter(page);
    }
    books.close(sent)
}

/// Sequences that follow each other, both ends included.
type Span = (u32, u32);

/// One recipient's account.
#[derive(Debug, Clone, Copy, Default)]
struct Account {
    received: u64,
    lost: u64,
    late: u64,
    beside: Beside,
}

struct Books<'a> {
    terms: Terms,
    heard: &'a [HeardPage],
    /// Places in `heard`, ascending by group and place.
    by_group: Vec<usize>,
    accounts: Vec<Account>,
    /// Scratch space.
    window: Vec<Span>,
}

/// Messages of one sender for one audience.
struct Letters<'a> {
    sender: u64,
    /// All that he sent.
    sent: &'a [Sent],
    addressed: &'a [Span],
    confirmed: &'a [Span],
}

impl<'a> Books<'a> {
    fn new(terms: Terms, heard: &'a [HeardPage]) -> Self {
        let mut by_group: Vec<_> = (0..heard.len()).collect();
        by_group.sort_unstable_by_key(|&at| place_of(&heard[at].member));
        Self {
            terms,
            heard,
            by_group,
            accounts: vec![Account::default(); heard.len()],
            window: Vec::new(),
        }
    }

    /// Enters all that one sender sent.
    fn enter(&mut self, page: &SentPage) {
        let sent: Vec<Sent> = page.outbox.spans().collect();
        let confirmations: Vec<Span> = page
            .outbox
            .confirmations()
            .iter()
            .map(|(first, last)| (sequence(first), sequence(last)))
            .collect();
        let member = page.member;
        for (to, addressed) in by_audience(&sent) {
            let mut confirmed = Vec::new();
            intersect(&addressed, confirmations.iter().copied(), &mut confirmed);
            let letters = Letters {
                sender: member.session,
                sent: &sent,
                addressed: &addressed,
                confirmed: &confirmed,
            };
            match to {
                To::Everybody => (0..self.heard.len()).for_each(|to| self.deliver(&letters, to)),
                To::Group => self.deliver_to_group(&letters, member, Sender::Included),
                To::OthersOfGroup => self.deliver_to_group(&letters, member, Sender::Excluded),
                To::Member(place) => {
                    // Whoever is not among the given pages has them elsewhere.
                    if let Some(to) = self.at_place(member.group, place) {
                        self.deliver(&letters, to);
                    }
                }
            }
        }
    }

    fn deliver_to_group(&mut self, letters: &Letters<'_>, from: Member, sender: Sender) {
        let start = self
            .by_group
            .partition_point(|&at| self.heard[at].member.group < from.group);
        for at in start..self.by_group.len() {
            let to = self.by_group[at];
            let member = &self.heard[to].member;
            if member.group != from.group {
                break;
            }
            let is_owed = match sender {
                Sender::Included => true,
                Sender::Excluded => member.place != from.place,
            };
            if is_owed {
                self.deliver(letters, to);
            }
        }
    }

    fn at_place(&self, group: u32, place: u32) -> Option<usize> {
        let found = self
            .by_group
            .binary_search_by_key(&(group, place), |&at| place_of(&self.heard[at].member));
        found.ok().map(|at| self.by_group[at])
    }

    /// Enters what became of `letters` at the recipient of page `to`.
    fn deliver(&mut self, letters: &Letters<'_>, to: usize) {
        let inbox = &self.heard[to].inbox;
        let account = &mut self.accounts[to];
        let received = || inbox.received().of(letters.sender).iter().map(span);
        let late = inbox.late().of(letters.sender).iter().map(span);

        self.terms
            .window(Presence::Possible, inbox.stays(), letters, &mut self.window);
        let in_time_or_late = overlap(&self.window, received());
        account.received += in_time_or_late;
        account.late += overlap(&self.window, late);

        self.terms
            .window(Presence::Certain, inbox.stays(), letters, &mut self.window);
        account.lost += size(&self.window) - overlap(&self.window, received());

        let of_confirmed = overlap(letters.confirmed, received());
        account.beside.not_owed += of_confirmed - in_time_or_late;
        account.beside.unconfirmed += overlap(letters.addressed, received()) - of_confirmed;
    }

    fn close(self, sent: &[SentPage]) -> Reckoning {
        let mut reckoning = Reckoning::default();
        let totals = &mut reckoning.totals;
        for page in sent {
            totals.sent += u64::from(page.outbox.count());
            totals.unconfirmed += page.outbox.unconfirmed();
        }
        for (page, account) in self.heard.iter().zip(&self.accounts) {
            let Account {
                received,
                lost,
                late,
                mut beside,
            } = *account;
            totals.received += received;
            totals.lost += lost;
            totals.late += late;
            totals.duplicated += u64::from(page.inbox.duplicated());
            totals.reordered += u64::from(page.inbox.reordered());
            let explained = received + beside.unconfirmed + beside.not_owed;
            beside.stray = page.inbox.received().count() - explained;
            reckoning.beside += beside;
            reckoning.lost.push(lost);
        }
        totals.expected = totals.received + totals.lost;
        reckoning
    }
}

/// Whether a message to a group is for its sender as well.
#[derive(Clone, Copy)]
enum Sender {
    Included,
    Excluded,
}

/// How sure it is that a recipient was there: a log that was thinned does not tell every send's time.
#[derive(Clone, Copy)]
enum Presence {
    /// He may have been there when the message was sent: if it arrived, it was owed.
    Possible,
    /// He was there from the send until the deadline after: if it did not arrive, it is lost.
    Certain,
}

impl Terms {
    /// Those of the confirmed letters that a recipient with these `stays` was there for.
    fn window(self, presence: Presence, stays: &[Stay], letters: &Letters<'_>, window: &mut Vec<Span>) {
        window.clear();
        let mut part = Vec::new();
        match self.catch_up {
            CatchUp::Possible => {
                let lasting = stays.first().map(|stay| Stay {
                    from: stay.from,
                    until: Stay::LASTS,
                });
                part.extend(lasting.and_then(|stay| self.within(presence, stay, letters.sent)));
            }
            CatchUp::Impossible => {
                for &stay in stays {
                    if let Some(span) = self.within(presence, stay, letters.sent) {
                        append(&mut part, span);
                    }
                }
            }
        }
        intersect(letters.confirmed, part.iter().copied(), window);
    }

    /// The messages that were sent during `stay`.
    fn within(self, presence: Presence, stay: Stay, sent: &[Sent]) -> Option<Span> {
        let start = sent.partition_point(|span| match presence {
            Presence::Possible => span.latest < stay.from,
            Presence::Certain => span.earliest < stay.from,
        });
        let deadline_ms = self.deadline.div_ceil(1_000_000);
        let end = sent.partition_point(|span| {
            stay.until == Stay::LASTS
                || match presence {
                    Presence::Possible => span.earliest <= stay.until,
                    // It was sent before the millisecond was over.
                    Presence::Certain => u64::from(span.latest) + 1 + deadline_ms <= u64::from(stay.until),
                }
        });
        let first = start.checked_sub(1).map_or(0, |before| sent[before].last) + 1;
        (start < end).then(|| (first, sent[end - 1].last))
    }
}

fn place_of(member: &Member) -> (u32, u32) {
    (member.group, member.place)
}

fn sequence(number: u64) -> u32 {
    u32::try_from(number).expect("sequences are 32-bit")
}

fn span(run: &keys::Run) -> Span {
    (run.first, run.last)
}

/// The sequences of the sends for each audience.
fn by_audience(sent: &[Sent]) -> BTreeMap<To, Vec<Span>> {
    let mut all: BTreeMap<To, Vec<Span>> = BTreeMap::new();
    let mut first = 1;
    for send in sent {
        append(all.entry(send.to).or_default(), (first, send.last));
        first = send.last + 1;
    }
    all
}

/// Adds `span`, which begins within or after the last of `spans`.
fn append(spans: &mut Vec<Span>, span: Span) {
    match spans.last_mut() {
        Some(last) if span.0 <= last.1 + 1 => last.1 = last.1.max(span.1),
        Some(_) | None => spans.push(span),
    }
}

fn size(spans: &[Span]) -> u64 {
    spans
        .iter()
        .map(|&(first, last)| u64::from(last - first) + 1)
        .sum()
}

/// What is in both; `both` is cleared before.
fn intersect(spans: &[Span], others: impl Iterator<Item = Span>, both: &mut Vec<Span>) {
    both.clear();
    each_in_both(spans, others, |span| both.push(span));
}

/// How much is in both.
fn overlap(spans: &[Span], others: impl Iterator<Item = Span>) -> u64 {
    let mut count = 0;
    each_in_both(spans, others, |(first, last)| {
        count += u64::from(last - first) + 1;
    });
    count
}

fn each_in_both(spans: &[Span], others: impl Iterator<Item = Span>, mut found: impl FnMut(Span)) {
    let mut at = 0;
    for (first, last) in others {
        while at < spans.len() && spans[at].1 < first {
            at += 1;
        }
        for &(own_first, own_last) in spans[at..].iter().take_while(|span| span.0 <= last) {
            found((own_first.max(first), own_last.min(last)));
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
