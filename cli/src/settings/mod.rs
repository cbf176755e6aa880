//! How `serve` is set up: one table of keys, and four places where a value may come from.
//!
//! A default is overridden by the file, the file by the environment, the environment by the command line. What every
//! value is in the end, and where it came from, is kept: `--print-config` shows it, and every complaint names it.
//! Secrets are not in the table: they come from files of their own and from the environment ([`secrets`]).

mod environment;
mod file;
mod flags;
mod print;
mod schema;
pub(crate) mod secrets;
mod slot;
mod table;
mod units;

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use touchstone_scenarios::diag::closest;
use touchstone_server::{Compression, Config, Rate, TlsFiles};

use crate::exit::Failure;

pub(crate) use environment::Environment;
pub(crate) use flags::KeyFlags;
pub(crate) use print::{as_json, as_text};
pub(crate) use schema::schema;
pub(crate) use slot::store;

use slot::Given;
use table::Key;

/// How the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// What the keys set: the server's configuration, and beside it what is worked out once everything is known.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) server: Config,
    pub(crate) log_format: LogFormat,
    pub(crate) log_filter: String,
    admin_key_file: Option<PathBuf>,
    secret_file: Option<PathBuf>,
    rooms_secret_file: Option<PathBuf>,
    outbox_secret_file: Option<PathBuf>,
    feed_secret_file: Option<PathBuf>,
    direct_secret_file: Option<PathBuf>,
    tls_certificate: Option<PathBuf>,
    tls_key: Option<PathBuf>,
    compression: Switch,
    compression_terms: Compression,
    retry_after_min: Duration,
    retry_after_max: Duration,
    rate: Option<Rate>,
}

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Switch {
    On,
    Off,
}

impl Default for Settings {
    fn default() -> Self {
        let server = Config::default();
        let advice = server.deadlines.retry_after_seconds.clone();
        Self {
            log_format: LogFormat::Text,
            log_filter: "info".to_owned(),
            admin_key_file: None,
            secret_file: None,
            rooms_secret_file: None,
            outbox_secret_file: None,
            feed_secret_file: None,
            direct_secret_file: None,
            tls_certificate: None,
            tls_key: None,
            compression: Switch::Off,
            compression_terms: Compression::default(),
            retry_after_min: Duration::from_secs((*advice.start()).into()),
            retry_after_max: Duration::from_secs((*advice.end()).into()),
            rate: None,
            server,
        }
    }
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Nobody set it.
    Default,
    /// A line of the configuration file.
    File { path: String, line: usize },
    /// An environment variable.
    Environment(String),
    /// The command line: `--grace`, or `--set server.grace`.
    Flag(String),
    /// Another key that stands for several.
    Key(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{path}:{line}"),
            Self::Environment(name) => write!(f, "env {name}"),
            Self::Flag(flag) => f.write_str(flag),
            Self::Key(name) => write!(f, "key {name}"),
        }
    }
}

/// Where each key that somebody set got its value.
#[derive(Debug, Default)]
pub(crate) struct Origins(HashMap<&'static str, Origin>);

impl Origins {
    pub(crate) fn of(&self, key: &str) -> Origin {
        self.0.get(key).cloned().unwrap_or(Origin::Default)
    }
}

/// A value for a key, and where it came from.
#[derive(Debug)]
struct Assignment {
    key: &'static Key,
    given: Given,
    origin: Origin,
}

/// Everything that was said, on the command line as far as it is about keys.
#[derive(Debug)]
pub(crate) struct Said<'a> {
    pub(crate) config_file: Option<&'a PathBuf>,
    pub(crate) environment: &'a Environment,
    pub(crate) flags: &'a KeyFlags,
    /// `KEY=VALUE`, as typed.
    pub(crate) set: &'a [String],
}

/// What follows from it.
#[derive(Debug, Default)]
pub(crate) struct Resolved {
    pub(crate) settings: Settings,
    pub(crate) origins: Origins,
    /// What is worth a warning, once there is a log.
    pub(crate) warnings: Vec<String>,
}

