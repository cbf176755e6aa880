//! One connection to Redis, whichever servers that is: opened, watched, and opened anew when it breaks.
//!
//! A single server, the master that Sentinels name, and a cluster look the same from here on. What is asked while there is
//! no connection waits for one, within bounds.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use redis::{Cmd, FromRedisValue, Pipeline, RedisError, RedisResult, ScriptInvocation, Value};
use thiserror::Error;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::reach::{Connection, Hearing, Pushes, Reach};
use super::url::RedisUrl;
use crate::session::StoreError;

/// Sharded pub/sub and scripts as they are used here came with 7.0.
const MAJOR_VERSION_MIN: u32 = 7;

/// A slot that moves to another server of a cluster is asked for so often before it is an error.
const REDIRECTIONS_MAX: usize = 8;
/// The connection learns where a slot is in about the time of two answers.
const REDIRECTION_PAUSE: Duration = Duration::from_millis(10);

/// How a connection is made, watched, and made again.
#[derive(Debug, Clone)]
pub struct LinkTerms {
    /// How long one attempt to connect may take.
    pub connect_deadline: Duration,
    /// How long an answer may take; after it the command may or may not have been done.
    pub answer_deadline: Duration,
    /// What is asked while Redis is away waits so long for a connection.
    pub patience: Duration,
    /// How often an idle connection is asked whether it still is one: what a peer that vanished leaves open is noticed
    /// after this and the deadline of an answer.
    pub heartbeat: Duration,
    /// The first pause between two attempts; each is twice as long as the one before. Of each a random half is waited.
    pub pause_first: Duration,
    /// The longest pause between two attempts.
    pub pause_max: Duration,
    /// Authorities that are believed, as PEM; without any, those of the system.
    pub authorities: Option<Vec<u8>>,
}

impl Default for LinkTerms {
    /// A heartbeat of 1 s and an answer within 2: a server that vanished is noticed after 3 s. Pauses of 50 ms up to 2 s:
    /// a server that restarts is found at once, and a hundred nodes do not overrun one that is back.
    fn default() -> Self {
        Self {
            connect_deadline: Duration::from_secs(2),
            answer_deadline: Duration::from_secs(2),
            patience: Duration::from_secs(2),
            heartbeat: Duration::from_secs(1),
            pause_first: Duration::from_millis(50),
            pause_max: Duration::from_secs(2),
            authorities: None,
        }
    }
}

/// Why Redis did not do what it was asked.
#[derive(Debug, Clone, Error)]
pub enum LinkError {
    /// There is no connection: later, the same may work. It was not begun.
    #[error("redis is away since {0:?}")]
    Away(Duration),
    /// The connection broke, or the answer took too long: it may or may not have been done.
    #[error("redis does not answer: {0}")]
    Broken(RedisError),
    /// Redis answered, with an error: the same will hardly work later.
    #[error("redis refuses: {0}")]
    Refused(RedisError),
}

