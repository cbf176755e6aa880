//! Dialogues in PostgreSQL.

use tokio_postgres::Row;

use super::Postgres;
use super::statement::{Columns, Statement, millis, number, parameters, text};
use super::writing::lock;
use crate::dialogues::{Dialogue, DialogueMessage, Dialogues, MessagePlace, Progress};
use crate::keep::Keep;
use crate::session::{StoreError, Timestamp};

const APPEND: &str = "
    WITH place AS (
        INSERT INTO dialogues (realm, low, high, last_number, last_millis, unread_by_low, unread_by_high)
        VALUES ($1, $2, $3, 1, $8, CASE WHEN $4 THEN 0 ELSE 1 END, CASE WHEN $4 THEN 1 ELSE 0 END)
        ON CONFLICT (realm, low, high) DO UPDATE SET
            last_number = dialogues.last_number + 1,
            last_millis = excluded.last_millis,
            unread_by_low = dialogues.unread_by_low + excluded.unread_by_low,
            unread_by_high = dialogues.unread_by_high + excluded.unread_by_high
        RETURNING dialogue, last_number
    )
    INSERT INTO dialogue_messages (dialogue, number, is_from_low, id, content, kind, created_millis)
    SELECT dialogue, last_number, $4, $5, $6, $7, $8 FROM place
    RETURNING dialogue, number";

/// Returns the places in the list, from 1, of those that it was news of.
const NOTE_DELIVERED: &str = "
    WITH given AS (
        SELECT DISTINCT ON (dialogue, number) *
        FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) WITH ORDINALITY
            AS given (dialogue, number, at_millis, place)
        ORDER BY dialogue, number, place
    )
    UPDATE dialogue_messages m SET delivered_millis = g.at_millis FROM given g
    WHERE m.dialogue = g.dialogue AND m.number = g.number AND m.delivered_millis IS NULL
    RETURNING g.place";

/// Everything to the one of the pair that is named, from the other.
macro_rules! note_read {
    ($reader:literal, $is_from_low:literal) => {
        concat!(
            "WITH whose AS (
                SELECT dialogue, read_by_",
            $reader,
            "_until AS until FROM dialogues
                WHERE realm = $1 AND low = $2 AND high = $3 AND unread_by_",
            $reader,
            " > 0
            ), read AS (
                UPDATE dialogue_messages m
                SET read_millis = $4, delivered_millis = coalesce(m.delivered_millis, $4) FROM whose w
                WHERE m.dialogue = w.dialogue AND m.number > w.until AND m.is_from_low = ",
            $is_from_low,
            " AND m.read_millis IS NULL RETURNING 1
            ), noted AS (
                UPDATE dialogues d SET unread_by_",
            $reader,
            " = 0, read_by_",
            $reader,
            "_until = d.last_number FROM whose w WHERE d.dialogue = w.dialogue
            )
            SELECT count(*) FROM read"
        )
    };
}

/// A message with the two it is between.
macro_rules! message {
    () => {
        "SELECT d.low, d.high, m.is_from_low, m.id, m.content, m.kind, m.created_millis, m.delivered_millis,
            m.read_millis"
    };
}

/// By number and not by OFFSET: an old page costs no more than a new one.
const DIALOGUE: &str = concat!(
    message!(),
    " FROM dialogues d JOIN dialogue_messages m ON m.dialogue = d.dialogue
     WHERE d.realm = $1 AND d.low = $2 AND d.high = $3 AND m.number <= d.last_number - $4
     ORDER BY m.number DESC LIMIT $5"
);

/// The last message of a dialogue may be gone; then the dialogue shows no more.
macro_rules! dialogues {
    ($own:literal) => {
        concat!(
            message!(),
            ", d.unread_by_",
            $own,
            ", d.last_millis, d.dialogue FROM dialogues d
             JOIN dialogue_messages m ON m.dialogue = d.dialogue AND m.number = d.last_number
             WHERE d.realm = $1 AND d.",
            $own,
            " = $2"
        )
    };
}

const DIALOGUES: &str = concat!(
    dialogues!("low"),
    " UNION ALL ",
    dialogues!("high"),
    " ORDER BY last_millis DESC, dialogue DESC LIMIT $4 OFFSET $3"
);

const UNREAD: &str = "
    SELECT (SELECT coalesce(sum(unread_by_low), 0) FROM dialogues WHERE realm = $1 AND low = $2)::bigint
    + (SELECT coalesce(sum(unread_by_high), 0) FROM dialogues WHERE realm = $1 AND high = $2)::bigint";

