//! The HTTP endpoints of `feed`.

use std::sync::Arc;

use axum::Router;

use super::Feed;

/// The endpoints, each below its root (`routes::http_roots`).
pub(crate) fn routes<S, B, P>(_feed: &Arc<Feed<S, B, P>>) -> Vec<(&'static str, Router)> {
    Vec::new()
}
