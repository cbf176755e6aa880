//! One case from its requirements to its verdict: a trial for each order of its interleaving.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use touchstone_report::number;

use super::Outcome;
use super::bench::Bench;
use super::orders::{Turns, orders};
use super::trial::{End, Trial, TrialReport};
use super::waits::waits;
use crate::clauses::clauses_of_case;
use crate::coverage::Seen;
use crate::results::{CaseResult, OrderName};
use crate::select::Case;
use crate::verdict::{CaseVerdict, Checks, worst};

/// Runs a case.
pub(crate) async fn run_case(bench: &Bench, case: &Case, stop: &CancellationToken) -> Outcome {
    if let Some(key) = case.missing_requirement(bench.sut.target()) {
        return skipped(
            bench,
            case,
            format!("the target has no `{key}`; its target file can say how to reach it"),
        );
    }
    if let Some(why) = bench.in_the_way(case) {
        return could_not_run(bench, case, why);
    }
    let waits = waits(bench, case);
    if waits > bench.options.waits_max {
        let reason = format!(
            "it waits {} at the target's timings; start the server with shorter ones, and say so under `timings:` of its target file",
            number::duration(waits)
        );
        return skipped(bench, case, reason);
    }
    let began = Instant::now();
    let deadline = bench.stretched(bench.options.case_deadline + waits);
    let trials = stop.run_until_cancelled(tokio::time::timeout(deadline, run_trials(bench, case)));
    let mut outcome = match trials.await {
        None => skipped(bench, case, "the run was interrupted".to_owned()),
        Some(Err(_)) => could_not_run(
            bench,
            case,
            format!("it was not over after {}", number::duration(deadline)),
        ),
        Some(Ok(outcome)) => outcome,
    };
    outcome.result.duration = began.elapsed();
    outcome.result.late = bench.lateness.since(began);
    end_faults(bench, case).await;
    outcome
}

/// Whatever the case did to the store is over before the next one begins: it may have ended before its fault.
async fn end_faults(bench: &Bench, case: &Case) {
    if case
        .scenario
        .requires
        .iter()
        .any(|key| key.value == "faults.store")
    {
        // A server that does not answer has no fault left, or the next case says what is wrong with it.
        let _ = bench.sut.break_store("down", Duration::ZERO).await;
    }
}

async fn run_trials(bench: &Bench, case: &Case) -> Outcome {
    let orders = orders(&case.scenario);
    let mut result = blank(bench, case, CaseVerdict::Passed);
    let mut seen = Seen::default();
    if let Some(only) = bench.options.order
        && orders.len() > 1
        && !(1..=orders.len()).contains(&only)
    {
        let why = format!("there is no order {only}: the case has {}", orders.len());
        return could_not_run(bench, case, why);
    }
    for (index, turns) in orders.iter().enumerate() {
        let number = index + 1;
        if bench
            .options
            .order
            .is_some_and(|only| only != number && orders.len() > 1)
        {
            continue;
        }
        let report = Box::pin(Trial::new(bench, case, number, turns.clone()).run()).await;
        seen.merge(report.seen.clone());
        take(&mut result, report);
        if result.verdict != CaseVerdict::Passed {
            if orders.len() > 1 {
                result.order = Some(OrderName {
                    number,
                    of: orders.len(),
                    turns: names(case, turns),
                });
                result.rerun.push_str(&format!(" --order {number}"));
            }
            break;
        }
    }
    Outcome { result, seen }
}

fn take(result: &mut CaseResult, report: TrialReport) {
    result.checks.merge(report.checks);
    result.set_aside += report.set_aside;
    result.transcript = report.transcript;
    for clause in report.clauses {
        if !result.clauses.contains(&clause) {
            result.clauses.push(clause);
        }
    }
    result.verdict = match report.end {
        End::Judged => worst(report.findings.iter().map(|finding| finding.weight)),
        End::CouldNotRun(why) => {
            result.reason = Some(why);
            CaseVerdict::CouldNotRun
        }
        End::Skipped(why) => {
            result.reason = Some(why);
            CaseVerdict::Skipped
        }
    };
    result.findings = report.findings;
}

fn names(case: &Case, turns: &Turns) -> String {
    use touchstone_scenarios::scenario::Action;
    let lanes = case.scenario.steps.iter().find_map(|step| match &step.action {
        Action::Interleave { lanes, .. } => Some(lanes),
        _ => None,
    });
    let name = |lane: &usize| {
        lanes
            .and_then(|lanes| lanes.get(*lane))
            .map_or("?", |(name, _)| name.as_str())
    };
    turns.iter().map(name).collect::<Vec<_>>().join(" ")
}

/// A case that is not tried.
pub(crate) fn skipped(bench: &Bench, case: &Case, reason: String) -> Outcome {
    let mut result = blank(bench, case, CaseVerdict::Skipped);
    result.reason = Some(reason);
    result.clauses = clauses_of_case(case);
    Outcome {
        result,
        seen: Seen::default(),
    }
}

/// A case that was begun and could not be judged.
pub(crate) fn could_not_run(bench: &Bench, case: &Case, reason: String) -> Outcome {
    let mut result = blank(bench, case, CaseVerdict::CouldNotRun);
    result.reason = Some(reason);
    result.clauses = clauses_of_case(case);
    Outcome {
        result,
        seen: Seen::default(),
    }
}

fn blank(bench: &Bench, case: &Case, verdict: CaseVerdict) -> CaseResult {
    let (level, _) = bench.clause(case.rule(), case);
    CaseResult {
        id: case.id.clone(),
        scenario: case.scenario.id.clone(),
        title: case.scenario.title.clone(),
        dialect: case.dialect,
        rule: case.rule().clone(),
        level,
        verdict,
        duration: Duration::ZERO,
        late: Duration::ZERO,
        first_attempt: None,
        checks: Checks::default(),
        findings: Vec::new(),
        reason: None,
        order: None,
        set_aside: 0,
        transcript: None,
        rerun: format!("{} '{}'", bench.options.rerun, case.id),
        clauses: Vec::new(),
    }
}
