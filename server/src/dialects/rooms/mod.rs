//! The dialect `rooms`: multi-tenant channels (spec `rooms.md`).
//!
//! What a connection says goes over its channel's desk (`desk`, `clerk`), which stores and publishes it; what the bus brings
//! goes to the connections (`fanout`, `member`). Both ends of it meet on one node as they would on several.

mod admin;
mod admission;
mod clerk;
mod comings;
mod desk;
mod event;
mod fanout;
mod greeting;
pub(crate) mod http;
mod member;
mod orders;
mod place;
mod typists;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use touchstone_protocol::close::CloseCode;
use touchstone_protocol::rooms::messages::{Said, Told};
use touchstone_protocol::timestamp::Rfc3339;
use touchstone_protocol::{Dialect, rooms, routes};
use touchstone_storage::{Accounts, Bus, BusError, Channels, Keep, Post, Posts, Presence, StoreError};

use crate::backing::Backing;
use crate::config::RoomsConfig;
use crate::connection::{Close, Mailbox, OpenRequest};
use crate::crowd::Crowd;
use crate::dialects::{DialectServer, Heard};
use crate::groups::{Groups, Membership};
use crate::lingering::Lingering;
use crate::query::Query;
use crate::retention::Retains;
use admission::{Caller, NotAdmitted, TokenKind};
use comings::{Mover, Passage};
use desk::{Asker, Deed, Desks, NotSaid, Queue, Typing};
use member::{Member, User};
use place::REALM;
use typists::Typists;

/// Why a connection is refused that shows no good token (rooms/1a, 1b).
const REASON_INVALID_TOKEN: &str = "invalid token";

/// Why one is refused that may not be in its channel, whether or not there is one (rooms/2c).
const REASON_REFUSED: &str = "refused";

/// How long a connection that is seen off waits for its own messages to come back: as long as for a publish.
const HANDING_ON_PATIENCE: Duration = Duration::from_secs(5);

/// The rules of `rooms` over any store and bus.
#[derive(Debug)]
pub(crate) struct Rooms<S, B, P> {
    pub(crate) backing: Backing<S, B, P>,
    config: RoomsConfig,
    /// What happens in the channels.
    desks: Desks<Deed>,
    /// Who comes to the tenants and who leaves them: apart, so that a crowd that leaves holds up no channel.
    gates: Desks<Passage>,
    /// The connections of this node by the topic of their channel.
    groups: Arc<Groups<Arc<Member>>>,
    typists: Typists,
    crowd: Crowd,
    lingering: Lingering,
}

/// Something that goes on beside the connections.
#[derive(Debug)]
#[expect(private_interfaces, reason = "it is only handed back to the dialect")]
pub(crate) enum Errand {
    Desk(Queue<Deed>),
    Gate(Queue<Passage>),
    Typists,
    Crowds,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Session {
    member: Arc<Member>,
    membership: Membership<Arc<Member>>,
    ending: Ending,
}

/// How a connection is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// By itself: the others are told.
    Alone,
    /// With its node, of which nobody here is told (common/6a).
    WithServer,
}

impl<S, B, P> Rooms<S, B, P> {
    pub(crate) fn new(backing: Backing<S, B, P>, config: RoomsConfig) -> Self {
        Self {
            lingering: Lingering::new(backing.presence_terms.gone_after_stop),
            crowd: Crowd::new(backing.presence_terms.clone(), Arc::clone(&backing.stopping)),
            typists: Typists::new(config.typing_ttl, Instant::now()),
            desks: Desks::new(),
            gates: Desks::new(),
            groups: Groups::new(),
            backing,
            config,
        }
    }

    /// Everything that goes on beside the connections, once.
    pub(crate) fn errands(&self) -> Vec<Errand> {
        let desks = self.desks.queues().into_iter().map(Errand::Desk);
        let gates = self.gates.queues().into_iter().map(Errand::Gate);
        desks
            .chain(gates)
            .chain([Errand::Typists, Errand::Crowds])
            .collect()
    }

