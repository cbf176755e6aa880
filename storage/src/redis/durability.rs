//! Whether Redis keeps what it has confirmed.

use std::collections::HashMap;

use super::link::{LinkError, Redis};

/// What survives a kill of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Durability {
    /// `appendfsync always`, on every server: everything that was confirmed.
    Everything,
    /// An append-only file that is written to the disk later: not what was confirmed last.
    AllButTheLast {
        /// The setting: `everysec` or `no`.
        appendfsync: String,
    },
    /// No append-only file: what the last snapshot has, if there is one.
    Snapshots,
    /// The server does not say how it is set.
    Unknown {
        /// What it says.
        why: String,
    },
}

impl Redis {
    /// What survives a kill of any of the servers; of several, the least.
    ///
    /// # Errors
    /// Redis is away. That it does not let us see its settings is an answer.
    pub async fn durability(&self) -> Result<Durability, LinkError> {
        let mut command = redis::cmd("CONFIG");
        command.arg("GET").arg("append*");
        let settings = match self.ask_every_server(&command).await {
            Ok(settings) => settings,
            Err(LinkError::Refused(why)) => {
                return Ok(Durability::Unknown { why: why.to_string() });
            }
            Err(error) => return Err(error),
        };
        let each = settings
            .into_iter()
            .map(|settings| match redis::from_redis_value(settings) {
                Ok(settings) => of(&settings),
                Err(error) => Durability::Unknown {
                    why: error.to_string(),
                },
            });
        let none = || Durability::Unknown {
            why: "no server has answered".to_owned(),
        };
        Ok(each.max_by_key(risk).unwrap_or_else(none))
    }
}

fn of(settings: &HashMap<String, String>) -> Durability {
    let setting = |name: &str| settings.get(name).map(String::as_str);
    match (setting("appendonly"), setting("appendfsync")) {
        (Some("yes"), Some("always")) => Durability::Everything,
        (Some("yes"), Some(appendfsync)) => Durability::AllButTheLast {
            appendfsync: appendfsync.to_owned(),
        },
        (Some("no"), _) => Durability::Snapshots,
        _ => Durability::Unknown {
            why: "it names no `appendonly` and `appendfsync`".to_owned(),
        },
    }
}

/// How much may be lost, in an order.
fn risk(durability: &Durability) -> u8 {
    match durability {
        Durability::Everything => 0,
        Durability::AllButTheLast { .. } => 1,
        Durability::Unknown { .. } => 2,
        Durability::Snapshots => 3,
    }
}
