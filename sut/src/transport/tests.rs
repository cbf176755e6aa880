//! TLS over a pipe, with a server of the same library: who is believed, what a refusal says, and how it ends.

use rcgen::{CertificateParams, CertifiedIssuer, KeyPair, date_time_ymd};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::ServerConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream as ServerStream;

use super::*;

/// More than a handshake or a message of these tests.
const PIPE_BYTES: usize = 64 << 10;

/// A certificate that a server shows.
struct Shown {
    certificate: CertificateDer<'static>,
    pem: String,
    key: KeyPair,
}

/// An authority that vouches for a server of these names until this year.
fn authority_and_server(names: &[&str], until: i32) -> (String, Shown) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let mut params = params_for(names);
    params.not_after = date_time_ymd(until, 1, 1);
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap();
    let shown = Shown {
        certificate: certificate.der().clone(),
        pem: certificate.pem(),
        key,
    };
    (authority.pem(), shown)
}

fn params_for(names: &[&str]) -> CertificateParams {
    CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap()
}

/// What `openssl req -x509` makes: a server that is its own authority.
fn its_own_authority(names: &[&str]) -> Shown {
    let mut params = params_for(names);
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    Shown {
        certificate: certificate.der().clone(),
        pem: certificate.pem(),
        key,
    }
}

fn server_that_shows(shown: &Shown, protocols: &[&[u8]]) -> TlsAcceptor {
    let key = PrivateKeyDer::try_from(shown.key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![shown.certificate.clone()], key)
        .unwrap();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    TlsAcceptor::from(Arc::new(config))
}

fn trusting(pem: &str) -> Transport {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    std::fs::write(&path, pem).unwrap();
    Transport::Tls(Tls::new(Trust::Authorities(path)).unwrap())
}

type Opened = (Stream<DuplexStream>, ServerStream<DuplexStream>);

/// Both ends, or why the client does not want.
async fn open(transport: &Transport, authority: &str, server: &TlsAcceptor) -> Result<Opened, TlsError> {
    let (ours, theirs) = duplex(PIPE_BYTES);
    let (opened, accepted) = tokio::join!(transport.open(ours, authority), server.accept(theirs));
    Ok((opened?, accepted.expect("who is believed is spoken to")))
}

async fn refusal(transport: &Transport, authority: &str, server: &TlsAcceptor) -> String {
    let (ours, theirs) = duplex(PIPE_BYTES);
    let (opened, _) = tokio::join!(transport.open(ours, authority), server.accept(theirs));
    opened.map(|_| ()).unwrap_err().to_string()
}

#[tokio::test]
async fn who_was_named_is_believed_by_name_and_by_address() {
    let (authority, shown) = authority_and_server(&["chat.test", "127.0.0.1", "::1"], 4000);
    let server = server_that_shows(&shown, &[b"h2", b"http/1.1"]);
    let own = its_own_authority(&["chat.test"]);
    for (pem, server) in [
        (&authority, &server),
        (&shown.pem, &server),
        (&own.pem, &server_that_shows(&own, &[])),
    ] {
        let transport = trusting(pem);
        let (mut ours, mut theirs) = open(&transport, "chat.test:8443", server).await.unwrap();
        ours.write_all(b"hi").await.unwrap();
        ours.flush().await.unwrap();
        let mut heard = [0; 2];
        theirs.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"hi");
    }
    for authority_part in ["127.0.0.1:8443", "[::1]:8443", "[::1]", "chat.test"] {
        let (_, theirs) = open(&trusting(&authority), authority_part, &server)
            .await
            .unwrap();
        let session = theirs.get_ref().1;
        assert_eq!(session.alpn_protocol(), Some(&b"http/1.1"[..]));
        let asked_for = (authority_part == "chat.test").then_some("chat.test");
        assert_eq!(
            session.server_name(),
            asked_for,
            "an address is not asked for by name"
        );
    }
}

#[tokio::test]
async fn a_refusal_says_what_to_change() {
    let (authority, shown) = authority_and_server(&["chat.test"], 4000);
    let (of_others, expired) = authority_and_server(&["chat.test"], 2001);
    let own = its_own_authority(&["chat.test"]);
    let server = server_that_shows(&shown, &[]);
    let rows = [
        (
            refusal(&trusting(&of_others), "chat.test:1", &server).await,
            "the certificate of chat.test is signed by an unknown authority: name it with tls.ca or --ca",
        ),
        (
            refusal(&trusting(&authority), "127.0.0.1:1", &server).await,
            "the certificate of 127.0.0.1 is for chat.test: use such a name, or check nothing (tls.insecure or --insecure)",
        ),
        (
            refusal(&trusting(&own.pem), "other.test", &server_that_shows(&own, &[])).await,
            "the certificate of other.test is for chat.test: use such a name, or check nothing (tls.insecure or --insecure)",
        ),
        (
            refusal(
                &trusting(&of_others),
                "chat.test",
                &server_that_shows(&expired, &[]),
            )
            .await,
            "the certificate of chat.test has expired: renew it, or check nothing (tls.insecure or --insecure)",
        ),
        (
            refusal(
                &trusting(&authority),
                "chat.test",
                &server_that_shows(&shown, &[b"h2"]),
            )
            .await,
            "chat.test refuses TLS with us: it does not speak http/1.1 there (ALPN)",
        ),
        (
            refusal(&trusting(&authority), "chat.test", &server_that_shows(&own, &[])).await,
            "the certificate of chat.test is not one of a server (CaUsedAsEndEntity): if it is its own authority, name it with \
             tls.ca or --ca, or check nothing (tls.insecure or --insecure)",
        ),
        (
            refusal(&trusting(&authority), "chat..test:1", &server).await,
            "`chat..test` is no name that a certificate can have",
        ),
    ];
    for (refused, expected) in rows {
        assert_eq!(refused, expected);
    }
}

