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
        plan.phases[2].happening,
        Happening::Storm(Storm {
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
    let ramp = |share: &str| crate::workload::Phase::Ramp {
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
            "`messages.rate` is -1, but must be between 0 and 10000",
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
            "`deadline` is 2h, but must be between 1ms and 1h",
        ),
        (
            "duration",
            "0.5ms",
            "`duration` is 500us, but must be between 1ms and 720h",
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
    assert_eq!(plan.model, Model::Silent);
    assert!(plan.sends(0).is_none());
}

fn plan(settings: &[(&str, &str)]) -> Result<Plan, PlanError> {
    let set = |workload: Workload, (key, value): &(&str, &str)| workload.with(key, value);
    Plan::new("", &settings.iter().try_fold(workload(), set)?)
}

#[test]
fn everything_a_session_does_is_a_function_of_the_seed_its_number_and_the_turn() {
    let settings = [
        ("sessions", "200"),
        ("messages.bytes", r#"{"from": 32, "to": 4096}"#),
        ("groups", "pairs"),
    ];
    let (one, same) = (plan(&settings).unwrap(), plan(&settings).unwrap());
    let other = plan(&[settings.as_slice(), &[("seed", "2")]].concat()).unwrap();
    // Whatever loop has a session, and in whichever order it asks.
    let all = |plan: &Plan, loops: u32| {
        let mut choices: Vec<_> = (0..loops)
            .flat_map(|number| (number..200).step_by(loops as usize))
            .flat_map(|session| (0..5).rev().map(move |index| (session, index)))
            .map(|(session, index)| (session, index, plan.choice(session, index)))
            .collect();
        choices.sort_unstable_by_key(|&(session, index, _)| (session, index));
        choices
    };
    assert_eq!(all(&one, 1), all(&same, 3));
    assert_ne!(all(&one, 1), all(&other, 1));
    let bytes: Vec<_> = all(&one, 1)
        .iter()
        .map(|(.., choice)| choice.content_bytes)
        .collect();
    let mean = bytes.iter().map(|&bytes| f64::from(bytes)).sum::<f64>() / bytes.len() as f64;
    assert!(
        (1_900.0..2_230.0).contains(&mean),
        "2064 in the middle, got {mean}"
    );
    for (session, _, choice) in all(&one, 1) {
        assert_eq!(choice.recipient, 1 - session % 2, "the other of the pair");
    }
}

#[test]
fn sizes_come_by_their_weights() {
    let sizes = r#"[{"bytes": 64, "weight": 9}, {"bytes": 4096}]"#;
    let plan = plan(&[("messages.bytes", sizes)]).unwrap();
    let large = (0..10_000)
        .filter(|&index| plan.choice(3, index).content_bytes == 4096)
        .count();
    assert!((900..1_100).contains(&large), "a tenth, got {large}");
}

#[test]
fn those_who_keep_coming_come_at_their_rate_and_stay_their_time() {
    let with = |coming: &str, phases: &str| {
        let mut workload = workload();
        workload.sessions = None;
        workload
            .with("arrivals", coming)
            .and_then(|changed| changed.with("phases", phases))
            .and_then(|changed| Plan::new("", &changed))
    };
    let steady = r#"[{"steady": {"for": "100s"}}]"#;
    let poisson = with(r#"{"rate": 20}"#, steady).unwrap();
    assert!((1_900..2_100).contains(&poisson.sessions), "{}", poisson.sessions);
    assert!(poisson.arrivals.is_sorted());
    assert_eq!(poisson.departure(0), None);
    let even = with(r#"{"rate": 20, "spacing": "uniform", "stay": "10s"}"#, steady).unwrap();
    assert_eq!(even.sessions, 2_000);
    assert_eq!(even.departure(5), Some(even.arrivals[5] + 10 * SECOND));
    assert_eq!(even.departure(1_999), None, "the run ends first");
    let spiked =
        r#"[{"steady": {"for": "50s"}}, {"spike": {"for": "10s", "factor": 4}}, {"steady": {"for": "40s"}}]"#;
    let spiked = with(r#"{"rate": 20, "spacing": "uniform"}"#, spiked).unwrap();
    assert_eq!(spiked.sessions, 2_000 + 3 * 200);
    let mean = |stay: &str| {
        let plan = with(&format!(r#"{{"rate": 50, "stay": {stay}}}"#), steady).unwrap();
        let stays: Vec<_> = (0..2_000)
            .filter_map(|session| Some((plan.departure(session)? - plan.arrivals[session as usize]) as f64))
            .collect();
        stays.iter().sum::<f64>() / stays.len() as f64 / SECOND as f64
    };
    let exponential = mean(r#"{"exponential": "2s"}"#);
    assert!((1.9..2.1).contains(&exponential), "{exponential}");
    let uniform = mean(r#"{"uniform": {"from": "1s", "to": "3s"}}"#);
    assert!((1.95..2.05).contains(&uniform), "{uniform}");
}

#[test]
fn a_drain_lets_sessions_leave_evenly_the_last_to_come_first() {
    let phases =
        r#"[{"ramp": {"for": "4s"}}, {"drain": {"for": "4s", "to": "50%"}}, {"steady": {"for": "1s"}}]"#;
    let plan = plan(&[("phases", phases)]).unwrap();
    let departures: Vec<_> = (0..8).map(|session| plan.departure(session)).collect();
    let at = |seconds: u64| Some(seconds * SECOND);
    assert_eq!(departures, [None, None, None, None, at(7), at(6), at(5), at(4)]);
}

#[test]
fn a_closed_model_thinks_and_has_no_schedule() {
    let plan = plan(&[
        ("model", "closed"),
        ("messages.think", r#"{"exponential": "2s"}"#),
    ])
    .unwrap();
    assert_eq!(plan.model, Model::Closed);
    assert!(plan.sends(0).is_none());
    let thought: Nanos = (0..10_000).map(|index| plan.choice(0, index).think).sum();
    let mean = thought as f64 / 10_000.0 / SECOND as f64;
    assert!((1.9..2.1).contains(&mean), "{mean}");
}

#[test]
fn only_talkers_have_a_schedule() {
    let rooms = r#"{"rooms": {"size": 4, "talkers": 1}}"#;
    let plan = plan(&[("groups", rooms)]).unwrap();
    let talking: Vec<_> = (0..8).filter(|&session| plan.sends(session).is_some()).collect();
    assert_eq!(talking, [0, 4]);
    assert_eq!(plan.rate(), 2.0);
}

#[test]
fn what_does_not_go_together_is_refused_with_a_way_out() {
    let rows: &[(&[(&str, &str)], &str)] = &[
        (
            &[("model", "closed")],
            "`model`: a closed model needs a think time",
        ),
        (
            &[("messages.think", "1s")],
            "`messages.think`: only a closed model waits for answers and thinks",
        ),
        (
            &[("arrivals", r#"{"rate": 5}"#)],
            "`sessions`: `arrivals` say by themselves how many sessions there are",
        ),
        (&[("mix.shout", "1")], "`mix.shout` is no act; there is: say"),
        (
            &[("mix.say", "0")],
            "`mix.say.weight` is 0, but must be between 0.000001 and 1000000",
        ),
        (
            &[("messages.bytes", r#"{"from": 100, "to": 50}"#)],
            "`messages.bytes`: from 100 to 50 is no range",
        ),
        (
            &[("phases", r#"[{"spike": {"for": "1s", "factor": 0}}]"#)],
            "`phases.0.spike.factor` is 0, but must be between 0.001 and 1000",
        ),
        (
            &[(
                "phases",
                r#"[{"ramp": {"for": "1s"}}, {"drain": {"for": "1s"}}, {"ramp": {"for": "1s", "to": "50%"}}]"#,
            )],
            "`phases.2.ramp`: 4 sessions are to come, but of 8 only 0 have not been there yet",
        ),
        (
            &[("heartbeat", "2h")],
            "`heartbeat` is 2h, but must be between 1ms and 1h",
        ),
        (
            &[("groups", r#"{"rooms": {"size": 0}}"#)],
            "`groups.rooms.size` is 0, but must be between 1 and 1000000",
        ),
    ];
    for (settings, message) in rows {
        assert_eq!(plan(settings).unwrap_err().to_string(), *message);
    }
}
