//! The dialect `feed`: live updates of resources to users (spec `feed.md`).

pub(crate) mod admin;
pub(crate) mod http;
mod identity;
mod resources;
mod telling;

use std::sync::Arc;

use bytes::Bytes;
use tokio_util::sync::CancellationToken;
use touchstone_protocol::feed::messages::{Down, INVALID_JSON, Up};
use touchstone_protocol::feed::{
    CLOSE_SERVER_ERROR, CLOSE_UNAUTHENTICATED, REASON_SERVER_ERROR, REASON_UNAUTHENTICATED,
};
use touchstone_protocol::timestamp::Rfc3339;
use touchstone_protocol::{Dialect, feed::messages, routes};
use touchstone_storage::{
    Accounts, Bus, BusError, Change, ConnectionId, Keep, Presence, Resources, StoreError,
};
use touchstone_wire as wire;
use uuid::Uuid;

use crate::backing::Backing;
use crate::config::FeedConfig;
use crate::connection::{Close, Mailbox, OpenRequest};
use crate::crowd::Crowd;
use crate::dialects::{DialectServer, Heard};
use crate::groups::{Groups, Membership};
use crate::lingering::{Lingering, Lingers, Stranded};
use crate::query::Query;
use crate::retention::Retains;
use crate::turns::Turns;
use identity::{Unidentified, Use};

/// Where its users are kept.
const REALM: &str = "feed";

/// Where they are present.
const PLACE: &str = "feed";

/// The rules of `feed` over any store and bus.
#[derive(Debug)]
pub(crate) struct Feed<S, B, P> {
    pub(crate) backing: Backing<S, B, P>,
    config: FeedConfig,
    /// The connections of this node, by user. Both groups of the document: `user_{id}` is one of these, `broadcast` all.
    users: Arc<Groups<Mailbox>>,
    crowd: Crowd,
    lingering: Lingering,
    /// This node among all there ever were.
    node: Uuid,
    /// About a user: his coming and going. About a resource: its changes.
    turns: Turns,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Session {
    user: i64,
    name: Box<str>,
    connection: ConnectionId,
    place: Membership<Mailbox>,
    ending: Ending,
}

/// What its end means to others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// The user has left, if it was his last.
    Leave,
    /// This node stops: the user will be back on another (common/6a, 6d).
    Stop,
}

impl<S: Accounts, B: Bus, P: Presence> Feed<S, B, P> {
    pub(crate) fn new(backing: Backing<S, B, P>, config: FeedConfig) -> Self {
        let crowd = Crowd::new(backing.presence_terms.clone(), Arc::clone(&backing.stopping));
        let lingering = Lingering::new(backing.presence_terms.gone_after_stop);
        Self {
            backing,
            config,
            users: Groups::new(),
            crowd,
            lingering,
            node: Uuid::new_v4(),
            turns: Turns::new(),
        }
    }

    /// From now on what everybody is told is heard.
    pub(crate) async fn listen(&self) -> Result<(), BusError> {
        for topic in [
            telling::TOPIC_ALL,
            telling::TOPIC_PRESENCE,
            telling::TOPIC_STOPPED,
        ] {
            self.backing.relays.tune(&self.backing.bus, topic).await?;
        }
        Ok(())
    }

    /// Tells large audiences of comings and goings, until `stop` (common/11a).
    pub(crate) async fn tell_crowd(&self, stop: CancellationToken) {
        let tell = |_, batch| self.tell_batch(batch);
        self.crowd.run(tell, stop).await;
    }

    /// Counts a connection in and tells the others if it is its user's first (feed/6b).
    async fn arrive(&self, session: &Session) -> Result<(), Close> {
        let user = session.place.group();
        let _turn = self.turns.take(user).await;
        let arrival = self.backing.presence.arrive(PLACE, user, session.connection);
        match arrival.await.map_err(|_| server_error())? {
            Change::Member => {
                self.tell_presence(session.mover(), messages::Presence::Connected)
                    .await;
            }
            Change::ConnectionOnly => {}
        }
        Ok(())
    }

    /// Counts a connection out and tells the others if it was its user's last.
    async fn depart(&self, mover: Mover<'_>, connection: ConnectionId) {
        let _turn = self.turns.take(mover.key).await;
        match self.backing.presence.depart(PLACE, mover.key, connection).await {
            Ok(Change::Member) => {
                self.tell_presence(mover, messages::Presence::Disconnected).await;
            }
            Ok(Change::ConnectionOnly) => {}
            Err(error) => tracing::warn!(%error, "a departure was not counted"),
        }
    }