    /// Ends typing states whose time is over, until `stop`.
    async fn watch_typists(&self, stop: CancellationToken) {
        let now = || self.backing.clock.now().millis();
        while let Some(due) = stop.run_until_cancelled(self.typists.next_due(now)).await {
            for member in due {
                let Some(typist) = member.turn_now() else {
                    // It has much to say, each of which ends its typing, or has left.
                    self.typists.watch(&member);
                    continue;
                };
                let typing = Typing::MayBeOver;
                let over = Deed::Type { typing, typist };
                if self.desks.bring(&member.topic, over).await.is_err() {
                    return;
                }
            }
        }
    }

    /// Tells crowds who comes and goes, until `stop`.
    async fn tell_crowds(&self, stop: CancellationToken) {
        let tell = async |topic: Arc<str>, batch| self.tell_crowd(&topic, &batch).await;
        self.crowd.run(tell, stop).await;
    }
}

impl<S, B: Bus, P> Rooms<S, B, P> {
    /// From now on orders of other nodes are heard.
    pub(crate) async fn listen(&self) -> Result<(), BusError> {
        for topic in [REALM, place::STOPPED] {
            self.backing.relays.tune(&self.backing.bus, topic).await?;
        }
        Ok(())
    }

    /// Takes a connection out of its group: nothing more is told to it.
    async fn leave(&self, membership: Membership<Arc<Member>>) {
        let topic = Arc::clone(membership.group());
        drop(membership);
        self.backing.relays.untune(&self.backing.bus, &topic).await;
    }
}

impl<S, B, P> Rooms<S, B, P>
where
    S: Accounts + Channels + Posts,
    B: Bus,
    P: Presence,
{
    /// Does what goes on beside the connections, until `stop` and until nothing of it is left undone.
    pub(crate) async fn run(&self, errand: Errand, stop: CancellationToken) {
        match errand {
            Errand::Desk(deeds) => self.serve(deeds, stop).await,
            Errand::Gate(passages) => self.guard(passages, stop).await,
            Errand::Typists => self.watch_typists(stop).await,
            Errand::Crowds => self.tell_crowds(stop).await,
        }
    }

    /// Lets somebody into a channel. What happens there meanwhile is held back until he is greeted, so that a message is
    /// either in his history or comes behind it (rooms/3d).
    async fn enter(&self, caller: &Caller, channel: &str, mailbox: &Mailbox) -> Result<Session, Close> {
        let topic = place::topic(&caller.realm, channel);
        let member = Member::new(Arc::clone(&caller.user), topic, mailbox.clone());
        let membership = self.groups.join(&member.topic, Arc::clone(&member));
        let tuned = self.backing.relays.tune(&self.backing.bus, &member.topic).await;
        let greeted = match tuned {
            Ok(()) => self.greet(caller, channel, &member).await,
            Err(_) => Err(server_error()),
        };
        match greeted {
            Ok(()) => Ok(Session {
                member,
                membership,
                ending: Ending::Alone,
            }),
            Err(close) => {
                self.leave(membership).await;
                Err(close)
            }
        }
    }

    async fn greet(&self, caller: &Caller, channel: &str, member: &Arc<Member>) -> Result<(), Close> {
        let greeting = self.look(caller, &member.topic, channel).await;
        let greeting = greeting
            .map_err(|_| server_error())?
            .ok_or_else(|| Close::new(rooms::CLOSE_REFUSED, REASON_REFUSED))?;
        member.greet(greeting.sequence(), |mailbox| {
            greeting.tell(|told| {
                mailbox.json(told);
            });
        });
        if self.arrive(&Mover::of(member), caller.last_seen).await.is_err() {
            // As far as it was counted in.
            self.depart(&Mover::of(member)).await;
            return Err(server_error());
        }
        Ok(())
    }

    /// Says something for a request.
    async fn post(&self, topic: Arc<str>, author: Arc<User>, text: String) -> Result<Post, NotSaid> {
        let (answer, answered) = oneshot::channel();
        let deed = Deed::Say {
            topic: Arc::clone(&topic),
            author,
            text,
            asker: Asker::Request(answer),
        };
        let brought = self.desks.bring(&topic, deed).await;
        brought.map_err(|_| NotSaid::Unavailable)?;
        answered.await.unwrap_or(Err(NotSaid::Unavailable))
    }

    /// Brings a deed to the desk of the member's channel.
    async fn bring(&self, member: &Member, deed: Deed) -> Result<(), Close> {
        let brought = self.desks.bring(&member.topic, deed).await;
        brought.map_err(|_| server_error())
    }
}

