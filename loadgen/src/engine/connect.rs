//! From an instant at which a session is to connect, to a WebSocket that stands or a reason why not.

use std::borrow::Cow;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use touchstone_protocol::client::Address;
use touchstone_report::number;
use touchstone_sut::transport::{TlsError, Transport};
use touchstone_wire::client::{self, ConnectError};
use touchstone_wire::deflate::{Agreement, ClientWindow, Offer, Takeover};
use touchstone_wire::handshake::{ClientRequest, Key};

use super::socket::{Pipe, Socket};
use crate::record::ErrorKind;
use crate::sources::Turns;
use crate::workload::Compression;

/// Where streams come from. The engine is generic over it, so that it runs on virtual time against a scripted server.
pub(crate) trait Connector: 'static {
    /// What bytes travel over.
    type Stream: Pipe;

    /// Opens a stream to node number `node`.
    fn open(&self, node: usize) -> impl Future<Output = io::Result<Self::Stream>>;
}

/// TCP to the nodes of a target, without Nagle's delay, and TLS on it where the target wants that.
#[derive(Debug, Clone)]
pub(crate) struct Sockets {
    pub(crate) transport: Transport,
    /// Where each is, the `HOST:PORT` that its certificate is held to, and where connections to it come from.
    pub(crate) nodes: Vec<(SocketAddr, String, Turns)>,
}

impl Connector for Sockets {
    type Stream = Socket;

    async fn open(&self, node: usize) -> io::Result<Socket> {
        let (address, authority, turns) = &self.nodes[node];
        let socket = turns.connect(*address).await?;
        socket.set_nodelay(true)?;
        let opened = self.transport.open(socket, authority).await;
        opened.map(Socket::Waking).map_err(|error| match error {
            TlsError::Io(error) => error,
            other => io::Error::other(other),
        })
    }
}

/// A node as the handshake names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    /// For the `Host` header.
    pub(crate) host: String,
    /// Without query; segments in braces are each session's own.
    pub(crate) path: String,
    /// Beside the handshake's own.
    pub(crate) headers: HeaderMap,
    /// What is offered of compression.
    pub(crate) offer: Option<Offer>,
}

impl Node {
    /// Where a session with this address goes.
    pub(crate) fn path_of(&self, address: &Address) -> String {
        let mut path = String::with_capacity(self.path.len() + address.query.len());
        let mut values = address.segments.iter();
        let mut rest = self.path.as_str();
        while let Some((before, value)) = rest.split_once('{').zip(values.next()) {
            let (text, segment) = before;
            path.push_str(text);
            path.push_str(value);
            rest = segment.split_once('}').map_or("", |(_, after)| after);
        }
        path.push_str(rest);
        // A path that was moved may have a query already.
        match address.query.strip_prefix('?') {
            Some(own) if path.contains('?') => {
                path.push('&');
                path.push_str(own);
            }
            _ => path.push_str(&address.query),
        }
        path
    }
}

impl Node {
    /// The target's headers and these, which take the place of equal ones.
    ///
    /// # Errors
    /// The name of the one that is none: of a template nobody knows before what it makes.
    pub(super) fn headers_with(&self, own: &[(String, String)]) -> Result<Cow<'_, HeaderMap>, String> {
        if own.is_empty() {
            return Ok(Cow::Borrowed(&self.headers));
        }
        let mut headers = self.headers.clone();
        for (name, value) in own {
            let header = HeaderName::try_from(name)
                .ok()
                .zip(HeaderValue::try_from(value).ok());
            let (name, value) = header.ok_or_else(|| format!("`{name}` cannot be sent as a header"))?;
            headers.insert(name, value);
        }
        Ok(Cow::Owned(headers))
    }
}

/// A stream on which the WebSocket stands.
pub(crate) struct Connected<S> {
    pub(crate) stream: S,
    pub(crate) leftover: Bytes,
    /// What was agreed on of compression.
    pub(crate) agreement: Option<Agreement>,
}

/// Why there is none, and whether a client of the dialect would try again.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) kind: ErrorKind,
    pub(crate) again: Again,
    /// Of a refusal.
    pub(crate) status: Option<u16>,
    pub(crate) why: String,
}

/// What a client does after a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Again {
    /// It comes back, after its back-off or the server's longer advice.
    After(Option<Duration>),
    /// It does not.
    Never,
}

