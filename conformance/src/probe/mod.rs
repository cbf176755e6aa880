//! A look at a target before the first case: whether users, tokens and channels come to be as its target file says, and
//! whether a plain connection opens. What is wrong is said once, by the key of the file that would change it, and not
//! again by every case.
//!
//! Nothing is judged here: a server that refuses or drops a handshake is for the cases, which know what it owes.

mod server;

use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;
use touchstone_protocol::{Dialect, routes};
use touchstone_report::number;
use touchstone_scenarios::cast::Password;
use touchstone_scenarios::rules::Rules;
use touchstone_scenarios::scenario::Matcher;
use touchstone_sut::{ChannelWanted, Injection, People, ProvisionError, Sut, TokenWanted, User, UserWanted};

pub use server::probe_server;

use crate::client::{Address, Connection, OpenError};
use crate::frames::{Content, Frame, Message, opcode};
use crate::matching::{Environment, compare, text_of};
use crate::run::encoded;
use crate::tap::{Direction, Log, Record};

/// How long a plain connection may take to open: longer than any case waits, so that a slow server is theirs to judge.
const OPEN_DEADLINE: Duration = Duration::from_secs(10);
/// How long a message that the server was made to emit may take, and a connection that was let in to be closed again.
const ARRIVAL_DEADLINE: Duration = Duration::from_secs(2);

/// A timing that is longer is left to the cases: nobody waits half a minute for a look.
const TIMING_WAIT_MAX: Duration = Duration::from_secs(5);

/// How far a look goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Until a connection is open: what every case needs.
    Connection,
    /// Everything that the target file says how to do and that harms nobody.
    Everything,
}

/// Something that was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// On which dialect; `None`: it is about the server as a whole.
    pub dialect: Option<Dialect>,
    /// The key of the target file that it is about: `auth`, `paths.direct.ws`.
    pub key: String,
    /// How it went.
    pub outcome: Outcome,
}

/// How it went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// As it should; this was seen.
    Works(String),
    /// This was seen instead.
    Fails(String),
    /// There is nothing at this path, or nobody any more.
    NothingThere(String),
    /// The target file does not say how.
    NotSaid,
    /// It was left alone, for this reason.
    Untried(String),
}

impl Tried {
    /// What was seen, if that is in the way.
    #[must_use]
    pub fn trouble(&self) -> Option<&str> {
        match &self.outcome {
            Outcome::Fails(why) | Outcome::NothingThere(why) => Some(why),
            Outcome::Works(_) | Outcome::NotSaid | Outcome::Untried(_) => None,
        }
    }
}

/// Tries what the target file says of a dialect, in the order in which a case needs it, until something is in the way.
pub async fn probe(sut: &Sut, dialect: Dialect, depth: Depth) -> Vec<Tried> {
    let mut probe = Probe {
        sut,
        dialect,
        mark: format!("{:08x}", fastrand::u32(..)),
        tried: Vec::new(),
        hidden: sut
            .secrets()
            .into_iter()
            .map(|secret| (secret.to_owned(), "<secret>".to_owned()))
            .collect(),
    };
    // Where something is in the way, the list says what, and nothing after it can be tried.
    let _in_the_way = Box::pin(probe.walk(depth)).await;
    probe.tried
}

struct Probe<'a> {
    sut: &'a Sut,
    dialect: Dialect,
    /// In every name that is made up here: no two looks make the same.
    mark: String,
    tried: Vec<Tried>,
    /// Texts that are never shown, with what is shown in their place.
    hidden: Vec<(String, String)>,
}

/// Who connects: nobody in particular where the dialect has no users.
struct Newcomer {
    user: Option<User>,
    token: Option<String>,
    channel: Option<Value>,
    /// A user of a list is nobody else's as long as this is.
    _people: People,
}

/// Something is in the way, and is in the list.
struct InTheWay;

