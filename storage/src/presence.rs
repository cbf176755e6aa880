//! Who is there: members of places, counted per connection over all nodes.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::session::StoreError;

/// A connection, unique over all nodes and restarts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub u128);

/// What an arrival or a departure changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The member is there for the first time, or no longer.
    Member,
    /// Another connection of the member is there as well.
    ConnectionOnly,
}

/// The members of a place, as far as they were asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Present {
    /// Who came last comes first.
    pub members: Vec<Arc<str>>,
    /// How many there are, those not in `members` among them.
    pub total: usize,
}

/// Counts connections of members into places.
///
/// Guarantees of every implementation: of all arrivals and departures of one member in one place, on whatever node,
/// exactly the first arrival and the last departure are a [`Change::Member`]; a departure that was never an arrival
/// changes nothing. What a node that died had counted in ends after a time.
pub trait Presence: Send + Sync + 'static {
    /// Counts a connection in.
    fn arrive(
        &self,
        place: &str,
        member: &str,
        connection: ConnectionId,
    ) -> impl Future<Output = Result<Change, StoreError>> + Send;

    /// Counts a connection out.
    fn depart(
        &self,
        place: &str,
        member: &str,
        connection: ConnectionId,
    ) -> impl Future<Output = Result<Change, StoreError>> + Send;

    /// The connections of a member that are counted in, in the order of their arrival: of two that arrive at once exactly
    /// one finds the other before itself.
    fn connections(
        &self,
        place: &str,
        member: &str,
    ) -> impl Future<Output = Result<Vec<ConnectionId>, StoreError>> + Send;

    /// Whether each of `members` is there, in their order.
    fn are_present(
        &self,
        place: &str,
        members: &[&str],
    ) -> impl Future<Output = Result<Vec<bool>, StoreError>> + Send;

    /// At most `limit` of those who are there, the latest first.
    fn latest(&self, place: &str, limit: usize) -> impl Future<Output = Result<Present, StoreError>> + Send;
}

/// `local:` — presence on a single node. Clones share their places.
#[derive(Debug, Clone, Default)]
pub struct LocalPresence {
    places: Arc<Mutex<HashMap<Box<str>, Place>>>,
}

#[derive(Debug, Default)]
struct Place {
    members: HashMap<Arc<str>, Member>,
    /// Members by the number of their arrival.
    arrivals: BTreeMap<u64, Arc<str>>,
    next: u64,
}

#[derive(Debug)]
struct Member {
    arrival: u64,
    connections: Vec<ConnectionId>,
}

impl LocalPresence {
    fn places(&self) -> MutexGuard<'_, HashMap<Box<str>, Place>> {
        self.places
            .lock()
            .expect("the places' lock is never poisoned: no code panics while holding it")
    }
}

impl Place {
    fn arrive(&mut self, member: &str, connection: ConnectionId) -> Change {
        let arrival = self.next;
        self.next += 1;
        if let Some(known) = self.members.get_mut(member) {
            if !known.connections.contains(&connection) {
                known.connections.push(connection);
            }
            let name = self.arrivals.remove(&known.arrival);
            known.arrival = arrival;
            self.arrivals.extend(name.map(|name| (arrival, name)));
            return Change::ConnectionOnly;
        }
        let name: Arc<str> = member.into();
        self.arrivals.insert(arrival, Arc::clone(&name));
        let connections = vec![connection];
        self.members.insert(name, Member { arrival, connections });
        Change::Member
    }

    fn depart(&mut self, member: &str, connection: ConnectionId) -> Change {
        let Some(known) = self.members.get_mut(member) else {
            return Change::ConnectionOnly;
        };
        known.connections.retain(|other| *other != connection);
        if !known.connections.is_empty() {
            return Change::ConnectionOnly;
        }
        self.arrivals.remove(&known.arrival);
        self.members.remove(member);
        if self.members.capacity() > 4 * self.members.len().max(16) {
            self.members.shrink_to_fit();
        }
        Change::Member
    }
}

impl Presence for LocalPresence {
    async fn arrive(
        &self,
        place: &str,
        member: &str,
        connection: ConnectionId,
    ) -> Result<Change, StoreError> {
        let mut places = self.places();
        if let Some(place) = places.get_mut(place) {
            return Ok(place.arrive(member, connection));
        }
        Ok(places.entry(place.into()).or_default().arrive(member, connection))
    }

    async fn depart(
        &self,
        place: &str,
        member: &str,
        connection: ConnectionId,
    ) -> Result<Change, StoreError> {
        let mut places = self.places();
        let Some(found) = places.get_mut(place) else {
            return Ok(Change::ConnectionOnly);
        };
        let change = found.depart(member, connection);
        if found.members.is_empty() {
            places.remove(place);
        }
        Ok(change)
    }

    async fn connections(&self, place: &str, member: &str) -> Result<Vec<ConnectionId>, StoreError> {
        let places = self.places();
        let member = places.get(place).and_then(|place| place.members.get(member));
        Ok(member
            .map(|member| member.connections.clone())
            .unwrap_or_default())
    }

    async fn are_present(&self, place: &str, members: &[&str]) -> Result<Vec<bool>, StoreError> {
        let places = self.places();
        let place = places.get(place);
        let is_present = |member: &&str| place.is_some_and(|place| place.members.contains_key(*member));
        Ok(members.iter().map(is_present).collect())
    }

    async fn latest(&self, place: &str, limit: usize) -> Result<Present, StoreError> {
        let places = self.places();
        let Some(place) = places.get(place) else {
            return Ok(Present {
                members: Vec::new(),
                total: 0,
            });
        };
        Ok(Present {
            members: place.arrivals.values().rev().take(limit).cloned().collect(),
            total: place.members.len(),
        })
    }
}
