//! Sessions in PostgreSQL: their home where there is no Redis. The server's clock decides when one runs out, so that all
//! nodes agree about it.

use std::sync::Arc;
use std::time::Duration;

use super::Postgres;
use super::statement::{Columns, Statement, millis, number, parameters, text, texts};
use super::writing::lock;
use crate::embedded::EmbeddedLimits;
use crate::session::{Absent, Entry, Session, SessionStore, Settlement, StoreError, Timestamp};

/// Sessions that are removed at once when they have run out; the rest waits for the next sweep.
const SWEPT_AT_ONCE: i64 = 1_000;

/// Milliseconds since the epoch.
macro_rules! now {
    () => {
        "floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint"
    };
}

/// One that has run out is as if it had never been, its entries included.
const FORGET: &str = concat!(
    "DELETE FROM sessions WHERE id = $1 AND runs_out_millis <= ",
    now!()
);

const ADVANCE: &str = concat!(
    "INSERT INTO sessions AS s (id, count, last_activity_millis, runs_out_millis) VALUES ($1, 1, $2, ",
    now!(),
    " + $3)
    ON CONFLICT (id) DO UPDATE SET count = s.count + 1,
        last_activity_millis = greatest(s.last_activity_millis, excluded.last_activity_millis),
        runs_out_millis = excluded.runs_out_millis
    RETURNING count"
);

const SETTLE: &str = concat!(
    "INSERT INTO sessions AS s (id, count, last_activity_millis, runs_out_millis) VALUES ($1, $4, $2, ",
    now!(),
    " + $3)
    ON CONFLICT (id) DO UPDATE SET count = greatest(s.count, excluded.count),
        last_activity_millis = greatest(s.last_activity_millis, excluded.last_activity_millis),
        runs_out_millis = excluded.runs_out_millis
    RETURNING count"
);

const SETTLE_IF_THERE: &str = concat!(
    "UPDATE sessions SET count = greatest(count, $4),
        last_activity_millis = greatest(last_activity_millis, $2), runs_out_millis = ",
    now!(),
    " + $3
    WHERE id = $1 RETURNING count"
);

/// Appends entries to a session that is there.
const APPEND: &str = "
    WITH given AS (SELECT * FROM unnest($2::text[]) WITH ORDINALITY AS given (entry, place)),
    counted AS (
        UPDATE sessions SET last_entry = last_entry + g.entries, entries = sessions.entries + g.entries,
            entry_bytes = entry_bytes + g.bytes
        FROM (SELECT count(*) AS entries, coalesce(sum(octet_length(entry)), 0)::bigint AS bytes FROM given) g
        WHERE id = $1 RETURNING last_entry - g.entries AS before
    )
    INSERT INTO session_entries (session, number, entry)
    SELECT $1, c.before + g.place, g.entry FROM counted c, given g";

/// Drops the oldest entries that are over a limit, never the newest. Where none are, that is seen at the session.
const DROP_OLDEST: &str = "
    WITH kept AS (
        SELECT number, row_number() OVER (ORDER BY number DESC) AS place,
            sum(octet_length(entry)) OVER (ORDER BY number DESC) AS bytes
        FROM session_entries
        WHERE session = $1 AND EXISTS (SELECT FROM sessions WHERE id = $1 AND (entries > $2 OR entry_bytes > $3))
    ), gone AS (
        DELETE FROM session_entries e USING kept k
        WHERE e.session = $1 AND e.number = k.number AND k.place > 1 AND (k.place > $2 OR k.bytes > $3)
        RETURNING octet_length(e.entry) AS bytes
    )
    UPDATE sessions SET entries = sessions.entries - g.entries, entry_bytes = entry_bytes - g.bytes
    FROM (SELECT count(*) AS entries, coalesce(sum(bytes), 0)::bigint AS bytes FROM gone) g
    WHERE id = $1 AND g.entries > 0";

const LOAD: &str = concat!(
    "SELECT count, last_activity_millis, runs_out_millis - now.millis
     FROM sessions, (SELECT ",
    now!(),
    " AS millis) now WHERE id = $1 AND runs_out_millis > now.millis"
);

/// One that is just being written is renewed by that; waiting for it here, while its writer waits for another of these,
/// would stop both.
const RENEW: &str = concat!(
    "WITH held AS (
        SELECT id FROM sessions WHERE id = ANY ($1) AND runs_out_millis > ",
    now!(),
    " FOR UPDATE SKIP LOCKED
    )
    UPDATE sessions s SET runs_out_millis = ",
    now!(),
    " + $2 FROM held h WHERE s.id = h.id"
);

const ENTRIES: &str = concat!(
    "SELECT e.entry FROM sessions s JOIN session_entries e ON e.session = s.id
     WHERE s.id = $1 AND s.runs_out_millis > ",
    now!(),
    " ORDER BY e.number"
);