impl Probe<'_> {
    async fn walk(&mut self, depth: Depth) -> Result<(), InTheWay> {
        let newcomer = self.newcomer().await?;
        let mut tasks = JoinSet::new();
        let log = Log::default();
        let connection = self.connect(&newcomer, &log, &mut tasks).await?;
        if depth == Depth::Everything {
            self.is_let_in(&log).await?;
            self.inject(&newcomer, &log).await;
            self.events(&newcomer).await;
            self.heartbeat(&log).await;
        }
        connection.leave().await;
        tasks.join_all().await;
        Ok(())
    }

    fn note(&mut self, key: &str, outcome: Outcome) {
        let hide = |text: String| {
            self.hidden
                .iter()
                .fold(text, |text, (secret, shown)| text.replace(secret, shown))
        };
        let outcome = match outcome {
            Outcome::Works(seen) => Outcome::Works(hide(seen)),
            Outcome::Fails(why) => Outcome::Fails(hide(why)),
            Outcome::NothingThere(why) => Outcome::NothingThere(hide(why)),
            Outcome::NotSaid => Outcome::NotSaid,
            Outcome::Untried(why) => Outcome::Untried(hide(why)),
        };
        self.tried.push(Tried {
            dialect: Some(self.dialect),
            key: key.to_owned(),
            outcome,
        });
    }

    /// What came to be; what did not is noted under the key.
    fn provisioned<T>(&mut self, key: &str, made: Result<T, ProvisionError>) -> Result<T, InTheWay> {
        made.map_err(|error| {
            match error {
                ProvisionError::Missing(missing) => self.note(&missing, Outcome::NotSaid),
                ProvisionError::Failed(error) => self.note(key, Outcome::Fails(error.to_string())),
            }
            InTheWay
        })
    }

    async fn newcomer(&mut self) -> Result<Newcomer, InTheWay> {
        let (dialect, sut) = (self.dialect, self.sut);
        if !dialect.has_tokens() {
            return Ok(Newcomer {
                user: None,
                token: None,
                channel: None,
                _people: People::default(),
            });
        }
        let tenant = self.tenant().await?;
        let username = format!("probe-{}", self.mark);
        let password = format!("pass-{:016x}", fastrand::u64(..));
        self.hidden.push((password.clone(), "<password>".to_owned()));
        let wanted = UserWanted {
            fields: fields(json!({
                "email": format!("{username}@example.test"), "password": password, "name": username, "username": username,
            })),
            password: Password::Unused,
            tenant: tenant.clone(),
        };
        let made = sut.make_users(dialect, vec![wanted]).await;
        let people = self.provisioned("users", made)?;
        let user = people.users.first().cloned();
        let id = user.as_ref().and_then(|user| user.fields.get("id")).cloned();
        match &id {
            Some(id) => self.note(
                "users",
                Outcome::Works(format!("made user {}", text_of(id.clone()))),
            ),
            None => {
                self.note(
                    "users",
                    Outcome::Fails("a user was made, and has no `id`".to_owned()),
                );
                return Err(InTheWay);
            }
        }
        let mut token = None;
        if let Some(user) = &user {
            let given = sut.token(user, &TokenWanted::default()).await;
            let given = self.provisioned("auth", given)?;
            self.hidden.push((given.clone(), "<token>".to_owned()));
            self.note(
                "auth",
                Outcome::Works(format!("a token of {} characters", given.len())),
            );
            token = Some(given);
        }
        let mut channel = None;
        if sut
            .target()
            .websocket_path(dialect)
            .contains(routes::CHANNEL_SEGMENT)
        {
            let wanted = ChannelWanted {
                fields: fields(json!({ "name": format!("probe {}", self.mark) })),
                members: people.users.clone(),
                tenant,
            };
            let made = sut.make_channels(dialect, vec![wanted]).await;
            channel = self.provisioned("channels", made)?.into_iter().next();
            self.note("channels", Outcome::Works("made a channel".to_owned()));
        }
        Ok(Newcomer {
            user,
            token,
            channel,
            _people: people,
        })
    }

    async fn tenant(&mut self) -> Result<Value, InTheWay> {
        let folder = Rules::builtin().dialect(self.dialect);
        if !folder.is_some_and(|folder| folder.habits.tenants) {
            return Ok(Value::Null);
        }
        let schema = format!("t{}", self.mark);
        let wanted = fields(json!({ "name": format!("Tenant {schema}"), "schema_name": schema }));
        let made = self.sut.make_tenants(self.dialect, vec![wanted]).await;
        let made = self.provisioned("tenants", made)?;
        Ok(made.into_iter().next().unwrap_or_default())
    }

    /// Where the newcomer connects.
    fn address(&self, newcomer: &Newcomer) -> (String, Address) {
        let target = self.sut.target();
        let id = |value: Option<&Value>| {
            let id = value
                .and_then(|value| value.get("id"))
                .cloned()
                .unwrap_or_default();
            text_of(id)
        };
        let user = newcomer.user.as_ref().map(User::value);
        let path = target
            .websocket_path(self.dialect)
            .replace(routes::CHANNEL_SEGMENT, &encoded(&id(newcomer.channel.as_ref())))
            .replace(routes::USER_SEGMENT, &encoded(&id(user.as_ref())));
        let mut address = Address::new(self.sut.transport(), &self.sut.addresses()[0], &path);
        if let (Some(parameter), Some(token)) = (routes::token_parameter(self.dialect), &newcomer.token) {
            address.add_query(parameter, token);
        }
        for (header, value) in target.headers_for(Some(self.dialect)) {
            if let Ok(value) = value.to_str() {
                address.headers.push((header.to_string(), value.to_owned()));
            }
        }
        (path, address)
    }

    async fn connect(
        &mut self,
        newcomer: &Newcomer,
        log: &Log,
        tasks: &mut JoinSet<()>,
    ) -> Result<Connection, InTheWay> {
        let (path, address) = self.address(newcomer);
        let deadline = Instant::now() + OPEN_DEADLINE;
        let opened = Connection::open(&address, log.clone(), deadline, None, tasks).await;
        let key = format!("paths.{}.ws", self.dialect);
        let status = log.record().response.as_ref().map(|response| response.status);
        match (opened, status) {
            (Ok(connection), _) => {
                self.note(&key, Outcome::Works(format!("a connection opens at {path}")));
                Ok(connection)
            }
            (Err(_), Some(404)) => {
                let why = format!("there is no WebSocket at {path}: it was answered 404");
                self.note(&key, Outcome::NothingThere(why));
                Err(InTheWay)
            }
            (Err(_), Some(status)) if status != 101 => {
                self.note(&key, Outcome::Fails(format!("{path} was answered {status}")));
                Err(InTheWay)
            }
            (Err(error @ OpenError::Unreachable { .. }), _) => {
                self.note("urls", Outcome::NothingThere(error.to_string()));
                Err(InTheWay)
            }
            (Err(error), _) => {
                self.note(&key, Outcome::Fails(format!("no connection at {path}: {error}")));
                Err(InTheWay)
            }
        }
    }

    /// Some dialects accept everybody and close at once whom they do not know.
    async fn is_let_in(&mut self, log: &Log) -> Result<(), InTheWay> {
        let spoken = |record: &Record| {
            let close = record.server_close().map(|(close, _)| close.code);
            let greeted = !record.received.is_empty();
            (close.is_some() || greeted || record.server_end.is_some()).then_some(close)
        };
        let Some(Some(code)) = log.wait_for(Instant::now() + ARRIVAL_DEADLINE, spoken).await else {
            return Ok(());
        };
        let code = code.map_or("without a code".to_owned(), |code| format!("with {code}"));
        let why = format!("the connection opened and was closed at once {code}");
        let key = if self.dialect.has_tokens() {
            "auth".to_owned()
        } else {
            format!("paths.{}.ws", self.dialect)
        };
        self.note(&key, Outcome::Fails(why));
        Err(InTheWay)
    }

    /// Makes the server emit something, and awaits it.
    async fn inject(&mut self, newcomer: &Newcomer, log: &Log) {
        let (kind, data) = sample(self.dialect, &self.mark);
        let id = |value: &Value| value.get("id").cloned().unwrap_or_default();
        let user = newcomer.user.as_ref().map(|user| id(&user.value()));
        let channel = newcomer.channel.as_ref().map(id);
        let audiences = [
            ("user", user.clone()),
            ("users", user.map(|id| json!([id]))),
            ("channel", channel),
            ("all", Some("all".into())),
        ];
        let schema = newcomer
            .user
            .as_ref()
            .and_then(|user| user.tenant.get("schema_name"));
        let tenant = schema.cloned().unwrap_or_default();
        for (audience, to) in audiences {
            let key = format!("inject.{}.{audience}", self.dialect);
            let (Some(to), true) = (to, self.sut.target().has(&key)) else {
                continue;
            };
            let heard_before = log.record().received.len();
            let injection = Injection {
                audience,
                to,
                kind: kind.to_owned(),
                data: data.clone(),
                scheduled_at: Value::Null,
                tenant: tenant.clone(),
            };
            let asked = self.sut.inject(self.dialect, &injection).await;
            if self.provisioned(&key, asked).is_err() {
                continue;
            }
            let arrived = |record: &Record| {
                let later = record.received.iter().skip(heard_before);
                let mut texts = later.filter_map(|message| match &message.content {
                    Content::Text(text) => Some(text),
                    Content::Binary(_) | Content::BadText(_) | Content::BadDeflate(..) => None,
                });
                texts.any(|text| text.contains(&self.mark)).then_some(())
            };
            let outcome = match log.wait_for(Instant::now() + ARRIVAL_DEADLINE, arrived).await {
                Some(()) => Outcome::Works(format!("a {kind} arrived")),
                None => Outcome::Fails(format!(
                    "it was accepted, and no {kind} arrived within {}",
                    number::duration(ARRIVAL_DEADLINE)
                )),
            };
            self.note(&key, outcome);
        }
    }

    async fn events(&mut self, newcomer: &Newcomer) {
        let key = format!("events.{}", self.dialect);
        let Some(user) = newcomer.user.as_ref().filter(|_| self.sut.target().has(&key)) else {
            return;
        };
        let listed = self.sut.events(user).await;
        if let Ok(events) = self.provisioned(&key, listed) {
            let count = events.as_array().map_or(0, Vec::len);
            self.note(&key, Outcome::Works(format!("a list of {count}")));
        }
    }

    /// A heartbeat comes by a ping, or as a message of the dialect. Where it comes later than the file says, every window of a
    /// case that waits for one is too short.
    async fn heartbeat(&mut self, log: &Log) {
        let name = format!("{}.heartbeat.interval", self.dialect);
        let target = self.sut.target();
        let key = format!("timings.{name}");
        let Some(interval) = target.timing(&name).filter(|_| target.has(&key)) else {
            return;
        };
        if interval > TIMING_WAIT_MAX {
            self.note(&key, server::too_long(interval));
            return;
        }
        let folder = Rules::builtin().dialect(self.dialect);
        let heartbeat = folder.and_then(|folder| folder.habits.heartbeat.as_ref());
        let began = Instant::now();
        let beaten = |record: &Record| {
            let ping = |(direction, frame): &(Direction, Frame)| {
                *direction == Direction::Down && frame.header.opcode == opcode::PING
            };
            let is_heartbeat = |message: &Message| {
                heartbeat
                    .zip(message.json())
                    .is_some_and(|(heartbeat, value)| fits(heartbeat, value))
            };
            let beats = record.frames.iter().any(ping) || record.received.iter().any(is_heartbeat);
            beats.then_some(())
        };
        let outcome = match log.wait_for(began + interval + ARRIVAL_DEADLINE, beaten).await {
            Some(()) => Outcome::Works(format!(
                "a heartbeat came within {}",
                number::duration(interval + ARRIVAL_DEADLINE)
            )),
            None => Outcome::Fails(format!(
                "no heartbeat came within {}: set it to what the server does",
                number::duration(interval + ARRIVAL_DEADLINE)
            )),
        };
        self.note(&key, outcome);
    }
}

