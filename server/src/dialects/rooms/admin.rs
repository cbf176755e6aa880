//! What an administrator can do with `rooms`: make tenants, users and channels, say something, send somebody away.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde_json::Value;
use touchstone_protocol::json;
use touchstone_protocol::rooms::CLOSE_REFUSED;
use touchstone_protocol::rooms::messages::content_of;
use touchstone_storage::{
    Account, Accounts, Bus, Channels, IdForm, Post, Posts, Presence, StoreError, Tenant,
};
use uuid::Uuid;

use super::desk::NotSaid;
use super::event::{self, Happened, Manner};
use super::member::{User, wire_id};
use super::orders::{Order, is_in};
use super::place::{self, REALM};
use super::{Rooms, admission};
use crate::admin::{
    Administered, Audience, GivenId, Made, NewChannel, NewTenant, NewUser, OpenConnection, Publication,
    Refusal, UserName,
};
use crate::connection::Close;

/// Characters of the longest id, name or address that is given.
const GIVEN_CHARS_MAX: usize = 200;

/// Integers up to here are what JavaScript can tell apart.
const INTEGER_BITS: u32 = 53;

impl<S, B, P> Administered for Rooms<S, B, P>
where
    S: Accounts + Channels + Posts,
    B: Bus,
    P: Presence,
{
    async fn make_tenants(&self, tenants: Vec<NewTenant>) -> Result<Vec<Made>, Refusal> {
        let tenants = tenants.into_iter().enumerate().map(|(index, tenant)| {
            if !place::is_schema_name(&tenant.schema_name) {
                return Err(entry(index, "`schema_name` is 1 to 63 of a-z A-Z 0-9 _ -"));
            }
            let (id, id_form) = id_or_new(index, tenant.id)?;
            Ok(Tenant {
                id,
                id_form,
                name: given(index, "name", tenant.name)?,
                schema_name: tenant.schema_name,
            })
        });
        let tenants = tenants.collect::<Result<Vec<_>, Refusal>>()?;
        let made = tenants.iter().map(|tenant| Made {
            id: admission::json_id(&wire_id(&tenant.id, tenant.id_form)),
            token: None,
        });
        let made = made.collect();
        let store = &self.backing.store;
        store.call(store.create_tenants(REALM, tenants)).await?;
        Ok(made)
    }

    async fn make_users(&self, users: Vec<NewUser>) -> Result<Vec<Made>, Refusal> {
        let mut tenants = Tenants::default();
        let mut made = Vec::with_capacity(users.len());
        let mut by_realm: HashMap<String, Vec<(usize, Account)>> = HashMap::new();
        for (index, user) in users.into_iter().enumerate() {
            let tenant = tenants.find(self, index, user.tenant.as_deref()).await?;
            let account = account(index, user)?;
            let user = User::from(account.clone());
            made.push(Made {
                id: admission::json_id(&user.wire_id()),
                token: self.token_for(&user, &tenant, admission::TokenKind::Access),
            });
            let realm = place::realm(&tenant.schema_name);
            by_realm.entry(realm).or_default().push((index, account));
        }
        self.create_accounts(by_realm).await?;
        Ok(made)
    }

    async fn make_channels(&self, channels: Vec<NewChannel>) -> Result<Vec<Made>, Refusal> {
        let mut tenants = Tenants::default();
        let mut new = Vec::with_capacity(channels.len());
        for (index, channel) in channels.into_iter().enumerate() {
            let tenant = tenants.find(self, index, channel.tenant.as_deref()).await?;
            let id = match channel.id {
                None => Uuid::new_v4().to_string(),
                Some(id) => given(index, "id", id)?,
            };
            let name = channel.name.map(|name| given(index, "name", name));
            new.push(touchstone_storage::NewChannel {
                realm: place::realm(&tenant.schema_name).into(),
                id,
                name: name.transpose()?,
                members: channel.members,
            });
        }
        for (index, channel) in new.iter().enumerate() {
            if let Some(stranger) = self.stranger(&channel.realm, &channel.members).await? {
                return Err(entry(
                    index,
                    &format!("no user of the tenant has the id `{stranger}`"),
                ));
            }
        }
        let made = new.iter().map(|channel| Made {
            id: Value::from(&*channel.id),
            token: None,
        });
        let made = made.collect();
        let store = &self.backing.store;
        store.call(store.create_channels(new)).await?;
        Ok(made)
    }

    async fn publish(&self, publication: Publication) -> Result<(), Refusal> {
        if publication.scheduled_at.is_some() {
            return Err(request("rooms has no `scheduled_at`"));
        }
        let realm = match &publication.tenant {
            None => None,
            Some(tenant) => Some(place::realm(&self.tenant(tenant).await?.schema_name)),
        };
        let with_tenant = || realm.clone().ok_or_else(|| request("`tenant` is missing"));
        match publication.to {
            Audience::All => {
                self.tell_users(realm, None, &publication.kind, &publication.data)
                    .await
            }
            Audience::Several(users) => {
                let users = users.into_iter().collect();
                self.tell_users(
                    Some(with_tenant()?),
                    Some(users),
                    &publication.kind,
                    &publication.data,
                )
                .await
            }
            Audience::One(id) => {
                let realm = with_tenant()?;
                let store = &self.backing.store;
                if store.call(store.account(&realm, &id)).await?.is_some() {
                    let users = HashSet::from([id]);
                    return self
                        .tell_users(Some(realm), Some(users), &publication.kind, &publication.data)
                        .await;
                }
                if store.call(store.members(&realm, &id, 1)).await?.is_empty() {
                    return Err(Refusal::NotFound("the user or channel"));
                }
                self.tell_channel(&realm, &id, &publication.kind, &publication.data)
                    .await
            }
        }
    }

    async fn delete_user(&self, user: UserName) -> Result<(), Refusal> {
        let realm = self.realm_of(&user).await?;
        let store = &self.backing.store;
        if store.call(store.account(&realm, &user.id)).await?.is_none() {
            return Err(Refusal::NotFound("the user"));
        }
        // The account last: as long as it is there, what failed can be asked for again.
        store.call(store.remove_member(&realm, &user.id)).await?;
        store.call(store.remove_account(&realm, &user.id)).await?;
        let close = Close::new(CLOSE_REFUSED, super::REASON_REFUSED);
        self.order_close(&realm, &user.id, &close).await
    }

    async fn disconnect(&self, user: UserName, close: Close) -> Result<(), Refusal> {
        let realm = self.realm_of(&user).await?;
        self.order_close(&realm, &user.id, &close).await
    }

    fn connections(&self, user: Option<&UserName>) -> Result<Vec<OpenConnection>, Refusal> {
        let wanted = match user {
            None => None,
            Some(UserName { id, tenant }) => {
                let tenant = tenant.as_ref().ok_or_else(|| request("`tenant` is missing"))?;
                Some((id, place::realm(tenant)))
            }
        };
        let members = self.groups.everyone();
        let meant = members.iter().filter(|member| {
            wanted
                .as_ref()
                .is_none_or(|(id, realm)| *member.user.id == **id && is_in(member, realm))
        });
        let shown = meant.map(|member| OpenConnection {
            user: Some(member.user.id.to_string()),
            tenant: place::schema_name(place::parts(&member.topic).0).map(str::to_owned),
            since: member.mailbox.since(),
            peer: member.mailbox.peer(),
        });
        Ok(shown.collect())
    }
}

