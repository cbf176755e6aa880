//! The proxy's sockets: small buffers, so that a peer that stops reading is felt by the other one; and how TCP ends.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{Interest, ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream, lookup_host};
use touchstone_sut::transport::{Stream, Transport};

/// What the system is asked to keep of each way of a socket. Far less than what two kernels keep for each other of
/// themselves (megabytes), so that a peer that stops reading is not noticed much later; not less than a segment of the
/// loopback interface (64 KiB), below which it waits for timers.
const SOCKET_BUFFER_BYTES: u32 = 64 << 10;

/// Who has connected and waits to be let in: as many as a burst of cases opens at once.
const BACKLOG: u32 = 1_024;

/// Before the next `accept` after one has failed.
pub(super) const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// Half of a relayed connection's end: what is read from it.
pub(super) type Reader = ReadHalf<Stream<TcpStream>>;
/// What is written to it.
pub(super) type Writer = WriteHalf<Stream<TcpStream>>;

/// A listener on a free port.
pub(super) fn listen() -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    narrow(&socket)?;
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    socket.listen(BACKLOG)
}

/// Reaches the server, through TLS where it wants that. The caller sets the deadline.
pub(super) async fn reach(authority: &str, transport: &Transport) -> io::Result<Side> {
    let mut refused = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in lookup_host(authority).await? {
        let socket = if address.is_ipv4() {
            TcpSocket::new_v4()?
        } else {
            TcpSocket::new_v6()?
        };
        narrow(&socket)?;
        match socket.connect(address).await {
            Ok(socket) => {
                let handle = Handle::of(&socket)?;
                let stream = transport
                    .open(socket, authority)
                    .await
                    .map_err(io::Error::other)?;
                return Ok(Side::new(stream, handle));
            }
            Err(error) => refused = error,
        }
    }
    Err(refused)
}

/// Both buffers, before there is a connection: the window that TCP offers is agreed on by then.
fn narrow(socket: &TcpSocket) -> io::Result<()> {
    socket.set_recv_buffer_size(SOCKET_BUFFER_BYTES)?;
    socket.set_send_buffer_size(SOCKET_BUFFER_BYTES)
}

/// One end of a relayed connection.
pub(super) struct Side {
    /// Where its bytes come from.
    pub(super) reader: Reader,
    /// Where they go.
    pub(super) writer: Writer,
    /// The socket below both.
    pub(super) handle: Handle,
}

impl Side {
    fn new(stream: Stream<TcpStream>, handle: Handle) -> Self {
        let (reader, writer) = tokio::io::split(stream);
        Self {
            reader,
            writer,
            handle,
        }
    }

    /// Of a client that has connected.
    pub(super) fn accepted(socket: TcpStream) -> io::Result<Self> {
        let handle = Handle::of(&socket)?;
        Ok(Self::new(Stream::Plain(socket), handle))
    }
}

/// The socket below a stream, whatever travels in it: a second descriptor, with a place of its own at the reactor.
#[derive(Debug)]
pub(super) struct Handle(TcpStream);

impl Handle {
    fn of(socket: &TcpStream) -> io::Result<Self> {
        // Pieces that come one by one must leave one by one.
        socket.set_nodelay(true)?;
        let second = SockRef::from(socket).try_clone()?;
        TcpStream::from_std(second.into()).map(Self)
    }

    /// From now on its last descriptor ends TCP by RST.
    pub(super) fn reset_when_dropped(&self) {
        // A socket that takes no options any more has been reset by its peer already.
        let _gone = SockRef::from(&self.0).set_linger(Some(Duration::ZERO));
    }

    /// Awaits that TCP fails: after an end by FIN nobody reads, and an RST would not be seen.
    pub(super) async fn failed(&self) {
        if self.0.ready(Interest::ERROR).await.is_err() {
            // The reactor is gone, and everything with it.
            std::future::pending::<()>().await;
        }
    }
}
