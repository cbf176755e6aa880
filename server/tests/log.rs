//! What is logged, how often, and what never is.

mod support;

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use support::{config, start, within};
use touchstone_server::{AuthConfig, Config, DialectAuth, Secret};
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

/// At the finest level: what is nowhere there is nowhere at all.
#[tokio::test]
async fn no_token_and_no_key_is_ever_logged() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone());
    let _listening = tracing::subscriber::set_default(subscriber.finish());

    let auth = AuthConfig {
        secret: Some(Secret::new(SECRET)),
        ..AuthConfig::default()
    };
    let server = start(Config {
        auth: auth.clone(),
        log_messages: true,
        ..config()
    });
    let claims = serde_json::json!({"user_id": 7, "id": "65a1b2c3d4e5f60718293a4b", "sub": "7d3c1a52-6f0e-4c1b-9a51-0f3f7b6d2e10",
        "tenant_id": 1, "schema_name": "acme"});
    let claims = claims.as_object().unwrap().clone();
    let hour = Duration::from_secs(3_600);
    let good = touchstone_server::mint(&auth, &DialectAuth::default(), claims.clone(), hour).unwrap();
    let expired = touchstone_server::mint(&auth, &DialectAuth::default(), claims, Duration::ZERO).unwrap();
    for path in [
        "/ws/chat/3f0e1d52-6f0e-4c1b-9a51-0f3f7b6d2e10/?token=",
        "/ws/user/7d3c1a52-6f0e-4c1b-9a51-0f3f7b6d2e10?token=",
        "/ws/?accessToken=",
        "/ws?token=",
        "/nowhere?token=",
    ] {
        for token in [&good, &expired, &format!("{good}x"), "sesame.not.a-token"] {
            let upgrade = format!("GET {path}{token}");
            server.handshake(&upgrade).await;
            // And without the upgrade.
            server.request_with_key(&upgrade, "", "sesame-wrong-key").await;
        }
    }
    for path in ["POST /admin/publish", "POST /admin/faults", "POST /admin/users"] {
        for key in [support::KEY, "sesame-wrong-key", &good] {
            server
                .request_with_key(path, "{\"secret\": \"sesame\"", key)
                .await;
        }
    }
    server.stop().await;

    let signature = good.rsplit('.').next().unwrap();
    let payload = good.split('.').nth(1).unwrap();
    for secret in [signature, payload, "sesame", support::KEY, SECRET] {
        assert_eq!(log.lines_with(secret), [""; 0], "{secret}");
    }
    assert_eq!(log.lines_with("stopped").len(), 1, "what is logged is heard here");
}

const SECRET: &str = "a secret that is long enough to be one";

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
