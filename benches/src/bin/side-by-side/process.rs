//! Servers as processes: started, asked, stopped.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use crate::accounting;

/// Keys of a server that lives for one measurement on this machine.
const SECRET: &str = "the secret of a server that is measured";
const ADMIN_KEY: &str = "the key of a server that is measured";

/// A server that runs. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    /// It ends when this does.
    _tie: ChildStdin,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// From its start until it said that it was ready.
    pub(crate) started_in: Duration,
}

impl Server {
    /// Our server, with limits that count and never bite, and these flags beside.
    pub(crate) fn ours(program: &Path, flags: &[&str]) -> Result<Self> {
        let mut command = Command::new(program);
        command.args(["serve", "--supervised", "--listen", "127.0.0.1:0"]);
        for key in [
            "rooms.rate=1000000/s burst 1000000",
            "echo.rate=1000000/s burst 1000000",
            "limits.connections_per_user=100000",
            "limits.connections_per_ip=100000",
            "feed.heartbeat.interval=1h",
            "direct.heartbeat.interval=1h",
            "echo.heartbeat.interval=1h",
        ] {
            command.args(["--set", key]);
        }
        let greeting = json!({"secret": SECRET, "admin_key": ADMIN_KEY});
        Self::start(command.args(flags), &format!("{greeting}\n"))
    }

    /// What it is measured against: `bare` or `axum`.
    pub(crate) fn rival(program: &Path, name: &str) -> Result<Self> {
        Self::start(Command::new(program).arg(name), "")
    }

    fn start(command: &mut Command, greeting: &str) -> Result<Self> {
        let begun = Instant::now();
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("{command:?} cannot be started"))?;
        let mut tie = child.stdin.take().context("stdin is a pipe")?;
        tie.write_all(greeting.as_bytes())?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("stdout is a pipe")?).read_line(&mut line)?;
        let started_in = begun.elapsed();
        let ready: Value =
            serde_json::from_str(&line).with_context(|| format!("{command:?} is not ready"))?;
        let address = ready["ready"]["http"]
            .as_str()
            .context("it says where")?
            .parse()?;
        Ok(Self {
            child,
            _tie: tie,
            address,
            started_in,
        })
    }

    /// CPU time that it has used.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        accounting::cpu(self.child.id())
    }

    /// Its anonymous resident memory, in bytes.
    pub(crate) fn anonymous_bytes(&self) -> Result<u64> {
        accounting::anonymous_bytes(self.child.id())
    }

    /// Asks the admin API for something.
    pub(crate) fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let body = body.to_string();
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {ADMIN_KEY}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n",
            self.address,
            body.len()
        );
        let mut socket = TcpStream::connect(self.address)?;
        socket.write_all(request.as_bytes())?;
        socket.write_all(body.as_bytes())?;
        let mut response = String::new();
        socket.read_to_string(&mut response)?;
        let (head, body) = response.split_once("\r\n\r\n").context("a whole response")?;
        if !head.starts_with("HTTP/1.1 2") {
            bail!("{path} was refused: {head}\n{body}");
        }
        Ok(serde_json::from_str(body).unwrap_or_default())
    }

    /// Tells it to stop. Returns how long that took.
    pub(crate) fn stop(mut self) -> Result<Duration> {
        let begun = Instant::now();
        let pid = i32::try_from(self.child.id())?;
        // SAFETY: takes plain integers; the process is our child and was not reaped.
        unsafe { libc::kill(pid, libc::SIGTERM) };
        self.child.wait()?;
        Ok(begun.elapsed())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
