//! Where state lives, and how nodes hear of it: small traits, each with its guarantee in the doc comment, and the
//! backends that keep it.
//!
//! Nothing here knows a dialect or a frame: what is stored is a count and pieces of text that somebody else made.
//! Every backend passes the suite in `tests/contract`.

pub mod accounts;
pub mod bus;
pub mod channels;
pub mod chosen;
pub mod conversations;
pub mod dialogues;
pub mod embedded;
pub mod events;
pub mod keep;
#[cfg(feature = "postgres")]
pub mod postgres;
pub mod posts;
pub mod presence;
#[cfg(feature = "redis")]
pub mod redis;
pub mod resources;
pub mod revocations;
pub mod session;
pub mod sqlite;

pub use accounts::{Account, Accounts, CreateError, IdForm, Tenant};
pub use bus::{Bus, BusError, Ear, Inbox, LocalBus, Payload};
pub use channels::{Channel, Channels, Memberships, NewChannel, View};
pub use chosen::{ChosenBus, ChosenPresence, ChosenStore};
pub use conversations::{Conversation, ConversationMessage, Conversations};
pub use dialogues::{Dialogue, DialogueMessage, Dialogues, MessagePlace, Progress};
pub use embedded::{EmbeddedLimits, EmbeddedSessions};
pub use events::{Arrived, Event, EventState, Events, NewEvent};
pub use keep::Keep;
#[cfg(feature = "postgres")]
pub use postgres::{
    Migrated, Postgres, PostgresError, PostgresOptions, PostgresSessions, PostgresUrl, PostgresUrlError,
};
pub use posts::{NewPost, NewReading, NoPage, Page, Post, Posts, Reading, Window};
pub use presence::{Change, ConnectionId, LocalPresence, Presence, Present};
pub use resources::{Fields, Resource, ResourcePage, Resources, Shelf};
pub use revocations::Revocations;
pub use session::{Absent, Entry, Session, SessionStore, Settlement, StoreError, Timestamp};
pub use sqlite::{BackupError, OpenError, Sqlite, SqliteSessions, backup};
