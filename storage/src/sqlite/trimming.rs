//! How rows go that are kept no longer: found by a reader, so that nobody who writes waits for that, and removed by number.

use rusqlite::params;

use super::Sqlite;
use crate::keep::Keep;
use crate::session::{StoreError, Timestamp};

/// Rows of a table that have to go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Surplus {
    /// Their numbers: of the realm ?1 what is older than the milliseconds ?2 or beyond the newest ?3, at most ?4. Where
    /// there is no such bound it is NULL, which nothing is less or more than.
    pub(super) find: &'static str,
    /// Removes the one of the number ?1.
    pub(super) remove: &'static str,
}

impl Sqlite {
    /// Removes at most `limit` rows that `keep` does not keep. Returns how many there were.
    pub(super) async fn trim(
        &self,
        surplus: Surplus,
        realm: &str,
        keep: Keep,
        limit: usize,
    ) -> Result<usize, StoreError> {
        let largest = |number: u64| number.min(i64::MAX as u64);
        let since = keep.since.map(Timestamp::millis).map(largest);
        let count_max = keep.count_max.map(largest);
        let realm = realm.to_owned();
        let gone: Vec<u64> = self
            .read(move |connection| {
                connection
                    .prepare_cached(surplus.find)?
                    .query_map(params![realm, since, count_max, limit], |row| row.get(0))?
                    .collect()
            })
            .await?;
        let count = gone.len();
        self.write(move |connection| {
            let mut remove = connection.prepare_cached(surplus.remove)?;
            gone.iter()
                .try_for_each(|number| remove.execute([number]).map(|_| ()))
        })
        .await?;
        Ok(count)
    }
}
