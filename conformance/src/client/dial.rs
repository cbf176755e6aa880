//! Where a connection goes, and the TCP and TLS under it.

use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use touchstone_sut::transport::{Stream, TlsError, Transport};

use super::OpenError;
use super::arrivals::{Arrival, Stamped};
use crate::tap::{Gate, Log, Tap};

/// Where and with what a connection opens.
#[derive(Debug, Clone)]
pub struct Address {
    /// Host and port, as in `Host`.
    pub authority: String,
    /// Path and query, percent-encoded.
    pub target: String,
    /// Request headers besides those of every opening handshake; one of these replaces it.
    pub headers: Vec<(String, String)>,
    transport: Transport,
}

impl Address {
    /// A path, perhaps with a query, at `HOST:PORT`.
    #[must_use]
    pub fn new(transport: &Transport, authority: &str, path: &str) -> Self {
        let slash = if path.starts_with('/') { "" } else { "/" };
        Self {
            authority: authority.to_owned(),
            target: format!("{slash}{path}"),
            headers: Vec::new(),
            transport: transport.clone(),
        }
    }

    /// As a URL, which no library has to understand.
    pub(super) fn url(&self) -> String {
        let scheme = self.transport.websocket_scheme();
        format!("{scheme}://{}{}", self.authority, self.target)
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

/// Opens TCP, and TLS where the target wants it. The second socket is the one below both: it ends TCP in ways a stream
/// cannot.
pub(super) async fn dial(
    address: &Address,
    log: &Log,
    gate: &Gate,
    deadline: Instant,
) -> Result<(Tap<Stream<Stamped>>, socket2::Socket), OpenError> {
    let authority = &address.authority;
    let began = Instant::now();
    let unreachable = |error| OpenError::Unreachable {
        address: authority.clone(),
        error,
    };
    let timeout = |_| OpenError::Timeout(began.elapsed());
    let socket = timeout_at(deadline, TcpStream::connect(authority))
        .await
        .map_err(timeout)?
        .map_err(unreachable)?;
    // Pieces that are written one by one must leave one by one.
    socket.set_nodelay(true).map_err(unreachable)?;
    let control = socket2::SockRef::from(&socket).try_clone().map_err(unreachable)?;
    let arrival = Arrival::default();
    let stamped = Stamped::new(socket, arrival.clone());
    let stream = timeout_at(deadline, address.transport.open(stamped, authority))
        .await
        .map_err(timeout)?
        .map_err(|error| match error {
            TlsError::Io(error) => unreachable(error),
            source => OpenError::NoTls {
                address: authority.clone(),
                source,
            },
        })?;
    let tap = Tap::new(stream, log.clone(), gate.clone()).stamped_by(arrival);
    Ok((tap, control))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_begins_with_a_slash_whatever_was_written() {
        for (path, target) in [("/ws/chat/", "/ws/chat/"), ("", "/"), ("?a=b", "/?a=b")] {
            let address = Address::new(&Transport::Plain, "[::1]:9", path);
            assert_eq!(address.url(), format!("ws://[::1]:9{target}"));
        }
    }

    #[test]
    fn query_parameters_are_encoded_and_may_be_repeated() {
        let mut address = Address::new(&Transport::Plain, "h:1", "/p");
        address.add_query("session", "a b+c/猫");
        address.add_query("session", "");
        assert_eq!(address.target, "/p?session=a%20b%2Bc%2F%E7%8C%AB&session=");
    }
}
