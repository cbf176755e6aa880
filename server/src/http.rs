//! What the server answers over HTTP: WebSocket handshakes, the dialects' endpoints, metrics and health.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, RawPathParams, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Version, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use touchstone_protocol::{Dialect, routes};
use touchstone_wire::handshake::check_upgrade;

use crate::admin;
use crate::admission::{Admitted, Asking, Full};
use crate::answers;
use crate::arriving;
use crate::config::HttpAccess;
use crate::connection::{Answering, Arrival, Expected, Handshake, OpenRequest, converse};
use crate::cors::Callers;
use crate::dialects::{DialectServer, direct, echo, feed, outbox, rooms};
use crate::forwarded;
use crate::metrics::{self, Refused, Spoken};
use crate::route::Route;
use crate::shared::Shared;
use crate::unread;
use crate::upgrade::{HandOver, Peer};

/// Advice to who was refused because the server is full or stops.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("5");

/// An answer may take so long: far longer than it waits for a turn to hash a password or for a store that hangs, so that
/// only what waits for ever is ended.
const ANSWER_DEADLINE: Duration = Duration::from_secs(30);

/// A request to the admin API may take so long: hashing a thousand passwords takes half of it on two cores.
const ADMIN_DEADLINE: Duration = Duration::from_secs(60);

/// Whom a listener's address lets in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// This machine only.
    Loopback,
    /// Others as well.
    Network,
}

/// What a listener is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Everything there is.
    All,
    /// The dialects: the rest has a listener of its own.
    Dialects,
    /// Metrics, health and the admin API.
    Admin,
}

/// All routes of one listener.
pub(crate) fn router(shared: &Arc<Shared>, purpose: Purpose, reach: Reach) -> Router {
    let router = Router::new().fallback(not_found);
    let limits = &shared.config.limits;
    let requests = Limited {
        head_bytes_max: limits.handshake_bytes,
        body_deadline: shared.config.deadlines.handshake,
        answer_deadline: ANSWER_DEADLINE,
    };
    let router = match purpose {
        Purpose::All => with_dialects(with_health(router, shared), shared, reach),
        Purpose::Dialects => with_dialects(router, shared, reach),
        Purpose::Admin => with_health(router, shared),
    };
    let router = Callers::new(&shared.config.cors_origins).guard(router);
    let answers = Arc::clone(&shared.unread_answers);
    let router = router.layer(middleware::from_fn_with_state(answers, unread::count));
    let router = requests.limit(router, limits.body_bytes);
    match (&shared.config.admin_key, purpose) {
        (Some(key), Purpose::All | Purpose::Admin) => {
            let requests = Limited {
                answer_deadline: ADMIN_DEADLINE,
                ..requests
            };
            let admin = requests.limit(admin::routes(shared, key.clone()), limits.admin_body_bytes);
            router.nest("/admin", admin)
        }
        (_, _) => router,
    }
}

fn with_health(router: Router, shared: &Arc<Shared>) -> Router {
    let health = Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state(Arc::clone(shared));
    router.merge(health)
}

fn with_dialects(mut router: Router, shared: &Arc<Shared>, reach: Reach) -> Router {
    for dialect in &shared.config.dialects {
        router = match dialect {
            Dialect::Echo => mount(
                router,
                shared,
                *dialect,
                &shared.echo,
                echo_endpoints(shared, reach),
            ),
            Dialect::Rooms => {
                let endpoints = rooms::http::routes(&shared.rooms.dialect);
                mount(router, shared, *dialect, &shared.rooms, endpoints)
            }
            Dialect::Outbox => {
                let endpoints = outbox::http::routes(&shared.outbox.dialect);
                mount(router, shared, *dialect, &shared.outbox, endpoints)
            }
            Dialect::Feed => {
                let endpoints = feed::http::routes(&shared.feed.dialect);
                mount(router, shared, *dialect, &shared.feed, endpoints)
            }
            Dialect::Direct => {
                let endpoints = direct::http::routes(&shared.direct.dialect);
                mount(router, shared, *dialect, &shared.direct, endpoints)
            }
        };
    }
    match (&shared.config.raw_echo, &shared.raw_echo) {
        (Some(path), Some(route)) => router.merge(websocket(path, shared, route)),
        (_, _) => router,
    }
}

