//! Tokens, right and wrong ones, signed by hand.
//!
//! The server checks its tokens with a library; this is some forty lines that share nothing with it, so that a mistake
//! of the one is not a mistake of the other. Right ones have the claims of the spec and run out in an hour.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use sha2::{Sha256, Sha384, Sha512};

/// How long a token is good for. Longer than any case takes, shorter than anybody could use one that got out.
const LIFETIME: Duration = Duration::from_secs(3600);
/// How long an expired one has been so: more than clocks of two machines differ (common/3c).
const EXPIRED_AGO: Duration = Duration::from_secs(60);

/// What is wrong with a token, or nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TokenKind {
    /// Nothing.
    #[default]
    Valid,
    /// It ran out a minute ago.
    Expired,
    /// Signed with a key that is not the server's.
    WrongKey,
    /// `alg: none`, and no signature.
    Unsigned,
    /// Signed with the server's key by an algorithm that is not the configured one.
    OtherAlgorithm,
}

/// A token that is wanted.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TokenWanted {
    /// What is wrong with it.
    pub kind: TokenKind,
    /// In place of its own claims; `null` leaves one out.
    pub claims: Map<String, Value>,
}

impl TokenWanted {
    /// Whether any way to get a token will do: nothing about it is special.
    #[must_use]
    pub fn is_ordinary(&self) -> bool {
        self.kind == TokenKind::Valid && self.claims.is_empty()
    }
}

/// An algorithm that signs with a shared secret.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum Algorithm {
    /// HMAC with SHA-256.
    #[default]
    HS256,
    /// HMAC with SHA-384.
    HS384,
    /// HMAC with SHA-512.
    HS512,
}

impl Algorithm {
    const fn name(self) -> &'static str {
        match self {
            Self::HS256 => "HS256",
            Self::HS384 => "HS384",
            Self::HS512 => "HS512",
        }
    }

    /// Another one.
    const fn other(self) -> Self {
        match self {
            Self::HS256 => Self::HS512,
            Self::HS384 | Self::HS512 => Self::HS256,
        }
    }

    fn signature(self, key: &[u8], signed: &[u8]) -> Vec<u8> {
        const ANY_LENGTH: &str = "HMAC takes keys of any length";
        match self {
            Self::HS256 => {
                let mut mac = Hmac::<Sha256>::new_from_slice(key).expect(ANY_LENGTH);
                mac.update(signed);
                mac.finalize().into_bytes().to_vec()
            }
            Self::HS384 => {
                let mut mac = Hmac::<Sha384>::new_from_slice(key).expect(ANY_LENGTH);
                mac.update(signed);
                mac.finalize().into_bytes().to_vec()
            }
            Self::HS512 => {
                let mut mac = Hmac::<Sha512>::new_from_slice(key).expect(ANY_LENGTH);
                mac.update(signed);
                mac.finalize().into_bytes().to_vec()
            }
        }
    }
}

/// What a token claims, in force or not; nothing if it is none.
pub(crate) fn claims_of(token: &str) -> Map<String, Value> {
    let claims = token.split('.').nth(1).unwrap_or_default();
    let json = URL_SAFE_NO_PAD.decode(claims).unwrap_or_default();
    serde_json::from_slice(&json).unwrap_or_default()
}

