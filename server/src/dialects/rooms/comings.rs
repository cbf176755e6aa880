//! Comings and goings: who is in a channel, who is in the tenant, and who is told (rooms/4, 11, 13).

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use touchstone_protocol::rooms::messages::{self, Told};
use touchstone_protocol::timestamp::Rfc3339;
use touchstone_storage::{
    Accounts, Bus, Change, Channels, ConnectionId, Posts, Presence, StoreError, Timestamp,
};

use super::clerk::{Sheet, contained};
use super::desk::{Closed, Deed, Direction, Movement, Queue};
use super::event::{Happened, Manner};
use super::member::{Member, User};
use super::{Rooms, place};
use crate::lingering::{Lingering, Lingers, Stranded};

/// How long somebody waits until the connections of his node have been told of him: what he gains is an order that others
/// see, and he does not wait longer for that.
const TELLING_PATIENCE: Duration = Duration::from_secs(1);

impl<S, B, P> Rooms<S, B, P>
where
    S: Accounts + Channels + Posts,
    B: Bus,
    P: Presence,
{
    /// Counts a connection in and tells the others. `last_seen`: when the user's last connection ended.
    pub(super) async fn arrive(&self, mover: &Mover, last_seen: Option<Timestamp>) -> Result<(), StoreError> {
        let here = self.move_in_channel(mover, Direction::In).await?;
        self.move_in_tenant(mover, Direction::In, last_seen, here).await?;
        self.told_here().await;
        Ok(())
    }

    /// Counts a connection out and tells the others. What fails is logged: nobody is left to hear of it.
    pub(super) async fn depart(&self, mover: &Mover) {
        self.depart_at(mover, self.backing.clock.now()).await;
    }

    async fn depart_at(&self, mover: &Mover, now: Timestamp) {
        let departed = async {
            let here = self.move_in_channel(mover, Direction::Out).await?;
            self.move_in_tenant(mover, Direction::Out, Some(now), here)
                .await?;
            self.told_here().await;
            Ok::<_, StoreError>(())
        };
        if let Err(error) = departed.await {
            tracing::warn!(%error, "a user has left, and others may not have been told");
        }
    }

    /// Returns when the connections of this node have been told of what was published, or that has taken too long: who
    /// comes after somebody has come or left is told nothing of it.
    async fn told_here(&self) {
        let backing = &self.backing;
        let handed_on = backing.relays.all_handed_on(&backing.bus);
        // Late, or not at all: he has waited long enough.
        let _ = tokio::time::timeout(TELLING_PATIENCE, handed_on).await;
    }

    /// Leaves a connection counted in, for other nodes to count out, and notes when it ended.
    pub(super) async fn leave_behind(&self, member: &Member) {
        let (realm, _) = place::parts(&member.topic);
        let now = self.backing.clock.now();
        let store = &self.backing.store;
        let noted = store.note_last_seen(realm, &member.user.id, now);
        if let Err(error) = store.call(noted).await {
            tracing::warn!(%error, "when a user was last seen is not noted");
        }
        let stranded = Stranded {
            place: member.topic.to_string(),
            user: member.user.id.to_string(),
            connection: member.mailbox.id().0,
            millis: now.millis(),
        };
        self.backing.leave_behind(place::STOPPED, &stranded).await;
    }

    async fn move_in_channel(&self, mover: &Mover, direction: Direction) -> Result<Change, StoreError> {
        let Mover { user, topic, .. } = mover;
        let told = messages::Mover {
            user_id: user.wire_id(),
            username: &user.username,
            timestamp: Rfc3339(self.backing.clock.now().millis()),
        };
        let told = match direction {
            Direction::In => Told::Join(told),
            Direction::Out => Told::Leave(told),
        };
        let happened = Happened {
            manner: Manner::InBatches,
            ..Happened::about(&user.id, &told)
        };
        let tell = vec![(Arc::clone(topic), happened)];
        let (movement, moved) = movement(mover, Arc::clone(topic), direction, tell);
        let brought = self.desks.bring(topic, Deed::Move(movement)).await;
        moved_or_closed(brought, moved).await
    }

    /// `here`: what the same movement changed in the connection's own channel.
    async fn move_in_tenant(
        &self,
        mover: &Mover,
        direction: Direction,
        last_seen: Option<Timestamp>,
        here: Change,
    ) -> Result<(), StoreError> {
        let Mover { user, topic: own, .. } = mover;
        let (realm, _) = place::parts(own);
        let store = &self.backing.store;
        let channels = store.call(store.channels_of(realm, &user.id)).await?;
        let tell = channels.iter().map(|channel| {
            let topic = place::topic(realm, channel);
            // To a crowd a join or a leave says enough.
            let manner = match here {
                Change::Member if topic == *own => Manner::NotToCrowds,
                Change::Member | Change::ConnectionOnly => Manner::InBatches,
            };
            (topic, presence(user, direction, last_seen, manner))
        });
        let (movement, moved) = movement(mover, realm.into(), direction, tell.collect());
        let desk = place::user_desk(realm, &user.id);
        let passage = Passage { movement, last_seen };
        let brought = self.gates.bring(&desk, passage).await;
        moved_or_closed(brought, moved).await?;
        Ok(())
    }

    /// Lets users into their tenants, and out. After `stop` those who are waiting, then it ends.
    pub(super) async fn guard(&self, mut queue: Queue<Passage>, stop: CancellationToken) {
        while let Some(passages) = queue.next(&stop).await {
            if contained(self.pass(passages)).await.is_none() {
                self.backing.metrics.errors.inc();
                tracing::error!("a gate panicked; some may not have been told who comes and goes");
            }
        }
    }

    async fn pass(&self, passages: Vec<Passage>) {
        let mut sheet = Sheet::default();
        let mut notes = JoinSet::new();
        for Passage { movement, last_seen } in passages {
            match self.counted(&movement).await {
                Ok(change) => {
                    if let (Change::Member, Direction::Out, Some(at)) =
                        (change, movement.direction, last_seen)
                    {
                        notes.spawn(self.note_last_seen(&movement, at));
                    }
                    sheet.moved(movement, change);
                }
                // An error means that nobody waits for it any more.
                Err(error) => drop(movement.done.send(Err(error))),
            }
        }
        // Noted before it is told, and all of them in one commit.
        notes.join_all().await;
        self.tell(sheet).await;
    }

    fn note_last_seen(
        &self,
        movement: &Movement,
        at: Timestamp,
    ) -> impl Future<Output = ()> + Send + use<S, B, P> {
        let store = Arc::clone(&self.backing.store);
        let (realm, user) = (Arc::clone(&movement.place), Arc::clone(&movement.user));
        async move {
            if let Err(error) = store.call(store.note_last_seen(&realm, &user.id, at)).await {
                tracing::warn!(%error, "when a user was last seen is not noted");
            }
        }
    }
}

