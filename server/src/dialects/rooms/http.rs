//! The HTTP endpoints of `rooms`: login and refresh, channels, and what is said in them.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Serialize;
use touchstone_protocol::json;
use touchstone_protocol::rooms::messages::{Channel, Id, Message, Unprocessable, content_of};
use touchstone_storage::{Accounts, Bus, Channels, NewChannel, NoPage, Posts, Presence, StoreError, Tenant};
use uuid::Uuid;

use super::Rooms;
use super::admission::{Caller, NotAdmitted, TokenKind};
use super::desk::NotSaid;
use super::greeting::channel;
use super::member::{User, wire_id};
use super::place::{self, REALM};
use crate::auth;
use crate::query::Query;

/// Items in a page when nobody says how many.
const PAGE_ITEMS: usize = 50;

/// Channels in one page; a request for more gets as many.
const PAGE_CHANNELS_MAX: usize = 200;

/// Characters of the longest name of a channel.
const NAME_CHARS_MAX: usize = 200;

/// Members that one request may put into a channel.
const PARTICIPANTS_MAX: usize = 10_000;

/// The endpoints, each below its root (`routes::http_roots`).
pub(crate) fn routes<S, B, P>(rooms: &Arc<Rooms<S, B, P>>) -> Vec<(&'static str, Router)>
where
    S: Accounts + Channels + Posts,
    B: Bus,
    P: Presence,
{
    let auth = Router::new()
        .route("/login/", post(login::<S, B, P>))
        .route("/refresh/", post(refresh::<S, B, P>));
    let channels = get(list::<S, B, P>).post(create::<S, B, P>);
    let messages = get(page::<S, B, P>).post(say::<S, B, P>);
    let chat = Router::new()
        .route("/{schema}/channels/", channels)
        .route("/{schema}/channels/{id}/messages/", messages);
    let finish = |router: Router<Arc<Rooms<S, B, P>>>| {
        router
            .method_not_allowed_fallback(|| async { Refused::MethodNotAllowed })
            .fallback(|| async { Refused::NotFound("Not found") })
            .with_state(Arc::clone(rooms))
    };
    vec![("/api/{schema}/auth", finish(auth)), ("/api/chat", finish(chat))]
}

/// Why a request is not done.
#[derive(Debug)]
enum Refused {
    BadRequest(String),
    /// The credentials or the token are no good.
    Unauthorized(&'static str),
    NotFound(&'static str),
    MethodNotAllowed,
    /// The server cannot do it: there is no key to sign a token.
    Internal,
    /// Store or bus did not answer, or too many want to log in.
    Unavailable,
}

#[derive(Debug, Serialize)]
struct ErrorShown<'a> {
    error: &'a str,
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let (status, error) = match &self {
            Self::BadRequest(why) => (StatusCode::BAD_REQUEST, &**why),
            Self::Unauthorized(why) => (StatusCode::UNAUTHORIZED, *why),
            Self::NotFound(why) => (StatusCode::NOT_FOUND, *why),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "Method not allowed"),
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "Server error"),
            Self::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "Server error"),
        };
        let mut response = (status, Json(ErrorShown { error })).into_response();
        if status == StatusCode::UNAUTHORIZED {
            let bearer = header::HeaderValue::from_static("Bearer");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, bearer);
        }
        response
    }
}

impl From<StoreError> for Refused {
    fn from(_: StoreError) -> Self {
        Self::Unavailable
    }
}

impl From<Unprocessable> for Refused {
    fn from(why: Unprocessable) -> Self {
        Self::BadRequest(why.to_string())
    }
}

#[derive(Debug, Serialize)]
struct LoggedIn<'a> {
    tokens: TokenPair,
    user: UserShown<'a>,
    tenant: TenantShown<'a>,
}

#[derive(Debug, Serialize)]
struct TokenPair {
    access: String,
    refresh: String,
}

#[derive(Debug, Serialize)]
struct UserShown<'a> {
    id: Id<'a>,
    username: &'a str,
    email: &'a str,
}

#[derive(Debug, Serialize)]
struct TenantShown<'a> {
    id: Id<'a>,
    name: &'a str,
    schema_name: &'a str,
}

#[derive(Debug, Serialize)]
struct Refreshed {
    access: String,
}

#[derive(Debug, Serialize)]
struct ChannelPage<'a> {
    count: u64,
    results: Vec<Channel<'a>>,
}

#[derive(Debug, Serialize)]
struct MessagePage<'a> {
    messages: Vec<Message<'a>>,
    has_more: bool,
}

type Shared<S, B, P> = State<Arc<Rooms<S, B, P>>>;

