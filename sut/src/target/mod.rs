//! A system under test as it is described: the target file with its defaults put in, or the built-in server.

mod built_in;
mod check;
mod operate;
mod paths;
mod read;
mod urls;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use touchstone_protocol::{Dialect, defaults, direct, echo, feed, outbox, rooms};
use touchstone_scenarios::diag::Diag;

use crate::accounts::{Accounts, Signing, TokensBy, UsersBy};
use crate::file::{FileCall, FileEvents, FilePaths};
use crate::process::Signal;
use crate::transport::Trust;

pub(crate) use check::{AUDIENCES, FAULTS, one_of};
pub(crate) use operate::ACTS;
pub use operate::Act;
pub(crate) use read::{headers, texts};

/// How long a spawned server may take to be ready, and to stop, unless the target file says otherwise.
pub const SPAWN_DEADLINE: Duration = Duration::from_secs(20);

/// What is known of a system under test.
#[derive(Debug, Clone)]
pub struct Target {
    /// How reports name it: the file, the URL, the command or `built-in`.
    pub name: String,
    /// What it speaks, in order; the first is the one on which `rfc6455` is run.
    pub dialects: Vec<Dialect>,
    /// How it comes to run.
    pub origin: Origin,
    /// What its bytes travel in.
    pub security: Security,
    pub(crate) paths: BTreeMap<Dialect, FilePaths>,
    pub(crate) timings: BTreeMap<String, Duration>,
    pub(crate) limits: BTreeMap<String, u64>,
    pub(crate) capabilities: BTreeMap<String, bool>,
    pub(crate) inject: BTreeMap<String, BTreeMap<String, FileCall>>,
    pub(crate) operate: BTreeMap<Dialect, BTreeMap<Act, FileCall>>,
    pub(crate) faults: BTreeMap<String, FileCall>,
    pub(crate) accounts: Accounts,
    pub(crate) events: BTreeMap<Dialect, FileEvents>,
    headers: BTreeMap<Dialect, Vec<(HeaderName, HeaderValue)>>,
    /// Where its dialects are, as far as `paths` does not say.
    mounted: Mounted,
}

/// Where dialects are mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mounted {
    /// At their documented paths.
    AsDocumented,
    /// Under `/{dialect}`, where none is in the way of another.
    Prefixed,
}

/// What the bytes to and from a system under test travel in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Security {
    /// Nothing but TCP.
    Plain,
    /// TLS, with a server that is believed so.
    Tls(Trust),
    /// TLS, with a certificate that is made for the run: the built-in server's alone.
    MadeUp,
}

/// How a system under test comes to run.
#[derive(Debug, Clone)]
pub enum Origin {
    /// It runs already, at these hosts and ports.
    Running {
        /// `HOST:PORT` of each node.
        addresses: Vec<String>,
    },
    /// We start it.
    Spawned {
        /// The program and its arguments; `${port}` is the port.
        command: Vec<String>,
        /// Added to its environment, beside `PORT`.
        env: BTreeMap<String, String>,
        /// `HOST:${port}` of each node.
        addresses: Vec<String>,
        /// How it shows that it is ready.
        ready: Ready,
        /// What asks it to stop.
        stop: Signal,
        /// How long it may take to be ready, and to stop.
        deadline: Duration,
    },
    /// The built-in server, a process of its own made from this program.
    BuiltIn(BuiltIn),
}

/// The built-in server as a system under test.
#[derive(Debug, Clone)]
pub struct BuiltIn {
    /// This program.
    pub executable: PathBuf,
    /// Flags of `serve`, beyond those that tie it to us.
    pub flags: Vec<String>,
    /// Where it keeps what it is told.
    pub store: Store,
}

/// Where a built-in server keeps what it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Store {
    /// In memory: nothing survives it.
    Memory,
    /// In a file of its own, which is there until we have done with the server: a restart finds it again.
    Durable,
    /// Where this URL says, which `serve` takes as its `--store`: it keeps what it confirmed.
    At(String),
}

/// How a spawned server shows that it is ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ready {
    /// It accepts TCP.
    Tcp,
    /// This path answers 2xx.
    Http(String),
}

/// A target that cannot be used as it is given.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// The file cannot be read, or is no target file.
    #[error("{}", .0.message)]
    Invalid(Box<Diag>),
    /// A value in it cannot be used. Its place is found by the key, once it is known which file it is.
    #[error("{message}{}", help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default())]
    Key {
        /// With its dots: `users.direct.steps.0.post`.
        key: String,
        /// What of it is wrong.
        part: Part,
        /// What is wrong, naming the key or the value.
        message: String,
        /// What to do about it.
        help: Option<String>,
    },
    /// What the command line says of it cannot be used.
    #[error("{0}")]
    Value(String),
}

