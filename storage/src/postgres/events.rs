//! Events of users in PostgreSQL.

use tokio_postgres::Row;

use super::Postgres;
use super::statement::{Columns, Statement, millis, number, parameters, text, texts};
use super::writing::lock;
use crate::events::{Arrived, Event, EventState, Events, NewEvent};
use crate::keep::Keep;
use crate::session::{StoreError, Timestamp};

/// Locks for storing events. Users share them: an event for everybody takes all, and no more than that.
const STORING_LOCKS: i64 = 64;

const STORE: &str = "
    INSERT INTO events (realm, id, recipient, kind, data, scheduled_millis, claimed_until_millis)
    SELECT $1, id, recipient, kind, data, scheduled, claimed_until
    FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[]) WITH ORDINALITY
        AS given (id, recipient, kind, data, scheduled, claimed_until, place)
    ORDER BY place
    RETURNING number";

macro_rules! columns {
    () => {
        "e.number, e.id, e.recipient, e.kind, e.data, e.scheduled_millis, e.sent_millis"
    };
}

const PENDING: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM events e
     WHERE realm = $1 AND recipient = $2 AND sent_millis IS NULL AND scheduled_millis <= $3
     ORDER BY scheduled_millis, number LIMIT $4"
);

/// What another node is just claiming is passed over: it is that one's.
const CLAIM: &str = concat!(
    "WITH due AS (
        SELECT number FROM events
        WHERE realm = $1 AND recipient = ANY ($2) AND sent_millis IS NULL
        AND scheduled_millis <= $3 AND claimed_until_millis <= $3
        ORDER BY scheduled_millis, number LIMIT $5
        FOR UPDATE SKIP LOCKED
    )
    UPDATE events e SET claimed_until_millis = $4 FROM due WHERE e.number = due.number
    RETURNING ",
    columns!()
);

const NOTE_ARRIVED: &str = "
    WITH arrived AS (
        SELECT DISTINCT ON (number) * FROM unnest($2::bigint[], $3::bigint[]) WITH ORDINALITY
            AS arrived (number, at_millis, place)
        ORDER BY number, place
    ), held AS (
        SELECT number FROM events WHERE number = ANY ($2) AND realm = $1 AND sent_millis IS NULL
        ORDER BY number FOR UPDATE
    )
    UPDATE events e SET sent_millis = a.at_millis FROM arrived a, held h
    WHERE e.number = a.number AND e.number = h.number AND e.sent_millis IS NULL";

const ALL: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM events e WHERE realm = $1 AND recipient = $2 AND number > $3 ORDER BY number LIMIT $4"
);

/// Where there is no bound it is NULL, which nothing is less or more than.
const TRIM: &str = "
    WITH due AS (
        SELECT number FROM (
            SELECT number, scheduled_millis,
                row_number() OVER (PARTITION BY recipient ORDER BY number DESC) AS place
            FROM events WHERE realm = $1 AND sent_millis IS NOT NULL
        ) sent WHERE scheduled_millis < $2 OR place > $3 LIMIT $4
    )
    DELETE FROM events e USING due d WHERE e.number = d.number RETURNING 1";

impl Events for Postgres {
    async fn store_events(&self, realm: &str, events: Vec<NewEvent>) -> Result<Vec<u64>, StoreError> {
        let rows = self
            .write_one(storing_locks(realm, &events), store(realm, &events))
            .await?;
        Ok(numbers(&rows))
    }

