//! When bytes arrived, as the kernel saw it.
//!
//! A busy machine wakes the judge late, and a message that is read 80 ms after it came would make the next one look
//! early. Linux notes the time of arrival on request; elsewhere a read's own time has to do.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;

/// The time of arrival of what was read last; looked at by the tap after each read. Above TLS a read may give what had
/// arrived, and was deciphered, with an earlier one: then it is that one's.
#[derive(Debug, Clone, Default)]
pub struct Arrival(Arc<Mutex<Option<Instant>>>);

impl Arrival {
    /// When what was just read had arrived, if the system says so.
    #[must_use]
    pub fn last(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(all(target_os = "linux", target_pointer_width = "64"))]
    fn set(&self, at: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = at;
    }
}

/// A TCP stream that knows when what it reads had arrived.
#[derive(Debug)]
pub(super) struct Stamped {
    stream: TcpStream,
    arrival: Arrival,
    asked: bool,
}

impl Stamped {
    pub(super) fn new(stream: TcpStream, arrival: Arrival) -> Self {
        let asked = system::ask(&stream);
        Self {
            stream,
            arrival,
            asked,
        }
    }
}

impl AsyncRead for Stamped {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        if self.asked {
            system::poll_read(&self.stream, &self.arrival, context, buffer)
        } else {
            Pin::new(&mut self.stream).poll_read(context, buffer)
        }
    }
}

impl AsyncWrite for Stamped {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
mod system {
    use std::io;
    use std::mem::MaybeUninit;
    use std::os::fd::AsRawFd;
    use std::task::{Context, Poll, ready};
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    use socket2::{MaybeUninitSlice, MsgHdrMut, SockRef};
    use tokio::io::{Interest, ReadBuf};
    use tokio::net::TcpStream;
    use tokio::time::Instant;

    use super::Arrival;

    /// One control message with a `timespec`, and room to spare.
    const CONTROL_BYTES: usize = 64;
    /// `cmsg_len`, `cmsg_level`, `cmsg_type`, as 64-bit Linux lays them out.
    const HEADER_BYTES: usize = 16;

    /// Between the readings of two clocks that are taken for the same moment.
    const CLOCK_GAP_MAX: Duration = Duration::from_micros(200);
    /// How often they are read again on a machine that is busy all the time.
    const CLOCK_READS_MAX: usize = 3;

    /// Asks for times of arrival; false where the system has none to give.
    pub(super) fn ask(stream: &TcpStream) -> bool {
        let on: libc::c_int = 1;
        // SAFETY: the descriptor is open while `stream` is borrowed, and the option's value is an int that outlives
        // the call, with its own size.
        let answer = unsafe {
            libc::setsockopt(
                stream.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_TIMESTAMPNS,
                std::ptr::from_ref(&on).cast(),
                libc::socklen_t::try_from(size_of_val(&on)).unwrap_or(4),
            )
        };
        answer == 0
    }

