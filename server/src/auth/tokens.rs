//! JSON Web Tokens (RFC 7519): what is accepted, and how the server's own are made.

use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Map, Value};
use thiserror::Error;
use touchstone_storage::Timestamp;

use super::keys::{self, TrustedKeys, VerifyingKey};
use crate::config::{AuthConfig, DialectAuth};

/// A longer token is none: a signature is not computed over what anybody cares to send.
const TOKEN_BYTES_MAX: usize = 8 << 10;

/// A token that says it is good for longer is so for ever: a store keeps times as integers of 64 bits with a sign, and
/// this is in the year 144,000.
const NEVER_MILLIS: f64 = (1_u64 << 52) as f64;

/// Why a token is not accepted. None of them carries a piece of it (common/3f).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum TokenError {
    /// It is garbage, is not signed by a key of ours, or lacks a claim (common/3a, 3b).
    #[error("the token is invalid")]
    Invalid,
    /// Its time is over (common/3c).
    #[error("the token has expired")]
    Expired,
}

/// What an accepted token says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Claims {
    fields: Map<String, Value>,
    /// When it is no longer good: `exp`, and the leeway behind it.
    pub(crate) expires: Timestamp,
}

impl Claims {
    /// A claim that is a string.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.fields.get(name)?.as_str()
    }

    /// A claim that is a string or an integer, as text; an empty string is none.
    pub(crate) fn id(&self, name: &str) -> Option<String> {
        match self.fields.get(name)? {
            Value::String(id) => Some(id.clone()).filter(|id| !id.is_empty()),
            Value::Number(id) if id.is_i64() || id.is_u64() => Some(id.to_string()),
            _ => None,
        }
    }

    /// A claim as it came.
    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.fields.get(name)
    }

    /// The second of the epoch in which it was issued, if it says so.
    pub(crate) fn issued_second(&self) -> Option<u64> {
        let issued = self.fields.get("iat")?.as_f64()?;
        Some(issued.max(0.0) as u64)
    }
}

/// The keys of one dialect: its secret, by which its own tokens are signed, and the public keys of all.
pub(crate) struct Tokens {
    secret: Option<(VerifyingKey, EncodingKey)>,
    trusted: Arc<TrustedKeys>,
    audience: Option<String>,
    issuer: Option<String>,
    leeway: Duration,
    /// How long a token for connecting lasts that the server makes itself.
    pub(crate) access_lifetime: Duration,
    /// How long one lasts by which another is fetched.
    pub(crate) refresh_lifetime: Duration,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tokens(keys not shown)")
    }
}

impl Tokens {
    /// The keys that are configured for a dialect.
    pub(crate) fn new(common: &AuthConfig, own: &DialectAuth, trusted: Arc<TrustedKeys>) -> Self {
        let secret = own.secret.as_ref().or(common.secret.as_ref());
        let secret = secret.map(|secret| {
            let secret = secret.expose();
            (VerifyingKey::of_secret(secret), EncodingKey::from_secret(secret))
        });
        Self {
            secret,
            trusted,
            audience: common.audience.clone(),
            issuer: common.issuer.clone(),
            leeway: common.leeway,
            access_lifetime: own.access_lifetime.unwrap_or(common.access_lifetime),
            refresh_lifetime: common.refresh_lifetime,
        }
    }

    /// Judges a token at `now` (common/3a to 3e).
    pub(crate) fn verify(&self, token: &str, now: Timestamp) -> Result<Claims, TokenError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::Invalid);
        }
        let fields = self.signed_claims(token).ok_or(TokenError::Invalid)?;
        let expires = number(&fields, "exp")?.ok_or(TokenError::Invalid)?;
        let leeway = self.leeway.as_secs_f64();
        if expires + leeway <= now.seconds() {
            return Err(TokenError::Expired);
        }
        if number(&fields, "nbf")?.is_some_and(|from| from - leeway > now.seconds()) {
            return Err(TokenError::Invalid);
        }
        let is_for_us = self.audience.as_deref().is_none_or(|us| names(&fields, us));
        let is_of_our_issuer = self
            .issuer
            .as_deref()
            .is_none_or(|issuer| fields.get("iss").and_then(Value::as_str) == Some(issuer));
        if !is_for_us || !is_of_our_issuer {
            return Err(TokenError::Invalid);
        }
        let expires = Timestamp::from_millis(((expires + leeway) * 1_000.0).min(NEVER_MILLIS) as u64);
        Ok(Claims { fields, expires })
    }

    /// What a token says that is signed by one of our keys.
    fn signed_claims(&self, token: &str) -> Option<Map<String, Value>> {
        let header = jsonwebtoken::decode_header(token).ok()?;
        // There is no extension that we understand, so none may be critical (RFC 7515, 4.1.11).
        if header.crit.is_some() {
            return None;
        }
        let trusted = self.trusted.current();
        let secret = self.secret.iter().map(|(key, _)| key);
        keys::candidates(secret.chain(trusted.iter()), header.kid.as_deref(), header.alg)
            .find_map(|VerifyingKey { key, validation, .. }| {
                jsonwebtoken::decode::<Map<String, Value>>(token, key, validation).ok()
            })
            .map(|decoded| decoded.claims)
    }

    /// Makes a token with these claims, issued now. `None` where there is no key to sign with.
    pub(crate) fn sign(
        &self,
        mut claims: Map<String, Value>,
        now: Timestamp,
        lifetime: Duration,
    ) -> Option<String> {
        let (_, key) = self.secret.as_ref()?;
        let issued = now.millis() / 1_000;
        claims.insert("iat".to_owned(), issued.into());
        claims.insert("exp".to_owned(), (issued + lifetime.as_secs()).into());
        // Two tokens of one user and second are still two: one of them can be revoked.
        claims.insert("jti".to_owned(), uuid::Uuid::new_v4().to_string().into());
        for (name, configured) in [("aud", &self.audience), ("iss", &self.issuer)] {
            if let Some(value) = configured {
                claims.insert(name.to_owned(), value.as_str().into());
            }
        }
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, key).ok()
    }
}

