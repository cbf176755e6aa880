//! The opening handshake (RFC 6455 4), without I/O: judged on the server's side, written and checked on the client's.

mod client;
pub(crate) mod extensions;
mod server;

pub use client::{Answer, ClientRequest, HEAD_BYTES_MAX, RequestError, ResponseError, check_response};
pub use server::{Accept, Refusal, check_upgrade};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::AsHeaderName;
use http::{HeaderMap, HeaderValue};
use sha1::{Digest as _, Sha1};

/// What the server appends to the key before hashing it (RFC 6455 1.3).
const ACCEPT_GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A client's nonce: 16 bytes that the server must answer, so that no cache answers in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key([u8; 16]);

impl Key {
    /// A key of these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// A key out of `random`.
    #[must_use]
    pub fn random(random: &mut fastrand::Rng) -> Self {
        let mut bytes = [0; 16];
        random.fill(&mut bytes);
        Self(bytes)
    }

    /// The value of `Sec-WebSocket-Key`.
    #[must_use]
    pub fn header_value(&self) -> String {
        STANDARD.encode(self.0)
    }

    /// The value of `Sec-WebSocket-Accept` that answers this key.
    #[must_use]
    pub fn accept(&self) -> String {
        accept_value(self.header_value().as_bytes())
    }
}

/// The value of `Sec-WebSocket-Accept` for a key as it stood in the request.
fn accept_value(key: &[u8]) -> String {
    let mut hash = Sha1::new();
    hash.update(key);
    hash.update(ACCEPT_GUID.as_bytes());
    STANDARD.encode(hash.finalize())
}

/// The elements of a header that is a list: over all its lines, trimmed, empty ones left out.
fn list_elements(headers: &HeaderMap, name: impl AsHeaderName) -> impl Iterator<Item = &str> {
    headers
        .get_all(name)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .map(str::trim)
        .filter(|element| !element.is_empty())
}

fn list_has_token(headers: &HeaderMap, name: impl AsHeaderName, token: &str) -> bool {
    list_elements(headers, name).any(|element| element.eq_ignore_ascii_case(token))
}

/// The subprotocols a client offered, in its order of preference.
pub fn offered_subprotocols(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    list_elements(headers, http::header::SEC_WEBSOCKET_PROTOCOL)
}

/// How often a header stands in a message.
enum Lines<'a> {
    None,
    One(&'a HeaderValue),
    Several,
}

fn lines(headers: &HeaderMap, name: impl AsHeaderName) -> Lines<'_> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Lines::None,
        (Some(value), None) => Lines::One(value),
        (Some(_), Some(_)) => Lines::Several,
    }
}
