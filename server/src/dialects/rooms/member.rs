//! A connection in its channel: what it is told, from which moment on, and what it has said that is not settled yet.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use tokio::sync::Semaphore;
use touchstone_protocol::close::CloseCode;
use touchstone_protocol::rooms::messages::Id;
use touchstone_storage::{Account, IdForm};

use crate::connection::{Close, Mailbox};

/// What one connection may have said that is not settled yet; then it is not read until some of it is. Four times what
/// an eager client keeps unanswered.
const UNSETTLED_MAX: u32 = 64;

/// Frames that wait for a greeting, which takes as long as a few reads of the store; with more than that the channel is too busy
/// to be entered.
const HELD_MAX: usize = 8_192;

/// The stage of a connection that has not been greeted. No message has this number.
const HELD_BACK: u64 = u64::MAX;

/// A user of one tenant.
#[derive(Debug)]
pub(super) struct User {
    pub(super) id: Box<str>,
    form: IdForm,
    pub(super) username: Box<str>,
}

impl User {
    /// The user's id as it stands on the wire.
    pub(super) fn wire_id(&self) -> Id<'_> {
        wire_id(&self.id, self.form)
    }
}

impl From<Account> for User {
    fn from(account: Account) -> Self {
        Self {
            id: account.id.into(),
            form: account.id_form,
            username: account.username.into(),
        }
    }
}

/// An id as it was provisioned (rooms/1c).
pub(super) fn wire_id(id: &str, form: IdForm) -> Id<'_> {
    match (form, id.parse()) {
        (IdForm::Integer, Ok(number)) => Id::Integer(number),
        (IdForm::Integer | IdForm::Text, _) => Id::Text(id.into()),
    }
}

/// A number for a user's id. Other users may have the same.
pub(super) fn key(user: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    user.hash(&mut hasher);
    hasher.finish()
}

/// A connection in its channel.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) user: Arc<User>,
    /// See [`key`]: found without following a pointer, in a crowd of which few are meant.
    pub(super) key: u64,
    /// The channel's topic.
    pub(super) topic: Arc<str>,
    pub(super) mailbox: Mailbox,
    /// [`HELD_BACK`], or the number of the last message that the greeting knew.
    stage: AtomicU64,
    /// What is to be told once it is greeted.
    held: Mutex<Vec<Telling>>,
    /// One permit for everything that it may yet say.
    turns: Semaphore,
    /// Whether it has ever said anything.
    has_spoken: AtomicBool,
    /// When its typing ends, in milliseconds since the epoch; 0 while it does not type. Written by the channel's desk.
    pub(super) typing_until: AtomicU64,
    /// Whether it is on the wheel of those who type. Written under the wheel's lock.
    pub(super) is_watched: AtomicBool,
}

/// A frame with the number of its message, 0 for anything else.
#[derive(Debug, Clone)]
pub(super) struct Telling {
    pub(super) sequence: u64,
    pub(super) frame: Bytes,
}

/// Whether a member takes everything as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Not greeted: everything waits.
    HeldBack,
    /// Greeted with the messages up to this number.
    Greeted(u64),
}

impl Member {
    /// A connection that is told nothing yet.
    pub(super) fn new(user: Arc<User>, topic: Arc<str>, mailbox: Mailbox) -> Arc<Self> {
        Arc::new(Self {
            key: key(&user.id),
            user,
            topic,
            mailbox,
            stage: AtomicU64::new(HELD_BACK),
            held: Mutex::default(),
            turns: Semaphore::new(UNSETTLED_MAX as usize),
            has_spoken: AtomicBool::new(false),
            typing_until: AtomicU64::new(0),
            is_watched: AtomicBool::new(false),
        })
    }

    pub(super) fn stage(&self) -> Stage {
        match self.stage.load(Ordering::Acquire) {
            HELD_BACK => Stage::HeldBack,
            sequence => Stage::Greeted(sequence),
        }
    }

