//! The dialect `outbox`: a per-user stream of events from a durable outbox (spec `outbox.md`).

mod admin;
pub(crate) mod http;

use touchstone_protocol::close::CloseCode;
use touchstone_protocol::{Dialect, outbox, routes};
use touchstone_storage::{Accounts, Bus, Payload, Presence};

use crate::backing::Backing;
use crate::config::OutboxConfig;
use crate::connection::{Close, Mailbox, OpenRequest};
use crate::dialects::{DialectServer, Heard};
use crate::query::Query;
use crate::relay::Hears;

/// Where its users are kept.
const REALM: &str = "outbox";

/// The rules of `outbox` over any store and bus.
#[derive(Debug)]
pub(crate) struct Outbox<S, B, P> {
    pub(crate) backing: Backing<S, B, P>,
    pub(crate) config: OutboxConfig,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Session {
    user: String,
}

impl<S: Accounts, B: Bus, P: Presence> DialectServer for Outbox<S, B, P> {
    type Session = Session;

    async fn open(&self, request: OpenRequest, mailbox: &Mailbox) -> Result<Session, Close> {
        let query = Query::new(request.query.as_deref());
        let token = routes::token_parameter(Dialect::Outbox)
            .and_then(|name| query.get(name))
            .ok_or_else(|| Close::new(outbox::CLOSE_NO_TOKEN, "no token"))?;
        let invalid = || Close::new(outbox::CLOSE_INVALID_TOKEN, "invalid token");
        let claims = self
            .backing
            .tokens
            .verify(&token, self.backing.clock.now())
            .map_err(|_| invalid())?;
        let user = claims.text("sub").ok_or_else(invalid)?.to_ascii_lowercase();
        let store = &self.backing.store;
        match store.call(store.account(REALM, &user)).await {
            Ok(Some(_)) => {
                mailbox.expires(claims.expires);
                Ok(Session { user })
            }
            Ok(None) => Err(Close::new(outbox::CLOSE_UNKNOWN_USER, "unknown user")),
            Err(_) => Err(Close::new(CloseCode::INTERNAL, "server error")),
        }
    }

    async fn hear(&self, session: &mut Session, _heard: Heard<'_>, _mailbox: &Mailbox) -> Result<(), Close> {
        tracing::trace!(user = session.user, "heard");
        Ok(())
    }

    async fn closed(&self, _session: Session) {}
}

impl<S: Accounts, B: Bus, P: Presence> Hears for Outbox<S, B, P> {
    async fn heard(&self, _batch: &[Payload]) {}
}
