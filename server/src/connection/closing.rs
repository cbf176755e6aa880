//! The end of a connection: what is queued leaves, the close frame last; the peer answers it; then TCP ends without a
//! reset, on our side first.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep};
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

/// Where the answer cannot be told from other bytes, a peer that says nothing for this share of the close deadline has given
/// it: 200 ms by default.
const QUIET_SHARE: u32 = 25;

/// A peer that says nothing for this long has nothing under way that could make the end of TCP a reset. Many a client
/// keeps its socket until somebody collects the garbage.
const SILENCE: Duration = Duration::from_secs(1);

/// How the peer's close frame is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// It is seen when it comes. Where the receiver has ended, by one that has come or by a violation, none is waited for.
    Seen,
    /// A message was refused on its header, so where the next frame begins is not known. Everything else about the peer is
    /// in order, and it will answer.
    Unseen,
}

/// Sees the connection off: writes what is queued, waits for the peer's close frame, ends our side of TCP, and reads until
/// the peer ends its own or falls silent. All of it within the close deadline: a peer that does not take our close frame by
/// then is just dropped (common/2c).
pub(super) async fn finish(connection: &Connection, receiver: &mut wire::Receiver, answer: Answer) {
    let mut writing = Writing::Flushing;
    let mut reading = Reading::Discarding {
        left: DISCARDED_BYTES_MAX,
    };
    let close_deadline = connection.terms.close_deadline;
    let mut answered_by = Instant::now();
    let mut heard_last = Instant::now();
    let mut timer = pin!(tokio::time::sleep(close_deadline));
    let farewell = poll_fn(|cx| {
        if writing == Writing::Flushing && connection.poll_flush(cx).is_ready() {
            heard_last = Instant::now();
            answered_by = heard_last + close_deadline / ANSWER_SHARE;
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
        }
        if writing == Writing::Flushed {
            let given_up_at = match answer {
                Answer::Seen if receiver.has_ended() => None,
                Answer::Seen => Some(answered_by),
                Answer::Unseen => Some(answered_by.min(heard_last + close_deadline / QUIET_SHARE)),
            };
            if let (Some(instant), Reading::Discarding { .. }) = (given_up_at, reading) {
                ready!(poll_until(timer.as_mut(), instant, cx));
            }
            ready!(connection.transport.poll_end_writing(cx));
            writing = Writing::Ended;
        }
        match (writing, reading) {
            (Writing::Flushing | Writing::Flushed, _) => Poll::Pending,
            (Writing::Ended, Reading::Ended) => Poll::Ready(()),
            // Who was silent while we waited does not keep us waiting once more.
            (Writing::Ended, Reading::Discarding { .. }) => {
                poll_until(timer.as_mut(), heard_last + SILENCE, cx)
            }
        }
    });
    // Late or done, the socket is dropped now.
    let _ = tokio::time::timeout(close_deadline, farewell).await;
}

fn poll_until(mut timer: Pin<&mut Sleep>, instant: Instant, cx: &mut Context<'_>) -> Poll<()> {
    if timer.deadline() != instant {
        timer.as_mut().reset(instant);
    }
    timer.poll(cx)
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
