//! What an administrator can do with `outbox`.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value};
use touchstone_protocol::json;
use touchstone_protocol::outbox;
use touchstone_protocol::outbox::messages::EventKind;
use touchstone_storage::{Account, Bus, Conversation, EventState, Presence};
use uuid::Uuid;

use super::admission::TokenUse;
use super::sending::{Draft, SweepError};
use super::{Keeps, Outbox, REALM, user_uuid};
use crate::admin::{
    Administered, Audience, GivenId, Made, NewChannel, NewUser, OpenConnection, Publication, QueuedEvent,
    Refusal, UserName,
};
use crate::connection::Close;

/// Users in one page when everybody is told something, or conversations and events in one look at the store.
const ROWS_PER_PAGE: usize = 1_000;

/// The sender of a message that says nothing of its sender: the server itself.
const SERVER_UUID: Uuid = Uuid::nil();

impl<S: Keeps, B: Bus, P: Presence> Administered for Outbox<S, B, P> {
    async fn make_users(&self, users: Vec<NewUser>) -> Result<Vec<Made>, Refusal> {
        let accounts = users.into_iter().enumerate();
        let accounts =
            accounts.map(|(index, user)| account(user).map_err(|why| Refusal::Entry { index, why }));
        let accounts = accounts.collect::<Result<Vec<_>, _>>()?;
        let made = accounts.iter().map(|account| Made {
            id: account.id.clone().into(),
            token: self.issue(&account.id, TokenUse::Access),
        });
        let made = made.collect();
        let store = &self.backing.store;
        store.call(store.create_accounts(REALM, accounts)).await?;
        Ok(made)
    }

    async fn make_channels(&self, channels: Vec<NewChannel>) -> Result<Vec<Made>, Refusal> {
        let now = self.backing.clock.now();
        let mut conversations = Vec::with_capacity(channels.len());
        for (index, channel) in channels.into_iter().enumerate() {
            let refused = |why: &str| Refusal::Entry {
                index,
                why: why.to_owned(),
            };
            let id = own_id(channel.id).map_err(refused)?;
            if channel.tenant.is_some() {
                return Err(refused(NO_TENANTS));
            }
            let members: Option<BTreeSet<_>> = channel
                .members
                .iter()
                .map(|member| user_uuid::canonical(member))
                .collect();
            let members = members.ok_or_else(|| refused(NO_UUID))?;
            conversations.push(Conversation {
                id,
                name: channel.name,
                members: members.into_iter().collect(),
                created_at: now,
            });
        }
        self.check_members(&conversations).await?;
        let made = conversations.iter().map(|conversation| Made {
            id: conversation.id.clone().into(),
            token: None,
        });
        let made = made.collect();
        let store = &self.backing.store;
        store
            .call(store.create_conversations(REALM, conversations))
            .await?;
        Ok(made)
    }

    async fn publish(&self, publication: Publication) -> Result<(), Refusal> {
        let kind = EventKind::parse(&publication.kind).ok_or_else(|| {
            let kinds = EventKind::ALL.map(EventKind::name).join(", ");
            Refusal::Request(format!("on outbox, `type` is one of {kinds}"))
        })?;
        if publication.tenant.is_some() {
            return Err(Refusal::Request(NO_TENANTS.to_owned()));
        }
        let (conversation, users) = self.audience(publication.to).await?;
        let data = self.data(kind, publication.data, conversation)?;
        let data: Arc<str> = data.to_string().into();
        let enqueue = |users: Vec<String>| {
            let draft = |user| Draft {
                user,
                kind,
                data: Arc::clone(&data),
                scheduled_at: publication.scheduled_at,
            };
            self.enqueue(users.into_iter().map(draft).collect())
        };
        let Some(users) = users else {
            let store = &self.backing.store;
            let mut last: Option<String> = None;
            loop {
                let page = store.accounts(REALM, last.as_deref(), ROWS_PER_PAGE);
                let page: Vec<_> = store.call(page).await?;
                let users: Vec<_> = page.into_iter().map(|account| account.id).collect();
                last = users.last().cloned();
                if last.is_none() {
                    return Ok(());
                }
                enqueue(users).await?;
            }
        };
        enqueue(users).await?;
        Ok(())
    }

