//! What was judged, case by case: the little that JUnit and TAP want to know.

use std::time::Duration;

/// All suites of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suites {
    /// What was run.
    pub name: String,
    /// How long all of it took.
    pub time: Duration,
    /// In order.
    pub suites: Vec<Suite>,
}

/// Cases that belong together: a dialect, a workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suite {
    /// Its name.
    pub name: String,
    /// Facts of the run: target, version, seed.
    pub properties: Vec<(String, String)>,
    /// In order.
    pub cases: Vec<Case>,
}

/// A case and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// Its id.
    pub name: String,
    /// What it belongs to: a rule, a file.
    pub class: String,
    /// How long it took.
    pub time: Duration,
    /// What became of it.
    pub outcome: Outcome,
    /// Facts about the case: its level, `non_strict`.
    pub properties: Vec<(String, String)>,
    /// A transcript; empty where there is none.
    pub output: String,
}

/// What became of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It holds.
    Passed,
    /// It was judged and does not hold.
    Failed {
        /// In one line.
        message: String,
        /// Requirement, expected, actual, what to run next.
        text: String,
    },
    /// It could not be judged: a preparation failed, the server was gone.
    Error {
        /// In one line.
        message: String,
        /// The rest.
        text: String,
    },
    /// It was not tried.
    Skipped {
        /// Why not, and what would change that.
        reason: String,
    },
}

impl Suites {
    /// A run without suites yet.
    #[must_use]
    pub fn new(name: impl Into<String>, time: Duration) -> Self {
        Self {
            name: name.into(),
            time,
            suites: Vec::new(),
        }
    }
}

impl Suite {
    /// A suite without cases yet.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            properties: Vec::new(),
            cases: Vec::new(),
        }
    }
}

impl Case {
    /// A case without properties and output.
    #[must_use]
    pub fn new(name: impl Into<String>, class: impl Into<String>, time: Duration, outcome: Outcome) -> Self {
        Self {
            name: name.into(),
            class: class.into(),
            time,
            outcome,
            properties: Vec::new(),
            output: String::new(),
        }
    }

    /// With another property.
    #[must_use]
    pub fn property(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.properties.push((name.into(), value.into()));
        self
    }

    /// With a transcript.
    #[must_use]
    pub fn output(mut self, output: impl Into<String>) -> Self {
        self.output = output.into();
        self
    }
}

/// A run with a case of every outcome and with everything hostile, for the tests of the writers.
#[cfg(test)]
pub(crate) fn sample() -> Suites {
    let mut suites = Suites::new("touchstone conform", Duration::from_millis(1_530));
    let mut echo = Suite::new("echo");
    echo.properties = vec![("target".into(), "built-in".into()), ("seed".into(), "42".into())];
    let case = |id: &str, outcome| Case::new(id, "echo", Duration::from_millis(12), outcome);
    echo.cases = vec![
        case("echo/2a-verbatim", Outcome::Passed).property("level", "must"),
        case(
            "echo/2b-count",
            Outcome::Failed {
                message: "expected {\"count\":2}, got {\"count\":1}".into(),
                text: "requirement: N grows by 1 with each message\nexpected: {\"count\":2}\n  actual: {\"count\":1}".into(),
            },
        )
        .output("  0.4 ms  alice > text \"hi\"\n  0.9 ms  alice < text {\"count\":1}"),
        case(
            "echo/6f-restart",
            Outcome::Error { message: "the server did not come back within 20 s".into(), text: String::new() },
        ),
        case("echo/7c-redis", Outcome::Skipped { reason: "no store; set `faults.store` in the target file".into() }),
    ];
    let mut hostile = Suite::new("hostile & \"odd\"");
    hostile.cases = vec![case(
        "echo/# 1 \\ <script>]]>\u{1b}[31m\u{202e}\nsecond line",
        Outcome::Failed {
            message: "]]></failure>\u{0}".into(),
            text: "...\n---\n\tbail out!".into(),
        },
    )];
    suites.suites = vec![echo, hostile];
    suites
}
