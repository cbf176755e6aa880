//! Where a connection goes, and the TCP under it.

use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use super::OpenError;
use super::arrivals::{Arrival, Stamped};
use crate::tap::{Gate, Log, Tap};

/// Where and with what a connection opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Host and port, as in `Host`.
    pub authority: String,
    /// Path and query, percent-encoded.
    pub target: String,
    /// Request headers besides those of every opening handshake; one of these replaces it.
    pub headers: Vec<(String, String)>,
}

impl Address {
    /// Takes a `ws://` address apart.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(url: &str) -> Result<Self, OpenError> {
        let wrong = || OpenError::Address(url.to_owned());
        let rest = url.strip_prefix("ws://").ok_or_else(wrong)?;
        let split = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(split);
        if authority.is_empty() {
            return Err(wrong());
        }
        let slash = if target.starts_with('/') { "" } else { "/" };
        Ok(Self {
            authority: authority.to_owned(),
            target: format!("{slash}{target}"),
            headers: Vec::new(),
        })
    }

    /// Adds a query parameter, encoded as a form does.
    pub fn add_query(&mut self, key: &str, value: &str) {
        let joint = if self.target.contains('?') { '&' } else { '?' };
        self.target.push(joint);
        encode_into(&mut self.target, key);
        self.target.push('=');
        encode_into(&mut self.target, value);
    }

    /// Adds a query as it stands, encoded or not.
    pub fn add_raw_query(&mut self, query: &str) {
        self.target
            .push(if self.target.contains('?') { '&' } else { '?' });
        self.target.push_str(query);
    }

    fn socket(&self) -> String {
        let has_port = self
            .authority
            .rsplit(']')
            .next()
            .is_some_and(|tail| tail.contains(':'));
        if has_port {
            self.authority.clone()
        } else {
            format!("{}:80", self.authority)
        }
    }
}

/// Percent-encodes everything but unreserved characters, so that no server can read it in two ways.
fn encode_into(out: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
}

/// Opens TCP. The second socket is the same one: it ends TCP in ways a stream cannot.
pub(super) async fn dial(
    address: &Address,
    log: &Log,
    gate: &Gate,
    deadline: Instant,
) -> Result<(Tap<Stamped>, socket2::Socket), OpenError> {
    let socket = address.socket();
    let began = Instant::now();
    let unreachable = |error| OpenError::Unreachable {
        address: socket.clone(),
        error,
    };
    let stream = timeout_at(deadline, TcpStream::connect(&socket))
        .await
        .map_err(|_| OpenError::Timeout(began.elapsed()))?
        .map_err(unreachable)?;
    // Pieces that are written one by one must leave one by one.
    stream.set_nodelay(true).map_err(unreachable)?;
    let control = socket2::SockRef::from(&stream).try_clone().map_err(unreachable)?;
    let arrival = Arrival::default();
    let stamped = Stamped::new(stream, arrival.clone());
    Ok((
        Tap::new(stamped, log.clone(), gate.clone()).stamped_by(arrival),
        control,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        for (url, authority, target) in [
            ("ws://127.0.0.1:80/ws/chat/", "127.0.0.1:80", "/ws/chat/"),
            ("ws://host", "host", "/"),
            ("ws://[::1]:9/?a=b", "[::1]:9", "/?a=b"),
            ("ws://host?a=b", "host", "/?a=b"),
        ] {
            let address = Address::parse(url).unwrap();
            assert_eq!(
                (address.authority.as_str(), address.target.as_str()),
                (authority, target),
                "{url}"
            );
        }
        assert!(Address::parse("http://host/").is_err());
        assert!(Address::parse("ws:///path").is_err());
    }

    #[test]
    fn query_parameters_are_encoded_and_may_be_repeated() {
        let mut address = Address::parse("ws://h/p").unwrap();
        address.add_query("session", "a b+c/猫");
        address.add_query("session", "");
        assert_eq!(address.target, "/p?session=a%20b%2Bc%2F%E7%8C%AB&session=");
    }

    #[test]
    fn a_host_without_port_is_on_80() {
        assert_eq!(Address::parse("ws://[::1]/").unwrap().socket(), "[::1]:80");
        assert_eq!(Address::parse("ws://h:9/").unwrap().socket(), "h:9");
    }
}
