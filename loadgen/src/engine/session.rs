//! One simulated session: what it knows, what it hears, what it says. No waiting is decided here.

mod catching_up;
mod reading;
mod standing;

use std::collections::VecDeque;
use std::task::Waker;

use touchstone_protocol::client::{self, Act, ClientHalf, Draft, Effect, Next};
use touchstone_protocol::close::CloseCode;
use touchstone_protocol::defaults;
use touchstone_scenarios::duration::FixedDuration;
use touchstone_wire::{Binary, OpCode, Receiver, Role, Rules};

use catching_up::CatchingUp;
pub(crate) use standing::{End, Errand, Outcome, Standing, Token};

use super::agenda::{Agenda, Due};
use super::backstage::{About, Back};
use super::connect::Connected;
use super::event_loop::FAREWELL_DEADLINE;
use super::hearing::{Channel, Hearing};
use super::outgoing::{Outgoing, Pen};
use super::requests::Reply;
use super::socket::Pipe;
use crate::ledger::Timing;
use crate::plan::Plan;
use crate::record::{ErrorKind, Recorder, Traffic};
use crate::schedule::{Nanos, Sends, nanos};
use crate::workload::values::Heartbeat;

/// After a turn of the closed model that could not be taken, a session without think time waits this long: it must not try
/// without end while it is away.
const NOTHING_DONE_PAUSE: Nanos = 100_000_000;

/// An answer carries what was sent and some JSON around it, escaped at worst sixfold.
const RULES: Rules = Rules {
    message_bytes_max: 8 * defaults::MESSAGE_BYTES_MAX,
    binary: Binary::Refused,
};

/// Buffers shared by all sessions of a loop: none of them holds anything between two turns.
pub(crate) struct Scratch {
    read: Box<[u8]>,
    pub(super) pen: Pen,
    draft: Draft,
    pub(super) chance: fastrand::Rng,
}

impl Scratch {
    pub(crate) fn new(chance: fastrand::Rng) -> Self {
        Self {
            read: vec![0; 64 << 10].into_boxed_slice(),
            pen: Pen::default(),
            draft: Draft::default(),
            chance,
        }
    }

    /// What was said and heard so far.
    pub(crate) fn traffic(&self) -> Traffic {
        self.pen.traffic
    }

    pub(crate) fn jitter(&mut self) -> f64 {
        self.chance.f64()
    }

    pub(crate) fn handshake_key(&mut self) -> [u8; 16] {
        self.chance.u128(..).to_ne_bytes()
    }
}

/// What a turn may use of its loop.
pub(crate) struct Turn<'a> {
    pub(crate) now: Nanos,
    pub(crate) slot: usize,
    pub(crate) deadline: Nanos,
    pub(crate) acts: &'a [Act],
    pub(crate) plan: &'a Plan,
    pub(crate) recorder: &'a mut Recorder,
    pub(crate) scratch: &'a mut Scratch,
    pub(crate) agenda: &'a Agenda,
    /// Where to ask over HTTP, by this session's node.
    pub(crate) back: Back<'a>,
}

struct Connection<S> {
    outgoing: Outgoing<S>,
    receiver: Receiver,
    farewell: Farewell,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Farewell {
    Unsaid,
    Said,
}

/// A simulated session, over all its connections.
pub(crate) struct Session<C, S> {
    pub(crate) client: C,
    pub(crate) hearing: Hearing,
    pub(crate) sends: Option<Sends>,
    pub(crate) standing: Standing,
    /// Connections that stood so far.
    pub(crate) connections: u32,
    connection: Option<Connection<S>>,
    /// Of the task that reads this session; whoever changes the session from outside wakes it.
    waker: Waker,
    /// Made when first used: tens of thousands of sessions that only echo or beat have none.
    rare: Option<Box<Rare>>,
}

/// What not every session has.
#[derive(Default)]
struct Rare {
    /// What was to be done while it was away and its client keeps for later, oldest first.
    queued: VecDeque<Errand>,
    catching_up: CatchingUp,
    /// Its token, where there are tokens: what it asks over HTTP carries it.
    token: Option<Box<str>>,
    /// It reads nothing until then.
    deaf_until: Nanos,
    /// It was told to leave, and does not come back.
    leaving: bool,
    /// In the closed model: turns it has taken.
    turns: u32,
    /// And the think time after the turn whose effect it waits for.
    thinks_after: Option<Nanos>,
    /// How its connection ended, until its task has heard of it.
    end: Option<End>,
}

impl<C: ClientHalf, S: Pipe> Session<C, S> {
    pub(crate) fn new(hearing: Hearing, client: C, sends: Option<Sends>) -> Self {
        Self {
            client,
            hearing,
            sends,
            standing: Standing::NotArrived,
            connections: 0,
            connection: None,
            waker: Waker::noop().clone(),
            rare: None,
        }
    }

