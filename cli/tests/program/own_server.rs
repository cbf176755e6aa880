//! What somebody meets first who has a server of his own: a target file is written and tried, and what a target file says
//! wrongly is said once, by its key, before the first case.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use crate::support::{Ended, PROGRAM, folder, run, touchstone};

/// Paths, and the status that each is answered with.
type Answers = &'static [(&'static str, u16)];
/// What a server answers, the target file below `urls`, which cases, and what is said.
type Row<'a> = (Answers, &'a str, &'a str, &'a [&'a str]);

/// A server of HTTP that answers each path with a status, and every other with 404. It ends with the test's process.
fn answering(rows: Answers) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            answer(stream.unwrap(), rows);
        }
    });
    address
}

fn answer(mut stream: TcpStream, rows: &[(&str, u16)]) {
    let mut request = Vec::new();
    let mut piece = [0; 1024];
    while !request.windows(4).any(|four| four == b"\r\n\r\n") {
        match stream.read(&mut piece) {
            // Somebody only looked whether anybody is there.
            Ok(0) | Err(_) => return,
            Ok(read) => request.extend_from_slice(&piece[..read]),
        }
    }
    let request = String::from_utf8_lossy(&request).into_owned();
    let path = request.split_whitespace().nth(1).unwrap_or_default();
    let path = path.split('?').next().unwrap_or_default();
    let found = rows.iter().find(|(known, _)| *known == path);
    let status = found.map_or(404, |(_, status)| *status);
    let body = match status {
        200..300 => r#"{"id": "0123456789abcdef01234567", "token": "a.b.c"}"#,
        _ => r#"{"error": "not today"}"#,
    };
    let head = format!(
        "HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    // Whoever has gone already has seen enough.
    let _ = stream.write_all(format!("{head}{body}").as_bytes());
}

fn judge(rows: Answers, below: &str, patterns: &[&str]) -> Ended {
    let address = answering(rows);
    let target = format!("urls: [\"ws://{address}\"]\n{below}");
    let folder = folder(&[("my.yaml", &target)]);
    let args: Vec<&str> = ["conform", "run", "--target", "my.yaml"]
        .iter()
        .chain(patterns)
        .copied()
        .collect();
    run(touchstone(folder.path(), &args))
}

const STEPS: &str = "users: {steps: [{post: /users, json: {name: \"${user.name}\"}, take: {id: /id}}]}\n";
const LOGIN: &str = "auth: {login: {post: /login, json: {name: \"${user.name}\"}, token: /token}}\n";

#[test]
fn what_no_case_could_do_without_is_said_once_with_its_key() {
    let rows: &[Row<'_>] = &[
        (
            &[],
            "dialects: [echo]\n",
            "echo/*",
            &["`paths.echo.ws` (echo)", "/ws/chat/", "404"],
        ),
        (
            &[("/users", 500)],
            &format!("dialects: [direct]\n{STEPS}{LOGIN}"),
            "direct/*",
            &["`users` (direct)", "500"],
        ),
        (
            &[("/users", 201)],
            &format!("dialects: [direct]\n{STEPS}{LOGIN}"),
            "direct/*",
            &["`auth` (direct)", "404"],
        ),
        (
            &[("/users", 201), ("/login", 200)],
            &format!("dialects: [direct]\npaths: {{direct: {{ws: /chat}}}}\n{STEPS}{LOGIN}"),
            "direct/*",
            &["`paths.direct.ws` (direct)", "/chat", "404"],
        ),
    ];
    for (answers, below, pattern, says) in rows {
        let ended = judge(answers, below, &[pattern]);
        assert_eq!(ended.code, Some(2), "{ended:#?}");
        assert_eq!(ended.stdout, "", "no case was begun");
        for part in *says {
            assert!(ended.stderr.contains(part), "no `{part}`: {ended:#?}");
        }
        assert!(!ended.stderr.contains("a.b.c"), "a token is shown: {ended:#?}");
    }
}

#[test]
fn a_handshake_that_is_refused_is_for_the_cases_to_judge() {
    let ended = judge(&[("/ws/chat/", 403)], "dialects: [echo]\n", &["echo/2*"]);
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    assert!(ended.stdout.contains("403"), "{ended:#?}");
}

#[test]
fn what_only_some_cases_need_is_said_once_and_fails_those() {
    let below = format!("dialects: [echo, direct]\n{STEPS}{LOGIN}");
    let ended = judge(
        &[("/ws/chat/", 403), ("/users", 500)],
        &below,
        &["echo/2*", "direct/2*"],
    );
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    let warnings = ended
        .stderr
        .lines()
        .filter(|line| line.contains("warning: `users` (direct)"));
    assert_eq!(warnings.count(), 1, "{ended:#?}");
    assert!(
        ended.stdout.contains("could not run") || ended.stdout.contains("COULD NOT RUN"),
        "{ended:#?}"
    );
}

#[test]
fn who_cannot_be_reached_is_named_with_the_key_to_change() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let deaf = format!(
        "urls: [\"ws://127.0.0.1:${{port}}\"]\nspawn:\n  command: ['{PROGRAM}', serve, --dev, --listen, '127.0.0.1:0']\n  deadline: 300ms\n"
    );
    let files = [
        ("gone.yaml", format!("urls: [\"ws://{free}\"]\n")),
        (
            "nowhere.yaml",
            "urls: [\"ws://no-such-host.invalid:1\"]\n".to_owned(),
        ),
        ("deaf.yaml", deaf),
        (
            "ends.yaml",
            format!("urls: [\"ws://127.0.0.1:${{port}}\"]\nspawn: {{command: ['{PROGRAM}', --version]}}\n"),
        ),
    ];
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let folder = folder(&files);
    for (file, key) in [
        ("gone.yaml", "`urls`"),
        ("nowhere.yaml", "`urls`"),
        ("deaf.yaml", "`spawn.ready`"),
        ("ends.yaml", "`spawn.command`"),
    ] {
        for args in [
            ["conform", "run", "--target", file].as_slice(),
            ["load", "run", "smoke", "--target", file].as_slice(),
            ["conform", "init", "--try", file].as_slice(),
        ] {
            let ended = run(touchstone(folder.path(), args));
            assert_eq!(ended.code, Some(3), "{args:?} {ended:#?}");
            assert!(ended.stderr.contains(key), "{args:?} {ended:#?}");
            assert_eq!(ended.stdout, "", "{args:?}");
        }
    }
}

