//! What was written: conversations, history, and what is not read.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Serialize;
use serde_json::json;
use touchstone_protocol::direct::HexId;
use touchstone_protocol::timestamp::Rfc3339;
use touchstone_storage::{
    Accounts, Bus, Dialogue, DialogueMessage, Dialogues, Presence, Progress, Timestamp,
};

use super::accounts::UserListed;
use super::{Failure, success};
use crate::dialects::direct::{Direct, REALM};
use crate::query::Query;

/// Messages in a page where the request does not say how many.
const PAGE_MESSAGES: usize = 50;

/// A message as it stands in the history.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct MessageShown {
    #[serde(rename = "_id")]
    id: String,
    sender_id: String,
    receiver_id: String,
    content: String,
    message_type: String,
    created_at: Rfc3339,
    is_delivered: bool,
    delivered_at: Option<Rfc3339>,
    is_read: bool,
    read_at: Option<Rfc3339>,
}

/// A conversation of somebody.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ConversationShown {
    user: UserListed,
    last_message: MessageShown,
    unread_count: u64,
}

#[derive(Debug, Serialize)]
struct Messages {
    messages: Vec<MessageShown>,
}

#[derive(Debug, Serialize)]
struct Conversations {
    conversations: Vec<ConversationShown>,
}

impl From<DialogueMessage> for MessageShown {
    fn from(message: DialogueMessage) -> Self {
        let (delivered, read) = match message.progress {
            Progress::Stored => (None, None),
            Progress::Delivered { at } => (Some(at), None),
            Progress::Read { delivered, at } => (Some(delivered), Some(at)),
        };
        let shown = |at: Timestamp| Rfc3339(at.millis());
        Self {
            id: message.id,
            sender_id: message.sender,
            receiver_id: message.receiver,
            content: message.content,
            message_type: message.kind,
            created_at: shown(message.created),
            is_delivered: delivered.is_some(),
            delivered_at: delivered.map(shown),
            is_read: read.is_some(),
            read_at: read.map(shown),
        }
    }
}

/// Which part of a list is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Page {
    skip: usize,
    limit: usize,
}

impl Page {
    /// `page` counts from 1, the newest; a `limit` over `most` is `most`.
    fn new(query: Option<&str>, most: usize) -> Result<Self, Failure> {
        let query = Query::new(query);
        let number = |name: &str, otherwise: usize| match query.get(name) {
            None => Ok(otherwise),
            Some(text) => text
                .parse()
                .ok()
                .filter(|number| *number > 0)
                .ok_or(Failure::BadRequest("page and limit are whole numbers from 1")),
        };
        let limit = number("limit", PAGE_MESSAGES)?.min(most);
        let skip = (number("page", 1)? - 1).saturating_mul(limit);
        Ok(Self { skip, limit })
    }
}

fn user_in_path(id: &str) -> Result<HexId, Failure> {
    HexId::parse(id).ok_or(Failure::BadRequest("A user id has 24 hexadecimal digits"))
}

pub(super) async fn history<S: Accounts + Dialogues, B: Bus, P: Presence>(
    State(direct): State<Arc<Direct<S, B, P>>>,
    Path(other): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let caller = direct.caller(&headers).await?;
    let other = user_in_path(&other)?;
    let Page { skip, limit } = Page::new(query.as_deref(), direct.config.page_messages)?;
    let store = &direct.backing.store;
    let page = store.dialogue(REALM, caller.user.as_str(), other.as_str(), skip, limit);
    let messages = store.call(page).await?.into_iter().map(MessageShown::from);
    let messages: Vec<_> = messages.collect();
    Ok(success(StatusCode::OK, Messages { messages }))
}

pub(super) async fn conversations<S: Accounts + Dialogues, B: Bus, P: Presence>(
    State(direct): State<Arc<Direct<S, B, P>>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let caller = direct.caller(&headers).await?;
    let Page { skip, limit } = Page::new(query.as_deref(), direct.config.page_messages)?;
    let store = &direct.backing.store;
    let dialogues = store.dialogues(REALM, caller.user.as_str(), skip, limit);
    let dialogues = store.call(dialogues).await?;
    let others = dialogues.iter().map(|dialogue| dialogue.other.clone()).collect();
    let accounts = store.call(store.accounts_by_id(REALM, others)).await?;
    let mut users = direct.listed(accounts).await?;
    let mut shown = |dialogue: Dialogue| {
        let known = users.iter().position(|user| user.is(&dialogue.other));
        ConversationShown {
            user: match known {
                Some(at) => users.swap_remove(at),
                None => UserListed::unknown(&dialogue.other),
            },
            last_message: dialogue.last.into(),
            unread_count: dialogue.unread,
        }
    };
    let conversations: Vec<_> = dialogues.into_iter().map(&mut shown).collect();
    Ok(success(StatusCode::OK, Conversations { conversations }))
}

pub(super) async fn unread<S: Accounts + Dialogues, B: Bus, P: Presence>(
    State(direct): State<Arc<Direct<S, B, P>>>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let caller = direct.caller(&headers).await?;
    let store = &direct.backing.store;
    let count = store.call(store.unread(REALM, caller.user.as_str())).await?;
    Ok(success(StatusCode::OK, json!({ "unreadCount": count })))
}

pub(super) async fn read<S: Accounts + Dialogues, B: Bus, P: Presence>(
    State(direct): State<Arc<Direct<S, B, P>>>,
    Path(sender): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let caller = direct.caller(&headers).await?;
    let sender = user_in_path(&sender)?;
    let count = direct.mark_read(caller.as_sender(), Some(sender)).await;
    let count = count.map_err(|_| Failure::Unavailable)?;
    Ok(success(StatusCode::OK, json!({ "modifiedCount": count })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_count_from_one_and_have_a_limit() {
        for (query, expected) in [
            (None, Some((0, 50))),
            (Some("page=1"), Some((0, 50))),
            (Some("page=3&limit=20"), Some((40, 20))),
            (Some("limit=1000&page=2"), Some((200, 200))),
            (Some("page=18446744073709551615"), Some((usize::MAX, 50))),
            (Some("page=0"), None),
            (Some("limit=-1"), None),
            (Some("limit=ten"), None),
        ] {
            let page = Page::new(query, 200).ok().map(|page| (page.skip, page.limit));
            assert_eq!(page, expected, "{query:?}");
        }
    }
}
