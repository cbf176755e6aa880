//! Who is online, and how the others hear of it (direct/2b, 3, 7c, 12; common/11).
//!
//! One task per node tells its connections of comings and goings, one after the other, so that lists and changes reach
//! each of them in an order that makes sense.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use serde_json::value::RawValue;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use touchstone_protocol::direct::HexId;
use touchstone_protocol::direct::messages::{Down, ListedUser};
use touchstone_protocol::timestamp::Rfc3339;
use touchstone_storage::{Accounts, Bus, ConnectionId, Dialogues, Presence, StoreError, Timestamp};
use touchstone_wire as wire;

use super::handing::no_messages;
use super::member::{About, Item, Member};
use super::parcel::{Change, Parcel, Whereabouts};
use super::{Direct, PLACE, REALM, TOPIC_EVERYBODY};
use crate::crowd::{Batch, Telling};

/// The one audience of the crowd.
const AUDIENCE: &str = "everybody";

/// Changes that wait to be told. The task that tells them waits for nobody, so more mean that the machine is out of breath;
/// who is online can still be asked for.
const CHANGES_WAITING_MAX: usize = 16_384;

/// Changes looked at together: so many users' presence is asked for at once.
const CHANGES_AT_ONCE: usize = 256;

/// How long somebody waits until the connections of his node have been told of him. What he gains is an order between what
/// they hear and what he sees, and he does not wait longer for that.
const TELLING_PATIENCE: Duration = Duration::from_secs(1);

/// Changes on their way to the connections of this node, and who waits until they are told.
#[derive(Debug)]
pub(super) struct Tellings {
    queue: mpsc::Sender<Change>,
    waiting: Mutex<HashMap<ConnectionId, oneshot::Sender<()>>>,
}

impl Tellings {
    /// Nothing yet, and the other end of the queue.
    pub(super) fn new() -> (Self, mpsc::Receiver<Change>) {
        let (queue, receiver) = mpsc::channel(CHANGES_WAITING_MAX);
        let tellings = Self {
            queue,
            waiting: Mutex::default(),
        };
        (tellings, receiver)
    }

    /// Puts a change behind the others. Returns whether there was room.
    pub(super) fn put(&self, change: Change) -> bool {
        match self.queue.try_send(change) {
            Ok(()) => true,
            Err(refused) => {
                self.told(refused.into_inner().connection);
                false
            }
        }
    }

    fn wait_for(&self, connection: ConnectionId) -> oneshot::Receiver<()> {
        let (told, waiting) = oneshot::channel();
        self.waiting().insert(connection, told);
        waiting
    }

    fn told(&self, connection: ConnectionId) {
        let mut everybody = self.waiting();
        let waiting = everybody.remove(&connection);
        // A crowd that has gone gives its memory back.
        if everybody.capacity() > 4 * everybody.len().max(16) {
            everybody.shrink_to_fit();
        }
        drop(everybody);
        if let Some(told) = waiting {
            // An error means that he no longer waits.
            let _ = told.send(());
        }
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<ConnectionId, oneshot::Sender<()>>> {
        self.waiting
            .lock()
            .expect("the waiters' lock is never poisoned: no code panics while holding it")
    }
}

/// Somebody who comes or goes with his connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mover<'a> {
    pub(super) user: HexId,
    pub(super) username: &'a str,
    pub(super) connection: ConnectionId,
}

/// Who is online, the latest first, as far as a list shows it.
#[derive(Debug)]
pub(super) struct Online {
    users: Vec<(HexId, Arc<RawValue>)>,
    total: usize,
    at: Timestamp,
}

impl Online {
    /// Those in the list.
    pub(super) fn ids(&self) -> Vec<HexId> {
        self.users.iter().map(|(id, _)| *id).collect()
    }

    /// The list as a frame for somebody who asks: he is in it (common/11b).
    pub(super) fn frame_for(&self, asker: &Member) -> Bytes {
        if self.has(asker) {
            return self.frame();
        }
        let mut users = self.listed();
        if self.total > users.len() {
            users.pop();
        }
        users.push(Arc::clone(&asker.listed));
        self.frame_of(&users)
    }

    /// The list as a frame for somebody who is in it.
    fn frame(&self) -> Bytes {
        self.frame_of(&self.listed())
    }

    fn has(&self, member: &Member) -> bool {
        self.users.iter().any(|(id, _)| *id == member.user)
    }

    fn listed(&self) -> Vec<Arc<RawValue>> {
        self.users.iter().map(|(_, listed)| Arc::clone(listed)).collect()
    }

    fn frame_of(&self, users: &[Arc<RawValue>]) -> Bytes {
        let list = Down::OnlineUsers {
            users,
            total_online: self.total.max(users.len()),
            timestamp: Rfc3339(self.at.millis()),
        };
        wire::server_text(&list.to_json())
    }
}

