//! What a session says, as far as its socket takes it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::io::AsyncWrite;
use touchstone_protocol::close::{CloseCode, retry_after_seconds};
use touchstone_wire::{Close, OpCode, encode_masked, encode_masked_close};

use super::session::{End, Scratch};

/// What may wait for a socket that takes nothing. More is not sent, and counted: a user's client would not queue either.
const UNSENT_BYTES_MAX: usize = 64 << 10;

/// The stream, and what it has not taken yet.
pub(super) struct Outgoing<S> {
    pub(super) stream: S,
    unsent: Vec<u8>,
}

impl<S: AsyncWrite + Unpin> Outgoing<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream,
            unsent: Vec::new(),
        }
    }

    /// Whether so much waits already that nothing more is to be said.
    pub(super) fn is_full(&self) -> bool {
        self.unsent.len() > UNSENT_BYTES_MAX
    }

    /// Hands a frame to the socket, or keeps what it does not take. That the connection is broken is found by reading.
    pub(super) fn frame(
        &mut self,
        frame: &mut Vec<u8>,
        chance: &mut fastrand::Rng,
        opcode: OpCode,
        payload: &[u8],
        waker: &Waker,
    ) {
        frame.clear();
        encode_masked(frame, opcode, payload, chance.u32(..).to_ne_bytes());
        self.write(frame, waker);
    }

    /// As [`frame`](Self::frame), but given up while the socket takes nothing: the server's own doing.
    pub(super) fn reply(&mut self, scratch: &mut Scratch, opcode: OpCode, payload: &[u8], waker: &Waker) {
        if !self.is_full() {
            self.frame(&mut scratch.frame, &mut scratch.chance, opcode, payload, waker);
        }
    }

    pub(super) fn close(&mut self, scratch: &mut Scratch, code: u16, reason: &str, waker: &Waker) {
        scratch.frame.clear();
        encode_masked_close(
            &mut scratch.frame,
            code,
            reason,
            scratch.chance.u32(..).to_ne_bytes(),
        );
        self.write(&scratch.frame, waker);
    }

    /// The server closes: it is answered, and may have said when to come back.
    pub(super) fn closed(&mut self, close: Option<Close<'_>>, scratch: &mut Scratch, waker: &Waker) -> End {
        self.close(
            scratch,
            close.map_or(CloseCode::NORMAL.0, |close| close.code),
            "",
            waker,
        );
        End::Closed {
            code: close.map(|close| close.code),
            advice: close
                .and_then(|close| retry_after_seconds(close.reason))
                .map(|seconds| Duration::from_secs(u64::from(seconds))),
        }
    }

    fn write(&mut self, bytes: &[u8], waker: &Waker) {
        let taken = if self.unsent.is_empty() {
            self.poll_write(&mut Context::from_waker(waker), bytes)
                .unwrap_or(bytes.len())
        } else {
            0
        };
        self.unsent.extend_from_slice(&bytes[taken..]);
    }

    /// Writes what waits, here and inside TLS, as far as the socket takes it.
    pub(super) fn flush(&mut self, cx: &mut Context<'_>) {
        // Whether it is done is of no interest, and that the connection is broken is found by reading.
        let _ = Pin::new(&mut self.stream).poll_flush(cx);
        if self.unsent.is_empty() {
            return;
        }
        let unsent = std::mem::take(&mut self.unsent);
        let taken = self.poll_write(cx, &unsent).unwrap_or(unsent.len());
        if taken < unsent.len() {
            self.unsent = unsent;
            self.unsent.drain(..taken);
        }
    }

    /// Writes until the socket takes no more.
    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> io::Result<usize> {
        let mut taken = 0;
        while taken < bytes.len() {
            match Pin::new(&mut self.stream).poll_write(cx, &bytes[taken..]) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(written) => taken += written?,
                Poll::Pending => break,
            }
        }
        Ok(taken)
    }
}
