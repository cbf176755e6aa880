//! `postgres://USER@HOST:PORT/DATABASE?…`: what of it is the driver's, and what is ours.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use thiserror::Error;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

/// Where a PostgreSQL server is, and how to come in. Shown without user and password.
#[derive(Clone)]
pub struct PostgresUrl {
    pub(super) config: Config,
    pub(super) trust: Trust,
    /// A file with certificates of authorities, instead of those that the system believes.
    pub(super) authorities: Option<PathBuf>,
    shown: String,
}

/// How much is asked of the server's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    /// There is no TLS.
    NoTls,
    /// TLS against listeners alone, as `sslmode=prefer` and `require` are defined.
    Anybody,
    /// A certificate for this host, from an authority that is believed.
    Verified,
}

/// Why a URL names no PostgreSQL store. No message repeats the URL, which may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PostgresUrlError {
    /// It begins with something else.
    #[error("the URL of a PostgreSQL store begins with postgres://")]
    Scheme,
    /// There is no server in it.
    #[error("the URL names no host: write postgres://USER@HOST:PORT/DATABASE")]
    NoHost,
    /// `sslmode` is none that there is.
    #[error("there is no `sslmode={0}`: write disable, prefer, require or verify-full")]
    Mode(String),
    /// Certificates without TLS.
    #[error("`sslrootcert` needs `sslmode=require` or `verify-full`")]
    UselessAuthorities,
    /// The file with the password cannot be read.
    #[error("the password cannot be read from {path}: {why}")]
    PasswordFile {
        /// The file.
        path: PathBuf,
        /// What the system says.
        why: String,
    },
    /// Whatever else the driver does not take.
    #[error("the URL is not understood: {0}")]
    Other(String),
}

impl FromStr for PostgresUrl {
    type Err = PostgresUrlError;

    fn from_str(url: &str) -> Result<Self, PostgresUrlError> {
        if !["postgres://", "postgresql://"]
            .iter()
            .any(|scheme| url.starts_with(scheme))
        {
            return Err(PostgresUrlError::Scheme);
        }
        let (place, query) = url.split_once('?').unwrap_or((url, ""));
        let (mut mode, mut authorities, mut password_file) = (None, None, None);
        let mut drivers = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("sslmode", value)) => mode = Some(value),
                Some(("sslrootcert", value)) => authorities = Some(PathBuf::from(value)),
                Some(("passwordfile", value)) => password_file = Some(PathBuf::from(value)),
                _ => drivers.push(pair),
            }
        }
        let mut config: Config = format!("{place}?{}", drivers.join("&"))
            .parse()
            .map_err(|error| PostgresUrlError::Other(super::failures::whole(&error)))?;
        if config.get_hosts().is_empty() {
            return Err(PostgresUrlError::NoHost);
        }
        let (mode, trust) = match mode.unwrap_or("prefer") {
            "disable" => (SslMode::Disable, Trust::NoTls),
            "prefer" => (SslMode::Prefer, Trust::Anybody),
            // With an authority named it is held against it, as libpq does.
            "require" if authorities.is_none() => (SslMode::Require, Trust::Anybody),
            "require" | "verify-full" => (SslMode::Require, Trust::Verified),
            other => return Err(PostgresUrlError::Mode(other.to_owned())),
        };
        if authorities.is_some() && trust != Trust::Verified {
            return Err(PostgresUrlError::UselessAuthorities);
        }
        config.ssl_mode(mode);
        if let Some(path) = password_file {
            match std::fs::read_to_string(&path) {
                Ok(password) => config.password(password.trim_end_matches(['\r', '\n'])),
                Err(error) => {
                    let why = error.to_string();
                    return Err(PostgresUrlError::PasswordFile { path, why });
                }
            };
        }
        let shown = shown(&config);
        Ok(Self {
            config,
            trust,
            authorities,
            shown,
        })
    }
}

/// The server and the database, as a message names them.
fn shown(config: &Config) -> String {
    let host = match config.get_hosts().first() {
        Some(Host::Tcp(host)) if host.contains(':') => format!("[{host}]"),
        Some(Host::Tcp(host)) => host.clone(),
        #[cfg(unix)]
        Some(Host::Unix(path)) => path.display().to_string(),
        None => String::new(),
    };
    let port = config.get_ports().first().unwrap_or(&5432);
    let database = config.get_dbname().unwrap_or_default();
    format!("{host}:{port}/{database}")
}

impl fmt::Display for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgresUrl({})", self.shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(url: &str) -> String {
        url.parse::<PostgresUrl>().expect_err(url).to_string()
    }

    #[test]
    fn what_is_shown_is_where_it_is_and_never_who_comes_in() {
        for (url, shown) in [
            ("postgres://ann:hunter2@db.test:5433/chat", "db.test:5433/chat"),
            (
                "postgresql://ann:hunter2@127.0.0.1/chat?sslmode=require",
                "127.0.0.1:5432/chat",
            ),
            ("postgres://ann:hunter2@[::1]:5/x", "[::1]:5/x"),
        ] {
            let parsed: PostgresUrl = url.parse().unwrap();
            assert_eq!(parsed.to_string(), shown);
            assert!(!format!("{parsed:?}").contains("hunter2"));
        }
    }

    #[test]
    fn every_mistake_says_what_to_write_and_not_the_password() {
        for (url, part) in [
            ("redis://ann:hunter2@h/x", "begins with postgres://"),
            ("postgres:///chat", "names no host"),
            ("postgres://ann:hunter2@h/x?sslmode=maybe", "no `sslmode=maybe`"),
            (
                "postgres://ann:hunter2@h/x?sslrootcert=ca.pem",
                "needs `sslmode=require`",
            ),
            ("postgres://ann:hunter2@h:port/x", "port"),
            ("postgres://ann:hunter2@h/x?pool=9", "pool"),
            (
                "postgres://ann@h/x?passwordfile=/nowhere/at/all",
                "/nowhere/at/all",
            ),
        ] {
            let refusal = refusal(url);
            assert!(refusal.contains(part), "{refusal}");
            assert!(!refusal.contains("hunter2"), "{refusal}");
        }
    }

    #[test]
    fn sslmode_and_its_authorities_say_how_much_is_asked() {
        for (query, mode, trust) in [
            ("", SslMode::Prefer, Trust::Anybody),
            ("?sslmode=disable", SslMode::Disable, Trust::NoTls),
            ("?sslmode=require", SslMode::Require, Trust::Anybody),
            (
                "?sslmode=require&sslrootcert=ca.pem",
                SslMode::Require,
                Trust::Verified,
            ),
            (
                "?sslmode=verify-full&connect_timeout=3",
                SslMode::Require,
                Trust::Verified,
            ),
        ] {
            let url: PostgresUrl = format!("postgres://h/x{query}").parse().unwrap();
            assert_eq!((url.config.get_ssl_mode(), url.trust), (mode, trust), "{query}");
        }
    }

    #[test]
    fn a_password_may_stand_in_a_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "hunter2\n").unwrap();
        let url = format!("postgres://ann@h/x?passwordfile={}", file.path().display());
        let url: PostgresUrl = url.parse().unwrap();
        assert_eq!(url.config.get_password(), Some(&b"hunter2"[..]));
    }
}
