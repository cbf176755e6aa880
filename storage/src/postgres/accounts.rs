//! Users and tenants in PostgreSQL.

use tokio_postgres::Row;

use super::Postgres;
use super::statement::{Columns, Statement, maybe, millis, number, parameters, text, texts};
use super::writing::lock;
use crate::accounts::{Account, Accounts, CreateError, IdForm, Tenant};
use crate::session::{StoreError, Timestamp};

/// Of the table `accounts`, in the order in which [`account`] reads them.
macro_rules! columns {
    () => {
        "id, id_form, username, email, name, avatar, password_hash, last_seen_millis, logged_out_second"
    };
}

/// Makes all, or none and says which is the first that has something taken. Who makes some holds the lock of their
/// realm: what is free when it is looked at is free when it is taken.
const CREATE_ACCOUNTS: &str = "
    WITH given AS (
        SELECT *,
            row_number() OVER (PARTITION BY id ORDER BY place) > 1 AS repeats_id,
            row_number() OVER (PARTITION BY username ORDER BY place) > 1 AS repeats_username,
            email IS NOT NULL AND row_number() OVER (PARTITION BY email ORDER BY place) > 1 AS repeats_email
        FROM unnest($2::text[], $3::smallint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
            $9::bigint[], $10::bigint[]) WITH ORDINALITY
            AS given (id, id_form, username, email, name, avatar, password_hash, last_seen, logged_out, place)
    ), taken AS (
        SELECT place, 1 AS rank, 'id' AS field FROM given g
        WHERE repeats_id OR EXISTS (SELECT FROM accounts a WHERE a.realm = $1 AND a.id = g.id)
        UNION ALL
        SELECT place, 2, 'username' FROM given g
        WHERE repeats_username OR EXISTS (SELECT FROM accounts a WHERE a.realm = $1 AND a.username = g.username)
        UNION ALL
        SELECT place, 3, 'email' FROM given g
        WHERE repeats_email OR EXISTS (SELECT FROM accounts a WHERE a.realm = $1 AND a.email = g.email)
    ), made AS (
        INSERT INTO accounts (realm, id, id_form, username, email, name, avatar, password_hash, last_seen_millis,
            logged_out_second)
        SELECT $1, id, id_form, username, email, name, avatar, password_hash, last_seen, logged_out FROM given
        WHERE NOT EXISTS (SELECT FROM taken)
    )
    SELECT place, field FROM taken ORDER BY place, rank LIMIT 1";

const CREATE_TENANTS: &str = "
    WITH given AS (
        SELECT *,
            row_number() OVER (PARTITION BY id ORDER BY place) > 1 AS repeats_id,
            row_number() OVER (PARTITION BY schema_name ORDER BY place) > 1 AS repeats_schema_name
        FROM unnest($2::text[], $3::smallint[], $4::text[], $5::text[]) WITH ORDINALITY
            AS given (id, id_form, name, schema_name, place)
    ), taken AS (
        SELECT place, 1 AS rank, 'id' AS field FROM given g
        WHERE repeats_id OR EXISTS (SELECT FROM tenants t WHERE t.realm = $1 AND t.id = g.id)
        UNION ALL
        SELECT place, 2, 'schema_name' FROM given g
        WHERE repeats_schema_name
            OR EXISTS (SELECT FROM tenants t WHERE t.realm = $1 AND t.schema_name = g.schema_name)
    ), made AS (
        INSERT INTO tenants (realm, id, id_form, name, schema_name)
        SELECT $1, id, id_form, name, schema_name FROM given WHERE NOT EXISTS (SELECT FROM taken)
    )
    SELECT place, field FROM taken ORDER BY place, rank LIMIT 1";

impl Accounts for Postgres {
    async fn create_accounts(&self, realm: &str, accounts: Vec<Account>) -> Result<(), CreateError> {
        let place = self.place_made(realm).await?;
        let moment = |at: &Option<Timestamp>| at.map(millis);
        let parameters = parameters![
            text(realm),
            texts(accounts.iter().map(|account| &account.id)),
            forms(accounts.iter().map(|account| account.id_form)),
            texts(accounts.iter().map(|account| &account.username)),
            each(&accounts, |account| maybe(account.email.as_ref())),
            each(&accounts, |account| maybe(account.name.as_ref())),
            each(&accounts, |account| maybe(account.avatar.as_ref())),
            each(&accounts, |account| maybe(account.password_hash.as_ref())),
            each(&accounts, |account| moment(&account.last_seen)),
            each(&accounts, |account| account.logged_out_second.map(number)),
        ];
        let locks = vec![lock("accounts", realm, "")];
        let create = Statement::new(&place, CREATE_ACCOUNTS, parameters);
        made(&self.write_one(locks, create).await?)
    }

    async fn account(&self, realm: &str, id: &str) -> Result<Option<Account>, StoreError> {
        let place = self.place(realm).await?;
        let find = concat!(
            "SELECT ",
            columns!(),
            " FROM accounts WHERE realm = $1 AND id = $2"
        );
        let find = Statement::new(&place, find, parameters![text(realm), text(id)]);
        Ok(self.read_one(find).await?.first().map(account))
    }

    async fn account_by_login(&self, realm: &str, login: &str) -> Result<Option<Account>, StoreError> {
        let place = self.place(realm).await?;
        let find = concat!(
            "SELECT ",
            columns!(),
            " FROM accounts WHERE realm = $1 AND (email = $2 OR username = $2)
             ORDER BY email IS NOT DISTINCT FROM $2 DESC LIMIT 1"
        );
        let find = Statement::new(&place, find, parameters![text(realm), text(login)]);
        Ok(self.read_one(find).await?.first().map(account))
    }

