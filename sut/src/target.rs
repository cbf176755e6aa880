//! A system under test as it is described: the target file with its defaults put in, or the built-in server.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use touchstone_protocol::{Dialect, defaults, direct, echo, feed, outbox, rooms, routes};
use touchstone_scenarios::diag::Diag;
use touchstone_scenarios::source::Source;
use touchstone_scenarios::yaml;

use crate::accounts::{Accounts, AdminKey, TokensBy, UsersBy};
use crate::file::{FileCall, FileEvents, FilePaths, FileReady, FileSignal, FileText, PerDialect, TargetFile};
use crate::process::Signal;

/// How long a spawned server may take to be ready, and to stop, unless the target file says otherwise.
pub const SPAWN_DEADLINE: Duration = Duration::from_secs(20);

/// What the built-in server can do only if it is switched on, and the argument of `serve` that does.
const SWITCHES: &[(&str, &str)] = &[
    ("compression", "--compression"),
    (
        "compression.context_takeover",
        "compression.context_takeover=true",
    ),
];

/// What is known of a system under test.
#[derive(Debug, Clone)]
pub struct Target {
    /// How reports name it: the file, the URL, the command or `built-in`.
    pub name: String,
    /// What it speaks, in order; the first is the one on which `rfc6455` is run.
    pub dialects: Vec<Dialect>,
    /// How it comes to run.
    pub origin: Origin,
    pub(crate) paths: BTreeMap<Dialect, FilePaths>,
    pub(crate) timings: BTreeMap<String, Duration>,
    pub(crate) limits: BTreeMap<String, u64>,
    pub(crate) capabilities: BTreeMap<String, bool>,
    pub(crate) inject: BTreeMap<String, BTreeMap<String, FileCall>>,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    /// In memory: nothing survives it.
    Memory,
    /// In a file of its own, which is there until we have done with the server: a restart finds it again.
    Durable,
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
    /// The file is not there, or may not be read.
    #[error("could not read the target file {path}: {reason}")]
    Unreadable {
        /// The file.
        path: String,
        /// What the system says.
        reason: String,
    },
    /// The file is not a target file.
    #[error("{}", .0.message)]
    Invalid(Box<Diag>),
    /// A value in it cannot be used; the message names the key.
    #[error("{0}")]
    Value(String),
}

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

    /// A server that runs already, by its URL alone: `ws://HOST:PORT`.
    ///
    /// # Errors
    /// The URL is none, or not `ws://`.
    pub fn from_url(url: &str, dialects: &[Dialect]) -> Result<Self, TargetError> {
        let addresses = vec![address_of(url)?];
        Ok(Self::at(
            url,
            or_all(dialects.to_vec()),
            Origin::Running { addresses },
        ))
    }

    /// A server that is started by this command, split as a shell splits words. It gets its port as `PORT` and in
    /// place of `${port}`, and is ready when it accepts TCP.
    ///
    /// # Errors
    /// The command cannot be split, is empty, or needs a shell.
    pub fn from_command(command: &str, dialects: &[Dialect]) -> Result<Self, TargetError> {
        let words = shlex::split(command)
            .filter(|words| !words.is_empty())
            .ok_or_else(|| TargetError::Value(format!("`{command}` is no command: check its quotes")))?;
        if let Some(word) = for_a_shell(&words) {
            return Err(TargetError::Value(format!(
                "`{word}` is for a shell, and there is none; write sh -c '…', with an `exec` before the server"
            )));
        }
        let origin = Origin::Spawned {
            command: words,
            env: BTreeMap::new(),
            addresses: vec!["127.0.0.1:${port}".into()],
            ready: Ready::Tcp,
            stop: Signal::Term,
            deadline: SPAWN_DEADLINE,
        };
        Ok(Self::at(command, or_all(dialects.to_vec()), origin))
    }

    /// Reads a target file.
    ///
    /// # Errors
    /// It cannot be read, is no target file (the diagnostic has the place), or a value in it cannot be used.
    pub fn from_file(path: &str) -> Result<Self, TargetError> {
        let text = std::fs::read_to_string(path).map_err(|error| TargetError::Unreadable {
            path: path.to_owned(),
            reason: error.to_string(),
        })?;
        let source = Arc::new(Source {
            path: path.to_owned(),
            text,
        });
        let file: TargetFile =
            yaml::from_str(&source).map_err(|diag| TargetError::Invalid(Box::new(diag)))?;
        Self::from_parsed(path, file).map_err(|error| match error {
            TargetError::Value(why) => TargetError::Value(format!("{path}: {why}")),
            other => other,
        })
    }

    fn from_parsed(name: &str, file: TargetFile) -> Result<Self, TargetError> {
        let dialects = file
            .dialects
            .iter()
            .map(|name| dialect_named("dialects", name))
            .collect::<Result<Vec<_>, _>>()?;
        if file.urls.is_empty() {
            return Err(TargetError::Value(
                "`urls` is empty: write for example [\"ws://127.0.0.1:8080\"]".into(),
            ));
        }
        let addresses = file
            .urls
            .iter()
            .map(|url| address_of(url))
            .collect::<Result<Vec<_>, _>>()?;
        let origin = match file.spawn {
            None if addresses.iter().any(|address| address.contains("${port}")) => {
                return Err(TargetError::Value(
                    "`${port}` in `urls` is the port of a server that is started: add `spawn`, or write the port".into(),
                ));
            }
            None => Origin::Running { addresses },
            Some(spawn) if spawn.command.is_empty() => {
                return Err(TargetError::Value(
                    "`spawn.command` is empty: name the program to start".into(),
                ));
            }
            Some(spawn) => Origin::Spawned {
                command: spawn.command,
                env: texts("spawn.env", spawn.env)?.into_iter().collect(),
                addresses,
                ready: match spawn.ready {
                    FileReady::Tcp => Ready::Tcp,
                    FileReady::Http(path) => Ready::Http(path),
                },
                stop: match spawn.stop {
                    FileSignal::Term => Signal::Term,
                    FileSignal::Int => Signal::Int,
                },
                deadline: spawn.deadline.map_or(SPAWN_DEADLINE, |deadline| deadline.0),
            },
        };
        let mut target = Self::at(name, or_all(dialects), origin);
        for (dialect, paths) in file.paths {
            target.paths.insert(dialect_named("paths", &dialect)?, paths);
        }
        target
            .timings
            .extend(file.timings.into_iter().map(|(name, value)| (name, value.0)));
        target.limits = file.limits;
        target.capabilities = file.capabilities;
        target.inject = file.inject;
        target.faults = file.faults;
        for (dialect, entries) in file.headers.map(PerDialect::by_dialect).unwrap_or_default() {
            target.headers.insert(dialect, headers("headers", &entries)?);
        }
        target.accounts = Accounts::read(file.auth, file.users, file.channels)?;
        for (dialect, events) in file.events {
            target.events.insert(dialect_named("events", &dialect)?, events);
        }
        Ok(target)
    }

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
            paths: BTreeMap::new(),
            timings: timings
                .iter()
                .map(|(name, value)| ((*name).to_owned(), *value))
                .collect(),
            limits: BTreeMap::new(),
            capabilities: BTreeMap::new(),
            inject: BTreeMap::new(),
            faults: BTreeMap::new(),
            accounts: Accounts::default(),
            events: BTreeMap::new(),
            headers: BTreeMap::new(),
            mounted: Mounted::AsDocumented,
        }
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
                matches!(&self.origin, Origin::BuiltIn(built_in) if built_in.store == Store::Durable)
            }
            ["metrics"] => true,
            ["faults", kind] => self.faults.contains_key(*kind),
            ["inject", dialect, audience] => self
                .inject
                .get(*dialect)
                .is_some_and(|ways| ways.contains_key(*audience)),
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

    /// The headers of every request and handshake of a dialect; of requests that are no dialect's, those of the first.
    #[must_use]
    pub fn headers_for(&self, dialect: Option<Dialect>) -> &[(HeaderName, HeaderValue)] {
        let dialect = dialect.or_else(|| self.dialects.first().copied());
        dialect
            .and_then(|dialect| self.headers.get(&dialect))
            .map_or(&[], Vec::as_slice)
    }
}

