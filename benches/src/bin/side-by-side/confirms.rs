//! Confirmed and durable: messages of `rooms` a second, beside what the embedded store commits by itself, called as the
//! server calls it, on the same disk.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use touchstone_protocol::Dialect;
use touchstone_storage::{Channels as _, NewChannel, NewPost, Posts as _, Sqlite, Timestamp};

use crate::Args;
use crate::crowd::{self, Crowd, masked};
use crate::process::Server;
use crate::table::{self, Rounds};
use crate::users::Users;

/// Senders, each in a room with one other member.
const SENDERS: usize = 64;

/// Messages of one sender that are not confirmed yet.
const IN_FLIGHT: usize = 16;

/// Bytes of each text.
const TEXT_BYTES: usize = 128;

/// How long one round takes.
const ROUND: Duration = Duration::from_secs(3);

/// Prints a table.
pub(crate) async fn measure(args: &Args) -> Result<()> {
    // Not below /tmp, which may be in memory.
    let folder = tempfile::tempdir_in("target")?;
    let store = format!("embedded:{}", folder.path().join("server.db").display());
    let server = Server::ours(&args.server, &["--dialects", "rooms", "--store", &store])?;
    let users = Users::make(&server, Dialect::Rooms, 2 * SENDERS)?;
    let mut listeners = Crowd::default();
    let mut senders = Vec::new();
    for number in 0..SENDERS {
        let (first, second) = (2 * number, 2 * number + 1);
        let room = users.channel(&server, first..second + 1)?;
        listeners
            .connect(server.address, vec![users.target(second, &room)])
            .await?;
        let (socket, _) = crowd::open(server.address, &users.target(first, &room)).await?;
        senders.push(Sender {
            socket,
            answer_bytes: 0,
        });
    }
    listeners.quiet().await;
    for sender in &mut senders {
        sender.learn().await?;
    }
    let (mut ours, mut alone) = (Rounds::default(), Rounds::default());
    for round in 0..args.rounds {
        let (confirmed, back) = confirmed(senders).await?;
        senders = back;
        ours.0.push(confirmed as f64 / ROUND.as_secs_f64() / 1e3);
        let committed = committed(&folder.path().join(format!("alone{round}.db"))).await?;
        alone.0.push(committed as f64 / ROUND.as_secs_f64() / 1e3);
    }
    table::heading(
        &format!("Durable confirms, {SENDERS} senders with {IN_FLIGHT} in flight each"),
        &["what", "thousands a second", "over the store alone"],
    );
    table::row(&["ours, `rooms`", &ours.shown(), &ours.over(&alone).shown()]);
    table::row(&["the store alone", &alone.shown(), ""]);
    table::end();
    Ok(())
}

/// A member who talks.
struct Sender {
    socket: TcpStream,
    /// Bytes of his own message as he hears it, which confirms it.
    answer_bytes: usize,
}

impl Sender {
    fn message() -> Vec<u8> {
        let text = "x".repeat(TEXT_BYTES);
        masked(&serde_json::json!({"type": "chat.message", "content": text}).to_string())
    }

    /// Takes what has come so far, then says something to see how long its confirmation is.
    async fn learn(&mut self) -> Result<()> {
        let mut buffer = vec![0; 64 << 10];
        while self.socket.try_read(&mut buffer).is_ok_and(|read| read > 0) {}
        self.socket.write_all(&Self::message()).await?;
        self.answer_bytes = self.socket.read(&mut buffer).await?;
        ensure!(self.answer_bytes > TEXT_BYTES, "no confirmation");
        Ok(())
    }

    /// Talks until `end`, and awaits the confirmations of all that was said. Returns how many there were by `end`.
    async fn talk(&mut self, end: Instant) -> Result<usize> {
        let message = Self::message();
        let mut buffer = vec![0; 64 << 10];
        let (mut sent, mut heard, mut in_time) = (0, 0, 0);
        loop {
            let confirmed = heard / self.answer_bytes;
            let is_over = Instant::now() >= end;
            if !is_over {
                in_time = confirmed;
                let wanted = confirmed + IN_FLIGHT;
                self.socket.write_all(&message.repeat(wanted - sent)).await?;
                sent = wanted;
            } else if confirmed == sent {
                return Ok(in_time);
            }
            let read = self.socket.read(&mut buffer).await?;
            ensure!(read > 0, "the server has ended the connection");
            heard += read;
        }
    }
}

async fn confirmed(senders: Vec<Sender>) -> Result<(usize, Vec<Sender>)> {
    let end = Instant::now() + ROUND;
    let mut talking = JoinSet::new();
    for mut sender in senders {
        talking.spawn(async move { sender.talk(end).await.map(|confirmed| (confirmed, sender)) });
    }
    let mut total = 0;
    let mut back = Vec::new();
    while let Some(ended) = talking.join_next().await {
        let (confirmed, sender) = ended??;
        total += confirmed;
        back.push(sender);
    }
    Ok((total, back))
}

/// Posts that the store commits in a round, given to it by as many callers, each as many at a time.
async fn committed(path: &Path) -> Result<usize> {
    let store = Sqlite::open(path)?;
    let channels = (0..SENDERS).map(|number| NewChannel {
        realm: "realm".into(),
        id: format!("channel{number}"),
        name: None,
        members: vec![format!("user{number}")],
    });
    store.create_channels(channels.collect()).await?;
    let end = Instant::now() + ROUND;
    let mut callers = JoinSet::new();
    for number in 0..SENDERS {
        let store = store.clone();
        callers.spawn(async move { say(&store, number, end).await });
    }
    let mut total = 0;
    while let Some(ended) = callers.join_next().await {
        total += ended??;
    }
    Ok(total)
}

async fn say(store: &Sqlite, caller: usize, end: Instant) -> Result<usize> {
    let (realm, channel, author): (Arc<str>, Arc<str>, Arc<str>) = (
        "realm".into(),
        format!("channel{caller}").into(),
        format!("user{caller}").into(),
    );
    let mut said = 0;
    while Instant::now() < end {
        let posts = (said..said + IN_FLIGHT).map(|number| NewPost {
            realm: Arc::clone(&realm),
            channel: Arc::clone(&channel),
            id: format!("{caller}.{number}"),
            author: Arc::clone(&author),
            text: "x".repeat(TEXT_BYTES),
            at: Timestamp::from_millis(1_700_000_000_000),
        });
        let numbers = store.say(posts.collect()).await?;
        ensure!(numbers.iter().all(Option::is_some), "the author is a member");
        said += numbers.len();
    }
    Ok(said)
}
