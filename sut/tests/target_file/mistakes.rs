//! What a person sees who made a mistake in a target file: where it is, what it is, and what was meant. The schema says
//! so too, as far as a schema can.

use std::fmt::Write as _;
use std::sync::Arc;

use touchstone_scenarios::diag::Paint;
use touchstone_scenarios::source::Source;
use touchstone_scenarios::yaml;
use touchstone_sut::{Target, TargetError};

use crate::schema;

/// What an editor with the schema says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Editor {
    /// Underlines it.
    Refuses,
    /// Nothing: a schema cannot know what is wrong.
    CannotTell,
    /// That it is no YAML, or too much of it.
    NotYaml,
}
use Editor::{CannotTell, NotYaml, Refuses};

/// A file, its complaint from the line on, and what an editor says.
type Row = (&'static str, &'static str, Editor);

/// Whole files.
const WHOLE: &[Row] = &[
    (
        "",
        "1:1: the file ends before anything is said (a target file has at least `urls: [\"ws://127.0.0.1:8080\"]`)",
        Refuses,
    ),
    (
        "# nothing\n",
        "2:1: the file ends before anything is said (a target file has at least `urls: [\"ws://127.0.0.1:8080\"]`)",
        Refuses,
    ),
    (
        "\u{feff}urls: [\"ws://127.0.0.1:1\"]\r\ntimming: {}\r\n",
        "2:1: unknown key `timming` (did you mean `timings`?)",
        Refuses,
    ),
    (
        "urls: ws://127.0.0.1:1\n",
        "1:7: a list is expected here (a list is written `[one, two]`, or one item a line after `- `)",
        Refuses,
    ),
    (
        "urls:\n\t- ws://127.0.0.1:1\n",
        "2:2: tabs disallowed within this context (block indentation) (indent with spaces: YAML has no tabs)",
        NotYaml,
    ),
    ("urls: [\"ws://127.0.0.1:1]\n", "1:8: unclosed quote", NotYaml),
    (
        "urls: [ws://127.0.0.1:${port}]\n",
        "1:24: while parsing a flow sequence, expected ',' or ']' (inside `{…}` and `[…]` a variable is quoted: \"${name}\")",
        NotYaml,
    ),
    (
        "urls: []\n",
        "1:1: `urls` is empty: write for example [\"ws://127.0.0.1:8080\"]",
        Refuses,
    ),
    (
        "urls: [\"ws://127.0.0.1:1/ws\"]\n",
        "1:8: `ws://127.0.0.1:1/ws` has a path; leave it out, and say in `paths` of a target file where a dialect is",
        Refuses,
    ),
    (
        "urls: [\"http://127.0.0.1:1\"]\n",
        "1:8: `http://127.0.0.1:1` is no WebSocket URL; write for example ws://127.0.0.1:8080 or wss://chat.example",
        Refuses,
    ),
    (
        "urls: [\"ws://127.0.0.1:${port}\"]\n",
        "1:1: `${port}` in `urls` is the port of a server that is started: add `spawn`, or write the port",
        CannotTell,
    ),
    (
        "urls: [\"ws://127.0.0.1:${prot}\"]\n",
        "1:8: `ws://127.0.0.1:${prot}` has no usable port; write for example ws://127.0.0.1:8080",
        CannotTell,
    ),
    (
        "dialects: [echo]\n",
        "1:1: the key `urls` is missing (add `urls: …`)",
        Refuses,
    ),
    (
        "urls: [\"ws://x:1\", \"wss://x:2\"]\n",
        "1:20: `urls` has `ws://x:1` and `wss://x:2`: the nodes of one cluster are all ws:// or all wss://",
        CannotTell,
    ),
    (
        "urls: [\"wss://x:1\"]\ntls: {ca: c, insecure: true}\n",
        "2:24: `tls.ca` says who is believed and `tls.insecure` that everybody is: leave one out",
        Refuses,
    ),
    (
        "urls: [\"wss://x:1\"]\ntls: {cert: c}\n",
        "2:7: unknown key `cert` (there is: ca, insecure)",
        Refuses,
    ),
];

