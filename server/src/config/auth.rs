//! Whose tokens are taken, and for how long those are good that this server makes (common/3).

use std::path::PathBuf;
use std::time::Duration;

use super::Secret;

/// What holds for the tokens of every dialect.
#[derive(Debug, Clone)]
pub struct AuthConfig {
    /// The HS256 secret; with it tokens are signed, and checked where a dialect has none of its own (common/3e).
    /// Default: none, and then no dialect that needs one can be served.
    pub secret: Option<Secret>,
    /// A JWKS file: keys for RS256, ES256, EdDSA and HS256, told apart by `kid`, whose tokens are taken beside those of
    /// the secret. Read at the start and again on SIGHUP. Default: none.
    pub jwks: Option<PathBuf>,
    /// Files with one PEM public key each, whose tokens are taken beside those of the secret. Read at the start and
    /// again on SIGHUP. Default: none.
    pub public_keys: Vec<PathBuf>,
    /// How long past `exp`, or before `nbf`, a token is still good (common/3d). Default: 0 s.
    pub leeway: Duration,
    /// Whether a connection is closed when its token expires (common/3g). Default: yes.
    pub close_on_expiry: bool,
    /// How long after `exp` that close may come (common/3g). Default: 5 s.
    pub close_within: Duration,
    /// What `aud` must be, or contain (common/3d). Default: none, it is not checked.
    pub audience: Option<String>,
    /// What `iss` must be (common/3d). Default: none, it is not checked.
    pub issuer: Option<String>,
    /// How long an access token made here is good. Default: 1 h.
    pub access_lifetime: Duration,
    /// How long a refresh token made here is good. Default: 7 days.
    pub refresh_lifetime: Duration,
}

impl Default for AuthConfig {
    fn default() -> Self {
        Self {
            secret: None,
            jwks: None,
            public_keys: Vec::new(),
            leeway: Duration::ZERO,
            close_on_expiry: true,
            close_within: Duration::from_secs(5),
            audience: None,
            issuer: None,
            access_lifetime: Duration::from_secs(60 * 60),
            refresh_lifetime: Duration::from_secs(7 * 24 * 60 * 60),
        }
    }
}

/// What a dialect has of its own; the rest is as in [`AuthConfig`].
#[derive(Debug, Clone, Default)]
pub struct DialectAuth {
    /// The HS256 secret of this dialect (for `feed`: `SECRET_KEY`, common/3e). Default: none, that of all dialects.
    pub secret: Option<Secret>,
    /// How long an access token of this dialect is good. Default: none, as for all dialects.
    pub access_lifetime: Option<Duration>,
}
