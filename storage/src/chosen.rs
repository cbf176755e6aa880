//! The backend that a program was told to use: one type for each thing that is chosen, so that whoever is built over the
//! traits is built once.

use bytes::Bytes;

use crate::accounts::{Account, Accounts, CreateError, Tenant};
use crate::bus::{Bus, BusError, Ear, LocalBus};
use crate::channels::{Channels, Memberships, NewChannel, View};
use crate::conversations::{Conversation, ConversationMessage, Conversations};
use crate::dialogues::{Dialogue, DialogueMessage, Dialogues, MessagePlace};
use crate::events::{Arrived, Event, Events, NewEvent};
use crate::keep::Keep;
use crate::posts::{NewPost, NewReading, NoPage, Page, Posts, Reading, Window};
use crate::presence::{Change, ConnectionId, LocalPresence, Presence, Present};
use crate::resources::{Fields, Resource, ResourcePage, Resources, Shelf};
use crate::revocations::Revocations;
use crate::session::{StoreError, Timestamp};
use crate::sqlite::Sqlite;

/// `--store`. Clones are the same store.
#[derive(Debug, Clone)]
pub enum ChosenStore {
    /// `embedded:` and `embedded:PATH`
    Embedded(Sqlite),
    /// `redis://…` and its like
    #[cfg(feature = "redis")]
    Redis(crate::redis::RedisStore),
    /// `postgres://…`
    #[cfg(feature = "postgres")]
    Postgres(crate::postgres::Postgres),
}

/// Hands every method of a trait on to the backend that was chosen. What goes over a network is kept apart, so that the
/// futures of those who call the embedded store stay small.
macro_rules! handed_on {
    ($trait:ident { $(fn $name:ident($($argument:ident: $type:ty),*) -> $result:ty;)* }) => {
        impl $trait for ChosenStore {
            $(async fn $name(&self, $($argument: $type),*) -> $result {
                match self {
                    Self::Embedded(store) => store.$name($($argument),*).await,
                    #[cfg(feature = "redis")]
                    Self::Redis(store) => Box::pin(store.$name($($argument),*)).await,
                    #[cfg(feature = "postgres")]
                    Self::Postgres(store) => Box::pin(store.$name($($argument),*)).await,
                }
            })*
        }
    };
}

handed_on!(Accounts {
    fn create_accounts(realm: &str, accounts: Vec<Account>) -> Result<(), CreateError>;
    fn account(realm: &str, id: &str) -> Result<Option<Account>, StoreError>;
    fn account_by_login(realm: &str, login: &str) -> Result<Option<Account>, StoreError>;
    fn accounts_by_id(realm: &str, ids: Vec<String>) -> Result<Vec<Account>, StoreError>;
    fn accounts(realm: &str, after: Option<&str>, limit: usize) -> Result<Vec<Account>, StoreError>;
    fn note_last_seen(realm: &str, id: &str, at: Timestamp) -> Result<(), StoreError>;
    fn note_logout(realm: &str, id: &str, second: u64) -> Result<(), StoreError>;
    fn remove_account(realm: &str, id: &str) -> Result<bool, StoreError>;
    fn create_tenants(realm: &str, tenants: Vec<Tenant>) -> Result<(), CreateError>;
    fn tenant(realm: &str, schema_name: &str) -> Result<Option<Tenant>, StoreError>;
});

handed_on!(Channels {
    fn create_channels(channels: Vec<NewChannel>) -> Result<(), CreateError>;
    fn view(realm: &str, channel: &str, member: &str, window: Window) -> Result<Option<View>, StoreError>;
    fn members(realm: &str, channel: &str, limit: usize) -> Result<Vec<String>, StoreError>;
    fn memberships(realm: &str, member: &str, skipped: usize, limit: usize) -> Result<Memberships, StoreError>;
    fn channels_of(realm: &str, member: &str) -> Result<Vec<String>, StoreError>;
    fn remove_member(realm: &str, member: &str) -> Result<(), StoreError>;
});

handed_on!(Posts {
    fn say(posts: Vec<NewPost>) -> Result<Vec<Option<u64>>, StoreError>;
    fn page(realm: &str, channel: &str, member: &str, before: Option<&str>, window: Window) -> Result<Result<Page, NoPage>, StoreError>;
    fn note_readings(readings: Vec<NewReading>) -> Result<Vec<Reading>, StoreError>;
    fn trim_posts(keep: Keep, limit: usize) -> Result<usize, StoreError>;
});

handed_on!(Conversations {
    fn create_conversations(realm: &str, conversations: Vec<Conversation>) -> Result<(), CreateError>;
    fn conversation(realm: &str, id: &str) -> Result<Option<Conversation>, StoreError>;
    fn conversations_of(realm: &str, user: &str, after: Option<&str>, limit: usize) -> Result<Vec<Conversation>, StoreError>;
    fn post_message(realm: &str, message: ConversationMessage, events: Vec<NewEvent>) -> Result<Vec<u64>, StoreError>;
    fn remove_from_conversations(realm: &str, user: &str) -> Result<(), StoreError>;
    fn trim_messages_of_conversations(realm: &str, keep: Keep, limit: usize) -> Result<usize, StoreError>;
});

