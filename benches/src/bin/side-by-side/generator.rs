//! The load generator beside clients that measure nothing: N sessions of `echo`, one message of 64 bytes per second each.
//!
//! CPU is taken over a window in which all sessions are connected and talk, so that connecting is not in it. Tools that others use
//! are asked once where they are installed: they need several times as much, so that one round tells.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use tokio::time::sleep;

use crate::process::Server;
use crate::table::{self, Rounds};
use crate::{Args, accounting};

/// Sessions of the crowds that are compared.
const CROWDS: [usize; 2] = [1_000, 5_000];

/// How long is measured; each session says as many messages as it has seconds.
const WINDOW: Duration = Duration::from_secs(20);

/// From the last connection to the window: whoever was connected late talks by then.
const WARM_UP: Duration = Duration::from_secs(2);

/// All sessions are connected within this time.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is given to `touchstone load run`: it outlasts the window, wherever that begins.
const WORKLOAD: &str = "\
title: one message of 64 bytes per second and session
dialect: echo
sessions: 1
phases:
  - ramp: {for: 2s}
  - steady: {for: 120s}
messages: {rate: 1, spacing: uniform, bytes: 64}
";

/// The same for artillery, whose sessions begin so many a second.
fn artillery(address: SocketAddr, sessions: usize) -> String {
    format!(
        "\
config:
  target: ws://{address}
  phases:
    - duration: {RAMP_SECONDS}
      arrivalCount: {sessions}
scenarios:
  - engine: ws
    flow:
      - connect: \"{{{{ target }}}}/ws/chat/?session=artillery-{{{{ $uuid }}}}\"
      - loop:
          - send: \"{TEXT}\"
          - think: 1
        count: 180
"
    )
}

/// 64 bytes.
const TEXT: &str = "sixty-four bytes of text that come back as they are, and no more";

/// Within this time the tools open their sessions.
const RAMP_SECONDS: usize = 10;

/// Its name in the folder of the run.
const WORKLOAD_FILE: &str = "talk.yaml";

/// Who talks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Client {
    Ours,
    Bare,
    Tungstenite,
    Artillery,
    Locust,
}

/// How often a client is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turns {
    EachRound,
    Once,
}

impl Client {
    const ALL: [Self; 5] = [
        Self::Ours,
        Self::Bare,
        Self::Tungstenite,
        Self::Artillery,
        Self::Locust,
    ];

    /// `None` if it is not installed.
    fn turns(self, args: &Args) -> Option<Turns> {
        match self {
            Self::Ours | Self::Bare | Self::Tungstenite => Some(Turns::EachRound),
            Self::Artillery => args.artillery.exists().then_some(Turns::Once),
            Self::Locust => args.locust.exists().then_some(Turns::Once),
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Ours => "`load run`, everything measured",
            Self::Bare => "bare TCP, nothing measured",
            Self::Tungstenite => "tokio-tungstenite, 4 KiB, nothing measured",
            Self::Artillery => "artillery",
            Self::Locust => "locust, one process",
        }
    }

    fn command(self, args: &Args, folder: &Path, server: &Server, sessions: usize) -> Result<Command> {
        let address = server.address.to_string();
        Ok(match self {
            Self::Ours => {
                let mut command = Command::new(&args.server);
                command
                    .args(["load", "run"])
                    .arg(folder.join(WORKLOAD_FILE))
                    .arg("--url")
                    .arg(format!("ws://{address}"))
                    .args(["--dialects", "echo", "--set"])
                    .arg(format!("sessions={sessions}"));
                command
            }
            Self::Bare | Self::Tungstenite => {
                let name = if self == Self::Bare {
                    "bare-client"
                } else {
                    "tungstenite-client"
                };
                let mut command = Command::new(&args.rivals);
                command.arg(name).arg(address).arg(sessions.to_string());
                command
            }
            Self::Artillery => {
                let script = folder.join("artillery.yaml");
                fs::write(&script, artillery(server.address, sessions))?;
                let mut command = Command::new(&args.artillery);
                command.arg("run").arg(script);
                command
            }
            Self::Locust => {
                let spawned = sessions.div_ceil(RAMP_SECONDS).to_string();
                let mut command = Command::new(&args.locust);
                command
                    .args(["--headless", "--locustfile", "benches/rivals/tools/locustfile.py"])
                    .args(["--users", &sessions.to_string(), "--spawn-rate", &spawned])
                    .args(["--host", &format!("ws://{address}")]);
                command
            }
        })
    }
}

