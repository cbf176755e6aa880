//! The built-in server as a target: what it can do, how it is set, and its back doors.

use std::collections::BTreeMap;
use std::time::Duration;

use touchstone_protocol::{Dialect, defaults, echo};

use super::{AUDIENCES, Act, BuiltIn, Mounted, Origin, Target};
use crate::accounts::{AdminKey, UsersBy};
use crate::file::FileCall;

/// What the built-in server can do only if it is switched on, and the argument of `serve` that does.
const SWITCHES: &[(&str, &str)] = &[
    ("compression", "--compression"),
    (
        "compression.context_takeover",
        "compression.context_takeover=true",
    ),
];

impl Target {
    /// The built-in server, set by the flags of `built_in` to these timings and limits; the others have their defaults.
    #[must_use]
    pub fn built_in(built_in: BuiltIn, timings: &[(&str, Duration)], limits: &[(&str, u64)]) -> Self {
        let broadcast = FileCall {
            post: Some("/chat/api/broadcast/".into()),
            json: serde_json::json!("${data}"),
            ..FileCall::default()
        };
        let fault = |json| FileCall {
            post: Some("/admin/faults".into()),
            json,
            ..FileCall::default()
        };
        let switched_on = SWITCHES
            .iter()
            .filter(|(_, flag)| built_in.flags.iter().any(|given| given == flag))
            .map(|(capability, _)| ((*capability).to_owned(), true))
            .collect();
        let mut target = Self::at("built-in", Dialect::ALL.to_vec(), Origin::BuiltIn(built_in));
        target.capabilities = switched_on;
        target
            .timings
            .extend(timings.iter().map(|(name, value)| ((*name).to_owned(), *value)));
        target.limits = BTreeMap::from([
            ("message_bytes".into(), defaults::MESSAGE_BYTES_MAX as u64),
            ("handshake_bytes".into(), defaults::HANDSHAKE_BYTES_MAX as u64),
            ("session_id_chars".into(), echo::SESSION_ID_CHARS_MAX as u64),
        ]);
        target
            .limits
            .extend(limits.iter().map(|(name, value)| ((*name).to_owned(), *value)));
        target.mounted = Mounted::Prefixed;
        target.inject = BTreeMap::from([("echo".into(), BTreeMap::from([("all".into(), broadcast)]))]);
        for dialect in Dialect::ALL.iter().filter(|dialect| dialect.has_tokens()) {
            let users = UsersBy::Admin(AdminKey::Told);
            target.accounts.users.insert(*dialect, users);
            target.inject.insert(dialect.name().into(), published(*dialect));
        }
        // Of the dialect without users nobody else says who may: the admin interface is theirs.
        let drain = FileCall {
            post: Some("/admin/drain".into()),
            json: serde_json::json!({"dialect": Dialect::Echo.name(), "window": "${window}"}),
            ..FileCall::default()
        };
        target.operate = BTreeMap::from([(Dialect::Echo, BTreeMap::from([(Act::Drain, drain)]))]);
        target.faults = BTreeMap::from([
            (
                "store".into(),
                fault(serde_json::json!({"store": "${mode}", "for": "${for}"})),
            ),
            (
                "handler".into(),
                fault(serde_json::json!({"handler": "panic", "times": "${times}"})),
            ),
        ]);
        target
    }
}

/// The back door of the built-in server, for each audience.
fn published(dialect: Dialect) -> BTreeMap<String, FileCall> {
    let call = FileCall {
        post: Some("/admin/publish".into()),
        json: serde_json::json!({
            "dialect": dialect.name(),
            "to": "${to}",
            "type": "${type}",
            "data": "${data}",
            "scheduled_at": "${scheduled_at}",
            "tenant": "${tenant}",
        }),
        ..FileCall::default()
    };
    let audiences = AUDIENCES.iter();
    audiences
        .map(|audience| ((*audience).to_owned(), call.clone()))
        .collect()
}
