//! The HTTP endpoints of `outbox`.

use std::sync::Arc;

use axum::Router;

use super::Outbox;

/// The endpoints, each below its root (`routes::http_roots`).
pub(crate) fn routes<S, B, P>(_outbox: &Arc<Outbox<S, B, P>>) -> Vec<(&'static str, Router)> {
    Vec::new()
}
