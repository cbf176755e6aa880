//! Who takes part in a run: users, tenants and channels of its own, made before the first session arrives, and their tokens.

mod share;

use std::sync::Arc;

use serde_json::{Map, Value};
pub use share::Share;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use touchstone_protocol::Dialect;
use touchstone_protocol::client::Persona;
use touchstone_scenarios::cast::Password;
use touchstone_scenarios::rules::Rules;
use touchstone_sut::http::CallError;
use touchstone_sut::{
    ChannelWanted, Injection, People, ProvisionError, Sut, TokenWanted, User, UserWanted, UsersBy,
};

use crate::custom::TOKEN;
use crate::engine::{Backstage, Emitting, TokenComing};
use crate::feed::{Feeds, Rows};

/// Users or channels of one request to an admin interface: a second of its work at most.
const ADMIN_BATCH: usize = 500;
/// Requests, or programs, that make users or channels at once. Registering is dear on many servers: a password is hashed.
const MAKING_AT_ONCE: usize = 16;

/// Why nobody could be cast.
#[derive(Debug, thiserror::Error)]
pub enum CastError {
    /// The target file does not say how.
    #[error("{what} are needed, and {why}\n  to change: `{key}` of the target file")]
    Missing {
        /// `users`, `channels` …
        what: &'static str,
        /// What the target lacks.
        why: String,
        /// What would change that.
        key: String,
    },
    /// It says how, and it failed.
    #[error("{what} could not be made: {error}")]
    Failed {
        /// `users`, `channels` …
        what: &'static str,
        /// What the target said.
        error: CallError,
    },
    /// A template names what nobody knows of them.
    #[error("users of the target have no `{column}`; they have: {}", known.join(", "))]
    NoColumn {
        /// As the template has it.
        column: String,
        /// What is known of them.
        known: Vec<String>,
    },
    /// The file of users divides a group over several channels.
    #[error(
        "`feed.users`: sessions {first} and {other} are one group, but have the channels `{of_first}` and `{of_other}`"
    )]
    Channels {
        /// A session of the group …
        first: u32,
        /// … and another.
        other: u32,
        /// Where the one is …
        of_first: String,
        /// … and the other.
        of_other: String,
    },
    /// It was stopped before all were there.
    #[error("stopped while users were made")]
    Stopped,
}

fn cast_error(what: &'static str) -> impl Fn(ProvisionError) -> CastError {
    move |error| match error {
        ProvisionError::Missing(key) => CastError::Missing {
            what,
            why: format!("the target has no `{key}`"),
            key,
        },
        ProvisionError::Failed(error) => CastError::Failed { what, error },
    }
}

/// Who sits where: the sessions of each group, by their numbers. A session is in one group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Seating(pub(crate) Vec<Vec<u32>>);

/// Whom a cast is to be made of, and what for.
#[derive(Clone, Copy)]
pub(crate) struct Role<'a> {
    /// Whose ways to make users and tokens count.
    pub(crate) dialect: Dialect,
    pub(crate) speaks: Speaks,
    pub(crate) tokens: Tokens,
    pub(crate) whence: Whence<'a>,
}

/// What they speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speaks {
    /// The dialect: its paths are moved to where the target has them, and its channels are made.
    Dialect,
    /// A protocol of somebody's own.
    Custom,
}

/// Whether they need tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tokens {
    Wanted,
    Unused,
}

/// Whom a cast is made of.
#[derive(Clone, Copy)]
pub(crate) enum Whence<'a> {
    /// The target makes them, or has a list of them.
    Target,
    /// They stand in a file, with their tokens or with what the target wants to know to give them one.
    File(&'a Feeds),
}

/// Columns of the users' file that are no part of a user.
const TENANT: &str = "tenant";
const CHANNEL: &str = "channel";

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Casting {
    /// Users and channels that are there …
    pub(crate) made: usize,
    /// … of so many.
    pub(crate) of: usize,
}

/// Everybody who takes part, by session number.
pub(crate) struct Cast {
    sut: Arc<Sut>,
    dialect: Dialect,
    speaks: Speaks,
    tokens: Tokens,
    /// Every `every`-th session's, in their order.
    members: Vec<Member>,
    every: u32,
    groups: Vec<Group>,
    /// Users of a list are the run's own as long as this is.
    _people: Vec<People>,
}

