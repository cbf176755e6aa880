//! Where a run goes, and everything that can be known before it begins: is anybody there, and does it fit this machine?

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::HeaderMap;
use touchstone_protocol::client::Address;
use touchstone_sut::{Sut, Transport};

use crate::cast::CastError;
use crate::engine::{self, Node, Sockets};
use crate::observe::Look;
use crate::plan::{Plan, Protocol};
use crate::sources::{self, Sources, Turns};
use crate::watch;

/// Where the sessions go.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// As reports call it; nothing secret.
    pub name: String,
    /// The dialect's WebSocket at each node, `ws://host:port/path` without query, or `wss://` with TLS; sessions are
    /// spread over them evenly.
    pub urls: Vec<String>,
    /// What their bytes travel in.
    pub transport: Transport,
    /// Sent with every handshake.
    pub headers: HeaderMap,
    /// The local addresses that connections come from.
    pub sources: Sources,
    /// The system behind it, where it is known how its users come to be.
    pub sut: Option<Arc<Sut>>,
    /// What is looked at while it runs.
    pub look: Look,
}

impl Endpoint {
    /// The protocol's WebSocket at each node of a running system.
    ///
    /// # Errors
    /// If a header of a protocol of one's own cannot be one.
    pub fn of(sut: &Arc<Sut>, protocol: &Protocol) -> Result<Self, RunError> {
        let target = sut.target();
        // Whose path is a template fills in all of it.
        let (path, dialect) = match protocol {
            Protocol::Dialect(dialect) => (target.websocket_path(*dialect).to_owned(), Some(*dialect)),
            Protocol::Custom(_) => ("/{path}".to_owned(), None),
        };
        let mut headers: HeaderMap = target.headers_for(dialect).iter().cloned().collect();
        if let Protocol::Custom(protocol) = protocol {
            for (name, value) in protocol.headers() {
                let bad = |_| RunError::Header {
                    name: name.to_owned(),
                };
                let header = http::HeaderName::try_from(name).map_err(|_| bad(()))?;
                headers.insert(
                    header,
                    value
                        .try_into()
                        .map_err(|_: http::header::InvalidHeaderValue| bad(()))?,
                );
            }
        }
        let scheme = sut.transport().websocket_scheme();
        Ok(Self {
            name: target.name.clone(),
            urls: sut
                .addresses()
                .iter()
                .map(|address| format!("{scheme}://{address}{path}"))
                .collect(),
            transport: sut.transport().clone(),
            headers,
            sources: Sources::default(),
            sut: Some(Arc::clone(sut)),
            look: Look::default(),
        })
    }
}

