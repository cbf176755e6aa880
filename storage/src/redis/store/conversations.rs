//! Conversations and their messages in Redis.

use redis::FromRedisValue;
use serde_json::json;

use super::{RedisStore, bounded, bounds, events, foreign, moment, number};
use crate::accounts::CreateError;
use crate::conversations::{Conversation, ConversationMessage, Conversations};
use crate::events::NewEvent;
use crate::keep::Keep;
use crate::session::StoreError;

/// id, created, name, members; empty if there is none.
type Row = Vec<redis::Value>;

impl Conversations for RedisStore {
    async fn create_conversations(
        &self,
        realm: &str,
        conversations: Vec<Conversation>,
    ) -> Result<(), CreateError> {
        let written = conversations.iter().map(|conversation| {
            let Conversation {
                id,
                name,
                members,
                created_at,
            } = conversation;
            json!({ "id": id, "name": name, "members": members, "created": created_at.millis() })
        });
        let given = json!({ "conversations": written.collect::<Vec<_>>() });
        let (script, base) = (&self.inner.scripts.conversations, self.realm_key(realm));
        let taken: Vec<String> = self.change(script, &base, "create", &given).await?;
        match taken.first() {
            None => Ok(()),
            Some(index) => Err(CreateError::Taken {
                index: number(index, "an index")? as usize,
                field: "id",
            }),
        }
    }

    async fn conversation(&self, realm: &str, id: &str) -> Result<Option<Conversation>, StoreError> {
        let (script, base) = (&self.inner.scripts.conversations, self.realm_key(realm));
        let row: Row = self.look(script, &base, "one", &json!({ "id": id })).await?;
        if row.is_empty() {
            return Ok(None);
        }
        read(row).map(Some)
    }

    async fn conversations_of(
        &self,
        realm: &str,
        user: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Conversation>, StoreError> {
        let given = json!({ "user": user, "after": after, "limit": bounded(limit) });
        let (script, base) = (&self.inner.scripts.conversations, self.realm_key(realm));
        let rows: Vec<Row> = self.look(script, &base, "of", &given).await?;
        let there = rows.into_iter().filter(|row| !row.is_empty());
        there.map(read).collect()
    }

    async fn post_message(
        &self,
        realm: &str,
        message: ConversationMessage,
        events: Vec<NewEvent>,
    ) -> Result<Vec<u64>, StoreError> {
        let given = json!({
            "message": {
                "id": message.id,
                "conversation": message.conversation,
                "sender": message.sender,
                "content": message.content,
                "created": message.created_at.millis(),
            },
            "events": events::written(&events),
        });
        let (script, base) = (&self.inner.scripts.conversations, self.realm_key(realm));
        self.change(script, &base, "post", &given).await
    }

    async fn remove_from_conversations(&self, realm: &str, user: &str) -> Result<(), StoreError> {
        let (script, base) = (&self.inner.scripts.conversations, self.realm_key(realm));
        self.change(script, &base, "remove_user", &json!({ "user": user }))
            .await
    }

    async fn trim_messages_of_conversations(
        &self,
        realm: &str,
        keep: Keep,
        limit: usize,
    ) -> Result<usize, StoreError> {
        let (script, base) = (&self.inner.scripts.conversations, self.realm_key(realm));
        self.change(script, &base, "trim", &bounds(keep, limit)).await
    }
}

fn read(row: Row) -> Result<Conversation, StoreError> {
    type Whole = (String, String, Option<String>, Vec<String>);
    let (id, created, name, members) =
        Whole::from_redis_value(redis::Value::Array(row)).map_err(|_| foreign("a conversation"))?;
    Ok(Conversation {
        id,
        name,
        members,
        created_at: moment(&created, "a conversation's time")?,
    })
}
