//! Conversations and their messages in SQLite.

use rusqlite::{Connection, OptionalExtension, params};

use super::Sqlite;
use super::events;
use super::trimming::Surplus;
use crate::accounts::CreateError;
use crate::conversations::{Conversation, ConversationMessage, Conversations};
use crate::events::NewEvent;
use crate::keep::Keep;
use crate::session::{StoreError, Timestamp};

impl Conversations for Sqlite {
    async fn create_conversations(
        &self,
        realm: &str,
        conversations: Vec<Conversation>,
    ) -> Result<(), CreateError> {
        let realm = realm.to_owned();
        let taken = self
            .write_or_undo(move |connection| {
                let mut insert = connection.prepare_cached(
                    "INSERT OR IGNORE INTO conversations (realm, id, name, created_millis)
                     VALUES (?1, ?2, ?3, ?4)",
                )?;
                let mut insert_member = connection.prepare_cached(
                    "INSERT OR IGNORE INTO conversation_members (realm, conversation, user)
                     VALUES (?1, ?2, ?3)",
                )?;
                for (index, conversation) in conversations.iter().enumerate() {
                    let Conversation {
                        id,
                        name,
                        members,
                        created_at,
                    } = conversation;
                    if insert.execute(params![realm, id, name, created_at.millis()])? == 0 {
                        return Ok(Some(index));
                    }
                    for member in members {
                        insert_member.execute(params![realm, id, member])?;
                    }
                }
                Ok(None)
            })
            .await?;
        match taken {
            None => Ok(()),
            Some(index) => Err(CreateError::Taken { index, field: "id" }),
        }
    }

    async fn conversation(&self, realm: &str, id: &str) -> Result<Option<Conversation>, StoreError> {
        let (realm, id) = (realm.to_owned(), id.to_owned());
        self.read(move |connection| find(connection, &realm, id)).await
    }

    async fn conversations_of(
        &self,
        realm: &str,
        user: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Conversation>, StoreError> {
        let (realm, user) = (realm.to_owned(), user.to_owned());
        let after = after.unwrap_or_default().to_owned();
        self.read(move |connection| {
            let ids: Vec<String> = connection
                .prepare_cached(
                    "SELECT conversation FROM conversation_members
                     WHERE realm = ?1 AND user = ?2 AND conversation > ?3 ORDER BY conversation LIMIT ?4",
                )?
                .query_map(params![realm, user, after, limit], |row| row.get(0))?
                .collect::<Result<_, _>>()?;
            let found = ids.into_iter().map(|id| find(connection, &realm, id));
            found.filter_map(Result::transpose).collect()
        })
        .await
    }

    async fn post_message(
        &self,
        realm: &str,
        message: ConversationMessage,
        events: Vec<NewEvent>,
    ) -> Result<Vec<u64>, StoreError> {
        let realm = realm.to_owned();
        self.write(move |connection| {
            connection
                .prepare_cached(
                    "INSERT INTO conversation_messages (realm, id, conversation, sender, content, created_millis)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                )?
                .execute(params![
                    realm,
                    message.id,
                    message.conversation,
                    message.sender,
                    message.content,
                    message.created_at.millis(),
                ])?;
            events::insert(connection, &realm, &events)
        })
        .await
    }

    async fn remove_from_conversations(&self, realm: &str, user: &str) -> Result<(), StoreError> {
        let (realm, user) = (realm.to_owned(), user.to_owned());
        self.write(move |connection| {
            let conversations: Vec<String> = connection
                .prepare_cached(
                    "SELECT conversation FROM conversation_members WHERE realm = ?1 AND user = ?2",
                )?
                .query_map(params![realm, user], |row| row.get(0))?
                .collect::<Result<_, _>>()?;
            for delete in [
                "DELETE FROM conversation_messages WHERE realm = ?1 AND sender = ?2",
                "DELETE FROM conversation_members WHERE realm = ?1 AND user = ?2",
            ] {
                connection
                    .prepare_cached(delete)?
                    .execute(params![realm, user])?;
            }
            let mut is_empty = connection.prepare_cached(
                "SELECT NOT EXISTS (SELECT 1 FROM conversation_members WHERE realm = ?1 AND conversation = ?2)",
            )?;
            for conversation in conversations {
                let of = params![realm, conversation];
                if is_empty.query_row(of, |row| row.get(0))? {
                    for delete in [
                        "DELETE FROM conversation_messages WHERE realm = ?1 AND conversation = ?2",
                        "DELETE FROM conversations WHERE realm = ?1 AND id = ?2",
                    ] {
                        connection.prepare_cached(delete)?.execute(of)?;
                    }
                }
            }
            Ok(())
        })
        .await
    }

    async fn trim_messages_of_conversations(
        &self,
        realm: &str,
        keep: Keep,
        limit: usize,
    ) -> Result<usize, StoreError> {
        const MESSAGES: Surplus = Surplus {
            find: "SELECT number FROM (
                       SELECT number, created_millis,
                              row_number() OVER (PARTITION BY conversation ORDER BY number DESC) AS place
                       FROM conversation_messages WHERE realm = ?1
                   ) WHERE created_millis < ?2 OR place > ?3 LIMIT ?4",
            remove: "DELETE FROM conversation_messages WHERE number = ?1",
        };
        self.trim(MESSAGES, realm, keep, limit).await
    }
}

fn find(connection: &Connection, realm: &str, id: String) -> rusqlite::Result<Option<Conversation>> {
    let found = connection
        .prepare_cached("SELECT name, created_millis FROM conversations WHERE realm = ?1 AND id = ?2")?
        .query_row(params![realm, id], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((name, created_millis)) = found else {
        return Ok(None);
    };
    let members = connection
        .prepare_cached(
            "SELECT user FROM conversation_members WHERE realm = ?1 AND conversation = ?2 ORDER BY user",
        )?
        .query_map(params![realm, id], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    Ok(Some(Conversation {
        id,
        name,
        members,
        created_at: Timestamp::from_millis(created_millis),
    }))
}
