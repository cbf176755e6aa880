//! The dialect `direct`: one-to-one chat, one connection per user (spec `direct.md`).
//!
//! A message is stored, confirmed, and published under its receiver's topic; the node that has his connection hands it
//! over and puts a receipt into a queue, from which the store and the sender hear of it. Who is online is told by one
//! task per node. Nothing here knows how many nodes there are.

mod admin;
mod answering;
mod handing;
pub(crate) mod http;
mod ids;
mod member;
mod parcel;
mod receipts;
mod telling;

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use thiserror::Error;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use touchstone_protocol::direct::messages::{Down, Up};
use touchstone_protocol::direct::{self, HexId};
use touchstone_protocol::timestamp::Rfc3339;
use touchstone_protocol::{Dialect, routes};
use touchstone_storage::{
    Account, Accounts, Bus, BusError, Change as PresenceChange, ConnectionId, Dialogues, Keep, Presence,
    StoreError,
};
use touchstone_wire as wire;

use crate::auth::Claims;
use crate::backing::Backing;
use crate::config::DirectConfig;
use crate::connection::{Close, Mailbox, OpenRequest};
use crate::crowd::Crowd;
use crate::dialects::{DialectServer, Heard};
use crate::groups::{Groups, Membership};
use crate::lingering::{Lingering, Lingers, Stranded};
use crate::query::Query;
use crate::retention::Retains;
use ids::Ids;
use member::Member;
use parcel::{Change, Parcel, Whereabouts};
use receipts::Receipts;
use telling::{Mover, Tellings};

/// Where its users and their dialogues are kept.
const REALM: &str = "direct";

/// Where its users are present.
const PLACE: &str = "direct";

/// What everybody hears, on every node.
const TOPIC_EVERYBODY: &str = "direct:all";

/// Whom a node leaves behind that stops.
const TOPIC_STOPPED: &str = "direct:stopped";

/// Before the id of a user, what his connections hear.
const TOPIC_OF_USER: &str = "direct:user:";

/// How long a bus may take to carry something: as long as a store (common/7d).
const BUS_DEADLINE: Duration = Duration::from_secs(5);

/// The rules of `direct` over any store and bus.
#[derive(Debug)]
pub(crate) struct Direct<S, B, P> {
    pub(crate) backing: Backing<S, B, P>,
    pub(crate) config: DirectConfig,
    ids: Ids,
    /// The connections of this node by user. Where the map of all nodes is, see [`Presence`].
    members: Arc<Groups<Arc<Member>>>,
    receipts: Receipts,
    tellings: Tellings,
    crowd: Crowd,
    lingering: Lingering,
}

/// What waits for [`Direct::work`].
#[derive(Debug)]
pub(crate) struct Work {
    receipts: mpsc::Receiver<receipts::Entry>,
    changes: mpsc::Receiver<Change>,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Session {
    member: Arc<Member>,
    membership: Membership<Arc<Member>>,
    ending: Ending,
}

/// What a connection's end means to others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// The user has left, if it was his.
    Leave,
    /// This node stops: the user will be back on another (common/6a, 6d).
    Stop,
}

/// Why somebody could not be let in.
#[derive(Debug, Error)]
enum Trouble {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Bus(#[from] BusError),
}

impl<S: Accounts + Dialogues, B: Bus, P: Presence> Direct<S, B, P> {
    /// Nobody is here yet. `node` tells its ids from those of other nodes: it is drawn at random.
    pub(crate) fn new(backing: Backing<S, B, P>, config: DirectConfig, node: u64) -> (Self, Work) {
        let (receipts, receipts_noted) = Receipts::new();
        let (tellings, changes) = Tellings::new();
        let direct = Self {
            lingering: Lingering::new(backing.presence_terms.gone_after_stop),
            crowd: Crowd::new(backing.presence_terms.clone(), Arc::clone(&backing.stopping)),
            backing,
            config,
            ids: Ids::new(node),
            members: Groups::new(),
            receipts,
            tellings,
        };
        let work = Work {
            receipts: receipts_noted,
            changes,
        };
        (direct, work)
    }

    /// From now on what is for everybody is heard on this node.
    pub(crate) async fn listen(&self) -> Result<(), BusError> {
        for topic in [TOPIC_EVERYBODY, TOPIC_STOPPED] {
            self.backing.relays.tune(&self.backing.bus, topic).await?;
        }
        Ok(())
    }

    /// Does what connections leave to be done, until `stop`.
    pub(crate) async fn work(&self, work: Work, stop: CancellationToken) {
        tokio::join!(
            self.tell_senders(work.receipts, stop.clone()),
            self.tell_changes(work.changes, stop.clone()),
            self.crowd
                .run(|_audience, batch| self.tell_crowd(batch), stop.clone()),
        );
    }

