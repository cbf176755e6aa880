//! Steps about the end of a connection, and about pongs.

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::Instant;
use touchstone_scenarios::scenario::{ActorName, Before, Client, ClosedMatcher, Payload, Step};

use super::expectations::{Taken, missed, timed_out};
use super::trial::{Flow, Halt, Trial};
use super::windows::Frame;
use crate::client::close_message;
use crate::frames::opcode;
use crate::matching::{
    Comparison, Mismatch, compare_closed, describe_close, payload_bytes, shortened, waits_for_tcp,
};
use crate::tap::{Direction, Record};
use crate::verdict::Check;

impl Trial<'_> {
    /// `closed`: how the server must have ended the connection.
    pub(super) async fn closed(&mut self, step: &Step, name: &ActorName, matcher: &ClosedMatcher) -> Flow {
        self.checks.looked_at(Check::Close);
        if matcher.clean.is_some() {
            self.checks.looked_at(Check::Clean);
        }
        let frame = self.frame(step)?;
        let index = self.actor(name)?;
        if self.actors[index].excused {
            return Ok(());
        }
        let Some(taken) = self.attempt_closed(index, matcher, frame).await else {
            let expected = self.compare(|environment| {
                let record = self.actors[index].log.record();
                let compared = compare_closed(matcher, &record, self.actors[index].client, environment);
                compared
                    .mismatches
                    .into_iter()
                    .next()
                    .map(|mismatch| mismatch.expected)
            });
            let expected = format!(
                "{} within {}",
                expected.unwrap_or("a close".to_owned()),
                frame.limit()
            );
            let check = if frame.explicit {
                Check::Timing
            } else {
                Check::Close
            };
            let attempt = Err(missed(matcher.span, &expected, &self.still_open(index), check));
            return self.conclude(step, index, attempt, frame).await;
        };
        self.actors[index].end_expected = true;
        self.mark(taken.at);
        self.report_early(step, name, taken.at, frame)?;
        if let (Before::Greeting, Some(heard)) = (matcher.before, self.greeting_heard(index)) {
            let let_in = Mismatch::new(
                matcher.span,
                "the close before any greeting",
                format!("`{heard}` first"),
                Check::Close,
            );
            self.report(step, Some(name), let_in, None)?;
        }
        if taken.found.mismatches.is_empty() {
            self.capture(taken.found.captures);
            return Ok(());
        }
        let why = self.closed_alternative(index, step, frame).await;
        taken
            .found
            .mismatches
            .into_iter()
            .try_for_each(|mismatch| self.report(step, Some(name), mismatch, why.as_deref()))
    }

    /// `closed: {all_but_one: […]}`: which of them is left is the server's choice, how the others end is not.
    pub(super) async fn closed_all_but_one(
        &mut self,
        step: &Step,
        names: &[ActorName],
        left: &ActorName,
        matcher: &ClosedMatcher,
    ) -> Flow {
        let frame = self.frame(step)?;
        let mut waiting = FuturesUnordered::new();
        for (position, name) in names.iter().enumerate() {
            let log = self.actors[self.actor(name)?].log.clone();
            waiting.push(async move {
                let ended = log.wait_for(frame.to, Record::server_ended_at).await;
                (position, ended.is_some())
            });
        }
        let mut ended = Vec::new();
        while ended.len() + 1 < names.len()
            && let Some((position, true)) = waiting.next().await
        {
            ended.push(position);
        }
        drop(waiting);
        // If too few have ended, those that have not are judged as if they had to, and found open.
        let last = (0..names.len()).rfind(|position| !ended.contains(position));
        let last = last.expect("fewer have ended than there are");
        self.call(self.actor(&names[last])?, &left.value);
        for (position, name) in names.iter().enumerate() {
            if position != last {
                self.closed(step, name, matcher).await?;
            }
        }
        Ok(())
    }

    async fn closed_alternative(&mut self, index: usize, step: &Step, frame: Frame) -> Option<String> {
        for alternative in &step.alternatives {
            if let Some(taken) = self.attempt_alternative(index, alternative, frame).await {
                self.actors[index].next = taken.next;
                return Some(alternative.why.clone());
            }
        }
        None
    }

    fn still_open(&self, index: usize) -> String {
        let record = self.actors[index].log.record();
        match record.server_close() {
            Some((body, _)) => format!("{}, then nothing: TCP is still open", describe_close(&body)),
            None => "a connection that is still open".to_owned(),
        }
    }

    /// Waits until it can be said how the connection ended; `None` if that cannot be said in time.
    pub(super) async fn attempt_closed(
        &mut self,
        index: usize,
        matcher: &ClosedMatcher,
        frame: Frame,
    ) -> Option<Taken> {
        let log = self.actors[index].log.clone();
        let whole = self.compare(|environment| waits_for_tcp(matcher, environment));
        // What came later than this may be there already, if the step began late.
        let in_time = |at: &Instant| *at <= frame.to;
        let closed_at = log.wait_for(frame.to, Record::server_ended_at).await;
        let closed_at = closed_at.filter(in_time)?;
        let at = if whole {
            self.answer_close(index, frame.to).await;
            let ended = |record: &Record| record.server_end.as_ref().map(|(_, at)| *at);
            let ended_at = log.wait_for(frame.to, ended).await;
            // A close frame that TCP does not follow is an outcome too, except where no close frame is wanted.
            let has_close_frame = log.record().server_close().is_some();
            ended_at
                .filter(in_time)
                .or(has_close_frame.then_some(closed_at))?
        } else {
            closed_at
        };
        let actor = &self.actors[index];
        let found =
            self.compare(|environment| compare_closed(matcher, &log.record(), actor.client, environment));
        Some(Taken {
            next: actor.next,
            at,
            found,
            captured: Vec::new(),
        })
    }

    /// A clean close takes two: a raw actor answers nothing by itself, so the step that asks for it does.
    async fn answer_close(&mut self, index: usize, deadline: Instant) {
        let actor = &mut self.actors[index];
        let answer = {
            let record = actor.log.record();
            let unanswered = record.client_close().is_none() && record.server_end.is_none();
            record
                .server_close()
                .filter(|_| unanswered && actor.client != Client::Judge)
        };
        if let (Some((body, _)), Some(connection)) = (answer, &mut actor.connection) {
            // A server that has ended TCP meanwhile needs no answer.
            let _gone = connection.send(close_message(body.code, ""), deadline).await;
        }
    }

    /// `ends`: a close frame or the end of TCP.
    pub(super) async fn ends(&mut self, step: &Step, name: &ActorName) -> Flow {
        self.checks.looked_at(Check::Close);
        let frame = self.frame(step)?;
        let index = self.actor(name)?;
        if self.actors[index].excused {
            return Ok(());
        }
        let log = self.actors[index].log.clone();
        let next = self.actors[index].next;
        let attempt = match log.wait_for(frame.to, Record::server_ended_at).await {
            Some(at) if at <= frame.to => Ok(Taken {
                next,
                at,
                found: Comparison::default(),
                captured: Vec::new(),
            }),
            Some(_) | None => {
                let check = if frame.explicit {
                    Check::Timing
                } else {
                    Check::Close
                };
                let expected = format!("the end of the connection within {}", frame.limit());
                Err(missed(step.span, &expected, &self.still_open(index), check))
            }
        };
        self.actors[index].end_expected = true;
        self.conclude(step, index, attempt, frame).await
    }

    /// `ponged`: a pong with these bytes that no step before has taken.
    pub(super) async fn ponged(&mut self, step: &Step, name: &ActorName, payload: &Payload) -> Flow {
        let bytes = payload_bytes(payload, &|name| self.variable(name))
            .map_err(|error| self.broken(step.span, &error))?;
        let index = self.actor(name)?;
        let awaited = AwaitedFrame {
            opcode: opcode::PONG,
            from: self.actors[index].next_pong,
            expected: format!("a pong with {}", shortened(&String::from_utf8_lossy(&bytes))),
            payload: Some(bytes),
        };
        let seen = self.control_frame(step, index, awaited).await?;
        self.actors[index].next_pong = seen.unwrap_or(self.actors[index].next_pong);
        Ok(())
    }

    /// `pinged`: a ping of the server that no step before has taken.
    pub(super) async fn pinged(&mut self, step: &Step, name: &ActorName, payload: Option<&Payload>) -> Flow {
        let bytes = payload.map(|payload| payload_bytes(payload, &|name| self.variable(name)));
        let bytes = bytes
            .transpose()
            .map_err(|error| self.broken(step.span, &error))?;
        let index = self.actor(name)?;
        let awaited = AwaitedFrame {
            opcode: opcode::PING,
            from: self.actors[index].next_ping,
            expected: "a ping".to_owned(),
            payload: bytes,
        };
        let seen = self.control_frame(step, index, awaited).await?;
        self.actors[index].next_ping = seen.unwrap_or(self.actors[index].next_ping);
        Ok(())
    }

    /// Awaits a control frame of the server; the number of the frame after it.
    async fn control_frame(
        &mut self,
        step: &Step,
        index: usize,
        awaited: AwaitedFrame,
    ) -> Result<Option<usize>, Halt> {
        self.checks.looked_at(Check::Message);
        let frame = self.frame(step)?;
        if self.actors[index].excused {
            return Ok(None);
        }
        let log = self.actors[index].log.clone();
        let seen = log.wait_for(frame.to, |record| {
            let mut frames = record.frames.iter().enumerate().skip(awaited.from);
            let fits = |(_, (direction, frame)): &(usize, &(Direction, crate::frames::Frame))| {
                *direction == Direction::Down
                    && frame.header.opcode == awaited.opcode
                    && awaited
                        .payload
                        .as_ref()
                        .is_none_or(|bytes| frame.payload == *bytes)
            };
            frames.find(fits).map(|(number, (_, frame))| (number, frame.at))
        });
        let next = self.actors[index].next;
        let (attempt, number) = match seen.await {
            Some((number, at)) if at <= frame.to => {
                let taken = Taken {
                    next,
                    at,
                    found: Comparison::default(),
                    captured: Vec::new(),
                };
                (Ok(taken), Some(number + 1))
            }
            Some(_) | None => (Err(timed_out(step.span, &awaited.expected, frame)), None),
        };
        self.conclude(step, index, attempt, frame).await?;
        Ok(number)
    }
}

/// A control frame that is waited for.
struct AwaitedFrame {
    opcode: u8,
    /// From this frame of the connection on.
    from: usize,
    expected: String,
    /// `None`: whatever it holds.
    payload: Option<Vec<u8>>,
}
