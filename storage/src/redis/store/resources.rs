//! Resources in Redis. All of them share a slot of a cluster: any may be inside of any other.

use serde_json::{Map, Value, json};

use super::{NUMBER_MAX, RedisStore, bounded, bounds, foreign, moment, number};
use crate::keep::Keep;
use crate::resources::{Fields, Resource, ResourcePage, Resources, Shelf};
use crate::session::{StoreError, Timestamp};

/// id, owner, created, fields
type Row = (String, String, String, String);

impl Resources for RedisStore {
    async fn create_resource(
        &self,
        shelf: Shelf<'_>,
        owner: &str,
        at: Timestamp,
        fields: Fields,
    ) -> Result<Option<Resource>, StoreError> {
        let given = on(
            shelf,
            json!({ "owner": owner, "at": at.millis(), "fields": written(&fields) }),
        );
        let id: u64 = self.change_resource("create", &given).await?;
        Ok((id > 0).then(|| Resource {
            id,
            owner: owner.to_owned(),
            created_at: at,
            fields,
        }))
    }

    async fn resource(&self, shelf: Shelf<'_>, id: u64) -> Result<Option<Resource>, StoreError> {
        self.found(shelf, id).await?.map(read).transpose()
    }

    async fn resources(&self, shelf: Shelf<'_>, skip: u64, limit: usize) -> Result<ResourcePage, StoreError> {
        let given = on(
            shelf,
            json!({ "skip": skip.min(NUMBER_MAX), "limit": bounded(limit) }),
        );
        let (script, base) = (&self.inner.scripts.resources, self.shelves_key());
        let (total, rows): (u64, Vec<Row>) = self.look(script, &base, "page", &given).await?;
        let resources = rows.into_iter().map(read).collect::<Result<_, _>>()?;
        Ok(ResourcePage { resources, total })
    }

    async fn revise_resource(
        &self,
        shelf: Shelf<'_>,
        id: u64,
        fields: Fields,
    ) -> Result<Option<Resource>, StoreError> {
        // Lua would not write numbers as they came, so the fields are put together here; whoever else revises the same
        // resource in this moment makes it begin again.
        loop {
            let Some(row) = self.found(shelf, id).await? else {
                return Ok(None);
            };
            let before = row.3.clone();
            let mut revised = read(row)?;
            revised.fields.extend(fields.clone());
            let after = written(&revised.fields);
            let given = on(shelf, json!({ "id": id, "before": before, "fields": after }));
            if self.change_resource("revise", &given).await? {
                return Ok(Some(revised));
            }
        }
    }

    async fn remove_resource(&self, shelf: Shelf<'_>, id: u64) -> Result<bool, StoreError> {
        let given = on(shelf, json!({ "id": id }));
        self.change_resource("remove", &given).await
    }

    async fn remove_resources_of(&self, shelf_names: &[&str], owner: &str) -> Result<(), StoreError> {
        let given = json!({ "names": shelf_names, "owner": owner });
        self.change_resource("remove_of", &given).await
    }

    async fn trim_resources(&self, shelf: Shelf<'_>, keep: Keep, limit: usize) -> Result<usize, StoreError> {
        let given = on(shelf, bounds(keep, limit));
        self.change_resource("trim", &given).await
    }
}

impl RedisStore {
    fn shelves_key(&self) -> String {
        format!("{}-shelves:{{all}}", self.inner.prefix)
    }

    async fn change_resource<T: redis::FromRedisValue>(
        &self,
        deed: &str,
        given: &Value,
    ) -> Result<T, StoreError> {
        let (script, base) = (&self.inner.scripts.resources, self.shelves_key());
        self.change(script, &base, deed, given).await
    }

    async fn found(&self, shelf: Shelf<'_>, id: u64) -> Result<Option<Row>, StoreError> {
        let given = on(shelf, json!({ "id": id.min(NUMBER_MAX) }));
        let (script, base) = (&self.inner.scripts.resources, self.shelves_key());
        let rows: Vec<Row> = self.look(script, &base, "one", &given).await?;
        Ok(rows.into_iter().next())
    }
}

/// What is given, with the shelf.
fn on(shelf: Shelf<'_>, given: Value) -> Value {
    let mut on: Map<String, Value> = match given {
        Value::Object(given) => given,
        other => unreachable!("scripts are given objects, not {other}"),
    };
    on.insert("name".to_owned(), shelf.name.into());
    on.insert("inside".to_owned(), shelf.inside.into());
    Value::Object(on)
}

fn read((id, owner, created, fields): Row) -> Result<Resource, StoreError> {
    Ok(Resource {
        id: number(&id, "a resource's id")?,
        owner,
        created_at: moment(&created, "a resource's time")?,
        fields: serde_json::from_str(&fields).map_err(|_| foreign("a resource"))?,
    })
}

fn written(fields: &Fields) -> String {
    serde_json::to_string(fields).expect("a JSON object can always be written")
}
