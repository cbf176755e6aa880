//! What one connection was sent, and what of it has arrived. Bookkeeping alone: no socket, no store, no clock.
//!
//! An event is written once per connection (outbox/9c). So the ledger remembers what it wrote until nobody can bring the
//! same event again: until the store knows that it has arrived, and everybody who read it before that has handed it on
//! or given up ([`CLAIM_LASTS`](super::CLAIM_LASTS)).

use std::collections::VecDeque;

use tokio::time::Instant;
use touchstone_storage::{Arrived, Timestamp};

use super::CLAIM_LASTS;
use crate::config::Confirm;

/// With so many events under way no more are written: what comes waits in the store until the client has answered. What
/// a client misses when it vanishes, and what its ledger takes, stays small.
const UNCONFIRMED_MAX: usize = 1_024;

/// What a ping says: its number on this connection, so that no other pong is taken for its answer.
pub(super) type PingPayload = [u8; 4];

/// The ledger of one connection.
#[derive(Debug)]
pub(super) struct Ledger {
    confirm: Confirm,
    /// Written and not confirmed, in the order of writing. Empty if writing is all that counts.
    unconfirmed: VecDeque<Arrived>,
    /// So many of them, the first ones, were written before the ping under way.
    covered: usize,
    ping: Option<Ping>,
    pings_sent: u32,
    /// Confirmed, in the order of writing.
    confirmed: VecDeque<Confirmed>,
    /// The highest number of all that was ever written here.
    highest: u64,
    backlog: Backlog,
    /// Whether somebody will look whether the ping was answered.
    pub(super) is_watched: bool,
}

#[derive(Debug, Clone, Copy)]
struct Ping {
    payload: PingPayload,
    sent: Instant,
}

#[derive(Debug, Clone, Copy)]
struct Confirmed {
    number: u64,
    /// When the store had noted it.
    recorded: Option<Instant>,
}

/// Whether events wait in the store for their turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Backlog {
    /// All were written; what comes is written at once.
    Nothing,
    /// They are written page by page, in their order, and what comes meanwhile waits behind them.
    Pages {
        /// Something came that the last look at the store may have missed.
        more_came: bool,
        /// Clients' questions that are answered when it is over.
        asked: u32,
        /// Events written since the first of these questions.
        written: u64,
    },
}

/// How it goes on after a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PageEnd {
    /// With another look at the store, now.
    Again,
    /// With another page, once the ping under way is answered.
    AfterPong,
    /// All that is due was written. So many questions are answered: the first by `written`, the others by nothing.
    Done { asked: u32, written: u64 },
}

impl Ledger {
    /// For a connection that has yet to be sent what waits.
    pub(super) fn new(confirm: Confirm) -> Self {
        Self {
            confirm,
            unconfirmed: VecDeque::new(),
            covered: 0,
            ping: None,
            pings_sent: 0,
            confirmed: VecDeque::new(),
            highest: 0,
            backlog: Backlog::Pages {
                more_came: false,
                asked: 0,
                written: 0,
            },
            is_watched: false,
        }
    }

    /// Whether an event was written here already.
    pub(super) fn has(&self, number: u64) -> bool {
        // What is new, which is nearly everything, costs no search.
        number <= self.highest
            && (self.unconfirmed.iter().any(|event| event.number == number)
                || self.confirmed.iter().any(|event| event.number == number))
    }

    /// Whether what comes is to be written now. If not, it will be found in the store.
    pub(super) fn takes_more(&mut self) -> bool {
        match &mut self.backlog {
            Backlog::Pages { more_came, .. } => {
                *more_came = true;
                false
            }
            Backlog::Nothing if self.unconfirmed.len() < UNCONFIRMED_MAX => true,
            Backlog::Nothing => {
                // The pong that is awaited brings the next page.
                self.backlog = Backlog::Pages {
                    more_came: true,
                    asked: 0,
                    written: 0,
                };
                false
            }
        }
    }

    /// An event was written. Returns it if that is all it takes to count as sent.
    pub(super) fn note_written(&mut self, number: u64, at: Timestamp) -> Option<Arrived> {
        let event = Arrived { number, at };
        self.highest = self.highest.max(number);
        if let Backlog::Pages { written, .. } = &mut self.backlog {
            *written += 1;
        }
        match self.confirm {
            Confirm::Pong => {
                self.unconfirmed.push_back(event);
                None
            }
            Confirm::Write => {
                self.note_confirmed(number);
                Some(event)
            }
        }
    }

    fn note_confirmed(&mut self, number: u64) {
        let recorded = None;
        self.confirmed.push_back(Confirmed { number, recorded });
    }

