//! What was said in channels in PostgreSQL. Whoever changes a channel holds its lock until he has committed: the numbers
//! of its posts become visible in their order.

use std::collections::BTreeMap;

use tokio_postgres::Row;

use super::Postgres;
use super::realms::places;
use super::statement::{Columns, Place, Statement, millis, number, parameters, text, texts};
use super::writing::lock;
use crate::keep::Keep;
use crate::posts::{NewPost, NewReading, NoPage, Page, Post, Posts, Reading, Window};
use crate::session::StoreError;

/// Says what is said in one realm. Returns the places of what was, with the numbers.
const SAY: &str = "
    WITH said AS (
        SELECT * FROM unnest($2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[])
            AS said (place, channel, id, author, text, at_millis)
    ), numbered AS (
        SELECT s.place, c.number AS channel,
            c.sequence + row_number() OVER (PARTITION BY c.number ORDER BY s.place) AS sequence,
            s.id, s.author, s.text, s.at_millis
        FROM said s
        JOIN channels c ON c.realm = $1 AND c.id = s.channel
        JOIN channel_members m ON m.channel = c.number AND m.member = s.author
    ), kept AS (
        INSERT INTO posts (channel, sequence, id, author, text, at_millis)
        SELECT channel, sequence, id, author, text, at_millis FROM numbered
    ), counted AS (
        UPDATE channels c SET sequence = n.last, posts = c.posts + n.posts
        FROM (SELECT channel, count(*) AS posts, max(sequence) AS last FROM numbered GROUP BY channel) n
        WHERE c.number = n.channel
    ), counted_by_author AS (
        UPDATE channel_members m SET posts = m.posts + n.posts
        FROM (SELECT channel, author, count(*) AS posts FROM numbered GROUP BY channel, author) n
        WHERE m.channel = n.channel AND m.member = n.author
    )
    SELECT place, sequence FROM numbered";

/// Notes readings in one realm. Returns the places of those that name a post, and whether they were news.
const NOTE_READINGS: &str = "
    WITH given AS (
        SELECT * FROM unnest($2::bigint[], $3::text[], $4::text[], $5::text[], $6::bigint[])
            AS given (place, channel, post, reader, at_millis)
    ), found AS (
        SELECT g.place, c.number AS channel, p.sequence, g.reader, g.at_millis,
            p.author <> g.reader
            AND row_number() OVER (PARTITION BY c.number, p.sequence, g.reader ORDER BY g.place) = 1 AS may_be_news
        FROM given g
        JOIN channels c ON c.realm = $1 AND c.id = g.channel
        JOIN channel_members m ON m.channel = c.number AND m.member = g.reader
        JOIN posts p ON p.channel = c.number AND p.id = g.post
    ), noted AS (
        INSERT INTO readings (channel, sequence, reader, at_millis)
        SELECT channel, sequence, reader, at_millis FROM found WHERE may_be_news
        ON CONFLICT DO NOTHING
        RETURNING channel, sequence, reader
    ), counted AS (
        UPDATE posts p SET readers = p.readers + n.readers
        FROM (SELECT channel, sequence, count(*) AS readers FROM noted GROUP BY channel, sequence) n
        WHERE p.channel = n.channel AND p.sequence = n.sequence
    ), counted_by_reader AS (
        UPDATE channel_members m SET readings = m.readings + n.readings
        FROM (SELECT channel, reader, count(*) AS readings FROM noted GROUP BY channel, reader) n
        WHERE m.channel = n.channel AND m.member = n.reader
    )
    SELECT f.place, f.may_be_news AND n.reader IS NOT NULL
    FROM found f LEFT JOIN noted n USING (channel, sequence, reader)";

/// The newest posts of a channel, or the newest before the post `$4`, the newest first, with at most `$6` readers of
/// each, the one who asks among them, the first reader first.
const LATEST: &str = "
    SELECT p.sequence, p.id, p.author, p.text, p.at_millis, r.readers
    FROM channels c
    JOIN channel_members m ON m.channel = c.number AND m.member = $3
    CROSS JOIN LATERAL (
        SELECT * FROM posts WHERE channel = c.number AND ($4::text IS NULL
            OR sequence < (SELECT sequence FROM posts WHERE channel = c.number AND id = $4))
        ORDER BY sequence DESC LIMIT $5
    ) p
    LEFT JOIN LATERAL (
        SELECT array_agg(reader ORDER BY at_millis, reader) AS readers FROM (
            SELECT reader, at_millis FROM readings WHERE channel = p.channel AND sequence = p.sequence
            ORDER BY reader = $3 DESC, reader LIMIT $6
        ) shown
    ) r ON p.readers > 0 AND $6 > 0
    WHERE c.realm = $1 AND c.id = $2
    ORDER BY p.sequence DESC";