/// As little of a user as a token needs: there are tens of thousands of them.
struct Member {
    id: Box<str>,
    /// What is known of him, as JSON.
    fields: Box<str>,
    tenant: Arc<Value>,
    /// Of a file that has it.
    token: Option<Box<str>>,
    group: u32,
    place: u32,
}

struct Group {
    channel: String,
    ids: Arc<[String]>,
}

impl Cast {
    /// Makes everybody, some at a time, and tells how far it is.
    ///
    /// # Errors
    /// The target has no way, naming the key of its file that would be one; or it failed; or `stop` came first.
    pub(crate) async fn make(
        sut: &Arc<Sut>,
        role: Role<'_>,
        seating: &Seating,
        tell: impl Fn(Casting),
        stop: &CancellationToken,
    ) -> Result<Self, CastError> {
        let maker = Maker {
            sut,
            dialect: role.dialect,
            role,
            tell,
        };
        stop.run_until_cancelled(maker.cast(seating))
            .await
            .unwrap_or(Err(CastError::Stopped))
    }

    /// Who the session is to the server; without a token, which it gets when it arrives.
    pub(crate) fn persona(&self, session: u32) -> Persona {
        let member = self.member(session);
        let group = &self.groups[member.group as usize];
        Persona {
            id: member.id.to_string(),
            token: String::new(),
            tenant: schema_name(&member.tenant),
            channel: group.channel.clone(),
            group: Arc::clone(&group.ids),
            place: member.place as usize,
        }
    }

    fn member(&self, session: u32) -> &Member {
        &self.members[(session / self.every) as usize]
    }

    /// What is known of everybody, by session number, with these columns at least.
    ///
    /// # Errors
    /// One of them nobody knows.
    pub(crate) fn rows(&self, columns: &[&str]) -> Result<Rows, CastError> {
        let sessions = 0..self.members.len() as u32;
        let fields: Vec<_> = sessions.map(|session| self.user(session).fields).collect();
        let rows = Rows::of_objects(&fields);
        match columns
            .iter()
            .find(|column| **column != TOKEN && !rows.has(column))
        {
            Some(column) => Err(CastError::NoColumn {
                column: (*column).to_owned(),
                known: rows.names(),
            }),
            None => Ok(rows),
        }
    }

    fn user(&self, session: u32) -> User {
        let member = self.member(session);
        User {
            dialect: self.dialect,
            fields: serde_json::from_str(&member.fields).expect("it was written as an object"),
            tenant: Value::clone(&member.tenant),
        }
    }

    /// Makes sure before the run that a token is to be had.
    async fn tries_a_token(&self) -> Result<(), CastError> {
        let has_own = self.members.first().is_none_or(|first| first.token.is_some());
        if has_own || self.tokens == Tokens::Unused {
            return Ok(());
        }
        let token = self.sut.token(&self.user(0), &TokenWanted::default()).await;
        token.map(drop).map_err(cast_error("tokens"))
    }
}

impl Backstage for Cast {
    fn token(&self, session: u32) -> Option<TokenComing<'_>> {
        if self.tokens == Tokens::Unused {
            return None;
        }
        if let Some(token) = &self.member(session).token {
            return Some(Box::pin(std::future::ready(Ok(token.to_string()))));
        }
        let user = self.user(session);
        Some(Box::pin(async move {
            let token = self.sut.token(&user, &TokenWanted::default()).await;
            token.map_err(|error| error.to_string())
        }))
    }

    fn path(&self, documented: &str) -> String {
        match self.speaks {
            Speaks::Dialect => self.sut.target().http_path(self.dialect, documented),
            Speaks::Custom => documented.to_owned(),
        }
    }

    fn injection(&self, session: u32, kind: &str, data: &str) -> Result<Emitting, String> {
        let member = self.member(session);
        let group = &self.groups[member.group as usize];
        let (audience, to) = match (group.channel.as_str(), &*group.ids) {
            ("", [one]) => ("user", Value::from(one.as_str())),
            ("", ids) => ("users", ids.iter().map(String::as_str).collect()),
            (channel, _) => ("channel", channel.into()),
        };
        let tenant = member.tenant.get("schema_name").cloned().unwrap_or_default();
        inject(&self.sut, self.dialect, (audience, to, tenant), (kind, data))
    }
}

