//! The crooked proxy: stands between the suite and a server, and breaks one thing at a time.
//!
//! Without a mutant, and for whatever its rules are not about, it is transparent: bytes are passed as they come, each
//! way by itself, an end of TCP as the same end, and a peer that takes nothing is felt by the other one.
//!
//! | what | where |
//! |---|---|
//! | sockets: listening, reaching the server, how TCP ends | `socket` |
//! | one connection: both ways, and how it ends | `relay`, `connection` |
//! | one way: reading, what waits, writing | `lane`, `outbox` |
//! | bytes cut into frames, requests and answers | `cut`, `http` |
//! | which rules are about something, and what they do to it | `rules`, `deeds`, `edits`, `tokens` |
//! | what all connections share | `crook`, `registry` |
//!
//! Only what a rule may be about is held until it is whole, for a quarter of a second at most and up to 256 KiB. What
//! does not make it in time, is larger, or is compressed where a rule is about messages, passes as it came.
//!
//! What cannot be hidden: a server that is not there lets a client connect, and resets it at once; a server behind TLS
//! that ends without a goodbye resets its client, which is as unclean without TLS.

mod connection;
mod crook;
mod cut;
mod deeds;
mod edits;
mod http;
mod lane;
mod outbox;
mod registry;
mod relay;
mod rules;
mod socket;
mod tokens;

use std::io;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use touchstone_scenarios::mutant::{Fault, Mutant};
use touchstone_sut::Sut;

use self::crook::Crook;
use crate::matching::payload_bytes;

/// Connections at a time, over all nodes: four times what the suite opens with thirty cases at once. Who comes after
/// that waits in the listener's backlog.
const CONNECTIONS_MAX: usize = 1_024;

/// Stands between the suite and a server.
///
/// Its tasks are those of its listeners and of its connections; [`Proxy::shut_down`] ends and awaits them, dropping it
/// ends them.
#[derive(Debug)]
pub struct Proxy {
    addresses: Vec<String>,
    crook: Arc<Crook>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Proxy {
    /// Listens on 127.0.0.1 once for each node of `sut`, passes everything on to it, and breaks what `mutant` says;
    /// without one nothing. What the suite says travels as it is, whatever the server wants it to travel in.
    ///
    /// # Errors
    /// There is no port to listen on, or something that the mutant says cannot be written.
    pub async fn start(sut: Arc<Sut>, mutant: Option<Arc<Mutant>>) -> io::Result<Self> {
        if let Some(mutant) = &mutant {
            try_payloads(mutant)?;
        }
        let listeners = (0..sut.addresses().len())
            .map(|_| socket::listen())
            .collect::<io::Result<Vec<_>>>()?;
        let addresses = listeners
            .iter()
            .map(|listener| Ok(listener.local_addr()?.to_string()))
            .collect::<io::Result<_>>()?;
        let proxy = Self {
            addresses,
            crook: Arc::new(Crook::new(sut, mutant)),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        };
        let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        for (node, listener) in listeners.into_iter().enumerate() {
            let door = Door {
                listener,
                node,
                room: Arc::clone(&room),
                crook: Arc::clone(&proxy.crook),
                tasks: proxy.tasks.clone(),
                stop: proxy.stop.clone(),
            };
            let stop = proxy.stop.clone();
            proxy
                .tasks
                .spawn(async move { stop.run_until_cancelled(door.open()).await });
        }
        proxy.tasks.close();
        Ok(proxy)
    }

    /// `HOST:PORT` for each node.
    #[must_use]
    pub fn addresses(&self) -> &[String] {
        &self.addresses
    }

    /// How many units the mutant has changed: 0 means that nothing ever passed that it breaks.
    #[must_use]
    pub fn touched(&self) -> u64 {
        self.crook.touched()
    }

    /// The same for each rule of the mutant, in their order.
    #[must_use]
    pub fn touched_by_rule(&self) -> Vec<u64> {
        self.crook.applied()
    }

    /// The tokens that have passed, in order of their first use.
    #[must_use]
    pub fn tokens_seen(&self) -> Vec<String> {
        self.crook.tokens_seen()
    }

    /// Ends every connection, and awaits that.
    pub async fn shut_down(self) {
        self.stop.cancel();
        self.tasks.wait().await;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Whether all that a mutant says can be written.
fn try_payloads(mutant: &Mutant) -> io::Result<()> {
    let rules = match &mutant.fault {
        Fault::Proxy(rules) => rules.as_slice(),
        Fault::Launcher(_) => &[],
    };
    let deeds = rules.iter().flat_map(|rule| &rule.does);
    for payload in deeds.filter_map(deeds::payload_of) {
        payload_bytes(payload, &|_| None).map_err(|error| {
            io::Error::new(io::ErrorKind::InvalidInput, format!("{}: {error}", mutant.id))
        })?;
    }
    Ok(())
}

/// The listener of a node. Its task is the proxy's, as are those of the connections that come through it.
struct Door {
    listener: TcpListener,
    node: usize,
    room: Arc<Semaphore>,
    crook: Arc<Crook>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Door {
    async fn open(self) {
        loop {
            let room = Arc::clone(&self.room);
            let seat = room.acquire_owned().await.expect("the semaphore is never closed");
            let client = match self.listener.accept().await {
                Ok((client, _)) => client,
                // Who gave up before he was let in, or no descriptor is left: the next one may fare better.
                Err(_) => {
                    tokio::time::sleep(socket::ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let relaying = relay::relay(client, Arc::clone(&self.crook), self.node);
            let stop = self.stop.clone();
            self.tasks.spawn(async move {
                stop.run_until_cancelled(relaying).await;
                drop(seat);
            });
        }
    }
}

#[cfg(test)]
mod tests;