#[tokio::test]
async fn a_server_without_tls_and_one_that_hangs_up_are_told_apart() {
    let (authority, _) = authority_and_server(&["chat.test"], 4000);
    let (ours, mut theirs) = duplex(PIPE_BYTES);
    theirs
        .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        .await
        .unwrap();
    let refused = trusting(&authority).open(ours, "chat.test:80").await;
    assert_eq!(
        refused.unwrap_err().to_string(),
        "chat.test does not answer in TLS: write ws:// for wss://"
    );
    let (ours, theirs) = duplex(PIPE_BYTES);
    drop(theirs);
    let refused = trusting(&authority).open(ours, "chat.test:80").await;
    assert!(matches!(refused, Err(TlsError::Io(_))));
}

#[tokio::test]
async fn anyone_is_believed_only_when_told_so() {
    let (_, shown) = authority_and_server(&["elsewhere.test"], 2001);
    let server = server_that_shows(&shown, &[]);
    let transport = Transport::Tls(Tls::new(Trust::Anyone).unwrap());
    assert!(transport.believes_anyone());
    assert!(open(&transport, "chat.test", &server).await.is_ok());
}

#[tokio::test]
async fn a_certificate_that_was_made_up_is_for_this_machine() {
    let made = made_up::make_up().unwrap();
    let shown = Shown {
        certificate: rustls::pki_types::pem::PemObject::from_pem_slice(made.certificate.as_bytes()).unwrap(),
        pem: made.certificate,
        key: KeyPair::from_pem(&made.key).unwrap(),
    };
    let transport = Transport::Tls(Tls::new(Trust::MadeUp(vec![made.authority])).unwrap());
    assert!(!transport.believes_anyone());
    for authority in ["127.0.0.1:1", "localhost:1"] {
        assert!(
            open(&transport, authority, &server_that_shows(&shown, &[]))
                .await
                .is_ok()
        );
    }
}

#[tokio::test]
async fn the_end_of_our_half_is_a_goodbye_and_reading_goes_on() {
    let (authority, shown) = authority_and_server(&["chat.test"], 4000);
    let server = server_that_shows(&shown, &[]);
    let (mut ours, mut theirs) = open(&trusting(&authority), "chat.test", &server).await.unwrap();
    ours.shutdown().await.unwrap();
    // An end without a goodbye would be an error.
    assert_eq!(theirs.read_to_end(&mut Vec::new()).await.unwrap(), 0);
    theirs.write_all(b"still here").await.unwrap();
    theirs.shutdown().await.unwrap();
    let mut heard = Vec::new();
    ours.read_to_end(&mut heard).await.unwrap();
    assert_eq!(heard, b"still here");
}

#[tokio::test]
async fn a_server_that_ends_without_a_goodbye_is_an_error() {
    let (authority, shown) = authority_and_server(&["chat.test"], 4000);
    let server = server_that_shows(&shown, &[]);
    let (mut ours, theirs) = open(&trusting(&authority), "chat.test", &server).await.unwrap();
    drop(theirs);
    let ended = ours.read_to_end(&mut Vec::new()).await.unwrap_err();
    assert_eq!(ended.kind(), io::ErrorKind::UnexpectedEof);
}

#[test]
fn authorities_that_cannot_be_used_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    let refused = |text: &str| {
        std::fs::write(&path, text).unwrap();
        let refused = Tls::new(Trust::Authorities(path.clone())).unwrap_err();
        refused
            .to_string()
            .replace(&folder.path().display().to_string(), ".")
    };
    let (authority, _) = authority_and_server(&["x"], 4000);
    for (text, why) in [
        ("", "there is no certificate in it"),
        (&authority.replacen("MII", "M*I", 1), "its PEM is damaged"),
        (
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            "there is no certificate of the kind that is used for TLS (X.509 v3) in it",
        ),
    ] {
        let expected = format!("cannot use the authorities (tls.ca or --ca) in ./ca.pem: {why}");
        assert_eq!(refused(text), expected);
    }
    let absent = Tls::new(Trust::Authorities("/nowhere/ca.pem".into())).unwrap_err();
    let expected = "could not read the authorities (tls.ca or --ca) in /nowhere/ca.pem: ";
    assert!(absent.to_string().starts_with(expected), "{absent}");
}
