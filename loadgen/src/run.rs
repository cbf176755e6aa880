//! A run from beginning to end: is the target there, are there descriptors enough, loops, progress, summary.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use touchstone_protocol::Dialect;
use touchstone_protocol::echo::client::{EchoClient, Persistence};

use crate::engine::{self, Job, LoopEvent, LoopReport, Node, Precision, Tcp};
use crate::plan::Plan;
use crate::record::Second;
use crate::summary::{Figures, Gathered, Occasion, Summary};
use crate::watch::{self, LoopUse, Reading};

/// Where the sessions go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// As reports call it; nothing secret.
    pub name: String,
    /// The dialect's WebSocket at each node, `ws://host:port/path` without query; sessions are spread over them evenly.
    pub urls: Vec<String>,
}

/// What a run tells while it lasts. Whoever reads too slowly misses some: a run never waits for its audience.
#[derive(Debug, Clone, PartialEq)]
pub enum Progress {
    /// A phase begins.
    Phase {
        /// `ramp`, `steady` or `storm`.
        name: &'static str,
        /// The plan's phase of this index …
        index: usize,
        /// … of so many.
        of: usize,
        /// It ends so long after the start.
        ends_at: Duration,
    },
    /// A second is over.
    Second(Figures),
    /// The phases are over; who is on the way back and what is unanswered is waited for.
    Settling,
}

/// Why there was no run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The target's address cannot be used.
    #[error("`{url}` is not a target for load: {why}")]
    Url {
        /// As given.
        url: String,
        /// What is wrong.
        why: &'static str,
    },
    /// No WebSocket could be opened there.
    #[error("the target at {url} cannot be reached: {why}")]
    Unreachable {
        /// The node that was tried.
        url: String,
        /// What happened.
        why: String,
    },
    /// The run needs more descriptors than this process may have.
    #[error(
        "{needed} descriptors are needed, but this process may open {allowed}; raise the limit (`ulimit -n {needed}`) or run \
         fewer sessions (`--set sessions={fitting}`)"
    )]
    TooFewDescriptors {
        /// One per session, and some to spare.
        needed: u64,
        /// The soft limit.
        allowed: u64,
        /// What would fit.
        fitting: u64,
    },
    /// The system refused a thread or a runtime.
    #[error("an event loop could not be started: {0}")]
    Loop(#[from] std::io::Error),
}

/// Descriptors beside those of the sessions: standard streams, event loops, the caller's own.
const DESCRIPTORS_SPARE: u64 = 64;
/// Sessions and messages per second that one loop takes before there is a second one. A core carries several times as much.
const SESSIONS_PER_LOOP: u32 = 5_000;
const MESSAGES_PER_LOOP: f64 = 20_000.0;
/// News of the loops that may wait to be put together: half a minute for 32 loops.
const EVENTS_MAX: usize = 1_024;

/// Runs `plan` against `endpoint`. `stop` ends it early, with the full summary of what was measured until then.
///
/// # Errors
/// If it could not begin; once it has begun there is always a summary.
pub async fn run(
    plan: Plan,
    endpoint: Endpoint,
    events: mpsc::Sender<Progress>,
    stop: CancellationToken,
) -> Result<Summary, RunError> {
    check_descriptors(&plan, watch::descriptor_limit().map(|(soft, _)| soft))?;
    let (tcp, nodes) = resolve(&endpoint).await?;
    // A tag of this run's own: its sessions must not meet those of an earlier one on the same server.
    let tag = fastrand::u32(..);
    for (number, node) in nodes.iter().enumerate() {
        greet(&tcp, (number, node), &endpoint.urls[number], &plan).await?;
    }
    let loops = loops(&plan);
    let plan = Arc::new(plan);
    let nodes: Arc<[Node]> = nodes.into();
    let before = Reading::now();
    let (started_at, start) = (SystemTime::now(), tokio::time::Instant::now());
    let (to_audience, from_loops) = mpsc::channel(EVENTS_MAX);
    let mut threads = Vec::new();
    for number in 0..loops {
        let job = Job {
            plan: Arc::clone(&plan),
            nodes: Arc::clone(&nodes),
            tag,
            number,
            loops,
            start,
            precision: Precision::Finest,
        };
        threads.push(spawn_loop(job, tcp.clone(), to_audience.clone(), stop.clone())?);
    }
    drop(to_audience);
    let series = follow(&plan, loops, from_loops, &events).await;
    let (mut reports, mut uses) = (Vec::new(), Vec::new());
    for thread in threads {
        // Every loop has said that it is over: this waits for nothing.
        let (report, used) = thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        reports.push(report);
        uses.push(used);
    }
    let after = Reading::now();
    let gathered = Gathered::of(reports);
    let generator = watch::judge(&before, &after, &uses, &gathered.recorder);
    let occasion = Occasion {
        target: endpoint.name,
        started_at,
        duration: start.elapsed(),
    };
    let plan = Arc::unwrap_or_clone(plan);
    Ok(Summary::new(plan, occasion, gathered, generator, series))
}