/// Puts a dialect at its documented paths, as far as no other claims them, and below its own prefix.
fn mount<D: DialectServer>(
    router: Router,
    shared: &Arc<Shared>,
    dialect: Dialect,
    route: &Arc<Route<D>>,
    endpoints: Vec<(&'static str, Router)>,
) -> Router {
    let path = routes::websocket(dialect);
    let router = router.merge(websocket(path, shared, route)).merge(websocket(
        &routes::prefixed(dialect, path),
        shared,
        route,
    ));
    endpoints.into_iter().fold(router, |router, (root, endpoints)| {
        let answers = shared.answers.clone();
        let endpoints = endpoints.layer(middleware::from_fn_with_state(answers, answers::to_the_end));
        let prefixed = routes::prefixed(dialect, root);
        let router = router.nest(&prefixed, endpoints.clone());
        // Where all paths of a root end in a slash, its own does as well.
        let claimed = root.strip_suffix('/').unwrap_or(root);
        if routes::is_unclaimed_by_others(claimed, dialect, &shared.config.dialects) {
            router.nest(root, endpoints)
        } else {
            router
        }
    })
}

fn echo_endpoints(shared: &Arc<Shared>, reach: Reach) -> Vec<(&'static str, Router)> {
    let open = reach == Reach::Loopback || shared.config.echo.http == HttpAccess::Open;
    let mut endpoints = echo::http::routes(Arc::clone(&shared.echo.dialect));
    if !open {
        endpoints = admin::protect(endpoints, shared.config.admin_key.clone());
    }
    vec![(routes::http_base(Dialect::Echo), endpoints)]
}

fn websocket<D: DialectServer>(path: &str, shared: &Arc<Shared>, route: &Arc<Route<D>>) -> Router {
    let state = (Arc::clone(shared), Arc::clone(route));
    Router::new().route(path, any(upgrade::<D>)).with_state(state)
}

async fn not_found() -> Response {
    (StatusCode::NOT_FOUND, "not found\n").into_response()
}

/// The handshake: refused by a status, or answered 101, after which the socket is handed to the connection's own task.
async fn upgrade<D: DialectServer>(
    State((shared, route)): State<(Arc<Shared>, Arc<Route<D>>)>,
    place: RawPathParams,
    request: Request,
) -> Response {
    let place = place.iter().next().map(|(_, place)| place);
    // The router lets nothing stand for something; routes match exactly (common/1c).
    if place == Some("") {
        return not_found().await;
    }
    let place = place.unwrap_or_default();
    let metrics = route.terms.metrics.clone();
    match admit(&shared, route, &request, place) {
        Ok(granted) => granted.answer().await.unwrap_or_else(|| {
            metrics.refused(Refused::Unanswered);
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }),
        Err((reason, refusal)) => {
            metrics.refused(reason);
            refusal
        }
    }
}

#[expect(
    clippy::result_large_err,
    reason = "both sides are the answer itself, and move on at once"
)]
fn admit<D: DialectServer>(
    shared: &Arc<Shared>,
    route: Arc<Route<D>>,
    request: &Request,
    place: &str,
) -> Result<Grant, (Refused, Response)> {
    let headers = request.headers();
    let accept = check_upgrade(request.method(), request.version(), headers)
        .map_err(|refusal| (Refused::Malformed, refusal.response().map(Body::from)))?;
    if has_body(headers) {
        let answer = (StatusCode::BAD_REQUEST, "a handshake has no body\n");
        return Err((Refused::Malformed, answer.into_response()));
    }
    if !origin_allowed(headers, shared.config.origins.as_deref()) {
        let answer = (StatusCode::FORBIDDEN, "this origin may not connect\n");
        return Err((Refused::Origin, answer.into_response()));
    }
    let Some(hand_over) = request.extensions().get::<HandOver>() else {
        let answer = StatusCode::INTERNAL_SERVER_ERROR;
        return Err((Refused::Unanswered, answer.into_response()));
    };
    let trusted = &shared.config.trusted_proxies;
    let peer = request.extensions().get::<Peer>();
    let open = OpenRequest {
        query: request.uri().query().map(str::to_owned),
        place: place.to_owned(),
        peer: peer.map(|peer| forwarded::client(peer.0, headers, trusted)),
    };
    let admitted = find_place(shared, route.terms.metrics.spoken(), &open)?;
    let deflation = route.terms.deflation.as_ref();
    let granted = deflation.and_then(|deflation| deflation.grant(headers));
    let agreed = granted.as_ref().map(|granted| granted.negotiated.answer.clone());
    let held = (admitted, shared.hearing.token());
    let expected = Expected::new(&route.hub, &route.terms, open, held, granted);
    // Looked at after the seat is taken: a stop or a drain either finds the connection in its seat or is seen here.
    if shared.stopping.has_begun() {
        return Err((Refused::Stopping, come_back_later("the server is stopping\n")));
    }
    if route.draining.has_begun() {
        return Err((
            Refused::Draining,
            come_back_later("the server is being drained\n"),
        ));
    }
    let (handshake, answering) = Handshake::new();
    let conversation = converse(route, Box::new(expected), Box::new(handshake));
    shared.conversations.spawn(conversation);
    let mut response = accept.response();
    if let Some(agreed) = agreed {
        response
            .headers_mut()
            .insert(header::SEC_WEBSOCKET_EXTENSIONS, agreed);
    }
    Ok(Grant {
        response: response.map(|()| Body::empty()),
        hand_over: hand_over.clone(),
        answering,
    })
}

