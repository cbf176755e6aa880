//! What was said in channels in SQLite.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::Sqlite;
use super::channels::find;
use crate::keep::Keep;
use crate::posts::{NewPost, NewReading, NoPage, Page, Post, Posts, Reading, Window};
use crate::session::{StoreError, Timestamp};

impl Posts for Sqlite {
    async fn say(&self, posts: Vec<NewPost>) -> Result<Vec<Option<u64>>, StoreError> {
        self.write(move |connection| {
            let mut numbers = vec![None; posts.len()];
            for (channel, said) in by_channel(&posts) {
                say_in(connection, channel, &said, &mut numbers)?;
            }
            Ok(numbers)
        })
        .await
    }

    async fn page(
        &self,
        realm: &str,
        channel: &str,
        member: &str,
        before: Option<&str>,
        window: Window,
    ) -> Result<Result<Page, NoPage>, StoreError> {
        let (realm, channel, member) = (realm.to_owned(), channel.to_owned(), member.to_owned());
        let before = before.map(str::to_owned);
        self.read(move |connection| {
            let Some(found) = find(connection, &realm, &channel, &member)? else {
                return Ok(Err(NoPage::Channel));
            };
            let mut end = None;
            if let Some(id) = before {
                end = sequence_and_author(connection, found.number, &id)?.map(|(sequence, _)| sequence);
                if end.is_none() {
                    return Ok(Err(NoPage::Post));
                }
            }
            let one_more = Window {
                posts: window.posts + 1,
                ..window
            };
            let mut posts = latest(connection, found.number, end, &member, one_more)?;
            let has_more = posts.len() > window.posts;
            posts.truncate(window.posts);
            posts.reverse();
            Ok(Ok(Page { posts, has_more }))
        })
        .await
    }

    async fn note_readings(&self, readings: Vec<NewReading>) -> Result<Vec<Reading>, StoreError> {
        self.write(move |connection| {
            readings
                .iter()
                .map(|reading| note_reading(connection, reading))
                .collect()
        })
        .await
    }

    async fn trim_posts(&self, keep: Keep, limit: usize) -> Result<usize, StoreError> {
        // Looking takes longest, and holds up no writer here.
        let due = self
            .read(move |connection| surplus(connection, keep, limit))
            .await?;
        if due.is_empty() {
            return Ok(0);
        }
        self.write(move |connection| {
            due.iter().try_fold(0, |removed, (channel, sequences)| {
                Ok(removed + remove_posts(connection, *channel, sequences)?)
            })
        })
        .await
    }
}

type ChannelKey<'a> = (&'a str, &'a str);

/// The places of the posts of each channel, in their order.
fn by_channel(posts: &[NewPost]) -> HashMap<ChannelKey<'_>, Vec<(usize, &NewPost)>> {
    let mut channels: HashMap<ChannelKey<'_>, Vec<_>> = HashMap::new();
    for (place, post) in posts.iter().enumerate() {
        let key = (&*post.realm, &*post.channel);
        channels.entry(key).or_default().push((place, post));
    }
    channels
}