/// What stands below a right `urls`.
const BELOW_URLS: &[Row] = &[
    (
        "urls: [\"ws://127.0.0.1:1\"]\n",
        "2:1: `urls` is there twice in one mapping (keep one of them; a header or parameter that repeats is written as a list)",
        NotYaml,
    ),
    (
        "dialects: [ecco]\n",
        "2:12: `ecco` is not a dialect; there is: echo, rooms, outbox, feed, direct (did you mean `echo`?)",
        Refuses,
    ),
    (
        "dialects: echo\n",
        "2:11: a list is expected here (a list is written `[one, two]`, or one item a line after `- `)",
        Refuses,
    ),
    (
        "timing: {}\n",
        "2:1: unknown key `timing` (did you mean `timings`?)",
        Refuses,
    ),
    (
        "timings: {echo.heartbeat.interval: 1}\n",
        "2:36: `1` has no unit, write for example 1ms or 1s",
        Refuses,
    ),
    (
        "timings: {echo.heartbeat.interval: 1 sec}\n",
        "2:36: `1 sec` is not a duration, write for example 250ms",
        Refuses,
    ),
    (
        "timings:\n  echo.hartbeat.interval: 1s\n",
        "3:3: `echo.hartbeat.interval` is not a timing that the suite asks for (did you mean `echo.heartbeat.interval`?)",
        Refuses,
    ),
    (
        "timings:\n  echo: {heartbeat: {interval: 1s}}\n",
        "3:9: a mapping stands where a time such as 250ms is expected",
        Refuses,
    ),
    (
        "limits: {mesage_bytes: 1}\n",
        "2:10: `mesage_bytes` is not known, and nearly the same as `message_bytes` (write that, or give one of your own a name that cannot be mistaken for it)",
        CannotTell,
    ),
    (
        "limits: {message_bytes: 64KiB}\n",
        "2:25: `64KiB` is not a whole number of 0 or more",
        Refuses,
    ),
    (
        "limits: {message_bytes: -1}\n",
        "2:25: `-1` is not a whole number of 0 or more",
        Refuses,
    ),
    (
        "capabilities: {restrat: false}\n",
        "2:16: `restrat` is not known, and nearly the same as `restart` (write that, or give one of your own a name that cannot be mistaken for it)",
        CannotTell,
    ),
    (
        "capabilities: {restart: no}\n",
        "2:25: `no` is not true or false",
        Refuses,
    ),
    (
        "paths: {ecco: {ws: /x}}\n",
        "2:9: `ecco` is not a dialect; there is: echo, rooms, outbox, feed, direct (did you mean `echo`?)",
        Refuses,
    ),
    (
        "paths: {echo: {ws: x}}\n",
        "2:20: the path `x` does not begin with a slash (host and port are in `urls`; a path is everything after them: /v1/users)",
        Refuses,
    ),
    (
        "paths: {echo: /x}\n",
        "2:15: a mapping is expected here (a mapping is written `{key: value}`, or one `key: value` a line)",
        Refuses,
    ),
    (
        "auth: {secret: abc}\n",
        "2:16: a mapping is expected here (a mapping is written `{key: value}`, or one `key: value` a line)",
        Refuses,
    ),
    ("auth: {}\n", "2:7: empty: say how", Refuses),
    (
        "auth: {secret: {}}\n",
        "2:8: `auth.secret` needs exactly one of env, file and text",
        Refuses,
    ),
    (
        "auth: {secret: {env: A, text: b}}\n",
        "2:8: `auth.secret` needs exactly one of env, file and text",
        Refuses,
    ),
    (
        "auth: {secret: {env: NO_SUCH_VARIABLE}}\n",
        "2:22: `auth.secret.env`: the environment variable NO_SUCH_VARIABLE is not set",
        CannotTell,
    ),
    (
        "auth: {secret: {text: b, algorithm: RS256}}\n",
        "2:37: unknown value `RS256` (did you mean `HS256`?)",
        Refuses,
    ),
    (
        "auth: {secret: {text: b}, command: [x]}\n",
        "2:1: `auth` needs exactly one of secret, login and command",
        Refuses,
    ),
    (
        "auth:\n  direkt: {secret: {text: b}}\n",
        "3:3: unknown key `direkt` (did you mean the dialect `direct`?)",
        Refuses,
    ),
    (
        "auth:\n  direct: {secret: {text: b}}\n  fead: {secret: {text: b}}\n",
        "3:3: `fead` is not a dialect; there is: echo, rooms, outbox, feed, direct",
        Refuses,
    ),
    (
        "auth:\n  direct: {secret: {txt: b}}\n",
        "3:21: unknown key `txt` (did you mean `text`?)",
        Refuses,
    ),
    (
        "auth: {login: {post: /login, token: data.token}}\n",
        "2:37: `data.token` is no JSON pointer: it does not begin with a slash (did you mean `/data/token`?)",
        Refuses,
    ),
    (
        "auth: {login: {post: /login, json: {email: \"${usr.email}\"}, token: /token}}\n",
        "2:44: the variable `usr.email` is not known here (there is: ${user})",
        CannotTell,
    ),
    (
        "auth: {login: {post: /login, json: {email: \"${user.email\"}, token: /token}}\n",
        "2:44: `${` is never closed (a variable is `${name}` or `${name.field}`; write `$$` for a dollar)",
        CannotTell,
    ),
    (
        "auth: {login: {post: http://x/login, token: /token}}\n",
        "2:22: the path `http://x/login` does not begin with a slash (host and port are in `urls`; a path is everything after them: /v1/users)",
        Refuses,
    ),
    (
        "users: {admin: {key: {environ: A}}}\n",
        "2:22: `environ` is not known here: write `{env: NAME}`",
        Refuses,
    ),
    (
        "users: {admin: {key: {env: A, text: b}}}\n",
        "2:22: unexpected `text` beside `env`",
        Refuses,
    ),
    (
        "users: {admin: {key: [x]}}\n",
        "2:17: a list stands where a text, or `{env: NAME}` is expected",
        Refuses,
    ),
    (
        "users:\n  admin: {key: {env: NO_SUCH_VARIABLE}}\n",
        "3:11: `users.admin.key`: the environment variable NO_SUCH_VARIABLE is not set",
        CannotTell,
    ),
    (
        "users: {steps: [{post: /a}, {path: /b}]}\n",
        "2:30: unknown key `path` (did you mean `patch`?)",
        Refuses,
    ),
    (
        "users: {steps: [{post: /a}, {get: /b, put: /c}]}\n",
        "2:29: `users.steps.1` needs exactly one of get, post, put and patch",
        Refuses,
    ),
    (
        "users: {command: ./x}\n",
        "2:18: a list is expected here (a list is written `[one, two]`, or one item a line after `- `)",
        Refuses,
    ),
    (
        "inject: {direct: {usr: {post: /x}}}\n",
        "2:19: `usr` is not an audience (did you mean `user`?)",
        Refuses,
    ),
    (
        "inject: {direct: {post: /x}}\n",
        "2:25: a mapping is expected here (a mapping is written `{key: value}`, or one `key: value` a line)",
        Refuses,
    ),
    (
        "inject: {direct: {user: {post: /x, command: [y]}}}\n",
        "2:19: `inject.direct.user` needs exactly one of post, put, delete and command",
        Refuses,
    ),
    (
        "inject: {direct: {user: {post: /x, json: {to: \"${user.id}\"}}}}\n",
        "2:47: the variable `user.id` is not known here (there is: ${to}, ${type}, ${data}, ${scheduled_at}, ${tenant})",
        CannotTell,
    ),
    (
        "operate: {outbox: {swep: {post: /x}}}\n",
        "2:20: `swep` is not something that an operator does (did you mean `sweep`?)",
        Refuses,
    ),
    (
        "operate: {outbox: {broadcast: {post: /x}}}\n",
        "2:20: `broadcast` is not something that an operator does (there is: disconnect, delete_user, drain, sweep)",
        Refuses,
    ),
    (
        "operate: {sweep: {post: /x}}\n",
        "2:25: a mapping is expected here (a mapping is written `{key: value}`, or one `key: value` a line)",
        Refuses,
    ),
    (
        "operate: {rooms: {delete_user: {delete: /x, post: /y}}}\n",
        "2:19: `operate.rooms.delete_user` needs exactly one of post, put, delete and command",
        Refuses,
    ),
    (
        "operate: {feed: {drain: {command: [./drain, \"${user.id}\"]}}}\n",
        "2:45: the variable `user.id` is not known here (there is: ${window}, ${seconds})",
        CannotTell,
    ),
    (
        "operate: {outbox: {sweep: {post: \"/x/${user.id}\"}}}\n",
        "2:34: the variable `user.id` is not known here (there is none: nothing is said of what is to be done)",
        CannotTell,
    ),
    (
        "users: {list: [{id: 1}]}\noperate: {direct: {delete_user: {delete: \"/x/${user.id}\"}}}\n",
        "3:20: `operate.direct.delete_user` would take away users of `users.list`, who are lent to every case (leave it out, or say by `users.steps` or `users.command` how users are made)",
        CannotTell,
    ),
    (
        "faults: {network: {post: /x}}\n",
        "2:10: `network` is not something that a scenario makes fail (there is: store, handler)",
        Refuses,
    ),
    (
        "events: {outbox: {get: /x, items: events}}\n",
        "2:35: `events` is no JSON pointer: it does not begin with a slash (did you mean `/events`?)",
        Refuses,
    ),
    (
        "spawn: {command: node server.js}\n",
        "2:18: a list is expected here (a list is written `[one, two]`, or one item a line after `- `)",
        Refuses,
    ),
    (
        "spawn: {command: [node], ready: http}\n",
        "2:37: a string is expected here",
        Refuses,
    ),
    (
        "spawn: {command: [node], ready: {htp: /x}}\n",
        "2:34: unknown value `htp` (did you mean `http`?)",
        Refuses,
    ),
    (
        "spawn: {command: [node], stop: HUP}\n",
        "2:32: unknown value `HUP` (there is: TERM, INT)",
        Refuses,
    ),
    (
        "spawn: {command: [node], deadline: 20}\n",
        "2:36: `20` has no unit, write for example 20ms or 20s",
        Refuses,
    ),
    (
        "spawn: {command: []}\n",
        "2:9: `spawn.command` is empty: name the program to start",
        CannotTell,
    ),
    (
        "users: {command: [x], list: [{id: 1}]}\n",
        "2:1: `users` needs exactly one of admin, steps, command and list",
        Refuses,
    ),
    (
        "headers: {A: {env: NO_SUCH_VARIABLE}}\n",
        "2:11: `headers.A`: the environment variable NO_SUCH_VARIABLE is not set",
        CannotTell,
    ),
    (
        "tls: {ca: x}\n",
        "2:1: `tls` is for `urls` that begin with wss://, and these begin with ws://",
        CannotTell,
    ),
    (
        "headers: {\"A B\": c}\n",
        "2:18: `headers.A B` is no HTTP header",
        CannotTell,
    ),
    (
        "headers: [A, b]\n",
        "2:10: a mapping is expected here (a mapping is written `{key: value}`, or one `key: value` a line)",
        Refuses,
    ),
    (
        "---\nurls: [\"ws://127.0.0.1:1\"]\n",
        "3:1: a second document begins here (one file holds one document: take the `---` out, or split the file)",
        NotYaml,
    ),
    (
        "x: &a [*a]\n",
        "2:1: unknown key `x` (there is: urls, dialects, paths, timings, limits, capabilities, inject, operate, faults, spawn, auth, users, tenants, channels, events, tls, headers)",
        NotYaml,
    ),
    (
        "json: [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]\n",
        "2:1: unknown key `json` (there is: urls, dialects, paths, timings, limits, capabilities, inject, operate, faults, spawn, auth, users, tenants, channels, events, tls, headers)",
        NotYaml,
    ),
    (
        "a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\n",
        "2:1: unknown key `a` (did you mean `auth`?)",
        NotYaml,
    ),
];

