//! What a session hears, and makes of it.

use std::borrow::Cow;
use std::collections::VecDeque;

use touchstone_protocol::client::{self, ClientHalf, Effect, Heard, Key, Stamp, Way};

use super::backstage::About;
use super::session::Turn;
use crate::ledger::delivery::{Arrival, Confirmed, Inbox, Outbox};
use crate::ledger::{Answered, Asked, Sender, Timing, To};
use crate::record::{ErrorKind, Latency, Sample};
use crate::schedule::Nanos;

/// Acts of one connection that may wait for their reply. A server that answers none of them is not asked more precisely.
const REPLIES_WAITING_MAX: usize = 256;

/// What a session has heard, and makes of it.
pub(super) struct Hearing {
    /// Of its acts that are answered.
    pub(super) ledger: Sender,
    /// Of its acts that are delivered, and of what others deliver to it; on protocols that have such acts.
    pub(super) pages: Option<Box<Pages>>,
    pub(super) sender: u64,
    last_heartbeat: Option<Nanos>,
    last_gap: Option<Nanos>,
    /// Whether all has come that a text asked for to catch up; the session asks for more, and takes it back.
    pub(super) read_back: bool,
    /// Whether an act of its own has had its effect; the session takes it back.
    pub(super) had_effect: bool,
    /// Acts of this connection whose reply bears no stamp, oldest first. Most sessions have none.
    awaited: Option<Box<Replies>>,
}

/// By which way something was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Channel {
    /// Over the own connection: so comes the reply.
    Connection,
    /// By a request, whose answer is the reply.
    Request,
}

/// Oldest first.
#[derive(Default)]
struct Replies(VecDeque<Awaited>);

struct Awaited {
    act: usize,
    timing: Timing,
}

impl Hearing {
    pub(super) fn new(sender: u64, pages: Option<Box<Pages>>) -> Self {
        Self {
            ledger: Sender::default(),
            pages,
            sender,
            last_heartbeat: None,
            last_gap: None,
            read_back: false,
            had_effect: false,
            awaited: None,
        }
    }

    /// Whether a confirmation, or a reply without a stamp, may still come in time.
    pub(super) fn waits(&self, now: Nanos, deadline: Nanos) -> bool {
        let newest = self.awaited.as_ref().and_then(|replies| replies.0.back());
        newest.is_some_and(|awaited| now <= awaited.timing.sent + deadline)
            || self
                .pages
                .as_ref()
                .is_some_and(|pages| pages.waits(now, deadline))
    }

    /// Acts of the open connection that were not replied to.
    pub(super) fn unreplied(&self) -> u64 {
        self.awaited.as_ref().map_or(0, |replies| replies.0.len() as u64)
    }

    /// Notes that the connection ended, whoever ended it.
    pub(super) fn ended(&mut self, now: Nanos) {
        self.ledger.ended();
        if let Some(pages) = &mut self.pages {
            pages.inbox.left(now);
        }
    }

    pub(super) fn opened(&mut self, client: &mut impl ClientHalf, turn: &mut Turn<'_>) {
        self.ledger.opened();
        self.last_heartbeat = None;
        self.last_gap = None;
        self.awaited = None;
        client.opened(&mut |heard| self.heard(&heard, turn));
    }

    /// What the next message carries, if it has such an effect.
    pub(super) fn stamp(&self, effect: Effect, timing: Timing) -> Stamp {
        let sequence = match (effect, &self.pages) {
            (Effect::Answer, _) => self.ledger.next_sequence(),
            (Effect::Delivery { .. }, Some(pages)) => pages.outbox.next_sequence(),
            // In no page: nobody is owed it.
            (Effect::Delivery { .. }, None) | (Effect::Reply | Effect::Nothing, _) => 0,
        };
        Stamp {
            key: Key {
                sender: self.sender,
                sequence,
            },
            intended_micros: timing.intended / 1_000,
            lag_micros: timing.sent.saturating_sub(timing.intended) / 1_000,
        }
    }