const REMOVE: &str = concat!(
    "DELETE FROM sessions WHERE id = $1 RETURNING runs_out_millis > ",
    now!()
);

const SWEEP: &str = concat!(
    "DELETE FROM sessions WHERE id IN (
        SELECT id FROM sessions WHERE runs_out_millis <= ",
    now!(),
    " ORDER BY runs_out_millis LIMIT $1 FOR UPDATE SKIP LOCKED)"
);

/// Sessions of a store in PostgreSQL.
#[derive(Debug, Clone)]
pub struct PostgresSessions {
    store: Postgres,
    ttl: Duration,
    limits: EmbeddedLimits,
}

impl PostgresSessions {
    /// Sessions in `store` that are kept for `ttl` after their last write, each within `limits`; what all of them take
    /// together is limited by the disk alone.
    #[must_use]
    pub fn new(store: Postgres, ttl: Duration, limits: EmbeddedLimits) -> Self {
        Self { store, ttl, limits }
    }

    /// Removes sessions that have run out, a crowd of them in several calls. Several nodes may do it at once.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn sweep(&self) -> Result<(), StoreError> {
        let sweep = Statement::shared(SWEEP, parameters![SWEPT_AT_ONCE]);
        self.store.change(sweep).await.map(|_| ())
    }

    fn ttl_millis(&self) -> i64 {
        number(self.ttl.as_millis())
    }

    /// Forgets what has run out, does `write`, and appends entries. Returns what `write` did.
    async fn write(&self, id: &str, write: Statement, entries: &[&str]) -> Result<Option<u64>, StoreError> {
        let forget = Statement::shared(FORGET, parameters![text(id)]);
        let mut statements = vec![forget, write];
        if !entries.is_empty() {
            let append = parameters![text(id), texts(entries)];
            let (most, bytes_most) = (
                number(self.limits.entries_per_session_max),
                number(self.limits.entry_bytes_per_session_max),
            );
            statements.push(Statement::shared(APPEND, append));
            statements.push(Statement::shared(
                DROP_OLDEST,
                parameters![text(id), most, bytes_most],
            ));
        }
        let answers = self
            .store
            .write(vec![lock("session", "", id)], statements)
            .await?;
        Ok(answers
            .get(1)
            .and_then(|rows| rows.first())
            .map(|row| row.count(0)))
    }
}

impl SessionStore for PostgresSessions {
    async fn load(&self, id: &str) -> Result<Option<Session>, StoreError> {
        let load = Statement::shared(LOAD, parameters![text(id)]);
        let rows = self.store.read_one(load).await?;
        Ok(rows.first().map(|row| Session {
            count: row.count(0),
            last_activity: row.moment(1),
            ttl: self.ttl,
            remaining: Duration::from_millis(row.count(2)),
        }))
    }

    async fn advance(&self, id: &str, entry: Option<&str>, at: Timestamp) -> Result<u64, StoreError> {
        let parameters = parameters![text(id), millis(at), self.ttl_millis()];
        let advance = Statement::shared(ADVANCE, parameters);
        let count = self.write(id, advance, entry.as_slice()).await?;
        Ok(count.expect("what is inserted or updated returns its count"))
    }

    async fn settle(&self, id: &str, settlement: Settlement<'_>) -> Result<Option<u64>, StoreError> {
        let settle = match settlement.absent {
            Absent::Create => SETTLE,
            Absent::Leave => SETTLE_IF_THERE,
        };
        let count_min = number(settlement.count_min);
        let parameters = parameters![text(id), millis(settlement.at), self.ttl_millis(), count_min];
        let entries: Vec<_> = settlement.entries.iter().map(|entry| &**entry).collect();
        self.write(id, Statement::shared(settle, parameters), &entries)
            .await
    }

    async fn renew(&self, ids: &[Arc<str>]) -> Result<(), StoreError> {
        let renew = Statement::shared(RENEW, parameters![texts(ids), self.ttl_millis()]);
        self.store.change(renew).await.map(|_| ())
    }

    async fn entries(&self, id: &str) -> Result<Vec<Entry>, StoreError> {
        let list = Statement::shared(ENTRIES, parameters![text(id)]);
        let rows = self.store.read_one(list).await?;
        Ok(rows.iter().map(|row| Entry::from(row.string(0))).collect())
    }

    async fn remove(&self, id: &str) -> Result<bool, StoreError> {
        let remove = Statement::shared(REMOVE, parameters![text(id)]);
        let rows = self
            .store
            .write_one(vec![lock("session", "", id)], remove)
            .await?;
        Ok(rows.first().is_some_and(|row| row.get(0)))
    }
}
