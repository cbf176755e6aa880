//! Comings and goings: who is in a channel, who is in the tenant, and who is told (rooms/4, 11, 13).

use std::sync::Arc;

use tokio::sync::oneshot;
use touchstone_protocol::rooms::messages::{Mover, Told};
use touchstone_protocol::timestamp::Rfc3339;
use touchstone_storage::{Accounts, Bus, Change, Channels, Posts, Presence, StoreError, Timestamp};

use super::desk::{Deed, Direction, Movement};
use super::event::{Happened, Manner};
use super::member::{Member, User};
use super::{Rooms, place};

impl<S, B, P> Rooms<S, B, P>
where
    S: Accounts + Channels + Posts,
    B: Bus,
    P: Presence,
{
    /// Counts a connection in and tells the others. `last_seen`: when the user's last connection ended.
    pub(super) async fn arrive(
        &self,
        member: &Member,
        last_seen: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        let here = self.move_in_channel(member, Direction::In).await?;
        self.move_in_tenant(member, Direction::In, last_seen, here)
            .await?;
        Ok(())
    }

    /// Counts a connection out and tells the others. What fails is logged: nobody is left to hear of it.
    pub(super) async fn depart(&self, member: &Member) {
        let departed = async {
            let now = self.backing.clock.now();
            let here = self.move_in_channel(member, Direction::Out).await?;
            let there = self
                .move_in_tenant(member, Direction::Out, Some(now), here)
                .await?;
            match there {
                Change::Member => self.note_last_seen(member, now).await,
                Change::ConnectionOnly => Ok(()),
            }
        };
        if let Err(error) = departed.await {
            tracing::warn!(%error, "a user has left, and others may not have been told");
        }
    }

    /// Notes when the connection ended, for a node that stops and tells nobody.
    pub(super) async fn vanish(&self, member: &Member) {
        let now = self.backing.clock.now();
        if let Err(error) = self.note_last_seen(member, now).await {
            tracing::warn!(%error, "when a user was last seen is not noted");
        }
    }

    async fn note_last_seen(&self, member: &Member, at: Timestamp) -> Result<(), StoreError> {
        let (realm, _) = place::parts(&member.topic);
        let store = &self.backing.store;
        store.call(store.note_last_seen(realm, &member.user.id, at)).await
    }

    async fn move_in_channel(&self, member: &Member, direction: Direction) -> Result<Change, StoreError> {
        let user = &member.user;
        let mover = Mover {
            user_id: user.wire_id(),
            username: &user.username,
            timestamp: Rfc3339(self.backing.clock.now().millis()),
        };
        let told = match direction {
            Direction::In => Told::Join(mover),
            Direction::Out => Told::Leave(mover),
        };
        let happened = Happened {
            manner: Manner::InBatches,
            ..Happened::about(&user.id, &told)
        };
        let tell = vec![(Arc::clone(&member.topic), happened)];
        let movement = movement(member, Arc::clone(&member.topic), direction, tell);
        self.bring_movement(&member.topic, movement).await
    }

    /// `here`: what the same movement changed in the connection's own channel.
    async fn move_in_tenant(
        &self,
        member: &Member,
        direction: Direction,
        last_seen: Option<Timestamp>,
        here: Change,
    ) -> Result<Change, StoreError> {
        let (realm, _) = place::parts(&member.topic);
        let store = &self.backing.store;
        let channels = store.call(store.channels_of(realm, &member.user.id)).await?;
        let tell = channels.iter().map(|channel| {
            let topic = place::topic(realm, channel);
            // To a crowd a join or a leave says enough.
            let manner = match here {
                Change::Member if topic == member.topic => Manner::NotToCrowds,
                Change::Member | Change::ConnectionOnly => Manner::InBatches,
            };
            (topic, presence(&member.user, direction, last_seen, manner))
        });
        let movement = movement(member, realm.into(), direction, tell.collect());
        let desk = place::user_desk(realm, &member.user.id);
        self.bring_movement(&desk, movement).await
    }

    async fn bring_movement(&self, desk: &str, movement: Movement) -> Result<Change, StoreError> {
        let (done, moved) = oneshot::channel();
        let closed = || StoreError::Unavailable("the server has ended".to_owned());
        let brought = self.desks.bring(desk, Deed::Move { movement, done }).await;
        brought.map_err(|_| closed())?;
        moved.await.unwrap_or_else(|_| Err(closed()))
    }
}

fn movement(
    member: &Member,
    place: Arc<str>,
    direction: Direction,
    tell: Vec<(Arc<str>, Happened)>,
) -> Movement {
    Movement {
        place,
        user: Arc::clone(&member.user),
        connection: member.mailbox.id(),
        direction,
        tell,
    }
}

fn presence(user: &User, direction: Direction, last_seen: Option<Timestamp>, manner: Manner) -> Happened {
    let told = Told::Presence {
        user_id: user.wire_id(),
        is_online: direction == Direction::In,
        last_seen: last_seen.map(|at| Rfc3339(at.millis())),
    };
    Happened {
        manner,
        ..Happened::about(&user.id, &told)
    }
}