type LoopThread = std::thread::JoinHandle<(LoopReport, LoopUse)>;

fn spawn_loop(
    job: Job,
    tcp: Tcp,
    events: mpsc::Sender<LoopEvent>,
    stop: CancellationToken,
) -> Result<LoopThread, RunError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let thread = std::thread::Builder::new()
        .name(format!("load-{}", job.number))
        .spawn(move || {
            let begun = Instant::now();
            let report = match job.plan.dialect {
                Dialect::Echo => {
                    let persistence = if job.plan.keep_messages {
                        Persistence::Messages
                    } else {
                        Persistence::Count
                    };
                    let client = move |session| EchoClient::new(session, persistence);
                    runtime.block_on(engine::run_loop(job, tcp, client, events, stop))
                }
            };
            (
                report,
                LoopUse {
                    cpu: watch::thread_cpu(),
                    wall: begun.elapsed(),
                },
            )
        })?;
    Ok(thread)
}

/// As many as there is work for, at most one per core.
fn loops(plan: &Plan) -> u32 {
    let rate = plan
        .sends
        .map_or(0.0, |sends| f64::from(plan.sessions) / sends.period.as_secs_f64());
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let wanted = plan
        .sessions
        .div_ceil(SESSIONS_PER_LOOP)
        .max((rate / MESSAGES_PER_LOOP).ceil() as u32);
    wanted.clamp(1, u32::try_from(cores).unwrap_or(u32::MAX))
}

fn check_descriptors(plan: &Plan, allowed: Option<u64>) -> Result<(), RunError> {
    let needed = u64::from(plan.sessions) + DESCRIPTORS_SPARE;
    match allowed {
        Some(allowed) if allowed < needed => Err(RunError::TooFewDescriptors {
            needed,
            allowed,
            fitting: allowed.saturating_sub(DESCRIPTORS_SPARE),
        }),
        _ => Ok(()),
    }
}

async fn resolve(endpoint: &Endpoint) -> Result<(Tcp, Vec<Node>), RunError> {
    let mut tcp = Tcp { nodes: Vec::new() };
    let mut nodes = Vec::new();
    for url in &endpoint.urls {
        let (authority, node) = split(url)?;
        tcp.nodes.push(address(url, &authority).await?);
        nodes.push(node);
    }
    if nodes.is_empty() {
        return Err(RunError::Url {
            url: endpoint.name.clone(),
            why: "it names no URL",
        });
    }
    Ok((tcp, nodes))
}

async fn address(url: &str, authority: &str) -> Result<SocketAddr, RunError> {
    let unreachable = |why: String| RunError::Unreachable {
        url: url.to_owned(),
        why,
    };
    let mut found = tokio::net::lookup_host(authority)
        .await
        .map_err(|error| unreachable(error.to_string()))?;
    found
        .next()
        .ok_or_else(|| unreachable("its name has no address".to_owned()))
}

