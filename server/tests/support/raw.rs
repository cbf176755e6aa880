//! A peer that writes any bytes, and reads only when it is told to.

use std::net::SocketAddr;

use futures_util::FutureExt;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::within;

/// Little room in the kernel, so that not reading shows soon. Less than two segments of the loopback, and Linux would
/// open the closed window by its probe timer only, seconds later.
const RECEIVE_BUFFER_BYTES: u32 = 256 << 10;

/// A frame as it came.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) opcode: u8,
    pub(crate) payload: Vec<u8>,
}

/// A masked frame, whole.
pub(crate) fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x80 | opcode];
    match payload.len() {
        short @ 0..=125 => bytes.push(0x80 | short as u8),
        medium @ 126..=0xFFFF => {
            bytes.push(0x80 | 126);
            bytes.extend_from_slice(&(medium as u16).to_be_bytes());
        }
        long => {
            bytes.push(0x80 | 127);
            bytes.extend_from_slice(&(long as u64).to_be_bytes());
        }
    }
    // A mask of zeroes leaves the payload as it is.
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(payload);
    bytes
}

type Writing = Box<dyn AsyncWrite + Send + Unpin>;

pub(crate) struct Raw {
    reading: Box<dyn AsyncRead + Send + Unpin>,
    writing: Option<Writing>,
}

impl Raw {
    /// A WebSocket whose peer has a small receive buffer.
    pub(crate) async fn connect(address: SocketAddr, path: &str) -> Self {
        let (stream, head) = upgrade(address, path, "").await;
        assert!(head.starts_with("HTTP/1.1 101"), "{head}");
        let (reading, writing) = stream.into_split();
        Self {
            reading: Box::new(reading),
            writing: Some(Box::new(writing)),
        }
    }

    /// The same over any stream.
    pub(crate) async fn over(
        mut stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        path: &str,
    ) -> Self {
        let head = ask(&mut stream, path, "").await;
        assert!(head.starts_with("HTTP/1.1 101"), "{head}");
        let (reading, writing) = tokio::io::split(stream);
        Self {
            reading: Box::new(reading),
            writing: Some(Box::new(writing)),
        }
    }

    /// The answer to a handshake; the connection is dropped.
    pub(crate) async fn handshake(address: SocketAddr, path: &str) -> String {
        Self::handshake_with(address, path, "").await
    }

    /// The same with more header lines.
    pub(crate) async fn handshake_with(address: SocketAddr, path: &str, headers: &str) -> String {
        upgrade(address, path, headers).await.1
    }

    /// The same, and keeps the connection.
    pub(crate) async fn upgraded(address: SocketAddr, path: &str, headers: &str) -> (TcpStream, String) {
        upgrade(address, path, headers).await
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        let writing = self.writing.as_mut().expect("the writing half is still here");
        within(writing.write_all(bytes)).await.unwrap();
    }

    /// Takes the writing half out, so that [`until_end`](Self::until_end) does not end it.
    pub(crate) fn keep_open(&mut self) -> Option<Writing> {
        self.writing.take()
    }

    /// Says that nothing more will come, and goes on reading.
    pub(crate) async fn end_writing(&mut self) {
        let writing = self.writing.as_mut().expect("the writing half is still here");
        within(writing.shutdown()).await.unwrap();
    }

    /// The next frame, which must be a short one.
    pub(crate) async fn hear(&mut self) -> Frame {
        let mut head = [0; 2];
        within(self.reading.read_exact(&mut head)).await.unwrap();
        let [first, length @ 0..=125] = head else {
            panic!("the frame is longer than 125 bytes: {head:?}");
        };
        let mut payload = vec![0; usize::from(length)];
        within(self.reading.read_exact(&mut payload)).await.unwrap();
        Frame {
            opcode: first & 0x0F,
            payload,
        }
    }

    /// Whether TCP has ended already. Nothing else may be there to be read.
    pub(crate) async fn has_ended(&mut self) -> bool {
        let mut byte = [0];
        let mut reading = std::pin::pin!(self.reading.read(&mut byte));
        // Twice, because the runtime has to look at the socket in between.
        for _ in 0..2 {
            tokio::task::yield_now().await;
            if let Some(read) = (&mut reading).now_or_never() {
                assert_eq!(read.expect("no reset"), 0, "only the end was to come");
                return true;
            }
        }
        false
    }

    /// Every frame up to the end of TCP, which must be clean.
    pub(crate) async fn until_end(&mut self) -> Vec<Frame> {
        let mut bytes = Vec::new();
        within(self.reading.read_to_end(&mut bytes))
            .await
            .expect("TCP ends without a reset");
        self.writing = None;
        frames_in(&bytes)
    }

    /// The same, however TCP ends.
    pub(crate) async fn until_cut(&mut self) -> Vec<Frame> {
        let mut bytes = Vec::new();
        // An error is one way to end; what came before it has been read.
        let _ = within(self.reading.read_to_end(&mut bytes)).await;
        self.writing = None;
        frames_in(&bytes)
    }
}

fn frames_in(bytes: &[u8]) -> Vec<Frame> {
    let mut frames = Vec::new();
    let mut rest = bytes;
    while let [first, second, behind @ ..] = rest {
        let (length, behind) = match second {
            126 => (
                usize::from(u16::from_be_bytes([behind[0], behind[1]])),
                &behind[2..],
            ),
            127 => (
                u64::from_be_bytes(behind[..8].try_into().unwrap()) as usize,
                &behind[8..],
            ),
            short => (usize::from(*short), behind),
        };
        frames.push(Frame {
            opcode: first & 0x0F,
            payload: behind[..length].to_vec(),
        });
        rest = &behind[length..];
    }
    assert!(rest.is_empty(), "the last frame is whole");
    frames
}

async fn upgrade(address: SocketAddr, path: &str, headers: &str) -> (TcpStream, String) {
    let mut stream = narrow(address).await;
    let head = ask(&mut stream, path, headers).await;
    (stream, head)
}

/// A TCP connection with a small receive buffer.
pub(crate) async fn narrow(address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES).unwrap();
    let stream = within(socket.connect(address)).await.unwrap();
    // What is sent is there at once, whether or not what was sent before has been acknowledged.
    stream.set_nodelay(true).unwrap();
    stream
}

/// Asks for an upgrade; returns the head of the answer.
async fn ask(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), path: &str, headers: &str) -> String {
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(within(stream.read_u8()).await.unwrap());
    }
    String::from_utf8(head).unwrap()
}