/// Whether the token is meant for `audience`, perhaps beside others (RFC 7519, 4.1.3).
fn names(fields: &Map<String, Value>, audience: &str) -> bool {
    match fields.get("aud") {
        Some(Value::String(one)) => one == audience,
        Some(Value::Array(several)) => several.iter().any(|one| one.as_str() == Some(audience)),
        _ => false,
    }
}

/// A claim that is missing or a number; anything else makes the token invalid.
fn number(fields: &Map<String, Value>, name: &str) -> Result<Option<f64>, TokenError> {
    match fields.get(name) {
        None => Ok(None),
        Some(value) => value.as_f64().map(Some).ok_or(TokenError::Invalid),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_500);

    fn tokens(secret: &str) -> Tokens {
        let common = AuthConfig {
            secret: Some(Secret::new(secret)),
            ..AuthConfig::default()
        };
        Tokens::new(&common, &DialectAuth::default(), Arc::default())
    }

    fn signed(claims: &Value) -> String {
        let key = EncodingKey::from_secret(b"a secret of some length");
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &key).unwrap()
    }

    #[test]
    fn times_are_checked_to_the_second_that_they_name() {
        let tokens = tokens("a secret of some length");
        for (claims, expected) in [
            (serde_json::json!({"exp": 1_700_000_001}), Ok(())),
            (
                serde_json::json!({"exp": 1_700_000_000}),
                Err(TokenError::Expired),
            ),
            (serde_json::json!({}), Err(TokenError::Invalid)),
            (serde_json::json!({"exp": "1700000001"}), Err(TokenError::Invalid)),
            (serde_json::json!({"exp": null}), Err(TokenError::Invalid)),
            (
                serde_json::json!({"exp": 1_800_000_000, "nbf": 1_700_000_001}),
                Err(TokenError::Invalid),
            ),
            (
                serde_json::json!({"exp": 1_800_000_000, "nbf": 1_700_000_000}),
                Ok(()),
            ),
            (
                serde_json::json!({"exp": 1_800_000_000, "nbf": "soon"}),
                Err(TokenError::Invalid),
            ),
            (
                serde_json::json!({"exp": 1_800_000_000, "aud": "x", "iat": 1_900_000_000}),
                Ok(()),
            ),
        ] {
            let verified = tokens.verify(&signed(&claims), NOW).map(|_| ());
            assert_eq!(verified, expected, "{claims}");
        }
    }

    #[test]
    fn a_token_is_good_until_its_leeway_is_over_and_for_ever_is_a_time_that_can_be_kept() {
        let common = AuthConfig {
            secret: Some(Secret::new("a secret of some length")),
            leeway: Duration::from_secs(60),
            ..AuthConfig::default()
        };
        let tokens = Tokens::new(&common, &DialectAuth::default(), Arc::default());
        let expires = |exp: &str| {
            let claims = serde_json::from_str(&format!(r#"{{"exp":{exp}}}"#)).unwrap();
            let verified = tokens.verify(&signed(&claims), NOW);
            verified.map(|claims| claims.expires.millis())
        };
        assert_eq!(expires("1699999990"), Ok(1_700_000_050_000));
        assert_eq!(expires("1699999990.25"), Ok(1_700_000_050_250));
        assert_eq!(expires("1699999940"), Err(TokenError::Expired));
        for exp in ["-1", "-1e300", "0"] {
            assert_eq!(expires(exp), Err(TokenError::Expired), "{exp}");
        }
        for exp in ["1e300", "18446744073709551615", "99999999999999999999999"] {
            let until = expires(exp).unwrap();
            assert!(
                i64::try_from(until).is_ok() && until > 4_000_000_000_000_000,
                "{exp}: {until}"
            );
        }
    }

    #[test]
    fn what_is_not_signed_by_our_key_is_nothing() {
        let (ours, theirs) = (tokens("a secret of some length"), tokens("another secret"));
        let token = ours
            .sign(Map::new(), NOW, Duration::from_secs(60))
            .expect("there is a key");
        assert!(ours.verify(&token, NOW).is_ok());
        assert_eq!(theirs.verify(&token, NOW), Err(TokenError::Invalid));
        // {"alg":"none"} with claims that would do.
        let unsigned = "eyJhbGciOiJub25lIn0.eyJleHAiOjE4MDAwMDAwMDB9.";
        for garbage in [
            "",
            "a.b.c",
            unsigned,
            &token[..token.len() - 2],
            &"x".repeat(9_000),
        ] {
            assert_eq!(ours.verify(garbage, NOW), Err(TokenError::Invalid), "{garbage}");
        }
    }
}
