//! TLS of the listeners: the certificate and its key, read at the start and again when somebody asks, and the handshake.

mod validity;

use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};

use rustls::crypto::CryptoProvider;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ParsedCertificate, ServerConfig};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use thiserror::Error;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use touchstone_storage::Timestamp;

use crate::config::TlsFiles;
use validity::Validity;

/// WebSockets are upgraded from HTTP/1.1, and nothing else is spoken here.
const PROTOCOL: &[u8] = b"http/1.1";

/// What may wait, encrypted, for a socket that takes nothing: one record. What comes behind it waits in the connection's
/// own queue, whose limits count.
const ENCRYPTED_BYTES_MAX: usize = 16 << 10;

/// Larger files are not certificates, and are not read.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Why TLS cannot be spoken with these files.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("could not read the {what} in {}: {source}", path.display())]
    Unreadable {
        /// What was expected there.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file holds something else.
    #[error("cannot use the {what} in {}: {why}", path.display())]
    Unusable {
        /// What was expected there.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// Each file is fine by itself.
    #[error("the private key in {} is not that of the certificate in {}", key.display(), certificate.display())]
    Mismatch {
        /// The file of the key.
        key: PathBuf,
        /// The file of the certificate.
        certificate: PathBuf,
    },
    /// The library refuses what it made itself.
    #[error("TLS cannot be set up: {0}")]
    Library(#[from] rustls::Error),
}

/// The one choice of cryptography for TLS.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// The certificate of the listeners. It can be read again at any time: who shakes hands from then on gets the new one,
/// and open connections stay.
#[derive(Debug)]
pub(crate) struct Certificates {
    files: TlsFiles,
    current: RwLock<Arc<ServerConfig>>,
}

impl Certificates {
    /// Reads the files. A certificate that is not valid at `now` is warned of, and used: a clock may be wrong, and a
    /// client can be told to take it.
    pub(crate) fn read(files: &TlsFiles, now: Timestamp) -> Result<Self, TlsError> {
        Ok(Self {
            files: files.clone(),
            current: RwLock::new(read(files, now)?),
        })
    }

    /// Reads the files again. After an error the certificate is what it was.
    pub(crate) fn read_again(&self, now: Timestamp) -> Result<(), TlsError> {
        let config = read(&self.files, now)?;
        *self
            .current
            .write()
            .expect("the certificate's lock is never poisoned: no code panics while holding it") = config;
        Ok(())
    }

    /// Shakes hands. Whoever calls sets the deadline.
    pub(crate) async fn accept(&self, socket: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
        let config = {
            let current = self.current.read();
            Arc::clone(
                &current.expect("the certificate's lock is never poisoned: no code panics while holding it"),
            )
        };
        TlsAcceptor::from(config)
            .accept_with(socket, |session| {
                session.set_buffer_limit(Some(ENCRYPTED_BYTES_MAX));
            })
            .await
    }
}

fn read(files: &TlsFiles, now: Timestamp) -> Result<Arc<ServerConfig>, TlsError> {
    let chain = chain(&files.certificate, now)?;
    let provider = provider();
    let signing = private_key(&files.key, &provider)?;
    let certified = CertifiedKey::new(chain, signing);
    match certified.keys_match() {
        Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {}
        Err(_) => {
            return Err(TlsError::Mismatch {
                key: files.key.clone(),
                certificate: files.certificate.clone(),
            });
        }
    }
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    // What is needed to resume a session is in the client's ticket, so that it costs no memory here.
    config.ticketer = ring::Ticketer::new()?;
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    Ok(Arc::new(config))
}

fn chain(path: &Path, now: Timestamp) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    const WHAT: &str = "certificate";
    let unusable = |why: String| TlsError::Unusable {
        what: WHAT,
        path: path.to_owned(),
        why,
    };
    let pem = contents(WHAT, path)?;
    let chain = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| unusable("its PEM is damaged".to_owned()))?;
    let first = chain
        .first()
        .ok_or_else(|| unusable("there is no certificate in it".to_owned()))?;
    ParsedCertificate::try_from(first).map_err(|_| {
        unusable("it is no certificate of the kind that is used for TLS (X.509 v3)".to_owned())
    })?;
    match Validity::of(first).map(|validity| validity.at(now.millis() / 1_000)) {
        Some(validity::At::Within) => {}
        Some(validity::At::Before) => {
            tracing::warn!(file = %path.display(), "the certificate is not valid yet");
        }
        Some(validity::At::After) => tracing::warn!(file = %path.display(), "the certificate has expired"),
        None => return Err(unusable("it does not say how long it is valid".to_owned())),
    }
    Ok(chain)
}

