//! What an administrator can do with `direct`.

use std::borrow::Cow;

use serde_json::{Map, Value, json};
use touchstone_protocol::direct::messages::{ChatMessage, Refusal as Unsaid, Up};
use touchstone_protocol::direct::{self, HexId};
use touchstone_protocol::json::has_nul;
use touchstone_storage::{Account, Accounts, Bus, Dialogues, Presence, StoreError};
use touchstone_wire as wire;

use super::answering::Sender;
use super::parcel::Parcel;
use super::{Direct, REALM, TOPIC_EVERYBODY, topic_of};
use crate::admin::{
    Administered, Audience, GivenId, Made, NewUser, OpenConnection, Publication, Refusal, UserName,
};
use crate::connection::Close;

/// The one type that is more than a frame: it is stored, confirmed and delivered.
const CHAT_MESSAGE: &str = "chat_message";

impl<S: Accounts + Dialogues, B: Bus, P: Presence> Administered for Direct<S, B, P> {
    async fn make_users(&self, users: Vec<NewUser>) -> Result<Vec<Made>, Refusal> {
        let accounts = users.into_iter().enumerate().map(|(index, user)| {
            self.account_of(user).map_err(|why| Refusal::Entry {
                index,
                why: why.to_owned(),
            })
        });
        let accounts = accounts.collect::<Result<Vec<_>, _>>()?;
        let ids: Vec<_> = accounts.iter().map(|account| account.id.clone()).collect();
        let store = &self.backing.store;
        store.call(store.create_accounts(REALM, accounts)).await?;
        let made = ids.into_iter().map(|id| Made {
            token: self.token_of(&id),
            id: id.into(),
        });
        Ok(made.collect())
    }

    async fn publish(&self, publication: Publication) -> Result<(), Refusal> {
        if publication.tenant.is_some() {
            return Err(Refusal::Lacks("tenants"));
        }
        if publication.scheduled_at.is_some() {
            return Err(Refusal::Lacks("`scheduled_at`"));
        }
        let Publication { to, kind, data, .. } = publication;
        let receivers = match to {
            Audience::All => None,
            Audience::One(id) => Some(vec![id]),
            Audience::Several(ids) => Some(ids),
        };
        let receivers = receivers
            .map(|ids| ids.iter().map(|id| known_form(id)).collect::<Result<Vec<_>, _>>())
            .transpose()?;
        match (receivers, kind.as_str()) {
            (Some(receivers), CHAT_MESSAGE) => self.say(&receivers, &data).await,
            (None, CHAT_MESSAGE) => Err(Refusal::Request(
                "a chat_message goes to one user or to a list of them".to_owned(),
            )),
            (Some(receivers), _) => {
                for receiver in receivers {
                    self.emit(&topic_of(receiver), &kind, &data).await?;
                }
                Ok(())
            }
            (None, _) => self.emit(TOPIC_EVERYBODY, &kind, &data).await,
        }
    }

    async fn delete_user(&self, user: UserName) -> Result<(), Refusal> {
        let id = existing_form(&user)?;
        let store = &self.backing.store;
        let removed = store.call(store.remove_account(REALM, id.as_str())).await?;
        let close = Close::new(direct::CLOSE_UNKNOWN_USER, direct::REASON_UNKNOWN_USER);
        self.publish_in_time(&topic_of(id), &Parcel::Close(close)).await?;
        // Also for one who was gone already: an earlier request may have come only so far.
        store.call(store.remove_dialogues(REALM, id.as_str())).await?;
        if removed {
            Ok(())
        } else {
            Err(Refusal::NotFound("the user"))
        }
    }

    async fn disconnect(&self, user: UserName, close: Close) -> Result<(), Refusal> {
        let topic = topic_of(existing_form(&user)?);
        Ok(self.publish_in_time(&topic, &Parcel::Close(close)).await?)
    }

    fn connections(&self, user: Option<&UserName>) -> Result<Vec<OpenConnection>, Refusal> {
        let members = match user {
            None => self.members.everyone(),
            Some(user) => self.members.members(existing_form(user)?.as_str()),
        };
        let connections = members.into_iter().map(|member| OpenConnection {
            user: Some(member.user.to_string()),
            tenant: None,
            since: member.mailbox.since(),
            peer: member.mailbox.peer(),
        });
        Ok(connections.collect())
    }
}

