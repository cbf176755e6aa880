//! What an administrator can do with `echo`: tell everybody something, and see who is there. It has no users.

use touchstone_protocol::echo::messages::Broadcast;
use touchstone_storage::{Bus, SessionStore};

use super::Echo;
use crate::admin::{Administered, Audience, OpenConnection, Publication, Refusal, UserName};

impl<S: SessionStore, B: Bus> Administered for Echo<S, B> {
    async fn publish(&self, publication: Publication) -> Result<(), Refusal> {
        let refused = |why: &str| Err(Refusal::Request(why.to_owned()));
        let Publication {
            to,
            kind,
            data,
            scheduled_at,
            tenant,
        } = publication;
        match (to, kind.as_str(), scheduled_at, tenant) {
            (Audience::One(_) | Audience::Several(_), _, _, _) => {
                return refused("on echo, `to` is \"all\": it has no users");
            }
            (Audience::All, "broadcast", None, None) => {}
            (Audience::All, "broadcast", Some(_), _) => return refused("echo has no `scheduled_at`"),
            (Audience::All, "broadcast", None, Some(_)) => return refused("echo has no tenants"),
            (Audience::All, _, _, _) => return refused("on echo, `type` is \"broadcast\""),
        }
        let broadcast = Broadcast::from_fields(&data, self.clock.now().millis())
            .map_err(|bad| Refusal::Request(bad.message()))?;
        Ok(self.broadcast(&broadcast).await?)
    }

    fn connections(&self, user: Option<&UserName>) -> Result<Vec<OpenConnection>, Refusal> {
        if user.is_some() {
            return Err(Refusal::Lacks("users"));
        }
        let mut connections = Vec::new();
        self.hub.for_each(|connection| {
            connections.push(OpenConnection {
                user: None,
                tenant: None,
                since: connection.since(),
                peer: connection.peer(),
            });
        });
        Ok(connections)
    }
}
