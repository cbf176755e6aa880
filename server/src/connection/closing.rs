//! The end of a connection: what is queued leaves, the close frame last, then TCP ends without a reset.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};

use super::buffers::ReadBuffer;
use super::{Connection, Phase};

/// What a peer may still send after the close frame before it is no longer listened to. Bytes left unread would turn
/// the end of TCP into a reset, which can destroy the close frame on its way; a peer in the middle of the longest
/// message of the raw echo gets it out.
const DISCARDED_BYTES_MAX: usize = 32 << 20;

/// Sees the connection off: writes what is queued, ends our side of TCP, and reads until the peer ends its own. A peer
/// that does not take the close frame within the close deadline, or does not end, is just dropped (common/2c).
pub(super) async fn finish(connection: &Connection) {
    let mut writing = Writing::Flushing;
    let mut reading = Reading::Discarding {
        left: DISCARDED_BYTES_MAX,
    };
    let farewell = poll_fn(|cx| {
        if writing == Writing::Flushing && connection.poll_flush(cx).is_ready() {
            connection.transport.end_writing();
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
        }
        match (writing, reading) {
            (Writing::Ended, Reading::Ended) => Poll::Ready(()),
            (Writing::Flushing, _) | (_, Reading::Discarding { .. }) => Poll::Pending,
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
