//! When everything is meant to happen: phases, arrivals and departures.

use std::sync::Arc;
use std::time::Duration;

use touchstone_scenarios::duration;

use super::limits::{
    DEADLINE_MAX, DURATION_MAX, DURATION_MIN, FACTOR_MAX, FACTOR_MIN, PHASES_MAX, RATE_MAX, SESSIONS_MAX,
    within, within_time,
};
use super::mix::time;
use super::{Happening, PlanError, PlannedPhase, Storm};
use crate::schedule::{Nanos, Pace, Sends, Stretch, arrival, chance_of, nanos};
use crate::share::Share;
use crate::workload::{Arrivals, Phase, Workload};

/// Where two of the run's chances begin: far from all others of the same seed.
const COMING: u64 = 0x636f_6d65;
const STAYING: u64 = 0x7374_6179;

/// What is known of a run before anybody acts.
pub(super) struct Timeline {
    pub(super) phases: Vec<PlannedPhase>,
    pub(super) pace: Arc<Pace>,
    /// By the session's number, ascending.
    pub(super) arrivals: Vec<Nanos>,
    /// By the session's number; empty if all stay to the end.
    pub(super) departures: Vec<Option<Nanos>>,
}

impl Timeline {
    pub(super) fn new(workload: &Workload) -> Result<Self, PlanError> {
        within("phases", workload.phases.len(), 1, PHASES_MAX)?;
        let phases = lay_out(workload)?;
        let pace = Arc::new(pace(workload, &phases)?);
        let (arrivals, departures) = match (workload.sessions, workload.arrivals) {
            (Some(sessions), None) => {
                within("sessions", sessions, 1, SESSIONS_MAX)?;
                population(workload, &phases, sessions)?
            }
            (None, Some(coming)) => crowd(workload, coming, &phases, &pace)?,
            (Some(_), Some(_)) => {
                return Err(PlanError::Wrong {
                    key: "sessions".to_owned(),
                    why: "`arrivals` say by themselves how many sessions there are".to_owned(),
                    help: Some("keep one of `sessions` and `arrivals`".to_owned()),
                });
            }
            (None, None) => {
                return Err(PlanError::Wrong {
                    key: "sessions".to_owned(),
                    why: "the key is missing".to_owned(),
                    help: Some("write `sessions: 100`, or `arrivals: {rate: 10}`".to_owned()),
                });
            }
        };
        Ok(Self {
            phases,
            pace,
            arrivals,
            departures,
        })
    }
}

fn lay_out(workload: &Workload) -> Result<Vec<PlannedPhase>, PlanError> {
    let written: Duration = workload.phases.iter().map(|phase| phase.lasts()).sum();
    if written < DURATION_MIN || written > DURATION_MAX {
        let [written, min, max] = [written, DURATION_MIN, DURATION_MAX].map(duration::written);
        let why = format!("they take {written} together, but it must be between {min} and {max}");
        return Err(PlanError::wrong("phases", why));
    }
    let total = workload.duration.map_or(written, |total| total.0);
    within("duration", total, DURATION_MIN, DURATION_MAX)?;
    let stretch = total.as_secs_f64() / written.as_secs_f64();
    let mut until = Duration::ZERO;
    let mut start = 0;
    let mut planned = Vec::with_capacity(workload.phases.len());
    for (index, phase) in workload.phases.iter().enumerate() {
        until += phase.lasts();
        let end = nanos(until.mul_f64(stretch));
        planned.push(PlannedPhase {
            name: phase.name(),
            start,
            end,
            happening: happening(index, phase)?,
        });
        start = end;
    }
    Ok(planned)
}

fn happening(index: usize, phase: &Phase) -> Result<Happening, PlanError> {
    Ok(match *phase {
        Phase::Ramp { .. } | Phase::Steady { .. } | Phase::Spike { .. } | Phase::Drain { .. } => {
            Happening::Nothing
        }
        Phase::Slow { share, .. } => Happening::Slow {
            millionths: share.millionths(),
        },
        Phase::Storm {
            drop, within: back, ..
        } => {
            let key = format!("phases.{index}.storm.within");
            within(&key, back.0, DURATION_MIN, DEADLINE_MAX)?;
            Happening::Storm(Storm {
                drop_millionths: drop.millionths(),
                within: nanos(back.0),
            })
        }
    })
}

fn pace(workload: &Workload, planned: &[PlannedPhase]) -> Result<Pace, PlanError> {
    let mut stretches = Vec::new();
    for (index, (phase, place)) in workload.phases.iter().zip(planned).enumerate() {
        if let Phase::Spike { factor, .. } = *phase {
            let key = format!("phases.{index}.spike.factor");
            within(&key, factor, FACTOR_MIN, FACTOR_MAX)?;
            stretches.push(Stretch {
                start: place.start,
                end: place.end,
                factor,
            });
        }
    }
    Ok(Pace::new(&stretches))
}

type Coming = (Vec<Nanos>, Vec<Option<Nanos>>);

