//! How a session reads back what it has missed.

use touchstone_protocol::client::{ClientHalf, Next};
use touchstone_wire::OpCode;

use super::{Scratch, Session, Turn};
use crate::engine::backstage::About;
use crate::engine::socket::Pipe;
use crate::schedule::Nanos;

/// How far a session is with reading back what it has missed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum CatchingUp {
    #[default]
    NotBegun,
    /// It has asked for the next part, and waits for it until then.
    Asked {
        step: u32,
        until: Nanos,
    },
    Done,
}

impl<C: ClientHalf, S: Pipe> Session<C, S> {
    /// Asks for the next part of what was missed, where it waited for one.
    pub(super) fn catch_up_further(&mut self, turn: &mut Turn<'_>) {
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

    pub(super) fn catch_up_from(&mut self, step: u32, turn: &mut Turn<'_>) {
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
}
