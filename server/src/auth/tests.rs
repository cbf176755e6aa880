//! Tokens of other people's keys: each algorithm with a key made for the test, and the ways to mistake one for another.

use std::path::PathBuf;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, EncodingKey, Header};
use rsa::pkcs1::{EncodeRsaPrivateKey, EncodeRsaPublicKey};
use rsa::pkcs8::EncodePublicKey;
use serde_json::{Map, Value, json};
use touchstone_storage::Timestamp;

use super::tokens::TokenError;
use super::{Tokens, TrustedKeys};
use crate::config::{AuthConfig, DialectAuth, Secret};

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_500);
const LATER: u64 = 1_700_000_060;
const SECRET: &str = "a secret of some length, enough of it";

/// Somebody who signs tokens.
struct Issuer {
    algorithm: Algorithm,
    private: EncodingKey,
    public_pem: String,
}

impl Issuer {
    fn on_a_curve(algorithm: Algorithm) -> Self {
        let kind = match algorithm {
            Algorithm::ES256 => &rcgen::PKCS_ECDSA_P256_SHA256,
            Algorithm::ES384 => &rcgen::PKCS_ECDSA_P384_SHA384,
            Algorithm::EdDSA => &rcgen::PKCS_ED25519,
            other => panic!("{other:?} is not on a curve"),
        };
        let pair = rcgen::KeyPair::generate_for(kind).unwrap();
        let pem = pair.serialize_pem();
        let private = EncodingKey::from_ec_pem(pem.as_bytes())
            .or_else(|_| EncodingKey::from_ed_pem(pem.as_bytes()))
            .unwrap();
        Self {
            algorithm,
            private,
            public_pem: pair.public_key_pem(),
        }
    }

    fn of_rsa(bits: usize, algorithm: Algorithm) -> Self {
        let key = rsa::RsaPrivateKey::new(&mut rand_core::OsRng, bits).unwrap();
        let pem = key.to_pkcs1_pem(rsa::pkcs8::LineEnding::LF).unwrap();
        let public_pem = key.to_public_key().to_public_key_pem(rsa::pkcs8::LineEnding::LF);
        Self {
            algorithm,
            private: EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap(),
            public_pem: public_pem.unwrap(),
        }
    }

    fn token(&self, id: Option<&str>, claims: &Value) -> String {
        let header = Header {
            kid: id.map(str::to_owned),
            ..Header::new(self.algorithm)
        };
        jsonwebtoken::encode(&header, claims, &self.private).unwrap()
    }

    fn jwk(&self, id: Option<&str>) -> Value {
        let pem = self.public_pem.as_bytes();
        let public = match self.algorithm.family() {
            AlgorithmFamily::Rsa => DecodingKey::from_rsa_pem(pem),
            AlgorithmFamily::Ec => DecodingKey::from_ec_pem(pem),
            AlgorithmFamily::Ed => DecodingKey::from_ed_pem(pem),
            AlgorithmFamily::Hmac => panic!("a secret is not public"),
        };
        let jwk = Jwk::from_decoding_key(&public.unwrap(), Some(self.algorithm)).unwrap();
        let mut jwk = serde_json::to_value(jwk).unwrap();
        if let Some(id) = id {
            jwk["kid"] = id.into();
        }
        jwk
    }
}

/// An RSA key takes a while to make: there is one.
static RSA: LazyLock<Issuer> = LazyLock::new(|| Issuer::of_rsa(2_048, Algorithm::RS256));

/// A directory with the files of a configuration.
struct Files {
    directory: tempfile::TempDir,
    config: AuthConfig,
}

impl Files {
    fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
            config: AuthConfig::default(),
        }
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn with_pems<'a>(mut self, pems: impl IntoIterator<Item = &'a str>) -> Self {
        for (index, pem) in pems.into_iter().enumerate() {
            let path = self.write(&format!("{index}.pem"), pem);
            self.config.public_keys.push(path);
        }
        self
    }

    fn with_jwks(mut self, keys: &[Value]) -> Self {
        self.config.jwks = Some(self.write("jwks.json", &json!({ "keys": keys }).to_string()));
        self
    }

    fn with_secret(mut self, secret: &str) -> Self {
        self.config.secret = Some(Secret::new(secret));
        self
    }

    fn trusted(&self) -> Arc<TrustedKeys> {
        Arc::new(TrustedKeys::read(&self.config).unwrap())
    }

    fn tokens(&self) -> Tokens {
        Tokens::new(&self.config, &DialectAuth::default(), self.trusted())
    }

    fn refusal(&self) -> String {
        TrustedKeys::read(&self.config).unwrap_err().to_string()
    }
}

