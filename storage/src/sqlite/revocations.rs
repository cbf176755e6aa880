//! Revoked tokens in SQLite.

use rusqlite::params;

use super::Sqlite;
use crate::revocations::Revocations;
use crate::session::{StoreError, Timestamp};

impl Revocations for Sqlite {
    async fn revoke(
        &self,
        realm: &str,
        token: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<(), StoreError> {
        let (realm, token) = (realm.to_owned(), token.to_owned());
        // A token may last longer than SQLite can count.
        let until = until.millis().min(i64::MAX as u64);
        self.write(move |connection| {
            connection
                .prepare_cached("DELETE FROM revocations WHERE until_millis <= ?1")?
                .execute([now.millis()])?;
            connection
                .prepare_cached(
                    "INSERT OR REPLACE INTO revocations (realm, token, until_millis) VALUES (?1, ?2, ?3)",
                )?
                .execute(params![realm, token, until])
                .map(|_| ())
        })
        .await
    }

    async fn is_revoked(&self, realm: &str, token: &str) -> Result<bool, StoreError> {
        let (realm, token) = (realm.to_owned(), token.to_owned());
        self.read(move |connection| {
            connection
                .prepare_cached("SELECT 1 FROM revocations WHERE realm = ?1 AND token = ?2")?
                .exists(params![realm, token])
        })
        .await
    }
}
