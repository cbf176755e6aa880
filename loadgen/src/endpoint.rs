//! Where a run goes, and everything that can be known before it begins: is anybody there, and does it fit this machine?

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::HeaderMap;
use touchstone_protocol::client::Address;
use touchstone_sut::{Origin, Sut, Transport};

use crate::cast::CastError;
use crate::engine::{self, Node, Sockets};
use crate::limits::{DoesNotFit, Limits, Need, Server};
use crate::observe::Look;
use crate::part::Part;
use crate::plan::{Plan, Protocol};
use crate::sources::{self, Sources, Turns};

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
    #[must_use]
    pub fn of(sut: &Arc<Sut>, protocol: &Protocol) -> Self {
        let target = sut.target();
        // Whose path is a template fills in all of it.
        let (path, dialect) = match protocol {
            Protocol::Dialect(dialect) => (target.websocket_path(*dialect).to_owned(), Some(*dialect)),
            Protocol::Custom(_) => ("/{path}".to_owned(), None),
        };
        let headers: HeaderMap = target.headers_for(dialect).iter().cloned().collect();
        let scheme = sut.transport().websocket_scheme();
        Self {
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
        }
    }

    /// Makes sure that this machine can bear the run, divided over so many processes: all that each of them needs, and all together.
    ///
    /// # Errors
    /// If it cannot; says what would help.
    pub fn bears(&self, plan: &Plan, processes: u32) -> Result<(), RunError> {
        Ok(self.need(plan, processes).fits(&Limits::of_this_process())?)
    }

    /// What the plan needs of this machine.
    pub(crate) fn need(&self, plan: &Plan, processes: u32) -> Need {
        let is_built_in = |sut: &Arc<Sut>| matches!(sut.target().origin, Origin::BuiltIn(_));
        Need {
            sessions: u64::from(plan.sessions),
            population: plan.population,
            processes: u64::from(processes),
            nodes: (self.urls.len() as u64).max(1),
            addresses: (self.sources.addresses().len() as u64).max(1),
            server: if self.sut.as_ref().is_some_and(is_built_in) {
                Server::BuiltIn
            } else {
                Server::Elsewhere
            },
        }
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
    /// An act of the mix makes the server emit, and the target does not say how.
    #[error("`mix.{act}` needs the target's back door, and {why}\n  to change: `inject` of the target file")]
    NoBackDoor {
        /// The act.
        act: String,
        /// What it lacks.
        why: String,
    },
    /// No WebSocket could be opened there.
    #[error("the target at {url} cannot be reached: {why}")]
    Unreachable {
        /// The node that was tried.
        url: String,
        /// What happened.
        why: String,
    },
    /// The run needs more of something than this machine gives.
    #[error(transparent)]
    DoesNotFit(#[from] DoesNotFit),
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

/// Where everybody goes.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    pub(crate) sockets: Sockets,
    pub(crate) nodes: Arc<[Node]>,
}

/// Makes sure that this machine can bear the run, and finds the nodes.
pub(crate) async fn find(plan: &Plan, endpoint: &Endpoint, part: &Part) -> Result<Places, RunError> {
    let mut nodes = Vec::new();
    let mut authorities = Vec::new();
    for url in &endpoint.urls {
        let (authority, node) = split(url, endpoint)?;
        authorities.push(authority);
        nodes.push(Node {
            offer: engine::offer(plan.compression),
            ..node
        });
    }
    if nodes.is_empty() {
        return Err(RunError::Url {
            url: endpoint.name.clone(),
            why: "it names no URL",
        });
    }
    endpoint.bears(plan, part.of)?;
    let mut sockets = Sockets {
        transport: endpoint.transport.clone(),
        nodes: Vec::new(),
    };
    for (url, authority) in endpoint.urls.iter().zip(authorities) {
        let address = address(url, &authority).await?;
        for source in endpoint.sources.addresses() {
            reaches(*source, address, url)?;
        }
        let turns = Turns::of(&endpoint.sources, part.number);
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
            offer: None,
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
