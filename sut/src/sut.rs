//! A system under test that runs: reached by HTTP, made to emit and to fail, stopped and started again.

use std::net::{Ipv4Addr, TcpListener};
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::Method;
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout};
use touchstone_protocol::Dialect;
use touchstone_scenarios::mutant::LauncherFault;

use crate::http::{CallError, HttpRequest, HttpResponse, send};
use crate::launcher::Launcher;
use crate::log::Log;
use crate::metrics::Metrics;
use crate::operate::succeeded;
use crate::people::Pool;
use crate::process::{Launch, Process, Signal, StartError, Tie};
use crate::scratch::Scratch;
use crate::shown::shown;
use crate::target::{BuiltIn, Origin, Ready, SPAWN_DEADLINE, Security, Store, Target};
use crate::transport::{Tls, Transport, Trust};

/// Time between two looks at whether a spawned server is ready. There is no event to await: it is another process.
const READY_POLL: Duration = Duration::from_millis(20);

/// Below those that Linux, macOS and Windows give away by themselves, and above what services are known by.
const PORTS: std::ops::Range<u16> = 20_000..32_000;
/// How many of them are looked at before any will do.
const PORT_DRAWS: usize = 20;

/// Of a random key, in the name of a folder: no two runs at a time have the same.
const SCRATCH_ID_CHARS: usize = 16;

/// A system under test that runs, as it is reached.
///
/// Dropping the last view of it ends what was started; [`Sut::shut_down`] lets it stop gracefully first.
#[derive(Debug)]
pub struct Sut {
    target: Target,
    transport: Transport,
    /// `HOST:PORT` of each node, where it is reached; fixed over restarts.
    addresses: Vec<String>,
    system: Arc<System>,
}

/// What all views of a system share.
#[derive(Debug)]
pub(crate) struct System {
    /// What a server's own bytes travel in, and `HOST:PORT` of each of its nodes, whoever may stand in front of them.
    pub(crate) transport: Transport,
    pub(crate) addresses: Vec<String>,
    /// Of a spawned server, while it runs. Only one step at a time starts or stops it.
    pub(crate) process: Mutex<Option<Process>>,
    /// Whether it was sent a signal since it was started: it may run on for a while, but not for anybody else.
    pub(crate) told_to_stop: AtomicBool,
    pub(crate) log: Arc<Log>,
    pub(crate) launcher: Launcher,
    /// What the built-in server was told; made up for this run.
    pub(crate) credentials: Option<Credentials>,
    /// Where a built-in server keeps its store and its certificate, for as long as we may start it again.
    pub(crate) scratch: Option<Scratch>,
    /// Who of a target file's list of users is with which case.
    pub(crate) pool: Arc<Pool>,
}

/// The secrets of a built-in server. They travel through its stdin and are never shown.
pub(crate) struct Credentials {
    pub(crate) secret: String,
    pub(crate) admin_key: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials(…)")
    }
}

impl Sut {
    /// Starts the target where it is ours to start, and awaits that it accepts connections.
    ///
    /// # Errors
    /// It could not be started, was not ready in time, or nothing answers where it should run.
    pub async fn start(target: Target) -> Result<Self, StartError> {
        Self::start_by(Launcher::default(), target).await
    }

    /// The same by a launcher that is broken so: what never passes a connection goes wrong with it.
    ///
    /// # Errors
    /// It could not be started, or was not ready in time.
    pub async fn start_crookedly(target: Target, fault: LauncherFault) -> Result<Self, StartError> {
        Self::start_by(Launcher::with(fault), target).await
    }

