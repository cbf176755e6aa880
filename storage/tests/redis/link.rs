//! How Redis is reached, and what is said when it cannot be.

use std::time::Duration;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use touchstone_storage::Accounts;
use touchstone_storage::redis::{LinkTerms, OpenLinkError, Redis, RedisStore, RedisUrl};

use crate::support::proxy::{Mode, Proxy};
use crate::support::server::{Memory, Server, free_port};

async fn open_with(url: &str, terms: LinkTerms) -> Result<(Redis, DropGuard), OpenLinkError> {
    let stop = CancellationToken::new();
    let url: RedisUrl = url.parse().unwrap();
    let link = Redis::open(url, terms, &TaskTracker::new(), stop.clone()).await?;
    Ok((link, stop.drop_guard()))
}

async fn open(url: &str) -> Result<(Redis, DropGuard), OpenLinkError> {
    let terms = LinkTerms {
        connect_deadline: Duration::from_secs(5),
        pause_max: Duration::from_millis(50),
        ..LinkTerms::default()
    };
    open_with(url, terms).await
}

async fn answers(link: &Redis) -> bool {
    RedisStore::new(link.clone(), "t").tenant("r", "t").await == Ok(None)
}

#[tokio::test]
async fn who_has_the_password_is_let_in_and_nobody_is_told_it() {
    let server = Server::start(Memory::Lost);
    let _: () = server.ask(&["ACL", "SETUSER", "ann", "on", ">hush:1", "~*", "&*", "+@all"]);
    let port = server.port();
    let (link, _stop) = open(&format!("redis://ann:hush%3A1@127.0.0.1:{port}"))
        .await
        .unwrap();
    assert!(answers(&link).await);
    assert!(!format!("{link:?}").contains("hush"), "{link:?}");
    let error = open(&format!("redis://ann:hushed@127.0.0.1:{port}"))
        .await
        .unwrap_err();
    assert!(matches!(error, OpenLinkError::Unreachable { .. }), "{error:?}");
    let said = format!("{error} {error:?}");
    assert!(
        said.contains(&format!("127.0.0.1:{port}")) && !said.contains("hush"),
        "{said}"
    );
}

#[tokio::test]
async fn where_no_server_is_that_is_said_and_where() {
    let port = free_port();
    let error = open(&format!("redis://127.0.0.1:{port}")).await.unwrap_err();
    let said = error.to_string();
    assert!(
        said.starts_with(&format!("redis://127.0.0.1:{port} cannot be reached")),
        "{said}"
    );

    let server = Server::start(Memory::Lost);
    let proxy = Proxy::before(server.port()).await;
    proxy.set(Mode::Holding);
    let terms = LinkTerms {
        connect_deadline: Duration::from_millis(100),
        ..LinkTerms::default()
    };
    let error = open_with(&proxy.url().to_string(), terms).await.unwrap_err();
    assert!(
        matches!(
            error,
            OpenLinkError::Late { .. } | OpenLinkError::Unreachable { .. }
        ),
        "{error:?}"
    );
}

#[tokio::test]
async fn through_tls_only_a_server_that_is_known_is_believed() {
    let folder = tempfile::tempdir().unwrap();
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (cert_file, key_file) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&cert_file, cert.pem()).unwrap();
    std::fs::write(&key_file, signing_key.serialize_pem()).unwrap();
    let tls_port = free_port();
    let _server = Server::start_with(
        Memory::Lost,
        &[
            "--tls-port",
            &tls_port.to_string(),
            "--tls-cert-file",
            cert_file.to_str().unwrap(),
            "--tls-key-file",
            key_file.to_str().unwrap(),
            "--tls-auth-clients",
            "no",
            "--tls-ca-cert-file",
            cert_file.to_str().unwrap(),
        ],
    );
    let url = format!("rediss://localhost:{tls_port}");
    let believing = LinkTerms {
        authorities: Some(cert.pem().into_bytes()),
        connect_deadline: Duration::from_secs(5),
        ..LinkTerms::default()
    };
    let (link, _stop) = open_with(&url, believing).await.unwrap();
    assert!(answers(&link).await);
    let error = open(&url).await.unwrap_err();
    assert!(matches!(error, OpenLinkError::Unreachable { .. }), "{error:?}");
}

#[tokio::test]
async fn the_master_is_whom_the_sentinels_name_also_after_another_became_it() {
    let mut master = Server::start(Memory::Lost);
    let port = master.port().to_string();
    let replica = Server::start_with(Memory::Lost, &["--replicaof", "127.0.0.1", &port]);
    let linked = || {
        let said: String = replica.ask(&["INFO", "replication"]);
        said.contains("master_link_status:up")
    };
    crate::support::server::until("the replica is linked", linked);
    let sentinel = Server::sentinel(master.port(), replica.port());
    let url = format!("redis+sentinel://127.0.0.1:{}/main", sentinel.port());
    let (link, _stop) = open(&url).await.unwrap();
    assert!(answers(&link).await);
    master.kill();
    let _: () = sentinel.ask(&["SENTINEL", "SET", "main", "down-after-milliseconds", "100"]);
    while !answers(&link).await {
        tokio::task::yield_now().await;
    }
    let role: Vec<redis::Value> = replica.ask(&["ROLE"]);
    assert_eq!(role[0], redis::Value::BulkString(b"master".to_vec()));
}
