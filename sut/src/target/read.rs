//! A target from what the command line names: a URL, a command, or a file.

use std::collections::BTreeMap;
use std::path::Path;

use http::{HeaderName, HeaderValue};
use touchstone_protocol::Dialect;
use touchstone_scenarios::{read_source, yaml};

use super::check::{self, dialect_named};
use super::urls::{self, Scheme, address_of};
use super::{Origin, Ready, SPAWN_DEADLINE, Security, Target, TargetError};
use crate::accounts::Accounts;
use crate::file::{FileReady, FileSignal, FileText, FileTls, PerDialect, TargetFile};
use crate::process::Signal;
use crate::transport::Trust;

impl Target {
    /// A server that runs already, by its URL alone: `ws://HOST:PORT`, or `wss://HOST:PORT`, which is believed as the
    /// system says; [`Target::trusting`] makes that otherwise.
    ///
    /// # Errors
    /// The URL is none of a WebSocket.
    pub fn from_url(url: &str, dialects: &[Dialect]) -> Result<Self, TargetError> {
        let (scheme, address) = address_of(url)?;
        let addresses = vec![address];
        let origin = Origin::Running { addresses };
        Ok(Self {
            security: security(scheme, None),
            ..Self::at(url, or_all(dialects.to_vec()), origin)
        })
    }

    /// The same server, believed so. One that is started by a command speaks TLS then.
    ///
    /// # Errors
    /// It runs and does not speak TLS.
    pub fn trusting(self, trust: Trust) -> Result<Self, TargetError> {
        match (&self.origin, &self.security) {
            (Origin::Running { .. }, Security::Plain) => Err(TargetError::Value(format!(
                "--ca and --insecure are about TLS, and `{}` is without: write wss:// for ws://",
                self.name
            ))),
            (Origin::Running { .. } | Origin::Spawned { .. } | Origin::BuiltIn(_), _) => Ok(Self {
                security: Security::Tls(trust),
                ..self
            }),
        }
    }

