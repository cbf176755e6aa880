//! What happens on one loop and when: arrivals, phases, storms, sends; then it [settles](settling).

mod settling;

use std::rc::Rc;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use touchstone_protocol::client::ClientHalf;

pub(super) use settling::FAREWELL_DEADLINE;

use super::agenda::Due;
use super::connect::Connector;
use super::hearing::Pages;
use super::requests::REQUEST_CONNECTIONS;
use super::timer::Timer;
use super::{Job, Shared};
use crate::ledger::Totals;
use crate::ledger::book::CountedPage;
use crate::ledger::reckon::{HeardPage, SentPage};
use crate::plan::{Happening, Model};
use crate::record::{Recorder, Second};
use crate::schedule::{Nanos, dropped};

/// Sends in one go before sockets are read again: a backlog must not keep answers waiting.
const SENDS_AT_ONCE: usize = 64;
/// Sends until those who are watched may hear: an answer that waits for the end of a batch would be charged to the server.
const SENDS_PER_SWEEP: usize = 2;
const SLOW_SEED: u64 = 0x510e_0000;
const SECOND: Nanos = 1_000_000_000;

/// What a loop tells while it runs.
#[derive(Debug)]
pub(crate) enum LoopEvent {
    /// A second is over, on this loop.
    Second { number: u32, second: Second },
    /// The plan's phase of this index begins. Told by loop 0 only.
    Phase(usize),
    /// The phases are over; what is on its way is waited for. Told by loop 0 only.
    Settling,
    /// Nothing more comes from this loop.
    Over(u32),
}

/// How sessions fared, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct SessionCounts {
    pub(crate) attempted: u64,
    pub(crate) connected: u64,
    pub(crate) failed: u64,
}

/// How storms went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct StormCounts {
    /// Connections that were dropped.
    pub(crate) dropped: u64,
    /// Of these, sessions that came back.
    pub(crate) back: u64,
}

/// Everything a loop has to say when it is over.
#[derive(Debug)]
pub(crate) struct LoopReport {
    pub(crate) recorder: Recorder,
    pub(crate) totals: Totals,
    pub(crate) pages: Vec<CountedPage>,
    /// What was sent to others, and heard of them; empty where nobody does.
    pub(crate) sent: Vec<SentPage>,
    pub(crate) heard: Vec<HeardPage>,
    pub(crate) sessions: SessionCounts,
    pub(crate) storm: StormCounts,
    /// Whether it was stopped from outside before the phases were over.
    pub(crate) interrupted: bool,
}

/// Runs one loop's part of a run to its end. Every wait in it has a deadline. Its tasks are the thread's own: it needs a
/// `LocalRuntime`.
pub(crate) async fn run_loop<K: Connector, C: ClientHalf + 'static>(
    job: Job,
    connector: K,
    client: impl Fn(u64) -> C,
    events: mpsc::Sender<LoopEvent>,
    stop: CancellationToken,
) -> LoopReport {
    let timer = Timer::new(job.precision);
    let shared = Rc::new(Shared::new(job, connector, client));
    // A task like the others: what they wake one another for does not have it polled.
    let run = Loop::new(shared, timer, events, stop).run();
    let mut running = JoinSet::new();
    running.spawn_local(run);
    let ended = running.join_next().await.expect("one task was spawned");
    ended.unwrap_or_else(|error| match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(_) => unreachable!("nobody aborts it"),
    })
}

struct Loop<K: Connector, C> {
    shared: Rc<Shared<K, C>>,
    timer: Timer,
    /// One task per session that has arrived; joined in `farewell`.
    tasks: JoinSet<()>,
    next_arrival: usize,
    next_phase: usize,
    next_second: Nanos,
    events: mpsc::Sender<LoopEvent>,
    /// Seconds that the reader of `events` had no room for.
    untold: Vec<LoopEvent>,
    stop: CancellationToken,
}

