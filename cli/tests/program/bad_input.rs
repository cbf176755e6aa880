//! Whatever is wrong with what the program is given: one clear message on stderr, the documented exit code, nothing on
//! stdout.

use std::net::TcpListener;
use std::path::Path;

use crate::support::{PROGRAM, RIGHT, folder, run, touchstone};

/// The command line, a file or this machine is in the way.
const USAGE: i32 = 2;
/// The target is not to be had.
const UNREACHABLE: i32 = 3;

struct Bad<'a> {
    args: &'a [&'a str],
    env: &'a [(&'a str, &'a str)],
}

impl<'a> From<&'a [&'a str]> for Bad<'a> {
    fn from(args: &'a [&'a str]) -> Self {
        Self { args, env: &[] }
    }
}

#[track_caller]
fn check<'a>(folder: &Path, bad: impl Into<Bad<'a>>, code: i32, says: &[&str]) {
    let Bad { args, env } = bad.into();
    let mut command = touchstone(folder, args);
    command.envs(env.iter().copied());
    let ended = run(command);
    let shown = format!("{args:?} {env:?}\n{ended:#?}");
    assert_eq!(ended.code, Some(code), "{shown}");
    assert_eq!(ended.stdout, "", "{shown}");
    for part in says {
        assert!(ended.stderr.contains(part), "no `{part}`: {shown}");
    }
    let errors = ended.stderr.lines().filter(|line| line.starts_with("error"));
    assert_eq!(errors.count(), 1, "one message: {shown}");
    for never in ["panicked", "stack backtrace"] {
        assert!(!ended.stderr.contains(never), "{shown}");
    }
}

