//! The server's side: is this request an upgrade, and what is the answer (RFC 6455 4.2).

use super::{Lines, accept_value, lines, list_has_token};
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Version, header};

/// Some clients leave the unused last bits of the key set; a decoder that minds them would turn those away.
const KEY_BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

/// An upgrade that may be granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accept {
    value: HeaderValue,
}

impl Accept {
    /// The value of `Sec-WebSocket-Accept`.
    #[must_use]
    pub const fn value(&self) -> &HeaderValue {
        &self.value
    }

    /// The 101 that grants the upgrade, with neither subprotocol nor extension: whoever agrees to one adds its header.
    #[must_use]
    pub fn response(self) -> Response<()> {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, self.value);
        response
    }
}

/// Why a request is not upgraded. Its text may be the body of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// Another method than `GET` (4.2.1-get).
    #[error("a WebSocket is opened with GET")]
    NotGet,
    /// HTTP before 1.1 (4.2.1-get).
    #[error("a WebSocket is opened with HTTP/1.1 or later")]
    OldHttp,
    /// No `Host`, or more than one (4.2.1-host).
    #[error("the request needs one Host header")]
    Host,
    /// `Upgrade` is missing or does not name `websocket` (4.2.1-upgrade).
    #[error("the Upgrade header does not name websocket")]
    NoUpgrade,
    /// `Connection` is missing or does not name `upgrade` (4.2.1-connection).
    #[error("the Connection header does not name upgrade")]
    NoConnection,
    /// `Sec-WebSocket-Key` is missing (4.2.1-key).
    #[error("the Sec-WebSocket-Key header is missing")]
    NoKey,
    /// `Sec-WebSocket-Key` more than once (4.2.1-key-shape).
    #[error("the Sec-WebSocket-Key header is repeated")]
    RepeatedKey,
    /// `Sec-WebSocket-Key` is something else (4.2.1-key-shape).
    #[error("the Sec-WebSocket-Key header is not the base64 of 16 bytes")]
    KeyShape,
    /// `Sec-WebSocket-Version` is missing (4.2.2-version).
    #[error("the Sec-WebSocket-Version header is missing; this server speaks version 13")]
    NoVersion,
    /// `Sec-WebSocket-Version` is not 13 (4.2.2-version).
    #[error("this server speaks Sec-WebSocket-Version 13 only")]
    OtherVersion,
}

impl Refusal {
    /// 426 where another version would help, otherwise 400.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::NotGet
            | Self::OldHttp
            | Self::Host
            | Self::NoUpgrade
            | Self::NoConnection
            | Self::NoKey
            | Self::RepeatedKey
            | Self::KeyShape => StatusCode::BAD_REQUEST,
            Self::NoVersion | Self::OtherVersion => StatusCode::UPGRADE_REQUIRED,
        }
    }

    /// The answer: status, the version this server speaks where that is what was wrong, and the reason as its body.
    #[must_use]
    pub fn response(self) -> Response<String> {
        let mut response = Response::new(self.to_string());
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/plain; charset=utf-8"),
        );
        if self.status() == StatusCode::UPGRADE_REQUIRED {
            headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        }
        response
    }
}

/// Judges a request on a route that speaks WebSocket. Extensions and subprotocols are ignored.
///
/// # Errors
/// The first requirement of RFC 6455 4.2.1 that is not met.
pub fn check_upgrade(method: &Method, version: Version, headers: &HeaderMap) -> Result<Accept, Refusal> {
    if method != Method::GET {
        return Err(Refusal::NotGet);
    }
    if version < Version::HTTP_11 {
        return Err(Refusal::OldHttp);
    }
    let Lines::One(_) = lines(headers, header::HOST) else {
        return Err(Refusal::Host);
    };
    if !list_has_token(headers, header::UPGRADE, "websocket") {
        return Err(Refusal::NoUpgrade);
    }
    if !list_has_token(headers, header::CONNECTION, "upgrade") {
        return Err(Refusal::NoConnection);
    }
    let key = match lines(headers, header::SEC_WEBSOCKET_KEY) {
        Lines::None => return Err(Refusal::NoKey),
        Lines::Several => return Err(Refusal::RepeatedKey),
        Lines::One(key) => key.as_bytes().trim_ascii(),
    };
    if !is_key(key) {
        return Err(Refusal::KeyShape);
    }
    match lines(headers, header::SEC_WEBSOCKET_VERSION) {
        Lines::None => Err(Refusal::NoVersion),
        Lines::One(version) if version.as_bytes().trim_ascii() == b"13" => {
            let value = HeaderValue::try_from(accept_value(key)).expect("base64 is a valid header value");
            Ok(Accept { value })
        }
        Lines::One(_) | Lines::Several => Err(Refusal::OtherVersion),
    }
}