impl<S: Accounts + Dialogues, B: Bus, P: Presence> Direct<S, B, P> {
    fn account_of(&self, user: NewUser) -> Result<Account, &'static str> {
        if user.tenant.is_some() {
            return Err("direct has no tenants");
        }
        let id = match user.id {
            None => self.ids.next(self.backing.clock.now()),
            Some(GivenId::Text(id)) => HexId::parse(&id).ok_or("`id` is not 24 hexadecimal digits")?,
            Some(GivenId::Integer(_)) => return Err("`id` is not a string of 24 hexadecimal digits"),
        };
        let texts = [&user.email, &user.name, &user.avatar].into_iter().flatten();
        if texts.chain([&user.username]).any(|text| has_nul(text)) {
            return Err("there is a U+0000 in it");
        }
        Ok(Account {
            id: id.to_string(),
            username: user.username,
            // As it is looked for when somebody logs in.
            email: user.email.map(|email| email.to_lowercase()),
            name: user.name,
            avatar: user.avatar,
            password_hash: user.password_hash,
            ..Account::default()
        })
    }

    /// A token by which a user connects; `None` where there is no key to sign one.
    pub(super) fn token_of(&self, id: &str) -> Option<String> {
        let claims = Map::from_iter([("id".to_owned(), Value::from(id))]);
        let tokens = &self.backing.tokens;
        tokens.sign(claims, self.backing.clock.now(), tokens.access_lifetime)
    }

    /// Sends a frame that is nothing but a frame.
    async fn emit(&self, topic: &str, kind: &str, data: &Value) -> Result<(), Refusal> {
        let frame = wire::server_text(&json!({"type": kind, "data": data}).to_string());
        Ok(self.publish_in_time(topic, &Parcel::Frames(frame)).await?)
    }

    /// Has the user `data.senderId` say something to each of `receivers`.
    async fn say(&self, receivers: &[HexId], data: &Value) -> Result<(), Refusal> {
        let sender = data["senderId"].as_str().unwrap_or_default();
        let sender = known_form(sender)?;
        let store = &self.backing.store;
        let account = store.call(store.account(REALM, sender.as_str())).await?;
        let account = account.ok_or(Refusal::NotFound("the sender"))?;
        let from = Sender {
            user: sender,
            username: &account.username,
        };
        // All of them are judged before the first is said.
        let messages = receivers
            .iter()
            .map(|receiver| self.judge(sender, *receiver, data));
        for chat in messages.collect::<Result<Vec<_>, _>>()? {
            let unavailable = |unsaid: Unsaid| StoreError::Unavailable(unsaid.message().into_owned());
            let stored = self.store(from, &chat).await.map_err(unavailable)?;
            let confirmation = wire::server_text(&stored.confirmation(&chat).to_json());
            self.publish_to(sender, &Parcel::Frames(confirmation)).await;
            self.dispatch(from, &chat, stored).await;
        }
        Ok(())
    }

    /// The message as the sender's client would have sent it, by the same rules.
    fn judge(&self, sender: HexId, receiver: HexId, data: &Value) -> Result<ChatMessage<'static>, Refusal> {
        let mut data = data.clone();
        data["receiverId"] = receiver.as_str().into();
        let text = json!({"type": CHAT_MESSAGE, "data": data}).to_string();
        match Up::decode(&text, sender, self.config.content_chars) {
            Ok(Up::ChatMessage(chat)) => Ok(ChatMessage {
                content: Cow::Owned(chat.content.into_owned()),
                ..chat
            }),
            Ok(other) => unreachable!("it is a chat_message, not {other:?}"),
            Err(unsaid) => Err(Refusal::Request(unsaid.message().into_owned())),
        }
    }
}

fn known_form(id: &str) -> Result<HexId, Refusal> {
    HexId::parse(id).ok_or_else(|| Refusal::Request(format!("`{id}` is not 24 hexadecimal digits")))
}

/// The id of a user who may exist.
fn existing_form(user: &UserName) -> Result<HexId, Refusal> {
    if user.tenant.is_some() {
        return Err(Refusal::Lacks("tenants"));
    }
    HexId::parse(&user.id).ok_or(Refusal::NotFound("the user"))
}
