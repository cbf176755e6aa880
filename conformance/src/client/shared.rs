//! A stream with several owners: who writes to it, who reads until it ends and then says goodbye, and who answers meanwhile.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// An answer that waits behind as much as this is left out: the peer takes nothing.
const OWED_BYTES_MAX: usize = 4_096;

/// The stream. All owners may use it at any time; it is held for one look at the socket, never for a wait.
#[derive(Debug)]
pub(super) struct Shared<S>(Arc<Mutex<Held<S>>>);

#[derive(Debug)]
struct Held<S> {
    stream: S,
    /// Whole frames that go before whatever is written next.
    owed: Vec<u8>,
    /// Who waits for the socket to take more. It knows of one waker only: whoever replaces it wakes this one.
    writing: Option<Waker>,
}

impl<S> Shared<S> {
    pub(super) fn new(stream: S) -> Self {
        Self(Arc::new(Mutex::new(Held {
            stream,
            owed: Vec::new(),
            writing: None,
        })))
    }

    fn lock(&self) -> MutexGuard<'_, Held<S>> {
        self.0.lock().expect("no code panics while it holds the stream")
    }

    /// Puts bytes in line if it is their turn, at which nobody else can write anything.
    pub(super) fn owe(&self, bytes: &[u8], is_their_turn: impl FnOnce() -> bool) -> bool {
        let mut held = self.lock();
        let fits = held.owed.len() + bytes.len() <= OWED_BYTES_MAX;
        // What is owed already is whole frames, so what comes after it stands between frames too.
        let there = fits && (!held.owed.is_empty() || is_their_turn());
        if there {
            held.owed.extend(bytes);
        }
        there
    }
}

impl<S: AsyncWrite + Unpin> Shared<S> {
    /// Until what is owed is written, or cannot be any more.
    pub(super) async fn settle(&self) {
        poll_fn(|context| {
            let mut held = self.lock();
            let settled = held.poll_settle(context);
            if let Some(writing) = held.writing.take() {
                writing.wake();
            }
            settled.map(drop)
        })
        .await;
    }
}

impl<S: AsyncWrite + Unpin> Held<S> {
    fn poll_settle(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.owed.is_empty() {
            match Pin::new(&mut self.stream).poll_write(context, &self.owed) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(written)) => drop(self.owed.drain(..written)),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_after_owed(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if !self.owed.is_empty()
            && let settled @ (Poll::Pending | Poll::Ready(Err(_))) = self.poll_settle(context)
        {
            return settled.map_ok(|()| 0);
        }
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }
}

impl<S> Clone for Shared<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Shared<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.lock().stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Shared<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut held = self.lock();
        let written = held.poll_after_owed(context, bytes);
        held.writing = written.is_pending().then(|| context.waker().clone());
        written
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.lock().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.lock().stream).poll_shutdown(context)
    }
}