    /// Returns when the senders of what was handed over before have been told so, or that has taken too long.
    pub(crate) async fn settle(&self) {
        // While the store is away nothing is told.
        if self.backing.store.is_available() {
            self.receipts.settle().await;
        }
    }

    /// Publishes, and says whether that went well.
    async fn publish(&self, topic: &str, parcel: &Parcel) -> bool {
        let published = self.publish_in_time(topic, parcel).await;
        if let Err(error) = &published {
            self.backing.metrics.errors.inc();
            tracing::warn!(%error, "not everybody hears what is for him");
        }
        published.is_ok()
    }

    async fn publish_in_time(&self, topic: &str, parcel: &Parcel) -> Result<(), BusError> {
        let publishing = self.backing.bus.publish(topic, parcel.encode());
        let published = tokio::time::timeout(BUS_DEADLINE, publishing).await;
        published.unwrap_or_else(|_| {
            Err(BusError::Unavailable(format!(
                "no answer within {BUS_DEADLINE:?}"
            )))
        })
    }

    /// The same for a user's connections.
    async fn publish_to(&self, user: HexId, parcel: &Parcel) -> bool {
        self.publish(&topic_of(user), parcel).await
    }

    /// Who asks to be let in, by the rules of direct/1.
    async fn admit(&self, request: &OpenRequest) -> Result<(HexId, Account, Claims), Close> {
        let query = Query::new(request.query.as_deref());
        let token = routes::token_parameter(Dialect::Direct)
            .and_then(|name| query.get(name))
            .ok_or_else(|| Close::new(direct::CLOSE_NO_TOKEN, direct::REASON_NO_TOKEN))?;
        let (user, claims) = self
            .user_of_token(&token)
            .ok_or_else(|| Close::new(direct::CLOSE_INVALID_TOKEN, direct::REASON_INVALID_TOKEN))?;
        let store = &self.backing.store;
        match store.call(store.account(REALM, user.as_str())).await {
            Ok(Some(account)) => Ok((user, account, claims)),
            Ok(None) => Err(Close::new(
                direct::CLOSE_UNKNOWN_USER,
                direct::REASON_UNKNOWN_USER,
            )),
            Err(_) => Err(server_error()),
        }
    }

    fn user_of_token(&self, token: &str) -> Option<(HexId, Claims)> {
        let now = self.backing.clock.now();
        let claims = self.backing.tokens.verify(token, now).ok()?;
        let user = HexId::parse(claims.text("id")?)?;
        Some((user, claims))
    }

    /// Counts the newcomer in, closes whom he takes over from, greets him, and tells the others.
    async fn arrive(&self, member: &Member) -> Result<(), Trouble> {
        let presence = &self.backing.presence;
        let (user, id) = (member.user, member.mailbox.id());
        let change = presence.arrive(PLACE, user.as_str(), id).await?;
        match change {
            PresenceChange::Member => {}
            PresenceChange::ConnectionOnly => {
                let connections = presence.connections(PLACE, user.as_str()).await?;
                let older = connections.into_iter().take_while(|other| *other != id);
                let superseded = Parcel::Superseded(older.collect());
                self.publish_in_time(&topic_of(user), &superseded).await?;
            }
        }
        let online = self.online().await?;
        let established = Down::ConnectionEstablished {
            user_id: user,
            username: &member.username,
        };
        let mut greeting = BytesMut::from(&wire::server_text(&established.to_json())[..]);
        greeting.extend_from_slice(&online.frame_for(member));
        let note = |messages| self.note_receipts(messages);
        member.greet(&greeting.freeze(), online.ids(), note);
        match change {
            PresenceChange::Member => self.announce(member.mover(), Whereabouts::Online).await,
            // He was here before, on another connection (direct/7d).
            PresenceChange::ConnectionOnly => {}
        }
        Ok(())
    }

    /// Takes back what [`arrive`](Self::arrive) did. Returns whether he has no other connection.
    async fn leave(&self, session: Session) -> Departure {
        let member = self.fall_deaf(session).await;
        self.depart(member.user, member.mailbox.id()).await
    }

    /// Nothing more is told to a connection.
    async fn fall_deaf(&self, session: Session) -> Arc<Member> {
        let Session {
            member, membership, ..
        } = session;
        drop(membership);
        let backing = &self.backing;
        backing.relays.untune(&backing.bus, &topic_of(member.user)).await;
        member
    }

    /// Counts a connection out.
    async fn depart(&self, user: HexId, connection: ConnectionId) -> Departure {
        let backing = &self.backing;
        match backing.presence.depart(PLACE, user.as_str(), connection).await {
            Ok(PresenceChange::Member) => Departure::Gone,
            Ok(PresenceChange::ConnectionOnly) => Departure::StillHere,
            Err(error) => {
                backing.metrics.errors.inc();
                tracing::warn!(%error, "somebody who has left is still counted in");
                Departure::StillHere
            }
        }
    }

