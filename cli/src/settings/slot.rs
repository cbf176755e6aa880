//! What kinds of values there are: how each is read, shown, and described.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use touchstone_protocol::Dialect;
use touchstone_scenarios::duration;
use touchstone_server::{BusChoice, Network, Rate, StoreChoice};
use touchstone_storage::PostgresUrl;
use touchstone_storage::redis::RedisUrl;
use tracing_subscriber::EnvFilter;

use super::{Settings, Switch, units};

/// The place of a value in the settings.
pub(super) type At<T> = fn(&mut Settings) -> &mut T;

/// A value as it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Given {
    /// One text; where a list is wanted, its items stand between commas.
    Text(String),
    /// A list of a file, or a flag that was given several times.
    List(Vec<String>),
}

impl fmt::Display for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::List(items) => f.write_str(&items.join(",")),
        }
    }
}

impl From<&Value> for Given {
    fn from(value: &Value) -> Self {
        match value {
            Value::Null => Self::Text(NONE.to_owned()),
            Value::Bool(value) => Self::Text(value.to_string()),
            Value::Number(number) => Self::Text(number.to_string()),
            Value::String(text) => Self::Text(text.clone()),
            Value::Array(items) => {
                Self::List(items.iter().map(|item| Self::from(item).to_string()).collect())
            }
            Value::Object(_) => unreachable!("no value of a key is a mapping"),
        }
    }
}

/// How "nothing" is written where it is a value: no limit, no file.
pub(super) const NONE: &str = "none";

/// Whether a time may be nothing at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Least {
    Zero,
    MoreThanZero,
}

/// A choice between words.
#[derive(Debug, Clone, Copy)]
pub(super) struct Words {
    pub(super) words: &'static [&'static str],
    /// Takes the word at this index.
    pub(super) set: fn(&mut Settings, usize),
    /// The index of the word that holds.
    pub(super) get: fn(&Settings) -> usize,
}

/// A kind of value, and its place. Whole numbers and sizes carry what they are at least.
#[derive(Debug, Clone, Copy)]
pub(super) enum Slot {
    Switch(At<bool>),
    OnOff(At<Switch>),
    Count(At<usize>, usize),
    OptionalCount(At<Option<usize>>, usize),
    SmallCount(At<u8>, u8, u8),
    Size(At<usize>, usize),
    Time(At<Duration>, Least),
    OptionalTime(At<Option<Duration>>),
    Rate(At<Option<Rate>>),
    Text(At<Option<String>>),
    Texts(At<Vec<String>>),
    OptionalTexts(At<Option<Vec<String>>>),
    Filter(At<String>),
    File(At<Option<PathBuf>>),
    Files(At<Vec<PathBuf>>),
    Address(At<Option<SocketAddr>>),
    Addresses(At<Vec<SocketAddr>>),
    Networks(At<Vec<Network>>),
    Dialects(At<Vec<Dialect>>),
    Store(At<StoreChoice>),
    Bus(At<BusChoice>),
    Words(Words),
}

type Read<T> = Result<T, String>;

impl Slot {
    /// Takes a value over.
    ///
    /// # Errors
    /// What to write instead.
    pub(super) fn read(&self, settings: &mut Settings, given: &Given) -> Read<()> {
        let text = || one(given, self);
        match *self {
            Self::Switch(at) => *at(settings) = switch(text()?)?,
            Self::OnOff(at) => {
                *at(settings) = if switch(text()?)? { Switch::On } else { Switch::Off };
            }
            Self::Count(at, least) => *at(settings) = count(text()?, least)?,
            Self::OptionalCount(at, least) => *at(settings) = optional(text()?, |text| count(text, least))?,
            Self::SmallCount(at, least, most) => *at(settings) = small_count(text()?, least, most)?,
            Self::Size(at, least) => *at(settings) = size(text()?, least)?,
            Self::Time(at, least) => *at(settings) = time(text()?, least)?,
            Self::OptionalTime(at) => {
                *at(settings) = optional(text()?, |text| time(text, Least::MoreThanZero))?;
            }
            Self::Rate(at) => *at(settings) = optional(text()?, rate)?,
            Self::Text(at) => *at(settings) = optional(text()?, not_empty)?,
            Self::Texts(at) => *at(settings) = list(given, not_empty)?,
            Self::OptionalTexts(at) => {
                *at(settings) = match given {
                    Given::Text(text) if text == NONE => None,
                    given => Some(list(given, not_empty)?),
                };
            }
            Self::Filter(at) => *at(settings) = filter(text()?)?,
            Self::File(at) => *at(settings) = optional(text()?, path)?,
            Self::Files(at) => *at(settings) = list(given, path)?,
            Self::Address(at) => *at(settings) = optional(text()?, address)?,
            Self::Addresses(at) => *at(settings) = filled(list(given, address)?)?,
            Self::Networks(at) => *at(settings) = list(given, network)?,
            Self::Dialects(at) => *at(settings) = filled(list(given, dialect)?)?,
            Self::Store(at) => *at(settings) = store(text()?)?,
            Self::Bus(at) => *at(settings) = bus(text()?)?,
            Self::Words(words) => (words.set)(settings, word(text()?, words.words)?),
        }
        Ok(())
    }

