//! What was said in channels in Redis.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{RedisStore, bounded, bounds, foreign, number};
use crate::keep::Keep;
use crate::posts::{NewPost, NewReading, NoPage, Page, Post, Posts, Reading, Window};
use crate::session::{StoreError, Timestamp};

/// number, what was said as JSON, readers
pub(super) type Said = (String, String, Vec<String>);

/// A post as it is written.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    id: String,
    author: String,
    text: String,
    at: u64,
}

impl Posts for RedisStore {
    async fn say(&self, posts: Vec<NewPost>) -> Result<Vec<Option<u64>>, StoreError> {
        let mut numbers = vec![None; posts.len()];
        for (realm, indices) in by_realm(posts.iter().map(|post| &*post.realm)) {
            let said = indices.iter().map(|&index| {
                let post = &posts[index];
                let record = Record {
                    id: post.id.clone(),
                    author: post.author.to_string(),
                    text: post.text.clone(),
                    at: post.at.millis(),
                };
                json!({
                    "channel": post.channel,
                    "id": post.id,
                    "author": post.author,
                    "at": record.at,
                    "record": serde_json::to_string(&record).expect("strings and numbers are always JSON"),
                })
            });
            let given = json!({ "posts": said.collect::<Vec<_>>() });
            let given: Vec<Option<u64>> = self.change_channels(realm, "say", &given).await?;
            for (index, number) in indices.into_iter().zip(given) {
                numbers[index] = number;
            }
        }
        Ok(numbers)
    }

    async fn page(
        &self,
        realm: &str,
        channel: &str,
        member: &str,
        before: Option<&str>,
        window: Window,
    ) -> Result<Result<Page, NoPage>, StoreError> {
        let wanted = bounded(window.posts);
        let given = json!({
            "channel": channel,
            "member": member,
            "before": before,
            "posts": wanted + 1,
            "readers": bounded(window.readers),
        });
        let (what, mut posts): (String, Vec<Said>) = self.look_at_channels(realm, "page", &given).await?;
        match &*what {
            "channel" => return Ok(Err(NoPage::Channel)),
            "post" => return Ok(Err(NoPage::Post)),
            _ => {}
        }
        let has_more = posts.len() > wanted;
        posts.truncate(wanted);
        let posts = posts.into_iter().rev().map(post).collect::<Result<_, _>>()?;
        Ok(Ok(Page { posts, has_more }))
    }

    async fn note_readings(&self, readings: Vec<NewReading>) -> Result<Vec<Reading>, StoreError> {
        let mut became = vec![Reading::Unknown; readings.len()];
        for (realm, indices) in by_realm(readings.iter().map(|reading| &*reading.realm)) {
            let noted = indices.iter().map(|&index| {
                let reading = &readings[index];
                json!({
                    "channel": reading.channel,
                    "post": reading.post,
                    "reader": reading.reader,
                    "at": reading.at.millis(),
                })
            });
            let given = json!({ "readings": noted.collect::<Vec<_>>() });
            let said: Vec<String> = self.change_channels(realm, "read", &given).await?;
            for (index, said) in indices.into_iter().zip(said) {
                became[index] = match &*said {
                    "noted" => Reading::Noted,
                    "known" => Reading::Known,
                    _ => Reading::Unknown,
                };
            }
        }
        Ok(became)
    }

    async fn trim_posts(&self, keep: Keep, limit: usize) -> Result<usize, StoreError> {
        let mut removed = 0;
        for (realm, _) in self.numbered_realms().await? {
            let left = limit - removed;
            if left == 0 {
                break;
            }
            let gone: usize = self.change_channels(&realm, "trim", &bounds(keep, left)).await?;
            removed += gone;
        }
        Ok(removed)
    }
}

/// The places of each realm's, in their order.
fn by_realm<'a>(realms: impl Iterator<Item = &'a str>) -> BTreeMap<&'a str, Vec<usize>> {
    let mut by_realm: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (index, realm) in realms.enumerate() {
        by_realm.entry(realm).or_default().push(index);
    }
    by_realm
}

pub(super) fn post((sequence, record, readers): Said) -> Result<Post, StoreError> {
    let Record { id, author, text, at } = serde_json::from_str(&record).map_err(|_| foreign("a post"))?;
    Ok(Post {
        sequence: number(&sequence, "a post's number")?,
        id,
        author,
        text,
        at: Timestamp::from_millis(at),
        readers,
    })
}
