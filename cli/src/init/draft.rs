//! The target file that `conform init` writes: live keys for what was given, and for all the rest examples in comments,
//! each of which is right once its `#` is taken away.

use std::path::PathBuf;

use touchstone_protocol::{Dialect, routes};

/// Where a server is expected that nobody has said anything of.
const GUESS: &str = "ws://127.0.0.1:8080";

/// What is known of a server by the command line.
#[derive(Debug, Clone, Default)]
pub(super) struct Given {
    /// Where it runs.
    pub(super) url: Option<String>,
    /// What starts it, in words.
    pub(super) spawn: Vec<String>,
    /// What it speaks; everything if empty.
    pub(super) dialects: Vec<Dialect>,
    /// What its tokens are signed with.
    pub(super) secret_file: Option<PathBuf>,
    /// Who vouches for it.
    pub(super) ca: Option<PathBuf>,
    /// Whether whoever answers is believed.
    pub(super) trust: Trusted,
}

/// Whether whoever answers is believed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Trusted {
    /// Whom the system or an authority believes.
    #[default]
    Verified,
    /// Everybody.
    Anyone,
}

const HEAD: &str = "\
# yaml-language-server: $schema=target.schema.json
#
# What `touchstone conform` and `touchstone load` have to know of a server that they did not write. Only `urls` has to be
# there. Lines that begin with `#` and no blank after it are examples: take the `#` away.
#
# Tried again by:             touchstone conform init --try THIS-FILE
# Completion in an editor:    touchstone schema target > target.schema.json
";

/// The file's text.
pub(super) fn text(given: &Given) -> String {
    let dialects = match given.dialects.as_slice() {
        [] => Dialect::ALL.to_vec(),
        some => some.to_vec(),
    };
    let with_tokens: Vec<Dialect> = dialects
        .iter()
        .copied()
        .filter(|dialect| dialect.has_tokens())
        .collect();
    let mut out = HEAD.to_owned();
    let mut section = |prose: &str, code: &str| {
        out.push('\n');
        for line in prose.lines() {
            out.push_str(&format!("# {line}\n"));
        }
        out.push_str(code.trim_end());
        out.push('\n');
    };
    section(
        "Where it listens; several are the nodes of one cluster. `${port}` is the port of a server that `spawn` starts.",
        &urls(given),
    );
    section("What it speaks.", &format!("dialects: [{}]", names(&dialects)));
    section(
        "Where its paths are not the documented ones. `ws` is the WebSocket, `http` what the paths of HTTP begin with.",
        &commented(&paths(&dialects)),
    );
    section(
        "How it is started and stopped: then cases that need a server to themselves run too. It gets PORT; `ready` left out: it\naccepts TCP.",
        &spawn(given),
    );
    section(
        "How it is set, where that is not as documented. Times that a case waits for are in units of these: short ones make the\nsuite short.",
        &commented(&timings(&dialects)),
    );
    section(
        "Its limits. A case about one that is not here is skipped.",
        &commented(LIMITS),
    );
    section(
        "What it can and cannot: what is false is skipped, never green. Without `/metrics` say so.",
        &commented("capabilities: {metrics: false, compression: false}"),
    );
    if !with_tokens.is_empty() {
        section(AUTH_PROSE, &auth(given));
        section(USERS_PROSE, &commented(USERS));
        section(ALTERNATIVE, &commented(USERS_BY_STEPS));
        section(ALTERNATIVE, &commented(USERS_BY_COMMAND));
        section(ALTERNATIVE, &commented(USERS_OF_LIST));
    }
    if dialects.contains(&Dialect::Rooms) {
        section(
            "How a tenant comes to be, where it is not by `users.admin`.",
            &commented(TENANTS),
        );
    }
    if with_tokens
        .iter()
        .any(|dialect| matches!(dialect, Dialect::Rooms | Dialect::Outbox))
    {
        section(
            "How a channel comes to be, where it is not by `users.admin`.",
            &commented(CHANNELS),
        );
    }
    section(
        "How it is made to emit a message of its own: to a user, users, a channel or all. A case that needs one that is not\nhere is skipped.",
        &commented(&inject(&dialects)),
    );
    if dialects.contains(&Dialect::Outbox) {
        section("How the queued events of a user are listed.", &commented(EVENTS));
    }
    section(
        "What an operator does to it, where that is not by `users.admin`: a request or a program for each.",
        &commented(&operate(&dialects)),
    );
    section(
        "How its store, or a handler, is made to fail.",
        &commented(FAULTS),
    );
    section(
        "Sent with every request and handshake. Secrets come from the environment.",
        &commented(HEADERS),
    );
    section(
        "With wss://: whose certificates are believed. Left out: those that the system believes.",
        &tls(given),
    );
    out
}

fn names(dialects: &[Dialect]) -> String {
    let names: Vec<_> = dialects.iter().map(|dialect| dialect.name()).collect();
    names.join(", ")
}

