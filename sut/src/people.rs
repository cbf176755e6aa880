//! Users, channels and tenants of a system under test: made by its admin interface, by requests, by a command, or lent
//! from a list.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use http::Method;
use serde_json::{Map, Value, json};
use tokio::sync::Notify;
use touchstone_protocol::Dialect;
use touchstone_scenarios::cast::Password;
use touchstone_scenarios::rules::Rules;
use touchstone_scenarios::template::Template;

use crate::accounts::{MadeBy, Signing, TokensBy, UsersBy};
use crate::file::FileWay;
use crate::http::CallError;
use crate::operate::{succeeded, text_of};
use crate::sut::Sut;
use crate::tokens::{Algorithm, TokenKind, TokenWanted, claims_of, sign};

/// Why somebody or something could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ProvisionError {
    /// The target does not say how: a case that needs it is skipped, naming the key of the target file.
    #[error("the target has no `{0}`")]
    Missing(String),
    /// It says how, and it failed.
    #[error(transparent)]
    Failed(#[from] CallError),
}

/// A user as the server knows him.
#[derive(Debug, Clone)]
pub struct User {
    /// What he belongs to.
    pub dialect: Dialect,
    /// `id`, `username`, `email`, `password`, `name` …
    pub fields: Map<String, Value>,
    /// `id`, `name`, `schema_name` of his tenant; null where there are none.
    pub tenant: Value,
}

impl User {
    /// Everything about him, as `${user…}`.
    #[must_use]
    pub fn value(&self) -> Value {
        let mut fields = self.fields.clone();
        if !self.tenant.is_null() {
            fields.insert("tenant".into(), self.tenant.clone());
        }
        Value::Object(fields)
    }
}

/// A user who is wanted.
#[derive(Debug, Clone)]
pub struct UserWanted {
    /// `username`, `email`, `password`, and what else is said of him.
    pub fields: Map<String, Value>,
    /// Whether the password will be used. The admin interface is told none that is not.
    pub password: Password,
    /// His tenant; null where there are none.
    pub tenant: Value,
}

/// A channel that is wanted.
#[derive(Debug, Clone)]
pub struct ChannelWanted {
    /// `name`, `id`.
    pub fields: Map<String, Value>,
    /// Who is in it.
    pub members: Vec<User>,
    /// Its tenant; null where there are none.
    pub tenant: Value,
}

/// Users, and for how long: those of a list go back to it when this is dropped.
#[derive(Debug, Default)]
pub struct People {
    /// In the order in which they were wanted.
    pub users: Vec<User>,
    _loan: Option<Loan>,
}

/// Users of a list that nobody else has meanwhile: two cases that were the same person would disturb each other.
#[derive(Debug)]
struct Loan {
    pool: Arc<Pool>,
    dialect: Dialect,
    taken: Vec<usize>,
}

/// Who is on loan, by dialect and place in the list.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    lent: Mutex<BTreeMap<Dialect, Vec<usize>>>,
    returned: Notify,
}

impl Drop for Loan {
    fn drop(&mut self) {
        let mut lent = self.pool.lent.lock().unwrap_or_else(PoisonError::into_inner);
        lent.entry(self.dialect)
            .or_default()
            .retain(|place| !self.taken.contains(place));
        drop(lent);
        self.pool.returned.notify_waiters();
    }
}

impl Pool {
    /// So many places of a list of `length`, all at once, so that two who wait for each other cannot be.
    async fn lend(self: &Arc<Self>, dialect: Dialect, count: usize, length: usize) -> Loan {
        loop {
            let returned = self.returned.notified();
            {
                let mut lent = self.lent.lock().unwrap_or_else(PoisonError::into_inner);
                let lent = lent.entry(dialect).or_default();
                let free = (0..length).filter(|place| !lent.contains(place));
                let taken: Vec<usize> = free.take(count).collect();
                if taken.len() == count {
                    lent.extend(&taken);
                    return Loan {
                        pool: Arc::clone(self),
                        dialect,
                        taken,
                    };
                }
            }
            returned.await;
        }
    }
}