/// Behind the sessions of a protocol of somebody's own whose users have their tokens in a file.
pub(crate) struct Bearers(pub(crate) Arc<Feeds>);

impl Backstage for Bearers {
    fn token(&self, session: u32) -> Option<TokenComing<'_>> {
        let token = self.0.user(session, TOKEN)?.text().to_owned();
        Some(Box::pin(std::future::ready(Ok(token))))
    }

    fn path(&self, documented: &str) -> String {
        documented.to_owned()
    }

    fn injection(&self, _session: u32, _kind: &str, _data: &str) -> Result<Emitting, String> {
        Err("there is no back door".to_owned())
    }
}

/// Behind the sessions of a dialect without tokens: whoever is there is told.
pub(crate) struct Anybody {
    pub(crate) sut: Arc<Sut>,
    pub(crate) dialect: Dialect,
}

impl Backstage for Anybody {
    fn token(&self, _session: u32) -> Option<TokenComing<'_>> {
        None
    }

    fn path(&self, documented: &str) -> String {
        self.sut.target().http_path(self.dialect, documented)
    }

    fn injection(&self, _session: u32, kind: &str, data: &str) -> Result<Emitting, String> {
        let everybody = ("all", Value::from("all"), Value::Null);
        inject(&self.sut, self.dialect, everybody, (kind, data))
    }
}

fn inject(
    sut: &Arc<Sut>,
    dialect: Dialect,
    (audience, to, tenant): (&'static str, Value, Value),
    (kind, data): (&str, &str),
) -> Result<Emitting, String> {
    let injection = Injection {
        audience,
        to,
        kind: kind.to_owned(),
        data: serde_json::from_str(data).map_err(|error| error.to_string())?,
        scheduled_at: Value::Null,
        tenant,
    };
    let request = sut
        .injection_request(dialect, &injection)
        .map_err(|error| error.to_string())?;
    Ok(match request {
        Some(request) => Emitting::Request(request),
        None => {
            let sut = Arc::clone(sut);
            Emitting::Program(Box::pin(async move {
                let emitted = sut.inject(dialect, &injection).await;
                emitted.map_err(|error| error.to_string())
            }))
        }
    })
}

/// While it is made.
struct Maker<'a, T> {
    sut: &'a Arc<Sut>,
    dialect: Dialect,
    role: Role<'a>,
    tell: T,
}

