//! `redis-server`, started for one test.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use redis::{Commands, Connection, FromRedisValue};
use tempfile::TempDir;
use touchstone_storage::redis::RedisUrl;

/// A server that has not answered by then never will.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// What a server keeps when it is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Memory {
    /// Nothing.
    Lost,
    /// Everything that it has answered.
    AppendedAlways,
}

/// One server, with a folder and a port of its own.
pub(crate) struct Server {
    child: Child,
    folder: TempDir,
    port: u16,
    arguments: Vec<String>,
}

/// Three masters that share the slots.
pub(crate) struct Cluster {
    servers: Vec<Server>,
}

/// A port that nobody has right now.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

impl Server {
    pub(crate) fn start(memory: Memory) -> Self {
        Self::start_with(memory, &[])
    }

    pub(crate) fn start_with(memory: Memory, more: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut arguments: Vec<String> = ["--save", "", "--bind", "127.0.0.1", "--appendonly"]
            .map(str::to_owned)
            .to_vec();
        arguments.extend(match memory {
            Memory::Lost => vec!["no".to_owned()],
            Memory::AppendedAlways => ["yes", "--appendfsync", "always"].map(str::to_owned).to_vec(),
        });
        arguments.extend(more.iter().map(|&argument| argument.to_owned()));
        // Between the look for a free port and the start somebody else may take it: then another one.
        for _ in 0..8 {
            let port = free_port();
            let mut child = spawn(folder.path(), port, &arguments);
            if is_ready(&mut child, port) {
                return Self {
                    child,
                    folder,
                    port,
                    arguments,
                };
            }
        }
        panic!("no redis-server starts; `cargo xtask needs` installs it");
    }

    /// A Sentinel that looks after the master on this port, under the name `main`, and knows its replica.
    pub(crate) fn sentinel(master: u16, replica: u16) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let configuration = folder.path().join("sentinel.conf");
        // Without the second line it would ask the master in ten seconds.
        let monitored = format!(
            "sentinel monitor main 127.0.0.1 {master} 1\nsentinel known-replica main 127.0.0.1 {replica}\n"
        );
        std::fs::write(&configuration, monitored).unwrap();
        let port = free_port();
        let mut child = Command::new("redis-server")
            .arg(&configuration)
            .arg("--sentinel")
            .args(["--bind", "127.0.0.1", "--port", &port.to_string()])
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is there: `cargo xtask needs` installs it");
        assert!(is_ready(&mut child, port), "the port is still free");
        Self {
            child,
            folder,
            port,
            arguments: Vec::new(),
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self) -> RedisUrl {
        format!("redis://127.0.0.1:{}", self.port).parse().unwrap()
    }

    /// A connection of the test's own, as `redis-cli` has one.
    pub(crate) fn connection(&self) -> Connection {
        connect(self.port).expect("it is ready")
    }

    /// What `redis-cli` would be told.
    pub(crate) fn ask<T: FromRedisValue>(&self, words: &[&str]) -> T {
        let (first, rest) = words.split_first().unwrap();
        redis::cmd(first).arg(rest).query(&mut self.connection()).unwrap()
    }

    /// As `kill -9` does.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Once more, on the same port, with what is in its folder.
    pub(crate) fn start_again(&mut self) {
        self.child = spawn(self.folder.path(), self.port, &self.arguments);
        assert!(is_ready(&mut self.child, self.port), "the port is still free");
    }

    /// Lets all keys that run out grow older by so much.
    pub(crate) fn age(&self, by: Duration) {
        let mut connection = self.connection();
        let by = i64::try_from(by.as_millis()).unwrap();
        let keys: Vec<String> = connection.keys("*").unwrap();
        for key in keys {
            let left: i64 = connection.pttl(&key).unwrap();
            if left > by {
                let _: () = connection.pexpire(&key, left - by).unwrap();
            } else if left > 0 {
                let _: () = connection.del(&key).unwrap();
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // An error means that the test has ended it already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Cluster {
    pub(crate) fn start() -> Self {
        let servers: Vec<_> = (0..3)
            .map(|_| {
                let bus_port = free_port().to_string();
                let cluster = ["--cluster-enabled", "yes", "--cluster-port", &bus_port];
                Server::start_with(Memory::Lost, &cluster)
            })
            .collect();
        for (server, slots) in servers
            .iter()
            .zip([["0", "5460"], ["5461", "10922"], ["10923", "16383"]])
        {
            let _: () = server.ask(&["CLUSTER", "ADDSLOTSRANGE", slots[0], slots[1]]);
        }
        let bus_port: Vec<String> = servers[0].ask(&["CONFIG", "GET", "cluster-port"]);
        let first = servers[0].port.to_string();
        for server in &servers[1..] {
            let _: () = server.ask(&["CLUSTER", "MEET", "127.0.0.1", &first, &bus_port[1]]);
        }
        let cluster = Self { servers };
        let knows_all = |server: &Server| {
            let info: String = server.ask(&["CLUSTER", "INFO"]);
            info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3")
        };
        until("the cluster is whole", || cluster.servers.iter().all(knows_all));
        cluster
    }

    pub(crate) fn url(&self) -> RedisUrl {
        let nodes = self
            .servers
            .iter()
            .map(|server| format!("127.0.0.1:{}", server.port));
        let nodes: Vec<_> = nodes.collect();
        format!("redis+cluster://{}", nodes.join(",")).parse().unwrap()
    }

    pub(crate) fn servers(&self) -> &[Server] {
        &self.servers
    }
}

fn spawn(folder: &Path, port: u16, arguments: &[String]) -> Child {
    Command::new("redis-server")
        .arg("--port")
        .arg(port.to_string())
        .arg("--dir")
        .arg(folder)
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("redis-server is there: `cargo xtask needs` installs it")
}

fn connect(port: u16) -> redis::RedisResult<Connection> {
    let client = redis::Client::open((Ipv4Addr::LOCALHOST.to_string(), port))?;
    client.get_connection_with_timeout(Duration::from_secs(5))
}

/// Waits until it answers; `false` if it ends instead.
fn is_ready(child: &mut Child, port: u16) -> bool {
    let mut answers = false;
    until("redis-server is ready", || {
        if child.try_wait().unwrap().is_some() {
            return true;
        }
        answers = connect(port).is_ok_and(|mut connection| {
            redis::cmd("PING")
                .query::<String>(&mut connection)
                .is_ok_and(|said| said == "PONG")
        });
        answers
    });
    answers
}

/// Looks again and again, because a server tells nobody when it is so far.
#[expect(
    clippy::disallowed_methods,
    reason = "there is no event to await, and looking without a pause takes its time from it"
)]
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(
            begun.elapsed() < READY_WITHIN,
            "not within {READY_WITHIN:?}: {what}"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}
