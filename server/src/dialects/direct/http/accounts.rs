//! Who there is: registering, logging in, and the lists of users.

use std::borrow::Cow;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Serialize;
use serde_json::json;
use touchstone_protocol::json::has_nul;
use touchstone_protocol::timestamp::Rfc3339;
use touchstone_storage::{Account, Accounts, Bus, CreateError, Dialogues, Presence};

use super::{Failure, filled, object, success};
use crate::auth::NotHashed;
use crate::dialects::direct::{Direct, PLACE, REALM};
use crate::query::Query;

/// Unicode scalar values in the longest username.
const USERNAME_CHARS_MAX: usize = 64;

/// Bytes in the longest e-mail address (RFC 5321 4.5.3.1.3, without its brackets).
const EMAIL_BYTES_MAX: usize = 254;

/// Unicode scalar values in the shortest password that can be registered.
const PASSWORD_CHARS_MIN: usize = 8;

/// Users in one answer. More are asked for by `after`, the last `_id` of the answer before.
const USERS_LISTED_MAX: usize = 10_000;

/// A user, to himself and to whoever asks who he is.
#[derive(Debug, Serialize)]
struct UserShown<'a> {
    #[serde(rename = "_id")]
    id: &'a str,
    username: &'a str,
    email: Option<&'a str>,
    avatar: Option<&'a str>,
}

/// A user in a list.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct UserListed {
    #[serde(rename = "_id")]
    id: String,
    username: String,
    avatar: Option<String>,
    is_online: bool,
    last_seen: Option<Rfc3339>,
}

#[derive(Debug, Serialize)]
struct Users {
    users: Vec<UserListed>,
}

impl<'a> UserShown<'a> {
    fn new(account: &'a Account) -> Self {
        Self {
            id: &account.id,
            username: &account.username,
            email: account.email.as_deref(),
            avatar: account.avatar.as_deref(),
        }
    }
}

pub(super) async fn register<S: Accounts + Dialogues, B: Bus, P: Presence>(
    State(direct): State<Arc<Direct<S, B, P>>>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Failure> {
    let (mut account, password) = newcomer(&body?)?;
    account.id = direct.ids.next(direct.backing.clock.now()).to_string();
    let hash = direct.backing.passwords.hash(password).await;
    account.password_hash = Some(hash.map_err(|why| match why {
        NotHashed::Busy => Failure::Unavailable,
        NotHashed::TooLong => Failure::BadRequest("The password is too long"),
    })?);
    let store = &direct.backing.store;
    match store
        .call(store.create_accounts(REALM, vec![account.clone()]))
        .await
    {
        Ok(()) => direct.welcome(StatusCode::CREATED, &account),
        Err(CreateError::Taken { field: "email", .. }) => {
            Err(Failure::Conflict("Email is already registered"))
        }
        Err(CreateError::Taken { .. }) => Err(Failure::Conflict("Username is already taken")),
        Err(CreateError::Store(error)) => Err(error.into()),
    }
}

/// An account as somebody asks for it, yet without id, and its password.
fn newcomer(body: &Bytes) -> Result<(Account, String), Failure> {
    let [username, email, password] = object(body)?.members(["username", "email", "password"]);
    let text = |value| {
        let text = filled(value).map(Cow::into_owned);
        text.ok_or(Failure::BadRequest("username, email and password are required"))
    };
    let (username, email, password) = (text(username)?, text(email)?, text(password)?);
    if username.trim() != username || username.chars().count() > USERNAME_CHARS_MAX || has_nul(&username) {
        return Err(Failure::BadRequest(
            "A username has up to 64 characters, no blank at either end",
        ));
    }
    let is_address = email
        .split_once('@')
        .is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty());
    let is_printable = !email.chars().any(|c| c.is_whitespace() || c.is_control());
    if !is_address || !is_printable || email.len() > EMAIL_BYTES_MAX {
        return Err(Failure::BadRequest("The email address is not valid"));
    }
    if password.chars().count() < PASSWORD_CHARS_MIN {
        return Err(Failure::BadRequest("A password has at least 8 characters"));
    }
    let account = Account {
        username,
        email: Some(email.to_lowercase()),
        ..Account::default()
    };
    Ok((account, password))
}

