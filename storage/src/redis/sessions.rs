//! Sessions in Redis, under the keys that the documentation of `echo` names: whoever reads it with `redis-cli` finds
//! `session:ID`, a string of JSON with a time to live, and `session:ID:messages`, a list of JSON.

use std::sync::Arc;
use std::time::Duration;

use redis::{Pipeline, Script};
use serde::Deserialize;
use tokio::task::JoinSet;

use super::link::{LinkError, Redis};
use crate::embedded::EmbeddedLimits;
use crate::session::{Absent, Entry, Session, SessionStore, Settlement, StoreError, Timestamp};

/// Sessions that are renewed by one exchange.
const RENEWED_AT_ONCE: usize = 500;

/// Sessions on one server, or the states on one and the messages on another. Clones are the same.
///
/// Where both are on one server each call is atomic. Otherwise the state is written first and then the messages: a call that
/// failed between may have counted a message that is not kept.
#[derive(Debug, Clone)]
pub struct RedisSessions {
    states: Redis,
    messages: Redis,
    ttl: Duration,
    limits: EmbeddedLimits,
    /// Writes state and messages, if they are together.
    session: Script,
    keep: Script,
}

/// A state as it is written.
#[derive(Debug, Deserialize)]
struct State {
    count: u64,
    last_activity: f64,
}

/// What is done about a session.
enum Deed {
    Advance,
    Settle { count_min: u64, absent: Absent },
}

impl RedisSessions {
    /// States in `states` and messages in `messages`, which may be the same, kept for `ttl` after their last write. Of the
    /// limits those of one session count; all of them together are limited by what Redis is given.
    #[must_use]
    pub fn new(states: Redis, messages: Redis, ttl: Duration, limits: EmbeddedLimits) -> Self {
        let keep = include_str!("scripts/keep.lua");
        let with_keep = |script: &str| Script::new(&format!("{keep}{script}"));
        Self {
            states,
            messages,
            ttl,
            limits,
            session: with_keep(include_str!("scripts/session.lua")),
            keep: with_keep(include_str!("scripts/messages.lua")),
        }
    }

    /// Whether one script can touch both.
    fn are_together(&self) -> bool {
        self.states.url() == self.messages.url() && !self.states.is_cluster()
    }

    fn ttl_millis(&self) -> u64 {
        self.ttl.as_millis() as u64
    }

    async fn write(
        &self,
        id: &str,
        deed: Deed,
        at: Timestamp,
        entries: &[Entry],
    ) -> Result<Option<u64>, StoreError> {
        let (name, count_min) = match deed {
            Deed::Advance => ("advance", 0),
            Deed::Settle {
                count_min,
                absent: Absent::Leave,
            } => ("settle", count_min),
            Deed::Settle {
                count_min,
                absent: Absent::Create,
            } => ("make", count_min),
        };
        let mut script = self.session.key(state_key(id));
        if self.are_together() {
            script.key(messages_key(id));
        }
        script
            .arg(self.ttl_millis())
            .arg(seconds(at))
            .arg(name)
            .arg(count_min)
            .arg(self.limits.entries_per_session_max)
            .arg(self.limits.entry_bytes_per_session_max);
        if self.are_together() {
            script.arg(entries.iter().map(|entry| &**entry).collect::<Vec<&str>>());
            let count: Option<String> = self.states.run_script(&script).await?;
            return counted(count);
        }
        let count: Option<String> = self.states.run_script(&script).await?;
        if count.is_some() {
            self.keep_messages(id, entries).await?;
        }
        counted(count)
    }

    async fn keep_messages(&self, id: &str, entries: &[Entry]) -> Result<(), LinkError> {
        let mut script = self.keep.key(messages_key(id));
        script
            .arg(self.ttl_millis())
            .arg(self.limits.entries_per_session_max)
            .arg(self.limits.entry_bytes_per_session_max)
            .arg(entries.iter().map(|entry| &**entry).collect::<Vec<&str>>());
        self.messages.run_script(&script).await
    }

