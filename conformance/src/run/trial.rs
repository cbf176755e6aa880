//! One run through a case: its actors, its variables, what it found.
//!
//! The steps stand in [`super::steps`] and [`super::expectations`]; here is what they share, and how a trial begins
//! and ends.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::Instant;
use touchstone_scenarios::duration;
use touchstone_scenarios::rules::ClauseId;
use touchstone_scenarios::scenario::{Scenario, Step, Template};
use touchstone_scenarios::source::Span;
use touchstone_sut::{Mark, Metrics};

use super::actors::Actor;
use super::bench::Bench;
use super::cast::{Cast, looks_like_a_token};
use super::greeting::Newcomer;
use super::orders::Turns;
use crate::clauses::clauses_of;
use crate::coverage::Seen;
use crate::matching::{Comparison, Environment, Mismatch};
use crate::secrecy::{hidden, hidden_at};
use crate::select::Case;
use crate::transcript::{Scribe, Transcript};
use crate::verdict::{Checks, Difference, Finding, Place, weight};

/// How a trial ended.
#[derive(Debug)]
pub(crate) enum End {
    /// What was found decides.
    Judged,
    /// It could not be judged, and why.
    CouldNotRun(String),
    /// The target lacks what it needs, and what that is.
    Skipped(String),
}

/// What a trial hands back.
#[derive(Debug)]
pub(crate) struct TrialReport {
    pub(crate) end: End,
    pub(crate) findings: Vec<Finding>,
    pub(crate) checks: Checks,
    pub(crate) clauses: Vec<ClauseId>,
    pub(crate) set_aside: usize,
    pub(crate) seen: Seen,
    pub(crate) transcript: Option<Transcript>,
}

/// Why no further step is made.
#[derive(Debug)]
pub(crate) enum Halt {
    /// What follows would only repeat what was found.
    Found,
    /// The case cannot be judged.
    CouldNotRun(String),
    /// The target lacks what the case needs.
    Skipped(String),
}

/// What a step comes to.
pub(crate) type Flow = Result<(), Halt>;

/// Whether steps prepare or are judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Given,
    Judged,
}

/// One run through a case.
///
/// Every task of a connection is on `tasks`, which the end of the trial awaits.
pub(crate) struct Trial<'a> {
    pub(crate) bench: &'a Bench,
    pub(crate) case: &'a Case,
    pub(crate) turns: Turns,
    order: usize,
    pub(crate) actors: Vec<Actor>,
    /// Connections that were left of several, by the names that they have from then on.
    left_over: BTreeMap<String, usize>,
    pub(crate) tasks: JoinSet<()>,
    variables: BTreeMap<String, Value>,
    pub(crate) cast: Cast,
    /// Who is being greeted: what `user`, `channel` and `tenant` mean in a greeting.
    pub(super) newcomer: Option<Newcomer>,
    /// Values that were captured, each with where: the path of a request, or the type of a message.
    pub(super) captured: Vec<(String, Value)>,
    /// Texts by which messages are known that were made to see whether a newcomer is in.
    pub(super) soundings: Vec<String>,
    /// Data that the case made the server emit.
    pub(super) injected: Vec<Value>,
    findings: Vec<Finding>,
    pub(crate) checks: Checks,
    clauses: Vec<ClauseId>,
    stage: Stage,
    step: usize,
    began: Instant,
    /// The end of the step before: what windows count from.
    pub(crate) mark: Instant,
    /// Where that step took its time: from when on its effects could come. Near edges count from it.
    pub(crate) earliest: Instant,
    notes: Vec<(Instant, String)>,
    /// The server was told to stop: that connections end is no surprise.
    pub(crate) stopped: bool,
    pub(crate) log_mark: Mark,
    pub(crate) metrics: Option<Metrics>,
}

