//! What is logged, how often, and what never is.

mod support;

use std::io;
use std::sync::{Arc, Mutex};

use support::{config, start, within};
use touchstone_server::Config;
use tracing::subscriber::DefaultGuard;

/// What the server of this test has logged. It runs on the test's own thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn listen() -> (Self, DefaultGuard) {
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(move || writer.clone());
        (log, tracing::subscriber::set_default(subscriber.finish()))
    }

    fn lines_with(&self, part: &str) -> Vec<String> {
        let log = self.0.lock().unwrap();
        String::from_utf8_lossy(&log)
            .lines()
            .filter(|line| line.contains(part))
            .map(str::to_owned)
            .collect()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn messages_are_logged_on_request_only_and_never_their_content() {
    for (log_messages, logged) in [(Config::default().log_messages, 0), (true, 2)] {
        let (log, _listening) = Log::listen();
        let server = start(Config {
            log_messages,
            ..config()
        });
        let mut client = server.connect("/ws/chat/?session=s").await;
        client.echo("a secret", 1).await;
        client.echo("a secret", 2).await;
        drop(client);
        server.stop().await;
        let lines = log.lines_with("ws_receive");
        assert_eq!(lines.len(), logged, "{lines:?}");
        for (line, count) in lines.iter().zip(1..) {
            assert!(
                line.contains(&format!(r#"session_id="s" count={count}"#)),
                "{line}"
            );
        }
        assert_eq!(log.lines_with("stopped").len(), 1, "what is logged is heard here");
        assert_eq!(log.lines_with("secret"), [""; 0]);
    }
}

#[tokio::test]
async fn a_store_that_goes_away_is_logged_once_and_so_is_its_return() {
    let (log, _listening) = Log::listen();
    let server = start(config());
    let mut clients = [
        server.connect("/ws/chat/?session=a").await,
        server.connect("/ws/chat/?session=b").await,
    ];
    for outage in 1..=2 {
        server
            .request("POST /admin/faults", r#"{"store":"down","for":"500ms"}"#)
            .await;
        for client in &mut clients {
            client.echo("one", outage * 2 - 1).await;
            client.echo("two", outage * 2).await;
        }
        let back = async {
            while !server
                .request("GET /readyz", "")
                .await
                .starts_with("HTTP/1.1 200")
            {}
        };
        within(back).await;
        for what in ["the session store is away", "the session store is back"] {
            assert_eq!(log.lines_with(what).len() as u64, outage, "{what}");
        }
    }
}
