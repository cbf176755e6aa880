//! The workload as people write it (`scenarios/load/*.yaml`): plain data, read with places, changed by `--set`.
//!
//! What it means together, and what does not go together, is the [plan](crate::plan)'s.

pub mod custom;
mod place;
pub mod schema;
mod set;
pub mod values;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use touchstone_scenarios::diag::Diag;
use touchstone_scenarios::duration::FixedDuration;
use touchstone_scenarios::source::Source;
use touchstone_scenarios::yaml;

use crate::plan::Plan;
use crate::plan::limits::{FACTOR_MAX, FACTOR_MIN, PHASES_MAX, RATE_MAX, SESSIONS_MAX, ZIPF_MAX};
use crate::schedule::Spacing;
use crate::share::Share;
use custom::Custom;
use values::{Feeder, Heartbeat, MixEntry, Size, Spread, Talkers};

/// A workload file (`scenarios/load/*.yaml`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = schema::either(["sessions", "arrivals"]), "not" = schema::both(["dialect", "custom"])))]
pub struct Workload {
    /// What it shows, in a sentence.
    pub title: String,
    /// Which protocol the sessions speak; `echo` if missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::dialect")]
    pub dialect: Option<String>,
    /// A protocol of one's own, in place of a dialect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom: Option<Custom>,
    /// Files beside this one, by the names that templates have for them: CSV with a header row, or a JSON array of objects
    /// (`.json`). `users` says who the sessions are.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub feed: BTreeMap<String, Feeder>,
    /// The number of the first session, where several generators share the files of `feed`: so each has rows of its own.
    #[serde(default)]
    pub first_session: u32,
    /// How many sessions are simulated. Either these or `arrivals`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = SESSIONS_MAX))]
    pub sessions: Option<u32>,
    /// Sessions that keep coming and leave again, in place of a population.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arrivals: Option<Arrivals>,
    /// How long the phases take together: they are stretched or shrunk to fill it. Missing: as they are written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<schema::Time>")]
    pub duration: Option<FixedDuration>,
    /// What happens, one after the other. After the last, the run waits for who is still on the way back and for what is
    /// still unanswered, each with a deadline.
    #[schemars(length(min = 1, max = PHASES_MAX))]
    pub phases: Vec<Phase>,
    /// Whether sessions act on a schedule, or wait for answers.
    #[serde(default)]
    pub model: ModelName,
    /// How often each session acts, and how much it says.
    #[serde(default)]
    pub messages: Messages,
    /// Which acts, by their names; missing: the first of the protocol's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::mix")]
    pub mix: BTreeMap<String, MixEntry>,
    /// Who talks to whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<Groups>,
    /// What the clients say unasked, in place of what their protocol has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat: Option<Heartbeat>,
    /// How sessions connect.
    #[serde(default)]
    pub connect: Connect,
    /// After this long an answer is late; at the end of the run it is waited for as long. At most an hour.
    #[serde(default = "deadline")]
    #[schemars(with = "schema::Time")]
    pub deadline: FixedDuration,
    /// What differs by the dialect `echo`.
    #[serde(default)]
    pub echo: Echo,
    /// How a server that is started for this run is to be set, by the names of a target file's `timings`.
    #[serde(default)]
    #[schemars(schema_with = "schema::timings")]
    pub timings: BTreeMap<String, FixedDuration>,
    /// The same seed gives the same schedule, and drops the same sessions.
    #[serde(default = "seed")]
    pub seed: u64,
    /// What must hold, for example `delivery.lost == 0` or `answer.p99 < 100ms`.
    #[serde(default)]
    #[schemars(inner(regex(pattern = r"^\s*[a-z_]+\.[a-z0-9_.]+\s*(<=?|>=?|==|!=)\s*\S")))]
    pub thresholds: Vec<String>,
}

/// Sessions that keep coming, whatever becomes of those that are there.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Arrivals {
    /// Sessions per second.
    #[schemars(range(min = 1e-6, max = RATE_MAX))]
    pub rate: f64,
    /// `poisson` (as independent people come) or `uniform` (evenly).
    #[serde(default = "poisson")]
    pub spacing: Spacing,
    /// How long each stays; missing: until the run ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stay: Option<Spread>,
}

/// What decides when a session acts next.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ModelName {
    /// A schedule that is fixed before the run: a slow server is asked no less.
    #[default]
    Open,
    /// The answer to the last act, and then the think time: a slow server is asked less.
    Closed,
}

/// Who talks to whom.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Groups {
    /// Everybody for himself.
    Alone,
    /// Two and two; one who is left over joins the last two.
    Pairs,
    /// All together.
    Everybody,
    /// Rooms of several.
    Rooms {
        /// Members of each; their mean, where rooms differ.
        #[schemars(range(min = 1, max = SESSIONS_MAX))]
        size: u32,
        /// Whether rooms are of one size.
        #[serde(default)]
        popularity: Popularity,
        /// Who of each talks: `all`, a share or a number.
        #[serde(default)]
        talkers: Talkers,
    },
}

