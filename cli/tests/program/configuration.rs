//! How `serve` is set up, as a process: what it shows of its configuration, and the files of `deploy/`.

use std::path::Path;
#[cfg(target_os = "linux")]
use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

use crate::support::{Ended, folder, run, touchstone};
#[cfg(target_os = "linux")]
use crate::support::{Running, eventually};

const EXAMPLE: &str = include_str!("../../../deploy/touchstone.yaml");
const UNIT: &str = include_str!("../../../deploy/touchstone.service");

#[track_caller]
fn shown(folder: &Path, args: &[&str], environment: &[(&str, &str)]) -> Ended {
    let mut command = touchstone(folder, &[&["serve", "--print-config"], args].concat());
    command.envs(environment.iter().copied());
    let ended = run(command);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    ended
}

#[test]
fn what_is_shown_comes_from_file_environment_and_flags() {
    let folder = folder(&[
        ("own.yaml", "server: {grace: 2s}\nlimits.connections: 5\n"),
        ("secret", "open-sesame"),
    ]);
    let environment = [
        ("TOUCHSTONE_CONFIG", "own.yaml"),
        ("TOUCHSTONE_LIMITS_CONNECTIONS", "6"),
        ("TOUCHSTONE_ADMIN_KEY", "another-sesame"),
        ("TOUCHSTONE_GRASE", "1s"),
    ];
    let args = ["--secret-file", "secret", "--rate", "7"];
    let text = shown(folder.path(), &args, &environment);
    let json = shown(
        folder.path(),
        &[&args[..], &["--report", "json=-"]].concat(),
        &environment,
    );
    for ended in [&text, &json] {
        assert!(!ended.stdout.contains("sesame"), "{ended:#?}");
        assert!(!ended.stderr.contains("sesame"), "{ended:#?}");
        assert!(
            ended.stderr.contains("did you mean TOUCHSTONE_GRACE?"),
            "{ended:#?}"
        );
    }
    let line = |start: &str| {
        let line = text.stdout.lines().find(|line| line.starts_with(start));
        line.unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(line("server.grace"), "server.grace: 2s # own.yaml:1");
    assert_eq!(
        line("limits.connections:"),
        "limits.connections: 6 # env TOUCHSTONE_LIMITS_CONNECTIONS"
    );
    assert_eq!(line("feed.rate"), "feed.rate: 7/s burst 14 # key limits.rate");
    assert_eq!(
        line("# auth.secret"),
        "# auth.secret is set, and not shown # --secret-file"
    );
    let json: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(json["schema"], "touchstone.config/1");
    let grace = json["values"].as_array().unwrap().iter();
    let grace = grace.into_iter().find(|value| value["key"] == "server.grace");
    assert_eq!(
        *grace.unwrap(),
        serde_json::json!({"key": "server.grace", "value": "2s", "origin": {"kind": "file", "file": "own.yaml", "line": 1}})
    );
}

/// The example, and the same with everything that is commented out.
#[test]
fn the_example_configuration_is_one() {
    let all: String = EXAMPLE
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(setting) if setting.starts_with(|first: char| first.is_ascii_lowercase()) => setting,
            _ => line,
        })
        .flat_map(|line| [line, "\n"])
        .collect();
    assert_ne!(all, EXAMPLE);
    for text in [EXAMPLE, &all] {
        let text = text.replace("/etc/touchstone/", "");
        let folder = folder(&[("touchstone.yaml", &text), ("secret", "s"), ("admin-key", "k")]);
        let ended = shown(folder.path(), &["--config", "touchstone.yaml"], &[]);
        assert!(ended.stdout.contains("touchstone.yaml:"), "{ended:#?}");
    }
}

/// What the unit says of the server has to fit what the server says of itself.
#[test]
fn the_unit_waits_for_longer_than_a_graceful_stop() {
    let seconds = |text: &str, key: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(key)).unwrap();
        value.trim().trim_end_matches('s').parse::<u32>().unwrap()
    };
    assert!(seconds(UNIT, "TimeoutStopSec=") > seconds(EXAMPLE, "server.grace:"));
    for flag in ["--config", "--secret-file", "--admin-key-file", "--print-config"] {
        assert!(UNIT.contains(flag), "{flag}");
    }
}

