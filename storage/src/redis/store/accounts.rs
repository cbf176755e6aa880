//! Users and tenants in Redis.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::{RedisStore, bounded, foreign, moment, number};
use crate::accounts::{Account, Accounts, CreateError, IdForm, Tenant};
use crate::session::{StoreError, Timestamp};

/// A hash as Redis has it.
type Fields = HashMap<String, String>;

impl Accounts for RedisStore {
    async fn create_accounts(&self, realm: &str, accounts: Vec<Account>) -> Result<(), CreateError> {
        let accounts: Vec<_> = accounts.iter().map(written).collect();
        self.create(realm, "create", &json!({ "accounts": accounts }))
            .await
    }

    async fn account(&self, realm: &str, id: &str) -> Result<Option<Account>, StoreError> {
        let found = self.accounts_by_id(realm, vec![id.to_owned()]).await?;
        Ok(found.into_iter().next())
    }

    async fn account_by_login(&self, realm: &str, login: &str) -> Result<Option<Account>, StoreError> {
        let found = self.find(realm, "by_login", &json!({ "login": login })).await?;
        Ok(found.into_iter().next())
    }

    async fn accounts_by_id(&self, realm: &str, ids: Vec<String>) -> Result<Vec<Account>, StoreError> {
        self.find(realm, "by_ids", &json!({ "ids": ids })).await
    }

    async fn accounts(
        &self,
        realm: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Account>, StoreError> {
        let given = json!({ "after": after, "limit": bounded(limit) });
        self.find(realm, "list", &given).await
    }

    async fn note_last_seen(&self, realm: &str, id: &str, at: Timestamp) -> Result<(), StoreError> {
        self.note(realm, id, "last_seen", at.millis()).await
    }

    async fn note_logout(&self, realm: &str, id: &str, second: u64) -> Result<(), StoreError> {
        self.note(realm, id, "logged_out_second", second).await
    }

    async fn remove_account(&self, realm: &str, id: &str) -> Result<bool, StoreError> {
        let (script, base) = (&self.inner.scripts.accounts, self.realm_key(realm));
        self.change(script, &base, "remove", &json!({ "id": id })).await
    }

    async fn create_tenants(&self, realm: &str, tenants: Vec<Tenant>) -> Result<(), CreateError> {
        let written = |tenant: &Tenant| {
            json!({
                "id": tenant.id,
                "id_form": form_name(tenant.id_form),
                "name": tenant.name,
                "schema_name": tenant.schema_name,
            })
        };
        let tenants: Vec<_> = tenants.iter().map(written).collect();
        self.create(realm, "create_tenants", &json!({ "tenants": tenants }))
            .await
    }

    async fn tenant(&self, realm: &str, schema_name: &str) -> Result<Option<Tenant>, StoreError> {
        let (script, base) = (&self.inner.scripts.accounts, self.realm_key(realm));
        let given = json!({ "schema_name": schema_name });
        let mut fields: Fields = self.look(script, &base, "tenant", &given).await?;
        if fields.is_empty() {
            return Ok(None);
        }
        Ok(Some(Tenant {
            id: taken(&mut fields, "id")?,
            id_form: form(&mut fields),
            name: taken(&mut fields, "name")?,
            schema_name: taken(&mut fields, "schema_name")?,
        }))
    }
}

impl RedisStore {
    /// Makes all of something or, if one of them has what is taken, nothing.
    async fn create(&self, realm: &str, deed: &str, given: &Value) -> Result<(), CreateError> {
        let (script, base) = (&self.inner.scripts.accounts, self.realm_key(realm));
        let said: Vec<String> = self.change(script, &base, deed, given).await?;
        let [index, field] = &said[..] else {
            return Ok(());
        };
        let fields = ["id", "username", "email", "schema_name"];
        let field = fields.into_iter().find(|known| known == field);
        Err(CreateError::Taken {
            index: number(index, "an index")? as usize,
            field: field.ok_or_else(|| foreign("a field"))?,
        })
    }

    async fn find(&self, realm: &str, deed: &str, given: &Value) -> Result<Vec<Account>, StoreError> {
        let (script, base) = (&self.inner.scripts.accounts, self.realm_key(realm));
        let found: Vec<Fields> = self.look(script, &base, deed, given).await?;
        let there = found.into_iter().filter(|fields| !fields.is_empty());
        there.map(account).collect()
    }

    async fn note(&self, realm: &str, id: &str, field: &str, value: u64) -> Result<(), StoreError> {
        let (script, base) = (&self.inner.scripts.accounts, self.realm_key(realm));
        let given = json!({ "id": id, "field": field, "value": value.to_string() });
        self.change(script, &base, "note", &given).await
    }
}

/// What there is of it, as strings.
fn written(account: &Account) -> Value {
    let Account {
        id,
        id_form,
        username,
        email,
        name,
        avatar,
        password_hash,
        last_seen,
        logged_out_second,
    } = account;
    let last_seen = last_seen.map(|at| at.millis().to_string());
    let logged_out = logged_out_second.map(|second| second.to_string());
    let fields = [
        ("id", Some(id)),
        ("username", Some(username)),
        ("email", email.as_ref()),
        ("name", name.as_ref()),
        ("avatar", avatar.as_ref()),
        ("password_hash", password_hash.as_ref()),
        ("last_seen", last_seen.as_ref()),
        ("logged_out_second", logged_out.as_ref()),
    ];
    let there = fields
        .into_iter()
        .filter_map(|(field, value)| Some((field.to_owned(), value?.as_str().into())));
    let mut written: Map<String, Value> = there.collect();
    written.insert("id_form".to_owned(), form_name(*id_form).into());
    Value::Object(written)
}

fn account(mut fields: Fields) -> Result<Account, StoreError> {
    let logged_out = fields.remove("logged_out_second");
    let last_seen = fields.remove("last_seen");
    Ok(Account {
        id: taken(&mut fields, "id")?,
        id_form: form(&mut fields),
        username: taken(&mut fields, "username")?,
        email: fields.remove("email"),
        name: fields.remove("name"),
        avatar: fields.remove("avatar"),
        password_hash: fields.remove("password_hash"),
        last_seen: last_seen.map(|at| moment(&at, "last_seen")).transpose()?,
        logged_out_second: logged_out
            .map(|second| number(&second, "logged_out_second"))
            .transpose()?,
    })
}

fn taken(fields: &mut Fields, field: &str) -> Result<String, StoreError> {
    fields.remove(field).ok_or_else(|| foreign(field))
}

const fn form_name(form: IdForm) -> &'static str {
    match form {
        IdForm::Text => "text",
        IdForm::Integer => "integer",
    }
}

fn form(fields: &mut Fields) -> IdForm {
    match fields.remove("id_form").as_deref() {
        Some("integer") => IdForm::Integer,
        Some(_) | None => IdForm::Text,
    }
}