    async fn start_by(launcher: Launcher, target: Target) -> Result<Self, StartError> {
        let log = Arc::new(Log::default());
        let heard = launcher.heard(&log);
        let (transport, scratch) = prepare(&target)?;
        let (addresses, process, credentials) = match &target.origin {
            Origin::Running { addresses } => {
                for address in addresses {
                    reach(&transport, address).await?;
                }
                (addresses.clone(), None, None)
            }
            Origin::Spawned { addresses, .. } => {
                let port = free_port()?.to_string();
                let addresses: Vec<_> = addresses
                    .iter()
                    .map(|address| address.replace("${port}", &port))
                    .collect();
                let process = start_foreign(&target.origin, (&transport, &addresses), &heard).await?;
                if let Transport::Tls(_) = &transport {
                    for address in &addresses {
                        reach(&transport, address).await?;
                    }
                }
                (addresses, Some(process), None)
            }
            Origin::BuiltIn(built_in) => {
                let credentials = Credentials {
                    secret: random_key()?,
                    admin_key: random_key()?,
                };
                let (process, address) =
                    start_built_in(built_in, ("127.0.0.1:0", scratch.as_ref()), &credentials, &heard).await?;
                (vec![address], Some(process), Some(credentials))
            }
        };
        let system = System {
            transport: transport.clone(),
            addresses: addresses.clone(),
            process: Mutex::new(process),
            told_to_stop: AtomicBool::new(false),
            log,
            launcher,
            credentials,
            scratch,
            pool: Arc::default(),
        };
        Ok(Self::of(target, transport, addresses, system))
    }

    pub(crate) fn of(target: Target, transport: Transport, addresses: Vec<String>, system: System) -> Self {
        Self {
            target,
            transport,
            addresses,
            system: Arc::new(system),
        }
    }

    /// The same system as somebody sees it who reaches it at these addresses, one for each node, over plain TCP: by way
    /// of a proxy. Its process, its log, its keys and its list of users are those of the system itself.
    #[must_use]
    pub fn through(&self, addresses: Vec<String>) -> Self {
        Self {
            target: self.target.clone(),
            transport: Transport::Plain,
            addresses,
            system: Arc::clone(&self.system),
        }
    }

    pub(crate) fn told_secret(&self) -> Option<&str> {
        self.system
            .credentials
            .as_ref()
            .map(|credentials| credentials.secret.as_str())
    }

    pub(crate) fn told_admin_key(&self) -> Option<&str> {
        self.system
            .credentials
            .as_ref()
            .map(|credentials| credentials.admin_key.as_str())
    }

    /// What is known of it.
    #[must_use]
    pub const fn target(&self) -> &Target {
        &self.target
    }

    /// What its bytes travel in.
    #[must_use]
    pub const fn transport(&self) -> &Transport {
        &self.transport
    }

    /// `HOST:PORT` of each node. Never empty.
    #[must_use]
    pub fn addresses(&self) -> &[String] {
        &self.addresses
    }

    /// What it writes to its outputs, over all its lives.
    #[must_use]
    pub fn log(&self) -> &Log {
        &self.system.log
    }

    /// Somebody was given this token.
    pub(crate) fn token_given(&self, token: &str) {
        self.system.launcher.token_given(token, &self.system.log);
    }

    pub(crate) fn pool(&self) -> &Arc<Pool> {
        &self.system.pool
    }

    /// Texts that must never appear in a report.
    #[must_use]
    pub fn secrets(&self) -> Vec<&str> {
        let told = self.system.credentials.iter();
        let told = told.flat_map(|credentials| [credentials.secret.as_str(), &credentials.admin_key]);
        told.chain(self.target.accounts.secrets()).collect()
    }

    /// The pid of the server we started, while it runs.
    pub async fn pid(&self) -> Option<u32> {
        self.system.process.lock().await.as_ref().and_then(Process::id)
    }

    /// Sends a request to the first node, with the target's own headers.
    ///
    /// # Errors
    /// There was no whole answer in time. A status of any kind is an answer.
    pub async fn http(&self, request: HttpRequest) -> Result<HttpResponse, CallError> {
        self.http_as(None, request).await
    }

    /// The same, with the headers that the target has for a dialect.
    ///
    /// # Errors
    /// There was no whole answer in time. A status of any kind is an answer.
    pub async fn http_as(
        &self,
        dialect: Option<Dialect>,
        mut request: HttpRequest,
    ) -> Result<HttpResponse, CallError> {
        for (name, value) in self.target.headers_for(dialect) {
            request.headers.entry(name).or_insert_with(|| value.clone());
        }
        self.send(request).await
    }

