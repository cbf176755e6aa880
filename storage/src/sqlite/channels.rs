//! Channels and their members in SQLite.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::Sqlite;
use super::accounts::taken;
use super::posts::{latest, remove_posts};
use crate::accounts::CreateError;
use crate::channels::{Channel, Channels, Memberships, NewChannel, View};
use crate::posts::Window;
use crate::session::StoreError;

/// What a [`Channel`] is made of, for the channel `c` and its member `m`.
const COLUMNS: &str = "c.number, c.id, c.name, c.members, c.posts - m.posts - m.readings, c.sequence";

/// A channel as it stands in its row, with what the row says beside it.
pub(super) struct Found {
    pub(super) number: i64,
    pub(super) sequence: u64,
    channel: Channel,
}

/// The channel, if the member is one.
pub(super) fn find(
    connection: &Connection,
    realm: &str,
    channel: &str,
    member: &str,
) -> rusqlite::Result<Option<Found>> {
    connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM channels c JOIN channel_members m ON m.channel = c.number AND m.member = ?3
             WHERE c.realm = ?1 AND c.id = ?2"
        ))?
        .query_row(params![realm, channel, member], found)
        .optional()
}

fn found(row: &Row<'_>) -> rusqlite::Result<Found> {
    Ok(Found {
        number: row.get(0)?,
        sequence: row.get(5)?,
        channel: Channel {
            id: row.get(1)?,
            name: row.get(2)?,
            members_total: row.get(3)?,
            unread: row.get(4)?,
        },
    })
}

impl Channels for Sqlite {
    async fn create_channels(&self, channels: Vec<NewChannel>) -> Result<(), CreateError> {
        let made = self.write_or_undo(move |connection| {
            for (index, channel) in channels.into_iter().enumerate() {
                let made = create(connection, &channel);
                if let Some(field) = taken(made, &[])? {
                    return Ok(Some(CreateError::Taken { index, field }));
                }
            }
            Ok(None)
        });
        made.await?.map_or(Ok(()), Err)
    }

    async fn view(
        &self,
        realm: &str,
        channel: &str,
        member: &str,
        window: Window,
    ) -> Result<Option<View>, StoreError> {
        let (realm, channel, member) = (realm.to_owned(), channel.to_owned(), member.to_owned());
        self.read(move |connection| {
            let Some(found) = find(connection, &realm, &channel, &member)? else {
                return Ok(None);
            };
            let mut posts = latest(connection, found.number, None, &member, window)?;
            posts.reverse();
            Ok(Some(View {
                channel: found.channel,
                posts,
                sequence: found.sequence,
            }))
        })
        .await
    }

    async fn members(&self, realm: &str, channel: &str, limit: usize) -> Result<Vec<String>, StoreError> {
        let (realm, channel) = (realm.to_owned(), channel.to_owned());
        self.read(move |connection| {
            connection
                .prepare_cached(
                    "SELECT m.member FROM channels c JOIN channel_members m ON m.channel = c.number
                     WHERE c.realm = ?1 AND c.id = ?2 ORDER BY m.member LIMIT ?3",
                )?
                .query_map(params![realm, channel, limit], |row| row.get(0))?
                .collect()
        })
        .await
    }

    async fn memberships(
        &self,
        realm: &str,
        member: &str,
        skipped: usize,
        limit: usize,
    ) -> Result<Memberships, StoreError> {
        let (realm, member) = (realm.to_owned(), member.to_owned());
        self.read(move |connection| {
            let total = connection
                .prepare_cached("SELECT count(*) FROM channel_members WHERE realm = ?1 AND member = ?2")?
                .query_row(params![realm, member], |row| row.get(0))?;
            let mut statement = connection.prepare_cached(&format!(
                "SELECT {COLUMNS} FROM channel_members m JOIN channels c ON c.number = m.channel
                 WHERE m.realm = ?1 AND m.member = ?2 ORDER BY c.id LIMIT ?3 OFFSET ?4"
            ))?;
            let mut channels = Vec::new();
            for row in statement.query_map(params![realm, member, limit, skipped], found)? {
                let Found { number, channel, .. } = row?;
                let one = Window {
                    posts: 1,
                    ..Window::BARE
                };
                channels.push((channel, latest(connection, number, None, &member, one)?.pop()));
            }
            Ok(Memberships { total, channels })
        })
        .await
    }

    async fn channels_of(&self, realm: &str, member: &str) -> Result<Vec<String>, StoreError> {
        let (realm, member) = (realm.to_owned(), member.to_owned());
        self.read(move |connection| {
            connection
                .prepare_cached(
                    "SELECT c.id FROM channel_members m JOIN channels c ON c.number = m.channel
                     WHERE m.realm = ?1 AND m.member = ?2",
                )?
                .query_map(params![realm, member], |row| row.get(0))?
                .collect()
        })
        .await
    }

    async fn remove_member(&self, realm: &str, member: &str) -> Result<(), StoreError> {
        let (realm, member) = (realm.to_owned(), member.to_owned());
        self.write(move |connection| {
            let channels: Vec<(i64, u64, u64)> = connection
                .prepare_cached(
                    "SELECT channel, posts, readings FROM channel_members WHERE realm = ?1 AND member = ?2",
                )?
                .query_map(params![realm, member], |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?))
                })?
                .collect::<rusqlite::Result<_>>()?;
            for (channel, posts, readings) in channels {
                if posts > 0 {
                    let own = connection
                        .prepare_cached("SELECT sequence FROM posts WHERE channel = ?1 AND author = ?2")?
                        .query_map(params![channel, member], |row| row.get(0))?
                        .collect::<rusqlite::Result<Vec<u64>>>()?;
                    remove_posts(connection, channel, &own)?;
                }
                if readings > 0 {
                    remove_readings(connection, channel, &member)?;
                }
                connection
                    .prepare_cached("DELETE FROM channel_members WHERE channel = ?1 AND member = ?2")?
                    .execute(params![channel, member])?;
                connection
                    .prepare_cached("UPDATE channels SET members = members - 1 WHERE number = ?1")?
                    .execute([channel])?;
            }
            Ok(())
        })
        .await
    }
}

fn create(connection: &Connection, channel: &NewChannel) -> rusqlite::Result<usize> {
    let number = connection
        .prepare_cached("INSERT INTO channels (realm, id, name) VALUES (?1, ?2, ?3)")?
        .insert(params![channel.realm, channel.id, channel.name])?;
    let mut insert = connection.prepare_cached(
        "INSERT OR IGNORE INTO channel_members (channel, member, realm) VALUES (?1, ?2, ?3)",
    )?;
    let mut members = 0;
    for member in &channel.members {
        members += insert.execute(params![number, member, channel.realm])?;
    }
    connection
        .prepare_cached("UPDATE channels SET members = ?2 WHERE number = ?1")?
        .execute(params![number, members])
}

/// Forgets what the member has read in the channel.
fn remove_readings(connection: &Connection, channel: i64, reader: &str) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE posts SET readers = readers - 1 WHERE channel = ?1
             AND sequence IN (SELECT sequence FROM readings WHERE channel = ?1 AND reader = ?2)",
        )?
        .execute(params![channel, reader])?;
    connection
        .prepare_cached("DELETE FROM readings WHERE channel = ?1 AND reader = ?2")?
        .execute(params![channel, reader])
        .map(|_| ())
}
