//! The keys that hold for the whole server.

use super::Key;
use crate::settings::LogFormat;
use crate::settings::slot::{Least, Slot, Words};

const LOG_FORMATS: Words = Words {
    words: &["text", "json"],
    set: |settings, index| settings.log_format = [LogFormat::Text, LogFormat::Json][index],
    get: |settings| match settings.log_format {
        LogFormat::Text => 0,
        LogFormat::Json => 1,
    },
};

/// A request must fit that a browser sends.
const HANDSHAKE_BYTES_MIN: usize = 8_192;

pub(super) static KEYS: &[Key] = &[
    Key::new(
        "listen",
        Slot::Addresses(|s| &mut s.server.listen),
        "Where it listens; port 0 takes a free one. May be several",
    )
    .flag("listen"),
    Key::new(
        "admin.listen",
        Slot::Address(|s| &mut s.server.admin_listen),
        "Where metrics, health and the admin API are, instead of beside the dialects",
    )
    .flag("admin-listen"),
    Key::new(
        "admin.key_file",
        Slot::File(|s| &mut s.admin_key_file),
        "The file that holds the key of the admin API; without a key there is no such API. Also: `TOUCHSTONE_ADMIN_KEY`, the key itself",
    )
    .flag("admin-key-file"),
    Key::new(
        "dialects",
        Slot::Dialects(|s| &mut s.server.dialects),
        "Which dialects are served",
    )
    .flag("dialects"),
    Key::new(
        "store",
        Slot::Store(|s| &mut s.server.store),
        "Where state lives: `embedded:` in memory, `embedded:PATH` durable, `redis://…` in Redis, `postgres://…` in a database (`touchstone migrate`)",
    )
    .flag("store"),
    Key::new(
        "bus",
        Slot::Bus(|s| &mut s.server.bus),
        "How nodes hear of each other: `local:`, there is only this one",
    )
    .flag("bus"),
    Key::new(
        "retention.age",
        Slot::OptionalTime(|s| &mut s.server.retention.age),
        "How long messages and sent events are kept; what is pending stays",
    ),
    Key::new(
        "retention.count",
        Slot::OptionalCount(|s| &mut s.server.retention.count, 1),
        "How many messages of a channel or conversation, and sent events of a user, are kept; the oldest go",
    ),
    Key::new(
        "origins",
        Slot::OptionalTexts(|s| &mut s.server.origins),
        "The origins that may connect, `https://HOST`; any if none is given. A request without `Origin` always may (common/2b)",
    )
    .flag("origin"),
    Key::new(
        "cors.origins",
        Slot::Texts(|s| &mut s.server.cors_origins),
        "The origins whose pages may call the HTTP side; `*` is any",
    ),
    Key::new(
        "trusted_proxies",
        Slot::Networks(|s| &mut s.server.trusted_proxies),
        "The proxies whose `X-Forwarded-For` is believed, as addresses or ranges",
    ),
    Key::new(
        "tls.certificate",
        Slot::File(|s| &mut s.tls_certificate),
        "The certificate chain, PEM; every listener then speaks TLS. Read again on SIGHUP",
    )
    .flag("tls-cert"),
    Key::new(
        "tls.key",
        Slot::File(|s| &mut s.tls_key),
        "Its private key, PEM. Read again on SIGHUP",
    )
    .flag("tls-key"),
    Key::new(
        "compression.enabled",
        Slot::OnOff(|s| &mut s.compression),
        "Accept offers of permessage-deflate (rfc7692)",
    )
    .flag("compression"),
    Key::new(
        "compression.context_takeover",
        Slot::Switch(|s| &mut s.compression_terms.context_takeover),
        "Let a message refer to earlier ones: fewer bytes, a window of memory for each connection and direction",
    ),
    Key::new(
        "compression.context_takeover_connections",
        Slot::Count(|s| &mut s.compression_terms.context_takeover_connections, 0),
        "Connections that may have such windows at a time, up to 300 KiB each; the next is granted compression without",
    ),
    Key::new(
        "compression.server_window_bits",
        Slot::SmallCount(|s| &mut s.compression_terms.server_window_bits, 9, 15),
        "The largest window of what the server sends (rfc7692/server-window)",
    ),
    Key::new(
        "compression.client_window_bits",
        Slot::SmallCount(|s| &mut s.compression_terms.client_window_bits, 9, 15),
        "The largest window of what a client sends, where it lets the server choose (rfc7692/client-window)",
    ),
    Key::new(
        "compression.level",
        Slot::SmallCount(|s| &mut s.compression_terms.level, 1, 9),
        "How hard it tries, from 1 (fast) to 9 (small)",
    ),
    Key::new(
        "compression.message_bytes_min",
        Slot::Size(|s| &mut s.compression_terms.message_bytes_min, 0),
        "Shorter messages are sent as they are",
    ),
    Key::new(
        "raw_echo",
        Slot::Text(|s| &mut s.server.raw_echo),
        "The path of a route that is no dialect: text and binary come back verbatim. For other suites",
    )
    .flag("raw-echo"),
    Key::new(
        "allow_faults",
        Slot::Switch(|s| &mut s.server.allow_faults),
        "Let the admin API make the store or a handler fail, for conformance runs. Never in production",
    )
    .flag("allow-faults"),
    Key::new(
        "log.format",
        Slot::Words(LOG_FORMATS),
        "How the log looks: `text` for people, `json` one object a line. It goes to stderr",
    )
    .flag("log-format"),
    Key::new(
        "log.filter",
        Slot::Filter(|s| &mut s.log_filter),
        "How much is logged: `debug`, or `touchstone_server=debug`. Also: `TOUCHSTONE_LOG`",
    ),
    Key::new(
        "log.messages",
        Slot::Switch(|s| &mut s.server.log_messages),
        "Log every message that is received, without its content (echo/12d)",
    )
    .flag("log-messages"),
    // --- limits
    Key::new(
        "limits.connections",
        Slot::Count(|s| &mut s.server.limits.connections, 1),
        "WebSocket connections at once; one more is answered 503",
    )
    .flag("connections"),
    Key::new(
        "limits.connections_per_user",
        Slot::OptionalCount(|s| &mut s.server.limits.connections_per_user, 1),
        "WebSocket connections of one user of a dialect; one more is answered 503 (common/7b)",
    ),
    Key::new(
        "limits.connections_per_ip",
        Slot::OptionalCount(|s| &mut s.server.limits.connections_per_ip, 1),
        "WebSocket connections of one address; one more is answered 503 (common/7b)",
    ),
    Key::new(
        "limits.http_connections",
        Slot::Count(|s| &mut s.server.limits.http_connections, 1),
        "TCP connections that are no WebSockets, or not yet; one more is answered 503",
    ),
    Key::new(
        "limits.message_bytes",
        Slot::Size(|s| &mut s.server.limits.message_bytes, 1),
        "The longest message, reassembled and inflated; a longer one closes 1009 (common/5a)",
    )
    .flag("message-bytes"),
    Key::new(
        "limits.raw_echo_bytes",
        Slot::Size(|s| &mut s.server.limits.raw_echo_bytes, 1),
        "The longest message on the route `raw_echo`",
    ),
    Key::new(
        "limits.handshake_bytes",
        Slot::Size(|s| &mut s.server.limits.handshake_bytes, HANDSHAKE_BYTES_MIN),
        "Request line and headers; more is answered 431 (rfc6455/handshake-size)",
    ),
    Key::new(
        "limits.queues_bytes",
        Slot::Size(|s| &mut s.server.limits.queues_bytes, 1),
        "What may wait for all peers together; as it gets more, less may wait for one",
    ),
    Key::new(
        "limits.answers_bytes",
        Slot::Size(|s| &mut s.server.limits.answers_bytes, 1),
        "What answers over HTTP may wait to be read, all of them together; more is answered 503",
    ),
    Key::new(
        "limits.body_bytes",
        Slot::Size(|s| &mut s.server.limits.body_bytes, 1),
        "Body of one HTTP request; more is answered 413",
    ),
    Key::new(
        "limits.admin_body_bytes",
        Slot::Size(|s| &mut s.server.limits.admin_body_bytes, 1),
        "Body of one request to the admin API; more is answered 413",
    ),
    Key::new(
        "limits.queue_bytes",
        Slot::Size(|s| &mut s.server.limits.queue_bytes, 1),
        "Bytes that wait for a peer who reads slowly; one more closes 1008 `slow consumer` (common/7a)",
    )
    .flag("queue-bytes"),
    Key::new(
        "limits.queue_frames",
        Slot::Count(|s| &mut s.server.limits.queue_frames, 1),
        "Frames that wait for a peer who reads slowly; one more closes 1008 `slow consumer` (common/7a)",
    ),
    Key::new(
        "limits.rate",
        Slot::Rate(|s| &mut s.rate),
        "Messages a second that a connection may send, in every dialect that has no rate of its own; more closes 4429 (common/7b)",
    )
    .flag("rate"),
    // --- durations
    Key::new(
        "server.grace",
        Slot::Time(|s| &mut s.server.deadlines.grace, Least::Zero),
        "How long a graceful stop may take (common/6a)",
    )
    .flag("grace"),
    Key::new(
        "server.handshake.deadline",
        Slot::Time(|s| &mut s.server.deadlines.handshake, Least::MoreThanZero),
        "How long a request's headers may take (rfc6455/handshake-slow), and as long again its body",
    ),
    Key::new(
        "server.close.deadline",
        Slot::Time(|s| &mut s.server.deadlines.close, Least::MoreThanZero),
        "How long a peer may take to accept the close frame (common/2c); its own may take a fifth of that",
    ),
    Key::new(
        "server.idle.deadline",
        Slot::OptionalTime(|s| &mut s.server.deadlines.idle),
        "How long a connection may send nothing at all, not even a pong; then it is closed 1001",
    ),
    Key::new(
        "server.store.deadline",
        Slot::Time(|s| &mut s.server.deadlines.store, Least::MoreThanZero),
        "A call of the store that is slower has failed (common/7d)",
    ),
    Key::new(
        "server.drain.window",
        Slot::Time(|s| &mut s.server.deadlines.drain, Least::Zero),
        "Over which time a drain spreads its closes (common/6c)",
    ),
    Key::new(
        "server.retry_after.min",
        Slot::Time(|s| &mut s.retry_after_min, Least::Zero),
        "The shortest advice when to come back, in whole seconds (common/6b)",
    ),
    Key::new(
        "server.retry_after.max",
        Slot::Time(|s| &mut s.retry_after_max, Least::Zero),
        "The longest (common/6b)",
    ),
    // --- presence
    Key::new(
        "presence.crowd.connections",
        Slot::Count(|s| &mut s.server.presence.crowd_connections, 1),
        "When a change would be told to more connections, they get batches instead (common/11a)",
    ),
    Key::new(
        "presence.batch.interval",
        Slot::Time(|s| &mut s.server.presence.batch_interval, Least::MoreThanZero),
        "Time between two batches to one connection (common/11a)",
    ),
    Key::new(
        "presence.batch.changes",
        Slot::Count(|s| &mut s.server.presence.batch_changes, 1),
        "Changes in one batch, the latest; older ones are dropped (common/11a)",
    ),
    Key::new(
        "presence.listed_users",
        Slot::Count(|s| &mut s.server.presence.listed_users, 1),
        "Users in any list on the wire (common/11b)",
    ),
    Key::new(
        "presence.gone_after.stop",
        Slot::Time(|s| &mut s.server.presence.gone_after_stop, Least::Zero),
        "How long after his node stopped a user who is not back is announced as gone (common/6d)",
    ),
    Key::new(
        "presence.gone_after.death",
        Slot::Time(|s| &mut s.server.presence.gone_after_death, Least::Zero),
        "The same after his node died (common/6d); without effect on `local:`, whose nodes die together",
    ),
    // --- tokens
    Key::new(
        "auth.secret_file",
        Slot::File(|s| &mut s.secret_file),
        "The file that holds the HS256 secret (common/3e). Also, the secret itself: `TOUCHSTONE_SECRET`, `JWT_SECRET`, for `feed` `SECRET_KEY`",
    )
    .flag("secret-file"),
    Key::new(
        "auth.jwks_file",
        Slot::File(|s| &mut s.server.auth.jwks),
        "A JWKS file with keys for RS256, ES256, EdDSA and HS256, told apart by `kid`. Read again on SIGHUP",
    ),
    Key::new(
        "auth.public_key_files",
        Slot::Files(|s| &mut s.server.auth.public_keys),
        "Files with one PEM public key each. Read again on SIGHUP",
    ),
    Key::new(
        "auth.leeway",
        Slot::Time(|s| &mut s.server.auth.leeway, Least::Zero),
        "How long past `exp`, or before `nbf`, a token is still good (common/3d)",
    ),
    Key::new(
        "auth.close_on_expiry",
        Slot::Switch(|s| &mut s.server.auth.close_on_expiry),
        "Close a connection when its token expires (common/3g)",
    ),
    Key::new(
        "auth.close_within",
        Slot::Time(|s| &mut s.server.auth.close_within, Least::MoreThanZero),
        "How long after `exp` that close may come (common/3g)",
    ),
    Key::new(
        "auth.audience",
        Slot::Text(|s| &mut s.server.auth.audience),
        "What `aud` has to be, or to contain; not checked if not set (common/3d)",
    ),
    Key::new(
        "auth.issuer",
        Slot::Text(|s| &mut s.server.auth.issuer),
        "What `iss` has to be; not checked if not set (common/3d)",
    ),
    Key::new(
        "auth.access_lifetime",
        Slot::Time(|s| &mut s.server.auth.access_lifetime, Least::MoreThanZero),
        "How long an access token made here is good",
    ),
    Key::new(
        "auth.refresh_lifetime",
        Slot::Time(|s| &mut s.server.auth.refresh_lifetime, Least::MoreThanZero),
        "How long a refresh token made here is good",
    ),
];
