//! What is to be run, made of a workload: checked, and laid out in time.
//!
//! A plan keeps three things apart: *who* (how many sessions, of which dialect, saying what), *when* (arrivals and
//! the schedule of sends) and *how long* (phases). Nothing here touches a socket or a clock.

use std::fmt::Debug;
use std::time::Duration;

use touchstone_protocol::{Dialect, defaults};
use touchstone_scenarios::duration::TIMINGS;

use crate::schedule::{Nanos, Spacing, arrival, nanos};
use crate::thresholds::{Threshold, ThresholdError};
use crate::workload::{Messages, Phase, Workload};

/// A dialect whose users can be simulated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Simulated {
    /// Messages that come back counted.
    Echo,
}

impl Simulated {
    const ALL: [Self; 1] = [Self::Echo];

    /// The dialect that they speak.
    #[must_use]
    pub const fn dialect(self) -> Dialect {
        match self {
            Self::Echo => Dialect::Echo,
        }
    }
}

fn simulated(name: &str) -> Result<Simulated, String> {
    let dialect: Dialect = name.parse().map_err(|error| format!("{error}"))?;
    let found = Simulated::ALL
        .into_iter()
        .find(|known| known.dialect() == dialect);
    found.ok_or_else(|| {
        let known: Vec<_> = Simulated::ALL
            .iter()
            .map(|known| known.dialect().name())
            .collect();
        format!(
            "`{dialect}` has no simulated users; there is: {}",
            known.join(", ")
        )
    })
}

/// A workload, checked and laid out in time.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The workload's file name without extension, or what else it is called.
    pub name: String,
    /// What it shows.
    pub title: String,
    /// Which protocol the sessions speak.
    pub dialect: Simulated,
    /// Whether `echo`'s server is asked to keep every message.
    pub keep_messages: bool,
    /// How many sessions.
    pub sessions: u32,
    /// When each session arrives, by its number; ascending.
    pub arrivals: Vec<Nanos>,
    /// What each session sends, and when. `None`: nothing.
    pub sends: Option<SendPlan>,
    /// One after the other, without gaps.
    pub phases: Vec<PlannedPhase>,
    /// How sessions connect.
    pub connect_at_once: u32,
    /// How long TCP and handshake may take together.
    pub connect_deadline: Duration,
    /// After this an answer is late.
    pub deadline: Nanos,
    /// Of schedule, drops and jitter.
    pub seed: u64,
    /// What must hold.
    pub thresholds: Vec<Threshold>,
}

/// What each session sends, and when.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SendPlan {
    /// The mean time between two sends of a session.
    pub period: Duration,
    /// How they are spaced.
    pub spacing: Spacing,
    /// Bytes of content.
    pub bytes: usize,
}

/// A phase with its place in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlannedPhase {
    /// `ramp`, `steady` or `storm`: as progress and plots show it.
    pub name: &'static str,
    /// From here.
    pub start: Nanos,
    /// To here.
    pub end: Nanos,
    /// Who is dropped at its start.
    pub storm: Option<Storm>,
}

/// Sessions dropped at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Storm {
    /// Millionths of all sessions.
    pub drop_millionths: u32,
    /// By when the last must be back, from the drop on.
    pub within: Nanos,
}

/// Why a workload is no plan.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PlanError {
    /// A `--set` that does not fit.
    #[error("`--set {setting}`: {why}")]
    Override {
        /// As given.
        setting: String,
        /// What is wrong.
        why: String,
    },
    /// A value outside its range.
    #[error("`{key}` is {value}, but must be {range}")]
    Range {
        /// The workload's key.
        key: &'static str,
        /// As written.
        value: String,
        /// What would do.
        range: String,
    },
    /// An unknown dialect.
    #[error("`dialect`: {0}")]
    Dialect(String),
    /// A timing that no server has.
    #[error("`timings.{name}` is no timing; there is: {known}")]
    Timing {
        /// As written.
        name: String,
        /// Those there are.
        known: String,
    },
    /// A threshold that cannot be read.
    #[error(transparent)]
    Threshold(#[from] ThresholdError),
}

/// The shortest content: the longest key, in bytes.
const CONTENT_BYTES_MIN: u32 = 32;
/// More sends a second and session than this is no user any more; it keeps the schedule's arithmetic exact.
const RATE_MAX: f64 = 10_000.0;
/// Below this nothing happens.
const DURATION_MIN: Duration = Duration::from_millis(1);
/// The longest run and the longest deadline: what the histograms can hold.
const DURATION_MAX: Duration = Duration::from_secs(30 * 24 * 3600);
const DEADLINE_MAX: Duration = Duration::from_secs(3600);
/// Sessions of one run: what session numbers inside keys have room for, and far more than the ports of a machine.
const SESSIONS_MAX: u32 = 1_000_000;
const PHASES_MAX: usize = 1_000;

