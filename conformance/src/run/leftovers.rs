//! What is left when the steps are made: messages and ends that nobody expected, and what every frame owes.

use std::time::Duration;

use touchstone_scenarios::rules::ClauseId;
use touchstone_scenarios::source::Span;

use super::trial::{End, Trial};
use crate::frame_checks::check_frames;
use crate::matching::{Comparison, Mismatch, describe};
use crate::verdict::Check;

/// How long duplicates and strays have a chance to arrive after the last step, unless the scenario says.
const SETTLE: Duration = Duration::from_millis(100);

/// Something that nobody expected: the aspect, what would have been right, what was seen.
type Surprise = (Check, &'static str, String);

impl Trial<'_> {
    /// Gives duplicates and strays their chance, then finds fault with all that nobody expected.
    pub(super) async fn settle(&mut self) {
        if !self.actors.is_empty() {
            let settle = self.scenario().settle.as_ref();
            let settle = settle.map_or(Ok(SETTLE), |settle| self.duration(settle));
            tokio::time::sleep(settle.unwrap_or(SETTLE)).await;
        } else {
            self.quieten().await;
        }
        for index in 0..self.actors.len() {
            self.checks.looked_at(Check::Extra);
            let (strays, end) = self.left_over(index);
            let actor = self.actors[index].name.clone();
            let rule = self.case.rule().clone();
            for (check, expected, actual) in strays.into_iter().chain(end) {
                self.checks.failed(check);
                let found = Comparison::mismatch(Span::default(), expected, actual);
                for mismatch in found.mismatches {
                    self.add(
                        rule.clone(),
                        Some(&actor),
                        None,
                        Mismatch { check, ..mismatch },
                        None,
                    );
                }
            }
        }
    }

    /// What a case set off on a server of its own, a broadcast say, must not reach the next case there, even if this
    /// one ended early.
    pub(super) async fn quieten(&self) {
        if self.scenario().alone {
            tokio::time::sleep(SETTLE).await;
        }
    }

    fn left_over(&self, index: usize) -> (Vec<Surprise>, Option<Surprise>) {
        let actor = &self.actors[index];
        if actor.excused {
            return (Vec::new(), None);
        }
        let record = actor.log.record();
        let left = record
            .received
            .iter()
            .enumerate()
            .skip(actor.next)
            .filter(|(index, _)| !self.is_set_aside(actor.dialect, &record, *index));
        let strays =
            left.map(|(_, message)| (Check::Extra, "no further message", describe(&message.content)));
        let surprising = record.is_upgraded()
            && record.server_ended_at().is_some()
            && !actor.end_expected
            && !self.stopped
            && record
                .client_close()
                .is_none_or(|(_, ours)| record.server_close().is_some_and(|(_, theirs)| theirs < ours));
        let end = surprising.then(|| {
            let close = record
                .server_close()
                .map(|(body, _)| crate::matching::describe_close(&body));
            let actual = close.unwrap_or_else(|| "TCP ended without a close frame".to_owned());
            (Check::Close, "a connection that stays open", actual)
        });
        (strays.collect(), end)
    }

    /// What every frame of the server owes, on every connection.
    pub(super) fn judge_frames(&mut self) {
        for index in 0..self.actors.len() {
            let actor = &self.actors[index];
            let (name, violations) = (
                actor.name.clone(),
                check_frames(&actor.log.record(), actor.client),
            );
            for violation in violations {
                self.checks.failed(violation.check);
                let mut found = Comparison::mismatch(Span::default(), violation.expected, violation.actual);
                for mismatch in found.mismatches.drain(..) {
                    let mismatch = Mismatch {
                        check: violation.check,
                        ..mismatch
                    };
                    self.add(
                        ClauseId(violation.clause.to_owned()),
                        Some(&name),
                        None,
                        mismatch,
                        None,
                    );
                }
            }
        }
    }

    pub(super) fn judge_size(&self) -> End {
        if self.actors.iter().any(|actor| actor.log.record().overflowed) {
            let limit = crate::tap::LOG_BYTES_MAX >> 20;
            return End::CouldNotRun(format!(
                "more than {limit} MiB crossed one connection: that is a load test"
            ));
        }
        End::Judged
    }
}
