//! The Test Anything Protocol, version 14 (<https://testanything.org/tap-version-14-specification.html>), as one flat
//! list: a suite is a comment line before its cases.

use std::fmt::Write as _;

use crate::cases::{Case, Outcome, Suites};
use crate::text::{Lines, cut, visible};

/// A test point is one line; longer names are cut.
const LINE_CHARACTERS_MAX: usize = 1_000;

/// `suites` as TAP: what failed and what could not run are `not ok`, what was skipped is `ok … # SKIP reason`.
#[must_use]
pub fn render(suites: &Suites) -> String {
    let cases = suites.suites.iter().map(|suite| suite.cases.len()).sum::<usize>();
    let mut tap = String::from("TAP version 14\n");
    if cases == 0 {
        tap.push_str("1..0 # SKIP nothing was selected\n");
        return tap;
    }
    let mut number = 0;
    let written = writeln!(tap, "1..{cases}").and_then(|()| {
        for suite in &suites.suites {
            writeln!(tap, "# {}", line(&suite.name))?;
            for case in &suite.cases {
                number += 1;
                point(&mut tap, number, case)?;
            }
        }
        Ok(())
    });
    written.expect("writing to a string does not fail");
    tap
}

fn point(tap: &mut String, number: usize, case: &Case) -> std::fmt::Result {
    let name = escaped(&case.name);
    match &case.outcome {
        Outcome::Passed => writeln!(tap, "ok {number} - {name}"),
        Outcome::Skipped { reason } => writeln!(tap, "ok {number} - {name} # SKIP {}", escaped(reason)),
        Outcome::Failed { message, text } => {
            writeln!(tap, "not ok {number} - {name}")?;
            diagnostic(tap, "fail", message, text, case)
        }
        Outcome::Error { message, text } => {
            writeln!(tap, "not ok {number} - {name}")?;
            diagnostic(tap, "error", message, text, case)
        }
    }
}

/// The YAML block under a test point. A string of JSON is one of YAML too, so nothing in it can end the block.
fn diagnostic(tap: &mut String, severity: &str, message: &str, text: &str, case: &Case) -> std::fmt::Result {
    writeln!(
        tap,
        "  ---\n  severity: {severity}\n  message: {}",
        quoted(&line(message))
    )?;
    writeln!(tap, "  duration_ms: {}", case.time.as_millis())?;
    for (key, lines) in [("text", text), ("transcript", &case.output)] {
        if lines.is_empty() {
            continue;
        }
        writeln!(tap, "  {key}:")?;
        for each in visible(lines, Lines::Keep).lines() {
            writeln!(tap, "    - {}", quoted(&cut(each, LINE_CHARACTERS_MAX)))?;
        }
    }
    writeln!(tap, "  ...")
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn line(text: &str) -> String {
    cut(&visible(text, Lines::Flatten), LINE_CHARACTERS_MAX).into_owned()
}

/// `#` would begin a directive, a backslash an escape.
fn escaped(text: &str) -> String {
    line(text).replace('\\', "\\\\").replace('#', "\\#")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::cases::sample;

    #[test]
    fn every_outcome_has_its_line() {
        insta::assert_snapshot!(render(&sample()));
    }

    #[test]
    fn the_plan_counts_the_points_and_hostile_names_stay_in_theirs() {
        let tap = render(&sample());
        let points = tap
            .lines()
            .filter(|line| line.starts_with("ok ") || line.starts_with("not ok "))
            .count();
        assert!(tap.contains(&format!("\n1..{points}\n")), "{tap}");
        assert!(
            tap.lines().skip(2).all(|line| ["ok ", "not ok ", "# ", "  "]
                .iter()
                .any(|start| line.starts_with(start))),
            "{tap}"
        );
    }

    #[test]
    fn nothing_selected_is_a_skip() {
        assert_eq!(
            render(&Suites::new("none", Duration::ZERO)),
            "TAP version 14\n1..0 # SKIP nothing was selected\n"
        );
    }
}
