//! HTTP requests to a server under test: one connection each, with a deadline and a bound on the answer.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::shown::shown;
use crate::transport::{TlsError, Transport};

/// How long a request may take, from connecting to the last byte of the answer.
pub const REQUEST_DEADLINE: Duration = Duration::from_secs(10);

/// A larger answer is an error: no endpoint of a dialect has a reason for one.
const BODY_BYTES_MAX: usize = 16 << 20;

/// A request.
#[derive(Debug, Clone)]
pub struct HttpRequest {
    /// `GET`, `POST` …
    pub method: Method,
    /// Path and query, from the root.
    pub path: String,
    /// Extra headers.
    pub headers: HeaderMap,
    /// The body; JSON bodies bring their own `Content-Type`.
    pub body: Bytes,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct HttpResponse {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its whole body.
    pub body: Bytes,
}

/// Why there was no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Nobody listens, or the connection broke.
    #[error("{address} could not be reached: {reason}")]
    Unreachable {
        /// Host and port.
        address: String,
        /// What the system says.
        reason: String,
    },
    /// It answers, but not in TLS that we believe.
    #[error("no TLS with {address}: {source}")]
    NoTls {
        /// Host and port.
        address: String,
        /// What is wrong, and what to change.
        source: TlsError,
    },
    /// No whole answer in time.
    #[error("no answer to {method} {path} within {}", shown(REQUEST_DEADLINE))]
    Timeout {
        /// The request's method.
        method: Method,
        /// The request's path.
        path: String,
    },
    /// The answer was not HTTP, or too large.
    #[error("the answer to {method} {path} could not be read: {reason}")]
    Unreadable {
        /// The request's method.
        method: Method,
        /// The request's path.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// It was answered, but not with success.
    #[error("{what} was answered {status}: {body}")]
    Refused {
        /// What was asked.
        what: String,
        /// The answer's status.
        status: StatusCode,
        /// The beginning of its body.
        body: String,
    },
    /// A command of the target file failed.
    #[error("the command `{program}` failed: {reason}")]
    Command {
        /// Its first word.
        program: String,
        /// How.
        reason: String,
    },
    /// The target file does not say how, or says it wrongly.
    #[error("{0}")]
    Target(String),
}

impl HttpRequest {
    /// A request without a body.
    #[must_use]
    pub fn new(method: Method, path: impl Into<String>) -> Self {
        Self {
            method,
            path: path.into(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
        }
    }

    /// With this JSON as its body.
    #[must_use]
    pub fn json(mut self, value: &serde_json::Value) -> Self {
        self.body = value.to_string().into();
        self.headers.insert(
            http::header::CONTENT_TYPE,
            http::HeaderValue::from_static("application/json"),
        );
        self
    }
}

/// Sends `request` to `address` and reads the whole answer, within [`REQUEST_DEADLINE`].
///
/// # Errors
/// There was no whole answer. A status of any kind is an answer.
pub async fn send(
    transport: &Transport,
    address: &str,
    request: HttpRequest,
) -> Result<HttpResponse, CallError> {
    let (method, path) = (request.method.clone(), request.path.clone());
    timeout(REQUEST_DEADLINE, exchange(transport, address, request))
        .await
        .unwrap_or(Err(CallError::Timeout { method, path }))
}

async fn exchange(
    transport: &Transport,
    address: &str,
    request: HttpRequest,
) -> Result<HttpResponse, CallError> {
    let unreachable = |reason: String| CallError::Unreachable {
        address: address.to_owned(),
        reason,
    };
    let (method, path) = (request.method.clone(), request.path.clone());
    let unreadable = |reason: String| CallError::Unreadable {
        method: method.clone(),
        path: path.clone(),
        reason,
    };

    let socket = TcpStream::connect(address)
        .await
        .map_err(|error| unreachable(error.to_string()))?;
    let stream = transport
        .open(socket, address)
        .await
        .map_err(|source| match source {
            TlsError::Io(error) => unreachable(error.to_string()),
            source => CallError::NoTls {
                address: address.to_owned(),
                source,
            },
        })?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| unreachable(error.to_string()))?;
    let mut builder = Request::builder()
        .method(request.method)
        .uri(&request.path)
        .header(http::header::HOST, address)
        .header(http::header::CONNECTION, "close");
    for (name, value) in &request.headers {
        builder = builder.header(name, value);
    }
    let outgoing = builder
        .body(Full::new(request.body))
        .map_err(|error| unreadable(error.to_string()))?;

    let answer = async {
        let response = sender
            .send_request(outgoing)
            .await
            .map_err(|error| unreachable(error.to_string()))?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, BODY_BYTES_MAX)
            .collect()
            .await
            .map_err(|error| unreadable(error.to_string()))?;
        Ok(HttpResponse {
            status: head.status,
            headers: head.headers,
            body: body.to_bytes(),
        })
    };
    let mut answer = std::pin::pin!(answer);
    tokio::select! {
        answered = &mut answer => answered,
        // The connection's own future ends when the server closes; what it read by then is the answer's to give.
        _ = connection => answer.await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    async fn answered_with(response: &'static [u8]) -> Result<HttpResponse, CallError> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let read = stream.read(&mut request).await.unwrap();
            assert!(request[..read].starts_with(b"POST /x HTTP/1.1\r\n"));
            stream.write_all(response).await.unwrap();
        };
        let request = HttpRequest::new(Method::POST, "/x").json(&serde_json::json!({"a": 1}));
        tokio::join!(send(&Transport::Plain, &address, request), serve).0
    }

    #[tokio::test]
    async fn any_status_is_an_answer() {
        let response = answered_with(b"HTTP/1.1 418 I'm a teapot\r\nContent-Length: 2\r\n\r\nhi")
            .await
            .unwrap();
        assert_eq!(
            (response.status.as_u16(), response.body.as_ref()),
            (418, b"hi".as_ref())
        );
    }

    #[tokio::test]
    async fn a_body_that_ends_with_the_connection_is_whole() {
        let response = answered_with(b"HTTP/1.1 200 OK\r\n\r\nto the end").await.unwrap();
        assert_eq!(response.body.as_ref(), b"to the end");
    }

    #[tokio::test]
    async fn a_server_that_hangs_up_is_unreachable() {
        assert!(matches!(
            answered_with(b"").await,
            Err(CallError::Unreachable { .. })
        ));
    }
}
