//! Users and channels, made by the admin API.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use touchstone_protocol::{Dialect, routes};

use crate::process::Server;

/// Users made by one request: a body stays below the limit on bodies.
const USERS_AT_ONCE: usize = 5_000;

/// The tenant of all users and channels of `rooms`.
const TENANT: &str = "measured";

/// Users of one dialect, in the order in which they were made.
pub(crate) struct Users {
    dialect: Dialect,
    users: Vec<User>,
}

struct User {
    id: Value,
    token: String,
}

impl Users {
    /// Makes so many.
    pub(crate) fn make(server: &Server, dialect: Dialect, count: usize) -> Result<Self> {
        if dialect == Dialect::Rooms {
            let tenants = json!([{"name": TENANT, "schema_name": TENANT}]);
            server.post(
                "/admin/tenants",
                &json!({"dialect": dialect.name(), "tenants": tenants}),
            )?;
        }
        let mut users = Vec::with_capacity(count);
        let numbers: Vec<_> = (0..count).collect();
        for numbers in numbers.chunks(USERS_AT_ONCE) {
            let entries: Vec<_> = numbers
                .iter()
                .map(|number| {
                    let mut entry = json!({"username": format!("user{number}")});
                    if dialect == Dialect::Rooms {
                        entry["tenant"] = TENANT.into();
                    }
                    entry
                })
                .collect();
            let made = server.post(
                "/admin/users",
                &json!({"dialect": dialect.name(), "users": entries}),
            )?;
            for user in made["users"].as_array().context("users were made")? {
                users.push(User {
                    id: user["id"].clone(),
                    token: user["token"].as_str().context("a user has a token")?.to_owned(),
                });
            }
        }
        Ok(Self { dialect, users })
    }

    /// A channel of these of them; returns its id.
    pub(crate) fn channel(&self, server: &Server, members: std::ops::Range<usize>) -> Result<String> {
        let members: Vec<_> = self.users[members].iter().map(|user| &user.id).collect();
        let channels = json!([{"name": "measured", "members": members, "tenant": TENANT}]);
        let made = server.post(
            "/admin/channels",
            &json!({"dialect": self.dialect.name(), "channels": channels}),
        )?;
        let id = made["channels"][0]["id"].as_str();
        Ok(id.context("a channel was made")?.to_owned())
    }

    /// Path and query by which a user connects, to this channel where there are channels.
    pub(crate) fn target(&self, number: usize, channel: &str) -> String {
        let user = &self.users[number];
        let id = user
            .id
            .as_str()
            .map_or_else(|| user.id.to_string(), str::to_owned);
        let path = routes::websocket(self.dialect)
            .replace("{channel_id}", channel)
            .replace("{encoded_user_uuid}", &id);
        let parameter = routes::token_parameter(self.dialect).unwrap_or("token");
        format!("{path}?{parameter}={}", user.token)
    }
}