fn private_key(
    path: &Path,
    provider: &CryptoProvider,
) -> Result<Arc<dyn rustls::sign::SigningKey>, TlsError> {
    const WHAT: &str = "private key";
    let unusable = |why: &str| TlsError::Unusable {
        what: WHAT,
        path: path.to_owned(),
        why: why.to_owned(),
    };
    let text = contents(WHAT, path)?;
    let key = PrivateKeyDer::from_pem_slice(&text).map_err(|error| match error {
        pem::Error::NoItemsFound if has(&text, b"BEGIN ENCRYPTED PRIVATE KEY") => {
            unusable("it is encrypted, and there is nobody to ask for the password")
        }
        pem::Error::NoItemsFound => unusable("there is no private key in it"),
        _ => unusable("its PEM is damaged"),
    })?;
    provider
        .key_provider
        .load_private_key(key)
        .map_err(|_| unusable("it is neither RSA (2048 to 8192 bits) nor P-256, P-384 or Ed25519"))
}

fn has(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

fn contents(what: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    let unreadable = |source| TlsError::Unreadable {
        what,
        path: path.to_owned(),
        source,
    };
    let bytes = std::fs::metadata(path).map_err(unreadable)?.len();
    if bytes > FILE_BYTES_MAX {
        return Err(TlsError::Unusable {
            what,
            path: path.to_owned(),
            why: format!("{bytes} bytes are more than a chain has"),
        });
    }
    std::fs::read(path).map_err(unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, CertifiedIssuer, KeyPair};

    const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

    fn refusal(certificate: &str, key: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let files = TlsFiles {
            certificate: folder.path().join("chain.pem"),
            key: folder.path().join("key.pem"),
        };
        std::fs::write(&files.certificate, certificate).unwrap();
        std::fs::write(&files.key, key).unwrap();
        match Certificates::read(&files, NOW) {
            Ok(_) => "none".to_owned(),
            Err(error) => error
                .to_string()
                .replace(&folder.path().display().to_string(), "."),
        }
    }

    fn pair() -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = CertifiedIssuer::self_signed(params, &key).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    #[test]
    fn a_refusal_names_the_file_and_what_is_wrong() {
        let ((certificate, key), (other, _)) = (pair(), pair());
        let damaged = certificate.replacen("MII", "M*I", 1);
        let not_der = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
        let unknown = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        let mismatch = "the private key in ./key.pem is not that of the certificate in ./chain.pem";
        for (certificate, key, expected) in [
            (&*certificate, &*key, "none"),
            (
                &*key,
                &*key,
                "cannot use the certificate in ./chain.pem: there is no certificate in it",
            ),
            (
                &*damaged,
                &*key,
                "cannot use the certificate in ./chain.pem: its PEM is damaged",
            ),
            (
                not_der,
                &*key,
                "cannot use the certificate in ./chain.pem: it is no certificate of the kind that is used for TLS (X.509 v3)",
            ),
            (
                &*certificate,
                &*certificate,
                "cannot use the private key in ./key.pem: there is no private key in it",
            ),
            (
                &*certificate,
                encrypted,
                "cannot use the private key in ./key.pem: it is encrypted, and there is nobody to ask for the password",
            ),
            (
                &*certificate,
                unknown,
                "cannot use the private key in ./key.pem: it is neither RSA (2048 to 8192 bits) nor P-256, P-384 or Ed25519",
            ),
            (&*other, &*key, mismatch),
        ] {
            assert_eq!(refusal(certificate, key), expected);
        }
        let absent = TlsFiles {
            certificate: "/nowhere/chain.pem".into(),
            key: "/nowhere/key.pem".into(),
        };
        let refusal = Certificates::read(&absent, NOW).unwrap_err().to_string();
        assert!(
            refusal.starts_with("could not read the certificate in /nowhere/chain.pem: "),
            "{refusal}"
        );
    }
}