async fn login<S, B, P>(
    State(rooms): Shared<S, B, P>,
    Path(schema_name): Path<String>,
    body: Bytes,
) -> Result<Response, Refused>
where
    S: Accounts,
    B: Send + Sync + 'static,
    P: Send + Sync + 'static,
{
    let [email, password] = members(&body, ["email", "password"])?.map(|field| {
        let field = field.and_then(json::Value::text);
        field.filter(|field| !field.is_empty())
    });
    let (Some(email), Some(password)) = (email, password) else {
        let why = "Email and password are required";
        return Err(Refused::BadRequest(why.to_owned()));
    };
    let tenant = rooms.existing_tenant(&schema_name).await?;
    let realm = place::realm(&tenant.schema_name);
    let store = &rooms.backing.store;
    let account = store.call(store.account_by_login(&realm, &email)).await?;
    let account = account.filter(|account| account.email.as_deref() == Some(&*email));
    let stored = account.as_ref().and_then(|account| account.password_hash.clone());
    let matches = rooms
        .backing
        .passwords
        .matches(password.into_owned(), stored)
        .await
        .map_err(|_| Refused::Unavailable)?;
    let Some(account) = account.filter(|_| matches) else {
        return Err(Refused::Unauthorized("Invalid credentials"));
    };
    let user = User::from(account);
    let token = |kind| rooms.token_for(&user, &tenant, kind).ok_or(Refused::Internal);
    let logged_in = LoggedIn {
        tokens: TokenPair {
            access: token(TokenKind::Access)?,
            refresh: token(TokenKind::Refresh)?,
        },
        user: UserShown {
            id: user.wire_id(),
            username: &user.username,
            email: &email,
        },
        tenant: TenantShown {
            id: wire_id(&tenant.id, tenant.id_form),
            name: &tenant.name,
            schema_name: &tenant.schema_name,
        },
    };
    Ok(Json(logged_in).into_response())
}

async fn refresh<S, B, P>(
    State(rooms): Shared<S, B, P>,
    Path(schema_name): Path<String>,
    body: Bytes,
) -> Result<Response, Refused>
where
    S: Accounts,
    B: Send + Sync + 'static,
    P: Send + Sync + 'static,
{
    let [token] = members(&body, ["refresh"])?;
    let token = token.and_then(json::Value::text).unwrap_or_default();
    let caller = rooms
        .admitted_to(&schema_name, &token, TokenKind::Refresh)
        .await?;
    let access = rooms.token_for(&caller.user, &caller.tenant, TokenKind::Access);
    let access = access.ok_or(Refused::Internal)?;
    Ok(Json(Refreshed { access }).into_response())
}