/// Why there was no run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The target's address cannot be used: the command line or the target file is wrong.
    #[error("`{url}` is not a target for load: {why}")]
    Url {
        /// As given.
        url: String,
        /// What is wrong.
        why: &'static str,
    },
    /// The workload asks for something that no session does.
    #[error("a run cannot carry out `{key}`")]
    NotCarriedOut {
        /// The workload's key.
        key: &'static str,
    },
    /// A protocol of one's own names a header that cannot be sent.
    #[error("`custom.headers.{name}` cannot be sent as a header")]
    Header {
        /// As written.
        name: String,
    },
    /// No WebSocket could be opened there.
    #[error("the target at {url} cannot be reached: {why}")]
    Unreachable {
        /// The node that was tried.
        url: String,
        /// What happened.
        why: String,
    },
    /// The run needs more descriptors than this process may have: this machine refuses.
    #[error(
        "{needed} descriptors are needed, but this process may open {allowed}: raise the limit (`ulimit -n {needed}`), \
         divide the run (`--processes {processes}`) or run fewer sessions (`--set sessions={fitting}`)",
        processes = needed.div_ceil(*(allowed.max(&1)))
    )]
    TooFewDescriptors {
        /// One per session, and some to spare.
        needed: u64,
        /// The soft limit.
        allowed: u64,
        /// What would fit.
        fitting: u64,
    },
    /// The addresses of the run cannot have so many connections to one node: this machine refuses.
    #[error(
        "{needed} local ports are needed per node of the target, but this machine gives {allowed} to {addresses} of its \
         addresses (net.ipv4.ip_local_port_range): come from {enough} addresses (`--source 127.0.0.2-127.0.0.9`), widen the \
         range or run fewer sessions (`--set sessions={fitting}`)"
    )]
    TooFewPorts {
        /// Sessions at one node.
        needed: u64,
        /// Ports of the range, for each address.
        allowed: u64,
        /// Addresses that the run comes from.
        addresses: u64,
        /// With so many it would fit.
        enough: u64,
        /// What would fit.
        fitting: u64,
    },
    /// A connection cannot come from there.
    #[error(
        "connections to {url} cannot come from `{source_address}`: {why}; `--source` takes addresses of this machine"
    )]
    Source {
        /// As given.
        source_address: IpAddr,
        /// The node.
        url: String,
        /// What happened.
        why: String,
    },
    /// Those who take part could not be made.
    #[error(transparent)]
    Cast(#[from] CastError),
    /// The system refused a thread or a runtime.
    #[error("an event loop could not be started: {0}")]
    Loop(#[from] std::io::Error),
    /// It was stopped before it had begun.
    #[error("stopped before the first session")]
    Stopped,
}

/// Descriptors beside those of the sessions: standard streams, event loops, timers, the caller's own.
const DESCRIPTORS_SPARE: u64 = 64;

/// Where everybody goes.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    pub(crate) sockets: Sockets,
    pub(crate) nodes: Arc<[Node]>,
}

/// Makes sure that this machine can bear the run, and finds the nodes.
pub(crate) async fn find(plan: &Plan, endpoint: &Endpoint) -> Result<Places, RunError> {
    let mut nodes = Vec::new();
    let mut authorities = Vec::new();
    for url in &endpoint.urls {
        let (authority, node) = split(url, endpoint)?;
        authorities.push(authority);
        nodes.push(node);
    }
    if nodes.is_empty() {
        return Err(RunError::Url {
            url: endpoint.name.clone(),
            why: "it names no URL",
        });
    }
    fits(
        u64::from(plan.sessions),
        nodes.len() as u64,
        endpoint.sources.addresses().len().max(1) as u64,
        &Limits::of_this_process(),
    )?;
    let mut sockets = Sockets {
        transport: endpoint.transport.clone(),
        nodes: Vec::new(),
    };
    for (url, authority) in endpoint.urls.iter().zip(authorities) {
        let address = address(url, &authority).await?;
        for source in endpoint.sources.addresses() {
            reaches(*source, address, url)?;
        }
        let turns = Turns::of(&endpoint.sources);
        sockets.nodes.push((address, authority, turns));
    }
    Ok(Places {
        sockets,
        nodes: nodes.into(),
    })
}

/// Refuses an address that is none of this machine, or cannot be where that of the node is.
fn reaches(source: IpAddr, node: SocketAddr, url: &str) -> Result<(), RunError> {
    let refused = |why: String| RunError::Source {
        source_address: source,
        url: url.to_owned(),
        why,
    };
    if source.is_ipv4() != node.is_ipv4() {
        return Err(refused(format!("{} is of another family", node.ip())));
    }
    let bound = sources::bound(source).map_err(|error| refused(error.to_string()))?;
    drop(bound);
    Ok(())
}

/// Opens one connection to each node as somebody with this address would, and drops it, before thousands find out that
/// nobody is there, or that nobody is let in.
pub(crate) async fn greet(
    places: &Places,
    endpoint: &Endpoint,
    address: &Address,
    plan: &Plan,
) -> Result<(), RunError> {
    for (number, node) in places.nodes.iter().enumerate() {
        let key = fastrand::u128(..).to_ne_bytes();
        let place = (number, node);
        let deadline = plan.connect_deadline;
        engine::attempt(&places.sockets, place, address, key, deadline)
            .await
            .map_err(|failure| RunError::Unreachable {
                url: endpoint.urls[number].clone(),
                why: failure.why,
            })?;
    }
    Ok(())
}