#[test]
fn a_schema_is_printed() {
    let folder = folder(&[]);
    for (of, committed) in [
        ("config", include_str!("../../schema/config.json")),
        (
            "scenario",
            include_str!("../../../scenarios/schema/scenario.json"),
        ),
    ] {
        let ended = run(touchstone(folder.path(), &["schema", of]));
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        let printed: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
        let committed: serde_json::Value = serde_json::from_str(committed).unwrap();
        assert_eq!(printed, committed, "{of}");
    }
}

/// Each URL leads to an open WebSocket, and the log has no token.
#[cfg(target_os = "linux")]
#[test]
fn a_trial_begins_with_urls_that_work() {
    let folder = folder(&[]);
    let arguments = ["serve", "--dev", "--listen", "127.0.0.1:0"];
    let mut command = touchstone(folder.path(), &arguments);
    command.env("TOUCHSTONE_LOG", "trace");
    let running = Running::start(command);
    let echo = eventually("echo is printed", || {
        let printed = running.printed();
        printed
            .lines()
            .find(|line| line.starts_with("echo"))
            .map(str::to_owned)
    });
    assert!(echo.ends_with("/ws/chat/"), "{echo}");
    for line in running.printed().lines() {
        let url = line.split_once("ws://").unwrap().1;
        let (address, path) = url.split_once('/').unwrap();
        let mut peer = TcpStream::connect(address).unwrap();
        let upgrade = format!(
            "GET /{path} HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        // A ping after the handshake: whoever is refused hears a close frame, and no pong.
        peer.write_all(upgrade.as_bytes()).unwrap();
        peer.write_all(&[0x89, 0x82, 0, 0, 0, 0, b'h', b'i']).unwrap();
        let mut heard = Vec::new();
        let mut buffer = [0; 1024];
        while !heard.windows(4).any(|bytes| bytes == b"\x8a\x02hi") {
            let read = peer.read(&mut buffer).unwrap();
            assert!(read > 0, "{line}: {}", String::from_utf8_lossy(&heard));
            heard.extend_from_slice(&buffer[..read]);
        }
        if let Some((_, token)) = path.split_once("oken=") {
            assert!(!running.said().contains(token), "a token in the log");
        }
    }
}

#[test]
fn a_token_says_who_it_is_for() {
    let folder = folder(&[("secret", "a secret that is long enough to be one\n")]);
    let mint = |args: &[&str], environment: &[(&str, &str)]| {
        let mut command = touchstone(folder.path(), &[&["token", "mint"], args].concat());
        command.envs(environment.iter().copied());
        run(command)
    };
    let from_file = ["--dialect", "rooms", "--user", "7", "--secret-file", "secret"];
    let claims = [
        "--claim",
        "tenant_id=1",
        "--claim",
        "schema_name=acme",
        "--expires-in",
        "5m",
    ];
    let ended = mint(&[&from_file[..], &claims[..]].concat(), &[]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let parts: Vec<&str> = ended.stdout.trim().split('.').collect();
    assert_eq!(parts.len(), 3, "{ended:#?}");
    let payload = base64::Engine::decode(&base64::prelude::BASE64_URL_SAFE_NO_PAD, parts[1]).unwrap();
    let claims: serde_json::Value = serde_json::from_slice(&payload).unwrap();
    assert_eq!(claims["user_id"], 7);
    assert_eq!(claims["tenant_id"], 1);
    assert_eq!(claims["schema_name"], "acme");
    assert_eq!(
        claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(),
        300
    );

    let from_environment = mint(
        &["--dialect", "feed", "--user", "7"],
        &[("SECRET_KEY", "the secret of feed")],
    );
    assert_eq!(from_environment.code, Some(0), "{from_environment:#?}");
    for (args, says) in [
        (&["--dialect", "echo", "--user", "7"][..], "`echo` has no users"),
        (&["--dialect", "direct", "--user", "7"], "no secret to sign with"),
        (&from_file, "add --claim tenant_id="),
    ] {
        let refused = mint(args, &[]);
        assert_eq!(refused.code, Some(2), "{refused:#?}");
        assert!(refused.stderr.contains(says), "{refused:#?}");
        assert_eq!(refused.stdout, "");
    }
}
