//! The HTTP endpoints of `outbox`: accounts, conversations and messages.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Serialize;
use touchstone_protocol::json;
use touchstone_protocol::outbox::messages::{EventKind, MessageBody, MessageData, ResponseMessage};
use touchstone_protocol::timestamp::Rfc3339;
use touchstone_storage::{Account, Bus, Conversation, ConversationMessage, Presence, StoreError};
use uuid::Uuid;

use super::admission::{ShownToken, Standing, TokenUse};
use super::sending::Draft;
use super::{Keeps, Outbox, REALM, SERVER_ERROR, user_uuid};
use crate::auth;

/// Conversations in the list of one user: those beyond it are not shown.
const CONVERSATIONS_SHOWN_MAX: usize = 1_000;

/// What one message may add to the store with its events, in bytes: each member of the conversation gets one of his own.
const EVENTS_BYTES_MAX: usize = 64 << 20;

/// Why a request was not done.
#[derive(Debug)]
enum Refusal {
    /// The body is not what it has to be.
    Bad(&'static str),
    /// Nobody who may ask.
    Unauthenticated(&'static str),
    /// Somebody who may not ask for this.
    Forbidden(&'static str),
    /// The message is longer than one may be, or than one may be for so many.
    TooLong,
    /// The body could not be had.
    Body(BytesRejection),
    /// The store did not answer; that has been noted where it is watched.
    Store,
    /// Too many want to log in.
    Busy,
    /// There is no key to sign a token with.
    NoKey,
}

impl From<StoreError> for Refusal {
    fn from(_: StoreError) -> Self {
        Self::Store
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Bad(why) => refused(StatusCode::BAD_REQUEST, why),
            Self::Unauthenticated(why) => {
                let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
                (challenge, refused(StatusCode::UNAUTHORIZED, why)).into_response()
            }
            Self::Forbidden(why) => refused(StatusCode::FORBIDDEN, why),
            Self::TooLong => refused(StatusCode::PAYLOAD_TOO_LARGE, "content is too long"),
            Self::Body(rejection) => refused(rejection.status(), &rejection.body_text()),
            Self::Store | Self::Busy => refused(StatusCode::SERVICE_UNAVAILABLE, SERVER_ERROR),
            Self::NoKey => refused(StatusCode::INTERNAL_SERVER_ERROR, SERVER_ERROR),
        }
    }
}

fn refused(status: StatusCode, detail: &str) -> Response {
    #[derive(Serialize)]
    struct Refused<'a> {
        detail: &'a str,
    }
    (status, Json(Refused { detail })).into_response()
}

type Answer = Result<Response, Refusal>;

type Body = Result<Bytes, BytesRejection>;

/// The endpoints, each below its root (`routes::http_roots`).
pub(crate) fn routes<S: Keeps, B: Bus, P: Presence>(
    outbox: &Arc<Outbox<S, B, P>>,
) -> Vec<(&'static str, Router)> {
    let auth = Router::new()
        .route("/login", post(login::<S, B, P>))
        .route("/refresh", post(refresh::<S, B, P>))
        .route("/me", get(me::<S, B, P>))
        .route("/logout", post(logout::<S, B, P>));
    let conversations = Router::new().route("/", get(conversations::<S, B, P>));
    let messages = Router::new().route("/", post(post_message::<S, B, P>));
    let finished = |router: Router<Arc<Outbox<S, B, P>>>| {
        router
            .fallback(|| async { refused(StatusCode::NOT_FOUND, "Not found") })
            .method_not_allowed_fallback(|| async {
                refused(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed")
            })
            .with_state(Arc::clone(outbox))
    };
    vec![
        ("/api/auth", finished(auth)),
        ("/api/conversations", finished(conversations)),
        ("/api/messages", finished(messages)),
    ]
}

#[derive(Debug, Serialize)]
struct UserShown<'a> {
    uuid: &'a str,
    email: Option<&'a str>,
}

impl<'a> From<&'a Account> for UserShown<'a> {
    fn from(account: &'a Account) -> Self {
        Self {
            uuid: &account.id,
            email: account.email.as_deref(),
        }
    }
}

