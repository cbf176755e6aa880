//! Limits on connections, on silence and on what waits for everybody together; and what is told of them.

mod support;

use std::time::Duration;

use support::raw::Raw;
use support::{config, start, within};
use touchstone_server::{Config, Secret};

#[tokio::test]
async fn one_address_has_so_many_connections_and_another_is_not_counted_in() {
    let mut config = config();
    config.limits.connections_per_ip = Some(2);
    config.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
    let server = start(config);
    let from = |address: &str| format!("X-Forwarded-For: 192.0.2.1, {address}\r\n");
    let mut connected = Vec::new();
    for _ in 0..2 {
        let (stream, head) = Raw::upgraded(server.address, "/ws/chat/", &from("203.0.113.9")).await;
        assert!(head.starts_with("HTTP/1.1 101"), "{head}");
        connected.push(stream);
    }
    let refused = Raw::handshake_with(server.address, "/ws/chat/", &from("203.0.113.9")).await;
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    assert!(refused.contains("retry-after: 5"), "{refused}");
    let other = Raw::handshake_with(server.address, "/ws/chat/", &from("203.0.113.10")).await;
    assert!(other.starts_with("HTTP/1.1 101"), "{other}");
    let listed = server.request("GET /admin/connections?dialect=echo", "").await;
    assert!(listed.contains(r#""peer":"203.0.113.9""#), "{listed}");
    let name = r#"touchstone_handshakes_refused_total{dialect="echo",reason="connections_of_address"}"#;
    assert_eq!(server.metric(name).await, 1);
    drop(connected);
    while !Raw::handshake_with(server.address, "/ws/chat/", &from("203.0.113.9"))
        .await
        .starts_with("HTTP/1.1 101")
    {}
}

#[tokio::test]
async fn one_user_has_so_many_connections_and_another_is_not_counted_in() {
    let mut config = config();
    config.limits.connections_per_user = Some(2);
    config.auth.secret = Some(Secret::new("a secret of some length"));
    let server = start(config);
    let body = r#"{"dialect":"feed","users":[{"username":"ann"},{"username":"bob"}]}"#;
    let made = server.request("POST /admin/users", body).await;
    let (_, made) = made.split_once("\r\n\r\n").expect("a head and a body");
    let made: serde_json::Value = serde_json::from_str(made).unwrap();
    let path = |user: usize| {
        let token = made["users"][user]["token"].as_str().expect("a token");
        format!("/ws/?accessToken={token}")
    };
    let first = server.connect(&path(0)).await;
    let _second = server.connect(&path(0)).await;
    let refused = Raw::handshake(server.address, &path(0)).await;
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    assert!(refused.contains("retry-after: 5"), "{refused}");
    let _other = server.connect(&path(1)).await;
    // Who shows no good token is nobody, and learns that from the dialect.
    let mut stranger = server.connect("/ws/?accessToken=x").await;
    assert_eq!(u16::from(stranger.closed().await.code), 4001);
    drop(first);
    while !Raw::handshake(server.address, &path(0))
        .await
        .starts_with("HTTP/1.1 101")
    {}
}

#[tokio::test]
async fn without_trusted_proxies_nobody_is_believed() {
    let mut config = config();
    config.limits.connections_per_ip = Some(1);
    let server = start(config);
    let _first = server.connect("/ws/chat/").await;
    let header = "X-Forwarded-For: 203.0.113.9\r\n";
    let refused = Raw::handshake_with(server.address, "/ws/chat/", header).await;
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
}

#[tokio::test]
async fn who_says_nothing_for_too_long_is_closed_and_who_talks_is_not() {
    const IDLE: Duration = Duration::from_millis(400);
    let mut config = config();
    config.deadlines.idle = Some(IDLE);
    let server = start(config);
    let mut silent = server.connect("/ws/chat/").await;
    let mut talking = server.connect("/ws/chat/").await;
    let mut count = 0;
    let close = {
        let mut closed = std::pin::pin!(silent.closed());
        loop {
            count += 1;
            talking.echo("here", count).await;
            // A pause between two messages, not a wait for something.
            if let Ok(close) = tokio::time::timeout(IDLE / 10, &mut closed).await {
                break close;
            }
        }
    };
    assert_eq!(u16::from(close.code), 1001);
    assert_eq!(close.reason.as_str(), "idle for too long");
    talking.echo("still here", count + 1).await;
}

#[tokio::test]
async fn together_slow_readers_hold_no_more_than_the_budget() {
    const BUDGET: u64 = 1 << 20;
    let mut config = config();
    config.limits.queues_bytes = BUDGET as usize;
    config.limits.queue_bytes = 1 << 20;
    let server = start(config);
    let mut slow = Vec::new();
    for _ in 0..4 {
        slow.push(Raw::connect(server.address, "/ws/chat/").await);
    }
    let mut quick = server.connect("/ws/chat/").await;
    let broadcast = format!(r#"{{"message":"{}"}}"#, "x".repeat(60_000));
    let (mut told, mut most) = (0, 0);
    while server
        .metric(r#"touchstone_slow_consumers_total{dialect="echo"}"#)
        .await
        < 4
    {
        server.request("POST /chat/api/broadcast/", &broadcast).await;
        told += 1;
        let heard = quick.hear().await;
        assert!(heard.contains("xxx"), "who reads misses nothing");
        most = most.max(server.metric(r#"touchstone_queued_bytes{dialect="echo"}"#).await);
    }
    // Each alone might have had a MiB in its queue.
    assert!(most <= BUDGET, "{most} bytes were queued after {told} broadcasts");
    assert!(
        most > BUDGET / 4,
        "{most} bytes: the limit of one queue was in the way"
    );
}

#[tokio::test]
async fn ready_is_who_delivers() {
    let server = start(config());
    let ready = server.request("GET /readyz", "").await;
    assert!(ready.starts_with("HTTP/1.1 200"), "{ready}");
    // The last answer is good for a second; a store known to be away is told at once.
    server
        .request("POST /admin/faults", r#"{"store":"down","for":"60s"}"#)
        .await;
    let not_ready = within(async {
        loop {
            let answer = server.request("GET /readyz", "").await;
            if !answer.starts_with("HTTP/1.1 200") {
                return answer;
            }
        }
    });
    let not_ready = not_ready.await;
    assert!(not_ready.starts_with("HTTP/1.1 503"), "{not_ready}");
    assert!(not_ready.contains("store"), "{not_ready}");
    assert_eq!(server.metric("touchstone_store_available").await, 0);
}

#[tokio::test]
async fn who_is_drained_is_not_ready() {
    let server = start(config());
    server
        .request("POST /admin/drain", r#"{"dialect":"feed","window":"0s"}"#)
        .await;
    let answer = server.request("GET /readyz", "").await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.ends_with("feed: draining\n"), "{answer}");
}

#[tokio::test]
async fn pages_of_listed_origins_may_call_and_others_may_not() {
    let server = start(Config {
        cors_origins: vec!["https://app.example".to_owned()],
        ..config()
    });
    let preflight = "OPTIONS /chat/api/broadcast/ HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\
                     Access-Control-Request-Method: POST\r\n";
    let allowed = server
        .raw_request(&format!("{preflight}Origin: https://app.example\r\n\r\n"))
        .await;
    assert!(allowed.starts_with("HTTP/1.1 204"), "{allowed}");
    for header in [
        "access-control-allow-origin: https://app.example\r\n",
        "access-control-allow-methods: GET, POST, PUT, PATCH, DELETE\r\n",
        "access-control-allow-headers: Authorization, Content-Type\r\n",
        "vary: Origin\r\n",
        "x-content-type-options: nosniff\r\n",
    ] {
        assert!(allowed.contains(header), "{header}: {allowed}");
    }
    let refused = server
        .raw_request(&format!("{preflight}Origin: https://evil.example\r\n\r\n"))
        .await;
    assert!(!refused.contains("access-control-allow"), "{refused}");
    let get = "GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n";
    let answer = server
        .raw_request(&format!("{get}Origin: https://app.example\r\n\r\n"))
        .await;
    assert!(
        answer.contains("access-control-allow-origin: https://app.example\r\n"),
        "{answer}"
    );
    assert!(answer.contains("cache-control: no-store\r\n"), "{answer}");
    // Without a list there is no such header at all.
    let silent = start(config());
    let answer = silent
        .raw_request(&format!("{get}Origin: https://app.example\r\n\r\n"))
        .await;
    assert!(
        !answer.contains("access-control") && !answer.contains("vary"),
        "{answer}"
    );
}

#[tokio::test]
async fn what_is_counted_is_counted_by_dialect() {
    let server = start(config());
    let mut client = server.connect("/ws/chat/").await;
    client.echo("here", 1).await;
    assert_eq!(
        server.metric(r#"touchstone_connections{dialect="echo"}"#).await,
        1
    );
    for (name, count) in [
        (r#"touchstone_connections_opened_total{dialect="echo"}"#, 1),
        (r#"touchstone_messages_received_total{dialect="echo"}"#, 1),
        (r#"touchstone_messages_sent_total{dialect="echo"}"#, 1),
        (r#"touchstone_hear_seconds_count{dialect="echo"}"#, 1),
        (r#"touchstone_connections_opened_total{dialect="direct"}"#, 0),
    ] {
        assert_eq!(server.metric(name).await, count, "{name}");
    }
    client.0.close(None).await.unwrap();
    client.closed_by_us().await;
    for name in [
        r#"touchstone_closes_received_total{dialect="echo",code="none"}"#,
        r#"touchstone_closes_sent_total{dialect="echo",code="none"}"#,
        r#"touchstone_connections_closed_total{dialect="echo"}"#,
    ] {
        assert_eq!(server.metric(name).await, 1, "{name}");
    }
    assert_eq!(
        server.metric(r#"touchstone_connections{dialect="echo"}"#).await,
        0
    );
    // A refused connection of another dialect touches none of the names that are documented for echo.
    let mut refused = server.connect("/ws").await;
    assert_eq!(u16::from(refused.closed().await.code), 4001);
    assert_eq!(
        server
            .metric(r#"touchstone_closes_sent_total{dialect="direct",code="4001"}"#)
            .await,
        1
    );
    assert_eq!(server.metric("app_connections_opened_total").await, 1);
    if cfg!(target_os = "linux") {
        assert!(server.metric("process_resident_memory_bytes").await > 1 << 20);
        assert!(server.metric("process_open_fds").await > 5);
    }
}