impl<S, B, P> Rooms<S, B, P>
where
    S: Accounts + Channels + Posts,
    B: Bus,
    P: Presence,
{
    async fn tenant(&self, schema_name: &str) -> Result<Tenant, Refusal> {
        let store = &self.backing.store;
        let tenant = store.call(store.tenant(REALM, schema_name)).await?;
        tenant.ok_or(Refusal::NotFound("the tenant"))
    }

    async fn realm_of(&self, user: &UserName) -> Result<String, Refusal> {
        let tenant = user.tenant.as_deref();
        let tenant = self.tenant(tenant.ok_or_else(|| request("`tenant` is missing"))?);
        Ok(place::realm(&tenant.await?.schema_name))
    }

    /// Makes the users of several tenants, or none of them.
    async fn create_accounts(&self, by_realm: HashMap<String, Vec<(usize, Account)>>) -> Result<(), Refusal> {
        let store = &self.backing.store;
        let mut done: Vec<(String, Vec<String>)> = Vec::new();
        for (realm, accounts) in by_realm {
            let (indices, accounts): (Vec<_>, Vec<_>) = accounts.into_iter().unzip();
            let ids = accounts.iter().map(|account| account.id.clone()).collect();
            if let Err(error) = store.call(store.create_accounts(&realm, accounts)).await {
                for (realm, ids) in done {
                    for id in ids {
                        store.call(store.remove_account(&realm, &id)).await?;
                    }
                }
                return Err(match Refusal::from(error) {
                    Refusal::Entry { index, why } => Refusal::Entry {
                        index: indices[index],
                        why,
                    },
                    other => other,
                });
            }
            done.push((realm, ids));
        }
        Ok(())
    }

    /// One of the ids that is no user's, if there is one.
    pub(super) async fn stranger<'a>(
        &self,
        realm: &str,
        ids: &'a [String],
    ) -> Result<Option<&'a String>, StoreError> {
        if ids.is_empty() {
            return Ok(None);
        }
        let store = &self.backing.store;
        let accounts = store.call(store.accounts_by_id(realm, ids.to_vec())).await?;
        let known: HashSet<_> = accounts.into_iter().map(|account| account.id).collect();
        Ok(ids.iter().find(|id| !known.contains(*id)))
    }

    /// Tells users of a tenant, or all of them.
    async fn tell_users(
        &self,
        realm: Option<String>,
        users: Option<HashSet<String>>,
        kind: &str,
        data: &Value,
    ) -> Result<(), Refusal> {
        let json = Cow::Owned(frame(kind, data)?);
        let order = Order::Tell { realm, users, json };
        Ok(self.backing.bus.publish(REALM, order.pack()).await?)
    }

    /// Tells a channel: a `chat.message` is one that the user says who is named in it.
    async fn tell_channel(
        &self,
        realm: &str,
        channel: &str,
        kind: &str,
        data: &Value,
    ) -> Result<(), Refusal> {
        let topic = place::topic(realm, channel);
        if kind != "chat.message" {
            let told = serde_json::value::RawValue::from_string(frame(kind, data)?)
                .expect("an object was just written as JSON");
            let happened = Happened {
                sequence: 0,
                manner: Manner::Always,
                about: Cow::Borrowed(""),
                only: None,
                told,
                own: None,
            };
            return Ok(self.backing.bus.publish(&topic, event::pack(&[happened])).await?);
        }
        let author = match &data["user_id"] {
            Value::String(id) => id.clone(),
            Value::Number(id) => id.to_string(),
            _ => return Err(request("`data.user_id` names the author of a chat.message")),
        };
        let content = data["content"].to_string();
        let content = json::parse(&content).ok();
        let content = content_of(content, self.config.content_chars);
        let content = content.map_err(|why| request(&why.to_string()))?.into_owned();
        let store = &self.backing.store;
        let author = store.call(store.account(realm, &author)).await?;
        let author = User::from(author.ok_or(Refusal::NotFound("the author"))?);
        match self.post(topic, Arc::new(author), content).await {
            Ok(Post { .. }) => Ok(()),
            Err(NotSaid::NotMember) => Err(request("the author is not a member of the channel")),
            Err(NotSaid::Unavailable) => {
                let why = "the message could not be stored and told".to_owned();
                Err(StoreError::Unavailable(why).into())
            }
        }
    }

    async fn order_close(&self, realm: &str, user: &str, close: &Close) -> Result<(), Refusal> {
        let order = Order::Close {
            realm: realm.into(),
            user: user.into(),
            code: close.code.0,
            reason: (&*close.reason).into(),
        };
        Ok(self.backing.bus.publish(REALM, order.pack()).await?)
    }
}