/// A place among those who may be connected. Who somebody is costs the check of a token, so it is asked only where it
/// counts.
#[expect(
    clippy::result_large_err,
    reason = "the error is the answer itself, and moves on at once"
)]
fn find_place(shared: &Shared, spoken: Spoken, open: &OpenRequest) -> Result<Admitted, (Refused, Response)> {
    let user = match spoken {
        Spoken::Dialect(dialect) if shared.admission.counts_users() => shared.identity(dialect, open),
        Spoken::Dialect(_) | Spoken::RawEcho => None,
    };
    let asking = Asking {
        address: open.peer,
        user: user.as_deref(),
    };
    shared.admission.admit(asking).map_err(|full| {
        let (reason, why) = match full {
            Full::Total => (Refused::Connections, "too many connections\n"),
            Full::Address => (
                Refused::ConnectionsOfAddress,
                "too many connections from this address\n",
            ),
            Full::User => (Refused::ConnectionsOfUser, "too many connections of this user\n"),
        };
        (reason, come_back_later(why))
    })
}

/// A handshake that nothing is wrong with. Dropped, it is one that came to nothing.
#[derive(Debug)]
struct Grant {
    response: Response,
    hand_over: HandOver,
    answering: Answering,
}

impl Grant {
    /// The 101, once the dialect has opened: what is meant for a client who has read it finds him.
    /// `None` if it came to nothing.
    async fn answer(self) -> Option<Response> {
        let Answering { opened, arriving } = self.answering;
        opened.await.ok()?;
        self.hand_over.leave(Box::new(move |socket, leftover| {
            // An error cannot be: the conversation waits for its socket.
            let _ = arriving.send(Arrival { socket, leftover });
        }));
        Some(self.response)
    }
}

/// Bytes of a body would be taken for frames.
fn has_body(headers: &HeaderMap) -> bool {
    let empty = headers
        .get(header::CONTENT_LENGTH)
        .is_none_or(|length| length == "0");
    !empty || headers.contains_key(header::TRANSFER_ENCODING)
}

fn origin_allowed(headers: &HeaderMap, allowed: Option<&[String]>) -> bool {
    match (headers.get(header::ORIGIN), allowed) {
        (None, _) | (_, None) => true,
        (Some(origin), Some(allowed)) => allowed
            .iter()
            .any(|allowed| allowed.as_bytes() == origin.as_bytes()),
    }
}

fn come_back_later(why: &'static str) -> Response {
    (
        StatusCode::SERVICE_UNAVAILABLE,
        [(header::RETRY_AFTER, RETRY_AFTER)],
        why,
    )
        .into_response()
}

/// What holds for every request.
#[derive(Debug, Clone, Copy)]
struct Limited {
    head_bytes_max: usize,
    /// How long the body may take to arrive.
    body_deadline: Duration,
    /// How long all of it may take.
    answer_deadline: Duration,
}

impl Limited {
    fn limit(self, router: Router, body_bytes_max: usize) -> Router {
        router
            .layer(DefaultBodyLimit::max(body_bytes_max))
            .layer(middleware::from_fn_with_state(self, limit))
    }
}