/// What is wrong of a key and its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Nobody knows such a key.
    Name,
    /// It holds what it cannot hold.
    Value,
}

impl TargetError {
    pub(crate) fn key(key: &str, message: impl Into<String>) -> Self {
        Self::Key {
            key: key.to_owned(),
            part: Part::Value,
            message: message.into(),
            help: None,
        }
    }

    /// The same, of the key itself: its name is wrong.
    pub(crate) fn name(key: &str, message: impl Into<String>) -> Self {
        Self::Key {
            key: key.to_owned(),
            part: Part::Name,
            message: message.into(),
            help: None,
        }
    }

    pub(crate) fn with_help(self, help: impl Into<String>) -> Self {
        match self {
            Self::Key {
                key, part, message, ..
            } => Self::Key {
                key,
                part,
                message,
                help: Some(help.into()),
            },
            Self::Invalid(_) | Self::Value(_) => self,
        }
    }
}

impl Target {
    fn at(name: &str, dialects: Vec<Dialect>, origin: Origin) -> Self {
        let timings = [
            ("echo.heartbeat.interval", echo::HEARTBEAT_INTERVAL),
            ("echo.session.ttl", echo::SESSION_TTL),
            ("echo.store.deadline", echo::STORE_DEADLINE),
            ("rooms.typing.ttl", rooms::TYPING_TTL),
            ("outbox.sweep.interval", outbox::SWEEP_INTERVAL),
            ("outbox.confirm.timeout", outbox::CONFIRM_TIMEOUT),
            ("feed.heartbeat.interval", feed::HEARTBEAT_INTERVAL),
            ("feed.heartbeat.timeout", feed::HEARTBEAT_TIMEOUT),
            ("direct.heartbeat.interval", direct::HEARTBEAT_INTERVAL),
            ("direct.heartbeat.timeout", direct::HEARTBEAT_TIMEOUT),
            ("server.grace", defaults::GRACE_PERIOD),
            ("server.handshake.deadline", defaults::HANDSHAKE_DEADLINE),
            ("server.close.deadline", defaults::CLOSE_DEADLINE),
        ];
        Self {
            name: name.to_owned(),
            dialects,
            origin,
            security: Security::Plain,
            paths: BTreeMap::new(),
            timings: timings
                .iter()
                .map(|(name, value)| ((*name).to_owned(), *value))
                .collect(),
            limits: BTreeMap::new(),
            capabilities: BTreeMap::new(),
            inject: BTreeMap::new(),
            operate: BTreeMap::new(),
            faults: BTreeMap::new(),
            accounts: Accounts::default(),
            events: BTreeMap::new(),
            headers: BTreeMap::new(),
            mounted: Mounted::AsDocumented,
        }
    }

    /// The same, with its bytes in this. Of a certificate that is made up, reports know by the name.
    #[must_use]
    pub fn within(self, security: Security) -> Self {
        let name = match security {
            Security::Plain | Security::Tls(_) => self.name,
            Security::MadeUp => format!("{} (TLS)", self.name),
        };
        Self {
            name,
            security,
            ..self
        }
    }

    /// The built-in server with its state at `url`; any other target is as it was.
    #[must_use]
    pub fn keeping_state_at(mut self, url: &str) -> Self {
        if let Origin::BuiltIn(built_in) = &mut self.origin {
            built_in.store = Store::At(url.to_owned());
        }
        self
    }

    /// How the server is set: `echo.heartbeat.interval`.
    #[must_use]
    pub fn timing(&self, name: &str) -> Option<Duration> {
        self.timings.get(name).copied()
    }

    /// A limit the server says it has: `message_bytes`.
    #[must_use]
    pub fn limit(&self, name: &str) -> Option<u64> {
        self.limits.get(name).copied()
    }

    /// Whether we start the server, and can stop it.
    #[must_use]
    pub const fn is_spawned(&self) -> bool {
        !matches!(self.origin, Origin::Running { .. })
    }

    const fn is_built_in(&self) -> bool {
        matches!(self.origin, Origin::BuiltIn(_))
    }

