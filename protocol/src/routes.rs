//! Where each dialect is mounted (spec README, "Paths").
//!
//! Every dialect is always under `/{dialect}`; it is also at its documented paths as far as these don't collide.

use crate::Dialect;

/// The documented path of the dialect's WebSocket, without prefix; a segment in braces is filled in. Routes match
/// exactly (common/1c).
#[must_use]
pub const fn websocket(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Echo => "/ws/chat/",
        Dialect::Rooms => "/ws/chat/{channel_id}/",
        Dialect::Outbox => "/ws/user/{encoded_user_uuid}",
        Dialect::Feed => "/ws/",
        Dialect::Direct => "/ws",
    }
}

/// The segment of a documented path that is a channel (`rooms`).
pub const CHANNEL_SEGMENT: &str = "{channel_id}";
/// The segment that is a user (`outbox`).
pub const USER_SEGMENT: &str = "{encoded_user_uuid}";

/// The query parameter that carries the token (common/3a), if the dialect has tokens.
#[must_use]
pub const fn token_parameter(dialect: Dialect) -> Option<&'static str> {
    match dialect {
        Dialect::Echo => None,
        Dialect::Rooms | Dialect::Outbox | Dialect::Direct => Some("token"),
        Dialect::Feed => Some("accessToken"),
    }
}

/// The claim of the token that says who it is (rooms/1c, outbox/1b, feed/1d, direct/1f), if the dialect has tokens.
#[must_use]
pub const fn identity_claim(dialect: Dialect) -> Option<&'static str> {
    match dialect {
        Dialect::Echo => None,
        Dialect::Rooms | Dialect::Feed => Some("user_id"),
        Dialect::Outbox => Some("sub"),
        Dialect::Direct => Some("id"),
    }
}

/// The roots of the dialect's HTTP endpoints, without prefix; collisions are judged by them.
#[must_use]
pub const fn http_roots(dialect: Dialect) -> &'static [&'static str] {
    match dialect {
        Dialect::Echo => &["/chat/api"],
        Dialect::Rooms => &["/api/{schema}/auth", "/api/chat"],
        Dialect::Outbox => &["/api/auth", "/api/conversations", "/api/messages"],
        Dialect::Feed => &[
            "/api/token",
            "/api/bucketpoints",
            "/api/albums",
            "/api/photos",
            "/api/messages",
        ],
        Dialect::Direct => &["/api/auth", "/api/users", "/api/messages"],
    }
}

/// What all paths of the dialect's HTTP endpoints begin with, without prefix.
#[must_use]
pub const fn http_base(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Echo => "/chat/api",
        Dialect::Rooms | Dialect::Outbox | Dialect::Feed | Dialect::Direct => "/api",
    }
}

/// `path` as it is always reachable: under the dialect's own prefix.
#[must_use]
pub fn prefixed(dialect: Dialect, path: &str) -> String {
    format!("/{}{path}", dialect.name())
}

/// Whether `root` is claimed by one of `served` alone; if not, nobody has it outside `/{dialect}`.
#[must_use]
pub fn is_unclaimed_by_others(root: &str, dialect: Dialect, served: &[Dialect]) -> bool {
    !served
        .iter()
        .any(|other| *other != dialect && http_roots(*other).contains(&root))
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

    #[test]
    fn a_root_that_two_served_dialects_claim_belongs_to_neither() {
        let both = [Dialect::Outbox, Dialect::Direct];
        assert!(!is_unclaimed_by_others("/api/auth", Dialect::Direct, &both));
        assert!(is_unclaimed_by_others("/api/users", Dialect::Direct, &both));
        assert!(is_unclaimed_by_others(
            "/api/auth",
            Dialect::Direct,
            &[Dialect::Direct]
        ));
        assert!(is_unclaimed_by_others(
            "/api/{schema}/auth",
            Dialect::Rooms,
            Dialect::ALL
        ));
    }
}