/// A command that starts the built-in server where it is told to listen.
fn built_in(dialects: &str) -> String {
    format!("'{PROGRAM}' serve --dev --dialects {dialects} --listen 127.0.0.1:${{port}}")
}

#[test]
fn a_target_file_is_written_tried_and_never_overwritten() {
    let folder = folder(&[]);
    let spawn = built_in("echo");
    let init = ["conform", "init", "--dialect", "echo", "--spawn", &spawn];
    let ended = run(touchstone(folder.path(), &init));
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    for line in [
        "wrote touchstone-target.yaml",
        "works     urls",
        "works     paths.echo.ws",
        "works     capabilities.metrics",
        "not tried timings.echo.heartbeat.interval",
        "works     spawn                      it stopped (exit status: 0), and was ready again after",
        "not said  faults.store",
        "next: touchstone conform run --target touchstone-target.yaml",
    ] {
        assert!(ended.stdout.contains(line), "no `{line}`: {}", ended.stdout);
    }
    let path = folder.path().join("touchstone-target.yaml");
    let written = std::fs::read_to_string(&path).unwrap();

    let again = run(touchstone(folder.path(), &init));
    assert_eq!(again.code, Some(2), "{again:#?}");
    assert!(
        again.stderr.contains("--force") && again.stderr.contains("--try"),
        "{again:#?}"
    );

    // What somebody wrote into it stays: it is tried as it is.
    let mended = format!(
        "{written}\ninject: {{echo: {{all: {{post: /chat/api/broadcast/, json: \"${{data}}\"}}}}}}\n"
    );
    std::fs::write(&path, &mended).unwrap();
    let tried = run(touchstone(
        folder.path(),
        &["conform", "init", "--try", "touchstone-target.yaml"],
    ));
    assert_eq!(tried.code, Some(0), "{tried:#?}");
    assert!(
        tried
            .stdout
            .contains("works     inject.echo.all            a broadcast arrived"),
        "{tried:#?}"
    );
    assert_eq!(std::fs::read_to_string(&path).unwrap(), mended);

    let wrong = mended.replace("/chat/api/broadcast/", "/chat/api/nowhere/");
    std::fs::write(&path, wrong).unwrap();
    let tried = run(touchstone(
        folder.path(),
        &["conform", "init", "--try", "touchstone-target.yaml"],
    ));
    assert_eq!(tried.code, Some(1), "{tried:#?}");
    assert!(
        tried.stdout.contains("fails     inject.echo.all") && tried.stdout.contains("404"),
        "{tried:#?}"
    );

    let wrong = format!(
        "{written}\ntimings: {{echo.heartbeat.interval: 200ms, server.handshake.deadline: 1s}}\n\
         faults: {{store: {{post: /nowhere, json: {{}}}}, handler: {{post: /nowhere, json: {{}}}}}}\n"
    );
    std::fs::write(&path, wrong).unwrap();
    let tried = run(touchstone(
        folder.path(),
        &["conform", "init", "--try", "touchstone-target.yaml"],
    ));
    assert_eq!(tried.code, Some(1), "{tried:#?}");
    for line in [
        "fails     timings.echo.heartbeat.interval no heartbeat came within 2.2 s",
        "fails     timings.server.handshake.deadline a connection that says nothing is still open",
        "fails     faults.store",
        "fails     faults.handler",
        "works     spawn ",
    ] {
        assert!(tried.stdout.contains(line), "no `{line}`: {}", tried.stdout);
    }

    let forced: Vec<&str> = init.iter().copied().chain(["--force"]).collect();
    assert_eq!(run(touchstone(folder.path(), &forced)).code, Some(0));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), written);
}