/// The pairs of the user.
const PAIRS: &str = "
    SELECT low, high FROM dialogues WHERE realm = $1 AND low = $2
    UNION ALL SELECT low, high FROM dialogues WHERE realm = $1 AND high = $2";

const REMOVE: &str = "
    WITH gone AS (DELETE FROM dialogues WHERE realm = $1 AND (low = $2 OR high = $2) RETURNING dialogue)
    DELETE FROM dialogue_messages m USING gone g WHERE m.dialogue = g.dialogue";

const TOO_OLD: &str = "
    SELECT d.low, d.high, m.dialogue, m.number FROM dialogue_messages m JOIN dialogues d ON d.dialogue = m.dialogue
    WHERE d.realm = $1 AND m.created_millis < $2 ORDER BY m.created_millis LIMIT $3";

const BEYOND: &str = "
    SELECT d.low, d.high, m.dialogue, m.number FROM dialogues d
    JOIN dialogue_messages m ON m.dialogue = d.dialogue AND m.number <= d.last_number - $2
    WHERE d.realm = $1 AND d.last_number > $2 ORDER BY m.dialogue, m.number LIMIT $3";

/// Removes messages and counts those of them that were not read as no longer unread.
const TRIM: &str = "
    WITH gone AS (
        DELETE FROM dialogue_messages m
        USING unnest($1::bigint[], $2::bigint[]) AS due (dialogue, number)
        WHERE m.dialogue = due.dialogue AND m.number = due.number
        RETURNING m.dialogue, m.is_from_low, m.read_millis IS NULL AS is_unread
    ), lessened AS (
        UPDATE dialogues d SET unread_by_low = d.unread_by_low - l.by_low, unread_by_high = d.unread_by_high - l.by_high
        FROM (
            SELECT dialogue, count(*) FILTER (WHERE NOT is_from_low) AS by_low,
                count(*) FILTER (WHERE is_from_low) AS by_high
            FROM gone WHERE is_unread GROUP BY dialogue
        ) l WHERE d.dialogue = l.dialogue
    )
    SELECT count(*) FROM gone";

/// Two users in the order in which a dialogue names them.
struct Pair<'a> {
    low: &'a str,
    high: &'a str,
}

impl<'a> Pair<'a> {
    fn new(one: &'a str, other: &'a str) -> Self {
        let (low, high) = if one < other { (one, other) } else { (other, one) };
        Self { low, high }
    }

    /// Held by whoever changes what is counted in the dialogue.
    fn lock(&self, realm: &str) -> i64 {
        // The length keeps pairs apart whose ids only together are the same.
        lock(
            "dialogue",
            realm,
            &format!("{}:{}{}", self.low.len(), self.low, self.high),
        )
    }
}

impl Dialogues for Postgres {
    async fn append(&self, realm: &str, message: DialogueMessage) -> Result<MessagePlace, StoreError> {
        let pair = Pair::new(&message.sender, &message.receiver);
        let parameters = parameters![
            text(realm),
            text(pair.low),
            text(pair.high),
            message.sender == pair.low,
            text(&message.id),
            text(&message.content),
            text(&message.kind),
            millis(message.created),
        ];
        let append = Statement::shared(APPEND, parameters);
        let rows = self.write_one(vec![pair.lock(realm)], append).await?;
        let row = rows.first().expect("what is inserted returns its place");
        Ok(MessagePlace {
            dialogue: row.count(0),
            number: row.count(1),
        })
    }

    async fn note_delivered(
        &self,
        deliveries: Vec<(MessagePlace, Timestamp)>,
    ) -> Result<Vec<bool>, StoreError> {
        let column =
            |value: fn(&(MessagePlace, Timestamp)) -> i64| deliveries.iter().map(value).collect::<Vec<_>>();
        let parameters = parameters![
            column(|(place, _)| number(place.dialogue)),
            column(|(place, _)| number(place.number)),
            column(|(_, at)| millis(*at)),
        ];
        let note = Statement::shared(NOTE_DELIVERED, parameters);
        let mut news = vec![false; deliveries.len()];
        for row in self.write_one(Vec::new(), note).await? {
            news[row.count(0) as usize - 1] = true;
        }
        Ok(news)
    }

