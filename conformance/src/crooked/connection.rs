//! What both ways of a connection know of each other: what was asked, and whose it is.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::Notify;
use touchstone_protocol::Dialect;
use touchstone_scenarios::mutant::Way;

use super::crook::Crook;
use super::http::HttpUnit;
use super::registry::{Inlets, Seat};

/// A request whose answer is awaited.
#[derive(Debug, Clone)]
pub(super) enum Asked {
    /// The server's answer goes to the client.
    Server(HttpUnit),
    /// The client has asked once, and has its answer: this one is swallowed.
    Again(HttpUnit),
    /// The proxy's own answer, as soon as it is its turn.
    Proxy(Vec<u8>),
}

/// Whose connection it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    /// Nothing was asked yet.
    Unknown,
    /// Requests' alone, so far.
    Http,
    /// Of a dialect, or of none: there was a handshake.
    Dialect(Option<Dialect>),
}

#[derive(Debug)]
struct State {
    asked: VecDeque<Asked>,
    owner: Owner,
    /// As long as it is open.
    seat: Option<Seat>,
    /// What comes from the client is HTTP again: its handshake was refused.
    refused: bool,
    /// The proxy has said goodbye to the client: nothing more goes to the server.
    closing: bool,
}

/// A connection, as both of its ways see it.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) crook: Arc<Crook>,
    pub(super) inlets: Inlets,
    /// The client has answered the proxy's own close frame, or has gone.
    pub(super) answered: Notify,
    id: u64,
    state: Mutex<State>,
}

impl Connection {
    pub(super) fn new(crook: Arc<Crook>, inlets: Inlets) -> Self {
        let id = crook.next_id();
        Self {
            crook,
            inlets,
            answered: Notify::new(),
            id,
            state: Mutex::new(State {
                asked: VecDeque::new(),
                owner: Owner::Unknown,
                seat: None,
                refused: false,
                closing: false,
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("a connection's state is never poisoned: no code panics while holding it")
    }

    /// A request has been passed on, or answered here.
    pub(super) fn ask(&self, asked: Asked) {
        self.lock().asked.push_back(asked);
    }

    /// What the server answers now. What the proxy answers stands before or behind it.
    pub(super) fn next_asked(&self) -> Option<Asked> {
        let mut state = self.lock();
        let next = state
            .asked
            .iter()
            .position(|asked| !matches!(asked, Asked::Proxy(_)))?;
        state.asked.remove(next)
    }

    /// The proxy's own answers whose turn it is.
    pub(super) fn own_answers(&self) -> Vec<Vec<u8>> {
        let mut state = self.lock();
        let mut answers = Vec::new();
        while let Some(Asked::Proxy(_)) = state.asked.front() {
            if let Some(Asked::Proxy(answer)) = state.asked.pop_front() {
                answers.push(answer);
            }
        }
        answers
    }

    /// A request passes: whose the connection is, if it is a handshake.
    pub(super) fn meet(&self, request: &HttpUnit) {
        let owner = if request.is_handshake() {
            Owner::Dialect(self.crook.sut.target().dialect_at(request.target()))
        } else {
            Owner::Http
        };
        self.lock().owner = owner;
    }

    fn dialect(&self) -> Option<Dialect> {
        match self.lock().owner {
            Owner::Unknown | Owner::Http => None,
            Owner::Dialect(dialect) => dialect,
        }
    }

    /// Whether the mutant is about it. Before a handshake: whatever its rules say.
    pub(super) fn is_meant(&self) -> bool {
        self.crook.is_about(self.dialect())
    }

    /// Whether it carries requests over HTTP and nothing else: its end says nothing.
    pub(super) fn is_http(&self) -> bool {
        self.lock().owner == Owner::Http
    }

    /// The upgrade has been passed on.
    pub(super) fn open(&self) {
        let dialect = self.dialect();
        let seat = self.crook.registry.enter(self.id, dialect, self.inlets.clone());
        self.lock().seat = Some(seat);
    }

    /// The handshake was answered otherwise.
    pub(super) fn refuse(&self) {
        self.lock().refused = true;
    }

    /// Whether the handshake has been refused since this was last asked.
    pub(super) fn take_refusal(&self) -> bool {
        std::mem::take(&mut self.lock().refused)
    }

    /// Where a leak goes: all others of the dialect, the one opened last at the end.
    pub(super) fn others(&self) -> Vec<Inlets> {
        self.crook.registry.others(self.id, self.dialect())
    }

    /// Who is opened later gets it too.
    pub(super) fn keep(&self, way: Way, bytes: Vec<u8>) {
        self.crook.registry.keep(self.dialect(), way, bytes);
    }

    /// From now on nothing goes to the server.
    pub(super) fn close(&self) {
        self.lock().closing = true;
    }

    /// Whether the proxy has said goodbye.
    pub(super) fn is_closing(&self) -> bool {
        self.lock().closing
    }
}
