//! The same judge behind TLS: what is done to TCP, and what the server does to it, keeps its meaning.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::PrivateKeyDer;
use rustls::server::ServerConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use touchstone_conformance::results::CaseResult;
use touchstone_protocol::Dialect;
use touchstone_sut::{Target, Trust};

use crate::crooked::{Crook, Server};
use crate::judge::{options, run_target, scenario, summary};

/// Whatever a front sees comes within this time.
const PATIENCE: Duration = Duration::from_secs(20);

/// How a front ends TLS when the server behind it has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manners {
    /// With a goodbye.
    Polite,
    /// By the end of TCP alone.
    Rude,
}

/// How a front saw a client end.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    /// `close_notify`.
    Goodbye,
    /// FIN without it.
    Fin,
    /// RST.
    Reset,
}

/// TLS in front of a server that speaks none. It ends with its owner.
struct Front {
    folder: tempfile::TempDir,
    port: u16,
    ends: mpsc::UnboundedReceiver<Seen>,
    _server: Server,
    _tasks: JoinSet<()>,
}

impl Front {
    async fn start(crook: Crook, manners: Manners) -> Self {
        let issued = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), issued.cert.pem()).unwrap();
        let key = PrivateKeyDer::try_from(issued.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![issued.cert.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let server = Server::start(crook).await;
        let behind = server.port();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (seen, ends) = mpsc::unbounded_channel();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                connections.spawn(stand_between(
                    acceptor.clone(),
                    socket,
                    behind,
                    manners,
                    seen.clone(),
                ));
            }
        });
        Self {
            folder,
            port,
            ends,
            _server: server,
            _tasks: tasks,
        }
    }

    /// As if it spoke no TLS.
    async fn judge_plain(&self, yaml: &str) -> CaseResult {
        let url = format!("ws://127.0.0.1:{}", self.port);
        let target = Target::from_url(&url, &[Dialect::Echo]).unwrap();
        let mut run = run_target(target, &[scenario("echo/x", yaml)], options()).await;
        run.cases.remove(0)
    }

    async fn judge(&self, yaml: &str) -> CaseResult {
        let authority = Trust::Authorities(self.folder.path().join("ca.pem"));
        let url = format!("wss://127.0.0.1:{}", self.port);
        let target = Target::from_url(&url, &[Dialect::Echo]).unwrap();
        let target = target.trusting(authority).unwrap();
        let mut run = run_target(target, &[scenario("echo/x", yaml)], options()).await;
        run.cases.remove(0)
    }

    /// How the case's only client ended. The first one is whoever looked whether anybody is there.
    async fn saw(&mut self) -> Seen {
        let second = async {
            self.ends.recv().await;
            self.ends.recv().await
        };
        let seen = timeout(PATIENCE, second).await.expect("the client ends");
        seen.expect("the front outlives its clients")
    }
}

async fn stand_between(
    acceptor: TlsAcceptor,
    socket: TcpStream,
    behind: u16,
    manners: Manners,
    seen: mpsc::UnboundedSender<Seen>,
) {
    let Ok(client) = acceptor.accept(socket).await else {
        return;
    };
    let server = TcpStream::connect(("127.0.0.1", behind)).await.unwrap();
    let (mut from_server, mut to_server) = server.into_split();
    let (from_client, mut to_client) = tokio::io::split(client);
    let down = async {
        // A server that is reset is no concern of its front.
        let _ = tokio::io::copy(&mut from_server, &mut to_client).await;
        match manners {
            Manners::Polite => {
                let _ = to_client.shutdown().await;
            }
            Manners::Rude => {}
        }
    };
    let up = async {
        let end = listen(from_client, &mut to_server).await;
        let _ = to_server.shutdown().await;
        // The test may have seen enough.
        let _ = seen.send(end);
    };
    match manners {
        Manners::Polite => {
            tokio::join!(down, up);
        }
        // Both halves are dropped when the server has ended.
        Manners::Rude => tokio::select! { () = down => {}, () = up => {} },
    }
}

async fn listen(
    mut client: ReadHalf<TlsStream<TcpStream>>,
    server: &mut (impl AsyncWriteExt + Unpin),
) -> Seen {
    let mut buffer = [0; 4096];
    loop {
        match client.read(&mut buffer).await {
            Ok(0) => return Seen::Goodbye,
            Ok(read) => {
                // A server that has gone takes nothing more; how the client ends is still of interest.
                let _ = server.write_all(&buffer[..read]).await;
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Seen::Fin,
            Err(_) => return Seen::Reset,
        }
    }
}

const CLOSED: &str = "
title: it closes 1001, cleanly
rule: echo/2a
actors: {ann: {}}
given: [{connect: ann}]
steps:
  - ann.send: hello
  - ann.closed: {code: 1001, clean: {$value: true, $clause: echo/2c}}
";

#[tokio::test]
async fn a_server_that_ends_tcp_without_a_goodbye_has_not_closed_cleanly() {
    for (manners, expected) in [
        (Manners::Polite, "passed"),
        (Manners::Rude, "non_strict clean echo/2c"),
    ] {
        let front = Front::start(Crook::Closes(1001), manners).await;
        let case = front.judge(CLOSED).await;
        assert_eq!(summary(&case), expected, "{:#?}", case.findings);
    }
}

#[tokio::test]
async fn a_server_that_answers_in_tls_is_told_from_one_that_is_wrong() {
    let front = Front::start(Crook::Honest, Manners::Polite).await;
    let case = front.judge_plain(CLOSED).await;
    let reason = "the server answers in TLS: write wss:// for ws://";
    assert_eq!(case.reason.as_deref(), Some(reason), "{case:#?}");
}

#[tokio::test]
async fn what_a_case_does_to_tcp_keeps_its_meaning() {
    for (client, step, expected) in [
        ("judge", "ann.tcp: half_close", Seen::Goodbye),
        ("raw", "ann.tcp: half_close", Seen::Goodbye),
        ("judge", "ann.tcp: reset", Seen::Reset),
        ("raw", "ann.tcp: reset", Seen::Reset),
        ("judge", "ann.close: {code: 1000}", Seen::Goodbye),
    ] {
        let mut front = Front::start(Crook::Honest, Manners::Polite).await;
        let yaml = format!(
            "title: x\nrule: echo/2a\nactors: {{ann: {{client: {client}}}}}\ngiven: [{{connect: ann}}]\nsteps:\n  - ann.send: hello\n  \
             - ann.expect: {{echo: hello}}\n  - {step}\n"
        );
        let case = front.judge(&yaml).await;
        assert_eq!(front.saw().await, expected, "{client}, {step}: {case:#?}");
    }
}

#[tokio::test]
async fn pieces_and_bytes_that_are_no_frames_are_the_ones_inside() {
    let front = Front::start(Crook::Honest, Manners::Polite).await;
    let case = front
        .judge(
            "title: x\nrule: echo/2a\nactors: {ann: {client: raw}}\ngiven: [{connect: ann}]\nsteps:\n  \
             - ann.raw: {frames: [{op: text, payload: hello}], chop: 1}\n  - ann.expect: {echo: hello}\n  \
             - ann.raw: {bytes: c18000000000}\n  - ann.ends: {}\n",
        )
        .await;
    assert_eq!(summary(&case), "passed", "{:#?}", case.findings);
}
