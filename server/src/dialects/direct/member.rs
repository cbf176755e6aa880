//! A connection of a user, as those see it who have something for him.

use std::sync::{Arc, Mutex, MutexGuard};

use bytes::{Bytes, BytesMut};
use serde_json::value::RawValue;
use touchstone_protocol::direct::HexId;
use touchstone_protocol::direct::messages::ListedUser;
use touchstone_storage::Account;

use super::parcel::{SentMessage, Whereabouts};
use super::telling::Mover;
use crate::connection::{Mailbox, Sent};

/// What is kept for a newcomer who has not been greeted yet. His greeting takes milliseconds; whatever comes beyond this
/// meanwhile came before he was there.
const HELD_MAX: usize = 1_024;

/// An open connection and who is at its other end.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) user: HexId,
    pub(super) username: Box<str>,
    /// How he stands in lists.
    pub(super) listed: Arc<RawValue>,
    pub(super) mailbox: Mailbox,
    /// What waits for his greeting, in order; `None` once he is greeted. Locked while something is handed over, until that
    /// is noted.
    held: Mutex<Option<Vec<Item>>>,
}

/// Something for a connection.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) frames: Bytes,
    pub(super) about: About,
}

/// What is to be known of an item beside its frames.
#[derive(Debug, Clone)]
pub(super) enum About {
    /// Nothing.
    Other,
    /// That these messages are in it.
    Messages(Vec<SentMessage>),
    /// That somebody came or went.
    Change { user: HexId, whereabouts: Whereabouts },
}

impl Member {
    /// A newcomer.
    pub(super) fn new(user: HexId, account: &Account, mailbox: Mailbox) -> Self {
        let listed = ListedUser {
            id: user,
            username: &account.username,
            avatar: account.avatar.as_deref(),
        };
        Self {
            user,
            listed: listed.written(),
            username: account.username.as_str().into(),
            mailbox,
            held: Mutex::new(Some(Vec::new())),
        }
    }

    /// Him, as one who comes or goes.
    pub(super) fn mover(&self) -> Mover<'_> {
        Mover {
            user: self.user,
            username: &self.username,
            connection: self.mailbox.id(),
        }
    }

    /// Sends an item, behind the greeting. `note` is told of the messages that were handed over by this, before
    /// [`wait_for_notes`](Self::wait_for_notes) returns to anybody who knows of them.
    pub(super) fn hand(&self, item: Item, note: impl FnOnce(Vec<SentMessage>)) {
        let mut held = self.held();
        if let Some(held) = held.as_mut() {
            if held.len() < HELD_MAX {
                held.push(item);
            }
            return;
        }
        if let (Sent::Taken, About::Messages(messages)) = (self.mailbox.frames(&item.frames), item.about) {
            note(messages);
        }
    }

    /// Returns once every message that the peer can have read was noted.
    pub(super) fn wait_for_notes(&self) {
        drop(self.held());
    }

    /// Sends the greeting and what waited for it. `online` is whom the greeting says to be there: of the changes since then
    /// he is told those that are news. `note` is told as by [`hand`](Self::hand).
    pub(super) fn greet(
        &self,
        greeting: &Bytes,
        mut online: Vec<HexId>,
        note: impl FnOnce(Vec<SentMessage>),
    ) {
        // Nobody can get between the greeting and what follows it.
        let mut waiting = self.held();
        let mut frames = BytesMut::from(&greeting[..]);
        let mut messages = Vec::new();
        for item in waiting.take().into_iter().flatten() {
            match item.about {
                About::Other => {}
                About::Messages(more) => messages.extend(more),
                About::Change { user, whereabouts } => {
                    let known = online.iter().position(|other| *other == user);
                    match (whereabouts, known) {
                        (Whereabouts::Online, None) => online.push(user),
                        (Whereabouts::Offline, Some(at)) => {
                            online.swap_remove(at);
                        }
                        (Whereabouts::Online, Some(_)) | (Whereabouts::Offline, None) => continue,
                    }
                }
            }
            frames.extend_from_slice(&item.frames);
        }
        if self.mailbox.frames(&frames.freeze()) == Sent::Taken {
            note(messages);
        }
    }

    fn held(&self) -> MutexGuard<'_, Option<Vec<Item>>> {
        self.held
            .lock()
            .expect("a member's lock is never poisoned: no code panics while holding it")
    }
}
