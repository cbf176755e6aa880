//! What a failure says: clause and sentence, place, expected, actual, what was seen, and how to see it again.

use std::fmt::Write;

use touchstone_report::{Block, hanging, number};

use crate::results::{CaseResult, LATE_MIN};
use crate::verdict::{CaseVerdict, Check, Difference, Finding, Place};

/// Columns of a text in a report: what a page has room for beside its table of contents.
const REPORT_COLUMNS: usize = 108;

/// Columns of an excerpt where nothing else is cut or broken: what is read by a program too.
const EXCERPT_COLUMNS: usize = 100;

/// An excerpt is never narrower: less says nothing.
const EXCERPT_COLUMNS_MIN: usize = 20;

/// What comes before the command that runs a case again.
const RERUN: &str = "  rerun: ";

/// Where what is expected and what was seen begins, in a line of a finding.
const FINDING_INDENT: usize = 14;

/// Differences of one message that are shown beside the first: more are one mistake made everywhere.
const DIFFERENCES_SHOWN: usize = 8;

impl CaseResult {
    /// The whole failure text. Empty for a case that passed, unless its transcript was asked for.
    #[must_use]
    pub fn failure_text(&self) -> String {
        self.failure_text_cut(EXCERPT_COLUMNS)
    }

    /// The same for a terminal or a page of so many columns: every line fits, with what goes on under what it belongs to.
    #[must_use]
    pub fn failure_text_within(&self, columns: usize) -> String {
        let text = self.failure_text_cut(columns);
        let lines = text.lines().map(|line| {
            // What is run again is copied: a line break would be run with it.
            if line.starts_with(RERUN) {
                line.to_owned()
            } else {
                hanging(line, columns, indent_of(line))
            }
        });
        lines.map(|line| line + "\n").collect()
    }

    /// The same for a page, where a long transcript lies in a box of its own: first the command that runs the case again, for
    /// which nobody should have to look in there.
    pub(crate) fn failure_blocks(&self) -> Vec<Block> {
        let text = self.failure_text_within(REPORT_COLUMNS);
        match text.strip_suffix(&format!("{RERUN}{}\n", self.rerun)) {
            Some(failure) => vec![
                Block::Text(format!("Run it again: `{}`", self.rerun)),
                Block::Code(failure.to_owned()),
            ],
            None => vec![Block::Code(text)],
        }
    }

    /// With excerpts of scenarios cut to so many columns: under a line that wraps a caret points at nothing.
    fn failure_text_cut(&self, columns: usize) -> String {
        let mut out = String::new();
        if self.findings.is_empty() && self.reason.is_none() && self.transcript.is_none() {
            return out;
        }
        out.push_str(&self.headline());
        out.push('\n');
        if let Some(reason) = &self.reason {
            line(&mut out, format_args!("  {reason}"));
        }
        self.push_findings(&mut out, columns);
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
        line(&mut out, format_args!("{RERUN}{}", self.rerun));
        out
    }

    /// Each with the clause that it is judged under; what a clause says is said once.
    fn push_findings(&self, out: &mut String, columns: usize) {
        let mut said = Vec::new();
        for finding in &self.findings {
            let is_title = self.is_its_own_clause() && finding.clause == self.rule;
            let (clause, level) = (&finding.clause, finding.level);
            if is_title || said.last() == Some(&clause) {
                // It stands above already.
            } else if said.contains(&clause) {
                line(out, format_args!("  {clause} ({level}) again"));
            } else {
                line(
                    out,
                    format_args!("  {clause} ({level}): \"{}\"", finding.sentence),
                );
            }
            said.push(clause);
            out.push_str(&finding.text(columns));
        }
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
                    "{}: expected {}{}, got {}",
                    finding.clause,
                    finding.expected,
                    finding.at(),
                    finding.actual
                )
            }
            (None, Some(reason)) => reason.clone(),
            (None, None) => String::new(),
        }
    }
}

impl Finding {
    /// Excerpt of at most so many columns with a caret, expected, actual, and what else differs.
    #[must_use]
    pub fn text(&self, columns: usize) -> String {
        let mut out = String::new();
        if let Some(place) = &self.place {
            let gutter = " ".repeat(place.line.to_string().len());
            line(
                &mut out,
                format_args!(
                    "  {gutter}--> {}:{}:{}  step {}",
                    place.path, place.line, place.column, place.step
                ),
            );
            let (shown, carets) = excerpt(place, columns.saturating_sub(gutter.len() + 5));
            line(&mut out, format_args!("  {} | {shown}", place.line));
            line(&mut out, format_args!("  {gutter} | {carets}"));
        }
        let actor = self
            .actor
            .as_ref()
            .map_or_else(String::new, |actor| format!("{actor}: "));
        line(
            &mut out,
            format_args!("    expected  {actor}{}{}", self.expected, self.at()),
        );
        line(&mut out, format_args!("    actual    {actor}{}", self.actual));
        self.push_differences(&mut out);
        if let Some(whole) = &self.whole {
            line(&mut out, format_args!("    in        {whole}"));
        }
        if let Some(why) = &self.alternative {
            line(&mut out, format_args!("    a known alternative: {why}"));
        }
        out
    }

    /// Where in the message, for the end of a sentence.
    fn at(&self) -> String {
        if self.pointer.is_empty() {
            String::new()
        } else {
            format!(" at {}", self.pointer)
        }
    }