/// `host:port` and what the handshake says.
fn split(url: &str) -> Result<(String, Node), RunError> {
    let bad = |why| RunError::Url {
        url: url.to_owned(),
        why,
    };
    let rest = match url.split_once("://") {
        Some(("ws", rest)) => rest,
        Some(("wss", _)) => return Err(bad("load over TLS is not spoken yet, use ws://")),
        _ => return Err(bad("it must begin with ws://")),
    };
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    if host.is_empty() || host.contains('@') {
        return Err(bad("it must name a host, and no user"));
    }
    if path.contains(['?', '#']) {
        return Err(bad("it must have no query: each session has its own"));
    }
    let has_port = host
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let authority = if has_port {
        host.to_owned()
    } else {
        format!("{host}:80")
    };
    let path = if path.is_empty() { "/" } else { path };
    Ok((
        authority,
        Node {
            host: host.to_owned(),
            path: path.to_owned(),
        },
    ))
}

/// Opens one connection and drops it, before thousands find out that nobody is there.
async fn greet(tcp: &Tcp, place: (usize, &Node), url: &str, plan: &Plan) -> Result<(), RunError> {
    let key = fastrand::u128(..).to_ne_bytes();
    match engine::attempt(tcp, place, "", key, plan.connect_deadline).await {
        Ok(connected) => {
            drop(connected);
            Ok(())
        }
        Err(failure) => Err(RunError::Unreachable {
            url: url.to_owned(),
            why: failure.why,
        }),
    }
}

/// Puts the seconds of all loops together and tells the audience, until every loop is over.
async fn follow(
    plan: &Plan,
    loops: u32,
    mut from_loops: mpsc::Receiver<LoopEvent>,
    audience: &mpsc::Sender<Progress>,
) -> Vec<Figures> {
    let mut seconds = Seconds::new(loops);
    let mut series = Vec::new();
    while let Some(event) = from_loops.recv().await {
        let news = match event {
            LoopEvent::Second { number, second } => {
                seconds.add(number, second);
                seconds.finished()
            }
            LoopEvent::Over(number) => {
                seconds.over(number);
                seconds.finished()
            }
            LoopEvent::Phase(index) => {
                let phase = &plan.phases[index];
                let ends_at = Duration::from_nanos(phase.end);
                tell(
                    audience,
                    Progress::Phase {
                        name: phase.name,
                        index,
                        of: plan.phases.len(),
                        ends_at,
                    },
                );
                continue;
            }
            LoopEvent::Settling => {
                tell(audience, Progress::Settling);
                continue;
            }
        };
        for figures in news {
            tell(audience, Progress::Second(figures));
            series.push(figures);
        }
    }
    series
}

fn tell(audience: &mpsc::Sender<Progress>, progress: Progress) {
    // Full or gone: documented at `Progress`.
    let _missed = audience.try_send(progress);
}

/// Seconds that not all loops have told of yet.
struct Seconds {
    /// The next second of each loop; `None` when it is over.
    next: Vec<Option<u32>>,
    waiting: BTreeMap<u32, Second>,
}

impl Seconds {
    fn new(loops: u32) -> Self {
        Self {
            next: vec![Some(0); loops as usize],
            waiting: BTreeMap::new(),
        }
    }

    fn add(&mut self, number: u32, second: Second) {
        self.next[number as usize] = Some(second.number + 1);
        match self.waiting.get_mut(&second.number) {
            Some(known) => known.merge(&second),
            None => {
                self.waiting.insert(second.number, second);
            }
        }
    }

    fn over(&mut self, number: u32) {
        self.next[number as usize] = None;
    }

    /// The seconds that every loop has told of, or will tell no more of.
    fn finished(&mut self) -> Vec<Figures> {
        let until = self.next.iter().flatten().copied().min().unwrap_or(u32::MAX);
        let unfinished = self.waiting.split_off(&until);
        std::mem::replace(&mut self.waiting, unfinished)
            .values()
            .map(Figures::from)
            .collect()
    }
}
