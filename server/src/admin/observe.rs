//! What an administrator can see: who is connected, and what waits for somebody.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use touchstone_protocol::Dialect;
use touchstone_protocol::timestamp::Rfc3339;

use super::body::{Asked, Named};
use super::{Administered, OpenConnection, QueuedEvent, Refusal, UserName, of_dialect, served};
use crate::shared::Shared;

/// Connections in one answer. Who wants to know about more asks for a user.
const CONNECTIONS_SHOWN_MAX: usize = 1_000;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ConnectionsQuery {
    dialect: Option<Named>,
    user: Option<String>,
    tenant: Option<String>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(Deserialize))]
pub(super) struct ConnectionsShown {
    /// How many there are, those that are not shown among them.
    total: usize,
    connections: Vec<ConnectionShown>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(Deserialize))]
pub(super) struct ConnectionShown {
    dialect: Named,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
    since: Rfc3339,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EventsQuery {
    dialect: Option<Named>,
    user: String,
    tenant: Option<String>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(Deserialize))]
pub(super) struct EventsShown {
    events: Vec<EventShown>,
}

/// As outbox/4a names its parts.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(Deserialize))]
pub(super) struct EventShown {
    event_id: String,
    event_type: String,
    message_data: Value,
    status: Status,
    scheduled_at: Rfc3339,
    sent_at: Option<Rfc3339>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(rename_all = "snake_case")]
enum Status {
    Pending,
    Sent,
}

/// The connections of one dialect, or of all that are served.
pub(super) async fn connections(
    State(shared): State<Arc<Shared>>,
    Asked(query): Asked<ConnectionsQuery>,
) -> Result<Json<ConnectionsShown>, Refusal> {
    let asked = match query.dialect {
        Some(Named(dialect)) => vec![served(&shared, dialect)?],
        None if query.user.is_some() => {
            return Err(Refusal::Request("`user` needs a `dialect`".to_owned()));
        }
        None => shared.config.dialects.clone(),
    };
    let tenant = query.tenant;
    let user = query.user.map(|id| UserName { id, tenant });
    let (mut total, mut connections) = (0, Vec::new());
    for dialect in asked {
        let open = of_dialect!(shared, dialect, |of| of.connections(user.as_ref()))?;
        total += open.len();
        let room = CONNECTIONS_SHOWN_MAX - connections.len();
        connections.extend(open.into_iter().take(room).map(|open| shown(dialect, open)));
    }
    Ok(Json(ConnectionsShown { total, connections }))
}

fn shown(dialect: Dialect, open: OpenConnection) -> ConnectionShown {
    let OpenConnection {
        user,
        tenant,
        since,
        peer,
    } = open;
    ConnectionShown {
        dialect: Named(dialect),
        user,
        tenant,
        since: Rfc3339(since.millis()),
        peer: peer.map(|peer| peer.to_string()),
    }
}

/// The queued events of a user.
pub(super) async fn events(
    State(shared): State<Arc<Shared>>,
    Asked(query): Asked<EventsQuery>,
) -> Result<Json<EventsShown>, Refusal> {
    let dialect = query.dialect.map_or(Dialect::Outbox, |named| named.0);
    let dialect = served(&shared, dialect)?;
    let (id, tenant) = (query.user, query.tenant);
    let events = of_dialect!(shared, dialect, |of| of.events(UserName { id, tenant }).await)?;
    let events = events.into_iter().map(|event| {
        let QueuedEvent {
            id,
            kind,
            data,
            scheduled_at,
            sent_at,
        } = event;
        EventShown {
            event_id: id,
            event_type: kind,
            message_data: data,
            status: match sent_at {
                None => Status::Pending,
                Some(_) => Status::Sent,
            },
            scheduled_at: Rfc3339(scheduled_at.millis()),
            sent_at: sent_at.map(|at| Rfc3339(at.millis())),
        }
    });
    let events = events.collect();
    Ok(Json(EventsShown { events }))
}
