//! Revoked tokens in Redis: keys that run out by themselves.

use super::RedisStore;
use crate::redis::keys::part;
use crate::revocations::Revocations;
use crate::session::{StoreError, Timestamp};

/// A token is remembered longer than it is good, because the clock of whoever asks may be behind.
const MARGIN_MILLIS: u64 = 60_000;

impl RedisStore {
    fn revoked_key(&self, realm: &str, token: &str) -> String {
        format!("{}:revoked:{}", self.realm_key(realm), part(token))
    }
}

impl Revocations for RedisStore {
    async fn revoke(
        &self,
        realm: &str,
        token: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<(), StoreError> {
        let key = self.revoked_key(realm, token);
        let left = until.millis().saturating_sub(now.millis()) + MARGIN_MILLIS;
        let mut commands = redis::pipe();
        commands.atomic();
        commands
            .cmd("SET")
            .arg(&key)
            .arg(1)
            .arg("PX")
            .arg(left)
            .arg("NX")
            .ignore();
        // The longest counts.
        commands.cmd("PEXPIRE").arg(&key).arg(left).arg("GT").ignore();
        Ok(self.inner.link.read_all(&commands).await?)
    }

    async fn is_revoked(&self, realm: &str, token: &str) -> Result<bool, StoreError> {
        let mut command = redis::cmd("EXISTS");
        command.arg(self.revoked_key(realm, token));
        Ok(self.inner.link.read(&command).await?)
    }
}
