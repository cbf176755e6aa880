//! What a workload and a target file can say, carried out from end to end against the built-in server. Only counts are judged:
//! what a clock says depends on how busy the machine is.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Ended, Running, folder, listening, run, touchstone};

const SECRET: &str = "a secret of some length, enough of it";
const KEY: &str = "the key of the admin interface";

/// The server of one dialect, with an admin interface.
struct Served {
    _server: Running,
    address: String,
    folder: tempfile::TempDir,
}

impl Served {
    fn start(dialect: &str, files: &[(&str, &str)]) -> Self {
        let folder = folder(&[files, &[("secret", SECRET), ("key", KEY)]].concat());
        let args = [
            "serve",
            "--dialects",
            dialect,
            "--listen",
            "127.0.0.1:0",
            "--secret-file",
            "secret",
            "--admin-key-file",
            "key",
        ];
        let server = Running::start(touchstone(folder.path(), &args));
        let address = listening(&server);
        Self {
            _server: server,
            address,
            folder,
        }
    }

    /// A target file of it, with `more` in it.
    fn target(&self, dialect: &str, more: &Value) {
        let mut target = json!({"urls": [format!("ws://{}", self.address)], "dialects": [dialect]});
        let fields = more.as_object().unwrap().clone();
        target.as_object_mut().unwrap().extend(fields);
        // JSON is YAML.
        write(self.folder.path(), "target.yaml", &target.to_string());
    }

    /// Runs a workload against it, and returns its report.
    fn load(&self, workload: &Value) -> Value {
        let ended = self.ended(workload);
        let report: Value = serde_json::from_str(&ended.stdout).unwrap_or_else(|_| panic!("{ended:#?}"));
        assert_eq!(
            ended.code,
            Some(0),
            "{:#}\n{:#}",
            report["thresholds"],
            report["summary"]
        );
        report
    }

    fn ended(&self, workload: &Value) -> Ended {
        write(self.folder.path(), "w.yaml", &workload.to_string());
        let args = [
            "load",
            "run",
            "w.yaml",
            "--target",
            "target.yaml",
            "--report",
            "json=-",
            "--allow-saturated",
        ];
        run(touchstone(self.folder.path(), &args))
    }

    /// Registers somebody with `direct`, and returns his id and his token.
    fn registered(&self, name: &str) -> (String, String) {
        let account =
            json!({"username": name, "email": format!("{name}@example.test"), "password": "Pass-word-1"});
        let answer = post(&self.address, "/api/auth/register", &account);
        let text = |pointer: &str| {
            let found = answer.pointer(pointer).and_then(Value::as_str);
            found.unwrap_or_else(|| panic!("{answer:#}")).to_owned()
        };
        (text("/data/user/_id"), text("/data/token"))
    }
}

fn write(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).unwrap();
}

fn post(address: &str, path: &str, body: &Value) -> Value {
    let body = body.to_string();
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"))
}

/// Two talk, and one of them is dropped once.
fn workload(more: &Value) -> Value {
    let mut workload = json!({
        "title": "two talk, and one of them is dropped once",
        "sessions": 2,
        "phases": [{"steady": {"for": "1s"}}, {"storm": {"for": "1s", "drop": "50%", "within": "60s"}}],
        "messages": {"rate": 15},
        "connect": {"deadline": "60s"},
        "deadline": "5s",
        "thresholds": ["delivery.lost == 0", "delivery.duplicated == 0", "sessions.failed == 0", "errors.total == 0"],
    });
    let fields = more.as_object().unwrap().clone();
    workload.as_object_mut().unwrap().extend(fields);
    workload
}

fn count(report: &Value, pointer: &str) -> u64 {
    report.pointer(pointer).and_then(Value::as_u64).unwrap_or(0)
}

/// All that was confirmed came to so many, and nothing else.
#[track_caller]
fn assert_reckoned(report: &Value, recipients: u64) {
    let confirmed = count(report, "/latency/confirm/count");
    let [expected, received, lost] =
        ["expected", "received", "lost"].map(|name| count(report, &format!("/delivery/{name}")));
    assert!(confirmed >= 20, "{confirmed}");
    assert_eq!((expected, lost), (received, 0));
    assert!(
        (1..=confirmed * recipients).contains(&expected),
        "{expected} of {confirmed}"
    );
}

