//! The HTTP endpoints of `rooms`.

use std::sync::Arc;

use axum::Router;

use super::Rooms;

/// The endpoints, each below its root (`routes::http_roots`).
pub(crate) fn routes<S, B, P>(_rooms: &Arc<Rooms<S, B, P>>) -> Vec<(&'static str, Router)> {
    Vec::new()
}
