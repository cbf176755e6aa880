//! What stands between a client and the server: proxies, TLS, compression.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

/// A range of addresses, as in `10.0.0.0/8`; one address alone is itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix_bits: u8,
}

impl Network {
    /// Whether `address` is in it. An IPv4 address in IPv6 clothes is that IPv4 address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => {
                let ignored_bits = 32 - u32::from(self.prefix_bits);
                u64::from(ours.to_bits() ^ theirs.to_bits()) >> ignored_bits == 0
            }
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => {
                let ignored_bits = 128 - u32::from(self.prefix_bits);
                let differing = ours.to_bits() ^ theirs.to_bits();
                differing.checked_shr(ignored_bits).unwrap_or(0) == 0
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

impl FromStr for Network {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Self, InvalidNetwork> {
        let invalid = || InvalidNetwork(text.to_owned());
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| invalid())?;
        let bits_max: u8 = if address.is_ipv4() { 32 } else { 128 };
        let prefix_bits = match prefix {
            Some(prefix) => prefix.parse().ok().filter(|bits| *bits <= bits_max),
            None => Some(bits_max),
        };
        Ok(Self {
            address,
            prefix_bits: prefix_bits.ok_or_else(invalid)?,
        })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix_bits)
    }
}

/// A text that is no range of addresses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no range of addresses; write for example 10.0.0.0/8 or ::1")]
pub struct InvalidNetwork(pub String);

/// Where the certificate is, and its key. Both are read at the start, and again on SIGHUP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The chain, the server's own certificate first, as PEM.
    pub certificate: PathBuf,
    /// The private key, as PEM.
    pub key: PathBuf,
}

/// How permessage-deflate is negotiated (RFC 7692). What a message may inflate to is the limit of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compression {
    /// Whether a message may refer to earlier ones of its connection. It saves bytes and costs a window of memory in
    /// each direction and for each connection, up to 300 KiB in all. Default: no.
    pub context_takeover: bool,
    /// Connections that may have such windows at a time; the next is granted compression without. Default: 100, which is
    /// 30 MiB.
    pub context_takeover_connections: usize,
    /// The largest window of what the server sends, in bits, 9 to 15. Default: 15.
    pub server_window_bits: u8,
    /// The largest window of what a client sends, in bits, 9 to 15, where it lets the server choose. Default: 15.
    pub client_window_bits: u8,
    /// How hard it tries, 1 (fast) to 9 (small). Default: 1; for a short message 6 costs twice as much and wins little.
    pub level: u8,
    /// Messages shorter than this are sent as they are: by themselves they hardly get smaller. In bytes. Default: 512.
    pub message_bytes_min: usize,
}

impl Default for Compression {
    fn default() -> Self {
        Self {
            context_takeover: false,
            context_takeover_connections: 100,
            server_window_bits: 15,
            client_window_bits: 15,
            level: 1,
            message_bytes_min: 512,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_holds_the_addresses_of_its_prefix() {
        let rows = [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.0.0.0/8", "::ffff:10.1.2.3", true),
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "192.0.2.6", false),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("0.0.0.0/0", "::1", false),
            ("::/0", "2001:db8::1", true),
            ("2001:db8::/33", "2001:db8:7fff::1", true),
            ("2001:db8::/33", "2001:db8:8000::1", false),
            ("::1", "::1", true),
        ];
        for (network, address, expected) in rows {
            let network: Network = network.parse().unwrap();
            assert_eq!(
                network.contains(address.parse().unwrap()),
                expected,
                "{network} {address}"
            );
        }
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for wrong in [
            "",
            "10.0.0.0/33",
            "10.0.0/8",
            "::1/129",
            "10.0.0.0/",
            "localhost",
            "/8",
        ] {
            assert_eq!(wrong.parse::<Network>(), Err(InvalidNetwork(wrong.to_owned())));
        }
    }
}
