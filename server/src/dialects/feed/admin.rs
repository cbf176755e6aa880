//! What an administrator can do with `feed`.

use std::collections::HashSet;

use serde_json::Value;
use touchstone_protocol::feed::CLOSE_UNAUTHENTICATED;
use touchstone_protocol::feed::messages::{Down, Event};
use touchstone_storage::{Account, Accounts, Bus, CreateError, IdForm, Presence, Resources};
use uuid::Uuid;

use super::identity::{Use, parse_id};
use super::resources::SHELVES;
use super::telling::Addressees;
use super::{Feed, REALM};
use crate::admin::{Administered, Audience, Made, NewUser, OpenConnection, Publication, Refusal, UserName};
use crate::connection::Close;

/// Ids are made up below this: every client can read them as numbers.
const ID_END: u64 = 1 << 53;

/// Ids that were made up and turned out to be taken are made up anew so many times. Once is a rare accident.
const ATTEMPTS_MAX: usize = 3;

impl<S: Accounts + Resources, B: Bus, P: Presence> Administered for Feed<S, B, P> {
    async fn make_users(&self, users: Vec<NewUser>) -> Result<Vec<Made>, Refusal> {
        let mut attempt = 1;
        loop {
            let entries = users.iter().enumerate();
            let accounts = entries
                .map(|(index, user)| account(user).map_err(|why| Refusal::Entry { index, why }))
                .collect::<Result<Vec<_>, _>>()?;
            let ids: Vec<_> = accounts.iter().map(|account| account.id.clone()).collect();
            let store = &self.backing.store;
            match store.call(store.create_accounts(REALM, accounts)).await {
                Ok(()) => return Ok(ids.iter().map(|id| self.made(id)).collect()),
                Err(CreateError::Taken { index, field: "id" })
                    if users[index].id.is_none() && attempt < ATTEMPTS_MAX =>
                {
                    attempt += 1;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn default_audience(&self, kind: &str) -> Option<Audience> {
        (kind == Event::SystemNotification.name()).then_some(Audience::All)
    }

    async fn publish(&self, publication: Publication) -> Result<(), Refusal> {
        let Publication {
            to,
            kind,
            data,
            scheduled_at,
            tenant,
        } = publication;
        let refused = |why: String| Err(Refusal::Request(why));
        if scheduled_at.is_some() {
            return Err(Refusal::Lacks("`scheduled_at`"));
        }
        refuse_tenant(tenant.as_deref())?;
        let Some(event) = Event::named(&kind) else {
            let known: Vec<_> = Event::ALL.into_iter().map(Event::name).collect();
            return refused(format!("on feed, `type` is one of {}", known.join(", ")));
        };
        if !data.is_object() {
            return refused("on feed, `data` is an object".to_owned());
        }
        let addressees = match to {
            Audience::All => Addressees::Everybody,
            Audience::One(id) => Addressees::Users(HashSet::from([user_id(&id)?])),
            Audience::Several(ids) => {
                let ids = ids.iter().map(|id| user_id(id));
                Addressees::Users(ids.collect::<Result<_, _>>()?)
            }
        };
        self.tell(&addressees, &Down::Published { event, data: &data })
            .await?;
        Ok(())
    }

    async fn delete_user(&self, user: UserName) -> Result<(), Refusal> {
        let id = named(&user)?;
        let key = id.to_string();
        let store = &self.backing.store;
        // His account first: from then on he makes nothing more.
        if !store.call(store.remove_account(REALM, &key)).await? {
            return Err(Refusal::NotFound("the user"));
        }
        store.call(store.remove_resources_of(&SHELVES, &key)).await?;
        let close = Close::new(CLOSE_UNAUTHENTICATED, "the user was deleted");
        Ok(self.send_away(id, &close).await?)
    }

    async fn disconnect(&self, user: UserName, close: Close) -> Result<(), Refusal> {
        Ok(self.send_away(named(&user)?, &close).await?)
    }

    fn connections(&self, user: Option<&UserName>) -> Result<Vec<OpenConnection>, Refusal> {
        let user = user.map(named).transpose()?.map(|id| id.to_string());
        let everyone = self.users.everyone_by_group().into_iter();
        let asked_for = everyone.filter(|(id, _)| user.as_deref().is_none_or(|user| user == &**id));
        let shown = asked_for.map(|(id, mailbox)| OpenConnection {
            user: Some(id.to_string()),
            tenant: None,
            since: mailbox.since(),
            peer: mailbox.peer(),
        });
        Ok(shown.collect())
    }
}

impl<S: Accounts, B, P> Feed<S, B, P> {
    fn made(&self, id: &str) -> Made {
        let id = parse_id(id);
        Made {
            id: id.map_or(Value::Null, Value::from),
            token: id.and_then(|id| self.token(id, Use::Access)),
        }
    }
}

/// The account to be made, or why there can be none.
fn account(user: &NewUser) -> Result<Account, String> {
    if user.tenant.is_some() {
        return Err("feed has no tenants".to_owned());
    }
    let id = match user.id.clone().map(crate::admin::GivenId::into_text) {
        None => (Uuid::new_v4().as_u128() as u64 % ID_END).to_string(),
        Some(given) => parse_id(&given)
            .map(|id| id.to_string())
            .ok_or_else(|| format!("`id` is an integer, which `{given}` is not"))?,
    };
    Ok(Account {
        id,
        id_form: IdForm::Integer,
        username: user.username.clone(),
        email: user.email.clone(),
        name: user.name.clone(),
        avatar: user.avatar.clone(),
        password_hash: user.password_hash.clone(),
        last_seen: None,
        logged_out_second: None,
    })
}

fn named(user: &UserName) -> Result<i64, Refusal> {
    refuse_tenant(user.tenant.as_deref())?;
    user_id(&user.id)
}

fn refuse_tenant(tenant: Option<&str>) -> Result<(), Refusal> {
    match tenant {
        None => Ok(()),
        Some(_) => Err(Refusal::Lacks("tenants")),
    }
}

fn user_id(text: &str) -> Result<i64, Refusal> {
    parse_id(text).ok_or_else(|| {
        Refusal::Request(format!(
            "on feed, a user's id is an integer, which `{text}` is not"
        ))
    })
}
