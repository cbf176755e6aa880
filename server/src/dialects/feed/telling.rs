//! How something reaches the users it is for: over the bus to every node, and there to their connections.
//!
//! All of it passes through one relay of each node, so that what is told one after the other arrives in that order, also
//! where the first is for everybody and the second for one (common/8a).

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use touchstone_protocol::close::CloseCode;
use touchstone_protocol::feed::messages::{Down, Presence as PresenceTold};
use touchstone_storage::{Accounts, Bus, BusError, Payload, Presence};
use touchstone_wire as wire;
use uuid::Uuid;

use super::{Feed, Mover};
use crate::connection::{Close, Mailbox};
use crate::crowd::{Batch, Telling};
use crate::groups::Moment;
use crate::relay::Hears;

/// Messages for everybody.
pub(super) const TOPIC_ALL: &str = "feed:all";

/// Who comes and goes: see [`PresenceNote`].
pub(super) const TOPIC_PRESENCE: &str = "feed:presence";

/// Whom a node leaves behind that stops.
pub(super) const TOPIC_STOPPED: &str = "feed:stopped";

/// What is for one user, whose id stands behind it. The first byte says what it is.
const TOPIC_USER: &str = "feed:user:";

/// In front of a message.
const TAG_MESSAGE: u8 = b'm';

/// In front of a close code in two bytes and a reason.
const TAG_CLOSE: u8 = b'c';

/// What is logged of a payload that no version of this program has made, or a later one.
const MISUNDERSTOOD: &str = "a node says something that this one does not understand";

/// Whom a message is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Addressees {
    /// The group `broadcast` (feed/4d).
    Everybody,
    /// The groups `user_{id}` of each (feed/4a, 4b).
    Users(HashSet<i64>),
}

/// The topic of the user whose id is `key`.
pub(super) fn topic_of(key: &str) -> String {
    format!("{TOPIC_USER}{key}")
}

impl<S: Accounts, B: Bus, P: Presence> Feed<S, B, P> {
    /// Tells each connection of the addressees once.
    pub(super) async fn tell(&self, addressees: &Addressees, message: &Down<'_>) -> Result<(), BusError> {
        let json = message.to_json();
        let bus = &self.backing.bus;
        match addressees {
            Addressees::Everybody => bus.publish(TOPIC_ALL, Bytes::from(json)).await,
            Addressees::Users(users) => {
                let payload = Bytes::from([&[TAG_MESSAGE], json.as_bytes()].concat());
                for user in users {
                    let topic = topic_of(&user.to_string());
                    bus.publish(&topic, payload.clone()).await?;
                }
                Ok(())
            }
        }
    }

    /// Tells everybody of something that is stored, whether or not the bus can be reached.
    pub(super) async fn tell_stored(&self, message: &Down<'_>) {
        if let Err(error) = self.tell(&Addressees::Everybody, message).await {
            self.backing.metrics.errors.inc();
            tracing::warn!(%error, "a change was stored, but nobody is told");
        }
    }

    /// Closes all connections of a user, on every node.
    pub(super) async fn send_away(&self, user: i64, close: &Close) -> Result<(), BusError> {
        let code = close.code.0.to_be_bytes();
        let payload = [&[TAG_CLOSE], &code[..], close.reason.as_bytes()].concat();
        let topic = topic_of(&user.to_string());
        self.backing.bus.publish(&topic, Bytes::from(payload)).await
    }

    /// Tells everybody else that a user came or went.
    pub(super) async fn tell_presence(&self, mover: Mover<'_>, presence: PresenceTold) {
        let message = Down::Presence {
            presence,
            user_id: mover.id,
            name: mover.name,
        };
        let json = message.to_json();
        let note = PresenceNote {
            node: self.node,
            moment: self.users.now(),
            user: mover.key,
            json: json.as_bytes(),
        };
        let bus = &self.backing.bus;
        if let Err(error) = bus.publish(TOPIC_PRESENCE, note.to_payload()).await {
            self.backing.metrics.errors.inc();
            tracing::warn!(%error, "nobody is told who came or went");
        }
    }

    /// Tells the connections of this node the latest comings and goings.
    pub(super) async fn tell_batch(&self, batch: Batch) {
        let tell = |user: &str, mailbox: &Mailbox| {
            if let Some(frames) = batch.frames_for(user) {
                mailbox.frames(&frames);
            }
        };
        self.users.visit(tell).await;
    }

