//! The HTTP endpoints of `feed`: tokens, and the resources whose changes everybody is told of.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{RawPathParams, RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Serialize;
use serde_json::{Map, Value, json};
use touchstone_protocol::feed::messages::{Down, Event, ResourceKind};
use touchstone_protocol::timestamp::Rfc3339;
use touchstone_storage::{Accounts, Bus, Presence, Resource, Resources, StoreError};

use super::identity::{Unidentified, Use, User};
use super::resources::{self, Extent, Wrong};
use super::{Feed, REALM};
use crate::auth;
use crate::query::Query;

/// Resources in a page if the request doesn't say.
const PAGE_RESOURCES_DEFAULT: usize = 50;

/// The endpoints, each below its root (`routes::http_roots`), which is part of every path.
pub(crate) fn routes<S, B, P>(feed: &Arc<Feed<S, B, P>>) -> Vec<(&'static str, Router)>
where
    S: Accounts + Resources,
    B: Bus,
    P: Presence,
{
    let token = Router::new()
        .route("/", post(log_in::<S, B, P>))
        .route("/refresh/", post(refresh::<S, B, P>))
        .with_state(Arc::clone(feed));
    let endpoints = [
        ("/api/token/", token),
        ("/api/bucketpoints/", shelf(feed, ResourceKind::Bucketpoint)),
        ("/api/albums/", shelf(feed, ResourceKind::Album)),
        ("/api/photos/", shelf(feed, ResourceKind::Photo)),
        ("/api/messages/", shelf(feed, ResourceKind::Message)),
    ];
    let with_refusals = |(root, router): (_, Router)| {
        let router = router
            .fallback(|| async { Problem::NotFound })
            .method_not_allowed_fallback(|| async { Problem::Method });
        (root, router)
    };
    endpoints.map(with_refusals).into()
}

/// What a handler of resources knows beforehand.
type About<S, B, P> = (Arc<Feed<S, B, P>>, ResourceKind);

fn shelf<S, B, P>(feed: &Arc<Feed<S, B, P>>, kind: ResourceKind) -> Router
where
    S: Accounts + Resources,
    B: Bus,
    P: Presence,
{
    let all = get(list::<S, B, P>).post(create::<S, B, P>);
    let one = get(retrieve::<S, B, P>).delete(remove::<S, B, P>);
    let changeable = one.clone().put(replace::<S, B, P>).patch(change::<S, B, P>);
    let router = match kind {
        ResourceKind::Bucketpoint | ResourceKind::Album => {
            Router::new().route("/", all).route("/{id}/", changeable)
        }
        ResourceKind::Photo => Router::new()
            .route("/{album_id}/", all)
            .route("/{album_id}/{id}/", changeable),
        ResourceKind::Message => Router::new()
            .route("/", all)
            .route("/{id}/", one)
            .route("/{id}/view/", post(view::<S, B, P>)),
    };
    router.with_state((Arc::clone(feed), kind))
}

/// Why a request is not done.
#[derive(Debug)]
enum Problem {
    /// There is no token, or none that will do.
    Unauthenticated,
    /// Username or password are wrong.
    Credentials,
    /// A refresh token that is none.
    RefreshToken,
    NotFound,
    Method,
    /// The body, or what is in it, will not do.
    Wrong(Wrong),
    /// A parameter of the query will not do.
    Parameter {
        name: &'static str,
        why: &'static str,
    },
    /// The body did not come whole, or is too long.
    Body(BytesRejection),
    /// The store did not answer.
    Store,
    /// Too many want to log in.
    Busy,
    /// There is no key to sign tokens with.
    NoKey,
}

type Done<T> = Result<T, Problem>;

impl From<StoreError> for Problem {
    fn from(_: StoreError) -> Self {
        Self::Store
    }
}

impl From<BytesRejection> for Problem {
    fn from(rejection: BytesRejection) -> Self {
        Self::Body(rejection)
    }
}

impl From<Wrong> for Problem {
    fn from(wrong: Wrong) -> Self {
        Self::Wrong(wrong)
    }
}

impl From<Unidentified> for Problem {
    fn from(why: Unidentified) -> Self {
        match why {
            Unidentified::Unauthenticated => Self::Unauthenticated,
            Unidentified::Store => Self::Store,
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let detail = |why: &str| json!({ "detail": why });
        let (status, body) = match self {
            Self::Unauthenticated => (
                StatusCode::UNAUTHORIZED,
                detail("Authentication credentials were not provided, or are not valid."),
            ),
            Self::Credentials => (
                StatusCode::UNAUTHORIZED,
                detail("No active account found with the given credentials"),
            ),
            Self::RefreshToken => (
                StatusCode::UNAUTHORIZED,
                json!({"detail": "Token is invalid or expired", "code": "token_not_valid"}),
            ),
            Self::NotFound => (StatusCode::NOT_FOUND, detail("Not found.")),
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, detail("Method not allowed.")),
            Self::Wrong(Wrong::Body) => (StatusCode::BAD_REQUEST, detail("The body is not a JSON object.")),
            Self::Wrong(Wrong::Fields(faults)) => {
                let named = faults
                    .into_iter()
                    .map(|(name, fault)| (name.to_owned(), json!([fault.to_string()])));
                (StatusCode::BAD_REQUEST, Value::Object(Map::from_iter(named)))
            }
            Self::Parameter { name, why } => (StatusCode::BAD_REQUEST, json!({ name: [why] })),
            Self::Body(rejection) => (rejection.status(), detail(&rejection.body_text())),
            Self::Store | Self::Busy => (StatusCode::SERVICE_UNAVAILABLE, detail("Server error")),
            Self::NoKey => (
                StatusCode::SERVICE_UNAVAILABLE,
                detail("This server signs no tokens."),
            ),
        };
        let mut response = (status, Json(body)).into_response();
        if status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

async fn log_in<S: Accounts, B: Bus, P: Presence>(
    State(feed): State<Arc<Feed<S, B, P>>>,
    body: Result<Bytes, BytesRejection>,
) -> Done<Json<Value>> {
    let [username, password] = resources::texts(&body?, ["username", "password"])?;
    let store = &feed.backing.store;
    let account = store.call(store.account_by_login(REALM, &username)).await?;
    let hash = account.as_ref().and_then(|account| account.password_hash.clone());
    // Checked also where there is nothing to check, so that the time it takes tells nothing.
    let matches = feed.backing.passwords.matches(password, hash).await;
    let matches = matches.map_err(|_| Problem::Busy)?;
    let id = account.and_then(|account| super::identity::parse_id(&account.id));
    let (Some(id), true) = (id, matches) else {
        return Err(Problem::Credentials);
    };
    let access = feed.token(id, Use::Access).ok_or(Problem::NoKey)?;
    let refresh = feed.token(id, Use::Refresh).ok_or(Problem::NoKey)?;
    Ok(Json(json!({"access": access, "refresh": refresh})))
}

async fn refresh<S: Accounts, B: Bus, P: Presence>(
    State(feed): State<Arc<Feed<S, B, P>>>,
    body: Result<Bytes, BytesRejection>,
) -> Done<Json<Value>> {
    let [refresh] = resources::texts(&body?, ["refresh"])?;
    let user = feed.identify(&refresh, Use::Refresh).await;
    let user = user.map_err(|why| match why {
        Unidentified::Unauthenticated => Problem::RefreshToken,
        Unidentified::Store => Problem::Store,
    })?;
    let access = feed.token(user.id, Use::Access).ok_or(Problem::NoKey)?;
    Ok(Json(json!({ "access": access })))
}

impl<S: Accounts, B, P> Feed<S, B, P> {
    async fn requester(&self, headers: &HeaderMap) -> Done<User> {
        let token = auth::bearer(headers).ok_or(Problem::Unauthenticated)?;
        Ok(self.identify(token, Use::Access).await?)
    }
}

/// What a path names: ids that are none are those of nothing.
#[derive(Debug, Clone, Copy)]
struct Named {
    /// `None` for what is in no album.
    album: Option<u64>,
    /// `None` where all of a shelf are meant.
    id: Option<u64>,
}

impl Named {
    fn read(path: &RawPathParams) -> Done<Self> {
        // The store makes no id beyond an `i64`, and could not look for one.
        let id = |text: &str| text.parse().ok().filter(|id| i64::try_from(*id).is_ok());
        let named = |name: &str| {
            let given = path.iter().find(|(key, _)| *key == name);
            given
                .map(|(_, text)| id(text).ok_or(Problem::NotFound))
                .transpose()
        };
        Ok(Self {
            album: named("album_id")?,
            id: named("id")?,
        })
    }

    fn one(path: &RawPathParams) -> Done<(Option<u64>, u64)> {
        let Self { album, id } = Self::read(path)?;
        Ok((album, id.ok_or(Problem::NotFound)?))
    }
}

/// What a request for a page asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Asked {
    /// From 1.
    page: u64,
    page_size: usize,
}

impl Asked {
    fn read(query: Option<&str>, page_size_max: usize) -> Done<Self> {
        let query = Query::new(query);
        let number = |name, default: u64| match query.get(name).map(|text| text.parse()) {
            None => Ok(default),
            Some(Ok(number)) if number > 0 => Ok(number),
            Some(_) => Err(Problem::Parameter {
                name,
                why: "A positive whole number is required.",
            }),
        };
        let page_size = number("page_size", PAGE_RESOURCES_DEFAULT as u64)?;
        Ok(Self {
            page: number("page", 1)?,
            page_size: usize::try_from(page_size)
                .unwrap_or(usize::MAX)
                .min(page_size_max),
        })
    }

    fn skip(self) -> u64 {
        (self.page - 1).saturating_mul(self.page_size as u64)
    }

    /// The query of another page.
    fn query(self, page: u64) -> String {
        format!("?page={page}&page_size={}", self.page_size)
    }
}

/// Some of the resources of a shelf. `next` and `previous` are relative to the request's own address.
#[derive(Debug, Serialize)]
struct Page<T> {
    count: u64,
    next: Option<String>,
    previous: Option<String>,
    results: Vec<T>,
}

async fn list<S: Accounts + Resources, B: Bus, P: Presence>(
    State((feed, kind)): State<About<S, B, P>>,
    path: RawPathParams,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Done<Response> {
    feed.requester(&headers).await?;
    let Named { album, .. } = Named::read(&path)?;
    let asked = Asked::read(query.as_deref(), feed.config.page_resources)?;
    let store = &feed.backing.store;
    if let Some(album) = album {
        let albums = resources::shelf(ResourceKind::Album, None);
        let found = store.call(store.resource(albums, album)).await?;
        found.ok_or(Problem::NotFound)?;
    }
    let shelf = resources::shelf(kind, album);
    let page = store
        .call(store.resources(shelf, asked.skip(), asked.page_size))
        .await?;
    let behind = asked.skip().saturating_add(page.resources.len() as u64);
    let shown = |resource| resources::shown(kind, album, resource);
    Ok(Json(Page {
        count: page.total,
        next: (behind < page.total).then(|| asked.query(asked.page + 1)),
        previous: (asked.page > 1).then(|| asked.query(asked.page - 1)),
        results: page.resources.iter().map(shown).collect(),
    })
    .into_response())
}

async fn retrieve<S: Accounts + Resources, B: Bus, P: Presence>(
    State((feed, kind)): State<About<S, B, P>>,
    path: RawPathParams,
    headers: HeaderMap,
) -> Done<Response> {
    feed.requester(&headers).await?;
    let (album, id) = Named::one(&path)?;
    let store = &feed.backing.store;
    let found = store
        .call(store.resource(resources::shelf(kind, album), id))
        .await?;
    let found = found.ok_or(Problem::NotFound)?;
    Ok(Json(resources::shown(kind, album, &found)).into_response())
}

async fn create<S: Accounts + Resources, B: Bus, P: Presence>(
    State((feed, kind)): State<About<S, B, P>>,
    path: RawPathParams,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Done<Response> {
    let user = feed.requester(&headers).await?;
    let Named { album, .. } = Named::read(&path)?;
    let fields = resources::read(kind, &body?, Extent::Whole)?;
    let now = feed.backing.clock.now();
    let store = &feed.backing.store;
    // What is in nothing comes behind nothing: nobody can change it before he has heard of it.
    let _turn = match album {
        Some(album) => Some(feed.turns.take(album).await),
        None => None,
    };
    let made = store
        .call(store.create_resource(resources::shelf(kind, album), &user.key, now, fields))
        .await?;
    let made = made.ok_or(Problem::NotFound)?;
    let shown = feed.tell_shown(kind.made(), kind, album, &made).await;
    Ok((StatusCode::CREATED, shown).into_response())
}

async fn replace<S: Accounts + Resources, B: Bus, P: Presence>(
    State(about): State<About<S, B, P>>,
    path: RawPathParams,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Done<Response> {
    revise(about, &path, &headers, body?, Extent::Whole).await
}

async fn change<S: Accounts + Resources, B: Bus, P: Presence>(
    State(about): State<About<S, B, P>>,
    path: RawPathParams,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Done<Response> {
    revise(about, &path, &headers, body?, Extent::Part).await
}

async fn revise<S: Accounts + Resources, B: Bus, P: Presence>(
    (feed, kind): About<S, B, P>,
    path: &RawPathParams,
    headers: &HeaderMap,
    body: Bytes,
    extent: Extent,
) -> Done<Response> {
    feed.requester(headers).await?;
    let event = kind.changed().ok_or(Problem::Method)?;
    let (album, id) = Named::one(path)?;
    let fields = resources::read(kind, &body, extent)?;
    let store = &feed.backing.store;
    let _turn = feed.turns.take(album.unwrap_or(id)).await;
    let revised = store
        .call(store.revise_resource(resources::shelf(kind, album), id, fields))
        .await?;
    let revised = revised.ok_or(Problem::NotFound)?;
    Ok(feed.tell_shown(event, kind, album, &revised).await)
}

async fn remove<S: Accounts + Resources, B: Bus, P: Presence>(
    State((feed, kind)): State<About<S, B, P>>,
    path: RawPathParams,
    headers: HeaderMap,
) -> Done<StatusCode> {
    feed.requester(&headers).await?;
    let (album, id) = Named::one(&path)?;
    let store = &feed.backing.store;
    let _turn = feed.turns.take(album.unwrap_or(id)).await;
    let removed = store
        .call(store.remove_resource(resources::shelf(kind, album), id))
        .await?;
    if !removed {
        return Err(Problem::NotFound);
    }
    let told = Down::Removed {
        event: kind.removed(),
        id,
        album_id: album,
    };
    feed.tell_stored(&told).await;
    Ok(StatusCode::NO_CONTENT)
}

async fn view<S: Accounts + Resources, B: Bus, P: Presence>(
    State((feed, kind)): State<About<S, B, P>>,
    path: RawPathParams,
    headers: HeaderMap,
) -> Done<Response> {
    let user = feed.requester(&headers).await?;
    let (_, id) = Named::one(&path)?;
    let store = &feed.backing.store;
    let _turn = feed.turns.take(id).await;
    let found = store
        .call(store.resource(resources::shelf(kind, None), id))
        .await?;
    found.ok_or(Problem::NotFound)?;
    let viewed_at = Rfc3339(feed.backing.clock.now().millis());
    let user_id = user.id;
    let told = Down::Viewed {
        id,
        user_id,
        viewed_at,
    };
    feed.tell_stored(&told).await;
    Ok(Json(json!({"id": id, "user_id": user_id, "viewed_at": viewed_at})).into_response())
}

impl<S: Accounts, B: Bus, P: Presence> Feed<S, B, P> {
    /// Tells everybody how a resource is now, and shows it to whoever asked.
    async fn tell_shown(
        &self,
        event: Event,
        kind: ResourceKind,
        album: Option<u64>,
        resource: &Resource,
    ) -> Response {
        let shown = resources::shown(kind, album, resource);
        let told = Down::Shown {
            event,
            resource: &shown,
        };
        self.tell_stored(&told).await;
        Json(shown).into_response()
    }
}