    pub(super) fn poll_read(
        stream: &TcpStream,
        arrival: &Arrival,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(stream.poll_read_ready(context))?;
            match stream.try_io(Interest::READABLE, || receive(stream, buffer)) {
                Ok(at) => {
                    arrival.set(at);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    fn receive(stream: &TcpStream, buffer: &mut ReadBuf<'_>) -> io::Result<Option<Instant>> {
        let mut control = [MaybeUninit::<u8>::uninit(); CONTROL_BYTES];
        let mut slices = [MaybeUninitSlice::new(buffer.initialize_unfilled_as_uninit())];
        let mut message = MsgHdrMut::new()
            .with_buffers(&mut slices)
            .with_control(&mut control);
        let count = SockRef::from(stream).recvmsg(&mut message, 0)?;
        let written = message.control_len().min(CONTROL_BYTES);
        buffer.advance(count);
        // SAFETY: the kernel has written the first `written` bytes, which it reported as the length.
        let control: Vec<u8> = control[..written]
            .iter()
            .map(|byte| unsafe { byte.assume_init() })
            .collect();
        Ok(stamp(&control).map(monotonic))
    }

    /// The wall-clock time in a control message.
    fn stamp(control: &[u8]) -> Option<SystemTime> {
        let int = |at: usize| control.get(at..at + 4)?.try_into().ok().map(i32::from_ne_bytes);
        let long = |at: usize| control.get(at..at + 8)?.try_into().ok().map(i64::from_ne_bytes);
        if int(8)? != libc::SOL_SOCKET || int(12)? != libc::SCM_TIMESTAMPNS {
            return None;
        }
        let seconds = u64::try_from(long(HEADER_BYTES)?).ok()?;
        let nanos = u32::try_from(long(HEADER_BYTES + 8)?).ok()?;
        Some(UNIX_EPOCH + Duration::new(seconds, nanos))
    }

    /// The same moment on the clock that the judge counts by. A wall clock that was set meanwhile changes nothing: a
    /// moment in the future is now.
    fn monotonic(stamp: SystemTime) -> Instant {
        // Two clocks are read one after the other; where something came between, they are read again.
        let mut now = Instant::now();
        let mut wall = SystemTime::now();
        for _ in 0..CLOCK_READS_MAX {
            if now.elapsed() < CLOCK_GAP_MAX {
                break;
            }
            now = Instant::now();
            wall = SystemTime::now();
        }
        let ago = wall.duration_since(stamp).unwrap_or_default();
        now.checked_sub(ago).unwrap_or(now)
    }

    /// What [`ReadBuf`] has left to fill, as bytes that may be anything.
    trait Unfilled {
        fn initialize_unfilled_as_uninit(&mut self) -> &mut [MaybeUninit<u8>];
    }

    impl Unfilled for ReadBuf<'_> {
        fn initialize_unfilled_as_uninit(&mut self) -> &mut [MaybeUninit<u8>] {
            let unfilled = self.initialize_unfilled();
            let (start, length) = (unfilled.as_mut_ptr().cast(), unfilled.len());
            // SAFETY: the same bytes, initialised and borrowed for as long; `recvmsg` only writes initialised ones.
            unsafe { std::slice::from_raw_parts_mut(start, length) }
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_control_message_without_a_time_gives_none() {
            let mut control = Vec::new();
            control.extend(32_u64.to_ne_bytes());
            control.extend(libc::SOL_SOCKET.to_ne_bytes());
            control.extend(libc::SCM_TIMESTAMPNS.to_ne_bytes());
            control.extend(1_700_000_000_i64.to_ne_bytes());
            control.extend(5_i64.to_ne_bytes());
            assert_eq!(
                stamp(&control),
                Some(UNIX_EPOCH + Duration::new(1_700_000_000, 5))
            );
            assert_eq!(stamp(&control[..20]), None);
            control[12] ^= 1;
            assert_eq!(stamp(&control), None);
            assert_eq!(stamp(&[]), None);
        }
    }
}

#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
mod system {
    use std::io;
    use std::task::{Context, Poll};

    use tokio::io::ReadBuf;
    use tokio::net::TcpStream;

    use super::Arrival;

    pub(super) fn ask(_stream: &TcpStream) -> bool {
        false
    }

    pub(super) fn poll_read(
        _stream: &TcpStream,
        _arrival: &Arrival,
        _context: &mut Context<'_>,
        _buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Poll::Ready(Err(io::Error::from(io::ErrorKind::Unsupported)))
    }
}

#[cfg(test)]
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn what_is_read_late_has_arrived_before() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        let arrival = Arrival::default();
        let mut stamped = Stamped::new(stream, arrival.clone());
        assert!(stamped.asked, "Linux notes times of arrival");
        let mut buffer = [0; 8];
        // The kernel begins to note times a moment after the first socket of the machine has asked for them.
        let mut rounds = 0..20;
        let (before, after, at) = loop {
            rounds.next().expect("a time of arrival");
            let before = Instant::now();
            server.write_all(b"hi").await.unwrap();
            let after = Instant::now();
            // Reading is what is late here, by much more than clocks differ.
            tokio::time::sleep(Duration::from_millis(100)).await;
            assert_eq!(stamped.read(&mut buffer).await.unwrap(), 2);
            if let Some(at) = arrival.last() {
                break (before, after, at);
            }
        };
        let slack = Duration::from_millis(20);
        assert!(
            at + slack >= before && at <= after + slack,
            "{:?} after the write",
            at.duration_since(before)
        );
        drop(server);
        assert_eq!(stamped.read(&mut buffer).await.unwrap(), 0);
    }
}
