//! The ledger of a whole run, as far as one report or several know it.

use super::Totals;
use super::reckon::{Beside, HeardPage, Reckoning, SentPage, Terms, reckon};

/// All pages of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Book {
    /// Which run: the same in every process and generator that has a part of it.
    pub run: u64,
    /// By what it is judged who was owed what.
    pub terms: Terms,
    /// Where answers are deliveries: what each session sent.
    pub counted: Vec<CountedPage>,
    /// Their sums.
    pub counted_totals: Totals,
    /// What sessions sent to others.
    pub sent: Vec<SentPage>,
    /// What they heard of others.
    pub heard: Vec<HeardPage>,
}

/// The page of a session whose messages are answered and counted, as far as reports need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CountedPage {
    /// The session's number.
    pub session: u32,
    /// Messages it sent, numbered from 1.
    pub sent: u64,
    /// Inclusive ranges of those that were answered, ascending.
    pub confirmed: Vec<(u64, u64)>,
}

/// Why two books are not of one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BookError {
    /// A session can only live in one process.
    #[error("session {0} of the same run is in another report as well: is one of them given twice?")]
    SessionTwice(u32),
    /// Pages that were judged differently cannot be put together.
    #[error("another report of the same run has another `deadline_ms` or `catch_up`")]
    Terms,
}

impl Book {
    /// A book without pages.
    #[must_use]
    pub fn new(run: u64, terms: Terms) -> Self {
        Self {
            run,
            terms,
            counted: Vec::new(),
            counted_totals: Totals::default(),
            sent: Vec::new(),
            heard: Vec::new(),
        }
    }

    /// The sums, and what was delivered beside what was owed.
    #[must_use]
    pub fn reckon(&self) -> (Totals, Beside) {
        let Reckoning {
            mut totals, beside, ..
        } = reckon(self.terms, &self.sent, &self.heard);
        totals.add(&self.counted_totals);
        (totals, beside)
    }

    /// Takes in the pages of another part of the same run.
    ///
    /// # Errors
    /// If both know the same session, or were judged differently.
    pub fn join(&mut self, other: Self) -> Result<(), BookError> {
        if self.terms != other.terms {
            return Err(BookError::Terms);
        }
        let known = self.sessions();
        if let Some(twice) = other
            .sessions()
            .into_iter()
            .find(|one| known.binary_search(one).is_ok())
        {
            return Err(BookError::SessionTwice(twice));
        }
        self.counted.extend(other.counted);
        self.counted_totals.add(&other.counted_totals);
        self.sent.extend(other.sent);
        self.heard.extend(other.heard);
        self.sort();
        Ok(())
    }

    /// Puts the pages into the order of their sessions.
    pub fn sort(&mut self) {
        self.counted.sort_unstable_by_key(|page| page.session);
        self.sent.sort_unstable_by_key(|page| number(page.member.session));
        self.heard
            .sort_unstable_by_key(|page| number(page.member.session));
    }

    /// The numbers of all sessions that have a page, ascending.
    fn sessions(&self) -> Vec<u32> {
        let counted = self.counted.iter().map(|page| page.session);
        let sent = self.sent.iter().map(|page| number(page.member.session));
        let heard = self.heard.iter().map(|page| number(page.member.session));
        let mut all: Vec<_> = counted.chain(sent).chain(heard).collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}

/// A session's number, without its generator's tag.
#[must_use]
pub fn number(session: u64) -> u32 {
    (session & u64::from(u32::MAX)) as u32
}
