//! Steps that wait for messages, or for none. A timeout is a failure in every construct.

use std::time::Duration;

use tokio::time::Instant;
use touchstone_report::number;
use touchstone_scenarios::scenario::{ActorName, Alternative, Expected, MessageMatcher, Outcome, Step};
use touchstone_scenarios::source::Span;

use super::actors::Arrival;
use super::trial::{Flow, Halt, Trial};
use super::windows::Frame;
use crate::frames::Message;
use crate::matching::{
    Comparison, Mismatch, assign, closeness, compare_message, describe, describe_close, differences,
    message_expectation, span_of,
};
use crate::verdict::Check;

/// How long it is worth waiting to tell "wrong message" from "the right one, after a stray one".
const DIAGNOSIS: Duration = Duration::from_millis(100);

/// What an attempt took, if it came to what it was after.
pub(super) struct Taken {
    /// The first message after it.
    pub(super) next: usize,
    /// When the last of it arrived.
    pub(super) at: Instant,
    /// What is wrong with it all the same, and what it captured.
    pub(super) found: Comparison,
    /// What was captured, each with the type of its message.
    pub(super) captured: Vec<(String, serde_json::Value)>,
}

impl Taken {
    /// Adds what was found in a message.
    fn add(&mut self, found: Comparison, message: &Message) {
        let kind = type_of(message);
        let values = found
            .captures
            .iter()
            .map(|(_, value)| (kind.clone(), value.clone()));
        self.captured.extend(values);
        self.found.extend(found);
    }
}

/// A message that is not the expected one, and what is wrong with it.
struct Stray {
    number: usize,
    message: Message,
    found: Comparison,
}

/// Why an attempt did not.
pub(super) struct Missed(pub(super) Box<Mismatch>);

pub(super) type Attempt = Result<Taken, Missed>;

