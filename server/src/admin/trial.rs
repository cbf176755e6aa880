//! Users for the first five minutes: made at the start, each with a place to connect to.

use serde_json::Value;
use touchstone_protocol::{Dialect, routes};

use super::{Administered, Made, NewChannel, NewTenant, NewUser, Refusal, of_dialect};
use crate::shared::Shared;

/// The users of a trial: two, because most of what can be tried takes two.
const NAMES: [&str; 2] = ["ann", "bob"];
/// Their tenant and their channel, on a dialect that has such.
const PLACE: &str = "trial";

/// Somebody to try a dialect out as.
#[derive(Debug, Clone)]
pub struct TrialUser {
    /// The dialect.
    pub dialect: Dialect,
    /// His name; `None` on a dialect without users.
    pub username: Option<String>,
    /// Path and query of his WebSocket. Has his token in it: it is for whoever asked for it, and for no log.
    pub target: String,
}

/// Makes users of every dialect that is served. Of one that cannot have any the log says why.
pub(crate) async fn make_users(shared: &Shared) -> Vec<TrialUser> {
    let mut users = Vec::new();
    for dialect in shared.config.dialects.iter().copied() {
        match of_dialect(shared, dialect).await {
            Ok(made) => users.extend(made),
            Err(refusal) => tracing::warn!(%dialect, %refusal, "nobody to try it out as"),
        }
    }
    users
}

async fn of_dialect(shared: &Shared, dialect: Dialect) -> Result<Vec<TrialUser>, Refusal> {
    if routes::token_parameter(dialect).is_none() {
        return Ok(vec![TrialUser {
            dialect,
            username: None,
            target: routes::websocket(dialect).to_owned(),
        }]);
    }
    of_dialect!(shared, dialect, |of| made_by(&**of, dialect).await)
}

async fn made_by(dialect: &impl Administered, named: Dialect) -> Result<Vec<TrialUser>, Refusal> {
    let tenant = match named {
        Dialect::Rooms => Some(PLACE.to_owned()),
        Dialect::Echo | Dialect::Outbox | Dialect::Feed | Dialect::Direct => None,
    };
    if let Some(schema_name) = tenant.clone() {
        let tenant = NewTenant {
            id: None,
            name: PLACE.to_owned(),
            schema_name,
        };
        match dialect.make_tenants(vec![tenant]).await {
            // A durable store has it from an earlier trial.
            Ok(_) | Err(Refusal::Entry { .. }) => {}
            Err(refusal) => return Err(refusal),
        }
    }
    let names = NAMES.map(str::to_owned);
    let (names, made) = match make(dialect, &names, tenant.as_deref()).await {
        Err(Refusal::Entry { .. }) => {
            // And these, too.
            let trial = uuid::Uuid::new_v4().simple().to_string();
            let names = NAMES.map(|name| format!("{name}-{}", &trial[..4]));
            let made = make(dialect, &names, tenant.as_deref()).await?;
            (names, made)
        }
        made => (names, made?),
    };
    let channel = match tenant {
        Some(tenant) => {
            let channel = NewChannel {
                id: None,
                name: Some(PLACE.to_owned()),
                members: made.iter().map(|made| text(&made.id)).collect(),
                tenant: Some(tenant),
            };
            dialect.make_channels(vec![channel]).await?.pop()
        }
        None => None,
    };
    let users = names.into_iter().zip(made).filter_map(|(username, made)| {
        Some(TrialUser {
            dialect: named,
            username: Some(username),
            target: target(named, &made, channel.as_ref())?,
        })
    });
    Ok(users.collect())
}

async fn make(
    dialect: &impl Administered,
    names: &[String],
    tenant: Option<&str>,
) -> Result<Vec<Made>, Refusal> {
    let user = |username: &String| NewUser {
        id: None,
        username: username.clone(),
        email: None,
        password_hash: None,
        name: None,
        avatar: None,
        tenant: tenant.map(str::to_owned),
    };
    dialect.make_users(names.iter().map(user).collect()).await
}

/// Where a user connects; `None` if there is no token for him.
fn target(dialect: Dialect, user: &Made, channel: Option<&Made>) -> Option<String> {
    let parameter = routes::token_parameter(dialect)?;
    let token = user.token.as_deref()?;
    let mut path = routes::websocket(dialect).to_owned();
    for (segment, made) in [("{encoded_user_uuid}", Some(user)), ("{channel_id}", channel)] {
        if let Some(made) = made {
            path = path.replace(segment, &text(&made.id));
        }
    }
    Some(format!("{path}?{parameter}={token}"))
}

/// An id as it stands in a path.
fn text(id: &Value) -> String {
    match id {
        Value::String(id) => id.clone(),
        other => other.to_string(),
    }
}
