//! The proxy between a client and a server that are both written by hand.

mod frames;
mod http;
mod transparent;

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use touchstone_scenarios::load_mutants;
use touchstone_scenarios::mutant::Way;
use touchstone_sut::Target;

use super::*;

/// Nothing of these tests takes so long; what does not come fails instead of hanging.
const DEADLINE: Duration = Duration::from_secs(20);

/// An opening handshake as far as the proxy reads it.
const HANDSHAKE: &[u8] = b"GET /ws HTTP/1.1\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n";
/// Its answer.
const UPGRADED: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n";

/// A mutant with one rule.
fn mutant(rule: &str) -> Arc<Mutant> {
    let head =
        "id: tried\nbreaks: something\nclauses: [rfc6455/5.5.2-ping]\nkilled_by: [rfc6455/5.5.2-ping]\n";
    let lines = format!("{head}{rule}").replace('\n', "\n    ");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rfc6455.yaml");
    std::fs::write(&path, format!("mutants:\n  - {lines}\n")).unwrap();
    let (mutants, diags) = load_mutants(&path);
    assert!(diags.is_empty(), "{rule}: {:?}", diags[0].message);
    Arc::new(mutants.into_iter().next().unwrap())
}

/// A proxy, and the server behind it.
struct Stage {
    proxy: Proxy,
    server: TcpListener,
}

impl Stage {
    async fn new(mutant: Option<Arc<Mutant>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}", listener.local_addr().unwrap());
        Self::before(Target::from_url(&url, &[]).unwrap(), listener, mutant).await
    }

    async fn with(rule: &str) -> Self {
        Self::new(Some(mutant(rule))).await
    }

    async fn before(target: Target, server: TcpListener, mutant: Option<Arc<Mutant>>) -> Self {
        let sut = Sut::start(target).await.unwrap();
        // Whether anybody is there has been tried.
        drop(server.accept().await.unwrap());
        let proxy = Proxy::start(Arc::new(sut), mutant).await.unwrap();
        Self { proxy, server }
    }

    /// A client whose handshake has been answered, and what it is connected to.
    async fn open(&self) -> (TcpStream, TcpStream) {
        let (mut client, mut server) = self.connect().await;
        client.write_all(HANDSHAKE).await.unwrap();
        expect(&mut server, HANDSHAKE).await;
        server.write_all(UPGRADED).await.unwrap();
        expect(&mut client, UPGRADED).await;
        (client, server)
    }

    /// A client, and what it is connected to.
    async fn connect(&self) -> (TcpStream, TcpStream) {
        let client = TcpStream::connect(&self.proxy.addresses()[0]).await.unwrap();
        client.set_nodelay(true).unwrap();
        let (server, _) = in_time(self.server.accept()).await.unwrap();
        server.set_nodelay(true).unwrap();
        (client, server)
    }
}

/// What comes in time.
async fn in_time<T>(future: impl Future<Output = T>) -> T {
    timeout(DEADLINE, future).await.expect("nothing came in time")
}

/// Exactly these bytes come next.
async fn expect(peer: &mut TcpStream, bytes: &[u8]) {
    let mut got = vec![0; bytes.len()];
    in_time(peer.read_exact(&mut got)).await.unwrap();
    assert!(
        got == bytes,
        "{:?} and not {:?}",
        String::from_utf8_lossy(&got),
        String::from_utf8_lossy(bytes)
    );
}

/// Nothing comes but FIN.
async fn expect_end(peer: &mut TcpStream) {
    let mut rest = Vec::new();
    in_time(peer.read_to_end(&mut rest)).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&rest), "");
}

/// Nothing comes but RST.
async fn expect_reset(peer: &mut TcpStream) {
    let mut rest = Vec::new();
    let error = in_time(peer.read_to_end(&mut rest)).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(String::from_utf8_lossy(&rest), "");
}

/// Ends TCP by RST.
fn reset(peer: TcpStream) {
    socket2::SockRef::from(&peer)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
    drop(peer);
}