    /// A user came or went: to the others now, or with the next batch (common/11a). Who joined meanwhile is not told who
    /// is already there (feed/6b).
    async fn hear_presence(&self, note: PresenceNote<'_>) {
        let mut frame = Vec::new();
        wire::encode_unmasked(&mut frame, wire::OpCode::Text, note.json);
        let (frame, user) = (Bytes::from(frame), note.user);
        let others = self.users.count().saturating_sub(self.users.count_in(user));
        match self.crowd.note(TOPIC_PRESENCE, others, user, &frame) {
            Telling::Batched | Telling::Never => {}
            Telling::Now => {
                let tell = |other: &str, mailbox: &Mailbox| {
                    if other != user {
                        mailbox.frames(&frame);
                    }
                };
                let moment = if note.node == self.node {
                    note.moment
                } else {
                    self.users.now()
                };
                self.users.visit_joined_before(moment, tell).await;
            }
        }
    }
}

/// What nodes tell each other of a user who came or went: node and moment in 16 and 8 bytes, his id, a line feed, and the
/// message for the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct PresenceNote<'a> {
    /// Where it happened.
    node: Uuid,
    /// When, in the joins of that node.
    moment: Moment,
    user: &'a str,
    json: &'a [u8],
}

impl<'a> PresenceNote<'a> {
    fn to_payload(self) -> Bytes {
        let moment = self.moment.0.to_be_bytes();
        let parts = [
            self.node.as_bytes(),
            &moment[..],
            self.user.as_bytes(),
            b"\n",
            self.json,
        ];
        Bytes::from(parts.concat())
    }

    fn read(payload: &'a [u8]) -> Option<Self> {
        let (node, rest) = payload.split_first_chunk()?;
        let (moment, rest) = rest.split_first_chunk()?;
        let end = rest.iter().position(|byte| *byte == b'\n')?;
        Some(Self {
            node: Uuid::from_bytes(*node),
            moment: Moment(u64::from_be_bytes(*moment)),
            user: std::str::from_utf8(&rest[..end]).ok()?,
            json: &rest[end + 1..],
        })
    }
}

/// Frames that are about to be written: for everybody, or for some users, never both, because the order counts.
#[derive(Default)]
struct Joined<'a> {
    everybody: Vec<u8>,
    users: HashMap<&'a str, Vec<u8>>,
}

impl<'a> Joined<'a> {
    fn for_everybody(&mut self, message: &[u8]) {
        wire::encode_unmasked(&mut self.everybody, wire::OpCode::Text, message);
    }

    fn for_user(&mut self, user: &'a str, message: &[u8]) {
        wire::encode_unmasked(self.users.entry(user).or_default(), wire::OpCode::Text, message);
    }
}

impl<S: Accounts, B: Bus, P: Presence> Hears for Feed<S, B, P> {
    async fn heard(&self, batch: &[Payload]) {
        let mut joined = Joined::default();
        for payload in batch {
            match (&*payload.topic, payload.topic.strip_prefix(TOPIC_USER)) {
                (TOPIC_ALL, _) => {
                    self.write_to_users(&mut joined);
                    joined.for_everybody(&payload.bytes);
                }
                (TOPIC_PRESENCE, _) => {
                    self.write(&mut joined).await;
                    match PresenceNote::read(&payload.bytes) {
                        Some(note) => self.hear_presence(note).await,
                        None => tracing::warn!("{MISUNDERSTOOD}"),
                    }
                }
                (TOPIC_STOPPED, _) => self.lingering.hear(&payload.bytes),
                (_, Some(user)) => {
                    self.write_to_everybody(&mut joined).await;
                    match payload.bytes.split_first() {
                        Some((&TAG_MESSAGE, message)) => joined.for_user(user, message),
                        Some((&TAG_CLOSE, close)) => {
                            self.write_to_users(&mut joined);
                            self.close_all_of(user, close);
                        }
                        Some(_) | None => {
                            tracing::warn!("{MISUNDERSTOOD}");
                        }
                    }
                }
                (_, None) => {}
            }
        }
        self.write(&mut joined).await;
    }
}

impl<S: Accounts, B: Bus, P: Presence> Feed<S, B, P> {
    async fn write(&self, joined: &mut Joined<'_>) {
        self.write_to_users(joined);
        self.write_to_everybody(joined).await;
    }

    async fn write_to_everybody(&self, joined: &mut Joined<'_>) {
        if joined.everybody.is_empty() {
            return;
        }
        let frames = Bytes::from(std::mem::take(&mut joined.everybody));
        let write = |_: &str, mailbox: &Mailbox| {
            mailbox.frames(&frames);
        };
        self.users.visit(write).await;
    }

    fn write_to_users(&self, joined: &mut Joined<'_>) {
        for (user, frames) in joined.users.drain() {
            let frames = Bytes::from(frames);
            for mailbox in self.users.members(user) {
                mailbox.frames(&frames);
            }
        }
    }

    fn close_all_of(&self, user: &str, close: &[u8]) {
        let Some((code, reason)) = close.split_first_chunk() else {
            return;
        };
        let reason = String::from_utf8_lossy(reason);
        let close = Close::new(CloseCode(u16::from_be_bytes(*code)), reason);
        for mailbox in self.users.members(user) {
            mailbox.close(&close);
        }
    }
}
