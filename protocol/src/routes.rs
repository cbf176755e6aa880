//! Where each dialect is mounted (spec README, "Paths").
//!
//! Every dialect is always under `/{dialect}`; it is also at its documented paths as far as these don't collide.

use crate::Dialect;

/// The documented path of the dialect's WebSocket, without prefix. Routes match exactly (common/1c).
#[must_use]
pub const fn websocket(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Echo => "/ws/chat/",
    }
}

/// The root of the dialect's HTTP endpoints, without prefix; collisions are judged by it.
#[must_use]
pub const fn http_root(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Echo => "/chat/api",
    }
}

/// `path` as it is always reachable: under the dialect's own prefix.
#[must_use]
pub fn prefixed(dialect: Dialect, path: &str) -> String {
    format!("/{}{path}", dialect.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_prefixed_by_the_dialects_name() {
        assert_eq!(
            prefixed(Dialect::Echo, websocket(Dialect::Echo)),
            "/echo/ws/chat/"
        );
    }
}
