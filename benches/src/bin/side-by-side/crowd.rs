//! The client: many sockets that read, count what they read, and answer nothing but a close frame.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use touchstone_sut::transport::{Stream, Transport};
use touchstone_wire as wire;

/// What a client says to a close frame: the same without a code, masked with zeroes.
const ANSWER: [u8; 6] = [0x88, 0x80, 0, 0, 0, 0];

/// Bytes kept of what each socket read last: enough for a close frame.
const TAIL_BYTES: usize = 128;

/// Connections that are under way at a time.
const CONNECTING_MAX: usize = 64;

/// A crowd is quiet when nothing has come for this long: longer than the interval of batches.
const QUIET: Duration = Duration::from_millis(2_500);

/// Whatever is awaited comes within this time.
const PATIENCE: Duration = Duration::from_secs(60);

/// What all sockets of a crowd have read together.
#[derive(Debug, Default)]
struct Received {
    bytes: AtomicU64,
    awaited: AtomicU64,
    reached: Notify,
}

impl Received {
    fn note(&self, read: usize) {
        let before = self.bytes.fetch_add(read as u64, Ordering::SeqCst);
        let awaited = self.awaited.load(Ordering::SeqCst);
        if (before..before + read as u64).contains(&(awaited.wrapping_sub(1))) {
            self.reached.notify_one();
        }
    }
}

/// Sockets that read.
#[derive(Debug, Default)]
pub(crate) struct Crowd {
    received: Arc<Received>,
    readers: JoinSet<Vec<u8>>,
}

impl Crowd {
    /// Connects these as WebSockets, by their paths and queries.
    pub(crate) async fn connect(&mut self, address: SocketAddr, targets: Vec<String>) -> Result<()> {
        self.connect_through(&Transport::Plain, address, targets).await
    }

    /// The same, with their bytes in this.
    pub(crate) async fn connect_through(
        &mut self,
        transport: &Transport,
        address: SocketAddr,
        targets: Vec<String>,
    ) -> Result<()> {
        let mut targets = VecDeque::from(targets);
        let mut connecting = JoinSet::new();
        loop {
            while connecting.len() < CONNECTING_MAX
                && let Some(target) = targets.pop_front()
            {
                let transport = transport.clone();
                connecting.spawn(async move { open_through(&transport, address, &target).await });
            }
            let Some(connected) = connecting.join_next().await else {
                return Ok(());
            };
            let (socket, early) = connected??;
            self.add(socket, early);
        }
    }

    /// Takes in a socket that is connected already, with what was read from it.
    pub(crate) fn add<S>(&mut self, socket: S, early: Vec<u8>)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let received = Arc::clone(&self.received);
        self.readers.spawn(read(socket, early, received));
    }

    /// Bytes that were read so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.received.bytes.load(Ordering::SeqCst)
    }

    /// Awaits that so many bytes have been read in all.
    pub(crate) async fn reach(&self, bytes: u64) -> Result<()> {
        self.received.awaited.store(bytes, Ordering::SeqCst);
        let reached = async {
            while self.bytes() < bytes {
                self.received.reached.notified().await;
            }
        };
        if tokio::time::timeout(PATIENCE, reached).await.is_err() {
            bail!("{} of {bytes} bytes within {PATIENCE:?}", self.bytes());
        }
        Ok(())
    }

    /// Awaits that nothing comes any more.
    pub(crate) async fn quiet(&self) {
        loop {
            let before = self.bytes();
            tokio::time::sleep(QUIET).await;
            if self.bytes() == before {
                return;
            }
        }
    }

    /// Awaits that all sockets were ended by the server. Returns what each read last.
    pub(crate) async fn ended(self) -> Result<Vec<Vec<u8>>> {
        tokio::time::timeout(PATIENCE, self.readers.join_all())
            .await
            .context("the server does not end every connection")
    }
}

/// Reads until the end, and answers the close frame before it, as every client does.
async fn read<S: AsyncRead + AsyncWrite + Unpin>(
    mut socket: S,
    early: Vec<u8>,
    received: Arc<Received>,
) -> Vec<u8> {
    received.note(early.len());
    let mut tail = early;
    let mut buffer = [0; 4096];
    while let Ok(read) = socket.read(&mut buffer).await {
        if read == 0 {
            break;
        }
        received.note(read);
        tail.extend_from_slice(&buffer[read.saturating_sub(TAIL_BYTES)..read]);
        let over = tail.len().saturating_sub(TAIL_BYTES);
        tail.drain(..over);
        if ends_with_close(&tail) && socket.write_all(&ANSWER).await.is_err() {
            break;
        }
    }
    tail
}

fn ends_with_close(tail: &[u8]) -> bool {
    (0..tail.len())
        .any(|at| matches!(&tail[at..], [0x88, length, body @ ..] if usize::from(*length) == body.len()))
}

/// Opens a WebSocket; returns it with what came behind the answer.
pub(crate) async fn open(address: SocketAddr, target: &str) -> Result<(TcpStream, Vec<u8>)> {
    let mut socket = connect(address).await?;
    let early = upgrade(&mut socket, address, target).await?;
    Ok((socket, early))
}

/// The same, with its bytes in this.
async fn open_through(
    transport: &Transport,
    address: SocketAddr,
    target: &str,
) -> Result<(Stream<TcpStream>, Vec<u8>)> {
    let socket = connect(address).await?;
    let mut stream = transport.open(socket, &address.to_string()).await?;
    let early = upgrade(&mut stream, address, target).await?;
    Ok((stream, early))
}

async fn connect(address: SocketAddr) -> Result<TcpStream> {
    let socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    Ok(socket)
}

/// Returns what came behind the answer.
async fn upgrade<S>(socket: &mut S, address: SocketAddr, target: &str) -> Result<Vec<u8>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let request = format!(
        "GET {target} HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    socket.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    let end = loop {
        if socket.read_buf(&mut answer).await? == 0 {
            bail!("no answer to the upgrade of {target}");
        }
        if let Some(at) = answer.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
    };
    if !answer.starts_with(b"HTTP/1.1 101") {
        bail!("refused: {}", String::from_utf8_lossy(&answer));
    }
    Ok(answer.split_off(end))
}

/// A text as a client sends it.
pub(crate) fn masked(text: &str) -> Vec<u8> {
    let mut frame = Vec::new();
    wire::encode_masked(&mut frame, wire::OpCode::Text, text.as_bytes(), [1, 2, 3, 4]);
    frame
}
