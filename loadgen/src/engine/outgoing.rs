//! What a session says, as far as its socket takes it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::io::AsyncWrite;
use touchstone_protocol::close::{CloseCode, retry_after_seconds};
use touchstone_wire::deflate::{Deflater, Half, Level, Takeover, WindowBits, deflate_shared};
use touchstone_wire::{Close, OpCode, encode_deflated, encode_masked, encode_masked_close};

use super::session::{End, Scratch};
use crate::record::Traffic;

/// What may wait for a socket that takes nothing. More is not sent, and counted: a user's client would not queue either.
const UNSENT_BYTES_MAX: usize = 64 << 10;

/// The stream, and what it has not taken yet.
pub(super) struct Outgoing<S> {
    pub(super) stream: S,
    unsent: Vec<u8>,
    deflating: Deflating,
}

/// How this side's messages are compressed.
enum Deflating {
    Not,
    /// Each by itself, by a deflater of the thread.
    PerMessage(WindowBits),
    /// On what was said before.
    Lasting(Box<Deflater>),
}

impl Deflating {
    fn of(client: Half) -> Self {
        match client.takeover {
            Takeover::Dropped => Self::PerMessage(client.window),
            Takeover::Kept => Self::Lasting(Box::new(Deflater::new(client, Level::FASTEST))),
        }
    }
}

/// What frames are made with, shared by all sessions of a loop; and what they were made of.
#[derive(Default)]
pub(super) struct Pen {
    frame: Vec<u8>,
    deflated: Vec<u8>,
    pub(super) traffic: Traffic,
}

impl Pen {
    /// Makes a frame of it. Only messages are compressed (RFC 7692 6.1).
    fn write(&mut self, opcode: OpCode, payload: &[u8], key: [u8; 4], deflating: &mut Deflating) {
        self.frame.clear();
        self.deflated.clear();
        let is_message = matches!(opcode, OpCode::Text | OpCode::Binary);
        match deflating {
            Deflating::PerMessage(window) if is_message => {
                deflate_shared(*window, Level::FASTEST, payload, &mut self.deflated);
                encode_deflated(&mut self.frame, opcode, &self.deflated, Some(key));
            }
            Deflating::Lasting(deflater) if is_message => {
                deflater.deflate(payload, &mut self.deflated);
                encode_deflated(&mut self.frame, opcode, &self.deflated, Some(key));
            }
            Deflating::Not | Deflating::PerMessage(_) | Deflating::Lasting(_) => {
                encode_masked(&mut self.frame, opcode, payload, key);
            }
        }
        if is_message {
            self.traffic.sent.payload += payload.len() as u64;
        }
        self.traffic.sent.wire += self.frame.len() as u64;
    }
}

impl<S: AsyncWrite + Unpin> Outgoing<S> {
    /// `agreed` is how this side's messages are compressed, if they are.
    pub(super) fn new(stream: S, agreed: Option<Half>) -> Self {
        Self {
            stream,
            unsent: Vec::new(),
            deflating: agreed.map_or(Deflating::Not, Deflating::of),
        }
    }

    /// Whether so much waits already that nothing more is to be said.
    pub(super) fn is_full(&self) -> bool {
        self.unsent.len() > UNSENT_BYTES_MAX
    }

    /// Hands a frame to the socket, or keeps what it does not take. That the connection is broken is found by reading.
    pub(super) fn frame(
        &mut self,
        pen: &mut Pen,
        chance: &mut fastrand::Rng,
        opcode: OpCode,
        payload: &[u8],
        waker: &Waker,
    ) {
        pen.write(opcode, payload, chance.u32(..).to_ne_bytes(), &mut self.deflating);
        self.write(&pen.frame, waker);
    }

    /// As [`frame`](Self::frame), but given up while the socket takes nothing: the server's own doing.
    pub(super) fn reply(&mut self, scratch: &mut Scratch, opcode: OpCode, payload: &[u8], waker: &Waker) {
        if !self.is_full() {
            self.frame(&mut scratch.pen, &mut scratch.chance, opcode, payload, waker);
        }
    }

    pub(super) fn close(&mut self, scratch: &mut Scratch, code: u16, reason: &str, waker: &Waker) {
        let Scratch { pen, chance, .. } = scratch;
        pen.frame.clear();
        encode_masked_close(&mut pen.frame, code, reason, chance.u32(..).to_ne_bytes());
        pen.traffic.sent.wire += pen.frame.len() as u64;
        self.write(&pen.frame, waker);
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
