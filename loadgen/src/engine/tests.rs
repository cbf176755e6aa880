//! The engine on virtual time, against a scripted server that keeps a record of its own.

mod delivery;
mod ends;
mod hall;
mod lossy_dialects;
mod lossy_room;
mod storms;
mod told;

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::LocalOptions;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use touchstone_protocol::echo::client::{ACTS, EchoClient, Persistence};

use super::scripted::{Received, Script, Scripted, Verdict};
use super::{Exchange, Job, LoopEvent, LoopReport, Nobody, Node, Precision, run_loop};
use crate::ledger::reckon::CatchUp;
use crate::plan::Plan;
use crate::record::{ErrorKind, Latency, Traffic};
use crate::watch::{self, Reading, Taken};
use crate::workload::Workload;

/// No run of these tests takes so long on virtual time.
const FOREVER: Duration = Duration::from_secs(3_600);

pub(crate) fn workload(value: serde_json::Value) -> Plan {
    let workload: Workload = serde_json::from_value(value).expect("the test's workload");
    Plan::new("test", &workload).expect("the test's plan")
}

/// `sessions` sessions that talk once a second, all there from the start, for `seconds` seconds.
fn steady(sessions: u32, seconds: u32) -> Plan {
    workload(serde_json::json!({
        "title": "steady", "sessions": sessions, "phases": [{"steady": {"for": format!("{seconds}s")}}],
    }))
}

fn storm(sessions: u32, drop: &str, within: &str) -> Plan {
    workload(serde_json::json!({
        "title": "storm", "sessions": sessions,
        "phases": [{"steady": {"for": "3s"}}, {"storm": {"for": "2s", "drop": drop, "within": within}}],
    }))
}

pub(crate) struct Ran {
    pub(crate) report: LoopReport,
    server: Scripted,
    events: Vec<LoopEvent>,
    took: Duration,
}

/// Runs the plan on one loop; the same on every machine, however busy.
pub(crate) fn run(plan: Plan, script: impl Script + 'static) -> Ran {
    run_in(World::Quiet, plan, script)
}

/// What happens to the generator while it runs.
#[derive(Clone, Copy)]
enum World {
    Quiet,
    /// Somebody stops it.
    StopAt(Duration),
    /// It gets no time at all for so long.
    StarvesAt(Duration, Duration),
}

fn run_in(world: World, plan: Plan, script: impl Script + 'static) -> Ran {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build_local(LocalOptions::default())
        .unwrap();
    runtime.block_on(async {
        let start = Instant::now();
        let server = Scripted::new(start, script);
        let (to_reader, mut from_loop) = mpsc::channel(10_000);
        let stop = CancellationToken::new();
        let job = job(plan, start, 0, 1);
        let client = |session| EchoClient::new(session, Persistence::Count);
        let running = run_loop(job, server.clone(), client, to_reader, stop.clone());
        let happening = async {
            match world {
                World::Quiet => {}
                World::StopAt(at) => {
                    tokio::time::sleep(at).await;
                    stop.cancel();
                }
                World::StarvesAt(at, so_long) => {
                    tokio::time::sleep(at).await;
                    tokio::time::advance(so_long).await;
                }
            }
            std::future::pending::<()>().await;
        };
        let report = tokio::select! {
            report = tokio::time::timeout(FOREVER, running) => report.expect("a run ends"),
            () = happening => unreachable!(),
        };
        let mut events = Vec::new();
        while let Some(event) = from_loop.recv().await {
            events.push(event);
        }
        Ran {
            report,
            server,
            events,
            took: start.elapsed(),
        }
    })
}

fn job(plan: Plan, start: Instant, number: u32, loops: u32) -> Job {
    let node = Node {
        host: "scripted".to_owned(),
        path: "/ws/chat/".to_owned(),
        headers: http::HeaderMap::new(),
        offer: None,
    };
    Job {
        plan: Arc::new(plan),
        nodes: Arc::new([node]),
        tag: 7,
        number,
        loops,
        start,
        precision: Precision::Milliseconds,
        acts: ACTS.into(),
        backstage: Arc::new(Nobody),
        catch_up: CatchUp::Impossible,
        exchange: Arc::new(Exchange::new(loops)),
    }
}

fn seconds(at: f64) -> Duration {
    Duration::from_secs_f64(at)
}