    async fn accounts_by_id(&self, realm: &str, ids: Vec<String>) -> Result<Vec<Account>, StoreError> {
        let place = self.place(realm).await?;
        let find = concat!(
            "SELECT ",
            columns!(),
            " FROM accounts WHERE realm = $1 AND id = ANY ($2)"
        );
        let find = Statement::new(&place, find, parameters![text(realm), texts(ids)]);
        Ok(self.read_one(find).await?.iter().map(account).collect())
    }

    async fn accounts(
        &self,
        realm: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Account>, StoreError> {
        let place = self.place(realm).await?;
        let find = concat!(
            "SELECT ",
            columns!(),
            " FROM accounts WHERE realm = $1 AND id > $2 ORDER BY id LIMIT $3"
        );
        let parameters = parameters![text(realm), text(after.unwrap_or_default()), number(limit)];
        let find = Statement::new(&place, find, parameters);
        Ok(self.read_one(find).await?.iter().map(account).collect())
    }

    async fn note_last_seen(&self, realm: &str, id: &str, at: Timestamp) -> Result<(), StoreError> {
        let note = "UPDATE accounts SET last_seen_millis = $3 WHERE realm = $1 AND id = $2";
        self.note(realm, id, note, millis(at)).await
    }

    async fn note_logout(&self, realm: &str, id: &str, second: u64) -> Result<(), StoreError> {
        let note = "UPDATE accounts SET logged_out_second = $3 WHERE realm = $1 AND id = $2";
        self.note(realm, id, note, number(second)).await
    }

    async fn remove_account(&self, realm: &str, id: &str) -> Result<bool, StoreError> {
        let place = self.place(realm).await?;
        let remove = "DELETE FROM accounts WHERE realm = $1 AND id = $2 RETURNING 1";
        let remove = Statement::new(&place, remove, parameters![text(realm), text(id)]);
        let removed = self.write_one(vec![lock("account", realm, id)], remove).await?;
        Ok(!removed.is_empty())
    }

    async fn create_tenants(&self, realm: &str, tenants: Vec<Tenant>) -> Result<(), CreateError> {
        // Schemas first: a tenant without one would be of no use. One without a tenant is in nobody's way.
        for tenant in &tenants {
            self.place_made(&format!("{realm}:{}", tenant.schema_name))
                .await?;
        }
        let parameters = parameters![
            text(realm),
            texts(tenants.iter().map(|tenant| &tenant.id)),
            forms(tenants.iter().map(|tenant| tenant.id_form)),
            texts(tenants.iter().map(|tenant| &tenant.name)),
            texts(tenants.iter().map(|tenant| &tenant.schema_name)),
        ];
        let locks = vec![lock("tenants", realm, "")];
        let create = Statement::shared(CREATE_TENANTS, parameters);
        made(&self.write_one(locks, create).await?)
    }

    async fn tenant(&self, realm: &str, schema_name: &str) -> Result<Option<Tenant>, StoreError> {
        let find = "SELECT id, id_form, name, schema_name FROM tenants WHERE realm = $1 AND schema_name = $2";
        let find = Statement::shared(find, parameters![text(realm), text(schema_name)]);
        let found = self.read_one(find).await?;
        Ok(found.first().map(|row| Tenant {
            id: row.string(0),
            id_form: form(row, 1),
            name: row.string(2),
            schema_name: row.string(3),
        }))
    }
}

impl Postgres {
    async fn note(&self, realm: &str, id: &str, note: &'static str, value: i64) -> Result<(), StoreError> {
        let place = self.place(realm).await?;
        let note = Statement::new(&place, note, parameters![text(realm), text(id), value]);
        self.write_one(vec![lock("account", realm, id)], note)
            .await
            .map(|_| ())
    }
}

fn each<T>(accounts: &[Account], field: impl Fn(&Account) -> T) -> Vec<T> {
    accounts.iter().map(field).collect()
}

fn forms(forms: impl Iterator<Item = IdForm>) -> Vec<i16> {
    let numbers = forms.map(|form| match form {
        IdForm::Text => 0,
        IdForm::Integer => 1,
    });
    numbers.collect()
}

fn form(row: &Row, column: usize) -> IdForm {
    match row.get::<_, i16>(column) {
        0 => IdForm::Text,
        _ => IdForm::Integer,
    }
}

/// What a statement that makes several says of the first that it could not make: its place, from 1, and a field.
pub(super) fn made(taken: &[Row]) -> Result<(), CreateError> {
    let Some(row) = taken.first() else {
        return Ok(());
    };
    let field = match row.get::<_, &str>(1) {
        "username" => "username",
        "email" => "email",
        "schema_name" => "schema_name",
        _ => "id",
    };
    let index = row.count(0) as usize - 1;
    Err(CreateError::Taken { index, field })
}

fn account(row: &Row) -> Account {
    Account {
        id: row.string(0),
        id_form: form(row, 1),
        username: row.string(2),
        email: row.maybe_string(3),
        name: row.maybe_string(4),
        avatar: row.maybe_string(5),
        password_hash: row.maybe_string(6),
        last_seen: row.maybe_count(7).map(Timestamp::from_millis),
        logged_out_second: row.maybe_count(8),
    }
}