impl Sut {
    /// How users of the dialect come to be; `None` where the target says no way.
    #[must_use]
    pub fn users_by(&self, dialect: Dialect) -> Option<&UsersBy> {
        self.target().accounts.users.get(&dialect)
    }

    /// The first dialect of the target for which it says how users or tokens come to be: one with tokens, if there is any.
    #[must_use]
    pub fn dialect_of_accounts(&self) -> Option<Dialect> {
        let accounts = &self.target().accounts;
        let has = |dialect: &&Dialect| {
            accounts.users.contains_key(*dialect) || accounts.auth.contains_key(*dialect)
        };
        let named = || self.target().dialects.iter().filter(has);
        named()
            .find(|dialect| dialect.has_tokens())
            .or_else(|| named().next())
            .copied()
    }

    /// Whether each channel of the dialect is a request or a program of its own.
    #[must_use]
    pub fn makes_channels_one_by_one(&self, dialect: Dialect) -> bool {
        self.target().accounts.channels.contains_key(&dialect)
    }

    /// Makes tenants, by one request where there is an admin interface. Each has at least `name` and `schema_name`, and an
    /// `id` afterwards. A single one is null where the target says no way: its users bring it along.
    ///
    /// # Errors
    /// Several are wanted and the target names no way, or it failed.
    pub async fn make_tenants(
        &self,
        dialect: Dialect,
        wanted: Vec<Map<String, Value>>,
    ) -> Result<Vec<Value>, ProvisionError> {
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        if !matches!(
            self.target().accounts.users.get(&dialect),
            Some(UsersBy::Admin(_))
        ) {
            return self.make_tenants_one_by_one(dialect, wanted).await;
        }
        let body = json!({"dialect": dialect.name(), "tenants": wanted});
        let made = self
            .admin_list(dialect, ("tenants", "/admin/tenants"), &body, wanted.len())
            .await?;
        let merge = |(mut fields, made): (Map<String, Value>, Map<String, Value>)| {
            fields.extend(made);
            Value::Object(fields)
        };
        Ok(wanted.into_iter().zip(made).map(merge).collect())
    }

    async fn make_tenants_one_by_one(
        &self,
        dialect: Dialect,
        wanted: Vec<Map<String, Value>>,
    ) -> Result<Vec<Value>, ProvisionError> {
        let Some(way) = self.target().accounts.tenants.get(&dialect) else {
            // Users who bring theirs along have all the same one.
            return match wanted.len() {
                1 => Ok(vec![Value::Null]),
                _ => Err(ProvisionError::Missing("tenants".into())),
            };
        };
        let mut made = Vec::with_capacity(wanted.len());
        for mut fields in wanted {
            let variables = [("tenant", Value::Object(fields.clone()))];
            fields.extend(self.make("tenants", way, dialect, &variables).await?);
            made.push(Value::Object(fields));
        }
        Ok(made)
    }

    /// What is said of a channel or tenant that is made in this way.
    async fn make(
        &self,
        key: &str,
        way: &MadeBy,
        dialect: Dialect,
        variables: &[(&str, Value)],
    ) -> Result<Map<String, Value>, ProvisionError> {
        match way {
            MadeBy::Way(way) => Ok(self.follow(key, way, dialect, variables).await?),
            MadeBy::Command(words) => {
                let key = format!("{key}.command");
                Ok(object(&key, &self.command(&key, words, variables).await?)?)
            }
        }
    }

