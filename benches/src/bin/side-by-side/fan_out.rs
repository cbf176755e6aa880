//! Fan-out: one publisher, thousands who hear it, and what each delivery costs the server.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Result, bail, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use touchstone_protocol::Dialect;

use crate::Args;
use crate::crowd::{self, Crowd, masked};
use crate::process::Server;
use crate::table::{self, Rounds};
use crate::users::Users;

/// Publications of one round.
const PUBLICATIONS: usize = 80;

/// Publications that are not yet answered, in the second half of the measurement.
const IN_FLIGHT: usize = 8;

/// Bytes of the text that is published.
const TEXT_BYTES: usize = 128;

/// How a publisher makes a server tell everybody.
enum Publisher {
    /// A member of the room who hears himself: each of his own messages confirms one.
    Member { message: Vec<u8>, answer_bytes: usize },
    /// The bare writer is told how many frames to write at once.
    Bare { frame: Vec<u8> },
}

/// One server with its crowd.
struct Side {
    server: Server,
    crowd: Crowd,
    /// Bytes that one subscriber hears of one publication.
    frame_bytes: usize,
    deliveries: usize,
    publisher: Publisher,
    socket: TcpStream,
    alone: Rounds,
    in_flight: Rounds,
}

impl Side {
    /// Publishes, and awaits that everybody has heard it all. Returns the microseconds of CPU per delivery.
    async fn round(&mut self, in_flight: usize) -> Result<f64> {
        let before = self.server.cpu()?;
        let mut awaited = self.crowd.bytes();
        let step = (self.frame_bytes * self.deliveries) as u64;
        match &self.publisher {
            Publisher::Bare { frame } => {
                let mut message = Vec::new();
                message.extend_from_slice(&u32::try_from(frame.len())?.to_le_bytes());
                message.extend_from_slice(&u32::try_from(in_flight)?.to_le_bytes());
                message.extend_from_slice(frame);
                for _ in 0..PUBLICATIONS / in_flight {
                    self.socket.write_all(&message).await?;
                    awaited += step * in_flight as u64;
                    self.crowd.reach(awaited).await?;
                }
            }
            Publisher::Member {
                message,
                answer_bytes,
            } => {
                let (mut sent, mut answered, mut heard) = (0, 0, 0);
                let mut buffer = vec![0; 64 << 10];
                while answered < PUBLICATIONS {
                    let wanted = (answered + in_flight).min(PUBLICATIONS);
                    if sent < wanted {
                        self.socket.write_all(&message.repeat(wanted - sent)).await?;
                        sent = wanted;
                    }
                    let read = self.socket.read(&mut buffer).await?;
                    ensure!(read > 0, "the server has ended the publisher's connection");
                    heard += read;
                    answered = heard / answer_bytes;
                    if in_flight == 1 && answered == sent {
                        self.crowd.reach(awaited + step * sent as u64).await?;
                    }
                }
                awaited += step * PUBLICATIONS as u64;
                self.crowd.reach(awaited).await?;
            }
        }
        let spent = self.server.cpu()? - before;
        Ok(spent.as_secs_f64() * 1e6 / (PUBLICATIONS * (self.deliveries + self.heard_by_publisher())) as f64)
    }

    fn heard_by_publisher(&self) -> usize {
        match self.publisher {
            Publisher::Member { .. } => 1,
            Publisher::Bare { .. } => 0,
        }
    }
}

/// Prints a table.
pub(crate) async fn measure(args: &Args) -> Result<()> {
    let ours = ours(&args.server, args.subscribers).await?;
    let bytes = ours.frame_bytes;
    let bare = bare(&args.rivals, args.subscribers, bytes).await?;
    let axum = axum(&args.rivals, args.subscribers, bytes).await?;
    let mut sides = [ours, bare, axum];
    for round in 0..=args.rounds {
        for side in &mut sides {
            let (alone, in_flight) = (side.round(1).await?, side.round(IN_FLIGHT).await?);
            // The first one warms up.
            if round > 0 {
                side.alone.0.push(alone);
                side.in_flight.0.push(in_flight);
            }
        }
    }
    table::heading(
        &format!(
            "Fan-out of {TEXT_BYTES} bytes ({bytes} on the wire) to {} sessions",
            args.subscribers
        ),
        &[
            "server",
            "µs of CPU per delivery, one at a time",
            "over the bare writer",
            "eight in flight",
            "over the bare writer",
        ],
    );
    let names = ["ours, `rooms`", "bare writer", "axum `ws`, defaults"];
    for (name, side) in names.into_iter().zip(&sides) {
        let alone = side.alone.over(&sides[1].alone);
        let in_flight = side.in_flight.over(&sides[1].in_flight);
        table::row(&[
            name,
            &side.alone.shown(),
            &alone.shown(),
            &side.in_flight.shown(),
            &in_flight.shown(),
        ]);
    }
    table::end();
    Ok(())
}

