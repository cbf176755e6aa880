//! Where a target listens, as its URLs say.

use super::TargetError;

/// How a WebSocket's URL begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    /// `ws://`
    Ws,
    /// `wss://`: behind TLS.
    Wss,
}

impl Scheme {
    const fn default_port(self) -> u16 {
        match self {
            Self::Ws => 80,
            Self::Wss => 443,
        }
    }
}

/// `HOST:PORT` of each URL, and how all of them begin.
pub(super) fn read(urls: &[String]) -> Result<(Scheme, Vec<String>), TargetError> {
    let Some(first) = urls.first() else {
        return Err(TargetError::key(
            "urls",
            "`urls` is empty: write for example [\"ws://127.0.0.1:8080\"]",
        ));
    };
    let (scheme, _) = address_of(first).map_err(|error| at(0, &error))?;
    let mut addresses = Vec::with_capacity(urls.len());
    for (index, url) in urls.iter().enumerate() {
        let (its, address) = address_of(url).map_err(|error| at(index, &error))?;
        if its != scheme {
            return Err(TargetError::key(
                &format!("urls.{index}"),
                format!(
                    "`urls` has `{first}` and `{url}`: the nodes of one cluster are all ws:// or all wss://"
                ),
            ));
        }
        addresses.push(address);
    }
    Ok((scheme, addresses))
}

/// The same mistake, as one of the file's.
fn at(index: usize, error: &TargetError) -> TargetError {
    TargetError::key(&format!("urls.{index}"), error.to_string())
}

/// `HOST:PORT` of a WebSocket's URL. A path is refused: where a dialect is belongs to `paths`.
pub(super) fn address_of(url: &str) -> Result<(Scheme, String), TargetError> {
    let refused = |why: &str| TargetError::Value(format!("`{url}` {why}"));
    let (scheme, rest) = match url.split_once("://") {
        Some(("ws", rest)) => (Scheme::Ws, rest),
        Some(("wss", rest)) => (Scheme::Wss, rest),
        _ => {
            return Err(refused(
                "is no WebSocket URL; write for example ws://127.0.0.1:8080 or wss://chat.example",
            ));
        }
    };
    let address = rest.trim_end_matches('/');
    if address.contains('/') {
        return Err(refused(
            "has a path; leave it out, and say in `paths` of a target file where a dialect is",
        ));
    }
    let port = address.rsplit_once(':').map(|(_, port)| port);
    match port {
        Some("${port}") => Ok((scheme, address.to_owned())),
        Some(port) if port.parse::<u16>().is_ok_and(|port| port > 0) => Ok((scheme, address.to_owned())),
        _ if !address.is_empty() && !address.contains(':') => {
            Ok((scheme, format!("{address}:{}", scheme.default_port())))
        }
        _ => Err(refused(
            "has no usable port; write for example ws://127.0.0.1:8080",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_from_a_url() {
        let rows = [
            ("ws://127.0.0.1:8080", Scheme::Ws, "127.0.0.1:8080"),
            ("ws://[::1]:8080/", Scheme::Ws, "[::1]:8080"),
            ("ws://chat.test", Scheme::Ws, "chat.test:80"),
            ("wss://chat.test", Scheme::Wss, "chat.test:443"),
            ("wss://chat.test:8443/", Scheme::Wss, "chat.test:8443"),
            ("ws://127.0.0.1:${port}", Scheme::Ws, "127.0.0.1:${port}"),
        ];
        for (url, scheme, address) in rows {
            assert_eq!(address_of(url).unwrap(), (scheme, address.to_owned()));
        }
    }

    #[test]
    fn a_url_that_cannot_be_used_is_refused_with_what_to_write() {
        let rows = [
            ("http://x:1", "is no WebSocket URL"),
            ("https://x:1", "is no WebSocket URL"),
            ("127.0.0.1:80", "is no WebSocket URL"),
            ("ws://x:1/ws", "has a path"),
            ("ws://x:99999", "has no usable port"),
            ("ws://", "has no usable port"),
            ("wss://", "has no usable port"),
        ];
        for (url, why) in rows {
            let error = address_of(url).unwrap_err().to_string();
            assert!(error.contains(url) && error.contains(why), "{error}");
        }
    }
}
