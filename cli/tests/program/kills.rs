//! `kill -9` of a server under load, again and again on one durable store: whatever it confirmed is there afterwards, once
//! (common/9b).

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Message;

use crate::support::{Running, eventually, touchstone};

/// Kills in every run of the tests; `cargo xtask prove` asks for many more.
const KILLS: usize = 5;

/// Sessions that talk at once.
const TALKERS: usize = 16;

/// Messages that a talker has sent and not yet seen confirmed.
const UNCONFIRMED_MAX: usize = 8;

/// A server is killed after it has confirmed this many messages, or a few more.
const CONFIRMED_BEFORE_KILL: std::ops::Range<usize> = 50..800;

/// Counts confirmations up to the one at which the server is to die.
#[derive(Debug, Default)]
struct Confirmations {
    seen: AtomicUsize,
    changed: Notify,
}

impl Confirmations {
    fn note(&self) {
        self.seen.fetch_add(1, Ordering::SeqCst);
        self.changed.notify_one();
    }

    async fn reach(&self, wanted: usize) {
        while self.seen.load(Ordering::SeqCst) < wanted {
            self.changed.notified().await;
        }
    }
}

/// Talks until the connection breaks. Returns what was confirmed, in order.
async fn talk(
    address: String,
    talker: usize,
    round: usize,
    confirmations: Arc<Confirmations>,
) -> Vec<String> {
    let url = format!("ws://{address}/ws/chat/?session=talker{talker}&redis_persistence=true");
    let mut confirmed = Vec::new();
    let Ok((mut socket, _)) = tokio_tungstenite::connect_async(url).await else {
        return confirmed;
    };
    for sent in 0.. {
        if socket
            .send(Message::text(format!("{talker}.{round}.{sent}")))
            .await
            .is_err()
        {
            break;
        }
        if sent < UNCONFIRMED_MAX {
            continue;
        }
        match socket.next().await {
            Some(Ok(answer)) => {
                confirmed.extend(confirmed_by(&answer));
                confirmations.note();
            }
            _ => break,
        }
    }
    // What had arrived before the end counts as well.
    while let Some(Ok(answer)) = socket.next().await {
        confirmed.extend(confirmed_by(&answer));
    }
    confirmed
}

fn confirmed_by(answer: &Message) -> Option<String> {
    let answer: Value = serde_json::from_str(answer.to_text().ok()?).ok()?;
    answer["echo"].as_str().map(str::to_owned)
}

/// What the server has of a talker's session, in order.
async fn kept(address: &str, talker: usize) -> Vec<String> {
    let mut socket = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "GET /chat/api/sessions/talker{talker}/messages/ HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    socket.read_to_string(&mut response).await.unwrap();
    let (_, body) = response.split_once("\r\n\r\n").expect("a whole response");
    let body: Value = serde_json::from_str(body).unwrap();
    let messages = body["messages"].as_array().expect("a list").iter();
    messages
        .map(|message| message["content"].as_str().unwrap().to_owned())
        .collect()
}

fn serve(folder: &Path) -> (Running, String) {
    let args = [
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--dialects",
        "echo",
        "--store",
        "embedded:store.db",
    ];
    let server = Running::start(touchstone(folder, &args));
    let address = eventually("the server listens", || {
        let said = server.said();
        let (_, address) = said
            .lines()
            .find(|line| line.contains("listening"))?
            .split_once("address=")?;
        Some(address.split_whitespace().next()?.to_owned())
    });
    (server, address)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_server_has_confirmed_is_there_afterwards_once() {
    let kills = std::env::var("KILLS").map_or(KILLS, |kills| kills.parse().expect("KILLS is a number"));
    let seed = fastrand::u64(..);
    let mut random = fastrand::Rng::with_seed(seed);
    let folder = tempfile::tempdir().unwrap();
    let mut confirmed: HashMap<usize, Vec<String>> = HashMap::new();
    for round in 0..kills {
        let (server, address) = serve(folder.path());
        let confirmations = Arc::new(Confirmations::default());
        let mut talkers = JoinSet::new();
        for talker in 0..TALKERS {
            let talking = talk(address.clone(), talker, round, Arc::clone(&confirmations));
            talkers.spawn(async move { (talker, talking.await) });
        }
        confirmations.reach(random.usize(CONFIRMED_BEFORE_KILL)).await;
        // Dropping it is `kill -9`.
        drop(server);
        while let Some(ended) = talkers.join_next().await {
            let (talker, messages) = ended.unwrap();
            confirmed.entry(talker).or_default().extend(messages);
        }
        let (_server, address) = serve(folder.path());
        for (talker, confirmed) in &confirmed {
            assert_kept(
                confirmed,
                &kept(&address, *talker).await,
                &format!("seed {seed}, kill {round}"),
            );
        }
    }
    let total: usize = confirmed.values().map(Vec::len).sum();
    assert!(
        total >= kills * CONFIRMED_BEFORE_KILL.start,
        "only {total} were confirmed"
    );
}

/// Every confirmed message is kept, in the order in which it was sent, and no message twice.
fn assert_kept(confirmed: &[String], kept: &[String], place: &str) {
    let mut rest = kept.iter();
    for message in confirmed {
        assert!(
            rest.any(|kept| kept == message),
            "{place}: {message} was confirmed and is not kept in order"
        );
    }
    let mut seen = std::collections::HashSet::new();
    for message in kept {
        assert!(seen.insert(message), "{place}: {message} is kept twice");
    }
}
