//! The admin API: only with a key, and only who shows it. What it does about a dialect is the dialect's own, see
//! [`Administered`]; what its requests and answers look like is described in `server/openapi/admin.json`.

mod administered;
mod body;
#[cfg(test)]
mod description;
mod faults;
mod observe;
mod operate;
mod provision;
mod trial;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use touchstone_protocol::Dialect;

pub(crate) use administered::{
    Administered, Audience, GivenId, Made, NewChannel, NewTenant, NewUser, OpenConnection, Publication,
    QueuedEvent, Refusal, UserName,
};

pub use trial::TrialUser;
pub(crate) use trial::make_users as make_trial_users;

use crate::answers;
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

/// The API in OpenAPI's words.
const DESCRIPTION: &str = include_str!("../../openapi/admin.json");

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
    Drain,
    Faults,
    Description,
}

impl Endpoint {
    const ALL: [Self; 12] = [
        Self::Tenants,
        Self::Users,
        Self::User,
        Self::Channels,
        Self::Publish,
        Self::Disconnect,
        Self::Connections,
        Self::Events,
        Self::Sweep,
        Self::Drain,
        Self::Faults,
        Self::Description,
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
            Self::Drain => "/drain",
            Self::Faults => "/faults",
            Self::Description => "/openapi.json",
        }
    }

    fn method(self) -> Method {
        match self {
            Self::Tenants
            | Self::Users
            | Self::Channels
            | Self::Publish
            | Self::Disconnect
            | Self::Sweep
            | Self::Drain
            | Self::Faults => Method::POST,
            Self::Connections | Self::Events | Self::Description => Method::GET,
            Self::User => Method::DELETE,
        }
    }

    fn handler(self) -> MethodRouter<Arc<Shared>> {
        let method = MethodFilter::try_from(self.method()).expect("these methods have filters");
        match self {
            Self::Tenants => on(method, provision::tenants),
            Self::Users => on(method, provision::users),
            Self::User => on(method, provision::delete_user),
            Self::Channels => on(method, provision::channels),
            Self::Publish => on(method, operate::publish),
            Self::Disconnect => on(method, operate::disconnect),
            Self::Connections => on(method, observe::connections),
            Self::Events => on(method, observe::events),
            Self::Sweep => on(method, operate::sweep),
            Self::Drain => on(method, operate::drain),
            Self::Faults => on(method, faults::break_something),
            Self::Description => on(method, describe),
        }
    }

    /// Whether those who are connected are told of what it does. Begun, that is done to its end.
    fn is_told(self) -> bool {
        match self {
            Self::Publish | Self::User | Self::Sweep => true,
            Self::Tenants
            | Self::Users
            | Self::Channels
            | Self::Disconnect
            | Self::Connections
            | Self::Events
            | Self::Drain
            | Self::Faults
            | Self::Description => false,
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
        let to_the_end = middleware::from_fn_with_state(shared.answers.clone(), answers::to_the_end);
        let handler = if endpoint.is_told() {
            endpoint.handler().layer(to_the_end)
        } else {
            endpoint.handler()
        };
        router.route(endpoint.path(), handler)
    });
    protect(router.with_state(Arc::clone(shared)), Some(key))
}

/// Lets only those through who show the key. Without a key nobody can.
pub(crate) fn protect(router: Router, key: Option<Secret>) -> Router {
    router.layer(middleware::from_fn_with_state(key, check_key))
}

async fn describe() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], DESCRIPTION).into_response()
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
