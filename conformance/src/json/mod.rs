//! A run as JSON, schema `touchstone.conform/1`: keys that CI scripts rely on, and all that `conform report` and
//! `conform coverage` need to make every other report of it again.
//!
//! What is written is what is read: both are made from the types of this module.

mod dialect;
mod read;
mod write;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use touchstone_report::Verdict;
use touchstone_scenarios::rules::{Level, SentBy};

pub use read::{NotAResult, read};

use dialect::DialectName;

use crate::verdict::{CaseVerdict, Check, CheckState, Difference, Place};

/// What the documents call themselves.
pub const SCHEMA: &str = "touchstone.conform/1";

/// The schema of `touchstone check`, which holds a run under `conform`.
const CHECK_SCHEMA: &str = "touchstone.check/1";

#[derive(Serialize, Deserialize)]
struct RunJson {
    schema: String,
    tool: ToolJson,
    target: String,
    started_at: String,
    duration_ms: f64,
    seed: u64,
    verdict: Verdict,
    /// Which cases were asked for; empty for all of them.
    only: Vec<String>,
    /// For scripts; counted anew when it is read.
    #[serde(skip_deserializing)]
    summary: Value,
    cases: Vec<CaseJson>,
    coverage: CoverageJson,
}

#[derive(Serialize, Deserialize)]
struct ToolJson {
    version: String,
    commit: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct CaseJson {
    id: String,
    scenario: String,
    title: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    dialect: Option<DialectName>,
    rule: String,
    level: Level,
    verdict: CaseVerdict,
    duration_ms: f64,
    /// How much of that the judge itself was late.
    late_ms: f64,
    /// Of a first attempt, which has no place of its own in the report.
    #[serde(skip_deserializing, skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_attempt: Option<Box<CaseJson>>,
    checks: ChecksJson,
    /// The clauses that its steps looked at.
    clauses: Vec<String>,
    set_aside: usize,
    rerun: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    order: Option<OrderJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<FailureJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    transcript: Option<TranscriptJson>,
}

#[derive(Serialize, Deserialize)]
struct ChecksJson {
    message: CheckState,
    order: CheckState,
    timing: CheckState,
    extra: CheckState,
    close: CheckState,
    clean: CheckState,
}

#[derive(Serialize, Deserialize)]
struct OrderJson {
    number: usize,
    of: usize,
    turns: String,
}

/// The finding that decided, for scripts that look no further; then all of them, and the whole failure as text.
#[derive(Serialize, Deserialize)]
struct FailureJson {
    clause: String,
    level: Level,
    check: Check,
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<Place>,
    pointer: String,
    expected: String,
    actual: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    alternative: Option<String>,
    findings: Vec<FindingJson>,
    text: String,
}

#[derive(Serialize, Deserialize)]
struct FindingJson {
    clause: String,
    level: Level,
    sentence: String,
    verdict: CaseVerdict,
    check: Check,
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<Place>,
    pointer: String,
    expected: String,
    actual: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    whole: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    differences: Vec<Difference>,
    #[serde(skip_serializing_if = "Option::is_none")]
    alternative: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct TranscriptJson {
    lines: Vec<LineJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    omitted: Option<OmittedJson>,
}

#[derive(Serialize, Deserialize)]
struct LineJson {
    at_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    direction: Option<Way>,
    text: String,
}

/// Lines that are left out.
#[derive(Serialize, Deserialize)]
struct OmittedJson {
    count: usize,
    after: usize,
}

/// From the client, or from the server.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Way {
    Up,
    Down,
}

#[derive(Serialize, Deserialize)]
struct CoverageJson {
    messages: Vec<MessageJson>,
    close_codes: Vec<CloseJson>,
    clauses: Vec<ClauseJson>,
}

#[derive(Serialize, Deserialize)]
struct MessageJson {
    dialect: DialectName,
    r#type: String,
    direction: Way,
    seen: u64,
}

#[derive(Serialize, Deserialize)]
struct CloseJson {
    dialect: DialectName,
    code: u16,
    /// From whoever may send it.
    seen: u64,
    /// From the client.
    up: u64,
    /// From the server.
    down: u64,
    when: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    sent_by: Option<SentBy>,
    #[serde(skip_serializing_if = "Option::is_none")]
    needs: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct ClauseJson {
    id: String,
    level: Level,
    sentence: String,
    cases: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    needs: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_judged: Option<String>,
}