    /// Leaves a connection counted in, for other nodes to count out.
    async fn leave_behind(&self, session: &Session) {
        let stranded = Stranded {
            place: String::new(),
            user: session.place.group().to_string(),
            connection: session.connection.0,
            millis: self.backing.clock.now().millis(),
        };
        self.backing.leave_behind(telling::TOPIC_STOPPED, &stranded).await;
    }
}

/// Somebody who comes or goes.
#[derive(Debug, Clone, Copy)]
struct Mover<'a> {
    id: i64,
    /// The id as text.
    key: &'a str,
    name: &'a str,
}

impl Session {
    fn mover(&self) -> Mover<'_> {
        Mover {
            id: self.user,
            key: self.place.group(),
            name: &self.name,
        }
    }
}

impl<S: Accounts, B: Bus, P: Presence> Lingers for Feed<S, B, P> {
    fn lingering(&self) -> &Lingering {
        &self.lingering
    }

    async fn count_out(&self, stranded: Stranded) {
        let (key, store) = (&*stranded.user, &self.backing.store);
        let account = match store.call(store.account(REALM, key)).await {
            Ok(account) => account,
            Err(error) => {
                tracing::warn!(%error, "somebody who may be gone is still counted in");
                return;
            }
        };
        // Nobody is told of one who was deleted meanwhile, but he is counted out.
        let name = account.map(|account| account.username).unwrap_or_default();
        let Ok(id) = key.parse() else { return };
        let mover = Mover { id, key, name: &name };
        self.depart(mover, ConnectionId(stranded.connection)).await;
    }
}

fn unauthenticated() -> Close {
    Close::new(CLOSE_UNAUTHENTICATED, REASON_UNAUTHENTICATED)
}

fn server_error() -> Close {
    Close::new(CLOSE_SERVER_ERROR, REASON_SERVER_ERROR)
}

impl<S: Accounts, B: Bus, P: Presence> DialectServer for Feed<S, B, P> {
    type Session = Session;

    async fn open(&self, request: OpenRequest, mailbox: &Mailbox) -> Result<Session, Close> {
        let query = Query::new(request.query.as_deref());
        let token = routes::token_parameter(Dialect::Feed)
            .and_then(|name| query.get(name))
            .ok_or_else(unauthenticated)?;
        let user = self
            .identify(&token, Use::Access)
            .await
            .map_err(|why| match why {
                Unidentified::Unauthenticated => unauthenticated(),
                Unidentified::Store => server_error(),
            })?;
        mailbox.expires(user.expires);
        let place = self.users.join(&user.key, mailbox.clone());
        let topic = telling::topic_of(&user.key);
        let (relays, bus) = (&self.backing.relays, &self.backing.bus);
        relays.tune(bus, &topic).await.map_err(|_| server_error())?;
        let session = Session {
            user: user.id,
            name: user.name.into(),
            connection: mailbox.id(),
            place,
            ending: Ending::Leave,
        };
        match self.arrive(&session).await {
            Ok(()) => Ok(session),
            Err(close) => {
                relays.untune(bus, &topic).await;
                Err(close)
            }
        }
    }

    async fn hear(&self, _session: &mut Session, heard: Heard<'_>, mailbox: &Mailbox) -> Result<(), Close> {
        self.backing.faults.handler();
        let Heard::Text(text) = heard else {
            // Refused on its first frame (common/4a).
            return Ok(());
        };
        match Up::decode(text) {
            Ok(Up::Pong) => mailbox.heartbeat_answered(),
            Ok(Up::Other) => {}
            Err(_) => {
                // A mailbox that takes nothing more is one whose connection is about to end.
                let _ = mailbox.text(INVALID_JSON);
            }
        }
        Ok(())
    }

    fn heartbeat(&self) -> Bytes {
        let timestamp = Rfc3339(self.backing.clock.now().millis());
        wire::server_text(&Down::Ping { timestamp }.to_json())
    }

    fn farewell(&self, session: &mut Session, _mailbox: &Mailbox) {
        session.ending = Ending::Stop;
    }

    async fn closed(&self, session: Session) {
        match session.ending {
            Ending::Leave => self.depart(session.mover(), session.connection).await,
            Ending::Stop => self.leave_behind(&session).await,
        }
        let topic = telling::topic_of(session.place.group());
        self.backing.relays.untune(&self.backing.bus, &topic).await;
    }
}

impl<S: Accounts + Resources, B: Bus, P: Presence> Retains for Feed<S, B, P> {
    async fn trim(&self, keep: Keep, limit: usize) -> Result<usize, StoreError> {
        let store = &self.backing.store;
        store
            .call(store.trim_resources(resources::MESSAGES, keep, limit))
            .await
    }
}
