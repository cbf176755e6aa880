//! The proxy between a client and a server that are both written by hand.

mod transparent;

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use touchstone_sut::Target;

use super::*;

/// Nothing of these tests takes so long; what does not come fails instead of hanging.
const DEADLINE: Duration = Duration::from_secs(20);

/// A proxy, and the server behind it.
struct Stage {
    proxy: Proxy,
    server: TcpListener,
}

impl Stage {
    async fn new(mutant: Option<Arc<Mutant>>) -> Self {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}", server.local_addr().unwrap());
        let target = Target::from_url(&url, &[]).unwrap();
        let sut = Sut::start(target).await.unwrap();
        // Whether anybody is there has been tried.
        drop(server.accept().await.unwrap());
        let proxy = Proxy::start(Arc::new(sut), mutant).await.unwrap();
        Self { proxy, server }
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