fn good() -> Value {
    json!({"id": "1", "exp": LATER})
}

#[track_caller]
fn check(tokens: &Tokens, token: &str, expected: Result<(), TokenError>) {
    assert_eq!(tokens.verify(token, NOW).map(|_| ()), expected, "{token}");
}

#[test]
fn each_algorithm_is_known_by_its_pem_and_by_its_jwk() {
    let curves = [Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA].map(Issuer::on_a_curve);
    for issuer in curves.iter().chain([&*RSA]) {
        let (token, late) = (
            issuer.token(None, &good()),
            issuer.token(None, &json!({"exp": 1_700_000_000})),
        );
        let files = [
            Files::new().with_pems([issuer.public_pem.as_str()]),
            Files::new().with_jwks(&[issuer.jwk(Some("a"))]),
        ];
        for files in files {
            let tokens = files.tokens();
            check(&tokens, &token, Ok(()));
            check(&tokens, &late, Err(TokenError::Expired));
            let (rest, signature) = token.rsplit_once('.').unwrap();
            let turned = format!("{rest}.{}", signature.chars().rev().collect::<String>());
            check(&tokens, &turned, Err(TokenError::Invalid));
        }
    }
    // Another key of the same kind.
    let tokens = Files::new().with_pems([curves[0].public_pem.as_str()]).tokens();
    let stranger = Issuer::on_a_curve(Algorithm::ES256);
    check(&tokens, &stranger.token(None, &good()), Err(TokenError::Invalid));
}

#[test]
fn what_a_key_is_for_is_said_by_the_key() {
    let pss = Issuer {
        algorithm: Algorithm::PS256,
        private: RSA.private.clone(),
        public_pem: RSA.public_pem.clone(),
    };
    let tokens = Files::new().with_pems([RSA.public_pem.as_str()]).tokens();
    check(&tokens, &pss.token(None, &good()), Err(TokenError::Invalid));
    let tokens = Files::new().with_jwks(&[pss.jwk(None)]).tokens();
    check(&tokens, &pss.token(None, &good()), Ok(()));
    check(&tokens, &RSA.token(None, &good()), Err(TokenError::Invalid));
}

#[test]
fn a_public_key_is_no_secret_and_nothing_goes_unsigned() {
    let issuers = [Algorithm::ES256, Algorithm::EdDSA].map(Issuer::on_a_curve);
    for issuer in issuers.iter().chain([&*RSA]) {
        let pem = issuer.public_pem.as_str();
        let tokens = Files::new().with_pems([pem]).with_secret(SECRET).tokens();
        for secret in [pem, pem.trim_end(), ""] {
            for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
                let key = EncodingKey::from_secret(secret.as_bytes());
                let token = jsonwebtoken::encode(&Header::new(algorithm), &good(), &key).unwrap();
                check(&tokens, &token, Err(TokenError::Invalid));
            }
        }
        // The header of one algorithm over the signature of another.
        let token = issuer.token(None, &good());
        let (_, rest) = token.split_once('.').unwrap();
        for header in [
            // {"alg":"none"}, {"alg":"None"}, {"alg":"HS256"}, {"alg":"RS384"}
            "eyJhbGciOiJub25lIn0",
            "eyJhbGciOiJOb25lIn0",
            "eyJhbGciOiJIUzI1NiJ9",
            "eyJhbGciOiJSUzM4NCJ9",
        ] {
            check(&tokens, &format!("{header}.{rest}"), Err(TokenError::Invalid));
            let (claims, _) = rest.split_once('.').unwrap();
            check(&tokens, &format!("{header}.{claims}."), Err(TokenError::Invalid));
        }
        check(&tokens, &token, Ok(()));
    }
}

#[test]
fn a_secret_may_stand_beside_public_keys() {
    let issuer = Issuer::on_a_curve(Algorithm::ES256);
    let tokens = Files::new()
        .with_pems([issuer.public_pem.as_str()])
        .with_secret(SECRET)
        .tokens();
    let ours = tokens.sign(Map::new(), NOW, Duration::from_secs(60)).unwrap();
    check(&tokens, &ours, Ok(()));
    check(&tokens, &issuer.token(None, &good()), Ok(()));
    let without = Files::new().with_pems([issuer.public_pem.as_str()]).tokens();
    check(&without, &ours, Err(TokenError::Invalid));
    assert_eq!(without.sign(Map::new(), NOW, Duration::from_secs(60)), None);
}

