//! `POST /admin/faults`: failures on request.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;

use super::Refusal;
use super::body::{Body, Done};
use crate::faults::StoreFault;
use crate::shared::Shared;

/// The longest a fault may be asked for: a forgotten one ends by itself.
const FAULT_LASTS_MAX: Duration = Duration::from_secs(600);

/// One kind of fault; a body that names none, or two, is refused.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FaultRequest {
    store: Option<String>,
    r#for: Option<String>,
    handler: Option<String>,
    times: Option<u32>,
}

pub(super) async fn break_something(
    State(shared): State<Arc<Shared>>,
    Body(request): Body<FaultRequest>,
) -> Result<Json<Done>, Refusal> {
    let refused = |why: String| Err(Refusal::Request(why));
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
                _ => return refused("`store` is \"down\" or \"slow\"".to_owned()),
            };
            let Some(lasting) = duration(lasting).filter(|lasting| *lasting <= FAULT_LASTS_MAX) else {
                return refused(format!(
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
            return refused(format!("a fault is {wanted}"));
        }
    }
    Ok(Json(Done {}))
}

/// `2s`, `1.5s`, `500ms`, `1m`.
pub(super) fn duration(text: &str) -> Option<Duration> {
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
