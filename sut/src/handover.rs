//! A system that one process has started, reached by others that take part in the same run.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::CertificateDer;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use crate::launcher::Launcher;
use crate::process::StartError;
use crate::sut::{Credentials, Sut, System};
use crate::target::{Security, Target};
use crate::transport::{Tls, Transport, Trust};

/// What another process needs to know of a running system, beside its target. It holds secrets: it is told through a pipe.
#[derive(Clone, Serialize, Deserialize)]
pub struct Handover {
    /// `HOST:PORT` of each node.
    addresses: Vec<String>,
    /// What a built-in server was told.
    credentials: Option<(String, String)>,
    /// The authorities that were made up for the run, DER in base64.
    authorities: Vec<String>,
}

impl std::fmt::Debug for Handover {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Handover({})", self.addresses.join(", "))
    }
}

impl Sut {
    /// What another process has to know to reach this system.
    #[must_use]
    pub fn handover(&self) -> Handover {
        let credentials = self.told_secret().zip(self.told_admin_key());
        let authorities = match self.transport() {
            Transport::Tls(tls) => tls.made_up(),
            Transport::Plain => &[],
        };
        Handover {
            addresses: self.addresses().to_vec(),
            credentials: credentials.map(|(secret, key)| (secret.to_owned(), key.to_owned())),
            authorities: authorities.iter().map(|der| STANDARD.encode(der)).collect(),
        }
    }

    /// The system of `target` as a process reaches it that has not started it: it can neither stop nor restart it.
    ///
    /// # Errors
    /// It cannot be known whom to believe.
    pub fn handed_over(target: Target, handover: Handover) -> Result<Self, StartError> {
        let Handover {
            addresses,
            credentials,
            authorities,
        } = handover;
        let trust = match &target.security {
            Security::Plain => None,
            Security::Tls(trust) => Some(trust.clone()),
            Security::MadeUp => {
                let ders = authorities.iter().map(|text| STANDARD.decode(text));
                let ders = ders.collect::<Result<Vec<_>, _>>();
                let ders = ders.map_err(|error| StartError::Target(error.to_string()))?;
                Some(Trust::MadeUp(
                    ders.into_iter().map(CertificateDer::from).collect(),
                ))
            }
        };
        let transport = match trust {
            None => Transport::Plain,
            Some(trust) => {
                Transport::Tls(Tls::new(trust).map_err(|error| StartError::Target(error.to_string()))?)
            }
        };
        let system = System {
            transport: transport.clone(),
            addresses: addresses.clone(),
            process: Mutex::new(None),
            told_to_stop: AtomicBool::new(false),
            log: Arc::default(),
            launcher: Launcher::default(),
            credentials: credentials.map(|(secret, admin_key)| Credentials { secret, admin_key }),
            scratch: None,
            pool: Arc::default(),
        };
        Ok(Self::of(target, transport, addresses, system))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::{BuiltIn, Store};

    #[test]
    fn whoever_takes_it_over_reaches_the_same_nodes_with_the_same_keys() {
        let target = || {
            let built_in = BuiltIn {
                executable: "touchstone".into(),
                flags: Vec::new(),
                store: Store::Memory,
            };
            Target::built_in(built_in, &[], &[])
        };
        let handover = Handover {
            addresses: vec!["127.0.0.1:7".to_owned()],
            credentials: Some(("signs".to_owned(), "administers".to_owned())),
            authorities: Vec::new(),
        };
        let first = Sut::handed_over(target(), handover).unwrap();
        let told = serde_json::to_string(&first.handover()).unwrap();
        let second = Sut::handed_over(target(), serde_json::from_str(&told).unwrap()).unwrap();
        assert_eq!(second.addresses(), ["127.0.0.1:7"]);
        assert_eq!(second.told_secret(), Some("signs"));
        assert_eq!(second.told_admin_key(), Some("administers"));
        assert!(!format!("{:?}", second.handover()).contains("signs"));
    }
}