fn of_file(text: &str) -> Result<Target, TargetError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("my.yaml");
    std::fs::write(&path, text).unwrap();
    Target::from_file(&path.display().to_string())
}

/// From the line on.
fn complaint(text: &str) -> String {
    match of_file(text) {
        Ok(_) => "nothing".to_owned(),
        Err(TargetError::Invalid(diag)) => {
            let (line, column) = diag.line_column();
            let mut said = format!("{line}:{column}: {}", diag.message);
            if let Some(help) = &diag.help {
                write!(said, " ({help})").unwrap();
            }
            said
        }
        Err(other) => format!("without a place: {other}"),
    }
}

fn in_an_editor(text: &str) -> Editor {
    let source = Arc::new(Source {
        path: "my.yaml".to_owned(),
        text: text.to_owned(),
    });
    match yaml::parse(&source) {
        Err(_) => NotYaml,
        Ok(_) if schema::check(&source).is_some() => Refuses,
        Ok(_) => CannotTell,
    }
}

#[test]
fn each_mistake_is_named_with_its_place_and_what_to_do() {
    let below = BELOW_URLS
        .iter()
        .map(|(text, said, editor)| (format!("urls: [\"ws://127.0.0.1:1\"]\n{text}"), said, editor));
    let whole = WHOLE
        .iter()
        .map(|(text, said, editor)| ((*text).to_owned(), said, editor));
    let differing: Vec<_> = whole
        .chain(below)
        .map(|(text, said, editor)| {
            let seen = (complaint(&text), in_an_editor(&text));
            (text, seen, ((*said).to_owned(), *editor))
        })
        .filter(|(_, seen, expected)| seen != expected)
        .collect();
    assert!(differing.is_empty(), "{differing:#?}");
}

