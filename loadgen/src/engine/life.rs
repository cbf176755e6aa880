//! A session's life on its loop: it gets a token, connects, hears what comes, loses its connection and comes back.

use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use touchstone_protocol::client::{ClientHalf, Comeback};
use touchstone_report::number;

use super::connect::{self, Connected, Connector, Failure, attempt};
use super::lookout::More;
use super::session::{End, Standing, Token};
use super::socket::Pipe as _;
use super::{Shared, fetch};
use crate::ledger::Timing;
use crate::record::{ErrorKind, Latency, Sample};
use crate::schedule::{Nanos, nanos};

impl<K: Connector, C: ClientHalf + 'static> Shared<K, C> {
    /// A session's life, from its arrival until it does not come back any more.
    pub(super) async fn live(self: Rc<Self>, slot: usize) {
        let mut due = self.job.plan.arrivals[self.job.session(slot) as usize];
        let mut attempts = 0;
        self.sessions[slot].borrow_mut().standing = Standing::Away {
            since: due,
            due_back: None,
        };
        let mut token = Token::Wanted;
        loop {
            // Boxed: a handshake's state is large, and gone when the session talks.
            let came = tokio::select! {
                biased;
                () = self.ending.cancelled() => break,
                came = Box::pin(self.come(slot, due, &mut token)) => came,
            };
            let comes_back = match came {
                Ok(end) => {
                    attempts = 0;
                    let end = match end {
                        Some(end) => self.ended(slot, end),
                        None => std::future::poll_fn(|cx| self.talk(slot, cx)).await,
                    };
                    end.comes_back(&self.sessions[slot].borrow().client)
                }
                Err(failure) => {
                    self.recorder.borrow_mut().error(failure.kind, 1);
                    self.comes_again(slot, &failure, token)
                }
            };
            let Some((advice, next_token)) = comes_back else {
                break;
            };
            if self.sessions[slot].borrow().is_leaving() {
                break;
            }
            token = next_token;
            let backoff = self.sessions[slot].borrow().client.backoff();
            let jitter = self.scratch.borrow_mut().jitter();
            let Some(wait) = backoff.wait(attempts, jitter, advice) else {
                break;
            };
            due = self.now().saturating_add(nanos(wait));
            attempts += 1;
            tokio::select! {
                biased;
                () = self.ending.cancelled() => break,
                () = tokio::time::sleep_until(self.instant(due)) => {}
            }
        }
        let mut session = self.sessions[slot].borrow_mut();
        session.standing = if session.is_leaving() {
            Standing::Left
        } else {
            Standing::Gone
        };
    }

    /// Whether a session tries again that could not connect, after how long at least, and with which token.
    fn comes_again(&self, slot: usize, failure: &Failure, token: Token) -> Option<(Option<Duration>, Token)> {
        let client = &self.sessions[slot].borrow().client;
        let advice = match failure.again {
            connect::Again::After(advice) => Some(advice),
            connect::Again::Never => None,
        };
        match failure.status.and_then(|status| client.refused(status)) {
            Some(Comeback::Never) => None,
            Some(Comeback::Again) => Some((advice.flatten(), token)),
            Some(Comeback::WithNewToken) => Some((advice.flatten(), Token::Wanted)),
            None => advice.map(|advice| (advice, token)),
        }
    }

    /// Gets a token where one is wanted, and connects; `due` is when the session was meant to.
    async fn come(&self, slot: usize, due: Nanos, token: &mut Token) -> Result<Option<End>, Failure> {
        match token {
            Token::Wanted => self.log_in(slot, due).await?,
            Token::Kept => {}
        }
        *token = Token::Kept;
        self.connect(slot, due).await
    }

    async fn log_in(&self, slot: usize, due: Nanos) -> Result<(), Failure> {
        let Some(coming) = self.job.backstage.token(self.job.session(slot)) else {
            return Ok(());
        };
        let begun = self.now();
        let failure = |why| Failure {
            kind: ErrorKind::Login,
            again: connect::Again::After(None),
            status: None,
            why,
        };
        let deadline = self.job.plan.connect_deadline;
        let token = tokio::time::timeout(deadline, coming)
            .await
            .map_err(|_| failure(format!("no token within {}", number::duration(deadline))))?
            .map_err(failure)?;
        self.turn(slot, |session, turn| {
            session.given(token);
            let timing = Timing {
                intended: due,
                sent: begun,
            };
            let answered = turn.now;
            turn.recorder.sample(Latency::Login, Sample { timing, answered });
        });
        Ok(())
    }

    /// Connects the session, for the first time or again; `due` is when it was meant to.
    async fn connect(&self, slot: usize, due: Nanos) -> Result<Option<End>, Failure> {
        let permit = self
            .connecting
            .acquire()
            .await
            .expect("the semaphore is never closed");
        let begun = self.now();
        let address = self.sessions[slot].borrow().client.address();
        let key = self.scratch.borrow_mut().handshake_key();
        let node = self.job.session(slot) as usize % self.job.nodes.len();
        let place = (node, &self.job.nodes[node]);
        let connected = attempt(
            &self.connector,
            place,
            &address,
            key,
            self.job.plan.connect_deadline,
        )
        .await?;
        drop(permit);
        let connected = self.watched(slot, connected)?;
        Ok(self.turn(slot, |session, turn| {
            let latency = if session.connections == 0 {
                Latency::Connect
            } else {
                Latency::Resume
            };
            let timing = Timing {
                intended: due,
                sent: begun,
            };
            turn.recorder.sample(
                latency,
                Sample {
                    timing,
                    answered: turn.now,
                },
            );
            if latency == Latency::Resume {
                turn.recorder.reconnects += 1;
                turn.recorder.second.reconnects += 1;
            }
            if let Standing::Away {
                since,
                due_back: Some(due_back),
            } = session.standing
            {
                let mut storm = self.storm.get();
                storm.back += 1;
                self.storm.set(storm);
                turn.recorder.recovery.record(turn.now - since);
                turn.recorder
                    .error(ErrorKind::NotBack, u64::from(turn.now > due_back));
            }
            self.connected.set(self.connected.get() + 1);
            let end = session.opened(connected, turn);
            if self.last_words.get() && session.hearing.pages.is_none() {
                self.say(session, turn);
            }
            if session.is_leaving() {
                session.leave(turn);
            }
            end
        }))
    }

    /// Lets the lookout tell when the session has something to read, where it can.
    fn watched(&self, slot: usize, connected: Connected<K::Stream>) -> Result<Connected<K::Stream>, Failure> {
        let Connected {
            stream,
            leftover,
            agreement,
        } = connected;
        match stream.watched(slot, &self.lookout) {
            Ok(stream) => Ok(Connected {
                stream,
                leftover,
                agreement,
            }),
            Err(error) => Err(Failure {
                kind: ErrorKind::Connect,
                again: connect::Again::After(None),
                status: None,
                why: error.to_string(),
            }),
        }
    }

    /// Ready when the connection has ended, whoever has found that out.
    fn talk(&self, slot: usize, cx: &mut Context<'_>) -> Poll<End> {
        if let Some(end) = self.sessions[slot].borrow_mut().take_end() {
            return Poll::Ready(end);
        }
        let polled = self.turn(slot, |session, turn| session.poll(cx, turn));
        polled.map(|end| self.ended(slot, end))
    }

    /// Lets all who are watched hear what has come for them, a batch at most.
    pub(super) fn sweep(&self) -> More {
        let expect = |slot: usize| fetch(&self.sessions[slot]);
        self.lookout.sweep(expect, |slot, told| {
            let heard = self.turn(slot, |session, turn| session.told(told, turn));
            if let Poll::Ready(end) = heard {
                self.ended(slot, end);
                self.sessions[slot].borrow_mut().keep_end(end);
            }
        })
    }

    /// Sweeps whenever there is something to hear, for as long as it is polled.
    pub(super) async fn keep_lookout(self: Rc<Self>) {
        loop {
            self.lookout.news().await;
            while self.sweep() == More::Perhaps {
                tokio::task::yield_now().await;
            }
        }
    }

    fn ended(&self, slot: usize, end: End) -> End {
        self.connected.set(self.connected.get() - 1);
        let now = self.now();
        self.sessions[slot].borrow_mut().ended(now, None);
        if let Some(kind) = end.error() {
            let mut recorder = self.recorder.borrow_mut();
            recorder.error(kind, 1);
            recorder.unexpected_closes += 1;
        }
        end
    }
}
