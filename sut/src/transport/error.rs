//! Why there is no TLS with a server, in words that say what to change.

use std::io;

use rustls::{AlertDescription, CertificateError, Error};

/// Why there is no TLS with a server.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// No certificate can name it.
    #[error("`{0}` is no name that a certificate can have")]
    Name(String),
    /// Nobody who is believed has signed its certificate.
    #[error("the certificate of {host} is signed by an unknown authority: name it with tls.ca or --ca")]
    UnknownAuthority {
        /// The server.
        host: String,
    },
    /// Its certificate is another server's.
    #[error(
        "the certificate of {host} is for {}: use such a name, or check nothing (tls.insecure or --insecure)",
        listed(names)
    )]
    OtherName {
        /// The server.
        host: String,
        /// Names and addresses in the certificate.
        names: Vec<String>,
    },
    /// Its certificate is of no use for another reason.
    #[error("the certificate of {host} {why}, or check nothing (tls.insecure or --insecure)")]
    Certificate {
        /// The server.
        host: String,
        /// What is wrong, and what would be right.
        why: String,
    },
    /// It answers something else.
    #[error("{host} does not answer in TLS: write ws:// for wss://")]
    NotTls {
        /// The server.
        host: String,
    },
    /// It does not want us.
    #[error("{host} refuses TLS with us: {why}")]
    Refused {
        /// The server.
        host: String,
        /// Its alert, or what it does not have.
        why: String,
    },
    /// TCP failed or ended before it was done.
    #[error("TCP ended before the TLS handshake did: {0}")]
    Io(io::Error),
}

/// More names are not shown: a certificate of a large site has a hundred.
const NAMES_SHOWN: usize = 8;

fn listed(names: &[String]) -> String {
    let mut shown: Vec<&str> = names.iter().take(NAMES_SHOWN).map(|name| plain(name)).collect();
    match names.len() {
        0 => "no name at all".to_owned(),
        all if all > NAMES_SHOWN => {
            shown.push("…");
            shown.join(", ")
        }
        _ => shown.join(", "),
    }
}

/// `DnsName("localhost")` is how the library writes a name.
fn plain(name: &str) -> &str {
    name.split_once('(')
        .and_then(|(_, rest)| rest.strip_suffix(')'))
        .unwrap_or(name)
        .trim_matches('"')
}

impl TlsError {
    /// What a failed handshake with `host` means.
    pub(super) fn new(host: &str, error: io::Error) -> Self {
        let host = host.to_owned();
        let library = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<Error>())
            .cloned();
        match library {
            None => Self::Io(error),
            Some(Error::InvalidCertificate(wrong)) => Self::of_certificate(host, wrong),
            Some(Error::InvalidMessage(_)) => Self::NotTls { host },
            Some(Error::AlertReceived(alert)) => Self::Refused {
                host,
                why: refusal(alert),
            },
            Some(other) => Self::Refused {
                host,
                why: other.to_string(),
            },
        }
    }

    fn of_certificate(host: String, wrong: CertificateError) -> Self {
        let why = match wrong {
            // The second is an authority that was made anew under its old name: another one.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                return Self::UnknownAuthority { host };
            }
            CertificateError::NotValidForName => return Self::OtherName { host, names: vec![] },
            CertificateError::NotValidForNameContext { presented, .. } => {
                return Self::OtherName {
                    host,
                    names: presented,
                };
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "has expired: renew it".to_owned()
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "is not valid yet: compare the clocks".to_owned()
            }
            // Of these, the one that is met is "a CA used as end entity": what `openssl req -x509` makes.
            CertificateError::Other(error) => {
                format!(
                    "is not one of a server ({error}): if it is its own authority, name it with tls.ca or --ca"
                )
            }
            other => format!("cannot be used ({other}): replace it"),
        };
        Self::Certificate { host, why }
    }
}

/// What a server's alert says.
fn refusal(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::NoApplicationProtocol => "it does not speak http/1.1 there (ALPN)".to_owned(),
        AlertDescription::ProtocolVersion => "it speaks neither TLS 1.2 nor 1.3".to_owned(),
        AlertDescription::HandshakeFailure => "it has no cipher in common with us".to_owned(),
        AlertDescription::CertificateRequired => "it wants a certificate of ours".to_owned(),
        AlertDescription::UnrecognisedName => "it knows no server of that name".to_owned(),
        other => format!("alert {other:?}"),
    }
}