/// How members are spread over rooms.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Popularity {
    /// All rooms are of one size, or nearly.
    #[default]
    Even,
    /// The room of rank k has a size that goes with 1/k^s: few large rooms and many small ones, none with fewer than two.
    Zipf(#[schemars(range(min = 0.0, max = ZIPF_MAX))] f64),
}

/// A stretch of the run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Phase {
    /// Sessions arrive, evenly spread, and talk from their arrival on.
    Ramp {
        /// How long.
        #[schemars(with = "schema::Time")]
        r#for: FixedDuration,
        /// The share of all sessions that is there at its end.
        #[serde(default = "Share::all")]
        to: Share,
    },
    /// Those who are there talk.
    Steady {
        /// How long.
        #[schemars(with = "schema::Time")]
        r#for: FixedDuration,
    },
    /// Whatever has a rate, messages and arrivals, comes so many times as often.
    Spike {
        /// How long.
        #[schemars(with = "schema::Time")]
        r#for: FixedDuration,
        /// How many times; below 1 it is a lull.
        #[schemars(range(min = FACTOR_MIN, max = FACTOR_MAX))]
        factor: f64,
    },
    /// A share of the sessions reads nothing for its time, and everything after it.
    Slow {
        /// How long.
        #[schemars(with = "schema::Time")]
        r#for: FixedDuration,
        /// Which share of all sessions.
        share: Share,
    },
    /// Sessions leave with a goodbye, evenly spread, the last to arrive first.
    Drain {
        /// How long.
        #[schemars(with = "schema::Time")]
        r#for: FixedDuration,
        /// The share of all sessions that is still there at its end.
        #[serde(default = "Share::none")]
        to: Share,
    },
    /// At its start a share of the sessions is dropped at once, without a close frame; they come back as their dialect's clients
    /// do, with back-off and under the same session.
    Storm {
        /// How long.
        #[schemars(with = "schema::Time")]
        r#for: FixedDuration,
        /// Which share of all sessions.
        drop: Share,
        /// By when the last of them must be back, from the drop on; the run waits for it.
        #[serde(default = "storm_within")]
        #[schemars(with = "schema::Time")]
        within: FixedDuration,
    },
}

/// How often each session acts, and how much it says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Messages {
    /// Acts per second and session; 0: none. At most 10,000. Of the open model.
    #[schemars(range(min = 0.0, max = RATE_MAX))]
    pub rate: f64,
    /// `uniform` (evenly, each session with a phase of its own) or `poisson`. Of the open model.
    pub spacing: Spacing,
    /// Bytes of content, the stamp in it included: at least 32.
    pub bytes: Size,
    /// From an answer to the next act. Of the closed model, which needs it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub think: Option<Spread>,
}

/// How sessions connect.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Connect {
    /// Handshakes that may be under way at once; the rest wait, and their wait is part of their latency.
    #[schemars(range(min = 1, max = SESSIONS_MAX))]
    pub at_once: u32,
    /// How long TCP and handshake may take together.
    #[schemars(with = "schema::Time")]
    pub deadline: FixedDuration,
    /// Whether sessions offer to compress their messages.
    pub compression: Compression,
}

/// Whether sessions offer permessage-deflate (RFC 7692).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// They do not.
    #[default]
    None,
    /// Each message by itself, in both directions.
    PerMessage,
    /// Messages may refer to earlier ones, as far as the server agrees: what browsers offer. Takes memory for each session.
    ContextTakeover,
}

/// What differs by the dialect `echo`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
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
            bytes: Size::Constant(64),
            think: None,
        }
    }
}

impl Default for Connect {
    fn default() -> Self {
        Self {
            at_once: 128,
            deadline: FixedDuration(Duration::from_secs(10)),
            compression: Compression::None,
        }
    }
}

const fn poisson() -> Spacing {
    Spacing::Poisson
}
fn deadline() -> FixedDuration {
    FixedDuration(Duration::from_secs(5))
}
fn storm_within() -> FixedDuration {
    FixedDuration(Duration::from_secs(30))
}
fn seed() -> u64 {
    1
}

impl Workload {
    /// Reads a workload and checks it.
    ///
    /// # Errors
    /// The first thing that is wrong, and where it stands.
    pub fn read(source: &Arc<Source>) -> Result<Self, Diag> {
        let workload: Self = yaml::from_str(source)?;
        match Plan::new("", &workload) {
            Ok(_) => Ok(workload),
            Err(error) => Err(place::diag(source, &error)?),
        }
    }
}

impl Phase {
    pub(crate) fn lasts(&self) -> Duration {
        match *self {
            Self::Ramp { r#for, .. }
            | Self::Steady { r#for }
            | Self::Spike { r#for, .. }
            | Self::Slow { r#for, .. }
            | Self::Drain { r#for, .. }
            | Self::Storm { r#for, .. } => r#for.0,
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Ramp { .. } => "ramp",
            Self::Steady { .. } => "steady",
            Self::Spike { .. } => "spike",
            Self::Slow { .. } => "slow",
            Self::Drain { .. } => "drain",
            Self::Storm { .. } => "storm",
        }
    }
}

#[cfg(test)]
mod tests;
