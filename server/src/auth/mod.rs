//! Who somebody is: tokens that show it, and passwords that earn one.

mod passwords;
mod tokens;

pub(crate) use passwords::Passwords;
pub(crate) use tokens::{Claims, TokenError, Tokens};

use axum::http::{HeaderMap, header};

/// What stands behind `Bearer` in the header `Authorization`.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_at_checked("bearer ".len())?;
    scheme.eq_ignore_ascii_case("bearer ").then_some(token)
}