/// Somebody who comes or goes with a connection.
#[derive(Debug)]
pub(super) struct Mover {
    user: Arc<User>,
    /// The channel's topic.
    topic: Arc<str>,
    connection: ConnectionId,
}

impl Mover {
    pub(super) fn of(member: &Member) -> Self {
        Self {
            user: Arc::clone(&member.user),
            topic: Arc::clone(&member.topic),
            connection: member.mailbox.id(),
        }
    }
}

impl<S, B, P> Lingers for Rooms<S, B, P>
where
    S: Accounts + Channels + Posts,
    B: Bus,
    P: Presence,
{
    fn lingering(&self) -> &Lingering {
        &self.lingering
    }

    async fn count_out(&self, stranded: Stranded) {
        let Some(realm) = place::realm_of(&stranded.place) else {
            return;
        };
        let connection = ConnectionId(stranded.connection);
        let store = &self.backing.store;
        let user = match store.call(store.account(realm, &stranded.user)).await {
            Ok(Some(account)) => User::from(account),
            // Deleted meanwhile: there is nothing to tell of him.
            Ok(None) => {
                for place in [&*stranded.place, realm] {
                    let counted = self.backing.presence.depart(place, &stranded.user, connection);
                    if let Err(error) = counted.await {
                        tracing::warn!(%error, "somebody who is gone is still counted in");
                    }
                }
                return;
            }
            Err(error) => {
                tracing::warn!(%error, "somebody who may be gone is still counted in");
                return;
            }
        };
        let mover = Mover {
            user: Arc::new(user),
            topic: stranded.place.as_str().into(),
            connection,
        };
        self.depart_at(&mover, Timestamp::from_millis(stranded.millis))
            .await;
    }
}

/// A user who comes to his tenant, or leaves it.
#[derive(Debug)]
pub(super) struct Passage {
    movement: Movement,
    /// When he was last seen: now, if he leaves.
    last_seen: Option<Timestamp>,
}

type Moved = oneshot::Receiver<Result<Change, StoreError>>;

fn movement(
    mover: &Mover,
    place: Arc<str>,
    direction: Direction,
    tell: Vec<(Arc<str>, Happened)>,
) -> (Movement, Moved) {
    let (done, moved) = oneshot::channel();
    let movement = Movement {
        place,
        user: Arc::clone(&mover.user),
        connection: mover.connection,
        direction,
        tell,
        done,
    };
    (movement, moved)
}

async fn moved_or_closed(brought: Result<(), Closed>, moved: Moved) -> Result<Change, StoreError> {
    let closed = || StoreError::Unavailable("the server has ended".to_owned());
    brought.map_err(|Closed| closed())?;
    moved.await.unwrap_or_else(|_| Err(closed()))
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
