//! The server as its clients meet it, as far as it is not told by the conformance scenarios.

mod support;

use support::{config, start};

#[tokio::test]
async fn a_message_comes_back_and_the_end_is_clean() {
    let server = start(config());
    let mut client = server.connect("/ws/chat/").await;
    client.echo("hello", 1).await;
    client.echo("again", 2).await;
    client.0.close(None).await.unwrap();
    assert!(
        support::within(futures_util::StreamExt::next(&mut client.0))
            .await
            .is_some()
    );
    let stopped = server.stop().await;
    assert_eq!((stopped.connections_left, stopped.sessions_unsaved), (0, 0));
}