/// Whether the member sees the channel, and whether there is the post.
const BEFORE: &str = "
    SELECT $4::text IS NULL OR EXISTS (SELECT FROM posts WHERE channel = c.number AND id = $4)
    FROM channels c JOIN channel_members m ON m.channel = c.number AND m.member = $3
    WHERE c.realm = $1 AND c.id = $2";

/// Of each channel the posts that are not kept: the oldest, as long as they are too old (`$1`) or beyond the newest (`$2`).
/// The oldest post of a channel tells whether anything in it is too old.
const SURPLUS: &str = "
    SELECT c.realm, c.id, o.channel, o.sequence
    FROM channels c
    CROSS JOIN LATERAL (
        SELECT channel, sequence,
            bool_and(at_millis < $1 OR place <= c.posts - $2) OVER (ORDER BY sequence) AS is_due
        FROM (
            SELECT channel, sequence, at_millis, row_number() OVER (ORDER BY sequence) AS place
            FROM posts WHERE channel = c.number ORDER BY sequence LIMIT $3
        ) oldest
    ) o
    WHERE o.is_due AND (c.posts > $2
        OR (SELECT at_millis FROM posts WHERE channel = c.number ORDER BY sequence LIMIT 1) < $1)
    LIMIT $3";

/// Removes the posts `due` with their readings, and keeps all counts right. Returns how many there were.
macro_rules! remove {
    ($due:literal) => {
        concat!(
            "WITH due AS (",
            $due,
            "), unread AS (
                DELETE FROM readings r USING due d WHERE r.channel = d.channel AND r.sequence = d.sequence
                RETURNING r.channel, r.reader
            ), gone AS (
                DELETE FROM posts p USING due d WHERE p.channel = d.channel AND p.sequence = d.sequence
                RETURNING p.channel, p.author
            ), lessened AS (
                UPDATE channel_members m SET posts = m.posts - l.posts, readings = m.readings - l.readings
                FROM (
                    SELECT channel, member, sum(posts)::bigint AS posts, sum(readings)::bigint AS readings FROM (
                        SELECT channel, author AS member, 1 AS posts, 0 AS readings FROM gone
                        UNION ALL SELECT channel, reader, 0, 1 FROM unread
                    ) each GROUP BY channel, member
                ) l WHERE m.channel = l.channel AND m.member = l.member
            ), counted AS (
                UPDATE channels c SET posts = c.posts - g.posts
                FROM (SELECT channel, count(*) AS posts FROM gone GROUP BY channel) g WHERE c.number = g.channel
            )
            SELECT count(*) FROM gone"
        )
    };
}

const REMOVE: &str = remove!("SELECT * FROM unnest($1::bigint[], $2::bigint[]) AS due (channel, sequence)");

/// All that a member has said.
pub(super) const REMOVE_OF_AUTHOR: &str = remove!(
    "SELECT p.channel, p.sequence FROM channel_members m JOIN posts p ON p.channel = m.channel AND p.author = m.member
     WHERE m.realm = $1 AND m.member = $2 AND m.posts > 0"
);

