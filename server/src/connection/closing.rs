//! The end of a connection: what is queued leaves, the close frame last, then TCP ends without a reset.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::Instant;

use super::buffers::ReadBuffer;
use super::{Connection, Phase};

/// What a peer may still send after the close frame before it is no longer listened to. Bytes left unread would turn
/// the end of TCP into a reset, which can destroy the close frame on its way; a peer in the middle of the longest
/// message of the raw echo gets it out.
const DISCARDED_BYTES_MAX: usize = 32 << 20;

/// Once our side of TCP has ended, a peer that says nothing for this long has nothing under way that could make the end
/// a reset. Many a client keeps its socket until somebody collects the garbage.
const SILENCE: Duration = Duration::from_secs(1);

/// Sees the connection off: writes what is queued, ends our side of TCP, and reads until the peer ends its own or falls
/// silent. All of it within the close deadline: a peer that does not take the close frame by then is just dropped
/// (common/2c).
pub(super) async fn finish(connection: &Connection) {
    let mut writing = Writing::Flushing;
    let mut reading = Reading::Discarding {
        left: DISCARDED_BYTES_MAX,
    };
    let mut silence = pin!(tokio::time::sleep(SILENCE));
    let farewell = poll_fn(|cx| {
        if writing == Writing::Flushing
            && connection.poll_flush(cx).is_ready()
            && connection.transport.poll_end_writing(cx).is_ready()
        {
            silence.as_mut().reset(Instant::now() + SILENCE);
            writing = Writing::Ended;
        }
        if connection.phase() == Phase::Broken {
            return Poll::Ready(());
        }
        while let Reading::Discarding { left } = reading {
            reading = match poll_discard(connection, cx) {
                Poll::Ready(Some(bytes)) if bytes < left => Reading::Discarding { left: left - bytes },
                Poll::Ready(_) => Reading::Ended,
                Poll::Pending => break,
            };
            silence.as_mut().reset(Instant::now() + SILENCE);
        }
        match (writing, reading) {
            (Writing::Flushing, _) => Poll::Pending,
            (Writing::Ended, Reading::Ended) => Poll::Ready(()),
            (Writing::Ended, Reading::Discarding { .. }) => silence.as_mut().poll(cx),
        }
    });
    // Late or done, the socket is dropped now.
    let _ = tokio::time::timeout(connection.terms.close_deadline, farewell).await;
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Writing {
    Flushing,
    Ended,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    Discarding { left: usize },
    Ended,
}

/// Reads once and forgets it. `None` is the peer's end.
fn poll_discard(connection: &Connection, cx: &mut Context<'_>) -> Poll<Option<usize>> {
    loop {
        if ready!(connection.transport.poll_read_ready(cx)).is_err() {
            return Poll::Ready(None);
        }
        match connection.transport.try_read(&mut ReadBuffer::take()) {
            Ok(0) => return Poll::Ready(None),
            Ok(bytes) => return Poll::Ready(Some(bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return Poll::Ready(None),
        }
    }
}
