//! Opening connections against a scripted server on the other end of a pipe.

use http::HeaderMap;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use touchstone_wire::client::{ConnectError, Connected, connect};
use touchstone_wire::handshake::{ClientRequest, Key, RequestError, ResponseError};

const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";
const ACCEPT: &str = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";
const WITHIN: Duration = Duration::from_secs(10);

fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
    lines
        .iter()
        .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
        .collect()
}

fn request(headers: &HeaderMap) -> ClientRequest<'_> {
    ClientRequest {
        host: "server.example.com:8000",
        path: "/ws/chat/?token=t",
        headers,
        key: Key::from_bytes(*b"the sample nonce"),
    }
}

/// What becomes of a request that is answered with `answer`, written in pieces of `piece` bytes.
async fn answered(
    answer: &[u8],
    piece: usize,
    offered: &HeaderMap,
) -> (Vec<u8>, Result<Connected<DuplexStream>, ConnectError>) {
    let (client, mut server) = duplex(64);
    let serve = async {
        let mut asked = Vec::new();
        while !asked.ends_with(b"\r\n\r\n") {
            server.read_buf(&mut asked).await.unwrap();
        }
        for piece in answer.chunks(piece) {
            // The client may have heard enough and gone.
            if server.write_all(piece).await.is_err() {
                break;
            }
        }
        drop(server);
        asked
    };
    let request = request(offered);
    tokio::join!(serve, connect(client, &request, WITHIN))
}

#[tokio::test(start_paused = true)]
async fn the_request_is_written_as_the_rfc_says() {
    let offered = headers(&[
        ("origin", "https://example.test"),
        ("sec-websocket-protocol", "chat"),
    ]);
    let (asked, connected) = answered(format!("{SWITCH}{ACCEPT}\r\n").as_bytes(), 1_000, &offered).await;
    connected.unwrap();
    let expected = "GET /ws/chat/?token=t HTTP/1.1\r\nHost: server.example.com:8000\r\nConnection: Upgrade\r\n\
        Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        origin: https://example.test\r\nsec-websocket-protocol: chat\r\n\r\n";
    assert_eq!(String::from_utf8(asked).unwrap(), expected);
}

#[tokio::test(start_paused = true)]
async fn frames_that_come_with_the_answer_are_left_over() {
    let answer = format!("{SWITCH}{ACCEPT}X-Node: a\r\n\r\n\u{1}\u{0}");
    for piece in [1, 7, 1_000] {
        let (_, connected) = answered(answer.as_bytes(), piece, &HeaderMap::new()).await;
        let Connected {
            mut stream,
            leftover,
            response,
        } = connected.unwrap();
        assert_eq!(response.headers()["x-node"], "a");
        let mut frames = leftover.to_vec();
        stream.read_to_end(&mut frames).await.unwrap();
        assert_eq!(frames, b"\x01\x00");
    }
}

