//! Dialogues in Redis.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{NUMBER_MAX, RedisStore, bounded, bounds, foreign, moment};
use crate::dialogues::{Dialogue, DialogueMessage, Dialogues, MessagePlace, Progress};
use crate::keep::Keep;
use crate::session::{StoreError, Timestamp};

/// A dialogue's number says as well in which realm it is: the realm's number is above these bits.
const DIALOGUE_BITS: u32 = 40;

/// number, the message as JSON, when it was delivered, when it was read
type Row = (String, String, Option<String>, Option<String>);

/// A message as it is written.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    id: String,
    sender: String,
    receiver: String,
    content: String,
    kind: String,
    created: u64,
}

impl Dialogues for RedisStore {
    async fn append(&self, realm: &str, message: DialogueMessage) -> Result<MessagePlace, StoreError> {
        let realm_number = self.realm_number(realm).await?;
        let record = Record {
            id: message.id,
            sender: message.sender,
            receiver: message.receiver,
            content: message.content,
            kind: message.kind,
            created: message.created.millis(),
        };
        let given = json!({
            "sender": record.sender,
            "receiver": record.receiver,
            "created": record.created,
            "record": serde_json::to_string(&record).expect("strings and numbers are always JSON"),
        });
        let (script, base) = (&self.inner.scripts.dialogues, self.realm_key(realm));
        let (dialogue, number): (u64, u64) = self.change(script, &base, "append", &given).await?;
        Ok(MessagePlace {
            dialogue: (realm_number << DIALOGUE_BITS) | dialogue,
            number,
        })
    }

    async fn note_delivered(
        &self,
        deliveries: Vec<(MessagePlace, Timestamp)>,
    ) -> Result<Vec<bool>, StoreError> {
        let mut by_realm: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
        for (index, (place, _)) in deliveries.iter().enumerate() {
            let realm = place.dialogue >> DIALOGUE_BITS;
            by_realm.entry(realm).or_default().push(index);
        }
        let mut news = vec![false; deliveries.len()];
        for (realm, indices) in by_realm {
            let Some(realm) = self.realm_named(realm).await? else {
                continue;
            };
            let noted = indices.iter().map(|&index| {
                let (place, at) = deliveries[index];
                let dialogue = place.dialogue & ((1 << DIALOGUE_BITS) - 1);
                json!({ "dialogue": dialogue, "number": place.number, "at": at.millis() })
            });
            let given = json!({ "deliveries": noted.collect::<Vec<_>>() });
            let (script, base) = (&self.inner.scripts.dialogues, self.realm_key(&realm));
            let said: Vec<bool> = self.change(script, &base, "delivered", &given).await?;
            for (index, is_news) in indices.into_iter().zip(said) {
                news[index] = is_news;
            }
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
        let given = json!({ "reader": reader, "sender": sender, "at": at.millis() });
        let (script, base) = (&self.inner.scripts.dialogues, self.realm_key(realm));
        self.change(script, &base, "read", &given).await
    }

    async fn dialogue(
        &self,
        realm: &str,
        user: &str,
        other: &str,
        skip: usize,
        limit: usize,
    ) -> Result<Vec<DialogueMessage>, StoreError> {
        let skip = (skip as u64).min(NUMBER_MAX);
        let given = json!({ "user": user, "other": other, "skip": skip, "limit": bounded(limit) });
        let (script, base) = (&self.inner.scripts.dialogues, self.realm_key(realm));
        let rows: Vec<Row> = self.look(script, &base, "page", &given).await?;
        rows.into_iter().rev().map(message).collect()
    }

    async fn dialogues(
        &self,
        realm: &str,
        user: &str,
        skip: usize,
        limit: usize,
    ) -> Result<Vec<Dialogue>, StoreError> {
        let skip = (skip as u64).min(NUMBER_MAX);
        let given = json!({ "user": user, "skip": skip, "limit": bounded(limit) });
        let (script, base) = (&self.inner.scripts.dialogues, self.realm_key(realm));
        let rows: Vec<(u64, Row)> = self.look(script, &base, "of", &given).await?;
        let dialogue = |(unread, last): (u64, Row)| {
            let last = message(last)?;
            let other = if last.sender == user {
                last.receiver.clone()
            } else {
                last.sender.clone()
            };
            Ok(Dialogue { other, last, unread })
        };
        rows.into_iter().map(dialogue).collect()
    }

    async fn unread(&self, realm: &str, user: &str) -> Result<u64, StoreError> {
        let (script, base) = (&self.inner.scripts.dialogues, self.realm_key(realm));
        self.look(script, &base, "unread", &json!({ "user": user })).await
    }

    async fn remove_dialogues(&self, realm: &str, user: &str) -> Result<(), StoreError> {
        let (script, base) = (&self.inner.scripts.dialogues, self.realm_key(realm));
        self.change(script, &base, "remove", &json!({ "user": user }))
            .await
    }

    async fn trim_dialogues(&self, realm: &str, keep: Keep, limit: usize) -> Result<usize, StoreError> {
        let (script, base) = (&self.inner.scripts.dialogues, self.realm_key(realm));
        self.change(script, &base, "trim", &bounds(keep, limit)).await
    }
}

impl RedisStore {
    /// The realm with this number, if there is one.
    async fn realm_named(&self, number: u64) -> Result<Option<String>, StoreError> {
        let known = self
            .realms()
            .iter()
            .find_map(|(realm, known)| (*known == number).then(|| realm.clone()));
        if known.is_some() {
            return Ok(known);
        }
        let realms = self.numbered_realms().await?;
        let named = realms.into_iter().find(|(_, known)| *known == number);
        Ok(named.map(|(realm, _)| realm))
    }
}

fn message((_, record, delivered, read): Row) -> Result<DialogueMessage, StoreError> {
    let record: Record = serde_json::from_str(&record).map_err(|_| foreign("a message"))?;
    let at = |text: Option<String>| text.map(|text| moment(&text, "a message's time")).transpose();
    let progress = match (at(delivered)?, at(read)?) {
        (None, None) => Progress::Stored,
        (Some(at), None) => Progress::Delivered { at },
        (delivered, Some(at)) => Progress::Read {
            delivered: delivered.unwrap_or(at),
            at,
        },
    };
    Ok(DialogueMessage {
        id: record.id,
        sender: record.sender,
        receiver: record.receiver,
        content: record.content,
        kind: record.kind,
        created: Timestamp::from_millis(record.created),
        progress,
    })
}