async fn ours(program: &Path, subscribers: usize) -> Result<Side> {
    let server = Server::ours(program, &["--dialects", "rooms"])?;
    let users = Users::make(&server, Dialect::Rooms, subscribers + 1)?;
    let room = users.channel(&server, 0..subscribers + 1)?;
    let mut crowd = Crowd::default();
    let targets = (0..subscribers)
        .map(|number| users.target(number, &room))
        .collect();
    crowd.connect(server.address, targets).await?;
    let (mut socket, _) = crowd::open(server.address, &users.target(subscribers, &room)).await?;
    crowd.quiet().await;
    drain(&mut socket).await?;
    let text = "x".repeat(TEXT_BYTES);
    let message = masked(&serde_json::json!({"type": "chat.message", "content": text}).to_string());
    let before = crowd.bytes();
    socket.write_all(&message).await?;
    crowd.quiet().await;
    let frame_bytes = usize::try_from(crowd.bytes() - before)? / subscribers;
    let answer_bytes = drain(&mut socket).await?;
    ensure!(
        frame_bytes > TEXT_BYTES && answer_bytes > TEXT_BYTES,
        "not everybody heard it"
    );
    Ok(Side {
        server,
        crowd,
        frame_bytes,
        deliveries: subscribers,
        publisher: Publisher::Member {
            message,
            answer_bytes,
        },
        socket,
        alone: Rounds::default(),
        in_flight: Rounds::default(),
    })
}

async fn axum(program: &Path, subscribers: usize, frame_bytes: usize) -> Result<Side> {
    let server = Server::rival(program, "axum")?;
    let mut crowd = Crowd::default();
    crowd
        .connect(server.address, vec!["/room".to_owned(); subscribers])
        .await?;
    let (socket, _) = crowd::open(server.address, "/room").await?;
    // Two bytes of header and two of length: the same bytes on the wire as ours.
    let message = masked(&"x".repeat(frame_bytes - 4));
    Ok(Side {
        server,
        crowd,
        frame_bytes,
        deliveries: subscribers,
        publisher: Publisher::Member {
            message,
            answer_bytes: frame_bytes,
        },
        socket,
        alone: Rounds::default(),
        in_flight: Rounds::default(),
    })
}

async fn bare(program: &Path, subscribers: usize, frame_bytes: usize) -> Result<Side> {
    let server = Server::rival(program, "bare")?;
    let mut crowd = Crowd::default();
    for _ in 0..subscribers {
        crowd.add(named(server.address, b"s").await?, Vec::new());
    }
    let socket = named(server.address, b"p").await?;
    Ok(Side {
        server,
        crowd,
        frame_bytes,
        deliveries: subscribers,
        publisher: Publisher::Bare {
            frame: vec![b'x'; frame_bytes],
        },
        socket,
        alone: Rounds::default(),
        in_flight: Rounds::default(),
    })
}

/// A connection to the bare writer that has said what it is.
async fn named(address: SocketAddr, name: &[u8]) -> Result<TcpStream> {
    let mut socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    socket.write_all(name).await?;
    Ok(socket)
}

/// Takes what has arrived. Returns how much that was.
async fn drain(socket: &mut TcpStream) -> Result<usize> {
    let mut drained = 0;
    let mut buffer = vec![0; 64 << 10];
    loop {
        match socket.try_read(&mut buffer) {
            Ok(0) => bail!("the server has ended the publisher's connection"),
            Ok(read) => drained += read,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(drained),
            Err(error) => return Err(error.into()),
        }
    }
}
