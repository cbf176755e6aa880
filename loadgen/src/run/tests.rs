//! A whole run over loopback. Only counts are looked at: what a clock says depends on how busy the machine is.

use super::*;
use crate::engine::scripted::{Received, Script, Scripted, Verdict as Does};
use crate::observe::Look;
use crate::record::Latency;
use crate::workload::Workload;
use http::HeaderMap;
use tokio::net::TcpListener;
use tokio::task::LocalSet;
use touchstone_report::document::Verdict;
use touchstone_sut::Transport;

fn plan(sessions: u32, thresholds: &[&str]) -> Plan {
    let workload: Workload = serde_json::from_value(serde_json::json!({
        "title": "test", "sessions": sessions, "messages": {"rate": 20},
        "phases": [{"ramp": {"for": "100ms"}}, {"steady": {"for": "300ms"}}, {"storm": {"for": "700ms", "drop": "25%"}}],
        "thresholds": thresholds,
    }))
    .unwrap();
    Plan::new("test", &workload).unwrap()
}

struct Ran {
    summary: Result<Summary, RunError>,
    servers: Vec<Scripted>,
    progress: Vec<Progress>,
}

/// Runs the plan against so many nodes on loopback; `stop_at` the first progress of which this is true.
fn run_at(
    nodes: usize,
    plan: Plan,
    script: impl Script + Copy + 'static,
    stop_at: impl Fn(&Progress) -> bool,
) -> Ran {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let local = LocalSet::new();
    runtime.block_on(local.run_until(async {
        let (mut servers, mut urls) = (Vec::new(), Vec::new());
        for _ in 0..nodes {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            urls.push(format!("ws://{}/ws/chat/", listener.local_addr().unwrap()));
            let server = Scripted::new(tokio::time::Instant::now(), script);
            servers.push(server.clone());
            tokio::task::spawn_local(async move {
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    server.take(stream);
                }
            });
        }
        let endpoint = Endpoint {
            name: "scripted".to_owned(),
            urls,
            transport: Transport::Plain,
            headers: HeaderMap::new(),
            sources: crate::sources::Sources::default(),
            sut: None,
            look: Look::default(),
        };
        let (to_reader, mut from_run) = mpsc::channel(100);
        let stop = CancellationToken::new();
        let mut progress = Vec::new();
        let reading = async {
            while let Some(news) = from_run.recv().await {
                if stop_at(&news) {
                    stop.cancel();
                }
                progress.push(news);
            }
        };
        let (summary, ()) = tokio::join!(
            run(plan, endpoint, Begin::Prepared, to_reader, stop.clone()),
            reading
        );
        Ran {
            summary,
            servers,
            progress,
        }
    }))
}

fn answer(_: &Received) -> Does {
    Does::Answer
}

#[test]
fn a_run_ends_with_what_the_server_has_seen_as_well() {
    let thresholds = ["delivery.lost == 0", "sessions.failed == 0", "errors.total == 0"];
    let Ran {
        summary,
        servers,
        progress,
    } = run_at(1, plan(40, &thresholds), answer, |_| false);
    let summary = summary.unwrap();
    assert_eq!(summary.verdict, Verdict::Passed, "{:?}", summary.thresholds);
    assert_eq!(summary.delivery.sent, servers[0].received());
    assert_eq!(summary.delivery.lost, 0);
    assert!(summary.delivery.received > 0, "{:?}", summary.delivery);
    // Whoever is not connected yet when the storm breaks cannot be dropped by it.
    let dropped = summary.storm.dropped;
    assert!((1..=10).contains(&dropped), "{dropped}");
    assert_eq!(
        (summary.storm.back, summary.sessions.reconnects),
        (dropped, dropped)
    );
    assert_eq!(
        servers[0].opened().len(),
        40 + 1,
        "each session, and who looked whether the server is there"
    );
    assert_eq!(
        summary.series.iter().map(|second| second.sent).sum::<u64>(),
        summary.delivery.sent
    );
    assert_eq!(servers[0].open(), 0);
    let names: Vec<_> = progress
        .iter()
        .filter_map(|news| match news {
            Progress::Phase { name, .. } => Some(*name),
            Progress::Settling => Some("settling"),
            Progress::Second(_) | Progress::Casting { .. } => None,
        })
        .collect();
    assert_eq!(names, ["ramp", "steady", "storm", "settling"]);
}

#[test]
fn a_threshold_that_does_not_hold_fails_the_run() {
    let swallow = |received: &Received| {
        if received.sequence == 3 {
            Does::Swallow
        } else {
            Does::Answer
        }
    };
    let mut plan = plan(10, &["delivery.lost == 0", "sessions.failed == 0"]);
    plan.deadline = 300_000_000;
    let ran = run_at(1, plan, swallow, |_| false);
    let summary = ran.summary.unwrap();
    assert_eq!(summary.verdict, Verdict::Failed);
    let verdicts: Vec<_> = summary
        .thresholds
        .iter()
        .map(|judged| (judged.actual, judged.verdict))
        .collect();
    let swallowed = ran.servers[0].met(Does::Swallow) as f64;
    assert_eq!(
        verdicts,
        [(Some(swallowed), Verdict::Failed), (Some(0.0), Verdict::Passed)]
    );
}