/// Who can be told something by the admin interface.
const AUDIENCES: [&str; 4] = ["user", "users", "channel", "all"];

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

/// The first word that only a shell understands: `PORT=1` before a program, or what joins programs.
fn for_a_shell(words: &[String]) -> Option<&str> {
    const JOINTS: &[&str] = &["|", "||", "&", "&&", ";", "<", ">", ">>", "2>&1"];
    let assigns = |word: &&String| {
        word.split_once('=')
            .is_some_and(|(name, _)| !name.contains(['/', '.']))
    };
    let first = words.first().filter(assigns);
    let word = first.or_else(|| words.iter().find(|word| JOINTS.contains(&word.as_str())));
    word.map(String::as_str)
}

fn or_all(dialects: Vec<Dialect>) -> Vec<Dialect> {
    if dialects.is_empty() {
        Dialect::ALL.to_vec()
    } else {
        dialects
    }
}

fn dialect_named(key: &str, name: &str) -> Result<Dialect, TargetError> {
    name.parse()
        .map_err(|error| TargetError::Value(format!("`{key}`: {error}")))
}

/// `HOST:PORT` of a `ws://` URL. A path is refused: where a dialect is belongs to `paths`.
fn address_of(url: &str) -> Result<String, TargetError> {
    let refused = |why: &str| TargetError::Value(format!("`{url}` {why}"));
    let rest = match url.split_once("://") {
        Some(("ws", rest)) => rest,
        Some(("wss", _)) => return Err(refused("needs TLS, which this version does not speak; use ws://")),
        _ => {
            return Err(refused(
                "is no WebSocket URL; write for example ws://127.0.0.1:8080",
            ));
        }
    };
    let address = rest.trim_end_matches('/');
    if address.contains('/') {
        return Err(refused(
            "has a path; leave it out, and say in `paths` of a target file where a dialect is",
        ));
    }
    let port = address.rsplit_once(':').map(|(_, port)| port);
    match port {
        Some("${port}") => Ok(address.to_owned()),
        Some(port) if port.parse::<u16>().is_ok_and(|port| port > 0) => Ok(address.to_owned()),
        _ if !address.is_empty() && !address.contains(':') => Ok(format!("{address}:80")),
        _ => Err(refused(
            "has no usable port; write for example ws://127.0.0.1:8080",
        )),
    }
}

