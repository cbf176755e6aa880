//! What a session hears, and makes of it.

use touchstone_protocol::client::{ClientHalf, Heard, Key};

use super::session::Turn;
use crate::ledger::{Answered, Sender};
use crate::record::{ErrorKind, Latency, Sample};
use crate::schedule::Nanos;

/// What a session has heard, and makes of it.
pub(super) struct Hearing {
    pub(super) ledger: Sender,
    pub(super) sender: u64,
    last_heartbeat: Option<Nanos>,
    last_gap: Option<Nanos>,
}

impl Hearing {
    pub(super) fn new(sender: u64) -> Self {
        Self {
            ledger: Sender::default(),
            sender,
            last_heartbeat: None,
            last_gap: None,
        }
    }

    pub(super) fn opened(&mut self) {
        self.ledger.opened();
        self.last_heartbeat = None;
        self.last_gap = None;
    }

    /// Takes in a text, and hands back what the server wants back.
    pub(super) fn text<'t>(
        &mut self,
        client: &mut impl ClientHalf,
        text: &'t str,
        turn: &mut Turn<'_>,
    ) -> Option<&'t str> {
        let mut wanted_back = None;
        client.hear(text, &mut |heard| match heard {
            Heard::Answer { stamp, count } => self.answer(stamp.key, count, turn),
            Heard::Heartbeat { reply } => {
                self.heartbeat(turn);
                wanted_back = reply;
            }
            Heard::Ready | Heard::Confirmed { .. } | Heard::Reply { .. } | Heard::Refused => {}
            Heard::Delivery { .. } | Heard::Push => turn.recorder.pushes += 1,
            Heard::Unknown => turn.recorder.error(ErrorKind::Unknown, 1),
        });
        wanted_back
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
            Answered::First(timing) => {
                turn.recorder.answered();
                if let Some(timing) = timing {
                    turn.recorder.sample(
                        Latency::Answer,
                        Sample {
                            timing,
                            answered: turn.now,
                        },
                    );
                }
            }
            Answered::Again => {}
            Answered::Foreign => turn.recorder.error(ErrorKind::ForeignAnswer, 1),
        }
    }
}
