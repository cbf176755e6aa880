//! From a run to JSON.

use std::time::Duration;

use serde_json::{Map, Value};
use touchstone_report::timestamp::rfc3339;

use super::{
    CaseJson, ChecksJson, ClauseJson, CloseJson, CoverageJson, DialectName, FailureJson, FindingJson,
    LineJson, MessageJson, OmittedJson, OrderJson, RunJson, SCHEMA, ToolJson, TranscriptJson, Way,
};
use crate::coverage::Coverage;
use crate::results::{CaseResult, Run};
use crate::tap::Direction;
use crate::transcript::Transcript;
use crate::verdict::{CaseVerdict, Check, Checks, Finding};

impl Run {
    /// The run as JSON.
    ///
    /// # Panics
    /// Never: every key is a string.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let run = RunJson {
            schema: SCHEMA.to_owned(),
            tool: ToolJson {
                version: self.tool.version.clone(),
                commit: self.tool.commit.clone(),
            },
            target: self.target.clone(),
            started_at: rfc3339(self.started_at),
            duration_ms: millis(self.duration),
            seed: self.seed,
            verdict: self.verdict,
            only: self.only.clone(),
            summary: self.summary_json(),
            cases: self.cases.iter().map(case_json).collect(),
            coverage: coverage_json(&self.coverage),
        };
        serde_json::to_value(run).expect("every key is a string")
    }

    /// How many cases ended how.
    #[must_use]
    pub fn summary_json(&self) -> Value {
        let counts = self.counts();
        let mut summary = Map::new();
        summary.insert("total".to_owned(), counts.total().into());
        for verdict in CaseVerdict::ALL {
            summary.insert(verdict.name().to_owned(), counts.of(verdict).into());
        }
        let again = self.second_attempts().count();
        summary.insert("second_attempts".to_owned(), again.into());
        Value::Object(summary)
    }
}

impl Coverage {
    /// What was seen, as every report of a run has it under `coverage`.
    ///
    /// # Panics
    /// Never: every key is a string.
    #[must_use]
    pub fn to_json(&self) -> Value {
        serde_json::to_value(coverage_json(self)).expect("every key is a string")
    }
}

fn coverage_json(coverage: &Coverage) -> CoverageJson {
    let messages = coverage.messages.iter().map(|message| MessageJson {
        dialect: DialectName(message.dialect),
        r#type: message.kind.clone(),
        direction: way(message.direction),
        seen: message.seen,
    });
    let close_codes = coverage.close_codes.iter().map(|close| CloseJson {
        dialect: DialectName(close.dialect),
        code: close.code,
        seen: close.seen(),
        up: close.up,
        down: close.down,
        when: close.when.clone(),
        sent_by: close.sent_by,
        needs: close.needs.clone(),
    });
    let clauses = coverage.clauses.iter().map(|clause| ClauseJson {
        id: clause.id.0.clone(),
        level: clause.level,
        sentence: clause.sentence.clone(),
        cases: clause.cases.clone(),
        needs: clause.needs.clone(),
        not_judged: clause.not_judged.clone(),
    });
    CoverageJson {
        messages: messages.collect(),
        close_codes: close_codes.collect(),
        clauses: clauses.collect(),
    }
}

fn case_json(case: &CaseResult) -> CaseJson {
    CaseJson {
        id: case.id.clone(),
        scenario: case.scenario.clone(),
        title: case.title.clone(),
        dialect: case.dialect.map(DialectName),
        rule: case.rule.0.clone(),
        level: case.level,
        verdict: case.verdict,
        duration_ms: millis(case.duration),
        late_ms: millis(case.late),
        message: None,
        first_attempt: case.first_attempt.as_ref().map(|first| {
            Box::new(CaseJson {
                message: Some(first.message()),
                ..case_json(first)
            })
        }),
        checks: checks_json(case.checks),
        clauses: case.clauses.iter().map(|clause| clause.0.clone()).collect(),
        set_aside: case.set_aside,
        rerun: case.rerun.clone(),
        reason: case.reason.clone(),
        order: case.order.as_ref().map(|order| OrderJson {
            number: order.number,
            of: order.of,
            turns: order.turns.clone(),
        }),
        failure: case.worst_finding().map(|worst| failure_json(case, worst)),
        transcript: case.transcript.as_ref().map(transcript_json),
    }
}

fn checks_json(checks: Checks) -> ChecksJson {
    ChecksJson {
        message: checks.get(Check::Message),
        order: checks.get(Check::Order),
        timing: checks.get(Check::Timing),
        extra: checks.get(Check::Extra),
        close: checks.get(Check::Close),
        clean: checks.get(Check::Clean),
    }
}

fn failure_json(case: &CaseResult, worst: &Finding) -> FailureJson {
    FailureJson {
        clause: worst.clause.0.clone(),
        level: worst.level,
        check: worst.check,
        actor: worst.actor.clone(),
        place: worst.place.clone(),
        pointer: worst.pointer.clone(),
        expected: worst.expected.clone(),
        actual: worst.actual.clone(),
        alternative: worst.alternative.clone(),
        findings: case.findings.iter().map(finding_json).collect(),
        text: case.failure_text(),
    }
}

fn finding_json(finding: &Finding) -> FindingJson {
    FindingJson {
        clause: finding.clause.0.clone(),
        level: finding.level,
        sentence: finding.sentence.clone(),
        verdict: finding.weight,
        check: finding.check,
        actor: finding.actor.clone(),
        place: finding.place.clone(),
        pointer: finding.pointer.clone(),
        expected: finding.expected.clone(),
        actual: finding.actual.clone(),
        whole: finding.whole.clone(),
        differences: finding.differences.clone(),
        alternative: finding.alternative.clone(),
    }
}

fn transcript_json(transcript: &Transcript) -> TranscriptJson {
    let lines = transcript.lines.iter().map(|line| LineJson {
        at_ms: millis(line.at),
        actor: line.actor.clone(),
        direction: line.direction.map(way),
        text: line.text.clone(),
    });
    TranscriptJson {
        lines: lines.collect(),
        omitted: transcript
            .omitted
            .map(|(count, after)| OmittedJson { count, after }),
    }
}

fn way(direction: Direction) -> Way {
    match direction {
        Direction::Up => Way::Up,
        Direction::Down => Way::Down,
    }
}

/// Milliseconds with three decimals.
fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}