    /// Tells what is not in the greeting: now, or behind it.
    pub(super) fn tell(&self, tellings: impl IntoIterator<Item = Telling>) {
        let mut held = self.held();
        // Looked at under the lock: the greeting is sent and what was held is told inside of it.
        match self.stage() {
            Stage::Greeted(known) => {
                drop(held);
                self.send(known, tellings);
            }
            Stage::HeldBack => {
                held.extend(tellings);
                if held.len() > HELD_MAX {
                    held.clear();
                    self.mailbox
                        .close(&Close::new(CloseCode::INTERNAL, "channel too busy"));
                }
            }
        }
    }

    /// Sends the greeting, which knows the messages up to the number `known`, and then what was held back (rooms/3d).
    pub(super) fn greet(&self, known: u64, send_greeting: impl FnOnce(&Mailbox)) {
        let mut held = self.held();
        send_greeting(&self.mailbox);
        self.send(known, std::mem::take(&mut *held));
        self.stage.store(known, Ordering::Release);
    }

    /// Sends what is newer than the message `known`, in one piece.
    fn send(&self, known: u64, tellings: impl IntoIterator<Item = Telling>) {
        let news = tellings
            .into_iter()
            .filter(|telling| telling.sequence == 0 || telling.sequence > known);
        let frames: Vec<_> = news.map(|telling| telling.frame).collect();
        match &frames[..] {
            [] => {}
            [frame] => {
                self.mailbox.frames(frame);
            }
            several => {
                self.mailbox.frames(&Bytes::from(several.concat()));
            }
        }
    }

    /// Waits until it may say something more.
    pub(super) async fn turn(self: &Arc<Self>) -> Unsettled {
        let turn = self.turns.acquire().await.expect(TURNS_STAY);
        turn.forget();
        self.has_spoken.store(true, Ordering::Relaxed);
        Unsettled::new(self)
    }

    /// Whether it has ever said anything.
    pub(super) fn has_spoken(&self) -> bool {
        self.has_spoken.load(Ordering::Relaxed)
    }

    /// A turn that nobody waits for; `None` if all are taken, or the connection has ended.
    pub(super) fn turn_now(self: &Arc<Self>) -> Option<Unsettled> {
        self.turns.try_acquire().ok()?.forget();
        Some(Unsettled::new(self))
    }

    /// Waits until all that it has said is settled.
    pub(super) async fn settled(&self) {
        let all = self.turns.acquire_many(UNSETTLED_MAX).await;
        drop(all.expect(TURNS_STAY));
    }

    /// The same, and from then on nothing more is said in its name (rooms/11a).
    pub(super) async fn fall_silent(&self) {
        let all = self.turns.acquire_many(UNSETTLED_MAX).await;
        all.expect(TURNS_STAY).forget();
    }

    fn held(&self) -> MutexGuard<'_, Vec<Telling>> {
        self.held
            .lock()
            .expect("a member's lock is never poisoned: no code panics while holding it")
    }
}

const TURNS_STAY: &str = "nobody closes the semaphore";

/// Something that a connection has said. Dropped without being settled it was lost by a failure, and the connection is
/// closed (common/7c).
#[derive(Debug)]
pub(super) struct Unsettled {
    member: Arc<Member>,
    end: End,
}

/// What becomes of something that was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Settled,
    Lost,
}

impl Unsettled {
    fn new(member: &Arc<Member>) -> Self {
        Self {
            member: Arc::clone(member),
            end: End::Lost,
        }
    }

    pub(super) fn member(&self) -> &Arc<Member> {
        &self.member
    }

    /// It is done, and answered.
    pub(super) fn settle(mut self) {
        self.end = End::Settled;
    }
}

impl Drop for Unsettled {
    fn drop(&mut self) {
        if self.end == End::Lost {
            let close = Close::new(CloseCode::INTERNAL, "internal error");
            self.member.mailbox.close(&close);
        }
        self.member.turns.add_permits(1);
    }
}
