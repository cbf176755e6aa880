//! What a dialect lets an administrator do; the requests that ask for it are read next door.

use std::future::Future;
use std::net::IpAddr;

use serde_json::Value;
use thiserror::Error;
use touchstone_storage::{BusError, CreateError, StoreError, Timestamp};

use crate::connection::Close;

/// A tenant to be made.
#[derive(Debug, Clone)]
pub(crate) struct NewTenant {
    pub(crate) id: Option<String>,
    pub(crate) name: String,
    pub(crate) schema_name: String,
}

/// A user to be made.
#[derive(Debug, Clone)]
pub(crate) struct NewUser {
    pub(crate) id: Option<String>,
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
    pub(crate) tenant: Option<String>,
    pub(crate) since: Timestamp,
    pub(crate) peer: Option<IpAddr>,
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

/// A dialect as an administrator has it. What a dialect does not have is refused by [`Refusal::Request`]; making several
/// is all or nothing, and what was made is in the order of the request.
pub(crate) trait Administered: Send + Sync + 'static {
    /// Makes tenants.
    fn make_tenants(
        &self,
        tenants: Vec<NewTenant>,
    ) -> impl Future<Output = Result<Vec<Made>, Refusal>> + Send;

    /// Makes users.
    fn make_users(&self, users: Vec<NewUser>) -> impl Future<Output = Result<Vec<Made>, Refusal>> + Send;

    /// Makes channels with their members.
    fn make_channels(
        &self,
        channels: Vec<NewChannel>,
    ) -> impl Future<Output = Result<Vec<Made>, Refusal>> + Send;

    /// Emits something, now or when it is due.
    fn publish(&self, publication: Publication) -> impl Future<Output = Result<(), Refusal>> + Send;

    /// Removes a user with all that is his, and closes his connections.
    fn delete_user(&self, user: UserName) -> impl Future<Output = Result<(), Refusal>> + Send;

    /// Closes a user's connections, on every node.
    fn disconnect(&self, user: UserName, close: Close) -> impl Future<Output = Result<(), Refusal>> + Send;

    /// The open connections of this node; those of one user if there is one named.
    fn connections(&self, user: Option<&UserName>) -> Vec<OpenConnection>;
}
