//! Requests to the dialects' endpoints, once begun, are done to their end, also when whoever asked has hung up: what is
//! stored is told, and nothing is left half done.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

/// Has the request answered by a task of its own, which `answers` owns.
pub(crate) async fn to_the_end(State(answers): State<TaskTracker>, request: Request, next: Next) -> Response {
    let (answer, answered) = oneshot::channel();
    answers.spawn(async move {
        // An error means that nobody waits for the answer any more.
        let _ = answer.send(next.run(request).await);
    });
    // An error means that the handler panicked.
    answered
        .await
        .unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::sync::Arc;
    use std::task::{Context, Poll, Waker};

    use axum::Router;
    use axum::body::Body;
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