    /// An event cannot be written, now or ever: here it is done with.
    pub(super) fn pass_over(&mut self, number: u64) {
        self.highest = self.highest.max(number);
        self.note_confirmed(number);
    }

    /// Whether something was written that only a pong can confirm.
    pub(super) fn awaits_confirmation(&self) -> bool {
        !self.unconfirmed.is_empty()
    }

    /// Begins a ping, unless one is under way; it covers all that was written so far (outbox/9b).
    pub(super) fn begin_ping(&mut self, now: Instant) -> Option<PingPayload> {
        if self.ping.is_some() {
            return None;
        }
        self.pings_sent = self.pings_sent.wrapping_add(1);
        let payload = self.pings_sent.to_be_bytes();
        self.ping = Some(Ping { payload, sent: now });
        self.covered = self.unconfirmed.len();
        Some(payload)
    }

    /// A pong came: what it confirms. `None` if it does not answer the ping under way.
    pub(super) fn ponged(&mut self, payload: &[u8]) -> Option<Vec<Arrived>> {
        self.ping.take_if(|ping| ping.payload == payload)?;
        let arrived: Vec<_> = self.unconfirmed.drain(..self.covered).collect();
        self.covered = 0;
        for event in &arrived {
            self.note_confirmed(event.number);
        }
        Some(arrived)
    }

    /// When the ping under way was sent.
    pub(super) fn pinged_at(&self) -> Option<Instant> {
        self.ping.map(|ping| ping.sent)
    }

    /// The store has noted that these have arrived; they are in the order in which they were confirmed.
    pub(super) fn note_recorded(&mut self, arrived: &[Arrived], now: Instant) {
        let mut recorded = arrived.iter().peekable();
        for event in &mut self.confirmed {
            if recorded.next_if(|next| next.number == event.number).is_some() {
                event.recorded = Some(now);
            }
        }
        self.drop_old(now);
    }

    /// Forgets what nobody can bring again, and gives back the room that it took.
    pub(super) fn forget(&mut self, now: Instant) {
        self.drop_old(now);
        self.confirmed.shrink_to_fit();
        self.unconfirmed.shrink_to_fit();
    }

    fn drop_old(&mut self, now: Instant) {
        let is_over = |event: &Confirmed| event.recorded.is_some_and(|at| now >= at + CLAIM_LASTS);
        while self.confirmed.front().is_some_and(is_over) {
            self.confirmed.pop_front();
        }
    }

    /// A client asks for what is pending. True if it is to be written now; false if the answer will come with what is
    /// being written already.
    pub(super) fn ask(&mut self) -> bool {
        match &mut self.backlog {
            Backlog::Nothing => {
                self.backlog = Backlog::Pages {
                    more_came: false,
                    asked: 1,
                    written: 0,
                };
                true
            }
            Backlog::Pages { asked, written, .. } => {
                if *asked == 0 {
                    *written = 0;
                }
                *asked += 1;
                false
            }
        }
    }

    /// Whether events wait in the store for their turn.
    pub(super) fn has_backlog(&self) -> bool {
        self.backlog != Backlog::Nothing
    }

    /// The store is about to be looked at. Returns how many of what it has as pending may have been written here.
    pub(super) fn begin_page(&mut self) -> usize {
        if let Backlog::Pages { more_came, .. } = &mut self.backlog {
            *more_came = false;
        }
        let unrecorded = self.confirmed.iter().filter(|event| event.recorded.is_none());
        self.unconfirmed.len() + unrecorded.count()
    }

    /// A page was written. `is_cut`: the store has more than was in it.
    pub(super) fn end_page(&mut self, is_cut: bool) -> PageEnd {
        let Backlog::Pages {
            more_came,
            asked,
            written,
        } = self.backlog
        else {
            return PageEnd::Done { asked: 0, written: 0 };
        };
        if is_cut {
            return PageEnd::AfterPong;
        }
        if more_came {
            return PageEnd::Again;
        }
        self.backlog = Backlog::Nothing;
        PageEnd::Done { asked, written }
    }

