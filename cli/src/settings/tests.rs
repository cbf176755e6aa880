//! What comes before what, and what every mistake looks like.

use std::path::PathBuf;

use clap::{Args as _, Command, FromArgMatches as _};
use touchstone_scenarios::diag::Paint;

use super::secrets::Secrets;
use super::*;

/// A configuration as it was said.
#[derive(Default)]
struct Spoken<'a> {
    file: Option<&'a str>,
    environment: &'a [(&'a str, &'a str)],
    flags: &'a [&'a str],
    set: &'a [&'a str],
}

impl Spoken<'_> {
    fn resolve(&self) -> Result<(Resolved, Secrets), String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("own.yaml");
        if let Some(text) = self.file {
            std::fs::write(&path, text).unwrap();
        }
        let environment: Environment = self
            .environment
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let command = KeyFlags::augment_args(Command::new("serve").no_binary_name(true));
        let matches = command.try_get_matches_from(self.flags).unwrap();
        let set: Vec<String> = self.set.iter().map(|text| (*text).to_owned()).collect();
        let resolved = resolve(&Said {
            config_file: self.file.map(|_| &path),
            environment: &environment,
            flags: &KeyFlags::from_arg_matches(&matches).unwrap(),
            set: &set,
        });
        // The folder is another one each time.
        let shown = |failure: Failure| failure.shown.replace(&*folder.path().to_string_lossy(), "…");
        let mut resolved = resolved.map_err(shown)?;
        let secrets = secrets::read(&mut resolved, &environment).map_err(shown)?;
        Ok((resolved, secrets))
    }

    #[track_caller]
    fn complaint(&self) -> String {
        self.resolve().map(|_| ()).unwrap_err()
    }
}

/// Value and origin of a key, as `--print-config` shows them.
#[track_caller]
fn shown(spoken: &Spoken<'_>, key: &str) -> (String, String) {
    let (mut resolved, _) = spoken.resolve().unwrap();
    let value = table::find(key).unwrap().slot.show(&mut resolved.settings);
    let mut origin = resolved.origins.of(key);
    if let Origin::File { path, .. } = &mut origin {
        *path = PathBuf::from(&*path)
            .file_name()
            .unwrap()
            .to_string_lossy()
            .into_owned();
    }
    (Given::from(&value).to_string(), origin.to_string())
}

#[track_caller]
fn holds(spoken: &Spoken<'_>, key: &str, value: &str, origin: &str) {
    assert_eq!(shown(spoken, key), (value.to_owned(), origin.to_owned()), "{key}");
}

#[test]
fn a_flag_comes_before_the_environment_and_that_before_the_file() {
    let mut spoken = Spoken::default();
    holds(&spoken, "server.grace", "10s", "default");
    spoken.file = Some("# mine\nserver:\n  grace: 1s\n");
    holds(&spoken, "server.grace", "1s", "own.yaml:3");
    spoken.environment = &[("TOUCHSTONE_SERVER_GRACE", "2s")];
    holds(&spoken, "server.grace", "2s", "env TOUCHSTONE_SERVER_GRACE");
    spoken.flags = &["--grace", "3s"];
    holds(&spoken, "server.grace", "3s", "--grace");
    spoken.set = &["server.grace=4s"];
    holds(&spoken, "server.grace", "4s", "--set");
}

#[test]
fn a_file_may_be_a_tree_or_have_dots() {
    let file = "feed.heartbeat:\n  interval: 7s\noutbox.confirm: write\noutbox.confirm.timeout: 9s\nlisten: [\"127.0.0.1:1\", \"[::1]:2\"]\n";
    let spoken = Spoken {
        file: Some(file),
        ..Spoken::default()
    };
    holds(&spoken, "feed.heartbeat.interval", "7s", "own.yaml:2");
    holds(&spoken, "outbox.confirm", "write", "own.yaml:3");
    holds(&spoken, "outbox.confirm.timeout", "9s", "own.yaml:4");
    holds(&spoken, "listen", "127.0.0.1:1,[::1]:2", "own.yaml:5");
}

