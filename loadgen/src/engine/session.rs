//! One simulated session: what it knows, what it hears, what it says. No waiting is decided here.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::io::ReadBuf;
use touchstone_protocol::client::{self, Act, ClientHalf, Comeback, Draft, Effect, Next};
use touchstone_protocol::close::CloseCode;
use touchstone_protocol::defaults;
use touchstone_scenarios::duration::FixedDuration;
use touchstone_wire::{Binary, Event, OpCode, Receiver, Role, Rules};

use super::agenda::{Agenda, Due};
use super::backstage::{About, Back};
use super::connect::Connected;
use super::event_loop::FAREWELL_DEADLINE;
use super::hearing::{Channel, Hearing};
use super::lookout::Told;
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

/// Something a session is to do, decided by the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Errand {
    pub(crate) intended: Nanos,
    /// Which of the protocol's acts.
    pub(crate) act: u32,
    pub(crate) content_bytes: u32,
    /// The place of the other user in the group.
    pub(crate) recipient: u32,
    /// From its effect to the next act, in the closed model.
    pub(crate) think: Nanos,
}

/// What became of an errand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was done, and has an effect to come.
    Awaited,
    /// Nothing is to come of it.
    Over,
}

/// Why a connection is no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// A storm took it.
    Cut,
    /// This side said goodbye and the server closed.
    Farewell,
    /// The server closed it, and may have said when to come back.
    Closed {
        code: Option<u16>,
        advice: Option<Duration>,
    },
    /// It ended without a close frame.
    Dropped,
    /// The server broke the protocol.
    Violated,
}

impl End {
    /// What it counts as, if it counts.
    pub(crate) fn error(self) -> Option<ErrorKind> {
        match self {
            Self::Cut | Self::Farewell => None,
            Self::Closed { .. } => Some(ErrorKind::Closed),
            Self::Dropped => Some(ErrorKind::Dropped),
            Self::Violated => Some(ErrorKind::Protocol),
        }
    }

    /// Whether this client comes back after it, after how long at least, and with which token.
    pub(crate) fn comes_back(self, client: &impl ClientHalf) -> Option<(Option<Duration>, Token)> {
        let (comeback, advice) = match self {
            Self::Farewell => return None,
            Self::Cut | Self::Dropped | Self::Violated => (client.comeback(None), None),
            Self::Closed { code, advice } => (client.comeback(code), advice),
        };
        match comeback {
            Comeback::Never => None,
            Comeback::Again => Some((advice, Token::Kept)),
            Comeback::WithNewToken => Some((advice, Token::Wanted)),
        }
    }
}

/// What a session needs before it can connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token {
    /// A new one, where there are tokens.
    Wanted,
    /// Nothing: it has one.
    Kept,
}

/// Where a session stands between connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Its arrival is still to come.
    NotArrived,
    /// It is connecting for the first time, or again.
    Away {
        /// Since when it is missing: its arrival, or the end of its last connection.
        since: Nanos,
        /// A storm took it, and wants it back by then.
        due_back: Option<Nanos>,
    },
    /// It is connected.
    Here,
    /// It does not come back.
    Gone,
    /// It has left, as the plan wanted.
    Left,
}