    /// Makes users, by one request where there is an admin interface.
    ///
    /// # Errors
    /// The target names no way, or it failed.
    pub async fn make_users(
        &self,
        dialect: Dialect,
        wanted: Vec<UserWanted>,
    ) -> Result<People, ProvisionError> {
        if wanted.is_empty() {
            return Ok(People::default());
        }
        let ids: Vec<_> = wanted.iter().map(|user| user.fields.get("id").cloned()).collect();
        let users = match self.target().accounts.users.get(&dialect) {
            None => return Err(ProvisionError::Missing("users".into())),
            Some(UsersBy::Admin(_)) => self.users_by_admin(dialect, wanted).await?,
            Some(UsersBy::Steps(steps)) => {
                let mut users = Vec::with_capacity(wanted.len());
                for user in wanted {
                    users.push(self.user_by_steps(dialect, steps, user).await?);
                }
                users
            }
            Some(UsersBy::Command(words)) => {
                let mut users = Vec::with_capacity(wanted.len());
                for user in wanted {
                    let mut user = from_wanted(dialect, user);
                    let said = self
                        .command("users.command", words, &[("user", user.value())])
                        .await?;
                    merge_user(&mut user, object("users.command", &said)?);
                    users.push(user);
                }
                users
            }
            Some(UsersBy::List(list)) => {
                let people = self.users_of_list(dialect, list, wanted).await?;
                same_ids(&ids, &people.users)?;
                return Ok(people);
            }
        };
        same_ids(&ids, &users)?;
        Ok(People { users, _loan: None })
    }

    async fn users_by_admin(
        &self,
        dialect: Dialect,
        wanted: Vec<UserWanted>,
    ) -> Result<Vec<User>, ProvisionError> {
        let signs_in = matches!(
            self.target().accounts.auth.get(&dialect),
            Some(TokensBy::Login { .. })
        );
        let entry = |user: &UserWanted| {
            let mut fields = user.fields.clone();
            if user.password == Password::Unused && !signs_in {
                fields.remove("password");
            }
            if let Some(schema) = user.tenant.get("schema_name") {
                fields.insert("tenant".into(), schema.clone());
            }
            fields
        };
        let entries: Vec<_> = wanted.iter().map(entry).collect();
        let body = json!({"dialect": dialect.name(), "users": entries});
        let made = self
            .admin_list(dialect, ("users", "/admin/users"), &body, wanted.len())
            .await?;
        let merge = |(user, mut made): (UserWanted, Map<String, Value>)| {
            made.remove("tenant");
            let mut user = from_wanted(dialect, user);
            user.fields.extend(made);
            user
        };
        Ok(wanted.into_iter().zip(made).map(merge).collect())
    }

    async fn user_by_steps(
        &self,
        dialect: Dialect,
        steps: &[FileWay],
        wanted: UserWanted,
    ) -> Result<User, ProvisionError> {
        let mut user = from_wanted(dialect, wanted);
        for step in steps {
            let taken = self
                .follow("users.steps", step, dialect, &[("user", user.value())])
                .await?;
            merge_user(&mut user, taken);
        }
        Ok(user)
    }

    async fn users_of_list(
        &self,
        dialect: Dialect,
        list: &[Map<String, Value>],
        wanted: Vec<UserWanted>,
    ) -> Result<People, ProvisionError> {
        if list.len() < wanted.len() {
            let more = format!("users.list with {} users", wanted.len());
            return Err(ProvisionError::Missing(more));
        }
        let loan = self.pool().lend(dialect, wanted.len(), list.len()).await;
        let lent = |(wanted, place): (UserWanted, &usize)| {
            let mut user = from_wanted(dialect, wanted);
            merge_user(&mut user, list[*place].clone());
            user
        };
        let users = wanted.into_iter().zip(&loan.taken).map(lent).collect();
        Ok(People {
            users,
            _loan: Some(loan),
        })
    }

