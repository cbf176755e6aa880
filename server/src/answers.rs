//! Requests to the dialects' endpoints, and those by which an administrator tells users something, once begun, are done to their end, also when whoever asked has hung up: what is
//! stored is told, and nothing is left half done.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

/// Has the request answered by a task of its own, which `answers` owns. A request whose body is still on its way when nobody
/// waits any more has begun nothing, and would hold its connection for ever: it ends with who asked.
pub(crate) async fn to_the_end(State(answers): State<TaskTracker>, request: Request, next: Next) -> Response {
    let (mut answer, answered) = oneshot::channel();
    let (request, arrived) = watch(request);
    answers.spawn(async move {
        let mut answering = pin!(next.run(request));
        tokio::select! {
            biased;
            response = &mut answering => {
                // An error means that nobody waits for the answer any more.
                let _ = answer.send(response);
            }
            () = answer.closed() => {
                if arrived.load(Ordering::Acquire) {
                    answering.await;
                }
            }
        }
    });
    // An error means that the handler panicked.
    answered
        .await
        .unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

/// The request, and whether all of its body has come.
fn watch(request: Request) -> (Request, Arc<AtomicBool>) {
    let (head, body) = request.into_parts();
    let arrived = Arc::new(AtomicBool::new(body.is_end_stream()));
    let watched = Watched {
        body,
        arrived: Arc::clone(&arrived),
    };
    (Request::from_parts(head, Body::new(watched)), arrived)
}

/// A body that tells when its end has come.
struct Watched {
    body: Body,
    arrived: Arc<AtomicBool>,
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if matches!(polled, Poll::Ready(None)) || self.body.is_end_stream() {
            self.arrived.store(true, Ordering::Release);
        }
        polled
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
    use std::future::Future;
    use std::task::Waker;

    use axum::Router;
    use axum::middleware;
    use axum::routing::get;
    use hyper::service::Service;
    use hyper_util::service::TowerToHyperService;
    use tokio::sync::Semaphore;

    use super::*;

    async fn panic() {
        panic!("on purpose");
    }

    #[tokio::test]
    async fn who_hangs_up_does_not_end_what_he_asked_for() {
        let answers = TaskTracker::new();
        let (allowed, done) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let (wait, tell) = (Arc::clone(&allowed), Arc::clone(&done));
        let handler = async move || {
            wait.acquire().await.expect("it is never closed").forget();
            tell.add_permits(1);
        };
        let router: Router = Router::new()
            .route("/", get(handler))
            .route("/panic", get(panic))
            .layer(middleware::from_fn_with_state(answers.clone(), to_the_end));
        let service = TowerToHyperService::new(router);
        let ask = |path: &str| {
            let request = Request::builder().uri(path).body(Body::empty());
            service.call(request.expect("it is well-formed"))
        };
        {
            let mut asked = pin!(ask("/"));
            let polled = asked.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            assert!(matches!(polled, Poll::Pending));
        }
        allowed.add_permits(1);
        let _ = done.acquire().await.expect("it is never closed");
        let panicked = ask("/panic").await.expect("a router never fails");
        assert_eq!(panicked.status(), StatusCode::INTERNAL_SERVER_ERROR);
        answers.close();
        answers.wait().await;
    }
}
