//! What a setting changes, and which settings cannot work.

mod support;

use std::time::Duration;

use support::raw::{Raw, frame};
use support::{KEY, config, start, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use touchstone_server::{Config, HttpAccess, Rate, Server};

#[tokio::test]
async fn more_messages_than_the_rate_close_4429_and_pings_do_not_count() {
    let mut config = config();
    config.echo.rate = Some(Rate {
        per_second: 0.001,
        burst: 2,
    });
    let server = start(config);
    let mut client = Raw::connect(server.address, "/ws/chat/").await;
    let ping = frame(9, b"");
    let burst = [
        &ping,
        &frame(1, b"a"),
        &ping,
        &frame(1, b"b"),
        &ping,
        &frame(1, b"c"),
        &frame(1, b"d"),
    ];
    client.send(&burst.map(Vec::as_slice).concat()).await;
    let heard = client.until_end().await;
    assert_eq!(
        heard.iter().map(|frame| frame.opcode).collect::<Vec<_>>(),
        [10, 1, 10, 1, 10, 8]
    );
    assert_eq!(
        heard[5].payload,
        [&4429_u16.to_be_bytes()[..], b"rate limit"].concat()
    );
}

#[tokio::test]
async fn only_the_configured_origins_connect_and_those_without_one() {
    let server = start(Config {
        origins: Some(vec!["https://a.test".to_owned()]),
        ..config()
    });
    for (origin, status) in [
        ("Origin: https://a.test\r\n", "101"),
        ("Origin: https://b.test\r\n", "403"),
        ("Origin: null\r\n", "403"),
        ("", "101"),
    ] {
        let answer = Raw::handshake_with(server.address, "/ws/chat/", origin).await;
        assert_eq!(answer.split(' ').nth(1), Some(status), "{origin}");
    }
}

#[tokio::test]
async fn off_the_loopback_the_endpoints_need_the_admin_key_unless_they_are_open() {
    let everywhere = || Config {
        listen: vec!["0.0.0.0:0".parse().unwrap()],
        ..config()
    };
    let open = Config {
        echo: touchstone_server::EchoConfig {
            http: HttpAccess::Open,
            ..config().echo
        },
        ..everywhere()
    };
    for (config, key, status) in [
        (config(), "", "404"),
        (everywhere(), "", "401"),
        (everywhere(), "wrong", "401"),
        (everywhere(), KEY, "404"),
        (open, "", "404"),
    ] {
        let server = start(config);
        for path in ["/chat/api/sessions/nobody/", "/echo/chat/api/sessions/nobody/"] {
            let answer = server.request_with_key(&format!("GET {path}"), "", key).await;
            assert_eq!(answer.split(' ').nth(1), Some(status), "{path} with {key:?}");
        }
    }
}

#[tokio::test]
async fn the_admin_api_can_have_a_listener_of_its_own() {
    let admin_listen = Some("127.0.0.1:0".parse().unwrap());
    let mut server = start(Config {
        admin_listen,
        ..config()
    });
    let get = async |server: &support::Running, path: &str| {
        server
            .request(&format!("GET {path}"), "")
            .await
            .split(' ')
            .nth(1)
            .unwrap_or_default()
            .to_owned()
    };
    assert_eq!(get(&server, "/chat/api/sessions/nobody/messages/").await, "200");
    for path in ["/metrics", "/healthz", "/readyz", "/admin/publish"] {
        assert_eq!(get(&server, path).await, "404", "{path} beside the dialects");
    }
    server.address = server.admin_address.expect("it was asked for");
    for (path, status) in [
        ("/metrics", "200"),
        ("/healthz", "200"),
        ("/readyz", "200"),
        ("/admin/publish", "405"),
        ("/ws/chat/", "404"),
    ] {
        assert_eq!(get(&server, path).await, status, "{path} at the admin's");
    }
}

#[tokio::test]
async fn a_request_that_never_comes_to_its_end_is_dropped_and_holds_up_nobody() {
    let mut config = config();
    config.deadlines.handshake = Duration::from_millis(100);
    let server = start(config);
    let mut unfinished_requests = Vec::new();
    for (unfinished, answered) in [
        ("GET /ws/chat/ HTTP/1.1\r\nHost: h\r\n", ""),
        ("", ""),
        (
            "POST /chat/api/broadcast/ HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n{",
            "HTTP/1.1 408",
        ),
    ] {
        let mut stream = server.tcp().await;
        stream.write_all(unfinished.as_bytes()).await.unwrap();
        unfinished_requests.push((stream, answered));
    }
    let mut prompt = server.connect("/ws/chat/").await;
    prompt.echo("not held up", 1).await;
    for (mut stream, answered) in unfinished_requests {
        let mut answer = String::new();
        within(stream.read_to_string(&mut answer))
            .await
            .expect("TCP ends without a reset");
        assert_eq!(answer.get(..answered.len()), Some(answered), "{answer}");
        assert_eq!(answer.is_empty(), answered.is_empty(), "{answer}");
    }
    prompt.echo("still here", 2).await;
}

#[tokio::test]
async fn what_cannot_work_is_said_at_the_start() {
    let taken = start(config());
    let raw_echo = |path: &str| Config {
        raw_echo: Some(path.to_owned()),
        ..config()
    };
    let mut no_heartbeat = config();
    no_heartbeat.echo.heartbeat_interval = Duration::ZERO;
    let mut tiny_head = config();
    tiny_head.limits.handshake_bytes = 100;
    let in_use = format!("cannot listen on {}: Address already in use", taken.address);
    for (config, message) in [
        (
            Config {
                listen: vec![taken.address],
                ..config()
            },
            in_use.as_str(),
        ),
        (
            Config {
                listen: Vec::new(),
                ..config()
            },
            "there is no address to listen on",
        ),
        (
            raw_echo("raw"),
            "the raw echo cannot be at `raw`: a path starts with a slash",
        ),
        (
            raw_echo("/{x}"),
            "the raw echo cannot be at `/{x}`: it has a character that a plain path does not have",
        ),
        (
            raw_echo("/ws/chat/"),
            "the raw echo cannot be at `/ws/chat/`: something else is there",
        ),
        (
            raw_echo("/metrics"),
            "the raw echo cannot be at `/metrics`: something else is there",
        ),
        (
            no_heartbeat,
            "`echo.heartbeat.interval` must be more than nothing",
        ),
        (tiny_head, "`limits.handshake_bytes` must be at least 8192"),
    ] {
        let error = Server::bind(config).await.unwrap_err().to_string();
        assert!(error.starts_with(message), "{error}");
    }
}
