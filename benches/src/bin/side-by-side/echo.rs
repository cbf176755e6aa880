//! Echo: one message in flight, and what each costs the server.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::process::Server;
use crate::table::{self, Rounds};
use crate::{Args, crowd};

/// Messages of one round.
const MESSAGES: usize = 20_000;

/// What is said.
const TEXT: &str = "sixty-four bytes of text that come back as they are, and no more";

/// One server with a connection to it.
struct Side {
    server: Server,
    socket: TcpStream,
    costs: Rounds,
}

impl Side {
    async fn round(&mut self) -> Result<()> {
        let message = crowd::masked(TEXT);
        let mut buffer = [0; 4096];
        let before = self.server.cpu()?;
        for _ in 0..MESSAGES {
            self.socket.write_all(&message).await?;
            ensure!(
                self.socket.read(&mut buffer).await? > 0,
                "the server has ended the connection"
            );
        }
        let spent = self.server.cpu()? - before;
        self.costs.0.push(spent.as_secs_f64() * 1e6 / MESSAGES as f64);
        Ok(())
    }
}

/// Prints a table.
pub(crate) async fn measure(args: &Args) -> Result<()> {
    let ours = Server::ours(&args.server, &["--dialects", "echo"])?;
    let bare = Server::rival(&args.rivals, "bare")?;
    let axum = Server::rival(&args.rivals, "axum")?;
    let mut sides = [
        side(ours, "/ws/chat/").await?,
        Side {
            socket: echoed(bare.address).await?,
            server: bare,
            costs: Rounds::default(),
        },
        side(axum, "/echo").await?,
    ];
    for _ in 0..=args.rounds {
        for side in &mut sides {
            side.round().await?;
        }
    }
    for side in &mut sides {
        // The first one warms up.
        side.costs.0.remove(0);
    }
    table::heading(
        "Echo of 64 bytes, one in flight",
        &["server", "µs of CPU per message", "over bare TCP"],
    );
    for (name, side) in ["ours", "bare TCP", "axum `ws`, defaults"]
        .into_iter()
        .zip(&sides)
    {
        let ratio = side.costs.over(&sides[1].costs);
        table::row(&[name, &side.costs.shown(), &ratio.shown()]);
    }
    table::end();
    Ok(())
}

async fn side(server: Server, path: &str) -> Result<Side> {
    let (socket, _) = crowd::open(server.address, path).await?;
    Ok(Side {
        server,
        socket,
        costs: Rounds::default(),
    })
}

async fn echoed(address: SocketAddr) -> Result<TcpStream> {
    let mut socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    socket.write_all(b"e").await?;
    Ok(socket)
}
