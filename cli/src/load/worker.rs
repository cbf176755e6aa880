//! What a run over several processes says between them: lines of JSON on the standard streams of each worker.
//!
//! The worker is told first which part it plays and how the server is reached. It says that it is prepared, tells every second,
//! then what it has sent, and at last gives its report. It is told when to begin, what the others have sent, and to stop.
//! When its stdin ends, whoever started it is gone, and it ends as if it had been stopped.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines, Stdin};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use touchstone_loadgen::observe::Look;
use touchstone_loadgen::part::Others;
use touchstone_loadgen::summary::Figures;
use touchstone_loadgen::{Begin, Part, Share};
use touchstone_sut::Handover;

use crate::exit::Failure;
use crate::print;

/// What a worker is told.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Order {
    /// The first: what it is to do.
    Play(Box<Assignment>),
    /// The first phase begins so many nanoseconds after 1970.
    Begin(u64),
    /// What each of the others has sent.
    Sent(Vec<Value>),
    /// End early, with a full report of what was measured.
    Stop,
}

/// Which part of a run, and all that it takes.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Assignment {
    pub(crate) run: u32,
    pub(crate) number: u32,
    pub(crate) of: u32,
    pub(crate) server: Handover,
    pub(crate) cast: Option<Share>,
    /// The server's process, for the one worker that looks at it.
    pub(crate) process: Option<u32>,
    pub(crate) scrape: bool,
}

/// What a worker says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum News {
    /// It can begin.
    Prepared,
    /// A phase begins. Told by the first part only.
    Phase(String),
    /// A second is over.
    Second(Second),
    /// What it has sent to others; only where anybody does.
    Sent(Value),
    /// The last: `touchstone.load/1`.
    Report(Box<Value>),
}

/// A second, as far as progress shows it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Second {
    pub(crate) at_seconds: u32,
    pub(crate) connected: u64,
    pub(crate) answered: u64,
    pub(crate) delivered: u64,
    pub(crate) errors: u64,
}

impl From<&Figures> for Second {
    fn from(figures: &Figures) -> Self {
        Self {
            at_seconds: figures.at_seconds,
            connected: u64::from(figures.connected),
            answered: figures.answered,
            delivered: figures.delivered,
            errors: figures.errors,
        }
    }
}

/// `moment` as an order names it.
pub(crate) fn nanoseconds(moment: SystemTime) -> u64 {
    let since = moment.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// Says something to whoever started this worker.
pub(crate) fn say(news: &News) -> Result<(), Failure> {
    print::line(&serde_json::to_string(news).expect("news have text for keys"))
}

impl Assignment {
    pub(crate) fn look(&self) -> Look {
        Look {
            process: self.process,
            scrape: self.scrape,
        }
    }
}

/// Orders that are still to come, from stdin.
pub(crate) struct Orders(Lines<BufReader<Stdin>>);

/// What follows from them.
pub(crate) struct Obeying {
    pub(crate) begin: Begin,
    pub(crate) others: Others,
    /// They end with their set.
    pub(crate) _tasks: JoinSet<()>,
}

/// Takes the first order.
pub(crate) async fn assigned() -> Result<(Assignment, Orders), Failure> {
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let first = lines.next_line().await.ok().flatten().unwrap_or_default();
    // The line holds keys: what is wrong with it is not shown.
    match serde_json::from_str(&first) {
        Ok(Order::Play(assignment)) => Ok((*assignment, Orders(lines))),
        Ok(Order::Begin(_) | Order::Sent(_) | Order::Stop) | Err(_) => Err(Failure::usage(
            "--worker is for the child of another touchstone, which tells by stdin what to do",
        )),
    }
}

/// Takes orders until stdin ends, also after the one to stop: what the others have sent is still to come.
pub(crate) fn obey(Orders(mut lines): Orders, stop: CancellationToken) -> Obeying {
    let (prepared, is_prepared) = oneshot::channel();
    let (tell_begin, at) = oneshot::channel();
    let (tell, sent) = oneshot::channel();
    let (tell_others, hear) = oneshot::channel();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        // Who is gone hears nothing, which the end of stdin says as well.
        if is_prepared.await.is_ok() {
            let _gone = say(&News::Prepared);
        }
        if let Ok(sent) = sent.await {
            let _gone = say(&News::Sent(sent));
        }
    });
    tasks.spawn(async move {
        let (mut tell_begin, mut tell_others) = (Some(tell_begin), Some(tell_others));
        loop {
            let line = lines.next_line().await.ok().flatten();
            let order = line.and_then(|line| serde_json::from_str(&line).ok());
            match order {
                // A run that has ended already begins no more, and misses nothing.
                Some(Order::Begin(nanoseconds)) => {
                    let tell = tell_begin.take();
                    let _ended = tell.map(|tell| tell.send(UNIX_EPOCH + Duration::from_nanos(nanoseconds)));
                }
                Some(Order::Sent(others)) => {
                    let _ended = tell_others.take().map(|tell| tell.send(others));
                }
                Some(Order::Stop) => stop.cancel(),
                Some(Order::Play(_)) | None => return stop.cancel(),
            }
        }
    });
    Obeying {
        begin: Begin::Told { prepared, at },
        others: Others { tell, hear },
        _tasks: tasks,
    }
}

/// The part that was assigned.
pub(crate) fn part(assignment: &mut Assignment, others: Others) -> Part {
    Part {
        run: assignment.run,
        number: assignment.number,
        of: assignment.of,
        cast: assignment.cast.take(),
        others: Some(others),
    }
}
