//! One TCP connection while it speaks HTTP, and how its socket is handed over when it becomes a WebSocket.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

use crate::socket::Socket;

/// After an answer that ends the connection, what the client may still be sending is read, so that no reset destroys
/// the answer on its way: up to this long and this much.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES_MAX: u64 = 1 << 20;

/// A connection speaks HTTP no longer than this, however busy: also one whose client does not read its answers.
const HTTP_LASTS_MAX: Duration = Duration::from_secs(300);

/// What a stop leaves an unfinished request.
const STOP_PATIENCE: Duration = Duration::from_secs(1);

/// Takes the socket over, with what was read behind the handshake.
pub(crate) type Ticket = Box<dyn FnOnce(Socket, Bytes) + Send>;

/// Who is at the other end of TCP; in each request's extensions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// Where a handler leaves its ticket when it answers 101. One per TCP connection, in the request's extensions.
#[derive(Clone, Default)]
pub(crate) struct HandOver(Arc<Mutex<Option<Ticket>>>);

impl std::fmt::Debug for HandOver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HandOver")
    }
}

impl HandOver {
    /// Once the answer is written, `ticket` gets the socket.
    pub(crate) fn leave(&self, ticket: Ticket) {
        *self.lock() = Some(ticket);
    }

    /// The ticket, if one was left.
    pub(crate) fn take(&self) -> Option<Ticket> {
        self.lock().take()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Ticket>> {
        self.0
            .lock()
            .expect("the ticket's lock is never poisoned: no code panics while holding it")
    }
}

/// How HTTP is spoken.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HttpTerms {
    pub(crate) header_deadline: Duration,
    pub(crate) header_bytes_max: usize,
}

/// Answers requests until the connection ends or becomes a WebSocket. The socket is taken back from hyper by hand, not
/// through its upgrade future: so also an answer to a broken request can be followed by a clean end of TCP.
pub(crate) async fn serve(socket: Socket, router: Router, terms: HttpTerms, stop: CancellationToken) {
    let hand_over = HandOver::default();
    let service = Answering {
        router,
        hand_over: hand_over.clone(),
        // Nobody reads the answers of one that has gone already.
        peer: socket.peer().map(Peer),
    };
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(terms.header_deadline)
        .max_buf_size(terms.header_bytes_max)
        .serve_connection(TokioIo::new(socket), service);
    let served = {
        let serving = poll_fn(|cx| connection.poll_without_shutdown(cx));
        let limited = tokio::time::timeout(HTTP_LASTS_MAX, serving);
        stop.run_until_cancelled(limited).await.and_then(Result::ok)
    };
    let served = match served {
        Some(served) => served.is_ok(),
        None => {
            Pin::new(&mut connection).graceful_shutdown();
            let last = poll_fn(|cx| connection.poll_without_shutdown(cx));
            matches!(tokio::time::timeout(STOP_PATIENCE, last).await, Ok(Ok(())))
        }
    };
    let http1::Parts { io, read_buf, .. } = connection.into_parts();
    match hand_over.take() {
        // A copy, because even an empty part of hyper's buffer would keep all of it.
        Some(ticket) if served => ticket(io.into_inner(), Bytes::copy_from_slice(&read_buf)),
        _ => end(io.into_inner()).await,
    }
}

/// Ends TCP without a reset.
async fn end(mut socket: Socket) {
    let ending = async {
        socket.shutdown().await?;
        let mut rest = socket.take(LINGER_BYTES_MAX);
        tokio::io::copy(&mut rest, &mut tokio::io::sink()).await
    };
    // An error means that the client has gone already; late or done, the socket is dropped now.
    let _ = tokio::time::timeout(LINGER, ending).await;
}

/// The router, with the place where a handler leaves its ticket.
struct Answering {
    router: Router,
    hand_over: HandOver,
    peer: Option<Peer>,
}

impl Service<Request<Incoming>> for Answering {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(self.hand_over.clone());
        if let Some(peer) = self.peer {
            request.extensions_mut().insert(peer);
        }
        Box::pin(TowerToHyperService::new(self.router.clone()).call(request))
    }
}
