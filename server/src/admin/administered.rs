//! What a dialect lets an administrator do; the requests that ask for it are read next door.

use std::future::Future;
use std::net::IpAddr;

use serde_json::Value;
use thiserror::Error;
use touchstone_storage::{BusError, CreateError, StoreError, Timestamp};

use crate::connection::Close;

/// An id as a request names it. Ids are compared as text; what was made under one has it on the wire as it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum GivenId {
    Text(String),
    Integer(u64),
}

impl GivenId {
    /// The id as text.
    pub(crate) fn into_text(self) -> String {
        match self {
            Self::Text(id) => id,
            Self::Integer(id) => id.to_string(),
        }
    }
}

/// A tenant to be made.
#[derive(Debug, Clone)]
pub(crate) struct NewTenant {
    pub(crate) id: Option<GivenId>,
    pub(crate) name: String,
    pub(crate) schema_name: String,
}

/// A user to be made.
#[derive(Debug, Clone)]
pub(crate) struct NewUser {
    pub(crate) id: Option<GivenId>,
    pub(crate) username: String,
    pub(crate) email: Option<String>,
    /// A PHC string; `None` for a user without a password.
    pub(crate) password_hash: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) avatar: Option<String>,
    /// The schema name of his tenant, on a dialect that has tenants.
    pub(crate) tenant: Option<String>,
}

/// A channel, or a conversation, to be made.
#[derive(Debug, Clone)]
pub(crate) struct NewChannel {
    pub(crate) id: Option<String>,
    pub(crate) name: Option<String>,
    /// User ids.
    pub(crate) members: Vec<String>,
    /// The schema name of its tenant, on a dialect that has tenants.
    pub(crate) tenant: Option<String>,
}

/// What was made.
#[derive(Debug, Clone)]
pub(crate) struct Made {
    /// As it stands on the wire of the dialect: a string or an integer.
    pub(crate) id: Value,
    /// A user's access token; `None` where there is none, or no key to sign one.
    pub(crate) token: Option<String>,
}

/// Whom a publication is for.
#[derive(Debug, Clone)]
pub(crate) enum Audience {
    /// Everybody.
    All,
    /// A user, or a channel where the dialect has some and no user has this id.
    One(String),
    /// Users, some of them perhaps named twice.
    Several(Vec<String>),
}

/// What the server's own code would emit.
#[derive(Debug, Clone)]
pub(crate) struct Publication {
    pub(crate) to: Audience,
    pub(crate) kind: String,
    pub(crate) data: Value,
    /// When it is due, if not now.
    pub(crate) scheduled_at: Option<Timestamp>,
    /// The schema name of the tenant, on a dialect that has tenants.
    pub(crate) tenant: Option<String>,
}

/// A user, named to an administrator.
#[derive(Debug, Clone)]
pub(crate) struct UserName {
    pub(crate) id: String,
    /// The schema name of his tenant, on a dialect that has tenants.
    pub(crate) tenant: Option<String>,
}

/// An open connection, as an administrator sees it.
#[derive(Debug, Clone)]
pub(crate) struct OpenConnection {
    /// The user's id; `None` on a dialect without users.
    pub(crate) user: Option<String>,
    /// The schema name of his tenant, on a dialect that has tenants.
    pub(crate) tenant: Option<String>,
    /// See [`Mailbox::since`](crate::connection::Mailbox::since).
    pub(crate) since: Timestamp,
    /// See [`Mailbox::peer`](crate::connection::Mailbox::peer).
    pub(crate) peer: Option<IpAddr>,
}

/// An event in a user's queue.
#[derive(Debug, Clone)]
pub(crate) struct QueuedEvent {
    pub(crate) id: String,
    /// Its type on the wire.
    pub(crate) kind: String,
    pub(crate) data: Value,
    pub(crate) scheduled_at: Timestamp,
    /// When it was written to a client that confirmed it; `None` while it is pending.
    pub(crate) sent_at: Option<Timestamp>,
}

/// Why a request was not done, and nothing of it was.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum Refusal {
    /// One of the entries of a bulk request will not do.
    #[error("entry {index}: {why}")]
    Entry {
        /// Which, from 0.
        index: usize,
        /// What is wrong with it.
        why: String,
    },
    /// The request will not do.
    #[error("{0}")]
    Request(String),
    /// The dialect has no such thing.
    #[error("this dialect has no {0}")]
    Lacks(&'static str),
    /// What it is about does not exist.
    #[error("{0} does not exist")]
    NotFound(&'static str),
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The bus did not answer.
    #[error(transparent)]
    Bus(#[from] BusError),
}

impl From<CreateError> for Refusal {
    fn from(error: CreateError) -> Self {
        match error {
            CreateError::Taken { index, field } => Self::Entry {
                index,
                why: format!("`{field}` is taken"),
            },
            CreateError::Store(error) => Self::Store(error),
        }
    }
}

/// A dialect as an administrator has it. Making several is all or nothing, and what was made is in the order of the
/// request. What a dialect does not have it need not implement: asking for it is refused.
pub(crate) trait Administered: Send + Sync + 'static {
    /// Makes tenants.
    fn make_tenants(
        &self,
        _tenants: Vec<NewTenant>,
    ) -> impl Future<Output = Result<Vec<Made>, Refusal>> + Send {
        lacks("tenants")
    }

    /// Makes users.
    fn make_users(&self, _users: Vec<NewUser>) -> impl Future<Output = Result<Vec<Made>, Refusal>> + Send {
        lacks("users")
    }

    /// Makes channels with their members.
    fn make_channels(
        &self,
        _channels: Vec<NewChannel>,
    ) -> impl Future<Output = Result<Vec<Made>, Refusal>> + Send {
        lacks("channels")
    }

    /// Whom a publication of this type is for if the request does not say; `None` where it has to.
    fn default_audience(&self, _kind: &str) -> Option<Audience> {
        None
    }

    /// Emits something, now or when it is due.
    fn publish(&self, _publication: Publication) -> impl Future<Output = Result<(), Refusal>> + Send {
        lacks("publications")
    }

    /// Removes a user with all that is his, and closes his connections.
    fn delete_user(&self, _user: UserName) -> impl Future<Output = Result<(), Refusal>> + Send {
        lacks("users")
    }

    /// Closes a user's connections, on every node. A user without any is no error.
    fn disconnect(&self, _user: UserName, _close: Close) -> impl Future<Output = Result<(), Refusal>> + Send {
        lacks("users")
    }

    /// The open connections of this node; those of one user if there is one named.
    fn connections(&self, _user: Option<&UserName>) -> Result<Vec<OpenConnection>, Refusal> {
        Err(Refusal::Lacks("list of connections"))
    }

    /// The queued events of a user, the oldest first.
    fn events(&self, _user: UserName) -> impl Future<Output = Result<Vec<QueuedEvent>, Refusal>> + Send {
        lacks("queued events")
    }

    /// Sends what is pending and due, now.
    fn sweep(&self) -> impl Future<Output = Result<(), Refusal>> + Send {
        lacks("queued events")
    }
}

fn lacks<T>(what: &'static str) -> impl Future<Output = Result<T, Refusal>> + Send
where
    T: Send,
{
    std::future::ready(Err(Refusal::Lacks(what)))
}
