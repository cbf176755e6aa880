//! Requests over HTTP: whatever the body, the query or the path, the answer says so, and it is never the server's fault.

use std::fmt::Write;

use serde_json::{Value, json};

use super::{ADMIN_KEY, Stage, http, make};
use crate::take;

/// Where a request goes, with `{}` for what the input says, and by whose token.
const ENDPOINTS: &[(&str, &str, Key)] = &[
    ("POST", "/echo/chat/api/broadcast/", Key::None),
    ("GET", "/echo/chat/api/sessions/{}/", Key::None),
    ("GET", "/echo/chat/api/sessions/{}/messages/", Key::None),
    ("DELETE", "/echo/chat/api/sessions/{}/", Key::None),
    ("POST", "/rooms/api/requests/auth/login/", Key::None),
    ("POST", "/rooms/api/{}/auth/login/", Key::None),
    ("POST", "/rooms/api/requests/auth/refresh/", Key::None),
    ("GET", "/rooms/api/chat/requests/channels/?{}", Key::Rooms),
    ("GET", "/rooms/api/chat/{}/channels/", Key::Rooms),
    ("POST", "/rooms/api/chat/requests/channels/", Key::Rooms),
    (
        "GET",
        "/rooms/api/chat/requests/channels/c/messages/?{}",
        Key::Rooms,
    ),
    (
        "POST",
        "/rooms/api/chat/requests/channels/c/messages/",
        Key::Rooms,
    ),
    (
        "POST",
        "/rooms/api/chat/requests/channels/{}/messages/",
        Key::Rooms,
    ),
    ("POST", "/outbox/api/auth/login", Key::None),
    ("POST", "/outbox/api/auth/refresh", Key::None),
    ("POST", "/outbox/api/messages", Key::Outbox),
    ("POST", "/feed/api/token/", Key::None),
    ("POST", "/feed/api/token/refresh/", Key::None),
    ("POST", "/feed/api/bucketpoints/", Key::Feed),
    ("PATCH", "/feed/api/bucketpoints/1/", Key::Feed),
    ("GET", "/feed/api/bucketpoints/?{}", Key::Feed),
    ("POST", "/feed/api/albums/", Key::Feed),
    ("PUT", "/feed/api/albums/{}/", Key::Feed),
    ("POST", "/feed/api/photos/1/", Key::Feed),
    ("GET", "/feed/api/photos/{}/", Key::Feed),
    ("POST", "/feed/api/messages/", Key::Feed),
    ("POST", "/feed/api/messages/{}/view/", Key::Feed),
    ("POST", "/direct/api/auth/register", Key::None),
    ("POST", "/direct/api/auth/login", Key::None),
    ("GET", "/direct/api/users?{}", Key::Direct),
    ("GET", "/direct/api/messages/{}", Key::Direct),
    ("GET", "/direct/api/messages/conversations?{}", Key::Direct),
    ("PUT", "/direct/api/messages/read/{}", Key::Direct),
    ("POST", "/admin/tenants", Key::Admin),
    ("POST", "/admin/users", Key::Admin),
    ("POST", "/admin/channels", Key::Admin),
    ("POST", "/admin/publish", Key::Admin),
    ("POST", "/admin/disconnect", Key::Admin),
    ("POST", "/admin/sweep", Key::Admin),
    ("GET", "/admin/connections?{}", Key::Admin),
    ("GET", "/admin/events?{}", Key::Admin),
    ("DELETE", "/admin/users/{}?dialect=direct", Key::Admin),
];

/// By which token something is asked.
#[derive(Debug, Clone, Copy)]
enum Key {
    None,
    Rooms,
    Outbox,
    Feed,
    Direct,
    Admin,
}

/// Who asks.
struct Cast {
    connection: http::Connection,
    rooms: String,
    outbox: String,
    feed: String,
    direct: String,
}

/// Takes the input for where the request goes, and for its body, or for the part of the path that is open.
pub fn requests(mut input: &[u8]) {
    static STAGE: Stage<Cast> = Stage::new();
    let endpoint = usize::from(take(&mut input));
    let (method, path, key) = ENDPOINTS[endpoint % ENDPOINTS.len()];
    STAGE.play(set_up, |cast| cast.case(method, path, key, input));
}

fn set_up() -> Cast {
    let name = format!("asker {}", uuid::Uuid::new_v4());
    // A second stage finds the tenant there.
    let body = json!({"dialect": "rooms", "tenants": [{"name": "r", "schema_name": "requests"}]}).to_string();
    http::Connection::open().ask("POST", "/admin/tenants", ADMIN_KEY, body.as_bytes());
    let token = |dialect: &str, tenant: Value| {
        let entry = json!({"username": name, "tenant": tenant});
        make("users", dialect, &entry).1
    };
    let channel = json!({"dialect": "rooms", "channels": [{"id": "c", "members": [], "tenant": "requests"}]});
    let body = channel.to_string();
    http::Connection::open().ask("POST", "/admin/channels", ADMIN_KEY, body.as_bytes());
    Cast {
        connection: http::Connection::open(),
        rooms: token("rooms", json!("requests")),
        outbox: token("outbox", Value::Null),
        feed: token("feed", Value::Null),
        direct: token("direct", Value::Null),
    }
}

impl Cast {
    fn case(&mut self, method: &str, path: &str, key: Key, input: &[u8]) {
        let key = match key {
            Key::None => "",
            Key::Rooms => &self.rooms,
            Key::Outbox => &self.outbox,
            Key::Feed => &self.feed,
            Key::Direct => &self.direct,
            Key::Admin => ADMIN_KEY,
        };
        let (path, body) = match path.split_once("{}") {
            None => (path.to_owned(), input),
            Some((before, behind)) => (format!("{before}{}{behind}", escaped(input)), &[][..]),
        };
        let answer = self.connection.ask(method, &path, key, body);
        assert!((200..500).contains(&answer.status), "{method} {path}: {answer:?}");
        let says = !answer.body.is_empty();
        assert!(
            says || answer.status == 204 || answer.status == 405,
            "{method} {path}: {answer:?}"
        );
        if answer.status < 300 && says {
            let json = serde_json::from_slice::<Value>(&answer.body);
            assert!(json.is_ok(), "{method} {path}: {answer:?}");
        }
        let alive = self.connection.ask("GET", "/healthz", "", b"");
        assert_eq!(alive.status, 200);
    }
}

/// The input as it may stand in a path or a query: what has a meaning there keeps it.
fn escaped(input: &[u8]) -> String {
    let mut escaped = String::new();
    for byte in input.iter().take(2_000) {
        if byte.is_ascii_alphanumeric() || b"-._~=&%+".contains(byte) {
            escaped.push(char::from(*byte));
        } else {
            write!(escaped, "%{byte:02X}").expect("a String takes everything");
        }
    }
    escaped
}