const LOGIN: &str = r#"{"login": {"post": "/api/auth/login", "json": {"email": "${user.email}", "password": "${user.password}"}, "token": "/data/token"}}"#;

fn login() -> Value {
    serde_json::from_str(LOGIN).unwrap()
}

#[test]
fn users_register_by_steps_and_log_in() {
    let served = Served::start("direct", &[]);
    let steps = json!([{
        "post": "/api/auth/register",
        "json": {"username": "${user.username}", "email": "${user.email}", "password": "${user.password}"},
        "take": {"id": "/data/user/_id"},
    }]);
    served.target("direct", &json!({"users": {"steps": steps}, "auth": login()}));
    let report = served.load(&workload(&json!({"dialect": "direct"})));
    assert_reckoned(&report, 1);
    assert_eq!(
        count(&report, "/latency/login/count"),
        2,
        "a token is kept over a drop"
    );
}

/// Registers whoever is named, and writes what is to be known of him.
const REGISTER: &str = r#"
import json, sys, urllib.request
address, name, email = sys.argv[1:]
account = {"username": name, "email": email, "password": "Pass-word-1"}
request = urllib.request.Request(f"http://{address}/api/auth/register", json.dumps(account).encode(), {"Content-Type": "application/json"})
answer = json.load(urllib.request.urlopen(request))
print(json.dumps({"id": answer["data"]["user"]["_id"], "password": "Pass-word-1"}))
"#;

#[test]
fn users_come_by_a_command() {
    let served = Served::start("direct", &[("register.py", REGISTER)]);
    let command = [
        "python3",
        "register.py",
        &served.address,
        "${user.username}",
        "${user.email}",
    ];
    served.target(
        "direct",
        &json!({"users": {"command": command}, "auth": {"secret": {"text": SECRET}}}),
    );
    assert_reckoned(&served.load(&workload(&json!({"dialect": "direct"}))), 1);
}

#[test]
fn users_who_are_there_come_by_a_list_or_a_file() {
    let served = Served::start("direct", &[]);
    let people: Vec<_> = ["ann", "bob"]
        .into_iter()
        .map(|name| (name, served.registered(name)))
        .collect();
    let known = |(name, (id, _)): &(&str, (String, String))| json!({"id": id, "email": format!("{name}@example.test"), "password": "Pass-word-1"});
    let list: Vec<_> = people.iter().map(known).collect();
    served.target("direct", &json!({"users": {"list": list}, "auth": login()}));
    assert_reckoned(&served.load(&workload(&json!({"dialect": "direct"}))), 1);

    // Their own tokens; the target knows of nobody.
    let rows: String = people
        .iter()
        .map(|(_, (id, token))| format!("{id},{token}\n"))
        .collect();
    write(served.folder.path(), "tokens.csv", &format!("id,token\n{rows}"));
    served.target("direct", &json!({}));
    let by_token = workload(&json!({"dialect": "direct", "feed": {"users": "tokens.csv"}}));
    assert_reckoned(&served.load(&by_token), 1);

    // What they log in with.
    write(
        served.folder.path(),
        "people.json",
        &Value::from(list).to_string(),
    );
    served.target("direct", &json!({"auth": login()}));
    let by_login = workload(&json!({"dialect": "direct", "feed": {"users": "people.json"}}));
    let report = served.load(&by_login);
    assert_reckoned(&report, 1);
    assert_eq!(count(&report, "/latency/login/count"), 2);
}

