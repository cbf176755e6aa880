//! What the bytes mean: the vocabulary of the dialects.
//!
//! Routes, close codes, limits and query parameters are here for everyone; the message types and the client halves
//! stand behind the feature `messages`, which `conformance` is built without, so that a misspelt field can never
//! agree with itself. Pure: no runtime, no socket, no clock, no randomness of its own.

#[cfg(feature = "messages")]
pub mod client;
pub mod close;
pub mod defaults;
mod dialect;
pub mod direct;
pub mod echo;
pub mod feed;
#[cfg(feature = "messages")]
pub mod json;
pub mod outbox;
pub mod rooms;
pub mod routes;
#[cfg(feature = "messages")]
pub mod timestamp;

pub use dialect::{Dialect, UnknownDialect};
