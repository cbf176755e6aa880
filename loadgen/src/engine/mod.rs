//! Carries a plan out: sessions connect, talk, are dropped, come back and leave.
//!
//! One event loop per core and many sessions per loop: a loop, its sessions and its recorder live on one thread and
//! share nothing with the others. A task per session waits for its socket; sends come from one timer per loop, straight
//! into the socket. Nothing is aggregated here: samples and counts go to the loop's recorder.

mod agenda;
mod backstage;
mod connect;
mod event_loop;
mod exchange;
#[cfg(test)]
mod hall;
mod hearing;
mod life;
mod lookout;
mod outgoing;
mod requests;
#[cfg(test)]
pub(crate) mod scripted;
mod session;
mod socket;
#[cfg(test)]
pub(crate) mod tests;
mod timer;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use touchstone_protocol::client::{Act, ClientHalf, Effect};

pub(crate) use backstage::{Backstage, Emitting, Nobody, TokenComing};
pub(crate) use connect::{Connector, Node, Sockets, attempt, offer};
pub(crate) use event_loop::{LoopEvent, LoopReport, SessionCounts, StormCounts, run_loop};
pub(crate) use exchange::{Exchange, Posted};
pub(crate) use timer::Precision;

use agenda::{Agenda, Due, Entry};
use backstage::Back;
use hearing::Hearing;
use lookout::Lookout;
use requests::{Question, Requests};
use session::{Errand, Scratch, Session, Turn};

use crate::ledger::reckon::{CatchUp, Member, Terms};
use crate::plan::{Choice, Plan};
use crate::record::Recorder;
use crate::schedule::{Nanos, chance_of, nanos};

/// A request is waited for so many times the plan's deadline: after that, what it was about is late in any case.
const REQUEST_DEADLINES: u32 = 2;

/// One loop's part of a run.
pub(crate) struct Job {
    pub(crate) plan: Arc<Plan>,
    pub(crate) nodes: Arc<[Node]>,
    /// Keeps this run's sessions apart from those of all others on the same server.
    pub(crate) tag: u32,
    /// This loop is number `number` of `loops`, those of other processes included: it has every `loops`th session.
    pub(crate) number: u32,
    pub(crate) loops: u32,
    /// The instant from which all times count, the same for all loops.
    pub(crate) start: Instant,
    /// How sends are timed.
    pub(crate) precision: Precision,
    /// What the protocol's users can do.
    pub(crate) acts: Arc<[Act]>,
    pub(crate) backstage: Arc<dyn Backstage>,
    /// Whether somebody who was away can learn what was said meanwhile.
    pub(crate) catch_up: CatchUp,
    pub(crate) exchange: Arc<Exchange>,
}

impl Job {
    /// The number of the session in `slot` of this loop.
    fn session(&self, slot: usize) -> u32 {
        u32::try_from(slot).expect("fewer slots than sessions") * self.loops + self.number
    }

    fn sender(&self, slot: usize) -> u64 {
        u64::from(self.tag) << 32 | u64::from(self.session(slot))
    }

    /// Whether anybody says anything that is delivered to others.
    fn delivers(&self) -> bool {
        let is_delivered = |act: &Act| matches!(act.effect, Effect::Delivery { .. });
        self.acts.iter().any(is_delivered)
    }

    /// Who the session in `slot` is among all others.
    fn member(&self, slot: usize) -> Member {
        let number = self.session(slot);
        let groups = &self.plan.groups;
        let group = groups.of(number);
        let members = groups.members(group);
        Member {
            session: self.sender(slot),
            group,
            place: number - members.start,
        }
    }

    fn terms(&self) -> Terms {
        Terms {
            deadline: self.plan.deadline,
            catch_up: self.catch_up,
        }
    }
}

/// What the tasks of one loop share. Never borrowed across an await.
struct Shared<K: Connector, C> {
    job: Job,
    connector: K,
    sessions: Vec<RefCell<Session<C, K::Stream>>>,
    recorder: RefCell<Recorder>,
    scratch: RefCell<Scratch>,
    agenda: Agenda,
    lookout: Lookout,
    requests: Requests,
    /// Who carries the requests; spawned with the first, joined when the loop ends.
    carriers: RefCell<JoinSet<()>>,
    /// Handshakes that may be under way at once.
    connecting: Semaphore,
    /// Cancelled when nobody is to connect any more.
    ending: CancellationToken,
    connected: Cell<u32>,
    storm: Cell<StormCounts>,
    /// After the last phase, those who come back say one more message: its count tells what became of the earlier ones.
    last_words: Cell<bool>,
}

