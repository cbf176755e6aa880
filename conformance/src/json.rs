//! A run as JSON, schema `touchstone.conform/1`: keys that CI scripts rely on.

use std::time::Duration;

use serde_json::{Map, Value, json};
use touchstone_report::timestamp::rfc3339;

use crate::results::{CaseResult, Run};
use crate::tap::Direction;
use crate::verdict::{CaseVerdict, Check, Finding};

/// What the documents call themselves.
pub const SCHEMA: &str = "touchstone.conform/1";

impl Run {
    /// The run as JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "schema": SCHEMA,
            "tool": {"version": self.tool.version, "commit": self.tool.commit},
            "target": self.target,
            "started_at": rfc3339(self.started_at),
            "duration_ms": millis(self.duration),
            "seed": self.seed,
            "verdict": self.verdict,
            "summary": self.summary_json(),
            "cases": self.cases.iter().map(case_json).collect::<Vec<_>>(),
            "coverage": self.coverage_json(),
        })
    }

    fn summary_json(&self) -> Value {
        let counts = self.counts();
        let mut summary = Map::new();
        summary.insert("total".to_owned(), counts.total().into());
        for verdict in CaseVerdict::ALL {
            summary.insert(verdict.name().to_owned(), counts.of(verdict).into());
        }
        summary.insert(
            "second_attempts".to_owned(),
            self.second_attempts().count().into(),
        );
        Value::Object(summary)
    }

    fn coverage_json(&self) -> Value {
        let messages = self.coverage.messages.iter().map(|message| {
            let direction = match message.direction {
                Direction::Up => "up",
                Direction::Down => "down",
            };
            json!({
                "dialect": message.dialect.name(),
                "type": message.kind,
                "direction": direction,
                "seen": message.seen,
            })
        });
        let close_codes =
            self.coverage.close_codes.iter().map(
                |close| json!({"dialect": close.dialect.name(), "code": close.code, "seen": close.seen}),
            );
        let clauses = self
            .coverage
            .clauses
            .iter()
            .map(|clause| json!({"id": clause.id.0, "cases": clause.cases}));
        json!({
            "messages": messages.collect::<Vec<_>>(),
            "close_codes": close_codes.collect::<Vec<_>>(),
            "clauses": clauses.collect::<Vec<_>>(),
        })
    }
}

fn case_json(case: &CaseResult) -> Value {
    let checks: Map<_, _> = Check::ALL
        .into_iter()
        .map(|check| {
            (
                check.name().to_owned(),
                Value::from(case.checks.get(check).name()),
            )
        })
        .collect();
    let mut out = json!({
        "id": case.id,
        "title": case.title,
        "rule": case.rule.0,
        "level": case.level.name(),
        "verdict": case.verdict.name(),
        "duration_ms": millis(case.duration),
        "late_ms": millis(case.late),
        "checks": checks,
        "set_aside": case.set_aside,
        "rerun": case.rerun,
    });
    if let Some(reason) = &case.reason {
        out["reason"] = reason.as_str().into();
    }
    if let Some(first) = &case.first_attempt {
        out["first_attempt"] = json!({
            "verdict": first.verdict.name(),
            "duration_ms": millis(first.duration),
            "late_ms": millis(first.late),
            "message": first.message(),
        });
    }
    if let Some(order) = &case.order {
        out["order"] = json!({"number": order.number, "of": order.of, "turns": order.turns});
    }
    if let Some(worst) = case.worst_finding() {
        let mut failure = finding_json(worst);
        failure["findings"] = case.findings.iter().map(finding_json).collect();
        failure["text"] = case.failure_text().into();
        out["failure"] = failure;
    }
    out
}

fn finding_json(finding: &Finding) -> Value {
    let mut out = json!({
        "clause": finding.clause.0,
        "level": finding.level.name(),
        "check": finding.check.name(),
        "pointer": finding.pointer,
        "expected": finding.expected,
        "actual": finding.actual,
    });
    if let Some(place) = &finding.place {
        out["place"] =
            json!({"path": place.path, "line": place.line, "column": place.column, "step": place.step});
    }
    if let Some(actor) = &finding.actor {
        out["actor"] = actor.as_str().into();
    }
    if let Some(why) = &finding.alternative {
        out["alternative"] = why.as_str().into();
    }
    out
}

/// Milliseconds with three decimals.
fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}
