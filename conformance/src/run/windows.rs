//! When something has to happen: the windows of steps, and what is said of something that came too early. What came too
//! late never came, for whoever waited for it.

use std::time::Duration;

use tokio::time::Instant;
use touchstone_report::number;
use touchstone_scenarios::scenario::Step;

use super::trial::{Flow, Halt, Trial};
use crate::matching::{Comparison, Mismatch};
use crate::verdict::Check;

/// Beyond the far edge of every window: on a busy machine the server, too, gets its turn late. The near edge has none,
/// because nothing makes a server early.
const GRACE: Duration = Duration::from_millis(250);

/// When a step's thing has to happen.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    /// Not before; from the end of the step before.
    pub(super) from: Option<Instant>,
    /// Not after, with the grace of a window in it.
    pub(super) to: Instant,
    /// What `from` counts from.
    since: Instant,
    /// Without the grace.
    pub(super) lasting: Duration,
    /// The step says so itself.
    pub(super) explicit: bool,
}

impl Frame {
    /// Up to this moment.
    pub(super) const fn until(until: Instant, lasting: Duration) -> Self {
        Self {
            from: None,
            to: until,
            since: until,
            lasting,
            explicit: true,
        }
    }

    /// For what has a far edge only.
    pub(super) const fn without_near_edge(self) -> Self {
        Self { from: None, ..self }
    }

    /// As a report says it.
    pub(super) fn limit(&self) -> String {
        if self.explicit {
            format!(
                "{} (and {} of grace)",
                number::duration(self.lasting),
                number::duration(GRACE)
            )
        } else {
            number::duration(self.lasting)
        }
    }
}

impl Trial<'_> {
    /// The window of a step. Patience stretches its far edge, never its near one.
    pub(super) fn frame(&mut self, step: &Step) -> Result<Frame, Halt> {
        let Some(window) = &step.within else {
            let lasting = self.bench.stretched(self.bench.options.expectation_deadline);
            return Ok(Frame {
                from: None,
                // Nobody asked how long the step before took, so it takes nothing from the suite's own deadline.
                to: self.mark.max(Instant::now()) + lasting,
                since: self.earliest,
                lasting,
                explicit: false,
            });
        };
        self.checks.looked_at(Check::Timing);
        let from = window.from.as_ref().map(|from| self.duration(from)).transpose()?;
        let lasting = self.bench.stretched(self.duration(&window.to)?);
        let (since, base) = match &window.since {
            None => (self.earliest, self.mark),
            Some(name) => self.actors[self.actor(name)?]
                .opened()
                .unwrap_or((self.earliest, self.mark)),
        };
        Ok(Frame {
            from: from.map(|from| since + from),
            to: base + GRACE + lasting,
            since,
            lasting,
            explicit: true,
        })
    }

    /// Before the near edge is too early, however right it is.
    pub(super) fn report_early(&mut self, step: &Step, actor: &str, at: Instant, frame: Frame) -> Flow {
        match too_early(at, frame) {
            None => Ok(()),
            Some((expected, actual)) => {
                let found = Comparison::mismatch(step.span, expected, actual);
                found.mismatches.into_iter().try_for_each(|mismatch| {
                    self.report(
                        step,
                        Some(actor),
                        Mismatch {
                            check: Check::Timing,
                            ..mismatch
                        },
                        None,
                    )
                })
            }
        }
    }
}

/// What to say of something that came before its near edge.
fn too_early(at: Instant, frame: Frame) -> Option<(String, String)> {
    let from = frame.from.filter(|from| at < *from)?;
    Some((
        format!(
            "not before {}",
            number::duration(from.duration_since(frame.since))
        ),
        format!(
            "it came after {}",
            number::duration(at.saturating_duration_since(frame.since))
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_near_edge_counts_from_the_end_of_the_step_before() {
        let base = Instant::now();
        let second = Duration::from_secs(1);
        let frame = Frame {
            from: Some(base + second),
            to: base + 2 * second,
            since: base,
            lasting: 2 * second,
            explicit: true,
        };
        for (millis, early) in [(0, true), (999, true), (1000, false), (1999, false)] {
            let at = base + Duration::from_millis(millis);
            assert_eq!(too_early(at, frame).is_some(), early, "{millis} ms");
        }
        let open = Frame { from: None, ..frame };
        assert_eq!(too_early(base, open), None);
    }
}
