//! Local addresses that connections come from: each has the machine's range of ports to itself, so that several together
//! have more connections to one node than one address can.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::{TcpSocket, TcpStream};

/// Addresses that one run may come from: with 28,000 ports each they have more connections than a machine has descriptors.
pub const SOURCES_MAX: usize = 256;

/// The addresses that connections come from in turn. Without any, the system chooses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sources(Vec<IpAddr>);

/// What is wrong with a list of addresses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourcesError {
    /// Neither an address nor two with a dash between.
    #[error(
        "`{0}` is no address: write one, a range or a list of them, for example 127.0.0.2-127.0.0.9,127.0.1.1"
    )]
    Address(String),
    /// Its ends are of two families, or the wrong way round.
    #[error(
        "`{0}` is no range: write the lower address first, and both of one family, for example 127.0.0.2-127.0.0.9"
    )]
    Range(String),
    /// Named twice, it would be counted twice and have its ports once.
    #[error("`{0}` is named twice: each address has its ports once")]
    Twice(IpAddr),
    /// More than anybody needs.
    #[error("`{0}` makes it more than {SOURCES_MAX} addresses: name fewer")]
    TooMany(String),
}

impl Sources {
    /// None, where the system chooses.
    #[must_use]
    pub fn addresses(&self) -> &[IpAddr] {
        &self.0
    }
}

impl FromStr for Sources {
    type Err = SourcesError;

    fn from_str(text: &str) -> Result<Self, SourcesError> {
        let mut sources = Vec::new();
        for part in text.split(',').map(str::trim) {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            for address in range(part, first, last)? {
                if sources.contains(&address) {
                    return Err(SourcesError::Twice(address));
                }
                sources.push(address);
            }
            if sources.len() > SOURCES_MAX {
                return Err(SourcesError::TooMany(part.to_owned()));
            }
        }
        Ok(Self(sources))
    }
}

/// Both ends included, and never many more than are allowed.
fn range(part: &str, first: &str, last: &str) -> Result<Vec<IpAddr>, SourcesError> {
    let parse = |end: &str| {
        let parsed = end.trim().parse::<IpAddr>();
        parsed.map_err(|_| SourcesError::Address(part.to_owned()))
    };
    let addresses: Vec<IpAddr> = match (parse(first)?, parse(last)?) {
        (IpAddr::V4(first), IpAddr::V4(last)) => (u32::from(first)..=u32::from(last))
            .take(SOURCES_MAX + 1)
            .map(|bits| Ipv4Addr::from(bits).into())
            .collect(),
        (IpAddr::V6(first), IpAddr::V6(last)) => (u128::from(first)..=u128::from(last))
            .take(SOURCES_MAX + 1)
            .map(|bits| Ipv6Addr::from(bits).into())
            .collect(),
        _ => Vec::new(),
    };
    if addresses.is_empty() {
        return Err(SourcesError::Range(part.to_owned()));
    }
    Ok(addresses)
}

/// Whose turn it is at one node. Each node has turns of its own: with one for all, every other of two nodes would only
/// ever see every other of two addresses.
#[derive(Debug, Clone, Default)]
pub(crate) struct Turns {
    sources: Sources,
    taken: Arc<AtomicUsize>,
}

impl Turns {
    /// Begins with the address at place `first`: of several processes each begins with another, so that no address is asked
    /// for much more than its share.
    pub(crate) fn of(sources: &Sources, first: u32) -> Self {
        Self {
            sources: sources.clone(),
            taken: Arc::new(AtomicUsize::new(first as usize)),
        }
    }

    /// A connection from the address whose turn it is.
    pub(crate) async fn connect(&self, to: SocketAddr) -> io::Result<TcpStream> {
        let Some(source) = self.next() else {
            return TcpStream::connect(to).await;
        };
        bound(source)?.connect(to).await
    }

    fn next(&self) -> Option<IpAddr> {
        let addresses = self.sources.addresses();
        if addresses.is_empty() {
            return None;
        }
        // Only the count matters: nothing else is published with it.
        let turn = self.taken.fetch_add(1, Ordering::Relaxed);
        Some(addresses[turn % addresses.len()])
    }
}