#[derive(Debug, Serialize)]
struct LoggedIn<'a> {
    access_token: String,
    refresh_token: String,
    user: UserShown<'a>,
}

#[derive(Debug, Serialize)]
struct Refreshed {
    access_token: String,
}

#[derive(Debug, Serialize)]
struct ConversationsShown {
    conversations: Vec<ConversationShown>,
}

#[derive(Debug, Serialize)]
struct ConversationShown {
    uuid: String,
    name: Option<String>,
    members: Vec<String>,
    created_at: Rfc3339,
}

impl From<Conversation> for ConversationShown {
    fn from(conversation: Conversation) -> Self {
        Self {
            uuid: conversation.id,
            name: conversation.name,
            members: conversation.members,
            created_at: Rfc3339(conversation.created_at.millis()),
        }
    }
}

async fn login<S: Keeps, B: Bus, P: Presence>(
    State(outbox): State<Arc<Outbox<S, B, P>>>,
    body: Body,
) -> Answer {
    let [email, password] = texts(body, ["email", "password"], "email and password are strings")?;
    let store = &outbox.backing.store;
    let account = store.call(store.account_by_login(REALM, &email)).await?;
    let hash = account.as_ref().and_then(|account| account.password_hash.clone());
    // Without a hash to compare with it takes as long.
    let matches = outbox.backing.passwords.matches(password, hash).await;
    let matches = matches.map_err(|_| Refusal::Busy)?;
    let Some(account) = account.filter(|_| matches) else {
        return Err(Refusal::Unauthenticated("Invalid credentials"));
    };
    let issue = |token_use| outbox.issue(&account.id, token_use).ok_or(Refusal::NoKey);
    let logged_in = LoggedIn {
        access_token: issue(TokenUse::Access)?,
        refresh_token: issue(TokenUse::Refresh)?,
        user: UserShown::from(&account),
    };
    Ok(Json(logged_in).into_response())
}

async fn refresh<S: Keeps, B: Bus, P: Presence>(
    State(outbox): State<Arc<Outbox<S, B, P>>>,
    body: Body,
) -> Answer {
    let [token] = texts(body, ["refresh_token"], "refresh_token is a string")?;
    let (_, account) = holder(&outbox, &token, TokenUse::Refresh).await?;
    let access_token = outbox
        .issue(&account.id, TokenUse::Access)
        .ok_or(Refusal::NoKey)?;
    Ok(Json(Refreshed { access_token }).into_response())
}

async fn me<S: Keeps, B: Bus, P: Presence>(
    State(outbox): State<Arc<Outbox<S, B, P>>>,
    headers: HeaderMap,
) -> Answer {
    let (_, account) = bearer(&outbox, &headers).await?;
    Ok(Json(UserShown::from(&account)).into_response())
}

