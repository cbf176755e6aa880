//! A crowd comes, goes, and is told to go: what it costs in memory, what of that comes back, and how long the goodbye takes.
//!
//! `cargo bench --bench crowd [-- DIALECT]` starts the server in a process of its own and says, over several rounds,
//! the anonymous resident memory of that process after a warm-up, with the crowd there, and ten seconds after it has
//! gone; then how long a graceful stop takes until the last of the crowd has read its close frame and the end of TCP.
//! The system's own figures are read, so this is for Linux. Under `cargo test` a small crowd comes, so that it cannot rot.

#![expect(clippy::print_stdout, reason = "a measurement's output is what it is for")]

use std::io::Read;
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use touchstone_protocol::{Dialect, routes};
use touchstone_server::{Config, Secret, Server};

/// Tells the process that it is the server, and for which dialect.
const SERVER_OF: &str = "TOUCHSTONE_BENCH_SERVER";

const ADMIN_KEY: &str = "the key of the bench";

/// Handshakes under way at a time.
const HANDSHAKES: usize = 64;

/// What a run is made of.
struct Plan {
    dialect: Dialect,
    warm_up: usize,
    crowd: usize,
    rounds: usize,
    /// From when the crowd has gone to when memory is measured.
    pause: Duration,
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.expect("this machine gives threads");
    if std::env::var(SERVER_OF).is_ok() {
        return runtime.block_on(serve());
    }
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let named = arguments
        .iter()
        .find_map(|argument| argument.parse::<Dialect>().ok());
    let dialects = named.map_or_else(|| vec![Dialect::Echo, Dialect::Feed], |dialect| vec![dialect]);
    for dialect in dialects {
        let plan = if arguments.iter().any(|argument| argument == "--bench") {
            Plan {
                dialect,
                warm_up: 100,
                crowd: 10_000,
                rounds: 3,
                pause: Duration::from_secs(10),
            }
        } else {
            Plan {
                dialect,
                warm_up: 2,
                crowd: 20,
                rounds: 1,
                pause: Duration::ZERO,
            }
        };
        runtime.block_on(measure(&plan));
    }
}

/// The server's process: says where it listens, and stops when its input ends.
async fn serve() {
    let mut config = Config {
        listen: vec![SocketAddr::from(([127, 0, 0, 1], 0))],
        admin_key: Some(Secret::new(ADMIN_KEY)),
        ..Config::default()
    };
    config.auth.secret = Some(Secret::new("a secret for the bench, of some length"));
    let server = Server::bind(config).expect("a free port");
    println!("{}", server.addresses()[0]);
    let stop = CancellationToken::new();
    let told = async {
        // The end of the input, or that nobody waits for it any more: both end the server.
        let _ = tokio::task::spawn_blocking(|| std::io::stdin().read(&mut [0])).await;
        stop.cancel();
        std::future::pending::<()>().await;
    };
    tokio::select! {
        stopped = server.run(stop.clone()) => println!("{} left", stopped.connections_left),
        () = told => {}
    }
}

struct Running {
    process: Child,
    address: SocketAddr,
}

