//! Conversations and their messages in PostgreSQL.

use tokio_postgres::Row;

use super::accounts::made;
use super::statement::{Columns, Statement, maybe, millis, number, parameters, text, texts};
use super::writing::lock;
use super::{Postgres, events};
use crate::accounts::CreateError;
use crate::conversations::{Conversation, ConversationMessage, Conversations};
use crate::events::NewEvent;
use crate::keep::Keep;
use crate::session::StoreError;

/// Makes all, or none and says which is the first whose id is taken. `$5` and `$6` are the places of conversations, from 1,
/// and their members.
const CREATE: &str = "
    WITH given AS (
        SELECT *, row_number() OVER (PARTITION BY id ORDER BY place) > 1 AS repeats_id
        FROM unnest($2::text[], $3::text[], $4::bigint[]) WITH ORDINALITY AS given (id, name, created, place)
    ), taken AS (
        SELECT place FROM given g
        WHERE repeats_id OR EXISTS (SELECT FROM conversations c WHERE c.realm = $1 AND c.id = g.id)
    ), made AS (
        INSERT INTO conversations (realm, id, name, created_millis)
        SELECT $1, id, name, created FROM given WHERE NOT EXISTS (SELECT FROM taken)
        RETURNING id
    ), peopled AS (
        INSERT INTO conversation_members (realm, conversation, member)
        SELECT DISTINCT $1, g.id, b.member
        FROM made m JOIN given g ON g.id = m.id
        JOIN unnest($5::bigint[], $6::text[]) AS b (place, member) ON b.place = g.place
    )
    SELECT place, 'id' FROM taken ORDER BY place LIMIT 1";

macro_rules! conversation {
    () => {
        "SELECT c.id, c.name, c.created_millis, (
            SELECT array_agg(m.member ORDER BY m.member) FROM conversation_members m
            WHERE m.realm = c.realm AND m.conversation = c.id
        ) FROM conversations c"
    };
}

const FIND: &str = concat!(conversation!(), " WHERE c.realm = $1 AND c.id = $2");

const CONVERSATIONS_OF: &str = concat!(
    conversation!(),
    " JOIN conversation_members own ON own.realm = c.realm AND own.conversation = c.id
     WHERE own.realm = $1 AND own.member = $2 AND own.conversation > $3 ORDER BY own.conversation LIMIT $4"
);

const POST: &str = "
    INSERT INTO conversation_messages (realm, id, conversation, sender, content, created_millis)
    VALUES ($1, $2, $3, $4, $5, $6)";

const REMOVE_MESSAGES: &str = "DELETE FROM conversation_messages WHERE realm = $1 AND sender = $2";

/// Takes the user out, and with him those conversations in which nobody else is.
const REMOVE_MEMBER: &str = "
    WITH gone AS (
        DELETE FROM conversation_members WHERE realm = $1 AND member = $2 RETURNING conversation
    ), left_empty AS (
        DELETE FROM conversations c USING gone g
        WHERE c.realm = $1 AND c.id = g.conversation AND NOT EXISTS (
            SELECT FROM conversation_members m WHERE m.realm = $1 AND m.conversation = c.id AND m.member <> $2)
        RETURNING c.id
    )
    DELETE FROM conversation_messages m USING left_empty l WHERE m.realm = $1 AND m.conversation = l.id";

const TRIM: &str = "
    WITH due AS (
        SELECT number FROM (
            SELECT number, created_millis,
                row_number() OVER (PARTITION BY conversation ORDER BY number DESC) AS place
            FROM conversation_messages WHERE realm = $1
        ) kept WHERE created_millis < $2 OR place > $3 LIMIT $4
    )
    DELETE FROM conversation_messages m USING due d WHERE m.number = d.number RETURNING 1";

impl Conversations for Postgres {
    async fn create_conversations(
        &self,
        realm: &str,
        conversations: Vec<Conversation>,
    ) -> Result<(), CreateError> {
        let (mut of, mut members) = (Vec::new(), Vec::new());
        for (conversation, place) in conversations.iter().zip(1_i64..) {
            of.extend(conversation.members.iter().map(|_| place));
            members.extend(texts(&conversation.members));
        }
        let names: Vec<_> = conversations
            .iter()
            .map(|conversation| maybe(conversation.name.as_ref()))
            .collect();
        let times: Vec<_> = conversations
            .iter()
            .map(|conversation| millis(conversation.created_at))
            .collect();
        let ids = texts(conversations.iter().map(|conversation| &conversation.id));
        let parameters = parameters![text(realm), ids, names, times, of, members];
        let create = Statement::shared(CREATE, parameters);
        let taken = self.write_one(vec![membership_lock(realm)], create).await?;
        made(&taken)
    }

    async fn conversation(&self, realm: &str, id: &str) -> Result<Option<Conversation>, StoreError> {
        let find = Statement::shared(FIND, parameters![text(realm), text(id)]);
        Ok(self.read_one(find).await?.first().map(conversation))
    }

    async fn conversations_of(
        &self,
        realm: &str,
        user: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Conversation>, StoreError> {
        let after = text(after.unwrap_or_default());
        let parameters = parameters![text(realm), text(user), after, number(limit)];
        let rows = self
            .read_one(Statement::shared(CONVERSATIONS_OF, parameters))
            .await?;
        Ok(rows.iter().map(conversation).collect())
    }

    async fn post_message(
        &self,
        realm: &str,
        message: ConversationMessage,
        events: Vec<NewEvent>,
    ) -> Result<Vec<u64>, StoreError> {
        let parameters = parameters![
            text(realm),
            text(message.id),
            text(message.conversation),
            text(message.sender),
            text(message.content),
            millis(message.created_at),
        ];
        let statements = vec![Statement::shared(POST, parameters), events::store(realm, &events)];
        let locks = events::storing_locks(realm, &events);
        let answers = self.write(locks, statements).await?;
        Ok(answers
            .last()
            .map(|rows| events::numbers(rows))
            .unwrap_or_default())
    }

    async fn remove_from_conversations(&self, realm: &str, user: &str) -> Result<(), StoreError> {
        let remove = [REMOVE_MESSAGES, REMOVE_MEMBER]
            .map(|sql| Statement::shared(sql, parameters![text(realm), text(user)]));
        self.write(vec![membership_lock(realm)], remove.into())
            .await
            .map(|_| ())
    }

    async fn trim_messages_of_conversations(
        &self,
        realm: &str,
        keep: Keep,
        limit: usize,
    ) -> Result<usize, StoreError> {
        self.trim(TRIM, realm, keep, limit).await
    }
}

/// Held by whoever changes which conversations there are, and who is in them: that is rare.
fn membership_lock(realm: &str) -> i64 {
    lock("conversations", realm, "")
}

fn conversation(row: &Row) -> Conversation {
    Conversation {
        id: row.string(0),
        name: row.maybe_string(1),
        created_at: row.moment(2),
        members: row.strings(3),
    }
}
