//! Resources in PostgreSQL.

use tokio_postgres::Row;

use super::Postgres;
use super::statement::{Columns, Statement, Text, millis, number, parameters, text, texts};
use crate::keep::Keep;
use crate::resources::{Fields, Resource, ResourcePage, Resources, Shelf};
use crate::session::{StoreError, Timestamp};

/// Several who change a resource at once take turns: of so many at least one gets through each time.
const REVISIONS_TRIED_MAX: usize = 100;

/// What it is to be inside of stays until this is committed, or is gone before.
const CREATE: &str = "
    WITH around AS (SELECT id FROM resources WHERE id = $2 FOR KEY SHARE)
    INSERT INTO resources (shelf, inside, owner, created_millis, fields)
    SELECT $1, nullif($2, 0), $3, $4, $5 WHERE $2 = 0 OR EXISTS (SELECT FROM around)
    RETURNING id";

const FIND: &str = "
    SELECT id, owner, created_millis, fields FROM resources
    WHERE shelf = $1 AND coalesce(inside, 0) = $2 AND id = $3";

const LIST: &str = "
    SELECT id, owner, created_millis, fields FROM resources WHERE shelf = $1 AND coalesce(inside, 0) = $2
    ORDER BY id LIMIT $3 OFFSET $4";

const COUNT: &str = "SELECT count(*) FROM resources WHERE shelf = $1 AND coalesce(inside, 0) = $2";

/// Unless somebody else has changed it meanwhile.
const REVISE: &str = "
    UPDATE resources SET fields = $5
    WHERE shelf = $1 AND coalesce(inside, 0) = $2 AND id = $3 AND fields = $4 RETURNING 1";

const REMOVE: &str =
    "DELETE FROM resources WHERE shelf = $1 AND coalesce(inside, 0) = $2 AND id = $3 RETURNING 1";

const REMOVE_OF: &str = "DELETE FROM resources WHERE owner = $1 AND shelf = ANY ($2)";

const TRIM_BY_AGE: &str = "
    DELETE FROM resources WHERE id IN (
        SELECT id FROM resources
        WHERE shelf = $1 AND coalesce(inside, 0) = $2 AND created_millis < $3 ORDER BY created_millis LIMIT $4
    ) RETURNING 1";

/// From the newest that does not stay on, all that are older.
const TRIM_BY_COUNT: &str = "
    DELETE FROM resources WHERE id IN (
        SELECT id FROM resources
        WHERE shelf = $1 AND coalesce(inside, 0) = $2 AND id <= (
            SELECT id FROM resources WHERE shelf = $1 AND coalesce(inside, 0) = $2
            ORDER BY id DESC LIMIT 1 OFFSET $3)
        ORDER BY id LIMIT $4
    ) RETURNING 1";

impl Resources for Postgres {
    async fn create_resource(
        &self,
        shelf: Shelf<'_>,
        owner: &str,
        at: Timestamp,
        fields: Fields,
    ) -> Result<Option<Resource>, StoreError> {
        let (name, inside) = parts(shelf);
        let parameters = parameters![name, inside, text(owner), millis(at), written(&fields)];
        let rows = self
            .write_one(Vec::new(), Statement::shared(CREATE, parameters))
            .await?;
        Ok(rows.first().map(|row| Resource {
            id: row.count(0),
            owner: owner.to_owned(),
            created_at: at,
            fields,
        }))
    }

    async fn resource(&self, shelf: Shelf<'_>, id: u64) -> Result<Option<Resource>, StoreError> {
        let found = self.found(shelf, id).await?;
        found.as_ref().map(resource).transpose()
    }

    async fn resources(&self, shelf: Shelf<'_>, skip: u64, limit: usize) -> Result<ResourcePage, StoreError> {
        let ((name, inside), (same_name, same_inside)) = (parts(shelf), parts(shelf));
        let page = parameters![name, inside, number(limit), number(skip)];
        let statements = vec![
            Statement::shared(LIST, page),
            Statement::shared(COUNT, parameters![same_name, same_inside]),
        ];
        let mut answers = self.read(statements).await?;
        let total = answers.pop().unwrap_or_default();
        let rows = answers.pop().unwrap_or_default();
        Ok(ResourcePage {
            resources: rows.iter().map(resource).collect::<Result<_, _>>()?,
            total: total.first().map_or(0, |row| row.count(0)),
        })
    }

    async fn revise_resource(
        &self,
        shelf: Shelf<'_>,
        id: u64,
        fields: Fields,
    ) -> Result<Option<Resource>, StoreError> {
        for _ in 0..REVISIONS_TRIED_MAX {
            let Some(row) = self.found(shelf, id).await? else {
                return Ok(None);
            };
            let mut revised = resource(&row)?;
            revised.fields.extend(fields.clone());
            let (name, inside) = parts(shelf);
            let before = Text(row.string(3));
            let parameters = parameters![name, inside, number(id), before, written(&revised.fields)];
            let revise = Statement::shared(REVISE, parameters);
            if !self.write_one(Vec::new(), revise).await?.is_empty() {
                return Ok(Some(revised));
            }
        }
        Err(StoreError::Unavailable(format!(
            "resource {id} was changed by others {REVISIONS_TRIED_MAX} times meanwhile"
        )))
    }

    async fn remove_resource(&self, shelf: Shelf<'_>, id: u64) -> Result<bool, StoreError> {
        let (name, inside) = parts(shelf);
        let remove = Statement::shared(REMOVE, parameters![name, inside, number(id)]);
        Ok(!self.write_one(Vec::new(), remove).await?.is_empty())
    }

    async fn remove_resources_of(&self, shelf_names: &[&str], owner: &str) -> Result<(), StoreError> {
        let remove = Statement::shared(REMOVE_OF, parameters![text(owner), texts(shelf_names)]);
        self.write_one(Vec::new(), remove).await.map(|_| ())
    }

    async fn trim_resources(&self, shelf: Shelf<'_>, keep: Keep, limit: usize) -> Result<usize, StoreError> {
        let mut removed = 0;
        if let Some(since) = keep.since {
            let (name, inside) = parts(shelf);
            let parameters = parameters![name, inside, millis(since), number(limit)];
            removed += self
                .change(Statement::shared(TRIM_BY_AGE, parameters))
                .await?
                .len();
        }
        if let Some(count_max) = keep.count_max
            && removed < limit
        {
            let (name, inside) = parts(shelf);
            let parameters = parameters![name, inside, number(count_max), number(limit - removed)];
            removed += self
                .change(Statement::shared(TRIM_BY_COUNT, parameters))
                .await?
                .len();
        }
        Ok(removed)
    }
}

impl Postgres {
    async fn found(&self, shelf: Shelf<'_>, id: u64) -> Result<Option<Row>, StoreError> {
        let (name, inside) = parts(shelf);
        let find = Statement::shared(FIND, parameters![name, inside, number(id)]);
        Ok(self.read_one(find).await?.pop())
    }
}

/// A shelf as statements name it; no resource has the id 0.
fn parts(shelf: Shelf<'_>) -> (Text, i64) {
    (text(shelf.name), shelf.inside.map_or(0, number))
}

fn resource(row: &Row) -> Result<Resource, StoreError> {
    let id = row.count(0);
    let fields = serde_json::from_str(&row.string(3)).map_err(|error| {
        StoreError::Unavailable(format!("the fields of resource {id} are no JSON object: {error}"))
    })?;
    Ok(Resource {
        id,
        owner: row.string(1),
        created_at: row.moment(2),
        fields,
    })
}

fn written(fields: &Fields) -> Text {
    Text(serde_json::to_string(fields).expect("a JSON object can always be written"))
}