fn server_error() -> Close {
    Close::new(CloseCode::INTERNAL, "server error")
}

impl<S, B, P> DialectServer for Rooms<S, B, P>
where
    S: Accounts + Channels + Posts,
    B: Bus,
    P: Presence,
{
    type Session = Session;

    async fn open(&self, request: OpenRequest, mailbox: &Mailbox) -> Result<Session, Close> {
        let query = Query::new(request.query.as_deref());
        let invalid = || Close::new(rooms::CLOSE_REFUSED, REASON_INVALID_TOKEN);
        let token = routes::token_parameter(Dialect::Rooms)
            .and_then(|name| query.get(name))
            .ok_or_else(invalid)?;
        let caller = match self.admit(&token, TokenKind::Access).await {
            Ok(caller) => caller,
            Err(NotAdmitted::Refused) => return Err(invalid()),
            Err(NotAdmitted::Unavailable) => return Err(server_error()),
        };
        mailbox.expires(caller.expires);
        self.enter(&caller, &request.place, mailbox).await
    }

    async fn hear(&self, session: &mut Session, heard: Heard<'_>, mailbox: &Mailbox) -> Result<(), Close> {
        self.backing.faults.handler();
        let Heard::Text(text) = heard else {
            return Err(Close::new(CloseCode::UNSUPPORTED, "text is spoken here"));
        };
        let member = &session.member;
        match Said::read(text, self.config.content_chars) {
            Ok(Said::Message { content }) => {
                let deed = Deed::Say {
                    topic: Arc::clone(&member.topic),
                    author: Arc::clone(&member.user),
                    text: content.into_owned(),
                    asker: Asker::Connection(member.turn().await),
                };
                self.bring(member, deed).await?;
            }
            Ok(Said::Typing { is_typing }) => {
                let typing = if is_typing { Typing::Begins } else { Typing::Ends };
                let typist = member.turn().await;
                self.bring(member, Deed::Type { typing, typist }).await?;
            }
            Ok(Said::Read { message_id }) => {
                let message = message_id.into_owned();
                let reader = member.turn().await;
                self.bring(member, Deed::Read { message, reader }).await?;
            }
            Ok(Said::Heartbeat) => {
                let timestamp = Rfc3339(self.backing.clock.now().millis());
                mailbox.json(&Told::HeartbeatAck { timestamp });
            }
            Err(why) => {
                let asker = member.turn().await;
                self.bring(member, Deed::Refuse { why, asker }).await?;
            }
        }
        Ok(())
    }

    async fn settle(&self, session: &mut Session) {
        let member = &session.member;
        member.settled().await;
        if member.has_spoken() {
            let backing = &self.backing;
            let handed_on = backing.relays.handed_on(&backing.bus, &member.topic);
            match tokio::time::timeout(HANDING_ON_PATIENCE, handed_on).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(%error, "somebody may not hear what he has said himself"),
                Err(_) => tracing::warn!("somebody does not hear in time what he has said himself"),
            }
        }
    }

    fn farewell(&self, session: &mut Session, _mailbox: &Mailbox) {
        session.ending = Ending::WithServer;
    }

    async fn closed(&self, session: Session) {
        let Session {
            member,
            membership,
            ending,
        } = session;
        // What it said is stored and told before it leaves; what it hears no longer matters.
        member.fall_silent().await;
        self.leave(membership).await;
        match ending {
            Ending::Alone => self.depart(&Mover::of(&member)).await,
            Ending::WithServer => self.leave_behind(&member).await,
        }
    }
}

impl<S: Accounts + Channels + Posts, B: Bus, P: Presence> Retains for Rooms<S, B, P> {
    async fn trim(&self, keep: Keep, limit: usize) -> Result<usize, StoreError> {
        let store = &self.backing.store;
        store.call(store.trim_posts(keep, limit)).await
    }
}