    /// Makes channels, by one request where there is an admin interface. Each has an `id` afterwards.
    ///
    /// # Errors
    /// The target names no way, or it failed.
    pub async fn make_channels(
        &self,
        dialect: Dialect,
        wanted: Vec<ChannelWanted>,
    ) -> Result<Vec<Value>, ProvisionError> {
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let ids = |channel: &ChannelWanted| -> Vec<Value> {
            let id = |user: &User| user.fields.get("id").cloned().unwrap_or_default();
            channel.members.iter().map(id).collect()
        };
        if let Some(way) = self.target().accounts.channels.get(&dialect) {
            let mut made = Vec::with_capacity(wanted.len());
            for channel in wanted {
                let mut fields = channel.fields.clone();
                fields.insert("members".into(), ids(&channel).into());
                let owner = channel.members.first().map(User::value).unwrap_or_default();
                let variables = [
                    ("channel", Value::Object(fields.clone())),
                    ("tenant", channel.tenant.clone()),
                    ("user", owner),
                ];
                fields.extend(self.make("channels", way, dialect, &variables).await?);
                made.push(Value::Object(fields));
            }
            return Ok(made);
        }
        if !matches!(
            self.target().accounts.users.get(&dialect),
            Some(UsersBy::Admin(_))
        ) {
            return Err(ProvisionError::Missing("channels".into()));
        }
        let entry = |channel: &ChannelWanted| {
            let mut fields = channel.fields.clone();
            fields.insert("members".into(), ids(channel).into());
            if let Some(schema) = channel.tenant.get("schema_name") {
                fields.insert("tenant".into(), schema.clone());
            }
            fields
        };
        let entries: Vec<_> = wanted.iter().map(entry).collect();
        let body = json!({"dialect": dialect.name(), "channels": entries});
        let made = self
            .admin_list(dialect, ("channels", "/admin/channels"), &body, wanted.len())
            .await?;
        let merge = |(channel, made): (ChannelWanted, Map<String, Value>)| {
            let mut fields = channel.fields;
            fields.extend(made);
            Value::Object(fields)
        };
        Ok(wanted.into_iter().zip(made).map(merge).collect())
    }

    /// A token of this user.
    ///
    /// # Errors
    /// The target names no way to get one like this, or it failed.
    pub async fn token(&self, user: &User, wanted: &TokenWanted) -> Result<String, ProvisionError> {
        let token = self.new_token(user, wanted).await?;
        self.token_given(&token);
        Ok(token)
    }

    async fn new_token(&self, user: &User, wanted: &TokenWanted) -> Result<String, ProvisionError> {
        match (
            self.signing(user.dialect),
            self.target().accounts.auth.get(&user.dialect),
        ) {
            (Some(signing), _) => self.sign(user, &signing, wanted),
            (None, _) if !wanted.is_ordinary() => Err(ProvisionError::Missing("auth.secret".into())),
            (None, Some(TokensBy::Login { way, token })) => {
                let answer = self
                    .ask("auth.login", way, user.dialect, &[("user", user.value())])
                    .await?;
                succeeded("auth.login", &answer)?;
                let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
                let found = body.pointer(token).and_then(Value::as_str);
                found.map(str::to_owned).ok_or_else(|| {
                    CallError::Target(format!("`auth.login`: the answer holds no text at `{token}`")).into()
                })
            }
            (None, Some(TokensBy::Command(words))) => {
                let said = self
                    .command("auth.command", words, &[("user", user.value())])
                    .await?;
                Ok(said.trim().to_owned())
            }
            (None, Some(TokensBy::Secret(_)) | None) => {
                let given = user.fields.get("token").and_then(Value::as_str);
                given
                    .map(str::to_owned)
                    .ok_or_else(|| ProvisionError::Missing("auth".into()))
            }
        }
    }

    fn sign(&self, user: &User, signing: &Signing, wanted: &TokenWanted) -> Result<String, ProvisionError> {
        let habits = Rules::builtin()
            .dialect(user.dialect)
            .map(|folder| &folder.habits);
        let spec = habits.and_then(|habits| habits.claims.clone());
        let claims = signing
            .claims
            .clone()
            .or(spec)
            // RFC 7519, 4.1.2: of a protocol that says nothing else.
            .unwrap_or_else(|| Template::new(json!({"sub": "${user.id}"})));
        let known = |name: &str| match name {
            "user" => Some(user.value()),
            "tenant" => Some(user.tenant.clone()),
            _ => None,
        };
        let claims = claims.resolve(&known).map_err(|error| {
            CallError::Target(format!("`auth.secret.claims` of {}: {error}", user.dialect))
        })?;
        let claims = claims.as_object().cloned().unwrap_or_default();
        Ok(sign(
            &signing.secret,
            signing.algorithm,
            claims,
            wanted,
            SystemTime::now(),
        ))
    }

