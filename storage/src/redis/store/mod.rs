//! The store in Redis: what `--store redis://…` keeps. Every call is one script, which Redis carries out as a whole; the keys
//! of a realm share what a cluster looks at, so that a script finds them on one server. The keys are listed in
//! `docs/redis.md`.

mod accounts;
mod channels;
mod conversations;
mod dialogues;
mod events;
mod posts;
mod resources;
mod revocations;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use redis::{FromRedisValue, Script};
use serde_json::Value;

use super::keys::part;
use super::link::{LinkError, Redis};
use crate::keep::Keep;
use crate::session::{StoreError, Timestamp};

/// The largest number that Lua and JSON count to exactly: what is asked for more means no limit.
const NUMBER_MAX: u64 = 1 << 53;

/// What one script looks at or removes at most: while it runs, Redis does nothing else.
const AT_ONCE_MAX: usize = 10_000;

/// A store in Redis. Clones are the same.
///
/// Beyond what the traits guarantee: a call is done as a whole or not at all; one that names several realms is that for each
/// of them, and those of one realm that were done stay done if a later one fails. What was confirmed survives a kill of Redis if
/// [`Redis::durability`] says so.
#[derive(Debug, Clone)]
pub struct RedisStore {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    link: Redis,
    prefix: String,
    scripts: Scripts,
    /// Numbers of realms, as far as they were needed; they never change.
    realms: Mutex<HashMap<String, u64>>,
}

#[derive(Debug)]
struct Scripts {
    accounts: Script,
    channels: Script,
    conversations: Script,
    dialogues: Script,
    events: Script,
    resources: Script,
    number_realm: Script,
}

impl RedisStore {
    /// A store whose keys begin with `namespace`: stores of other names share nothing.
    #[must_use]
    pub fn new(link: Redis, namespace: &str) -> Self {
        let common = include_str!("scripts/common.lua");
        let events = include_str!("scripts/event_keys.lua");
        let script = |parts: &[&str]| Script::new(&parts.concat());
        let scripts = Scripts {
            accounts: script(&[common, include_str!("scripts/accounts.lua")]),
            channels: script(&[common, include_str!("scripts/channels.lua")]),
            conversations: script(&[common, events, include_str!("scripts/conversations.lua")]),
            dialogues: script(&[common, include_str!("scripts/dialogues.lua")]),
            events: script(&[common, events, include_str!("scripts/events.lua")]),
            resources: script(&[common, include_str!("scripts/resources.lua")]),
            number_realm: script(&[include_str!("scripts/number_realm.lua")]),
        };
        Self {
            inner: Arc::new(Inner {
                link,
                prefix: format!("{}:store", part(namespace)),
                scripts,
                realms: Mutex::default(),
            }),
        }
    }

    /// What all keys of a realm begin with. What is in braces alone says which server of a cluster has them.
    fn realm_key(&self, realm: &str) -> String {
        format!("{}:{{{}}}", self.inner.prefix, part(realm))
    }

    /// Has a script change something, or find that it need not.
    async fn change<T: FromRedisValue>(
        &self,
        script: &Script,
        base: &str,
        deed: &str,
        given: &Value,
    ) -> Result<T, StoreError> {
        let mut script = script.key(base);
        script.arg(deed).arg(given.to_string());
        Ok(self.inner.link.run_script(&script).await?)
    }

    /// Has a script look at something; once more if the connection breaks meanwhile.
    async fn look<T: FromRedisValue>(
        &self,
        script: &Script,
        base: &str,
        deed: &str,
        given: &Value,
    ) -> Result<T, StoreError> {
        let mut script = script.key(base);
        script.arg(deed).arg(given.to_string());
        Ok(self.inner.link.read_script(&script).await?)
    }

    fn realms_key(&self) -> String {
        format!("{}-realms", self.inner.prefix)
    }

    fn realms(&self) -> MutexGuard<'_, HashMap<String, u64>> {
        let realms = &self.inner.realms;
        realms
            .lock()
            .expect("the lock is never poisoned: no code panics while holding it")
    }

    /// The realm's number, which it gets with the first call.
    async fn realm_number(&self, realm: &str) -> Result<u64, StoreError> {
        if let Some(number) = self.realms().get(realm) {
            return Ok(*number);
        }
        let mut script = self.inner.scripts.number_realm.key(self.realms_key());
        script.arg(realm);
        let number = self.inner.link.read_script(&script).await?;
        self.realms().insert(realm.to_owned(), number);
        Ok(number)
    }

    /// All realms that have a number, with it.
    async fn numbered_realms(&self) -> Result<Vec<(String, u64)>, StoreError> {
        let mut command = redis::cmd("HGETALL");
        command.arg(self.realms_key());
        let realms: Vec<(String, u64)> = self.inner.link.read(&command).await?;
        self.realms().extend(realms.iter().cloned());
        Ok(realms)
    }
}

/// What is kept, as scripts are told.
fn bounds(keep: Keep, limit: usize) -> Value {
    serde_json::json!({
        "since": keep.since.map(Timestamp::millis),
        "count_max": keep.count_max.map(|count| count.min(NUMBER_MAX)),
        "limit": limit.min(AT_ONCE_MAX),
    })
}

/// So many are asked for at most.
fn bounded(limit: usize) -> usize {
    limit.min(AT_ONCE_MAX)
}

/// What Redis has is not what this program wrote.
fn foreign(what: &str) -> StoreError {
    StoreError::Unavailable(format!("{what} in redis is not as it was written"))
}

/// A number that a script has written down.
fn number(text: &str, what: &str) -> Result<u64, StoreError> {
    text.parse().map_err(|_| foreign(what))
}

fn moment(text: &str, what: &str) -> Result<Timestamp, StoreError> {
    number(text, what).map(Timestamp::from_millis)
}

impl From<LinkError> for crate::accounts::CreateError {
    fn from(error: LinkError) -> Self {
        Self::Store(error.into())
    }
}
