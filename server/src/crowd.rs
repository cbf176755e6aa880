//! Presence in a crowd (common/11a): telling everybody about everybody costs N² and helps nobody. When a change would be
//! told to more than a few connections, it waits for the next batch, and all of them get that batch in one write.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::{Bytes, BytesMut};
use tokio_util::sync::CancellationToken;

use crate::config::PresenceConfig;
use crate::stop::Stopping;

/// Changes that wait to be told, by audience: a dialect's users, or the members of a channel.
#[derive(Debug)]
pub(crate) struct Crowd {
    terms: PresenceConfig,
    stopping: Arc<Stopping>,
    waiting: Mutex<HashMap<Arc<str>, Vec<UserChange>>>,
}

/// The newest state of one user, as the frame that tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct UserChange {
    user: Arc<str>,
    frame: Bytes,
}

/// How a change is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Telling {
    /// The audience is small: now, to each of them.
    Now,
    /// It goes with the audience's next batch.
    Batched,
    /// Not at all: this node stops (common/6a).
    Never,
}

/// Changes that are told together.
#[derive(Debug)]
pub(crate) struct Batch {
    changes: Vec<UserChange>,
    joined: Bytes,
}

impl Crowd {
    pub(crate) fn new(terms: PresenceConfig, stopping: Arc<Stopping>) -> Self {
        Self {
            terms,
            stopping,
            waiting: Mutex::default(),
        }
    }

    /// Decides about a change of `user` that `connections` would be told, counted now. `frame` is the change as it is told.
    pub(crate) fn note(&self, audience: &str, connections: usize, user: &str, frame: &Bytes) -> Telling {
        if !self.is_told() {
            return Telling::Never;
        }
        let mut waiting = self.waiting();
        if connections <= self.terms.crowd_connections {
            // What waits about him is older than what is told now.
            if let Some(changes) = waiting.get_mut(audience) {
                changes.retain(|change| &*change.user != user);
            }
            return Telling::Now;
        }
        let change = UserChange {
            user: user.into(),
            frame: frame.clone(),
        };
        let Some(changes) = waiting.get_mut(audience) else {
            waiting.insert(audience.into(), vec![change]);
            return Telling::Batched;
        };
        changes.retain(|older| *older.user != *user);
        if changes.len() >= self.terms.batch_changes {
            changes.remove(0);
        }
        changes.push(change);
        Telling::Batched
    }

    /// Whether anybody is told who comes and goes: not on a node that stops.
    pub(crate) fn is_told(&self) -> bool {
        !self.stopping.has_begun()
    }

    /// Hands each audience's batch to `tell`, again and again, until `stop`.
    pub(crate) async fn run<F: Future<Output = ()>>(
        &self,
        tell: impl Fn(Arc<str>, Batch) -> F,
        stop: CancellationToken,
    ) {
        while stop
            .run_until_cancelled(tokio::time::sleep(self.terms.batch_interval))
            .await
            .is_some()
        {
            let due = std::mem::take(&mut *self.waiting());
            for (audience, changes) in due {
                if !changes.is_empty() && self.is_told() {
                    tell(audience, Batch::new(changes)).await;
                }
            }
        }
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<Arc<str>, Vec<UserChange>>> {
        self.waiting
            .lock()
            .expect("the crowd's lock is never poisoned: no code panics while holding it")
    }
}

impl Batch {
    fn new(changes: Vec<UserChange>) -> Self {
        let joined = join(&changes);
        Self { changes, joined }
    }

    /// The frames for a connection of `user`, one behind the other: all but those about himself. `None` if that leaves none.
    pub(crate) fn frames_for(&self, user: &str) -> Option<Bytes> {
        if self.changes.iter().all(|change| *change.user != *user) {
            return Some(self.joined.clone());
        }
        let others = self.changes.iter().filter(|change| *change.user != *user);
        let frames = join(others);
        (!frames.is_empty()).then_some(frames)
    }
}

fn join<'a>(changes: impl IntoIterator<Item = &'a UserChange>) -> Bytes {
    let mut frames = BytesMut::new();
    for change in changes {
        frames.extend_from_slice(&change.frame);
    }
    frames.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crowd() -> Crowd {
        let terms = PresenceConfig {
            crowd_connections: 2,
            batch_changes: 3,
            ..PresenceConfig::default()
        };
        Crowd::new(terms, Arc::new(Stopping::new(3..=12, 0)))
    }

    fn frame(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    /// The next batch of each audience, for somebody whom none of them is about.
    async fn next_batches(crowd: &Crowd) -> Vec<(String, String)> {
        let told = Mutex::new(Vec::new());
        let stop = CancellationToken::new();
        let tell = |audience: Arc<str>, batch: Batch| {
            let frames = batch.frames_for("nobody").expect("there is something to tell");
            told.lock()
                .unwrap()
                .push((audience.to_string(), String::from_utf8(frames.to_vec()).unwrap()));
            async {}
        };
        let interval = crowd.terms.batch_interval;
        let enough = async {
            tokio::time::sleep(interval + interval / 2).await;
            stop.cancel();
        };
        tokio::join!(crowd.run(tell, stop.clone()), enough);
        told.into_inner().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_few_are_told_at_once_and_many_get_the_latest_of_each_user() {
        let crowd = crowd();
        assert_eq!(crowd.note("all", 2, "ann", &frame("a+")), Telling::Now);
        for (user, told) in [
            ("ann", "a-"),
            ("bob", "b+"),
            ("cid", "c+"),
            ("bob", "b-"),
            ("dan", "d+"),
        ] {
            assert_eq!(crowd.note("all", 3, user, &frame(told)), Telling::Batched);
        }
        assert_eq!(crowd.note("room", 3, "ann", &frame("r+")), Telling::Batched);
        let mut told = next_batches(&crowd).await;
        told.sort();
        let expected = [("all", "c+b-d+"), ("room", "r+")];
        assert_eq!(
            told,
            expected.map(|(audience, frames)| (audience.to_owned(), frames.to_owned()))
        );
        assert!(next_batches(&crowd).await.is_empty(), "told once");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_told_at_once_is_not_followed_by_what_is_older() {
        let crowd = crowd();
        crowd.note("all", 3, "ann", &frame("a+"));
        crowd.note("all", 3, "bob", &frame("b+"));
        assert_eq!(crowd.note("all", 2, "ann", &frame("a-")), Telling::Now);
        assert_eq!(next_batches(&crowd).await, [("all".to_owned(), "b+".to_owned())]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_that_stops_tells_nobody_not_even_what_waits() {
        let crowd = crowd();
        assert_eq!(crowd.note("all", 3, "ann", &frame("a+")), Telling::Batched);
        crowd.stopping.begin();
        assert_eq!(crowd.note("all", 3, "bob", &frame("b+")), Telling::Never);
        assert_eq!(crowd.note("all", 2, "bob", &frame("b+")), Telling::Never);
        assert!(next_batches(&crowd).await.is_empty());
    }

    #[test]
    fn nobody_is_told_about_himself() {
        let change = |user: &str, text| UserChange {
            user: user.into(),
            frame: frame(text),
        };
        let batch = Batch::new(vec![change("ann", "a+"), change("bob", "b+")]);
        assert_eq!(batch.frames_for("ann"), Some(frame("b+")));
        assert_eq!(batch.frames_for("eve"), Some(frame("a+b+")));
        assert_eq!(Batch::new(vec![change("ann", "a+")]).frames_for("ann"), None);
    }
}