    /// Sends a request to the first node as it is.
    pub(crate) async fn send(&self, request: HttpRequest) -> Result<HttpResponse, CallError> {
        send(&self.transport, &self.addresses[0], request).await
    }

    /// Its metrics now.
    ///
    /// # Errors
    /// It does not answer, or not with 200.
    pub async fn metrics(&self) -> Result<Metrics, CallError> {
        let response = self.http(HttpRequest::new(Method::GET, "/metrics")).await?;
        succeeded("GET /metrics", &response)?;
        Ok(Metrics::parse(&String::from_utf8_lossy(&response.body)))
    }

    /// Sends the server that we started a signal.
    ///
    /// # Errors
    /// It does not run, or is not ours.
    pub async fn signal(&self, signal: Signal) -> Result<(), CallError> {
        let process = self.system.process.lock().await;
        let process = process
            .as_ref()
            .ok_or_else(|| CallError::Target("the server does not run, or is not ours".into()))?;
        self.system.told_to_stop.store(true, Ordering::Relaxed);
        if let Some(signal) = self.system.launcher.signal(signal) {
            process.signal(signal);
        }
        Ok(())
    }

    /// Awaits the end of the server that we started; `None` if it still runs after `within`.
    ///
    /// # Errors
    /// It is not ours, or was never started.
    pub async fn wait_exit(&self, within: Duration) -> Result<Option<ExitStatus>, CallError> {
        let mut process = self.system.process.lock().await;
        let process = process
            .as_mut()
            .ok_or_else(|| CallError::Target("the server does not run, or is not ours".into()))?;
        let status = process
            .wait(within)
            .await
            .map_err(|error| CallError::Target(format!("the server cannot be waited for: {error}")))?;
        Ok(status.map(|status| self.system.launcher.exit(status)))
    }

    /// Whether the server that we started runs, and was not told to stop. True for one that is not ours.
    pub async fn is_running(&self) -> bool {
        let mut process = self.system.process.lock().await;
        match (process.as_mut(), self.target.is_spawned()) {
            (Some(_), _) if self.system.told_to_stop.load(Ordering::Relaxed) => false,
            // What the system cannot tell will show in the next step.
            (Some(process), _) => !matches!(process.ended(), Ok(Some(_))),
            (None, spawned) => !spawned,
        }
    }

    /// Starts the server again on the port it had, after ending what may still run of it.
    ///
    /// # Errors
    /// It is not ours, or did not become ready.
    pub async fn restart(&self) -> Result<(), StartError> {
        let System {
            transport,
            addresses,
            log,
            launcher,
            credentials,
            scratch,
            ..
        } = &*self.system;
        let mut process = self.system.process.lock().await;
        if let Some(mut old) = process.take() {
            old.signal(Signal::Kill);
            // Reaped, so that its port is free; one that cannot be waited for shows when the port is not.
            let _ = old.wait(SPAWN_DEADLINE).await;
        }
        self.system.told_to_stop.store(false, Ordering::Relaxed);
        launcher.before_restart(scratch.as_ref())?;
        let heard = launcher.heard(log);
        *process = Some(match (&self.target.origin, credentials) {
            (Origin::BuiltIn(built_in), Some(credentials)) => {
                let place = (addresses[0].as_str(), scratch.as_ref());
                start_built_in(built_in, place, credentials, &heard).await?.0
            }
            (Origin::Spawned { .. }, _) => {
                let nodes = (transport, addresses.as_slice());
                start_foreign(&self.target.origin, nodes, &heard).await?
            }
            _ => return Err(StartError::Target("the server is not ours to start".into())),
        });
        Ok(())
    }

    /// Lets the server that we started stop gracefully, and ends it if it does not. Other views of it see it stop.
    pub async fn shut_down(self) {
        let (signal, deadline) = match self.target.origin {
            Origin::Spawned { stop, deadline, .. } => (stop, deadline),
            Origin::BuiltIn(_) | Origin::Running { .. } => (Signal::Term, SPAWN_DEADLINE),
        };
        let process = self.system.process.lock().await.take();
        if let Some(process) = process {
            process.stop(signal, deadline).await;
        }
    }
}

