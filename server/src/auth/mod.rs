//! Who somebody is: tokens that show it, and passwords that earn one.

mod keys;
mod passwords;
#[cfg(test)]
mod tests;
mod tokens;

pub use keys::KeyFileError;
pub(crate) use keys::TrustedKeys;
pub(crate) use passwords::{NotHashed, Passwords};
pub(crate) use tokens::{Claims, Tokens};

use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, header};
use serde_json::{Map, Value};

use crate::clock::Clock;
use crate::config::{AuthConfig, DialectAuth};

/// A token with these claims, issued now, as the server signs its own. `None` without a secret to sign with.
#[must_use]
pub fn mint(
    common: &AuthConfig,
    own: &DialectAuth,
    claims: Map<String, Value>,
    lifetime: Duration,
) -> Option<String> {
    Tokens::new(common, own, Arc::default()).sign(claims, Clock::start().now(), lifetime)
}

/// What stands behind `Bearer` in the header `Authorization`.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_at_checked("bearer ".len())?;
    scheme.eq_ignore_ascii_case("bearer ").then_some(token)
}
