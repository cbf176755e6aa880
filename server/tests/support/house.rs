//! A certificate authority of a test, and what it takes to be a server and a client of TLS.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{CertificateParams, CertifiedIssuer, DnType, KeyPair, KeyUsagePurpose};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use touchstone_server::{Config, TlsFiles};

use super::raw::narrow;
use super::{Client, KEY, Running, start, within};

/// An authority, and the files of a server.
pub(crate) struct House {
    pub(crate) issuer: CertifiedIssuer<'static, KeyPair>,
    folder: tempfile::TempDir,
}

impl House {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        // A name of its own: where the server's certificate has the same, OpenSSL takes that for signed by itself.
        params
            .distinguished_name
            .push(DnType::CommonName, "the authority of a test");
        // Without it, OpenSSL in strict mode does not take an authority for one.
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let house = Self {
            issuer,
            folder: tempfile::tempdir().unwrap(),
        };
        house.write("authority.pem", &house.issuer.pem());
        house.issue();
        house
    }

    /// Writes a new certificate and its key; returns the certificate.
    pub(crate) fn issue(&self) -> CertificateDer<'static> {
        let key = KeyPair::generate().unwrap();
        let names = ["localhost", "127.0.0.1"].map(str::to_owned);
        let mut params = CertificateParams::new(names).unwrap();
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        self.write("chain.pem", &certificate.pem());
        self.write("key.pem", &key.serialize_pem());
        certificate.der().clone()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).unwrap();
    }

    /// The certificate of the authority, for who is to believe it.
    pub(crate) fn authority(&self) -> PathBuf {
        self.folder.path().join("authority.pem")
    }

    pub(crate) fn files(&self) -> TlsFiles {
        let path = |name: &str| Path::join(self.folder.path(), name);
        TlsFiles {
            certificate: path("chain.pem"),
            key: path("key.pem"),
        }
    }

    pub(crate) fn start(&self, config: Config) -> Running {
        start(Config {
            tls: Some(self.files()),
            ..config
        })
    }

    /// A client that believes this authority, and offers these protocols.
    pub(crate) fn client(&self, protocols: &[&[u8]]) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        client.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        client
    }

    pub(crate) async fn tls(&self, address: SocketAddr) -> Box<TlsStream<TcpStream>> {
        shake_hands(self.client(&[]), narrow(address).await)
            .await
            .unwrap()
    }

    pub(crate) async fn connect(&self, server: &Running, path: &str) -> Client<Box<TlsStream<TcpStream>>> {
        let stream = self.tls(server.address).await;
        let url = format!("wss://localhost{path}");
        let (stream, _) = within(Box::pin(tokio_tungstenite::client_async(url, stream)))
            .await
            .unwrap();
        Client(stream)
    }

    pub(crate) async fn request(&self, address: SocketAddr, head: &str, body: &str) -> String {
        self.request_with_key(address, head, body, KEY).await
    }

    pub(crate) async fn request_with_key(
        &self,
        address: SocketAddr,
        head: &str,
        body: &str,
        key: &str,
    ) -> String {
        let mut stream = self.tls(address).await;
        let length = body.len();
        let request = format!(
            "{head} HTTP/1.1\r\nHost: h\r\nConnection: close\r\nAuthorization: Bearer {key}\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        // An end of TCP that TLS has not announced would be an error.
        within(stream.read_to_string(&mut answer)).await.unwrap();
        answer
    }
}

pub(crate) async fn shake_hands(
    client: ClientConfig,
    tcp: TcpStream,
) -> std::io::Result<Box<TlsStream<TcpStream>>> {
    let name = ServerName::try_from("localhost").unwrap();
    let shaking = TlsConnector::from(Arc::new(client)).connect(name, tcp);
    within(Box::pin(shaking)).await.map(Box::new)
}
