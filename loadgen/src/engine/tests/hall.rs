//! Sessions that talk to each other: deliveries, habits, tokens, requests and what is read back, in a made-up hall.

use touchstone_protocol::client::{Act, OfflineQueue, Persona};

use super::super::hall::{ACTS, ACTS_THAT_ARE_ANSWERED, Deed, Desk, Guest, Hall, REPLY_AFTER, Said};
use super::super::{LoopReport, Node, run_loop};
use super::*;
use crate::ledger::reckon::{Reckoning, Terms, reckon};

const MEMBERS: u32 = 3;

struct Evening {
    report: LoopReport,
    reckoning: Reckoning,
    hall: Hall,
    desk: Arc<Desk>,
    took: Duration,
}

/// How guests are, and what the desk and the hall do.
#[derive(Clone, Copy)]
struct Setting {
    beat: Option<Duration>,
    queue: Option<OfflineQueue>,
    token_takes: Duration,
    shut: (Duration, Duration),
    stop_at: Option<Duration>,
    acts: &'static [Act],
}

impl Default for Setting {
    fn default() -> Self {
        Self {
            beat: None,
            queue: None,
            token_takes: Duration::ZERO,
            shut: Default::default(),
            stop_at: None,
            acts: ACTS,
        }
    }
}

/// Six guests in two rooms, one act a second, for ten seconds, unless `more` says otherwise.
fn plan_of(more: &serde_json::Value) -> Plan {
    let mut written = serde_json::json!({
        "title": "an evening", "dialect": "rooms", "sessions": 6, "groups": {"rooms": {"size": MEMBERS}},
        "phases": [{"steady": {"for": "10s"}}],
    });
    for (key, value) in more.as_object().unwrap() {
        written[key] = value.clone();
    }
    workload(written)
}

fn evening(setting: Setting, plan: Plan, script: impl Fn(&Said) -> Deed + 'static) -> Evening {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build_local(LocalOptions::default())
        .unwrap();
    runtime.block_on(async {
        let start = Instant::now();
        let (from, to) = setting.shut;
        let hall = Hall::new(start, script).shut(from, to);
        let desk = Arc::new(Desk::with(setting.token_takes));
        let node = Node {
            host: "hall".to_owned(),
            path: "/hall/{room}".to_owned(),
            headers: http::HeaderMap::new(),
            offer: None,
        };
        let job = Job {
            nodes: Arc::new([node]),
            acts: setting.acts.into(),
            backstage: Arc::clone(&desk) as _,
            catch_up: CatchUp::Possible,
            ..job(plan, start, 0, 1)
        };
        let terms = Terms {
            deadline: job.plan.deadline,
            catch_up: CatchUp::Possible,
        };
        let Setting { beat, queue, .. } = setting;
        let groups = job.plan.groups.clone();
        let client = move |sender: u64| Guest {
            persona: Persona {
                id: format!("g{}", sender as u32),
                channel: format!("room{}", groups.of(sender as u32)),
                ..Persona::default()
            },
            beat,
            queue,
        };
        let (to_reader, _from_loop) = mpsc::channel(10_000);
        let stop = CancellationToken::new();
        let running = run_loop(job, hall.clone(), client, to_reader, stop.clone());
        let stopping = async {
            if let Some(at) = setting.stop_at {
                tokio::time::sleep(at).await;
                stop.cancel();
            }
            std::future::pending::<()>().await;
        };
        let report = tokio::select! {
            report = tokio::time::timeout(FOREVER, running) => report.expect("a run ends"),
            () = stopping => unreachable!(),
        };
        Evening {
            reckoning: reckon(terms, &report.sent, &report.heard),
            report,
            hall,
            desk,
            took: start.elapsed(),
        }
    })
}

fn others() -> u64 {
    u64::from(MEMBERS - 1)
}

#[test]
fn everybody_of_a_room_is_owed_what_another_says_and_nobody_else() {
    let plan = plan_of(&serde_json::json!({}));
    let ran = evening(Setting::default(), plan, |_| Deed::Deliver);
    let said = ran.hall.record().len() as u64;
    let totals = ran.reckoning.totals;
    assert_eq!(said, 60);
    assert_eq!(
        (totals.expected, totals.received),
        (said * others(), said * others())
    );
    assert_eq!(
        (
            totals.lost,
            totals.duplicated,
            totals.reordered,
            totals.unconfirmed
        ),
        (0, 0, 0, 0)
    );
    assert_eq!(ran.report.recorder.errors.total(), 0);
    assert_eq!(
        ran.report.recorder.measured(Latency::Confirm).latency.count(),
        said
    );
    assert_eq!(ran.report.recorder.act(0).unwrap().latency.count(), said);
    assert_eq!(
        ran.report.recorder.measured(Latency::Delivery).latency.count(),
        said * others()
    );
}