async fn logout<S: Keeps, B: Bus, P: Presence>(
    State(outbox): State<Arc<Outbox<S, B, P>>>,
    headers: HeaderMap,
) -> Answer {
    let (shown, _) = bearer(&outbox, &headers).await?;
    outbox.log_out(&shown).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn conversations<S: Keeps, B: Bus, P: Presence>(
    State(outbox): State<Arc<Outbox<S, B, P>>>,
    headers: HeaderMap,
) -> Answer {
    let (_, account) = bearer(&outbox, &headers).await?;
    let store = &outbox.backing.store;
    let found = store.conversations_of(REALM, &account.id, None, CONVERSATIONS_SHOWN_MAX);
    let conversations = store.call(found).await?;
    let shown = ConversationsShown {
        conversations: conversations.into_iter().map(ConversationShown::from).collect(),
    };
    Ok(Json(shown).into_response())
}

/// Stores a message, and an event for every member of the conversation, the sender included.
async fn post_message<S: Keeps, B: Bus, P: Presence>(
    State(outbox): State<Arc<Outbox<S, B, P>>>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let (_, account) = bearer(&outbox, &headers).await?;
    let fields = ["conversation_uuid", "content"];
    let [conversation, content] = texts(body, fields, "conversation_uuid and content are strings")?;
    if content.is_empty() {
        return Err(Refusal::Bad("content is empty"));
    }
    let store = &outbox.backing.store;
    let conversation = match user_uuid::canonical(&conversation) {
        Some(id) => store.call(store.conversation(REALM, &id)).await?,
        None => None,
    };
    // A stranger does not learn which conversations there are.
    let conversation = conversation
        .filter(|conversation| conversation.members.contains(&account.id))
        .ok_or(Refusal::Forbidden("Not a member of the conversation"))?;
    let message = ConversationMessage {
        id: Uuid::now_v7().to_string(),
        conversation: conversation.id,
        sender: account.id,
        content,
        created_at: outbox.backing.clock.now(),
    };
    let data = MessageData {
        message: MessageBody {
            uuid: &message.id,
            content: &message.content,
            sender_uuid: &message.sender,
            created_at: Rfc3339(message.created_at.millis()),
        },
        response_message: ResponseMessage {
            conversation_uuid: &message.conversation,
        },
    };
    let data = serde_json::to_string(&data).expect("strings are always JSON");
    let events_bytes = data.len().saturating_mul(conversation.members.len());
    if data.len() > outbox.backing.told_bytes_max || events_bytes > EVENTS_BYTES_MAX {
        return Err(Refusal::TooLong);
    }
    let told: Arc<str> = data.as_str().into();
    let draft = |user| Draft {
        user,
        kind: EventKind::MessageGenerate,
        data: Arc::clone(&told),
        scheduled_at: None,
    };
    let drafts = conversation.members.into_iter().map(draft).collect();
    outbox.post(message, drafts).await?;
    let shown = [(header::CONTENT_TYPE, "application/json")];
    Ok((StatusCode::CREATED, shown, data).into_response())
}

/// Who shows a token in the header.
async fn bearer<S: Keeps, B: Bus, P: Presence>(
    outbox: &Outbox<S, B, P>,
    headers: &HeaderMap,
) -> Result<(ShownToken, Account), Refusal> {
    let token = auth::bearer(headers).ok_or(Refusal::Unauthenticated("Not authenticated"))?;
    holder(outbox, token, TokenUse::Access).await
}

/// Whose token it is, if it is good.
async fn holder<S: Keeps, B: Bus, P: Presence>(
    outbox: &Outbox<S, B, P>,
    token: &str,
    wanted: TokenUse,
) -> Result<(ShownToken, Account), Refusal> {
    let invalid = Refusal::Unauthenticated("Invalid token");
    let Some(shown) = outbox.verify(token, wanted) else {
        return Err(invalid);
    };
    match outbox.standing(&shown).await? {
        Standing::Good(account) => Ok((shown, account)),
        Standing::Revoked | Standing::UnknownUser => Err(invalid),
    }
}

/// Fields of a JSON object that are strings, fit to be stored.
fn texts<const N: usize>(
    body: Body,
    names: [&'static str; N],
    wanted: &'static str,
) -> Result<[String; N], Refusal> {
    let body = body.map_err(Refusal::Body)?;
    let text = std::str::from_utf8(&body).map_err(|_| Refusal::Bad("The body is not UTF-8"))?;
    let value = json::parse(text).map_err(|_| Refusal::Bad("Invalid JSON"))?;
    let object = value.object().ok_or(Refusal::Bad("The body is a JSON object"))?;
    let texts = object
        .members(names)
        .map(|value| value.and_then(json::Value::text));
    if texts.iter().any(Option::is_none) {
        return Err(Refusal::Bad(wanted));
    }
    let texts = texts.map(|text| text.unwrap_or_default().into_owned());
    if texts.iter().any(|text| json::has_nul(text)) {
        return Err(Refusal::Bad("A text has no U+0000 in it"));
    }
    Ok(texts)
}
