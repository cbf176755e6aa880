//! Which certificates are believed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::{ParsedCertificate, VerifierBuilderError};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

/// WebSockets are upgraded from HTTP/1.1, and nothing else is spoken here.
const PROTOCOL: &[u8] = b"http/1.1";

/// Who may say that a server is who it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// The authorities that this system believes; `SSL_CERT_FILE` and `SSL_CERT_DIR` say where else they are.
    System,
    /// Those in this PEM file and no others. A server's own certificate may stand there as well.
    Authorities(PathBuf),
    /// Those that were made for this run.
    MadeUp(Vec<CertificateDer<'static>>),
    /// Whoever answers. Nothing is known then of who reads along.
    Anyone,
}

/// Why nobody can be believed.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The file cannot be read.
    #[error("could not read the authorities (tls.ca or --ca) in {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// There is something else in it.
    #[error("cannot use the authorities (tls.ca or --ca) in {}: {why}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: &'static str,
    },
    /// The system has none.
    #[error(
        "this system has no list of authorities{}: name one with tls.ca or --ca",
        why.as_ref().map(|why| format!(" ({why})")).unwrap_or_default()
    )]
    NoneHere {
        /// What it said when it was asked.
        why: Option<String>,
    },
    /// The library refuses what it was given.
    #[error("TLS cannot be set up: {0}")]
    Library(#[from] Error),
    /// The library refuses the authorities that it was given.
    #[error("TLS cannot be set up: {0}")]
    Verifier(#[from] VerifierBuilderError),
}

impl Trust {
    /// A client's side of TLS: ring, TLS 1.2 and 1.3, http/1.1, nothing resumed.
    pub(super) fn config(&self) -> Result<ClientConfig, TrustError> {
        let provider = Arc::new(ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(self.verifier(provider)?)
            .with_no_client_auth();
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        config.resumption = Resumption::disabled();
        Ok(config)
    }

    fn verifier(&self, provider: Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>, TrustError> {
        let named = match self {
            Self::Anyone => return Ok(Arc::new(Anyone(provider))),
            Self::System => system()?,
            Self::Authorities(path) => from_file(path)?,
            Self::MadeUp(certificates) => certificates.clone(),
        };
        let mut roots = RootCertStore::empty();
        let (usable, _) = roots.add_parsable_certificates(named.iter().cloned());
        if usable == 0
            && let Self::Authorities(path) = self
        {
            return Err(TrustError::Unusable {
                path: path.clone(),
                why: "there is no certificate of the kind that is used for TLS (X.509 v3) in it",
            });
        }
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build()?;
        Ok(match self {
            Self::Authorities(_) => Arc::new(Named { verifier, named }),
            Self::System | Self::MadeUp(_) | Self::Anyone => verifier,
        })
    }
}

fn system() -> Result<Vec<CertificateDer<'static>>, TrustError> {
    let found = rustls_native_certs::load_native_certs();
    if found.certs.is_empty() {
        return Err(TrustError::NoneHere {
            why: found.errors.first().map(ToString::to_string),
        });
    }
    Ok(found.certs)
}

fn from_file(path: &Path) -> Result<Vec<CertificateDer<'static>>, TrustError> {
    let unusable = |why| TrustError::Unusable {
        path: path.to_owned(),
        why,
    };
    let pem = std::fs::read(path).map_err(|source| TrustError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    let certificates = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| unusable("its PEM is damaged"))?;
    if certificates.is_empty() {
        return Err(unusable("there is no certificate in it"));
    }
    Ok(certificates)
}

/// Believes authorities, and a server that shows a certificate which was named itself: `openssl req -x509` makes one
/// that is its own authority, which the rules for certificates of servers refuse.
#[derive(Debug)]
struct Named {
    verifier: Arc<WebPkiServerVerifier>,
    named: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for Named {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        server: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let judged = self
            .verifier
            .verify_server_cert(shown, between, server, ocsp, now);
        match judged {
            Err(Error::InvalidCertificate(
                CertificateError::Expired
                | CertificateError::ExpiredContext { .. }
                | CertificateError::NotValidYet
                | CertificateError::NotValidYetContext { .. },
            )) => judged,
            Err(_) if self.named.contains(shown) => {
                verify_server_name(&ParsedCertificate::try_from(shown)?, server)?;
                Ok(ServerCertVerified::assertion())
            }
            Ok(_) | Err(_) => judged,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls12_signature(message, shown, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls13_signature(message, shown, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

/// Believes whoever answers. That he has the key of the certificate that he shows is still asked for: without it this
/// would be no TLS.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _shown: &CertificateDer<'_>,
        _between: &[CertificateDer<'_>],
        _server: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, shown, signed, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, shown, signed, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
