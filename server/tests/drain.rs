//! Draining (common/6c): nobody new is let in, and who is here is closed one after the other.

mod support;

use futures_util::future::{join_all, select_all};
use support::raw::Raw;
use support::{config, start};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

fn is_told_to_come_back(close: &CloseFrame) {
    assert_eq!(u16::from(close.code), 1012);
    let advice = close.reason.strip_prefix("server restarting; retry after ");
    let seconds = advice.and_then(|advice| advice.strip_suffix(" s"));
    let seconds: u8 = seconds.expect("the reason has its shape").parse().unwrap();
    assert!((3..=12).contains(&seconds), "{}", close.reason);
}

#[tokio::test]
async fn those_not_yet_closed_go_on_working_and_nobody_new_is_let_in() {
    let server = start(config());
    let mut clients = Vec::new();
    for _ in 0..10 {
        let mut client = server.connect("/ws/chat/").await;
        client.echo("here", 1).await;
        clients.push(client);
    }
    let answer = server.request("POST /admin/drain", r#"{"window":"60m"}"#).await;
    assert!(answer.ends_with(r#"{"connections":10}"#), "{answer}");
    // Of ten in an hour the first is closed at once.
    let closes = clients.iter_mut().map(|client| Box::pin(client.closed()));
    let (close, gone, others) = select_all(closes).await;
    drop(others);
    is_told_to_come_back(&close);
    drop(clients.remove(gone));
    for client in &mut clients {
        client.echo("still here", 2).await;
    }
    for path in ["/ws/chat/", "/echo/ws/chat/", "/ws"] {
        let refused = Raw::handshake(server.address, path).await;
        assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
        assert!(refused.contains("retry-after: 5"), "{refused}");
    }
    // Somebody is in a hurry.
    let answer = server.request("POST /admin/drain", r#"{"window":"0s"}"#).await;
    assert!(answer.ends_with(r#"{"connections":9}"#), "{answer}");
    for close in join_all(clients.iter_mut().map(|client| client.closed())).await {
        is_told_to_come_back(&close);
    }
}

#[tokio::test]
async fn of_one_dialect_nobody_else_is_drained() {
    let mut config = config();
    config.raw_echo = Some("/raw".to_owned());
    let server = start(config);
    let mut clients = [server.connect("/raw").await, server.connect("/ws/chat/").await];
    clients[1].echo("here", 1).await;
    let body = r#"{"dialect":"echo","window":"0s"}"#;
    let answer = server.request("POST /admin/drain", body).await;
    assert!(answer.ends_with(r#"{"connections":1}"#), "{answer}");
    is_told_to_come_back(&clients[1].closed().await);
    clients[0].say("still here").await;
    assert_eq!(clients[0].hear().await, "still here");
    let mut late = server.connect("/raw").await;
    late.say("let in").await;
    assert_eq!(late.hear().await, "let in");
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_drain() {
    let server = start(config());
    let mut clients = [
        server.connect("/ws/chat/").await,
        server.connect("/ws/chat/").await,
    ];
    for client in &mut clients {
        client.echo("here", 1).await;
    }
    let answer = server.request("POST /admin/drain", r#"{"window":"60m"}"#).await;
    assert!(answer.ends_with(r#"{"connections":2}"#), "{answer}");
    server.tell_to_stop();
    let closes = join_all(clients.iter_mut().map(|client| client.closed())).await;
    let mut codes: Vec<_> = closes.iter().map(|close| u16::from(close.code)).collect();
    codes.sort_unstable();
    assert_eq!(codes, [1001, 1012]);
    assert_eq!(server.stop().await.connections_left, 0);
}
