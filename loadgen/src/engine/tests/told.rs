//! What a loop tells while it runs, and what it does again with the same seed.

use proptest::prelude::*;

use super::*;

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
fn phases_and_seconds_are_told_in_order_and_the_seconds_add_up() {
    let ran = run(storm(40, "25%", "30s"), |_: &Received| Verdict::Answer);
    let mut told = String::new();
    let (mut sent, mut next) = (0, 0);
    for event in &ran.events {
        match event {
            LoopEvent::Second { number: 0, second } => {
                assert_eq!(second.number, next);
                assert!(
                    second.connected >= 30,
                    "{second:?}: the storm takes ten of forty, the end nobody"
                );
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

#[test]
fn bytes_are_counted_as_they_travel() {
    let ran = run(steady(3, 4), |_: &Received| Verdict::Answer);
    let Traffic {
        sent,
        heard,
        compressed_sessions,
    } = ran.report.recorder.traffic;
    let messages = ran.report.totals.sent;
    assert_eq!(messages, 12);
    // A masked frame of less than 126 bytes has six more; each of three sessions says goodbye with a code.
    assert_eq!(sent.wire, sent.payload + 6 * messages + 3 * 8);
    assert!(heard.payload > sent.payload, "an answer has what was said in it");
    assert!(heard.wire > heard.payload);
    assert_eq!(compressed_sessions, 0);
}

#[test]
fn two_loops_share_the_sessions_and_a_storm_without_gap_or_overlap() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build_local(LocalOptions::default())
        .unwrap();
    let (reports, server) = runtime.block_on(async {
        let start = Instant::now();
        let server = Scripted::new(start, |_: &Received| Verdict::Answer);
        let (to_reader, _from_loops) = mpsc::channel(10_000);
        let run = |number| {
            let client = |session| EchoClient::new(session, Persistence::Count);
            let job = job(storm(41, "25%", "30s"), start, number, 2);
            run_loop(
                job,
                server.clone(),
                client,
                to_reader.clone(),
                CancellationToken::new(),
            )
        };
        let (even, odd) = tokio::join!(run(0), run(1));
        ([even, odd], server)
    });
    let mut senders: Vec<_> = reports
        .iter()
        .flat_map(|report| &report.pages)
        .map(|page| page.session)
        .collect();
    senders.sort_unstable();
    assert_eq!(senders, (0..41).collect::<Vec<_>>());
    let dropped = reports.iter().map(|report| report.storm.dropped);
    assert_eq!(dropped.sum::<u64>(), 10, "a quarter of all, not of each loop");
    assert!(
        reports
            .iter()
            .all(|report| report.storm.back == report.storm.dropped)
    );
    assert_eq!(server.opened().len(), 41);
    assert_eq!(
        reports.iter().map(|report| report.totals.received).sum::<u64>(),
        server.received()
    );
}

/// What the server hears of a run in so many parts: who said which of theirs, and when. A part is one loop here.
fn heard(plan: &Plan, parts: u32) -> Vec<(u32, u32, Duration)> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build_local(LocalOptions::default())
        .unwrap();
    runtime.block_on(async {
        let start = Instant::now();
        let server = Scripted::new(start, |_: &Received| Verdict::Answer);
        let (to_reader, _from_loops) = mpsc::channel(10_000);
        let all = (0..parts).map(|number| {
            let client = |session| EchoClient::new(session, Persistence::Count);
            let job = job(plan.clone(), start, number, parts);
            let stop = CancellationToken::new();
            run_loop(job, server.clone(), client, to_reader.clone(), stop)
        });
        let mut running = Box::pin(async {
            let mut all: Vec<_> = all.map(Box::pin).collect();
            std::future::poll_fn(|cx| {
                all.retain_mut(|run| run.as_mut().poll(cx).is_pending());
                if all.is_empty() {
                    std::task::Poll::Ready(())
                } else {
                    std::task::Poll::Pending
                }
            })
            .await;
        });
        running.as_mut().await;
        let record = server.record();
        let mut heard: Vec<_> = record
            .iter()
            .map(|(met, _)| (met.session, met.sequence, met.at))
            .collect();
        heard.sort_unstable();
        heard
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn the_same_seed_is_the_same_schedule_in_however_many_parts(seed: u64, parts in 2_u32..6, arriving: bool) {
        let mut written = serde_json::json!({
            "title": "parts", "seed": seed, "messages": {"spacing": "poisson"},
        });
        if arriving {
            written["arrivals"] = serde_json::json!({"rate": 7, "spacing": "poisson", "stay": "2s"});
            written["phases"] = serde_json::json!([{"steady": {"for": "4s"}}]);
        } else {
            written["sessions"] = 23.into();
            written["phases"] = serde_json::json!([{"ramp": {"for": "1s"}}, {"spike": {"for": "2s", "factor": 3}}]);
        }
        let plan = workload(written);
        prop_assert_eq!(heard(&plan, 1), heard(&plan, parts));
    }
}
