//! What browsers are told: which pages may call the HTTP side (CORS), and what they must not make of an answer.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};

/// A browser asks again after so many seconds.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");

/// What the dialects' endpoints use.
const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, PUT, PATCH, DELETE");
const HEADERS: HeaderValue = HeaderValue::from_static("Authorization, Content-Type");

const ANY: HeaderValue = HeaderValue::from_static("*");

/// The pages that may call.
#[derive(Debug, Clone)]
pub(crate) enum Callers {
    /// Only those of our own origin.
    Own,
    /// Any page. Tokens travel in a header that a page sets itself, never in a cookie that a browser would add.
    Any,
    /// Those of these origins.
    Of(Arc<[String]>),
}

impl Callers {
    /// As it is configured; `*` is any.
    pub(crate) fn new(origins: &[String]) -> Self {
        if origins.iter().any(|origin| origin == "*") {
            Self::Any
        } else if origins.is_empty() {
            Self::Own
        } else {
            Self::Of(origins.into())
        }
    }

    /// Puts the answers of `router` under these rules.
    pub(crate) fn guard(self, router: Router) -> Router {
        router.layer(middleware::from_fn_with_state(self, answer))
    }

    /// What the answer to a request of this origin says of who may read it.
    fn grant(&self, origin: &HeaderValue) -> Option<HeaderValue> {
        match self {
            Self::Own => None,
            Self::Any => Some(ANY),
            Self::Of(origins) => {
                let allowed = origins
                    .iter()
                    .any(|allowed| allowed.as_bytes() == origin.as_bytes());
                allowed.then(|| origin.clone())
            }
        }
    }
}

async fn answer(State(callers): State<Callers>, request: Request, next: Next) -> Response {
    let granted = request
        .headers()
        .get(header::ORIGIN)
        .and_then(|origin| callers.grant(origin));
    let is_preflight = request.method() == Method::OPTIONS
        && request
            .headers()
            .contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = match (&granted, is_preflight) {
        (Some(_), true) => preflight(),
        (_, _) => next.run(request).await,
    };
    let is_upgrade = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    if let Some(granted) = granted
        && !is_upgrade
    {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, granted);
    }
    if !is_upgrade {
        guard(headers, &callers);
    }
    response
}

fn preflight() -> Response {
    let headers = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, METHODS),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, HEADERS),
        (header::ACCESS_CONTROL_MAX_AGE, MAX_AGE),
    ];
    (StatusCode::NO_CONTENT, headers).into_response()
}

/// Answers hold tokens and messages: nobody on the way keeps them, and no browser takes them for something to run.
fn guard(headers: &mut HeaderMap, callers: &Callers) {
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    if let Callers::Of(_) = callers {
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
    }
}
