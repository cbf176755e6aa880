//! The dialect `feed`: live updates of resources to users (spec `feed.md`).

mod admin;
pub(crate) mod http;

use touchstone_protocol::{Dialect, feed, routes};
use touchstone_storage::{Accounts, Bus, Payload, Presence};

use crate::backing::Backing;
use crate::config::FeedConfig;
use crate::connection::{Close, Mailbox, OpenRequest};
use crate::dialects::{DialectServer, Heard};
use crate::query::Query;
use crate::relay::Hears;

/// Where its users are kept.
const REALM: &str = "feed";

/// The rules of `feed` over any store and bus.
#[derive(Debug)]
pub(crate) struct Feed<S, B, P> {
    pub(crate) backing: Backing<S, B, P>,
    pub(crate) config: FeedConfig,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Session {
    user: String,
}

impl<S: Accounts, B: Bus, P: Presence> DialectServer for Feed<S, B, P> {
    type Session = Session;

    async fn open(&self, request: OpenRequest, mailbox: &Mailbox) -> Result<Session, Close> {
        let query = Query::new(request.query.as_deref());
        let token = routes::token_parameter(Dialect::Feed)
            .and_then(|name| query.get(name))
            .ok_or_else(|| Close::new(feed::CLOSE_UNAUTHENTICATED, "unauthenticated"))?;
        let invalid = || Close::new(feed::CLOSE_UNAUTHENTICATED, "unauthenticated");
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
            Err(_) => Err(Close::new(feed::CLOSE_SERVER_ERROR, "server error")),
        }
    }

    async fn hear(&self, session: &mut Session, _heard: Heard<'_>, _mailbox: &Mailbox) -> Result<(), Close> {
        tracing::trace!(user = session.user, "heard");
        Ok(())
    }

    async fn closed(&self, _session: Session) {}
}

impl<S: Accounts, B: Bus, P: Presence> Hears for Feed<S, B, P> {
    async fn heard(&self, _batch: &[Payload]) {}
}