impl<T: Fn(Casting)> Maker<'_, T> {
    async fn cast(self, Seating(groups): &Seating) -> Result<Cast, CastError> {
        let users_wanted: usize = groups.iter().map(Vec::len).sum();
        let has_channels = match self.role.speaks {
            Speaks::Dialect => matches!(self.dialect, Dialect::Rooms | Dialect::Outbox),
            Speaks::Custom => false,
        };
        let of = users_wanted + if has_channels { groups.len() } else { 0 };
        // Names that no earlier run on this server has given away.
        let mark = format!("{:08x}", fastrand::u32(..));
        let (users, people) = match self.role.whence {
            Whence::Target => {
                let tenant = self.tenant(&mark).await?;
                self.users(&mark, users_wanted, &tenant, of).await?
            }
            Whence::File(feeds) => (self.users_of(feeds, users_wanted as u32), Vec::new()),
        };
        let channels = match (has_channels, self.role.whence) {
            (false, _) => vec![String::new(); groups.len()],
            (true, Whence::File(feeds)) if feeds.users_have(CHANNEL) => channels_of(feeds, groups)?,
            (true, Whence::File(_) | Whence::Target) => self.channels(&mark, groups, &users, of).await?,
        };
        let cast = Cast {
            sut: Arc::clone(self.sut),
            dialect: self.dialect,
            speaks: self.role.speaks,
            tokens: self.role.tokens,
            members: members(groups, &users, self.role.whence),
            every: 1,
            groups: groups
                .iter()
                .zip(channels)
                .map(|(group, channel)| Group {
                    channel,
                    ids: group
                        .iter()
                        .map(|session| id_of(&users[*session as usize]))
                        .collect(),
                })
                .collect(),
            _people: people,
        };
        cast.tries_a_token().await?;
        Ok(cast)
    }

    /// Those who stand in a file.
    fn users_of(&self, feeds: &Feeds, count: u32) -> Vec<User> {
        let user = |session| {
            let mut fields = feeds.user_object(session);
            for column in [CHANNEL, TOKEN] {
                fields.remove(column);
            }
            let tenant = match fields.remove(TENANT) {
                None => Value::Null,
                Some(Value::Object(tenant)) => Value::Object(tenant),
                Some(schema) => serde_json::json!({ "schema_name": schema }),
            };
            User {
                dialect: self.dialect,
                fields,
                tenant,
            }
        };
        (0..count).map(user).collect()
    }

    async fn tenant(&self, mark: &str) -> Result<Value, CastError> {
        let folder = Rules::builtin().dialect(self.dialect);
        if !folder.is_some_and(|folder| folder.habits.tenants) {
            return Ok(Value::Null);
        }
        let schema = format!("load{mark}");
        let wanted = Map::from_iter([
            ("name".to_owned(), format!("Load {mark}").into()),
            ("schema_name".to_owned(), schema.into()),
        ]);
        let made = self.sut.make_tenants(self.dialect, vec![wanted]).await;
        let made = made.map_err(cast_error("tenants"))?;
        Ok(made.into_iter().next().unwrap_or_default())
    }

    async fn users(
        &self,
        mark: &str,
        count: usize,
        tenant: &Value,
        of: usize,
    ) -> Result<(Vec<User>, Vec<People>), CastError> {
        let batch = match self.sut.users_by(self.dialect) {
            Some(UsersBy::Admin(_)) => ADMIN_BATCH,
            // Each is several requests or a program, one after the other.
            Some(UsersBy::Steps(_) | UsersBy::Command(_)) => 1,
            // All at once: whoever has a part of a list and waits for the rest might wait for himself.
            Some(UsersBy::List(_)) | None => count.max(1),
        };
        let wanted: Vec<_> = (0..count)
            .map(|number| user_wanted(mark, number, tenant))
            .collect();
        let make = |sut: Arc<Sut>, batch: Vec<UserWanted>| {
            let dialect = self.dialect;
            async move { sut.make_users(dialect, batch).await }
        };
        let tell = |batches: usize| {
            (self.tell)(Casting {
                made: (batches * batch).min(count),
                of,
            });
        };
        let mut people = in_batches(self.sut, wanted, batch, make, tell)
            .await
            .map_err(cast_error("users"))?;
        let users = people
            .iter_mut()
            .flat_map(|people| std::mem::take(&mut people.users))
            .collect();
        Ok((users, people))
    }

    async fn channels(
        &self,
        mark: &str,
        groups: &[Vec<u32>],
        users: &[User],
        of: usize,
    ) -> Result<Vec<String>, CastError> {
        let batch = if self.sut.makes_channels_one_by_one(self.dialect) {
            1
        } else {
            ADMIN_BATCH
        };
        let wanted = groups.iter().enumerate().map(|(number, group)| {
            let members: Vec<_> = group
                .iter()
                .map(|session| users[*session as usize].clone())
                .collect();
            ChannelWanted {
                fields: Map::from_iter([("name".to_owned(), format!("load {mark} {number}").into())]),
                tenant: members
                    .first()
                    .map(|user| user.tenant.clone())
                    .unwrap_or_default(),
                members,
            }
        });
        let make = |sut: Arc<Sut>, batch: Vec<ChannelWanted>| {
            let dialect = self.dialect;
            async move { sut.make_channels(dialect, batch).await }
        };
        let count = groups.len();
        let tell = |batches: usize| {
            let made = users.len() + (batches * batch).min(count);
            (self.tell)(Casting { made, of });
        };
        let made = in_batches(self.sut, wanted.collect(), batch, make, tell)
            .await
            .map_err(cast_error("channels"))?;
        let id = |channel: &Value| text_of(channel.get("id").unwrap_or(&Value::Null));
        Ok(made.iter().flatten().map(id).collect())
    }
}

