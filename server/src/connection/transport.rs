//! The socket, and the only place that knows that bytes leave it as they are: TLS goes in here.

use std::io::{self, IoSlice, Read};
use std::net::Shutdown;
use std::sync::OnceLock;
use std::task::{Context, Poll};

use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::TcpStream;

/// A connected socket, or the place for one that still answers its handshake: until it is here nothing can be read,
/// and nothing that is written is taken. Everything is done through a shared reference and without waiting; who reads
/// and who writes is settled by the caller.
#[derive(Debug)]
pub(super) struct Transport {
    socket: OnceLock<TcpStream>,
}

impl Transport {
    /// The place for a socket.
    pub(super) fn expected() -> Self {
        Self {
            socket: OnceLock::new(),
        }
    }

    /// The socket is here. To be called once, before anybody waits for it.
    pub(super) fn arrive(&self, socket: TcpStream) {
        self.socket
            .set(socket)
            .expect("a connection has one handshake, and that hands over one socket");
    }

    fn socket(&self) -> io::Result<&TcpStream> {
        self.socket.get().ok_or_else(|| io::ErrorKind::WouldBlock.into())
    }

    /// Reads what is there; 0 is the end of what the peer sends.
    pub(super) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let socket = self.socket()?;
        let mut drained = None;
        let read = socket.try_io(Interest::READABLE, || {
            let arrived = (&*SockRef::from(socket)).read(buffer)?;
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

    /// Writes as much as the socket takes now.
    pub(super) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.socket()?.try_write(bytes)
    }

    /// The same for several pieces in one system call.
    pub(super) fn try_write_vectored(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.socket()?.try_write_vectored(pieces)
    }

    /// Ready when a read may find something; to be asked once the socket is here. This form of waiting replaces the waker of whoever read before us, the
    /// HTTP task, whose memory would otherwise stay as long as the connection.
    pub(super) fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket()?.poll_read_ready(cx)
    }

    /// Ready when the socket may take something. Before it is here that is never: who brings it asks again.
    pub(super) fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.socket.get() {
            Some(socket) => socket.poll_write_ready(cx),
            None => Poll::Pending,
        }
    }

    /// Tells the peer that nothing more will come. An error means that it is gone, which is just as final.
    pub(super) fn end_writing(&self) {
        let _ = self
            .socket()
            .and_then(|socket| SockRef::from(socket).shutdown(Shutdown::Write));
    }
}
