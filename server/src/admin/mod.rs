//! The admin API: only with a key, and only who shows it. What it does about a dialect is the dialect's own, see
//! [`Administered`]; what its requests and answers look like is described in `server/openapi/admin.json`.

mod administered;
mod body;
mod faults;
mod observe;
mod operate;
mod provision;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, delete, get, post};
use touchstone_protocol::Dialect;

pub(crate) use administered::{
    Administered, Audience, GivenId, Made, NewChannel, NewTenant, NewUser, OpenConnection, Publication,
    QueuedEvent, Refusal, UserName,
};

use crate::auth;
use crate::config::Secret;
use crate::shared::Shared;

/// Calls something of the dialect that is named, as `Administered` has it.
macro_rules! of_dialect {
    ($shared:expr, $dialect:expr, |$administered:ident| $call:expr) => {
        match $dialect {
            Dialect::Echo => {
                let $administered = &$shared.echo.dialect;
                $call
            }
            Dialect::Rooms => {
                let $administered = &$shared.rooms.dialect;
                $call
            }
            Dialect::Outbox => {
                let $administered = &$shared.outbox.dialect;
                $call
            }
            Dialect::Feed => {
                let $administered = &$shared.feed.dialect;
                $call
            }
            Dialect::Direct => {
                let $administered = &$shared.direct.dialect;
                $call
            }
        }
    };
}
use of_dialect;

/// Everything that can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Endpoint {
    Tenants,
    Users,
    User,
    Channels,
    Publish,
    Disconnect,
    Connections,
    Events,
    Sweep,
    Faults,
}

impl Endpoint {
    const ALL: [Self; 10] = [
        Self::Tenants,
        Self::Users,
        Self::User,
        Self::Channels,
        Self::Publish,
        Self::Disconnect,
        Self::Connections,
        Self::Events,
        Self::Sweep,
        Self::Faults,
    ];

    /// Below `/admin`.
    fn path(self) -> &'static str {
        match self {
            Self::Tenants => "/tenants",
            Self::Users => "/users",
            Self::User => "/users/{id}",
            Self::Channels => "/channels",
            Self::Publish => "/publish",
            Self::Disconnect => "/disconnect",
            Self::Connections => "/connections",
            Self::Events => "/events",
            Self::Sweep => "/sweep",
            Self::Faults => "/faults",
        }
    }

    fn handler(self) -> MethodRouter<Arc<Shared>> {
        match self {
            Self::Tenants => post(provision::tenants),
            Self::Users => post(provision::users),
            Self::User => delete(provision::delete_user),
            Self::Channels => post(provision::channels),
            Self::Publish => post(operate::publish),
            Self::Disconnect => post(operate::disconnect),
            Self::Connections => get(observe::connections),
            Self::Events => get(observe::events),
            Self::Sweep => post(operate::sweep),
            Self::Faults => post(faults::break_something),
        }
    }

    fn exists(self, shared: &Shared) -> bool {
        self != Self::Faults || shared.config.allow_faults
    }
}

/// The routes below `/admin`.
pub(crate) fn routes(shared: &Arc<Shared>, key: Secret) -> Router {
    let endpoints = Endpoint::ALL
        .into_iter()
        .filter(|endpoint| endpoint.exists(shared));
    let router = endpoints.fold(Router::new(), |router, endpoint| {
        router.route(endpoint.path(), endpoint.handler())
    });
    protect(router.with_state(Arc::clone(shared)), Some(key))
}

/// Lets only those through who show the key. Without a key nobody can.
pub(crate) fn protect(router: Router, key: Option<Secret>) -> Router {
    router.layer(middleware::from_fn_with_state(key, check_key))
}

async fn check_key(State(key): State<Option<Secret>>, request: Request, next: Next) -> Response {
    match (key, auth::bearer(request.headers())) {
        (Some(key), Some(offered)) if key.matches(offered.as_bytes()) => next.run(request).await,
        (_, _) => (
            StatusCode::UNAUTHORIZED,
            [(header::WWW_AUTHENTICATE, "Bearer")],
            body::error("the admin key is needed"),
        )
            .into_response(),
    }
}

/// Only what is served can be administered.
fn served(shared: &Shared, dialect: Dialect) -> Result<Dialect, Refusal> {
    if shared.config.dialects.contains(&dialect) {
        Ok(dialect)
    } else {
        Err(Refusal::Request(format!("`{dialect}` is not served here")))
    }
}
