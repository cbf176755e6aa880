//! The dialect `outbox`: a per-user stream of events from a durable outbox (spec `outbox.md`).
//!
//! An event takes this way. It is stored as pending, and whoever stored it tells the nodes by the bus (`sending`). A node
//! writes it to each of its user's connections, once (`recipient`, with its `ledger`), and a ping behind it. The pong confirms
//! it, and that is recorded (`confirming`). Whatever goes wrong on this way, the event is pending still: the next
//! sweep finds it, or the user's next connection.

mod admin;
mod admission;
mod confirming;
pub(crate) mod http;
mod ledger;
mod news;
mod recipient;
mod sending;
mod user_uuid;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use touchstone_protocol::close::CloseCode;
use touchstone_protocol::outbox::messages::{Down, PendingCheck, Up};
use touchstone_protocol::timestamp::Rfc3339;
use touchstone_storage::{
    Accounts, Bus, BusError, Conversations, Events, Payload, Presence, Revocations, StoreError,
};

use crate::backing::Backing;
use crate::config::OutboxConfig;
use crate::connection::{Close, Mailbox, OpenRequest};
use crate::dialects::{DialectServer, Heard};
use crate::groups::{Groups, Membership};
use crate::relay::Hears;
use confirming::Confirming;
use ledger::PageEnd;
use news::{EventNews, News};
use recipient::{Ponged, Recipient};

/// Where its users are kept.
const REALM: &str = "outbox";

/// How long an event that somebody took out of the store to send it is his. A connection remembers for as long what it
/// confirmed, so that nobody writes it there again.
const CLAIM_LASTS: Duration = Duration::from_secs(10);

/// Events in one look at the store: what a client confirms before it gets the next ones.
const PAGE_EVENTS: usize = 128;

/// What goes wrong inside is nobody else's business.
const SERVER_ERROR: &str = "Server error";

/// What this dialect keeps.
pub(crate) trait Keeps: Accounts + Conversations + Events + Revocations {}

impl<S: Accounts + Conversations + Events + Revocations> Keeps for S {}

/// The rules of `outbox` over any store and bus.
#[derive(Debug)]
pub(crate) struct Outbox<S, B, P> {
    pub(crate) backing: Backing<S, B, P>,
    config: OutboxConfig,
    /// The connections of this node by user.
    recipients: Arc<Groups<Arc<Recipient>>>,
    confirming: Confirming,
    /// Another node wants this one to sweep.
    sweep_wanted: Notify,
    /// This node among all of them.
    node: u64,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Session {
    recipient: Arc<Recipient>,
    /// Among those of the user.
    membership: Membership<Arc<Recipient>>,
}

impl Session {
    fn user(&self) -> &str {
        self.membership.group()
    }
}

impl<S, B, P> Outbox<S, B, P> {
    /// For nobody yet.
    pub(crate) fn new(backing: Backing<S, B, P>, config: OutboxConfig, mut random: fastrand::Rng) -> Self {
        Self {
            backing,
            recipients: Groups::new(),
            confirming: Confirming::new(&config, random.fork()),
            config,
            sweep_wanted: Notify::new(),
            node: random.u64(..),
        }
    }

    fn timestamp(&self) -> Rfc3339 {
        Rfc3339(self.backing.clock.now().millis())
    }
}

impl<S: Keeps, B: Bus, P: Presence> Outbox<S, B, P> {
    /// From now on the connection hears what there is for the user, though it is written nothing yet.
    async fn take_seat(&self, user: &str, mailbox: &Mailbox) -> Result<Session, BusError> {
        let recipient = Recipient::new(mailbox.clone(), self.config.confirm);
        let membership = self.recipients.join(user, Arc::clone(&recipient));
        let topic = news::topic(user);
        self.backing.relays.tune(&self.backing.bus, &topic).await?;
        Ok(Session {
            recipient,
            membership,
        })
    }

    async fn leave(&self, session: Session) {
        let topic = news::topic(session.user());
        drop(session);
        self.backing.relays.untune(&self.backing.bus, &topic).await;
    }

    async fn greet(&self, session: &Session) -> Result<(), StoreError> {
        session.recipient.mailbox.json(&Down::ConnectionEstablished {
            user_uuid: session.user(),
            timestamp: self.timestamp(),
        });
        self.write_pages(session).await
    }

