//! Statements as data: what is asked, in whose schema, with which values. All that goes into one transaction is sent at
//! once and answered in its order, so that a transaction costs one way to the server and back.

use std::borrow::Cow;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::BytesMut;
use deadpool_postgres::ClientWrapper;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Error, Row};

use crate::session::Timestamp;

/// The schema of what all realms have in common, and of realms that have none of their own.
pub(super) const SHARED_SCHEMA: &str = "touchstone";

/// Where the tables of a statement are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// [`SHARED_SCHEMA`], which is where every connection looks unless it is told otherwise.
    Shared,
    /// The schema of a tenant. The name is one that [`realms`](super::realms) has made.
    Tenant(Arc<str>),
}

impl Place {
    /// Makes the rest of a transaction look here.
    pub(super) fn enter(&self) -> String {
        let schema = match self {
            Self::Shared => SHARED_SCHEMA,
            Self::Tenant(schema) => schema,
        };
        format!("SET LOCAL search_path TO \"{schema}\"")
    }
}

pub(super) type Parameter = Box<dyn ToSql + Send + Sync>;

/// The values of a statement, in the order of `$1`, `$2`, ….
macro_rules! parameters {
    ($($value:expr),* $(,)?) => {
        vec![$(Box::new($value) as $crate::postgres::statement::Parameter),*]
    };
}
pub(super) use parameters;

/// One statement and what belongs to it.
#[derive(Debug)]
pub(super) struct Statement {
    place: Place,
    sql: &'static str,
    parameters: Vec<Parameter>,
}

impl Statement {
    pub(super) fn new(place: &Place, sql: &'static str, parameters: Vec<Parameter>) -> Self {
        Self {
            place: place.clone(),
            sql,
            parameters,
        }
    }

    /// One whose tables all realms have in common.
    pub(super) fn shared(sql: &'static str, parameters: Vec<Parameter>) -> Self {
        Self::new(&Place::Shared, sql, parameters)
    }
}

/// The rows that each of several statements gave.
pub(super) type Answers = Vec<Vec<Row>>;

/// Reads: one statement as it is, several as of one moment.
pub(super) async fn read(client: &ClientWrapper, statements: &[Statement]) -> Result<Answers, Error> {
    if let [
        alone @ Statement {
            place: Place::Shared, ..
        },
    ] = statements
    {
        return send(client, vec![Step::Query(alone)]).await;
    }
    let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY";
    transaction(client, begin, &[], statements.iter()).await
}

/// Writes all of it or nothing, after waiting for the locks in their order. Sorted the same way by everybody, they are
/// what keeps two nodes from waiting for each other.
pub(super) async fn write<'a>(
    client: &ClientWrapper,
    locks: &[i64],
    statements: impl Iterator<Item = &'a Statement>,
) -> Result<Answers, Error> {
    transaction(client, "BEGIN", locks, statements).await
}

async fn transaction<'a>(
    client: &ClientWrapper,
    begin: &str,
    locks: &[i64],
    statements: impl Iterator<Item = &'a Statement>,
) -> Result<Answers, Error> {
    let take_locks = (!locks.is_empty()).then(|| {
        let take = "SELECT pg_advisory_xact_lock(lock) FROM unnest($1::bigint[]) AS lock";
        Statement::shared(take, parameters![locks.to_vec()])
    });
    let mut steps = vec![Step::Command(begin.to_owned())];
    steps.extend(take_locks.as_ref().map(Step::Query));
    let mut place = &Place::Shared;
    for statement in statements {
        if statement.place != *place {
            place = &statement.place;
            steps.push(Step::Command(place.enter()));
        }
        steps.push(Step::Query(statement));
    }
    steps.push(Step::Command("COMMIT".to_owned()));
    let mut answers = send(client, steps).await?;
    if take_locks.is_some() {
        answers.remove(0);
    }
    Ok(answers)
}

enum Step<'a> {
    Command(String),
    Query(&'a Statement),
}