/// What can be prepared before a server starts: whom to believe, and a folder for what it keeps.
fn prepare(target: &Target) -> Result<(Transport, Option<Scratch>), StartError> {
    let store = match &target.origin {
        Origin::BuiltIn(built_in) => Some(&built_in.store),
        Origin::Spawned { .. } | Origin::Running { .. } => None,
    };
    let scratch = || random_key().and_then(|key| Scratch::new(&key[..SCRATCH_ID_CHARS]));
    let scratch = match (store, &target.security) {
        (Some(Store::Durable), _) => Some(scratch()?.with_store()),
        (Some(Store::Memory | Store::At(_)), Security::MadeUp) => Some(scratch()?),
        (Some(Store::Memory | Store::At(_)), Security::Plain | Security::Tls(_)) | (None, _) => None,
    };
    let tls = |trust| Tls::new(trust).map_err(|error| StartError::Target(error.to_string()));
    match (&target.security, scratch) {
        (Security::Plain, scratch) => Ok((Transport::Plain, scratch)),
        (Security::Tls(trust), scratch) => Ok((Transport::Tls(tls(trust.clone())?), scratch)),
        (Security::MadeUp, Some(scratch)) => {
            let (scratch, authority) = scratch.with_certificate()?;
            let transport = Transport::Tls(tls(Trust::MadeUp(vec![authority]))?);
            Ok((transport, Some(scratch)))
        }
        (Security::MadeUp, None) => Err(StartError::Target(
            "a certificate can be made up for the built-in server only".into(),
        )),
    }
}

async fn start_built_in(
    built_in: &BuiltIn,
    (listen, scratch): (&str, Option<&Scratch>),
    credentials: &Credentials,
    log: &Arc<Log>,
) -> Result<(Process, String), StartError> {
    let tie = [
        "serve",
        "--supervised",
        "--listen",
        listen,
        "--log-format",
        "json",
    ];
    let greeting = serde_json::json!({"secret": credentials.secret, "admin_key": credentials.admin_key});
    let executable = built_in.executable.to_string_lossy().into_owned();
    let store = match &built_in.store {
        Store::At(url) => Some(["--store".to_owned(), url.clone()]),
        // In the scratch folder, if anywhere.
        Store::Memory | Store::Durable => None,
    };
    let launch = Launch {
        command: std::iter::once(executable)
            .chain(tie.iter().map(|flag| (*flag).to_owned()))
            .chain(built_in.flags.iter().cloned())
            .chain(store.into_iter().flatten())
            .chain(scratch.iter().flat_map(|scratch| scratch.flags().iter().cloned()))
            .collect(),
        env: [].into(),
        tie: Tie::Pipe {
            greeting: greeting.to_string(),
        },
        deadline: SPAWN_DEADLINE,
    };
    let (process, ready) = Process::start(&launch, log).await?;
    let ready: Value = serde_json::from_str(&ready.unwrap_or_default()).unwrap_or_default();
    match ready.pointer("/ready/http").and_then(Value::as_str) {
        Some(address) => Ok((process, address.to_owned())),
        None => Err(process.not_ready(SPAWN_DEADLINE, "a ready line with its address", log)),
    }
}

