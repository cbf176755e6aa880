//! From the store to the connections: events that are due now at once, the others by the sweep that finds them due.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use touchstone_protocol::outbox::messages::EventKind;
use touchstone_storage::{
    Bus, BusError, ConversationMessage, Event, EventState, Keep, NewEvent, Presence, StoreError, Timestamp,
};
use uuid::Uuid;

use super::news::{self, EventNews, NODES_TOPIC, News};
use super::{CLAIM_LASTS, Keeps, Outbox, REALM};
use crate::retention::Retains;

/// A bus that takes longer has failed; the event is pending, and a sweep brings it.
const PUBLISH_DEADLINE: Duration = Duration::from_secs(5);

/// Users that are asked about in one claim.
const USERS_PER_CLAIM: usize = 512;

/// Events in one claim: few enough to be published long before it runs out.
const EVENTS_PER_CLAIM: usize = 512;

/// An event that is to be.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub(super) user: String,
    pub(super) kind: EventKind,
    /// A JSON object with something in it.
    pub(super) data: Arc<str>,
    /// `None`: now.
    pub(super) scheduled_at: Option<Timestamp>,
}

impl<S: Keeps, B: Bus, P: Presence> Outbox<S, B, P> {
    /// Stores events, all or none, and sends at once those that are due (outbox/4a, 8a).
    pub(super) async fn enqueue(&self, drafts: Vec<Draft>) -> Result<(), StoreError> {
        let store = &self.backing.store;
        let events = self.drawn_up(drafts);
        let numbers = store.call(store.store_events(REALM, events.clone())).await?;
        self.hand_on(events, &numbers).await;
        Ok(())
    }

    /// Stores a message with the events that tell of it, all or none, and sends these.
    pub(super) async fn post(
        &self,
        message: ConversationMessage,
        drafts: Vec<Draft>,
    ) -> Result<(), StoreError> {
        let store = &self.backing.store;
        let events = self.drawn_up(drafts);
        let posted = store.post_message(REALM, message, events.clone());
        let numbers = store.call(posted).await?;
        self.hand_on(events, &numbers).await;
        Ok(())
    }

    fn drawn_up(&self, drafts: Vec<Draft>) -> Vec<NewEvent> {
        let now = self.backing.clock.now();
        let drawn_up = |draft: Draft| {
            let scheduled_at = draft.scheduled_at.unwrap_or(now);
            NewEvent {
                id: Uuid::now_v7().to_string(),
                user: draft.user,
                kind: draft.kind.name().to_owned(),
                data: draft.data,
                scheduled_at,
                claimed_until: if scheduled_at <= now {
                    claim_from(now)
                } else {
                    Timestamp::from_millis(0)
                },
            }
        };
        drafts.into_iter().map(drawn_up).collect()
    }

    /// Tells the nodes of what was stored and is due. Whom that does not reach the next sweep does, or the user's next
    /// connection.
    async fn hand_on(&self, events: Vec<NewEvent>, numbers: &[u64]) {
        let claimed = events
            .iter()
            .zip(numbers)
            .filter(|(event, _)| event.claimed_until.millis() > 0);
        for (event, number) in claimed {
            let until = event.claimed_until;
            let event = Event {
                number: *number,
                id: event.id.clone(),
                user: event.user.clone(),
                kind: event.kind.clone(),
                data: event.data.to_string(),
                scheduled_at: event.scheduled_at,
                state: EventState::Pending,
            };
            if let Err(error) = self.publish_event(&event, until).await {
                tracing::warn!(%error, "events wait for the next sweep");
                return;
            }
        }
    }

    async fn publish_event(&self, event: &Event, until: Timestamp) -> Result<(), BusError> {
        match EventNews::new(event, until) {
            Some(news) => self.tell(&news::topic(&event.user), &News::Event(news)).await,
            None => Ok(()),
        }
    }

    /// Publishes something, and does not wait for ever.
    pub(super) async fn tell(&self, topic: &str, news: &News) -> Result<(), BusError> {
        let published = self.backing.bus.publish(topic, news.encode());
        match tokio::time::timeout(PUBLISH_DEADLINE, published).await {
            Ok(published) => published,
            Err(_) => Err(BusError::Unavailable(format!(
                "no answer within {PUBLISH_DEADLINE:?}"
            ))),
        }
    }

    /// Sends what is pending and due to the users who are connected here (outbox/6a). Each event is claimed first, so that
    /// of several nodes one sends it; and to all connections of its user, on whatever node.
    pub(super) async fn sweep_here(&self) -> Result<(), SweepError> {
        let store = &self.backing.store;
        let mut users = self.recipients.names();
        // A connection that is sent page after page finds all there is by itself.
        users.retain(|user| {
            let recipients = self.recipients.members(user);
            recipients
                .iter()
                .any(|recipient| !recipient.ledger().has_backlog())
        });
        for users in users.chunks(USERS_PER_CLAIM) {
            loop {
                let users = users.iter().map(|user| user.to_string()).collect();
                let now = self.backing.clock.now();
                let until = claim_from(now);
                let claim = store.claim_events(REALM, users, now, until, EVENTS_PER_CLAIM);
                let claimed = store.call(claim).await?;
                for event in &claimed {
                    self.publish_event(event, until).await?;
                }
                if claimed.len() < EVENTS_PER_CLAIM {
                    break;
                }
            }
        }
        let now = Instant::now();
        for recipient in self.recipients.everyone() {
            recipient.ledger().forget(now);
        }
        Ok(())
    }

    /// The same on every node; here it is done when this returns.
    pub(super) async fn sweep_everywhere(&self) -> Result<(), SweepError> {
        self.sweep_here().await?;
        self.tell(NODES_TOPIC, &News::Sweep { node: self.node }).await?;
        Ok(())
    }

    /// Sweeps again and again, and when another node asks for it, until `stop`.
    pub(crate) async fn sweep_regularly(&self, stop: CancellationToken) {
        if let Err(error) = self.backing.relays.tune(&self.backing.bus, NODES_TOPIC).await {
            tracing::error!(%error, "what other nodes ask for is not heard");
        }
        let next = || async {
            tokio::select! {
                () = tokio::time::sleep(self.config.sweep_interval) => {}
                () = self.sweep_wanted.notified() => {}
            }
        };
        while stop.run_until_cancelled(next()).await.is_some() {
            if let Err(error) = self.sweep_here().await {
                tracing::warn!(%error, "a sweep was not finished; the next one begins anew");
            }
        }
    }

    /// Records what has arrived, until `stop`.
    pub(crate) async fn record_arrivals(&self, stop: CancellationToken) {
        self.confirming.record_arrivals(&self.backing.store, stop).await;
    }

    /// Closes whoever leaves pings unanswered, until `stop`.
    pub(crate) async fn close_silent(&self, stop: CancellationToken) {
        self.confirming.close_silent(stop).await;
    }
}

impl<S: Keeps, B: Bus, P: Presence> Retains for Outbox<S, B, P> {
    async fn trim(&self, keep: Keep, limit: usize) -> Result<usize, StoreError> {
        let store = &self.backing.store;
        let events = store.call(store.trim_events(REALM, keep, limit)).await?;
        let messages = store.trim_messages_of_conversations(REALM, keep, limit);
        Ok(events.max(store.call(messages).await?))
    }
}

/// Why a sweep did not reach its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum SweepError {
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The bus did not answer.
    #[error(transparent)]
    Bus(#[from] BusError),
}

/// Until when a claim lasts that begins now.
fn claim_from(now: Timestamp) -> Timestamp {
    Timestamp::from_millis(now.millis() + CLAIM_LASTS.as_millis() as u64)
}
