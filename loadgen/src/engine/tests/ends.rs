//! Servers that close, die, stall, and runs that are stopped: always a report, never a hang.

use super::*;

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
fn a_server_that_closes_after_every_message_gives_a_report_and_no_hang() {
    let ran = run(steady(10, 4), |_: &Received| Verdict::Hang);
    assert!(ran.report.recorder.unexpected_closes > 100);
    assert_eq!(ran.report.totals.received, 0);
    // The last phase, and three times the deadline: for those on their way, for their last words, for being asked once more.
    assert!(ran.took < seconds(4.0 + 15.1), "{:?}", ran.took);
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