#[test]
fn a_file_that_is_far_too_large_is_refused_at_once() {
    let names: Vec<String> = (0..60_000).map(|number| format!("a{number}: 1")).collect();
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]".to_owned();
    for level in 1..8 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        write!(bomb, ", a{level}: &a{level} [{aliases}]").unwrap();
    }
    let deep = format!("{}{}", "[".repeat(60), "]".repeat(60));
    for below in [
        format!("limits: {{{}}}\n", names.join(", ")),
        format!("auth: {{secret: {{text: s, claims: {{a: {deep}}}}}}}\n"),
        format!("auth: {{secret: {{text: s, claims: {{{bomb}}}}}}}\n"),
    ] {
        let said = complaint(&format!("urls: [\"ws://h:1\"]\n{below}"));
        assert!(said.contains("too large or nested too deep"), "{said}");
    }
    let said = complaint(&"#".repeat(2 << 20));
    assert_eq!(said, "1:1: the file has 2097152 bytes; at most 1048576 are read");
    let comment = "x".repeat(1 << 19);
    assert_eq!(
        complaint(&format!("urls: [\"ws://h:1\"]\n# {comment}\nspwan: {{}}\n")),
        "3:1: unknown key `spwan` (did you mean `spawn`?)"
    );
}

#[test]
fn a_mistake_is_drawn_with_its_line_and_a_caret() {
    let text = "urls: [\"ws://127.0.0.1:1\"]\nusers:\n  feed:\n    steps:\n      - {post: /x, json: {name: \"${usr.name}\"}}\n";
    let Err(TargetError::Invalid(diag)) = of_file(text) else {
        panic!("it has a place")
    };
    let drawn = diag.render(Paint::Plain);
    let drawn = drawn.replace(diag.source.path.as_str(), "my.yaml");
    let expected = "\
error[target]: the variable `usr.name` is not known here
 --> my.yaml:5:33
  |
5 |       - {post: /x, json: {name: \"${usr.name}\"}}
  |                                 ^^^^^^^^^^^^^
  |
  = help: there is: ${user}";
    assert_eq!(drawn, expected);
}
