//! The HTTP endpoints of `direct`.

use std::sync::Arc;

use axum::Router;

use super::Direct;

/// The endpoints, each below its root (`routes::http_roots`).
pub(crate) fn routes<S, B, P>(_direct: &Arc<Direct<S, B, P>>) -> Vec<(&'static str, Router)> {
    Vec::new()
}
