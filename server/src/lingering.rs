//! Users whose node has stopped (common/6d): they may be back on another in a moment.
//!
//! A node that stops leaves its connections counted in, and tells the other nodes of each. All of these count it out after
//! a time; whoever is the first to do so finds out whether its user is gone, and tells everybody. So who is back in time has
//! never been away.

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Connections of stopped nodes that wait at a time: as many as two nodes have by default, and only the room is kept ready.
/// Beyond that they stay counted in.
const STRANDED_MAX: usize = 200_000;

/// So many are counted out at the same time.
const AT_ONCE: usize = 64;

/// A connection whose node has stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stranded {
    /// Where it was counted in, on a dialect that has several places.
    pub(crate) place: String,
    /// The user's id.
    pub(crate) user: String,
    pub(crate) connection: u128,
    /// When it ended.
    pub(crate) millis: u64,
}

impl Stranded {
    /// As bytes for the bus.
    pub(crate) fn to_payload(&self) -> Bytes {
        Bytes::from(serde_json::to_vec(self).expect("it is always JSON, and a Vec takes it"))
    }

    /// What a payload says; `None` for what another version of this program may have said.
    pub(crate) fn read(payload: &[u8]) -> Option<Self> {
        serde_json::from_slice(payload).ok()
    }
}

/// A dialect in which it counts who is there.
pub(crate) trait Lingers: Send + Sync + 'static {
    /// Those who wait in this dialect.
    fn lingering(&self) -> &Lingering;

    /// Counts a connection out, and tells the others if its user is gone by that.
    fn count_out(&self, stranded: Stranded) -> impl Future<Output = ()> + Send;
}

/// Those of one dialect who have been away for less than the time to come back.
#[derive(Debug)]
pub(crate) struct Lingering {
    patience: Duration,
    queue: mpsc::Sender<(Instant, Stranded)>,
    /// Until [`run`] takes it.
    waiting: Mutex<Option<mpsc::Receiver<(Instant, Stranded)>>>,
}

impl Lingering {
    /// Nobody yet. `patience` is the time in which somebody may come back.
    pub(crate) fn new(patience: Duration) -> Self {
        let (queue, waiting) = mpsc::channel(STRANDED_MAX);
        Self {
            patience,
            queue,
            waiting: Mutex::new(Some(waiting)),
        }
    }

    /// Another node says what it leaves behind.
    pub(crate) fn hear(&self, payload: &[u8]) {
        let Some(stranded) = Stranded::read(payload) else {
            tracing::warn!("a node that stops says something that this one does not understand");
            return;
        };
        if self
            .queue
            .try_send((Instant::now() + self.patience, stranded))
            .is_err()
        {
            tracing::warn!("of somebody whose node has stopped nobody will be told that he is gone");
        }
    }
}

/// Counts out whose time is over, until `stop`: who is left then, other nodes count out.
pub(crate) async fn run<D: Lingers>(dialect: Arc<D>, stop: CancellationToken) {
    let lingering = dialect.lingering();
    let waiting = lingering
        .waiting
        .lock()
        .expect("the lock is never poisoned: no code panics while holding it")
        .take();
    let Some(mut waiting) = waiting else { return };
    let counting = async {
        let mut under_way = JoinSet::new();
        // All have the same time, so they are in the order in which it is over.
        while let Some((due, stranded)) = waiting.recv().await {
            tokio::time::sleep_until(due).await;
            while under_way.len() >= AT_ONCE {
                under_way.join_next().await;
            }
            while under_way.try_join_next().is_some() {}
            let dialect = Arc::clone(&dialect);
            under_way.spawn(async move { dialect.count_out(stranded).await });
        }
    };
    stop.run_until_cancelled(counting).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_behind_arrives_as_it_was_told() {
        let stranded = Stranded {
            place: "rooms:acme:\"x\"".to_owned(),
            user: "ann\n".to_owned(),
            connection: u128::MAX,
            millis: 7,
        };
        assert_eq!(Stranded::read(&stranded.to_payload()), Some(stranded));
        assert_eq!(Stranded::read(b"{}"), None);
    }
}
