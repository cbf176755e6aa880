//! Who takes part in a scenario besides its connections: users, channels and tenants.
//!
//! They are made before the first step, by one request of each kind, with names that no other case has. A dialect
//! without tokens has none of them.

use touchstone_protocol::Dialect;

use crate::scenario::Template;
use crate::source::Spanned;

/// The variable that holds the channel which the dialect's path names, where the scenario names none.
pub const DEFAULT_CHANNEL: &str = "channel";
/// The variable that holds the tenant of everybody who is in no other, and by name the others.
pub const TENANT: &str = "tenant";
/// The actor of a handshake by hand that names none.
pub const UNNAMED: &str = "handshake";

/// All who take part.
#[derive(Debug, Clone, Default)]
pub struct Cast {
    /// Each once, in the order in which the file first names them.
    pub users: Vec<CastUser>,
    /// In the order of the file.
    pub channels: Vec<CastChannel>,
}

/// A person: several actors may be the same one.
#[derive(Debug, Clone)]
pub struct CastUser {
    /// The `ann` of `${ann.id}`.
    pub name: Spanned<String>,
    /// Where it is not the one that the case runs on.
    pub dialect: Option<Dialect>,
    /// Where it is not the case's first.
    pub tenant: Option<Spanned<String>>,
    /// What the file says of it, by the key of the request that makes it: `id`, `username`, `name` …
    pub fields: Vec<(String, Template)>,
    /// Whether a step uses the password.
    pub password: Password,
}

/// Whether a user has to have a password. To hash one is made slow on purpose, so that nobody makes one for nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Password {
    /// Nobody signs in with it.
    #[default]
    Unused,
    /// A step does.
    Used,
}

/// A channel of `rooms`, or a conversation of `outbox`.
#[derive(Debug, Clone)]
pub struct CastChannel {
    /// The `room` of `${room.id}`.
    pub name: Spanned<String>,
    /// Names of users.
    pub members: Vec<Spanned<String>>,
    /// Where it is not the case's first.
    pub tenant: Option<Spanned<String>>,
    /// What the file says of it: `id`, `name`.
    pub fields: Vec<(String, Template)>,
}

impl Cast {
    /// The user of this name.
    #[must_use]
    pub fn user(&self, name: &str) -> Option<&CastUser> {
        self.users.iter().find(|user| user.name.value == name)
    }

    /// The channel of this name.
    #[must_use]
    pub fn channel(&self, name: &str) -> Option<&CastChannel> {
        self.channels.iter().find(|channel| channel.name.value == name)
    }

    /// The tenants that somebody or something is in besides the first, each once.
    #[must_use]
    pub fn tenants(&self) -> Vec<&str> {
        let of_users = self.users.iter().filter_map(|user| user.tenant.as_ref());
        let of_channels = self.channels.iter().filter_map(|channel| channel.tenant.as_ref());
        let mut names: Vec<&str> = Vec::new();
        for tenant in of_users.chain(of_channels) {
            if !names.contains(&tenant.value.as_str()) {
                names.push(&tenant.value);
            }
        }
        names
    }
}

/// Who asks over HTTP, and with what.
#[derive(Debug, Clone)]
pub struct Bearer {
    /// The user.
    pub user: Spanned<String>,
    /// In place of a valid token.
    pub token: Option<Template>,
}