/// Sends all steps before it waits for an answer. After one that failed the server does nothing of a transaction, the
/// commit included; its error is the one that is returned.
async fn send(client: &ClientWrapper, steps: Vec<Step<'_>>) -> Result<Answers, Error> {
    let mut prepared = Vec::with_capacity(steps.len());
    for step in steps {
        prepared.push(match step {
            Step::Command(command) => Prepared::Command(command),
            Step::Query(query) => Prepared::Query(client.prepare_cached(query.sql).await?, query),
        });
    }
    let mut steps: Vec<_> = prepared
        .iter()
        .map(|step| Sent::Waits(Box::pin(step.send(client))))
        .collect();
    // The first look at each of them sends it.
    poll_fn(|context| {
        for step in &mut steps {
            if let Sent::Waits(answer) = step
                && let Poll::Ready(answer) = answer.as_mut().poll(context)
            {
                *step = Sent::Answered(answer);
            }
        }
        Poll::Ready(())
    })
    .await;
    let mut answers = Vec::new();
    let mut failed = None;
    for step in steps {
        let answer = match step {
            Sent::Waits(answer) => answer.await,
            Sent::Answered(answer) => answer,
        };
        match answer {
            Ok(rows) => answers.extend(rows),
            // What follows it fails for its sake.
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    failed.map_or(Ok(answers), Err)
}

enum Prepared<'a> {
    Command(String),
    Query(tokio_postgres::Statement, &'a Statement),
}

/// A query's rows; a command has none.
type Answer = Result<Option<Vec<Row>>, Error>;

enum Sent<'a> {
    Waits(Pin<Box<dyn Future<Output = Answer> + Send + 'a>>),
    Answered(Answer),
}

impl Prepared<'_> {
    async fn send(&self, client: &ClientWrapper) -> Answer {
        match self {
            Self::Command(command) => client.batch_execute(command).await.map(|()| None),
            Self::Query(prepared, query) => {
                let parameters: Vec<&(dyn ToSql + Sync)> = query
                    .parameters
                    .iter()
                    .map(|parameter| &**parameter as &(dyn ToSql + Sync))
                    .collect();
                client.query(prepared, &parameters).await.map(Some)
            }
        }
    }
}

/// Text as PostgreSQL can hold it: it has no NUL, so that one is written as two characters, and the first of them twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Text(pub(super) String);

const ESCAPE: char = '\u{1a}';

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(text)
    }
}

fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(['\0', ESCAPE]) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        match character {
            '\0' => escaped.extend([ESCAPE, '0']),
            ESCAPE => escaped.extend([ESCAPE, ESCAPE]),
            other => escaped.push(other),
        }
    }
    Cow::Owned(escaped)
}

fn unescaped(text: &str) -> String {
    if !text.contains(ESCAPE) {
        return text.to_owned();
    }
    let mut unescaped = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match (character, character == ESCAPE) {
            (_, true) => match characters.next() {
                Some('0') => unescaped.push('\0'),
                other => unescaped.extend(other),
            },
            (other, false) => unescaped.push(other),
        }
    }
    unescaped
}

impl ToSql for Text {
    fn to_sql(
        &self,
        kind: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        (&*escaped(&self.0)).to_sql(kind, out)
    }

    fn accepts(kind: &Type) -> bool {
        <&str as ToSql>::accepts(kind)
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Text {
    fn from_sql(kind: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        <&str as FromSql<'_>>::from_sql(kind, raw).map(|text| Self(unescaped(text)))
    }

    fn accepts(kind: &Type) -> bool {
        <&str as FromSql<'_>>::accepts(kind)
    }
}

/// One value, as a parameter that is text.
pub(super) fn text(text: impl AsRef<str>) -> Text {
    Text(text.as_ref().to_owned())
}

/// Several, as an array.
pub(super) fn texts<T: AsRef<str>>(several: impl IntoIterator<Item = T>) -> Vec<Text> {
    several.into_iter().map(text).collect()
}

/// A text that may be missing.
pub(super) fn maybe(maybe: Option<impl AsRef<str>>) -> Option<Text> {
    maybe.map(text)
}

/// As far as PostgreSQL counts.
pub(super) fn number(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

pub(super) fn millis(at: Timestamp) -> i64 {
    number(at.millis())
}

/// Columns of a row by their place. A column of another type, or a NULL where none can be, is a mistake in a statement.
pub(super) trait Columns {
    fn string(&self, column: usize) -> String;
    fn maybe_string(&self, column: usize) -> Option<String>;
    fn strings(&self, column: usize) -> Vec<String>;
    fn count(&self, column: usize) -> u64;
    fn maybe_count(&self, column: usize) -> Option<u64>;
    fn moment(&self, column: usize) -> Timestamp;
}

impl Columns for Row {
    fn string(&self, column: usize) -> String {
        self.get::<_, Text>(column).0
    }

    fn maybe_string(&self, column: usize) -> Option<String> {
        self.get::<_, Option<Text>>(column).map(|text| text.0)
    }

    fn strings(&self, column: usize) -> Vec<String> {
        let texts = self.get::<_, Option<Vec<Text>>>(column).unwrap_or_default();
        texts.into_iter().map(|text| text.0).collect()
    }

    fn count(&self, column: usize) -> u64 {
        self.get::<_, i64>(column).max(0) as u64
    }

    fn maybe_count(&self, column: usize) -> Option<u64> {
        self.get::<_, Option<i64>>(column)
            .map(|number| number.max(0) as u64)
    }

    fn moment(&self, column: usize) -> Timestamp {
        Timestamp::from_millis(self.count(column))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_comes_back_as_it_was() {
        for text in [
            "",
            "plain",
            "a\0b",
            "\u{1a}",
            "\u{1a}0",
            "\0\u{1a}\0",
            "\u{1F980}\0",
        ] {
            let kept = escaped(text);
            assert!(!kept.contains('\0'), "{text:?}");
            assert_eq!(unescaped(&kept), text);
        }
    }
}