#[test]
fn what_is_answered_is_counted_and_timed_beside_what_is_delivered() {
    let plan = plan_of(&serde_json::json!({"mix": {"say": 1, "typing": 1}}));
    let setting = Setting {
        acts: ACTS_THAT_ARE_ANSWERED,
        ..Setting::default()
    };
    let ran = evening(setting, plan, |_| Deed::Deliver);
    let said = ran.hall.record().len() as u64;
    let answered = ran.report.totals;
    assert_eq!(ran.reckoning.totals.received, said * others());
    assert_eq!(said + answered.sent, 60, "both kinds are in the sums");
    assert!(said > 0 && answered.sent > 0, "{said} of both");
    assert_eq!((answered.received, answered.unconfirmed), (answered.sent, 0));
    let recorder = &ran.report.recorder;
    let counts = [0, 1].map(|act| recorder.act(act).unwrap().latency.count());
    assert_eq!(counts, [said, answered.sent]);
    assert_eq!(recorder.errors.total(), 0);
}

#[test]
fn a_delivery_is_timed_from_the_instant_at_which_it_was_meant_to_be_said() {
    let plan = plan_of(&serde_json::json!({}));
    let ran = evening(Setting::default(), plan, |_| {
        Deed::After(Duration::from_millis(300))
    });
    let measured = ran.report.recorder.measured(Latency::Delivery);
    assert_eq!(measured.latency.count(), 60 * others());
    for q in [0.0, 0.5, 1.0] {
        let latency = measured.latency.quantile_ms(q).unwrap();
        assert!((299.0..=303.0).contains(&latency), "{latency} at {q}");
    }
}

#[test]
fn what_was_kept_and_told_nobody_is_read_back_and_what_was_lost_is_lost() {
    let script = |said: &Said| match said.sequence {
        2 => Deed::KeepOnly,
        4 => Deed::Lose,
        5 => Deed::Double,
        6 => Deed::HoldBack,
        8 => Deed::Unconfirmed,
        _ => Deed::Deliver,
    };
    // One who talks in each room: what is held back is overtaken by his own next word.
    let plan = plan_of(&serde_json::json!({"groups": {"rooms": {"size": MEMBERS, "talkers": 1}}}));
    let ran = evening(Setting::default(), plan, script);
    let totals = ran.reckoning.totals;
    let met = |deed| ran.hall.met(deed) * others();
    assert_eq!(totals.lost, met(Deed::Lose));
    assert_eq!(totals.duplicated, met(Deed::Double));
    assert_eq!(totals.reordered, met(Deed::HoldBack));
    assert_eq!(totals.unconfirmed, ran.hall.met(Deed::Unconfirmed));
    assert_eq!(ran.reckoning.beside.unconfirmed, met(Deed::Unconfirmed));
    assert_eq!(totals.expected, totals.received + totals.lost);
    assert_eq!(
        totals.expected,
        (ran.hall.record().len() as u64 - totals.unconfirmed) * others()
    );
    let history: Vec<_> = ran.hall.requests();
    assert_eq!(
        history.len(),
        4,
        "the two listeners of each room miss something: {history:?}"
    );
    assert!(
        history
            .iter()
            .all(|line| line.starts_with("GET /v2/history/room") && line.ends_with("Bearer 1")),
        "{history:?}"
    );
}

