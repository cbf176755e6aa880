//! A certificate for one run: an authority that nobody else knows, and what it vouches for.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::CertificateDer;

/// What the certificate of a server on this machine has to name.
const NAMES: [&str; 2] = ["127.0.0.1", "localhost"];

/// A server's certificate and its key, and who believes it.
pub(crate) struct MadeUp {
    /// PEM.
    pub(crate) certificate: String,
    /// PEM; a secret, although of no use after the run.
    pub(crate) key: String,
    /// Its authority. The authority's own key is gone already.
    pub(crate) authority: CertificateDer<'static>,
}

/// Makes one up.
///
/// # Errors
/// The system has no randomness for the keys.
pub(crate) fn make_up() -> Result<MadeUp, rcgen::Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let names = NAMES.map(str::to_owned).to_vec();
    let certificate = CertificateParams::new(names)?.signed_by(&key, &authority)?;
    Ok(MadeUp {
        certificate: certificate.pem(),
        key: key.serialize_pem(),
        authority: authority.der().clone(),
    })
}
