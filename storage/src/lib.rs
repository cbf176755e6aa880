//! Where state lives, and how nodes hear of it: small traits, each with its guarantee in the doc comment, and the
//! backends that keep it.
//!
//! Nothing here knows a dialect or a frame: what is stored is a count and pieces of text that somebody else made.
//! Every backend passes the suite in `tests/contract`.

pub mod accounts;
pub mod bus;
pub mod dialogues;
pub mod embedded;
pub mod presence;
pub mod resources;
pub mod session;
pub mod sqlite;

pub use accounts::{Account, Accounts, CreateError, IdForm, Tenant};
pub use bus::{Bus, BusError, Ear, Inbox, LocalBus, Payload};
pub use dialogues::{Dialogue, DialogueMessage, Dialogues, Keep, MessagePlace, Progress};
pub use embedded::{EmbeddedLimits, EmbeddedSessions};
pub use presence::{Change, ConnectionId, LocalPresence, Presence, Present};
pub use resources::{Fields, Resource, ResourcePage, Resources, Shelf};
pub use session::{Absent, Entry, Session, SessionStore, Settlement, StoreError, Timestamp};
pub use sqlite::{BackupError, OpenError, Sqlite, SqliteSessions, backup};