impl<S: Accounts + Dialogues, B: Bus, P: Presence> Direct<S, B, P> {
    /// Who is online now.
    pub(super) async fn online(&self) -> Result<Online, StoreError> {
        let limit = self.backing.presence_terms.listed_users;
        let present = self.backing.presence.latest(PLACE, limit).await?;
        let ids = present.members.iter().filter_map(|name| HexId::parse(name));
        let mut users: Vec<_> = ids.map(|id| (id, self.listed_here(id))).collect();
        let elsewhere = users.iter().filter(|(_, listed)| listed.is_none());
        let elsewhere: Vec<_> = elsewhere.map(|(id, _)| id.to_string()).collect();
        if !elsewhere.is_empty() {
            let store = &self.backing.store;
            for account in store.call(store.accounts_by_id(REALM, elsewhere)).await? {
                let found = users.iter_mut().find(|(id, _)| id.as_str() == account.id);
                if let Some((id, listed)) = found {
                    let user = ListedUser {
                        id: *id,
                        username: &account.username,
                        avatar: account.avatar.as_deref(),
                    };
                    *listed = Some(user.written());
                }
            }
        }
        Ok(Online {
            // One who is connected and no longer in the store is not shown.
            users: users
                .into_iter()
                .filter_map(|(id, listed)| Some((id, listed?)))
                .collect(),
            total: present.total,
            at: self.backing.clock.now(),
        })
    }

    fn listed_here(&self, user: HexId) -> Option<Arc<RawValue>> {
        let members = self.members.members(user.as_str());
        members.first().map(|member| Arc::clone(&member.listed))
    }

    /// Tells everybody else that a user came or went with his connection. Returns when the connections of this node have
    /// been told, or that has taken too long.
    pub(super) async fn announce(&self, mover: Mover<'_>, whereabouts: Whereabouts) {
        let (user_id, username) = (mover.user, mover.username);
        let told = match whereabouts {
            Whereabouts::Online => Down::UserOnline { user_id, username },
            Whereabouts::Offline => Down::UserOffline { user_id, username },
        };
        let present = self.backing.presence.latest(PLACE, 0).await;
        let total = present.map_or(0, |present| present.total);
        let others = match whereabouts {
            Whereabouts::Online => total.saturating_sub(1),
            Whereabouts::Offline => total,
        };
        let change = Change {
            user: user_id,
            whereabouts,
            connection: mover.connection,
            others: others.try_into().unwrap_or(u32::MAX),
            frame: wire::server_text(&told.to_json()),
        };
        let waiting = self.tellings.wait_for(change.connection);
        // On a node that stops nobody is told.
        if self.publish(TOPIC_EVERYBODY, &Parcel::Change(change)).await && self.crowd.is_told() {
            // Late, or not at all: he has waited long enough.
            let _ = tokio::time::timeout(TELLING_PATIENCE, waiting).await;
        }
        self.tellings.told(mover.connection);
    }

    /// Tells the connections of this node of changes, until `stop`.
    pub(super) async fn tell_changes(&self, mut queue: mpsc::Receiver<Change>, stop: CancellationToken) {
        let mut changes = Vec::new();
        loop {
            let next = stop.run_until_cancelled(queue.recv_many(&mut changes, CHANGES_AT_ONCE));
            match next.await {
                None | Some(0) => return,
                Some(_) => self.tell_batch_of_changes(&changes).await,
            }
            for change in changes.drain(..) {
                self.tellings.told(change.connection);
            }
        }
    }

    async fn tell_batch_of_changes(&self, changes: &[Change]) {
        let users: Vec<_> = changes.iter().map(|change| change.user.as_str()).collect();
        let present = self.backing.presence.are_present(PLACE, &users).await;
        for (at, change) in changes.iter().enumerate() {
            // Changes of one user may arrive in another order than they happened, from several nodes or tasks: the one that
            // holds still is told, and the last will be.
            let holds = present.as_ref().map_or(true, |present| {
                present[at] == (change.whereabouts == Whereabouts::Online)
            });
            let is_last = changes[at + 1..].iter().all(|later| later.user != change.user);
            if holds && is_last {
                self.tell_change(change).await;
            }
        }
    }

    async fn tell_change(&self, change: &Change) {
        let user = change.user.as_str();
        match self
            .crowd
            .note(AUDIENCE, change.others as usize, user, &change.frame)
        {
            Telling::Batched | Telling::Never => return,
            Telling::Now => {}
        }
        let online = match change.whereabouts {
            Whereabouts::Online => None,
            // Who cannot be told the list has still been told the change.
            Whereabouts::Offline => self.online().await.ok(),
        };
        let about = About::Change {
            user: change.user,
            whereabouts: change.whereabouts,
        };
        let with = |list: Bytes| Bytes::from([&change.frame[..], &list[..]].concat());
        let for_most = online
            .as_ref()
            .map_or(change.frame.clone(), |online| with(online.frame()));
        for member in self.members.everyone() {
            if member.user == change.user {
                continue;
            }
            let frames = match &online {
                Some(online) if !online.has(&member) => with(online.frame_for(&member)),
                Some(_) | None => for_most.clone(),
            };
            let about = about.clone();
            member.hand(Item { frames, about }, no_messages);
        }
    }

    /// Tells the crowd what has changed since the last time.
    pub(super) async fn tell_crowd(&self, batch: Batch) {
        for (told, member) in self.members.everyone().into_iter().enumerate() {
            if let Some(frames) = batch.frames_for(member.user.as_str()) {
                let about = About::Other;
                member.hand(Item { frames, about }, no_messages);
            }
            if told % 256 == 255 {
                tokio::task::yield_now().await;
            }
        }
    }
}
