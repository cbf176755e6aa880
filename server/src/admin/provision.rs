//! Tenants, users and channels: made in bulk, all or nothing, and users removed.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::task::JoinSet;
use touchstone_protocol::Dialect;

use super::body::{Asked, Body, Entries, Named};
use super::{
    Administered, GivenId, Made, NewChannel, NewTenant, NewUser, Refusal, UserName, of_dialect, served,
};
use crate::shared::Shared;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TenantsRequest {
    dialect: Named,
    tenants: Entries,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TenantEntry {
    id: Option<GivenId>,
    name: String,
    schema_name: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UsersRequest {
    dialect: Named,
    users: Entries,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UserEntry {
    id: Option<GivenId>,
    username: String,
    email: Option<String>,
    password: Option<String>,
    name: Option<String>,
    avatar: Option<String>,
    tenant: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ChannelsRequest {
    dialect: Named,
    channels: Entries,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ChannelEntry {
    id: Option<GivenId>,
    name: Option<String>,
    members: Vec<GivenId>,
    tenant: Option<String>,
}

/// What was made, as it is told.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(Deserialize))]
pub(super) struct MadeShown {
    id: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(Deserialize))]
pub(super) struct TenantsMade {
    tenants: Vec<MadeShown>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(Deserialize))]
pub(super) struct UsersMade {
    users: Vec<MadeShown>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(Deserialize))]
pub(super) struct ChannelsMade {
    channels: Vec<MadeShown>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UserQuery {
    dialect: Named,
    tenant: Option<String>,
}

pub(super) async fn tenants(
    State(shared): State<Arc<Shared>>,
    Body(request): Body<TenantsRequest>,
) -> Result<(StatusCode, Json<TenantsMade>), Refusal> {
    let dialect = served(&shared, request.dialect.0)?;
    let tenants = request.tenants.read::<TenantEntry>()?;
    let tenants = tenants.into_iter().enumerate().map(|(index, tenant)| {
        not_blank(index, "name", &tenant.name)?;
        not_blank(index, "schema_name", &tenant.schema_name)?;
        Ok(NewTenant {
            id: tenant.id,
            name: tenant.name,
            schema_name: tenant.schema_name,
        })
    });
    let tenants = tenants.collect::<Result<_, Refusal>>()?;
    let made = of_dialect!(shared, dialect, |of| of.make_tenants(tenants).await)?;
    let tenants = shown(made);
    Ok((StatusCode::CREATED, Json(TenantsMade { tenants })))
}

pub(super) async fn users(
    State(shared): State<Arc<Shared>>,
    Body(request): Body<UsersRequest>,
) -> Result<(StatusCode, Json<UsersMade>), Refusal> {
    let dialect = served(&shared, request.dialect.0)?;
    let mut entries = request.users.read::<UserEntry>()?;
    let hashes = hashes(&shared, &mut entries).await?;
    let users = entries.into_iter().zip(hashes).enumerate();
    let users = users.map(|(index, (user, password_hash))| {
        not_blank(index, "username", &user.username)?;
        Ok(NewUser {
            id: user.id,
            username: user.username,
            email: user.email,
            password_hash,
            name: user.name,
            avatar: user.avatar,
            tenant: user.tenant,
        })
    });
    let users = users.collect::<Result<_, Refusal>>()?;
    let made = of_dialect!(shared, dialect, |of| of.make_users(users).await)?;
    Ok((StatusCode::CREATED, Json(UsersMade { users: shown(made) })))
}

/// The hash of each entry's password, which is taken out of it; `None` where none is given.
async fn hashes(shared: &Shared, entries: &mut [UserEntry]) -> Result<Vec<Option<String>>, Refusal> {
    let mut hashes = vec![None; entries.len()];
    let mut hashing = JoinSet::new();
    let passwords = entries.iter_mut().map(|entry| entry.password.take());
    let mut passwords = passwords.enumerate();
    loop {
        while hashing.len() < shared.passwords.at_a_time
            && let Some((index, password)) = passwords.find(|(_, password)| password.is_some())
        {
            let hasher = shared.passwords.clone();
            let password = password.unwrap_or_default();
            hashing.spawn(async move { (index, hasher.hash_patiently(password).await) });
        }
        let Some(hashed) = hashing.join_next().await else {
            return Ok(hashes);
        };
        let (index, hash) = hashed.expect("hashing catches its panics, and nobody ends it");
        let too_long = |_| Refusal::Entry {
            index,
            why: "`password` is too long".to_owned(),
        };
        hashes[index] = Some(hash.map_err(too_long)?);
    }
}

pub(super) async fn channels(
    State(shared): State<Arc<Shared>>,
    Body(request): Body<ChannelsRequest>,
) -> Result<(StatusCode, Json<ChannelsMade>), Refusal> {
    let dialect = served(&shared, request.dialect.0)?;
    let channels = request.channels.read::<ChannelEntry>()?;
    let channels = channels.into_iter().map(|channel| NewChannel {
        id: channel.id.map(GivenId::into_text),
        name: channel.name,
        members: channel.members.into_iter().map(GivenId::into_text).collect(),
        tenant: channel.tenant,
    });
    let channels = channels.collect();
    let made = of_dialect!(shared, dialect, |of| of.make_channels(channels).await)?;
    let channels = shown(made);
    Ok((StatusCode::CREATED, Json(ChannelsMade { channels })))
}

pub(super) async fn delete_user(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    Asked(query): Asked<UserQuery>,
) -> Result<StatusCode, Refusal> {
    let dialect = served(&shared, query.dialect.0)?;
    let user = UserName {
        id,
        tenant: query.tenant,
    };
    of_dialect!(shared, dialect, |of| of.delete_user(user).await)?;
    Ok(StatusCode::NO_CONTENT)
}

fn not_blank(index: usize, field: &str, text: &str) -> Result<(), Refusal> {
    if text.trim().is_empty() {
        let why = format!("`{field}` is blank");
        return Err(Refusal::Entry { index, why });
    }
    Ok(())
}

fn shown(made: Vec<Made>) -> Vec<MadeShown> {
    let made = made.into_iter();
    made.map(|Made { id, token }| MadeShown { id, token }).collect()
}