/// Works out every value.
///
/// # Errors
/// Whatever cannot be understood, with its key and its place; all mistakes of the file at once.
pub(crate) fn resolve(said: &Said<'_>) -> Result<Resolved, Failure> {
    let mut resolved = Resolved {
        settings: Settings::default(),
        origins: Origins::default(),
        warnings: said.environment.warnings(),
    };
    let from_file = match said.config_file {
        Some(path) => file::read(path)?,
        None => Vec::new(),
    };
    let from_environment = said.environment.assignments()?;
    let from_flags = said.flags.assignments();
    let from_set = said
        .set
        .iter()
        .map(|text| set(text))
        .collect::<Result<Vec<_>, _>>()?;
    for assignment in [from_file, from_environment, from_flags, from_set]
        .into_iter()
        .flatten()
    {
        let Assignment { key, given, origin } = assignment;
        key.slot.read(&mut resolved.settings, &given).map_err(|advice| {
            Failure::usage(format!(
                "{origin}: `{}` {}: {advice}",
                key.name,
                key.slot.refusal(&given)
            ))
        })?;
        resolved.origins.0.insert(key.name, origin);
    }
    finish(&mut resolved)?;
    Ok(resolved)
}

/// `KEY=VALUE` of `--set`.
fn set(text: &str) -> Result<Assignment, Failure> {
    let Some((name, value)) = text.split_once('=') else {
        return Err(Failure::usage(format!("--set {text}: write KEY=VALUE")));
    };
    let Some(key) = table::find(name) else {
        return Err(Failure::usage(format!("--set {name}: {}", unknown(name))));
    };
    Ok(Assignment {
        key,
        given: Given::Text(value.to_owned()),
        origin: Origin::Flag("--set".to_owned()),
    })
}

/// Whether the key of this name takes this value.
///
/// # Errors
/// That there is no such key, or what to write instead.
pub(crate) fn check(name: &str, value: &str) -> Result<(), String> {
    let key = table::find(name).ok_or_else(|| unknown(name))?;
    key.check(&Given::Text(value.to_owned()))
        .map_err(|advice| format!("`{name}` cannot be `{value}`: {advice}"))
}

/// That `name` is no key, and which one was meant.
fn unknown(name: &str) -> String {
    if secrets::is_one(name) {
        return format!("`{name}` is a secret: {}", secrets::WHERE_FROM);
    }
    let names: Vec<_> = table::keys().map(|key| key.name).collect();
    match closest(name, &names) {
        Some(best) => format!("there is no key `{name}`; did you mean `{best}`?"),
        None => format!("there is no key `{name}`; `touchstone serve --print-config` lists all"),
    }
}

/// What depends on several keys.
fn finish(resolved: &mut Resolved) -> Result<(), Failure> {
    for key in table::keys() {
        let Some(general) = key.falls_back_to else {
            continue;
        };
        if resolved.origins.of(key.name) == Origin::Default && resolved.origins.of(general) != Origin::Default
        {
            let general = table::find(general).expect("a key falls back to another of the table");
            let value = Given::from(&general.slot.show(&mut resolved.settings));
            key.slot
                .read(&mut resolved.settings, &value)
                .expect("both keys take the same values");
            resolved.origins.0.insert(key.name, Origin::Key(general.name));
        }
    }
    let settings = &mut resolved.settings;
    settings.server.tls = match (&settings.tls_certificate, &settings.tls_key) {
        (Some(certificate), Some(key)) => Some(TlsFiles {
            certificate: certificate.clone(),
            key: key.clone(),
        }),
        (None, None) => None,
        (Some(_), None) => return Err(alone(&resolved.origins, "tls.certificate", "tls.key")),
        (None, Some(_)) => return Err(alone(&resolved.origins, "tls.key", "tls.certificate")),
    };
    settings.server.compression = match settings.compression {
        Switch::On => Some(settings.compression_terms),
        Switch::Off => None,
    };
    let seconds = |time: Duration| {
        u8::try_from(time.as_secs())
            .ok()
            .filter(|_| time.subsec_nanos() == 0)
    };
    settings.server.deadlines.retry_after_seconds = match (
        seconds(settings.retry_after_min),
        seconds(settings.retry_after_max),
    ) {
        (Some(min), Some(max)) if min <= max => min..=max,
        _ => {
            return Err(Failure::usage(
                "`server.retry_after.min` and `server.retry_after.max` are whole seconds up to 255s, the first not the longer",
            ));
        }
    };
    Ok(())
}

fn alone(origins: &Origins, there: &str, missing: &str) -> Failure {
    Failure::usage(format!(
        "`{there}` is set ({}) and `{missing}` is not: they go together",
        origins.of(there)
    ))
}

#[cfg(test)]
mod tests;