/// Makes a token whose claims are `claims` with the times and the changes of `wanted`.
#[must_use]
pub(crate) fn sign(
    secret: &str,
    algorithm: Algorithm,
    mut claims: Map<String, Value>,
    wanted: &TokenWanted,
    now: SystemTime,
) -> String {
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let issued = match wanted.kind {
        TokenKind::Expired => now.saturating_sub(LIFETIME + EXPIRED_AGO),
        TokenKind::Valid | TokenKind::WrongKey | TokenKind::Unsigned | TokenKind::OtherAlgorithm => now,
    };
    claims.insert("iat".into(), issued.as_secs().into());
    claims.insert("exp".into(), (issued + LIFETIME).as_secs().into());
    for (name, value) in &wanted.claims {
        match value {
            Value::Null => drop(claims.remove(name)),
            value => drop(claims.insert(name.clone(), value.clone())),
        }
    }
    let (named, key) = match wanted.kind {
        TokenKind::Valid | TokenKind::Expired => (Some(algorithm), secret.to_owned()),
        TokenKind::WrongKey => (Some(algorithm), format!("not {secret}")),
        TokenKind::OtherAlgorithm => (Some(algorithm.other()), secret.to_owned()),
        TokenKind::Unsigned => (None, String::new()),
    };
    let header = json!({"alg": named.map_or("none", Algorithm::name), "typ": "JWT"});
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(&header), part(&Value::Object(claims)));
    let signature = named.map(|algorithm| algorithm.signature(key.as_bytes(), signed.as_bytes()));
    format!(
        "{signed}.{}",
        URL_SAFE_NO_PAD.encode(signature.unwrap_or_default())
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(token: &str) -> (Value, Value, Vec<u8>) {
        let [header, claims, signature] = token.split('.').collect::<Vec<_>>().try_into().unwrap();
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).unwrap();
        let json = |part: &str| serde_json::from_slice(&decode(part)).unwrap();
        (json(header), json(claims), decode(signature))
    }

    fn made(wanted: &TokenWanted) -> (Value, Value, Vec<u8>) {
        let claims = Map::from_iter([("sub".to_owned(), json!("ann"))]);
        let now = UNIX_EPOCH + Duration::from_secs(1_000_000);
        parts(&sign("secret", Algorithm::HS256, claims, wanted, now))
    }

    fn kind(kind: TokenKind) -> TokenWanted {
        TokenWanted {
            kind,
            claims: Map::new(),
        }
    }

    #[test]
    fn a_signature_is_the_one_of_the_rfc() {
        // RFC 7515, A.1: the key is base64url there.
        let key = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
        let signed = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        let signature = Algorithm::HS256.signature(&URL_SAFE_NO_PAD.decode(key).unwrap(), signed.as_bytes());
        assert_eq!(
            URL_SAFE_NO_PAD.encode(signature),
            "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
        );
    }

    #[test]
    fn each_wrong_token_is_wrong_in_one_way() {
        let (header, claims, signature) = made(&kind(TokenKind::Valid));
        assert_eq!(header, json!({"alg": "HS256", "typ": "JWT"}));
        assert_eq!(claims, json!({"sub": "ann", "iat": 1_000_000, "exp": 1_003_600}));
        let (expired_header, expired, _) = made(&kind(TokenKind::Expired));
        assert_eq!(
            (expired_header, &expired["exp"]),
            (header.clone(), &json!(999_940))
        );
        let (wrong_header, wrong, other) = made(&kind(TokenKind::WrongKey));
        assert_eq!((wrong_header, wrong), (header, claims.clone()));
        assert!(other != signature && other.len() == signature.len());
        let (none_header, none, nothing) = made(&kind(TokenKind::Unsigned));
        assert_eq!(
            (none_header["alg"].as_str(), none, nothing),
            (Some("none"), claims.clone(), Vec::new())
        );
        let (other_header, other, long) = made(&kind(TokenKind::OtherAlgorithm));
        assert_eq!(
            (other_header["alg"].as_str(), other, long.len()),
            (Some("HS512"), claims, 64)
        );
    }

    #[test]
    fn what_a_token_claims_is_read_whatever_it_is_worth() {
        let claims = json!({"sub": "ann"}).as_object().unwrap().clone();
        let now = UNIX_EPOCH + Duration::from_secs(1_000_000);
        let token = sign(
            "secret",
            Algorithm::HS256,
            claims,
            &kind(TokenKind::Unsigned),
            now,
        );
        let expected = json!({"sub": "ann", "iat": 1_000_000, "exp": 1_003_600});
        assert_eq!(Value::Object(claims_of(&token)), expected);
        assert_eq!(claims_of("neither.a.token"), Map::new());
        assert_eq!(claims_of(""), Map::new());
    }

    #[test]
    fn claims_are_replaced_added_and_left_out() {
        let changes = json!({"sub": 7, "exp": null, "role": "x"});
        let wanted = TokenWanted {
            kind: TokenKind::Valid,
            claims: changes.as_object().unwrap().clone(),
        };
        assert_eq!(made(&wanted).1, json!({"sub": 7, "iat": 1_000_000, "role": "x"}));
    }
}
