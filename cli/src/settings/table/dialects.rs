//! The keys of each dialect.

use touchstone_server::{Confirm, HttpAccess};

use super::Key;
use crate::settings::slot::{Least, Slot, Words};

const HTTP_ACCESS: Words = Words {
    words: &["loopback_or_admin", "open"],
    set: |settings, index| settings.server.echo.http = [HttpAccess::LoopbackOrAdmin, HttpAccess::Open][index],
    get: |settings| match settings.server.echo.http {
        HttpAccess::LoopbackOrAdmin => 0,
        HttpAccess::Open => 1,
    },
};

const CONFIRM: Words = Words {
    words: &["pong", "write"],
    set: |settings, index| settings.server.outbox.confirm = [Confirm::Pong, Confirm::Write][index],
    get: |settings| match settings.server.outbox.confirm {
        Confirm::Pong => 0,
        Confirm::Write => 1,
    },
};

const RATE: &str = "Messages a second that a connection may send; more closes 4429 (common/7b)";
const SECRET_FILE: &str =
    "The file that holds the HS256 secret of this dialect, where it is not that of all (common/3e)";
const ACCESS_LIFETIME: &str = "How long an access token of this dialect is good, where not as long as all";

pub(super) static KEYS: &[Key] = &[
    // --- echo
    Key::new(
        "echo.heartbeat.interval",
        Slot::Time(|s| &mut s.server.echo.heartbeat_interval, Least::MoreThanZero),
        "Time between two heartbeats of a connection (echo/8c)",
    ),
    Key::new(
        "echo.session.ttl",
        Slot::Time(|s| &mut s.server.echo.session_ttl, Least::MoreThanZero),
        "How long a session is kept after its last write (echo/6c). Also: `REDIS_SESSION_TTL`, in seconds",
    ),
    Key::new(
        "echo.session.id_chars",
        Slot::Count(|s| &mut s.server.echo.session_id_chars, 1),
        "Unicode scalar values in the longest session id (echo/1b)",
    ),
    Key::new(
        "echo.store.deadline",
        Slot::Time(|s| &mut s.server.echo.store_deadline, Least::MoreThanZero),
        "A call of the store that is slower counts as unavailable (echo/11b)",
    ),
    Key::new(
        "echo.http",
        Slot::Words(HTTP_ACCESS),
        "Who may use the HTTP endpoints: `loopback_or_admin` (everybody on a loopback listener, elsewhere who has the admin key), or `open`",
    ),
    Key::new("echo.rate", Slot::Rate(|s| &mut s.server.echo.rate), RATE).falls_back_to("limits.rate"),
    Key::new(
        "echo.embedded.entries_per_session",
        Slot::Count(|s| &mut s.server.echo.embedded.entries_per_session_max, 1),
        "Messages of one session in the embedded store; the oldest go",
    ),
    Key::new(
        "echo.embedded.bytes_per_session",
        Slot::Size(|s| &mut s.server.echo.embedded.entry_bytes_per_session_max, 1),
        "Bytes of the messages of one session in the embedded store; the oldest go",
    ),
    Key::new(
        "echo.embedded.bytes",
        Slot::Size(|s| &mut s.server.echo.embedded.bytes_max, 1),
        "Bytes of all sessions in the embedded store, about; those go that would run out first",
    ),
    // --- rooms
    Key::new(
        "rooms.auth.secret_file",
        Slot::File(|s| &mut s.rooms_secret_file),
        SECRET_FILE,
    ),
    Key::new(
        "rooms.auth.access_lifetime",
        Slot::OptionalTime(|s| &mut s.server.rooms.auth.access_lifetime),
        ACCESS_LIFETIME,
    ),
    Key::new("rooms.rate", Slot::Rate(|s| &mut s.server.rooms.rate), RATE).falls_back_to("limits.rate"),
    Key::new(
        "rooms.content_chars",
        Slot::Count(|s| &mut s.server.rooms.content_chars, 1),
        "Unicode scalar values in the longest message (rooms/6b)",
    ),
    Key::new(
        "rooms.history_messages",
        Slot::Count(|s| &mut s.server.rooms.history_messages, 0),
        "Messages in the history that a newcomer is sent (rooms/3c)",
    ),
    Key::new(
        "rooms.page_messages",
        Slot::Count(|s| &mut s.server.rooms.page_messages, 1),
        "Messages in one page over HTTP, at most",
    ),
    Key::new(
        "rooms.typing.ttl",
        Slot::Time(|s| &mut s.server.rooms.typing_ttl, Least::MoreThanZero),
        "How long a typing state lasts that is not renewed (rooms/7c)",
    ),
    // --- outbox
    Key::new(
        "outbox.auth.secret_file",
        Slot::File(|s| &mut s.outbox_secret_file),
        SECRET_FILE,
    ),
    Key::new(
        "outbox.auth.access_lifetime",
        Slot::OptionalTime(|s| &mut s.server.outbox.auth.access_lifetime),
        ACCESS_LIFETIME,
    ),
    Key::new("outbox.rate", Slot::Rate(|s| &mut s.server.outbox.rate), RATE).falls_back_to("limits.rate"),
    Key::new(
        "outbox.sweep.interval",
        Slot::Time(|s| &mut s.server.outbox.sweep_interval, Least::MoreThanZero),
        "Time between two sweeps for what is pending and due (outbox/6a)",
    ),
    Key::new(
        "outbox.confirm",
        Slot::Words(CONFIRM),
        "When an event counts as sent: `pong`, the client has answered a ping after it, or `write`, it is written (outbox/9b)",
    ),
    Key::new(
        "outbox.confirm.timeout",
        Slot::Time(|s| &mut s.server.outbox.confirm_timeout, Least::MoreThanZero),
        "How long that pong may take; then 1008 `no pong` (outbox/9d)",
    ),
    // --- feed
    Key::new(
        "feed.auth.secret_file",
        Slot::File(|s| &mut s.feed_secret_file),
        SECRET_FILE,
    ),
    Key::new(
        "feed.auth.access_lifetime",
        Slot::OptionalTime(|s| &mut s.server.feed.auth.access_lifetime),
        ACCESS_LIFETIME,
    ),
    Key::new("feed.rate", Slot::Rate(|s| &mut s.server.feed.rate), RATE).falls_back_to("limits.rate"),
    Key::new(
        "feed.heartbeat.interval",
        Slot::Time(|s| &mut s.server.feed.heartbeat_interval, Least::MoreThanZero),
        "Time between two `PING`s to a connection (feed/7a)",
    ),
    Key::new(
        "feed.heartbeat.timeout",
        Slot::Time(|s| &mut s.server.feed.heartbeat_timeout, Least::MoreThanZero),
        "How long the `PONG` may take; then 4408 (feed/8a)",
    ),
    Key::new(
        "feed.page_resources",
        Slot::Count(|s| &mut s.server.feed.page_resources, 1),
        "Resources in one page over HTTP, at most",
    ),
    // --- direct
    Key::new(
        "direct.auth.secret_file",
        Slot::File(|s| &mut s.direct_secret_file),
        SECRET_FILE,
    ),
    Key::new(
        "direct.auth.access_lifetime",
        Slot::OptionalTime(|s| &mut s.server.direct.auth.access_lifetime),
        ACCESS_LIFETIME,
    ),
    Key::new("direct.rate", Slot::Rate(|s| &mut s.server.direct.rate), RATE).falls_back_to("limits.rate"),
    Key::new(
        "direct.heartbeat.interval",
        Slot::Time(|s| &mut s.server.direct.heartbeat_interval, Least::MoreThanZero),
        "Time between two pings to a connection (direct/11a)",
    ),
    Key::new(
        "direct.heartbeat.timeout",
        Slot::Time(|s| &mut s.server.direct.heartbeat_timeout, Least::MoreThanZero),
        "How long the pong may take; then the connection is terminated (direct/11b)",
    ),
    Key::new(
        "direct.content_chars",
        Slot::Count(|s| &mut s.server.direct.content_chars, 1),
        "Unicode scalar values in the longest message (direct/10c)",
    ),
    Key::new(
        "direct.page_messages",
        Slot::Count(|s| &mut s.server.direct.page_messages, 1),
        "Messages in one page over HTTP, at most",
    ),
];