    /// The store gave no page. Returns how many questions go without their answer.
    pub(super) fn give_up_pages(&mut self) -> u32 {
        match std::mem::replace(&mut self.backlog, Backlog::Nothing) {
            Backlog::Nothing => 0,
            Backlog::Pages { asked, .. } => asked,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Timestamp = Timestamp::from_millis(1_700_000_000_000);

    fn idle(confirm: Confirm) -> Ledger {
        let mut ledger = Ledger::new(confirm);
        ledger.begin_page();
        assert_eq!(ledger.end_page(false), PageEnd::Done { asked: 0, written: 0 });
        ledger
    }

    fn numbers(arrived: &[Arrived]) -> Vec<u64> {
        arrived.iter().map(|event| event.number).collect()
    }

    #[test]
    fn a_ping_confirms_what_was_written_before_it_and_only_by_its_own_bytes() {
        let now = Instant::now();
        let mut ledger = idle(Confirm::Pong);
        assert_eq!(ledger.note_written(1, AT), None);
        assert_eq!(ledger.note_written(2, AT), None);
        let ping = ledger.begin_ping(now).expect("none is under way");
        assert_eq!(ledger.begin_ping(now), None, "one at a time");
        ledger.note_written(3, AT);
        for foreign in [&b""[..], b"x", &[0, 0, 0, 0], &[0, 0, 0, 1, 0]] {
            assert_eq!(ledger.ponged(foreign), None);
        }
        let arrived = ledger.ponged(&ping).expect("it is the answer");
        assert_eq!(numbers(&arrived), [1, 2]);
        assert_eq!(ledger.ponged(&ping), None, "once");
        assert!(ledger.awaits_confirmation());
        let next = ledger.begin_ping(now).expect("none is under way");
        assert_ne!(next, ping);
        assert_eq!(numbers(&ledger.ponged(&next).expect("it is the answer")), [3]);
        assert!(!ledger.awaits_confirmation());
    }

    #[test]
    fn what_was_written_is_known_until_nobody_can_bring_it_again() {
        let now = Instant::now();
        let mut ledger = idle(Confirm::Pong);
        for number in [5, 3] {
            ledger.note_written(number, AT);
        }
        let ping = ledger.begin_ping(now).expect("none is under way");
        let arrived = ledger.ponged(&ping).expect("it is the answer");
        let (first, second) = arrived.split_at(1);
        ledger.note_recorded(first, now);
        let later = now + CLAIM_LASTS;
        ledger.forget(later - std::time::Duration::from_millis(1));
        assert!(ledger.has(5) && ledger.has(3) && !ledger.has(4) && !ledger.has(6));
        ledger.forget(later);
        assert!(
            !ledger.has(5) && ledger.has(3),
            "of 3 the store does not know yet"
        );
        assert_eq!(ledger.begin_page(), 1);
        ledger.note_recorded(second, later);
        ledger.forget(later + CLAIM_LASTS);
        assert!(!ledger.has(3));
    }

    #[test]
    fn what_comes_while_pages_are_written_waits_for_its_turn() {
        let mut ledger = Ledger::new(Confirm::Pong);
        assert!(!ledger.takes_more());
        assert_eq!(ledger.begin_page(), 0);
        ledger.note_written(1, AT);
        assert_eq!(ledger.end_page(true), PageEnd::AfterPong);
        assert!(!ledger.takes_more(), "the next page will have it");
        assert_eq!(ledger.begin_page(), 1);
        assert!(!ledger.takes_more(), "this page may have missed it");
        assert_eq!(ledger.end_page(false), PageEnd::Again);
        ledger.begin_page();
        assert_eq!(ledger.end_page(false), PageEnd::Done { asked: 0, written: 1 });
        assert!(ledger.takes_more());
    }

    #[test]
    fn a_client_that_does_not_confirm_is_sent_no_more() {
        let mut ledger = idle(Confirm::Pong);
        for number in 1..=UNCONFIRMED_MAX as u64 {
            assert!(ledger.takes_more());
            ledger.note_written(number, AT);
        }
        assert!(!ledger.takes_more());
        assert!(ledger.has_backlog());
    }

    #[test]
    fn a_question_counts_what_was_written_since_and_a_second_one_nothing() {
        let mut ledger = Ledger::new(Confirm::Pong);
        ledger.begin_page();
        ledger.note_written(1, AT);
        assert_eq!(ledger.end_page(true), PageEnd::AfterPong);
        assert!(!ledger.ask() && !ledger.ask());
        ledger.begin_page();
        ledger.note_written(2, AT);
        assert_eq!(ledger.end_page(false), PageEnd::Done { asked: 2, written: 1 });
        assert!(ledger.ask());
        assert_eq!(ledger.give_up_pages(), 1);
        assert_eq!(ledger.give_up_pages(), 0);
    }

    #[test]
    fn where_writing_is_enough_nothing_waits_for_a_pong() {
        let mut ledger = idle(Confirm::Write);
        let sent = ledger.note_written(1, AT);
        assert_eq!(sent, Some(Arrived { number: 1, at: AT }));
        assert!(!ledger.awaits_confirmation());
        assert!(ledger.has(1));
    }
}
