//! Events of users in SQLite.

use rusqlite::{Connection, Row, params};

use super::Sqlite;
use super::trimming::Surplus;
use crate::events::{Arrived, Event, EventState, Events, NewEvent};
use crate::keep::Keep;
use crate::session::{StoreError, Timestamp};

const COLUMNS: &str = "number, id, user, kind, data, scheduled_millis, sent_millis";

impl Events for Sqlite {
    async fn store_events(&self, realm: &str, events: Vec<NewEvent>) -> Result<Vec<u64>, StoreError> {
        let realm = realm.to_owned();
        self.write(move |connection| insert(connection, &realm, &events))
            .await
    }

    async fn pending_events(
        &self,
        realm: &str,
        user: &str,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<Event>, StoreError> {
        let (realm, user) = (realm.to_owned(), user.to_owned());
        self.read(move |connection| {
            connection
                .prepare_cached(&format!(
                    "SELECT {COLUMNS} FROM events
                     WHERE realm = ?1 AND user = ?2 AND sent_millis IS NULL AND scheduled_millis <= ?3
                     ORDER BY scheduled_millis, number LIMIT ?4"
                ))?
                .query_map(params![realm, user, now.millis(), limit], event)?
                .collect()
        })
        .await
    }

    async fn claim_events(
        &self,
        realm: &str,
        users: Vec<String>,
        now: Timestamp,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<Event>, StoreError> {
        let realm = realm.to_owned();
        let users = serde_json::to_string(&users).expect("strings are always JSON");
        self.write(move |connection| {
            // CROSS JOIN fixes the order: one search of the index for each user.
            let mut due = connection.prepare_cached(&format!(
                "SELECT {COLUMNS} FROM (SELECT DISTINCT value AS wanted FROM json_each(?2)) CROSS JOIN events
                 WHERE realm = ?1 AND user = wanted AND sent_millis IS NULL
                 AND scheduled_millis <= ?3 AND claimed_until_millis <= ?3
                 ORDER BY scheduled_millis, number LIMIT ?4",
            ))?;
            let due: Vec<_> = due
                .query_map(params![realm, users, now.millis(), limit], event)?
                .collect::<Result<_, _>>()?;
            let mut claim =
                connection.prepare_cached("UPDATE events SET claimed_until_millis = ?2 WHERE number = ?1")?;
            for event in &due {
                claim.execute(params![event.number, until.millis()])?;
            }
            Ok(due)
        })
        .await
    }

    async fn note_arrived(&self, realm: &str, arrived: Vec<Arrived>) -> Result<(), StoreError> {
        let realm = realm.to_owned();
        self.write(move |connection| {
            let mut note = connection.prepare_cached(
                "UPDATE events SET sent_millis = ?3 WHERE number = ?2 AND realm = ?1 AND sent_millis IS NULL",
            )?;
            for Arrived { number, at } in arrived {
                note.execute(params![realm, number, at.millis()])?;
            }
            Ok(())
        })
        .await
    }

    async fn events(
        &self,
        realm: &str,
        user: &str,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Event>, StoreError> {
        let (realm, user) = (realm.to_owned(), user.to_owned());
        self.read(move |connection| {
            // Each half has an index of its own.
            connection
                .prepare_cached(&format!(
                    "SELECT * FROM (
                         SELECT {COLUMNS} FROM events
                         WHERE realm = ?1 AND user = ?2 AND sent_millis IS NULL AND number > ?3
                         UNION ALL
                         SELECT {COLUMNS} FROM events
                         WHERE realm = ?1 AND user = ?2 AND sent_millis IS NOT NULL AND number > ?3
                     ) ORDER BY number LIMIT ?4"
                ))?
                .query_map(params![realm, user, after, limit], event)?
                .collect()
        })
        .await
    }

    async fn remove_events(&self, realm: &str, user: &str) -> Result<(), StoreError> {
        let (realm, user) = (realm.to_owned(), user.to_owned());
        self.write(move |connection| {
            for state in ["IS NULL", "IS NOT NULL"] {
                let delete =
                    format!("DELETE FROM events WHERE realm = ?1 AND user = ?2 AND sent_millis {state}");
                connection
                    .prepare_cached(&delete)?
                    .execute(params![realm, user])?;
            }
            Ok(())
        })
        .await
    }

    async fn trim_events(&self, realm: &str, keep: Keep, limit: usize) -> Result<usize, StoreError> {
        const SENT: Surplus = Surplus {
            find: "SELECT number FROM (
                       SELECT number, scheduled_millis,
                              row_number() OVER (PARTITION BY user ORDER BY number DESC) AS place
                       FROM events WHERE realm = ?1 AND sent_millis IS NOT NULL
                   ) WHERE scheduled_millis < ?2 OR place > ?3 LIMIT ?4",
            remove: "DELETE FROM events WHERE number = ?1",
        };
        self.trim(SENT, realm, keep, limit).await
    }
}

/// Inserts events and returns their numbers. To be called inside a write.
pub(super) fn insert(
    connection: &Connection,
    realm: &str,
    events: &[NewEvent],
) -> rusqlite::Result<Vec<u64>> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO events (realm, id, user, kind, data, scheduled_millis, claimed_until_millis)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    let mut numbers = Vec::with_capacity(events.len());
    for event in events {
        let number = insert.insert(params![
            realm,
            event.id,
            event.user,
            event.kind,
            event.data,
            event.scheduled_at.millis(),
            event.claimed_until.millis(),
        ])?;
        numbers.push(number as u64);
    }
    Ok(numbers)
}

fn event(row: &Row<'_>) -> rusqlite::Result<Event> {
    let sent = row.get::<_, Option<u64>>(6)?.map(Timestamp::from_millis);
    Ok(Event {
        number: row.get(0)?,
        id: row.get(1)?,
        user: row.get(2)?,
        kind: row.get(3)?,
        data: row.get(4)?,
        scheduled_at: Timestamp::from_millis(row.get(5)?),
        state: sent.map_or(EventState::Pending, |at| EventState::Sent { at }),
    })
}
