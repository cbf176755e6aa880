//! A socket with TLS on it, used as the plain one is: through a shared reference and without waiting.
//!
//! Reading and writing both change the state of TLS, so it has a short lock of its own, taken inside the lock of the
//! writing half and never the other way round. What is encrypted has its place in the order of records and must leave:
//! at most one record of it waits here for a full socket, everything else in the connection's queue, where it counts
//! and can be discarded.

use std::io::{self, BufRead as _, IoSlice, Read, Write};
use std::sync::{Mutex, MutexGuard};
use std::task::{Context, Poll, ready};

use rustls::ServerConnection;
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::transport::{end_writing, read_now};

/// A socket, and the state of TLS on it.
#[derive(Debug)]
pub(super) struct Encrypted {
    tcp: TcpStream,
    session: Mutex<ServerConnection>,
}

impl Encrypted {
    /// Takes a connection over from where HTTP has left it. What TLS has deciphered and nobody read is still there.
    pub(super) fn new(stream: TlsStream<TcpStream>) -> Self {
        let (tcp, session) = stream.into_inner();
        Self {
            tcp,
            session: Mutex::new(session),
        }
    }

    /// Reads what is there; 0 is the end of what the peer sends, announced or not: WebSocket has an end of its own.
    pub(super) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut session = self.session();
        match deciphered(&mut session, buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            read => return read,
        }
        session.read_tls(&mut Wire(&self.tcp))?;
        let state = session.process_new_packets();
        if session.wants_write() {
            // An alert, or an answer of TLS's own. What does not leave now leaves with the next flush.
            self.write_ciphertext(&mut session).or_else(later)?;
        }
        state.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        deciphered(&mut session, buffer)
    }

    /// Encrypts and writes as much as the socket takes now.
    pub(super) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut session = self.session();
        let mut taken = 0;
        while taken < bytes.len() {
            match self.write_record(&mut session, &[IoSlice::new(&bytes[taken..])]) {
                Ok(more) => taken += more,
                Err(_) if taken > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(taken)
    }

    /// The same for the first of several pieces: as many of them as one record takes.
    pub(super) fn try_write_vectored(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.write_record(&mut self.session(), pieces)
    }

    pub(super) fn holds_back(&self) -> bool {
        self.session().wants_write()
    }

    pub(super) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            match self.write_ciphertext(&mut self.session()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
            }
            ready!(self.tcp.poll_write_ready(cx))?;
        }
    }

    pub(super) fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let waits = match self.session().reader().fill_buf() {
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
            Ok(_) => false,
        };
        if waits {
            self.tcp.poll_read_ready(cx)
        } else {
            // The socket is not asked, but whoever read before us must not stay in its registration.
            let _ = self.tcp.poll_read_ready(cx);
            Poll::Ready(Ok(()))
        }
    }

    pub(super) fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.tcp.poll_write_ready(cx)
    }

    /// Says the end of TLS, then ends our side of TCP. Ready once both have left.
    pub(super) fn poll_end_writing(&self, cx: &mut Context<'_>) -> Poll<()> {
        // Said once, however often it is asked for.
        self.session().send_close_notify();
        // Who no longer takes it needs no more than the end of TCP.
        let _gone = ready!(self.poll_flush(cx));
        end_writing(&self.tcp);
        Poll::Ready(())
    }

    /// Encrypts one record of what is given and writes it. What the socket does not take of it is taken nevertheless.
    fn write_record(&self, session: &mut ServerConnection, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.write_ciphertext(session)?;
        let taken = session.writer().write_vectored(pieces)?;
        self.write_ciphertext(session).or_else(later)?;
        Ok(taken)
    }

    /// Writes what is encrypted; an error of the kind `WouldBlock` if the socket did not take all of it.
    fn write_ciphertext(&self, session: &mut ServerConnection) -> io::Result<()> {
        while session.wants_write() {
            match session.write_tls(&mut Wire(&self.tcp)) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn session(&self) -> MutexGuard<'_, ServerConnection> {
        self.session
            .lock()
            .expect("the lock of TLS is never poisoned: no code panics while holding it")
    }
}