/// The tenants of one request, each looked up once.
#[derive(Default)]
struct Tenants(HashMap<String, Arc<Tenant>>);

impl Tenants {
    async fn find<S, B, P>(
        &mut self,
        rooms: &Rooms<S, B, P>,
        index: usize,
        schema_name: Option<&str>,
    ) -> Result<Arc<Tenant>, Refusal>
    where
        S: Accounts + Channels + Posts,
        B: Bus,
        P: Presence,
    {
        let name = schema_name.ok_or_else(|| entry(index, "`tenant` is missing"))?;
        if let Some(tenant) = self.0.get(name) {
            return Ok(Arc::clone(tenant));
        }
        let tenant = match rooms.tenant(name).await {
            Err(Refusal::NotFound(_)) => Err(entry(index, &format!("there is no tenant `{name}`"))),
            other => other.map(Arc::new),
        }?;
        self.0.insert(name.to_owned(), Arc::clone(&tenant));
        Ok(tenant)
    }
}

fn account(index: usize, user: NewUser) -> Result<Account, Refusal> {
    let (id, id_form) = id_or_new(index, user.id)?;
    let email = user.email.map(|email| given(index, "email", email));
    Ok(Account {
        id,
        id_form,
        username: given(index, "username", user.username)?,
        email: email.transpose()?,
        name: user.name,
        avatar: user.avatar,
        password_hash: user.password_hash,
        ..Account::default()
    })
}

/// The id that was given, or a new integer.
fn id_or_new(index: usize, id: Option<GivenId>) -> Result<(String, IdForm), Refusal> {
    match id {
        None => {
            let random = Uuid::new_v4().as_u128() >> (u128::BITS - INTEGER_BITS);
            Ok((random.to_string(), IdForm::Integer))
        }
        Some(GivenId::Integer(id)) => Ok((id.to_string(), IdForm::Integer)),
        Some(GivenId::Text(id)) => Ok((given(index, "id", id)?, IdForm::Text)),
    }
}

/// Something that is stored and shown, if it will do.
fn given(index: usize, field: &str, value: String) -> Result<String, Refusal> {
    let chars = value.chars().count();
    if value.trim().is_empty() || json::has_nul(&value) || chars > GIVEN_CHARS_MAX {
        let why = format!("`{field}` is 1 to {GIVEN_CHARS_MAX} characters, not blank and without U+0000");
        return Err(entry(index, &why));
    }
    Ok(value)
}

/// The frame of a publication: its data with its type before them.
fn frame(kind: &str, data: &Value) -> Result<String, Refusal> {
    let Value::Object(data) = data else {
        return Err(request("on rooms, `data` is an object"));
    };
    let mut frame = serde_json::Map::new();
    frame.insert("type".to_owned(), kind.into());
    let fields = data.iter().filter(|(name, _)| *name != "type");
    frame.extend(fields.map(|(name, value)| (name.clone(), value.clone())));
    Ok(Value::Object(frame).to_string())
}

fn entry(index: usize, why: &str) -> Refusal {
    Refusal::Entry {
        index,
        why: why.to_owned(),
    }
}

fn request(why: &str) -> Refusal {
    Refusal::Request(why.to_owned())
}
