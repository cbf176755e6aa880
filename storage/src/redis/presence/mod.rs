//! Presence over several nodes: connections counted into places in Redis, each by a node that holds a lease.
//!
//! A node that no longer renews its lease is no more: whichever node notices first counts its connections out. One whose
//! lease was lost without that, because Redis forgot everything or because it was cut off for too long, begins another and
//! counts its own connections in again.

mod upkeep;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use redis::Script;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::keys::part;
use super::link::{LinkError, Redis};
use crate::presence::{Change, ConnectionId, Presence, Present};
use crate::session::StoreError;

/// News that wait to be told. When nobody takes them out, nodes that died are counted out no further; leases are renewed.
const NEWS_MAX: usize = 1_024;

/// How presence is kept.
#[derive(Debug, Clone)]
pub struct PresenceTerms {
    /// What all keys begin with: clusters of other names see nothing of each other.
    pub namespace: String,
    /// A node that has not renewed its lease for so long is no more. Longer than users of a node that stops have to come
    /// back, or they are counted out too soon.
    pub ttl: Duration,
    /// How often a node renews its lease, and looks whose have run out. A third of the ttl leaves two attempts.
    pub renew_every: Duration,
}

/// A member came or went, and nobody's call of `arrive` or `depart` has said so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresenceNews {
    /// Where.
    pub place: String,
    /// Who.
    pub member: String,
    /// By which of his connections.
    pub connection: ConnectionId,
    /// Which of the two.
    pub kind: NewsKind,
}

/// What has become of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NewsKind {
    /// He is there: his node counted him in again after the others had counted him out.
    Came,
    /// He is gone: his node died, or could not say so while Redis was away.
    Went,
}

/// `redis://` and its like: presence over several nodes. Clones are the same node.
///
/// Beyond what every [`Presence`] guarantees: connections of a node that died are counted out within its ttl and one
/// renewal, and what that changed is told once, by one of the other nodes, as [`PresenceNews`]; if that node dies in that moment, it
/// is not. When Redis has forgotten everything, or a node was away for longer than the ttl, connections are counted in again
/// within one renewal of its coming back. A departure that Redis could not be told of is made up for then; an arrival
/// that failed counts as not having been.
#[derive(Debug, Clone)]
pub struct RedisPresence {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    link: Redis,
    prefix: String,
    ttl: Duration,
    renew_every: Duration,
    scripts: Scripts,
    own: Mutex<Own>,
    news: mpsc::Sender<PresenceNews>,
}

#[derive(Debug)]
struct Scripts {
    arrive: Script,
    depart: Script,
    reap: Script,
    lease: Script,
}

/// Where a connection is counted in.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Seat {
    member: Arc<str>,
    connection: ConnectionId,
}

/// What this node has counted in. Written by whoever calls, and read by the task that keeps the lease.
#[derive(Debug)]
struct Own {
    /// The node's name in Redis: a new one with each new lease.
    node: Arc<str>,
    /// By place.
    seats: HashMap<Arc<str>, HashSet<Seat>>,
    /// Places of which Redis knows that the node under its present name has somebody there.
    noted: HashSet<Arc<str>>,
    /// Departures that Redis has not heard of.
    owed: HashSet<(Arc<str>, Seat)>,
}

impl RedisPresence {
    /// Begins a lease, and keeps it by a task on `tasks` until `stop`. Then connections stay counted in until it has run
    /// out, so that their users are not gone if they come back on another node before.
    ///
    /// # Errors
    /// Redis does not answer.
    pub async fn open(
        link: Redis,
        terms: PresenceTerms,
        tasks: &TaskTracker,
        stop: CancellationToken,
    ) -> Result<(Self, mpsc::Receiver<PresenceNews>), StoreError> {
        let (news, told) = mpsc::channel(NEWS_MAX);
        let inner = Arc::new(Inner {
            link,
            prefix: format!("{}:presence:", part(&terms.namespace)),
            ttl: terms.ttl,
            renew_every: terms.renew_every,
            scripts: Scripts {
                arrive: Script::new(include_str!("../scripts/arrive.lua")),
                depart: Script::new(include_str!("../scripts/depart.lua")),
                reap: Script::new(include_str!("../scripts/reap.lua")),
                lease: Script::new(include_str!("../scripts/lease.lua")),
            },
            own: Mutex::new(Own {
                node: new_name(),
                seats: HashMap::new(),
                noted: HashSet::new(),
                owed: HashSet::new(),
            }),
            news,
        });
        inner.begin_lease().await?;
        let keeper = Arc::clone(&inner);
        tasks.spawn(async move {
            stop.run_until_cancelled(keeper.keep()).await;
        });
        Ok((Self { inner }, told))
    }
}

fn new_name() -> Arc<str> {
    Uuid::new_v4().simple().to_string().into()
}

impl Inner {
    fn own(&self) -> MutexGuard<'_, Own> {
        self.own
            .lock()
            .expect("the lock is never poisoned: no code panics while holding it")
    }

    /// What the keys of a place begin with. What is in braces alone says which server of a cluster has them.
    fn place_key(&self, place: &str) -> String {
        format!("{}{{{}}}", self.prefix, part(place))
    }

    fn leases_key(&self) -> String {
        format!("{}nodes", self.prefix)
    }

    /// The places in which a node has counted somebody in.
    fn places_key(&self, node: &str) -> String {
        format!("{}node:{node}", self.prefix)
    }

    async fn count_in(&self, place: &str, seat: &Seat, node: &str) -> Result<Change, LinkError> {
        let mut script = self.scripts.arrive.key(self.place_key(place));
        script.arg(&*seat.member).arg(written(seat.connection)).arg(node);
        self.link.run_script::<u8>(&script).await.map(change)
    }

    async fn count_out(&self, place: &str, seat: &Seat) -> Result<Change, LinkError> {
        let mut script = self.scripts.depart.key(self.place_key(place));
        script.arg(&*seat.member).arg(written(seat.connection));
        self.link.run_script::<u8>(&script).await.map(change)
    }

    /// Notes that this node has somebody in the place, before it has: so that he is found when the node dies.
    async fn note_place(&self, place: &Arc<str>, node: &Arc<str>) -> Result<(), LinkError> {
        if self.own().noted.contains(place) {
            return Ok(());
        }
        let mut command = redis::cmd("SADD");
        command.arg(self.places_key(node)).arg(&**place);
        self.link.run::<()>(&command).await?;
        let mut own = self.own();
        if own.node == *node {
            own.noted.insert(Arc::clone(place));
        }
        Ok(())
    }
}