    /// By when a storm wants it back, while it is away.
    pub(crate) fn due_back(&self) -> Option<Nanos> {
        match self.standing {
            Standing::Away { due_back, .. } => due_back,
            Standing::NotArrived | Standing::Here | Standing::Gone | Standing::Left => None,
        }
    }

    /// Takes over a connection that stands. What came with the handshake is heard at once.
    pub(crate) fn opened(&mut self, connected: Connected<S>, turn: &mut Turn<'_>) -> Option<End> {
        let agreement = connected.agreement;
        self.connection = Some(Connection {
            outgoing: Outgoing::new(connected.stream, agreement.map(|agreed| agreed.client)),
            receiver: match agreement {
                None => Receiver::new(Role::Client, RULES),
                Some(agreed) => Receiver::with_deflate(Role::Client, RULES, agreed.server),
            },
            farewell: Farewell::Unsaid,
        });
        let is_first = self.connections == 0;
        turn.scratch.pen.traffic.compressed_sessions += u64::from(is_first && agreement.is_some());
        self.connections += 1;
        self.standing = Standing::Here;
        self.hearing.opened(&mut self.client, turn);
        self.greet(turn);
        if self.connections > 1 && self.client.catches_up_at_once() {
            self.catch_up_from(0, turn);
        }
        if let Some(interval) = self.beat_interval(turn.plan) {
            let connection = self.connections as u16;
            turn.agenda
                .enter(turn.now + interval, turn.slot, Due::Beat { connection });
        }
        if !connected.leftover.is_empty() {
            let ended = self.hear(&mut Vec::from(connected.leftover), turn);
            if ended.is_some() {
                return ended;
            }
        }
        self.catch_up_queue(turn);
        None
    }

    /// Says what a client of the dialect says first.
    fn greet(&mut self, turn: &mut Turn<'_>) {
        let Some(connection) = &mut self.connection else {
            return;
        };
        let waker = &self.waker;
        self.client.greeting(&mut |text| {
            connection
                .outgoing
                .reply(turn.scratch, OpCode::Text, text.as_bytes(), waker);
        });
    }

    /// Does now what was kept while the session was away, in its order; what is too old by now is not done at all.
    fn catch_up_queue(&mut self, turn: &mut Turn<'_>) {
        let Some(kept) = self.client.offline_queue() else {
            return;
        };
        let Some(rare) = &mut self.rare else { return };
        for errand in std::mem::take(&mut rare.queued) {
            if errand.intended + nanos(kept.age_max) < turn.now {
                turn.recorder.skipped_sends += 1;
            } else {
                self.act(errand, turn);
            }
        }
    }

    /// Gives it another token, for its next connection and all its requests.
    pub(crate) fn given(&mut self, token: String) {
        self.client.new_token(&token);
        self.rare.get_or_insert_default().token = Some(token.into_boxed_str());
    }

    /// Takes in what became of a request.
    pub(crate) fn answered(&mut self, about: About, reply: Reply, turn: &mut Turn<'_>) {
        match reply {
            Reply::Failed => turn.recorder.error(ErrorKind::Request, 1),
            Reply::Answered { status, body } => {
                let body = String::from_utf8_lossy(&body);
                self.hearing.reply(&mut self.client, about, (status, &body), turn);
            }
        }
        match about {
            About::CatchUp => self.catch_up_further(turn),
            // Answered is answered, whatever the answer.
            About::Act { .. } => self.go_on(turn),
        }
        self.heard(turn);
    }