async fn list<S, B, P>(
    State(rooms): Shared<S, B, P>,
    Path(schema_name): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Refused>
where
    S: Accounts + Channels,
    B: Send + Sync + 'static,
    P: Send + Sync + 'static,
{
    let caller = rooms.caller(&schema_name, &headers).await?;
    let query = Query::new(query.as_deref());
    let limit = limit(query, PAGE_CHANNELS_MAX)?;
    let skipped = number(query, "offset")?.unwrap_or(0);
    let store = &rooms.backing.store;
    let found = store.memberships(&caller.realm, &caller.user.id, skipped, limit);
    let found = store.call(found).await?;
    let last = found.channels.iter().filter_map(|(_, last)| last.as_ref());
    let people = rooms.people(&caller.realm, last, &[]).await?;
    let asker = &caller.user.id;
    let last: Vec<_> = found
        .channels
        .iter()
        .map(|(_, last)| people.messages(last, asker).pop())
        .collect();
    let channels = found.channels.iter().zip(&last);
    let page = ChannelPage {
        count: found.total,
        results: channels
            .map(|((found, _), last)| channel(found, last.as_ref()))
            .collect(),
    };
    Ok(Json(page).into_response())
}

async fn create<S, B, P>(
    State(rooms): Shared<S, B, P>,
    Path(schema_name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refused>
where
    S: Accounts + Channels + Posts,
    B: Bus,
    P: Presence,
{
    let caller = rooms.caller(&schema_name, &headers).await?;
    let [name, participants] = members(&body, ["name", "participants"])?;
    let name = name.and_then(json::Value::text);
    let is_name = |name: &str| {
        !name.trim().is_empty() && name.chars().count() <= NAME_CHARS_MAX && !json::has_nul(name)
    };
    let name = name.filter(|name| is_name(name)).ok_or_else(|| {
        Refused::BadRequest(format!(
            "Channel name is required, up to {NAME_CHARS_MAX} characters"
        ))
    })?;
    let mut members = participants.map_or(Ok(Vec::new()), user_ids)?;
    if let Some(stranger) = rooms.stranger(&caller.realm, &members).await? {
        return Err(Refused::BadRequest(format!("Unknown participant: {stranger}")));
    }
    members.push(caller.user.id.to_string());
    let id = Uuid::new_v4().to_string();
    let new = NewChannel {
        realm: Arc::clone(&caller.realm),
        id: id.clone(),
        name: Some(name.into_owned()),
        members,
    };
    let store = &rooms.backing.store;
    let created = store.call(store.create_channels(vec![new])).await;
    created.map_err(|_| Refused::Unavailable)?;
    let view = store.view(&caller.realm, &id, &caller.user.id, rooms.window(0));
    let view = store.call(view).await?.ok_or(Refused::Unavailable)?;
    Ok((StatusCode::CREATED, Json(channel(&view.channel, None))).into_response())
}

async fn page<S, B, P>(
    State(rooms): Shared<S, B, P>,
    Path((schema_name, id)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Refused>
where
    S: Accounts + Posts,
    B: Send + Sync + 'static,
    P: Send + Sync + 'static,
{
    let caller = rooms.caller(&schema_name, &headers).await?;
    let query = Query::new(query.as_deref());
    let window = rooms.window(limit(query, rooms.config.page_messages)?);
    let before = query.get("before");
    let store = &rooms.backing.store;
    let page = store.page(&caller.realm, &id, &caller.user.id, before.as_deref(), window);
    let page = store.call(page).await?.map_err(|why| match why {
        NoPage::Channel => Refused::NotFound("Channel not found"),
        NoPage::Post => Refused::NotFound("Message not found"),
    })?;
    let people = rooms.people(&caller.realm, &page.posts, &[]).await?;
    let page = MessagePage {
        messages: people.messages(&page.posts, &caller.user.id),
        has_more: page.has_more,
    };
    Ok(Json(page).into_response())
}

async fn say<S, B, P>(
    State(rooms): Shared<S, B, P>,
    Path((schema_name, id)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refused>
where
    S: Accounts + Channels + Posts,
    B: Bus,
    P: Presence,
{
    let caller = rooms.caller(&schema_name, &headers).await?;
    let [content] = members(&body, ["content"])?;
    let content = content_of(content, rooms.config.content_chars)?.into_owned();
    let topic = place::topic(&caller.realm, &id);
    let post = rooms.post(topic, Arc::clone(&caller.user), content).await;
    let post = post.map_err(|why| match why {
        NotSaid::NotMember => Refused::NotFound("Channel not found"),
        NotSaid::Unavailable => Refused::Unavailable,
    })?;
    let people = rooms.people(&caller.realm, [&post], &[]).await?;
    let message = people.messages([&post], &caller.user.id).pop();
    let message = message.ok_or(Refused::Unavailable)?;
    Ok((StatusCode::CREATED, Json(message)).into_response())
}

impl<S: Accounts, B, P> Rooms<S, B, P> {
    async fn existing_tenant(&self, schema_name: &str) -> Result<Tenant, Refused> {
        let store = &self.backing.store;
        let tenant = store.call(store.tenant(REALM, schema_name)).await?;
        tenant.ok_or(Refused::NotFound("Tenant not found"))
    }

    /// Who asks, by the access token in the header.
    async fn caller(&self, schema_name: &str, headers: &HeaderMap) -> Result<Caller, Refused> {
        let token = auth::bearer(headers).ok_or(Refused::Unauthorized("Authentication required"))?;
        self.admitted_to(schema_name, token, TokenKind::Access).await
    }

    /// A token of another tenant is told the same as one that is no good, whether or not there is the tenant.
    async fn admitted_to(&self, schema_name: &str, token: &str, kind: TokenKind) -> Result<Caller, Refused> {
        let invalid = Refused::Unauthorized("Invalid token");
        match self.admit(token, kind).await {
            Ok(caller) if caller.tenant.schema_name == schema_name => Ok(caller),
            Ok(_) | Err(NotAdmitted::Refused) => Err(invalid),
            Err(NotAdmitted::Unavailable) => Err(Refused::Unavailable),
        }
    }
}

/// The members of these names in a body that is a JSON object.
fn members<'a, const N: usize>(
    body: &'a [u8],
    names: [&str; N],
) -> Result<[Option<json::Value<'a>>; N], Refused> {
    let text = std::str::from_utf8(body).ok();
    let object = text.and_then(|text| json::parse(text).ok()?.object());
    Ok(object.ok_or(Unprocessable::InvalidJson)?.members(names))
}

/// A list of users' ids, each a string or an integer.
fn user_ids(list: json::Value<'_>) -> Result<Vec<String>, Refused> {
    let id = |id: json::Value<'_>| match id.text() {
        Some(id) => Some(id.into_owned()),
        None => id.raw().parse::<u64>().ok().map(|id| id.to_string()),
    };
    let ids = list.elements().filter(|ids| ids.len() <= PARTICIPANTS_MAX);
    let ids = ids.and_then(|ids| ids.into_iter().map(id).collect());
    ids.ok_or_else(|| Refused::BadRequest(format!("participants must be up to {PARTICIPANTS_MAX} user ids")))
}

/// How many items are asked for, at most `most`.
fn limit(query: Query<'_>, most: usize) -> Result<usize, Refused> {
    match number(query, "limit")? {
        None => Ok(PAGE_ITEMS.min(most)),
        Some(0) => Err(Refused::BadRequest("limit must be at least 1".to_owned())),
        Some(limit) => Ok(limit.min(most)),
    }
}

fn number(query: Query<'_>, name: &str) -> Result<Option<usize>, Refused> {
    // SQLite's integers end where an `i64` does.
    let number = query.get(name).map(|number| number.parse::<u32>());
    let number = number
        .transpose()
        .map(|number| number.map(|number| number as usize));
    number.map_err(|_| Refused::BadRequest(format!("{name} must be a whole number")))
}
