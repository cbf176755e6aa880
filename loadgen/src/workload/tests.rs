use super::*;
use touchstone_scenarios::diag::Paint;

fn source(text: &str) -> Arc<Source> {
    Arc::new(Source {
        path: "mine.yaml".to_owned(),
        text: text.to_owned(),
    })
}

fn workload() -> Workload {
    Workload::read(&source(
        "title: a storm\nsessions: 8\nphases: [{steady: {for: 1s}}]\n",
    ))
    .unwrap()
}

#[test]
fn any_key_can_be_set_from_outside() {
    let changed = workload()
        .with("sessions", "200")
        .and_then(|changed| changed.with("messages.rate", "0.5"))
        .and_then(|changed| changed.with("messages.spacing", "poisson"))
        .and_then(|changed| changed.with("echo.keep_messages", "true"))
        .and_then(|changed| changed.with("timings.echo.heartbeat.interval", "1s"))
        .unwrap();
    assert_eq!(changed.sessions, Some(200));
    assert_eq!(
        changed.messages,
        Messages {
            rate: 0.5,
            spacing: Spacing::Poisson,
            bytes: Size::Constant(64),
            think: None,
        }
    );
    assert!(changed.echo.keep_messages);
    assert_eq!(
        changed.timings["echo.heartbeat.interval"],
        FixedDuration(Duration::from_secs(1))
    );
}

#[test]
fn a_setting_that_does_not_fit_says_so() {
    for (key, value, part) in [
        ("session", "5", "unknown field `session`"),
        ("messages.rat", "5", "unknown field `rat`"),
        ("mesages.rate", "5", "unknown field `mesages`"),
        ("sessions", "many", "expected u32"),
        ("sessions.x", "1", "`x` is not inside a map"),
        ("duration", "5 parsecs", "`5 parsecs` is not a duration"),
    ] {
        let error = workload().with(key, value).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("`--set {key}={value}`: ")) && error.contains(part),
            "{error}"
        );
    }
}

#[test]
fn a_mistake_in_a_file_is_shown_where_it_stands() {
    let head = "title: t\nphases: [{steady: {for: 1s}}]\n";
    for (text, line_column, part) in [
        (
            "sessions: 0",
            (3, 11),
            "`sessions` is 0, but must be between 1 and 1000000",
        ),
        (
            "sessions: 1\nmessages: {rate: 1e9}",
            (4, 18),
            "`messages.rate` is 1000000000",
        ),
        (
            "sessions: 1\nthresholds: [delivery.lost == 0, lost == 0]",
            (4, 34),
            "threshold `lost == 0`: a metric has two parts",
        ),
        ("sessions: 1\ndialect: ecko", (4, 10), "`ecko` is not a dialect"),
        ("sessions: 1\nsession: 2", (4, 1), "unknown key `session`"),
        (
            "sessions: 1\nduration: 5 parsecs",
            (4, 11),
            "`5 parsecs` is not a duration",
        ),
        (
            "sessions: 1\ntimings: {echo.heartbeat: 1s}",
            (4, 11),
            "`timings.echo.heartbeat` is no timing; there is: echo.heartbeat.interval, ",
        ),
        ("sessions: many", (3, 11), "many"),
    ] {
        let diag = Workload::read(&source(&format!("{head}{text}\n"))).unwrap_err();
        assert_eq!(diag.line_column(), line_column, "{text}: {}", diag.message);
        assert!(diag.message.contains(part), "{text}: {}", diag.message);
    }
}

#[test]
fn the_workloads_that_are_compiled_in_are_plans() {
    let names: Vec<_> = touchstone_scenarios::builtin_workloads()
        .into_iter()
        .map(|(name, source)| {
            let workload =
                Workload::read(&source).unwrap_or_else(|diag| panic!("{}", diag.render(Paint::Plain)));
            Plan::new(name, &workload).unwrap();
            name
        })
        .collect();
    assert_eq!(
        names,
        [
            "check",
            "direct-mix",
            "echo-mix",
            "fan-out",
            "feed-mix",
            "heartbeat-idle",
            "outbox-mix",
            "ramp",
            "reconnect-storm",
            "rooms-mix",
            "slow-consumers",
            "smoke",
            "soak",
            "steady"
        ]
    );
}

#[test]
fn a_protocol_that_is_none_of_the_dialects_has_a_workload() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/ticker/load.yaml");
    let text = std::fs::read_to_string(path).unwrap();
    let workload =
        Workload::read(&source(&text)).unwrap_or_else(|diag| panic!("{}", diag.render(Paint::Plain)));
    assert_eq!(Plan::new("ticker", &workload).unwrap().protocol.name(), "ticker");
}

#[test]
fn what_is_wrong_with_a_protocol_of_ones_own_is_shown_where_it_stands() {
    let text = "title: t\nsessions: 1\nphases: [{steady: {for: 1s}}]\ncustom:\n  acts:\n    say: {send: \"${stmp}\"}\n";
    let diag = Workload::read(&source(text)).unwrap_err();
    assert_eq!(diag.line_column(), (6, 17));
    assert!(
        diag.to_string()
            .ends_with("`${stmp}` stands for nothing (did you mean `${stamp}`?)"),
        "{diag}"
    );
    let both = format!("{text}dialect: echo\n");
    let diag = Workload::read(&source(&both)).unwrap_err();
    assert!(diag.message.contains("a run speaks one protocol"), "{diag}");
}

#[test]
fn check_only_has_thresholds_on_counts_and_is_as_long_as_it_says() {
    let (_, source) = touchstone_scenarios::builtin_workloads().remove(0);
    let plan = Plan::new("check", &Workload::read(&source).unwrap()).unwrap();
    assert_eq!((plan.sessions, plan.end()), (2_000, 10_000_000_000));
    assert!(
        plan.thresholds
            .iter()
            .all(|threshold| !threshold.metric.suffers_from_saturation())
    );
}
