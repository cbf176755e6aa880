use super::*;
use touchstone_scenarios::duration::FixedDuration;

const SECOND: Nanos = 1_000_000_000;

fn workload() -> Workload {
    serde_json::from_value(serde_json::json!({
        "title": "a storm",
        "sessions": 8,
        "phases": [
            {"ramp": {"for": "2s"}},
            {"steady": {"for": "1s"}},
            {"storm": {"for": "1s", "drop": "25%"}},
        ],
        "thresholds": ["delivery.lost == 0"],
    }))
    .unwrap()
}

#[test]
fn phases_follow_each_other_and_sessions_arrive_over_the_ramp() {
    let plan = Plan::new("storm", &workload()).unwrap();
    let phases: Vec<_> = plan
        .phases
        .iter()
        .map(|phase| (phase.name, phase.start, phase.end))
        .collect();
    assert_eq!(
        phases,
        [
            ("ramp", 0, 2 * SECOND),
            ("steady", 2 * SECOND, 3 * SECOND),
            ("storm", 3 * SECOND, 4 * SECOND)
        ]
    );
    assert_eq!(
        plan.arrivals,
        (0..8).map(|index| index * SECOND / 4).collect::<Vec<_>>()
    );
    assert_eq!(
        plan.phases[2].storm,
        Some(Storm {
            drop_millionths: 250_000,
            within: 30 * SECOND
        })
    );
    assert_eq!(plan.end(), 4 * SECOND);
}

#[test]
fn a_duration_stretches_the_phases_to_fill_it() {
    let plan = Plan::new("storm", &workload().with("duration", "10s").unwrap()).unwrap();
    let ends: Vec<_> = plan.phases.iter().map(|phase| phase.end).collect();
    assert_eq!(ends, [5 * SECOND, 7 * SECOND + SECOND / 2, 10 * SECOND]);
    assert_eq!(plan.arrivals[7], 7 * 5 * SECOND / 8);
}

#[test]
fn without_a_ramp_everyone_is_there_at_once_and_two_ramps_share_the_crowd() {
    let mut both = workload();
    both.phases.remove(0);
    assert_eq!(Plan::new("", &both).unwrap().arrivals, [0; 8]);
    let ramp = |share: &str| Phase::Ramp {
        r#for: FixedDuration(Duration::from_secs(1)),
        to: share.to_owned().try_into().unwrap(),
    };
    both.phases = vec![ramp("25%"), ramp("100%")];
    let arrivals = Plan::new("", &both).unwrap().arrivals;
    assert_eq!(arrivals.iter().filter(|&&arrival| arrival < SECOND).count(), 2);
    assert_eq!(arrivals.len(), 8);
}

#[test]
fn what_is_outside_its_range_is_refused_with_the_range() {
    for (key, value, message) in [
        (
            "sessions",
            "0",
            "`sessions` is 0, but must be between 1 and 1000000",
        ),
        (
            "messages.rate",
            "-1",
            "`messages.rate` is -1.0, but must be between 0.0 and 10000.0",
        ),
        (
            "messages.bytes",
            "8",
            "`messages.bytes` is 8, but must be between 32 and 65536",
        ),
        (
            "connect.at_once",
            "0",
            "`connect.at_once` is 0, but must be between 1 and 1000000",
        ),
        (
            "deadline",
            "2h",
            "`deadline` is 7200s, but must be between 1ms and 3600s",
        ),
        (
            "duration",
            "0.5ms",
            "`duration` is 500µs, but must be between 1ms and 2592000s",
        ),
        (
            "dialect",
            "ecko",
            "`dialect`: `ecko` is not a dialect; there is: echo, rooms, outbox, feed, direct",
        ),
    ] {
        let error = Plan::new("", &workload().with(key, value).unwrap()).unwrap_err();
        assert_eq!(error.to_string(), message);
    }
    let mut empty = workload();
    empty.phases.clear();
    assert_eq!(
        Plan::new("", &empty).unwrap_err().to_string(),
        "`phases` is 0, but must be between 1 and 1000"
    );
}

#[test]
fn a_rate_of_nothing_sends_nothing() {
    let plan = Plan::new("", &workload().with("messages.rate", "0").unwrap()).unwrap();
    assert_eq!(plan.sends, None);
}