impl Trial<'_> {
    /// `expect`: messages on each of the actors.
    pub(super) async fn expect(&mut self, step: &Step, actors: &[ActorName], expected: &Expected) -> Flow {
        self.checks.looked_at(Check::Message);
        if !matches!(expected, Expected::Next(_)) {
            self.checks.looked_at(Check::Order);
        }
        let frame = self.frame(step)?;
        for name in actors {
            let index = self.actor(name)?;
            if self.actors[index].excused {
                continue;
            }
            let attempt = self.attempt(index, expected, frame).await;
            self.conclude(step, index, attempt, frame).await?;
        }
        Ok(())
    }

    /// Takes what came, or an alternative in its place, or finds fault.
    pub(super) async fn conclude(
        &mut self,
        step: &Step,
        index: usize,
        attempt: Attempt,
        frame: Frame,
    ) -> Flow {
        let name = self.actors[index].name.clone();
        let missed = match attempt {
            Ok(taken) => {
                self.actors[index].next = taken.next;
                self.mark(taken.at);
                self.report_early(step, &name, taken.at, frame)?;
                self.captured.extend(taken.captured);
                return self.report_all(step, &name, taken.found);
            }
            Err(Missed(mismatch)) => *mismatch,
        };
        for alternative in &step.alternatives {
            if let Some(taken) = self.attempt_alternative(index, alternative, frame).await {
                self.actors[index].next = taken.next;
                self.mark(taken.at);
                let why = Some(alternative.why.as_str());
                return self.report(step, Some(&name), missed, why);
            }
        }
        self.report(step, Some(&name), missed, None)?;
        Err(Halt::Found)
    }

    pub(super) async fn attempt_alternative(
        &mut self,
        index: usize,
        alternative: &Alternative,
        frame: Frame,
    ) -> Option<Taken> {
        // An alternative is another outcome, not another moment: its window has no near edge.
        let frame = frame.without_near_edge();
        let start = self.actors[index].next;
        let attempt = match &alternative.outcome {
            Outcome::Message(message) => {
                self.attempt_in_order(index, std::slice::from_ref(message), frame)
                    .await
            }
            Outcome::Messages(messages) => self.attempt_in_order(index, messages, frame).await,
            Outcome::Closed(matcher) => {
                let taken = self.attempt_closed(index, matcher, frame).await;
                let taken = taken.filter(|taken| taken.found.mismatches.is_empty())?;
                self.actors[index].excused = true;
                return Some(taken);
            }
            Outcome::Nothing => {
                return match self.arrival(index, start, frame.to).await {
                    Arrival::TimedOut => Some(Taken {
                        next: start,
                        at: frame.to,
                        found: Comparison::default(),
                        captured: Vec::new(),
                    }),
                    Arrival::Message { .. } | Arrival::Ended => None,
                };
            }
            // What is about the handshake is decided by the step that connects.
            Outcome::Refused(_) => return None,
        };
        attempt.ok().filter(|taken| taken.found.mismatches.is_empty())
    }

    pub(super) async fn arrival(&self, index: usize, from: usize, deadline: Instant) -> Arrival {
        let actor = &self.actors[index];
        let set_aside = |record: &_, number| self.is_set_aside(actor.dialect, record, number);
        actor.arrival(from, deadline, set_aside).await
    }

    async fn attempt(&mut self, index: usize, expected: &Expected, frame: Frame) -> Attempt {
        match expected {
            Expected::Next(message) => {
                self.attempt_in_order(index, std::slice::from_ref(message), frame)
                    .await
            }
            Expected::InOrder(messages) => self.attempt_in_order(index, messages, frame).await,
            Expected::AnyOrder(messages) => self.attempt_any_order(index, messages, None, frame).await,
            Expected::AnyOrderPreserving { by, of } => {
                self.attempt_any_order(index, of, Some(by), frame).await
            }
        }
    }

    pub(super) async fn attempt_in_order(
        &self,
        index: usize,
        expected: &[MessageMatcher],
        frame: Frame,
    ) -> Attempt {
        let mut taken = Taken {
            next: self.actors[index].next,
            at: self.mark,
            found: Comparison::default(),
            captured: Vec::new(),
        };
        for (position, matcher) in expected.iter().enumerate() {
            match self.arrival(index, taken.next, frame.to).await {
                Arrival::Message {
                    index: number,
                    message,
                } => {
                    let found = self.look(matcher, &message);
                    if !found.is_recognised() {
                        let rest = &expected[position + 1..];
                        let stray = Stray {
                            number,
                            message,
                            found,
                        };
                        return Err(self.diagnose(index, stray, (matcher, rest), frame).await);
                    }
                    taken.add(found, &message);
                    taken.next = number + 1;
                    taken.at = message.at;
                }
                Arrival::Ended => {
                    return Err(self.ended(index, span_of(matcher), &self.message_text(matcher)));
                }
                Arrival::TimedOut => {
                    return Err(timed_out(span_of(matcher), &self.message_text(matcher), frame));
                }
            }
        }
        Ok(taken)
    }

    /// Says what is wrong with a message that is not the expected one: out of order, a stray, or wrong.
    async fn diagnose(
        &self,
        index: usize,
        stray: Stray,
        (matcher, rest): (&MessageMatcher, &[MessageMatcher]),
        frame: Frame,
    ) -> Missed {
        let Stray {
            number,
            message,
            found,
        } = stray;
        let whole =
            |check, actual: String| missed(span_of(matcher), &self.message_text(matcher), &actual, check);
        let shown = describe(&message.content);
        if rest
            .iter()
            .any(|later| self.look(later, &message).is_recognised())
        {
            return whole(Check::Order, format!("a later one of the list: {shown}"));
        }
        let patience = frame.to.min(Instant::now() + DIAGNOSIS);
        let mut next = number + 1;
        while let Arrival::Message {
            index: number,
            message: later,
        } = self.arrival(index, next, patience).await
        {
            if self.look(matcher, &later).is_recognised() {
                return whole(Check::Extra, format!("another message before it: {shown}"));
            }
            next = number + 1;
        }
        all_in_one(found, &shown).map_or_else(
            || whole(Check::Message, shown),
            |mismatch| Missed(Box::new(mismatch)),
        )
    }

    async fn attempt_any_order(
        &self,
        index: usize,
        expected: &[MessageMatcher],
        by: Option<&String>,
        frame: Frame,
    ) -> Attempt {
        let mut taken = Taken {
            next: self.actors[index].next,
            at: self.mark,
            found: Comparison::default(),
            captured: Vec::new(),
        };
        let mut messages: Vec<Message> = Vec::new();
        let span = expected.first().map_or_else(Span::default, span_of);
        let wanted = || {
            expected
                .iter()
                .map(|matcher| self.message_text(matcher))
                .collect::<Vec<_>>()
                .join(", ")
        };
        let mut chosen = Vec::new();
        while messages.len() < expected.len() {
            match self.arrival(index, taken.next, frame.to).await {
                Arrival::Message {
                    index: number,
                    message,
                } => {
                    messages.push(message);
                    match self.assigned(&messages, expected, by) {
                        Ok(assignment) => chosen = assignment,
                        Err(check) => {
                            let last = messages.last().expect("one was pushed above");
                            return Err(Missed(Box::new(self.none_of(last, expected, check))));
                        }
                    }
                    taken.next = number + 1;
                    taken.at = messages.last().map_or(taken.at, |message| message.at);
                }
                Arrival::Ended => return Err(self.ended(index, span, &wanted())),
                Arrival::TimedOut => {
                    let left: Vec<_> = (0..expected.len()).filter(|at| !chosen.contains(at)).collect();
                    let left = left.into_iter().map(|at| self.message_text(&expected[at]));
                    return Err(timed_out(span, &left.collect::<Vec<_>>().join(", "), frame));
                }
            }
        }
        for (message, expectation) in messages.iter().zip(chosen) {
            taken.add(self.look(&expected[expectation], message), message);
        }
        Ok(taken)
    }

    /// Which expectation each message is, or which aspect says that it cannot be.
    fn assigned(
        &self,
        messages: &[Message],
        expected: &[MessageMatcher],
        by: Option<&String>,
    ) -> Result<Vec<usize>, Check> {
        let cost = |found: Comparison| found.is_recognised().then_some(found.mismatches.len());
        let costs: Vec<Vec<_>> = messages
            .iter()
            .map(|message| {
                expected
                    .iter()
                    .map(|matcher| cost(self.look(matcher, message)))
                    .collect()
            })
            .collect();
        let groups = by.map(|pointer| {
            messages
                .iter()
                .map(|message| group(message, pointer))
                .collect::<Vec<_>>()
        });
        assign(&costs, groups.as_deref()).ok_or_else(|| {
            if groups.is_some() && assign(&costs, None).is_some() {
                Check::Order
            } else {
                Check::Message
            }
        })
    }

    fn look(&self, matcher: &MessageMatcher, message: &Message) -> Comparison {
        self.compare(|environment| compare_message(matcher, message, environment))
    }

    /// An expected message in words.
    fn message_text(&self, matcher: &MessageMatcher) -> String {
        self.compare(|environment| message_expectation(matcher, environment))
    }

    /// What is said of a message that is none of those that are left, and which of them it came nearest to.
    fn none_of(&self, message: &Message, expected: &[MessageMatcher], check: Check) -> Mismatch {
        let span = expected.first().map_or_else(Span::default, span_of);
        let wanted: Vec<_> = expected
            .iter()
            .map(|matcher| self.message_text(matcher))
            .collect();
        let shown = describe(&message.content);
        let expected_text = format!("in any order: {}", wanted.join(", "));
        let mut mismatch = Mismatch::new(span, expected_text, &shown, check);
        let tries = expected.iter().enumerate().filter_map(|(position, matcher)| {
            let tried = self.look(matcher, message);
            closeness(&tried, "").map(|closeness| (closeness, position, matcher, tried))
        });
        if let Some((_, position, matcher, tried)) = tries.min_by_key(|(closeness, ..)| *closeness)
            && !tried.is_recognised()
        {
            mismatch.actual = format!(
                "none of them, nearest to number {} of {}",
                position + 1,
                expected.len()
            );
            mismatch.span = span_of(matcher);
            mismatch.differences = differences(&tried);
            mismatch.whole = Some(shown);
        }
        mismatch
    }

    fn ended(&self, index: usize, span: Span, expected: &str) -> Missed {
        let record = self.actors[index].log.record();
        let close = record.server_close().map(|(body, _)| describe_close(&body));
        let actual = close.unwrap_or_else(|| "the end of TCP without a close frame".to_owned());
        missed(span, expected, &actual, Check::Message)
    }

    /// `nothing`: silence on each of the actors. A close is not silence.
    pub(super) async fn nothing(&mut self, step: &Step, actors: &[ActorName], lasting: Duration) -> Flow {
        self.checks.looked_at(Check::Extra);
        let until = Instant::now() + lasting;
        for name in actors {
            let index = self.actor(name)?;
            let (next, expected_end) = (self.actors[index].next, self.actors[index].end_expected);
            if self.actors[index].excused {
                continue;
            }
            let actual = match self.arrival(index, next, until).await {
                Arrival::TimedOut => continue,
                Arrival::Ended if expected_end => continue,
                Arrival::Ended => self.ended(index, step.span, "").0.actual,
                Arrival::Message { message, .. } => describe(&message.content),
            };
            let expected = format!("nothing for {}", number::duration(lasting));
            let Missed(boxed) = missed(step.span, &expected, &actual, Check::Extra);
            let mismatch = *boxed;
            for alternative in &step.alternatives {
                let frame = Frame::until(until, lasting);
                if let Some(taken) = self.attempt_alternative(index, alternative, frame).await {
                    self.actors[index].next = taken.next;
                    return self.report(step, Some(name), mismatch, Some(&alternative.why));
                }
            }
            self.report(step, Some(name), mismatch, None)?;
            return Err(Halt::Found);
        }
        // An actor that has ended does not shorten the silence of the others, nor does their order.
        tokio::time::sleep_until(until).await;
        self.mark(until);
        Ok(())
    }
}