impl Plan {
    /// Checks `workload` and lays it out in time.
    ///
    /// # Errors
    /// If a value is outside its range, or a threshold cannot be read.
    pub fn new(name: &str, workload: &Workload) -> Result<Self, PlanError> {
        let Messages { rate, spacing, bytes } = workload.messages;
        within("sessions", workload.sessions, 1, SESSIONS_MAX)?;
        within("phases", workload.phases.len(), 1, PHASES_MAX)?;
        within("messages.rate", rate, 0.0, RATE_MAX)?;
        within(
            "messages.bytes",
            bytes,
            CONTENT_BYTES_MIN,
            defaults::MESSAGE_BYTES_MAX as u32,
        )?;
        within("connect.at_once", workload.connect.at_once, 1, SESSIONS_MAX)?;
        within(
            "connect.deadline",
            workload.connect.deadline.0,
            DURATION_MIN,
            DEADLINE_MAX,
        )?;
        within("deadline", workload.deadline.0, DURATION_MIN, DEADLINE_MAX)?;
        if let Some(name) = workload
            .timings
            .keys()
            .find(|name| !TIMINGS.contains(&name.as_str()))
        {
            return Err(PlanError::Timing {
                name: name.clone(),
                known: TIMINGS.join(", "),
            });
        }
        let phases = lay_out(workload)?;
        Ok(Self {
            name: name.to_owned(),
            title: workload.title.clone(),
            dialect: simulated(&workload.dialect).map_err(PlanError::Dialect)?,
            keep_messages: workload.echo.keep_messages,
            sessions: workload.sessions,
            arrivals: arrivals(workload, &phases),
            sends: (rate > 0.0).then(|| SendPlan {
                period: Duration::from_secs_f64(1.0 / rate),
                spacing,
                bytes: bytes as usize,
            }),
            phases,
            connect_at_once: workload.connect.at_once,
            connect_deadline: workload.connect.deadline.0,
            deadline: nanos(workload.deadline.0),
            seed: workload.seed,
            thresholds: workload
                .thresholds
                .iter()
                .map(|text| text.parse())
                .collect::<Result<_, _>>()?,
        })
    }

    /// When the last phase ends.
    #[must_use]
    pub fn end(&self) -> Nanos {
        self.phases.last().map_or(0, |phase| phase.end)
    }
}

fn within<T: PartialOrd + Copy + Debug>(
    key: &'static str,
    value: T,
    min: T,
    max: T,
) -> Result<(), PlanError> {
    // Written so that NaN is outside.
    if value >= min && value <= max {
        return Ok(());
    }
    Err(PlanError::Range {
        key,
        value: format!("{value:?}"),
        range: format!("between {min:?} and {max:?}"),
    })
}

fn lay_out(workload: &Workload) -> Result<Vec<PlannedPhase>, PlanError> {
    let written: Duration = workload.phases.iter().map(|phase| phase.lasts()).sum();
    within("phases", written, DURATION_MIN, DURATION_MAX)?;
    let total = workload.duration.map_or(written, |total| total.0);
    within("duration", total, DURATION_MIN, DURATION_MAX)?;
    let stretch = total.as_secs_f64() / written.as_secs_f64();
    let mut until = Duration::ZERO;
    let mut start = 0;
    let mut planned = Vec::with_capacity(workload.phases.len());
    for phase in &workload.phases {
        until += phase.lasts();
        let end = nanos(until.mul_f64(stretch));
        let storm = match *phase {
            Phase::Ramp { .. } | Phase::Steady { .. } => None,
            Phase::Storm {
                drop, within: back, ..
            } => {
                within("storm.within", back.0, DURATION_MIN, DEADLINE_MAX)?;
                Some(Storm {
                    drop_millionths: drop.millionths(),
                    within: nanos(back.0),
                })
            }
        };
        planned.push(PlannedPhase {
            name: phase.name(),
            start,
            end,
            storm,
        });
        start = end;
    }
    Ok(planned)
}

/// Who is in no ramp arrives at once, at the start if there is no ramp at all, else with the first.
fn arrivals(workload: &Workload, planned: &[PlannedPhase]) -> Vec<Nanos> {
    let sessions = workload.sessions;
    let mut arrivals = Vec::with_capacity(sessions as usize);
    for (phase, place) in workload.phases.iter().zip(planned) {
        if let Phase::Ramp { to, .. } = phase {
            let there = u32::try_from(arrivals.len()).expect("no more than sessions");
            let coming = to.of(sessions).saturating_sub(there);
            arrivals.extend((0..coming).map(|index| arrival(index, coming, place.start, place.end)));
        }
    }
    let missing = sessions as usize - arrivals.len();
    arrivals.splice(0..0, std::iter::repeat_n(0, missing));
    arrivals
}

#[cfg(test)]
mod tests;
