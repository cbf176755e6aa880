//! The engine on virtual time, against a scripted server that keeps a record of its own.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use touchstone_protocol::echo::client::{EchoClient, Persistence};

use super::scripted::{Received, Script, Scripted, Verdict};
use super::{Job, LoopEvent, LoopReport, Node, Precision, run_loop};
use crate::plan::Plan;
use crate::record::{ErrorKind, Latency};
use crate::watch::{self, Reading};
use crate::workload::Workload;

/// No run of these tests takes so long on virtual time.
const FOREVER: Duration = Duration::from_secs(3_600);

fn workload(value: serde_json::Value) -> Plan {
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

struct Ran {
    report: LoopReport,
    server: Scripted,
    events: Vec<LoopEvent>,
    took: Duration,
}

/// Runs the plan on one loop; the same on every machine, however busy.
fn run(plan: Plan, script: impl Script + 'static) -> Ran {
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
        .build()
        .unwrap();
    runtime.block_on(async {
        let start = Instant::now();
        let server = Scripted::new(start, script);
        let (to_reader, mut from_loop) = mpsc::channel(10_000);
        let stop = CancellationToken::new();
        let job = Job {
            plan: Arc::new(plan),
            nodes: Arc::new([Node {
                host: "scripted".to_owned(),
                path: "/ws/chat/".to_owned(),
                headers: http::HeaderMap::new(),
            }]),
            tag: 7,
            number: 0,
            loops: 1,
            start,
            precision: Precision::Milliseconds,
        };
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

fn seconds(at: f64) -> Duration {
    Duration::from_secs_f64(at)
}

#[test]
fn a_server_that_answers_everything_loses_nothing() {
    let ran = run(steady(50, 10), |_: &Received| Verdict::Answer);
    let totals = ran.report.totals;
    assert_eq!((totals.sent, totals.received), (500, 500));
    assert_eq!(ran.server.received(), 500);
    assert_eq!(
        (
            totals.lost,
            totals.unconfirmed,
            totals.duplicated,
            totals.reordered,
            totals.late
        ),
        (0, 0, 0, 0, 0)
    );
    assert_eq!(ran.report.recorder.errors.total(), 0);
    let sessions = ran.report.sessions;
    assert_eq!(
        (sessions.attempted, sessions.connected, sessions.failed),
        (50, 50, 0)
    );
    assert_eq!(ran.server.open(), 0, "everyone has left");
    assert!(ran.took < seconds(10.1), "{:?}", ran.took);
    assert!(
        ran.report
            .pages
            .iter()
            .all(|page| page.sent == 10 && page.confirmed == [(1, 10)])
    );
}

#[test]
fn a_known_delay_is_measured_exactly() {
    let ran = run(steady(20, 10), |_: &Received| {
        Verdict::AnswerAfter(Duration::from_millis(250))
    });
    let measured = ran.report.recorder.measured(Latency::Answer);
    for q in [0.0, 0.5, 0.99, 1.0] {
        let service_time = measured.service_time.quantile_ms(q).unwrap();
        assert!((249.9..=250.2).contains(&service_time), "{service_time} at {q}");
        // Timers on virtual time fall on whole milliseconds: so late may a send be.
        let latency = measured.latency.quantile_ms(q).unwrap();
        assert!((249.9..=251.2).contains(&latency), "{latency} at {q}");
    }
}

#[test]
fn a_server_that_blocks_is_charged_for_everyone_it_keeps_waiting() {
    let ran = run(steady(200, 20), |received: &Received| {
        match received.at.as_secs_f64() {
            at if (5.0..10.0).contains(&at) => Verdict::AnswerAfter(seconds(10.0 - at)),
            _ => Verdict::Answer,
        }
    });
    let answers = &ran.report.recorder.measured(Latency::Answer).latency;
    assert_eq!(answers.count(), 4_000, "nothing that was meant is left out");
    // A quarter of all messages waits, evenly between 0 and 5 s: one in ten more than 3 s.
    let p90 = answers.quantile_ms(0.9).unwrap();
    assert!((2_950.0..3_050.0).contains(&p90), "{p90}");
    let p50 = answers.quantile_ms(0.5).unwrap();
    assert!(p50 < 2.0, "{p50}");
    assert_eq!(ran.report.totals.late, 0);
}

#[test]
fn a_generator_that_starves_charges_itself_and_says_so() {
    let world = World::StarvesAt(seconds(5.0), seconds(5.0));
    let ran = run_in(world, steady(200, 20), |_: &Received| Verdict::Answer);
    let recorder = &ran.report.recorder;
    let measured = recorder.measured(Latency::Answer);
    assert_eq!(
        measured.latency.count(),
        4_000,
        "what was due meanwhile is sent, late"
    );
    let p90 = measured.latency.quantile_ms(0.9).unwrap();
    assert!((2_950.0..3_050.0).contains(&p90), "{p90}");
    assert!(
        measured.service_time.max_ms().unwrap() < 2.0,
        "the server is not to blame"
    );
    assert_eq!(
        recorder.late_sends, 993,
        "of 1,000, seven were due in its last 10 ms"
    );
    let generator = watch::judge(&Reading::default(), &Reading::default(), &[], recorder);
    assert!(generator.saturated);
    assert!(
        generator.reasons[0].starts_with("sends left 4"),
        "{:?}",
        generator.reasons
    );
}

#[test]
fn answers_that_are_swallowed_doubled_and_swapped_are_counted_as_the_server_did_it() {
    let ran = run(steady(40, 10), |received: &Received| match received.sequence {
        3 | 10 => Verdict::Swallow,
        5 => Verdict::Twice,
        6 | 8 => Verdict::HoldBack,
        _ => Verdict::Answer,
    });
    let (totals, server) = (ran.report.totals, &ran.server);
    assert_eq!(server.met(Verdict::Swallow), 80);
    assert_eq!(
        totals.lost,
        server.met(Verdict::Swallow),
        "also the last message's: it is asked about"
    );
    assert_eq!(totals.duplicated, server.met(Verdict::Twice));
    assert_eq!(totals.reordered, server.met(Verdict::HoldBack));
    assert_eq!(totals.expected, totals.received + totals.lost);
    assert_eq!(totals.unconfirmed, 0);
    assert_eq!(totals.sent, server.received());
}

#[test]
fn what_the_server_never_counted_is_unconfirmed_and_not_lost() {
    let ran = run(steady(40, 10), |received: &Received| match received.sequence {
        4 | 10 => Verdict::Ignore,
        _ => Verdict::Answer,
    });
    let totals = ran.report.totals;
    assert_eq!(
        (totals.lost, totals.unconfirmed),
        (0, ran.server.met(Verdict::Ignore))
    );
    assert_eq!(
        ran.report.recorder.errors.of(ErrorKind::Unanswered),
        totals.unconfirmed
    );
}

#[test]
fn a_session_whose_count_the_server_forgets_has_lost_what_was_counted() {
    let ran = run(steady(10, 10), |received: &Received| match received.sequence {
        7 => Verdict::Forget,
        _ => Verdict::Answer,
    });
    let totals = ran.report.totals;
    assert_eq!(
        (totals.lost, totals.received, totals.expected),
        (60, 40, 100),
        "six of each session's ten"
    );
}

#[test]
fn the_same_seed_does_the_same_and_another_does_not() {
    let record = |seed: &str| {
        let workload: Workload = serde_json::from_value(serde_json::json!({
            "title": "storm", "sessions": 30, "messages": {"spacing": "poisson"},
            "phases": [{"ramp": {"for": "1s"}}, {"storm": {"for": "4s", "drop": "50%"}}],
        }))
        .unwrap();
        let plan = Plan::new("test", &workload.with("seed", seed).unwrap()).unwrap();
        let ran = run(plan, |_: &Received| Verdict::Answer);
        let all: Vec<_> = ran
            .server
            .record()
            .iter()
            .map(|(met, _)| (met.session, met.sequence, met.at))
            .collect();
        (all, ran.server.opened())
    };
    assert_eq!(record("1"), record("1"));
    assert_ne!(record("1").0, record("2").0);
}

#[test]
fn a_storm_drops_its_share_at_once_and_each_comes_back_under_its_own_session() {
    let ran = run(storm(40, "25%", "30s"), |_: &Received| Verdict::Answer);
    let storm = ran.report.storm;
    assert_eq!((storm.dropped, storm.back), (10, 10));
    assert_eq!(ran.report.recorder.reconnects, 10);
    assert_eq!(ran.report.recorder.unexpected_closes, 0);
    let opened = ran.server.opened();
    assert_eq!(opened.len(), 40, "nobody came under another name");
    let mut waits: Vec<_> = opened
        .values()
        .filter(|at| at.len() == 2)
        .map(|at| at[1] - seconds(3.0))
        .collect();
    waits.sort_unstable();
    assert_eq!(waits.len(), 10);
    // The first back-off: 500 ms, shortened by up to a fifth.
    assert!(
        waits[0] >= seconds(0.4) && waits[9] <= seconds(0.505),
        "{waits:?}"
    );
    assert!(
        waits[9] - waits[0] > seconds(0.02),
        "a crowd does not come back together: {waits:?}"
    );
    let totals = ran.report.totals;
    assert_eq!((totals.lost, totals.duplicated, totals.unconfirmed), (0, 0, 0));
}

/// Takes nobody back before an instant; the first `first` connections are always taken.
struct BackAt {
    first: u32,
    from: Duration,
    answer: Verdict,
}

impl Script for BackAt {
    fn message(&self, _: &Received) -> Verdict {
        self.answer
    }

    fn connection(&self, attempt: u32, at: Duration) -> Result<Duration, std::io::ErrorKind> {
        if attempt < self.first || at >= self.from {
            Ok(Duration::from_millis(1))
        } else {
            Err(std::io::ErrorKind::ConnectionRefused)
        }
    }
}

#[test]
fn a_storm_is_waited_for_to_its_last_session_long_after_the_last_phase() {
    let script = BackAt {
        first: 40,
        from: seconds(20.0),
        answer: Verdict::Answer,
    };
    let ran = run(storm(40, "25%", "60s"), script);
    assert_eq!((ran.report.storm.dropped, ran.report.storm.back), (10, 10));
    assert_eq!(ran.report.sessions.failed, 0);
    assert!(
        ran.took >= seconds(20.0) && ran.took < seconds(30.0),
        "{:?}",
        ran.took
    );
    let recovery = ran.report.recorder.recovery.max_ms().unwrap();
    assert!((17_000.0..27_000.0).contains(&recovery), "{recovery}");
    // Each of them said one more message: its count shows that nothing was lost.
    let last_words = ran
        .server
        .record()
        .iter()
        .filter(|(received, _)| received.at >= seconds(20.0))
        .count();
    assert_eq!(last_words, 10);
    assert_eq!(ran.report.totals.lost, 0);
}

#[test]
fn who_is_not_back_in_time_has_failed_and_is_not_waited_for() {
    let script = BackAt {
        first: 40,
        from: seconds(1e6),
        answer: Verdict::Answer,
    };
    let ran = run(storm(40, "25%", "12s"), script);
    assert_eq!((ran.report.storm.dropped, ran.report.storm.back), (10, 0));
    assert_eq!(ran.report.sessions.failed, 10);
    assert_eq!(ran.report.recorder.errors.of(ErrorKind::NotBack), 10);
    assert!(
        ran.report.recorder.errors.of(ErrorKind::Connect) >= 10 * 4,
        "with back-off: 0.5, 1, 2, 4 s"
    );
    assert!(ran.report.recorder.errors.of(ErrorKind::Connect) <= 10 * 6);
    assert!(
        (seconds(15.0)..seconds(15.1)).contains(&ran.took),
        "{:?}",
        ran.took
    );
}

#[test]
fn messages_in_flight_when_a_session_is_dropped_are_unconfirmed_whether_counted_or_not() {
    let slow = |_: &Received| Verdict::AnswerAfter(Duration::from_millis(900));
    let ran = run(storm(40, "100%", "30s"), slow);
    let totals = ran.report.totals;
    assert_eq!(ran.report.storm.dropped, 40);
    assert!(
        totals.unconfirmed > 20,
        "nine in ten had one in flight: {totals:?}"
    );
    assert_eq!(totals.lost, 0, "{totals:?}");
    assert_eq!(totals.sent, totals.received + totals.unconfirmed);
}

#[test]
fn heartbeats_are_counted_and_their_jitter_is_how_much_gaps_differ() {
    struct Beats(&'static [u64]);
    impl Script for Beats {
        fn message(&self, _: &Received) -> Verdict {
            Verdict::Answer
        }
        fn heartbeat(&self, number: u32) -> Option<Duration> {
            Some(Duration::from_millis(self.0[number as usize % self.0.len()]))
        }
    }
    let quiet = workload(serde_json::json!({
        "title": "quiet", "sessions": 10, "messages": {"rate": 0}, "phases": [{"steady": {"for": "5500ms"}}],
    }));
    for (gaps, expected) in [(&[1_000_u64] as &'static [u64], 0.0), (&[1_000, 1_100], 100.0)] {
        let ran = run(quiet.clone(), Beats(gaps));
        assert_eq!(
            ran.report.recorder.heartbeats, 50,
            "five each in five and a half seconds"
        );
        let jitter = &ran.report.recorder.measured(Latency::Heartbeat).latency;
        assert_eq!(jitter.count(), 30, "from the third on");
        let p50 = jitter.quantile_ms(0.5).unwrap();
        assert!((p50 - expected).abs() < 0.1, "{gaps:?}: {p50}");
        assert_eq!(ran.report.totals.sent, 0);
    }
}

#[test]
fn the_servers_advice_is_followed_and_a_final_close_is_final() {
    let closed = |code: u16, reason: &'static str| {
        run(steady(10, 12), move |received: &Received| {
            match received.at < seconds(1.0) {
                true => Verdict::Close(code, reason),
                false => Verdict::Answer,
            }
        })
    };
    let advised = closed(1001, "server going away; retry after 7 s");
    assert_eq!(advised.report.sessions.failed, 0);
    assert_eq!(advised.report.recorder.unexpected_closes, 10);
    for at in advised.server.opened().values() {
        assert!(at.len() == 2 && at[1] - at[0] >= seconds(7.0), "{at:?}");
    }
    let restarted = closed(1012, "server restarting");
    assert!(
        restarted
            .server
            .opened()
            .values()
            .all(|at| at.len() >= 2 && at[1] < seconds(1.6))
    );
    let refused = closed(1009, "too big");
    assert_eq!(refused.report.sessions.failed, 10);
    assert!(refused.server.opened().values().all(|at| at.len() == 1));
    assert_eq!(refused.report.recorder.errors.of(ErrorKind::Closed), 10);
}

#[test]
fn a_server_that_dies_gives_a_report_and_no_hang() {
    struct Dies;
    impl Script for Dies {
        fn message(&self, received: &Received) -> Verdict {
            if received.at < seconds(3.0) {
                Verdict::Answer
            } else {
                Verdict::Hang
            }
        }
        fn connection(&self, _: u32, at: Duration) -> Result<Duration, std::io::ErrorKind> {
            if at < seconds(3.0) {
                Ok(Duration::ZERO)
            } else {
                Err(std::io::ErrorKind::ConnectionRefused)
            }
        }
    }
    let ran = run(steady(30, 10), Dies);
    assert_eq!(ran.report.totals.received, 90);
    assert_eq!(ran.report.sessions.failed, 30);
    assert_eq!(ran.report.recorder.errors.of(ErrorKind::Dropped), 30);
    assert_eq!(
        ran.report.totals.unconfirmed, 30,
        "counted perhaps, never answered, owed to nobody"
    );
    assert!(
        ran.report.recorder.skipped_sends > 150,
        "nobody talks without a connection"
    );
    assert!(ran.took < seconds(15.1), "{:?}", ran.took);
}

#[test]
fn a_server_that_stops_reading_is_not_waited_for_beyond_the_deadlines() {
    let stuck = |received: &Received| match received.at < seconds(2.0) {
        true => Verdict::Answer,
        false => Verdict::AnswerAfter(Duration::from_secs(86_400)),
    };
    let plan = workload(serde_json::json!({
        "title": "stuck", "sessions": 10, "messages": {"rate": 10, "bytes": 8_192}, "phases": [{"steady": {"for": "10s"}}],
    }));
    let ran = run(plan, stuck);
    let errors = ran.report.recorder.errors;
    assert_eq!(ran.report.totals.received, 200);
    assert!(errors.of(ErrorKind::NotSent) > 0, "64 KiB wait, and no more");
    assert_eq!(errors.of(ErrorKind::Unanswered), ran.report.totals.sent - 200);
    assert_eq!(errors.of(ErrorKind::CloseTimeout), 10);
    // The last phase, the answers' deadline, the same once more for being asked, the farewell's.
    assert!(ran.took < seconds(10.0 + 5.0 + 5.0 + 5.1), "{:?}", ran.took);
}

#[test]
fn a_handshake_that_takes_too_long_is_given_up_and_tried_again() {
    struct Slow;
    impl Script for Slow {
        fn message(&self, _: &Received) -> Verdict {
            Verdict::Answer
        }
        fn connection(&self, attempt: u32, _: Duration) -> Result<Duration, std::io::ErrorKind> {
            Ok(if attempt < 5 {
                Duration::from_secs(60)
            } else {
                Duration::from_millis(20)
            })
        }
    }
    let ran = run(steady(5, 20), Slow);
    assert_eq!(ran.report.recorder.errors.of(ErrorKind::ConnectTimeout), 5);
    assert_eq!(ran.report.sessions.connected, 5);
    let connects = &ran.report.recorder.measured(Latency::Connect).latency;
    assert_eq!(connects.count(), 5, "a failure is counted, never averaged in");
    assert!((19.9..=22.0).contains(&connects.max_ms().unwrap()));
}

#[test]
fn a_stopped_run_has_a_full_report_of_what_was_until_then() {
    let ran = run_in(World::StopAt(seconds(5.0)), steady(20, 60), |_: &Received| {
        Verdict::Answer
    });
    assert!(ran.report.interrupted);
    assert_eq!(ran.report.totals.received, 100);
    assert_eq!(
        (ran.report.sessions.failed, ran.report.recorder.errors.total()),
        (0, 0)
    );
    assert_eq!(ran.server.open(), 0);
    assert!(ran.took < seconds(5.1), "{:?}", ran.took);
}

#[test]
fn phases_and_seconds_are_told_in_order_and_the_seconds_add_up() {
    let ran = run(storm(40, "25%", "30s"), |_: &Received| Verdict::Answer);
    let mut told = String::new();
    let (mut sent, mut next) = (0, 0);
    for event in &ran.events {
        match event {
            LoopEvent::Second { number: 0, second } => {
                assert_eq!(second.number, next);
                next += 1;
                sent += second.sent;
                told.push('.');
            }
            LoopEvent::Second { number, .. } => panic!("there is no loop {number}"),
            LoopEvent::Phase(index) => told.push_str(&index.to_string()),
            LoopEvent::Settling => told.push('s'),
            LoopEvent::Over(_) => told.push('o'),
        }
    }
    assert_eq!(told, "0...1..s.o");
    assert_eq!(sent, ran.report.totals.sent);
}
