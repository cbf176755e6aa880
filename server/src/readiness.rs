//! Whether the server delivers, tried and not supposed: a canary is stored and read back, and marks go through the bus and
//! every relay. A server that answers 200 while messages vanish is worse than one that is down.

use std::time::Duration;

use tokio::time::Instant;
use touchstone_protocol::Dialect;
use touchstone_storage::{Account, Accounts, Bus, BusError, CreateError, StoreError, Timestamp};

use crate::relay::Relays;
use crate::watched::Watched;

/// A canary must be back within this time: a client would long have noticed.
const DEADLINE: Duration = Duration::from_secs(2);

/// An answer is good for so long, so that asking costs the server nothing however often it is done.
const ANSWER_LASTS: Duration = Duration::from_secs(1);

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
    /// Makes the stored canary this server's own.
    server: u64,
    /// The last answer and when it was found. Held over a look, so that all who ask meanwhile get its answer.
    answer: tokio::sync::Mutex<Option<(Instant, Result<(), NotReady>)>>,
}

impl Canaries {
    /// `server` is drawn at random.
    pub(crate) fn new(server: u64) -> Self {
        Self {
            server,
            answer: tokio::sync::Mutex::default(),
        }
    }

    /// Whether everything delivers: found out now, or a moment ago.
    pub(crate) async fn look(
        &self,
        store: &Watched<impl Accounts>,
        relays: &[(Dialect, &Relays)],
        bus: &impl Bus,
        now: Timestamp,
    ) -> Result<(), NotReady> {
        let mut answer = self.answer.lock().await;
        if let Some((found, answer)) = &*answer
            && found.elapsed() < ANSWER_LASTS
        {
            return answer.clone();
        }
        let looked = self.look_now(store, relays, bus, now).await;
        *answer = Some((Instant::now(), looked.clone()));
        looked
    }

    async fn look_now(
        &self,
        store: &Watched<impl Accounts>,
        relays: &[(Dialect, &Relays)],
        bus: &impl Bus,
        now: Timestamp,
    ) -> Result<(), NotReady> {
        let late = || NotReady::Store(format!("no answer within {DEADLINE:?}"));
        tokio::time::timeout(DEADLINE, self.store_and_read(store, now))
            .await
            .map_err(|_| late())??;
        let deadline = Instant::now() + DEADLINE;
        for (dialect, relays) in relays {
            let handed_on = relays.all_handed_on(bus);
            tokio::time::timeout_at(deadline, handed_on)
                .await
                .map_err(|_| NotReady::NotHandedOn { dialect: *dialect })??;
        }
        Ok(())
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
}
