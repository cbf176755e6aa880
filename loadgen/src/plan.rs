//! What is to be run: the workload as people write it, and the plan that is made of it.
//!
//! A plan keeps three things apart: *who* (how many sessions, of which dialect, saying what), *when* (arrivals and
//! the schedule of sends) and *how long* (phases). Nothing here touches a socket or a clock.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use touchstone_protocol::{Dialect, defaults};

use crate::schedule::{Nanos, Spacing, nanos};
use crate::thresholds::{Threshold, ThresholdError};
use crate::units::{Share, Span};

/// A workload file (`scenarios/load/*.yaml`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Workload {
    /// What it shows, in a sentence.
    pub title: String,
    /// Which protocol the sessions speak.
    #[serde(default = "echo")]
    pub dialect: String,
    /// How many sessions are simulated.
    pub sessions: u32,
    /// How long the phases take together: they are stretched or shrunk to fill it. Missing: as they are written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<Span>,
    /// What happens, one after the other. After the last, the run waits for who is still on the way back and for what is
    /// still unanswered, each with a deadline.
    pub phases: Vec<Phase>,
    /// What each session sends, and when.
    #[serde(default)]
    pub messages: Messages,
    /// How sessions connect.
    #[serde(default)]
    pub connect: Connect,
    /// After this long an answer is late; at the end of the run it is waited for as long. At most an hour.
    #[serde(default = "deadline")]
    pub deadline: Span,
    /// What differs by the dialect `echo`.
    #[serde(default)]
    pub echo: Echo,
    /// How a server that is started for this run is to be set, by the names of a target file's `timings`.
    #[serde(default)]
    pub timings: BTreeMap<String, Span>,
    /// The same seed gives the same schedule, and drops the same sessions.
    #[serde(default = "seed")]
    pub seed: u64,
    /// What must hold, for example `delivery.lost == 0` or `answer.p99 < 100ms`.
    #[serde(default)]
    pub thresholds: Vec<String>,
}

/// A stretch of the run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Phase {
    /// Sessions arrive, evenly spread, and talk from their arrival on.
    Ramp {
        /// How long.
        r#for: Span,
        /// The share of all sessions that is there at its end.
        #[serde(default = "Share::all")]
        to: Share,
    },
    /// Those who are there talk.
    Steady {
        /// How long.
        r#for: Span,
    },
    /// At its start a share of the sessions is dropped at once, without a close frame; they come back as their dialect's clients
    /// do, with back-off and under the same session.
    Storm {
        /// How long.
        r#for: Span,
        /// Which share of all sessions.
        drop: Share,
        /// By when the last of them must be back, from the drop on; the run waits for it.
        #[serde(default = "storm_within")]
        within: Span,
    },
}

/// What each session sends, and when.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Messages {
    /// Messages per second and session; 0 sends none. At most 10,000.
    pub rate: f64,
    /// `uniform` (evenly, each session with a phase of its own) or `poisson`.
    pub spacing: Spacing,
    /// Bytes of content, the key in it included: at least 32.
    pub bytes: u32,
}

/// How sessions connect.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Connect {
    /// Handshakes that may be under way at once; the rest wait, and their wait is part of their latency.
    pub at_once: u32,
    /// How long TCP and handshake may take together.
    pub deadline: Span,
}

/// What differs by the dialect `echo`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Echo {
    /// Ask the server to keep every message (`redis_persistence=true`).
    pub keep_messages: bool,
}

impl Default for Messages {
    fn default() -> Self {
        Self {
            rate: 1.0,
            spacing: Spacing::Uniform,
            bytes: 64,
        }
    }
}

impl Default for Connect {
    fn default() -> Self {
        Self {
            at_once: 128,
            deadline: Span(Duration::from_secs(10)),
        }
    }
}

fn echo() -> String {
    Dialect::Echo.name().to_owned()
}
fn deadline() -> Span {
    Span(Duration::from_secs(5))
}
fn storm_within() -> Span {
    Span(Duration::from_secs(30))
}
fn seed() -> u64 {
    1
}

