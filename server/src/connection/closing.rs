//! The end of a connection: what is queued leaves, the close frame last; the peer answers it; then TCP ends without a
//! reset, on our side first.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::Instant;
use touchstone_wire as wire;

use super::buffers::ReadBuffer;
use super::{Connection, Phase};

/// What a peer may still send after the close frame before it is no longer listened to. Bytes left unread would turn
/// the end of TCP into a reset, which can destroy the close frame on its way; a peer in the middle of the longest
/// message of the raw echo gets it out.
const DISCARDED_BYTES_MAX: usize = 32 << 20;

/// How long the peer may take for its own close frame once ours has left. Until both are there TCP goes on (RFC 6455
/// 7.1.1): many a client cannot write into a socket whose other side has ended, and then calls the end abnormal, 1006,
/// whatever code it has read. A peer that still listens answers at once, so a fifth of the close deadline is plenty: 1 s
/// by default.
const ANSWER_SHARE: u32 = 5;

/// A peer that says nothing for this long has nothing under way that could make the end of TCP a reset. Many a client
/// keeps its socket until somebody collects the garbage.
const SILENCE: Duration = Duration::from_secs(1);

/// Sees the connection off: writes what is queued, waits for the peer's close frame, ends our side of TCP, and reads until
/// the peer ends its own or falls silent. A close frame is not waited for where `receiver` has ended, by one that has come
/// or by a violation, behind which there are no frames. All of it within the close deadline: a peer that does not take our
/// close frame by then is just dropped (common/2c).
pub(super) async fn finish(connection: &Connection, receiver: &mut wire::Receiver) {
    let mut writing = Writing::Flushing;
    let mut reading = Reading::Discarding {
        left: DISCARDED_BYTES_MAX,
    };
    let answer_patience = connection.terms.close_deadline / ANSWER_SHARE;
    let mut heard_last = Instant::now();
    let mut timer = pin!(tokio::time::sleep(answer_patience));
    let farewell = poll_fn(|cx| {
        if writing == Writing::Flushing && connection.poll_flush(cx).is_ready() {
            heard_last = Instant::now();
            timer.as_mut().reset(heard_last + answer_patience);
            writing = Writing::Flushed;
        }
        if connection.phase() == Phase::Broken {
            return Poll::Ready(());
        }
        while let Reading::Discarding { left } = reading {
            reading = match poll_discard(connection, receiver, cx) {
                Poll::Ready(Some(bytes)) if bytes < left => Reading::Discarding { left: left - bytes },
                Poll::Ready(_) => Reading::Ended,
                Poll::Pending => break,
            };
            heard_last = Instant::now();
            if writing == Writing::Ended {
                timer.as_mut().reset(heard_last + SILENCE);
            }
        }
        if writing == Writing::Flushed {
            if reading != Reading::Ended && !receiver.has_ended() {
                ready!(timer.as_mut().poll(cx));
            }
            ready!(connection.transport.poll_end_writing(cx));
            // Who was silent while we waited does not keep us waiting once more.
            timer.as_mut().reset(heard_last + SILENCE);
            writing = Writing::Ended;
        }
        match (writing, reading) {
            (Writing::Flushing | Writing::Flushed, _) => Poll::Pending,
            (Writing::Ended, Reading::Ended) => Poll::Ready(()),
            (Writing::Ended, Reading::Discarding { .. }) => timer.as_mut().poll(cx),
        }
    });
    // Late or done, the socket is dropped now.
    let _ = tokio::time::timeout(connection.terms.close_deadline, farewell).await;
}

/// What the peer says once we have nothing more to say to it: only whether it is a close frame counts, which
/// [`has_ended`](wire::Receiver::has_ended) tells afterwards.
pub(super) fn disregard(receiver: &mut wire::Receiver, mut input: &mut [u8]) {
    while let Ok(wire::Step {
        consumed,
        event: Some(_),
    }) = receiver.next(input)
    {
        input = &mut input[consumed..];
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Writing {
    Flushing,
    /// The peer has the last word.
    Flushed,
    Ended,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    Discarding { left: usize },
    Ended,
}

/// Reads once and disregards it. `None` is the peer's end.
fn poll_discard(
    connection: &Connection,
    receiver: &mut wire::Receiver,
    cx: &mut Context<'_>,
) -> Poll<Option<usize>> {
    loop {
        if ready!(connection.transport.poll_read_ready(cx)).is_err() {
            return Poll::Ready(None);
        }
        let mut buffer = ReadBuffer::take();
        match connection.transport.try_read(&mut buffer) {
            Ok(0) => return Poll::Ready(None),
            Ok(bytes) => {
                disregard(receiver, &mut buffer[..bytes]);
                return Poll::Ready(Some(bytes));
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return Poll::Ready(None),
        }
    }
}
