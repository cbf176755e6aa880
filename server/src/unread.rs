//! Answers that nobody reads: what waits for all clients together has a limit, as what waits for WebSockets has (`budget`).

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hyper::body::{Body as HttpBody, Frame, SizeHint};

use crate::budget::Budget;

/// Advice to who is refused: by then somebody has read his answer, or is cut off.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("5");

/// Counts an answer until its last byte has left, or refuses it if too much waits already.
pub(crate) async fn count(State(budget): State<Arc<Budget>>, request: Request, next: Next) -> Response {
    let answer = next.run(request).await;
    let bytes = answer.body().size_hint().lower() as usize;
    if bytes > budget.free() {
        let advice = [(header::RETRY_AFTER, RETRY_AFTER)];
        let why = "too many answers wait to be read\n";
        return (StatusCode::SERVICE_UNAVAILABLE, advice, why).into_response();
    }
    answer.map(|body| Body::new(Counted { body, budget }))
}

/// A body whose bytes count.
struct Counted {
    body: Body,
    budget: Arc<Budget>,
}

/// Bytes that count for as long as somebody holds them: the connection, until they are written.
struct Held {
    bytes: Bytes,
    budget: Arc<Budget>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.budget.changed(self.bytes.len(), 0);
    }
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        polled.map_ok(|frame| {
            frame.map_data(|bytes| {
                self.budget.changed(0, bytes.len());
                let budget = Arc::clone(&self.budget);
                Bytes::from_owner(Held { bytes, budget })
            })
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
