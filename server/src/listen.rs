//! Listening and accepting.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use socket2::{Domain, Protocol, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::socket::Socket;
use crate::tls::Certificates;
use crate::upgrade::{self, HttpTerms};

/// Connections the kernel completes before they are accepted: a crowd that comes back at once.
const BACKLOG: i32 = 4_096;

/// Pause after a failed accept. It fails when descriptors are used up, and then again at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A failure that goes on is logged once in this time.
const ACCEPT_SILENCE: Duration = Duration::from_secs(10);

/// What a connection over the limit gets instead of HTTP.
const TOO_MANY: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

/// A socket that listens at `address`.
pub(crate) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if cfg!(unix) {
        // A server that was just stopped may be started again at once.
        socket.set_reuse_address(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket.into())
}

/// Accepts until `stop`, then stops listening.
pub(crate) struct Acceptor {
    pub(crate) listener: TcpListener,
    pub(crate) router: Router,
    pub(crate) terms: HttpTerms,
    /// With it TLS is spoken.
    pub(crate) certificates: Option<Arc<Certificates>>,
    /// One permit for each connection that speaks HTTP.
    pub(crate) permits: Arc<Semaphore>,
    /// Owns the connections' tasks while they speak HTTP.
    pub(crate) tracker: TaskTracker,
}

impl Acceptor {
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut quiet_until = Instant::now();
        while let Some(accepted) = stop.run_until_cancelled(self.listener.accept()).await {
            match accepted {
                Ok((socket, _)) => self.admit(socket, stop.clone()),
                Err(error) => {
                    if quiet_until <= Instant::now() {
                        tracing::warn!(%error, "connections cannot be accepted");
                        quiet_until = Instant::now() + ACCEPT_SILENCE;
                    }
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn admit(&self, socket: TcpStream, stop: CancellationToken) {
        let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() else {
            // Said at once or not at all: nothing may wait for a connection that is over the limit.
            if self.certificates.is_none() {
                let _ = socket.try_write(TOO_MANY);
            }
            return;
        };
        // Messages are small and should leave at once; an error means that the peer has gone already.
        let _ = socket.set_nodelay(true);
        let (router, terms) = (self.router.clone(), self.terms);
        let certificates = self.certificates.clone();
        self.tracker.spawn(async move {
            let socket = match certificates {
                None => Some(Socket::Plain(socket)),
                Some(certificates) => {
                    let shaking = Box::pin(shake_hands(socket, &certificates, terms.header_deadline));
                    stop.run_until_cancelled(shaking).await.flatten()
                }
            };
            if let Some(socket) = socket {
                upgrade::serve(socket, router, terms, stop).await;
            }
            drop(permit);
        });
    }
}

/// The handshake of TLS, which has as long as the head of a request. `None`: nothing came of it, and the client has been
/// told as far as it speaks TLS.
async fn shake_hands(socket: TcpStream, certificates: &Certificates, deadline: Duration) -> Option<Socket> {
    match tokio::time::timeout(deadline, certificates.accept(socket)).await {
        Ok(Ok(stream)) => Some(Socket::Tls(Box::new(stream))),
        Ok(Err(error)) => {
            tracing::debug!(%error, "a TLS handshake failed");
            None
        }
        Err(_) => {
            tracing::debug!("a TLS handshake took too long");
            None
        }
    }
}