impl<K: Connector, C: ClientHalf + 'static> Shared<K, C> {
    fn new(job: Job, connector: K, client: impl Fn(u64) -> C) -> Self {
        let plan = &job.plan;
        let slots = (job.number..plan.sessions).step_by(job.loops as usize).count();
        let delivers = job.delivers();
        let sessions = (0..slots)
            .map(|slot| {
                let number = job.session(slot);
                let sends = plan.sends(number);
                let sender = job.sender(slot);
                let pages = delivers.then(Box::default);
                RefCell::new(Session::new(Hearing::new(sender, pages), client(sender), sends))
            })
            .collect();
        let at_once = plan.connect_at_once.div_ceil(job.loops) as usize;
        // Masks, handshake keys and jitter: nothing of the schedule hangs on them.
        let chance = chance_of(plan.seed ^ u64::from(job.tag), u32::MAX - job.number);
        Self {
            connector,
            sessions,
            recorder: RefCell::default(),
            scratch: RefCell::new(Scratch::new(chance)),
            agenda: Agenda::default(),
            lookout: Lookout::new(job.precision),
            requests: Requests::default(),
            carriers: RefCell::default(),
            connecting: Semaphore::new(at_once),
            ending: CancellationToken::new(),
            connected: Cell::new(0),
            storm: Cell::default(),
            last_words: Cell::new(false),
            job,
        }
    }

    fn now(&self) -> Nanos {
        nanos(self.job.start.elapsed())
    }

    fn instant(&self, at: Nanos) -> Instant {
        self.job.start + Duration::from_nanos(at)
    }

    /// Runs `act` on the session in `slot` with all it may use of the loop.
    fn turn<R>(&self, slot: usize, act: impl FnOnce(&mut Session<C, K::Stream>, &mut Turn<'_>) -> R) -> R {
        let session = self.job.session(slot);
        let node = session as usize % self.job.nodes.len();
        let mut turn = Turn {
            now: self.now(),
            slot,
            deadline: self.job.plan.deadline,
            acts: &self.job.acts,
            plan: &self.job.plan,
            agenda: &self.agenda,
            back: Back {
                requests: &self.requests,
                backstage: &*self.job.backstage,
                slot,
                session,
                node,
                place: &self.job.nodes[node],
            },
            recorder: &mut self.recorder.borrow_mut(),
            scratch: &mut self.scratch.borrow_mut(),
        };
        act(&mut self.sessions[slot].borrow_mut(), &mut turn)
    }

    /// Says something that is meant for now, so that what became of the messages before it is told.
    fn say(&self, session: &mut Session<C, K::Stream>, turn: &mut Turn<'_>) {
        if let Some(sends) = &session.sends {
            let errand = self.errand(turn.slot, sends.index(), turn.now);
            session.act(errand, turn);
        }
    }

    /// What the plan has the session in `slot` do at its turn of this number.
    fn errand(&self, slot: usize, index: u32, intended: Nanos) -> Errand {
        let Choice {
            act,
            content_bytes,
            recipient,
            think,
        } = self.job.plan.choice(self.job.session(slot), index);
        Errand {
            intended,
            act,
            content_bytes,
            recipient,
            think,
        }
    }

    /// Does the next act of the session in `slot`, meant for `at`, and enters the one after where a schedule has it.
    fn act(&self, slot: usize, at: Nanos) {
        self.turn(slot, |session, turn| {
            if session.is_leaving() {
                return;
            }
            let Some(sends) = &mut session.sends else {
                let errand = self.errand(slot, session.turns(), at);
                return session.take_turn(errand, turn);
            };
            let errand = self.errand(slot, sends.index(), at);
            sends.advance();
            let next = sends.due();
            session.act(errand, turn);
            turn.agenda.enter(next, turn.slot, Due::Act);
        });
    }

    /// Has the processor fetch the session that acts next, while the system sends for the one before.
    fn fetch_next(&self) {
        if let Some(slot) = self.agenda.next_act() {
            fetch(&self.sessions[slot]);
        }
    }

    /// Does what is due.
    fn attend(&self, Entry { at, slot, due }: Entry) {
        let slot = slot as usize;
        match due {
            Due::Act => self.act(slot, at),
            Due::Beat { connection } => {
                self.turn(slot, |session, turn| session.beat(at, connection, turn));
            }
            Due::GiveUp { turn: number } => {
                self.turn(slot, |session, turn| session.give_up(number, turn));
            }
            Due::Listen => self.sessions[slot].borrow().listen(),
            Due::Leave => self.turn(slot, Session::leave),
            Due::Vanish => self.turn(slot, Session::vanish),
        }
    }

    /// Carries requests for as long as it is polled.
    async fn carry_requests(self: Rc<Self>, lane: usize) {
        let deadline = Duration::from_nanos(self.job.plan.deadline) * REQUEST_DEADLINES;
        let answer = |question: &Question, reply| {
            self.turn(question.slot, |session, turn| {
                session.answered(question.about, reply, turn);
            });
        };
        self.requests.carry(lane, &self.connector, deadline, answer).await;
    }
}

/// Begins to fetch all of `value` into the caches. With thousands of sessions each is cold when its turn comes, and to wait
/// for its lines one after the other takes as long as all that is done with them.
#[cfg(target_arch = "x86_64")]
fn fetch<T>(value: &T) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};

    const LINE_BYTES: usize = 64;
    let start = std::ptr::from_ref(value).cast::<i8>();
    for offset in (0..size_of::<T>()).step_by(LINE_BYTES) {
        // SAFETY: the offset lies within `value`; and a prefetch reads nothing that anybody would see.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(start.add(offset)) };
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn fetch<T>(_value: &T) {}
