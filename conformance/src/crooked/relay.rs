//! One connection through the proxy, both ways.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::Crook;
use super::socket::{Handle, Reader, Side, Writer, reach};

/// For TCP and TLS to the server. A server of the suite is on the same machine or near.
const REACH_DEADLINE: Duration = Duration::from_secs(5);

/// How long what a peer still had on its way is passed on after the other one has gone.
const LEFTOVERS_DEADLINE: Duration = Duration::from_secs(1);

/// What is read at once, and waits at most for a peer that takes nothing.
const READ_BYTES: usize = 16 << 10;

/// Why nothing more passes one way.
enum Broken {
    /// Who speaks there has gone by RST.
    Source,
    /// Who listens there has.
    Sink,
}

/// Relays a client that has connected, until both ends of TCP have passed or it breaks.
pub(super) async fn relay(client: TcpStream, crook: Arc<Crook>, node: usize) {
    let Ok(client) = Side::accepted(client) else {
        return;
    };
    // The server is reached before a byte is read, so that its own deadlines run from here, and one that is not there is
    // noticed at once.
    let authority = &crook.sut.addresses()[node];
    let reaching = reach(authority, crook.sut.transport());
    let Ok(Ok(server)) = timeout(REACH_DEADLINE, reaching).await else {
        client.handle.reset_when_dropped();
        return;
    };
    if both_ways(
        client.reader,
        client.writer,
        server.reader,
        server.writer,
        (&client.handle, &server.handle),
    )
    .await
    .is_err()
    {
        client.handle.reset_when_dropped();
        server.handle.reset_when_dropped();
    }
}

async fn both_ways(
    mut from_client: Reader,
    mut to_client: Writer,
    mut from_server: Reader,
    mut to_server: Writer,
    (client, server): (&Handle, &Handle),
) -> Result<(), Broken> {
    let up = pass_on(&mut from_client, &mut to_server);
    let down = pass_on(&mut from_server, &mut to_client);
    tokio::pin!(up, down);
    tokio::select! {
        ended = &mut up => finish(ended, down, client).await,
        ended = &mut down => finish(ended, up, server).await,
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
        Err(Broken::Source) => Err(Broken::Source),
        Err(Broken::Sink) => {
            // What it said before it went is still to be read, as it would be without us.
            let _cut_off = timeout(LEFTOVERS_DEADLINE, other).await;
            Err(Broken::Sink)
        }
    }
}

/// Passes bytes as they come, and then the end.
async fn pass_on(source: &mut Reader, sink: &mut Writer) -> Result<(), Broken> {
    let mut bytes = vec![0; READ_BYTES];
    loop {
        let read = match source.read(&mut bytes).await {
            Ok(read) => read,
            // A FIN without a goodbye of TLS.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => 0,
            Err(_) => return Err(Broken::Source),
        };
        if read == 0 {
            break;
        }
        sink.write_all(&bytes[..read]).await.map_err(|_| Broken::Sink)?;
        sink.flush().await.map_err(|_| Broken::Sink)?;
    }
    sink.shutdown().await.map_err(|_| Broken::Sink)
}
