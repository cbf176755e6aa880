//! What a run over several processes says between them: lines of JSON on the standard streams of each worker.
//!
//! The worker says that it is prepared, tells every second, and at last gives its report. It is told when to begin, and
//! to stop. When its stdin ends, whoever started it is gone, and it ends as if it had been stopped.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use touchstone_loadgen::Begin;
use touchstone_loadgen::summary::Figures;

use crate::exit::Failure;
use crate::print;

/// What a worker is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Order {
    /// The first phase begins so many nanoseconds after 1970.
    Begin(u64),
    /// End early, with a full report of what was measured.
    Stop,
}

/// What a worker says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum News {
    /// It can begin.
    Prepared,
    /// A second is over.
    Second(Second),
    /// The phases are over.
    Settling,
    /// The last: `touchstone.load/1`.
    Report(Box<serde_json::Value>),
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

/// Takes orders from stdin until it ends or `stop` is cancelled. Returns when the run is to begin, and the tasks that see to
/// it, which end with their set.
pub(crate) fn obey(stop: CancellationToken) -> (Begin, JoinSet<()>) {
    let (prepared, is_prepared) = oneshot::channel();
    let (tell, at) = oneshot::channel();
    let mut obeying = JoinSet::new();
    obeying.spawn(async move {
        // Who is gone hears nothing, which the end of stdin says as well.
        if is_prepared.await.is_ok() {
            let _gone = say(&News::Prepared);
        }
    });
    obeying.spawn(async move {
        let mut tell = Some(tell);
        let mut lines = BufReader::new(tokio::io::stdin()).lines();
        loop {
            let line = tokio::select! {
                () = stop.cancelled() => return,
                line = lines.next_line() => line,
            };
            let order = line
                .ok()
                .flatten()
                .and_then(|line| serde_json::from_str(&line).ok());
            match order {
                Some(Order::Begin(nanoseconds)) => {
                    if let Some(tell) = tell.take() {
                        // A run that has ended already begins no more.
                        let _ended = tell.send(UNIX_EPOCH + Duration::from_nanos(nanoseconds));
                    }
                }
                Some(Order::Stop) | None => return stop.cancel(),
            }
        }
    });
    (Begin::Told { prepared, at }, obeying)
}
