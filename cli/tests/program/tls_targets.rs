//! `conform` and `load` against servers behind TLS: the built-in one, one that runs, one that a target file starts.

use crate::support::{Ended, PROGRAM, RIGHT, Running, folder, issue, listening, run, touchstone};

const SECRET: (&str, &str) = ("secret", "a secret of some length, enough of it");

/// A case of each dialect, with all that reaches a server in it: users over HTTP, tokens, what an operator does.
const ONE_OF_EACH: [&str; 5] = [
    "echo/2a-verbatim",
    "rooms/5a-reaches-the-others",
    "outbox/4a-pending-at-first",
    "feed/5a-photo-uploaded",
    "direct/4b-new-message",
];

/// What `load run` has to hold: every message is answered, and nobody fails.
const NOTHING_LOST: [&str; 6] = [
    "--threshold",
    "delivery.lost == 0",
    "--threshold",
    "sessions.failed == 0",
    "--threshold",
    "errors.total == 0",
];

#[test]
fn the_whole_protocol_and_a_case_of_each_dialect_hold_behind_tls() {
    let folder = folder(&[]);
    let args = ["conform", "run", "--tls", "rfc6455/**"];
    let ended = run(touchstone(folder.path(), &[&args[..], &ONE_OF_EACH].concat()));
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(!ended.stdout.contains("SKIPPED"), "{ended:#?}");
}

#[test]
fn a_load_run_loses_nothing_behind_tls() {
    let folder = folder(&[]);
    let args = ["load", "run", "smoke", "--tls", "--allow-saturated"];
    let ended = run(touchstone(folder.path(), &[&args[..], &NOTHING_LOST].concat()));
    assert_eq!(ended.code, Some(0), "{ended:#?}");
}

fn judged(folder: &tempfile::TempDir, target: &[&str]) -> Ended {
    let case = ["conform", "run", "--scenarios", "mine"];
    run(touchstone(folder.path(), &[&case[..], target].concat()))
}

#[test]
fn a_server_that_runs_is_believed_by_its_authority_or_because_it_was_said() {
    let mine = format!("mine/{}", RIGHT.0);
    let folder = folder(&[SECRET, (&mine, RIGHT.1)]);
    issue(folder.path());
    let args = ["serve", "--secret-file", "secret", "--listen", "127.0.0.1:0"];
    let tls = ["--tls-cert", "chain.pem", "--tls-key", "key.pem"];
    let server = Running::start(touchstone(folder.path(), &[&args[..], &tls].concat()));
    let address = listening(&server);
    let url = format!("wss://{address}");

    let known = judged(&folder, &["--url", &url, "--ca", "ca.pem"]);
    assert_eq!(known.code, Some(0), "{known:#?}");
    assert!(!known.stderr.contains("warning"), "{known:#?}");

    let unchecked = judged(&folder, &["--url", &url, "--insecure"]);
    assert_eq!(unchecked.code, Some(0), "{unchecked:#?}");
    let warnings = unchecked
        .stderr
        .matches("warning: nothing is known of who answers");
    assert_eq!(warnings.count(), 1, "{unchecked:#?}");

    // Sessions, and the requests for their users and tokens, are of the same mind.
    let talk = [
        "load",
        "run",
        "smoke",
        "--url",
        &url,
        "--set",
        "sessions=4",
        "--allow-saturated",
    ];
    for trust in [&["--ca", "ca.pem"][..], &["--insecure"]] {
        let ended = run(touchstone(
            folder.path(),
            &[&talk[..], trust, &NOTHING_LOST].concat(),
        ));
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        let warned = ended.stderr.contains("certificates are not checked");
        assert_eq!(warned, trust == ["--insecure"], "{ended:#?}");
    }

    let plain = format!("ws://{address}");
    let deaf = run(touchstone(
        folder.path(),
        &["load", "run", "smoke", "--url", &plain],
    ));
    assert_eq!(deaf.code, Some(3), "{deaf:#?}");
    let expected = "the server answers in TLS: write wss:// for ws://";
    assert!(deaf.stderr.contains(expected), "{deaf:#?}");

    // The system's authorities are those of a file here, which vouches for others.
    std::fs::rename(folder.path().join("ca.pem"), folder.path().join("old.pem")).unwrap();
    issue(folder.path());
    let by_the_system = |args: &[&str], authorities: &str| {
        let mut command = touchstone(folder.path(), args);
        command.env("SSL_CERT_FILE", authorities);
        run(command)
    };
    for args in [
        &["conform", "run", "--url", &url][..],
        &["load", "run", "smoke", "--url", &url],
    ] {
        let unknown = by_the_system(args, "ca.pem");
        assert_eq!(unknown.code, Some(3), "{unknown:#?}");
        let expected = "error: no TLS with 127.0.0.1:";
        assert!(unknown.stderr.contains(expected), "{unknown:#?}");
        let expected = "is signed by an unknown authority: name it with tls.ca or --ca";
        assert!(unknown.stderr.contains(expected), "{unknown:#?}");
    }
    let args = ["conform", "run", "--scenarios", "mine", "--url", &url];
    let known = by_the_system(&args, "old.pem");
    assert_eq!(known.code, Some(0), "{known:#?}");
}

#[test]
fn a_server_that_a_target_file_starts_is_reached_as_the_file_says() {
    let mine = format!("mine/{}", RIGHT.0);
    let target = format!(
        "urls: [\"wss://127.0.0.1:${{port}}\"]\ndialects: [echo]\ntls: {{ca: ca.pem}}\n\
         spawn:\n  command: [\"{PROGRAM}\", serve, --dialects, echo, --listen, \"127.0.0.1:${{port}}\", --tls-cert, chain.pem, \
         --tls-key, key.pem]\n  ready: {{http: /healthz}}\n"
    );
    let folder = folder(&[(&mine, RIGHT.1), ("target.yaml", &target)]);
    issue(folder.path());
    let ended = judged(&folder, &["--target", "target.yaml"]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let talk = [
        "load",
        "run",
        "smoke",
        "--target",
        "target.yaml",
        "--allow-saturated",
    ];
    let more = ["--set", "sessions=4", "--processes", "2"];
    let ended = run(touchstone(
        folder.path(),
        &[&talk[..], &more, &NOTHING_LOST].concat(),
    ));
    assert_eq!(ended.code, Some(0), "{ended:#?}");
}
