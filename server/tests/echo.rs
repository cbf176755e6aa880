//! What the conformance scenarios cannot tell: crowds, floods, slow peers, and what they cost the others.

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt;
use support::raw::{Raw, frame};
use support::{Client, check_cut_off, config, start, within};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use touchstone_server::{Config, Limits};

/// A queue so small that a peer who doesn't read is found out soon.
fn small_queue() -> Config {
    Config {
        limits: Limits {
            queue_bytes: 64 << 10,
            ..Limits::default()
        },
        ..config()
    }
}

#[tokio::test]
async fn a_slow_reader_is_cut_while_others_go_on() {
    let server = start(small_queue());
    let mut slow = Raw::connect(server.address, "/ws/chat/").await;
    let mut quick = server.connect("/ws/chat/").await;
    let broadcast = format!(r#"{{"message":"{}"}}"#, "x".repeat(60_000));
    let mut count = 0;
    while server
        .metric("touchstone_slow_consumers_total{dialect=\"echo\"}")
        .await
        == 0
    {
        let answer = server.request("POST /chat/api/broadcast/", &broadcast).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(quick.hear().await.starts_with(r#"{"type":"broadcast""#));
        count += 1;
        quick.echo("not held up", count).await;
    }
    check_cut_off(&slow.until_end().await, count);
    quick.echo("still here", count + 1).await;
}

#[tokio::test]
async fn pings_of_a_peer_that_does_not_read_are_answered_up_to_the_limit() {
    let server = start(small_queue());
    let mut flooder = Raw::connect(server.address, "/ws/chat/").await;
    let pings = frame(9, &[b'p'; 125]).repeat(500);
    while server
        .metric("touchstone_slow_consumers_total{dialect=\"echo\"}")
        .await
        == 0
    {
        flooder.send(&pings).await;
    }
    let heard = flooder.until_end().await;
    let (last, pongs) = heard.split_last().expect("a close frame at least");
    assert_eq!(
        (last.opcode, &last.payload[..]),
        (8, b"\x03\xf0slow consumer".as_slice())
    );
    assert!(
        pongs
            .iter()
            .all(|frame| frame.opcode == 10 && frame.payload == [b'p'; 125])
    );
}

#[tokio::test]
async fn who_goes_on_sending_after_a_violation_still_gets_the_close_frame() {
    let server = start(config());
    let mut sender = Raw::connect(server.address, "/ws/chat/").await;
    let mut too_big = frame(2, &vec![0; 8 << 20]);
    too_big.extend_from_slice(&frame(8, &[]));
    sender.send(&too_big).await;
    let heard = sender.until_end().await;
    assert_eq!(heard.len(), 1);
    assert_eq!(
        (heard[0].opcode, &heard[0].payload[..2]),
        (8, 1009_u16.to_be_bytes().as_slice())
    );
}

#[tokio::test]
async fn a_panic_costs_one_connection_and_no_other() {
    let server = start(config());
    let mut unlucky = server.connect("/ws/chat/?session=unlucky").await;
    let mut other = server.connect("/ws/chat/").await;
    unlucky.echo("one", 1).await;
    server
        .request("POST /admin/faults", r#"{"handler":"panic","times":1}"#)
        .await;
    unlucky.say("two").await;
    assert_eq!(unlucky.closed().await.code, CloseCode::Error);
    other.echo("one", 1).await;
    let mut back = server.connect("/ws/chat/?session=unlucky").await;
    back.echo("three", 2).await;
    assert_eq!(server.metric("app_errors_total").await, 1);
    assert_eq!(server.metric("app_active_connections").await, 2);
}

#[tokio::test]
async fn a_thousand_are_told_goodbye_and_when_to_come_back() {
    let server = start(config());
    let mut clients = Vec::new();
    for _ in 0..1_000 {
        clients.push(server.connect("/ws/chat/").await);
    }
    clients[0].echo("hello", 1).await;
    server.tell_to_stop();
    let mut advice = BTreeMap::<String, usize>::new();
    for (number, mut client) in clients.into_iter().enumerate() {
        let total = u64::from(number == 0);
        assert_eq!(
            client.hear().await,
            format!(r#"{{"bye":true,"total":{total},"message":"Server is shutting down gracefully"}}"#)
        );
        let close = client.closed().await;
        assert_eq!(close.code, CloseCode::Away);
        *advice.entry(close.reason.to_string()).or_default() += 1;
    }
    let evenly: BTreeMap<_, _> = (3..=12)
        .map(|seconds| (format!("server going away; retry after {seconds} s"), 100))
        .collect();
    assert_eq!(advice, evenly);
    assert_eq!(server.stop().await.connections_left, 0);
}

#[tokio::test]
async fn what_is_in_hand_is_finished_before_the_farewell() {
    let mut config = config();
    config.echo.store_deadline = Duration::from_millis(300);
    let server = start(config);
    let mut client = server.connect("/ws/chat/?session=s").await;
    client.echo("one", 1).await;
    server
        .request("POST /admin/faults", r#"{"store":"slow","for":"300s"}"#)
        .await;
    client.say("two").await;
    // Once it is counted, the message is being handled, and waits for the store.
    while server.metric("app_messages_total").await < 2 {}
    server.tell_to_stop();
    assert_eq!(client.hear().await, r#"{"count":2,"echo":"two"}"#);
    assert!(client.hear().await.starts_with(r#"{"bye":true,"total":2,"#));
    assert_eq!(client.closed().await.code, CloseCode::Away);
    assert_eq!(
        server.stop().await.sessions_unsaved,
        1,
        "the store was away until the end"
    );
}

#[tokio::test]
async fn a_peer_that_never_ends_tcp_does_not_hold_up_the_stop() {
    let mut config = config();
    config.deadlines.close = Duration::from_millis(200);
    let server = start(config);
    let mut deaf = Raw::connect(server.address, "/ws/chat/").await;
    let _held_open = deaf.keep_open();
    assert_eq!(server.stop().await.connections_left, 0);
    let heard = deaf.until_end().await;
    assert_eq!(heard.iter().map(|frame| frame.opcode).collect::<Vec<_>>(), [1, 8]);
}

#[tokio::test]
async fn while_the_server_stops_nobody_new_gets_in() {
    let server = start(config());
    let mut deaf = Raw::connect(server.address, "/ws/chat/").await;
    let held_open = deaf.keep_open();
    server.tell_to_stop();
    // The farewell has been said, and the close deadline keeps the server waiting for the end of TCP.
    let heard = deaf.until_end().await;
    assert_eq!(heard.len(), 2);
    let refused = tokio::net::TcpStream::connect(server.address).await;
    assert_eq!(refused.unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
    drop(held_open);
    assert_eq!(server.stop().await.connections_left, 0);
}

#[tokio::test]
async fn over_the_limit_of_connections_the_handshake_is_refused_until_one_leaves() {
    let server = start(Config {
        limits: Limits {
            connections: 2,
            ..Limits::default()
        },
        ..config()
    });
    let mut first = server.connect("/ws/chat/").await;
    let mut second = server.connect("/ws/chat/").await;
    let refused = Raw::handshake(server.address, "/ws/chat/").await;
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    assert!(refused.contains("\r\nretry-after: 5\r\n"), "{refused}");
    first.echo("undisturbed", 1).await;
    second.0.close(None).await.unwrap();
    second.closed_by_us().await;
    drop(second);
    let retry = async {
        while !Raw::handshake(server.address, "/ws/chat/")
            .await
            .starts_with("HTTP/1.1 101")
        {}
    };
    within(retry).await;
}

#[tokio::test]
async fn answers_and_pongs_leave_in_the_order_of_what_they_answer() {
    let server = start(config());
    let mut client = Raw::connect(server.address, "/ws/chat/").await;
    let mut burst = Vec::new();
    for number in 0..200 {
        burst.extend_from_slice(&frame(1, format!("m{number}").as_bytes()));
        burst.extend_from_slice(&frame(9, format!("p{number}").as_bytes()));
    }
    burst.extend_from_slice(&frame(8, &1000_u16.to_be_bytes()));
    client.send(&burst).await;
    let heard = client.until_end().await;
    let mut expected = Vec::new();
    for number in 0..200 {
        expected.push((
            1,
            format!(r#"{{"count":{},"echo":"m{number}"}}"#, number + 1).into_bytes(),
        ));
        expected.push((10, format!("p{number}").into_bytes()));
    }
    expected.push((8, 1000_u16.to_be_bytes().to_vec()));
    let heard: Vec<_> = heard
        .into_iter()
        .map(|frame| (frame.opcode, frame.payload))
        .collect();
    assert_eq!(heard, expected);
}

#[tokio::test]
async fn the_raw_echo_waits_for_a_slow_reader_instead_of_cutting_it() {
    let server = start(Config {
        raw_echo: Some("/raw".to_owned()),
        ..config()
    });
    let Client(stream) = server.connect("/raw").await;
    let (mut sender, mut receiver) = stream.split();
    let message = Message::binary(vec![0xFF; 4 << 20]);
    let sending = async {
        for _ in 0..16 {
            futures_util::SinkExt::send(&mut sender, message.clone())
                .await
                .unwrap();
        }
    };
    let receiving = async {
        for _ in 0..16 {
            assert_eq!(receiver.next().await.unwrap().unwrap(), message);
        }
    };
    let mut sending = std::pin::pin!(sending);
    let unread = tokio::time::timeout(Duration::from_millis(300), &mut sending).await;
    assert!(
        unread.is_err(),
        "64 MiB do not fit into any buffer between the two"
    );
    within(async { tokio::join!(sending, receiving) }).await;
    assert_eq!(
        server
            .metric("touchstone_slow_consumers_total{dialect=\"echo\"}")
            .await,
        0
    );
}

#[tokio::test]
async fn a_peer_that_never_takes_its_close_frame_is_dropped_at_the_deadline() {
    let mut config = small_queue();
    config.limits.connections = 1;
    config.deadlines.close = Duration::from_millis(300);
    let server = start(config);
    let _never_read = Raw::connect(server.address, "/ws/chat/").await;
    let broadcast = format!(r#"{{"message":"{}"}}"#, "x".repeat(60_000));
    while server
        .metric("touchstone_slow_consumers_total{dialect=\"echo\"}")
        .await
        == 0
    {
        server.request("POST /chat/api/broadcast/", &broadcast).await;
    }
    // Its place is free once its socket is gone.
    let place = async {
        while !Raw::handshake(server.address, "/ws/chat/")
            .await
            .starts_with("HTTP/1.1 101")
        {}
    };
    within(place).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn answers_and_broadcasts_from_several_threads_arrive_whole_once_and_in_order() {
    const CLIENTS: usize = 20;
    const MESSAGES: u64 = 300;
    const BROADCASTS: usize = 60;
    let server = start(config());
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..CLIENTS {
        let mut client = Raw::connect(server.address, "/ws/chat/").await;
        let burst = frame(1, b"burst").repeat(MESSAGES as usize / 3);
        clients.spawn(async move {
            for _ in 0..3 {
                client.send(&burst).await;
                tokio::task::yield_now().await;
            }
            client
        });
    }
    for number in 0..BROADCASTS {
        let body = format!(r#"{{"message":"{number} {}"}}"#, "x".repeat(500));
        server.request("POST /chat/api/broadcast/", &body).await;
    }
    let mut clients = clients.join_all().await;
    server.tell_to_stop();
    for client in &mut clients {
        let heard = client.until_end().await;
        let texts: Vec<_> = heard
            .iter()
            .map(|frame| String::from_utf8_lossy(&frame.payload))
            .collect();
        let answers: Vec<_> = texts
            .iter()
            .filter(|text| text.starts_with(r#"{"count""#))
            .collect();
        let counted = |count: u64| format!(r#"{{"count":{count},"echo":"burst"}}"#);
        assert!(
            answers
                .iter()
                .map(|text| text.to_string())
                .eq((1..=MESSAGES).map(counted))
        );
        let told: Vec<_> = texts
            .iter()
            .filter_map(|text| text.strip_prefix(r#"{"type":"broadcast","message":""#))
            .collect();
        assert_eq!(told.len(), BROADCASTS);
        assert!(
            told.iter()
                .enumerate()
                .all(|(number, text)| text.starts_with(&format!("{number} x")))
        );
        assert_eq!(
            texts.len(),
            MESSAGES as usize + BROADCASTS + 2,
            "and a farewell and a close"
        );
    }
}
