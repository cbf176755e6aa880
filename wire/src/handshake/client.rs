//! The client's side: the request, and the checks on its answer (RFC 6455 4.1).

use super::{Key, list_elements, list_has_token, offered_subprotocols};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};

/// The most bytes of a response's head; what most servers allow of a request's.
pub const HEAD_BYTES_MAX: usize = 16 * 1024;

/// The most header lines of a response.
const HEADER_LINES_MAX: usize = 100;

/// A request to open a WebSocket. Borrows, so that thousands of connections share what is the same for all.
#[derive(Debug, Clone, Copy)]
pub struct ClientRequest<'a> {
    /// `host` or `host:port`, for the `Host` header.
    pub host: &'a str,
    /// The path, with the query if there is one: `/ws/chat/?token=x`.
    pub path: &'a str,
    /// Sent beside the handshake's own: `Origin`, `Authorization`, and what is offered in
    /// `Sec-WebSocket-Protocol` and `Sec-WebSocket-Extensions`.
    pub headers: &'a HeaderMap,
    /// A new one for every connection.
    pub key: Key,
}

/// A request that cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The path would break the request line.
    #[error("the path {0:?} must begin with / and have neither blanks nor control characters")]
    Path(String),
    /// The host would break its header.
    #[error("the host {0:?} must not be empty and must not have blanks or control characters")]
    Host(String),
}

impl ClientRequest<'_> {
    /// The bytes to be sent.
    ///
    /// # Errors
    /// If host or path would make something else of the request.
    pub fn encode(&self) -> Result<Vec<u8>, RequestError> {
        if !self.path.starts_with('/') || !is_printable(self.path) {
            return Err(RequestError::Path(self.path.to_owned()));
        }
        if self.host.is_empty() || !is_printable(self.host) {
            return Err(RequestError::Host(self.host.to_owned()));
        }
        let mut request = Vec::with_capacity(256 + self.path.len());
        for part in ["GET ", self.path, " HTTP/1.1\r\nHost: ", self.host] {
            request.extend_from_slice(part.as_bytes());
        }
        request.extend_from_slice(
            b"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ",
        );
        request.extend_from_slice(self.key.header_value().as_bytes());
        request.extend_from_slice(b"\r\n");
        for (name, value) in self.headers {
            request.extend_from_slice(name.as_str().as_bytes());
            request.extend_from_slice(b": ");
            request.extend_from_slice(value.as_bytes());
            request.extend_from_slice(b"\r\n");
        }
        request.extend_from_slice(b"\r\n");
        Ok(request)
    }
}

fn is_printable(text: &str) -> bool {
    text.bytes().all(|byte| byte > b' ' && byte != 0x7F)
}

/// An answer in HTTP, and where its head ends in what was received.
#[derive(Debug)]
pub enum Answer {
    /// The connection is a WebSocket from `head_bytes` on.
    Switched {
        /// Status and headers.
        response: Response<()>,
        /// Bytes of the head; frames may follow it at once.
        head_bytes: usize,
    },
    /// The server answered, but not with 101.
    Refused {
        /// Status and headers.
        response: Response<()>,
        /// Bytes of the head; a body may follow it.
        head_bytes: usize,
    },
}

/// How a server begins that speaks TLS and was asked without (RFC 8446 5.1: the type of an alert, and the version that all
/// records have).
const TLS_ALERT: [u8; 2] = [0x15, 0x03];

/// An answer that is not one to this request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResponseError {
    /// Something else than an HTTP response came.
    #[error("the answer is not HTTP: {0}")]
    NotHttp(String),
    /// An alert of TLS came.
    #[error("the server answers in TLS: write wss:// for ws://")]
    Tls,
    /// The head of the response has no end within the limit.
    #[error("the head of the response is over {HEAD_BYTES_MAX} bytes")]
    LongHead,
    /// 101 without `Upgrade: websocket`.
    #[error("the response's Upgrade header does not name websocket")]
    NoUpgrade,
    /// 101 without `Connection: upgrade`.
    #[error("the response's Connection header does not name upgrade")]
    NoConnection,
    /// 101 with another `Sec-WebSocket-Accept` than the key asks for, or with none.
    #[error("the response's Sec-WebSocket-Accept is {received:?}, not {expected:?}")]
    WrongAccept {
        /// What the key asks for.
        expected: String,
        /// What came; empty if nothing did.
        received: String,
    },
    /// 101 with an extension that was not offered.
    #[error("the response agrees to the extension {0:?}, which was not offered")]
    UnaskedExtension(String),
    /// 101 with a subprotocol that was not offered, or with more than one.
    #[error("the response agrees to the subprotocol {0:?}, which was not offered")]
    UnaskedSubprotocol(String),
}

