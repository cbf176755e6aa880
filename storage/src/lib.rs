//! Where state lives, and how nodes hear of it: small traits, each with its guarantee in the doc comment, and the
//! backends that keep it.
//!
//! Nothing here knows a dialect or a frame: what is stored is a count and pieces of text that somebody else made.
//! Every backend passes the suite in `tests/contract`.

pub mod bus;
pub mod embedded;
pub mod session;

pub use bus::{Bus, BusError, LocalBus, Subscription};
pub use embedded::{EmbeddedLimits, EmbeddedSessions};
pub use session::{Absent, Entry, Session, SessionStore, Settlement, StoreError, Timestamp};
