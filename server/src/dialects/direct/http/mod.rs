//! The HTTP endpoints of `direct`. Every answer is `{"success","message"?,"data"?}`.

mod accounts;
mod messages;

use std::borrow::Cow;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use serde::Serialize;
use touchstone_protocol::direct::HexId;
use touchstone_protocol::json::{self, Object, Value};
use touchstone_storage::{Account, Accounts, Bus, Dialogues, Presence, StoreError};

use super::answering::Sender;
use super::{Direct, REALM};
use crate::auth::bearer;

/// The endpoints, each below its root (`routes::http_roots`).
pub(crate) fn routes<S: Accounts + Dialogues, B: Bus, P: Presence>(
    direct: &Arc<Direct<S, B, P>>,
) -> Vec<(&'static str, Router)> {
    let auth = Router::new()
        .route("/register", post(accounts::register::<S, B, P>))
        .route("/login", post(accounts::login::<S, B, P>))
        .route("/me", get(accounts::me::<S, B, P>));
    let users = Router::new()
        .route("/", get(accounts::users::<S, B, P>))
        .route("/online", get(accounts::online::<S, B, P>));
    let messages = Router::new()
        .route("/conversations", get(messages::conversations::<S, B, P>))
        .route("/unread/count", get(messages::unread::<S, B, P>))
        .route("/read/{user}", put(messages::read::<S, B, P>))
        .route("/{user}", get(messages::history::<S, B, P>));
    let roots = [
        ("/api/auth", auth),
        ("/api/users", users),
        ("/api/messages", messages),
    ];
    roots
        .into_iter()
        .map(|(root, router)| {
            let router = router
                .method_not_allowed_fallback(|| async { Failure::WrongMethod })
                .fallback(|| async { Failure::NotFound })
                .with_state(Arc::clone(direct));
            (root, router)
        })
        .collect()
}

/// What a request comes to when it does not come to what it asked for.
#[derive(Debug)]
enum Failure {
    /// 400.
    BadRequest(&'static str),
    /// 401, without a word on which of several things was wrong.
    Unauthorized(&'static str),
    /// 404.
    NotFound,
    /// 405.
    WrongMethod,
    /// 409.
    Conflict(&'static str),
    /// 413, or what else keeps a body from coming.
    Body(StatusCode),
    /// 503: the store did not answer, or too many want to log in.
    Unavailable,
}

impl From<StoreError> for Failure {
    fn from(_: StoreError) -> Self {
        Self::Unavailable
    }
}

impl From<BytesRejection> for Failure {
    fn from(rejection: BytesRejection) -> Self {
        Self::Body(rejection.status())
    }
}

#[derive(Debug, Serialize)]
struct Answer<T> {
    success: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<T>,
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let (status, message) = match self {
            Self::BadRequest(message) => (StatusCode::BAD_REQUEST, message),
            Self::Unauthorized(message) => (StatusCode::UNAUTHORIZED, message),
            Self::NotFound => (StatusCode::NOT_FOUND, "Not found"),
            Self::WrongMethod => (StatusCode::METHOD_NOT_ALLOWED, "Method not allowed"),
            Self::Conflict(message) => (StatusCode::CONFLICT, message),
            Self::Body(status) => (status, "The request's body cannot be read"),
            Self::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "Server error"),
        };
        let answer = Answer::<()> {
            success: false,
            message: Some(message),
            data: None,
        };
        (status, Json(answer)).into_response()
    }
}

fn success(status: StatusCode, data: impl Serialize) -> Response {
    let answer = Answer {
        success: true,
        message: None,
        data: Some(data),
    };
    (status, Json(answer)).into_response()
}

/// Who makes a request.
#[derive(Debug)]
struct Caller {
    user: HexId,
    account: Account,
}

impl Caller {
    fn as_sender(&self) -> Sender<'_> {
        Sender {
            user: self.user,
            username: &self.account.username,
        }
    }
}

impl<S: Accounts + Dialogues, B: Bus, P: Presence> Direct<S, B, P> {
    /// Who shows a good token of a user who exists.
    async fn caller(&self, headers: &HeaderMap) -> Result<Caller, Failure> {
        let token = bearer(headers).ok_or(Failure::Unauthorized("Authentication required"))?;
        let (user, _) = self
            .user_of_token(token)
            .ok_or(Failure::Unauthorized("Invalid token"))?;
        let store = &self.backing.store;
        let account = store.call(store.account(REALM, user.as_str())).await?;
        let account = account.ok_or(Failure::Unauthorized("User not found"))?;
        Ok(Caller { user, account })
    }
}

/// The object in a body.
fn object(body: &Bytes) -> Result<Object<'_>, Failure> {
    let text = std::str::from_utf8(body).ok();
    let value = text.and_then(|text| json::parse(text).ok());
    value
        .and_then(Value::object)
        .ok_or(Failure::BadRequest("The body must be a JSON object"))
}

/// A text that is there and not empty.
fn filled(value: Option<Value<'_>>) -> Option<Cow<'_, str>> {
    value?.text().filter(|text| !text.is_empty())
}
