//! One way of a connection: reads, lets the rules look at what they are about, writes.

mod frames;
mod http;

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use touchstone_scenarios::mutant::{TcpEnd, Way};

use super::connection::{Asked, Connection};
use super::cut::{Frame, FrameCutter};
use super::deeds::{After, Plan, Unit, close_bytes, opposite};
use super::http::{HttpCutter, HttpUnit};
use super::outbox::{End, Injected, Outbox, Then};
use super::rules::{Subject, want_frames, want_http, want_messages};
use super::socket::{Reader, Writer};

/// What is read at once, and waits at most for a peer that takes nothing.
const READ_BYTES: usize = 16 << 10;

/// How long something is held until it is whole. What is sent at once arrives within this; what is sent in pieces on
/// purpose is passed in pieces.
const HOLD_DEADLINE: Duration = Duration::from_millis(250);

/// How long the client may take to answer a close frame of our own, before TCP ends: what a server does.
const FAREWELL_DEADLINE: Duration = Duration::from_secs(1);

/// Why nothing more passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Broken {
    /// Who speaks there has gone by RST.
    Source,
    /// Who listens there has.
    Sink,
    /// TCP is to end so on both sides.
    Ended(TcpEnd),
}

/// What the bytes are cut into.
enum Cutting {
    /// Nothing: no mutant wants to see any of it.
    Nothing,
    Http(HttpCutter),
    Frames(FrameCutter),
}

/// One way of a connection.
pub(super) struct Lane<'a> {
    way: Way,
    connection: &'a Connection,
    cutting: Cutting,
    /// The fragments of a message that somebody may want whole.
    fragments: Vec<Frame>,
    held_since: Option<Instant>,
    outbox: Outbox,
    /// How many matched each rule on this connection.
    counts: Vec<u32>,
    /// A request that is held, or that an answer is held to.
    current: Option<HttpUnit>,
    /// What passes now is an answer that nobody waits for.
    swallows: bool,
    /// What passes now turns this way into frames.
    turns: bool,
}

impl<'a> Lane<'a> {
    pub(super) fn new(way: Way, connection: &'a Connection) -> Self {
        let cutting = if connection.crook.is_straight() {
            Cutting::Nothing
        } else {
            Cutting::Http(HttpCutter::default())
        };
        Self {
            way,
            connection,
            cutting,
            fragments: Vec::new(),
            held_since: None,
            outbox: Outbox::default(),
            counts: vec![0; connection.crook.rules().len()],
            current: None,
            swallows: false,
            turns: false,
        }
    }

    /// Passes on what comes until the way has ended, at both of its ends.
    pub(super) async fn run(
        &mut self,
        source: &mut Reader,
        sink: &mut Writer,
        inlet: &mut mpsc::Receiver<Injected>,
    ) -> Result<(), Broken> {
        let mut bytes = vec![0; READ_BYTES];
        let mut reading = true;
        loop {
            let (out, end) = self.outbox.take_due(Instant::now());
            if !out.is_empty() {
                write(sink, &out).await?;
            }
            match end {
                None => {}
                Some(End::Passed(TcpEnd::Fin)) => return sink.shutdown().await.map_err(|_| Broken::Sink),
                Some(End::Passed(TcpEnd::Reset)) => return Err(Broken::Source),
                Some(End::Both(end)) => return Err(Broken::Ended(end)),
                Some(End::Farewell) => return self.say_goodbye(source).await,
            }
            if !reading && self.outbox.is_hung() && self.outbox.is_empty() {
                return Ok(());
            }
            let due = self.next_due();
            tokio::select! {
                read = source.read(&mut bytes), if reading && self.outbox.has_room() => {
                    match read {
                        Ok(0) => reading = self.source_ended(TcpEnd::Fin),
                        // Among them a FIN without a goodbye of TLS: without TLS only an RST says that it was no good end.
                        Err(_) => reading = self.source_ended(TcpEnd::Reset),
                        Ok(read) => self.take(&bytes[..read]),
                    }
                }
                Some(injected) = inlet.recv() => self.outbox.insert(Instant::now(), injected),
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => self.release_late(),
            }
        }
    }

    /// When there is next something to do without anything having come.
    fn next_due(&self) -> Option<Instant> {
        let held = self.held_since.map(|since| since + HOLD_DEADLINE);
        held.into_iter().chain(self.outbox.next_due()).min()
    }

    /// Takes what was read.
    fn take(&mut self, bytes: &[u8]) {
        if self.way == Way::Up && self.connection.take_refusal() {
            self.release();
            self.cutting = Cutting::Http(HttpCutter::default());
        }
        match &mut self.cutting {
            Cutting::Nothing => {
                self.outbox.pass(Instant::now(), bytes.to_vec());
                return;
            }
            Cutting::Http(cutter) => {
                cutter.feed(bytes);
                self.heed_http();
            }
            Cutting::Frames(cutter) => {
                cutter.feed(bytes);
                self.heed_frames();
            }
        }
        self.release_unwanted();
    }

    /// What nobody can want any more is not held.
    fn release_unwanted(&mut self) {
        let rules = self.connection.crook.rules();
        let (holding, wanted) = match &self.cutting {
            Cutting::Nothing => (false, false),
            Cutting::Http(cutter) => (cutter.is_holding(), want_http(rules, self.way)),
            Cutting::Frames(cutter) => (
                cutter.is_holding() || !self.fragments.is_empty(),
                want_frames(rules, self.way) && self.connection.is_meant(),
            ),
        };
        match (holding, wanted) {
            (false, _) => self.held_since = None,
            (true, false) => self.release(),
            (true, true) => {
                self.held_since.get_or_insert_with(Instant::now);
            }
        }
    }