    /// A server that is started by this command, split as a shell splits words. It gets its port as `PORT` and in
    /// place of `${port}`, and is ready when it accepts TCP.
    ///
    /// # Errors
    /// The command cannot be split, is empty, or needs a shell.
    pub fn from_command(command: &str, dialects: &[Dialect]) -> Result<Self, TargetError> {
        let words = Self::command_words(command)?;
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

    /// The words of a command, split as a shell splits them.
    ///
    /// # Errors
    /// The command cannot be split, is empty, or needs a shell.
    pub fn command_words(command: &str) -> Result<Vec<String>, TargetError> {
        let words = shlex::split(command)
            .filter(|words| !words.is_empty())
            .ok_or_else(|| TargetError::Value(format!("`{command}` is no command: check its quotes")))?;
        if let Some(word) = for_a_shell(&words) {
            return Err(TargetError::Value(format!(
                "`{word}` is for a shell, and there is none; write sh -c '…', with an `exec` before the server"
            )));
        }
        Ok(words)
    }

    /// Reads a target file.
    ///
    /// # Errors
    /// It cannot be read, is no target file (the diagnostic has the place), or a value in it cannot be used.
    pub fn from_file(path: &str) -> Result<Self, TargetError> {
        let source = read_source(Path::new(path)).map_err(|diag| TargetError::Invalid(Box::new(diag)))?;
        let file: TargetFile =
            yaml::from_str(&source).map_err(|diag| TargetError::Invalid(Box::new(check::explained(diag))))?;
        Self::from_parsed(path, file).map_err(|error| match error {
            TargetError::Key {
                key,
                part,
                message,
                help,
            } => TargetError::Invalid(Box::new(check::placed(&source, (&key, part), message, help))),
            other => other,
        })
    }

    fn from_parsed(name: &str, file: TargetFile) -> Result<Self, TargetError> {
        check::check(&file)?;
        let dialects = file
            .dialects
            .iter()
            .map(|name| dialect_named("dialects", name))
            .collect::<Result<Vec<_>, _>>()?;
        let (scheme, addresses) = urls::read(&file.urls)?;
        let trust = file.tls.map(trust).transpose()?;
        if scheme == Scheme::Ws && trust.is_some() {
            return Err(TargetError::key(
                "tls",
                "`tls` is for `urls` that begin with wss://, and these begin with ws://",
            ));
        }
        let origin = match file.spawn {
            None if addresses.iter().any(|address| address.contains("${port}")) => {
                return Err(TargetError::key(
                    "urls",
                    "`${port}` in `urls` is the port of a server that is started: add `spawn`, or write the port",
                ));
            }
            None => Origin::Running { addresses },
            Some(spawn) if spawn.command.is_empty() => {
                return Err(TargetError::key(
                    "spawn.command",
                    "`spawn.command` is empty: name the program to start",
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
        target.security = security(scheme, trust);
        for (dialect, paths) in file.paths {
            target.paths.insert(dialect_named("paths", &dialect)?, paths);
        }
        target
            .timings
            .extend(file.timings.into_iter().map(|(name, value)| (name, value.0)));
        target.limits = file.limits;
        target.capabilities = file.capabilities;
        target.inject = file.inject;
        for (dialect, ways) in file.operate {
            let key = format!("operate.{dialect}");
            let ways = ways
                .into_iter()
                .map(|(name, way)| Ok((check::act_named(&key, &name)?, way)));
            let ways = ways.collect::<Result<_, TargetError>>()?;
            target.operate.insert(dialect_named(&key, &dialect)?, ways);
        }
        target.faults = file.faults;
        for (dialect, entries) in file.headers.map(PerDialect::by_dialect).unwrap_or_default() {
            target.headers.insert(dialect, headers("headers", &entries)?);
        }
        target.accounts = Accounts::read(file.auth, file.users, file.tenants, file.channels)?;
        target.check_lent()?;
        for (dialect, events) in file.events {
            target.events.insert(dialect_named("events", &dialect)?, events);
        }
        Ok(target)
    }
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

/// TLS where the URL says so; who is believed then is up to the system unless somebody says otherwise.
fn security(scheme: Scheme, trust: Option<Trust>) -> Security {
    match scheme {
        Scheme::Ws => Security::Plain,
        Scheme::Wss => Security::Tls(trust.unwrap_or(Trust::System)),
    }
}

fn trust(tls: FileTls) -> Result<Trust, TargetError> {
    match (tls.ca, tls.insecure) {
        (Some(_), true) => Err(TargetError::key(
            "tls.insecure",
            "`tls.ca` says who is believed and `tls.insecure` that everybody is: leave one out",
        )),
        (Some(path), false) => Ok(Trust::Authorities(path)),
        (None, true) => Ok(Trust::Anyone),
        (None, false) => Ok(Trust::System),
    }
}

fn or_all(dialects: Vec<Dialect>) -> Vec<Dialect> {
    if dialects.is_empty() {
        Dialect::ALL.to_vec()
    } else {
        dialects
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
                let key = format!("{key}.{name}");
                let message = format!("`{key}`: the environment variable {variable} is not set");
                TargetError::key(&key, message)
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
        header.ok_or_else(|| {
            let key = format!("{key}.{name}");
            TargetError::key(&key, format!("`{key}` is no HTTP header"))
        })
    };
    texts(key, values.clone())?.into_iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use touchstone_protocol::defaults;
    use touchstone_scenarios::source::Source;

    use super::*;
    use crate::accounts::{TokensBy, UsersBy};

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
             operate: {echo: {drain: {put: /drain, json: {in: \"${seconds}\"}}}}\n\
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
        assert!(target.has("operate.echo.drain") && !target.has("operate.echo.sweep"));
        assert!(!target.has("operate.rooms.drain") && !target.has("operate.echo.broadcast"));
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
    fn who_is_believed_is_said_by_the_file_or_by_the_command_line() {
        let wss = |more: &str| {
            let target = read(&format!("urls: [\"wss://127.0.0.1:1\"]\n{more}")).unwrap();
            target.security
        };
        let own = || Trust::Authorities("ca.pem".into());
        assert_eq!(wss(""), Security::Tls(Trust::System));
        assert_eq!(wss("tls: {}"), Security::Tls(Trust::System));
        assert_eq!(wss("tls: {ca: ca.pem}"), Security::Tls(own()));
        assert_eq!(wss("tls: {insecure: true}"), Security::Tls(Trust::Anyone));
        let by_url = |url| Target::from_url(url, &[]).unwrap();
        assert_eq!(by_url("ws://h").security, Security::Plain);
        assert_eq!(by_url("wss://h").security, Security::Tls(Trust::System));
        let trusting = by_url("wss://h").trusting(own()).unwrap();
        assert_eq!(trusting.security, Security::Tls(own()));
        let refused = by_url("ws://h").trusting(own()).unwrap_err().to_string();
        assert!(refused.contains("write wss:// for ws://"), "{refused}");
        let spawned = Target::from_command("server", &[]).unwrap();
        assert_eq!(spawned.security, Security::Plain);
        assert_eq!(
            spawned.trusting(Trust::Anyone).unwrap().security,
            Security::Tls(Trust::Anyone)
        );
    }

    #[test]
    fn accounts_are_for_all_dialects_or_for_each() {
        let target = read(
            "urls: [\"ws://127.0.0.1:1\"]\n\
             auth: {direct: {secret: {text: s, algorithm: HS384}}, feed: {command: [./token, \"${user.id}\"]}}\n\
             users: {steps: [{post: /register, json: {name: \"${user.username}\"}, take: {id: /id}}]}\n\
             tenants: {rooms: {step: {post: /tenants, json: {name: \"${tenant.name}\"}, take: {id: /id}}}}\n\
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
        assert!(target.has("auth.secret") && target.has("users"));
        assert!(target.has("tenants") && target.has("channels"));
        assert!(target.has("events.outbox") && !target.has("admin"));
        assert_eq!(target.headers_for(Some(Dialect::Direct)).len(), 1);
        assert_eq!(target.headers_for(Some(Dialect::Feed)).len(), 0);
    }
}