    /// Whether what a scenario `requires:` is there. A key is a path in the target file (`spawn`, `faults.store`,
    /// `inject.echo.all`, `limits.message_bytes`), `log` (which a spawned server has), or a capability.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        if let Some(known) = self.capabilities.get(key) {
            return *known;
        }
        match key.split('.').collect::<Vec<_>>().as_slice() {
            ["spawn" | "log" | "restart"] => self.is_spawned(),
            ["durable"] => {
                matches!(&self.origin, Origin::BuiltIn(built_in) if built_in.store != Store::Memory)
            }
            ["metrics"] => true,
            ["faults", kind] => self.faults.contains_key(*kind),
            ["inject", dialect, audience] => self
                .inject
                .get(*dialect)
                .is_some_and(|ways| ways.contains_key(*audience)),
            ["operate", dialect, act] => match (dialect.parse(), Act::named(act)) {
                (Ok(dialect), Some(act)) => self.can(dialect, act),
                _ => false,
            },
            ["admin"] => {
                let by_admin = |users: &UsersBy| matches!(users, UsersBy::Admin(_));
                self.accounts.users.values().any(by_admin)
            }
            ["auth"] => self.is_built_in() || !self.accounts.auth.is_empty(),
            ["auth", "secret"] => {
                let signed = |auth: &TokensBy| matches!(auth, TokensBy::Secret(_));
                self.is_built_in() || self.accounts.auth.values().any(signed)
            }
            ["users"] => !self.accounts.users.is_empty(),
            ["tenants"] => !self.accounts.tenants.is_empty() || self.has("admin"),
            ["channels"] => !self.accounts.channels.is_empty() || self.has("admin"),
            ["events", dialect] => {
                self.has("admin")
                    || dialect
                        .parse()
                        .is_ok_and(|dialect| self.events.contains_key(&dialect))
            }
            ["limits", name] => self.limits.contains_key(*name),
            ["timings", name @ ..] => self.timings.contains_key(&name.join(".")),
            _ => false,
        }
    }

    /// The same, of what a target file can say for one dialect and not for another: `users`, `auth.secret`, `channels` …
    #[must_use]
    pub fn has_for(&self, dialect: Dialect, key: &str) -> bool {
        if let Some(known) = self.capabilities.get(key) {
            return *known;
        }
        let accounts = &self.accounts;
        let by_admin = matches!(accounts.users.get(&dialect), Some(UsersBy::Admin(_)));
        match key {
            "users" => accounts.users.contains_key(&dialect),
            "users.admin" => by_admin,
            "tenants" => by_admin || accounts.tenants.contains_key(&dialect),
            "channels" => by_admin || accounts.channels.contains_key(&dialect),
            "auth" => {
                let brought = |users: &UsersBy| match users {
                    UsersBy::List(list) => list.iter().all(|user| user.contains_key("token")),
                    UsersBy::Admin(_) | UsersBy::Steps(_) | UsersBy::Command(_) => false,
                };
                self.is_built_in()
                    || accounts.auth.contains_key(&dialect)
                    || accounts.users.get(&dialect).is_some_and(brought)
            }
            "auth.secret" => {
                self.is_built_in() || matches!(accounts.auth.get(&dialect), Some(TokensBy::Secret(_)))
            }
            other => self.has(other),
        }
    }

    /// The same server, with tokens of every dialect signed with this secret: HS256, and the claims of the spec.
    #[must_use]
    pub fn signed_with(mut self, secret: &str) -> Self {
        for dialect in Dialect::ALL.iter().filter(|dialect| dialect.has_tokens()) {
            let signing = Signing::with(secret.to_owned());
            self.accounts.auth.insert(*dialect, TokensBy::Secret(signing));
        }
        self
    }

    /// The headers of every request and handshake of a dialect; of requests that are no dialect's, those of the first.
    #[must_use]
    pub fn headers_for(&self, dialect: Option<Dialect>) -> &[(HeaderName, HeaderValue)] {
        let dialect = dialect.or_else(|| self.dialects.first().copied());
        dialect
            .and_then(|dialect| self.headers.get(&dialect))
            .map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_scenario_requires_is_found_in_the_target() {
        let mut target = Target::from_url("ws://127.0.0.1:1", &[]).unwrap();
        for key in [
            "spawn",
            "log",
            "restart",
            "faults.store",
            "inject.echo.all",
            "limits.message_bytes",
            "compression",
        ] {
            assert!(!target.has(key), "{key}");
        }
        target.capabilities.insert("compression".into(), true);
        target.capabilities.insert("metrics".into(), false);
        target.limits.insert("message_bytes".into(), 1);
        assert!(target.has("compression") && target.has("limits.message_bytes") && !target.has("metrics"));
        assert!(target.has("timings.echo.heartbeat.interval"));
    }
}