/// How far a session is with reading back what it has missed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum CatchingUp {
    #[default]
    NotBegun,
    /// It has asked for the next part, and waits for it until then.
    Asked {
        step: u32,
        until: Nanos,
    },
    Done,
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

    /// Asks for the next part of what was missed, where it waited for one.
    fn catch_up_further(&mut self, turn: &mut Turn<'_>) {
        if let CatchingUp::Asked { step, .. } = self.catching_up() {
            self.catch_up_from(step + 1, turn);
        }
    }

    /// Begins to read back what was missed, where that is possible.
    pub(crate) fn catch_up(&mut self, turn: &mut Turn<'_>) {
        let begins = match self.catching_up() {
            CatchingUp::NotBegun => true,
            // What it has read back since it came back is not what it misses now.
            CatchingUp::Done => self.client.catches_up_at_once(),
            CatchingUp::Asked { .. } => false,
        };
        if begins {
            self.catch_up_from(0, turn);
        }
    }

    /// Whether it still waits for something that it has missed.
    pub(crate) fn is_catching_up(&self, now: Nanos) -> bool {
        matches!(self.catching_up(), CatchingUp::Asked { until, .. } if now <= until)
    }

    fn catching_up(&self) -> CatchingUp {
        self.rare
            .as_ref()
            .map_or_else(CatchingUp::default, |rare| rare.catching_up)
    }

    fn catch_up_from(&mut self, step: u32, turn: &mut Turn<'_>) {
        let asked = self.ask_what_was_missed(step, turn);
        let until = turn.now + 2 * turn.deadline;
        match (&mut self.rare, asked) {
            (rare, true) => {
                rare.get_or_insert_default().catching_up = CatchingUp::Asked { step, until };
            }
            (Some(rare), false) => rare.catching_up = CatchingUp::Done,
            // Whose protocol has nothing to read back needs no memory of it.
            (None, false) => {}
        }
    }

    /// Whether there was something to ask for.
    fn ask_what_was_missed(&mut self, step: u32, turn: &mut Turn<'_>) -> bool {
        let Some(connection) = &mut self.connection else {
            return false;
        };
        let Scratch {
            pen, draft, chance, ..
        } = &mut *turn.scratch;
        match self.client.catch_up(step, draft) {
            Next::Send(text) => {
                connection
                    .outgoing
                    .frame(pen, chance, OpCode::Text, text.as_bytes(), &self.waker);
                true
            }
            Next::Request(request) => {
                let token = self.rare.as_ref().and_then(|rare| rare.token.as_deref());
                turn.back.request(About::CatchUp, request, token).is_ok()
            }
            Next::Inject { .. } | Next::Nothing => false,
        }
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

    /// Writes what waits and hears what has arrived, until the socket has no more.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, turn: &mut Turn<'_>) -> Poll<End> {
        if !self.waker.will_wake(cx.waker()) {
            self.waker = cx.waker().clone();
        }
        self.poll_in(cx, turn)
    }

    /// As [`poll`](Self::poll), where not the session's task is woken but the loop is told.
    pub(crate) fn told(&mut self, told: Told, turn: &mut Turn<'_>) -> Poll<End> {
        let Some(connection) = &mut self.connection else {
            // Cut meanwhile: what is told is about a connection that is no more.
            return Poll::Pending;
        };
        match told {
            Told::Ready => {}
            Told::Ending => connection.outgoing.stream.ending(),
        }
        self.poll_in(&mut Context::from_waker(Waker::noop()), turn)
    }

    /// Keeps for the session's task how the connection ended.
    pub(crate) fn keep_end(&mut self, end: End) {
        self.rare.get_or_insert_default().end = Some(end);
        self.waker.wake_by_ref();
    }

    pub(crate) fn take_end(&mut self) -> Option<End> {
        self.rare.as_mut()?.end.take()
    }

    fn poll_in(&mut self, cx: &mut Context<'_>, turn: &mut Turn<'_>) -> Poll<End> {
        // The buffer is the loop's; it is lent to this session for the turn.
        let mut buffer = std::mem::take(&mut turn.scratch.read);
        let polled = self.poll_with(&mut buffer, cx, turn);
        turn.scratch.read = buffer;
        polled
    }

    fn poll_with(&mut self, buffer: &mut [u8], cx: &mut Context<'_>, turn: &mut Turn<'_>) -> Poll<End> {
        loop {
            let Some(connection) = &mut self.connection else {
                return Poll::Ready(End::Cut);
            };
            connection.outgoing.flush(cx);
            // Whoever is deaf is woken when he is so no more.
            if self.rare.as_ref().is_some_and(|rare| turn.now < rare.deaf_until) {
                return Poll::Pending;
            }
            let mut read = ReadBuf::new(buffer);
            match Pin::new(&mut connection.outgoing.stream).poll_read(cx, &mut read) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) if !read.filled().is_empty() => {
                    if let Some(end) = self.hear(read.filled_mut(), turn) {
                        return Poll::Ready(end);
                    }
                    self.heard(turn);
                }
                Poll::Ready(Ok(()) | Err(_)) => {
                    return Poll::Ready(match connection.farewell {
                        Farewell::Said => End::Farewell,
                        Farewell::Unsaid => End::Dropped,
                    });
                }
            }
        }
    }

    fn hear(&mut self, bytes: &mut [u8], turn: &mut Turn<'_>) -> Option<End> {
        let Connection {
            outgoing,
            receiver,
            farewell,
        } = self.connection.as_mut()?;
        turn.scratch.pen.traffic.heard.wire += bytes.len() as u64;
        let mut at = 0;
        loop {
            let step = match receiver.next(&mut bytes[at..]) {
                Ok(step) => step,
                Err(violation) => {
                    outgoing.close(
                        turn.scratch,
                        violation.close_code(),
                        violation.reason(),
                        &self.waker,
                    );
                    return Some(End::Violated);
                }
            };
            at += step.consumed;
            match step.event? {
                Event::Text(text) => {
                    turn.scratch.pen.traffic.heard.payload += text.len() as u64;
                    let reply = self.hearing.text(&mut self.client, text, turn);
                    if let Some(reply) = reply {
                        outgoing.reply(turn.scratch, OpCode::Text, reply.as_bytes(), &self.waker);
                    }
                }
                Event::Ping(payload) => outgoing.reply(turn.scratch, OpCode::Pong, payload, &self.waker),
                Event::Pong(_) | Event::Binary(_) => {}
                Event::Close(close) => {
                    return match farewell {
                        // Ours is answered; TCP's end is still to come.
                        Farewell::Said => None,
                        Farewell::Unsaid => Some(outgoing.closed(close, turn.scratch, &self.waker)),
                    };
                }
            }
        }
    }
}
