//! A matrix as JSON, schema `touchstone.mutants/1`: keys that CI scripts rely on.

use serde_json::{Value, json};
use touchstone_report::timestamp::rfc3339;

use super::results::{Fate, Matrix, MutantResult};

/// What the documents call themselves.
pub const SCHEMA: &str = "touchstone.mutants/1";

impl Matrix {
    /// The matrix as JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let not_green = self.control.not_green.iter().map(|failure| {
            json!({
                "id": failure.case,
                "run": failure.run,
                "verdict": failure.verdict.name(),
                "message": failure.message,
                "text": failure.text,
            })
        });
        json!({
            "schema": SCHEMA,
            "tool": {"version": self.tool.version, "commit": self.tool.commit},
            "target": self.target,
            "started_at": rfc3339(self.started_at),
            "duration_ms": (self.duration.as_secs_f64() * 1e6).round() / 1e3,
            "seed": self.seed,
            "verdict": self.verdict,
            "extent": self.extent.name(),
            "trials": self.trials,
            "control": {
                "runs": self.control.runs,
                "green": self.control.green,
                "cases": self.control.cases,
                "skipped": self.control.skipped,
                "not_green": not_green.collect::<Vec<_>>(),
            },
            "mutants": self.mutants.iter().map(mutant_json).collect::<Vec<_>>(),
            "scenarios_without_kill": self.scenarios_without_kill,
        })
    }
}

fn mutant_json(mutant: &MutantResult) -> Value {
    let by_catch = mutant
        .by_catch
        .iter()
        .map(|caught| json!({"id": caught.case, "clauses": caught.clauses}));
    let mut out = json!({
        "id": mutant.id,
        "dialect": mutant.dialect,
        "breaks": mutant.breaks,
        "clauses": mutant.clauses,
        "fate": mutant.fate.name(),
        "survived": mutant.fate.is_survival(),
        "killed_by": mutant.killed_by,
        "wrong_names": mutant.wrong_names,
        "by_catch": by_catch.collect::<Vec<_>>(),
        "could_not_run": mutant.could_not_run,
        "tried": mutant.tried,
        "touched": mutant.touched,
    });
    if let Fate::NotTried(why) = &mutant.fate {
        out["reason"] = why.as_str().into();
    }
    out
}