/// A socket of this address, whose port is chosen when it connects.
///
/// # Errors
/// If the address is none of this machine, or there is no descriptor left.
pub(crate) fn bound(source: IpAddr) -> io::Result<TcpSocket> {
    let socket = match source {
        IpAddr::V4(_) => TcpSocket::new_v4()?,
        IpAddr::V6(_) => TcpSocket::new_v6()?,
    };
    choose_port_late(&socket)?;
    socket.bind(SocketAddr::new(source, 0))?;
    Ok(socket)
}

/// A port that is chosen on `bind` is taken for every destination; one that is chosen on `connect` only for this one,
/// so that each node has the whole range.
#[cfg(target_os = "linux")]
fn choose_port_late(socket: &TcpSocket) -> io::Result<()> {
    use std::os::fd::AsRawFd;

    let on: libc::c_int = 1;
    // SAFETY: the descriptor is open as long as `socket` is borrowed, and the kernel reads one int from the address of one.
    let answer = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_IP,
            libc::IP_BIND_ADDRESS_NO_PORT,
            (&raw const on).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if answer == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

#[cfg(not(target_os = "linux"))]
fn choose_port_late(_: &TcpSocket) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_ranges_are_read() {
        let rows = [
            ("127.0.0.2", vec!["127.0.0.2"]),
            (
                "127.0.0.254 - 127.0.1.0, ::1",
                vec!["127.0.0.254", "127.0.0.255", "127.0.1.0", "::1"],
            ),
            ("fd00::1-fd00::2", vec!["fd00::1", "fd00::2"]),
        ];
        for (text, expected) in rows {
            let found = text.parse::<Sources>().unwrap();
            let found: Vec<_> = found.addresses().iter().map(ToString::to_string).collect();
            assert_eq!(found, expected, "{text}");
        }
        let most = "10.0.0.0-10.0.0.255".parse::<Sources>().unwrap();
        assert_eq!(most.addresses().len(), SOURCES_MAX);
    }

    #[test]
    fn what_is_no_list_of_addresses_says_why() {
        let address =
            "is no address: write one, a range or a list of them, for example 127.0.0.2-127.0.0.9,127.0.1.1";
        let range = "is no range: write the lower address first, and both of one family, for example 127.0.0.2-127.0.0.9";
        let rows = [
            ("", format!("`` {address}")),
            ("127.0.0.2,localhost", format!("`localhost` {address}")),
            ("127.0.0.2-9", format!("`127.0.0.2-9` {address}")),
            ("127.0.0.9-127.0.0.2", format!("`127.0.0.9-127.0.0.2` {range}")),
            ("127.0.0.2-::1", format!("`127.0.0.2-::1` {range}")),
            (
                "127.0.0.1-127.0.0.3,127.0.0.2",
                "`127.0.0.2` is named twice: each address has its ports once".to_owned(),
            ),
            (
                "10.0.0.0-10.0.1.0",
                "`10.0.0.0-10.0.1.0` makes it more than 256 addresses: name fewer".to_owned(),
            ),
        ];
        for (text, message) in rows {
            assert_eq!(text.parse::<Sources>().unwrap_err().to_string(), message);
        }
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn connections_come_from_each_address_in_turn() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let turns = Turns::of(&"127.0.0.2-127.0.0.3".parse().unwrap(), 0);
        let mut kept = Vec::new();
        let mut seen = Vec::new();
        for _ in 0..4 {
            kept.push(turns.connect(listener.local_addr().unwrap()).await.unwrap());
            seen.push(listener.accept().await.unwrap().1.ip().to_string());
        }
        assert_eq!(seen, ["127.0.0.2", "127.0.0.3", "127.0.0.2", "127.0.0.3"]);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_port_is_chosen_late() {
        let socket = bound("127.0.0.2".parse().unwrap()).unwrap();
        assert_eq!(socket.local_addr().unwrap().port(), 0);
    }
}