impl From<LinkError> for StoreError {
    fn from(error: LinkError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

/// Why a connection could not be opened at the start.
#[derive(Debug, Error)]
pub enum OpenLinkError {
    /// It is not there, or does not let us in.
    #[error("{url} cannot be reached: {why}")]
    Unreachable {
        /// Where.
        url: RedisUrl,
        /// What went wrong.
        why: RedisError,
    },
    /// It is there, but takes too long.
    #[error("{url} did not answer within {deadline:?}")]
    Late {
        /// Where.
        url: RedisUrl,
        /// How long it was waited for.
        deadline: Duration,
    },
    /// It is too old.
    #[error("{url} is Redis {found}: {MAJOR_VERSION_MIN}.0 or newer is needed")]
    TooOld {
        /// Where.
        url: RedisUrl,
        /// What it says it is.
        found: String,
    },
}

/// Whether there is a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkState {
    /// There is one.
    Up {
        /// Connections are counted from 1; each new one is another.
        generation: u64,
        /// Since when.
        since: Instant,
    },
    /// There is none; it is tried again and again.
    Away {
        /// Since when.
        since: Instant,
    },
}

/// A connection to Redis. Clones share it; what all of them ask travels together.
#[derive(Clone)]
pub struct Redis {
    inner: Arc<Inner>,
}

struct Inner {
    url: RedisUrl,
    terms: LinkTerms,
    /// Written by the task that watches the connection; read by everybody.
    slot: watch::Receiver<Slot>,
    /// Who finds the connection broken says so here, with its generation.
    broken: mpsc::Sender<u64>,
}

#[derive(Clone)]
struct Slot {
    state: LinkState,
    connection: Option<Connection>,
}

impl Redis {
    /// Connects, and keeps a task on `tasks` that watches the connection until `stop`.
    ///
    /// # Errors
    /// There is no server that lets us in, or it is too old. Later a server that is away is no error: it is waited for.
    pub async fn open(
        url: RedisUrl,
        terms: LinkTerms,
        tasks: &TaskTracker,
        stop: CancellationToken,
    ) -> Result<Self, OpenLinkError> {
        Self::open_hearing(url, terms, None, tasks, stop).await
    }

    /// The same, and what the server says unasked goes to `pushes`.
    pub(super) async fn open_hearing(
        url: RedisUrl,
        terms: LinkTerms,
        pushes: Option<Pushes>,
        tasks: &TaskTracker,
        stop: CancellationToken,
    ) -> Result<Self, OpenLinkError> {
        let reach = Reach::new(url.clone(), terms.clone());
        let unreachable = |why| OpenLinkError::Unreachable {
            url: url.clone(),
            why,
        };
        let (broken, reports) = mpsc::channel(1);
        let first = Hearing {
            generation: 1,
            broken: broken.clone(),
            pushes: pushes.clone(),
        };
        let deadline = terms.connect_deadline;
        let connected = tokio::time::timeout(deadline, reach.connect(first)).await;
        let late = |_| OpenLinkError::Late {
            url: url.clone(),
            deadline,
        };
        let mut connection = connected.map_err(late)?.map_err(unreachable)?;
        let found = connection.version().await.map_err(unreachable)?;
        let major = found
            .split('.')
            .next()
            .and_then(|major| major.parse::<u32>().ok());
        if major.is_none_or(|major| major < MAJOR_VERSION_MIN) {
            return Err(OpenLinkError::TooOld { url, found });
        }
        let (slot, seen) = watch::channel(Slot::up(1, connection));
        let watcher = Watcher {
            reach,
            pushes,
            slot,
            reports,
            broken: broken.clone(),
            generation: 1,
        };
        tasks.spawn(async move {
            stop.run_until_cancelled(watcher.run()).await;
        });
        Ok(Self {
            inner: Arc::new(Inner {
                url,
                terms,
                slot: seen,
                broken,
            }),
        })
    }

    /// Where Redis is.
    #[must_use]
    pub fn url(&self) -> &RedisUrl {
        &self.inner.url
    }

    /// Whether there is a connection now.
    #[must_use]
    pub fn state(&self) -> LinkState {
        self.inner.slot.borrow().state
    }

    /// Waits until the state is another one than `seen`. `None` once nobody watches the connection any more.
    pub async fn state_after(&self, seen: LinkState) -> Option<LinkState> {
        let mut slot = self.inner.slot.clone();
        let changed = slot.wait_for(|slot| slot.state != seen).await.ok()?;
        Some(changed.state)
    }

    pub(super) fn terms(&self) -> &LinkTerms {
        &self.inner.terms
    }

    /// Whether keys of several slots can be touched together.
    pub(super) fn is_cluster(&self) -> bool {
        matches!(self.inner.url.layout, super::url::Layout::Cluster(_))
    }