#[test]
fn no_secret_is_shown_by_a_look_at_a_server() {
    let secret = "a-secret-of-thirty-two-characters-or-more";
    let folder = folder(&[("secret", secret)]);
    let spawn =
        format!("'{PROGRAM}' serve --dialects feed --secret-file secret --listen 127.0.0.1:${{port}}");
    let args = [
        "conform",
        "init",
        "--dialect",
        "feed",
        "--spawn",
        &spawn,
        "--secret-file",
        "secret",
    ];
    let ended = run(touchstone(folder.path(), &args));
    // Users are not said: nothing failed, and nobody could connect.
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(ended.stdout.contains("not said  users"), "{ended:#?}");
    assert!(!ended.stdout.contains("auth "), "a token can be made: {ended:#?}");
    let written = std::fs::read_to_string(folder.path().join("touchstone-target.yaml")).unwrap();
    assert!(
        written.contains("auth: {secret: {file: \"secret\"}}"),
        "{written}"
    );
    for text in [&ended.stdout, &ended.stderr, &written] {
        assert!(!text.contains(secret), "{text}");
    }
}

#[test]
fn tokens_are_signed_with_a_secret_of_the_command_line() {
    let scenario = "title: a token of ours is taken\ndialect: feed\nrule: feed/1a\nactors: {ann: {}}\nsteps:\n  - connect: ann\n  - ann.close: 1000\n  - ann.closed: 1000\n";
    let folder = folder(&[
        ("secret", "a-secret-of-thirty-two-characters-or-more\n"),
        ("mine/x.yaml", scenario),
        ("empty", "\n"),
    ]);
    for (args, code, says) in [
        (
            ["--secret-file", "empty", "--url", "ws://127.0.0.1:1"].as_slice(),
            2,
            "the secret file empty is empty",
        ),
        (
            &["--secret-file", "none", "--url", "ws://127.0.0.1:1"],
            2,
            "could not read the secret file none",
        ),
        (
            &["--secret-file", "secret"],
            2,
            "--secret-file is for a server of --url or --spawn",
        ),
    ] {
        let args: Vec<&str> = ["conform", "run", "--scenarios", "mine"]
            .iter()
            .copied()
            .chain(args.iter().copied())
            .collect();
        let ended = run(touchstone(folder.path(), &args));
        assert_eq!(ended.code, Some(code), "{args:?} {ended:#?}");
        assert!(ended.stderr.contains(says), "{args:?} {ended:#?}");
    }
}
