//! How long a case waits by its own words: its deadline leaves room for that, and what waits too long is not tried.

use std::time::Duration;

use touchstone_scenarios::duration;
use touchstone_scenarios::scenario::{Action, Step};

use super::bench::Bench;
use super::orders::orders;
use crate::select::Case;

/// What pauses, silences and windows of the case take together at most, at the target's timings. A timing that the
/// target does not have counts as nothing here: the step that needs it says so.
pub(crate) fn waits(bench: &Bench, case: &Case) -> Duration {
    let scenario = &case.scenario;
    let once = of_steps(bench, case, &scenario.given) + of_steps(bench, case, &scenario.steps);
    once.saturating_mul(u32::try_from(orders(scenario).len()).unwrap_or(u32::MAX))
}

fn of_steps(bench: &Bench, case: &Case, steps: &[Step]) -> Duration {
    steps.iter().map(|step| of_step(bench, case, step)).sum()
}

fn of_step(bench: &Bench, case: &Case, step: &Step) -> Duration {
    let known = |duration: &duration::Duration| bench.evaluate(duration, case.dialect).unwrap_or_default();
    let window = step
        .within
        .as_ref()
        .map(|window| known(&window.to))
        .unwrap_or_default();
    window
        + match &step.action {
            Action::Pause(lasting) | Action::Nothing { lasting, .. } => known(lasting),
            Action::Interleave { lanes, .. } => {
                lanes.iter().map(|(_, steps)| of_steps(bench, case, steps)).sum()
            }
            Action::Table(table) => of_steps(bench, case, &table.each),
            Action::Connect { .. }
            | Action::ConnectAs { .. }
            | Action::Refused { .. }
            | Action::Handshake { .. }
            | Action::Send { .. }
            | Action::SendBinary { .. }
            | Action::Raw { .. }
            | Action::Expect { .. }
            | Action::Close { .. }
            | Action::Closed { .. }
            | Action::ClosedAllButOne { .. }
            | Action::Ends { .. }
            | Action::Ponged { .. }
            | Action::Pinged { .. }
            | Action::Tcp { .. }
            | Action::Http { .. }
            | Action::HttpAtOnce { .. }
            | Action::Inject { .. }
            | Action::Introduce
            | Action::Events { .. }
            | Action::Operate(_)
            | Action::Kill
            | Action::Fault(_)
            | Action::Stop { .. }
            | Action::Stopped { .. }
            | Action::Start
            | Action::Log { .. }
            | Action::Unlogged { .. }
            | Action::Metrics { .. } => Duration::ZERO,
        }
}