/// Whether this is the base64 of 16 bytes.
fn is_key(key: &[u8]) -> bool {
    // Decodes into three groups more than fit: a key that is too long is an error like any other.
    let mut bytes = [0; 24];
    matches!(KEY_BASE64.decode_slice(key, &mut bytes), Ok(16))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        lines
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .fold(
                HeaderMap::new(),
                |mut map, (name, value): (http::HeaderName, HeaderValue)| {
                    map.append(name, value);
                    map
                },
            )
    }

    fn good() -> Vec<(&'static str, &'static str)> {
        vec![
            ("host", "server.example.com"),
            ("upgrade", "websocket"),
            ("connection", "Upgrade"),
            ("sec-websocket-key", KEY),
            ("sec-websocket-version", "13"),
        ]
    }

    /// The verdict on a good request with these changes: without a header, or with it in place of the good one.
    fn verdict(changes: &[(&'static str, Option<&'static str>)]) -> Result<Accept, Refusal> {
        let mut lines = good();
        for (name, _) in changes {
            lines.retain(|(kept, _)| kept != name);
        }
        lines.extend(
            changes
                .iter()
                .filter_map(|(name, value)| value.map(|value| (*name, value))),
        );
        check_upgrade(&Method::GET, Version::HTTP_11, &headers(&lines))
    }

    #[test]
    fn the_rfc_s_own_key_is_answered_with_its_accept() {
        let response = verdict(&[]).unwrap().response();
        assert_eq!(response.status(), 101);
        assert_eq!(
            response.headers()["sec-websocket-accept"],
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
        assert_eq!(response.headers()["upgrade"], "websocket");
        assert_eq!(response.headers()["connection"], "Upgrade");
        assert_eq!(response.headers().len(), 3);
    }

    #[test]
    fn what_is_upgraded_and_what_is_not() {
        type Row = (
            &'static str,
            &'static [(&'static str, Option<&'static str>)],
            Option<Refusal>,
        );
        let rows: &[Row] = &[
            ("upgrade in another case", &[("upgrade", Some("WebSocket"))], None),
            ("upgrade in a list", &[("upgrade", Some("h2c, websocket"))], None),
            (
                "connection in a list",
                &[("connection", Some("keep-alive, Upgrade"))],
                None,
            ),
            (
                "connection in another case",
                &[("connection", Some("uPgRaDe"))],
                None,
            ),
            (
                "connection on two lines",
                &[
                    ("connection", Some("keep-alive")),
                    ("connection", Some("upgrade")),
                ],
                None,
            ),
            (
                "an extension",
                &[("sec-websocket-extensions", Some("permessage-deflate"))],
                None,
            ),
            (
                "a key with its unused bits set",
                &[("sec-websocket-key", Some("dGhlIHNhbXBsZSBub25jZR=="))],
                None,
            ),
            ("no host", &[("host", None)], Some(Refusal::Host)),
            (
                "two hosts",
                &[("host", Some("a")), ("host", Some("b"))],
                Some(Refusal::Host),
            ),
            ("no upgrade", &[("upgrade", None)], Some(Refusal::NoUpgrade)),
            (
                "another upgrade",
                &[("upgrade", Some("h2c"))],
                Some(Refusal::NoUpgrade),
            ),
            (
                "almost websocket",
                &[("upgrade", Some("websockets"))],
                Some(Refusal::NoUpgrade),
            ),
            (
                "no connection",
                &[("connection", None)],
                Some(Refusal::NoConnection),
            ),
            (
                "another connection",
                &[("connection", Some("keep-alive"))],
                Some(Refusal::NoConnection),
            ),
            ("no key", &[("sec-websocket-key", None)], Some(Refusal::NoKey)),
            (
                "two keys",
                &[("sec-websocket-key", Some(KEY)), ("sec-websocket-key", Some(KEY))],
                Some(Refusal::RepeatedKey),
            ),
            (
                "an empty key",
                &[("sec-websocket-key", Some(""))],
                Some(Refusal::KeyShape),
            ),
            (
                "15 bytes",
                &[("sec-websocket-key", Some("dGhlIHNhbXBsZSBub25j"))],
                Some(Refusal::KeyShape),
            ),
            (
                "17 bytes",
                &[("sec-websocket-key", Some("dGhlIHNhbXBsZSBub25jZSE="))],
                Some(Refusal::KeyShape),
            ),
            (
                "a key of 200",
                &[(
                    "sec-websocket-key",
                    Some(
                        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\
                         AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
                    ),
                )],
                Some(Refusal::KeyShape),
            ),
            (
                "not base64",
                &[("sec-websocket-key", Some("dGhlIHNhbXBsZSBub25jZ!=="))],
                Some(Refusal::KeyShape),
            ),
            (
                "no padding",
                &[("sec-websocket-key", Some("dGhlIHNhbXBsZSBub25jZQ"))],
                Some(Refusal::KeyShape),
            ),
            (
                "no version",
                &[("sec-websocket-version", None)],
                Some(Refusal::NoVersion),
            ),
            (
                "version 8",
                &[("sec-websocket-version", Some("8"))],
                Some(Refusal::OtherVersion),
            ),
            (
                "version list",
                &[("sec-websocket-version", Some("13, 8"))],
                Some(Refusal::OtherVersion),
            ),
            (
                "two versions",
                &[
                    ("sec-websocket-version", Some("13")),
                    ("sec-websocket-version", Some("13")),
                ],
                Some(Refusal::OtherVersion),
            ),
        ];
        for (name, changes, expected) in rows {
            assert_eq!(verdict(changes).err(), *expected, "{name}");
        }
        let headers = headers(&good());
        for method in [Method::POST, Method::HEAD, Method::OPTIONS] {
            assert_eq!(
                check_upgrade(&method, Version::HTTP_11, &headers),
                Err(Refusal::NotGet)
            );
        }
        for version in [Version::HTTP_09, Version::HTTP_10] {
            assert_eq!(
                check_upgrade(&Method::GET, version, &headers),
                Err(Refusal::OldHttp)
            );
        }
    }

    #[test]
    fn a_refusal_says_what_would_help() {
        for (refusal, status, version) in [
            (Refusal::NoKey, 400, None),
            (Refusal::NotGet, 400, None),
            (Refusal::NoVersion, 426, Some("13")),
            (Refusal::OtherVersion, 426, Some("13")),
        ] {
            let response = refusal.response();
            assert_eq!(response.status(), status);
            let named = response
                .headers()
                .get("sec-websocket-version")
                .map(|value| value.to_str().unwrap());
            assert_eq!(named, version);
            assert!(!response.body().is_empty());
        }
    }
}