    /// A token with the claims of another one, whatever that is worth, but for these (`null` leaves one out): in force,
    /// and signed with the target's key. `None` where that is not known.
    #[must_use]
    pub fn sign_again(&self, dialect: Dialect, token: &str, claims: &Map<String, Value>) -> Option<String> {
        let signing = self.signing(dialect)?;
        let wanted = TokenWanted {
            kind: TokenKind::Valid,
            claims: claims.clone(),
        };
        let now = SystemTime::now();
        Some(sign(
            &signing.secret,
            signing.algorithm,
            claims_of(token),
            &wanted,
            now,
        ))
    }

    /// What tokens of the dialect are signed with, where we can.
    fn signing(&self, dialect: Dialect) -> Option<Signing> {
        if let Some(secret) = self.told_secret() {
            return Some(Signing {
                secret: secret.to_owned(),
                algorithm: Algorithm::default(),
                claims: None,
            });
        }
        match self.target().accounts.auth.get(&dialect) {
            Some(TokensBy::Secret(secret)) => Some(secret.clone()),
            Some(TokensBy::Login { .. } | TokensBy::Command(_)) | None => None,
        }
    }

    /// Asks the admin interface for several things at once, and makes sure that it made as many.
    async fn admin_list(
        &self,
        dialect: Dialect,
        (kind, path): (&str, &str),
        body: &Value,
        count: usize,
    ) -> Result<Vec<Map<String, Value>>, ProvisionError> {
        let answer = self.admin(dialect, Method::POST, path, Some(body)).await?;
        succeeded(&format!("POST {path}"), &answer)?;
        let made: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let list = made.as_array().or_else(|| made.get(kind)?.as_array());
        let objects: Option<Vec<_>> =
            list.map(|list| list.iter().filter_map(|made| made.as_object().cloned()).collect());
        match objects {
            Some(objects) if objects.len() == count => Ok(objects),
            _ => Err(
                CallError::Target(format!("POST {path} made {count} {kind} and did not list them")).into(),
            ),
        }
    }
}

fn from_wanted(dialect: Dialect, wanted: UserWanted) -> User {
    User {
        dialect,
        fields: wanted.fields,
        tenant: wanted.tenant,
    }
}

/// Whether who was wanted with an id of the case's choosing has it: only an admin interface promises that.
fn same_ids(wanted: &[Option<Value>], made: &[User]) -> Result<(), ProvisionError> {
    let kept = |(wanted, made): (&Option<Value>, &User)| {
        let id = made.fields.get("id").map(text_of).unwrap_or_default();
        wanted
            .as_ref()
            .is_none_or(|wanted| text_of(wanted).eq_ignore_ascii_case(&id))
    };
    if wanted.iter().zip(made).all(kept) {
        return Ok(());
    }
    Err(ProvisionError::Missing("users.admin".into()))
}

fn merge_user(user: &mut User, mut said: Map<String, Value>) {
    if let Some(tenant) = said.remove("tenant") {
        user.tenant = tenant;
    }
    user.fields.extend(said);
}

fn object(key: &str, text: &str) -> Result<Map<String, Value>, CallError> {
    serde_json::from_str(text)
        .map_err(|error| CallError::Target(format!("`{key}` wrote no JSON object: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_was_wanted_with_an_id_and_has_another_is_not_who_was_wanted() {
        let made = |id: Value| User {
            dialect: Dialect::Direct,
            fields: Map::from_iter([("id".to_owned(), id)]),
            tenant: Value::Null,
        };
        let wanted = |id: Value| [Some(id)];
        assert!(same_ids(&[None], &[made("7".into())]).is_ok());
        assert!(same_ids(&wanted("AB".into()), &[made("ab".into())]).is_ok());
        assert!(same_ids(&wanted(7.into()), &[made("7".into())]).is_ok());
        let missing = same_ids(&wanted("7".into()), &[made("8".into())]).unwrap_err();
        assert_eq!(missing.to_string(), "the target has no `users.admin`");
    }
}
