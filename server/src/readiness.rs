//! Whether the server delivers, tried and not supposed: a canary is stored and read back, and others fly through the bus
//! and every relay. A server that answers 200 while messages vanish is worse than one that is down.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::Instant;
use touchstone_protocol::Dialect;
use touchstone_storage::{Account, Accounts, Bus, BusError, CreateError, StoreError, Timestamp};

use crate::relay::Relays;
use crate::watched::Watched;

/// A canary must be back within this time: a client would long have noticed.
const DEADLINE: Duration = Duration::from_secs(2);

/// An answer is good for so long, so that asking costs the server nothing however often it is done.
const ANSWER_LASTS: Duration = Duration::from_secs(1);

/// What the topics of canaries begin with; no dialect's do.
const TOPIC_PREFIX: &str = "canary:";

/// Where the canary that is stored is kept, apart from all users.
const REALM: &str = "touchstone:canary";

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotReady {
    #[error("the store: {0}")]
    Store(String),
    #[error("the store returned something else than it was given")]
    StoreForgets,
    #[error("the bus: {0}")]
    Bus(#[from] BusError),
    #[error("{dialect}: what is published does not arrive within {DEADLINE:?}")]
    NotHandedOn { dialect: Dialect },
}

/// Canaries of one server.
#[derive(Debug)]
pub(crate) struct Canaries {
    /// Makes topics and the stored canary this server's own.
    server: u64,
    next: AtomicU64,
    /// The topics of each dialect's relays, and the last canary that came through each.
    returned: Mutex<HashMap<Arc<str>, (Dialect, u64)>>,
    news: Notify,
    /// The last answer and when it was found. Held over a look, so that all who ask meanwhile get its answer.
    answer: tokio::sync::Mutex<Option<(Instant, Result<(), NotReady>)>>,
}

impl Canaries {
    /// `server` is drawn at random.
    pub(crate) fn new(server: u64) -> Self {
        Self {
            server,
            next: AtomicU64::new(1),
            returned: Mutex::default(),
            news: Notify::new(),
            answer: tokio::sync::Mutex::default(),
        }
    }

    /// From now on canaries fly through these relays.
    pub(crate) async fn watch(
        &self,
        dialect: Dialect,
        relays: &Relays,
        bus: &impl Bus,
    ) -> Result<(), BusError> {
        for (number, ear) in relays.ears().iter().enumerate() {
            let topic = format!("{TOPIC_PREFIX}{:016x}:{dialect}:{number}", self.server);
            bus.tune(ear, &topic).await?;
            self.returned().insert(topic.into(), (dialect, 0));
        }
        Ok(())
    }

    /// Whether a topic is that of a canary.
    pub(crate) fn is_one(topic: &str) -> bool {
        topic.starts_with(TOPIC_PREFIX)
    }

    /// One has come through a relay.
    pub(crate) fn came_through(&self, topic: &str, bytes: &[u8]) {
        let number = bytes.try_into().map_or(0, u64::from_be_bytes);
        if let Some((_, latest)) = self.returned().get_mut(topic) {
            *latest = number.max(*latest);
        }
        self.news.notify_waiters();
    }

    /// Whether everything delivers: found out now, or a moment ago.
    pub(crate) async fn look(
        &self,
        store: &Watched<impl Accounts>,
        bus: &impl Bus,
        now: Timestamp,
    ) -> Result<(), NotReady> {
        let mut answer = self.answer.lock().await;
        if let Some((found, answer)) = &*answer
            && found.elapsed() < ANSWER_LASTS
        {
            return answer.clone();
        }
        let looked = self.look_now(store, bus, now).await;
        *answer = Some((Instant::now(), looked.clone()));
        looked
    }

    async fn look_now(
        &self,
        store: &Watched<impl Accounts>,
        bus: &impl Bus,
        now: Timestamp,
    ) -> Result<(), NotReady> {
        let late = || NotReady::Store(format!("no answer within {DEADLINE:?}"));
        tokio::time::timeout(DEADLINE, self.store_and_read(store, now))
            .await
            .map_err(|_| late())??;
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        match tokio::time::timeout(DEADLINE, self.fly(bus, number)).await {
            Ok(flown) => Ok(flown?),
            Err(_) => match self.missing(number) {
                Some(dialect) => Err(NotReady::NotHandedOn { dialect }),
                None => Ok(()),
            },
        }
    }

    async fn store_and_read(&self, store: &Watched<impl Accounts>, now: Timestamp) -> Result<(), NotReady> {
        let id = format!("{:016x}", self.server);
        let failed = |error: StoreError| NotReady::Store(error.to_string());
        let canary = Account {
            id: id.clone(),
            username: id.clone(),
            last_seen: Some(now),
            ..Account::default()
        };
        match store
            .call(store.create_accounts(REALM, vec![canary.clone()]))
            .await
        {
            // One that is there already was left by a look that was broken off.
            Ok(()) | Err(CreateError::Taken { .. }) => {}
            Err(CreateError::Store(error)) => return Err(failed(error)),
        }
        let kept = store.call(store.account(REALM, &id)).await.map_err(failed)?;
        store
            .call(store.remove_account(REALM, &id))
            .await
            .map_err(failed)?;
        match kept {
            Some(kept) if kept.username == canary.username => Ok(()),
            Some(_) | None => Err(NotReady::StoreForgets),
        }
    }

    /// Publishes a canary for every relay and waits until all are through.
    async fn fly(&self, bus: &impl Bus, number: u64) -> Result<(), BusError> {
        let topics: Vec<_> = self.returned().keys().cloned().collect();
        for topic in topics {
            bus.publish(&topic, Bytes::copy_from_slice(&number.to_be_bytes()))
                .await?;
        }
        loop {
            // Before the look: news that come between the two are not missed.
            let news = self.news.notified();
            if self.missing(number).is_none() {
                return Ok(());
            }
            news.await;
        }
    }

    /// A dialect through whose relays this canary has not come.
    fn missing(&self, number: u64) -> Option<Dialect> {
        let returned = self.returned();
        let mut missing = returned.values().filter(|(_, latest)| *latest < number);
        missing.next().map(|(dialect, _)| *dialect)
    }

    fn returned(&self) -> MutexGuard<'_, HashMap<Arc<str>, (Dialect, u64)>> {
        self.returned
            .lock()
            .expect("the canaries' lock is never poisoned: no code panics while holding it")
    }
}
