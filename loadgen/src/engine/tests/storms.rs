//! Sessions that are dropped and come back.

use super::*;

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
fn who_comes_back_late_is_back_and_counted_as_not_back_in_time() {
    let late_from = |from: f64| {
        let script = BackAt {
            first: 40,
            from: seconds(from),
            answer: Verdict::Answer,
        };
        // Ten seconds of talk after the storm, so that whoever is late still comes back.
        let plan = workload(serde_json::json!({
            "title": "late", "sessions": 40,
            "phases": [{"steady": {"for": "3s"}}, {"storm": {"for": "12s", "drop": "25%", "within": "2s"}}],
        }));
        let ran = run(plan, script);
        assert_eq!((ran.report.storm.dropped, ran.report.storm.back), (10, 10));
        assert_eq!(ran.report.sessions.failed, 0);
        ran.report.recorder.errors.of(ErrorKind::NotBack)
    };
    assert_eq!(late_from(5.5), 10);
    assert_eq!(late_from(4.0), 0);
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
