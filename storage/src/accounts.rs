//! Who there is: tenants and users, with what they log in by.

use std::future::Future;

use thiserror::Error;

use crate::session::{StoreError, Timestamp};

/// How an id was written when it was given. Ids are compared as text; a dialect may send them as they came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum IdForm {
    /// As a string.
    #[default]
    Text,
    /// As an integer.
    Integer,
}

/// A user as a store has him. Ids are opaque; those of another realm are other users.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Account {
    /// Unique in the realm.
    pub id: String,
    /// How `id` was written.
    pub id_form: IdForm,
    /// Unique in the realm.
    pub username: String,
    /// Unique in the realm, where there is one.
    pub email: Option<String>,
    /// What people call him.
    pub name: Option<String>,
    /// Where his picture is.
    pub avatar: Option<String>,
    /// A PHC string; without one nobody logs in by password.
    pub password_hash: Option<String>,
    /// When his last connection ended.
    pub last_seen: Option<Timestamp>,
    /// Tokens issued before this second of the epoch are no longer his.
    pub logged_out_second: Option<u64>,
}

/// A tenant as a store has it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tenant {
    /// Unique in the realm.
    pub id: String,
    /// How `id` was written.
    pub id_form: IdForm,
    /// For people.
    pub name: String,
    /// Unique in the realm; stands in paths.
    pub schema_name: String,
}

/// Why users or tenants were not made.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CreateError {
    /// One of them has something that another has already, in the store or among those that came with it.
    #[error("entry {index}: `{field}` is taken")]
    Taken {
        /// Which of those that were to be made, from 0.
        index: usize,
        /// Its field: `id`, `username`, `email` or `schema_name`.
        field: &'static str,
    },
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Keeps users and tenants, apart by realm.
///
/// Guarantees of every implementation: what was made is found by every later call; making several is all or nothing.
pub trait Accounts: Send + Sync + 'static {
    /// Makes users.
    fn create_accounts(
        &self,
        realm: &str,
        accounts: Vec<Account>,
    ) -> impl Future<Output = Result<(), CreateError>> + Send;

    /// The user with this id.
    fn account(
        &self,
        realm: &str,
        id: &str,
    ) -> impl Future<Output = Result<Option<Account>, StoreError>> + Send;

    /// The user with this e-mail address, or else with this username.
    fn account_by_login(
        &self,
        realm: &str,
        login: &str,
    ) -> impl Future<Output = Result<Option<Account>, StoreError>> + Send;

    /// The users with these ids as far as they exist, in no order.
    fn accounts_by_id(
        &self,
        realm: &str,
        ids: Vec<String>,
    ) -> impl Future<Output = Result<Vec<Account>, StoreError>> + Send;

    /// At most `limit` users whose id comes after `after`, in the order of their ids.
    fn accounts(
        &self,
        realm: &str,
        after: Option<&str>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Account>, StoreError>> + Send;

    /// Notes when a user's last connection ended. One who does not exist is no error.
    fn note_last_seen(
        &self,
        realm: &str,
        id: &str,
        at: Timestamp,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Notes that tokens issued before `second` of the epoch are no longer the user's.
    fn note_logout(
        &self,
        realm: &str,
        id: &str,
        second: u64,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Removes the user, and nothing that he left elsewhere; says whether there was one.
    fn remove_account(&self, realm: &str, id: &str) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Makes tenants.
    fn create_tenants(
        &self,
        realm: &str,
        tenants: Vec<Tenant>,
    ) -> impl Future<Output = Result<(), CreateError>> + Send;

    /// The tenant with this schema name.
    fn tenant(
        &self,
        realm: &str,
        schema_name: &str,
    ) -> impl Future<Output = Result<Option<Tenant>, StoreError>> + Send;
}