#[test]
fn a_token_that_names_its_key_is_tried_with_no_other() {
    let (old, new) = (
        Issuer::on_a_curve(Algorithm::ES256),
        Issuer::on_a_curve(Algorithm::ES256),
    );
    let unnamed = Issuer::on_a_curve(Algorithm::ES256);
    let tokens = Files::new()
        .with_pems([unnamed.public_pem.as_str()])
        .with_jwks(&[old.jwk(Some("old")), new.jwk(Some("new"))])
        .tokens();
    for (issuer, id, expected) in [
        (&old, Some("old"), Ok(())),
        (&new, Some("new"), Ok(())),
        (&old, Some("new"), Err(TokenError::Invalid)),
        (&unnamed, Some("new"), Err(TokenError::Invalid)),
        (&old, Some("older"), Err(TokenError::Invalid)),
        (&unnamed, Some("older"), Ok(())),
        (&old, None, Ok(())),
        (&new, None, Ok(())),
        (&unnamed, None, Ok(())),
    ] {
        check(&tokens, &issuer.token(id, &good()), expected);
    }
}

#[test]
fn keys_are_read_again_and_bad_files_change_nothing() {
    let (old, new) = (
        Issuer::on_a_curve(Algorithm::EdDSA),
        Issuer::on_a_curve(Algorithm::EdDSA),
    );
    let files = Files::new().with_jwks(&[old.jwk(Some("old"))]);
    let trusted = files.trusted();
    let tokens = Tokens::new(&files.config, &DialectAuth::default(), Arc::clone(&trusted));
    let (of_old, of_new) = (old.token(Some("old"), &good()), new.token(Some("new"), &good()));
    check(&tokens, &of_old, Ok(()));
    check(&tokens, &of_new, Err(TokenError::Invalid));
    files.write("jwks.json", "{\"keys\": [");
    let error = trusted.read_again(&files.config).unwrap_err().to_string();
    assert!(
        error.contains("jwks.json: it is no JWK set (line 1, column 10)"),
        "{error}"
    );
    check(&tokens, &of_old, Ok(()));
    let both = json!({"keys": [old.jwk(Some("old")), new.jwk(Some("new"))]});
    files.write("jwks.json", &both.to_string());
    assert_eq!(trusted.read_again(&files.config).unwrap(), 2);
    check(&tokens, &of_old, Ok(()));
    check(&tokens, &of_new, Ok(()));
    files.write("jwks.json", &json!({"keys": [new.jwk(Some("new"))]}).to_string());
    assert_eq!(trusted.read_again(&files.config).unwrap(), 1);
    check(&tokens, &of_old, Err(TokenError::Invalid));
    check(&tokens, &of_new, Ok(()));
}

#[test]
fn audience_and_issuer_are_checked_where_they_are_configured() {
    let mut files = Files::new().with_secret(SECRET);
    let signed = |claims: &Value| {
        let key = EncodingKey::from_secret(SECRET.as_bytes());
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &key).unwrap()
    };
    let rows = [
        (json!({"exp": LATER, "aud": "us", "iss": "them"}), Ok(())),
        (
            json!({"exp": LATER, "aud": ["others", "us"], "iss": "them"}),
            Ok(()),
        ),
        (
            json!({"exp": LATER, "aud": "others", "iss": "them"}),
            Err(TokenError::Invalid),
        ),
        (
            json!({"exp": LATER, "aud": [], "iss": "them"}),
            Err(TokenError::Invalid),
        ),
        (
            json!({"exp": LATER, "aud": {"us": 1}, "iss": "them"}),
            Err(TokenError::Invalid),
        ),
        (json!({"exp": LATER, "iss": "them"}), Err(TokenError::Invalid)),
        (
            json!({"exp": LATER, "aud": "us", "iss": "us"}),
            Err(TokenError::Invalid),
        ),
        (
            json!({"exp": LATER, "aud": "us", "iss": ["them"]}),
            Err(TokenError::Invalid),
        ),
        (json!({"exp": LATER, "aud": "us"}), Err(TokenError::Invalid)),
    ];
    for (claims, _) in &rows {
        check(&files.tokens(), &signed(claims), Ok(()));
    }
    files.config.audience = Some("us".to_owned());
    files.config.issuer = Some("them".to_owned());
    for (claims, expected) in rows {
        check(&files.tokens(), &signed(&claims), expected);
    }
    // What the server makes itself, it takes.
    let tokens = files.tokens();
    let ours = tokens.sign(Map::new(), NOW, Duration::from_secs(60)).unwrap();
    check(&tokens, &ours, Ok(()));
}