type Row<'a> = (&'a [&'a str], i32, &'a [&'a str]);

#[track_caller]
fn check_all(files: &[(&str, &str)], rows: &[Row<'_>]) {
    let folder = folder(files);
    for (args, code, says) in rows {
        check(folder.path(), *args, *code, says);
    }
}

#[test]
fn a_wrong_flag_is_named_with_what_would_do() {
    let rows: &[Row<'_>] = &[
        (&["chek"], USAGE, &["chek", "similar subcommand", "'check'"]),
        (&["check", "--quik"], USAGE, &["--quik", "--quick"]),
        (&["check", "--sessions", "0"], USAGE, &["--sessions", "1.."]),
        (
            &["check", "ecco/*"],
            USAGE,
            &["`ecco/*` names no case; did you mean `echo/*`?"],
        ),
        (
            &["conform", "run", "echo/2a-verbatm"],
            USAGE,
            &["did you mean `echo/2a-verbatim[", "conform list"],
        ),
        (
            &["conform", "list", "ecko/2a"],
            USAGE,
            &["`ecko/2a` names no case; did you mean `echo/2a`?"],
        ),
        (
            &["conform", "list", "echo/2a", "echo/2zz"],
            USAGE,
            &["`echo/2zz` names no case; did you mean"],
        ),
        (
            &["conform", "explain", "dirct/4c"],
            USAGE,
            &["did you mean `direct/4c`?"],
        ),
        (
            &["conform", "explain", "direct/4*x"],
            USAGE,
            &["did you mean `direct/4"],
        ),
        (
            &["conform", "mutants", "--list", "ecko/**"],
            USAGE,
            &["names no mutant; did you mean `echo/**`?"],
        ),
        (&["check", "[a"], USAGE, &["[a"]),
        (
            &["check", "--duration", "10"],
            USAGE,
            &["--duration", "with its unit"],
        ),
        (
            &["check", "--out", "file"],
            USAGE,
            &["could not make the folder file"],
        ),
        (&["serve", "--listen", "here"], USAGE, &["--listen", "here"]),
        (
            &["serve", "--dialects", "ecco"],
            USAGE,
            &["--dialects", "`ecco` is not a dialect; there is: echo"],
        ),
        (&["serve", "--rate", "0"], USAGE, &["--rate", "50/s burst 100"]),
        (
            &["serve", "--message-bytes", "0"],
            USAGE,
            &["--message-bytes", "64KiB", "1 or more"],
        ),
        (
            &["serve", "--dev", "--raw-echo", "raw"],
            USAGE,
            &["`raw`", "starts with a slash"],
        ),
        (
            &["serve", "--grace", "soon"],
            USAGE,
            &["--grace", "for example 250ms"],
        ),
        (
            &["serve", "--set", "echo.heartbeat.interval=0s"],
            USAGE,
            &["echo.heartbeat.interval", "more than nothing"],
        ),
        (
            &["serve", "--set", "echo.heartbeat.intervall=1s"],
            USAGE,
            &["did you mean `echo.heartbeat.interval`?"],
        ),
        (
            &["serve", "--dialects", "echo,feed,direct"],
            USAGE,
            &["no secret for feed, direct:", "--secret-file", "--dev"],
        ),
        (
            &["serve", "--dev", "--listen", "0.0.0.0:0"],
            USAGE,
            &["--dev listens on loopback only", "0.0.0.0:0"],
        ),
        (
            &["serve", "--dev", "--secret-file", "file"],
            USAGE,
            &["`auth.secret` is set (--secret-file)"],
        ),
        (
            &["serve", "--secret-file", "empty"],
            USAGE,
            &["secret file empty is empty"],
        ),
        (
            &["serve", "--config", "none.yaml"],
            USAGE,
            &["configuration none.yaml", "No such file"],
        ),
        (
            &["serve", "--config", "wrong.yaml"],
            USAGE,
            &["wrong.yaml:2:3", "did you mean `connections`?"],
        ),
        (
            &["serve", "--print-config", "--report", "tap=-"],
            USAGE,
            &["--report json=PATH"],
        ),
        (&["serve", "--report", "json=-"], USAGE, &["--print-config"]),
        (&["schema", "confg"], USAGE, &["confg", "'config'"]),
        (&["serve", "--log-format", "xml"], USAGE, &["xml", "text, json"]),
        (
            &["serve", "--dev", "--allow-faults"],
            USAGE,
            &["--allow-faults needs an admin key", "--admin-key-file"],
        ),
        (
            &["serve", "--admin-key-file", "absent"],
            USAGE,
            &["admin key file absent", "No such file"],
        ),
        (
            &["serve", "--admin-key-file", "empty"],
            USAGE,
            &["admin key file empty is empty"],
        ),
        (
            &["serve", "--supervised"],
            USAGE,
            &["--supervised is for the child"],
        ),
        (&["conform", "run", "--jobs", "0"], USAGE, &["--jobs", "1..=256"]),
        (
            &["conform", "run", "--patience", "0.5"],
            USAGE,
            &["--patience", "from 1 to 100"],
        ),
        (
            &["conform", "run", "--url", "ws://h:1", "--spawn", "x"],
            USAGE,
            &["--url", "--spawn", "cannot be used with"],
        ),
        (
            &["load", "run", "smoke", "--set", "sessions"],
            USAGE,
            &["`sessions`", "KEY=VALUE"],
        ),
        (
            &["load", "run", "smoke", "--set", "sessions=many"],
            USAGE,
            &["sessions=many"],
        ),
        (
            &["load", "run", "smoke", "--set", "sesions=1"],
            USAGE,
            &["`sesions`", "`sessions`"],
        ),
        (
            &["load", "run", "smoke", "--threshold", "speed < 1"],
            USAGE,
            &["`speed < 1`", "for example"],
        ),
        (
            &["load", "run", "smoke", "--threshold", "answer.p99 <"],
            USAGE,
            &["`answer.p99 <`", "for example 250ms"],
        ),
        (
            &["load", "run", "smok"],
            USAGE,
            &["`smok`", "ready-made: check, ", ", smoke, "],
        ),
        (&["load", "merge", "gone.json"], USAGE, &["gone.json"]),
        (&["load", "merge", "file"], USAGE, &["file: not a JSON report"]),
        (
            &["load", "merge", "other.json"],
            USAGE,
            &[
                "other.json: `/schema` is `touchstone.conform/1`",
                "touchstone.load/1",
            ],
        ),
        (&["completions", "tcsh"], USAGE, &["tcsh", "bash"]),
    ];
    let wrong = ("wrong.yaml", "limits:\n  conections: 1\n");
    let other = ("other.json", "{\"schema\": \"touchstone.conform/1\"}");
    check_all(&[("file", "x"), ("empty", " \n"), wrong, other], rows);
}

#[test]
fn a_report_that_cannot_be_written_is_refused_before_the_run() {
    let rows: &[Row<'_>] = &[
        (
            &["conform", "run", "--report", "pdf=x"],
            USAGE,
            &["`pdf` is no format", "tap"],
        ),
        (&["conform", "run", "--report", "json"], USAGE, &["FORMAT=PATH"]),
        (
            &["conform", "run", "--report", "json=no/x"],
            USAGE,
            &["no/x", "folder", "does not exist"],
        ),
        (
            &["conform", "run", "--report", "json=sub"],
            USAGE,
            &["sub is a folder"],
        ),
        (
            &[
                "load", "run", "smoke", "--report", "json=-", "--report", "junit=-",
            ],
            USAGE,
            &["only one report", "stdout"],
        ),
        (
            &["load", "run", "smoke", "--report", "tap=x"],
            USAGE,
            &["`tap` is no format", "markdown"],
        ),
        (&["conform", "list", "--report", "junit=x"], USAGE, &["json only"]),
    ];
    check_all(&[("sub/x", "")], rows);
}

#[test]
fn a_wrong_file_is_shown_with_its_place() {
    let rows: &[Row<'_>] = &[
        (
            &["conform", "run", "--scenarios", "none"],
            USAGE,
            &["none", "No such file"],
        ),
        (
            &["conform", "run", "--scenarios", "empty"],
            USAGE,
            &["empty", ".yaml"],
        ),
        (
            &["conform", "run", "--scenarios", "bad"],
            USAGE,
            &["bad/a.yaml:6:7", "`sned`", "did you mean `send`"],
        ),
        (
            &["conform", "validate", "bad/a.yaml"],
            USAGE,
            &["bad/a.yaml:6:7", "1 mistake"],
        ),
        (&["conform", "validate", "none"], USAGE, &["none"]),
        (
            &["conform", "run", "--target", "none.yaml"],
            USAGE,
            &["none.yaml", "No such file"],
        ),
        (
            &["conform", "run", "--target", "key.yaml"],
            USAGE,
            &["key.yaml:2:1", "`spwan`", "did you mean `spawn`"],
        ),
        (
            &["conform", "run", "--target", "dialect.yaml"],
            USAGE,
            &["dialect.yaml", "`ecco` is not a dialect", "echo"],
        ),
        (
            &["conform", "run", "--target", "secret.yaml"],
            USAGE,
            &["secret.yaml", "NO_SUCH_VARIABLE is not set"],
        ),
        (
            &["load", "run", "load.yaml"],
            USAGE,
            &["load.yaml:2:1", "sesions"],
        ),
        (
            &["conform", "run", "--known-failing", "none"],
            USAGE,
            &["--known-failing none", "No such file"],
        ),
        (
            &["conform", "run", "--known-failing", "known"],
            USAGE,
            &["`echo/nothing` in line 2 names no case", "conform list"],
        ),
        (
            &["conform", "run", "echo/nothing"],
            USAGE,
            &["`echo/nothing` names no case", "conform list"],
        ),
        (
            &["conform", "explain", "echo/99z"],
            USAGE,
            &["`echo/99z` is neither a clause nor a case"],
        ),
    ];
    let scenario = "title: t\ndialect: echo\nrule: echo/2c\nsteps:\n  - connect: {as: c}\n  - c.sned: x\n";
    let files = [
        ("empty/readme.txt", ""),
        ("bad/a.yaml", scenario),
        ("key.yaml", "urls: [\"ws://h:1\"]\nspwan: {}\n"),
        ("dialect.yaml", "urls: [\"ws://h:1\"]\ndialects: [ecco]\n"),
        (
            "secret.yaml",
            "urls: [\"ws://h:1\"]\nheaders: {Key: {env: NO_SUCH_VARIABLE}}\n",
        ),
        ("load.yaml", "title: t\nsesions: 3\n"),
        ("known", "# what we know\necho/nothing\n"),
    ];
    check_all(&files, rows);
}

#[test]
fn a_wrong_value_in_the_environment_is_shown_with_its_variable() {
    let folder = folder(&[]);
    for (name, value) in [
        ("TOUCHSTONE_ALLOW_FAULTS", "perhaps"),
        ("TOUCHSTONE_LOG_MESSAGES", "perhaps"),
        ("TOUCHSTONE_DIALECTS", "echo,ecco"),
        ("TOUCHSTONE_ECHO_SESSION_TTL", "10"),
        ("TOUCHSTONE_LISTEN", "here"),
        ("TOUCHSTONE_LOG", "=!="),
        ("REDIS_SESSION_TTL", "an hour"),
        ("REDIS_SESSION_TTL", "0"),
    ] {
        let bad = Bad {
            args: &["serve"],
            env: &[(name, value)],
        };
        check(folder.path(), bad, USAGE, &[name, value]);
    }
    // A switch is understood as people write it: what is in the way here is that there is no key.
    for value in ["true", "1", "yes", "on"] {
        let bad = Bad {
            args: &["serve", "--dev"],
            env: &[("TOUCHSTONE_ALLOW_FAULTS", value)],
        };
        check(folder.path(), bad, USAGE, &["--allow-faults needs an admin key"]);
    }
}

#[test]
fn an_address_that_is_taken_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = folder(&[]);
    let args: &[&str] = &["serve", "--dev", "--listen", &address];
    check(
        folder.path(),
        args,
        USAGE,
        &[&address, "choose another address with --listen"],
    );
}

#[test]
fn a_target_that_is_not_to_be_had_ends_3() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("ws://{free}");
    let ends = format!("'{PROGRAM}' --version");
    let deaf = format!(
        "urls: [\"ws://127.0.0.1:${{port}}\"]\nspawn:\n  command: ['{PROGRAM}', serve, --dev, --listen, '127.0.0.1:0']\n  deadline: 300ms\n"
    );
    let rows: &[Row<'_>] = &[
        (
            &["conform", "run", "--url", &url],
            UNREACHABLE,
            &["nothing answers at 127.0.0.1:"],
        ),
        (
            &["load", "run", "smoke", "--url", &url],
            UNREACHABLE,
            &["nothing answers at 127.0.0.1:"],
        ),
        (
            &["conform", "run", "--spawn", &ends],
            UNREACHABLE,
            &["ended before it was ready", "it wrote:\n  touchstone "],
        ),
        (
            &["conform", "run", "--target", "deaf.yaml"],
            UNREACHABLE,
            &["not ready within 300 ms", "does not accept TCP"],
        ),
        (
            &["conform", "run", "--spawn", "/no/such/program"],
            USAGE,
            &["could not start `/no/such/program`"],
        ),
        (
            &["conform", "run", "--spawn", "PORT=1 node"],
            USAGE,
            &["`PORT=1`", "sh -c"],
        ),
        (
            &["conform", "run", "--spawn", "'node"],
            USAGE,
            &["check its quotes"],
        ),
        (
            &["conform", "run", "--url", "http://h:1"],
            USAGE,
            &["`http://h:1`", "for example ws://"],
        ),
        (
            &["conform", "run", "--url", "ws://h", "--ca", "x.pem"],
            USAGE,
            &["`ws://h`", "write wss:// for ws://"],
        ),
        (
            &["conform", "run", "--url", "wss://h", "--ca", "x.pem"],
            USAGE,
            &["could not read the authorities (tls.ca or --ca) in x.pem: "],
        ),
        (
            &["load", "run", "smoke", "--url", "wss://h", "--ca", RIGHT.0],
            USAGE,
            &["in right.yaml: there is no certificate in it"],
        ),
        (
            &[
                "conform",
                "run",
                "--url",
                "wss://h",
                "--ca",
                "x.pem",
                "--insecure",
            ],
            USAGE,
            &["--ca", "--insecure"],
        ),
        (
            &["conform", "run", "--url", "wss://h", "--tls"],
            USAGE,
            &["--url", "--tls"],
        ),
        (
            &["conform", "run", "--target", "both.yaml"],
            USAGE,
            &["both.yaml:2:28", "`tls.ca`", "`tls.insecure`", "leave one out"],
        ),
    ];
    let both = "urls: [\"wss://h\"]\ntls: {ca: x.pem, insecure: true}\n";
    check_all(&[("deaf.yaml", &deaf), ("both.yaml", both), RIGHT], rows);
}