handed_on!(Dialogues {
    fn append(realm: &str, message: DialogueMessage) -> Result<MessagePlace, StoreError>;
    fn note_delivered(deliveries: Vec<(MessagePlace, Timestamp)>) -> Result<Vec<bool>, StoreError>;
    fn note_read(realm: &str, reader: &str, sender: &str, at: Timestamp) -> Result<u64, StoreError>;
    fn dialogue(realm: &str, user: &str, other: &str, skip: usize, limit: usize) -> Result<Vec<DialogueMessage>, StoreError>;
    fn dialogues(realm: &str, user: &str, skip: usize, limit: usize) -> Result<Vec<Dialogue>, StoreError>;
    fn unread(realm: &str, user: &str) -> Result<u64, StoreError>;
    fn remove_dialogues(realm: &str, user: &str) -> Result<(), StoreError>;
    fn trim_dialogues(realm: &str, keep: Keep, limit: usize) -> Result<usize, StoreError>;
});

handed_on!(Events {
    fn store_events(realm: &str, events: Vec<NewEvent>) -> Result<Vec<u64>, StoreError>;
    fn pending_events(realm: &str, user: &str, now: Timestamp, limit: usize) -> Result<Vec<Event>, StoreError>;
    fn claim_events(realm: &str, users: Vec<String>, now: Timestamp, until: Timestamp, limit: usize) -> Result<Vec<Event>, StoreError>;
    fn note_arrived(realm: &str, arrived: Vec<Arrived>) -> Result<(), StoreError>;
    fn events(realm: &str, user: &str, after: u64, limit: usize) -> Result<Vec<Event>, StoreError>;
    fn remove_events(realm: &str, user: &str) -> Result<(), StoreError>;
    fn trim_events(realm: &str, keep: Keep, limit: usize) -> Result<usize, StoreError>;
});

handed_on!(Resources {
    fn create_resource(shelf: Shelf<'_>, owner: &str, at: Timestamp, fields: Fields) -> Result<Option<Resource>, StoreError>;
    fn resource(shelf: Shelf<'_>, id: u64) -> Result<Option<Resource>, StoreError>;
    fn resources(shelf: Shelf<'_>, skip: u64, limit: usize) -> Result<ResourcePage, StoreError>;
    fn revise_resource(shelf: Shelf<'_>, id: u64, fields: Fields) -> Result<Option<Resource>, StoreError>;
    fn remove_resource(shelf: Shelf<'_>, id: u64) -> Result<bool, StoreError>;
    fn remove_resources_of(shelf_names: &[&str], owner: &str) -> Result<(), StoreError>;
    fn trim_resources(shelf: Shelf<'_>, keep: Keep, limit: usize) -> Result<usize, StoreError>;
});

handed_on!(Revocations {
    fn revoke(realm: &str, token: &str, now: Timestamp, until: Timestamp) -> Result<(), StoreError>;
    fn is_revoked(realm: &str, token: &str) -> Result<bool, StoreError>;
});

/// `--bus`. Clones are the same bus.
#[derive(Debug, Clone)]
pub enum ChosenBus {
    /// `local:`
    Local(LocalBus),
    /// `redis://…`
    #[cfg(feature = "redis")]
    Redis(crate::redis::RedisBus),
}

/// Who is there, as the bus has it. Clones are the same.
#[derive(Debug, Clone)]
pub enum ChosenPresence {
    /// `local:`
    Local(LocalPresence),
}

impl Presence for ChosenPresence {
    async fn arrive(
        &self,
        place: &str,
        member: &str,
        connection: ConnectionId,
    ) -> Result<Change, StoreError> {
        match self {
            Self::Local(presence) => presence.arrive(place, member, connection).await,
        }
    }

    async fn depart(
        &self,
        place: &str,
        member: &str,
        connection: ConnectionId,
    ) -> Result<Change, StoreError> {
        match self {
            Self::Local(presence) => presence.depart(place, member, connection).await,
        }
    }

    async fn connections(&self, place: &str, member: &str) -> Result<Vec<ConnectionId>, StoreError> {
        match self {
            Self::Local(presence) => presence.connections(place, member).await,
        }
    }

    async fn are_present(&self, place: &str, members: &[&str]) -> Result<Vec<bool>, StoreError> {
        match self {
            Self::Local(presence) => presence.are_present(place, members).await,
        }
    }

    async fn latest(&self, place: &str, limit: usize) -> Result<Present, StoreError> {
        match self {
            Self::Local(presence) => presence.latest(place, limit).await,
        }
    }
}

impl Bus for ChosenBus {
    async fn publish(&self, topic: &str, payload: Bytes) -> Result<(), BusError> {
        match self {
            Self::Local(bus) => bus.publish(topic, payload).await,
            #[cfg(feature = "redis")]
            Self::Redis(bus) => Box::pin(bus.publish(topic, payload)).await,
        }
    }

    async fn tune(&self, ear: &Ear, topic: &str) -> Result<(), BusError> {
        match self {
            Self::Local(bus) => bus.tune(ear, topic).await,
            #[cfg(feature = "redis")]
            Self::Redis(bus) => Box::pin(bus.tune(ear, topic)).await,
        }
    }

    async fn untune(&self, ear: &Ear, topic: &str) {
        match self {
            Self::Local(bus) => bus.untune(ear, topic).await,
            #[cfg(feature = "redis")]
            Self::Redis(bus) => Box::pin(bus.untune(ear, topic)).await,
        }
    }
}