/// Whether a message is what a matcher without variables accepts.
fn fits(matcher: &Matcher, value: &Value) -> bool {
    let environment = Environment {
        variable: &|_| None,
        timing: &|_| None,
        answers: None,
        epoch_seconds: 0.0,
    };
    compare(matcher, value, &environment).mismatches.is_empty()
}

fn fields(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Map::new(),
    }
}

/// A message that a server of the dialect emits by itself, with `mark` in it.
fn sample(dialect: Dialect, mark: &str) -> (&'static str, Value) {
    match dialect {
        Dialect::Echo => (
            "broadcast",
            json!({ "message": mark, "title": "Probe", "level": "info" }),
        ),
        Dialect::Rooms => ("chat.message", json!({ "message": { "content": mark } })),
        Dialect::Outbox => (
            "message_generate",
            json!({ "message": { "uuid": mark, "content": mark }, "response_message": { "conversation_uuid": mark } }),
        ),
        Dialect::Feed => (
            "SYSTEM_NOTIFICATION",
            json!({ "title": "Probe", "message": mark, "level": "info" }),
        ),
        Dialect::Direct => ("new_message", json!({ "message": { "content": mark } })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_the_way_is_told_from_what_is_not_said() {
        let tried = |outcome| Tried {
            dialect: Some(Dialect::Echo),
            key: "urls".into(),
            outcome,
        };
        assert_eq!(tried(Outcome::Works("x".into())).trouble(), None);
        assert_eq!(tried(Outcome::NotSaid).trouble(), None);
        assert_eq!(tried(Outcome::Untried("x".into())).trouble(), None);
        assert_eq!(tried(Outcome::Fails("x".into())).trouble(), Some("x"));
        assert_eq!(tried(Outcome::NothingThere("x".into())).trouble(), Some("x"));
    }
}
