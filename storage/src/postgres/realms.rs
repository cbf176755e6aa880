//! Which realm has its tables where: that of a tenant, `KIND:NAME`, in a schema `KIND_NAME` of its own, all others in the
//! shared one.
//!
//! Nothing of a realm is found where its schema is not: until there is one, its statements go to the shared tables, in
//! which no row carries its name.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Error};

use super::Postgres;
use super::failures::unavailable;
use super::migrating;
use super::statement::{Place, SHARED_SCHEMA, Statement, parameters, text};
use crate::session::StoreError;

/// Bytes of an identifier in PostgreSQL; it cuts off what is longer without a word.
const IDENTIFIER_BYTES_MAX: usize = 63;

/// Bytes of the name of a tenant.
const TENANT_BYTES_MAX: usize = 63;

/// Bytes of what stands before it.
const KIND_BYTES_MAX: usize = 16;

/// Tenants whose schema is known to be there. A schema is never dropped while servers run, so what is here stays true.
#[derive(Debug, Default)]
pub(super) struct KnownRealms(Mutex<HashMap<Box<str>, Place>>);

impl KnownRealms {
    fn get(&self, realm: &str) -> Option<Place> {
        let known = self.0.lock().expect("no code panics while it holds this lock");
        known.get(realm).cloned()
    }

    fn note(&self, realm: &str, place: &Place) {
        let mut known = self.0.lock().expect("no code panics while it holds this lock");
        known.insert(realm.into(), place.clone());
    }
}

/// What the schema of this realm is called; `None` if it has none because it is no tenant's. Letters, digits, `_` and `-`
/// are all that is ever in such a name.
fn schema_name(realm: &str) -> Option<String> {
    let (kind, tenant) = realm.split_once(':')?;
    let is_kind =
        (1..=KIND_BYTES_MAX).contains(&kind.len()) && kind.bytes().all(|byte| byte.is_ascii_lowercase());
    let is_tenant = (1..=TENANT_BYTES_MAX).contains(&tenant.len())
        && tenant
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
    if !is_kind || !is_tenant {
        return None;
    }
    let name = format!("{kind}_{tenant}");
    if name.len() <= IDENTIFIER_BYTES_MAX {
        return Some(name);
    }
    // Cut off, with a mark that tells it from others that begin alike; the table of realms takes no name twice.
    let mark = super::writing::lock("schema name", "", realm);
    Some(format!("{}_{mark:016x}", &name[..IDENTIFIER_BYTES_MAX - 17]))
}

/// The schemas of all tenants.
pub(super) async fn places(client: &Client) -> Result<Vec<Place>, Error> {
    let all = format!("SELECT schema_name FROM {SHARED_SCHEMA}.realms ORDER BY realm");
    let rows = client.query(&all, &[]).await?;
    Ok(rows
        .into_iter()
        .map(|row| Place::Tenant(Arc::from(row.get::<_, &str>(0))))
        .collect())
}

impl Postgres {
    /// Where the tables of this realm are.
    pub(super) async fn place(&self, realm: &str) -> Result<Place, StoreError> {
        let Some(name) = schema_name(realm) else {
            return Ok(Place::Shared);
        };
        if let Some(place) = self.known_realms().get(realm) {
            return Ok(place);
        }
        let find = "SELECT 1 FROM realms WHERE realm = $1";
        let found = self
            .read_one(Statement::shared(find, parameters![text(realm)]))
            .await?;
        if found.is_empty() {
            return Ok(Place::Shared);
        }
        let place = Place::Tenant(name.into());
        self.known_realms().note(realm, &place);
        Ok(place)
    }

    /// The same, after making the schema of a tenant who has none yet.
    pub(super) async fn place_made(&self, realm: &str) -> Result<Place, StoreError> {
        let Some(name) = schema_name(realm) else {
            return Ok(Place::Shared);
        };
        match self.place(realm).await? {
            place @ Place::Tenant(_) => Ok(place),
            Place::Shared => {
                let place = Place::Tenant(name.into());
                self.make_schema(realm, &place).await?;
                self.known_realms().note(realm, &place);
                Ok(place)
            }
        }
    }

    /// Makes a schema and its tables, unless another node was faster.
    async fn make_schema(&self, realm: &str, place: &Place) -> Result<(), StoreError> {
        let mut lease = self.lease().await?;
        let made = tokio::time::timeout(self.deadline(), make(lease.client_mut(), realm, place));
        let made = made.await.map_err(|_| super::failures::late(self.deadline()))?;
        match made {
            Ok(Made::Done) => {
                lease.give_back();
                Ok(())
            }
            Ok(Made::OtherVersion) => Err(StoreError::Unavailable(
                "the tables were migrated by another version: restart this server with that version"
                    .to_owned(),
            )),
            Err(error) if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {
                Err(StoreError::Unavailable(format!(
                    "the schema of {realm} cannot be made: {}; GRANT CREATE ON DATABASE to the user",
                    super::failures::whole(&error)
                )))
            }
            Err(error) => Err(unavailable(&error)),
        }
    }
}

enum Made {
    Done,
    OtherVersion,
}

async fn make(client: &mut Client, realm: &str, place: &Place) -> Result<Made, Error> {
    let Place::Tenant(name) = place else {
        return Ok(Made::Done);
    };
    let transaction = client.transaction().await?;
    migrating::take_lock(transaction.client()).await?;
    // Servers that still run while the tables are migrated must not make any of the version before.
    if migrating::version(transaction.client()).await? != Some(migrating::VERSION) {
        return Ok(Made::OtherVersion);
    }
    let note = "INSERT INTO realms (realm, schema_name) VALUES ($1, $2) ON CONFLICT (realm) DO NOTHING";
    if transaction.execute(note, &[&realm, &&**name]).await? == 0 {
        return Ok(Made::Done);
    }
    transaction
        .batch_execute(&format!("CREATE SCHEMA \"{name}\"; {}", place.enter()))
        .await?;
    for tables in migrating::tables_of_a_realm() {
        transaction.batch_execute(tables).await?;
    }
    transaction.commit().await?;
    Ok(Made::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_tenant_with_a_plain_name_has_a_schema() {
        for (realm, name) in [
            ("rooms:acme", Some("rooms_acme")),
            ("rooms:Acme_2-b", Some("rooms_Acme_2-b")),
            ("rooms", None),
            ("rooms:", None),
            (":acme", None),
            ("rooms:a\"; DROP SCHEMA touchstone; --", None),
            ("rooms:a b", None),
            ("rooms:\u{e9}", None),
            ("Rooms:acme", None),
            ("a_b:c", None),
        ] {
            assert_eq!(schema_name(realm).as_deref(), name, "{realm}");
        }
    }

    #[test]
    fn long_names_that_begin_alike_stay_apart() {
        let realm = |end: &str| format!("rooms:{}{end}", "x".repeat(62));
        let (one, other) = (
            schema_name(&realm("1")).unwrap(),
            schema_name(&realm("2")).unwrap(),
        );
        assert_ne!(one, other);
        assert!(one.len() <= IDENTIFIER_BYTES_MAX && other.len() <= IDENTIFIER_BYTES_MAX);
        assert_eq!(
            schema_name(&format!("{}3", realm("1"))),
            None,
            "too long for a tenant"
        );
    }
}
