//! What is measured and counted on connections that stay.

use super::*;

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
    // A message each two seconds: none waits for the answer to the one before.
    let unhurried = workload(serde_json::json!({
        "title": "unhurried", "sessions": 20, "messages": {"rate": 0.5}, "phases": [{"steady": {"for": "10s"}}],
    }));
    for delay in [250, 1_000] {
        let ran = run(unhurried.clone(), move |_: &Received| {
            Verdict::AnswerAfter(Duration::from_millis(delay))
        });
        let measured = ran.report.recorder.measured(Latency::Answer);
        assert_eq!(measured.latency.count(), 100);
        // To three digits; and timers on virtual time fall on whole milliseconds: so late may a send be.
        let exact = delay as f64 * 0.999..=delay as f64 * 1.001;
        let late = delay as f64 * 0.999..=delay as f64 * 1.001 + 1.1;
        for q in [0.0, 0.5, 0.99, 1.0] {
            let service_time = measured.service_time.quantile_ms(q).unwrap();
            assert!(exact.contains(&service_time), "{service_time} at {q}");
            let latency = measured.latency.quantile_ms(q).unwrap();
            assert!(late.contains(&latency), "{latency} at {q}");
        }
    }
}

#[test]
fn a_server_that_blocks_is_charged_for_everyone_it_keeps_waiting() {
    let plan = steady(200, 20);
    let waits = waits_for(&plan, seconds(5.0)..seconds(10.0));
    let ran = run(plan, blocks_from_5_to_10);
    let answers = &ran.report.recorder.measured(Latency::Answer).latency;
    assert_eq!(answers.count(), 4_000, "nothing that was meant is left out");
    // A quarter of all messages waits, evenly between 0 and 5 s: one in ten more than 3 s.
    let p90 = answers.quantile_ms(0.9).unwrap();
    assert_eq!((p90 / 100.0).round(), 30.0, "3.0 s: {p90}");
    let true_p90 = quantile_ms(waits, 0.9);
    assert!(
        (p90 - true_p90).abs() <= true_p90 / 1_000.0 + 1.0,
        "{p90} {true_p90}"
    );
    let p50 = answers.quantile_ms(0.5).unwrap();
    assert!(p50 < 2.0, "{p50}");
    assert_eq!(ran.report.totals.late, 0);
    let generator = watch::judge(
        &Reading::default(),
        &Reading::default(),
        &[],
        &ran.report.recorder,
        Taken::default(),
    );
    assert!(
        !generator.saturated,
        "the server is to blame: {:?}",
        generator.reasons
    );
}

#[test]
fn users_who_wait_for_answers_would_have_said_that_nothing_was_wrong() {
    let plan = workload(serde_json::json!({
        "title": "naive", "sessions": 200, "model": "closed", "messages": {"think": "1s"},
        "phases": [{"ramp": {"for": "1s"}}, {"steady": {"for": "19s"}}],
    }));
    let ran = run(plan, blocks_from_5_to_10);
    let answers = &ran.report.recorder.measured(Latency::Answer).latency;
    // Each of them is caught once, and does not say what it would have said meanwhile: one in sixteen waits, not one in four.
    let p90 = answers.quantile_ms(0.9).unwrap();
    assert!(p90 < 20.0, "against the true 3.0 s: {p90}");
    assert!(
        answers.max_ms().unwrap() > 4_900.0,
        "and yet it was the same server"
    );
}

fn blocks_from_5_to_10(received: &Received) -> Verdict {
    match received.at.as_secs_f64() {
        at if (5.0..10.0).contains(&at) => Verdict::AnswerAfter(seconds(10.0 - at)),
        _ => Verdict::Answer,
    }
}

/// How long each of the plan's messages waits for its answer if the server answers nothing in a stretch of time.
fn waits_for(plan: &Plan, blocked: std::ops::Range<Duration>) -> Vec<Duration> {
    let mut waits = Vec::new();
    for session in 0..plan.sessions {
        let mut sends = plan.sends(session).expect("all of them talk");
        while sends.due() < plan.end() {
            let meant = Duration::from_nanos(sends.due());
            let waits_for_end = blocked.contains(&meant);
            waits.push(if waits_for_end {
                blocked.end - meant
            } else {
                Duration::ZERO
            });
            sends.advance();
        }
    }
    waits
}

/// The smallest that is at least as long as this share of all.
fn quantile_ms(mut waits: Vec<Duration>, q: f64) -> f64 {
    waits.sort_unstable();
    waits[(waits.len() as f64 * q).ceil() as usize - 1].as_secs_f64() * 1e3
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
    let generator = watch::judge(
        &Reading::default(),
        &Reading::default(),
        &[],
        recorder,
        Taken::default(),
    );
    assert!(generator.saturated);
    assert!(
        generator.reasons[0].starts_with("sends left 4"),
        "{:?}",
        generator.reasons
    );
}

#[test]
fn a_generator_that_starves_beyond_the_end_leaves_nothing_out() {
    let world = World::StarvesAt(seconds(19.0), seconds(2.0));
    let ran = run_in(world, steady(200, 20), |_: &Received| Verdict::Answer);
    assert_eq!(
        ran.server.received(),
        4_000,
        "what was due meanwhile is sent, late"
    );
    let recorder = &ran.report.recorder;
    assert_eq!(recorder.measured(Latency::Answer).latency.count(), 4_000);
    let late = recorder.send_lag.quantile_ms(0.99).unwrap();
    assert!((1_700.0..=2_000.0).contains(&late), "{late}");
}

#[test]
fn what_a_generator_has_no_time_for_until_one_deadline_after_the_end_is_counted() {
    let world = World::StarvesAt(seconds(19.0), seconds(7.0));
    let ran = run_in(world, steady(200, 20), |_: &Received| Verdict::Answer);
    let recorder = &ran.report.recorder;
    assert_eq!(recorder.unsent, 200, "a second of 200 sessions");
    assert_eq!(
        ran.server.received() + recorder.unsent,
        4_000,
        "all that was meant"
    );
    let nothing = Reading::default();
    let generator = watch::judge(&nothing, &nothing, &[], recorder, Taken::default());
    assert!(generator.saturated, "{:?}", generator.reasons);
    let expected = "200 sends were still due one deadline after the end, and were not sent";
    assert!(
        generator.reasons.iter().any(|reason| reason == expected),
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
