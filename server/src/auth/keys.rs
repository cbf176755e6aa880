//! Keys that tokens are checked with, and the files they come from: PEM public keys and JWK sets (RFC 7517). What a key
//! is good for is settled here, when it is read; a token has no say in it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};

use jsonwebtoken::jwk::{AlgorithmParameters, Jwk};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, Validation, crypto};
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject;
use serde::Deserialize;
use thiserror::Error;

use crate::config::AuthConfig;

/// Larger files are not keys, and are not read.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// A token without `kid` may have to be tried with all keys of its algorithm: there are not more of them than this.
const KEYS_MAX: usize = 100;

/// RFC 7518, 3.3: a smaller RSA key must not be used. Larger ones than the second cost every handshake too much.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2_048..=4_096;

/// RFC 7518, 3.2: HS256 needs a key as long as its hash.
const SECRET_BYTES_WANTED: usize = 32;

/// Why a file gives no keys.
#[derive(Debug, Error)]
pub enum KeyFileError {
    /// It cannot be read.
    #[error("could not read the keys in {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// There is something else in it than keys we could use.
    #[error("cannot use the keys in {}: {why}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong; nothing of the key itself.
        why: String,
    },
}

/// A key, with the one algorithm that it is used for.
pub(super) struct VerifyingKey {
    id: Option<String>,
    algorithm: Algorithm,
    pub(super) key: DecodingKey,
    pub(super) validation: Validation,
}

impl std::fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "VerifyingKey({:?}, {:?})", self.algorithm, self.id)
    }
}

impl VerifyingKey {
    /// The key of HS256 that a dialect has in its configuration.
    pub(super) fn of_secret(secret: &[u8]) -> Self {
        Self::new(None, Algorithm::HS256, DecodingKey::from_secret(secret))
    }

    fn new(id: Option<String>, algorithm: Algorithm, key: DecodingKey) -> Self {
        // The claims are checked by `Tokens`, against a clock that is passed in.
        let mut validation = Validation::new(algorithm);
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        Self {
            id,
            algorithm,
            key,
            validation,
        }
    }

    /// A key that the library takes for this algorithm.
    fn checked(id: Option<String>, algorithm: Algorithm, key: DecodingKey) -> Result<Self, String> {
        let refused = || format!("it is no key for {algorithm:?}");
        let is_whole = match algorithm.family() {
            AlgorithmFamily::Hmac => key.try_get_as_bytes().is_ok_and(|secret| !secret.is_empty()),
            AlgorithmFamily::Rsa => return check_rsa(&key).map(|()| Self::new(id, algorithm, key)),
            // A point is taken by its length alone, before it is looked at.
            AlgorithmFamily::Ed => key.try_get_as_bytes().is_ok_and(|point| point.len() == 32),
            AlgorithmFamily::Ec => key.try_get_as_bytes().is_ok(),
        };
        let works =
            is_whole && (crypto::rust_crypto::DEFAULT_PROVIDER.verifier_factory)(&algorithm, &key).is_ok();
        works.then(|| Self::new(id, algorithm, key)).ok_or_else(refused)
    }
}

/// The keys that may be tried for a token. One that names its key (`kid`) is tried with the keys of that name only; if
/// there is none, and for one that names none, with those that have no name. Without `kid` the named ones are tried too.
pub(super) fn candidates<'a>(
    keys: impl Iterator<Item = &'a VerifyingKey> + Clone,
    id: Option<&str>,
    algorithm: Algorithm,
) -> impl Iterator<Item = &'a VerifyingKey> {
    let is_named = id.is_some() && keys.clone().any(|key| key.id.as_deref() == id);
    let id = id.map(str::to_owned);
    keys.filter(move |key| {
        let may_be_meant = match &id {
            None => true,
            Some(_) if is_named => key.id == id,
            Some(_) => key.id.is_none(),
        };
        may_be_meant && key.algorithm == algorithm
    })
}

/// The keys of the configured files, for the tokens of every dialect. They can be read again at any time; who verifies
/// has them only for as long as it takes to count a reference.
#[derive(Debug, Default)]
pub(crate) struct TrustedKeys(RwLock<Arc<[VerifyingKey]>>);

impl TrustedKeys {
    /// Reads all files.
    pub(crate) fn read(config: &AuthConfig) -> Result<Self, KeyFileError> {
        Ok(Self(RwLock::new(read_all(config)?)))
    }

    /// Reads all files again. After an error the keys are what they were. Returns how many there are.
    pub(crate) fn read_again(&self, config: &AuthConfig) -> Result<usize, KeyFileError> {
        let keys = read_all(config)?;
        let number = keys.len();
        *self
            .0
            .write()
            .expect("the keys' lock is never poisoned: no code panics while holding it") = keys;
        Ok(number)
    }

    pub(super) fn current(&self) -> Arc<[VerifyingKey]> {
        let keys = self.0.read();
        Arc::clone(&keys.expect("the keys' lock is never poisoned: no code panics while holding it"))
    }
}