#[test]
fn the_documents_own_names_are_understood() {
    let mut spoken = Spoken {
        environment: &[("REDIS_SESSION_TTL", "600")],
        ..Spoken::default()
    };
    holds(&spoken, "echo.session.ttl", "10m", "env REDIS_SESSION_TTL");
    spoken.environment = &[
        ("REDIS_SESSION_TTL", "600"),
        ("TOUCHSTONE_ECHO_SESSION_TTL", "5s"),
    ];
    holds(
        &spoken,
        "echo.session.ttl",
        "5s",
        "env TOUCHSTONE_ECHO_SESSION_TTL",
    );
    // A flag's name is a variable, too.
    spoken.environment = &[("TOUCHSTONE_MESSAGE_BYTES", "1KiB")];
    holds(
        &spoken,
        "limits.message_bytes",
        "1KiB",
        "env TOUCHSTONE_MESSAGE_BYTES",
    );
}

#[test]
fn one_rate_stands_for_every_dialect_that_has_none_of_its_own() {
    let spoken = Spoken {
        file: Some("rooms.rate: none\nlimits.rate: 5/s burst 6\n"),
        ..Spoken::default()
    };
    holds(&spoken, "feed.rate", "5/s burst 6", "key limits.rate");
    holds(&spoken, "rooms.rate", "none", "own.yaml:1");
    holds(&Spoken::default(), "rooms.rate", "50/s burst 100", "default");
    holds(&Spoken::default(), "feed.rate", "none", "default");
}

#[test]
fn every_value_is_read_as_it_is_shown() {
    let spoken = Spoken {
        file: Some(
            "limits: {connections_per_ip: 7, rate: 2.5/s burst 9}\ntrusted_proxies: 10.0.0.0/8, ::1\norigins: https://a.test\n\
             tls: {certificate: /etc/a b.pem, key: k.pem}\nstore: embedded:/var/lib/t\nlog.filter: 'a=debug,b=info'\n\
             compression: {enabled: on, level: 9}\nauth.audience: '12'\nretention: {age: 1h, count: 10}\n",
        ),
        ..Spoken::default()
    };
    for spoken in [spoken, Spoken::default()] {
        let (mut first, secrets) = spoken.resolve().unwrap();
        let text = as_text(&mut first.settings, &first.origins, &secrets);
        let again = Spoken {
            file: Some(&text),
            ..Spoken::default()
        };
        let (mut second, _) = again.resolve().unwrap();
        for key in table::keys() {
            assert_eq!(
                key.slot.show(&mut first.settings),
                key.slot.show(&mut second.settings),
                "{}",
                key.name
            );
        }
    }
}

#[test]
fn what_is_shown_says_where_it_comes_from_and_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let key_file = folder.path().join("key");
    std::fs::write(&key_file, "sesame-in-a-file\n").unwrap();
    let file = format!("admin.key_file: {}\n", key_file.display());
    let spoken = Spoken {
        file: Some(&file),
        environment: &[
            ("JWT_SECRET", "sesame-in-the-environment-0123456789"),
            ("TOUCHSTONE_FEED_SECRET", "sesame-of-feed"),
        ],
        flags: &["--connections", "7"],
        set: &[],
    };
    let (mut resolved, secrets) = spoken.resolve().unwrap();
    let text = as_text(&mut resolved.settings, &resolved.origins, &secrets);
    let json = as_json(&mut resolved.settings, &resolved.origins, &secrets).to_string();
    for shown in [&text, &json, &format!("{resolved:?}"), &format!("{secrets:?}")] {
        assert!(!shown.contains("sesame"), "{shown}");
    }
    let line = |start: &str| {
        let line = text.lines().find(|line| line.starts_with(start)).unwrap();
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        line("limits.connections:"),
        "limits.connections: 7 # --connections"
    );
    assert_eq!(line("server.grace:"), "server.grace: 10s # default");
    assert_eq!(
        line("# auth.secret is"),
        "# auth.secret is set, and not shown # env JWT_SECRET"
    );
    assert!(line("# admin.key is").ends_with("own.yaml:1"));
    assert_eq!(line("# rooms.auth.secret"), "# rooms.auth.secret is not set");
    let short = resolved.warnings.join("\n");
    assert!(
        short.contains("`feed.auth.secret` (env TOUCHSTONE_FEED_SECRET) has 14 bytes"),
        "{short}"
    );
    assert!(!short.contains("`auth.secret`"), "{short}");
}

