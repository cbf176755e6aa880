//! The admin API: only with a key, and only who shows it.

mod administered;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use touchstone_protocol::Dialect;
use touchstone_protocol::echo::messages::Broadcast;

use crate::config::Secret;
use crate::faults::StoreFault;
use crate::shared::Shared;

/// The longest a fault may be asked for: a forgotten one ends by itself.
const FAULT_LASTS_MAX: Duration = Duration::from_secs(600);

/// The routes below `/admin`.
pub(crate) fn routes(shared: &Arc<Shared>, key: Secret) -> Router {
    let mut router = Router::new().route("/publish", post(publish));
    if shared.config.allow_faults {
        router = router.route("/faults", post(faults));
    }
    protect(router.with_state(Arc::clone(shared)), Some(key))
}

/// Lets only those through who show the key. Without a key nobody can.
pub(crate) fn protect(router: Router, key: Option<Secret>) -> Router {
    router.layer(middleware::from_fn_with_state(key, check_key))
}

async fn check_key(State(key): State<Option<Secret>>, request: Request, next: Next) -> Response {
    match (key, bearer(request.headers())) {
        (Some(key), Some(offered)) if key.matches(offered) => next.run(request).await,
        (_, _) => (
            StatusCode::UNAUTHORIZED,
            [(header::WWW_AUTHENTICATE, "Bearer")],
            refused("the admin key is needed"),
        )
            .into_response(),
    }
}

fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, key) = value.split_at_checked("bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"bearer ").then_some(key)
}

#[derive(Debug, Deserialize)]
struct Publish {
    dialect: String,
    to: Value,
    r#type: String,
    data: Value,
}

#[derive(Debug, Serialize)]
struct Published {
    published: usize,
}

async fn publish(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    let publish: Publish = match serde_json::from_slice(&body) {
        Ok(publish) => publish,
        Err(error) => return bad(&error.to_string()),
    };
    match publish.dialect.parse::<Dialect>() {
        Ok(Dialect::Echo) => {}
        Ok(other) => return bad(&format!("`{other}` publishes nothing")),
        Err(unknown) => return bad(&unknown.to_string()),
    }
    if publish.to != "all" {
        return bad("on echo, `to` is \"all\": it has no users");
    }
    if publish.r#type != "broadcast" {
        return bad("on echo, `type` is \"broadcast\"");
    }
    let echo = &shared.echo.dialect;
    let broadcast = match Broadcast::from_fields(&publish.data, echo.clock.now().millis()) {
        Ok(broadcast) => broadcast,
        Err(refusal) => return bad(&refusal.message()),
    };
    match echo.broadcast(&broadcast).await {
        Ok(()) => Json(Published { published: 1 }).into_response(),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, refused(&error.to_string())).into_response(),
    }
}

/// One kind of fault; a body that names none, or two, is refused.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FaultRequest {
    store: Option<String>,
    r#for: Option<String>,
    handler: Option<String>,
    times: Option<u32>,
}

async fn faults(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    let request: FaultRequest = match serde_json::from_slice(&body) {
        Ok(request) => request,
        Err(error) => return bad(&error.to_string()),
    };
    let FaultRequest {
        store,
        r#for,
        handler,
        times,
    } = request;
    match (store.as_deref(), r#for.as_deref(), handler.as_deref(), times) {
        (Some(store), Some(lasting), None, None) => {
            let fault = match store {
                "down" => StoreFault::Down,
                "slow" => StoreFault::Slow,
                _ => return bad("`store` is \"down\" or \"slow\""),
            };
            let Some(lasting) = duration(lasting).filter(|lasting| *lasting <= FAULT_LASTS_MAX) else {
                return bad(&format!(
                    "`for` is a duration of up to {FAULT_LASTS_MAX:?}, for example 2s or 500ms"
                ));
            };
            tracing::warn!(store, ?lasting, "a fault was asked for");
            shared.faults.break_store(fault, lasting);
        }
        (None, None, Some("panic"), times) => {
            tracing::warn!(?times, "panics of the handler were asked for");
            shared.faults.panic_handlers(times.unwrap_or(1));
        }
        _ => {
            let wanted = r#"{"store":"down"|"slow","for":"2s"} or {"handler":"panic","times":1}"#;
            return bad(&format!("a fault is {wanted}"));
        }
    }
    Json(serde_json::json!({})).into_response()
}

/// `2s`, `1.5s`, `500ms`, `1m`.
fn duration(text: &str) -> Option<Duration> {
    let unit_at = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(unit_at);
    let seconds = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()
}

fn bad(why: &str) -> Response {
    (StatusCode::BAD_REQUEST, refused(why)).into_response()
}

fn refused(why: &str) -> Json<Value> {
    Json(serde_json::json!({ "error": why }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_numbers_with_a_unit() {
        for (text, millis) in [
            ("2s", Some(2_000)),
            ("1.5s", Some(1_500)),
            ("500ms", Some(500)),
            ("1m", Some(60_000)),
            ("2", None),
            ("s", None),
            ("-1s", None),
            ("2h", None),
            ("nans", None),
        ] {
            assert_eq!(duration(text), millis.map(Duration::from_millis), "{text}");
        }
    }
}
