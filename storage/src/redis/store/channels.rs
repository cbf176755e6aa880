//! Channels and their members in Redis.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::posts::{Said, post};
use super::{NUMBER_MAX, RedisStore, bounded, number};
use crate::accounts::CreateError;
use crate::channels::{Channel, Channels, Memberships, NewChannel, View};
use crate::posts::Window;
use crate::session::StoreError;

/// id, name, members, unread, the last post's number
type Seen = (String, Option<String>, u64, u64, String);

impl Channels for RedisStore {
    async fn create_channels(&self, channels: Vec<NewChannel>) -> Result<(), CreateError> {
        let mut by_realm: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (index, channel) in channels.iter().enumerate() {
            by_realm.entry(&channel.realm).or_default().push(index);
        }
        // All are looked at before any is made; in one realm the script does both at once.
        let deeds: &[_] = if by_realm.len() > 1 {
            &["check", "create"]
        } else {
            &["create"]
        };
        for deed in deeds {
            for (realm, indices) in &by_realm {
                self.realm_number(realm).await?;
                let new = indices.iter().map(|&index| {
                    let NewChannel {
                        id, name, members, ..
                    } = &channels[index];
                    json!({ "id": id, "name": name, "members": members })
                });
                let given = json!({ "channels": new.collect::<Vec<_>>() });
                let taken: usize = self.change_channels(realm, deed, &given).await?;
                if let Some(place) = taken.checked_sub(1) {
                    let (index, field) = (indices[place], "id");
                    return Err(CreateError::Taken { index, field });
                }
            }
        }
        Ok(())
    }

    async fn view(
        &self,
        realm: &str,
        channel: &str,
        member: &str,
        window: Window,
    ) -> Result<Option<View>, StoreError> {
        let given = json!({
            "channel": channel,
            "member": member,
            "posts": bounded(window.posts),
            "readers": bounded(window.readers),
        });
        let found: Option<(Seen, Vec<Said>)> = self.look_at_channels(realm, "view", &given).await?;
        let Some((seen, posts)) = found else {
            return Ok(None);
        };
        let sequence = number(&seen.4, "a channel's number")?;
        let posts = posts.into_iter().rev().map(post).collect::<Result<_, _>>()?;
        Ok(Some(View {
            channel: as_seen(seen),
            posts,
            sequence,
        }))
    }

    async fn members(&self, realm: &str, channel: &str, limit: usize) -> Result<Vec<String>, StoreError> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        // All of a large channel are asked for by those who tell them something.
        let given = json!({ "channel": channel, "limit": (limit as u64).min(NUMBER_MAX) });
        self.look_at_channels(realm, "members", &given).await
    }

    async fn memberships(
        &self,
        realm: &str,
        member: &str,
        skipped: usize,
        limit: usize,
    ) -> Result<Memberships, StoreError> {
        let skipped = (skipped as u64).min(NUMBER_MAX);
        let given = json!({ "member": member, "skipped": skipped, "limit": bounded(limit) });
        let (total, found): (u64, Vec<(Seen, Vec<Said>)>) =
            self.look_at_channels(realm, "memberships", &given).await?;
        let channel = |(seen, posts): (Seen, Vec<Said>)| {
            let newest = posts.into_iter().next().map(post).transpose()?;
            Ok((as_seen(seen), newest))
        };
        let channels = found
            .into_iter()
            .map(channel)
            .collect::<Result<_, StoreError>>()?;
        Ok(Memberships { total, channels })
    }

    async fn channels_of(&self, realm: &str, member: &str) -> Result<Vec<String>, StoreError> {
        let given = json!({ "member": member });
        self.look_at_channels(realm, "channels_of", &given).await
    }

    async fn remove_member(&self, realm: &str, member: &str) -> Result<(), StoreError> {
        let given = json!({ "member": member });
        self.change_channels(realm, "remove_member", &given).await
    }
}

impl RedisStore {
    pub(super) async fn change_channels<T: redis::FromRedisValue>(
        &self,
        realm: &str,
        deed: &str,
        given: &Value,
    ) -> Result<T, StoreError> {
        let (script, base) = (&self.inner.scripts.channels, self.realm_key(realm));
        self.change(script, &base, deed, given).await
    }

    pub(super) async fn look_at_channels<T: redis::FromRedisValue>(
        &self,
        realm: &str,
        deed: &str,
        given: &Value,
    ) -> Result<T, StoreError> {
        let (script, base) = (&self.inner.scripts.channels, self.realm_key(realm));
        self.look(script, &base, deed, given).await
    }
}

fn as_seen((id, name, members_total, unread, _): Seen) -> Channel {
    Channel {
        id,
        name,
        members_total,
        unread,
    }
}