    /// Notes what was done, so that its effects are known when they are heard.
    pub(super) fn acted(&mut self, done: client::Turn, by: Channel, timing: Timing, turn: &mut Turn<'_>) {
        match (turn.acts[done.act].effect, by) {
            (Effect::Answer, _) => {
                let act = u32::try_from(done.act).expect("few acts");
                self.ledger.sent(Asked { act, timing }, turn.deadline);
            }
            (Effect::Delivery { audience }, _) => {
                if let Some(pages) = &mut self.pages {
                    let recipient = u32::try_from(done.recipient).expect("a group has fewer than 2^32");
                    pages.outbox.sent(timing.sent, To::of(audience, recipient));
                    pages.acts.note(pages.outbox.count(), done.act);
                    pages.last_sent = timing.sent;
                }
            }
            (Effect::Reply, Channel::Connection) => {
                let Replies(awaited) = &mut **self.awaited.get_or_insert_default();
                if awaited.len() == REPLIES_WAITING_MAX {
                    awaited.pop_front();
                    turn.recorder.error(ErrorKind::Unanswered, 1);
                }
                awaited.push_back(Awaited {
                    act: done.act,
                    timing,
                });
            }
            (Effect::Reply, Channel::Request) | (Effect::Nothing, _) => {}
        }
    }

    /// Takes in a text, and hands back what the server wants back.
    pub(super) fn text<'t>(
        &mut self,
        client: &mut impl ClientHalf,
        text: &'t str,
        turn: &mut Turn<'_>,
    ) -> Option<Cow<'t, str>> {
        let mut wanted_back = None;
        client.hear(text, &mut |heard| {
            if let Heard::Heartbeat { reply } = &heard {
                wanted_back.clone_from(reply);
            }
            self.heard(&heard, turn);
        });
        wanted_back
    }

    /// Takes in the answer to a request: its status and its body.
    pub(super) fn reply(
        &mut self,
        client: &mut impl ClientHalf,
        about: About,
        (status, body): (u16, &str),
        turn: &mut Turn<'_>,
    ) {
        client.answered(about.asked(), status, body, &mut |heard| match (heard, about) {
            (
                Heard::Answer { stamp, .. } | Heard::Confirmed { stamp },
                About::Act {
                    act,
                    stamp: own,
                    timing,
                },
            ) if stamp == own && !is_entered(turn.acts[act as usize].effect) => {
                turn.recorder.acted(act as usize, sample(timing, turn));
            }
            (Heard::Reply { .. }, About::Act { act, timing, .. }) => {
                turn.recorder.acted(act as usize, sample(timing, turn));
            }
            (heard, _) => self.heard(&heard, turn),
        });
    }

    fn heard(&mut self, heard: &Heard<'_>, turn: &mut Turn<'_>) {
        match *heard {
            Heard::Answer { stamp, count } => self.answer(stamp.key, count, turn),
            Heard::Confirmed { stamp } => self.confirmed(stamp, turn),
            Heard::Delivery { stamp, by } => self.delivery(stamp, by, turn),
            Heard::Reply { act } => self.replied(act, turn),
            Heard::Heartbeat { .. } => self.heartbeat(turn),
            Heard::Ready => {
                if let Some(pages) = &mut self.pages {
                    pages.inbox.ready(turn.now);
                }
            }
            Heard::Push => turn.recorder.pushes += 1,
            Heard::ReadBack => self.read_back = true,
            Heard::Refused => turn.recorder.error(ErrorKind::Refused, 1),
            Heard::Unknown => turn.recorder.error(ErrorKind::Unknown, 1),
        }
    }

    fn heartbeat(&mut self, turn: &mut Turn<'_>) {
        let gap = self.last_heartbeat.map(|last| turn.now - last);
        turn.recorder
            .heartbeat(gap.zip(self.last_gap).map(|(gap, before)| gap.abs_diff(before)));
        (self.last_heartbeat, self.last_gap) = (Some(turn.now), gap);
    }

    fn answer(&mut self, key: Key, count: Option<u64>, turn: &mut Turn<'_>) {
        let answered = if key.sender == self.sender {
            self.ledger.answer(key.sequence, count, turn.now, turn.deadline)
        } else {
            Answered::Foreign
        };
        match answered {
            Answered::First(asked) => {
                turn.recorder.answered();
                self.had_effect = true;
                if let Some(Asked { act, timing }) = asked {
                    let sample = sample(timing, turn);
                    turn.recorder.sample(Latency::Answer, sample);
                    // Where there is one act its answers are all answers: the summary knows its times without them being
                    // recorded twice.
                    if turn.acts.len() > 1 {
                        turn.recorder.acted(act as usize, sample);
                    }
                }
            }
            Answered::Again => {}
            Answered::Foreign => turn.recorder.error(ErrorKind::ForeignAnswer, 1),
        }
    }

    fn confirmed(&mut self, stamp: Stamp, turn: &mut Turn<'_>) {
        let own = self.pages.as_mut().filter(|_| stamp.key.sender == self.sender);
        let confirmed = own.map_or((Confirmed::Foreign, None), |pages| {
            let sequence = stamp.key.sequence;
            (pages.outbox.confirmed(sequence), pages.acts.take(sequence))
        });
        match confirmed {
            (Confirmed::First, act) => {
                turn.recorder.answered();
                self.had_effect = true;
                let sample = sample(timing_of(stamp), turn);
                turn.recorder.sample(Latency::Confirm, sample);
                if let Some(act) = act {
                    turn.recorder.acted(act, sample);
                }
            }
            (Confirmed::Again, _) => {}
            (Confirmed::Foreign, _) => turn.recorder.error(ErrorKind::ForeignAnswer, 1),
        }
    }

    fn delivery(&mut self, stamp: Stamp, by: Way, turn: &mut Turn<'_>) {
        let Some(pages) = &mut self.pages else {
            turn.recorder.error(ErrorKind::ForeignDelivery, 1);
            return;
        };
        let arrival = pages.inbox.heard(stamp, by, turn.now, turn.deadline);
        match (by, arrival) {
            (Way::CaughtUp | Way::Redelivered, _) => {}
            (Way::Live, Arrival::First | Arrival::Late) => {
                turn.recorder.delivered();
                turn.recorder
                    .sample(Latency::Delivery, sample(timing_of(stamp), turn));
            }
            (Way::Live, Arrival::Again | Arrival::Known) => turn.recorder.delivered(),
        }
    }

    fn replied(&mut self, act: usize, turn: &mut Turn<'_>) {
        let waiting = self.awaited.iter().flat_map(|replies| replies.0.iter());
        let oldest = waiting.enumerate().find(|(_, awaited)| awaited.act == act);
        let Some((place, Awaited { timing, .. })) = oldest else {
            turn.recorder.error(ErrorKind::ForeignAnswer, 1);
            return;
        };
        turn.recorder.acted(act, sample(*timing, turn));
        self.had_effect = true;
        if let Some(replies) = &mut self.awaited {
            replies.0.remove(place);
        }
    }
}