    fn release_late(&mut self) {
        let late = |since: Instant| since + HOLD_DEADLINE <= Instant::now();
        if self.held_since.is_some_and(late) {
            self.release();
        }
    }

    /// Passes on what is held as it came.
    fn release(&mut self) {
        self.held_since = None;
        self.release_fragments();
        match &mut self.cutting {
            Cutting::Nothing => {}
            Cutting::Http(cutter) => {
                let piece = cutter.release();
                self.give_up(piece);
            }
            Cutting::Frames(cutter) => {
                let piece = cutter.release();
                self.pass_piece(piece);
            }
        }
    }

    /// The source has ended. Whether it is to be read on: never.
    fn source_ended(&mut self, end: TcpEnd) -> bool {
        if let Cutting::Http(cutter) = &mut self.cutting {
            let piece = cutter.finish();
            self.give_up(piece);
        }
        self.release();
        if self.connection.is_closing() {
            self.connection.answered.notify_one();
        }
        let now = Instant::now();
        let treated = if !self.connection.is_http() && self.connection.is_meant() {
            let subject = Subject::Ended(self.way);
            self.connection
                .crook
                .treat(subject, self.way, &mut self.counts, || Unit::Event)
        } else {
            None
        };
        let Some((_, plan)) = treated else {
            self.outbox.end(now, End::Passed(end));
            return false;
        };
        let due = now + plan.delay;
        match plan.after {
            Some(after @ (After::Close(_) | After::End(_))) => self.then(due, after),
            Some(After::Hang) => self.outbox.hang(),
            None if plan.times == 0 => self.outbox.hang(),
            None => self.outbox.end(due, End::Passed(end)),
        }
        false
    }

    /// Lets the rules look at something that passes, and passes on what becomes of it. Whether they did anything.
    fn treat(&mut self, subject: Subject<'_>, unit: impl FnOnce() -> Unit) -> bool {
        let crook = &self.connection.crook;
        let Some((unit, plan)) = crook.treat(subject, self.way, &mut self.counts, unit) else {
            return false;
        };
        self.carry_out(&unit, plan);
        true
    }

    /// Does with frames what was planned. Of requests and answers, see `http`.
    fn carry_out(&mut self, unit: &Unit, plan: Plan) {
        let now = Instant::now();
        let due = now + plan.delay;
        let bytes = unit.bytes();
        for reply in plan.replies {
            self.inject_into(opposite(self.way), reply, Then::Everything);
        }
        if plan.leak || plan.divert {
            self.leak(&bytes, plan.divert);
        }
        if plan.keep {
            self.connection.keep(self.way, bytes.clone());
        }
        let times = if plan.divert { 0 } else { plan.times as usize };
        let all = bytes.repeat(times);
        if plan.swap {
            self.outbox.swap(now, all);
        } else if plan.overtaken {
            self.outbox.insert(due, whole(all));
        } else if times > 0 {
            self.outbox.pass_whole(due, all);
        }
        for also in plan.also {
            self.outbox.pass_whole(due, also);
        }
        for after in plan.again {
            self.outbox.insert(now + after, whole(bytes.clone()));
        }
        if let Some(after) = plan.after {
            self.then(due, after);
        }
    }

    fn leak(&self, bytes: &[u8], divert: bool) {
        let mut others = self.connection.others();
        if divert {
            others.drain(..others.len().saturating_sub(1));
        }
        for other in others {
            other.inject(self.way, whole(bytes.to_vec()));
        }
    }

    /// Puts whole frames into one of the ways of this connection.
    fn inject_into(&mut self, way: Way, bytes: Vec<u8>, then: Then) {
        let injected = Injected { bytes, then };
        if way == self.way {
            self.outbox.insert(Instant::now(), injected);
        } else {
            self.connection.inlets.inject(way, injected);
        }
    }

    /// What comes after something that was done.
    fn then(&mut self, due: Instant, after: After) {
        match after {
            After::End(end) => self.outbox.end(due, End::Both(end)),
            After::Hang => self.outbox.hang(),
            After::Close(code) => {
                self.connection.close();
                match self.way {
                    Way::Down => {
                        self.outbox.pass_whole(due, close_bytes(code));
                        self.outbox.end(due, End::Farewell);
                    }
                    Way::Up => {
                        self.inject_into(Way::Down, close_bytes(code), Then::Farewell);
                        self.outbox.hang();
                    }
                }
            }
        }
    }

    /// Our own close frame is out: awaits its answer, reads on meanwhile, and ends TCP.
    async fn say_goodbye(&self, source: &mut Reader) -> Result<(), Broken> {
        self.connection.close();
        let mut bytes = vec![0; READ_BYTES];
        let reading = async {
            // What the server still says goes nowhere, and its end is ours soon.
            while matches!(source.read(&mut bytes).await, Ok(read) if read > 0) {}
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = self.connection.answered.notified() => {}
            () = tokio::time::sleep(FAREWELL_DEADLINE) => {}
            () = reading => {}
        }
        Err(Broken::Ended(TcpEnd::Fin))
    }

    /// Whether a rule is about whole messages of this way and connection.
    fn wants_messages(&self) -> bool {
        want_messages(self.connection.crook.rules(), self.way) && self.connection.is_meant()
    }
}

fn whole(bytes: Vec<u8>) -> Injected {
    Injected {
        bytes,
        then: Then::Everything,
    }
}

async fn write(sink: &mut Writer, bytes: &[u8]) -> Result<(), Broken> {
    sink.write_all(bytes).await.map_err(|_| Broken::Sink)?;
    sink.flush().await.map_err(|_| Broken::Sink)
}