/// So many sessions, each of which comes once and leaves once at most. Who is in no ramp arrives at once, at the start.
fn population(workload: &Workload, planned: &[PlannedPhase], sessions: u32) -> Result<Coming, PlanError> {
    let ramped = ramped(workload, sessions)?;
    let mut arrivals = vec![0; (sessions - ramped) as usize];
    arrivals.reserve_exact(ramped as usize);
    let mut departures = Vec::new();
    let mut there = 0;
    // Those who are there are the numbers from 0 on, but for those who have left; who has come last leaves first.
    let mut staying: Vec<u32> = (0..sessions - ramped).collect();
    for (phase, place) in workload.phases.iter().zip(planned) {
        match *phase {
            Phase::Ramp { to, .. } => {
                let coming = coming(to, there, sessions);
                there += coming;
                let first = arrivals.len() as u32;
                staying.extend(first..first + coming);
                arrivals.extend((0..coming).map(|index| arrival(index, coming, place.start, place.end)));
            }
            Phase::Drain { to, .. } => {
                there = there.min(to.of(sessions));
                let leaving = (staying.len() as u32).saturating_sub(to.of(sessions));
                departures.resize(sessions as usize, None);
                for index in 0..leaving {
                    let session = staying.pop().expect("no more leave than are there");
                    departures[session as usize] = Some(arrival(index, leaving, place.start, place.end));
                }
            }
            Phase::Steady { .. } | Phase::Spike { .. } | Phase::Slow { .. } | Phase::Storm { .. } => {}
        }
    }
    Ok((arrivals, departures))
}

fn coming(to: Share, there: u32, sessions: u32) -> u32 {
    to.of(sessions).saturating_sub(there)
}

/// How many of `sessions` arrive in ramps. Those who have left do not come back.
fn ramped(workload: &Workload, sessions: u32) -> Result<u32, PlanError> {
    // Without a drain, ramps never ask for more than there are. With one, the first of them fills up to its share.
    let (mut there, mut ramped) = (0, 0);
    for (index, phase) in workload.phases.iter().enumerate() {
        match *phase {
            Phase::Ramp { to, .. } => {
                let coming = coming(to, there, sessions);
                if ramped + coming > sessions {
                    return Err(PlanError::Wrong {
                        key: format!("phases.{index}.ramp"),
                        why: format!(
                            "{coming} sessions are to come, but of {sessions} only {} have not been there yet",
                            sessions - ramped
                        ),
                        help: Some("those who have left in a drain do not come back".to_owned()),
                    });
                }
                there += coming;
                ramped += coming;
            }
            Phase::Drain { to, .. } => there = there.min(to.of(sessions)),
            Phase::Steady { .. } | Phase::Spike { .. } | Phase::Slow { .. } | Phase::Storm { .. } => {}
        }
    }
    Ok(ramped)
}

/// Sessions that keep coming, as many as the rate gives until the last phase ends.
fn crowd(
    workload: &Workload,
    coming: Arrivals,
    planned: &[PlannedPhase],
    pace: &Arc<Pace>,
) -> Result<Coming, PlanError> {
    within("arrivals.rate", coming.rate, 1e-6, RATE_MAX)?;
    if let Some(stay) = coming.stay {
        within_time("arrivals.stay", stay)?;
    }
    for (index, phase) in workload.phases.iter().enumerate() {
        let name = phase.name();
        match phase {
            Phase::Ramp { .. } | Phase::Drain { .. } => {
                return Err(PlanError::Wrong {
                    key: format!("phases.{index}.{name}"),
                    why: format!("a {name} is for a number of `sessions`, and here there are `arrivals`"),
                    help: Some("a `spike` has them come more often".to_owned()),
                });
            }
            Phase::Steady { .. } | Phase::Spike { .. } | Phase::Slow { .. } | Phase::Storm { .. } => {}
        }
    }
    let end = planned.last().map_or(0, |phase| phase.end);
    let period = Duration::from_secs_f64(1.0 / coming.rate);
    let seed = workload.seed ^ COMING;
    let mut next = Sends::new(seed, 0, coming.spacing, period, 0, Arc::clone(pace));
    let mut arrivals = Vec::new();
    while next.due() < end {
        within("arrivals", arrivals.len(), 0, SESSIONS_MAX as usize)?;
        arrivals.push(next.due());
        next.advance();
    }
    if arrivals.is_empty() {
        return Err(PlanError::wrong(
            "arrivals",
            "nobody arrives before the run ends".to_owned(),
        ));
    }
    let leaves = |(session, &came): (usize, &Nanos)| {
        let stay = time(
            coming.stay?,
            &mut chance_of(workload.seed ^ STAYING, session as u32),
        );
        Some(came.saturating_add(stay)).filter(|&leaves| leaves < end)
    };
    let departures = match coming.stay {
        Some(_) => arrivals.iter().enumerate().map(leaves).collect(),
        None => Vec::new(),
    };
    Ok((arrivals, departures))
}