/// What this machine allows; `None` where there is no such limit or nobody tells.
struct Limits {
    descriptors: Option<u64>,
    ports: Option<u64>,
}

impl Limits {
    fn of_this_process() -> Self {
        let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok();
        Self {
            descriptors: watch::descriptor_limit().map(|(soft, _)| soft),
            ports: range.and_then(|range| ports(&range)),
        }
    }
}

/// Two numbers with a tab between, both ends included.
fn ports(range: &str) -> Option<u64> {
    let mut ends = range.split_whitespace().map(str::parse::<u64>);
    let (first, last) = (ends.next()?.ok()?, ends.next()?.ok()?);
    Some((last + 1).saturating_sub(first))
}

fn fits(sessions: u64, nodes: u64, addresses: u64, limits: &Limits) -> Result<(), RunError> {
    let needed = sessions + DESCRIPTORS_SPARE;
    if let Some(allowed) = limits.descriptors.filter(|allowed| *allowed < needed) {
        let fitting = allowed.saturating_sub(DESCRIPTORS_SPARE);
        return Err(RunError::TooFewDescriptors {
            needed,
            allowed,
            fitting,
        });
    }
    let needed = sessions.div_ceil(nodes);
    if let Some(allowed) = limits.ports.filter(|allowed| *allowed * addresses < needed) {
        return Err(RunError::TooFewPorts {
            needed,
            allowed,
            addresses,
            enough: needed.div_ceil(allowed.max(1)),
            fitting: allowed * addresses * nodes,
        });
    }
    Ok(())
}

async fn address(url: &str, authority: &str) -> Result<SocketAddr, RunError> {
    let unreachable = |why: String| RunError::Unreachable {
        url: url.to_owned(),
        why,
    };
    let mut found = tokio::net::lookup_host(authority)
        .await
        .map_err(|error| unreachable(error.to_string()))?;
    found
        .next()
        .ok_or_else(|| unreachable("its name has no address".to_owned()))
}

