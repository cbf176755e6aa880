//! What an attacker tries: requests that two readers understand differently, ways around the key, floods in one request,
//! and the data of another tenant.

mod support;

use serde_json::{Value, json};
use support::{KEY, Running, config, start, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use touchstone_server::{AuthConfig, Config, Secret};

fn with_secret() -> Config {
    Config {
        auth: AuthConfig {
            secret: Some(Secret::new("a secret of some length, enough of it")),
            ..AuthConfig::default()
        },
        ..config()
    }
}

/// All that is answered to these bytes until the server ends the connection, which the client does not.
async fn told(server: &Running, bytes: &[u8]) -> String {
    let mut stream = server.tcp().await;
    // A refusal may come before all of it has been read.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    within(stream.read_to_end(&mut answer)).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

fn statuses(answer: &str) -> Vec<&str> {
    let heads = answer.split("HTTP/1.1 ").skip(1);
    heads.map(|head| &head[..3]).collect()
}

#[tokio::test]
async fn no_request_hides_behind_another() {
    let server = start(config());
    let hidden = "GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n";
    let lengths = format!("Content-Length: {}", hidden.len() + 5);
    let chunks = "Transfer-Encoding: chunked";
    let broadcast = "f\r\n{\"message\":\"x\"}\r\n0\r\n\r\n";
    let rows: [(&[&str], &str, &str); 8] = [
        // Both: the chunks hold, the connection ends, and what is behind them is no request.
        (&[&lengths, chunks], broadcast, "200"),
        (&[chunks, &lengths], broadcast, "200"),
        (&["Content-Length: 0", "Content-Length: 5"], "", "400"),
        (&["Content-Length: +0"], "", "400"),
        (&["Content-Length: 0, 5"], "", "400"),
        (&["Transfer-Encoding: chunked, identity"], "", "400"),
        (&["Transfer-Encoding : chunked"], "0\r\n\r\n", "400"),
        (&[chunks], "0x5\r\nabcde\r\n0\r\n\r\n", "400"),
    ];
    for (headers, body, expected) in rows {
        let headers = headers.join("\r\n");
        let request =
            format!("POST /chat/api/broadcast/ HTTP/1.1\r\nHost: h\r\n{headers}\r\n\r\n{body}{hidden}");
        let answer = told(&server, request.as_bytes()).await;
        let statuses = statuses(&answer);
        assert_eq!(statuses.len(), 1, "{request}{answer}");
        assert!(
            statuses[0] == expected && !answer.contains("app_messages"),
            "{request}{answer}"
        );
    }
}

#[tokio::test]
async fn no_spelling_of_a_path_gets_around_the_key() {
    let server = start(with_secret());
    let listed = server.request("GET /admin/connections?dialect=echo", "").await;
    assert!(listed.starts_with("HTTP/1.1 200"), "{listed}");
    for path in [
        "/admin/connections?dialect=echo",
        "/admin/connections/?dialect=echo",
        "//admin/connections?dialect=echo",
        "/admin//connections?dialect=echo",
        "/./admin/connections?dialect=echo",
        "/echo/../admin/connections?dialect=echo",
        "/%2e%2e/admin/connections?dialect=echo",
        "/chat/api/%2e%2e/%2e%2e/admin/connections?dialect=echo",
        "/%61dmin/connections?dialect=echo",
        "/admin%2fconnections?dialect=echo",
        "/ADMIN/connections?dialect=echo",
        "/admin/connections%00?dialect=echo",
        "/admin/connections;a=b?dialect=echo",
        "/admin/{id}?dialect=echo",
        "http://h/admin/connections?dialect=echo",
    ] {
        for key in ["", "the admin's ke", "the admin's key!", "THE ADMIN'S KEY"] {
            let answer = server.request_with_key(&format!("GET {path}"), "", key).await;
            let status = &answer[9..12];
            assert!(["400", "401", "404"].contains(&status), "{path}: {answer}");
            assert!(!answer.contains("connections\":"), "{path}: {answer}");
        }
    }
}

#[tokio::test]
async fn a_flood_in_one_request_is_refused_and_costs_nobody_anything() {
    let server = start(with_secret());
    let mut client = server.connect("/ws/chat/").await;
    let head =
        |headers: &str| format!("GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{headers}\r\n");
    let parameters: String = (0..1_000).map(|number| format!("a{number}=b&")).collect();
    let deep = "[".repeat(50_000);
    let deep_objects = r#"{"a":"#.repeat(20_000);
    let floods = [
        head(&"X: y\r\n".repeat(5_000)),
        head(&format!("X: {}\r\n", "y".repeat(100_000))),
        head("X: a\r\n folded\r\n"),
        head("Host: other\r\nX\0: y\r\n"),
        format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "a".repeat(100_000)),
        format!("{} / HTTP/1.1\r\nHost: h\r\n\r\n", "G".repeat(100_000)),
    ];
    for (round, flood) in (1..).zip(&floods) {
        let answer = told(&server, flood.as_bytes()).await;
        let statuses = statuses(&answer);
        assert!(
            statuses.len() == 1 && statuses[0].starts_with('4'),
            "{} bytes: {answer}",
            flood.len()
        );
        client.echo("not held up", round).await;
    }
    let many = format!("GET /ws/chat/?{parameters}session=s");
    let answer = server.handshake(&many).await;
    assert!(
        answer.starts_with("HTTP/1.1 101"),
        "what is not read is no trouble: {answer}"
    );
    for body in [&deep, &deep_objects, "{\"a\":1e999999999}", "\"\\ud800\"", ""] {
        for path in [
            "/admin/users",
            "/admin/publish",
            "/chat/api/broadcast/",
            "/direct/api/auth/login",
            "/outbox/api/auth/login",
            "/rooms/api/acme/auth/login/",
        ] {
            let answer = server.request(&format!("POST {path}"), body).await;
            assert!(answer.starts_with("HTTP/1.1 4"), "{path} {answer}");
        }
    }
    client.echo("still here", floods.len() as u64 + 1).await;
}

/// Makes something of `rooms`, and returns it as it was listed.
async fn made(server: &Running, what: &str, entry: Value) -> Value {
    let request = json!({"dialect": "rooms", what: [entry]}).to_string();
    let answer = server.request(&format!("POST /admin/{what}"), &request).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 201"), "{answer}");
    serde_json::from_str::<Value>(body).unwrap()[what][0].clone()
}

#[tokio::test]
async fn a_tenant_sees_nothing_of_another_by_any_door() {
    let server = start(with_secret());
    let mut tokens = Vec::new();
    let mut channels = Vec::new();
    for tenant in ["acme", "globex"] {
        made(&server, "tenants", json!({"name": tenant, "schema_name": tenant})).await;
        // The same name and the same id in both.
        let user =
            json!({"id": 1, "username": "alice", "email": "a@b.c", "password": tenant, "tenant": tenant});
        let user = made(&server, "users", user).await;
        tokens.push(user["token"].as_str().unwrap().to_owned());
        let channel = json!({"name": format!("secrets of {tenant}"), "members": [1], "tenant": tenant});
        let channel = made(&server, "channels", channel).await;
        channels.push(channel["id"].as_str().unwrap().to_owned());
    }
    let (token, other_channel) = (&tokens[0], &channels[1]);
    let own = server
        .request_with_key("GET /api/chat/acme/channels/", "", token)
        .await;
    assert!(own.contains("secrets of acme"), "{own}");
    for head in [
        "GET /api/chat/globex/channels/".to_owned(),
        "GET /api/chat/Acme/channels/".to_owned(),
        "GET /api/chat/acme%2f..%2fglobex/channels/".to_owned(),
        format!("GET /api/chat/acme/channels/{other_channel}/messages/"),
        format!("GET /api/chat/globex/channels/{other_channel}/messages/"),
        format!("GET /rooms/api/chat/globex/channels/{other_channel}/messages/"),
        format!("POST /api/chat/globex/channels/{other_channel}/messages/"),
        format!("POST /api/chat/acme/channels/{other_channel}/messages/"),
        "POST /api/chat/globex/channels/".to_owned(),
    ] {
        let answer = server
            .request_with_key(&head, r#"{"content":"hello","name":"mine"}"#, token)
            .await;
        let status = &answer[9..12];
        assert!(["401", "403", "404"].contains(&status), "{head}: {answer}");
        assert!(!answer.contains("secrets of globex"), "{head}: {answer}");
    }
    let login = r#"{"email":"a@b.c","password":"acme"}"#;
    let answer = server.request("POST /api/globex/auth/login/", login).await;
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    for path in ["", "/rooms"] {
        let mut socket = server
            .connect(&format!("{path}/ws/chat/{other_channel}/?token={token}"))
            .await;
        let close = socket.closed().await;
        assert!((4000..4100).contains(&u16::from(close.code)), "{close:?}");
    }
}

#[tokio::test]
async fn what_nobody_could_be_told_is_refused_and_costs_nobody_his_connection() {
    let mut config = with_secret();
    config.limits.queue_bytes = 100_000;
    let server = start(config);
    let mut client = server.connect("/ws/chat/").await;
    let long = "x".repeat(100_000);
    let broadcast = json!({"message": long}).to_string();
    let answer = server.request("POST /chat/api/broadcast/", &broadcast).await;
    assert!(
        answer.starts_with("HTTP/1.1 400") && answer.contains("too long"),
        "{answer}"
    );
    for (dialect, kind) in [
        ("echo", "broadcast"),
        ("feed", "SYSTEM_NOTIFICATION"),
        ("outbox", "notifications"),
    ] {
        let data = json!({"message": long, "notification": {"a": 1}});
        let publication = json!({"dialect": dialect, "to": "all", "type": kind, "data": data});
        let answer = server
            .request("POST /admin/publish", &publication.to_string())
            .await;
        assert!(
            answer.starts_with("HTTP/1.1 400") && answer.contains("limits.queue_bytes"),
            "{answer}"
        );
    }
    client.echo("still here", 1).await;
}

#[tokio::test]
async fn a_message_for_many_is_not_stored_without_bound() {
    let mut config = with_secret();
    config.limits.queue_bytes = 200_000;
    let server = start(config);
    let users: Vec<_> = (0..400)
        .map(|number| json!({"username": format!("user {number}")}))
        .collect();
    let made = json!({"dialect": "outbox", "users": users}).to_string();
    let (_, made) = server.ask("POST /admin/users", &made, KEY).await;
    let token = made["users"][0]["token"].as_str().unwrap();
    let ids = made["users"]
        .as_array()
        .unwrap()
        .iter()
        .map(|user| user["id"].clone());
    let ids: Vec<_> = ids.collect();
    let channels = json!({"dialect": "outbox", "channels": [{"members": ids}, {"members": ids[..2]}]});
    let (_, made) = server
        .ask("POST /admin/channels", &channels.to_string(), KEY)
        .await;
    let (long, longer) = ("x".repeat(190_000), "x".repeat(200_000));
    // 76 MB of events for 400 members, half of one for two.
    for (conversation, content, expected) in [(0, &long, 413), (1, &long, 201), (1, &longer, 413)] {
        let conversation = &made["channels"][conversation]["id"];
        let message = json!({"conversation_uuid": conversation, "content": content}).to_string();
        let (status, answer) = server.ask("POST /outbox/api/messages", &message, token).await;
        let detail = &answer["detail"];
        assert_eq!(
            status,
            expected,
            "{} bytes for {conversation}: {detail}",
            content.len()
        );
    }
}

#[tokio::test]
async fn a_request_has_one_host() {
    let server = start(config());
    for (hosts, expected) in [
        ("", "400"),
        ("Host: h\r\nHost: h\r\n", "400"),
        ("Host: h\r\n", "200"),
    ] {
        let request = format!("GET /healthz HTTP/1.1\r\n{hosts}Connection: close\r\n\r\n");
        let answer = server.raw_request(&request).await;
        assert_eq!(statuses(&answer), [expected], "{hosts}");
    }
}

#[tokio::test]
async fn answers_that_nobody_reads_are_held_only_as_far_as_their_limit_goes() {
    let mut config = with_secret();
    // Two of the answers, and not three.
    config.limits.answers_bytes = 12 << 20;
    let server = start(config);
    let user = json!({"dialect": "feed", "users": [{"username": "ann"}]}).to_string();
    let (_, made) = server.ask("POST /admin/users", &user, KEY).await;
    let token = made["users"][0]["token"].as_str().unwrap();
    // Six bytes each when they are written as JSON.
    let bucketpoint = json!({"title": "t", "description": "\u{1}".repeat(10_000)}).to_string();
    for _ in 0..80 {
        let (status, _) = server.ask("POST /api/bucketpoints/", &bucketpoint, token).await;
        assert_eq!(status, 201);
    }
    let path = "/api/bucketpoints/?page_size=200";
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\r\n"
    );
    let mut idle = Vec::new();
    for _ in 0..2 {
        let mut stream = support::raw::narrow(server.address).await;
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut status = [0; 12];
        within(stream.read_exact(&mut status)).await.unwrap();
        assert_eq!(&status, b"HTTP/1.1 200");
        idle.push(stream);
    }
    let refused = server.raw_request(&request).await;
    assert!(
        refused.starts_with("HTTP/1.1 503"),
        "{}",
        &refused[..refused.len().min(200)]
    );
    assert!(
        refused.to_ascii_lowercase().contains("retry-after: 5"),
        "{refused}"
    );
    let small = server.request("GET /healthz", "").await;
    assert!(small.starts_with("HTTP/1.1 200"), "{small}");
    // Once one of them is read there is room again.
    let mut read = Vec::new();
    within(idle.remove(0).read_to_end(&mut read)).await.unwrap();
    assert!(read.len() > 4 << 20, "{} bytes", read.len());
    let served = server.raw_request(&request).await;
    assert!(
        served.starts_with("HTTP/1.1 200"),
        "{}",
        &served[..served.len().min(200)]
    );
}