    /// The value that holds, as [`read`](Self::read) takes it: text for what has a unit, `null` for none.
    pub(super) fn show(&self, settings: &mut Settings) -> Value {
        match *self {
            Self::Switch(at) => (*at(settings)).into(),
            Self::OnOff(at) => (*at(settings) == Switch::On).into(),
            Self::Count(at, _) => (*at(settings)).into(),
            Self::OptionalCount(at, _) => (*at(settings)).into(),
            Self::SmallCount(at, _, _) => (*at(settings)).into(),
            Self::Size(at, _) => shown_size(*at(settings)),
            Self::Time(at, _) => duration::written(*at(settings)).into(),
            Self::OptionalTime(at) => at(settings).map(duration::written).into(),
            Self::Rate(at) => at(settings).map(units::written_rate).into(),
            Self::Text(at) => at(settings).clone().into(),
            Self::Texts(at) => at(settings).clone().into(),
            Self::OptionalTexts(at) => at(settings).clone().into(),
            Self::Filter(at) => at(settings).clone().into(),
            Self::File(at) => at(settings).as_ref().map(|path| path.to_string_lossy()).into(),
            Self::Files(at) => texts(at(settings).iter().map(|path| path.to_string_lossy())),
            Self::Address(at) => at(settings).map(|address| address.to_string()).into(),
            Self::Addresses(at) => texts(at(settings).iter()),
            Self::Networks(at) => texts(at(settings).iter()),
            Self::Dialects(at) => texts(at(settings).iter()),
            Self::Store(at) => match at(settings) {
                StoreChoice::Memory => "embedded:".into(),
                StoreChoice::Path(path) => format!("embedded:{}", path.display()).into(),
                StoreChoice::Redis(url) => url.to_string().into(),
                StoreChoice::Postgres(url) => url.to_string().into(),
            },
            Self::Bus(at) => match at(settings) {
                BusChoice::Local => "local:".into(),
            },
            Self::Words(words) => words.words[(words.get)(settings)].into(),
        }
    }

    /// Whether who writes such a value may have written a password into it.
    pub(super) const fn may_hold_a_password(&self) -> bool {
        matches!(self, Self::Store(_) | Self::Bus(_))
    }

    /// That it cannot be `given`, which is not repeated if a password may be in it.
    pub(super) fn refusal(&self, given: &Given) -> String {
        if self.may_hold_a_password() {
            "cannot be that".to_owned()
        } else {
            format!("cannot be `{given}`")
        }
    }

    /// In a word or two, what is to be written.
    pub(super) const fn placeholder(&self) -> &'static str {
        match self {
            Self::Switch(_) | Self::OnOff(_) => "BOOLEAN",
            Self::Count(..) | Self::OptionalCount(..) | Self::SmallCount(..) => "N",
            Self::Size(..) => "SIZE",
            Self::Time(..) | Self::OptionalTime(_) => "TIME",
            Self::Rate(_) => "RATE",
            Self::Text(_) => "TEXT",
            Self::Texts(_) | Self::OptionalTexts(_) | Self::Dialects(_) => "LIST",
            Self::Filter(_) => "FILTER",
            Self::File(_) | Self::Files(_) => "FILE",
            Self::Address(_) | Self::Addresses(_) => "ADDR",
            Self::Networks(_) => "CIDR",
            Self::Store(_) | Self::Bus(_) => "URL",
            Self::Words(_) => "WORD",
        }
    }

    /// Whether several values are taken.
    pub(super) const fn takes_several(&self) -> bool {
        match self {
            Self::Texts(_)
            | Self::OptionalTexts(_)
            | Self::Files(_)
            | Self::Addresses(_)
            | Self::Networks(_)
            | Self::Dialects(_) => true,
            Self::Switch(_)
            | Self::OnOff(_)
            | Self::Count(..)
            | Self::OptionalCount(..)
            | Self::SmallCount(..)
            | Self::Size(..)
            | Self::Time(..)
            | Self::OptionalTime(_)
            | Self::Rate(_)
            | Self::Text(_)
            | Self::Filter(_)
            | Self::File(_)
            | Self::Address(_)
            | Self::Store(_)
            | Self::Bus(_)
            | Self::Words(_) => false,
        }
    }

    /// Whether `none` is a value.
    pub(super) const fn is_optional(&self) -> bool {
        matches!(
            self,
            Self::OptionalCount(..)
                | Self::OptionalTime(_)
                | Self::Rate(_)
                | Self::Text(_)
                | Self::OptionalTexts(_)
                | Self::File(_)
                | Self::Address(_)
        )
    }
}

fn shown_size(bytes: usize) -> Value {
    let text = units::written_size(bytes);
    text.parse::<usize>().map_or_else(|_| text.into(), Value::from)
}

fn texts<T: ToString>(items: impl Iterator<Item = T>) -> Value {
    items.map(|item| item.to_string()).collect()
}

