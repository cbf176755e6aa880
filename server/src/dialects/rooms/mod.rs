//! The dialect `rooms`: multi-tenant channels (spec `rooms.md`).

mod admin;
pub(crate) mod http;

use touchstone_protocol::close::CloseCode;
use touchstone_protocol::{Dialect, rooms, routes};
use touchstone_storage::{Accounts, Bus, Payload, Presence};

use crate::backing::Backing;
use crate::config::RoomsConfig;
use crate::connection::{Close, Mailbox, OpenRequest};
use crate::dialects::{DialectServer, Heard};
use crate::query::Query;
use crate::relay::Hears;

/// Where its users are kept.
const REALM: &str = "rooms";

/// The rules of `rooms` over any store and bus.
#[derive(Debug)]
pub(crate) struct Rooms<S, B, P> {
    pub(crate) backing: Backing<S, B, P>,
    pub(crate) config: RoomsConfig,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Session {
    user: String,
}

impl<S: Accounts, B: Bus, P: Presence> DialectServer for Rooms<S, B, P> {
    type Session = Session;

    async fn open(&self, request: OpenRequest, mailbox: &Mailbox) -> Result<Session, Close> {
        let query = Query::new(request.query.as_deref());
        let token = routes::token_parameter(Dialect::Rooms)
            .and_then(|name| query.get(name))
            .ok_or_else(|| Close::new(rooms::CLOSE_REFUSED, "refused"))?;
        let invalid = || Close::new(rooms::CLOSE_REFUSED, "refused");
        let claims = self
            .backing
            .tokens
            .verify(&token, self.backing.clock.now())
            .map_err(|_| invalid())?;
        let user = claims.id("user_id").ok_or_else(invalid)?;
        let store = &self.backing.store;
        match store.call(store.account(REALM, &user)).await {
            Ok(Some(_)) => {
                mailbox.expires(claims.expires);
                Ok(Session { user })
            }
            Ok(None) => Err(invalid()),
            Err(_) => Err(Close::new(CloseCode::INTERNAL, "server error")),
        }
    }

    async fn hear(&self, session: &mut Session, _heard: Heard<'_>, _mailbox: &Mailbox) -> Result<(), Close> {
        tracing::trace!(user = session.user, "heard");
        Ok(())
    }

    async fn closed(&self, _session: Session) {}
}

impl<S: Accounts, B: Bus, P: Presence> Hears for Rooms<S, B, P> {
    async fn heard(&self, _batch: &[Payload]) {}
}
