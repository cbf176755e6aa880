//! Users and tenants in SQLite.

use rusqlite::types::{FromSql, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};

use super::Sqlite;
use crate::accounts::{Account, Accounts, CreateError, IdForm, Tenant};
use crate::session::{StoreError, Timestamp};

const COLUMNS: &str =
    "id, id_form, username, email, name, avatar, password_hash, last_seen_millis, logged_out_second";

/// Ids in one query: below what SQLite takes as parameters.
const IDS_PER_QUERY: usize = 500;

/// Which entry could not be made, and which of its fields is taken.
type Taken = Option<(usize, &'static str)>;

impl Accounts for Sqlite {
    async fn create_accounts(&self, realm: &str, accounts: Vec<Account>) -> Result<(), CreateError> {
        let realm = realm.to_owned();
        self.create(move |connection| {
            let mut insert = connection.prepare_cached(
                "INSERT INTO accounts (realm, id, id_form, username, email, name, avatar, password_hash,
                 last_seen_millis, logged_out_second) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            )?;
            let fields = ["username", "email"];
            for (index, account) in accounts.into_iter().enumerate() {
                let made = insert.execute(params![
                    realm,
                    account.id,
                    account.id_form,
                    account.username,
                    account.email,
                    account.name,
                    account.avatar,
                    account.password_hash,
                    account.last_seen.map(Timestamp::millis),
                    account.logged_out_second,
                ]);
                if let Some(field) = taken(made, &fields)? {
                    return Ok(Some((index, field)));
                }
            }
            Ok(None)
        })
        .await
    }

    async fn account(&self, realm: &str, id: &str) -> Result<Option<Account>, StoreError> {
        let (realm, id) = (realm.to_owned(), id.to_owned());
        self.read(move |connection| {
            connection
                .prepare_cached(&format!(
                    "SELECT {COLUMNS} FROM accounts WHERE realm = ?1 AND id = ?2"
                ))?
                .query_row(params![realm, id], account)
                .optional()
        })
        .await
    }

    async fn account_by_login(&self, realm: &str, login: &str) -> Result<Option<Account>, StoreError> {
        let (realm, login) = (realm.to_owned(), login.to_owned());
        self.read(move |connection| {
            let by = |column: &str| {
                connection
                    .prepare_cached(&format!(
                        "SELECT {COLUMNS} FROM accounts WHERE realm = ?1 AND {column} = ?2"
                    ))?
                    .query_row(params![realm, login], account)
                    .optional()
            };
            match by("email")? {
                Some(found) => Ok(Some(found)),
                None => by("username"),
            }
        })
        .await
    }

    async fn accounts_by_id(&self, realm: &str, ids: Vec<String>) -> Result<Vec<Account>, StoreError> {
        let realm = realm.to_owned();
        self.read(move |connection| {
            let mut found = Vec::with_capacity(ids.len());
            for ids in ids.chunks(IDS_PER_QUERY) {
                let places = vec!["?"; ids.len()].join(", ");
                let query = format!("SELECT {COLUMNS} FROM accounts WHERE realm = ? AND id IN ({places})");
                let mut statement = connection.prepare_cached(&query)?;
                let parameters = params_from_iter(std::iter::once(&realm).chain(ids));
                for row in statement.query_map(parameters, account)? {
                    found.push(row?);
                }
            }
            Ok(found)
        })
        .await
    }

    async fn accounts(
        &self,
        realm: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Account>, StoreError> {
        let (realm, after) = (realm.to_owned(), after.unwrap_or_default().to_owned());
        self.read(move |connection| {
            connection
                .prepare_cached(&format!(
                    "SELECT {COLUMNS} FROM accounts WHERE realm = ?1 AND id > ?2 ORDER BY id LIMIT ?3"
                ))?
                .query_map(params![realm, after, limit], account)?
                .collect()
        })
        .await
    }

    async fn note_last_seen(&self, realm: &str, id: &str, at: Timestamp) -> Result<(), StoreError> {
        let (realm, id) = (realm.to_owned(), id.to_owned());
        self.write(move |connection| {
            connection
                .prepare_cached("UPDATE accounts SET last_seen_millis = ?3 WHERE realm = ?1 AND id = ?2")?
                .execute(params![realm, id, at.millis()])
                .map(|_| ())
        })
        .await
    }

    async fn note_logout(&self, realm: &str, id: &str, second: u64) -> Result<(), StoreError> {
        let (realm, id) = (realm.to_owned(), id.to_owned());
        self.write(move |connection| {
            connection
                .prepare_cached("UPDATE accounts SET logged_out_second = ?3 WHERE realm = ?1 AND id = ?2")?
                .execute(params![realm, id, second])
                .map(|_| ())
        })
        .await
    }

    async fn remove_account(&self, realm: &str, id: &str) -> Result<bool, StoreError> {
        let (realm, id) = (realm.to_owned(), id.to_owned());
        self.write(move |connection| {
            connection
                .prepare_cached("DELETE FROM accounts WHERE realm = ?1 AND id = ?2")?
                .execute(params![realm, id])
                .map(|removed| removed > 0)
        })
        .await
    }

    async fn create_tenants(&self, realm: &str, tenants: Vec<Tenant>) -> Result<(), CreateError> {
        let realm = realm.to_owned();
        self.create(move |connection| {
            let mut insert = connection.prepare_cached(
                "INSERT INTO tenants (realm, id, id_form, name, schema_name) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?;
            for (index, tenant) in tenants.into_iter().enumerate() {
                let made = insert.execute(params![
                    realm,
                    tenant.id,
                    tenant.id_form,
                    tenant.name,
                    tenant.schema_name
                ]);
                if let Some(field) = taken(made, &["schema_name"])? {
                    return Ok(Some((index, field)));
                }
            }
            Ok(None)
        })
        .await
    }

    async fn tenant(&self, realm: &str, schema_name: &str) -> Result<Option<Tenant>, StoreError> {
        let (realm, schema_name) = (realm.to_owned(), schema_name.to_owned());
        self.read(move |connection| {
            connection
                .prepare_cached(
                    "SELECT id, id_form, name, schema_name FROM tenants WHERE realm = ?1 AND schema_name = ?2",
                )?
                .query_row(params![realm, schema_name], |row| {
                    Ok(Tenant {
                        id: row.get(0)?,
                        id_form: row.get(1)?,
                        name: row.get(2)?,
                        schema_name: row.get(3)?,
                    })
                })
                .optional()
        })
        .await
    }
}

impl Sqlite {
    /// Makes all of something or, if one of them has what is taken, nothing.
    async fn create(
        &self,
        make: impl FnOnce(&Connection) -> rusqlite::Result<Taken> + Send + 'static,
    ) -> Result<(), CreateError> {
        let made = self.write_or_undo(make).await?;
        match made {
            None => Ok(()),
            Some((index, field)) => Err(CreateError::Taken { index, field }),
        }
    }
}

/// Of a violated constraint the field that it is about, which is the id unless the message names one of `others`.
pub(super) fn taken(
    made: rusqlite::Result<usize>,
    others: &[&'static str],
) -> rusqlite::Result<Option<&'static str>> {
    match made {
        Ok(_) => Ok(None),
        Err(rusqlite::Error::SqliteFailure(error, Some(message)))
            if error.code == rusqlite::ErrorCode::ConstraintViolation =>
        {
            let named = others
                .iter()
                .find(|field| message.ends_with(&format!(".{field}")));
            Ok(Some(named.copied().unwrap_or("id")))
        }
        Err(other) => Err(other),
    }
}

fn account(row: &Row<'_>) -> rusqlite::Result<Account> {
    Ok(Account {
        id: row.get(0)?,
        id_form: row.get(1)?,
        username: row.get(2)?,
        email: row.get(3)?,
        name: row.get(4)?,
        avatar: row.get(5)?,
        password_hash: row.get(6)?,
        last_seen: row.get::<_, Option<u64>>(7)?.map(Timestamp::from_millis),
        logged_out_second: row.get(8)?,
    })
}

impl ToSql for IdForm {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        match self {
            Self::Text => 0.to_sql(),
            Self::Integer => 1.to_sql(),
        }
    }
}

impl FromSql for IdForm {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Ok(match i64::column_result(value)? {
            0 => Self::Text,
            _ => Self::Integer,
        })
    }
}
