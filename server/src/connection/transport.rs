//! The socket, and the only place that knows whether bytes leave it as they are or encrypted.

use std::io::{self, IoSlice, Read};
use std::net::Shutdown;
use std::sync::OnceLock;
use std::task::{Context, Poll};

use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::TcpStream;

use super::encrypted::Encrypted;
use crate::socket::Socket;

/// A connected socket, or the place for one that still answers its handshake: until it is here nothing can be read,
/// and nothing that is written is taken. Everything is done through a shared reference and without waiting; who reads
/// and who writes is settled by the caller.
#[derive(Debug)]
pub(super) struct Transport {
    link: OnceLock<Link>,
}

#[derive(Debug)]
enum Link {
    Plain(TcpStream),
    Tls(Box<Encrypted>),
}

impl Transport {
    /// The place for a socket.
    pub(super) fn expected() -> Self {
        Self {
            link: OnceLock::new(),
        }
    }

    /// The socket is here. To be called once, before anybody waits for it.
    pub(super) fn arrive(&self, socket: Socket) {
        let link = match socket {
            Socket::Plain(tcp) => Link::Plain(tcp),
            Socket::Tls(stream) => Link::Tls(Box::new(Encrypted::new(*stream))),
        };
        self.link
            .set(link)
            .expect("a connection has one handshake, and that hands over one socket");
    }

    fn link(&self) -> io::Result<&Link> {
        self.link.get().ok_or_else(|| io::ErrorKind::WouldBlock.into())
    }

    /// Reads what is there; 0 is the end of what the peer sends.
    pub(super) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.link()? {
            Link::Plain(tcp) => read_now(tcp, buffer),
            Link::Tls(encrypted) => encrypted.try_read(buffer),
        }
    }

    /// Writes as much as the socket takes now.
    pub(super) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self.link()? {
            Link::Plain(tcp) => tcp.try_write(bytes),
            Link::Tls(encrypted) => encrypted.try_write(bytes),
        }
    }

    /// The same for several pieces in one system call.
    pub(super) fn try_write_vectored(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        match self.link()? {
            Link::Plain(tcp) => tcp.try_write_vectored(pieces),
            Link::Tls(encrypted) => encrypted.try_write_vectored(pieces),
        }
    }

    /// Whether something that was taken has not left yet: what is encrypted must leave, and waits here if the socket
    /// takes no more. [`poll_flush`](Self::poll_flush) sees to it.
    pub(super) fn holds_back(&self) -> bool {
        match self.link.get() {
            None | Some(Link::Plain(_)) => false,
            Some(Link::Tls(encrypted)) => encrypted.holds_back(),
        }
    }

    /// Ready once all that was taken has left.
    pub(super) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.link.get() {
            None | Some(Link::Plain(_)) => Poll::Ready(Ok(())),
            Some(Link::Tls(encrypted)) => encrypted.poll_flush(cx),
        }
    }

    /// Ready when a read may find something; to be asked once the socket is here. This form of waiting replaces the
    /// waker of whoever read before us, the HTTP task, whose memory would otherwise stay as long as the connection.
    pub(super) fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.link()? {
            Link::Plain(tcp) => tcp.poll_read_ready(cx),
            Link::Tls(encrypted) => encrypted.poll_read_ready(cx),
        }
    }

    /// Ready when the socket may take something. Before it is here that is never: who brings it asks again.
    pub(super) fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.link.get() {
            None => Poll::Pending,
            Some(Link::Plain(tcp)) => tcp.poll_write_ready(cx),
            Some(Link::Tls(encrypted)) => encrypted.poll_write_ready(cx),
        }
    }

    /// Tells the peer that nothing more will come; ready once that has left. An error means that it is gone, which is
    /// just as final.
    pub(super) fn poll_end_writing(&self, cx: &mut Context<'_>) -> Poll<()> {
        match self.link.get() {
            None => Poll::Ready(()),
            Some(Link::Plain(tcp)) => {
                end_writing(tcp);
                Poll::Ready(())
            }
            Some(Link::Tls(encrypted)) => encrypted.poll_end_writing(cx),
        }
    }
}

/// Reads what the socket has.
pub(super) fn read_now(tcp: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    let mut drained = None;
    let read = tcp.try_io(Interest::READABLE, || {
        let arrived = (&*SockRef::from(tcp)).read(buffer)?;
        if cfg!(unix) && (1..buffer.len()).contains(&arrived) {
            // epoll and kqueue tell of new bytes by an edge, and a short read has taken all there were. Saying so
            // now spares the read that would find nothing, which costs a tenth of an echo.
            drained = Some(arrived);
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(arrived)
    });
    drained.map_or(read, Ok)
}

/// Ends our side of TCP. An error means that the peer is gone.
pub(super) fn end_writing(tcp: &TcpStream) {
    let _ = SockRef::from(tcp).shutdown(Shutdown::Write);
}
