//! The dialect `direct`: one-to-one chat, one connection per user (spec `direct.md`).

mod admin;
pub(crate) mod http;

use bytes::Bytes;
use touchstone_protocol::{Dialect, direct, routes};
use touchstone_storage::{Accounts, Bus, Payload, Presence};
use touchstone_wire as wire;

use crate::backing::Backing;
use crate::config::DirectConfig;
use crate::connection::{Close, Mailbox, OpenRequest};
use crate::dialects::{DialectServer, Heard};
use crate::query::Query;
use crate::relay::Hears;

/// Where its users are kept.
const REALM: &str = "direct";

/// The rules of `direct` over any store and bus.
#[derive(Debug)]
pub(crate) struct Direct<S, B, P> {
    pub(crate) backing: Backing<S, B, P>,
    pub(crate) config: DirectConfig,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Session {
    user: String,
}

impl<S: Accounts, B: Bus, P: Presence> DialectServer for Direct<S, B, P> {
    type Session = Session;

    async fn open(&self, request: OpenRequest, mailbox: &Mailbox) -> Result<Session, Close> {
        let query = Query::new(request.query.as_deref());
        let token = routes::token_parameter(Dialect::Direct)
            .and_then(|name| query.get(name))
            .ok_or_else(|| Close::new(direct::CLOSE_NO_TOKEN, direct::REASON_NO_TOKEN))?;
        let invalid = || Close::new(direct::CLOSE_INVALID_TOKEN, direct::REASON_INVALID_TOKEN);
        let claims = self
            .backing
            .tokens
            .verify(&token, self.backing.clock.now())
            .map_err(|_| invalid())?;
        let user = claims.text("id").ok_or_else(invalid)?.to_ascii_lowercase();
        let store = &self.backing.store;
        match store.call(store.account(REALM, &user)).await {
            Ok(Some(_)) => {
                mailbox.expires(claims.expires);
                Ok(Session { user })
            }
            Ok(None) => Err(Close::new(
                direct::CLOSE_UNKNOWN_USER,
                direct::REASON_UNKNOWN_USER,
            )),
            Err(_) => Err(Close::new(
                direct::CLOSE_SERVER_ERROR,
                direct::REASON_SERVER_ERROR,
            )),
        }
    }

    async fn hear(&self, session: &mut Session, _heard: Heard<'_>, _mailbox: &Mailbox) -> Result<(), Close> {
        tracing::trace!(user = session.user, "heard");
        Ok(())
    }

    fn heartbeat(&self) -> Bytes {
        wire::server_ping(b"")
    }

    async fn ponged(&self, _session: &mut Session, _payload: &[u8], mailbox: &Mailbox) {
        mailbox.heartbeat_answered();
    }

    async fn closed(&self, _session: Session) {}
}

impl<S: Accounts, B: Bus, P: Presence> Hears for Direct<S, B, P> {
    async fn heard(&self, _batch: &[Payload]) {}
}