/// A client that runs. Dropping it ends it.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a client has used.
struct Used {
    cpu: Duration,
    /// The most it ever had resident, connects included.
    peak_bytes: u64,
}

/// Prints two tables.
pub(crate) async fn measure(args: &Args) -> Result<()> {
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join(WORKLOAD_FILE), WORKLOAD)?;
    let server = Server::ours(&args.server, &["--dialects", "echo"])?;
    let empty = one(args, Client::Ours, folder.path(), &server, 1).await?;
    for sessions in CROWDS {
        let mut cpu = Client::ALL.map(|_| Rounds::default());
        let mut peak = Client::ALL.map(|_| Rounds::default());
        let mut unable = Vec::new();
        for round in 0..args.rounds {
            // Each round begins with another, so that none always comes after the same.
            for turn in 0..Client::ALL.len() {
                let at = (round + turn) % Client::ALL.len();
                let client = Client::ALL[at];
                let used = match (client.turns(args), round) {
                    (Some(Turns::EachRound), _) => {
                        one(args, client, folder.path(), &server, sessions).await?
                    }
                    (Some(Turns::Once), 0) => match one(args, client, folder.path(), &server, sessions).await
                    {
                        Ok(used) => used,
                        Err(why) => {
                            unable.push((client, why));
                            continue;
                        }
                    },
                    (Some(Turns::Once), _) | (None, _) => continue,
                };
                cpu[at].0.push(used.cpu.as_secs_f64());
                peak[at].0.push(used.peak_bytes as f64 / f64::from(1 << 20));
            }
        }
        table::heading(
            &format!("{sessions} sessions, one message of 64 bytes per second each, {WINDOW:?}"),
            &[
                "client",
                "s of CPU",
                "over bare TCP",
                "over tokio-tungstenite",
                "peak, MiB",
                "over `load run` with 1 session, MiB",
            ],
        );
        let of = |wanted| Client::ALL.iter().position(|client| *client == wanted);
        let bare = cpu[of(Client::Bare).context("it is one of them")?].clone();
        let tungstenite = cpu[of(Client::Tungstenite).context("it is one of them")?].clone();
        for (at, client) in Client::ALL.into_iter().enumerate() {
            if cpu[at].0.is_empty() {
                continue;
            }
            let more = match client {
                Client::Ours => {
                    let base = empty.peak_bytes as f64 / f64::from(1 << 20);
                    Rounds(peak[at].0.iter().map(|peak| peak - base).collect()).shown()
                }
                Client::Bare | Client::Tungstenite | Client::Artillery | Client::Locust => String::new(),
            };
            table::row(&[
                client.name(),
                &cpu[at].shown(),
                &cpu[at].over(&bare).shown(),
                &cpu[at].over(&tungstenite).shown(),
                &peak[at].shown(),
                &more,
            ]);
        }
        table::end();
        for (client, why) in unable {
            table::note(&format!("{} does not: {why:#}", client.name()));
        }
    }
    Ok(())
}

async fn one(args: &Args, client: Client, folder: &Path, server: &Server, sessions: usize) -> Result<Used> {
    let mut command = client.command(args, folder, server, sessions)?;
    let child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("{command:?} cannot be started"))?;
    let mut running = Running(child);
    let pid = running.0.id();
    let begun = Instant::now();
    while sockets(pid)? < sessions {
        if let Some(status) = running.0.try_wait()? {
            bail!("{command:?} ended with {status} before all were connected");
        }
        ensure!(begun.elapsed() < PATIENCE, "{command:?} does not connect");
        sleep(Duration::from_millis(50)).await;
    }
    sleep(WARM_UP).await;
    let before = accounting::cpu(pid)?;
    sleep(WINDOW).await;
    let cpu = accounting::cpu(pid)? - before;
    let peak_bytes = accounting::peak_bytes(pid)?;
    ensure!(
        sockets(pid)? >= sessions && running.0.try_wait()?.is_none(),
        "{command:?} lost connections"
    );
    Ok(Used { cpu, peak_bytes })
}

fn sockets(pid: u32) -> Result<usize> {
    let mut sockets = 0;
    for descriptor in fs::read_dir(format!("/proc/{pid}/fd"))? {
        // One that was closed meanwhile is none.
        if let Ok(target) = fs::read_link(descriptor?.path()) {
            sockets += usize::from(target.to_string_lossy().starts_with("socket:"));
        }
    }
    Ok(sockets)
}