    /// The connection there is, or the next one within the patience.
    pub(super) async fn connection(&self) -> Result<(u64, Connection), LinkError> {
        let mut slot = self.inner.slot.clone();
        let up = slot.wait_for(|slot| slot.connection.is_some());
        let waited = tokio::time::timeout(self.inner.terms.patience, up).await;
        let away = match waited {
            Ok(Ok(slot)) => match (&slot.state, &slot.connection) {
                (LinkState::Up { generation, .. }, Some(connection)) => {
                    return Ok((*generation, connection.clone()));
                }
                (state, _) => state.since(),
            },
            Ok(Err(_)) | Err(_) => self.state().since(),
        };
        Err(LinkError::Away(away.elapsed()))
    }

    pub(super) async fn run<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, LinkError> {
        self.ask(Question::Command(command)).await
    }

    /// One command, once the server knows the script.
    pub(super) async fn run_script<T: FromRedisValue>(
        &self,
        script: &ScriptInvocation<'_>,
    ) -> Result<T, LinkError> {
        self.ask(Question::Script(script)).await
    }

    /// What changes nothing is asked once more when the connection broke.
    pub(super) async fn read<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, LinkError> {
        self.ask_twice(Question::Command(command)).await
    }

    /// The same of several commands, all keys of which are in one slot.
    pub(super) async fn read_all<T: FromRedisValue>(&self, commands: &Pipeline) -> Result<T, LinkError> {
        self.ask_twice(Question::Commands(commands)).await
    }

    /// The same of a script.
    pub(super) async fn read_script<T: FromRedisValue>(
        &self,
        script: &ScriptInvocation<'_>,
    ) -> Result<T, LinkError> {
        self.ask_twice(Question::Script(script)).await
    }

    /// What each of the servers that take writes answers.
    pub(super) async fn ask_every_server(&self, command: &Cmd) -> Result<Vec<Value>, LinkError> {
        let (generation, mut connection) = self.connection().await?;
        let answered = connection.ask_every_server(command).await;
        answered.map_err(|error| self.failed(generation, error))
    }

    async fn ask_twice<T: FromRedisValue>(&self, question: Question<'_>) -> Result<T, LinkError> {
        match self.ask(question).await {
            Err(LinkError::Broken(_)) => self.ask(question).await,
            answered => answered,
        }
    }

    /// Asks the connection there is, and again if a cluster says that the keys are about to be elsewhere: nothing was done
    /// then, and by that it has learnt where.
    async fn ask<T: FromRedisValue>(&self, question: Question<'_>) -> Result<T, LinkError> {
        let mut redirected = 0;
        loop {
            let (generation, mut connection) = self.connection().await?;
            match question.put(&mut connection).await {
                Ok(answer) => return Ok(answer),
                Err(error) if is_redirection(&error) && redirected < REDIRECTIONS_MAX => {
                    redirected += 1;
                    tokio::time::sleep(REDIRECTION_PAUSE).await;
                }
                Err(error) => return Err(self.failed(generation, error)),
            }
        }
    }

    /// Sorts an error, and has a broken connection replaced.
    pub(super) fn failed(&self, generation: u64, error: RedisError) -> LinkError {
        if needs_another_connection(&error) {
            self.report_broken(generation);
        }
        if error.is_io_error() || needs_another_connection(&error) {
            LinkError::Broken(error)
        } else {
            LinkError::Refused(error)
        }
    }

    /// The connection of this generation is to be replaced.
    pub(super) fn report_broken(&self, generation: u64) {
        // A full channel holds another report, which does as well.
        let _ = self.inner.broken.try_send(generation);
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis")
            .field("url", &self.inner.url)
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}

impl LinkState {
    /// Since when it is so.
    #[must_use]
    pub fn since(self) -> Instant {
        match self {
            Self::Up { since, .. } | Self::Away { since } => since,
        }
    }