#[tokio::test(start_paused = true)]
async fn an_agreement_to_what_was_offered_is_fine() {
    let offered = headers(&[
        ("sec-websocket-protocol", "a, b"),
        ("sec-websocket-extensions", "permessage-deflate; x=1"),
    ]);
    let answer = format!(
        "{SWITCH}{ACCEPT}Sec-WebSocket-Protocol: b\r\nSec-WebSocket-Extensions: permessage-deflate; y=2\r\n\r\n"
    );
    answered(answer.as_bytes(), 1_000, &offered).await.1.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_something_else_is_named() {
    let accept = ResponseError::WrongAccept {
        expected: "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=".to_owned(),
        received: String::new(),
    };
    let other = ResponseError::WrongAccept {
        expected: "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=".to_owned(),
        received: "other".to_owned(),
    };
    let extension = ResponseError::UnaskedExtension("permessage-deflate".to_owned());
    let protocol = ResponseError::UnaskedSubprotocol("chat".to_owned());
    let line = "HTTP/1.1 101 Switching Protocols\r\n";
    let rows = [
        (
            format!("{line}Connection: Upgrade\r\n{ACCEPT}\r\n"),
            ResponseError::NoUpgrade,
        ),
        (
            format!("{line}Upgrade: websocket\r\n{ACCEPT}\r\n"),
            ResponseError::NoConnection,
        ),
        (format!("{SWITCH}\r\n"), accept),
        (format!("{SWITCH}Sec-WebSocket-Accept: other\r\n\r\n"), other),
        (
            format!("{SWITCH}{ACCEPT}Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"),
            extension,
        ),
        (
            format!("{SWITCH}{ACCEPT}Sec-WebSocket-Protocol: chat\r\n\r\n"),
            protocol,
        ),
        (
            format!("{SWITCH}X: {}\r\n{ACCEPT}\r\n", "x".repeat(20_000)),
            ResponseError::LongHead,
        ),
    ];
    for (answer, expected) in rows {
        match answered(answer.as_bytes(), 500, &HeaderMap::new()).await.1 {
            Err(ConnectError::Response(error)) => assert_eq!(error, expected),
            other => panic!("{other:?} instead of {expected}"),
        }
    }
    let (_, not_http) = answered(b"SSH-2.0-OpenSSH_9.2\r\n", 500, &HeaderMap::new()).await;
    assert!(
        matches!(not_http, Err(ConnectError::Response(ResponseError::NotHttp(_)))),
        "{not_http:?}"
    );
    let (_, tls) = answered(b"\x15\x03\x03\0\x02\x02\x32", 500, &HeaderMap::new()).await;
    assert!(
        matches!(tls, Err(ConnectError::Response(ResponseError::Tls))),
        "{tls:?}"
    );
    let (_, closed) = answered(b"HTTP/1.1 101 Swit", 500, &HeaderMap::new()).await;
    assert!(matches!(closed, Err(ConnectError::Closed)), "{closed:?}");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_keeps_status_headers_and_the_beginning_of_the_body() {
    let long = "x".repeat(10_000);
    let rows = [
        (
            "HTTP/1.1 403 Forbidden\r\nContent-Length: 7\r\n\r\nno wayX".to_owned(),
            403,
            "no wayX".to_owned(),
        ),
        (
            "HTTP/1.1 503 Busy\r\nRetry-After: 5\r\n\r\nlater".to_owned(),
            503,
            "later".to_owned(),
        ),
        (
            format!("HTTP/1.1 500 Broken\r\nContent-Length: 10000\r\n\r\n{long}"),
            500,
            long[..4_096].to_owned(),
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_owned(),
            200,
            String::new(),
        ),
    ];
    for (answer, status, body) in rows {
        match answered(answer.as_bytes(), 13, &HeaderMap::new()).await.1 {
            Err(ConnectError::Refused(refused)) => {
                assert_eq!(refused.status, status);
                assert_eq!(String::from_utf8(refused.body).unwrap(), body);
            }
            other => panic!("{other:?} instead of {status}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_nothing_is_given_up() {
    let (client, _server) = duplex(1024);
    let headers = HeaderMap::new();
    let before = tokio::time::Instant::now();
    let failed = connect(client, &request(&headers), WITHIN).await;
    assert!(matches!(failed, Err(ConnectError::Timeout(WITHIN))), "{failed:?}");
    assert_eq!(before.elapsed(), WITHIN);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_whose_body_does_not_end_is_still_a_refusal() {
    let (client, mut server) = duplex(1024);
    server
        .write_all(b"HTTP/1.1 401 Unauthorized\r\n\r\nlog in")
        .await
        .unwrap();
    let headers = HeaderMap::new();
    match connect(client, &request(&headers), WITHIN).await {
        Err(ConnectError::Refused(refused)) => assert_eq!(refused.body, b"log in"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_request_that_would_become_another_is_not_written() {
    let headers = HeaderMap::new();
    for path in ["", "ws", "/a b", "/a\r\nX: y"] {
        let refused = ClientRequest {
            path,
            ..request(&headers)
        }
        .encode();
        assert_eq!(refused, Err(RequestError::Path(path.to_owned())));
    }
    for host in ["", "a b", "a\r\nX: y"] {
        let refused = ClientRequest {
            host,
            ..request(&headers)
        }
        .encode();
        assert_eq!(refused, Err(RequestError::Host(host.to_owned())));
    }
}

#[test]
fn tens_of_thousands_of_attempts_fit_into_memory() {
    let headers = HeaderMap::new();
    let request = request(&headers);
    let attempt = connect(duplex(1).0, &request, WITHIN);
    let bytes = size_of_val(&attempt);
    assert!(bytes <= 1_024, "{bytes} bytes for one attempt, beside its buffer");
}
