//! Revoked tokens in PostgreSQL.

use super::Postgres;
use super::statement::{Statement, millis, parameters, text};
use crate::revocations::Revocations;
use crate::session::{StoreError, Timestamp};

/// Those that another node is just forgetting are left to it.
const FORGET: &str = "
    DELETE FROM revocations WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM revocations WHERE until_millis <= $1 LIMIT 1000 FOR UPDATE SKIP LOCKED))";

const REVOKE: &str = "
    INSERT INTO revocations (realm, token, until_millis) VALUES ($1, $2, $3)
    ON CONFLICT (realm, token) DO UPDATE SET until_millis = excluded.until_millis";

impl Revocations for Postgres {
    async fn revoke(
        &self,
        realm: &str,
        token: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<(), StoreError> {
        let statements = vec![
            Statement::shared(FORGET, parameters![millis(now)]),
            Statement::shared(REVOKE, parameters![text(realm), text(token), millis(until)]),
        ];
        self.write(Vec::new(), statements).await.map(|_| ())
    }

    async fn is_revoked(&self, realm: &str, token: &str) -> Result<bool, StoreError> {
        let find = "SELECT 1 FROM revocations WHERE realm = $1 AND token = $2";
        let find = Statement::shared(find, parameters![text(realm), text(token)]);
        Ok(!self.read_one(find).await?.is_empty())
    }
}
