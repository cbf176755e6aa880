//! The body of a request, which has to arrive in time. How long its answer takes is not its sender's fault.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use thiserror::Error;
use tokio::time::Sleep;

/// Why a body was not read to its end.
#[derive(Debug, Error)]
enum Unread {
    /// It has not come in time.
    #[error("the body has not come within {0:?}")]
    Late(Duration),
    /// Its connection has failed, or it is no body.
    #[error(transparent)]
    Broken(#[from] axum::Error),
}

/// Whether a body was too late for whoever read it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lateness(Arc<AtomicBool>);

impl Lateness {
    /// Whether it was.
    pub(crate) fn is_late(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The same body, which fails when somebody waits for it later than `deadline` from now.
pub(crate) fn within(body: Body, deadline: Duration) -> (Body, Lateness) {
    let lateness = Lateness::default();
    let arriving = Arriving {
        body,
        deadline,
        over: Box::pin(tokio::time::sleep(deadline)),
        lateness: lateness.clone(),
    };
    (Body::new(arriving), lateness)
}

struct Arriving {
    body: Body,
    deadline: Duration,
    over: Pin<Box<Sleep>>,
    lateness: Lateness,
}

impl HttpBody for Arriving {
    type Data = Bytes;
    type Error = Unread;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Unread>>> {
        // What is there already is not late, however busy we were.
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            return Poll::Ready(frame.map(|frame| Ok(frame?)));
        }
        if self.over.as_mut().poll(context).is_pending() {
            return Poll::Pending;
        }
        self.lateness.0.store(true, Ordering::Relaxed);
        Poll::Ready(Some(Err(Unread::Late(self.deadline))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http_body_util::BodyExt;

    use super::*;

    /// A body that never comes to its end.
    struct Endless;

    impl HttpBody for Endless {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            self: Pin<&mut Self>,
            _context: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Pending
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_come_fails_at_its_deadline() {
        let (body, lateness) = within(Body::new(Endless), Duration::from_secs(2));
        let began = tokio::time::Instant::now();
        let error = body.collect().await.unwrap_err();
        assert!(error.to_string().contains("within 2s"), "{error}");
        assert_eq!(began.elapsed(), Duration::from_secs(2));
        assert!(lateness.is_late());
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_is_there_is_never_late() {
        let (body, lateness) = within(Body::from("all of it"), Duration::from_secs(2));
        // Whoever reads it comes late.
        tokio::time::advance(Duration::from_secs(60)).await;
        let read = body.collect().await.unwrap().to_bytes();
        assert_eq!(&read[..], b"all of it");
        assert!(!lateness.is_late());
    }
}
