//! What two people write to each other, and how far each message has got.

use std::future::Future;

use crate::keep::Keep;
use crate::session::{StoreError, Timestamp};

/// How far a message has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// The store has it.
    Stored,
    /// It was handed to its receiver.
    Delivered {
        /// When.
        at: Timestamp,
    },
    /// Its receiver says that he has read it.
    Read {
        /// When it was handed to him, or read if nobody had noted that it was.
        delivered: Timestamp,
        /// When he said so.
        at: Timestamp,
    },
}

/// A message from one user to another. Ids are opaque.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DialogueMessage {
    /// Unique by the care of whoever made it.
    pub id: String,
    /// Who wrote it; not the receiver.
    pub sender: String,
    /// For whom it is; he need not exist.
    pub receiver: String,
    /// As it came.
    pub content: String,
    /// What the content is.
    pub kind: String,
    /// When it was written.
    pub created: Timestamp,
    /// How far it has got. A new one is [`Progress::Stored`], whatever is said here.
    pub progress: Progress,
}

/// Where a message stands in its store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MessagePlace {
    /// The dialogue.
    pub dialogue: u64,
    /// The number in the dialogue.
    pub number: u64,
}

/// A dialogue, to the one who is in it with `other`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dialogue {
    /// The other one.
    pub other: String,
    /// The newest message of either.
    pub last: DialogueMessage,
    /// Messages from the other one that are not read.
    pub unread: u64,
}

/// Keeps the dialogues of users, apart by realm.
///
/// Guarantees of every implementation: the messages of a dialogue have one order for everybody, that in which they were
/// appended; what was appended or noted is seen by every later call; each call is done as a whole or not at all.
pub trait Dialogues: Send + Sync + 'static {
    /// Puts a message behind all others of its dialogue.
    fn append(
        &self,
        realm: &str,
        message: DialogueMessage,
    ) -> impl Future<Output = Result<MessagePlace, StoreError>> + Send;

    /// Notes of each message when it was delivered. Says of each whether that was news: the first note counts, and
    /// what was read had been delivered.
    fn note_delivered(
        &self,
        deliveries: Vec<(MessagePlace, Timestamp)>,
    ) -> impl Future<Output = Result<Vec<bool>, StoreError>> + Send;

    /// Notes that `reader` has read everything from `sender`. Returns how many messages that was news of.
    fn note_read(
        &self,
        realm: &str,
        reader: &str,
        sender: &str,
        at: Timestamp,
    ) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Of what two users wrote to each other at most `limit` messages, after the newest `skip`; the oldest of them first.
    fn dialogue(
        &self,
        realm: &str,
        user: &str,
        other: &str,
        skip: usize,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<DialogueMessage>, StoreError>> + Send;

    /// At most `limit` of the user's dialogues after the first `skip`; that with the newest message comes first.
    fn dialogues(
        &self,
        realm: &str,
        user: &str,
        skip: usize,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Dialogue>, StoreError>> + Send;

    /// Messages to the user that he has not read.
    fn unread(&self, realm: &str, user: &str) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Removes every dialogue of the user, and with it what others wrote to him.
    fn remove_dialogues(
        &self,
        realm: &str,
        user: &str,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Removes at most `limit` messages that are not to be kept, the oldest of their dialogue, and returns how many went:
    /// fewer than `limit` once no more are left.
    fn trim_dialogues(
        &self,
        realm: &str,
        keep: Keep,
        limit: usize,
    ) -> impl Future<Output = Result<usize, StoreError>> + Send;
}
