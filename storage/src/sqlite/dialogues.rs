//! Dialogues in SQLite.

use rusqlite::{Connection, OptionalExtension, Params, Row, params};

use super::Sqlite;
use crate::dialogues::{Dialogue, DialogueMessage, Dialogues, MessagePlace, Progress};
use crate::keep::Keep;
use crate::session::{StoreError, Timestamp};

/// A message with the two it is between.
const MESSAGE: &str = "SELECT d.low, d.high, m.is_from_low, m.id, m.content, m.kind, m.created_millis,
    m.delivered_millis, m.read_millis";

/// Two users in the order in which a dialogue names them.
struct Pair {
    low: String,
    high: String,
}

impl Pair {
    fn new(one: &str, other: &str) -> Self {
        let (low, high) = if one < other { (one, other) } else { (other, one) };
        Self {
            low: low.to_owned(),
            high: high.to_owned(),
        }
    }
}

impl Dialogues for Sqlite {
    async fn append(&self, realm: &str, message: DialogueMessage) -> Result<MessagePlace, StoreError> {
        let realm = realm.to_owned();
        self.write(move |connection| {
            let Pair { low, high } = Pair::new(&message.sender, &message.receiver);
            let is_from_low = message.sender == low;
            let place = connection
                .prepare_cached(
                    "INSERT INTO dialogues (realm, low, high, last_number, last_millis, unread_by_low, unread_by_high)
                     VALUES (?1, ?2, ?3, 1, ?4, ?5, ?6)
                     ON CONFLICT (realm, low, high) DO UPDATE SET
                        last_number = last_number + 1,
                        last_millis = excluded.last_millis,
                        unread_by_low = unread_by_low + excluded.unread_by_low,
                        unread_by_high = unread_by_high + excluded.unread_by_high
                     RETURNING dialogue, last_number",
                )?
                .query_row(
                    params![realm, low, high, message.created.millis(), !is_from_low, is_from_low],
                    |row| {
                        Ok(MessagePlace {
                            dialogue: row.get(0)?,
                            number: row.get(1)?,
                        })
                    },
                )?;
            connection
                .prepare_cached(
                    "INSERT INTO dialogue_messages (dialogue, number, is_from_low, id, content, kind, created_millis)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                )?
                .execute(params![
                    place.dialogue,
                    place.number,
                    is_from_low,
                    message.id,
                    message.content,
                    message.kind,
                    message.created.millis(),
                ])?;
            Ok(place)
        })
        .await
    }

    async fn note_delivered(
        &self,
        deliveries: Vec<(MessagePlace, Timestamp)>,
    ) -> Result<Vec<bool>, StoreError> {
        self.write(move |connection| {
            let mut note = connection.prepare_cached(
                "UPDATE dialogue_messages SET delivered_millis = ?3
                 WHERE dialogue = ?1 AND number = ?2 AND delivered_millis IS NULL",
            )?;
            let noted = deliveries.iter().map(|(place, at)| {
                let changed = note.execute(params![place.dialogue, place.number, at.millis()])?;
                Ok(changed > 0)
            });
            noted.collect()
        })
        .await
    }

    async fn note_read(
        &self,
        realm: &str,
        reader: &str,
        sender: &str,
        at: Timestamp,
    ) -> Result<u64, StoreError> {
        let pair = Pair::new(reader, sender);
        let is_from_low = sender == pair.low;
        let realm = realm.to_owned();
        // The reader is the other one than the sender.
        let reader = if is_from_low { "high" } else { "low" };
        self.write(move |connection| {
            let found = connection
                .prepare_cached(&format!(
                    "SELECT dialogue, read_by_{reader}_until FROM dialogues
                     WHERE realm = ?1 AND low = ?2 AND high = ?3 AND unread_by_{reader} > 0"
                ))?
                .query_row(params![realm, pair.low, pair.high], |row| {
                    Ok((row.get::<_, u64>(0)?, row.get::<_, u64>(1)?))
                })
                .optional()?;
            let Some((dialogue, until)) = found else {
                return Ok(0);
            };
            let read = connection
                .prepare_cached(
                    "UPDATE dialogue_messages
                     SET read_millis = ?4, delivered_millis = coalesce(delivered_millis, ?4)
                     WHERE dialogue = ?1 AND number > ?2 AND is_from_low = ?3 AND read_millis IS NULL",
                )?
                .execute(params![dialogue, until, is_from_low, at.millis()])?;
            connection
                .prepare_cached(&format!(
                    "UPDATE dialogues SET unread_by_{reader} = 0, read_by_{reader}_until = last_number
                     WHERE dialogue = ?1"
                ))?
                .execute(params![dialogue])?;
            Ok(read as u64)
        })
        .await
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
        let realm = realm.to_owned();
        self.read(move |connection| {
            // By number and not by OFFSET: an old page costs no more than a new one.
            let mut messages = connection
                .prepare_cached(&format!(
                    "{MESSAGE} FROM dialogues d JOIN dialogue_messages m ON m.dialogue = d.dialogue
                     WHERE d.realm = ?1 AND d.low = ?2 AND d.high = ?3 AND m.number <= d.last_number - ?4
                     ORDER BY m.number DESC LIMIT ?5"
                ))?
                .query_map(
                    params![realm, pair.low, pair.high, bounded(skip), bounded(limit)],
                    message,
                )?
                .collect::<rusqlite::Result<Vec<_>>>()?;
            messages.reverse();
            Ok(messages)
        })
        .await
    }

    async fn dialogues(
        &self,
        realm: &str,
        user: &str,
        skip: usize,
        limit: usize,
    ) -> Result<Vec<Dialogue>, StoreError> {
        let (realm, user) = (realm.to_owned(), user.to_owned());
        self.read(move |connection| {
            let side = |own: &str| {
                format!(
                    "{MESSAGE}, d.unread_by_{own}, d.last_millis, d.dialogue
                     FROM dialogues d JOIN dialogue_messages m ON m.dialogue = d.dialogue AND m.number = d.last_number
                     WHERE d.realm = ?1 AND d.{own} = ?2"
                )
            };
            connection
                .prepare_cached(&format!(
                    "{} UNION ALL {} ORDER BY d.last_millis DESC, d.dialogue DESC LIMIT ?4 OFFSET ?3",
                    side("low"),
                    side("high")
                ))?
                .query_map(
                    params![realm, user, bounded(skip), bounded(limit)],
                    |row| {
                        let last = message(row)?;
                        let other = if last.sender == user {
                            last.receiver.clone()
                        } else {
                            last.sender.clone()
                        };
                        Ok(Dialogue {
                            other,
                            last,
                            unread: row.get(9)?,
                        })
                    },
                )?
                .collect()
        })
        .await
    }

    async fn unread(&self, realm: &str, user: &str) -> Result<u64, StoreError> {
        let (realm, user) = (realm.to_owned(), user.to_owned());
        self.read(move |connection| {
            connection
                .prepare_cached(
                    "SELECT (SELECT coalesce(sum(unread_by_low), 0) FROM dialogues WHERE realm = ?1 AND low = ?2)
                     + (SELECT coalesce(sum(unread_by_high), 0) FROM dialogues WHERE realm = ?1 AND high = ?2)",
                )?
                .query_row(params![realm, user], |row| row.get(0))
        })
        .await
    }

    async fn remove_dialogues(&self, realm: &str, user: &str) -> Result<(), StoreError> {
        let (realm, user) = (realm.to_owned(), user.to_owned());
        self.write(move |connection| {
            let whose = "SELECT dialogue FROM dialogues WHERE realm = ?1 AND low = ?2
                 UNION ALL SELECT dialogue FROM dialogues WHERE realm = ?1 AND high = ?2";
            for table in ["dialogue_messages", "dialogues"] {
                connection
                    .prepare_cached(&format!("DELETE FROM {table} WHERE dialogue IN ({whose})"))?
                    .execute(params![realm, user])?;
            }
            Ok(())
        })
        .await
    }

    async fn trim_dialogues(&self, realm: &str, keep: Keep, limit: usize) -> Result<usize, StoreError> {
        let limit = bounded(limit);
        let mut removed = 0;
        if let Some(since) = keep.since {
            let realm = realm.to_owned();
            removed = self
                .write(move |connection| {
                    let old = "SELECT m.dialogue, m.number FROM dialogue_messages m
                         WHERE m.created_millis < ?2
                         AND (SELECT d.realm FROM dialogues d WHERE d.dialogue = m.dialogue) = ?1
                         ORDER BY m.created_millis LIMIT ?3";
                    remove(connection, old, params![realm, since.millis(), limit])
                })
                .await?;
        }
        let Some(count_max) = keep.count_max.filter(|_| (removed as u64) < limit) else {
            return Ok(removed);
        };
        let count_max = count_max.min(i64::MAX as u64);
        let realm = realm.to_owned();
        let left = limit - removed as u64;
        // Found by a reader: nobody who writes waits for a look at every dialogue.
        let crowded: Vec<u64> = self
            .read(move |connection| {
                connection
                    .prepare_cached(
                        "SELECT d.dialogue FROM dialogues d WHERE d.realm = ?1 AND d.last_number > ?2 AND EXISTS
                         (SELECT 1 FROM dialogue_messages m
                          WHERE m.dialogue = d.dialogue AND m.number <= d.last_number - ?2)
                         LIMIT ?3",
                    )?
                    .query_map(params![realm, count_max, left], |row| row.get(0))?
                    .collect()
            })
            .await?;
        if crowded.is_empty() {
            return Ok(removed);
        }
        let beyond = self.write(move |connection| {
            let old = "SELECT m.dialogue, m.number FROM dialogue_messages m WHERE m.dialogue = ?1 AND m.number <=
                 (SELECT d.last_number - ?2 FROM dialogues d WHERE d.dialogue = ?1) ORDER BY m.number LIMIT ?3";
            let mut beyond = 0;
            for dialogue in crowded {
                beyond += remove(connection, old, params![dialogue, count_max, left - beyond as u64])?;
            }
            Ok(beyond)
        });
        Ok(removed + beyond.await?)
    }
}

/// What SQLite can compare with its own numbers.
fn bounded(number: usize) -> u64 {
    (number as u64).min(i64::MAX as u64)
}

/// Removes the messages that `which` finds, and counts those of them that were not read as no longer unread.
fn remove(connection: &Connection, which: &str, parameters: impl Params) -> rusqlite::Result<usize> {
    let removed = connection
        .prepare_cached(&format!(
            "DELETE FROM dialogue_messages WHERE (dialogue, number) IN ({which})
             RETURNING dialogue, is_from_low, read_millis IS NULL"
        ))?
        .query_map(parameters, |row| {
            Ok((
                row.get::<_, u64>(0)?,
                row.get::<_, bool>(1)?,
                row.get::<_, bool>(2)?,
            ))
        })?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    let mut uncount = connection.prepare_cached(
        "UPDATE dialogues SET unread_by_low = unread_by_low - ?2, unread_by_high = unread_by_high - ?3
         WHERE dialogue = ?1",
    )?;
    for (dialogue, is_from_low, is_unread) in &removed {
        if *is_unread {
            uncount.execute(params![dialogue, !is_from_low, is_from_low])?;
        }
    }
    Ok(removed.len())
}

fn message(row: &Row<'_>) -> rusqlite::Result<DialogueMessage> {
    let (low, high): (String, String) = (row.get(0)?, row.get(1)?);
    let (sender, receiver) = if row.get(2)? { (low, high) } else { (high, low) };
    let moment =
        |column| Ok::<_, rusqlite::Error>(row.get::<_, Option<u64>>(column)?.map(Timestamp::from_millis));
    let progress = match (moment(7)?, moment(8)?) {
        (None, None) => Progress::Stored,
        (Some(at), None) => Progress::Delivered { at },
        (delivered, Some(at)) => Progress::Read {
            delivered: delivered.unwrap_or(at),
            at,
        },
    };
    Ok(DialogueMessage {
        id: row.get(3)?,
        sender,
        receiver,
        content: row.get(4)?,
        kind: row.get(5)?,
        created: Timestamp::from_millis(row.get(6)?),
        progress,
    })
}
