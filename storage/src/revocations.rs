//! Tokens that are no longer good although their time is not over.

use std::future::Future;

use crate::session::{StoreError, Timestamp};

/// Remembers what was revoked, as long as it matters. What is given to it is a name of the token, never the token.
///
/// Guarantees of every implementation: what was revoked is found by every later call until its time is over.
pub trait Revocations: Send + Sync + 'static {
    /// Revokes a token that would have run out at `until`. May forget others that have run out by `now`.
    fn revoke(
        &self,
        realm: &str,
        token: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Whether a token was revoked.
    fn is_revoked(&self, realm: &str, token: &str) -> impl Future<Output = Result<bool, StoreError>> + Send;
}
