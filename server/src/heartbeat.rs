//! Heartbeats: one task and a wheel for all connections of a route, instead of a timer in each of them. Where a dialect
//! wants its heartbeats answered, the same wheel finds who did not.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::connection::{Close, Connection, Sent};
use crate::hub::{Hub, Whereabouts};
use crate::wheel::{Stretch, Wheel};

/// So many are served before others get the thread.
const CROWD_AT_ONCE: usize = 256;

/// With so many turns ahead, those of connections that have gone are looked for: an interval may be an hour, in which
/// many come and go.
const SEARCHED_AT_MIN: usize = 1_024;

/// Whether a dialect's heartbeats are answered.
#[derive(Debug, Clone)]
pub(crate) enum Answers {
    /// Nobody answers.
    NotAwaited,
    /// Who has not answered in time is ended.
    Awaited {
        /// Counted from the heartbeat.
        timeout: Duration,
        /// How it is ended.
        otherwise: Otherwise,
    },
}

/// What happens to a connection that does not answer.
#[derive(Debug, Clone)]
pub(crate) enum Otherwise {
    /// It is closed.
    Close(Close),
    /// TCP just ends.
    Terminate,
}

/// What is due of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// A heartbeat.
    Beat,
    /// The answer to the last one.
    Answer,
}

type Due = (Whereabouts, Turn);

/// Sends heartbeats to the connections of one route.
#[derive(Debug)]
pub(crate) struct Heartbeats {
    hub: Arc<Hub>,
    interval: Duration,
    answers: Answers,
    turns: Mutex<Turns>,
}

/// Whose turn is when.
#[derive(Debug)]
struct Turns {
    wheel: Wheel<Due>,
    /// From so many on, the turns of connections that have gone are looked for: twice what was left the last time, so
    /// that each turn is looked at about once.
    searched_at: usize,
}

impl Heartbeats {
    /// For nobody yet.
    pub(crate) fn new(hub: Arc<Hub>, interval: Duration, answers: Answers, random: fastrand::Rng) -> Self {
        Self {
            hub,
            interval,
            answers,
            turns: Mutex::new(Turns {
                wheel: Wheel::new(interval, random, Instant::now()),
                searched_at: SEARCHED_AT_MIN,
            }),
        }
    }

    /// From now on the connection gets heartbeats, the first after one interval.
    pub(crate) fn join(&self, connection: Whereabouts) {
        // One that is gone by then is found out when its turn comes, or when there may be many like it.
        let mut turns = self.turns();
        turns.wheel.schedule(Instant::now(), (connection, Turn::Beat));
        if turns.wheel.len() > turns.searched_at {
            self.forget_gone_of(&mut turns);
        }
    }

    /// Forgets the turns of connections that have gone.
    pub(crate) fn forget_gone(&self) {
        self.forget_gone_of(&mut self.turns());
    }

    fn forget_gone_of(&self, turns: &mut Turns) {
        turns
            .wheel
            .retain(|(connection, _)| self.hub.at(*connection).is_some());
        turns.searched_at = SEARCHED_AT_MIN.max(2 * turns.wheel.len());
    }

    /// Sends `beat()` to whoever is due, until `stop`. `sent` is told how many took it.
    pub(crate) async fn run(&self, beat: impl Fn() -> Bytes, sent: impl Fn(u64), stop: CancellationToken) {
        while stop
            .run_until_cancelled(tokio::time::sleep_until(self.next_turn()))
            .await
            .is_some()
        {
            let due = self.turns().wheel.take_due(Instant::now());
            if due.is_empty() {
                continue;
            }
            let frame = beat();
            for crowd in due.chunks(CROWD_AT_ONCE) {
                let beaten = self.serve(crowd, &frame);
                sent(beaten);
                tokio::task::yield_now().await;
            }
        }
    }

    /// Does what is due and puts back who is still there. Returns how many heartbeats were taken.
    fn serve(&self, crowd: &[Due], frame: &Bytes) -> u64 {
        let now = Instant::now();
        let mut beaten = 0;
        let mut next = Vec::with_capacity(crowd.len());
        for (connection, turn) in crowd {
            let Some(alive) = self.hub.at(*connection) else {
                continue;
            };
            match (turn, &self.answers) {
                (Turn::Answer, Answers::Awaited { timeout, otherwise }) => {
                    if alive.owes_answer() && alive.is_heard() {
                        next.push((*timeout, Stretch::No, (*connection, Turn::Answer)));
                    } else if alive.owes_answer() {
                        otherwise.end(&alive);
                    } else {
                        // The interval counts from the heartbeat, not from its answer.
                        let left = self.interval.saturating_sub(*timeout);
                        next.push((left, Stretch::Yes, (*connection, Turn::Beat)));
                    }
                }
                (Turn::Beat | Turn::Answer, answers) => {
                    // Before the frame leaves: the answer may be quicker than we are.
                    alive.await_answer();
                    if alive.send(frame) != Sent::Taken {
                        continue;
                    }
                    beaten += 1;
                    next.push(match answers {
                        Answers::NotAwaited => (self.interval, Stretch::Yes, (*connection, Turn::Beat)),
                        Answers::Awaited { timeout, .. } => {
                            (*timeout, Stretch::No, (*connection, Turn::Answer))
                        }
                    });
                }
            }
        }
        let wheel = &mut self.turns().wheel;
        for (after, stretch, due) in next {
            wheel.schedule_after(now, after, stretch, due);
        }
        beaten
    }

    /// When somebody may be due. Who joins after now is not due before one interval from now, so nobody has to wake the
    /// task for him; answers are awaited by the task itself.
    fn next_turn(&self) -> Instant {
        let latest = Instant::now() + self.interval;
        self.turns()
            .wheel
            .first_due()
            .map_or(latest, |due| due.min(latest))
    }

    fn turns(&self) -> MutexGuard<'_, Turns> {
        self.turns
            .lock()
            .expect("its lock is never poisoned: no code panics while holding it")
    }
}

impl Otherwise {
    fn end(&self, connection: &Connection) {
        match self {
            Self::Close(close) => connection.end(close),
            Self::Terminate => connection.terminate(),
        }
    }
}