/// As examples: `#` before each line.
fn commented(code: &str) -> String {
    code.trim_end().lines().map(|line| format!("#{line}\n")).collect()
}

/// A string as YAML and JSON write it.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn urls(given: &Given) -> String {
    let behind_tls = given.ca.is_some() || given.trust == Trusted::Anyone;
    let spawned = if behind_tls {
        "wss://127.0.0.1:${port}"
    } else {
        "ws://127.0.0.1:${port}"
    };
    let url = match (&given.url, given.spawn.is_empty()) {
        (Some(url), _) => url.as_str(),
        (None, false) => spawned,
        (None, true) => GUESS,
    };
    format!("urls: [{}]", quoted(url))
}

fn paths(dialects: &[Dialect]) -> String {
    let line = |dialect: &Dialect| {
        let http = routes::http_base(*dialect);
        let ws = routes::websocket(*dialect);
        format!("  {dialect}: {{ws: {}, http: {}}}\n", quoted(ws), quoted(http))
    };
    let lines: String = dialects.iter().map(line).collect();
    format!("paths:\n{lines}")
}

fn spawn(given: &Given) -> String {
    if given.spawn.is_empty() {
        return commented(
            "spawn:\n  command: [node, server.js]\n  env: {NODE_ENV: test}\n  ready: {http: /healthz}\n  stop: TERM\n  deadline: 20s",
        );
    }
    let words: Vec<String> = given.spawn.iter().map(|word| quoted(word)).collect();
    let rest = commented("  env: {NODE_ENV: test}\n  ready: {http: /healthz}\n  stop: TERM\n  deadline: 20s");
    format!("spawn:\n  command: [{}]\n{rest}", words.join(", "))
}

fn timings(dialects: &[Dialect]) -> String {
    let known = touchstone_scenarios::duration::TIMINGS.iter();
    let of_these = known.filter(|name| {
        let first = name.split('.').next().unwrap_or_default();
        first == "server" || dialects.iter().any(|dialect| dialect.name() == first)
    });
    let lines: String = of_these.map(|name| format!("  {name}: 1s\n")).collect();
    format!("timings:\n{lines}")
}

const LIMITS: &str = "\
limits:
  message_bytes: 65536
  handshake_bytes: 16384
  session_id_chars: 128
  queue_bytes: 1048576
  rate: 50";

const AUTH_PROSE: &str = "\
How a token comes to be: we sign it, the server gives it out, or a program writes it; exactly one of the three. Only with a
`secret` can tokens be wrong on purpose. This and `users`, `channels`, `headers` may also be given per dialect: {feed: …}.";
const ALTERNATIVE: &str = "Or so:";

fn auth(given: &Given) -> String {
    let live = given.secret_file.as_ref().map(|path| {
        let path = quoted(&path.display().to_string());
        format!("auth: {{secret: {{file: {path}}}}}\n")
    });
    let examples = [
        "auth: {secret: {file: jwt-secret, algorithm: HS256, claims: {sub: \"${user.id}\"}}}",
        "auth: {login: {post: /api/auth/login, json: {email: \"${user.email}\", password: \"${user.password}\"}, token: /data/token}}",
        "auth: {command: [./make-token, \"${user.id}\"]}",
    ];
    let separated = examples.map(commented).join("# Or so:\n");
    live.unwrap_or_default() + &separated
}