#[test]
fn an_extension_that_must_be_understood_is_not() {
    let mut header = Header::new(Algorithm::HS256);
    header.crit = Some(vec!["b64".to_owned()]);
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let token = jsonwebtoken::encode(&header, &good(), &key).unwrap();
    check(
        &Files::new().with_secret(SECRET).tokens(),
        &token,
        Err(TokenError::Invalid),
    );
}

#[test]
fn a_file_that_gives_no_key_says_why() {
    let pair = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::default()
        .self_signed(&pair)
        .unwrap()
        .pem();
    let public = pair.public_key_pem();
    let cut = public.replacen("MFkw", "MFkx", 1);
    let small = Issuer::of_rsa(1_024, Algorithm::RS256).public_pem;
    let two = format!("{public}{public}");
    for (pem, why) in [
        ("", "there is no PEM in it"),
        ("ssh-ed25519 AAAA", "there is no PEM in it"),
        (&*pair.serialize_pem(), "it is a private key"),
        (&*certificate, "it is a certificate"),
        (&*two, "there are 2 things in it"),
        (&*cut, "it is neither RSA nor P-256, P-384 or Ed25519"),
        (&*small, "its RSA key has 1024 bits; 2048 to 4096 are taken"),
    ] {
        let refusal = Files::new().with_pems([pem]).refusal();
        assert!(refusal.contains(why) && refusal.contains("0.pem"), "{refusal}");
    }
    let good = Issuer::on_a_curve(Algorithm::EdDSA).jwk(Some("a"));
    let changed = |name: &str, value: Value| {
        let mut jwk = good.clone();
        jwk[name] = value;
        jwk
    };
    for (jwk, why) in [
        (changed("x", json!("AAAA")), "the key `a`: it is no key for EdDSA"),
        (changed("x", json!("*")), "the key `a`: it is not base64url"),
        (changed("x", Value::Null), "the key `a`: `x` is missing"),
        (changed("x", json!(5)), "it is no JWK set (line 1"),
        (changed("d", json!("AAAA")), "the key `a`: it is a private key"),
        (changed("alg", json!("RS256")), "the key `a`: `alg` is RS256"),
        (changed("alg", json!("RSA-OAEP")), "it has no key that signatures"),
        (changed("use", json!("enc")), "it has no key that signatures"),
        (
            changed("key_ops", json!(["encrypt"])),
            "it has no key that signatures",
        ),
        (
            json!({"kty": "RSA", "n": "AQAB", "e": "AQAB"}),
            "key 1: its RSA key has 17 bits",
        ),
        (json!({"kty": "oct", "k": ""}), "key 1: it is no key for HS256"),
        (
            json!({"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}),
            "key 1: it is no key for ES256",
        ),
    ] {
        let refusal = Files::new().with_jwks(&[jwk]).refusal();
        assert!(
            refusal.contains(why) && refusal.contains("jwks.json"),
            "{refusal}"
        );
    }
    let many: Vec<_> = (0..101).map(|_| good.clone()).collect();
    let refusal = Files::new().with_jwks(&many).refusal();
    assert!(
        refusal.contains("there are 101 keys, and 100 is the limit"),
        "{refusal}"
    );
    let mut missing = Files::new();
    missing.config.jwks = Some(missing.directory.path().join("absent.json"));
    assert!(
        missing.refusal().contains("could not read"),
        "{}",
        missing.refusal()
    );
}

#[test]
fn a_public_key_may_come_as_rsa_people_write_it() {
    let key = rsa::RsaPrivateKey::new(&mut rand_core::OsRng, 2_048).unwrap();
    let private = key.to_pkcs1_pem(rsa::pkcs8::LineEnding::LF).unwrap();
    let public = key
        .to_public_key()
        .to_pkcs1_pem(rsa::pkcs8::LineEnding::LF)
        .unwrap();
    let tokens = Files::new().with_pems([public.as_str()]).tokens();
    let private = EncodingKey::from_rsa_pem(private.as_bytes()).unwrap();
    let token = jsonwebtoken::encode(&Header::new(Algorithm::RS256), &good(), &private).unwrap();
    check(&tokens, &token, Ok(()));
}