#[test]
fn of_several_secrets_the_nearest_counts() {
    type Row<'a> = (&'a [(&'a str, &'a str)], &'a str, &'a str);
    let rows: &[Row<'_>] = &[
        (
            &[
                ("JWT_SECRET", "j"),
                ("TOUCHSTONE_SECRET", "t"),
                ("SECRET_KEY", "s"),
            ],
            "t",
            "",
        ),
        (&[("JWT_SECRET", "j"), ("SECRET_KEY", "s")], "j", ""),
        (&[("SECRET_KEY", "s")], "", "s"),
        (&[("TOUCHSTONE_FEED_SECRET", "f"), ("SECRET_KEY", "s")], "", "f"),
        (&[("TOUCHSTONE_FEED_SECRET", "f"), ("JWT_SECRET", "j")], "j", "f"),
    ];
    for (environment, all, feed) in rows {
        let spoken = Spoken {
            environment,
            ..Spoken::default()
        };
        let (resolved, _) = spoken.resolve().unwrap();
        let server = resolved.settings.server;
        for (secret, expected) in [(server.auth.secret, all), (server.feed.auth.secret, feed)] {
            match secret {
                Some(secret) => assert!(secret.matches(expected.as_bytes()), "{environment:?}"),
                None => assert_eq!(*expected, "", "{environment:?}"),
            }
        }
    }
}

#[test]
fn every_mistake_of_a_file_is_shown_at_its_place() {
    let file = "\
limits:
  conections: 5
  message_bytes: 64k
server.grace: soon
feed:
  heartbeat: 30
auth: {secret: sésame-sesame, leeway: 1}
feed.secret_key: 'sesame'
dialects: [echo, ecco]
tls: cert.pem
log.format: xml
server: {grace: 3s}
raw_echo: {a: b}
";
    let mistakes = file::parse("own.yaml", file.to_owned()).unwrap_err();
    let drawn: Vec<_> = mistakes.iter().map(|diag| diag.render(Paint::Plain)).collect();
    let drawn = drawn.join("\n\n");
    assert!(!drawn.contains("sesame"), "{drawn}");
    insta::assert_snapshot!(drawn);
}

#[test]
fn every_other_mistake_names_its_key_and_its_place() {
    let complaint = |environment: &[(&str, &str)], set: &[&str]| {
        Spoken {
            environment,
            set,
            ..Spoken::default()
        }
        .complaint()
    };
    let complaints = [
        complaint(&[("TOUCHSTONE_FEED_HEARTBEAT_INTERVAL", "30")], &[]),
        complaint(&[("TOUCHSTONE_LIMITS_RATE", "fast")], &[]),
        complaint(&[("REDIS_SESSION_TTL", "an hour")], &[]),
        complaint(&[("TOUCHSTONE_STORE", "mysql://ann:sesame@localhost")], &[]),
        complaint(&[], &["server.grace"]),
        complaint(&[], &["server.grace=soon"]),
        complaint(&[], &["server.grase=1s"]),
        complaint(&[], &["auth.secret=sesame"]),
        complaint(&[], &["store=mysql://ann:sesame@localhost"]),
        complaint(&[], &["trusted_proxies=10.0.0.0/40"]),
        complaint(&[], &["limits.handshake_bytes=1KiB"]),
        complaint(&[], &["compression.server_window_bits=8"]),
        complaint(&[], &["tls.key=k.pem"]),
        complaint(&[], &["server.retry_after.min=20s"]),
        Spoken {
            file: Some("- a\n"),
            ..Spoken::default()
        }
        .complaint(),
    ];
    insta::assert_snapshot!(complaints.join("\n"));
}

#[test]
fn a_variable_that_means_nothing_is_pointed_out() {
    let spoken = Spoken {
        environment: &[
            ("TOUCHSTONE_SERVER_GRASE", "1s"),
            ("TOUCHSTONE_XYZZY", "1"),
            ("REDIS_HOST", "db"),
            ("TOUCHSTONE_LOG", "debug"),
            ("TOUCHSTONE_PORT_80_TCP", "tcp://10.0.0.1:80"),
            ("TOUCHSTONE_SERVICE_HOST", "10.0.0.1"),
            ("TOUCHSTONE_GRACE", ""),
            ("OTHER", "1"),
        ],
        ..Spoken::default()
    };
    let (resolved, _) = spoken.resolve().unwrap();
    insta::assert_snapshot!(resolved.warnings.join("\n"));
}

#[test]
fn a_file_without_a_key_says_nothing() {
    for text in ["", "\n", "# touchstone\n\n  # server.grace: 1s\n"] {
        let spoken = Spoken {
            file: Some(text),
            ..Spoken::default()
        };
        holds(&spoken, "server.grace", "10s", "default");
    }
}