    /// Whether there is a connection.
    #[must_use]
    pub fn is_up(self) -> bool {
        match self {
            Self::Up { .. } => true,
            Self::Away { .. } => false,
        }
    }
}

impl Slot {
    fn up(generation: u64, connection: Connection) -> Self {
        Self {
            state: LinkState::Up {
                generation,
                since: Instant::now(),
            },
            connection: Some(connection),
        }
    }
}

/// What Redis is asked.
#[derive(Clone, Copy)]
enum Question<'a> {
    Command(&'a Cmd),
    Commands(&'a Pipeline),
    Script(&'a ScriptInvocation<'a>),
}

impl Question<'_> {
    async fn put<T: FromRedisValue>(&self, connection: &mut Connection) -> RedisResult<T> {
        match self {
            Self::Command(command) => command.query_async(connection).await,
            Self::Commands(commands) => commands.query_async(connection).await,
            Self::Script(script) => script.invoke_async(connection).await,
        }
    }
}

/// Whether the keys are elsewhere, and nothing was done.
fn is_redirection(error: &RedisError) -> bool {
    use redis::{ErrorKind, ServerErrorKind};
    matches!(
        error.kind(),
        ErrorKind::Server(ServerErrorKind::Moved | ServerErrorKind::Ask | ServerErrorKind::TryAgain)
    )
}

/// A demoted master answers as well; its connection is as useless as a broken one.
fn needs_another_connection(error: &RedisError) -> bool {
    use redis::{ErrorKind, ServerErrorKind};
    match error.kind() {
        ErrorKind::Server(
            ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown | ServerErrorKind::ClusterDown,
        )
        | ErrorKind::ClusterConnectionNotFound => true,
        _ => error.is_connection_dropped() || error.is_unrecoverable_error(),
    }
}

/// The task that keeps a connection.
struct Watcher {
    reach: Reach,
    pushes: Option<Pushes>,
    slot: watch::Sender<Slot>,
    reports: mpsc::Receiver<u64>,
    /// Given to each connection, to say that it is gone.
    broken: mpsc::Sender<u64>,
    generation: u64,
}

impl Watcher {
    async fn run(mut self) {
        loop {
            let begun = Instant::now();
            self.until_broken().await;
            self.slot.send_replace(Slot {
                state: LinkState::Away {
                    since: Instant::now(),
                },
                connection: None,
            });
            self.generation += 1;
            // One that broke at once would be replaced in a hot loop otherwise.
            if begun.elapsed() < self.reach.terms().pause_max {
                self.pause(self.reach.terms().pause_first).await;
            }
            let connection = self.connect().await;
            self.slot.send_replace(Slot::up(self.generation, connection));
        }
    }

    /// Asks the connection again and again, until it does not answer or somebody else has found that.
    async fn until_broken(&mut self) {
        let terms = self.reach.terms().clone();
        loop {
            let report = tokio::time::timeout(terms.heartbeat, self.reports.recv()).await;
            match report {
                Ok(Some(generation)) if generation == self.generation => return,
                Ok(Some(_)) => {}
                Ok(None) => unreachable!("the watcher holds a sender itself"),
                Err(_) => {
                    let connection = self.slot.borrow().connection.clone();
                    let Some(mut connection) = connection else { return };
                    let ping = redis::cmd("PING");
                    let asked = ping.query_async::<Value>(&mut connection);
                    match tokio::time::timeout(terms.answer_deadline, asked).await {
                        Ok(Ok(_)) => {}
                        Ok(Err(_)) | Err(_) => return,
                    }
                }
            }
        }
    }

    async fn connect(&self) -> Connection {
        let terms = self.reach.terms();
        let mut pause = terms.pause_first;
        loop {
            let attempt = self.reach.connect(Hearing {
                generation: self.generation,
                broken: self.broken.clone(),
                pushes: self.pushes.clone(),
            });
            if let Ok(Ok(mut connection)) = tokio::time::timeout(terms.connect_deadline, attempt).await {
                // A server that still loads its memory takes connections, and answers nothing.
                let asked = connection.ready();
                if let Ok(Ok(())) = tokio::time::timeout(terms.answer_deadline, asked).await {
                    return connection;
                }
            }
            self.pause(pause).await;
            pause = (pause * 2).min(terms.pause_max);
        }
    }

    /// Half of it by chance, so that nodes that lost the server together do not come back together.
    async fn pause(&self, pause: Duration) {
        tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
    }
}
