//! `load run --processes`: a run divided over processes, put together, stopped, and short of one of them.

use serde_json::Value;

use crate::support::{Ended, PROGRAM, Running, folder, listening, run, touchstone};

const SECRET: (&str, &str) = ("secret", "a secret of some length, enough of it");

/// Who serves, and where.
fn server(folder: &tempfile::TempDir) -> (Running, String) {
    let args = [
        "serve",
        "--secret-file",
        "secret",
        "--listen",
        "127.0.0.1:0",
        "--dialects",
        "echo",
    ];
    let server = Running::start(touchstone(folder.path(), &args));
    let url = format!("ws://{}", listening(&server));
    (server, url)
}

fn report(folder: &tempfile::TempDir) -> Value {
    let text = std::fs::read_to_string(folder.path().join("report.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn load(folder: &tempfile::TempDir, more: &[&str]) -> Ended {
    let args = [
        "load",
        "run",
        "smoke",
        "--dialects",
        "echo",
        "--report",
        "json=report.json",
    ];
    run(touchstone(folder.path(), &[&args[..], more].concat()))
}

#[test]
fn the_parts_of_a_run_are_put_together_exactly() {
    let folder = folder(&[SECRET]);
    let (_server, url) = server(&folder);
    let ended = load(
        &folder,
        &[
            "--url",
            &url,
            "--processes",
            "3",
            "--allow-saturated",
            "--set",
            "sessions=20",
        ],
    );
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let report = report(&folder);
    let sessions = &report["summary"]["sessions"];
    assert_eq!(
        (&sessions["attempted"], &sessions["connected"]),
        (&20.into(), &20.into())
    );
    assert_eq!(
        report["runs"].as_array().map(Vec::len),
        Some(1),
        "parts of one run"
    );
    let pages = report["ledger"].as_array().unwrap();
    let sent: u64 = pages.iter().map(|page| page["sent"].as_u64().unwrap()).sum();
    assert_eq!(
        report["delivery"]["received"].as_u64(),
        Some(sent),
        "each page is in the sum"
    );
    assert_eq!(pages.len(), 20);
}

/// Half of them are dropped, and read back what all others have said meanwhile: so each process knows of the others what they sent.
#[test]
fn whoever_is_owed_something_is_owed_it_by_the_users_of_every_process() {
    // A room, of whose members each process plays some; and everybody who is told of everything.
    let workloads = [
        (
            "rooms",
            "title: a room\ndialect: rooms\nsessions: 7\ngroups: {rooms: {size: 7}}\n",
        ),
        ("feed", "title: a feed\ndialect: feed\nsessions: 7\n"),
        (
            "direct",
            "title: pairs\ndialect: direct\nsessions: 8\ngroups: pairs\n",
        ),
    ];
    let runs = workloads.map(|(name, workload)| {
        let phases = "[{steady: {for: 1s}}, {storm: {for: 2s, drop: 50%}}]";
        let workload = format!("{workload}messages: {{rate: 4}}\nphases: {phases}\n");
        let folder = folder(&[("talk.yaml", &workload)]);
        let args = [
            "load",
            "run",
            "talk.yaml",
            "--processes",
            "3",
            "--seed",
            "5",
            "--report",
            "json=report.json",
            "--threshold",
            "delivery.lost == 0",
            "--allow-saturated",
        ];
        let running = Running::start(touchstone(folder.path(), &args));
        (name, folder, running)
    });
    for (name, folder, running) in runs {
        let ended = running.end();
        assert_eq!(ended.code, Some(0), "{name}: {ended:#?}");
        let report = report(&folder);
        assert_eq!(report["runs"].as_array().map(Vec::len), Some(1), "{name}");
        let delivery = &report["delivery"];
        assert!(delivery["received"].as_u64() > Some(0), "{name}: {delivery}");
        assert_eq!(delivery["beside"]["stray"], 0, "{name}: {delivery}");
        // Members of one group are of different processes: number k plays every third session.
        let pages = report["ledger"].as_array().unwrap();
        let foreign = pages.iter().flat_map(|page| {
            let own = page["sender"].as_u64().unwrap();
            let received = page["received"].as_array().unwrap().iter();
            received.filter(move |run| run[0].as_u64().unwrap() % 3 != own % 3)
        });
        assert!(foreign.count() > 0, "{name}: somebody heard of another process");
    }
}

#[test]
fn whoever_arrives_arrives_in_one_of_the_processes_as_in_one() {
    let workload = "title: a crowd\narrivals: {rate: 20, spacing: poisson, stay: 500ms}\nphases: [{steady: {for: 2s}}]\n";
    let folder = folder(&[("crowd.yaml", workload)]);
    let attempted = ["1", "3"].map(|processes| {
        let args = [
            "load",
            "run",
            "crowd.yaml",
            "--processes",
            processes,
            "--seed",
            "7",
            "--report",
            "json=report.json",
            "--allow-saturated",
        ];
        let ended = run(touchstone(folder.path(), &args));
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        report(&folder)["summary"]["sessions"]["attempted"]
            .as_u64()
            .unwrap()
    });
    assert_eq!(attempted[0], attempted[1]);
    assert!(attempted[0] > 20, "{attempted:?}");
}

#[test]
fn a_server_of_a_command_and_one_behind_tls_are_started_once_for_all_processes() {
    let folder = folder(&[SECRET]);
    let command =
        format!("{PROGRAM} serve --secret-file secret --listen 127.0.0.1:${{port}} --dialects echo");
    let ways: [&[&str]; 2] = [&["--spawn", &command, "--dialects", "echo"], &["--tls"]];
    for way in ways {
        let args = [
            "load",
            "run",
            "smoke",
            "--processes",
            "2",
            "--set",
            "sessions=6",
            "--allow-saturated",
            "--report",
            "json=report.json",
        ];
        let ended = run(touchstone(folder.path(), &[&args[..], way].concat()));
        assert_eq!(ended.code, Some(0), "{way:?}: {ended:#?}");
        let report = report(&folder);
        assert_eq!(report["summary"]["sessions"]["connected"], 6, "{way:?}");
        let seen = report["series"].as_array().unwrap().iter();
        let seen = seen.filter(|second| second["target"]["rss_bytes"].as_u64() > Some(0));
        assert!(
            seen.count() > 0 || cfg!(not(target_os = "linux")),
            "{way:?}: one of them looks at it"
        );
    }
}

#[test]
fn what_cannot_be_divided_is_said_before_it_begins() {
    let folder = folder(&[SECRET]);
    let rows: &[(&[&str], i32, &str)] = &[
        (
            &["--url", "ws://127.0.0.1:1", "--processes", "21"],
            2,
            "each process plays one session or more, and this workload has 20",
        ),
        (
            &["--url", "ws://127.0.0.1:1", "--processes", "2"],
            3,
            "nothing answers at",
        ),
        (&["--start-at", "2020-01-01T00:00:00Z"], 2, "--start-at is "),
        (&["--start-at", "soon"], 2, "like +10s"),
    ];
    for (more, code, words) in rows {
        let ended = load(&folder, more);
        assert_eq!(ended.code, Some(*code), "{ended:#?}");
        assert!(ended.stderr.contains(words), "{ended:#?}");
    }
}

#[test]
fn a_run_begins_when_it_was_told_to() {
    let folder = folder(&[SECRET]);
    let (_server, url) = server(&folder);
    let before = std::time::SystemTime::now();
    let ended = load(
        &folder,
        &["--url", &url, "--allow-saturated", "--start-at", "+2s"],
    );
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let report = report(&folder);
    let started = touchstone_report::timestamp::moment(report["started_at"].as_str().unwrap()).unwrap();
    let waited = started.duration_since(before).unwrap();
    assert!(waited.as_millis() >= 1_999, "{waited:?}");
}