    /// Writes what is pending and due, page by page, until all of it is written or the client has to answer first.
    async fn write_pages(&self, session: &Session) -> Result<(), StoreError> {
        let (store, recipient) = (&self.backing.store, &session.recipient);
        loop {
            let limit = recipient.ledger().begin_page() + PAGE_EVENTS;
            let now = self.backing.clock.now();
            let page = store.pending_events(REALM, session.user(), now, limit);
            let page = store.call(page).await?;
            let now = self.backing.clock.now();
            match recipient.deliver_page(&page, page.len() == limit, now, &self.confirming) {
                PageEnd::Again => {}
                PageEnd::AfterPong => return Ok(()),
                PageEnd::Done { asked, written } => {
                    for question in 0..asked {
                        let count = if question == 0 { written } else { 0 };
                        let data = PendingCheck { count };
                        recipient.mailbox.json(&Down::PendingCheckComplete { data });
                    }
                    return Ok(());
                }
            }
        }
    }

    /// The same for a connection that is open: a failure of the store is told to whoever asked (common/7d). What was not
    /// written is pending, and the next sweep finds it.
    async fn write_pages_or_tell(&self, session: &Session) {
        if self.write_pages(session).await.is_err() {
            for _ in 0..session.recipient.ledger().give_up_pages() {
                let message = SERVER_ERROR;
                session.recipient.mailbox.json(&Down::Error { message });
            }
        }
    }
}

impl<S: Keeps, B: Bus, P: Presence> DialectServer for Outbox<S, B, P> {
    type Session = Session;

    async fn open(&self, request: OpenRequest, mailbox: &Mailbox) -> Result<Session, Close> {
        let server_error = || Close::new(CloseCode::INTERNAL, "server error");
        let shown = self.token_shown(&request)?;
        // Before the store is asked about the token: a logout after its answer is heard.
        let seat = self.take_seat(&shown.user, mailbox).await;
        let session = seat.map_err(|_| server_error())?;
        let opened = match self.admit(&shown, &request.place).await {
            Ok(()) => {
                mailbox.expires(shown.claims.expires);
                self.greet(&session).await.map_err(|_| server_error())
            }
            Err(refusal) => Err(refusal),
        };
        match opened {
            Ok(()) => Ok(session),
            Err(close) => {
                self.leave(session).await;
                Err(close)
            }
        }
    }

    async fn hear(&self, session: &mut Session, heard: Heard<'_>, mailbox: &Mailbox) -> Result<(), Close> {
        self.backing.faults.handler();
        let text = match heard {
            Heard::Text(text) => text,
            // The route takes none (common/4a).
            Heard::Binary(_) => return Ok(()),
        };
        match Up::decode(text) {
            Ok(Up::Ping) => {
                let timestamp = self.timestamp();
                mailbox.json(&Down::Pong { timestamp });
            }
            Ok(Up::GetPending) => {
                // In a statement of its own: the lock is not to be held while pages are written.
                let begins = session.recipient.ledger().ask();
                if begins {
                    self.write_pages_or_tell(session).await;
                }
            }
            Err(misunderstood) => {
                let message = &*misunderstood.to_string();
                mailbox.json(&Down::Error { message });
            }
        }
        Ok(())
    }

    async fn ponged(&self, session: &mut Session, payload: &[u8], _mailbox: &Mailbox) {
        match session.recipient.ponged(payload, &self.confirming) {
            Ponged::NextPage => self.write_pages_or_tell(session).await,
            Ponged::Settled => {}
        }
    }

    async fn closed(&self, session: Session) {
        self.leave(session).await;
    }
}

impl<S: Keeps, B: Bus, P: Presence> Hears for Outbox<S, B, P> {
    async fn heard(&self, batch: &[Payload]) {
        // Events for one user are written together; a batch is short.
        let mut events: Vec<(&str, Vec<EventNews>)> = Vec::new();
        for payload in batch {
            let news = News::decode(payload);
            match (news, news::user_of(&payload.topic)) {
                (Some(News::Event(event)), Some(user)) => {
                    match events.iter_mut().find(|(other, _)| *other == user) {
                        Some((_, events)) => events.push(event),
                        None => events.push((user, vec![event])),
                    }
                }
                (Some(News::Close(close)), Some(user)) => {
                    for recipient in self.recipients.members(user) {
                        recipient.mailbox.close(&close);
                    }
                }
                (Some(News::Sweep { node }), None) => {
                    if node != self.node {
                        self.sweep_wanted.notify_one();
                    }
                }
                (_, _) => tracing::warn!(topic = &*payload.topic, "news that nobody here understands"),
            }
        }
        let now = self.backing.clock.now();
        for (user, events) in events {
            for recipient in self.recipients.members(user) {
                recipient.deliver(&events, now, &self.confirming);
            }
        }
    }
}