/// What is deciphered. `WouldBlock`: nothing is, at the moment.
fn deciphered(session: &mut ServerConnection, buffer: &mut [u8]) -> io::Result<usize> {
    match session.reader().read(buffer) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
        read => read,
    }
}

/// Takes a full socket for no error: the rest leaves later.
fn later(error: io::Error) -> io::Result<()> {
    match error.kind() {
        io::ErrorKind::WouldBlock => Ok(()),
        _ => Err(error),
    }
}

/// The socket as TLS reads and writes it.
struct Wire<'a>(&'a TcpStream);

impl Read for Wire<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        read_now(self.0, buffer)
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(pieces)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::{Context, Poll, Wake, Waker};
    use std::time::Duration;

    use bytes::Bytes;
    use rcgen::{CertificateParams, CertifiedIssuer, KeyPair};
    use rustls::pki_types::ServerName;
    use rustls::{ClientConfig, RootCertStore};
    use tokio::io::AsyncReadExt;
    use tokio::net::{TcpListener, TcpSocket, TcpStream};
    use tokio_rustls::TlsConnector;
    use tokio_rustls::client::TlsStream;
    use touchstone_storage::Timestamp;

    use crate::config::TlsFiles;
    use crate::connection::outgoing::{Outgoing, QueueLimits, Sent};
    use crate::connection::transport::Transport;
    use crate::socket::Socket;
    use crate::tls::Certificates;

    #[derive(Default)]
    struct Woken(AtomicBool);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Release);
        }
    }

    /// A client with little room in the kernel, and the server's end of its connection.
    async fn connected() -> (Box<TlsStream<TcpStream>>, Transport) {
        let folder = tempfile::tempdir().unwrap();
        let files = TlsFiles {
            certificate: folder.path().join("chain.pem"),
            key: folder.path().join("key.pem"),
        };
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &authority).unwrap();
        std::fs::write(&files.certificate, certificate.pem()).unwrap();
        std::fs::write(&files.key, key.serialize_pem()).unwrap();
        let certificates = Certificates::read(&files, Timestamp::from_millis(1_700_000_000_000)).unwrap();

        let mut roots = RootCertStore::empty();
        roots.add(authority.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(256 << 10).unwrap();
        let tcp = socket.connect(listener.local_addr().unwrap());
        let (tcp, accepted) = tokio::join!(tcp, listener.accept());
        let name = ServerName::try_from("localhost").unwrap();
        let client = TlsConnector::from(Arc::new(config)).connect(name, tcp.unwrap());
        let server = certificates.accept(accepted.unwrap().0);
        let (client, server) = tokio::join!(Box::pin(client), Box::pin(server));
        let transport = Transport::expected();
        transport.arrive(Socket::Tls(Box::new(server.unwrap())));
        (Box::new(client.unwrap()), transport)
    }

    #[tokio::test]
    async fn what_is_encrypted_leaves_although_nothing_more_is_sent() {
        let (mut client, transport) = Box::pin(connected()).await;
        let limits = QueueLimits {
            bytes: 1 << 20,
            frames: 100,
        };
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let mut outgoing = Outgoing::new(None);
        let flushed = outgoing.poll_flush(&transport, &mut Context::from_waker(&waker));
        assert_eq!(flushed, Poll::Ready(()));
        let frame = Bytes::from(vec![b'x'; 1_000]);
        let mut sent_bytes = 0;
        while !transport.holds_back() {
            assert_eq!(outgoing.send(&frame, &transport, limits), Sent::Taken);
            sent_bytes += frame.len();
        }
        assert_eq!(outgoing.queued_bytes(), 0, "all of it is with TLS");
        assert!(
            woken.0.load(Ordering::Acquire),
            "the task is told that it has to flush"
        );
        let mut heard = vec![0; sent_bytes];
        let reading = tokio::time::timeout(Duration::from_secs(20), client.read_exact(&mut heard));
        let flushing = poll_fn(|cx| outgoing.poll_flush(&transport, cx));
        let (read, ()) = tokio::join!(reading, flushing);
        read.expect("the last record never left").unwrap();
        assert!(!transport.holds_back());
    }
}