/// The dialect `direct`, as somebody would describe it who thinks that it is his own.
fn described() -> Value {
    json!({
        "name": "mine",
        "path": "/ws?token=${token}",
        "headers": {"Authorization": "Bearer ${token}"},
        "ready": {"where": {"/type": "online_users"}},
        "acts": {
            "tell": {
                "send": {"type": "chat_message", "data": {"receiverId": "${recipient.id}", "content": "${stamp} ${words.text}"}},
                "confirm": {"where": {"/type": "message_sent"}, "key": "/data/content"},
                "delivery": {"where": {"/type": "new_message"}, "key": "/data/content"},
                "to": "recipient",
            },
            "look": {"request": {"get": "/api/users/online"}},
        },
        "catch_up": {"request": {"get": "/api/messages/${recipient.id}?page=${page}&limit=50"}},
        "pushes": [{"matches": r#""type":"(?:connection_established|user_online|user_offline|message_delivered)""#}],
        "errors": [{"where": {"/type": "error"}}],
    })
}

#[test]
fn a_protocol_of_ones_own_has_users_of_the_target_requests_files_and_reads_back() {
    let served = Served::start("direct", &[("words.csv", "text\nhello\n\"good \"\"day\"\"\"\n")]);
    let users = json!({"admin": {"key": KEY}});
    served.target(
        "direct",
        &json!({"users": users, "auth": {"secret": {"text": SECRET}}}),
    );
    let mut described = described();
    described["catch_up"]["request"]["get"] = "/api/messages/${user.other}?page=${page}&limit=50".into();
    // A column that the target knows nothing of is named before anybody arrives.
    let more = json!({
        "custom": described, "groups": "pairs", "mix": {"tell": 4, "look": 1}, "feed": {"words": {"file": "words.csv", "rows": "cyclic"}},
    });
    let ended = served.ended(&workload(&more));
    assert_eq!(ended.code, Some(2), "{ended:#?}");
    assert!(
        ended
            .stderr
            .contains("users of the target have no `other`; they have: "),
        "{ended:#?}"
    );

    let mut whole = more;
    whole["custom"]["catch_up"]["request"]["get"] =
        "/api/messages/${recipient.id}?page=${page}&limit=50".into();
    let report = served.load(&workload(&whole));
    let looked = count(&report, "/latency/look/count");
    assert!(looked > 0, "{:#}", report["latency"]);
    let confirmed = count(&report, "/latency/confirm/count");
    let (expected, received) = (
        count(&report, "/delivery/expected"),
        count(&report, "/delivery/received"),
    );
    assert!(expected > 0 && expected <= confirmed, "{expected} of {confirmed}");
    assert_eq!(received, expected);
}

#[test]
fn what_the_server_emits_is_reckoned() {
    for (dialect, groups) in [
        ("feed", json!("pairs")),
        ("outbox", json!({"rooms": {"size": 2}})),
    ] {
        let folder = folder(&[(
            "w.yaml",
            &workload(&json!({"dialect": dialect, "groups": groups, "mix": {"notify": 1}})).to_string(),
        )]);
        let args = ["load", "run", "w.yaml", "--report", "json=-", "--allow-saturated"];
        let ended = run(touchstone(folder.path(), &args));
        let report: Value = serde_json::from_str(&ended.stdout).unwrap_or_else(|_| panic!("{ended:#?}"));
        assert_eq!(ended.code, Some(0), "{dialect}: {:#}", report["summary"]);
        assert_reckoned(&report, 2);
    }
}

/// Makes the server emit, as its admin interface does.
const EMIT: &str = r#"
import json, sys, urllib.request
address, key, to, kind, data = sys.argv[1:]
event = {"dialect": "feed", "to": json.loads(to), "type": kind, "data": json.loads(data)}
request = urllib.request.Request(f"http://{address}/admin/publish", json.dumps(event).encode(), {"Content-Type": "application/json", "Authorization": "Bearer " + key})
urllib.request.urlopen(request).read()
"#;

#[test]
fn a_back_door_may_be_a_command_and_a_missing_one_is_told_before_the_run() {
    let served = Served::start("feed", &[("emit.py", EMIT)]);
    let mut target = json!({"users": {"admin": {"key": KEY}}, "auth": {"secret": {"text": SECRET}}});
    let slowly = workload(
        &json!({"dialect": "feed", "groups": "pairs", "mix": {"notify": 1}, "messages": {"rate": 6}}),
    );
    served.target("feed", &target);
    let ended = served.ended(&slowly);
    assert_eq!(ended.code, Some(2), "{ended:#?}");
    let said = "`mix.notify` needs the target's back door, and the target has no `inject.feed.users`";
    assert!(ended.stderr.contains(said), "{ended:#?}");

    let command = [
        "python3",
        "emit.py",
        &served.address,
        KEY,
        "${to}",
        "${type}",
        "${data}",
    ];
    target["inject"] = json!({"feed": {"users": {"command": command}}});
    served.target("feed", &target);
    assert_reckoned(&served.load(&slowly), 2);
}