impl Posts for Postgres {
    async fn say(&self, posts: Vec<NewPost>) -> Result<Vec<Option<u64>>, StoreError> {
        let locks = posts
            .iter()
            .map(|post| lock("channel", &post.realm, &post.channel))
            .collect();
        let mut statements = Vec::new();
        for (realm, said) in by_realm(&posts, |post| &post.realm) {
            let parameters = parameters![
                text(realm),
                said.iter().map(|(place, _)| *place).collect::<Vec<i64>>(),
                texts(said.iter().map(|(_, post)| &*post.channel)),
                texts(said.iter().map(|(_, post)| &post.id)),
                texts(said.iter().map(|(_, post)| &*post.author)),
                texts(said.iter().map(|(_, post)| &post.text)),
                said.iter().map(|(_, post)| millis(post.at)).collect::<Vec<_>>(),
            ];
            statements.push(Statement::new(&self.place(realm).await?, SAY, parameters));
        }
        let mut numbers = vec![None; posts.len()];
        for row in self.write(locks, statements).await?.iter().flatten() {
            numbers[row.count(0) as usize] = Some(row.count(1));
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
        let place = self.place(realm).await?;
        let parameters = parameters![text(realm), text(channel), text(member), before.map(text)];
        let one_more = Window {
            posts: window.posts.saturating_add(1),
            ..window
        };
        let statements = vec![
            Statement::new(&place, BEFORE, parameters),
            latest(&place, (realm, channel, member), before, one_more),
        ];
        let mut answers = self.read(statements).await?;
        let rows = answers.pop().unwrap_or_default();
        match answers.pop().unwrap_or_default().first() {
            None => return Ok(Err(NoPage::Channel)),
            Some(found) if !found.get::<_, bool>(0) => return Ok(Err(NoPage::Post)),
            Some(_) => {}
        }
        let mut posts: Vec<_> = rows.iter().map(post).collect();
        let has_more = posts.len() > window.posts;
        posts.truncate(window.posts);
        posts.reverse();
        Ok(Ok(Page { posts, has_more }))
    }

    async fn note_readings(&self, readings: Vec<NewReading>) -> Result<Vec<Reading>, StoreError> {
        let locks = readings
            .iter()
            .map(|reading| lock("channel", &reading.realm, &reading.channel))
            .collect();
        let mut statements = Vec::new();
        for (realm, given) in by_realm(&readings, |reading| &reading.realm) {
            let parameters = parameters![
                text(realm),
                given.iter().map(|(place, _)| *place).collect::<Vec<i64>>(),
                texts(given.iter().map(|(_, reading)| &*reading.channel)),
                texts(given.iter().map(|(_, reading)| &reading.post)),
                texts(given.iter().map(|(_, reading)| &*reading.reader)),
                given
                    .iter()
                    .map(|(_, reading)| millis(reading.at))
                    .collect::<Vec<_>>(),
            ];
            let place = self.place(realm).await?;
            statements.push(Statement::new(&place, NOTE_READINGS, parameters));
        }
        let mut became = vec![Reading::Unknown; readings.len()];
        for row in self.write(locks, statements).await?.iter().flatten() {
            became[row.count(0) as usize] = match row.get(1) {
                true => Reading::Noted,
                false => Reading::Known,
            };
        }
        Ok(became)
    }

    async fn trim_posts(&self, keep: Keep, limit: usize) -> Result<usize, StoreError> {
        let mut removed = 0;
        for place in self.all_places().await? {
            if removed < limit {
                removed += self.trim_posts_in(&place, keep, limit - removed).await?;
            }
        }
        Ok(removed)
    }
}

impl Postgres {
    async fn all_places(&self) -> Result<Vec<Place>, StoreError> {
        let lease = self.lease().await?;
        let tenants = tokio::time::timeout(self.deadline(), places(lease.client())).await;
        let tenants = tenants.map_err(|_| super::failures::late(self.deadline()))?;
        let tenants = tenants.map_err(|error| super::failures::unavailable(&error))?;
        lease.give_back();
        Ok(std::iter::once(Place::Shared).chain(tenants).collect())
    }

    async fn trim_posts_in(&self, place: &Place, keep: Keep, limit: usize) -> Result<usize, StoreError> {
        let since = keep.since.map_or(0, millis);
        let newest = keep.count_max.map_or(i64::MAX, number);
        loop {
            // Found by a reader, so that nobody who writes waits for that.
            let find = Statement::new(place, SURPLUS, parameters![since, newest, number(limit)]);
            let due = self.read_one(find).await?;
            if due.is_empty() {
                return Ok(0);
            }
            let locks = due
                .iter()
                .map(|row| lock("channel", &row.string(0), &row.string(1)))
                .collect();
            let column = |column| due.iter().map(|row| row.get(column)).collect::<Vec<i64>>();
            let remove = Statement::new(place, REMOVE, parameters![column(2), column(3)]);
            let gone = self.write_one(locks, remove).await?;
            let gone = gone.first().map_or(0, |row| row.count(0) as usize);
            // None means that another node was faster, not that none are left.
            if gone > 0 {
                return Ok(gone);
            }
        }
    }
}

/// What is asked of each realm, with its place among all.
fn by_realm<T>(all: &[T], realm: impl Fn(&T) -> &str) -> BTreeMap<&str, Vec<(i64, &T)>> {
    let mut realms: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (one, place) in all.iter().zip(0..) {
        realms.entry(realm(one)).or_default().push((place, one));
    }
    realms
}

/// Asks for the newest posts of a channel, or the newest before the post `before`.
pub(super) fn latest(
    place: &Place,
    (realm, channel, member): (&str, &str, &str),
    before: Option<&str>,
    window: Window,
) -> Statement {
    let (posts, readers) = (number(window.posts), number(window.readers));
    let parameters = parameters![
        text(realm),
        text(channel),
        text(member),
        before.map(text),
        posts,
        readers
    ];
    Statement::new(place, LATEST, parameters)
}

pub(super) fn post(row: &Row) -> Post {
    Post {
        sequence: row.count(0),
        id: row.string(1),
        author: row.string(2),
        text: row.string(3),
        at: row.moment(4),
        readers: row.strings(5),
    }
}