/// What the server knows of how long each answer took a client that says its next as soon as it has heard: no less than from receipt
/// to answer, and no more than from the answer before to the receipt of the next. On a quiet machine both are nearly the same.
fn known_by_the_server(server: &Scripted) -> (Vec<Duration>, Vec<Duration>) {
    let answered = server.answered();
    let (mut least, mut most) = (Vec::new(), Vec::new());
    for (received, at) in &answered {
        let of_same = |sequence: u32| {
            let mut all = answered.iter();
            all.find(move |(other, _)| (other.session, other.sequence) == (received.session, sequence))
        };
        let before = of_same(received.sequence - 1).map_or(Duration::ZERO, |(_, at)| *at);
        let next = of_same(received.sequence + 1).map_or(Duration::MAX, |(next, _)| next.at);
        least.push(*at - received.at);
        most.push(next.saturating_sub(before));
    }
    least.sort_unstable();
    most.sort_unstable();
    (least, most)
}

#[test]
fn a_delay_is_measured_as_the_server_has_recorded_it() {
    let second = |_: &Received| Does::AnswerAfter(Duration::from_secs(1));
    let workload: Workload = serde_json::from_value(serde_json::json!({
        "title": "a second", "sessions": 60, "model": "closed", "messages": {"think": "1ms"}, "phases": [{"steady": {"for": "5s"}}],
    }))
    .unwrap();
    let ran = run_at(1, Plan::new("test", &workload).unwrap(), second, |_| false);
    let summary = ran.summary.unwrap();
    let answers = &summary.latency(Latency::Answer).latency;
    let (least, most) = known_by_the_server(&ran.servers[0]);
    assert_eq!(answers.count(), least.len() as u64);
    // What holds of every message holds of every quantile, however busy the machine: 1 % is more than a histogram rounds.
    for quantile in [0.1, 0.5, 0.6] {
        let place = (least.len() as f64 * quantile) as usize;
        let [least, most] = [&least, &most].map(|all| all[place].as_secs_f64() * 1e3);
        let measured = answers.quantile_ms(quantile).unwrap();
        assert!(least >= 1_000.0, "{least}");
        assert!(
            measured >= least * 0.99 && measured <= most * 1.01,
            "{quantile}: {measured} is not between {least} and {most}"
        );
    }
}

#[test]
fn sessions_are_spread_over_the_nodes_of_a_cluster() {
    let ran = run_at(2, plan(40, &[]), answer, |_| false);
    assert_eq!(ran.summary.unwrap().delivery.lost, 0);
    let sessions = |server: &Scripted| server.opened().len() - 1;
    assert_eq!(ran.servers.iter().map(sessions).collect::<Vec<_>>(), [20, 20]);
}

#[test]
fn a_run_that_is_stopped_reports_what_it_has_measured() {
    let mut long = plan(10, &[]);
    long.phases[2].end *= 1_000;
    let second_over = |news: &Progress| matches!(news, Progress::Second(_));
    let summary = run_at(1, long, answer, second_over).summary.unwrap();
    assert_eq!(summary.verdict, Verdict::Interrupted);
    assert!(summary.delivery.received > 0);
}

#[test]
fn nobody_there_is_said_at_once() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let url = format!("ws://{nobody}/ws/chat/");
    let endpoint = Endpoint {
        name: "gone".to_owned(),
        urls: vec![url.clone()],
        transport: Transport::Plain,
        headers: HeaderMap::new(),
        sources: crate::sources::Sources::default(),
        sut: None,
        look: Look::default(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let (to_reader, _from_run) = mpsc::channel(1);
    let error = runtime
        .block_on(run(
            plan(10, &[]),
            endpoint,
            Begin::Prepared,
            to_reader,
            CancellationToken::new(),
        ))
        .unwrap_err();
    let RunError::Unreachable { url: named, why } = error else {
        panic!("{error}")
    };
    assert_eq!(named, url);
    assert!(why.contains("refused"), "{why}");
}

#[test]
fn a_second_is_told_when_every_loop_has_told_it() {
    let second = |number, sent| {
        let mut second = Second::new(number);
        second.sent = sent;
        second
    };
    let mut seconds = Seconds::new(2);
    let told = |finished: Vec<Figures>| {
        finished
            .iter()
            .map(|f| (f.at_seconds, f.sent))
            .collect::<Vec<_>>()
    };
    seconds.add(0, second(0, 3));
    seconds.add(0, second(1, 5));
    assert_eq!(told(seconds.finished()), []);
    seconds.add(1, second(0, 4));
    assert_eq!(told(seconds.finished()), [(1, 7)]);
    seconds.over(1);
    assert_eq!(told(seconds.finished()), [(2, 5)]);
    seconds.add(0, second(2, 1));
    seconds.over(0);
    assert_eq!(told(seconds.finished()), [(3, 1)]);
}