    async fn delete_user(&self, user: UserName) -> Result<(), Refusal> {
        let id = user_id(&user)?;
        let store = &self.backing.store;
        store.call(store.remove_from_conversations(REALM, &id)).await?;
        // First the account, so that nothing new is stored for it, then what was.
        let existed = store.call(store.remove_account(REALM, &id)).await?;
        store.call(store.remove_events(REALM, &id)).await?;
        if !existed {
            return Err(Refusal::NotFound("the user"));
        }
        let close = Close::new(outbox::CLOSE_UNKNOWN_USER, "user deleted");
        Ok(self.close_connections(&id, close).await?)
    }

    async fn disconnect(&self, user: UserName, close: Close) -> Result<(), Refusal> {
        Ok(self.close_connections(&user_id(&user)?, close).await?)
    }

    fn connections(&self, user: Option<&UserName>) -> Result<Vec<OpenConnection>, Refusal> {
        let users = match user {
            Some(user) => vec![user_id(user)?.into()],
            None => self.recipients.names(),
        };
        let mut connections = Vec::new();
        for user in users {
            for recipient in self.recipients.members(&user) {
                connections.push(OpenConnection {
                    user: Some(user.to_string()),
                    tenant: None,
                    since: recipient.mailbox.since(),
                    peer: recipient.mailbox.peer(),
                });
            }
        }
        Ok(connections)
    }

    async fn events(&self, user: UserName) -> Result<Vec<QueuedEvent>, Refusal> {
        let id = user_id(&user)?;
        let store = &self.backing.store;
        if store.call(store.account(REALM, &id)).await?.is_none() {
            return Err(Refusal::NotFound("the user"));
        }
        let mut events = Vec::new();
        let mut after = 0;
        loop {
            let page = store.call(store.events(REALM, &id, after, ROWS_PER_PAGE)).await?;
            let Some(last) = page.last() else {
                return Ok(events);
            };
            after = last.number;
            events.extend(page.into_iter().map(|event| QueuedEvent {
                id: event.id,
                kind: event.kind,
                data: serde_json::from_str(&event.data).unwrap_or(Value::String(event.data)),
                scheduled_at: event.scheduled_at,
                sent_at: match event.state {
                    EventState::Pending => None,
                    EventState::Sent { at } => Some(at),
                },
            }));
        }
    }

    async fn sweep(&self) -> Result<(), Refusal> {
        self.sweep_everywhere().await.map_err(|error| match error {
            SweepError::Store(error) => Refusal::Store(error),
            SweepError::Bus(error) => Refusal::Bus(error),
        })
    }
}

const NO_TENANTS: &str = "outbox has no tenants";
const NO_UUID: &str = "on outbox, an id is a UUID";
const NO_NUL: &str = "a text has no U+0000 in it";

impl<S: Keeps, B: Bus, P: Presence> Outbox<S, B, P> {
    /// Refuses the first conversation with a member that does not exist.
    async fn check_members(&self, conversations: &[Conversation]) -> Result<(), Refusal> {
        let members = conversations
            .iter()
            .flat_map(|conversation| &conversation.members);
        let members: BTreeSet<_> = members.cloned().collect();
        let known = self.known(members).await?;
        let stranger = conversations
            .iter()
            .enumerate()
            .find_map(|(index, conversation)| {
                let stranger = conversation
                    .members
                    .iter()
                    .find(|member| !known.contains(*member))?;
                let why = format!("there is no user {stranger}");
                Some(Refusal::Entry { index, why })
            });
        stranger.map_or(Ok(()), Err)
    }

    /// Those of `ids` that are users.
    async fn known(&self, ids: BTreeSet<String>) -> Result<BTreeSet<String>, Refusal> {
        let store = &self.backing.store;
        let found = store.accounts_by_id(REALM, ids.into_iter().collect());
        let found = store.call(found).await?;
        Ok(found.into_iter().map(|account| account.id).collect())
    }

