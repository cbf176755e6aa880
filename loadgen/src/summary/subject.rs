//! What was run, as reports name it.

use crate::plan::Plan;
use crate::schedule::Nanos;
use crate::workload::Compression;

/// A plan, as far as a report of its run tells it: also of one that ran elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The workload's name.
    pub name: String,
    /// What it shows.
    pub title: String,
    /// Which protocol the sessions spoke.
    pub protocol: String,
    /// How many there were to be.
    pub sessions: u64,
    /// Of schedule, drops and jitter.
    pub seed: u64,
    /// What the sessions offered.
    pub compression: Compression,
    /// One after the other.
    pub phases: Vec<PhaseSpan>,
}

/// A phase and its place in time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhaseSpan {
    /// `ramp`, `steady` …
    pub name: String,
    /// From here.
    pub start: Nanos,
    /// To here.
    pub end: Nanos,
}

impl Subject {
    /// When the last phase was to end.
    #[must_use]
    pub fn end(&self) -> Nanos {
        self.phases.last().map_or(0, |phase| phase.end)
    }
}

impl From<&Plan> for Subject {
    fn from(plan: &Plan) -> Self {
        Self {
            name: plan.name.clone(),
            title: plan.title.clone(),
            protocol: plan.protocol.name().to_owned(),
            sessions: u64::from(plan.sessions),
            seed: plan.seed,
            compression: plan.compression,
            phases: plan
                .phases
                .iter()
                .map(|phase| PhaseSpan {
                    name: phase.name.to_owned(),
                    start: phase.start,
                    end: phase.end,
                })
                .collect(),
        }
    }
}