    /// Keeps for later what is to be done while there is no connection, if this client does so.
    fn keep(&mut self, errand: Errand, turn: &mut Turn<'_>) {
        let Some(kept) = self.client.offline_queue() else {
            turn.recorder.skipped_sends += 1;
            return;
        };
        let queued = &mut self.rare.get_or_insert_default().queued;
        queued.push_back(errand);
        if queued.len() > kept.messages_max {
            queued.pop_front();
            turn.recorder.skipped_sends += 1;
        }
    }

    /// Shows that the client is alive, as the dialect has it, and says when next.
    pub(crate) fn beat(&mut self, due: Nanos, connection: u16, turn: &mut Turn<'_>) {
        let (Some(open), true) = (&mut self.connection, connection == self.connections as u16) else {
            return;
        };
        let Some(beat) = self.client.beat() else { return };
        open.outgoing
            .reply(turn.scratch, OpCode::Text, beat.text.as_bytes(), &self.waker);
        if let Some(interval) = self.beat_interval(turn.plan) {
            turn.agenda
                .enter(due + interval, turn.slot, Due::Beat { connection });
        }
    }

    /// As the client has it, unless the plan has it otherwise.
    fn beat_interval(&self, plan: &Plan) -> Option<Nanos> {
        let own = self.client.beat()?.interval;
        match plan.heartbeat {
            None => Some(nanos(own)),
            Some(Heartbeat::Every(FixedDuration(interval))) => Some(nanos(interval)),
            Some(Heartbeat::Never) => None,
        }
    }

    /// Reads nothing more until then.
    pub(crate) fn turn_deaf(&mut self, until: Nanos, turn: &mut Turn<'_>) {
        self.rare.get_or_insert_default().deaf_until = until;
        turn.agenda.enter(until, turn.slot, Due::Listen);
    }

    /// Reads again.
    pub(crate) fn listen(&self) {
        self.waker.wake_by_ref();
    }

    /// Whether it was told to leave.
    pub(crate) fn is_leaving(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.leaving)
    }

    /// Says goodbye where it is connected, and does not come back in any case.
    pub(crate) fn leave(&mut self, turn: &mut Turn<'_>) {
        self.rare.get_or_insert_default().leaving = true;
        if self.say_farewell(turn) {
            let at = turn.now + nanos(FAREWELL_DEADLINE);
            turn.agenda.enter(at, turn.slot, Due::Vanish);
        }
    }

    /// Ends the connection without an answer to the goodbye.
    pub(crate) fn vanish(&mut self, turn: &mut Turn<'_>) {
        if self.connection.take().is_some() {
            turn.recorder.error(ErrorKind::CloseTimeout, 1);
            self.waker.wake_by_ref();
        }
    }

    /// How many acts it was to do before `until` and has not done; in the closed model the one that is due.
    pub(crate) fn acts_before(&self, until: Nanos) -> u64 {
        if self.is_leaving() {
            return 0;
        }
        let Some(mut sends) = self.sends.clone() else {
            return 1;
        };
        let mut acts = 0;
        while sends.due() < until {
            acts += 1;
            sends.advance();
        }
        acts
    }

    /// The number of its next turn in the closed model.
    pub(crate) fn turns(&self) -> u32 {
        self.rare.as_ref().map_or(0, |rare| rare.turns)
    }

    /// Takes its next turn in the closed model, which goes on when this one has had its effect, or has waited too long for it.
    pub(crate) fn take_turn(&mut self, errand: Errand, turn: &mut Turn<'_>) {
        let outcome = self.act(errand, turn);
        let rare = self.rare.get_or_insert_default();
        rare.turns += 1;
        match outcome {
            Outcome::Awaited => {
                rare.thinks_after = Some(errand.think);
                let due = Due::GiveUp {
                    turn: rare.turns as u16,
                };
                turn.agenda.enter(turn.now + 2 * turn.deadline, turn.slot, due);
            }
            Outcome::Over => {
                let think = errand.think.max(NOTHING_DONE_PAUSE);
                turn.agenda.enter(turn.now + think, turn.slot, Due::Act);
            }
        }
    }

    /// Goes on although that turn has had no effect.
    pub(crate) fn give_up(&mut self, number: u16, turn: &mut Turn<'_>) {
        if self.turns() as u16 == number {
            self.go_on(turn);
        }
    }

