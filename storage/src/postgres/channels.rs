//! Channels and their members in PostgreSQL.

use tokio_postgres::Row;

use super::Postgres;
use super::accounts::made;
use super::posts;
use super::statement::{Answers, Columns, Place, Statement, maybe, number, parameters, text, texts};
use super::writing::lock;
use crate::accounts::CreateError;
use crate::channels::{Channel, Channels, Memberships, NewChannel, View};
use crate::posts::{Post, Window};
use crate::session::StoreError;

/// Makes all channels of a realm, or none and says which is the first whose id is taken; `$7` is a [`Making`]. `$5` and
/// `$6` are the places of channels, and their members.
const CREATE: &str = "
    WITH given AS (
        SELECT *, row_number() OVER (PARTITION BY id ORDER BY place) > 1 AS repeats_id
        FROM unnest($2::bigint[], $3::text[], $4::text[]) AS given (place, id, name)
    ), taken AS (
        SELECT place FROM given g
        WHERE repeats_id OR EXISTS (SELECT FROM channels c WHERE c.realm = $1 AND c.id = g.id)
    ), belonging AS (
        SELECT DISTINCT place, member FROM unnest($5::bigint[], $6::text[]) AS belonging (place, member)
    ), made AS (
        INSERT INTO channels (realm, id, name, members)
        SELECT $1, id, name, (SELECT count(*) FROM belonging b WHERE b.place = g.place) FROM given g
        WHERE $7 = 'made' OR $7 = 'made if free' AND NOT EXISTS (SELECT FROM taken)
        RETURNING number, id
    ), peopled AS (
        INSERT INTO channel_members (channel, member, realm)
        SELECT m.number, b.member, $1 FROM made m JOIN given g ON g.id = m.id JOIN belonging b ON b.place = g.place
    )
    SELECT place, 'id' FROM taken ORDER BY place LIMIT 1";

/// What a [`Channel`] is made of, for the channel `c` and its member `m`.
macro_rules! columns {
    () => {
        "c.id, c.name, c.members, c.posts - m.posts - m.readings, c.sequence"
    };
}

const VIEW: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM channels c JOIN channel_members m ON m.channel = c.number AND m.member = $3
     WHERE c.realm = $1 AND c.id = $2"
);

const MEMBERSHIPS: &str = concat!(
    "SELECT ",
    columns!(),
    ", p.sequence, p.id, p.author, p.text, p.at_millis
     FROM channel_members m JOIN channels c ON c.number = m.channel
     LEFT JOIN LATERAL (SELECT * FROM posts WHERE channel = c.number ORDER BY sequence DESC LIMIT 1) p ON true
     WHERE m.realm = $1 AND m.member = $2 ORDER BY c.id LIMIT $3 OFFSET $4"
);

/// What the member has said goes with all readings of it, then his own readings, then himself.
const REMOVE_READINGS: &str = "
    WITH gone AS (
        DELETE FROM readings r USING channel_members m
        WHERE m.realm = $1 AND m.member = $2 AND r.channel = m.channel AND r.reader = m.member
        RETURNING r.channel, r.sequence
    )
    UPDATE posts p SET readers = p.readers - 1 FROM gone g WHERE p.channel = g.channel AND p.sequence = g.sequence";

const REMOVE_MEMBER: &str = "
    WITH gone AS (DELETE FROM channel_members WHERE realm = $1 AND member = $2 RETURNING channel)
    UPDATE channels c SET members = c.members - 1 FROM gone g WHERE c.number = g.channel";

impl Channels for Postgres {
    async fn create_channels(&self, channels: Vec<NewChannel>) -> Result<(), CreateError> {
        let mut realms: Vec<_> = channels.iter().map(|channel| &*channel.realm).collect();
        realms.sort_unstable();
        realms.dedup();
        let mut places = Vec::new();
        for realm in realms {
            places.push((self.place_made(realm).await?, realm));
        }
        if places.len() == 1 {
            return first_taken(&self.create(&places, &channels, Making::MadeIfFree).await?);
        }
        // What is taken in one realm must leave the others alone: there it has to be an error, and who is told of it
        // looks what it was.
        first_taken(&self.create(&places, &channels, Making::Tried).await?)?;
        match self.create(&places, &channels, Making::Made).await {
            Ok(_) => Ok(()),
            Err(error) => {
                first_taken(&self.create(&places, &channels, Making::Tried).await?)?;
                Err(error.into())
            }
        }
    }

    async fn view(
        &self,
        realm: &str,
        channel: &str,
        member: &str,
        window: Window,
    ) -> Result<Option<View>, StoreError> {
        let place = self.place(realm).await?;
        let who = || parameters![text(realm), text(channel), text(member)];
        let mut statements = vec![Statement::new(&place, VIEW, who())];
        if window.posts > 0 {
            statements.push(posts::latest(&place, (realm, channel, member), None, window));
        }
        let answers = self.read(statements).await?;
        let mut answers = answers.into_iter();
        let Some(row) = answers.next().and_then(|rows| rows.into_iter().next()) else {
            return Ok(None);
        };
        let mut posts: Vec<_> = answers
            .next()
            .unwrap_or_default()
            .iter()
            .map(posts::post)
            .collect();
        posts.reverse();
        Ok(Some(View {
            channel: found(&row),
            posts,
            sequence: row.count(4),
        }))
    }