impl<'a> Trial<'a> {
    pub(crate) fn new(bench: &'a Bench, case: &'a Case, order: usize, turns: Turns) -> Self {
        let now = Instant::now();
        Self {
            bench,
            case,
            turns,
            order,
            actors: Vec::new(),
            left_over: BTreeMap::new(),
            tasks: JoinSet::new(),
            variables: BTreeMap::new(),
            cast: Cast::default(),
            newcomer: None,
            captured: Vec::new(),
            soundings: Vec::new(),
            injected: Vec::new(),
            findings: Vec::new(),
            checks: Checks::default(),
            clauses: vec![case.rule().clone()],
            stage: Stage::Given,
            step: 0,
            began: now,
            mark: now,
            earliest: now,
            notes: Vec::new(),
            stopped: false,
            log_mark: bench.sut.log().mark(),
            metrics: None,
        }
    }

    /// Runs the steps, looks at what is left, and leaves.
    pub(crate) async fn run(mut self) -> TrialReport {
        let flow = self.run_steps().await;
        if flow.is_ok() {
            self.settle().await;
        } else {
            self.quieten().await;
        }
        let end = match flow {
            Err(Halt::CouldNotRun(why)) => End::CouldNotRun(self.hide(why)),
            Err(Halt::Skipped(why)) => End::Skipped(why),
            Ok(()) | Err(Halt::Found) => {
                self.judge_frames();
                self.judge_size()
            }
        };
        self.finish(end).await
    }

    async fn run_steps(&mut self) -> Flow {
        let scenario = self.scenario();
        self.set_variables(scenario)?;
        self.provision().await?;
        self.measure().await?;
        for (index, step) in scenario.given.iter().enumerate() {
            self.run_step(step, &scenario.given[index + 1..]).await?;
        }
        self.stage = Stage::Judged;
        for (index, step) in scenario.steps.iter().enumerate() {
            self.run_step(step, &scenario.steps[index + 1..]).await?;
        }
        Ok(())
    }