fn read_all(config: &AuthConfig) -> Result<Arc<[VerifyingKey]>, KeyFileError> {
    let mut keys = Vec::new();
    for path in &config.public_keys {
        keys.push(used(path, pem_key(&text(path)?))?);
    }
    if let Some(path) = &config.jwks {
        keys.extend(used(path, jwk_set(&text(path)?))?);
        if keys.len() > KEYS_MAX {
            let why = format!(
                "with it there are {} keys, and {KEYS_MAX} is the limit",
                keys.len()
            );
            return used(path, Err(why));
        }
    }
    Ok(keys.into())
}

fn used<T>(path: &Path, keys: Result<T, String>) -> Result<T, KeyFileError> {
    keys.map_err(|why| KeyFileError::Unusable {
        path: path.to_owned(),
        why,
    })
}

fn text(path: &Path) -> Result<String, KeyFileError> {
    let unreadable = |source| KeyFileError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let bytes = std::fs::metadata(path).map_err(unreadable)?.len();
    if bytes > FILE_BYTES_MAX {
        return used(path, Err(format!("{bytes} bytes are more than a key has")));
    }
    std::fs::read_to_string(path).map_err(unreadable)
}

/// The one public key of a PEM file (RFC 7468), with the algorithm that goes with its kind.
fn pem_key(text: &str) -> Result<VerifyingKey, String> {
    let labels: Vec<&str> = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("-----BEGIN ")?.strip_suffix("-----"))
        .collect();
    let label = match labels[..] {
        [] => return Err("there is no PEM in it".to_owned()),
        [label] => label,
        [_, _, ..] => {
            return Err(format!(
                "there are {} things in it instead of one key",
                labels.len()
            ));
        }
    };
    let pem = text.as_bytes();
    let (algorithm, key) = match label {
        _ if label.ends_with("PRIVATE KEY") => {
            return Err("it is a private key, which has no place here: give the public one".to_owned());
        }
        "CERTIFICATE" => return Err("it is a certificate: give the public key that is in it".to_owned()),
        "RSA PUBLIC KEY" => (Algorithm::RS256, DecodingKey::from_rsa_pem(pem)),
        "PUBLIC KEY" => [
            (Algorithm::RS256, DecodingKey::from_rsa_pem(pem)),
            (curve(text)?, DecodingKey::from_ec_pem(pem)),
            (Algorithm::EdDSA, DecodingKey::from_ed_pem(pem)),
        ]
        .into_iter()
        .find(|(_, key)| key.is_ok())
        .ok_or("it is neither RSA nor P-256, P-384 or Ed25519")?,
        other => return Err(format!("it is a `{other}` and no public key")),
    };
    let key = key.map_err(|_| "its PEM is damaged".to_owned())?;
    VerifyingKey::checked(None, algorithm, key)
}

/// The algorithm of a key on a curve, by the name of the curve in it; any will do for a key that is on none.
fn curve(pem: &str) -> Result<Algorithm, String> {
    /// `id-ecPublicKey` (RFC 5480) as it is encoded, and behind it the names of the curves.
    const ON_A_CURVE: &[u8] = &[0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
    const P256: &[u8] = &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
    const P384: &[u8] = &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22];
    let der = SubjectPublicKeyInfoDer::from_pem_slice(pem.as_bytes()).map_err(|_| "its PEM is damaged")?;
    let has = |part: &[u8]| der.windows(part.len()).any(|window| window == part);
    if has(P384) {
        Ok(Algorithm::ES384)
    } else if has(P256) || !has(ON_A_CURVE) {
        Ok(Algorithm::ES256)
    } else {
        Err("its curve is neither P-256 nor P-384".to_owned())
    }
}

/// A key of a JWK set, as far as we look at it (RFC 7517, 4; RFC 7518, 6; RFC 8037).
#[derive(Deserialize)]
struct JwkFields {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    k: Option<String>,
    d: Option<String>,
}

#[derive(Deserialize)]
struct JwkSet {
    keys: Vec<JwkFields>,
}

/// The keys of a JWK set that signatures can be checked with; others are passed over (RFC 7517, 5).
fn jwk_set(text: &str) -> Result<Vec<VerifyingKey>, String> {
    // The place and not the text, which may be that of a key.
    let set: JwkSet = serde_json::from_str(text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        format!("it is no JWK set (line {line}, column {column})")
    })?;
    let mut keys = Vec::new();
    for (index, fields) in set.keys.iter().enumerate() {
        let name = match &fields.kid {
            Some(id) => format!("the key `{id}`"),
            None => format!("key {}", index + 1),
        };
        match jwk(fields).map_err(|why| format!("{name}: {why}"))? {
            Some(key) => keys.push(key),
            None => tracing::info!("{name} of the JWK set is for something else than our signatures"),
        }
    }
    if keys.is_empty() {
        return Err("it has no key that signatures could be checked with".to_owned());
    }
    Ok(keys)
}

