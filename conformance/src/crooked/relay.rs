//! One connection through the proxy: both ways, and how TCP ends.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use touchstone_scenarios::mutant::{TcpEnd, Way};

use super::connection::Connection;
use super::crook::Crook;
use super::lane::{Broken, Lane};
use super::registry::{INJECTED_MAX, Inlets};
use super::socket::{Handle, Side, reach};

/// For TCP and TLS to the server. A server of the suite is on the same machine or near.
const REACH_DEADLINE: Duration = Duration::from_secs(5);

/// How long what a peer still had on its way is passed on after the other one has gone, or read after TCP was ended.
const LEFTOVERS_DEADLINE: Duration = Duration::from_secs(1);

/// Relays a client that has connected, until both ends of TCP have passed or it breaks.
pub(super) async fn relay(client: TcpStream, crook: Arc<Crook>, node: usize) {
    let Ok(mut client) = Side::accepted(client) else {
        return;
    };
    // The server is reached before a byte is read, so that its own deadlines run from here, and one that is not there is
    // noticed at once.
    let authority = &crook.sut.addresses()[node];
    let reaching = reach(authority, crook.sut.transport());
    let Ok(Ok(mut server)) = timeout(REACH_DEADLINE, reaching).await else {
        client.handle.reset_when_dropped();
        return;
    };
    match both_ways(&mut client, &mut server, crook).await {
        Ok(()) => {}
        Err(Broken::Ended(TcpEnd::Fin)) => end(&mut client, &mut server).await,
        Err(Broken::Source | Broken::Sink | Broken::Ended(TcpEnd::Reset)) => {
            client.handle.reset_when_dropped();
            server.handle.reset_when_dropped();
        }
    }
}

async fn both_ways(client: &mut Side, server: &mut Side, crook: Arc<Crook>) -> Result<(), Broken> {
    let (up_inlet, mut up_injected) = mpsc::channel(INJECTED_MAX);
    let (down_inlet, mut down_injected) = mpsc::channel(INJECTED_MAX);
    let inlets = Inlets {
        up: up_inlet,
        down: down_inlet,
    };
    let connection = Connection::new(crook, inlets);
    let mut up = Lane::new(Way::Up, &connection);
    let mut down = Lane::new(Way::Down, &connection);
    let up = up.run(&mut client.reader, &mut server.writer, &mut up_injected);
    let down = down.run(&mut server.reader, &mut client.writer, &mut down_injected);
    tokio::pin!(up, down);
    tokio::select! {
        ended = &mut up => finish(ended, down, &client.handle).await,
        ended = &mut down => finish(ended, up, &server.handle).await,
    }
}

/// One way has ended: what becomes of the other. `silent` is the side that has said its last.
async fn finish(
    ended: Result<(), Broken>,
    other: impl Future<Output = Result<(), Broken>>,
    silent: &Handle,
) -> Result<(), Broken> {
    match ended {
        Ok(()) => tokio::select! {
            ended = other => ended,
            () = silent.failed() => Err(Broken::Source),
        },
        Err(broken @ (Broken::Source | Broken::Ended(_))) => Err(broken),
        Err(Broken::Sink) => {
            // What it said before it went is still to be read, as it would be without us.
            match timeout(LEFTOVERS_DEADLINE, other).await {
                Ok(Err(broken @ Broken::Ended(_))) => Err(broken),
                Ok(_) | Err(_) => Err(Broken::Sink),
            }
        }
    }
}

/// Ends TCP on both sides by FIN. What still comes is read for a while, since an end that leaves something unread is an
/// RST.
async fn end(client: &mut Side, server: &mut Side) {
    let side = async |side: &mut Side| {
        // A side that is gone already needs no end.
        let _gone = side.writer.shutdown().await;
        let mut bytes = vec![0; 4_096];
        while matches!(side.reader.read(&mut bytes).await, Ok(read) if read > 0) {}
    };
    let both = async { tokio::join!(side(client), side(server)) };
    // Who does not end by then has its RST.
    let _late = timeout(LEFTOVERS_DEADLINE, both).await;
}