fn change(is_member: u8) -> Change {
    match is_member {
        0 => Change::ConnectionOnly,
        _ => Change::Member,
    }
}

fn written(connection: ConnectionId) -> String {
    format!("{:032x}", connection.0)
}

fn read(connection: &str) -> Option<ConnectionId> {
    u128::from_str_radix(connection, 16).ok().map(ConnectionId)
}

impl Presence for RedisPresence {
    async fn arrive(
        &self,
        place: &str,
        member: &str,
        connection: ConnectionId,
    ) -> Result<Change, StoreError> {
        let inner = &*self.inner;
        let (place, member): (Arc<str>, Arc<str>) = (place.into(), member.into());
        let seat = Seat { member, connection };
        {
            let mut own = inner.own();
            own.seats
                .entry(Arc::clone(&place))
                .or_default()
                .insert(seat.clone());
            own.owed.remove(&(Arc::clone(&place), seat.clone()));
        }
        let arriving = Arriving {
            inner,
            place: &place,
            seat: &seat,
            done: false,
        };
        let mut first = None;
        loop {
            let node = Arc::clone(&inner.own().node);
            inner.note_place(&place, &node).await?;
            let change = inner.count_in(&place, &seat, &node).await?;
            let first = *first.get_or_insert(change);
            // A lease that was lost meanwhile took the connection along.
            if inner.own().node == node {
                arriving.end();
                return Ok(first);
            }
        }
    }

    async fn depart(
        &self,
        place: &str,
        member: &str,
        connection: ConnectionId,
    ) -> Result<Change, StoreError> {
        let inner = &*self.inner;
        let member = member.into();
        let seat = Seat { member, connection };
        let owed = (Arc::from(place), seat.clone());
        {
            let mut own = inner.own();
            own.take(place, &seat);
            own.owed.insert(owed.clone());
        }
        // On an error it stays owed.
        let change = inner.count_out(place, &seat).await?;
        inner.own().owed.remove(&owed);
        Ok(change)
    }

    async fn connections(&self, place: &str, member: &str) -> Result<Vec<ConnectionId>, StoreError> {
        let mut command = redis::cmd("HGETALL");
        command.arg(format!("{}:of:{member}", self.inner.place_key(place)));
        let found: Vec<(String, String)> = self.inner.link.read(&command).await?;
        let read = |(connection, seat): (String, String)| {
            let arrival: u64 = seat.split_once(' ')?.0.parse().ok()?;
            Some((arrival, read(&connection)?))
        };
        let mut connections: Vec<_> = found.into_iter().filter_map(read).collect();
        connections.sort_unstable_by_key(|(arrival, _)| *arrival);
        Ok(connections
            .into_iter()
            .map(|(_, connection)| connection)
            .collect())
    }

    async fn are_present(&self, place: &str, members: &[&str]) -> Result<Vec<bool>, StoreError> {
        if members.is_empty() {
            return Ok(Vec::new());
        }
        let mut command = redis::cmd("ZMSCORE");
        command
            .arg(format!("{}:members", self.inner.place_key(place)))
            .arg(members);
        let arrivals: Vec<Option<f64>> = self.inner.link.read(&command).await?;
        Ok(arrivals.iter().map(Option::is_some).collect())
    }

    async fn latest(&self, place: &str, limit: usize) -> Result<Present, StoreError> {
        let key = format!("{}:members", self.inner.place_key(place));
        let mut commands = redis::pipe();
        // Both of one moment.
        commands.atomic().zcard(&key);
        match limit.checked_sub(1) {
            Some(last) => commands.cmd("ZREVRANGE").arg(&key).arg(0).arg(last),
            None => commands.cmd("ZREVRANGE").arg(&key).arg(1).arg(0),
        };
        let (total, members): (usize, Vec<String>) = self.inner.link.read_all(&commands).await?;
        let members = members.into_iter().map(Arc::from).collect();
        Ok(Present { members, total })
    }
}

/// An arrival that is taken back unless it is done: nobody knows then whether Redis has heard of it.
struct Arriving<'a> {
    inner: &'a Inner,
    place: &'a Arc<str>,
    seat: &'a Seat,
    done: bool,
}

impl Arriving<'_> {
    fn end(mut self) {
        self.done = true;
    }
}

impl Drop for Arriving<'_> {
    fn drop(&mut self) {
        if !self.done {
            let mut own = self.inner.own();
            own.take(self.place, self.seat);
            own.owed.insert((Arc::clone(self.place), self.seat.clone()));
        }
    }
}

impl Own {
    fn take(&mut self, place: &str, seat: &Seat) {
        if let Some(seats) = self.seats.get_mut(place) {
            seats.remove(seat);
            if seats.is_empty() {
                self.seats.remove(place);
                self.noted.remove(place);
            }
        }
        if self.seats.capacity() > 4 * self.seats.len().max(16) {
            self.seats.shrink_to_fit();
        }
    }
}