/// The one text that a kind takes which is no list.
fn one<'a>(given: &'a Given, slot: &Slot) -> Read<&'a str> {
    match given {
        Given::Text(text) => Ok(text.trim()),
        Given::List(items) => match items.as_slice() {
            [item] => Ok(item.trim()),
            _ => Err(format!("write one {}, not a list", slot.placeholder())),
        },
    }
}

/// The items; `none`, and nothing at all, is a list without any.
fn list<T>(given: &Given, read: impl Fn(&str) -> Read<T>) -> Read<Vec<T>> {
    match given {
        Given::Text(text) if text.trim().is_empty() || text.trim() == NONE => Ok(Vec::new()),
        Given::Text(text) => text.split(',').map(|item| read(item.trim())).collect(),
        Given::List(items) => items.iter().map(|item| read(item.trim())).collect(),
    }
}

fn filled<T>(items: Vec<T>) -> Read<Vec<T>> {
    if items.is_empty() {
        return Err("write at least one".to_owned());
    }
    Ok(items)
}

fn optional<T>(text: &str, read: impl Fn(&str) -> Read<T>) -> Read<Option<T>> {
    if text == NONE {
        return Ok(None);
    }
    read(text)
        .map(Some)
        .map_err(|advice| format!("{advice}, or {NONE}"))
}

fn switch(text: &str) -> Read<bool> {
    match text {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        _ => Err("write true or false".to_owned()),
    }
}

fn count(text: &str, least: usize) -> Read<usize> {
    units::count(text)
        .filter(|number| *number >= least)
        .ok_or_else(|| format!("write a whole number of {least} or more"))
}

fn small_count(text: &str, least: u8, most: u8) -> Read<u8> {
    text.parse()
        .ok()
        .filter(|number| (least..=most).contains(number))
        .ok_or_else(|| format!("write a whole number from {least} to {most}"))
}

fn size(text: &str, least: usize) -> Read<usize> {
    units::size(text).filter(|bytes| *bytes >= least).ok_or_else(|| {
        format!(
            "write bytes, for example 65536, 64KiB or 1MiB, {} or more",
            units::written_size(least)
        )
    })
}

fn time(text: &str, least: Least) -> Read<Duration> {
    let time = duration::fixed(text)
        .ok_or("write a time with its unit, for example 250ms, 1.5s, 2m or 1h".to_owned())?;
    if time.is_zero() && least == Least::MoreThanZero {
        return Err("write a time of more than nothing".to_owned());
    }
    Ok(time)
}

fn rate(text: &str) -> Read<Rate> {
    units::rate(text).ok_or_else(|| "write messages a second, for example 50/s or 50/s burst 100".to_owned())
}

fn not_empty(text: &str) -> Read<String> {
    if text.is_empty() {
        return Err("write something".to_owned());
    }
    Ok(text.to_owned())
}

fn filter(text: &str) -> Read<String> {
    EnvFilter::try_new(text)
        .map(|_| text.to_owned())
        .map_err(|error| format!("{error}; write for example debug, or touchstone_server=debug"))
}

fn path(text: &str) -> Read<PathBuf> {
    if text.is_empty() {
        return Err("write the path of a file".to_owned());
    }
    Ok(PathBuf::from(text))
}

fn address(text: &str) -> Read<SocketAddr> {
    text.parse()
        .map_err(|_| "write an address and a port, for example 127.0.0.1:8080 or [::]:8080".to_owned())
}

fn network(text: &str) -> Read<Network> {
    text.parse()
        .map_err(|error: touchstone_server::InvalidNetwork| error.to_string())
}

fn dialect(text: &str) -> Read<Dialect> {
    text.parse()
        .map_err(|error: touchstone_protocol::UnknownDialect| error.to_string())
}

/// Reads where state lives.
pub(crate) fn store(text: &str) -> Read<StoreChoice> {
    match text.split_once(':') {
        Some(("embedded", "")) => Ok(StoreChoice::Memory),
        Some(("embedded", path)) => Ok(StoreChoice::Path(path.into())),
        Some((scheme, _)) if scheme.starts_with("redis") => {
            let url = text.parse::<RedisUrl>();
            url.map(StoreChoice::Redis).map_err(|error| error.to_string())
        }
        Some(("postgres" | "postgresql", _)) => {
            let url = text.parse::<PostgresUrl>();
            url.map(Box::new).map(StoreChoice::Postgres).map_err(|error| error.to_string())
        }
        Some(_) | None => Err(
            "write embedded: (in memory), embedded:PATH (durable), redis://HOST or postgres://USER@HOST/DATABASE"
                .to_owned(),
        ),
    }
}

fn bus(text: &str) -> Read<BusChoice> {
    match text {
        "local:" => Ok(BusChoice::Local),
        _ => Err("write local:, the only bus there is".to_owned()),
    }
}

fn word(text: &str, words: &[&str]) -> Read<usize> {
    words
        .iter()
        .position(|word| *word == text)
        .ok_or_else(|| format!("there is: {}", words.join(", ")))
}