async fn start_foreign(
    origin: &Origin,
    (transport, addresses): (&Transport, &[String]),
    log: &Arc<Log>,
) -> Result<Process, StartError> {
    let Origin::Spawned {
        command,
        env,
        ready,
        deadline,
        ..
    } = origin
    else {
        return Err(StartError::Target("the server is not ours to start".into()));
    };
    let port = addresses[0].rsplit_once(':').map_or("", |(_, port)| port);
    let mut env = env.clone();
    env.insert("PORT".into(), port.to_owned());
    let launch = Launch {
        command: command.iter().map(|word| word.replace("${port}", port)).collect(),
        env: env
            .into_iter()
            .map(|(name, text)| (name, text.replace("${port}", port)))
            .collect(),
        tie: Tie::Group,
        deadline: *deadline,
    };
    let (mut process, _) = Process::start(&launch, log).await?;
    let until = Instant::now() + *deadline;
    loop {
        if !matches!(process.ended(), Ok(None)) {
            return Err(process.ended_early(*deadline, log).await);
        }
        if is_ready(ready, transport, &addresses[0]).await {
            return Ok(process);
        }
        if Instant::now() >= until {
            let waiting_for = match ready {
                Ready::Tcp => format!("it does not accept TCP at {}", addresses[0]),
                Ready::Http(path) => {
                    let scheme = transport.http_scheme();
                    format!("{scheme}://{}{path} does not answer 2xx", addresses[0])
                }
            };
            return Err(process.not_ready(*deadline, &waiting_for, log));
        }
        sleep(READY_POLL).await;
    }
}

async fn is_ready(ready: &Ready, transport: &Transport, address: &str) -> bool {
    match ready {
        Ready::Tcp => TcpStream::connect(address).await.is_ok(),
        Ready::Http(path) => send(transport, address, HttpRequest::new(Method::GET, path))
            .await
            .is_ok_and(|response| response.status.is_success()),
    }
}

/// Whether somebody answers there, and is whom we were told to believe: said once, before every case would say it.
async fn reach(transport: &Transport, address: &str) -> Result<(), StartError> {
    let unreachable = |reason: String| StartError::Unreachable {
        address: address.to_owned(),
        reason,
    };
    let reaching = async {
        let socket = TcpStream::connect(address)
            .await
            .map_err(|error| unreachable(error.to_string()))?;
        let opened = transport.open(socket, address).await;
        let mut stream = opened.map_err(|source| StartError::NoTls {
            address: address.to_owned(),
            source,
        })?;
        // A server that does not listen to goodbyes is there all the same.
        let _gone = stream.shutdown().await;
        Ok(())
    };
    timeout(SPAWN_DEADLINE, reaching).await.unwrap_or_else(|_| {
        Err(unreachable(format!(
            "no connection within {}",
            shown(SPAWN_DEADLINE)
        )))
    })
}

/// A port that was free a moment ago: a foreign server must be told one before it can bind it.
///
/// Not one of those that the system gives away by itself, to listeners and to every connection that somebody opens: until
/// the server has started it could be somebody else's, who would be taken for it.
fn free_port() -> Result<u16, StartError> {
    for _ in 0..PORT_DRAWS {
        let mut drawn = [0; 2];
        getrandom::fill(&mut drawn)
            .map_err(|error| StartError::Target(format!("no randomness for a port: {error}")))?;
        let port = PORTS.start + u16::from_le_bytes(drawn) % (PORTS.end - PORTS.start);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|error| StartError::Target(format!("no free port on 127.0.0.1: {error}")))
}

/// A secret for one run: 256 bits from the system, in hex.
fn random_key() -> Result<String, StartError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)
        .map_err(|error| StartError::Target(format!("no randomness for a secret: {error}")))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_server_is_asked_to_stop_as_its_target_says() {
        // The address is the test's own: what is started says by its log that it is ready, and by a file what it was sent.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let told = folder.path().join("told");
        let script = format!(
            "trap 'echo TERM >{0}; exit' TERM; trap 'echo INT >{0}; exit' INT; echo up; while :; do sleep 0.01; done",
            told.display()
        );
        for (stop, name) in [(Signal::Term, "TERM\n"), (Signal::Int, "INT\n")] {
            let mut target = Target::from_command("sh", &[]).unwrap();
            target.origin = Origin::Spawned {
                command: vec!["sh".into(), "-c".into(), script.clone()],
                env: [].into(),
                addresses: vec![listener.local_addr().unwrap().to_string()],
                ready: Ready::Tcp,
                stop,
                deadline: Duration::from_secs(10),
            };
            let sut = Sut::start(target).await.unwrap();
            sut.log().written_after(Log::default().mark()).await;
            sut.shut_down().await;
            assert_eq!(std::fs::read_to_string(&told).unwrap(), name);
        }
    }
}
