//! From JSON back to the run: whatever report a run has, its JSON result has it too.

use std::time::Duration;

use serde::de::Error as _;
use serde_json::Value;
use touchstone_report::timestamp::moment;
use touchstone_scenarios::rules::ClauseId;

use super::{
    CHECK_SCHEMA, CaseJson, ChecksJson, CoverageJson, FindingJson, RunJson, SCHEMA, TranscriptJson, Way,
};
use crate::coverage::{ClauseCoverage, CloseCoverage, Coverage, MessageCoverage};
use crate::results::{CaseResult, OrderName, Run, Tool};
use crate::tap::Direction;
use crate::transcript::{Line, Transcript};
use crate::verdict::{Check, Checks, Finding};

/// Why a text is no result of the suite.
#[derive(Debug, thiserror::Error)]
pub enum NotAResult {
    /// Not JSON at all.
    #[error("it is not JSON: {0}")]
    Json(#[source] serde_json::Error),
    /// JSON of something else.
    #[error(
        "its `schema` is {found}; results are written by `conform run --report json=FILE` ({SCHEMA}) and by `check` \
         ({CHECK_SCHEMA})"
    )]
    Schema {
        /// What it says of itself.
        found: String,
    },
    /// A result whose keys are not those of this version.
    #[error("this version cannot read it: {0}; make it anew, or use the version that wrote it")]
    Keys(#[source] serde_json::Error),
}

/// Reads a result that [`Run::to_json`] wrote, alone or as a part of what `touchstone check` leaves. Keys that are not
/// known are ignored.
///
/// # Errors
/// See [`NotAResult`].
pub fn read(text: &str) -> Result<Run, NotAResult> {
    let mut value: Value = serde_json::from_str(text).map_err(NotAResult::Json)?;
    if value["schema"] == CHECK_SCHEMA {
        value = value["conform"].take();
    }
    if value["schema"] != SCHEMA {
        let found = match &value["schema"] {
            Value::Null => "missing".to_owned(),
            other => format!("`{}`", other.as_str().unwrap_or("no text")),
        };
        return Err(NotAResult::Schema { found });
    }
    let run: RunJson = serde_json::from_value(value).map_err(NotAResult::Keys)?;
    let started_at = moment(&run.started_at).ok_or_else(|| {
        NotAResult::Keys(serde_json::Error::custom(format!(
            "`started_at` is no time: {}",
            run.started_at
        )))
    })?;
    Ok(Run {
        tool: Tool {
            version: run.tool.version,
            commit: run.tool.commit,
        },
        target: run.target,
        started_at,
        duration: duration(run.duration_ms),
        seed: run.seed,
        verdict: run.verdict,
        only: run.only,
        cases: run.cases.into_iter().map(case).collect(),
        coverage: coverage(run.coverage),
    })
}

fn case(case: CaseJson) -> CaseResult {
    let findings = case.failure.map_or_else(Vec::new, |failure| failure.findings);
    CaseResult {
        id: case.id,
        scenario: case.scenario,
        title: case.title,
        dialect: case.dialect.map(|dialect| dialect.0),
        rule: ClauseId(case.rule),
        level: case.level,
        verdict: case.verdict,
        duration: duration(case.duration_ms),
        late: duration(case.late_ms),
        first_attempt: case.first_attempt.map(|first| Box::new(self::case(*first))),
        checks: checks(&case.checks),
        findings: findings.into_iter().map(finding).collect(),
        reason: case.reason,
        order: case.order.map(|order| OrderName {
            number: order.number,
            of: order.of,
            turns: order.turns,
        }),
        set_aside: case.set_aside,
        transcript: case.transcript.map(transcript),
        rerun: case.rerun,
        clauses: case.clauses.into_iter().map(ClauseId).collect(),
    }
}

fn checks(json: &ChecksJson) -> Checks {
    let mut checks = Checks::default();
    for check in Check::ALL {
        let state = match check {
            Check::Message => json.message,
            Check::Order => json.order,
            Check::Timing => json.timing,
            Check::Extra => json.extra,
            Check::Close => json.close,
            Check::Clean => json.clean,
        };
        checks.set(check, state);
    }
    checks
}

fn finding(finding: FindingJson) -> Finding {
    Finding {
        clause: ClauseId(finding.clause),
        level: finding.level,
        sentence: finding.sentence,
        weight: finding.verdict,
        check: finding.check,
        actor: finding.actor,
        place: finding.place,
        pointer: finding.pointer,
        expected: finding.expected,
        actual: finding.actual,
        whole: finding.whole,
        differences: finding.differences,
        alternative: finding.alternative,
    }
}

fn transcript(transcript: TranscriptJson) -> Transcript {
    let lines = transcript.lines.into_iter().map(|line| Line {
        at: duration(line.at_ms),
        actor: line.actor,
        direction: line.direction.map(direction),
        text: line.text,
    });
    Transcript {
        lines: lines.collect(),
        omitted: transcript.omitted.map(|omitted| (omitted.count, omitted.after)),
    }
}

fn coverage(coverage: CoverageJson) -> Coverage {
    let messages = coverage.messages.into_iter().map(|message| MessageCoverage {
        dialect: message.dialect.0,
        kind: message.r#type,
        direction: direction(message.direction),
        seen: message.seen,
    });
    let close_codes = coverage.close_codes.into_iter().map(|close| CloseCoverage {
        dialect: close.dialect.0,
        code: close.code,
        sent_by: close.sent_by,
        up: close.up,
        down: close.down,
        when: close.when,
        needs: close.needs,
    });
    let clauses = coverage.clauses.into_iter().map(|clause| ClauseCoverage {
        id: ClauseId(clause.id),
        level: clause.level,
        sentence: clause.sentence,
        needs: clause.needs,
        cases: clause.cases,
        not_judged: clause.not_judged,
    });
    Coverage {
        messages: messages.collect(),
        close_codes: close_codes.collect(),
        clauses: clauses.collect(),
    }
}

fn direction(way: Way) -> Direction {
    match way {
        Way::Up => Direction::Up,
        Way::Down => Direction::Down,
    }
}

/// Of milliseconds that no clock can show, none.
fn duration(millis: f64) -> Duration {
    Duration::try_from_secs_f64(millis / 1e3).unwrap_or_default()
}