    /// Enters the next turn of the closed model, if one was waited for.
    fn go_on(&mut self, turn: &mut Turn<'_>) {
        let think = self.rare.as_mut().and_then(|rare| rare.thinks_after.take());
        if let Some(think) = think {
            turn.agenda.enter(turn.now + think, turn.slot, Due::Act);
        }
    }

    /// What follows from what was just heard.
    fn heard(&mut self, turn: &mut Turn<'_>) {
        if std::mem::take(&mut self.hearing.read_back) {
            self.catch_up_further(turn);
        }
        if std::mem::take(&mut self.hearing.had_effect) {
            self.go_on(turn);
        }
    }

    /// Ends the connection, if there is one.
    pub(crate) fn ended(&mut self, now: Nanos, due_back: Option<Nanos>) {
        self.connection = None;
        self.hearing.ended(now);
        // A storm may have set it already, and knows by when.
        if let Standing::Here | Standing::NotArrived = self.standing {
            self.standing = Standing::Away { since: now, due_back };
        }
    }

    /// Drops the connection without a word. `false` if there was none.
    pub(crate) fn cut(&mut self, now: Nanos, due_back: Nanos) -> bool {
        let had = self.connection.take().is_some();
        if had {
            self.ended(now, Some(due_back));
            self.waker.wake_by_ref();
        }
        had
    }

    /// Does what the plan wants of it.
    pub(crate) fn act(&mut self, errand: Errand, turn: &mut Turn<'_>) -> Outcome {
        let Some(connection) = &mut self.connection else {
            self.keep(errand, turn);
            return Outcome::Over;
        };
        if connection.outgoing.is_full() {
            turn.recorder.error(ErrorKind::NotSent, 1);
            return Outcome::Over;
        }
        let Errand {
            intended,
            act,
            content_bytes,
            recipient,
            think: _,
        } = errand;
        let timing = Timing {
            intended,
            sent: turn.now,
        };
        let effect = turn.acts[act as usize].effect;
        let stamp = self.hearing.stamp(effect, timing);
        let Scratch {
            pen, draft, chance, ..
        } = &mut *turn.scratch;
        let asked = client::Turn {
            act: act as usize,
            stamp,
            content_bytes: content_bytes as usize,
            recipient: recipient as usize,
        };
        let by = match self.client.act(asked, draft) {
            Next::Send(text) => {
                connection
                    .outgoing
                    .frame(pen, chance, OpCode::Text, text.as_bytes(), &self.waker);
                Channel::Connection
            }
            Next::Request(request) => {
                let about = About::Act { act, stamp, timing };
                let token = self.rare.as_ref().and_then(|rare| rare.token.as_deref());
                if turn.back.request(about, request, token).is_err() {
                    turn.recorder.error(ErrorKind::NotSent, 1);
                    return Outcome::Over;
                }
                Channel::Request
            }
            Next::Inject { kind, data } => {
                let about = About::Act { act, stamp, timing };
                if turn.back.inject(about, kind, data).is_err() {
                    turn.recorder.error(ErrorKind::NotSent, 1);
                    return Outcome::Over;
                }
                Channel::Request
            }
            // Whoever does nothing of his own owes no answer and is owed none.
            Next::Nothing => return Outcome::Over,
        };
        self.hearing.acted(asked, by, timing, turn);
        turn.recorder.sent(timing);
        match (effect, by) {
            (Effect::Nothing, Channel::Connection) => Outcome::Over,
            (Effect::Answer | Effect::Delivery { .. } | Effect::Reply, _)
            | (Effect::Nothing, Channel::Request) => Outcome::Awaited,
        }
    }

    /// Whether it came back and has said nothing since.
    pub(crate) fn is_silent_since_return(&self) -> bool {
        let Standing::Here = self.standing else {
            return false;
        };
        self.connections > 1 && self.hearing.ledger.is_silent_since_open()
    }

    /// Says goodbye; the connection ends when the server has answered. `false` if there is none.
    pub(crate) fn say_farewell(&mut self, turn: &mut Turn<'_>) -> bool {
        let Some(connection) = &mut self.connection else {
            return false;
        };
        connection.farewell = Farewell::Said;
        connection
            .outgoing
            .close(turn.scratch, CloseCode::NORMAL.0, "", &self.waker);
        true
    }
}