#[test]
fn getting_a_token_is_measured_and_another_one_is_got_when_the_server_wants_that() {
    let setting = Setting {
        token_takes: Duration::from_millis(50),
        ..Setting::default()
    };
    let script = |said: &Said| match said.sequence {
        3 if said.author == 0 => Deed::Close(4001),
        3 if said.author == 1 => Deed::Close(4000),
        3 if said.author == 2 => Deed::Close(1012),
        _ => Deed::Deliver,
    };
    let ran = evening(setting, plan_of(&serde_json::json!({})), script);
    assert_eq!(ran.desk.given(), 7);
    let login = &ran.report.recorder.measured(Latency::Login).latency;
    assert_eq!(login.count(), 7);
    let p50 = login.quantile_ms(0.5).unwrap();
    assert!((49.9..52.0).contains(&p50), "{p50}");
    let openings = ran.hall.openings();
    let of = |guest: &str| {
        let its = openings
            .iter()
            .filter(|(query, _)| query.starts_with(&format!("id={guest}&")));
        its.map(|(query, _)| query.rsplit('=').next().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        (of("g0"), of("g1"), of("g2")),
        (vec!["1", "2"], vec!["1"], vec!["1", "1"])
    );
    assert_eq!(
        ran.report.sessions.failed, 1,
        "whoever is told never to come back"
    );
}

#[test]
fn clients_beat_once_an_interval_after_their_connection_and_not_at_all_where_the_plan_has_none() {
    let beating = |heartbeat: serde_json::Value| {
        let setting = Setting {
            beat: Some(Duration::from_secs(3)),
            ..Setting::default()
        };
        let plan = plan_of(&serde_json::json!({"messages": {"rate": 0}, "heartbeat": heartbeat}));
        let ran = evening(setting, plan, |_| Deed::Deliver);
        assert_eq!(ran.report.recorder.heartbeats, ran.hall.beats().len() as u64);
        let beats = ran.hall.beats();
        let own = beats
            .iter()
            .filter(|(guest, _)| guest == "g4")
            .map(|(_, at)| at.as_secs_f64().round());
        own.collect::<Vec<_>>()
    };
    assert_eq!(beating(serde_json::Value::Null), [3.0, 6.0, 9.0]);
    assert_eq!(beating("4s".into()), [4.0, 8.0]);
    assert_eq!(beating("none".into()), [0.0; 0]);
}

#[test]
fn what_falls_due_while_somebody_is_away_is_said_in_order_when_he_is_back_if_his_client_keeps_it() {
    let away = |queue: Option<OfflineQueue>| {
        let setting = Setting {
            queue,
            shut: (seconds(2.9), seconds(6.0)),
            ..Setting::default()
        };
        let script = |said: &Said| match said.at > seconds(3.0) && said.at < seconds(4.0) {
            true => Deed::Close(1012),
            false => Deed::Deliver,
        };
        evening(setting, plan_of(&serde_json::json!({})), script)
    };
    let queue = OfflineQueue {
        messages_max: 2,
        age_max: Duration::from_secs(60),
    };
    let kept = away(Some(queue));
    let said: Vec<_> = kept
        .hall
        .record()
        .iter()
        .filter(|(said, _)| said.author == 3)
        .map(|(said, _)| *said)
        .collect();
    assert!(
        said.windows(2)
            .all(|pair| pair[0].sequence + 1 == pair[1].sequence),
        "{said:?}"
    );
    let back = said
        .iter()
        .filter(|said| said.at > seconds(4.0))
        .collect::<Vec<_>>();
    assert_eq!(back[0].at, back[1].at, "two that were kept, at once: {said:?}");
    assert!(
        said.windows(2)
            .all(|pair| pair[0].intended_micros < pair[1].intended_micros),
        "{said:?}"
    );
    let late = kept
        .report
        .recorder
        .measured(Latency::Confirm)
        .latency
        .max_ms()
        .unwrap();
    assert!(late > 1_000.0, "{late}: from when they were meant");
    let forgotten = away(None);
    assert!(forgotten.report.recorder.skipped_sends > kept.report.recorder.skipped_sends);
    assert_eq!(
        (kept.reckoning.totals.lost, forgotten.reckoning.totals.lost),
        (0, 0)
    );
}

#[test]
fn whoever_is_let_in_no_more_gives_up_after_the_attempts_of_his_client() {
    let setting = Setting {
        shut: (seconds(2.5), seconds(10_000.0)),
        ..Setting::default()
    };
    let script = |said: &Said| match said.at > seconds(3.0) {
        true => Deed::Close(1012),
        false => Deed::Deliver,
    };
    let ran = evening(setting, plan_of(&serde_json::json!({})), script);
    assert_eq!(ran.report.sessions.failed, 6);
    assert_eq!(ran.report.recorder.errors.of(ErrorKind::Connect), 6 * 3);
}

#[test]
fn a_reply_belongs_to_the_oldest_who_waits_and_requests_share_a_few_connections() {
    let plan = plan_of(&serde_json::json!({"mix": {"history": 1, "read": 1}, "messages": {"rate": 4}}));
    let ran = evening(Setting::default(), plan, |_| Deed::Deliver);
    let (posted, asked) = (
        ran.report.recorder.act(2).unwrap(),
        ran.report.recorder.act(3).unwrap(),
    );
    assert_eq!(posted.latency.count() + asked.latency.count(), 240);
    assert!(asked.latency.count() > 60 && posted.latency.count() > 60);
    for q in [0.0, 1.0] {
        let latency = asked.latency.quantile_ms(q).unwrap();
        let told = REPLY_AFTER.as_secs_f64() * 1e3;
        assert!(
            (told - 1.0..=told + 5.0).contains(&latency),
            "{latency} at {q}, with three who wait"
        );
    }
    assert_eq!(ran.hall.requests().len() as u64, posted.latency.count());
    assert_eq!(
        ran.hall.http_connections(),
        6,
        "one for each of six sessions, kept"
    );
    assert_eq!(ran.report.recorder.errors.total(), 0);
    assert_eq!(
        (ran.reckoning.totals.lost, ran.reckoning.totals.reordered),
        (0, 0)
    );
}

#[test]
fn in_the_closed_model_the_next_turn_comes_after_the_effect_of_the_last_and_the_think_time() {
    let plan =
        plan_of(&serde_json::json!({"model": "closed", "messages": {"think": "1s"}, "deadline": "1s"}));
    let script = |said: &Said| match said.author {
        0 => Deed::Unconfirmed,
        _ => Deed::Deliver,
    };
    let ran = evening(Setting::default(), plan, script);
    let turns = |author| {
        ran.hall
            .record()
            .iter()
            .filter(|(said, _)| said.author == author)
            .count()
    };
    assert!((9..=10).contains(&turns(1)), "{}", turns(1));
    // Never confirmed: given up after twice the deadline, and then the think time.
    assert!((3..=4).contains(&turns(0)), "{}", turns(0));
}

#[test]
fn whoever_leaves_in_a_drain_is_no_failure_and_is_owed_nothing_more() {
    let plan = plan_of(&serde_json::json!({
        "phases": [{"steady": {"for": "4s"}}, {"drain": {"for": "4s", "to": "50%"}}, {"steady": {"for": "2s"}}],
    }));
    let ran = evening(Setting::default(), plan, |_| Deed::Deliver);
    assert_eq!(
        (ran.report.sessions.connected, ran.report.sessions.failed),
        (6, 0)
    );
    assert_eq!(ran.report.recorder.errors.total(), 0);
    let last = |author| {
        ran.hall
            .record()
            .iter()
            .filter(|(said, _)| said.author == author)
            .map(|(said, _)| said.at)
            .max()
    };
    assert!(last(0).unwrap() > seconds(9.0) && last(5).unwrap() < seconds(8.0));
}

#[test]
fn whoever_reads_slowly_hears_everything_when_he_reads_again_and_that_is_late() {
    let plan = plan_of(&serde_json::json!({
        "phases": [{"steady": {"for": "2s"}}, {"slow": {"for": "6s", "share": "100%"}}, {"steady": {"for": "4s"}}],
    }));
    let ran = evening(Setting::default(), plan, |_| Deed::Deliver);
    let totals = ran.reckoning.totals;
    assert_eq!(totals.lost, 0);
    assert!(totals.late > 0 && totals.late < totals.received, "{totals:?}");
    let longest = ran
        .report
        .recorder
        .measured(Latency::Delivery)
        .latency
        .max_ms()
        .unwrap();
    assert!((5_000.0..6_100.0).contains(&longest), "{longest}");
}

#[test]
fn a_run_that_is_stopped_still_tells_what_everybody_heard() {
    let setting = Setting {
        stop_at: Some(seconds(4.5)),
        ..Setting::default()
    };
    let ran = evening(setting, plan_of(&serde_json::json!({})), |_| Deed::Deliver);
    assert!(ran.report.interrupted);
    let said = ran.hall.record().len() as u64;
    assert!((18..=30).contains(&said));
    assert_eq!(
        (ran.reckoning.totals.received, ran.reckoning.totals.lost),
        (said * others(), 0)
    );
    assert!(ran.took < seconds(6.0), "{:?}", ran.took);
}
