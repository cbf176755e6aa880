//! Where sessions are kept: in memory they have a store of their own, elsewhere they are with everything else.

use std::sync::Arc;

use touchstone_storage::{
    EmbeddedSessions, Entry, Session, SessionStore, Settlement, SqliteSessions, StoreError, Timestamp,
};

/// Sessions of the store that was chosen. Clones are the same sessions.
#[derive(Debug, Clone)]
pub(crate) enum Kept {
    /// `embedded:`
    InMemory(Arc<EmbeddedSessions>),
    /// `embedded:PATH`
    OnDisk(SqliteSessions),
    /// `redis://…` and its like, under the documented keys (echo/6g, 7c).
    #[cfg(feature = "redis")]
    InRedis(touchstone_storage::redis::RedisSessions),
    /// `postgres://…`
    #[cfg(feature = "postgres")]
    InPostgres(touchstone_storage::postgres::PostgresSessions),
}

impl Kept {
    /// Gives back what sessions take that have run out. Returns how many left before their time, for want of room.
    pub(crate) async fn sweep(&self) -> Result<usize, StoreError> {
        match self {
            Self::InMemory(sessions) => {
                sessions.sweep();
                Ok(sessions.take_crowded_out())
            }
            Self::OnDisk(sessions) => sessions.sweep().await.map(|()| 0),
            // Redis sees to it by itself.
            #[cfg(feature = "redis")]
            Self::InRedis(_) => Ok(0),
            #[cfg(feature = "postgres")]
            Self::InPostgres(sessions) => sessions.sweep().await.map(|()| 0),
        }
    }
}

impl SessionStore for Kept {
    async fn load(&self, id: &str) -> Result<Option<Session>, StoreError> {
        match self {
            Self::InMemory(sessions) => sessions.load(id).await,
            Self::OnDisk(sessions) => sessions.load(id).await,
            #[cfg(feature = "redis")]
            Self::InRedis(sessions) => Box::pin(sessions.load(id)).await,
            #[cfg(feature = "postgres")]
            Self::InPostgres(sessions) => Box::pin(sessions.load(id)).await,
        }
    }

    async fn advance(&self, id: &str, entry: Option<&str>, at: Timestamp) -> Result<u64, StoreError> {
        match self {
            Self::InMemory(sessions) => sessions.advance(id, entry, at).await,
            Self::OnDisk(sessions) => sessions.advance(id, entry, at).await,
            #[cfg(feature = "redis")]
            Self::InRedis(sessions) => Box::pin(sessions.advance(id, entry, at)).await,
            #[cfg(feature = "postgres")]
            Self::InPostgres(sessions) => Box::pin(sessions.advance(id, entry, at)).await,
        }
    }

    async fn settle(&self, id: &str, settlement: Settlement<'_>) -> Result<Option<u64>, StoreError> {
        match self {
            Self::InMemory(sessions) => sessions.settle(id, settlement).await,
            Self::OnDisk(sessions) => sessions.settle(id, settlement).await,
            #[cfg(feature = "redis")]
            Self::InRedis(sessions) => Box::pin(sessions.settle(id, settlement)).await,
            #[cfg(feature = "postgres")]
            Self::InPostgres(sessions) => Box::pin(sessions.settle(id, settlement)).await,
        }
    }

    async fn renew(&self, ids: &[Arc<str>]) -> Result<(), StoreError> {
        match self {
            Self::InMemory(sessions) => sessions.renew(ids).await,
            Self::OnDisk(sessions) => sessions.renew(ids).await,
            #[cfg(feature = "redis")]
            Self::InRedis(sessions) => Box::pin(sessions.renew(ids)).await,
            #[cfg(feature = "postgres")]
            Self::InPostgres(sessions) => Box::pin(sessions.renew(ids)).await,
        }
    }

    async fn entries(&self, id: &str) -> Result<Vec<Entry>, StoreError> {
        match self {
            Self::InMemory(sessions) => sessions.entries(id).await,
            Self::OnDisk(sessions) => sessions.entries(id).await,
            #[cfg(feature = "redis")]
            Self::InRedis(sessions) => Box::pin(sessions.entries(id)).await,
            #[cfg(feature = "postgres")]
            Self::InPostgres(sessions) => Box::pin(sessions.entries(id)).await,
        }
    }

    async fn remove(&self, id: &str) -> Result<bool, StoreError> {
        match self {
            Self::InMemory(sessions) => sessions.remove(id).await,
            Self::OnDisk(sessions) => sessions.remove(id).await,
            #[cfg(feature = "redis")]
            Self::InRedis(sessions) => Box::pin(sessions.remove(id)).await,
            #[cfg(feature = "postgres")]
            Self::InPostgres(sessions) => Box::pin(sessions.remove(id)).await,
        }
    }
}
