//! Conversations of several users, and the messages in them.

use std::future::Future;

use crate::accounts::CreateError;
use crate::events::NewEvent;
use crate::keep::Keep;
use crate::session::{StoreError, Timestamp};

/// A conversation as a store has it. Ids are opaque; those of another realm are other conversations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversation {
    /// Unique in the realm.
    pub id: String,
    /// What people call it.
    pub name: Option<String>,
    /// The ids of its members, in the order of the ids.
    pub members: Vec<String>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A message in a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConversationMessage {
    /// Unique over all stores and restarts.
    pub id: String,
    /// The conversation's id.
    pub conversation: String,
    /// The sender's id.
    pub sender: String,
    /// What it says.
    pub content: String,
    /// When it was sent.
    pub created_at: Timestamp,
}

/// Keeps conversations and their messages, apart by realm.
///
/// Guarantees of every implementation: what was made is found by every later call; making several is all or nothing.
pub trait Conversations: Send + Sync + 'static {
    /// Makes conversations. That the members exist is the caller's business.
    fn create_conversations(
        &self,
        realm: &str,
        conversations: Vec<Conversation>,
    ) -> impl Future<Output = Result<(), CreateError>> + Send;

    /// The conversation with this id.
    fn conversation(
        &self,
        realm: &str,
        id: &str,
    ) -> impl Future<Output = Result<Option<Conversation>, StoreError>> + Send;

    /// At most `limit` conversations of a user whose id comes after `after`, in the order of their ids.
    fn conversations_of(
        &self,
        realm: &str,
        user: &str,
        after: Option<&str>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Conversation>, StoreError>> + Send;

    /// Keeps a message together with the events that tell of it: all of it or nothing. Returns the events' numbers as
    /// [`Events::store_events`](crate::Events::store_events) does.
    fn post_message(
        &self,
        realm: &str,
        message: ConversationMessage,
        events: Vec<NewEvent>,
    ) -> impl Future<Output = Result<Vec<u64>, StoreError>> + Send;

    /// Takes a user out of his conversations and removes the messages that he sent. A conversation without members goes.
    fn remove_from_conversations(
        &self,
        realm: &str,
        user: &str,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Removes at most `limit` messages that are not to be kept. Returns how many went.
    fn trim_messages_of_conversations(
        &self,
        realm: &str,
        keep: Keep,
        limit: usize,
    ) -> impl Future<Output = Result<usize, StoreError>> + Send;
}