    pub(crate) fn scenario(&self) -> &'a Scenario {
        &self.case.scenario
    }

    fn set_variables(&mut self, scenario: &Scenario) -> Flow {
        for (name, template) in &scenario.variables {
            let value = self.resolve(template)?;
            self.variables.insert(name.value.clone(), value);
        }
        Ok(())
    }

    /// Makes the columns of the case's row variables.
    pub(crate) fn bind_row(&mut self) -> Flow {
        let (Some(table), Some(row)) = (self.case.table(), self.case.row) else {
            return Ok(());
        };
        let cells = table.rows.get(row).map_or(&[][..], |row| &row.cells);
        for (column, cell) in table.columns.iter().zip(cells) {
            let value = self.resolve(cell)?;
            self.variables.insert(column.value.clone(), value);
        }
        Ok(())
    }

    /// A name gets its value.
    pub(super) fn bind(&mut self, name: &str, value: Value) {
        self.variables.insert(name.to_owned(), value);
    }

    /// A unique id of this trial.
    pub(super) fn unique_id(&self, name: &str) -> String {
        self.bench.unique_id(self.case, self.order, name)
    }

    /// What all unique ids of this trial begin with, and no other's do.
    pub(super) fn mark_of_case(&self) -> String {
        self.bench.mark_of(self.case, self.order)
    }

    /// The clause counts as looked at.
    pub(super) fn look_at(&mut self, clause: &ClauseId) {
        if self.stage == Stage::Judged && !self.clauses.contains(clause) {
            self.clauses.push(clause.clone());
        }
    }

    /// A text as reports may show it.
    pub(super) fn hide(&self, text: String) -> String {
        let of_target = self.bench.secrets();
        let known = of_target.iter().chain(&self.cast.secrets);
        hidden(
            text,
            known.map(|(secret, shown)| (secret.as_str(), shown.as_str())),
        )
    }

    /// Before a step: counts it, and remembers which clauses it looks at.
    pub(crate) fn enter(&mut self, step: &Step) {
        self.step += 1;
        for clause in clauses_of(step) {
            self.look_at(&clause);
        }
    }

    /// The value of a variable.
    pub(crate) fn variable(&self, name: &str) -> Option<Value> {
        if let Some(value) = self.newcomer.as_ref().and_then(|newcomer| newcomer.value(name)) {
            return Some(value);
        }
        if let Some(value) = self.variables.get(name) {
            return Some(value.clone());
        }
        let (head, rest) = name.split_once('.').unwrap_or((name, ""));
        match head {
            "uid" => Some(Value::String(self.unique_id(rest))),
            "now" => {
                let epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                Some(epoch.as_secs().into())
            }
            "dialect" => self
                .case
                .dialect
                .map(|dialect| Value::String(dialect.name().to_owned())),
            "limits" => self.bench.sut.target().limit(rest).map(Value::from),
            _ => {
                let value = self.variables.get(head)?;
                rest.split('.')
                    .try_fold(value, |value, field| value.get(field))
                    .cloned()
            }
        }
    }

    /// A template with its variables put in.
    pub(crate) fn resolve(&self, template: &Template) -> Result<Value, Halt> {
        template
            .resolve(&|name| self.variable(name))
            .map_err(|error| self.broken(template.span, &error))
    }

    /// A duration in the target's own timings.
    pub(crate) fn duration(&self, duration: &duration::Duration) -> Result<Duration, Halt> {
        self.bench
            .evaluate(duration, self.case.dialect)
            .map_err(|error| self.broken(duration.span, &error))
    }

    /// Captured values are variables from here on.
    pub(crate) fn capture(&mut self, captures: Vec<(String, Value)>) {
        for (name, value) in &captures {
            // What a login gives out is as good as what we sign.
            if let Some(text) = value.as_str().filter(|text| looks_like_a_token(text)) {
                self.cast
                    .secrets
                    .push((text.to_owned(), format!("<token {name}>")));
            }
        }
        self.variables.extend(captures);
    }

    /// Compares with what a matcher may ask for at hand.
    pub(crate) fn compare<T>(&self, compare: impl FnOnce(&Environment<'_>) -> T) -> T {
        let epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        compare(&Environment {
            variable: &|name| self.variable(name),
            timing: &|name| self.bench.timing(name, self.case.dialect),
            answers: self.habits(None).and_then(|habits| habits.answers.as_ref()),
            epoch_seconds: epoch.as_secs_f64(),
        })
    }

    /// From here on the connection has this name, too.
    pub(super) fn call(&mut self, index: usize, name: &str) {
        self.left_over.insert(name.to_owned(), index);
    }

    /// The actor of this name: the connection that was opened last under it, or the one that was left over.
    pub(crate) fn actor(&self, name: &str) -> Result<usize, Halt> {
        if let Some(index) = self.left_over.get(name) {
            return Ok(*index);
        }
        self.actors
            .iter()
            .rposition(|actor| actor.name == name)
            .ok_or_else(|| Halt::CouldNotRun(format!("`{name}` was never connected")))
    }

    /// Moves the point from which windows count; it never goes back.
    pub(crate) fn mark(&mut self, at: Instant) {
        self.mark_span(at, at);
    }

    /// The same for a step that took its time, and whose effects may come while it does.
    pub(crate) fn mark_span(&mut self, from: Instant, to: Instant) {
        self.earliest = self.mark.max(from);
        self.mark = self.mark.max(to);
    }

    /// A remark for the transcript.
    pub(crate) fn note(&mut self, text: impl Into<String>) {
        self.notes.push((Instant::now(), text.into()));
    }

    /// Something about the case itself is broken.
    pub(crate) fn broken(&self, span: Span, error: &dyn std::fmt::Display) -> Halt {
        let place = self.place(span);
        Halt::CouldNotRun(format!("{}:{}:{}: {error}", place.path, place.line, place.column))
    }

    /// Notes what was not as expected. In `given` it ends the case, unless it is judged under a clause of its own:
    /// there are cases about that one.
    pub(crate) fn report(
        &mut self,
        step: &Step,
        actor: Option<&str>,
        mismatch: Mismatch,
        alternative: Option<&str>,
    ) -> Flow {
        let own = mismatch.clause.is_some();
        let clause = mismatch
            .clause
            .clone()
            .or_else(|| step.clause.as_ref().map(|clause| clause.value.clone()));
        let clause = clause.unwrap_or_else(|| self.case.rule().clone());
        if self.stage == Stage::Given {
            if own || alternative.is_some() {
                return Ok(());
            }
            let place = self.place(mismatch.span);
            return Err(Halt::CouldNotRun(format!(
                "the preparation went otherwise in step {} ({}:{}, {clause}): expected {}, got {}",
                place.step, place.path, place.line, mismatch.expected, mismatch.actual
            )));
        }
        self.checks.failed(mismatch.check);
        self.add(clause, actor, Some(mismatch.span), mismatch, alternative);
        Ok(())
    }

    pub(super) fn add(
        &mut self,
        clause: ClauseId,
        actor: Option<&str>,
        span: Option<Span>,
        mismatch: Mismatch,
        alternative: Option<&str>,
    ) {
        let (level, sentence) = self.bench.clause(&clause, self.case);
        let hide = |text: String| self.hide(text);
        let finding = Finding {
            clause,
            level,
            sentence,
            weight: weight(level, alternative.is_some(), self.bench.options.strictness),
            check: mismatch.check,
            actor: actor.map(str::to_owned),
            place: span.map(|span| self.place(span)),
            expected: hide(hidden_at(&mismatch.pointer, mismatch.expected)),
            actual: hide(hidden_at(&mismatch.pointer, mismatch.actual)),
            pointer: mismatch.pointer,
            whole: mismatch.whole.map(hide),
            differences: mismatch
                .differences
                .into_iter()
                .map(|difference| Difference {
                    expected: hide(hidden_at(&difference.pointer, difference.expected)),
                    actual: hide(hidden_at(&difference.pointer, difference.actual)),
                    pointer: difference.pointer,
                })
                .collect(),
            alternative: alternative.map(str::to_owned),
        };
        self.findings.push(finding);
    }

    /// What is left of a comparison when the main thing is right: mismatches under clauses of their own.
    pub(crate) fn report_all(&mut self, step: &Step, actor: &str, found: Comparison) -> Flow {
        self.capture(found.captures);
        found
            .mismatches
            .into_iter()
            .try_for_each(|mismatch| self.report(step, Some(actor), mismatch, None))
    }

    fn place(&self, span: Span) -> Place {
        let source = &self.case.scenario.source;
        let (line, column) = source.line_column(span.start);
        let text = source.text.lines().nth(line - 1).unwrap_or_default().to_owned();
        let end = span.end.min(source.text.len());
        let meant = source.text.get(span.start..end).unwrap_or_default();
        let width = meant
            .lines()
            .next()
            .map_or(1, |first| first.chars().count())
            .max(1);
        Place {
            step: self.step,
            path: source.path.clone(),
            line,
            column,
            text,
            width,
        }
    }

    async fn finish(mut self, end: End) -> TrialReport {
        let mut seen = Seen::default();
        let mut set_aside = 0;
        let wanted =
            self.bench.options.trace || !self.findings.is_empty() || matches!(end, End::CouldNotRun(_));
        let secrets = self
            .bench
            .secrets()
            .into_iter()
            .chain(self.cast.secrets.iter().cloned());
        let mut scribe = Scribe::new(self.began, secrets.collect());
        for actor in &self.actors {
            let aside = actor.set_aside(|record, index| self.is_set_aside(actor.dialect, record, index));
            set_aside += aside.len();
            if wanted {
                scribe.connection(&actor.name, &actor.log.record(), &|index| aside.contains(&index));
            }
        }
        for (at, note) in &self.notes {
            scribe.note(*at, None, note.clone());
        }
        let actors = std::mem::take(&mut self.actors);
        let mut leaving = JoinSet::new();
        let mut logs = Vec::new();
        for actor in actors {
            logs.push((actor.dialect, actor.log));
            if let Some(connection) = actor.connection {
                leaving.spawn(connection.leave());
            }
        }
        leaving.join_all().await;
        while self.tasks.join_next().await.is_some() {}
        for (dialect, log) in logs {
            if let Some(dialect) = dialect {
                seen.add(dialect, &log.record(), self.bench.rules);
            }
        }
        TrialReport {
            end,
            findings: self.findings,
            checks: self.checks,
            clauses: self.clauses,
            set_aside,
            seen,
            transcript: wanted.then(|| scribe.finish()),
        }
    }
}