/// What a session sent to others and heard of them.
#[derive(Default)]
pub(super) struct Pages {
    pub(super) outbox: Outbox,
    pub(super) inbox: Inbox,
    /// When the last message was sent.
    pub(super) last_sent: Nanos,
    acts: ActLog,
}

impl Pages {
    /// Whether a confirmation may still come in time.
    pub(super) fn waits(&self, now: Nanos, deadline: Nanos) -> bool {
        self.outbox.unconfirmed() > 0 && now <= self.last_sent + deadline
    }
}

/// Which act each of the last unconfirmed messages was; a confirmation says only which message it is for.
#[derive(Default)]
struct ActLog(VecDeque<(u32, u32)>);

impl ActLog {
    fn note(&mut self, sequence: u32, act: usize) {
        if self.0.len() == REPLIES_WAITING_MAX {
            self.0.pop_front();
        }
        self.0
            .push_back((sequence, u32::try_from(act).expect("few acts")));
    }

    fn take(&mut self, sequence: u32) -> Option<usize> {
        let at = self.0.binary_search_by_key(&sequence, |(noted, _)| *noted).ok()?;
        self.0.remove(at).map(|(_, act)| act as usize)
    }
}

fn timing_of(stamp: Stamp) -> Timing {
    let intended = stamp.intended_micros.saturating_mul(1_000);
    Timing {
        intended,
        sent: intended.saturating_add(stamp.lag_micros.saturating_mul(1_000)),
    }
}

/// Whether messages of such an act are in the ledger.
const fn is_entered(effect: Effect) -> bool {
    match effect {
        Effect::Answer | Effect::Delivery { .. } => true,
        Effect::Reply | Effect::Nothing => false,
    }
}

fn sample(timing: Timing, turn: &Turn<'_>) -> Sample {
    Sample {
        timing,
        answered: turn.now,
    }
}