    /// The places that expected and actual do not speak of.
    fn push_differences(&self, out: &mut String) {
        let is_said = |other: &&Difference| other.pointer == self.pointer && other.expected == self.expected;
        let others: Vec<_> = self.differences.iter().filter(|other| !is_said(other)).collect();
        let mut label = "differs";
        for other in others.iter().take(DIFFERENCES_SHOWN) {
            let at = if other.pointer.is_empty() {
                "all of it"
            } else {
                &other.pointer
            };
            let (expected, actual) = (&other.expected, &other.actual);
            line(
                out,
                format_args!("    {label:<8}  {at}: expected {expected}, got {actual}"),
            );
            label = "";
        }
        if let Some(left @ 1..) = others.len().checked_sub(DIFFERENCES_SHOWN) {
            line(out, format_args!("              … and {left} more"));
        }
    }
}

/// A line of a scenario cut to `columns` around its place, and what points at the place from under it.
fn excerpt(place: &Place, columns: usize) -> (String, String) {
    let columns = columns.max(EXCERPT_COLUMNS_MIN);
    let letters: Vec<char> = place.text.chars().collect();
    let column = (place.column - 1).min(letters.len());
    // As much of what is meant as there is room for, with a third of the room before it.
    let start = if letters.len() <= columns {
        0
    } else {
        column.saturating_sub(columns / 3).min(letters.len() - columns)
    };
    let end = letters.len().min(start + columns);
    let mut shown = letters[start..end].to_vec();
    if start > 0 {
        shown[0] = '…';
    }
    if end < letters.len()
        && let Some(last) = shown.last_mut()
    {
        *last = '…';
    }
    // A span may go on in the next line; the caret does not.
    let width = place.width.min(end.saturating_sub(column)).max(1);
    let carets = " ".repeat(column - start) + &"^".repeat(width);
    (shown.into_iter().collect(), carets)
}

/// How far the rest of a line that does not fit is indented.
fn indent_of(line: &str) -> usize {
    let blanks = line.len() - line.trim_start_matches(' ').len();
    // `  --> ann  text …` of a transcript goes on under its text.
    let transcript = ["--> ", "<-- ", " *  "]
        .into_iter()
        .filter_map(|arrow| line.find(arrow).map(|at| at + arrow.len()));
    match transcript.min() {
        Some(at) if line[..at].contains(" ms  ") => line[..at].chars().count(),
        Some(_) | None if blanks >= 4 => FINDING_INDENT,
        Some(_) | None => blanks + 2,
    }
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing into a string cannot fail.
    let _written = writeln!(out, "{text}");
}

#[cfg(test)]
mod tests {
    use touchstone_scenarios::rules::{ClauseId, Level};

    use super::*;

    fn place(text: &str, column: usize, width: usize) -> Place {
        Place {
            step: 2,
            path: "own/first.yaml".to_owned(),
            line: 7,
            column,
            text: text.to_owned(),
            width,
        }
    }

    fn difference(pointer: &str) -> Difference {
        Difference {
            pointer: pointer.to_owned(),
            expected: "1".to_owned(),
            actual: "2".to_owned(),
        }
    }

    fn finding(differences: Vec<Difference>) -> Finding {
        Finding {
            clause: ClauseId("echo/2a".to_owned()),
            level: Level::Must,
            sentence: "a text comes back".to_owned(),
            weight: CaseVerdict::Failed,
            check: Check::Message,
            actor: Some("ann".to_owned()),
            place: None,
            pointer: "/a".to_owned(),
            expected: "1".to_owned(),
            actual: "2".to_owned(),
            whole: Some("{…}".to_owned()),
            differences,
            alternative: None,
        }
    }

    #[test]
    fn an_excerpt_is_cut_around_its_place_and_the_caret_stays_under_it() {
        let long = format!("{}MEANT{}", "a".repeat(100), "z".repeat(100));
        for (text, column, width, shown, carets) in [
            ("short: line", 8, 4, "short: line", "       ^^^^"),
            (&long, 101, 5, "…aaaaaaaaaMEANTzzzzzzzzzzzzzz…", "          ^^^^^"),
            (&long, 1, 3, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaa…", "^^^"),
            (
                &long,
                205,
                1,
                "…zzzzzzzzzzzzzzzzzzzzzzzzzzzzz",
                "                             ^",
            ),
            (
                &long,
                101,
                90,
                "…aaaaaaaaaMEANTzzzzzzzzzzzzzz…",
                "          ^^^^^^^^^^^^^^^^^^^^",
            ),
        ] {
            let cut = excerpt(&place(text, column, width), 30);
            assert_eq!(cut, (shown.to_owned(), carets.to_owned()), "{column} {width}");
        }
    }

    #[test]
    fn every_difference_is_shown_up_to_a_bound() {
        assert_eq!(
            finding(vec![difference("/a"), difference("/b"), difference("/c")]).text(80),
            "    expected  ann: 1 at /a\n    actual    ann: 2\n    differs   /b: expected 1, got 2\n              \
             /c: expected 1, got 2\n    in        {…}\n"
        );
        let many = (0..11).map(|index| difference(&format!("/{index}"))).collect();
        let text = finding(many).text(80);
        assert!(text.contains("/7: expected 1") && !text.contains("/8:"), "{text}");
        assert!(text.contains("              … and 3 more\n"), "{text}");
    }
}
