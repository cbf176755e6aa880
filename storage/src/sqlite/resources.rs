//! Resources in SQLite.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::Sqlite;
use crate::keep::Keep;
use crate::resources::{Fields, Resource, ResourcePage, Resources, Shelf};
use crate::session::{StoreError, Timestamp};

const COLUMNS: &str = "id, owner, created_at_millis, fields";

/// A shelf that a job can take along to its thread.
struct OwnShelf {
    name: String,
    inside: Option<u64>,
}

impl From<Shelf<'_>> for OwnShelf {
    fn from(shelf: Shelf<'_>) -> Self {
        Self {
            name: shelf.name.to_owned(),
            inside: shelf.inside,
        }
    }
}

impl Resources for Sqlite {
    async fn create_resource(
        &self,
        shelf: Shelf<'_>,
        owner: &str,
        at: Timestamp,
        fields: Fields,
    ) -> Result<Option<Resource>, StoreError> {
        let (shelf, owner) = (OwnShelf::from(shelf), owner.to_owned());
        self.write(move |connection| {
            // Asked first: the foreign key would be an error like any other.
            if shelf
                .inside
                .is_some_and(|id| !exists(connection, id).unwrap_or(false))
            {
                return Ok(None);
            }
            let id = connection
                .prepare_cached(
                    "INSERT INTO resources (shelf, inside, owner, created_at_millis, fields)
                     VALUES (?1, ?2, ?3, ?4, ?5) RETURNING id",
                )?
                .query_row(
                    params![shelf.name, shelf.inside, owner, at.millis(), written(&fields)],
                    |row| row.get(0),
                )?;
            Ok(Some(Resource {
                id,
                owner,
                created_at: at,
                fields,
            }))
        })
        .await
    }

    async fn resource(&self, shelf: Shelf<'_>, id: u64) -> Result<Option<Resource>, StoreError> {
        let shelf = OwnShelf::from(shelf);
        self.read(move |connection| find(connection, &shelf, id)).await
    }

    async fn resources(&self, shelf: Shelf<'_>, skip: u64, limit: usize) -> Result<ResourcePage, StoreError> {
        let shelf = OwnShelf::from(shelf);
        // More cannot be there: it is what SQLite counts to.
        let skip = skip.min(i64::MAX as u64);
        self.read(move |connection| {
            let resources = connection
                .prepare_cached(&format!(
                    "SELECT {COLUMNS} FROM resources WHERE shelf = ?1 AND inside IS ?2
                     ORDER BY id LIMIT ?3 OFFSET ?4"
                ))?
                .query_map(params![shelf.name, shelf.inside, limit, skip], resource)?
                .collect::<Result<_, _>>()?;
            let total = connection
                .prepare_cached("SELECT count(*) FROM resources WHERE shelf = ?1 AND inside IS ?2")?
                .query_row(params![shelf.name, shelf.inside], |row| row.get(0))?;
            Ok(ResourcePage { resources, total })
        })
        .await
    }

    async fn revise_resource(
        &self,
        shelf: Shelf<'_>,
        id: u64,
        fields: Fields,
    ) -> Result<Option<Resource>, StoreError> {
        let shelf = OwnShelf::from(shelf);
        self.write(move |connection| {
            let Some(mut revised) = find(connection, &shelf, id)? else {
                return Ok(None);
            };
            revised.fields.extend(fields);
            connection
                .prepare_cached("UPDATE resources SET fields = ?2 WHERE id = ?1")?
                .execute(params![id, written(&revised.fields)])?;
            Ok(Some(revised))
        })
        .await
    }

    async fn remove_resource(&self, shelf: Shelf<'_>, id: u64) -> Result<bool, StoreError> {
        let shelf = OwnShelf::from(shelf);
        self.write(move |connection| {
            connection
                .prepare_cached("DELETE FROM resources WHERE id = ?1 AND shelf = ?2 AND inside IS ?3")?
                .execute(params![id, shelf.name, shelf.inside])
                .map(|removed| removed > 0)
        })
        .await
    }

    async fn remove_resources_of(&self, shelf_names: &[&str], owner: &str) -> Result<(), StoreError> {
        let shelf_names: Vec<_> = shelf_names.iter().map(|&name| name.to_owned()).collect();
        let owner = owner.to_owned();
        self.write(move |connection| {
            let mut remove =
                connection.prepare_cached("DELETE FROM resources WHERE owner = ?1 AND shelf = ?2")?;
            for name in &shelf_names {
                remove.execute(params![owner, name])?;
            }
            Ok(())
        })
        .await
    }

    async fn trim_resources(&self, shelf: Shelf<'_>, keep: Keep, limit: usize) -> Result<usize, StoreError> {
        let shelf = OwnShelf::from(shelf);
        self.write(move |connection| {
            let mut removed = 0;
            if let Some(since) = keep.since {
                removed += connection
                    .prepare_cached(
                        "DELETE FROM resources WHERE id IN (SELECT id FROM resources
                         WHERE shelf = ?1 AND inside IS ?2 AND created_at_millis < ?3 LIMIT ?4)",
                    )?
                    .execute(params![shelf.name, shelf.inside, since.millis(), limit])?;
            }
            if let Some(count_max) = keep.count_max.map(|count| count.min(i64::MAX as u64)) {
                // From the newest that does not stay on, all that are older.
                removed += connection
                    .prepare_cached(
                        "DELETE FROM resources WHERE id IN (SELECT id FROM resources
                         WHERE shelf = ?1 AND inside IS ?2 AND id <= (SELECT id FROM resources
                             WHERE shelf = ?1 AND inside IS ?2 ORDER BY id DESC LIMIT 1 OFFSET ?3)
                         ORDER BY id LIMIT ?4)",
                    )?
                    .execute(params![shelf.name, shelf.inside, count_max, limit - removed])?;
            }
            Ok(removed)
        })
        .await
    }
}

fn exists(connection: &Connection, id: u64) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT 1 FROM resources WHERE id = ?1")?
        .exists([id])
}

fn find(connection: &Connection, shelf: &OwnShelf, id: u64) -> rusqlite::Result<Option<Resource>> {
    connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM resources WHERE id = ?1 AND shelf = ?2 AND inside IS ?3"
        ))?
        .query_row(params![id, shelf.name, shelf.inside], resource)
        .optional()
}

fn resource(row: &Row<'_>) -> rusqlite::Result<Resource> {
    let fields: String = row.get(3)?;
    let fields = serde_json::from_str(&fields).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(3, rusqlite::types::Type::Text, Box::new(error))
    })?;
    Ok(Resource {
        id: row.get(0)?,
        owner: row.get(1)?,
        created_at: Timestamp::from_millis(row.get(2)?),
        fields,
    })
}

fn written(fields: &Fields) -> String {
    serde_json::to_string(fields).expect("a JSON object can always be written")
}
