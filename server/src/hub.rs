//! Who is connected on a route, to tell everybody something.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;

use crate::connection::{Connection, Sent};

/// Comings and goings of a crowd are spread over this many locks.
const SHARDS: usize = 16;

/// The open connections of one route.
#[derive(Debug)]
pub(crate) struct Hub {
    shards: [Mutex<Shard>; SHARDS],
    next: AtomicUsize,
}

/// A slab: places are used again, so that coming and going costs neither a search nor an allocation.
#[derive(Debug, Default)]
struct Shard {
    places: Vec<Option<Arc<Connection>>>,
    free: Vec<u32>,
}

/// A connection's place in the hub; dropping it gives the place back.
#[derive(Debug)]
pub(crate) struct Seat {
    hub: Arc<Hub>,
    shard: u32,
    place: u32,
}

/// Where a connection sits, for who looks for it later: unlike any kind of pointer it keeps no memory of one that has gone.
/// A crowd's connections, each held for a while longer by its next heartbeat, would keep all of the crowd's pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Whereabouts {
    shard: u32,
    place: u32,
    number: u64,
}

impl Hub {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            next: AtomicUsize::new(0),
        })
    }

    /// Takes a connection in, until its seat is dropped.
    pub(crate) fn seat(self: &Arc<Self>, connection: &Arc<Connection>) -> Seat {
        let number = self.next.fetch_add(1, Ordering::Relaxed) % SHARDS;
        let mut shard = lock(&self.shards[number]);
        let place = shard.free.pop().unwrap_or_else(|| {
            shard.places.push(None);
            (shard.places.len() - 1) as u32
        });
        shard.places[place as usize] = Some(Arc::clone(connection));
        Seat {
            hub: Arc::clone(self),
            shard: number as u32,
            place,
        }
    }

    /// The connection that was found there, if it is still there.
    pub(crate) fn at(&self, whereabouts: Whereabouts) -> Option<Arc<Connection>> {
        let shard = lock(&self.shards[whereabouts.shard as usize]);
        let here = shard.places.get(whereabouts.place as usize)?.as_ref()?;
        (here.number() == whereabouts.number).then(|| Arc::clone(here))
    }

    /// Sends a frame to everybody and returns how many took it. A slow peer holds up nobody, and a large crowd not
    /// those who wait for the same thread.
    pub(crate) async fn broadcast(&self, frame: &Bytes) -> u64 {
        let mut taken = 0;
        for shard in &self.shards {
            for connection in present(shard) {
                taken += u64::from(connection.send(frame) == Sent::Taken);
            }
            tokio::task::yield_now().await;
        }
        taken
    }

    /// Every connection that is here.
    pub(crate) fn present(&self) -> impl Iterator<Item = Arc<Connection>> {
        self.shards.iter().flat_map(present)
    }

    /// Visits every connection that is here. No lock is held meanwhile.
    pub(crate) fn for_each(&self, mut visit: impl FnMut(&Connection)) {
        for shard in &self.shards {
            present(shard).iter().for_each(|connection| visit(connection));
        }
    }
}

fn present(shard: &Mutex<Shard>) -> Vec<Arc<Connection>> {
    lock(shard).places.iter().flatten().cloned().collect()
}

impl Seat {
    /// Where `connection` can be found, which took this seat.
    pub(crate) fn whereabouts(&self, connection: &Connection) -> Whereabouts {
        Whereabouts {
            shard: self.shard,
            place: self.place,
            number: connection.number(),
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut shard = lock(&self.hub.shards[self.shard as usize]);
        shard.places[self.place as usize] = None;
        shard.free.push(self.place);
        if shard.free.len() == shard.places.len() {
            *shard = Shard::default();
        }
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard
        .lock()
        .expect("a hub's lock is never poisoned: no code panics while holding it")
}