    async fn members(&self, realm: &str, channel: &str, limit: usize) -> Result<Vec<String>, StoreError> {
        let place = self.place(realm).await?;
        let list = "SELECT m.member FROM channels c JOIN channel_members m ON m.channel = c.number
             WHERE c.realm = $1 AND c.id = $2 ORDER BY m.member LIMIT $3";
        let list = Statement::new(
            &place,
            list,
            parameters![text(realm), text(channel), number(limit)],
        );
        let rows = self.read_one(list).await?;
        Ok(rows.iter().map(|row| row.string(0)).collect())
    }

    async fn memberships(
        &self,
        realm: &str,
        member: &str,
        skipped: usize,
        limit: usize,
    ) -> Result<Memberships, StoreError> {
        let place = self.place(realm).await?;
        let count = "SELECT count(*) FROM channel_members WHERE realm = $1 AND member = $2";
        let count = Statement::new(&place, count, parameters![text(realm), text(member)]);
        let page = parameters![text(realm), text(member), number(limit), number(skipped)];
        let page = Statement::new(&place, MEMBERSHIPS, page);
        let mut answers = self.read(vec![count, page]).await?;
        let channels = answers.pop().unwrap_or_default();
        let total = answers.pop().unwrap_or_default();
        Ok(Memberships {
            total: total.first().map_or(0, |row| row.count(0)),
            channels: channels.iter().map(|row| (found(row), newest(row))).collect(),
        })
    }

    async fn channels_of(&self, realm: &str, member: &str) -> Result<Vec<String>, StoreError> {
        let place = self.place(realm).await?;
        self.channels_in(&place, realm, member).await
    }

    async fn remove_member(&self, realm: &str, member: &str) -> Result<(), StoreError> {
        let place = self.place(realm).await?;
        let channels = self.channels_in(&place, realm, member).await?;
        let locks = channels
            .iter()
            .map(|channel| lock("channel", realm, channel))
            .collect();
        let remove = [posts::REMOVE_OF_AUTHOR, REMOVE_READINGS, REMOVE_MEMBER];
        let remove = remove.map(|sql| Statement::new(&place, sql, parameters![text(realm), text(member)]));
        self.write(locks, remove.into()).await.map(|_| ())
    }
}

impl Postgres {
    async fn create(
        &self,
        places: &[(Place, &str)],
        channels: &[NewChannel],
        making: Making,
    ) -> Result<Answers, StoreError> {
        let locks = places.iter().map(|(_, realm)| lock("channels", realm, ""));
        let create = places
            .iter()
            .map(|(place, realm)| create(place, realm, channels, making));
        self.write(locks.collect(), create.collect()).await
    }

    async fn channels_in(&self, place: &Place, realm: &str, member: &str) -> Result<Vec<String>, StoreError> {
        let list = "SELECT c.id FROM channel_members m JOIN channels c ON c.number = m.channel
             WHERE m.realm = $1 AND m.member = $2";
        let list = Statement::new(place, list, parameters![text(realm), text(member)]);
        let rows = self.read_one(list).await?;
        Ok(rows.iter().map(|row| row.string(0)).collect())
    }
}

/// What becomes of channels that are to be made.
#[derive(Debug, Clone, Copy)]
enum Making {
    /// They are made unless an id is taken.
    MadeIfFree,
    /// They are made; an id that is taken is an error.
    Made,
    /// It is only looked whether an id is taken.
    Tried,
}

impl Making {
    const fn name(self) -> &'static str {
        match self {
            Self::MadeIfFree => "made if free",
            Self::Made => "made",
            Self::Tried => "tried",
        }
    }
}

/// Of what was found taken in each realm, the first as they were given.
fn first_taken(answers: &[Vec<Row>]) -> Result<(), CreateError> {
    let first = answers.iter().flatten().min_by_key(|row| row.count(0));
    first.map_or(Ok(()), |row| made(std::slice::from_ref(row)))
}

/// Makes those of the channels that are in this realm.
fn create(place: &Place, realm: &str, channels: &[NewChannel], making: Making) -> Statement {
    let (mut places, mut ids, mut names) = (Vec::new(), Vec::new(), Vec::new());
    let (mut of, mut members) = (Vec::new(), Vec::new());
    let numbered = channels.iter().zip(1_i64..);
    for (channel, number) in numbered.filter(|(channel, _)| &*channel.realm == realm) {
        places.push(number);
        ids.push(text(&channel.id));
        names.push(maybe(channel.name.as_ref()));
        of.extend(channel.members.iter().map(|_| number));
        members.extend(texts(&channel.members));
    }
    let making = making.name();
    let parameters = parameters![text(realm), places, ids, names, of, members, making];
    Statement::new(place, CREATE, parameters)
}

fn found(row: &Row) -> Channel {
    Channel {
        id: row.string(0),
        name: row.maybe_string(1),
        members_total: row.count(2),
        unread: row.count(3),
    }
}

/// The newest post of a channel, if it has any.
fn newest(row: &Row) -> Option<Post> {
    Some(Post {
        sequence: row.maybe_count(5)?,
        id: row.string(6),
        author: row.string(7),
        text: row.string(8),
        at: row.moment(9),
        readers: Vec::new(),
    })
}
