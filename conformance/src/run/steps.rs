//! What each verb of the language does. Steps that wait for something stand in [`super::expectations`], those that
//! open connections in [`super::connecting`], those about the server itself in [`super::outside`].

use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;
use touchstone_scenarios::scenario::{Action, ActorName, Opening, Payload, RawFrame, Step, TcpFault};

use super::trial::{Flow, Halt, Trial};
use crate::client::{SendError, close_message, frame_bytes};
use crate::matching::{Comparison, Mismatch, describe_close, payload_bytes};
use crate::verdict::Check;

impl Trial<'_> {
    /// Makes a step. `following`: the steps after it, as far as they are known.
    pub(super) async fn run_step(&mut self, step: &Step, following: &[Step]) -> Flow {
        self.enter(step);
        match &step.action {
            Action::Connect {
                actors,
                opening: Opening::InTurn,
                greeting,
            } => self.connect(step, actors, *greeting, following).await,
            Action::Connect {
                actors,
                opening: Opening::AtOnce,
                greeting,
            } => self.connect_at_once(step, actors, *greeting, following).await,
            Action::ConnectAs {
                actor,
                connection,
                greeting,
            } => {
                self.connect_as(step, actor, connection, following).await?;
                self.greet(step, actor, connection, *greeting).await
            }
            Action::Refused { actor, response } => self.refused(step, actor, response).await,
            Action::Handshake { request, response } => self.handshake(step, request, response.as_ref()).await,
            Action::Send { actor, payload } => self.send(step, actor, payload).await,
            Action::SendBinary { actor, payload } => self.send_binary(step, actor, payload).await,
            Action::Raw { actor, frames, chop } => self.raw(step, actor, frames, *chop).await,
            Action::Expect { actors, expected } => self.expect(step, actors, expected).await,
            Action::Nothing { actors, lasting } => {
                let lasting = self.duration(lasting)?;
                self.nothing(step, actors, lasting).await
            }
            Action::Close { actor, code, reason } => self.close(step, actor, *code, reason).await,
            Action::Closed { actor, matcher } => self.closed(step, actor, matcher).await,
            Action::ClosedAllButOne {
                actors,
                left,
                matcher,
            } => self.closed_all_but_one(step, actors, left, matcher).await,
            Action::Ends { actor } => self.ends(step, actor).await,
            Action::Ponged { actor, payload } => self.ponged(step, actor, payload).await,
            Action::Pinged { actor, payload } => self.pinged(step, actor, payload.as_ref()).await,
            Action::Tcp { actor, fault } => self.tcp(step, actor, *fault).await,
            Action::Http { request, response } => self.http(step, request, response).await,
            Action::HttpAtOnce { requests, responses } => self.http_at_once(step, requests, responses).await,
            Action::Inject {
                to,
                kind,
                data,
                later,
            } => self.inject(step, (to, kind, data), later.as_ref()).await,
            // Whoever is introduced was made before the first step.
            Action::Introduce => Ok(()),
            Action::Events { user, matcher } => self.events(step, user, matcher).await,
            Action::Operate(operation) => self.operate(operation).await,
            Action::Kill => self.kill(step).await,
            Action::Fault(fault) => self.fault(step, fault).await,
            Action::Stop { signal } => self.stop(step, *signal).await,
            Action::Stopped { exit } => self.stopped(step, *exit).await,
            Action::Start => self.start(step).await,
            Action::Log { matcher } => self.log(step, matcher).await,
            Action::Unlogged { text } => self.unlogged(step, text).await,
            Action::Metrics { moved } => self.metrics(step, moved).await,
            Action::Pause(lasting) => {
                let lasting = self.duration(lasting)?;
                tokio::time::sleep(lasting).await;
                self.mark(Instant::now());
                Ok(())
            }
            Action::Interleave { lanes, .. } => Box::pin(self.interleave(lanes)).await,
            Action::Table(table) => {
                self.bind_row()?;
                for (index, step) in table.each.iter().enumerate() {
                    Box::pin(self.run_step(step, &table.each[index + 1..])).await?;
                }
                Ok(())
            }
        }
    }

    /// Makes the lanes' steps in the order of this trial's turns.
    async fn interleave(&mut self, lanes: &[(ActorName, Vec<Step>)]) -> Flow {
        let mut next = vec![0; lanes.len()];
        for lane in self.turns.clone() {
            let steps = lanes.get(lane).map_or(&[][..], |(_, steps)| steps);
            if let Some(step) = steps.get(next[lane]) {
                next[lane] += 1;
                self.run_step(step, &steps[next[lane]..]).await?;
            }
        }
        Ok(())
    }

    async fn send(&mut self, step: &Step, name: &ActorName, payload: &Payload) -> Flow {
        let bytes = self.payload(step, payload)?;
        let text = String::from_utf8(bytes).map_err(|_| {
            self.broken(
                step.span,
                &"what is not UTF-8 cannot be sent as text; `raw` can send it in a frame",
            )
        })?;
        self.send_message(step, name, Message::text(text)).await
    }

    async fn send_binary(&mut self, step: &Step, name: &ActorName, payload: &Payload) -> Flow {
        let bytes = self.payload(step, payload)?;
        self.send_message(step, name, Message::binary(bytes)).await
    }

    fn payload(&self, step: &Step, payload: &Payload) -> Result<Vec<u8>, Halt> {
        payload_bytes(payload, &|name| self.variable(name)).map_err(|error| self.broken(step.span, &error))
    }

    /// `close`: the client begins the close handshake.
    async fn close(&mut self, step: &Step, name: &ActorName, code: Option<u16>, reason: &str) -> Flow {
        let index = self.actor(name)?;
        self.actors[index].end_expected = true;
        self.send_message(step, name, close_message(code, reason)).await
    }

    /// Sends with the actor's own client. A connection that takes nothing more is a failure: who sends, means it.
    async fn send_message(&mut self, step: &Step, name: &ActorName, message: Message) -> Flow {
        let frame = self.frame(step)?;
        let index = self.actor(name)?;
        let actor = &mut self.actors[index];
        if actor.excused {
            return Ok(());
        }
        let sent = match &mut actor.connection {
            Some(connection) => connection.send(message, frame.to).await,
            None => Err(SendError::Closed),
        };
        let log = actor.log.clone();
        match sent {
            Ok(()) => {
                let at = log.record().last_sent_at().unwrap_or_else(Instant::now);
                self.mark(at);
                Ok(())
            }
            Err(error) => {
                let close = log.record().server_close().map(|(body, _)| describe_close(&body));
                let actual = close.map_or_else(|| error.to_string(), |close| format!("{error}: {close}"));
                let found = Comparison::mismatch(step.span, "a connection that takes what is sent", actual);
                for mismatch in found.mismatches {
                    self.report(
                        step,
                        Some(name),
                        Mismatch {
                            check: Check::Close,
                            ..mismatch
                        },
                        None,
                    )?;
                }
                Err(Halt::Found)
            }
        }
    }

    /// `raw`: frames as they are written. A server that has enough of them may stop reading: no failure by itself.
    async fn raw(&mut self, step: &Step, name: &ActorName, frames: &[RawFrame], chop: Option<usize>) -> Flow {
        let frame = self.frame(step)?;
        let bytes = frame_bytes(frames, &|name| self.variable(name))
            .map_err(|error| self.broken(step.span, &error))?;
        let index = self.actor(name)?;
        let actor = &mut self.actors[index];
        if actor.excused {
            return Ok(());
        }
        let written = match &mut actor.connection {
            Some(connection) => connection.write(&bytes, chop, frame.to).await,
            None => Err(SendError::Closed),
        };
        let at = actor.log.record().last_sent_at();
        if let Err(error) = written {
            self.note(format!("{}: not all of it was taken: {error}", name.value));
        }
        self.mark(at.unwrap_or_else(Instant::now));
        Ok(())
    }

    async fn tcp(&mut self, step: &Step, name: &ActorName, fault: TcpFault) -> Flow {
        let frame = self.frame(step)?;
        let index = self.actor(name)?;
        let actor = &mut self.actors[index];
        let Some(mut connection) = actor.connection.take() else {
            return Ok(());
        };
        let done = match fault {
            TcpFault::Reset => {
                actor.end_expected = true;
                connection.reset().await
            }
            TcpFault::HalfClose => {
                actor.end_expected = true;
                let done = connection.half_close(frame.to).await;
                actor.connection = Some(connection);
                done
            }
            TcpFault::StopReading => {
                connection.stop_reading();
                actor.connection = Some(connection);
                Ok(())
            }
            TcpFault::ResumeReading => {
                connection.resume_reading();
                actor.connection = Some(connection);
                Ok(())
            }
        };
        if let Err(error) = done {
            // The server was faster: what it did is in the transcript.
            self.note(format!("{}: {error}", name.value));
        }
        self.mark(Instant::now());
        Ok(())
    }
}
