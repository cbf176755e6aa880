//! When the phases are over: what is on its way is waited for, what was missed is read back, what is open then has failed, and
//! everybody says goodbye.

use std::cell::RefCell;
use std::time::Duration;

use touchstone_protocol::client::ClientHalf;

use super::{Loop, SECOND, SENDS_AT_ONCE, SessionCounts};
use crate::engine::Shared;
use crate::engine::agenda::Due;
use crate::engine::connect::Connector;
use crate::engine::exchange::Posted;
use crate::engine::session::{Session, Standing};
use crate::ledger::reckon::{CatchUp, HeardPage, SentPage, reckon};
use crate::record::ErrorKind;
use crate::schedule::Nanos;

/// How often the end of the run looks whether everything is settled.
const SETTLE_TICK: Nanos = 10_000_000;
/// How long all closing handshakes together may take.
pub(in crate::engine) const FAREWELL_DEADLINE: Duration = Duration::from_secs(5);
/// What may be waited for in turn when the phases are over and the last storm's crowd is due: who is on the way back, the answer
/// to their last words, and that to being asked once more. Each takes a deadline at most; a server that closes every
/// connection it takes would have them begin anew for ever.
const SETTLE_DEADLINES: u64 = 3;
/// Sessions of one loop that read back at once.
const READING_BACK_MAX: usize = 256;
/// How long all of them together may take, unless the run was stopped: ten thousand pages at two hundred a second.
const READ_BACK_PATIENCE: Nanos = 60 * SECOND;
/// How long a loop waits for the others to be done: the longest of them waits for a storm's crowd and its last words.
const EXCHANGE_PATIENCE: Duration = Duration::from_secs(60);