/// Makes all that is wanted, a batch by a request, a few requests at once; in the order in which they were wanted. The first that
/// fails ends it.
async fn in_batches<W, M, F>(
    sut: &Arc<Sut>,
    mut wanted: Vec<W>,
    batch: usize,
    make: impl Fn(Arc<Sut>, Vec<W>) -> F,
    tell: impl Fn(usize),
) -> Result<Vec<M>, ProvisionError>
where
    F: Future<Output = Result<M, ProvisionError>> + Send + 'static,
    M: Send + 'static,
{
    let mut making = JoinSet::new();
    let mut made = Vec::new();
    let mut number = 0_usize;
    loop {
        while making.len() < MAKING_AT_ONCE && !wanted.is_empty() {
            let rest = wanted.split_off(batch.min(wanted.len()));
            let future = make(Arc::clone(sut), std::mem::replace(&mut wanted, rest));
            let place = number;
            making.spawn(async move { (place, future.await) });
            number += 1;
        }
        let Some(joined) = making.join_next().await else {
            break;
        };
        let (place, result) = joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
        made.push((place, result?));
        tell(made.len());
    }
    made.sort_unstable_by_key(|(place, _)| *place);
    Ok(made.into_iter().map(|(_, made)| made).collect())
}

fn user_wanted(mark: &str, number: usize, tenant: &Value) -> UserWanted {
    let username = format!("load-{mark}-{number}");
    let fields = Map::from_iter([
        ("email".to_owned(), format!("{username}@example.test").into()),
        (
            "password".to_owned(),
            format!("Pass-{:016x}", fastrand::u64(..)).into(),
        ),
        ("name".to_owned(), username.clone().into()),
        ("username".to_owned(), username.into()),
    ]);
    UserWanted {
        fields,
        password: Password::Unused,
        tenant: tenant.clone(),
    }
}

/// Where each group is, by a file whose members all say the same.
fn channels_of(feeds: &Feeds, groups: &[Vec<u32>]) -> Result<Vec<String>, CastError> {
    let channel = |session: u32| {
        let cell = feeds.user(session, CHANNEL);
        cell.map(|cell| cell.text().to_owned()).unwrap_or_default()
    };
    let of_group = |group: &Vec<u32>| {
        let Some(&first) = group.first() else {
            return Ok(String::new());
        };
        let of_first = channel(first);
        match group.iter().find(|session| channel(**session) != of_first) {
            Some(&other) => Err(CastError::Channels {
                first,
                other,
                of_other: channel(other),
                of_first,
            }),
            None => Ok(of_first),
        }
    };
    groups.iter().map(of_group).collect()
}

fn members(groups: &[Vec<u32>], users: &[User], whence: Whence<'_>) -> Vec<Member> {
    let token = |session: u32| match whence {
        Whence::Target => None,
        Whence::File(feeds) => feeds.user(session, TOKEN).map(|cell| cell.text().into()),
    };
    let mut places = vec![(0, 0); users.len()];
    for (group, sessions) in (0..).zip(groups) {
        for (place, session) in (0..).zip(sessions) {
            places[*session as usize] = (group, place);
        }
    }
    // Most have the same tenant: it is kept once.
    let mut last = Arc::new(Value::Null);
    (0..)
        .zip(users)
        .zip(places)
        .map(|((session, user), (group, place))| {
            if *last != user.tenant {
                last = Arc::new(user.tenant.clone());
            }
            Member {
                id: id_of(user).into_boxed_str(),
                fields: Value::Object(user.fields.clone()).to_string().into_boxed_str(),
                tenant: Arc::clone(&last),
                token: token(session),
                group,
                place,
            }
        })
        .collect()
}

fn id_of(user: &User) -> String {
    text_of(user.fields.get("id").unwrap_or(&Value::Null))
}

fn schema_name(tenant: &Value) -> String {
    tenant.get("schema_name").map(text_of).unwrap_or_default()
}

/// Ids are texts or numbers, and opaque.
fn text_of(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
