//! What a failure says: clause and sentence, place, expected, actual, what was seen, and how to see it again.

use std::fmt::Write;

use touchstone_report::number;

use crate::results::{CaseResult, LATE_MIN};
use crate::verdict::{CaseVerdict, Check, Finding};

impl CaseResult {
    /// The whole failure text. Empty for a case that passed, unless its transcript was asked for.
    #[must_use]
    pub fn failure_text(&self) -> String {
        let mut out = String::new();
        if self.findings.is_empty() && self.reason.is_none() && self.transcript.is_none() {
            return out;
        }
        out.push_str(&self.headline());
        out.push('\n');
        if let Some(reason) = &self.reason {
            line(&mut out, format_args!("  {reason}"));
        }
        for finding in &self.findings {
            if !self.is_its_own_clause() || finding.clause != self.rule {
                line(
                    &mut out,
                    format_args!(
                        "  {} ({}): \"{}\"",
                        finding.clause, finding.level, finding.sentence
                    ),
                );
            }
            out.push_str(&finding.text());
        }
        if let Some(first) = &self.first_attempt {
            let late = number::duration(first.late);
            line(
                &mut out,
                format_args!("  second attempt: the judge itself was late by {late} in the first"),
            );
        }
        if self.late >= LATE_MIN {
            let late = number::duration(self.late);
            line(&mut out, format_args!("  the judge itself was late by {late}"));
        }
        let checks = self.checks_text();
        if self.verdict != CaseVerdict::Skipped && !checks.is_empty() {
            line(&mut out, format_args!("  checks: {checks}"));
        }
        if let Some(transcript) = &self.transcript
            && !transcript.lines.is_empty()
        {
            line(&mut out, format_args!("  transcript:"));
            out.push_str(&transcript.to_text());
        }
        line(&mut out, format_args!("  rerun: {}", self.rerun));
        out
    }

    /// One line: verdict, id, clause and its level, order.
    #[must_use]
    pub fn headline(&self) -> String {
        let order = self.order.as_ref().map_or_else(String::new, |order| {
            format!("   order {}/{} ({})", order.number, order.of, order.turns)
        });
        let verdict = self.verdict.name().to_uppercase().replace('_', " ");
        let clause = if self.is_its_own_clause() {
            String::new()
        } else {
            format!("   {}", self.rule)
        };
        format!(
            "{verdict} {}{clause} ({}): {}{order}",
            self.id, self.level, self.title
        )
    }

    /// A scenario without a dialect: what it is about stands in its title.
    fn is_its_own_clause(&self) -> bool {
        self.rule.0 == self.scenario
    }

    /// The aspects that were looked at: `message ✔  extra ✘`.
    #[must_use]
    pub fn checks_text(&self) -> String {
        let shown = Check::ALL.into_iter().filter_map(|check| {
            let sign = match self.checks.get(check) {
                crate::verdict::CheckState::Ok => '✔',
                crate::verdict::CheckState::Failed => '✘',
                crate::verdict::CheckState::NotApplicable => return None,
            };
            Some(format!("{} {sign}", check.name()))
        });
        shown.collect::<Vec<_>>().join("  ")
    }

    /// The finding that decided, if one did.
    #[must_use]
    pub fn worst_finding(&self) -> Option<&Finding> {
        // The first of the worst: what came after it may only follow from it.
        self.findings.iter().rev().max_by_key(|finding| finding.weight)
    }

    /// One line about a first attempt that does not count, and what came of the second.
    #[must_use]
    pub fn second_attempt_line(&self) -> Option<String> {
        let first = self.first_attempt.as_ref()?;
        Some(format!(
            "{}   {} while the judge was late by {} ({}); then {}",
            self.id,
            first.verdict.name().replace('_', " "),
            number::duration(first.late),
            first.message(),
            self.verdict.name().replace('_', " "),
        ))
    }

    /// One line for JUnit and for lists: what was not as expected, or why it was not tried.
    #[must_use]
    pub fn message(&self) -> String {
        match (self.worst_finding(), &self.reason) {
            (Some(finding), _) => {
                format!(
                    "{}: expected {}, got {}",
                    finding.clause, finding.expected, finding.actual
                )
            }
            (None, Some(reason)) => reason.clone(),
            (None, None) => String::new(),
        }
    }
}

impl Finding {
    /// Excerpt with a caret, expected, actual.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::new();
        if let Some(place) = &self.place {
            let number = place.line.to_string();
            let gutter = " ".repeat(number.len());
            let indent = " ".repeat(place.column.saturating_sub(1));
            // A span may go on in the next line; the caret does not.
            let left = place.text.chars().count().saturating_sub(place.column - 1);
            let carets = "^".repeat(place.width.min(left).max(1));
            line(
                &mut out,
                format_args!(
                    "  {gutter}--> {}:{}:{}  step {}",
                    place.path, place.line, place.column, place.step
                ),
            );
            line(&mut out, format_args!("  {number} | {}", place.text));
            line(&mut out, format_args!("  {gutter} | {indent}{carets}"));
        }
        let actor = self
            .actor
            .as_ref()
            .map_or_else(String::new, |actor| format!("{actor}: "));
        let at = if self.pointer.is_empty() {
            String::new()
        } else {
            format!(" at {}", self.pointer)
        };
        line(
            &mut out,
            format_args!("    expected  {actor}{}{at}", self.expected),
        );
        line(&mut out, format_args!("    actual    {actor}{}", self.actual));
        if let Some(why) = &self.alternative {
            line(&mut out, format_args!("    a known alternative: {why}"));
        }
        out
    }
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing into a string cannot fail.
    let _written = writeln!(out, "{text}");
}