/// `host:port` and what the handshake says.
fn split(url: &str, endpoint: &Endpoint) -> Result<(String, Node), RunError> {
    let bad = |why| RunError::Url {
        url: url.to_owned(),
        why,
    };
    let (rest, default_port) = match (url.split_once("://"), &endpoint.transport) {
        (Some(("ws", rest)), Transport::Plain) => (rest, 80),
        (Some(("wss", rest)), Transport::Tls(_)) => (rest, 443),
        (_, Transport::Plain) => return Err(bad("it must begin with ws://")),
        (_, Transport::Tls(_)) => return Err(bad("it must begin with wss://")),
    };
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    if host.is_empty() || host.contains('@') {
        return Err(bad("it must name a host, and no user"));
    }
    // A target's path may carry a session's segment in its query.
    let has_query = url.contains('?') && !path.contains('{');
    if has_query || url.contains('#') {
        return Err(bad("it must have no query: each session has its own"));
    }
    let has_port = host
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let authority = if has_port {
        host.to_owned()
    } else {
        format!("{host}:{default_port}")
    };
    let path = if path.is_empty() { "/" } else { path };
    Ok((
        authority,
        Node {
            host: host.to_owned(),
            path: path.to_owned(),
            headers: endpoint.headers.clone(),
        },
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use touchstone_sut::Trust;
    use touchstone_sut::transport::Tls;

    fn endpoint(transport: Transport) -> Endpoint {
        Endpoint {
            name: String::new(),
            urls: Vec::new(),
            transport,
            headers: HeaderMap::new(),
            sources: Sources::default(),
            sut: None,
            look: Look::default(),
        }
    }

    fn tls() -> Transport {
        Transport::Tls(Tls::new(Trust::Anyone).unwrap())
    }

    #[test]
    fn urls_are_taken_apart() {
        let rows = [
            (
                "ws://127.0.0.1:8000/ws/chat/",
                "127.0.0.1:8000",
                "127.0.0.1:8000",
                "/ws/chat/",
            ),
            ("ws://example.test", "example.test:80", "example.test", "/"),
            ("ws://[::1]:9/x", "[::1]:9", "[::1]:9", "/x"),
            ("ws://[::1]/x", "[::1]:80", "[::1]", "/x"),
        ];
        for (url, authority, host, path) in rows {
            let (found, node) = split(url, &endpoint(Transport::Plain)).unwrap();
            assert_eq!(
                (found.as_str(), node.host.as_str(), node.path.as_str()),
                (authority, host, path),
                "{url}"
            );
        }
        let (authority, _) = split("wss://example.test/x", &endpoint(tls())).unwrap();
        assert_eq!(authority, "example.test:443");
        assert!(split("ws://example.test/x", &endpoint(tls())).is_err());
    }

    #[test]
    fn what_is_no_target_for_load_says_why() {
        let rows = [
            ("http://x/", "it must begin with ws://"),
            ("x:80", "it must begin with ws://"),
            ("wss://x/", "it must begin with ws://"),
            ("ws:///x", "it must name a host, and no user"),
            ("ws://me:secret@x/", "it must name a host, and no user"),
            ("ws://x/?a=b", "it must have no query: each session has its own"),
            ("ws://x?a=b", "it must have no query: each session has its own"),
        ];
        for (url, why) in rows {
            let error = split(url, &endpoint(Transport::Plain)).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("`{url}` is not a target for load: {why}")
            );
        }
    }

    #[test]
    fn a_run_that_does_not_fit_says_so_and_what_to_do() {
        let limits = |descriptors, ports| Limits { descriptors, ports };
        assert!(fits(2_000, 1, 1, &limits(Some(2_064), Some(2_000))).is_ok());
        assert!(fits(2_000, 1, 1, &limits(None, None)).is_ok());
        assert!(fits(50_000, 2, 1, &limits(None, Some(28_232))).is_ok());
        assert!(fits(50_000, 1, 2, &limits(None, Some(28_232))).is_ok());
        let rows = [
            (
                fits(2_000, 1, 1, &limits(Some(1_024), None)),
                "2064 descriptors are needed, but this process may open 1024: raise the limit (`ulimit -n 2064`), \
                 divide the run (`--processes 3`) or run fewer sessions (`--set sessions=960`)",
            ),
            (
                fits(60_000, 2, 1, &limits(None, Some(28_232))),
                "30000 local ports are needed per node of the target, but this machine gives 28232 to 1 of its \
                 addresses (net.ipv4.ip_local_port_range): come from 2 addresses (`--source 127.0.0.2-127.0.0.9`), widen the \
                 range or run fewer sessions (`--set sessions=56464`)",
            ),
        ];
        for (refused, message) in rows {
            assert_eq!(refused.unwrap_err().to_string(), message);
        }
        assert_eq!(ports("32768\t60999\n"), Some(28_232));
        assert_eq!(ports("nonsense"), None);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn an_address_that_connections_cannot_come_from_is_refused() {
        let node = "127.0.0.1:80".parse().unwrap();
        assert!(reaches("127.0.0.2".parse().unwrap(), node, "ws://x/").is_ok());
        let rows = [
            ("::1", "127.0.0.1 is of another family"),
            // Of a range for documentation: no machine has it.
            ("192.0.2.1", "Cannot assign requested address (os error 99)"),
        ];
        for (source, why) in rows {
            let error = reaches(source.parse().unwrap(), node, "ws://x/").unwrap_err();
            assert_eq!(
                error.to_string(),
                format!(
                    "connections to ws://x/ cannot come from `{source}`: {why}; `--source` takes addresses of this machine"
                )
            );
        }
    }
}
