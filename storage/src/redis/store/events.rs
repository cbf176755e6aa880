//! Events of users in Redis.

use serde_json::{Value, json};

use super::{RedisStore, bounded, bounds, moment, number};
use crate::events::{Arrived, Event, EventState, Events, NewEvent};
use crate::keep::Keep;
use crate::session::{StoreError, Timestamp};

/// number, id, user, kind, data, scheduled, sent
type Row = (String, String, String, String, String, String, Option<String>);

impl Events for RedisStore {
    async fn store_events(&self, realm: &str, events: Vec<NewEvent>) -> Result<Vec<u64>, StoreError> {
        let (script, base) = (&self.inner.scripts.events, self.realm_key(realm));
        let given = json!({ "events": written(&events) });
        self.change(script, &base, "store", &given).await
    }

    async fn pending_events(
        &self,
        realm: &str,
        user: &str,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<Event>, StoreError> {
        let given = json!({ "user": user, "now": now.millis(), "limit": bounded(limit) });
        let (script, base) = (&self.inner.scripts.events, self.realm_key(realm));
        read(self.look(script, &base, "pending", &given).await?)
    }

    async fn claim_events(
        &self,
        realm: &str,
        users: Vec<String>,
        now: Timestamp,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<Event>, StoreError> {
        let given = json!({
            "users": users,
            "now": now.millis(),
            "till": until.millis(),
            "limit": bounded(limit),
        });
        let (script, base) = (&self.inner.scripts.events, self.realm_key(realm));
        read(self.change(script, &base, "claim", &given).await?)
    }

    async fn note_arrived(&self, realm: &str, arrived: Vec<Arrived>) -> Result<(), StoreError> {
        let arrived = arrived
            .iter()
            .map(|Arrived { number, at }| json!({ "number": number, "at": at.millis() }));
        let given = json!({ "arrived": arrived.collect::<Vec<_>>() });
        let (script, base) = (&self.inner.scripts.events, self.realm_key(realm));
        self.change(script, &base, "arrived", &given).await
    }

    async fn events(
        &self,
        realm: &str,
        user: &str,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Event>, StoreError> {
        let given = json!({ "user": user, "after": after.to_string(), "limit": bounded(limit) });
        let (script, base) = (&self.inner.scripts.events, self.realm_key(realm));
        read(self.look(script, &base, "list", &given).await?)
    }

    async fn remove_events(&self, realm: &str, user: &str) -> Result<(), StoreError> {
        let (script, base) = (&self.inner.scripts.events, self.realm_key(realm));
        self.change(script, &base, "remove", &json!({ "user": user }))
            .await
    }

    async fn trim_events(&self, realm: &str, keep: Keep, limit: usize) -> Result<usize, StoreError> {
        let (script, base) = (&self.inner.scripts.events, self.realm_key(realm));
        self.change(script, &base, "trim", &bounds(keep, limit)).await
    }
}

/// Events as `event_keys.lua` takes them.
pub(super) fn written(events: &[NewEvent]) -> Vec<Value> {
    let written = |event: &NewEvent| {
        json!({
            "id": event.id,
            "user": event.user,
            "kind": event.kind,
            "data": event.data,
            "scheduled": event.scheduled_at.millis(),
            "claimed": event.claimed_until.millis(),
        })
    };
    events.iter().map(written).collect()
}

fn read(rows: Vec<Row>) -> Result<Vec<Event>, StoreError> {
    let event = |(place, id, user, kind, data, scheduled, sent): Row| {
        Ok(Event {
            number: number(&place, "an event's number")?,
            id,
            user,
            kind,
            data,
            scheduled_at: moment(&scheduled, "an event's time")?,
            state: match sent {
                None => EventState::Pending,
                Some(at) => EventState::Sent {
                    at: moment(&at, "an event's time")?,
                },
            },
        })
    };
    rows.into_iter().map(event).collect()
}