/// Checks what has been received so far as the answer to `request`; `None` while its head is incomplete.
///
/// # Errors
/// If no complete head can make it an answer to this request.
pub fn check_response(received: &[u8], request: &ClientRequest<'_>) -> Result<Option<Answer>, ResponseError> {
    if received.starts_with(&TLS_ALERT) {
        return Err(ResponseError::Tls);
    }
    let Some((response, head_bytes)) = parse_head(received)? else {
        return if received.len() > HEAD_BYTES_MAX {
            Err(ResponseError::LongHead)
        } else {
            Ok(None)
        };
    };
    if head_bytes > HEAD_BYTES_MAX {
        return Err(ResponseError::LongHead);
    }
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Ok(Some(Answer::Refused { response, head_bytes }));
    }
    check_switch(response.headers(), request)?;
    Ok(Some(Answer::Switched { response, head_bytes }))
}

fn parse_head(received: &[u8]) -> Result<Option<(Response<()>, usize)>, ResponseError> {
    let not_http = |what: &dyn std::fmt::Display| ResponseError::NotHttp(what.to_string());
    let mut lines = [httparse::EMPTY_HEADER; HEADER_LINES_MAX];
    let mut head = httparse::Response::new(&mut lines);
    let head_bytes = match head.parse(received).map_err(|error| not_http(&error))? {
        httparse::Status::Complete(head_bytes) => head_bytes,
        httparse::Status::Partial => return Ok(None),
    };
    let mut response = Response::new(());
    let status = head.code.unwrap_or_default();
    *response.status_mut() = StatusCode::from_u16(status).map_err(|error| not_http(&error))?;
    for line in head.headers.iter() {
        let name = HeaderName::from_bytes(line.name.as_bytes()).map_err(|error| not_http(&error))?;
        let value = HeaderValue::from_bytes(line.value).map_err(|error| not_http(&error))?;
        response.headers_mut().append(name, value);
    }
    Ok(Some((response, head_bytes)))
}

/// What a 101 must say, and what it must not.
fn check_switch(answered: &HeaderMap, request: &ClientRequest<'_>) -> Result<(), ResponseError> {
    if !list_has_token(answered, header::UPGRADE, "websocket") {
        return Err(ResponseError::NoUpgrade);
    }
    if !list_has_token(answered, header::CONNECTION, "upgrade") {
        return Err(ResponseError::NoConnection);
    }
    let expected = request.key.accept();
    let received = answered
        .get(header::SEC_WEBSOCKET_ACCEPT)
        .map_or(&b""[..], HeaderValue::as_bytes);
    if received.trim_ascii() != expected.as_bytes() {
        let received = String::from_utf8_lossy(received).into_owned();
        return Err(ResponseError::WrongAccept { expected, received });
    }
    let offered = |extension: &str| {
        list_elements(request.headers, header::SEC_WEBSOCKET_EXTENSIONS)
            .any(|offer| extension_name(offer).eq_ignore_ascii_case(extension_name(extension)))
    };
    if let Some(unasked) =
        list_elements(answered, header::SEC_WEBSOCKET_EXTENSIONS).find(|agreed| !offered(agreed))
    {
        return Err(ResponseError::UnaskedExtension(unasked.to_owned()));
    }
    let mut agreed = offered_subprotocols(answered);
    if let Some(first) = agreed.next() {
        let unasked = !offered_subprotocols(request.headers).any(|offer| offer == first);
        if let Some(unasked) = if unasked { Some(first) } else { agreed.next() } {
            return Err(ResponseError::UnaskedSubprotocol(unasked.to_owned()));
        }
    }
    Ok(())
}

/// An extension without its parameters.
fn extension_name(extension: &str) -> &str {
    extension.split(';').next().unwrap_or_default().trim()
}