/// `None` for a key that is none for signatures, or of an algorithm that is not ours.
fn jwk(fields: &JwkFields) -> Result<Option<VerifyingKey>, String> {
    let is_for_signatures = fields.purpose.as_deref().is_none_or(|purpose| purpose == "sig")
        && fields
            .key_ops
            .as_ref()
            .is_none_or(|operations| operations.iter().any(|operation| operation == "verify"));
    let by_kind = match (fields.kty.as_str(), fields.crv.as_deref()) {
        ("RSA", _) => Algorithm::RS256,
        ("EC", Some("P-256")) => Algorithm::ES256,
        ("EC", Some("P-384")) => Algorithm::ES384,
        ("OKP", Some("Ed25519")) => Algorithm::EdDSA,
        ("oct", _) => Algorithm::HS256,
        (_, _) => return Ok(None),
    };
    let algorithm = match fields.alg.as_deref().map(str::parse) {
        None => by_kind,
        Some(Ok(algorithm)) => algorithm,
        // RFC 9864 has names of its own for what RFC 8037 calls EdDSA.
        Some(Err(_)) if fields.alg.as_deref() == Some("Ed25519") => Algorithm::EdDSA,
        Some(Err(_)) => return Ok(None),
    };
    if !is_for_signatures {
        return Ok(None);
    }
    let is_on_a_curve = matches!(algorithm.family(), AlgorithmFamily::Ec | AlgorithmFamily::Ed);
    if algorithm.family() != by_kind.family() || (is_on_a_curve && algorithm != by_kind) {
        return Err(format!("`alg` is {algorithm:?}, and it is no key for that"));
    }
    if fields.d.is_some() {
        return Err("it is a private key, which has no place here: give the public one".to_owned());
    }
    let member = |name: &str, value: &Option<String>| value.clone().ok_or(format!("`{name}` is missing"));
    let key = match algorithm.family() {
        AlgorithmFamily::Rsa => {
            DecodingKey::from_rsa_components(&member("n", &fields.n)?, &member("e", &fields.e)?)
        }
        AlgorithmFamily::Ec => {
            DecodingKey::from_ec_components(&member("x", &fields.x)?, &member("y", &fields.y)?)
        }
        AlgorithmFamily::Ed => DecodingKey::from_ed_components(&member("x", &fields.x)?),
        AlgorithmFamily::Hmac => octets(member("k", &fields.k)?),
    };
    let key = key.map_err(|_| "it is not base64url (RFC 7515)".to_owned())?;
    if let (AlgorithmFamily::Hmac, Ok(secret)) = (algorithm.family(), key.try_get_as_bytes())
        && secret.len() < SECRET_BYTES_WANTED
    {
        let bytes = secret.len();
        tracing::warn!(
            "a secret of the JWK set has {bytes} bytes; with fewer than {SECRET_BYTES_WANTED} it can be guessed"
        );
    }
    VerifyingKey::checked(fields.kid.clone(), algorithm, key).map(Some)
}

/// Of the ways to make a secret of text, only this one takes base64url.
fn octets(secret: String) -> Result<DecodingKey, jsonwebtoken::errors::Error> {
    use jsonwebtoken::jwk::{CommonParameters, OctetKeyParameters, OctetKeyType};
    DecodingKey::from_jwk(&Jwk {
        common: CommonParameters::default(),
        algorithm: AlgorithmParameters::OctetKey(OctetKeyParameters {
            key_type: OctetKeyType::Octet,
            value: secret,
        }),
    })
}

/// The library looks at an RSA key only when it checks a signature with it.
fn check_rsa(key: &DecodingKey) -> Result<(), String> {
    let damaged = || "its RSA key is damaged".to_owned();
    let jwk = Jwk::from_decoding_key(key, None).map_err(|_| damaged())?;
    let AlgorithmParameters::RSA(parts) = &jwk.algorithm else {
        return Err(damaged());
    };
    let raw = DecodingKey::from_rsa_components(&parts.n, &parts.e).map_err(|_| damaged())?;
    let jsonwebtoken::DecodingKeyKind::RsaModulusExponent { n, e } = raw.kind() else {
        return Err(damaged());
    };
    let bits = bits(n);
    if !RSA_BITS.contains(&bits) {
        let (min, max) = (RSA_BITS.start(), RSA_BITS.end());
        return Err(format!("its RSA key has {bits} bits; {min} to {max} are taken"));
    }
    let is_odd = e.last().is_some_and(|last| last % 2 == 1);
    if !is_odd || !(2..=33).contains(&self::bits(e)) {
        return Err(damaged());
    }
    Ok(())
}

/// How many bits a number has that is written in bytes, the first of them first.
fn bits(number: &[u8]) -> usize {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.get(zeros).map_or(0, |first| {
        (number.len() - zeros) * 8 - first.leading_zeros() as usize
    })
}