pub(super) async fn login<S: Accounts + Dialogues, B: Bus, P: Presence>(
    State(direct): State<Arc<Direct<S, B, P>>>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Failure> {
    let body = body?;
    let [email, password] = object(&body)?.members(["email", "password"]);
    let missing = || Failure::BadRequest("email and password are required");
    let email = filled(email).ok_or_else(missing)?;
    let password = filled(password).ok_or_else(missing)?.into_owned();
    let store = &direct.backing.store;
    let account = store
        .call(store.account_by_login(REALM, &email.to_lowercase()))
        .await?;
    let hash = account.as_ref().and_then(|account| account.password_hash.clone());
    let matches = direct.backing.passwords.matches(password, hash).await;
    let matches = matches.map_err(|_| Failure::Unavailable)?;
    match account.filter(|_| matches) {
        Some(account) => direct.welcome(StatusCode::OK, &account),
        None => Err(Failure::Unauthorized("Invalid email or password")),
    }
}

pub(super) async fn me<S: Accounts + Dialogues, B: Bus, P: Presence>(
    State(direct): State<Arc<Direct<S, B, P>>>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let caller = direct.caller(&headers).await?;
    let user = UserShown::new(&caller.account);
    Ok(success(StatusCode::OK, json!({ "user": user })))
}

pub(super) async fn users<S: Accounts + Dialogues, B: Bus, P: Presence>(
    State(direct): State<Arc<Direct<S, B, P>>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    direct.caller(&headers).await?;
    let after = Query::new(query.as_deref()).get("after");
    let after = after.map(|after| after.to_ascii_lowercase());
    let store = &direct.backing.store;
    let accounts = store.accounts(REALM, after.as_deref(), USERS_LISTED_MAX);
    let users = direct.listed(store.call(accounts).await?).await?;
    Ok(success(StatusCode::OK, Users { users }))
}

pub(super) async fn online<S: Accounts + Dialogues, B: Bus, P: Presence>(
    State(direct): State<Arc<Direct<S, B, P>>>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    direct.caller(&headers).await?;
    let present = direct.backing.presence.latest(PLACE, USERS_LISTED_MAX).await?;
    let ids = present.members.iter().map(|id| id.to_string()).collect();
    let store = &direct.backing.store;
    let mut users = direct
        .listed(store.call(store.accounts_by_id(REALM, ids)).await?)
        .await?;
    // Who has left since is not online any more.
    users.retain(|user| user.is_online);
    Ok(success(StatusCode::OK, Users { users }))
}

impl<S: Accounts + Dialogues, B: Bus, P: Presence> Direct<S, B, P> {
    /// The answer to who has shown who he is.
    fn welcome(&self, status: StatusCode, account: &Account) -> Result<Response, Failure> {
        let token = self.token_of(&account.id).ok_or(Failure::Unavailable)?;
        let user = UserShown::new(account);
        Ok(success(status, json!({ "token": token, "user": user })))
    }

    /// Users as they stand in lists over HTTP.
    pub(super) async fn listed(&self, accounts: Vec<Account>) -> Result<Vec<UserListed>, Failure> {
        let ids: Vec<_> = accounts.iter().map(|account| &*account.id).collect();
        let present = self.backing.presence.are_present(PLACE, &ids).await?;
        let listed = accounts.into_iter().zip(present);
        Ok(listed
            .map(|(account, is_online)| UserListed {
                id: account.id,
                username: account.username,
                avatar: account.avatar,
                is_online,
                last_seen: account.last_seen.map(|at| Rfc3339(at.millis())),
            })
            .collect())
    }
}

impl UserListed {
    /// Whether this is that user.
    pub(super) fn is(&self, user: &str) -> bool {
        self.id == user
    }

    /// One who is no longer in the store.
    pub(super) fn unknown(user: &str) -> Self {
        Self {
            id: user.to_owned(),
            username: String::new(),
            avatar: None,
            is_online: false,
            last_seen: None,
        }
    }
}
