//! What the bytes of a session travel over.

use std::io::{self, IoSlice, Read as _, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use touchstone_sut::transport::Stream;

use super::lookout::Lookout;

/// What bytes travel over.
pub(crate) trait Pipe: AsyncRead + AsyncWrite + Unpin + Sized + 'static {
    /// Has `lookout` tell by `slot` from now on when there is something to read, if it can; nobody is woken then.
    fn watched(self, slot: usize, lookout: &Lookout) -> io::Result<Self> {
        let _ = (slot, lookout);
        Ok(self)
    }

    /// The lookout has told that behind what can be read comes the end.
    fn ending(&mut self) {}
}

/// A connection of a session, or of its requests.
pub(crate) enum Socket {
    /// The runtime wakes whoever waits for it.
    Waking(Stream<TcpStream>),
    /// The loop's lookout tells when there is something to read.
    Watched(Watched),
}

impl Pipe for Socket {
    /// What is inside TLS nobody can see from outside.
    fn watched(self, slot: usize, lookout: &Lookout) -> io::Result<Self> {
        match self {
            Self::Waking(Stream::Plain(socket)) if lookout.watches() => {
                let socket = socket.into_std()?;
                lookout.add(&socket, slot)?;
                Ok(Self::Watched(Watched {
                    socket,
                    rest: Rest::Unknown,
                }))
            }
            other @ (Self::Waking(Stream::Plain(_) | Stream::Tls(_)) | Self::Watched(_)) => Ok(other),
        }
    }

    fn ending(&mut self) {
        match self {
            Self::Waking(_) => {}
            Self::Watched(watched) => watched.rest = Rest::End,
        }
    }
}

/// A plain socket that wakes nobody: who finds it pending is called by the lookout.
pub(crate) struct Watched {
    socket: std::net::TcpStream,
    rest: Rest,
}

/// What the next read finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    Unknown,
    /// Nothing, for the last one did not fill its buffer: it is spared. What comes after that is told.
    Nothing,
    /// In the end, the end: nothing is told any more.
    End,
}

impl Watched {
    fn read(&mut self, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.rest == Rest::Nothing {
            self.rest = Rest::Unknown;
            return Poll::Pending;
        }
        let space = buffer.initialize_unfilled();
        let space_bytes = space.len();
        let read = without_blocking(|| self.socket.read(space))?;
        read.map(|read| {
            if self.rest == Rest::Unknown && read < space_bytes {
                self.rest = Rest::Nothing;
            }
            buffer.advance(read);
            Ok(())
        })
    }

    fn write(&mut self, bytes: &[u8]) -> Poll<io::Result<usize>> {
        without_blocking(|| self.socket.write(bytes))
    }
}

fn without_blocking(mut act: impl FnMut() -> io::Result<usize>) -> Poll<io::Result<usize>> {
    loop {
        match act() {
            Ok(bytes) => return Poll::Ready(Ok(bytes)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Poll::Ready(Err(error)),
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Waking(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Watched(socket) => socket.read(buffer),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Waking(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Watched(socket) => socket.write(bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Waking(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::Watched(Watched { socket, .. }) => without_blocking(|| socket.write_vectored(slices)),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Waking(stream) => stream.is_write_vectored(),
            Self::Watched(_) => true,
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Waking(stream) => Pin::new(stream).poll_flush(cx),
            Self::Watched(_) => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Waking(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Watched(Watched { socket, .. }) => Poll::Ready(socket.shutdown(std::net::Shutdown::Write)),
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use crate::engine::lookout::Told;
    use crate::engine::timer::Precision;
    use std::task::Waker;
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;

    /// What a read finds: so many bytes, or nothing yet.
    fn read(socket: &mut Socket) -> Option<usize> {
        let mut space = [0; 8];
        let mut buffer = ReadBuf::new(&mut space);
        let mut nobody = Context::from_waker(Waker::noop());
        match Pin::new(socket).poll_read(&mut nobody, &mut buffer) {
            Poll::Ready(read) => {
                read.unwrap();
                Some(buffer.filled().len())
            }
            Poll::Pending => None,
        }
    }

    #[tokio::test]
    async fn what_comes_before_the_end_is_heard_and_then_the_end() {
        let lookout = Lookout::new(Precision::Finest);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let mut theirs = listener.accept().await.unwrap().0;
        let mut ours = Socket::Waking(Stream::Plain(ours)).watched(3, &lookout).unwrap();
        assert_eq!(read(&mut ours), None);
        theirs.write_all(b"twelve bytes").await.unwrap();
        assert_eq!(
            [read(&mut ours), read(&mut ours), read(&mut ours)],
            [Some(8), Some(4), None]
        );
        theirs.write_all(b"last").await.unwrap();
        drop(theirs);
        let mut told = None;
        while told != Some((3, Told::Ending)) {
            lookout.news().await;
            lookout.sweep(|_| {}, |slot, news| told = Some((slot, news)));
        }
        ours.ending();
        assert_eq!([read(&mut ours), read(&mut ours)], [Some(4), Some(0)]);
    }
}