impl<K: Connector, C: ClientHalf + 'static> Loop<K, C> {
    /// Shows that the sessions are alive, and does nothing else of what is due.
    fn beat_due(&self) {
        let now = self.shared.now();
        while let Some(entry) = self.shared.agenda.take(now) {
            match entry.due {
                Due::Act | Due::GiveUp { .. } => {}
                Due::Beat { .. } | Due::Listen | Due::Leave | Due::Vanish => self.shared.attend(entry),
            }
        }
    }

    /// Waits until nothing is open any more, each session for its own deadline, and for nobody beyond [`SETTLE_DEADLINES`].
    pub(super) async fn settle(&mut self) {
        let phases_ended = self.shared.now();
        self.shared.last_words.set(true);
        for slot in 0..self.next_arrival {
            self.shared.turn(slot, |session, turn| {
                if session.is_silent_since_return() && session.hearing.pages.is_none() {
                    self.shared.say(session, turn);
                }
            });
        }
        let last_due_back = self
            .shared
            .sessions
            .iter()
            .filter_map(|session| session.borrow().due_back());
        let patience = SETTLE_DEADLINES * self.shared.job.plan.deadline + SETTLE_TICK;
        let until = last_due_back.fold(phases_ended, Nanos::max) + patience;
        let mut asked = vec![false; self.next_arrival];
        while self.shared.now() <= until {
            let mut open = self.shared.requests.is_open();
            for (slot, asked) in asked.iter_mut().enumerate() {
                open |= self.is_open(slot, phases_ended, asked);
            }
            if !open {
                break;
            }
            self.listen(self.shared.now() + SETTLE_TICK).await;
        }
        self.catch_up().await;
    }

    /// Lets time pass in which everybody only listens, and shows that he is alive.
    async fn listen(&mut self, until: Nanos) {
        loop {
            self.end_seconds();
            self.beat_due();
            let now = self.shared.now();
            if now >= until {
                return;
            }
            let next = [Some(until), self.shared.agenda.next_at(), Some(self.next_second)];
            let next = next.into_iter().flatten().min().unwrap_or(until);
            tokio::time::sleep_until(self.shared.instant(next.max(now + 1_000_000))).await;
        }
    }

    /// Waits for what others have sent to sessions of this loop, and reads back what they miss in the end, where there is a
    /// way.
    async fn catch_up(&mut self) {
        if !self.shared.job.delivers() {
            return;
        }
        let job = &self.shared.job;
        job.exchange.post(self.posted());
        let all = tokio::time::timeout(EXCHANGE_PATIENCE, job.exchange.all());
        // A loop that is not done by then has not got that far because of its server; what it sent is reckoned in the end.
        let all = all.await.unwrap_or_default();
        let last_sent = all.iter().map(|posted| posted.last_sent).max().unwrap_or(0);
        let until = last_sent + self.shared.job.plan.deadline;
        let mut pause = SETTLE_TICK;
        let mut missing = self.missing(&all);
        while !missing.is_empty() && self.shared.now() <= until {
            self.listen(self.shared.now() + pause).await;
            // Reckoning is dear where there are many; the first looks are those that find most.
            pause *= 2;
            missing = self.missing(&all);
        }
        match self.shared.job.catch_up {
            CatchUp::Possible => self.read_back(&missing).await,
            CatchUp::Impossible => {}
        }
    }

    fn posted(&self) -> Posted {
        let (mut sent, mut last_sent) = (Vec::new(), 0);
        for (slot, session) in self.shared.sessions.iter().enumerate() {
            if let Some(pages) = session.borrow().hearing.pages.as_ref() {
                sent.push(SentPage {
                    member: self.shared.job.member(slot),
                    outbox: pages.outbox.clone(),
                });
                last_sent = last_sent.max(pages.last_sent);
            }
        }
        Posted {
            sent: sent.into(),
            last_sent,
        }
    }

    /// The slots of those who miss something that they are owed.
    fn missing(&self, all: &[Posted]) -> Vec<usize> {
        let Shared { job, sessions, .. } = &*self.shared;
        // Lent for the reckoning: nobody hears anything meanwhile.
        let lend = |(slot, session): (usize, &RefCell<Session<C, K::Stream>>)| {
            let mut session = session.borrow_mut();
            let inbox = session
                .hearing
                .pages
                .as_mut()
                .map(|pages| std::mem::take(&mut pages.inbox));
            HeardPage {
                member: job.member(slot),
                inbox: inbox.unwrap_or_default(),
            }
        };
        let heard: Vec<_> = sessions.iter().enumerate().map(lend).collect();
        let mut lost = vec![0; heard.len()];
        for posted in all {
            let reckoned = reckon(job.terms(), &posted.sent, &heard);
            for (sum, more) in lost.iter_mut().zip(reckoned.lost) {
                *sum += more;
            }
        }
        for (session, page) in sessions.iter().zip(heard) {
            if let Some(pages) = &mut session.borrow_mut().hearing.pages {
                pages.inbox = page.inbox;
            }
        }
        (0..lost.len()).filter(|slot| lost[*slot] > 0).collect()
    }

    /// Lets these sessions read back what they have missed, a part of them after the other.
    async fn read_back(&mut self, missing: &[usize]) {
        let patience = if self.stop.is_cancelled() {
            self.shared.job.plan.deadline
        } else {
            READ_BACK_PATIENCE
        };
        let until = self.shared.now() + patience;
        let mut reading: Vec<usize> = Vec::new();
        let mut next = missing.iter();
        loop {
            let now = self.shared.now();
            reading.retain(|slot| self.shared.sessions[*slot].borrow().is_catching_up(now));
            for slot in next.by_ref().take(READING_BACK_MAX - reading.len()) {
                self.shared.turn(*slot, |session, turn| session.catch_up(turn));
                reading.push(*slot);
            }
            if reading.is_empty() || now > until {
                return;
            }
            self.listen(now + SETTLE_TICK).await;
        }
    }

    /// Whether something of the session in `slot` is still waited for. Who leaves the last message unanswered is asked once more:
    /// the count of that answer tells what became of the others.
    fn is_open(&self, slot: usize, phases_ended: Nanos, asked: &mut bool) -> bool {
        let stopped = self.stop.is_cancelled();
        self.shared.turn(slot, |session, turn| match session.standing {
            Standing::NotArrived | Standing::Gone | Standing::Left => false,
            Standing::Away { .. } if stopped => false,
            Standing::Away { since, due_back } => {
                turn.now <= due_back.unwrap_or(since.max(phases_ended) + turn.deadline)
            }
            Standing::Here => {
                if session.hearing.waits(turn.now, turn.deadline) {
                    return true;
                }
                let ledger = &session.hearing.ledger;
                if ledger
                    .waits_until(turn.deadline)
                    .is_some_and(|until| turn.now <= until)
                {
                    return true;
                }
                let ask = ledger.is_last_unanswered() && !*asked && !stopped;
                if ask {
                    *asked = true;
                    self.shared.say(session, turn);
                }
                ask
            }
        })
    }

    /// What is open when nothing is waited for any more has failed.
    pub(super) fn judge(&self, interrupted: bool) -> SessionCounts {
        let mut counts = SessionCounts::default();
        let mut recorder = self.shared.recorder.borrow_mut();
        for session in &self.shared.sessions[..self.next_arrival] {
            let session = session.borrow();
            counts.attempted += 1;
            counts.connected += u64::from(session.connections > 0);
            match session.standing {
                Standing::Here => {
                    let hearing = &session.hearing;
                    let unanswered = u64::from(hearing.ledger.unanswered()) + hearing.unreplied();
                    recorder.error(ErrorKind::Unanswered, unanswered);
                }
                Standing::Gone => counts.failed += 1,
                Standing::Left => {}
                // Who stops a run does not wait for those on their way.
                Standing::NotArrived | Standing::Away { .. } if interrupted => {}
                Standing::NotArrived | Standing::Away { due_back: None, .. } => counts.failed += 1,
                Standing::Away {
                    due_back: Some(_), ..
                } => {
                    counts.failed += 1;
                    recorder.error(ErrorKind::NotBack, 1);
                }
            }
        }
        counts
    }

    /// Closes every connection and joins every session.
    pub(super) async fn farewell(&mut self) {
        self.shared.ending.cancel();
        for slot in 0..self.next_arrival {
            self.shared.turn(slot, Session::say_farewell);
            if slot % SENDS_AT_ONCE == 0 {
                tokio::task::yield_now().await;
            }
        }
        let joined = async {
            while let Some(ended) = self.tasks.join_next().await {
                rethrow(ended);
            }
        };
        if tokio::time::timeout(FAREWELL_DEADLINE, joined).await.is_err() {
            let left = self.tasks.len() as u64;
            self.shared
                .recorder
                .borrow_mut()
                .error(ErrorKind::CloseTimeout, left);
            self.tasks.abort_all();
            while let Some(ended) = self.tasks.join_next().await {
                rethrow(ended);
            }
        }
    }
}

/// A panic of a session is one of the loop: nothing can be measured any more.
fn rethrow(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        std::panic::resume_unwind(error.into_panic());
    }
}
