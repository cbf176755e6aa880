//! The desks: what happens in a channel goes over one of them, in order.
//!
//! A connection brings what it says to its channel's desk and reads on. The desk takes all that has piled up, stores it
//! in one call, so that many messages share one commit, and publishes it. So nothing of a channel overtakes anything else of
//! it on this node, and what one connection says stays in its order (common/8a).

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use touchstone_protocol::rooms::messages::Unprocessable;
use touchstone_storage::{Change, ConnectionId, Post, StoreError};

use super::event::Happened;
use super::member::{Unsettled, User};

/// Channels are spread over so many desks: while one of them waits for its commit, the others bring theirs into the next.
const DESKS: usize = 8;

/// What waits for one desk; whoever brings more waits.
const DEEDS_WAITING_MAX: usize = 1_024;

/// What a desk does together: as much as the store takes into one commit.
const DEEDS_TOGETHER_MAX: usize = 512;

/// Something to be done about a channel.
#[derive(Debug)]
pub(super) enum Deed {
    /// Somebody says something.
    Say {
        topic: Arc<str>,
        author: Arc<User>,
        text: String,
        asker: Asker,
    },
    /// He has read a message.
    Read { message: String, reader: Unsettled },
    /// He types, or no longer.
    Type { typing: Typing, typist: Unsettled },
    /// What he said cannot be processed. He is told so behind all that he has said before: an error frame names nothing.
    Refuse { why: Unprocessable, asker: Unsettled },
    /// He comes or leaves.
    Move(Movement),
}

/// Who wants to say something, and hears what comes of it.
#[derive(Debug)]
pub(super) enum Asker {
    /// A connection: it gets an error frame, if anything.
    Connection(Unsettled),
    /// A request.
    Request(oneshot::Sender<Result<Post, NotSaid>>),
}

/// Why something was not said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotSaid {
    /// He is not a member of the channel.
    NotMember,
    /// Store or bus did not answer.
    Unavailable,
}

/// What a typing state does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Typing {
    Begins,
    Ends,
    /// Its time may be over.
    MayBeOver,
}

/// A connection that is counted into a place, or out of it.
#[derive(Debug)]
pub(super) struct Movement {
    pub(super) place: Arc<str>,
    pub(super) user: Arc<User>,
    pub(super) connection: ConnectionId,
    pub(super) direction: Direction,
    /// What is told, and under which topics, if it is his first connection there, or his last.
    pub(super) tell: Vec<(Arc<str>, Happened)>,
    /// Told what it changed, once that is told to the others.
    pub(super) done: oneshot::Sender<Result<Change, StoreError>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    In,
    Out,
}

/// The queues of all desks where deeds of one kind are done.
#[derive(Debug)]
pub(super) struct Desks<D> {
    queues: Box<[mpsc::Sender<D>]>,
    /// Until each is given to a task.
    waiting: Mutex<Vec<Queue<D>>>,
    hasher: RandomState,
}

/// What one desk has to do.
#[derive(Debug)]
pub(super) struct Queue<D>(mpsc::Receiver<D>);

/// The desk is closed: the server has ended.
#[derive(Debug)]
pub(super) struct Closed;

impl<D> Desks<D> {
    pub(super) fn new() -> Self {
        let (queues, waiting): (Vec<_>, Vec<_>) =
            (0..DESKS).map(|_| mpsc::channel(DEEDS_WAITING_MAX)).unzip();
        Self {
            queues: queues.into(),
            waiting: Mutex::new(waiting.into_iter().map(Queue).collect()),
            hasher: RandomState::new(),
        }
    }

    /// Brings a deed to the desk of `place`: of all with one place the order is kept.
    pub(super) async fn bring(&self, place: &str, deed: D) -> Result<(), Closed> {
        let desk = self.hasher.hash_one(place) as usize % DESKS;
        self.queues[desk].send(deed).await.map_err(|_| Closed)
    }

    /// The queues, once.
    pub(super) fn queues(&self) -> Vec<Queue<D>> {
        std::mem::take(&mut *self.waiting())
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Queue<D>>> {
        self.waiting
            .lock()
            .expect("the queues' lock is never poisoned: no code panics while holding it")
    }
}

impl<D> Queue<D> {
    /// All that has piled up, once there is anything. After `stop` what lies ready, then `None`.
    pub(super) async fn next(&mut self, stop: &CancellationToken) -> Option<Vec<D>> {
        let first = match stop.run_until_cancelled(self.0.recv()).await {
            Some(first) => first?,
            None => self.0.try_recv().ok()?,
        };
        let mut deeds = vec![first];
        while deeds.len() < DEEDS_TOGETHER_MAX
            && let Ok(next) = self.0.try_recv()
        {
            deeds.push(next);
        }
        Some(deeds)
    }
}