const USERS_PROSE: &str = "\
How users come to be: by an admin interface like the built-in server's, by requests, by a program, or they are there already;
exactly one of the four. `take` keeps values of the answer; at least `id` has to be known.";
const USERS: &str = "users: {admin: {key: admin-key}}";
const USERS_BY_STEPS: &str = "\
users:
  steps:
    - post: /api/auth/register
      json: {email: \"${user.email}\", password: \"${user.password}\", username: \"${user.username}\"}
      take: {id: /data/user/id}";
const USERS_BY_COMMAND: &str = "users: {command: [./make-user, \"${user.username}\", \"${user.password}\"]}";
const USERS_OF_LIST: &str = "\
users:
  list:
    - {id: 1, username: ann, email: ann@example.test, password: secret}
    - {id: 2, username: bob, email: bob@example.test, password: secret}";
const TENANTS: &str = "tenants: {step: {post: /api/tenants, json: {name: \"${tenant.name}\", schema: \"${tenant.schema_name}\"}, take: {id: /id}}}";
const CHANNELS: &str = "channels: {step: {post: /api/channels, json: {name: \"${channel.name}\", members: \"${channel.members}\"}, take: {id: /id}}}";
const EVENTS: &str =
    "events: {outbox: {get: \"/debug/events?user=${user.id}\", items: /events, status: /status}}";
const FAULTS: &str = "\
faults:
  store: {command: [./break-store, \"${mode}\", \"${seconds}\"]}
  handler: {post: /debug/panic, json: {times: \"${times}\"}}";
const HEADERS: &str = "headers: {Origin: \"https://example.test\"}";

fn inject(dialects: &[Dialect]) -> String {
    let lines: String = dialects
        .iter()
        .map(|dialect| match dialect {
            Dialect::Echo => "  echo:\n    all: {post: /chat/api/broadcast/, json: \"${data}\"}\n".to_owned(),
            Dialect::Rooms | Dialect::Outbox | Dialect::Feed | Dialect::Direct => format!(
                "  {dialect}:\n    user: {{post: /debug/send, json: {{to: \"${{to}}\", type: \"${{type}}\", data: \"${{data}}\"}}}}\n"
            ),
        })
        .collect();
    format!("inject:\n{lines}")
}

fn operate(dialects: &[Dialect]) -> String {
    const DRAIN: &str = "    drain: {post: /debug/drain, json: {seconds: \"${seconds}\"}}\n";
    const OF_USERS: &str = "    disconnect: {post: \"/debug/users/${user.id}/disconnect\", json: {code: \"${code}\", reason: \"${reason}\"}}\n    delete_user: {delete: \"/debug/users/${user.id}\"}\n";
    const SWEEP: &str = "    sweep: {command: [./sweep]}\n";
    let lines: String = dialects
        .iter()
        .map(|dialect| match dialect {
            Dialect::Echo => format!("  {dialect}:\n{DRAIN}"),
            Dialect::Outbox => format!("  {dialect}:\n{OF_USERS}{DRAIN}{SWEEP}"),
            Dialect::Rooms | Dialect::Feed | Dialect::Direct => format!("  {dialect}:\n{OF_USERS}{DRAIN}"),
        })
        .collect();
    format!("operate:\n{lines}")
}

fn tls(given: &Given) -> String {
    match (&given.ca, given.trust) {
        (Some(path), _) => format!("tls: {{ca: {}}}", quoted(&path.display().to_string())),
        (None, Trusted::Anyone) => "tls: {insecure: true}".to_owned(),
        (None, Trusted::Verified) => "# tls: {ca: ca.pem}".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use touchstone_sut::Target;

    use super::*;

    fn reads(text: &str) -> Result<(), String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("target.yaml");
        std::fs::write(
            &path,
            text.replace("jwt-secret", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")),
        )
        .unwrap();
        match Target::from_file(&path.display().to_string()) {
            Ok(_) => Ok(()),
            Err(error) => Err(format!("{error}\n{text}")),
        }
    }

    fn is_example(line: &str) -> bool {
        line.strip_prefix('#').is_some_and(|rest| {
            rest.starts_with(|first: char| first.is_ascii_lowercase() || rest.starts_with("  "))
        })
    }

    #[test]
    fn what_is_written_reads_as_it_stands() {
        for given in [
            Given::default(),
            Given {
                url: Some("wss://h:1".into()),
                ca: Some("ca.pem".into()),
                ..Given::default()
            },
            Given {
                url: Some("wss://h".into()),
                trust: Trusted::Anyone,
                dialects: vec![Dialect::Echo],
                ..Given::default()
            },
            Given {
                spawn: vec!["sh".into(), "-c".into(), "exec \"my server\"".into()],
                dialects: vec![Dialect::Feed],
                ..Given::default()
            },
            Given {
                secret_file: Some("jwt-secret".into()),
                ..Given::default()
            },
        ] {
            assert_eq!(reads(&text(&given)), Ok(()));
        }
    }

    #[test]
    fn every_example_is_right_once_its_sign_is_taken_away() {
        for dialect in Dialect::ALL.iter().map(Some).chain([None]) {
            let given = Given {
                dialects: dialect.into_iter().copied().collect(),
                ..Given::default()
            };
            let text = text(&given);
            let lines: Vec<&str> = text.lines().collect();
            let mut examples = 0;
            let mut start = 0;
            while start < lines.len() {
                let length = lines[start..].iter().take_while(|line| is_example(line)).count();
                if length > 0 {
                    let taken: Vec<String> = lines
                        .iter()
                        .enumerate()
                        .map(|(at, line)| {
                            if (start..start + length).contains(&at) {
                                line[1..].to_owned()
                            } else {
                                (*line).to_owned()
                            }
                        })
                        .collect();
                    assert_eq!(reads(&taken.join("\n")), Ok(()));
                    examples += 1;
                }
                start += length.max(1);
            }
            assert!(examples >= 7, "only {examples} for {dialect:?}");
        }
    }

    #[test]
    fn everything_that_a_target_file_can_hold_is_in_it() {
        let text = text(&Given::default());
        let schema = touchstone_sut::schema::target();
        for key in schema["properties"].as_object().unwrap().keys() {
            let there = text.lines().any(|line| {
                line.trim_start_matches(['#', ' '])
                    .starts_with(&format!("{key}:"))
            });
            assert!(there, "{key} is not in the draft");
        }
    }
}
