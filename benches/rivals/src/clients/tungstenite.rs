//! As little as a client on tokio-tungstenite can be: a task and a timer for each session, 4 KiB of read buffer.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_tungstenite::client_async_with_config;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use super::{Crowd, PERIOD, TEXT};

#[tokio::main(flavor = "current_thread")]
pub async fn run(crowd: Crowd) {
    let mut sessions = Vec::with_capacity(crowd.sessions);
    for number in 0..crowd.sessions {
        let socket = TcpStream::connect(&crowd.address).await.expect("it connects");
        socket.set_nodelay(true).expect("a socket has this option");
        let url = format!("ws://{}{}", crowd.address, crowd.path(number));
        let config = WebSocketConfig::default()
            .read_buffer_size(4 << 10)
            .write_buffer_size(0);
        let (socket, _) = client_async_with_config(url, socket, Some(config))
            .await
            .expect("it is let in");
        sessions.push(socket);
    }
    let start = Instant::now() + Duration::from_millis(100);
    let mut talking = tokio::task::JoinSet::new();
    for (number, mut socket) in sessions.into_iter().enumerate() {
        let mut due = interval_at(start + crowd.phase(number), PERIOD);
        due.set_missed_tick_behavior(MissedTickBehavior::Burst);
        talking.spawn(async move {
            loop {
                tokio::select! {
                    _ = due.tick() => {
                        let Ok(()) = socket.send(Message::text(TEXT)).await else { return };
                    }
                    heard = socket.next() => {
                        let Some(Ok(_)) = heard else { return };
                    }
                }
            }
        });
    }
    while talking.join_next().await.is_some() {}
}