/// hyper limits what it buffers, which is a little more than a head may have (rfc6455/handshake-size). A body must have
/// come within the same deadline as a head; that its answer takes long on a busy machine is no fault of its sender's.
async fn limit(State(limited): State<Limited>, request: Request, next: Next) -> Response {
    let target = request
        .uri()
        .path_and_query()
        .map_or(0, |target| target.as_str().len());
    let fields: usize = request
        .headers()
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + 4)
        .sum();
    if target + fields > limited.head_bytes_max {
        return (
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            [(header::CONNECTION, "close")],
        )
            .into_response();
    }
    // None or two of them, and whoever stands before us may take the request for another's (RFC 9112, 3.2).
    let hosts = request.headers().get_all(header::HOST).iter().count();
    if request.version() == Version::HTTP_11 && hosts != 1 {
        let end = [(header::CONNECTION, "close")];
        return (StatusCode::BAD_REQUEST, end, "a request has one Host\n").into_response();
    }
    let (head, body) = request.into_parts();
    let (body, lateness) = arriving::within(body, limited.body_deadline);
    let answering = next.run(Request::from_parts(head, body));
    let end = [(header::CONNECTION, "close")];
    match tokio::time::timeout(limited.answer_deadline, answering).await {
        // What whoever read it says of a body that is cut off is not why.
        Ok(_) if lateness.is_late() => {
            let why = format!("the body has not come within {:?}\n", limited.body_deadline);
            (StatusCode::REQUEST_TIMEOUT, end, why).into_response()
        }
        Ok(response) => response,
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, end).into_response(),
    }
}

async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], {
        shared.measure();
        shared.metrics.render()
    })
        .into_response()
}