impl Workload {
    /// This workload with `key` (dots lead inwards: `messages.rate`) set to `value`, read as a number or a truth value where
    /// it is one.
    ///
    /// # Errors
    /// If no such key exists, or the value does not fit it.
    pub fn with(&self, key: &str, value: &str) -> Result<Self, PlanError> {
        let bad = |why: String| PlanError::Override {
            setting: format!("{key}={value}"),
            why,
        };
        let mut tree =
            serde_json::to_value(self).expect("a workload is made of maps, lists, texts and numbers");
        let mut place = &mut tree;
        let mut names = key.split('.').peekable();
        while let Some(name) = names.next() {
            let map = place
                .as_object_mut()
                .ok_or_else(|| bad(format!("`{name}` is not inside a map")))?;
            // The names of timings have dots of their own.
            if name == "timings" {
                let timing = names.collect::<Vec<_>>().join(".");
                place = &mut map.get_mut(name).expect("always written")[timing];
                break;
            }
            if names.peek().is_some() && !map.contains_key(name) {
                let known: Vec<_> = map.keys().map(String::as_str).collect();
                return Err(bad(format!(
                    "there is no `{name}`; there is: {}",
                    known.join(", ")
                )));
            }
            place = map.entry(name).or_insert(serde_json::Value::Null);
        }
        *place = match serde_json::from_str(value) {
            Ok(scalar @ (serde_json::Value::Number(_) | serde_json::Value::Bool(_))) => scalar,
            _ => serde_json::Value::String(value.to_owned()),
        };
        serde_json::from_value(tree).map_err(|error| bad(error.to_string()))
    }
}

/// A workload, checked and laid out in time.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The workload's file name without extension, or what else it is called.
    pub name: String,
    /// What it shows.
    pub title: String,
    /// Which protocol the sessions speak.
    pub dialect: Dialect,
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
    /// A threshold that cannot be read.
    #[error(transparent)]
    Threshold(#[from] ThresholdError),
}

/// The shortest content: the longest key, in bytes.
const CONTENT_BYTES_MIN: u32 = 32;
/// More sends a second and session than this is no user any more; it keeps the schedule's arithmetic exact.
const RATE_MAX: f64 = 10_000.0;
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
            workload.connect.deadline,
            Span(Duration::from_millis(1)),
            Span(DEADLINE_MAX),
        )?;
        within(
            "deadline",
            workload.deadline,
            Span(Duration::from_millis(1)),
            Span(DEADLINE_MAX),
        )?;
        let phases = lay_out(workload)?;
        Ok(Self {
            name: name.to_owned(),
            title: workload.title.clone(),
            dialect: workload
                .dialect
                .parse()
                .map_err(|error| PlanError::Dialect(format!("{error}")))?,
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

fn within<T: PartialOrd + Copy + std::fmt::Display>(
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
        value: value.to_string(),
        range: format!("between {min} and {max}"),
    })
}

fn lay_out(workload: &Workload) -> Result<Vec<PlannedPhase>, PlanError> {
    let written: Duration = workload.phases.iter().map(|phase| phase.lasts().0).sum();
    within(
        "phases",
        Span(written),
        Span(Duration::from_millis(1)),
        Span(DURATION_MAX),
    )?;
    let total = workload.duration.unwrap_or(Span(written));
    within(
        "duration",
        total,
        Span(Duration::from_millis(1)),
        Span(DURATION_MAX),
    )?;
    let stretch = total.0.as_secs_f64() / written.as_secs_f64();
    let mut until = Duration::ZERO;
    let mut start = 0;
    let mut planned = Vec::with_capacity(workload.phases.len());
    for phase in &workload.phases {
        until += phase.lasts().0;
        let end = nanos(until.mul_f64(stretch));
        let storm = match *phase {
            Phase::Ramp { .. } | Phase::Steady { .. } => None,
            Phase::Storm {
                drop, within: back, ..
            } => {
                within(
                    "storm.within",
                    back,
                    Span(Duration::from_millis(1)),
                    Span(DEADLINE_MAX),
                )?;
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
            arrivals.extend(
                (0..coming).map(|index| crate::schedule::arrival(index, coming, place.start, place.end)),
            );
        }
    }
    let missing = sessions as usize - arrivals.len();
    arrivals.splice(0..0, std::iter::repeat_n(0, missing));
    arrivals
}

impl Phase {
    fn lasts(&self) -> Span {
        match *self {
            Self::Ramp { r#for, .. } | Self::Steady { r#for } | Self::Storm { r#for, .. } => r#for,
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Ramp { .. } => "ramp",
            Self::Steady { .. } => "steady",
            Self::Storm { .. } => "storm",
        }
    }
}

#[cfg(test)]
mod tests;