    /// Starts the time of keys anew, as far as they exist.
    async fn renew_keys(&self, redis: &Redis, keys: impl Iterator<Item = String>) -> Result<(), LinkError> {
        let ttl = self.ttl_millis();
        if !redis.is_cluster() {
            let mut commands = Pipeline::new();
            for key in keys {
                commands.cmd("PEXPIRE").arg(key).arg(ttl).ignore();
            }
            return redis.read_all(&commands).await;
        }
        // Each is in a slot of its own.
        let mut under_way = JoinSet::new();
        for key in keys {
            let redis = redis.clone();
            under_way.spawn(async move {
                let mut command = redis::cmd("PEXPIRE");
                redis.read::<()>(command.arg(key).arg(ttl)).await
            });
        }
        under_way.join_all().await.into_iter().collect()
    }
}

fn state_key(id: &str) -> String {
    format!("session:{id}")
}

fn messages_key(id: &str) -> String {
    format!("session:{id}:messages")
}

/// Seconds with the milliseconds behind the point, as digits: no float has rounded them.
fn seconds(at: Timestamp) -> String {
    format!("{}.{:03}", at.millis() / 1_000, at.millis() % 1_000)
}

fn counted(count: Option<String>) -> Result<Option<u64>, StoreError> {
    let read = |count: String| {
        count
            .parse()
            .map_err(|_| StoreError::Unavailable(format!("`{count}` is no count of a session")))
    };
    count.map(read).transpose()
}

impl SessionStore for RedisSessions {
    async fn load(&self, id: &str) -> Result<Option<Session>, StoreError> {
        let key = state_key(id);
        let mut commands = redis::pipe();
        commands.atomic().get(&key).pttl(&key);
        let (state, left): (Option<String>, i64) = self.states.read_all(&commands).await?;
        let Some(state) = state else {
            return Ok(None);
        };
        let state: State = serde_json::from_str(&state)
            .map_err(|error| StoreError::Unavailable(format!("{key} holds no session: {error}")))?;
        Ok(Some(Session {
            count: state.count,
            last_activity: Timestamp::from_millis((state.last_activity * 1_000.0).round() as u64),
            ttl: self.ttl,
            // Somebody else may have written it, and without a time.
            remaining: u64::try_from(left).map_or(self.ttl, Duration::from_millis),
        }))
    }

    async fn advance(&self, id: &str, entry: Option<&str>, at: Timestamp) -> Result<u64, StoreError> {
        let entry = entry.map(Entry::from);
        let count = self.write(id, Deed::Advance, at, entry.as_slice()).await?;
        count.ok_or_else(|| StoreError::Unavailable("a session was not counted".to_owned()))
    }

    async fn settle(&self, id: &str, settlement: Settlement<'_>) -> Result<Option<u64>, StoreError> {
        let Settlement {
            count_min,
            at,
            entries,
            absent,
        } = settlement;
        self.write(id, Deed::Settle { count_min, absent }, at, entries)
            .await
    }

    async fn renew(&self, ids: &[Arc<str>]) -> Result<(), StoreError> {
        for ids in ids.chunks(RENEWED_AT_ONCE) {
            let states = ids.iter().map(|id| state_key(id));
            self.renew_keys(&self.states, states).await?;
            let messages = ids.iter().map(|id| messages_key(id));
            self.renew_keys(&self.messages, messages).await?;
        }
        Ok(())
    }

    async fn entries(&self, id: &str) -> Result<Vec<Entry>, StoreError> {
        // Two servers need not let both run out in the same moment.
        let exists: bool = self.states.run(redis::cmd("EXISTS").arg(state_key(id))).await?;
        if !exists {
            return Ok(Vec::new());
        }
        let mut command = redis::cmd("LRANGE");
        command.arg(messages_key(id)).arg(0).arg(-1);
        let entries: Vec<String> = self.messages.read(&command).await?;
        Ok(entries.into_iter().map(Entry::from).collect())
    }

    async fn remove(&self, id: &str) -> Result<bool, StoreError> {
        // First what nobody finds without the state.
        let mut command = redis::cmd("DEL");
        self.messages.run::<()>(command.arg(messages_key(id))).await?;
        let mut command = redis::cmd("DEL");
        Ok(self.states.run(command.arg(state_key(id))).await?)
    }
}