/// One attempt, within `deadline` altogether.
pub(crate) async fn attempt<C: Connector>(
    connector: &C,
    (node_number, node): (usize, &Node),
    address: &Address,
    key: [u8; 16],
    deadline: Duration,
) -> Result<Connected<C::Stream>, Failure> {
    let begun = tokio::time::Instant::now();
    let timeout = || Failure {
        kind: ErrorKind::ConnectTimeout,
        again: Again::After(None),
        status: None,
        why: format!("no connection within {}", number::duration(deadline)),
    };
    let stream = tokio::time::timeout(deadline, connector.open(node_number))
        .await
        .map_err(|_| timeout())?
        .map_err(|error| Failure {
            kind: ErrorKind::Connect,
            again: Again::After(None),
            status: None,
            why: error.to_string(),
        })?;
    let path = node.path_of(address);
    let mut headers = node.headers_with(&address.headers).map_err(|why| Failure {
        kind: ErrorKind::Handshake,
        again: Again::Never,
        status: None,
        why,
    })?;
    if let Some(offer) = node.offer {
        let headers = headers.to_mut();
        headers.append(header::SEC_WEBSOCKET_EXTENSIONS, offer.header_value());
    }
    let request = ClientRequest {
        host: &node.host,
        path: &path,
        headers: &headers,
        key: Key::from_bytes(key),
    };
    match client::connect(stream, &request, deadline.saturating_sub(begun.elapsed())).await {
        Ok(connected) => {
            let answered = node.offer.map(|offer| offer.check(connected.response.headers()));
            let agreement = answered.transpose().map_err(|error| Failure {
                kind: ErrorKind::Handshake,
                again: Again::Never,
                status: None,
                why: error.to_string(),
            })?;
            Ok(Connected {
                stream: connected.stream,
                leftover: connected.leftover,
                agreement: agreement.flatten(),
            })
        }
        Err(error) => Err(failure(&error).unwrap_or_else(timeout)),
    }
}

/// What a session offers that is to compress so. A server may use any window, and may limit the session's.
pub(crate) fn offer(compression: Compression) -> Option<Offer> {
    let takeover = match compression {
        Compression::None => return None,
        Compression::PerMessage => Takeover::Dropped,
        Compression::ContextTakeover => Takeover::Kept,
    };
    Some(Offer {
        server_takeover: takeover,
        client_takeover: takeover,
        server_window: None,
        client_window: ClientWindow::Limitable,
    })
}

/// `None` is a timeout, whose words belong to the whole attempt.
fn failure(error: &ConnectError) -> Option<Failure> {
    let (again, status) = match error {
        ConnectError::Timeout(_) => return None,
        ConnectError::Io(_) | ConnectError::Closed => (Again::After(None), None),
        ConnectError::Refused(refused) => {
            let again = after_refusal(refused.status, &refused.headers);
            (again, Some(refused.status.as_u16()))
        }
        ConnectError::Request(_) | ConnectError::Response(_) => (Again::Never, None),
    };
    Some(Failure {
        kind: ErrorKind::Handshake,
        again,
        status,
        why: error.to_string(),
    })
}

/// A server that is full or stopping says when to come back (common/2b); any other refusal is final.
fn after_refusal(status: StatusCode, headers: &HeaderMap) -> Again {
    if status != StatusCode::SERVICE_UNAVAILABLE && status != StatusCode::TOO_MANY_REQUESTS {
        return Again::Never;
    }
    let seconds = headers
        .get(header::RETRY_AFTER)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.trim().parse::<u32>().ok());
    Again::After(seconds.map(|seconds| Duration::from_secs(u64::from(seconds))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sessions_segments_and_query_go_where_its_target_has_them() {
        let address = |segments: &[&str], query: &str| Address {
            segments: segments.iter().map(|text| (*text).to_owned()).collect(),
            query: query.to_owned(),
            headers: Vec::new(),
        };
        let rows = [
            ("/ws", address(&[], "?token=t"), "/ws?token=t"),
            ("/ws/{room}/", address(&["7"], "?token=t"), "/ws/7/?token=t"),
            ("/{a}/x/{b}", address(&["1", "2"], ""), "/1/x/2"),
            (
                "/ws?room={room}",
                address(&["7"], "?token=t"),
                "/ws?room=7&token=t",
            ),
            ("/ws", address(&["7"], "?token=t"), "/ws?token=t"),
        ];
        for (path, address, expected) in rows {
            let node = Node {
                host: String::new(),
                path: path.to_owned(),
                headers: HeaderMap::new(),
                offer: None,
            };
            assert_eq!(node.path_of(&address), expected);
        }
    }

    #[test]
    fn only_a_server_that_is_full_or_stopping_is_tried_again() {
        let advice = |text: &str| HeaderMap::from_iter([(header::RETRY_AFTER, text.parse().unwrap())]);
        let rows = [
            (503, advice("7"), Again::After(Some(Duration::from_secs(7)))),
            (503, advice("tomorrow"), Again::After(None)),
            (429, HeaderMap::new(), Again::After(None)),
            (401, advice("7"), Again::Never),
            (404, HeaderMap::new(), Again::Never),
            (200, HeaderMap::new(), Again::Never),
        ];
        for (status, headers, expected) in rows {
            assert_eq!(
                after_refusal(StatusCode::from_u16(status).unwrap(), &headers),
                expected,
                "{status}"
            );
        }
    }
}