/// Says what is said in one channel, and writes the posts' numbers to their places.
fn say_in(
    connection: &Connection,
    (realm, channel): ChannelKey<'_>,
    said: &[(usize, &NewPost)],
    numbers: &mut [Option<u64>],
) -> rusqlite::Result<()> {
    let found = connection
        .prepare_cached("SELECT number, sequence FROM channels WHERE realm = ?1 AND id = ?2")?
        .query_row(params![realm, channel], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((channel, first)): Option<(i64, u64)> = found else {
        return Ok(());
    };
    let mut authors: HashMap<&Arc<str>, (u64, bool)> = HashMap::new();
    for (_, post) in said {
        authors.entry(&post.author).or_default().0 += 1;
    }
    let mut count = connection
        .prepare_cached("UPDATE channel_members SET posts = posts + ?3 WHERE channel = ?1 AND member = ?2")?;
    for (author, (posts, is_member)) in &mut authors {
        *is_member = count.execute(params![channel, author, *posts])? > 0;
    }
    let mut insert = connection.prepare_cached(
        "INSERT INTO posts (channel, sequence, id, author, text, at_millis) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    let mut sequence = first;
    for (place, post) in said.iter().filter(|(_, post)| authors[&post.author].1) {
        sequence += 1;
        let (text, at) = (&post.text, post.at.millis());
        insert.execute(params![channel, sequence, post.id, post.author, text, at])?;
        numbers[*place] = Some(sequence);
    }
    connection
        .prepare_cached("UPDATE channels SET sequence = ?2, posts = posts + ?3 WHERE number = ?1")?
        .execute(params![channel, sequence, sequence - first])
        .map(|_| ())
}

fn note_reading(connection: &Connection, reading: &NewReading) -> rusqlite::Result<Reading> {
    let NewReading {
        realm,
        channel,
        post,
        reader,
        at,
    } = reading;
    let Some(found) = find(connection, realm, channel, reader)? else {
        return Ok(Reading::Unknown);
    };
    let Some((sequence, author)) = sequence_and_author(connection, found.number, post)? else {
        return Ok(Reading::Unknown);
    };
    if author == **reader {
        return Ok(Reading::Known);
    }
    let noted = connection
        .prepare_cached(
            "INSERT OR IGNORE INTO readings (channel, sequence, reader, at_millis) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![found.number, sequence, reader, at.millis()])?;
    if noted == 0 {
        return Ok(Reading::Known);
    }
    connection
        .prepare_cached("UPDATE posts SET readers = readers + 1 WHERE channel = ?1 AND sequence = ?2")?
        .execute(params![found.number, sequence])?;
    connection
        .prepare_cached(
            "UPDATE channel_members SET readings = readings + 1 WHERE channel = ?1 AND member = ?2",
        )?
        .execute(params![found.number, reader])?;
    Ok(Reading::Noted)
}

fn sequence_and_author(
    connection: &Connection,
    channel: i64,
    post: &str,
) -> rusqlite::Result<Option<(u64, String)>> {
    connection
        .prepare_cached("SELECT sequence, author FROM posts WHERE channel = ?1 AND id = ?2")?
        .query_row(params![channel, post], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()
}

/// The newest posts of a channel, or the newest before the number `end`; the newest first.
pub(super) fn latest(
    connection: &Connection,
    channel: i64,
    end: Option<u64>,
    asker: &str,
    window: Window,
) -> rusqlite::Result<Vec<Post>> {
    // SQLite's integers end where an `i64` does.
    let end = end.unwrap_or(i64::MAX as u64);
    let mut statement = connection.prepare_cached(
        "SELECT sequence, id, author, text, at_millis, readers FROM posts WHERE channel = ?1 AND sequence < ?2
         ORDER BY sequence DESC LIMIT ?3",
    )?;
    let read = |row: &Row<'_>| {
        let post = Post {
            sequence: row.get(0)?,
            id: row.get(1)?,
            author: row.get(2)?,
            text: row.get(3)?,
            at: Timestamp::from_millis(row.get(4)?),
            readers: Vec::new(),
        };
        Ok((post, row.get::<_, u64>(5)?))
    };
    let mut posts = Vec::new();
    for row in statement.query_map(params![channel, end, window.posts], read)? {
        let (mut post, readers) = row?;
        if readers > 0 && window.readers > 0 {
            post.readers = readers_of(connection, channel, post.sequence, asker, window.readers)?;
        }
        posts.push(post);
    }
    Ok(posts)
}

/// At most `limit` readers of a post, the one who asks among them, the first reader first.
fn readers_of(
    connection: &Connection,
    channel: i64,
    sequence: u64,
    asker: &str,
    limit: usize,
) -> rusqlite::Result<Vec<String>> {
    let mut readers: Vec<(u64, String)> = connection
        .prepare_cached(
            "SELECT at_millis, reader FROM readings WHERE channel = ?1 AND sequence = ?2 ORDER BY reader = ?3 DESC
             LIMIT ?4",
        )?
        .query_map(params![channel, sequence, asker, limit], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?
        .collect::<rusqlite::Result<_>>()?;
    readers.sort();
    Ok(readers.into_iter().map(|(_, reader)| reader).collect())
}

/// Of each channel the numbers of posts that are not kept, at most `limit` in all.
fn surplus(connection: &Connection, keep: Keep, limit: usize) -> rusqlite::Result<Vec<(i64, Vec<u64>)>> {
    let since = keep.since.map_or(0, Timestamp::millis);
    let newest = keep.count_max.unwrap_or(i64::MAX as u64);
    // The oldest post of a channel tells whether anything in it is too old.
    let mut channels = connection.prepare_cached(
        "SELECT number, max(posts - ?2, 0) FROM channels c WHERE posts > ?2 OR ?1 >
         (SELECT at_millis FROM posts WHERE channel = c.number ORDER BY sequence LIMIT 1)",
    )?;
    let mut posts = connection.prepare_cached(
        "SELECT sequence, at_millis FROM posts WHERE channel = ?1 ORDER BY sequence LIMIT ?2",
    )?;
    let mut due = Vec::new();
    let mut left = limit;
    let mut rows = channels.query(params![since, newest])?;
    while let Some(row) = rows.next()?
        && left > 0
    {
        let (channel, beyond): (i64, usize) = (row.get(0)?, row.get(1)?);
        let mut sequences = Vec::new();
        let oldest = posts.query_map(params![channel, left], |row| Ok((row.get(0)?, row.get(1)?)))?;
        for (place, post) in oldest.enumerate() {
            let (sequence, at): (u64, u64) = post?;
            if place >= beyond && at >= since {
                break;
            }
            sequences.push(sequence);
        }
        left -= sequences.len();
        due.push((channel, sequences));
    }
    Ok(due)
}

/// Removes posts of a channel with their readings, and keeps all counts right. Returns how many there were.
pub(super) fn remove_posts(
    connection: &Connection,
    channel: i64,
    sequences: &[u64],
) -> rusqlite::Result<usize> {
    let mut readers = connection.prepare_cached(
        "UPDATE channel_members SET readings = readings - 1 WHERE channel = ?1
         AND member IN (SELECT reader FROM readings WHERE channel = ?1 AND sequence = ?2)",
    )?;
    let mut readings =
        connection.prepare_cached("DELETE FROM readings WHERE channel = ?1 AND sequence = ?2")?;
    let mut author = connection.prepare_cached(
        "UPDATE channel_members SET posts = posts - 1 WHERE channel = ?1
         AND member = (SELECT author FROM posts WHERE channel = ?1 AND sequence = ?2)",
    )?;
    let mut post = connection.prepare_cached("DELETE FROM posts WHERE channel = ?1 AND sequence = ?2")?;
    let mut removed = 0;
    for sequence in sequences {
        readers.execute(params![channel, sequence])?;
        readings.execute(params![channel, sequence])?;
        author.execute(params![channel, sequence])?;
        removed += post.execute(params![channel, sequence])?;
    }
    connection
        .prepare_cached("UPDATE channels SET posts = posts - ?2 WHERE number = ?1")?
        .execute(params![channel, removed])?;
    Ok(removed)
}