    async fn note_last_seen(&self, user: HexId) {
        let store = &self.backing.store;
        let now = self.backing.clock.now();
        if let Err(error) = store.call(store.note_last_seen(REALM, user.as_str(), now)).await {
            tracing::debug!(%error, "when somebody was last seen is not noted");
        }
    }
}

impl<S: Accounts + Dialogues, B: Bus, P: Presence> Lingers for Direct<S, B, P> {
    fn lingering(&self) -> &Lingering {
        &self.lingering
    }

    async fn count_out(&self, stranded: Stranded) {
        let Some(user) = HexId::parse(&stranded.user) else {
            return;
        };
        let connection = ConnectionId(stranded.connection);
        let Departure::Gone = self.depart(user, connection).await else {
            return;
        };
        let store = &self.backing.store;
        match store.call(store.account(REALM, user.as_str())).await {
            Ok(Some(account)) => {
                let mover = Mover {
                    user,
                    username: &account.username,
                    connection,
                };
                self.announce(mover, Whereabouts::Offline).await;
            }
            // Deleted meanwhile: nobody knows him any more.
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "nobody is told that somebody is gone"),
        }
    }
}

/// What became of somebody who left.
#[derive(Debug)]
enum Departure {
    /// He has no connection any more.
    Gone,
    /// He has another one.
    StillHere,
}

fn topic_of(user: HexId) -> String {
    format!("{TOPIC_OF_USER}{user}")
}

fn server_error() -> Close {
    Close::new(direct::CLOSE_SERVER_ERROR, direct::REASON_SERVER_ERROR)
}

impl<S: Accounts + Dialogues, B: Bus, P: Presence> DialectServer for Direct<S, B, P> {
    type Session = Session;

    async fn open(&self, request: OpenRequest, mailbox: &Mailbox) -> Result<Session, Close> {
        let (user, account, claims) = self.admit(&request).await?;
        mailbox.expires(claims.expires);
        let backing = &self.backing;
        let tuned = backing.relays.tune(&backing.bus, &topic_of(user)).await;
        tuned.map_err(|_| server_error())?;
        let member = Arc::new(Member::new(user, &account, mailbox.clone()));
        let session = Session {
            membership: self.members.join(user.as_str(), Arc::clone(&member)),
            member,
            ending: Ending::Leave,
        };
        if let Err(error) = self.arrive(&session.member).await {
            tracing::warn!(%error, "somebody could not be let in");
            // Nobody has been told of him.
            self.leave(session).await;
            return Err(server_error());
        }
        Ok(session)
    }

    async fn hear(&self, session: &mut Session, heard: Heard<'_>, mailbox: &Mailbox) -> Result<(), Close> {
        self.backing.faults.handler();
        let Heard::Text(text) = heard else {
            // The connection refuses binary messages before they come here (common/4a).
            return Ok(());
        };
        let member = &session.member;
        let answered = match Up::decode(text, member.user, self.config.content_chars) {
            Ok(up) => self.answer(member, up).await,
            Err(refusal) => Err(refusal),
        };
        if let Err(refusal) = answered {
            mailbox.json(&Down::Error {
                message: &refusal.message(),
                timestamp: Rfc3339(self.backing.clock.now().millis()),
            });
        }
        Ok(())
    }

    fn heartbeat(&self) -> Bytes {
        wire::server_ping(b"")
    }

    async fn ponged(&self, _session: &mut Session, _payload: &[u8], mailbox: &Mailbox) {
        mailbox.heartbeat_answered();
    }

    fn farewell(&self, session: &mut Session, _mailbox: &Mailbox) {
        session.ending = Ending::Stop;
    }

    async fn closed(&self, session: Session) {
        let ending = session.ending;
        let member = self.fall_deaf(session).await;
        match ending {
            Ending::Leave => {
                let departure = self.depart(member.user, member.mailbox.id());
                if let Departure::Gone = departure.await {
                    self.note_last_seen(member.user).await;
                    self.announce(member.mover(), Whereabouts::Offline).await;
                }
            }
            Ending::Stop => {
                self.note_last_seen(member.user).await;
                let stranded = Stranded {
                    place: String::new(),
                    user: member.user.to_string(),
                    connection: member.mailbox.id().0,
                    millis: self.backing.clock.now().millis(),
                };
                self.backing.leave_behind(TOPIC_STOPPED, &stranded).await;
            }
        }
    }
}

impl<S: Accounts + Dialogues, B: Bus, P: Presence> Retains for Direct<S, B, P> {
    async fn trim(&self, keep: Keep, limit: usize) -> Result<usize, StoreError> {
        let store = &self.backing.store;
        store.call(store.trim_dialogues(REALM, keep, limit)).await
    }
}