/// The texts of a map, environment variables looked up.
pub(crate) fn texts(
    key: &str,
    values: BTreeMap<String, FileText>,
) -> Result<Vec<(String, String)>, TargetError> {
    let look_up = |(name, text): (String, FileText)| match text {
        FileText::Literal(text) => Ok((name, text)),
        FileText::Env(variable) => std::env::var(&variable)
            .map(|text| (name.clone(), text))
            .map_err(|_| {
                TargetError::Value(format!(
                    "`{key}.{name}`: the environment variable {variable} is not set"
                ))
            }),
    };
    values.into_iter().map(look_up).collect()
}

/// Headers of a map, environment variables looked up.
pub(crate) fn headers(
    key: &str,
    values: &BTreeMap<String, FileText>,
) -> Result<Vec<(HeaderName, HeaderValue)>, TargetError> {
    let read = |(name, text): (String, String)| {
        let header = HeaderName::try_from(&name)
            .ok()
            .zip(HeaderValue::try_from(text).ok());
        header.ok_or_else(|| TargetError::Value(format!("`{key}.{name}` is no HTTP header")))
    };
    texts(key, values.clone())?.into_iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_from_a_url() {
        let rows = [
            ("ws://127.0.0.1:8080", "127.0.0.1:8080"),
            ("ws://[::1]:8080/", "[::1]:8080"),
            ("ws://chat.test", "chat.test:80"),
            ("ws://127.0.0.1:${port}", "127.0.0.1:${port}"),
        ];
        for (url, address) in rows {
            assert_eq!(address_of(url).unwrap(), address);
        }
    }

    #[test]
    fn a_url_that_cannot_be_used_is_refused_with_what_to_write() {
        let rows = [
            ("http://x:1", "is no WebSocket URL"),
            ("127.0.0.1:80", "is no WebSocket URL"),
            ("wss://x", "needs TLS"),
            ("ws://x:1/ws", "has a path"),
            ("ws://x:99999", "has no usable port"),
            ("ws://", "has no usable port"),
        ];
        for (url, why) in rows {
            let error = address_of(url).unwrap_err().to_string();
            assert!(error.contains(url) && error.contains(why), "{error}");
        }
    }

    #[test]
    fn a_command_that_needs_a_shell_is_refused_with_what_to_write() {
        for (command, word) in [
            ("PORT=80 node server.js", "`PORT=80`"),
            ("node server.js | tee log", "`|`"),
            ("make && ./server", "`&&`"),
        ] {
            let error = Target::from_command(command, &[]).unwrap_err().to_string();
            assert!(error.contains(word) && error.contains("sh -c"), "{error}");
        }
        for command in [
            "sh -c 'make && exec ./server'",
            "./a=b",
            "node server.js --port=80",
        ] {
            assert!(Target::from_command(command, &[]).is_ok(), "{command}");
        }
    }

    fn read(text: &str) -> Result<Target, TargetError> {
        let source = Arc::new(Source {
            path: "target.yaml".into(),
            text: text.into(),
        });
        let file = yaml::from_str(&source).map_err(|diag| TargetError::Invalid(Box::new(diag)))?;
        Target::from_parsed("target.yaml", file)
    }

    #[test]
    fn a_target_file_is_read_whole() {
        let target = read(
            "urls: [\"ws://127.0.0.1:${port}\"]\n\
             dialects: [echo]\n\
             paths: {echo: {ws: /socket}}\n\
             timings: {echo.heartbeat.interval: 250ms}\n\
             limits: {message_bytes: 1000}\n\
             inject: {echo: {all: {post: /say, headers: {X-Key: k}, json: {text: \"${data}\"}}}}\n\
             faults: {store: {command: [./break, \"${seconds}\"]}}\n\
             spawn: {command: [node, server.js], env: {A: b}, ready: {http: /up}, stop: INT, deadline: 3s}\n\
             headers: {Origin: https://example.test}\n",
        )
        .unwrap();
        assert_eq!(
            target.timing("echo.heartbeat.interval"),
            Some(Duration::from_millis(250))
        );
        assert_eq!(target.timing("server.grace"), Some(defaults::GRACE_PERIOD));
        assert_eq!(target.websocket_path(Dialect::Echo), "/socket");
        assert!(target.has("inject.echo.all") && target.has("faults.store") && target.has("spawn"));
        assert_eq!(target.headers_for(None)[0].1, "https://example.test");
        let Origin::Spawned {
            ready,
            stop,
            deadline,
            ..
        } = &target.origin
        else {
            panic!("it is spawned")
        };
        assert_eq!(
            (ready, *stop, *deadline),
            (&Ready::Http("/up".into()), Signal::Int, Duration::from_secs(3))
        );
    }

    #[test]
    fn accounts_are_for_all_dialects_or_for_each() {
        let target = read(
            "urls: [\"ws://127.0.0.1:1\"]\n\
             auth: {direct: {secret: {text: s, algorithm: HS384}}, feed: {command: [./token, \"${user.id}\"]}}\n\
             users: {steps: [{post: /register, json: {name: \"${user.username}\"}, take: {id: /id}}]}\n\
             channels: {rooms: {step: {post: /rooms, take: {id: /id}}}}\n\
             events: {outbox: {get: \"/events/${user.id}\", items: /all, status: /state}}\n\
             headers: {direct: {X-Key: k}}\n",
        )
        .unwrap();
        assert!(matches!(
            target.accounts.auth[&Dialect::Direct],
            TokensBy::Secret(_)
        ));
        assert!(matches!(
            target.accounts.auth[&Dialect::Feed],
            TokensBy::Command(_)
        ));
        assert!(!target.accounts.auth.contains_key(&Dialect::Rooms));
        assert!(matches!(
            target.accounts.users[&Dialect::Rooms],
            UsersBy::Steps(_)
        ));
        assert!(target.has("auth.secret") && target.has("users") && target.has("channels"));
        assert!(target.has("events.outbox") && !target.has("admin"));
        assert_eq!(target.headers_for(Some(Dialect::Direct)).len(), 1);
        assert_eq!(target.headers_for(Some(Dialect::Feed)).len(), 0);
    }

    #[test]
    fn a_wrong_target_file_names_the_place_or_the_key() {
        let rows = [
            ("urls: []", "`urls` is empty"),
            ("urls: [\"ws://x:${port}\"]", "add `spawn`"),
            (
                "urls: [\"ws://x:1\"]\ndialects: [ecco]",
                "`ecco` is not a dialect; there is: echo, rooms, outbox, feed, direct",
            ),
            (
                "urls: [\"ws://x:1\"]\nspawn: {command: []}",
                "`spawn.command` is empty",
            ),
            (
                "urls: [\"ws://x:1\"]\nheaders: {A: {env: NO_SUCH_VARIABLE}}",
                "NO_SUCH_VARIABLE is not set",
            ),
            ("urls: [\"ws://x:1\"]\ntiming: {}", "timing"),
            ("urls: [\"ws://x:1\"]\nauth: {secrets: {text: s}}", "secrets"),
            (
                "urls: [\"ws://x:1\"]\nauth: {direct: {}}",
                "`auth` needs exactly one of secret, login and command",
            ),
            (
                "urls: [\"ws://x:1\"]\nauth: {direct: {command: [x]}, dirct: {command: [x]}}",
                "`dirct` is not a dialect",
            ),
            (
                "urls: [\"ws://x:1\"]\nauth: {secret: {env: NO_SUCH_VARIABLE}}",
                "NO_SUCH_VARIABLE is not set",
            ),
            (
                "urls: [\"ws://x:1\"]\nusers: {command: [x], list: [{id: 1}]}",
                "`users` needs exactly one of admin, steps, command and list",
            ),
            ("urls: [\"ws://x:1\"]\nusers: {admin: {key: k, url: u}}", "url"),
        ];
        for (text, why) in rows {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }

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
