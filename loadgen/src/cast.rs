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
use touchstone_sut::http::{CallError, HttpRequest};
use touchstone_sut::{
    ChannelWanted, Injection, People, ProvisionError, Sut, TokenWanted, User, UserWanted, UsersBy,
};

use crate::engine::{Backstage, TokenComing};

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
        dialect: Dialect,
        seating: &Seating,
        tell: impl Fn(Casting),
        stop: &CancellationToken,
    ) -> Result<Self, CastError> {
        stop.run_until_cancelled(Maker { sut, dialect, tell }.cast(seating))
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
        if self.members.is_empty() {
            return Ok(());
        }
        let token = self.sut.token(&self.user(0), &TokenWanted::default()).await;
        token.map(drop).map_err(cast_error("tokens"))
    }
}

impl Backstage for Cast {
    fn token(&self, session: u32) -> Option<TokenComing<'_>> {
        let user = self.user(session);
        Some(Box::pin(async move {
            let token = self.sut.token(&user, &TokenWanted::default()).await;
            token.map_err(|error| error.to_string())
        }))
    }

    fn path(&self, documented: &str) -> String {
        self.sut.target().http_path(self.dialect, documented)
    }

    fn injection(&self, session: u32, kind: &str, data: &str) -> Result<HttpRequest, String> {
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

    fn injection(&self, _session: u32, kind: &str, data: &str) -> Result<HttpRequest, String> {
        let everybody = ("all", Value::from("all"), Value::Null);
        inject(&self.sut, self.dialect, everybody, (kind, data))
    }
}

fn inject(
    sut: &Sut,
    dialect: Dialect,
    (audience, to, tenant): (&'static str, Value, Value),
    (kind, data): (&str, &str),
) -> Result<HttpRequest, String> {
    let injection = Injection {
        audience,
        to,
        kind: kind.to_owned(),
        data: serde_json::from_str(data).map_err(|error| error.to_string())?,
        scheduled_at: Value::Null,
        tenant,
    };
    sut.injection_request(dialect, &injection)
        .map_err(|error| error.to_string())
}

/// While it is made.
struct Maker<'a, T> {
    sut: &'a Arc<Sut>,
    dialect: Dialect,
    tell: T,
}

impl<T: Fn(Casting)> Maker<'_, T> {
    async fn cast(self, Seating(groups): &Seating) -> Result<Cast, CastError> {
        let users_wanted: usize = groups.iter().map(Vec::len).sum();
        let has_channels = matches!(self.dialect, Dialect::Rooms | Dialect::Outbox);
        let of = users_wanted + if has_channels { groups.len() } else { 0 };
        // Names that no earlier run on this server has given away.
        let mark = format!("{:08x}", fastrand::u32(..));
        let tenant = self.tenant(&mark).await?;
        let (users, people) = self.users(&mark, users_wanted, &tenant, of).await?;
        let channels = if has_channels {
            self.channels(&mark, groups, &users, of).await?
        } else {
            vec![String::new(); groups.len()]
        };
        let cast = Cast {
            sut: Arc::clone(self.sut),
            dialect: self.dialect,
            members: members(groups, &users),
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

fn members(groups: &[Vec<u32>], users: &[User]) -> Vec<Member> {
    let mut places = vec![(0, 0); users.len()];
    for (group, sessions) in (0..).zip(groups) {
        for (place, session) in (0..).zip(sessions) {
            places[*session as usize] = (group, place);
        }
    }
    // Most have the same tenant: it is kept once.
    let mut last = Arc::new(Value::Null);
    users
        .iter()
        .zip(places)
        .map(|(user, (group, place))| {
            if *last != user.tenant {
                last = Arc::new(user.tenant.clone());
            }
            Member {
                id: id_of(user).into_boxed_str(),
                fields: Value::Object(user.fields.clone()).to_string().into_boxed_str(),
                tenant: Arc::clone(&last),
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
