//! How the bytes travel: RFC 6455 as a codec without I/O, for both sides.
//!
//! - [`receive`] reads frames: strict, in place, without allocating while nothing is incomplete.
//! - [`encode`] writes them; [`raw`] writes wrong ones on purpose.
//! - [`deflate`] agrees on permessage-deflate (RFC 7692), compresses messages and inflates them within a limit.
//! - [`handshake`] judges an upgrade on the server's side, and writes and checks one on the client's.
//! - [`client`] opens a connection over any stream of tokio's. Nothing else here does I/O.
//! - [`close_code`] says which close codes may be sent.
//!
//! What a message means is no business of this crate.

pub mod client;
pub mod close_code;
pub mod deflate;
pub mod encode;
pub mod frame;
pub mod handshake;
pub mod mask;
pub mod raw;
pub mod receive;
mod text;
pub mod violation;

pub use encode::{
    CLOSE_REASON_BYTES_MAX, encode_deflated, encode_masked, encode_masked_close, encode_unmasked,
    server_binary, server_close, server_close_empty, server_ping, server_pong, server_text,
};
pub use frame::{OpCode, PayloadForm};
pub use raw::RawFrame;
pub use receive::{Binary, Close, Event, Receiver, Role, Rules, Step};
pub use violation::Violation;
