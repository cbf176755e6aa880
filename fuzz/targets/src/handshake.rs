//! The opening handshake: header lines of a request, and what a server answered.

use http::{HeaderMap, HeaderName, HeaderValue, Method, Version, header};
use touchstone_wire::deflate::{ClientWindow, Offer, Policy, Takeover, WindowBits};
use touchstone_wire::handshake::{ClientRequest, HEAD_BYTES_MAX, Key, check_response, check_upgrade};

use crate::take;

/// Takes the input for the headers of a request, for those of a response, and for the bytes of one.
pub fn handshake(mut input: &[u8]) {
    let setting = take(&mut input);
    let takeover = if setting & 1 == 0 {
        Takeover::Dropped
    } else {
        Takeover::Kept
    };
    let headers = headers(input);
    // An answer or a refusal, and neither may panic.
    let _ = check_upgrade(&Method::GET, Version::HTTP_11, &headers);
    agree(takeover, setting, &headers);
    respond(takeover, input);
}

/// Whatever was offered, what is answered can be read by whoever made an offer like it.
fn agree(takeover: Takeover, setting: u8, headers: &HeaderMap) {
    let policy = Policy {
        takeover,
        server_window: WindowBits::new(9 + setting % 7).expect("9 to 15"),
        client_window: WindowBits::MAX,
    };
    if let Some(negotiated) = policy.negotiate(headers) {
        let server = negotiated.agreement.server;
        assert!(server.window <= policy.server_window && server.window >= WindowBits::COMPRESS_MIN);
        let answer = HeaderMap::from_iter([(header::SEC_WEBSOCKET_EXTENSIONS, negotiated.answer)]);
        let free = Offer {
            server_takeover: Takeover::Kept,
            client_takeover: Takeover::Kept,
            server_window: None,
            client_window: ClientWindow::Limitable,
        };
        let read = free.check(&answer).expect("our own answers are right");
        let read = read.expect("and they agree");
        assert_eq!(read.server.takeover, server.takeover);
        assert!(
            read.server.window >= server.window,
            "the client can read what is sent"
        );
    }
}

fn respond(takeover: Takeover, input: &[u8]) {
    let offer = Offer {
        server_takeover: takeover,
        client_takeover: takeover,
        server_window: WindowBits::new(10),
        client_window: ClientWindow::NotLimitable,
    };
    let offered = HeaderMap::from_iter([(header::SEC_WEBSOCKET_EXTENSIONS, offer.header_value())]);
    let request = ClientRequest {
        host: "h",
        path: "/",
        headers: &offered,
        key: Key::from_bytes([0; 16]),
    };
    match check_response(input, &request) {
        Ok(Some(_)) => {}
        Ok(None) => assert!(input.len() <= HEAD_BYTES_MAX, "a longer head is an error"),
        Err(_) => {}
    }
    if let Ok(Some(agreement)) = offer.check(&headers(input)) {
        assert!(agreement.server.window <= WindowBits::new(10).expect("8 to 15"));
    }
}

/// One header a line; what cannot be one is left out.
fn headers(input: &[u8]) -> HeaderMap {
    input
        .split(|byte| *byte == b'\n')
        .filter_map(|line| {
            let colon = line.iter().position(|byte| *byte == b':')?;
            let name = HeaderName::from_bytes(&line[..colon]).ok()?;
            Some((
                name,
                HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?,
            ))
        })
        .fold(HeaderMap::new(), |mut headers, (name, value)| {
            headers.append(name, value);
            headers
        })
}