    /// The conversation that is told something, if it is one, and the users; `None` for all there are.
    async fn audience(&self, to: Audience) -> Result<(Option<String>, Option<Vec<String>>), Refusal> {
        let ids = match to {
            Audience::All => return Ok((None, None)),
            Audience::One(id) => vec![id],
            Audience::Several(ids) => ids,
        };
        let is_one = ids.len() == 1;
        let ids: Option<BTreeSet<_>> = ids.iter().map(|id| user_uuid::canonical(id)).collect();
        let ids = ids.ok_or(Refusal::NotFound("the recipient"))?;
        let known = self.known(ids.clone()).await?;
        if known.len() == ids.len() {
            return Ok((None, Some(known.into_iter().collect())));
        }
        let store = &self.backing.store;
        let conversation = match ids.first().filter(|_| is_one) {
            Some(id) => store.call(store.conversation(REALM, id)).await?,
            None => None,
        };
        let Conversation { id, members, .. } = conversation.ok_or(Refusal::NotFound("the recipient"))?;
        Ok((Some(id), Some(members)))
    }

    /// What an event says, with what was left out filled in.
    fn data(&self, kind: EventKind, data: Value, conversation: Option<String>) -> Result<Value, Refusal> {
        let refused = |why: &str| Refusal::Request(why.to_owned());
        if has_nul(&data) {
            return Err(refused(NO_NUL));
        }
        match kind {
            EventKind::Notifications => match &data["notification"] {
                Value::Object(_) => Ok(data),
                _ => Err(refused("on outbox, `data.notification` is an object")),
            },
            EventKind::MessageGenerate | EventKind::MessageRegenerate => {
                let new = || Uuid::now_v7().to_string();
                let Value::Object(mut data) = data else {
                    return Err(refused("on outbox, `data` is an object"));
                };
                let mut message = part(&mut data, "message")?
                    .ok_or_else(|| refused("on outbox, `data.message` is an object"))?;
                if !message.get("content").is_some_and(Value::is_string) {
                    return Err(refused("on outbox, `data.message.content` is a string"));
                }
                fill_in(&mut message, "uuid", new)?;
                fill_in(&mut message, "sender_uuid", || SERVER_UUID.to_string())?;
                fill_in(&mut message, "created_at", || self.timestamp().to_string())?;
                let mut response = part(&mut data, "response_message")?.unwrap_or_default();
                fill_in(&mut response, "conversation_uuid", || {
                    conversation.unwrap_or_else(new)
                })?;
                data.insert("message".to_owned(), message.into());
                data.insert("response_message".to_owned(), response.into());
                Ok(data.into())
            }
        }
    }
}

/// The object of that name, taken out; `None` if it is missing.
fn part(data: &mut Map<String, Value>, name: &str) -> Result<Option<Map<String, Value>>, Refusal> {
    match data.remove(name) {
        None => Ok(None),
        Some(Value::Object(part)) => Ok(Some(part)),
        Some(_) => Err(Refusal::Request(format!("on outbox, `data.{name}` is an object"))),
    }
}

/// Sees to it that there is a text of that name.
fn fill_in(
    object: &mut Map<String, Value>,
    name: &str,
    missing: impl FnOnce() -> String,
) -> Result<(), Refusal> {
    match object.get(name) {
        Some(Value::String(_)) => {}
        None => {
            object.insert(name.to_owned(), missing().into());
        }
        Some(_) => return Err(Refusal::Request(format!("on outbox, `{name}` is a string"))),
    }
    Ok(())
}

fn has_nul(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
        Value::String(text) => json::has_nul(text),
        Value::Array(elements) => elements.iter().any(has_nul),
        Value::Object(members) => members
            .iter()
            .any(|(name, value)| json::has_nul(name) || has_nul(value)),
    }
}

/// The id that was given in canonical form, or one that is new.
fn own_id(given: Option<String>) -> Result<String, &'static str> {
    match given {
        None => Ok(Uuid::now_v7().to_string()),
        Some(id) => user_uuid::canonical(&id).ok_or(NO_UUID),
    }
}

fn user_id(user: &UserName) -> Result<String, Refusal> {
    if user.tenant.is_some() {
        return Err(Refusal::Request(NO_TENANTS.to_owned()));
    }
    user_uuid::canonical(&user.id).ok_or(Refusal::NotFound("the user"))
}

fn account(user: NewUser) -> Result<Account, String> {
    if user.tenant.is_some() {
        return Err(NO_TENANTS.to_owned());
    }
    Ok(Account {
        id: own_id(user.id.map(GivenId::into_text))?,
        username: user.username,
        email: user.email,
        name: user.name,
        avatar: user.avatar,
        password_hash: user.password_hash,
        ..Account::default()
    })
}
