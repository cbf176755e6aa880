//! Where the dialects are on a target: at their documented paths, or moved.

use touchstone_protocol::{Dialect, routes};

use super::{Mounted, Target};

impl Target {
    /// Path of the dialect's WebSocket on this server, with the segments in braces that its documented one has.
    #[must_use]
    pub fn websocket_path(&self, dialect: Dialect) -> String {
        let documented = routes::websocket(dialect);
        match (
            self.paths.get(&dialect).and_then(|paths| paths.ws.as_deref()),
            self.mounted,
        ) {
            (Some(moved), _) => moved.to_owned(),
            (None, Mounted::Prefixed) => routes::prefixed(dialect, documented),
            (None, Mounted::AsDocumented) => documented.to_owned(),
        }
    }

    /// A path as a scenario writes it, as it is on this server: one of the shape of the dialect's WebSocket is moved to
    /// where that is, any other stays.
    #[must_use]
    pub fn websocket_path_like(&self, dialect: Dialect, documented: &str) -> String {
        let (path, query) = documented.split_at(documented.find('?').unwrap_or(documented.len()));
        match parameters(routes::websocket(dialect), path) {
            Some(values) if !values.is_empty() => {
                let moved = self.websocket_path(dialect);
                let filled = values
                    .into_iter()
                    .fold(moved, |path, (name, value)| path.replace(name, value));
                format!("{filled}{query}")
            }
            _ => documented.to_owned(),
        }
    }

    /// Whose WebSocket is at this path, of the dialects that the server speaks.
    #[must_use]
    pub fn dialect_at(&self, path: &str) -> Option<Dialect> {
        let path_of = |target: &str| target.split('?').next().unwrap_or_default().to_owned();
        let is_at = |dialect: &Dialect| {
            parameters(&path_of(&self.websocket_path(*dialect)), &path_of(path)).is_some()
        };
        self.dialects.iter().copied().find(is_at)
    }

    /// A documented HTTP path of the dialect, as it is on this server. One outside the dialect's roots stays as it is.
    #[must_use]
    pub fn http_path(&self, dialect: Dialect, documented: &str) -> String {
        if !routes::http_roots(dialect)
            .iter()
            .any(|root| is_below(documented, root))
        {
            return documented.to_owned();
        }
        let moved = self.paths.get(&dialect).and_then(|paths| paths.http.as_deref());
        match (
            moved,
            documented.strip_prefix(routes::http_base(dialect)),
            self.mounted,
        ) {
            (Some(moved), Some(rest), _) => format!("{}{rest}", moved.trim_end_matches('/')),
            (None, _, Mounted::Prefixed) => routes::prefixed(dialect, documented),
            _ => documented.to_owned(),
        }
    }
}

/// The values of a path's segments in braces, if `path` has the shape of `template`.
fn parameters<'a>(template: &'a str, path: &'a str) -> Option<Vec<(&'a str, &'a str)>> {
    let (mut names, mut values) = (template.split('/'), path.split('/'));
    let mut found = Vec::new();
    loop {
        match (names.next(), values.next()) {
            (None, None) => return Some(found),
            (Some(name), Some(value)) if name.starts_with('{') => found.push((name, value)),
            (Some(name), Some(value)) if name == value => {}
            _ => return None,
        }
    }
}

/// Whether `path` is below `root`, whose segments in braces may be anything.
fn is_below(path: &str, root: &str) -> bool {
    let path = path.split('?').next().unwrap_or_default();
    let mut segments = path.split('/');
    root.split('/').all(|name| {
        segments
            .next()
            .is_some_and(|segment| name.starts_with('{') || name == segment)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::FilePaths;

    #[test]
    fn paths_are_the_documented_ones_unless_the_target_moves_them() {
        let mut target = Target::from_url("ws://127.0.0.1:1", &[]).unwrap();
        assert_eq!(
            target.http_path(Dialect::Echo, "/chat/api/broadcast/"),
            "/chat/api/broadcast/"
        );
        let moved = FilePaths {
            ws: Some("/socket".into()),
            http: Some("/v2/".into()),
        };
        target.paths.insert(Dialect::Echo, moved);
        assert_eq!(target.websocket_path(Dialect::Echo), "/socket");
        assert_eq!(
            target.http_path(Dialect::Echo, "/chat/api/broadcast/"),
            "/v2/broadcast/"
        );
        assert_eq!(target.http_path(Dialect::Echo, "/metrics"), "/metrics");
    }

    #[test]
    fn a_path_tells_whose_it_is() {
        let mut target = Target::from_url("ws://127.0.0.1:1", &[Dialect::Rooms, Dialect::Direct]).unwrap();
        for (path, dialect) in [
            ("/ws/chat/7/?token=x", Some(Dialect::Rooms)),
            ("/ws?token=x", Some(Dialect::Direct)),
            ("/ws/chat/", None),
            ("/healthz", None),
        ] {
            assert_eq!(target.dialect_at(path), dialect, "{path}");
        }
        target.mounted = Mounted::Prefixed;
        assert_eq!(target.dialect_at("/rooms/ws/chat/7/"), Some(Dialect::Rooms));
    }

    #[test]
    fn segments_in_braces_move_with_their_path() {
        let mut target = Target::from_url("ws://127.0.0.1:1", &[]).unwrap();
        let moved = |ws: &str| FilePaths {
            ws: Some(ws.into()),
            http: None,
        };
        target
            .paths
            .insert(Dialect::Rooms, moved("/chat?room={channel_id}"));
        assert_eq!(
            target.websocket_path_like(Dialect::Rooms, "/ws/chat/7/"),
            "/chat?room=7"
        );
        assert_eq!(
            target.websocket_path_like(Dialect::Rooms, "/elsewhere"),
            "/elsewhere"
        );
        target.mounted = Mounted::Prefixed;
        assert_eq!(
            target.websocket_path_like(Dialect::Outbox, "/ws/user/no-uuid?token=x"),
            "/outbox/ws/user/no-uuid?token=x"
        );
        assert_eq!(target.websocket_path(Dialect::Direct), "/direct/ws");
        for (dialect, documented, there) in [
            (Dialect::Rooms, "/api/t1/auth/login/", "/rooms/api/t1/auth/login/"),
            (
                Dialect::Rooms,
                "/api/chat/t1/channels/",
                "/rooms/api/chat/t1/channels/",
            ),
            (Dialect::Feed, "/api/albums/?page=2", "/feed/api/albums/?page=2"),
            (Dialect::Feed, "/api/albumsy/", "/api/albumsy/"),
            (Dialect::Direct, "/readyz", "/readyz"),
        ] {
            assert_eq!(target.http_path(dialect, documented), there);
        }
    }
}
