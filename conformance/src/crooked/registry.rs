//! Who is connected through the proxy, by dialect: where a leak goes.

use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::mpsc;
use touchstone_protocol::Dialect;
use touchstone_scenarios::mutant::Way;

use super::outbox::{Injected, Then};

/// What may wait to be put into one way of a connection. A peer that takes nothing misses what comes after that, as it
/// would of a server that gives up on it.
pub(super) const INJECTED_MAX: usize = 256;

/// What is kept for those who come later: of more than that a newcomer misses the rest.
const KEPT_MAX: usize = 64;

/// Where something is put into a connection from outside.
#[derive(Debug, Clone)]
pub(super) struct Inlets {
    /// On its way to the server.
    pub(super) up: mpsc::Sender<Injected>,
    /// On its way to the client.
    pub(super) down: mpsc::Sender<Injected>,
}

impl Inlets {
    /// Puts it in.
    pub(super) fn inject(&self, way: Way, injected: Injected) {
        let inlet = match way {
            Way::Up => &self.up,
            Way::Down => &self.down,
        };
        // Full or gone: see `INJECTED_MAX`.
        let _missed = inlet.try_send(injected);
    }
}

#[derive(Debug)]
struct Open {
    id: u64,
    dialect: Option<Dialect>,
    inlets: Inlets,
}

/// Whole frames for everybody of a dialect who comes later.
#[derive(Debug)]
struct Kept {
    dialect: Option<Dialect>,
    way: Way,
    bytes: Vec<u8>,
}

#[derive(Debug, Default)]
struct State {
    open: Vec<Open>,
    kept: Vec<Kept>,
}

/// All that are open, in the order in which they were opened. Cheap to clone; every clone is the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Registry {
    state: Arc<Mutex<State>>,
}

/// As long as it is there its connection is registered.
#[derive(Debug)]
pub(super) struct Seat {
    registry: Registry,
    id: u64,
}

impl Registry {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("the registry is never poisoned: no code panics while holding it")
    }

    /// Registers a connection, and gives it what is kept for it. No two at a time have the same id.
    pub(super) fn enter(&self, id: u64, dialect: Option<Dialect>, inlets: Inlets) -> Seat {
        let mut state = self.lock();
        for kept in state.kept.iter().filter(|kept| kept.dialect == dialect) {
            let injected = Injected {
                bytes: kept.bytes.clone(),
                then: Then::Everything,
            };
            inlets.inject(kept.way, injected);
        }
        state.open.push(Open { id, dialect, inlets });
        drop(state);
        Seat {
            registry: self.clone(),
            id,
        }
    }

    /// All but this one that are of the same dialect; the one opened last comes last.
    pub(super) fn others(&self, id: u64, dialect: Option<Dialect>) -> Vec<Inlets> {
        let state = self.lock();
        let others = state
            .open
            .iter()
            .filter(|open| open.id != id && open.dialect == dialect);
        others.map(|open| open.inlets.clone()).collect()
    }

    /// Everybody of this dialect who is registered from now on gets this.
    pub(super) fn keep(&self, dialect: Option<Dialect>, way: Way, bytes: Vec<u8>) {
        let mut state = self.lock();
        if state.kept.len() < KEPT_MAX {
            state.kept.push(Kept { dialect, way, bytes });
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.registry.lock().open.retain(|open| open.id != self.id);
    }
}
