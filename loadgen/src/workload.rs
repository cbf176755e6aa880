//! The workload as people write it (`scenarios/load/*.yaml`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use touchstone_protocol::Dialect;
use touchstone_scenarios::diag::Diag;
use touchstone_scenarios::duration::FixedDuration;
use touchstone_scenarios::source::{Source, Span};
use touchstone_scenarios::yaml::{self, Kind, Node};

use crate::plan::{Plan, PlanError};
use crate::schedule::Spacing;
use crate::share::Share;

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
    pub duration: Option<FixedDuration>,
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
    pub deadline: FixedDuration,
    /// What differs by the dialect `echo`.
    #[serde(default)]
    pub echo: Echo,
    /// How a server that is started for this run is to be set, by the names of a target file's `timings`.
    #[serde(default)]
    pub timings: BTreeMap<String, FixedDuration>,
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
        r#for: FixedDuration,
        /// The share of all sessions that is there at its end.
        #[serde(default = "Share::all")]
        to: Share,
    },
    /// Those who are there talk.
    Steady {
        /// How long.
        r#for: FixedDuration,
    },
    /// At its start a share of the sessions is dropped at once, without a close frame; they come back as their dialect's clients
    /// do, with back-off and under the same session.
    Storm {
        /// How long.
        r#for: FixedDuration,
        /// Which share of all sessions.
        drop: Share,
        /// By when the last of them must be back, from the drop on; the run waits for it.
        #[serde(default = "storm_within")]
        within: FixedDuration,
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
    pub deadline: FixedDuration,
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
            deadline: FixedDuration(Duration::from_secs(10)),
        }
    }
}

fn echo() -> String {
    Dialect::Echo.name().to_owned()
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
            Err(error) => {
                let tree = yaml::parse(source)?;
                let span = place(&tree, &error);
                Err(Diag::new("workload", source, span, error.to_string()))
            }
        }
    }

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

impl Phase {
    pub(crate) fn lasts(&self) -> Duration {
        match *self {
            Self::Ramp { r#for, .. } | Self::Steady { r#for } | Self::Storm { r#for, .. } => r#for.0,
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Ramp { .. } => "ramp",
            Self::Steady { .. } => "steady",
            Self::Storm { .. } => "storm",
        }
    }
}

/// Where in the file the error stands; its beginning, if the value is a default.
fn place(tree: &Node, error: &PlanError) -> Span {
    let key = match error {
        PlanError::Range { key, .. } => key,
        PlanError::Dialect(_) => "dialect",
        PlanError::Timing { .. } => "timings",
        PlanError::Threshold(_) => "thresholds",
        PlanError::Override { .. } => return Span::default(),
    };
    let mut place = tree;
    for name in key.split('.') {
        let Kind::Map(entries) = &place.kind else { break };
        let Some((_, inner)) = entries.iter().find(|(key, _)| key.value == name) else {
            break;
        };
        place = inner;
    }
    if let (PlanError::Threshold(wrong), Kind::List(items)) = (error, &place.kind) {
        let is_it = |item: &&Node| matches!(&item.kind, Kind::String(text) if *text == wrong.expression);
        place = items.iter().find(is_it).unwrap_or(place);
    }
    if std::ptr::eq(place, tree) {
        Span::default()
    } else {
        place.span
    }
}

#[cfg(test)]
mod tests;
