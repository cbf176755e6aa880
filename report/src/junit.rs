//! JUnit XML, as continuous integration reads it.

use quick_junit::{NonSuccessKind, Property, Report, TestCase, TestCaseStatus, TestSuite};

use crate::cases::{Case, Outcome, Suite, Suites};
use crate::text::{Lines, cut, visible};

/// The XML could not be written.
#[derive(Debug, thiserror::Error)]
#[error("the JUnit report cannot be written: {0}")]
pub struct Unwritable(#[from] quick_junit::SerializeError);

/// Messages are attributes, shown in one line; longer ones belong in the text.
const MESSAGE_CHARACTERS_MAX: usize = 1_000;

/// `suites` as JUnit XML: failed is `failure`, could not run is `error`; whatever text they hold, it is well formed.
pub fn render(suites: &Suites) -> Result<String, Unwritable> {
    let mut report = Report::new(line(&suites.name));
    report.set_time(suites.time);
    report.add_test_suites(suites.suites.iter().map(suite));
    Ok(report.to_string()?)
}

fn suite(suite: &Suite) -> TestSuite {
    let mut written = TestSuite::new(line(&suite.name));
    written.set_time(suite.cases.iter().map(|case| case.time).sum());
    written.add_properties(suite.properties.iter().map(property));
    written.add_test_cases(suite.cases.iter().map(case));
    written
}

fn case(case: &Case) -> TestCase {
    let mut written = TestCase::new(line(&case.name), status(&case.outcome));
    written.set_classname(line(&case.class));
    written.set_time(case.time);
    written.add_properties(case.properties.iter().map(property));
    if !case.output.is_empty() {
        written.set_system_out(lines(&case.output));
    }
    written
}

fn status(outcome: &Outcome) -> TestCaseStatus {
    let (kind, message, text) = match outcome {
        Outcome::Passed => return TestCaseStatus::success(),
        Outcome::Skipped { reason } => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(line(reason));
            return status;
        }
        Outcome::Failed { message, text } => (NonSuccessKind::Failure, message, text),
        Outcome::Error { message, text } => (NonSuccessKind::Error, message, text),
    };
    let mut status = TestCaseStatus::non_success(kind);
    status.set_message(line(message));
    if !text.is_empty() {
        status.set_description(lines(text));
    }
    status
}

fn property((name, value): &(String, String)) -> Property {
    Property::new(line(name), line(value))
}

fn line(text: &str) -> String {
    cut(&visible(text, Lines::Flatten), MESSAGE_CHARACTERS_MAX).into_owned()
}

/// Tabs as spaces: the writer below takes them for control characters and drops them.
fn lines(text: &str) -> String {
    visible(text, Lines::Keep).replace('\t', "    ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases::sample;

    #[test]
    fn every_outcome_has_its_element() {
        insta::assert_snapshot!(render(&sample()).unwrap());
    }

    #[test]
    fn hostile_text_stays_text() {
        let xml = render(&sample()).unwrap();
        assert!(!xml.contains("<script") && !xml.contains("]]>"), "{xml}");
        assert!(
            xml.chars().all(|c| c == '\n' || c == '\t' || !c.is_control()),
            "{xml}"
        );
    }
}
