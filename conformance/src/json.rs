//! A run as JSON, schema `touchstone.conform/1`: keys that CI scripts rely on.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

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
        "checks": checks,
        "set_aside": case.set_aside,
        "rerun": case.rerun,
    });
    if let Some(reason) = &case.reason {
        out["reason"] = reason.as_str().into();
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

/// UTC with milliseconds (common/10a): `2024-01-01T12:00:00.000Z`.
#[must_use]
pub(crate) fn rfc3339(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (seconds, millis) = (since.as_secs(), since.subsec_millis());
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Days to a date of the Gregorian calendar: Howard Hinnant, "chrono-compatible low-level date algorithms".
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_utc_with_milliseconds() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_868_800_000, "2000-03-01T00:00:00.000Z"),
            (1_704_110_400_000, "2024-01-01T12:00:00.000Z"),
        ] {
            assert_eq!(rfc3339(UNIX_EPOCH + Duration::from_millis(millis)), text);
        }
    }
}
