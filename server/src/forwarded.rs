//! Who a client is when proxies stand between it and us: what they say is believed only of those we know.

use std::net::{IpAddr, SocketAddr};

use axum::http::HeaderMap;

use crate::config::Network;

const FORWARDED_FOR: &str = "x-forwarded-for";
const REAL_IP: &str = "x-real-ip";

/// The client's address. `peer` is at the other end of TCP; only if it is a trusted proxy its headers count. Each proxy
/// adds on the right whom it heard from, so the client is the rightmost address that is no trusted proxy; anything
/// further left is what somebody untrusted cared to write.
pub(crate) fn client(peer: IpAddr, headers: &HeaderMap, trusted: &[Network]) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
    let peer = peer.to_canonical();
    if !is_trusted(peer) {
        return peer;
    }
    let values = headers.get_all(FORWARDED_FOR).iter().rev();
    let hops = values.flat_map(|value| value.to_str().unwrap_or_default().rsplit(','));
    let (mut nearest, mut forwarded) = (peer, false);
    for hop in hops {
        // Behind what is no address nothing can be believed: the last proxy that we know is all we know.
        let Some(hop) = address(hop.trim()) else {
            return nearest;
        };
        if !is_trusted(hop) {
            return hop;
        }
        (nearest, forwarded) = (hop, true);
    }
    let real_ip = headers.get(REAL_IP).filter(|_| !forwarded);
    let real_ip = real_ip.and_then(|value| address(value.to_str().ok()?.trim()));
    real_ip.unwrap_or(nearest)
}

/// An address, perhaps with a port or in the brackets of IPv6.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    let address = match bare.unwrap_or(text).parse::<IpAddr>() {
        Ok(address) => address,
        Err(_) => text.parse::<SocketAddr>().ok()?.ip(),
    };
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_is_the_rightmost_address_that_is_no_trusted_proxy() {
        let trusted: Vec<Network> = ["10.0.0.0/8", "::1"]
            .map(|network| network.parse().unwrap())
            .into();
        for (peer, headers, expected) in [
            ("192.0.2.1", vec![(FORWARDED_FOR, "203.0.113.9")], "192.0.2.1"),
            ("192.0.2.1", vec![(REAL_IP, "203.0.113.9")], "192.0.2.1"),
            ("10.0.0.1", vec![], "10.0.0.1"),
            ("10.0.0.1", vec![(FORWARDED_FOR, "203.0.113.9")], "203.0.113.9"),
            (
                "::ffff:10.0.0.1",
                vec![(FORWARDED_FOR, "203.0.113.9")],
                "203.0.113.9",
            ),
            // The client claims to be somebody else; the proxy adds the truth on the right.
            (
                "10.0.0.1",
                vec![(FORWARDED_FOR, "1.1.1.1, 203.0.113.9")],
                "203.0.113.9",
            ),
            (
                "10.0.0.1",
                vec![
                    (FORWARDED_FOR, "1.1.1.1"),
                    (FORWARDED_FOR, "203.0.113.9,10.2.3.4"),
                ],
                "203.0.113.9",
            ),
            (
                "10.0.0.1",
                vec![(FORWARDED_FOR, "10.9.9.9, 10.2.3.4")],
                "10.9.9.9",
            ),
            (
                "10.0.0.1",
                vec![(FORWARDED_FOR, "203.0.113.9, unknown")],
                "10.0.0.1",
            ),
            ("10.0.0.1", vec![(FORWARDED_FOR, "")], "10.0.0.1"),
            (
                "10.0.0.1",
                vec![(FORWARDED_FOR, "203.0.113.9:5123")],
                "203.0.113.9",
            ),
            ("::1", vec![(FORWARDED_FOR, "[2001:db8::7]:5123")], "2001:db8::7"),
            ("::1", vec![(FORWARDED_FOR, "[2001:db8::7]")], "2001:db8::7"),
            ("10.0.0.1", vec![(REAL_IP, "203.0.113.9")], "203.0.113.9"),
            (
                "10.0.0.1",
                vec![(FORWARDED_FOR, "203.0.113.9"), (REAL_IP, "1.1.1.1")],
                "203.0.113.9",
            ),
            (
                "10.0.0.1",
                vec![(FORWARDED_FOR, "nobody"), (REAL_IP, "203.0.113.9")],
                "10.0.0.1",
            ),
        ] {
            let mut map = HeaderMap::new();
            for (name, value) in &headers {
                map.append(*name, value.parse().unwrap());
            }
            let found = client(peer.parse().unwrap(), &map, &trusted);
            assert_eq!(found, expected.parse::<IpAddr>().unwrap(), "{peer} {headers:?}");
        }
    }
}
