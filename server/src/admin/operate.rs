//! What an administrator has the server do: emit something, send somebody away, send what is pending.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use touchstone_protocol::Dialect;
use touchstone_protocol::close::CloseCode;
use touchstone_protocol::timestamp::Rfc3339;
use touchstone_storage::Timestamp;
use touchstone_wire as wire;

use super::body::{Body, Done, Named};
use super::faults::duration;
use super::{Administered, Audience, GivenId, Publication, Refusal, UserName, of_dialect, served};
use crate::connection::Close;
use crate::drain::{self, Scope};
use crate::shared::Shared;

/// The longest window of a drain.
const WINDOW_MAX: Duration = Duration::from_secs(3_600);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PublishRequest {
    dialect: Named,
    to: Option<Audience>,
    r#type: String,
    data: Value,
    scheduled_at: Option<Rfc3339>,
    tenant: Option<String>,
}

/// How many publications were taken.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(Deserialize))]
pub(super) struct Published {
    published: usize,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DisconnectRequest {
    dialect: Named,
    user: GivenId,
    tenant: Option<String>,
    code: Option<u16>,
    reason: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SweepRequest {
    dialect: Option<Named>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DrainRequest {
    dialect: Option<Named>,
    window: Option<String>,
}

/// How many connections are going to be closed.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(Deserialize))]
pub(super) struct DrainBegun {
    connections: usize,
}

pub(super) async fn publish(
    State(shared): State<Arc<Shared>>,
    Body(request): Body<PublishRequest>,
) -> Result<Json<Published>, Refusal> {
    let dialect = served(&shared, request.dialect.0)?;
    let bytes = request.data.to_string().len();
    let most = shared.config.limits.told_bytes_max();
    if bytes > most {
        let why = format!("`data` has {bytes} bytes, more than the {most} of `limits.queue_bytes`");
        return Err(Refusal::Request(why));
    }
    let default = || of_dialect!(shared, dialect, |of| of.default_audience(&request.r#type));
    let to = request.to.or_else(default);
    let publication = Publication {
        to: to.ok_or_else(|| Refusal::Request("missing field `to`".to_owned()))?,
        kind: request.r#type,
        data: request.data,
        scheduled_at: request.scheduled_at.map(|at| Timestamp::from_millis(at.0)),
        tenant: request.tenant,
    };
    of_dialect!(shared, dialect, |of| of.publish(publication).await)?;
    Ok(Json(Published { published: 1 }))
}

pub(super) async fn disconnect(
    State(shared): State<Arc<Shared>>,
    Body(request): Body<DisconnectRequest>,
) -> Result<Json<Done>, Refusal> {
    let dialect = served(&shared, request.dialect.0)?;
    let code = request.code.unwrap_or(CloseCode::NORMAL.0);
    if !wire::close_code::is_sendable(code) {
        return Err(Refusal::Request(format!("`code` {code} may not be sent")));
    }
    let reason = request.reason.unwrap_or_default();
    if reason.len() > wire::CLOSE_REASON_BYTES_MAX {
        let bytes = reason.len();
        let most = wire::CLOSE_REASON_BYTES_MAX;
        return Err(Refusal::Request(format!(
            "`reason` has {bytes} bytes, more than {most}"
        )));
    }
    let user = UserName {
        id: request.user.into_text(),
        tenant: request.tenant,
    };
    let close = Close::new(CloseCode(code), reason);
    of_dialect!(shared, dialect, |of| of.disconnect(user, close).await)?;
    Ok(Json(Done {}))
}

pub(super) async fn sweep(
    State(shared): State<Arc<Shared>>,
    Body(request): Body<SweepRequest>,
) -> Result<Json<Done>, Refusal> {
    let dialect = request.dialect.map_or(Dialect::Outbox, |named| named.0);
    let dialect = served(&shared, dialect)?;
    of_dialect!(shared, dialect, |of| of.sweep().await)?;
    Ok(Json(Done {}))
}

pub(super) async fn drain(
    State(shared): State<Arc<Shared>>,
    Body(request): Body<DrainRequest>,
) -> Result<Json<DrainBegun>, Refusal> {
    let scope = match request.dialect {
        Some(Named(dialect)) => Scope::Dialect(served(&shared, dialect)?),
        None => Scope::Everything,
    };
    let window = match request.window.as_deref() {
        None => shared.config.deadlines.drain,
        Some(window) => duration(window)
            .filter(|window| *window <= WINDOW_MAX)
            .ok_or_else(|| {
                let wanted = format!("`window` is a duration of up to {WINDOW_MAX:?}, for example 30s");
                Refusal::Request(wanted)
            })?,
    };
    let connections = drain::begin(&shared, scope, window);
    Ok(Json(DrainBegun { connections }))
}

impl<'de> Deserialize<'de> for Audience {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct To;

        impl<'de> Visitor<'de> for To {
            type Value = Audience;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an id, a list of ids, or \"all\"")
            }

            fn visit_str<E>(self, to: &str) -> Result<Audience, E> {
                Ok(match to {
                    "all" => Audience::All,
                    id => Audience::One(id.to_owned()),
                })
            }

            fn visit_u64<E>(self, id: u64) -> Result<Audience, E> {
                Ok(Audience::One(id.to_string()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut ids: A) -> Result<Audience, A::Error> {
                let mut several = Vec::new();
                while let Some(id) = ids.next_element::<GivenId>()? {
                    several.push(id.into_text());
                }
                Ok(Audience::Several(several))
            }
        }

        deserializer.deserialize_any(To)
    }
}