async fn ready(State(shared): State<Arc<Shared>>) -> Response {
    let not_ready = |why: &str| (StatusCode::SERVICE_UNAVAILABLE, why.to_owned()).into_response();
    if shared.stopping.has_begun() {
        not_ready("stopping\n")
    } else if !shared.echo.dialect.sessions.is_available() {
        not_ready("echo: the session store is unavailable\n")
    } else if let Some(dialect) = shared.draining() {
        not_ready(&format!("{dialect}: draining\n"))
    } else if let Err(why) = shared.look().await {
        not_ready(&format!("{why}\n"))
    } else {
        "ready\n".into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{AuthConfig, Config, Secret};
    use crate::faults::StoreFault;
    use crate::relay;
    use crate::socket::Socket;
    use bytes::Bytes;
    use futures_util::poll;
    use std::time::Duration;
    use tokio::io::AsyncReadExt;
    use tokio::net::{TcpListener, TcpStream};
    use tokio_util::sync::CancellationToken;
    use touchstone_wire as wire;

    /// A handshake that nothing is wrong with, and the place for its ticket.
    fn handshake() -> (Request, HandOver) {
        let request = Request::builder()
            .uri("/ws/chat/")
            .header("Host", "h")
            .header("Connection", "Upgrade")
            .header("Upgrade", "websocket")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
        let mut request = request.body(Body::empty()).unwrap();
        let hand_over = HandOver::default();
        request.extensions_mut().insert(hand_over.clone());
        (request, hand_over)
    }

    async fn shared() -> Arc<Shared> {
        let shared = Shared::new(Config::default(), fastrand::Rng::with_seed(7));
        Arc::new(shared.await.unwrap())
    }

    async fn sockets() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap());
        let (client, accepted) = tokio::join!(client, listener.accept());
        (client.unwrap(), accepted.unwrap().0)
    }

    #[tokio::test]
    async fn who_can_have_read_its_101_is_told_what_everybody_is_told_from_then_on() {
        let shared = shared().await;
        let (request, hand_over) = handshake();
        let admitted = admit(&shared, Arc::clone(&shared.echo), &request, "").unwrap();
        let granted = admitted.answer().await;
        assert_eq!(granted.unwrap().status(), StatusCode::SWITCHING_PROTOCOLS);
        let told = [wire::server_text("one"), wire::server_text("two")];
        assert_eq!(shared.echo.hub.broadcast(&told[0]).await, 1);
        let (mut client, socket) = sockets().await;
        hand_over.take().unwrap()(Socket::Plain(socket), Bytes::new());
        assert_eq!(shared.echo.hub.broadcast(&told[1]).await, 1);
        let expected = told.concat();
        let mut heard = vec![0; expected.len()];
        client.read_exact(&mut heard).await.unwrap();
        assert_eq!(heard, expected, "each once, in order");
    }

    #[tokio::test]
    async fn the_101_of_rooms_leaves_when_those_who_are_there_have_been_told() {
        let config = Config {
            auth: AuthConfig {
                secret: Some(Secret::new("a secret of some length")),
                ..AuthConfig::default()
            },
            ..Config::default()
        };
        let shared = Arc::new(Shared::new(config, fastrand::Rng::with_seed(7)).await.unwrap());
        let users = admin::make_trial_users(&shared).await;
        let ann = users.iter().find(|user| user.dialect == Dialect::Rooms).unwrap();
        let rooms = &shared.rooms.dialect;
        let stop = CancellationToken::new();
        for errand in rooms.errands() {
            let (rooms, stop) = (Arc::clone(rooms), stop.clone());
            shared.errands.spawn(async move { rooms.run(errand, stop).await });
        }
        shared.watch_relays().await.unwrap();
        let (mut request, _hand_over) = handshake();
        *request.uri_mut() = ann.target.parse().unwrap();
        let channel = ann.target.split('/').nth(3).unwrap();
        // From here on this thread always has something to do, so that no time passes but that of the store's thread.
        tokio::time::pause();
        let admitted = admit(&shared, Arc::clone(&shared.rooms), &request, channel).unwrap();
        let mut answer = Box::pin(admitted.answer());
        // A join, a presence, and the mark behind them.
        while rooms.backing.relays.waiting() < 3 {
            assert!(poll!(&mut answer).is_pending(), "nobody has been told yet");
            tokio::task::yield_now().await;
        }
        assert!(poll!(&mut answer).is_pending());
        for inbox in std::mem::take(&mut shared.inboxes().rooms) {
            let (rooms, stop, metrics) = (
                Arc::clone(rooms),
                stop.clone(),
                shared.rooms.terms.metrics.clone(),
            );
            shared.errands.spawn(async move {
                let marks = Arc::clone(rooms.backing.relays.marks());
                relay::run(&*rooms, inbox, &marks, &metrics.fanning_out, stop).await;
            });
        }
        assert_eq!(answer.await.unwrap().status(), StatusCode::SWITCHING_PROTOCOLS);
        assert_eq!(rooms.backing.relays.waiting(), 0);
        stop.cancel();
    }

    #[tokio::test]
    async fn a_handshake_that_comes_to_nothing_leaves_nothing_behind() {
        let shared = shared().await;
        let (request, hand_over) = handshake();
        let admitted = admit(&shared, Arc::clone(&shared.echo), &request, "").unwrap();
        admitted.answer().await;
        drop(hand_over.take());
        shared.conversations.close();
        shared.conversations.wait().await;
        assert_eq!(
            shared.echo.hub.broadcast(&wire::server_text("to nobody")).await,
            0
        );
        assert_eq!(shared.admission.left(), shared.config.limits.connections);
    }

    #[tokio::test(start_paused = true)]
    async fn who_leaves_before_the_dialect_has_opened_leaves_nothing_behind() {
        let shared = shared().await;
        shared
            .faults
            .break_store(StoreFault::Slow, Duration::from_secs(1));
        let (mut request, hand_over) = handshake();
        *request.uri_mut() = "/ws/chat/?session=s".parse().unwrap();
        let mut answer = Box::pin(
            admit(&shared, Arc::clone(&shared.echo), &request, "")
                .unwrap()
                .answer(),
        );
        let answered = tokio::time::timeout(Duration::from_millis(500), &mut answer).await;
        assert!(answered.is_err(), "nobody is let in before that");
        drop(answer);
        assert!(hand_over.take().is_none());
        shared.conversations.close();
        shared.conversations.wait().await;
        assert_eq!(shared.admission.left(), shared.config.limits.connections);
        assert_eq!(shared.metrics.connections_closed.get(), 1);
    }

    #[tokio::test]
    async fn while_the_server_stops_a_handshake_is_answered_503() {
        let shared = shared().await;
        shared.stopping.begin();
        let (request, hand_over) = handshake();
        let refused = admit(&shared, Arc::clone(&shared.echo), &request, "").unwrap_err();
        assert_eq!(refused.0, Refused::Stopping);
        let refused = refused.1;
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(refused.headers()[header::RETRY_AFTER], "5");
        assert!(hand_over.take().is_none());
        assert_eq!(shared.admission.left(), shared.config.limits.connections);
    }
}
