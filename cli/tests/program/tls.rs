//! A server with a certificate and with keys of others: what a bad file is answered with, and SIGHUP.

use std::net::TcpStream;
use std::sync::Arc;

use rcgen::{CertifiedIssuer, KeyPair};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use crate::support::{Running, eventually, folder, issue, listening, touchstone};

const SECRET: (&str, &str) = ("secret", "a secret of some length, enough of it");

/// Whether the server shows a certificate that `authority` vouches for.
fn is_vouched_for(address: &str, authority: &CertifiedIssuer<'static, KeyPair>) -> bool {
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone()).unwrap();
    let client = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let mut session = ClientConnection::new(Arc::new(client), name).unwrap();
    let mut tcp = TcpStream::connect(address).unwrap();
    while session.is_handshaking() {
        if session.complete_io(&mut tcp).is_err() {
            return false;
        }
    }
    true
}

fn hang_up(server: &Running) {
    // SAFETY: `kill` takes plain integers; the process is a child of this test that has not been reaped.
    let sent = unsafe { libc::kill(i32::try_from(server.id()).unwrap(), libc::SIGHUP) };
    assert_eq!(sent, 0);
}

fn said(server: &Running, what: &str, times: usize) {
    eventually(what, || {
        (server.said().matches(what).count() >= times).then_some(())
    });
}

#[test]
fn sighup_brings_a_new_certificate_and_a_bad_one_changes_nothing() {
    let folder = folder(&[SECRET]);
    let first = issue(folder.path());
    let args = ["serve", "--secret-file", "secret", "--listen", "127.0.0.1:0"];
    let tls = ["--tls-cert", "chain.pem", "--tls-key", "key.pem"];
    let server = Running::start(touchstone(folder.path(), &[&args[..], &tls].concat()));
    let address = listening(&server);
    assert!(is_vouched_for(&address, &first));
    std::fs::write(folder.path().join("chain.pem"), "garbage").unwrap();
    hang_up(&server);
    said(&server, "the certificate stays what it is", 1);
    said(&server, "there is no certificate in it", 1);
    assert!(is_vouched_for(&address, &first));
    let second = issue(folder.path());
    hang_up(&server);
    said(&server, "the certificate has been read again", 1);
    assert!(is_vouched_for(&address, &second));
    assert!(!is_vouched_for(&address, &first));
}

#[test]
fn a_file_that_cannot_be_used_is_named_at_the_start() {
    let folder = folder(&[
        SECRET,
        ("empty.pem", ""),
        (
            "jwks.json",
            r#"{"keys": [{"kty": "RSA", "kid": "r", "n": "AQAB", "e": "AQAB"}]}"#,
        ),
    ]);
    issue(folder.path());
    let rows: [(&[&str], &str); 5] = [
        (
            &["--tls-cert", "chain.pem", "--tls-key", "empty.pem"],
            "cannot use the private key in empty.pem: there is no private key in it",
        ),
        (
            &["--tls-cert", "absent.pem", "--tls-key", "key.pem"],
            "could not read the certificate in absent.pem: ",
        ),
        (
            &["--tls-cert", "chain.pem"],
            "`tls.certificate` is set (--tls-cert) and `tls.key` is not",
        ),
        (
            &["--set", "auth.jwks_file=jwks.json"],
            "cannot use the keys in jwks.json: the key `r`: its RSA key has 17 bits; 2048 to 4096 are taken",
        ),
        (
            &["--set", "auth.public_key_files=key.pem"],
            "cannot use the keys in key.pem: it is a private key, which has no place here",
        ),
    ];
    for (more, expected) in rows {
        let args = ["serve", "--secret-file", "secret", "--listen", "127.0.0.1:0"];
        let ended = Running::start(touchstone(folder.path(), &[&args[..], more].concat())).end();
        assert_eq!(ended.code, Some(2), "{ended:#?}");
        assert!(ended.stderr.contains(expected), "{expected}: {ended:#?}");
    }
}
