//! How bytes travel to a server: over TCP as they are, or through TLS.
//!
//! One type for everybody who reaches a server: requests, the suite's connections, the sessions of a load run. What lies
//! above it reads and writes the same bytes in both cases. What TCP can do, it still can: an end of our half says
//! goodbye to TLS first (`close_notify`) and then sends FIN; a reset is the RST of the socket, without a goodbye.

mod error;
pub(crate) mod made_up;
mod trust;

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::ClientConfig;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

pub use error::TlsError;
pub use trust::{Trust, TrustError};

/// What may wait, encrypted, for a socket that takes nothing: one record. More waits with whoever writes, whose own
/// limits count.
const ENCRYPTED_BYTES_MAX: usize = 16 << 10;

/// How bytes travel to a server.
#[derive(Debug, Clone, Default)]
pub enum Transport {
    /// As they are: `ws://` and `http://`.
    #[default]
    Plain,
    /// Through TLS: `wss://` and `https://`.
    Tls(Tls),
}

/// TLS as a client speaks it, 1.3 or 1.2. Cheap to clone.
///
/// Every connection shakes hands in full: nothing is resumed, so that each costs the server what a new client costs.
#[derive(Debug, Clone)]
pub struct Tls {
    config: Arc<ClientConfig>,
    trust: Trust,
}

impl Tls {
    /// TLS to servers that are believed by `trust`.
    ///
    /// # Errors
    /// There are no authorities where they should be.
    pub fn new(trust: Trust) -> Result<Self, TrustError> {
        Ok(Self {
            config: Arc::new(trust.config()?),
            trust,
        })
    }

    /// The authorities that were made up for the run, if it is they who are believed.
    pub(crate) fn made_up(&self) -> &[CertificateDer<'static>] {
        match &self.trust {
            Trust::MadeUp(authorities) => authorities,
            Trust::System | Trust::Authorities(_) | Trust::Anyone => &[],
        }
    }
}

impl Transport {
    /// Whether anybody may call himself the server.
    #[must_use]
    pub const fn believes_anyone(&self) -> bool {
        matches!(
            self,
            Self::Tls(Tls {
                trust: Trust::Anyone,
                ..
            })
        )
    }

    /// How a WebSocket's URL begins.
    #[must_use]
    pub const fn websocket_scheme(&self) -> &'static str {
        match self {
            Self::Plain => "ws",
            Self::Tls(_) => "wss",
        }
    }

    /// How a URL of the HTTP side begins.
    #[must_use]
    pub const fn http_scheme(&self) -> &'static str {
        match self {
            Self::Plain => "http",
            Self::Tls(_) => "https",
        }
    }

    /// Makes a connected socket one to `authority` (`HOST` or `HOST:PORT`), whose host the certificate has to name. The
    /// caller sets the deadline.
    ///
    /// # Errors
    /// No TLS with it; the error says what to change.
    pub async fn open<S>(&self, socket: S, authority: &str) -> Result<Stream<S>, TlsError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let tls = match self {
            Self::Plain => return Ok(Stream::Plain(socket)),
            Self::Tls(tls) => tls,
        };
        let host = host_of(authority);
        let name = ServerName::try_from(host.to_owned()).map_err(|_| TlsError::Name(host.to_owned()))?;
        let shaking = TlsConnector::from(Arc::clone(&tls.config)).connect_with(name, socket, |session| {
            session.set_buffer_limit(Some(ENCRYPTED_BYTES_MAX));
        });
        // Boxed twice: neither the handshake nor the session may make everybody's future and stream as large as itself.
        let stream = Box::pin(shaking)
            .await
            .map_err(|error| TlsError::new(host, error))?;
        Ok(Stream::Tls(Box::new(stream)))
    }
}

/// The host of `HOST:PORT`, an IPv6 address without its brackets.
fn host_of(authority: &str) -> &str {
    if let Some((address, _)) = authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return address;
    }
    authority.split_once(':').map_or(authority, |(host, _)| host)
}

/// A connection to a server. Reading ends when the server says goodbye to TLS, or ends TCP after that; an end of TCP
/// without a goodbye is [`io::ErrorKind::UnexpectedEof`].
#[derive(Debug)]
pub enum Stream<S> {
    /// Bytes as they are.
    Plain(S),
    /// Bytes inside TLS.
    Tls(Box<TlsStream<S>>),
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Stream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Stream<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_write_vectored(context, slices),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(socket) => socket.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

#[cfg(test)]
mod tests;