    async fn pending_events(
        &self,
        realm: &str,
        user: &str,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<Event>, StoreError> {
        let parameters = parameters![text(realm), text(user), millis(now), number(limit)];
        let rows = self.read_one(Statement::shared(PENDING, parameters)).await?;
        Ok(rows.iter().map(event).collect())
    }

    async fn claim_events(
        &self,
        realm: &str,
        users: Vec<String>,
        now: Timestamp,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<Event>, StoreError> {
        let users = texts(users);
        let parameters = parameters![text(realm), users, millis(now), millis(until), number(limit)];
        // In a commit of its own: it would hold up others that note the arrival of what it has claimed.
        let rows = self.change(Statement::shared(CLAIM, parameters)).await?;
        let mut claimed: Vec<_> = rows.iter().map(event).collect();
        claimed.sort_unstable_by_key(|event| (event.scheduled_at, event.number));
        Ok(claimed)
    }

    async fn note_arrived(&self, realm: &str, arrived: Vec<Arrived>) -> Result<(), StoreError> {
        let numbers: Vec<_> = arrived.iter().map(|arrived| number(arrived.number)).collect();
        let times: Vec<_> = arrived.iter().map(|arrived| millis(arrived.at)).collect();
        let note = Statement::shared(NOTE_ARRIVED, parameters![text(realm), numbers, times]);
        self.write_one(Vec::new(), note).await.map(|_| ())
    }

    async fn events(
        &self,
        realm: &str,
        user: &str,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Event>, StoreError> {
        let parameters = parameters![text(realm), text(user), number(after), number(limit)];
        let rows = self.read_one(Statement::shared(ALL, parameters)).await?;
        Ok(rows.iter().map(event).collect())
    }

    async fn remove_events(&self, realm: &str, user: &str) -> Result<(), StoreError> {
        let remove = "DELETE FROM events WHERE realm = $1 AND recipient = $2";
        let remove = Statement::shared(remove, parameters![text(realm), text(user)]);
        self.write_one(Vec::new(), remove).await.map(|_| ())
    }

    async fn trim_events(&self, realm: &str, keep: Keep, limit: usize) -> Result<usize, StoreError> {
        self.trim(TRIM, realm, keep, limit).await
    }
}

impl Postgres {
    /// Removes at most `limit` rows that `keep` does not keep. Returns how many there were.
    pub(super) async fn trim(
        &self,
        trim: &'static str,
        realm: &str,
        keep: Keep,
        limit: usize,
    ) -> Result<usize, StoreError> {
        let parameters = parameters![
            text(realm),
            keep.since.map(millis),
            keep.count_max.map(number),
            number(limit)
        ];
        Ok(self.change(Statement::shared(trim, parameters)).await?.len())
    }
}

/// Who stores events of a user holds his lock until he has committed: their numbers become visible in their order.
pub(super) fn storing_locks(realm: &str, events: &[NewEvent]) -> Vec<i64> {
    let lock_of = |event: &NewEvent| {
        let shared = lock("events", realm, &event.user).rem_euclid(STORING_LOCKS);
        lock("events", "", &shared.to_string())
    };
    let mut locks: Vec<_> = events.iter().map(lock_of).collect();
    locks.sort_unstable();
    locks.dedup();
    locks
}

/// Stores events. Returns their numbers, in no order.
pub(super) fn store(realm: &str, events: &[NewEvent]) -> Statement {
    let moments =
        |at: fn(&NewEvent) -> Timestamp| events.iter().map(|event| millis(at(event))).collect::<Vec<_>>();
    let parameters = parameters![
        text(realm),
        texts(events.iter().map(|event| &event.id)),
        texts(events.iter().map(|event| &event.user)),
        texts(events.iter().map(|event| &event.kind)),
        texts(events.iter().map(|event| &*event.data)),
        moments(|event| event.scheduled_at),
        moments(|event| event.claimed_until),
    ];
    Statement::shared(STORE, parameters)
}

/// Those that [`store`] returned: given in the order of the events, they rise as those do.
pub(super) fn numbers(rows: &[Row]) -> Vec<u64> {
    let mut numbers: Vec<_> = rows.iter().map(|row| row.count(0)).collect();
    numbers.sort_unstable();
    numbers
}

fn event(row: &Row) -> Event {
    let sent = row.maybe_count(6).map(Timestamp::from_millis);
    Event {
        number: row.count(0),
        id: row.string(1),
        user: row.string(2),
        kind: row.string(3),
        data: row.string(4),
        scheduled_at: row.moment(5),
        state: sent.map_or(EventState::Pending, |at| EventState::Sent { at }),
    }
}