impl<K: Connector, C: ClientHalf + 'static> Loop<K, C> {
    fn new(
        shared: Rc<Shared<K, C>>,
        timer: Timer,
        events: mpsc::Sender<LoopEvent>,
        stop: CancellationToken,
    ) -> Self {
        for (slot, session) in shared.sessions.iter().enumerate() {
            let number = shared.job.session(slot);
            let plan = &shared.job.plan;
            if let Some(sends) = &session.borrow().sends {
                shared.agenda.enter(sends.due(), slot, Due::Act);
            } else if plan.model == Model::Closed && plan.groups.talks(number) {
                let first = plan.arrivals[number as usize] + plan.choice(number, 0).think;
                shared.agenda.enter(first, slot, Due::Act);
            }
            if let Some(at) = plan.departure(number) {
                shared.agenda.enter(at, slot, Due::Leave);
            }
        }
        Self {
            shared,
            timer,
            tasks: JoinSet::new(),
            next_arrival: 0,
            next_phase: 0,
            next_second: SECOND,
            events,
            untold: Vec::new(),
            stop,
        }
    }

    async fn run(mut self) -> LoopReport {
        for lane in 0..REQUEST_CONNECTIONS {
            let carrying = Rc::clone(&self.shared).carry_requests(lane);
            self.shared.carriers.borrow_mut().spawn_local(carrying);
        }
        let looking = Rc::clone(&self.shared).keep_lookout();
        self.shared.carriers.borrow_mut().spawn_local(looking);
        self.phases().await;
        let interrupted = self.stop.is_cancelled();
        if self.shared.job.number == 0 {
            self.tell(LoopEvent::Settling);
        }
        self.settle().await;
        let sessions = self.judge(interrupted);
        // The last second shows who was there, not that everybody has left.
        let connected = self.shared.connected.get();
        self.farewell().await;
        let mut carriers = self.shared.carriers.take();
        carriers.shutdown().await;
        self.last_second(connected).await;
        let Self { shared, .. } = self;
        let mut totals = Totals::default();
        let mut pages = Vec::with_capacity(shared.sessions.len());
        let (mut sent, mut heard) = (Vec::new(), Vec::new());
        for (slot, session) in shared.sessions.iter().enumerate() {
            let mut session = session.borrow_mut();
            let own = session.hearing.ledger.totals();
            if let Some(Pages { outbox, inbox, .. }) = session.hearing.pages.take().map(|pages| *pages) {
                let member = shared.job.member(slot);
                sent.push(SentPage { member, outbox });
                heard.push(HeardPage { member, inbox });
                // In a mix some acts may be answered beside those that are delivered.
                if own.sent == 0 {
                    continue;
                }
            }
            totals.add(&own);
            let confirmed = session.hearing.ledger.confirmed().iter().collect();
            pages.push(CountedPage {
                session: shared.job.session(slot),
                sent: own.sent,
                confirmed,
            });
        }
        let mut recorder = shared.recorder.take();
        recorder.traffic = shared.scratch.borrow().traffic();
        LoopReport {
            recorder,
            totals,
            pages,
            sent,
            heard,
            sessions,
            storm: shared.storm.get(),
            interrupted,
        }
    }

    /// From the start to the end of the last phase, or to the stop. What was meant for an instant before the end is done, however
    /// late: a loop that starves in its last moments leaves nothing out. It gives up one deadline after the end, and counts what
    /// it leaves undone.
    async fn phases(&mut self) {
        let deadline = self.shared.job.plan.deadline;
        let end = self.shared.job.plan.end();
        while !self.stop.is_cancelled() && self.shared.now() < end + deadline {
            self.end_seconds();
            self.begin_phases();
            self.arrive();
            let backlog = self.act_due(end);
            if backlog {
                tokio::task::yield_now().await;
            } else if self.shared.now() >= end {
                break;
            } else {
                let due = self.next_due().min(end);
                self.wait(due).await;
            }
        }
        self.end_seconds();
        // Who stops a run wants nothing more sent.
        if !self.stop.is_cancelled() {
            let unsent = self.leave_undone(end);
            self.shared.recorder.borrow_mut().unsent += unsent;
        }
    }

    /// How many acts were meant for before `end` and are not done: none, unless there was no time.
    fn leave_undone(&self, end: Nanos) -> u64 {
        let Shared {
            job,
            sessions,
            agenda,
            ..
        } = &*self.shared;
        let mut undone = 0;
        while let Some(entry) = agenda.take(end - 1) {
            let slot = entry.slot as usize;
            match entry.due {
                Due::Act => {
                    let leaves = job.plan.departure(job.session(slot)).unwrap_or(end);
                    undone += sessions[slot].borrow().acts_before(end.min(leaves));
                }
                Due::GiveUp { .. } => {}
                Due::Beat { .. } | Due::Listen | Due::Leave | Due::Vanish => self.shared.attend(entry),
            }
        }
        undone
    }

    fn next_due(&self) -> Nanos {
        let Shared {
            job,
            sessions,
            agenda,
            ..
        } = &*self.shared;
        let arrival = (self.next_arrival < sessions.len())
            .then(|| job.plan.arrivals[job.session(self.next_arrival) as usize]);
        let phase = job.plan.phases.get(self.next_phase).map(|phase| phase.start);
        [arrival, phase, agenda.next_at(), Some(self.next_second)]
            .into_iter()
            .flatten()
            .min()
            .expect("a second is always due")
    }

    async fn wait(&self, due: Nanos) {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => return,
            () = self.shared.agenda.sooner_than(due) => return,
            () = self.timer.until(self.shared.instant(due)) => {}
        }
        let late = self.shared.now().saturating_sub(due);
        self.shared.recorder.borrow_mut().loop_lag.record(late);
    }

    fn begin_phases(&mut self) {
        let shared = Rc::clone(&self.shared);
        while let Some(phase) = shared.job.plan.phases.get(self.next_phase) {
            if phase.start > shared.now() {
                return;
            }
            if shared.job.number == 0 {
                self.tell(LoopEvent::Phase(self.next_phase));
            }
            match phase.happening {
                Happening::Nothing => {}
                Happening::Slow { millionths } => self.turn_deaf(f64::from(millionths) / 1e6, phase.end),
                Happening::Storm(storm) => {
                    let share = f64::from(storm.drop_millionths) / 1e6;
                    self.drop_share(share, shared.now() + storm.within);
                }
            }
            self.next_phase += 1;
        }
    }

    /// Lets this loop's part of a share of all sessions read nothing until then.
    fn turn_deaf(&self, share: f64, until: Nanos) {
        let job = &self.shared.job;
        let number = u32::try_from(self.next_phase).expect("few phases");
        // By another seed than a storm's: who is dropped is not who is slow.
        for session in dropped(job.plan.seed ^ SLOW_SEED, number, job.plan.sessions, share) {
            if session % job.loops == job.number {
                let slot = (session / job.loops) as usize;
                self.shared
                    .turn(slot, |session, turn| session.turn_deaf(until, turn));
            }
        }
    }

    /// Drops this loop's part of a share of all sessions, in one turn.
    fn drop_share(&self, share: f64, due_back: Nanos) {
        let Shared {
            job, sessions, storm, ..
        } = &*self.shared;
        let number = u32::try_from(self.next_phase).expect("few phases");
        let now = self.shared.now();
        let mut counts = storm.get();
        for session in dropped(job.plan.seed, number, job.plan.sessions, share) {
            if session % job.loops == job.number {
                let slot = (session / job.loops) as usize;
                counts.dropped += u64::from(sessions[slot].borrow_mut().cut(now, due_back));
            }
        }
        storm.set(counts);
    }

    fn arrive(&mut self) {
        let Shared { job, sessions, .. } = &*self.shared;
        let now = self.shared.now();
        while self.next_arrival < sessions.len() {
            if job.plan.arrivals[job.session(self.next_arrival) as usize] > now {
                break;
            }
            self.tasks
                .spawn_local(Rc::clone(&self.shared).live(self.next_arrival));
            self.next_arrival += 1;
        }
    }

    /// Does what is due, a batch at most; whether more is due.
    fn act_due(&self, end: Nanos) -> bool {
        let now = self.shared.now().min(end - 1);
        for turn in 1..=SENDS_AT_ONCE {
            let Some(entry) = self.shared.agenda.take(now) else {
                return false;
            };
            self.shared.fetch_next();
            self.shared.attend(entry);
            if turn % SENDS_PER_SWEEP == 0 {
                // Whether there is more is for the lookout's own task to find out.
                let _ = self.shared.sweep();
            }
        }
        true
    }

    fn end_seconds(&mut self) {
        while self.shared.now() >= self.next_second {
            self.next_second += SECOND;
            self.tell_second(self.shared.connected.get());
        }
    }

    fn tell_second(&mut self, connected: u32) {
        let second = self.shared.recorder.borrow_mut().next_second(connected);
        self.tell(LoopEvent::Second {
            number: self.shared.job.number,
            second,
        });
    }

    /// Never waits: a loop with sockets to read has no time for a slow reader of its news.
    fn tell(&mut self, event: LoopEvent) {
        self.untold.push(event);
        let mut told = 0;
        while told < self.untold.len() {
            let Ok(permit) = self.events.try_reserve() else {
                break;
            };
            permit.send(std::mem::replace(&mut self.untold[told], LoopEvent::Settling));
            told += 1;
        }
        self.untold.drain(..told);
    }

    async fn last_second(&mut self, connected: u32) {
        self.tell_second(connected);
        self.untold.push(LoopEvent::Over(self.shared.job.number));
        for event in self.untold.drain(..) {
            // Whoever does not listen any more wants no news.
            if self.events.send(event).await.is_err() {
                return;
            }
        }
    }
}