impl Running {
    async fn start() -> Self {
        let program = std::env::current_exe().expect("this program has a path");
        let mut process = Command::new(program)
            .env(SERVER_OF, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("this program can be started again");
        let mut said = BufReader::new(process.stdout.as_mut().expect("it is piped")).lines();
        let address = said
            .next_line()
            .await
            .expect("it can be read")
            .expect("it says where it is");
        let address = address.parse().expect("an address");
        Self { process, address }
    }

    /// Anonymous resident memory, in KiB.
    fn memory_kib(&self) -> u64 {
        let pid = self.process.id().expect("it runs");
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        let number = line.and_then(|line| line.split_whitespace().next());
        number.and_then(|number| number.parse().ok()).unwrap_or(0)
    }

    /// The paths of `count` users, who are made where the dialect has some.
    async fn paths(&self, dialect: Dialect, count: usize) -> Vec<String> {
        let path = routes::prefixed(dialect, routes::websocket(dialect));
        let Some(token) = routes::token_parameter(dialect) else {
            return vec![path; count];
        };
        let users: Vec<_> = (0..count)
            .map(|number| serde_json::json!({"username": format!("u{number}-{}", self.address.port())}))
            .collect();
        let body = serde_json::json!({"dialect": dialect.name(), "users": users}).to_string();
        let begun = Instant::now();
        let made = self.post("/admin/users", &body).await;
        println!("  {count} users made in {:?}", begun.elapsed());
        let users = made["users"]
            .as_array()
            .unwrap_or_else(|| panic!("no users: {made}"));
        let tokens = users.iter().map(|user| user["token"].as_str().expect("a token"));
        tokens.map(|value| format!("{path}?{token}={value}")).collect()
    }

    async fn post(&self, path: &str, body: &str) -> serde_json::Value {
        let mut stream = TcpStream::connect(self.address).await.expect("it listens");
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\nAuthorization: Bearer {ADMIN_KEY}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("it answers");
        let (_, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        serde_json::from_str(body).unwrap_or_else(|_| panic!("no JSON: {answer}"))
    }
}

/// Connects to every path and returns the sockets.
async fn arrive(address: SocketAddr, paths: &[String]) -> Vec<TcpStream> {
    let next = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let paths: Arc<[String]> = paths.into();
    let mut hands = JoinSet::new();
    for _ in 0..HANDSHAKES {
        let (next, paths) = (Arc::clone(&next), Arc::clone(&paths));
        hands.spawn(async move {
            let mut arrived = Vec::new();
            while let Some(path) = paths.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
                arrived.push(handshake(address, path).await);
            }
            arrived
        });
    }
    hands.join_all().await.into_iter().flatten().collect()
}

async fn handshake(address: SocketAddr, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.expect("it reads");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("it answers"));
    }
    assert!(
        head.starts_with(b"HTTP/1.1 101"),
        "{}",
        String::from_utf8_lossy(&head)
    );
    // One message each, an empty masked text, so that nobody is a stranger to any of the server's buffers.
    stream
        .write_all(&[0x81, 0x80, 0, 0, 0, 0])
        .await
        .expect("it reads");
    stream
}

/// Closes like a browser, and waits for the server's end of TCP.
async fn leave(sockets: Vec<TcpStream>) {
    let mut leaving = JoinSet::new();
    for mut socket in sockets {
        leaving.spawn(async move {
            let _ = socket.write_all(&[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xE8]).await;
            let _ = tokio::io::copy(&mut socket, &mut tokio::io::sink()).await;
        });
    }
    leaving.join_all().await;
}

async fn measure(plan: &Plan) {
    println!(
        "{}: {} sessions, {} of them to warm up",
        plan.dialect, plan.crowd, plan.warm_up
    );
    let running = Running::start().await;
    let paths = running.paths(plan.dialect, plan.crowd).await;
    let at_start = running.memory_kib();
    leave(arrive(running.address, &paths[..plan.warm_up]).await).await;
    tokio::time::sleep(plan.pause).await;
    let warm = running.memory_kib();
    println!("  {at_start} KiB before, {warm} KiB after the warm-up");
    for round in 1..=plan.rounds {
        let begun = Instant::now();
        let sockets = arrive(running.address, &paths).await;
        let arrived = begun.elapsed();
        tokio::time::sleep(plan.pause / 10).await;
        let there = running.memory_kib();
        leave(sockets).await;
        let gone = running.memory_kib();
        tokio::time::sleep(plan.pause).await;
        let after = running.memory_kib();
        let added = there.saturating_sub(warm);
        let kept = after.saturating_sub(warm) as f64 / added.max(1) as f64;
        println!(
            "  round {round}: there after {arrived:.1?}; {there} KiB with them ({:.2} KiB each), {gone} KiB when they had \
             gone, {after} KiB after {:?}: {:.1} % of what they added is still there",
            added as f64 / plan.crowd as f64,
            plan.pause,
            kept * 100.0
        );
    }
    goodbye(running, &paths).await;
}

/// A graceful stop with everybody there.
async fn goodbye(mut running: Running, paths: &[String]) {
    let sockets = arrive(running.address, paths).await;
    let mut seen_off = JoinSet::new();
    for mut socket in sockets {
        seen_off.spawn(async move {
            let mut read = Vec::new();
            socket
                .read_to_end(&mut read)
                .await
                .expect("TCP ends without a reset");
            // The last frame is a close with code 1001.
            assert!(read.windows(2).any(|code| code == [0x03, 0xE9]), "a close frame");
        });
    }
    let begun = Instant::now();
    drop(running.process.stdin.take());
    seen_off.join_all().await;
    let told = begun.elapsed();
    running.process.wait().await.expect("it ends");
    println!(
        "  goodbye: the last of {} has read its close frame after {told:.2?}, the process has ended after {:.2?}",
        paths.len(),
        begun.elapsed()
    );
}
