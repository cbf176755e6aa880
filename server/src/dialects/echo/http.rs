//! The HTTP endpoints of `echo`: look at a session, remove it, tell everybody something.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use touchstone_protocol::echo::messages::{Broadcast, to_json};
use touchstone_storage::{Bus, SessionStore};

use super::Echo;

/// The endpoints, below the root of the dialect's HTTP paths.
pub(crate) fn routes<S: SessionStore, B: Bus>(echo: Arc<Echo<S, B>>) -> Router {
    Router::new()
        .route("/sessions/{id}/", get(session::<S, B>).delete(remove::<S, B>))
        .route("/sessions/{id}/messages/", get(messages::<S, B>))
        .route("/broadcast/", post(broadcast::<S, B>))
        .with_state(echo)
}

/// How a session is shown.
#[derive(Debug, Serialize)]
struct SessionShown<'a> {
    success: bool,
    session_id: &'a str,
    data: SessionState,
    /// Seconds a session is kept after a write.
    ttl: Seconds,
    /// Seconds it has left.
    remaining_ttl: Seconds,
}

/// Whole seconds as an integer, others to the millisecond.
#[derive(Debug)]
struct Seconds(Duration);

impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let millis = self.0.as_millis() as u64;
        if millis.is_multiple_of(1_000) {
            serializer.serialize_u64(millis / 1_000)
        } else {
            serializer.serialize_f64(millis as f64 / 1_000.0)
        }
    }
}

/// A session's state, with the names it has in a store.
#[derive(Debug, Serialize)]
struct SessionState {
    count: u64,
    /// Seconds since the epoch.
    last_activity: f64,
}

#[derive(Debug, Serialize)]
struct MessagesShown<'a> {
    success: bool,
    session_id: &'a str,
    messages: Vec<Box<RawValue>>,
    count: usize,
}

#[derive(Debug, Serialize)]
struct Done {
    success: bool,
}

#[derive(Debug, Serialize)]
struct Failed<'a> {
    success: bool,
    error: &'a str,
}

async fn session<S: SessionStore, B: Bus>(
    State(echo): State<Arc<Echo<S, B>>>,
    Path(id): Path<String>,
) -> Response {
    match echo.sessions.load(&id).await {
        Ok(Some(session)) => Json(SessionShown {
            success: true,
            session_id: &id,
            data: SessionState {
                count: session.count,
                last_activity: session.last_activity.seconds(),
            },
            ttl: Seconds(session.ttl),
            remaining_ttl: Seconds(session.remaining),
        })
        .into_response(),
        Ok(None) => failed(StatusCode::NOT_FOUND, "Session not found"),
        Err(_) => store_unavailable(),
    }
}

async fn messages<S: SessionStore, B: Bus>(
    State(echo): State<Arc<Echo<S, B>>>,
    Path(id): Path<String>,
) -> Response {
    let Ok(entries) = echo.sessions.entries(&id).await else {
        return store_unavailable();
    };
    let messages: Result<Vec<_>, _> = entries
        .into_iter()
        .map(|entry| RawValue::from_string(entry.into_string()))
        .collect();
    match messages {
        Ok(messages) => {
            let count = messages.len();
            Json(MessagesShown {
                success: true,
                session_id: &id,
                messages,
                count,
            })
            .into_response()
        }
        Err(error) => {
            tracing::error!(%error, "a kept message is not JSON");
            failed(StatusCode::INTERNAL_SERVER_ERROR, "Server error")
        }
    }
}

async fn remove<S: SessionStore, B: Bus>(
    State(echo): State<Arc<Echo<S, B>>>,
    Path(id): Path<String>,
) -> Response {
    match echo.sessions.remove(&id).await {
        Ok(true) => Json(Done { success: true }).into_response(),
        Ok(false) => failed(StatusCode::NOT_FOUND, "Session not found"),
        Err(_) => store_unavailable(),
    }
}

async fn broadcast<S: SessionStore, B: Bus>(State(echo): State<Arc<Echo<S, B>>>, body: Bytes) -> Response {
    match Broadcast::from_request(&body, echo.clock.now().millis()) {
        Ok(broadcast) if to_json(&broadcast).len() > echo.told_bytes_max => {
            failed(StatusCode::BAD_REQUEST, "Message is too long")
        }
        Ok(broadcast) => match echo.broadcast(&broadcast).await {
            Ok(()) => Json(Done { success: true }).into_response(),
            Err(_) => failed(StatusCode::SERVICE_UNAVAILABLE, "Bus unavailable"),
        },
        Err(bad) => failed(StatusCode::BAD_REQUEST, &bad.message()),
    }
}

fn store_unavailable() -> Response {
    failed(StatusCode::SERVICE_UNAVAILABLE, "Store unavailable")
}

fn failed(status: StatusCode, error: &str) -> Response {
    (
        status,
        Json(Failed {
            success: false,
            error,
        }),
    )
        .into_response()
}