/// All that is wrong with a message as one mismatch: the first of what makes it another one, and every other place.
fn all_in_one(found: Comparison, shown: &str) -> Option<Mismatch> {
    let differences = differences(&found);
    let mut mismatches = found.mismatches.into_iter();
    let first = mismatches.find(|mismatch| mismatch.clause.is_none())?;
    if first.pointer.is_empty() && first.differences.is_empty() && differences.len() < 2 {
        return Some(Mismatch {
            actual: shown.to_owned(),
            ..first
        });
    }
    Some(Mismatch {
        whole: Some(shown.to_owned()),
        differences: if differences.len() > 1 {
            differences
        } else {
            Vec::new()
        },
        ..first
    })
}

pub(super) fn missed(span: Span, expected: &str, actual: &str, check: Check) -> Missed {
    Missed(Box::new(Mismatch::new(span, expected, actual, check)))
}

pub(super) fn timed_out(span: Span, expected: &str, frame: Frame) -> Missed {
    let check = if frame.explicit {
        Check::Timing
    } else {
        Check::Message
    };
    missed(
        span,
        expected,
        &format!("nothing within {}", frame.limit()),
        check,
    )
}

/// The value of a message's `type`, where it has one.
fn type_of(message: &Message) -> String {
    group(message, "/type").trim_matches('"').to_owned()
}

/// Whose order a message belongs to.
fn group(message: &Message, pointer: &str) -> String {
    let value = message.json().and_then(|value| value.pointer(pointer));
    value.map(ToString::to_string).unwrap_or_default()
}
