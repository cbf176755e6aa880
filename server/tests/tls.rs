//! The server behind TLS: everything that holds for a plain socket holds here, and certificates come and go.

mod support;

use std::sync::Arc;
use std::time::Duration;

use rcgen::KeyPair;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, HandshakeKind, RootCertStore};
use support::house::{House, shake_hands};
use support::raw::{Raw, frame};
use support::{Running, check_cut_off, config, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use touchstone_server::{Config, Limits};

async fn slow_consumers(house: &House, server: &Running) -> u64 {
    let metrics = house.request(server.address, "GET /metrics", "").await;
    let line = metrics
        .lines()
        .find_map(|line| line.strip_prefix(r#"touchstone_slow_consumers_total{dialect="echo"} "#));
    line.expect("the metric is there").parse().unwrap()
}

fn certificate_of(stream: &TlsStream<TcpStream>) -> CertificateDer<'static> {
    let chain = stream.get_ref().1.peer_certificates();
    chain.expect("the server has shown its certificate")[0].clone()
}

#[tokio::test]
async fn a_session_ends_with_its_farewell_and_with_the_end_of_tls() {
    let house = House::new();
    let server = house.start(config());
    let mut client = house.connect(&server, "/ws/chat/?session=s").await;
    client.echo("one", 1).await;
    client.echo(&"x".repeat(60_000), 2).await;
    let mut other = house.connect(&server, "/ws/chat/").await;
    other.0.close(None).await.unwrap();
    other.closed_by_us().await;
    let mut raw = Raw::over(house.tls(server.address).await, "/ws/chat/").await;
    server.tell_to_stop();
    assert!(client.hear().await.starts_with(r#"{"bye":true,"total":2,"#));
    assert_eq!(client.closed().await.code, CloseCode::Away);
    // `until_end` is an error unless TLS says that this is the end.
    let heard = raw.until_end().await;
    assert_eq!(heard.last().map(|frame| frame.opcode), Some(8));
    assert_eq!(server.stop().await.connections_left, 0);
}

#[tokio::test]
async fn large_messages_go_both_ways_and_wait_for_a_slow_reader() {
    let house = House::new();
    let server = house.start(Config {
        raw_echo: Some("/raw".to_owned()),
        ..config()
    });
    let mut client = house.connect(&server, "/raw").await;
    let large: Vec<u8> = (0..4_u32 << 20).map(|index| (index % 251) as u8).collect();
    for message in [&large[..], &large[..20_000], b""] {
        client.0.send_binary(message).await;
        assert_eq!(client.0.hear_binary().await, message);
    }
}

#[tokio::test]
async fn what_comes_together_with_the_handshake_is_heard() {
    let house = House::new();
    let server = house.start(config());
    let mut stream = house.tls(server.address).await;
    let mut together = b"GET /ws/chat/ HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        .to_vec();
    // More than hyper reads at once: some of it is deciphered and waits when the socket changes hands.
    for number in 0..200 {
        together.extend_from_slice(&frame(1, format!("{number:050}").as_bytes()));
    }
    together.extend_from_slice(&frame(8, &1000_u16.to_be_bytes()));
    stream.write_all(&together).await.unwrap();
    let mut answer = String::new();
    within(async {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        answer = String::from_utf8_lossy(&bytes).into_owned();
    })
    .await;
    for number in [0, 100, 199] {
        let echoed = format!(r#"{{"count":{},"echo":"{number:050}"}}"#, number + 1);
        assert!(answer.contains(&echoed), "{number} in {answer}");
    }
}

#[tokio::test]
async fn a_slow_reader_is_cut_while_others_go_on() {
    let house = House::new();
    let server = house.start(Config {
        limits: Limits {
            queue_bytes: 64 << 10,
            ..Limits::default()
        },
        ..config()
    });
    let mut slow = Raw::over(house.tls(server.address).await, "/ws/chat/").await;
    let mut quick = house.connect(&server, "/ws/chat/").await;
    let broadcast = format!(r#"{{"message":"{}"}}"#, "x".repeat(60_000));
    let mut count = 0;
    while slow_consumers(&house, &server).await == 0 {
        let answer = house
            .request(server.address, "POST /chat/api/broadcast/", &broadcast)
            .await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(quick.hear().await.starts_with(r#"{"type":"broadcast""#));
        count += 1;
        quick.echo("not held up", count).await;
    }
    check_cut_off(&slow.until_end().await, count);
    quick.echo("still here", count + 1).await;
}

#[tokio::test]
async fn what_does_not_speak_tls_costs_nobody_anything() {
    let house = House::new();
    let mut slow = config();
    slow.deadlines.handshake = Duration::from_millis(500);
    slow.limits.http_connections = 20;
    let server = house.start(slow);
    let mut client = house.connect(&server, "/ws/chat/").await;
    let garbage: [&[u8]; 5] = [
        b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n",
        &[0; 5_000],
        &[0xff; 5_000],
        // The beginning of a handshake record that never comes, and an alert.
        b"\x16\x03\x01\x02\x00\x01",
        b"\x15\x03\x03\x00\x02\x02\x28",
    ];
    // More of them in all than may be there at a time.
    for round in 1..=5_u64 {
        let mut strangers = Vec::new();
        for bytes in garbage {
            let mut stranger = server.tcp().await;
            stranger.write_all(bytes).await.unwrap();
            strangers.push(stranger);
        }
        strangers.push(server.tcp().await);
        client.echo("not held up", round).await;
        for mut stranger in strangers {
            // However it ends, it does so at the deadline at the latest.
            let mut told = Vec::new();
            let _ = within(stranger.read_to_end(&mut told)).await;
            assert!(!told.starts_with(b"HTTP"), "nothing is served in the clear");
        }
    }
    house.connect(&server, "/ws/chat/").await.echo("one", 1).await;
}

#[tokio::test]
async fn garbage_behind_the_handshake_ends_its_connection_only() {
    let house = House::new();
    let server = house.start(config());
    let mut other = house.connect(&server, "/ws/chat/").await;
    let mut stream = house.tls(server.address).await;
    stream
        .write_all(
            b"GET /ws/chat/ HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
              Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        )
        .await
        .unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(within(stream.read_u8()).await.unwrap());
    }
    let (mut tcp, _) = (*stream).into_inner();
    // A record that nobody has encrypted.
    tcp.write_all(b"\x17\x03\x03\x00\x20aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")
        .await
        .unwrap();
    let mut rest = Vec::new();
    within(tcp.read_to_end(&mut rest)).await.unwrap();
    other.echo("one", 1).await;
    // As it is told by our own request, which is not a WebSocket.
    loop {
        let metrics = house.request(server.address, "GET /metrics", "").await;
        if metrics.contains("app_active_connections 1\n") {
            break;
        }
    }
}

#[tokio::test]
async fn http_is_served_over_tls_on_both_listeners() {
    let house = House::new();
    let server = house.start(Config {
        admin_listen: Some("127.0.0.1:0".parse().unwrap()),
        ..config()
    });
    let admin = server.admin_address.unwrap();
    let healthy = house.request(admin, "GET /healthz", "").await;
    assert!(healthy.starts_with("HTTP/1.1 200"), "{healthy}");
    let listed = house
        .request(admin, "GET /admin/connections?dialect=echo", "")
        .await;
    assert!(listed.starts_with("HTTP/1.1 200"), "{listed}");
    let missing = house.request(server.address, "GET /healthz", "").await;
    assert!(missing.starts_with("HTTP/1.1 404"), "{missing}");
}

#[tokio::test]
async fn only_http_1_1_is_agreed_on() {
    let house = House::new();
    let server = house.start(config());
    let both = house.client(&[b"h2", b"http/1.1"]);
    let stream = shake_hands(both, server.tcp().await).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    let refused = shake_hands(house.client(&[b"h2"]), server.tcp().await).await;
    assert!(refused.unwrap_err().to_string().contains("NoApplicationProtocol"));
}

#[tokio::test]
async fn a_client_that_comes_back_resumes_its_session() {
    let house = House::new();
    let server = house.start(config());
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let mut roots = RootCertStore::empty();
        roots.add(house.issuer.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        for expected in [HandshakeKind::Full, HandshakeKind::Resumed] {
            let mut stream = shake_hands(client.clone(), server.tcp().await).await.unwrap();
            stream
                .write_all(b"GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
                .await
                .unwrap();
            let mut answer = String::new();
            // The ticket comes with the answer.
            within(stream.read_to_string(&mut answer)).await.unwrap();
            assert_eq!(stream.get_ref().1.handshake_kind(), Some(expected), "{version:?}");
        }
    }
}

#[tokio::test]
async fn a_new_certificate_is_for_new_connections_and_a_bad_one_for_nobody() {
    let house = House::new();
    let first = house.issue();
    let server = house.start(config());
    let mut early = house.connect(&server, "/ws/chat/").await;
    early.echo("one", 1).await;
    assert_eq!(certificate_of(early.0.get_ref()), first);
    let second = house.issue();
    assert_eq!(
        certificate_of(&*house.tls(server.address).await),
        first,
        "nobody has asked yet"
    );
    server.reload();
    assert_eq!(certificate_of(&*house.tls(server.address).await), second);
    early.echo("still here", 2).await;
    let other_key = KeyPair::generate().unwrap();
    for (name, text) in [
        ("key.pem", other_key.serialize_pem()),
        ("chain.pem", String::new()),
    ] {
        house.write(name, &text);
        server.reload();
        assert_eq!(
            certificate_of(&*house.tls(server.address).await),
            second,
            "{name}"
        );
    }
    early.echo("and still", 3).await;
}

/// Binary messages of any size.
trait BinaryMessages {
    async fn send_binary(&mut self, bytes: &[u8]);
    async fn hear_binary(&mut self) -> Vec<u8>;
}

impl BinaryMessages for tokio_tungstenite::WebSocketStream<Box<TlsStream<TcpStream>>> {
    async fn send_binary(&mut self, bytes: &[u8]) {
        use futures_util::SinkExt;
        within(self.send(Message::binary(bytes.to_vec()))).await.unwrap();
    }

    async fn hear_binary(&mut self) -> Vec<u8> {
        use futures_util::StreamExt;
        match within(self.next()).await {
            Some(Ok(Message::Binary(bytes))) => bytes.to_vec(),
            other => panic!("expected a binary message, got {other:?}"),
        }
    }
}
