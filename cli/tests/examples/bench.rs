//! A server of `examples/servers` under the suite, with or without one of its bugs.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::Deserialize;
use serde_json::Value;
use touchstone_scenarios::source::Source;
use touchstone_scenarios::yaml;

/// A case that waits for a server waits longer where all other tests run beside it; it can still fail.
const PATIENCE: &str = "3";

/// How what a server needs is installed where it is missing.
const INSTALL: &str = "`cargo xtask needs` installs it";

/// A mistake that a server can be started with.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Bug {
    /// What `BUG` is set to.
    pub(crate) id: String,
    /// In a sentence; for who reads the file.
    #[serde(rename = "breaks")]
    _breaks: String,
    /// Under which it may be found.
    pub(crate) clauses: Vec<String>,
    /// Cases, each of which has to find it.
    pub(crate) found_by: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Bugs {
    bugs: Vec<Bug>,
}

/// What a run says of a case.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) id: String,
    pub(crate) verdict: String,
    /// Of its findings.
    pub(crate) clauses: Vec<String>,
}

/// How the README of a server says that it is judged.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Strictness {
    /// Every finding counts.
    Strict,
    /// Only what is owed.
    ByLevel,
}

/// A server and where its libraries are.
pub(crate) struct Bench {
    name: String,
    /// Reports, and what the servers leave behind: one that keeps what it confirmed keeps its store when it is stopped.
    folder: tempfile::TempDir,
    next_report: AtomicUsize,
}

impl Bench {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            folder: tempfile::tempdir().unwrap(),
            next_report: AtomicUsize::new(0),
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        root().join("examples/servers").join(&self.name).join(name)
    }

    pub(crate) fn bugs(&self) -> Vec<Bug> {
        let path = self.file("bugs.yaml");
        let source = Arc::new(Source {
            path: path.display().to_string(),
            text: std::fs::read_to_string(&path).unwrap(),
        });
        let read: Bugs = yaml::from_str(&source).unwrap_or_else(|diag| panic!("{}", diag.message));
        read.bugs
    }

    /// Strictly these cases, on a server of its own.
    pub(crate) fn run(&self, bug: Option<&str>, cases: &[String]) -> Vec<Case> {
        let number = self.next_report.fetch_add(1, Ordering::Relaxed);
        let report = self.folder.path().join(format!("{number}.json"));
        let mut command = self.conform_run();
        command.arg("--strict").args(cases);
        command.arg(format!("--report=json={}", report.display()));
        match bug {
            Some(bug) => command.env("BUG", bug),
            None => command.env_remove("BUG"),
        };
        let ended = command.output().unwrap();
        let stderr = String::from_utf8_lossy(&ended.stderr);
        let text = std::fs::read_to_string(&report)
            .unwrap_or_else(|_| panic!("{} {bug:?} was not judged: {stderr}", self.name));
        let report: Value = serde_json::from_str(&text).unwrap();
        let cases = report["cases"].as_array().expect("a report has its cases");
        cases.iter().map(Case::read).collect()
    }

    /// The whole suite on the server as it is, judged as its README says: what it prints, if anything changed.
    pub(crate) fn run_whole(&self, strictness: Strictness) -> Result<(), String> {
        let mut command = self.conform_run();
        command.env_remove("BUG").arg("--known-failing");
        command.arg(self.file("known-failing.txt"));
        match strictness {
            Strictness::Strict => command.arg("--strict"),
            Strictness::ByLevel => &mut command,
        };
        let ended = command.output().unwrap();
        if ended.status.success() {
            return Ok(());
        }
        let [stdout, stderr] = [&ended.stdout, &ended.stderr].map(|text| String::from_utf8_lossy(text));
        Err(format!("{} ({}):\n{stdout}{stderr}", self.name, ended.status))
    }

    fn conform_run(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_touchstone"));
        command.current_dir(root()).args(["conform", "run"]);
        command.args(["--patience", PATIENCE, "--target"]);
        command.arg(self.file("touchstone.yaml"));
        command.env("JWT_SECRET", "the secret of a test");
        command.env("TMPDIR", self.folder.path());
        self.with_libraries(&mut command);
        command
    }

    /// What its list names, installed as the list says now: its copy there is the receipt.
    fn with_libraries(&self, command: &mut Command) {
        let folder = root().join("target/examples").join(&self.name);
        let installed = |list: &str| {
            let wanted = std::fs::read_to_string(self.file(list)).ok();
            let receipt = std::fs::read_to_string(folder.join(list).with_added_extension("installed")).ok();
            let there = wanted.is_none() || wanted == receipt;
            assert!(
                there,
                "what {} lists is not in {}: {INSTALL}",
                self.file(list).display(),
                folder.display()
            );
            wanted.is_some()
        };
        if installed("requirements.txt") {
            command.env("PYTHONPATH", folder.join("python"));
        }
        if installed("package.json") {
            let with_bug = root().join("examples/servers/with-bug.cjs");
            command.env("NODE_PATH", folder.join("node_modules"));
            command.env("NODE_OPTIONS", format!("--require={}", with_bug.display()));
        }
    }
}

impl Case {
    fn read(case: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let findings = case["failure"]["findings"].as_array();
        Self {
            id: text(&case["id"]),
            verdict: text(&case["verdict"]),
            clauses: findings
                .into_iter()
                .flatten()
                .map(|finding| text(&finding["clause"]))
                .collect(),
        }
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("cli stands in the workspace")
}