    async fn note_read(
        &self,
        realm: &str,
        reader: &str,
        sender: &str,
        at: Timestamp,
    ) -> Result<u64, StoreError> {
        let pair = Pair::new(reader, sender);
        let note = match reader == pair.low {
            true => note_read!("low", "false"),
            false => note_read!("high", "true"),
        };
        let parameters = parameters![text(realm), text(pair.low), text(pair.high), millis(at)];
        let note = Statement::shared(note, parameters);
        let rows = self.write_one(vec![pair.lock(realm)], note).await?;
        Ok(rows.first().map_or(0, |row| row.count(0)))
    }

    async fn dialogue(
        &self,
        realm: &str,
        user: &str,
        other: &str,
        skip: usize,
        limit: usize,
    ) -> Result<Vec<DialogueMessage>, StoreError> {
        let pair = Pair::new(user, other);
        let (low, high) = (text(pair.low), text(pair.high));
        let parameters = parameters![text(realm), low, high, number(skip), number(limit)];
        let rows = self.read_one(Statement::shared(DIALOGUE, parameters)).await?;
        Ok(rows.iter().rev().map(message).collect())
    }

    async fn dialogues(
        &self,
        realm: &str,
        user: &str,
        skip: usize,
        limit: usize,
    ) -> Result<Vec<Dialogue>, StoreError> {
        let parameters = parameters![text(realm), text(user), number(skip), number(limit)];
        let rows = self.read_one(Statement::shared(DIALOGUES, parameters)).await?;
        let shown = rows.iter().map(|row| {
            let last = message(row);
            let other = if last.sender == user {
                last.receiver.clone()
            } else {
                last.sender.clone()
            };
            Dialogue {
                other,
                last,
                unread: row.count(9),
            }
        });
        Ok(shown.collect())
    }

    async fn unread(&self, realm: &str, user: &str) -> Result<u64, StoreError> {
        let count = Statement::shared(UNREAD, parameters![text(realm), text(user)]);
        let rows = self.read_one(count).await?;
        Ok(rows.first().map_or(0, |row| row.count(0)))
    }

    async fn remove_dialogues(&self, realm: &str, user: &str) -> Result<(), StoreError> {
        let whose = || parameters![text(realm), text(user)];
        let pairs = self.read_one(Statement::shared(PAIRS, whose())).await?;
        let locks = pairs.iter().map(|row| pair_lock(realm, row)).collect();
        let remove = Statement::shared(REMOVE, whose());
        self.write_one(locks, remove).await.map(|_| ())
    }

    async fn trim_dialogues(&self, realm: &str, keep: Keep, limit: usize) -> Result<usize, StoreError> {
        let mut removed = 0;
        if let Some(since) = keep.since {
            removed += self.trim_messages(realm, TOO_OLD, millis(since), limit).await?;
        }
        if let Some(count_max) = keep.count_max
            && removed < limit
        {
            let most = number(count_max);
            removed += self.trim_messages(realm, BEYOND, most, limit - removed).await?;
        }
        Ok(removed)
    }
}

impl Postgres {
    /// Removes at most `limit` messages that `find` finds by `bound`.
    async fn trim_messages(
        &self,
        realm: &str,
        find: &'static str,
        bound: i64,
        limit: usize,
    ) -> Result<usize, StoreError> {
        // Found by a reader, so that nobody who writes waits for that.
        let find = Statement::shared(find, parameters![text(realm), bound, number(limit)]);
        let due = self.read_one(find).await?;
        if due.is_empty() {
            return Ok(0);
        }
        let locks = due.iter().map(|row| pair_lock(realm, row)).collect();
        let column = |column| due.iter().map(|row| row.get(column)).collect::<Vec<i64>>();
        let trim = Statement::shared(TRIM, parameters![column(2), column(3)]);
        self.write_one(locks, trim).await?;
        // Those that another node was faster with are gone as well.
        Ok(due.len())
    }
}

/// The lock of the pair that a row begins with.
fn pair_lock(realm: &str, row: &Row) -> i64 {
    Pair::new(&row.string(0), &row.string(1)).lock(realm)
}

fn message(row: &Row) -> DialogueMessage {
    let (low, high) = (row.string(0), row.string(1));
    let (sender, receiver) = if row.get(2) { (low, high) } else { (high, low) };
    let moment = |column| row.maybe_count(column).map(Timestamp::from_millis);
    let progress = match (moment(7), moment(8)) {
        (None, None) => Progress::Stored,
        (Some(at), None) => Progress::Delivered { at },
        (delivered, Some(at)) => Progress::Read {
            delivered: delivered.unwrap_or(at),
            at,
        },
    };
    DialogueMessage {
        id: row.string(3),
        sender,
        receiver,
        content: row.string(4),
        kind: row.string(5),
        created: row.moment(6),
        progress,
    }
}
