//! `touchstone check`: the suite, then a load run, then one report of both.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use touchstone_conformance::Options;
use touchstone_conformance::results::Run;
use touchstone_conformance::select::Pattern;
use touchstone_loadgen::{Begin, Plan, Summary, Workload};
use touchstone_report::cases::Suites;
use touchstone_report::{Document, Verdict};
use touchstone_scenarios::duration::FixedDuration;
use touchstone_sut::{Security, Target};

use crate::args::{CheckArgs, JOBS_BUILT_IN};
use crate::exit::{self, Failure, Outcome};
use crate::summary::Detail;
use crate::{conform, descriptors, interrupt, load, outputs, print, summary, target, tool};

/// The workload that is driven at the server, `scenarios/load/check.yaml`.
const WORKLOAD: &str = "check";
/// `--quick` is this part of the sessions.
const QUICK_SESSIONS_DIVISOR: u32 = 10;
/// `--quick` takes this long.
const QUICK_DURATION: Duration = Duration::from_secs(3);

/// Both halves of a check. The second is missing where the check was interrupted before there was anything to measure.
struct Checked {
    run: Run,
    load: Option<Summary>,
}

/// What the first half is told.
struct Suite {
    patterns: Vec<Pattern>,
    seed: u64,
    security: Security,
}

/// Runs the check and writes its report.
pub(crate) async fn run(args: CheckArgs) -> Outcome {
    let began = Instant::now();
    std::fs::create_dir_all(&args.out).map_err(|error| {
        Failure::usage(format!(
            "could not make the folder {}: {error}",
            args.out.display()
        ))
    })?;
    let seed = args.seed.unwrap_or_else(|| fastrand::u64(..1 << 32));
    let workload = workload(&args, seed)?;
    let plan = Plan::new(WORKLOAD, &workload).map_err(Failure::usage)?;
    descriptors::raise_limit();
    let suite = Suite {
        patterns: conform::patterns(&args.ids)?,
        seed,
        security: args.security(),
    };
    let done = interrupt::or_interrupted(async |stop| check(suite, &workload, plan, stop).await);
    let checked = done.await?;

    let document = checked.document();
    write(&args.out, &checked, &document, began.elapsed())?;
    conform::print_failures(&checked.run)?;
    conform::print_second_attempts(&checked.run)?;
    if let Some(holes) = checked.holes() {
        summary::print(&holes, Detail::Full)?;
    }
    load::print_failures(checked.load.as_ref())?;
    summary::print(&document, Detail::Glance)?;
    print::line(&format!("Report: {}", args.out.join("index.html").display()))?;
    Ok(summary::exit_code(document.verdict))
}

/// The workload of a check, as the flags change it.
fn workload(args: &CheckArgs, seed: u64) -> Result<Workload, Failure> {
    let mut workload = load::ready_made(WORKLOAD)?;
    if args.quick {
        workload.sessions = workload.sessions.map(|all| all / QUICK_SESSIONS_DIVISOR);
        workload.duration = Some(FixedDuration(QUICK_DURATION));
    }
    if let Some(sessions) = args.sessions {
        workload.sessions = Some(sessions);
    }
    if let Some(duration) = args.duration {
        workload.duration = Some(FixedDuration(duration));
    }
    workload.seed = seed;
    Ok(workload)
}

async fn check(
    Suite {
        patterns,
        seed,
        security,
    }: Suite,
    workload: &Workload,
    plan: Plan,
    stop: CancellationToken,
) -> Result<Checked, Failure> {
    let target = target::for_suite()?.within(security.clone());
    let sut = Arc::new(target::start(target, &stop).await?);
    let options = Options {
        patterns,
        strictness: conform::strictness(true),
        seed,
        jobs: usize::from(JOBS_BUILT_IN),
        tool: tool(),
        ..Options::default()
    };
    let run = conform::judge(&sut, &conform::scenarios(None)?, options, stop.clone()).await;
    target::shut_down(sut).await;
    let run = run?;
    if stop.is_cancelled() {
        return Ok(Checked { run, load: None });
    }
    // A server of its own, set as in production: a log line a message is for the suite, not for a measurement.
    let target = load::built_in(workload)?.within(security);
    match measure(target, plan, stop).await {
        Ok(summary) => Ok(Checked {
            run,
            load: Some(summary),
        }),
        // Too early for a measurement, but what the suite found is worth its report.
        Err(failure) if failure.code == exit::INTERRUPTED => Ok(Checked { run, load: None }),
        Err(failure) => Err(failure),
    }
}

async fn measure(target: Target, plan: Plan, stop: CancellationToken) -> Result<Summary, Failure> {
    let sut = Arc::new(target::start(target, &stop).await?);
    let summary = load::drive(plan, &sut, load::Ways::default(), Begin::Prepared, stop).await;
    target::shut_down(sut).await;
    summary
}

impl CheckArgs {
    const fn security(&self) -> Security {
        if self.tls {
            Security::MadeUp
        } else {
            Security::Plain
        }
    }
}

impl Checked {
    fn document(&self) -> Document {
        Document::join("touchstone check", self.parts())
    }

    fn parts(&self) -> Vec<Document> {
        let part = |title: &str, document| Document {
            title: title.to_owned(),
            ..document
        };
        let mut parts = vec![part("conform", self.run.document())];
        parts.extend(self.holes());
        parts.push(match &self.load {
            Some(load) => part("load", load.document()),
            None => Document::new("load", Verdict::Interrupted, "Interrupted before the load run."),
        });
        parts
    }

    /// What the whole suite has left out of the rules, if it was run to its end: the built-in server can show all of it.
    fn holes(&self) -> Option<Document> {
        let is_whole = self.run.only.is_empty() && self.run.verdict != Verdict::Interrupted;
        let holes = self.run.coverage.holes();
        (is_whole && !holes.is_empty()).then(|| {
            let noun = if holes.len() == 1 { "hole" } else { "holes" };
            let headline = format!("{} {noun} in the coverage of the rules", holes.len());
            Document::new("coverage", Verdict::Failed, headline).section(self.run.coverage.holes_section())
        })
    }

    fn suites(&self) -> Suites {
        let mut suites = self.run.suites();
        if self.holes().is_some() {
            suites.suites.push(self.run.coverage.suite());
        }
        suites
            .suites
            .extend(self.load.iter().flat_map(|load| load.suites().suites));
        suites
    }
}

fn write(out: &Path, checked: &Checked, document: &Document, took: Duration) -> Result<(), Failure> {
    let conform = checked.run.to_json();
    let json = serde_json::json!({
        "schema": "touchstone.check/1",
        "tool": conform["tool"],
        "target": conform["target"],
        "started_at": conform["started_at"],
        "duration_ms": took.as_secs_f64() * 1e3,
        "seed": conform["seed"],
        "verdict": document.verdict,
        "load": checked.load.as_ref().map(Summary::to_json),
        "conform": conform,
    });
    outputs::write(&out.join("index.html"), &outputs::html(document)?)?;
    outputs::write(&out.join("report.json"), &outputs::json(&json))?;
    outputs::write(&out.join("junit.xml"), &outputs::junit(&checked.suites())?)
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use touchstone_conformance::coverage::ClauseCoverage;
    use touchstone_scenarios::rules::{ClauseId, Level};

    use super::*;

    fn run(verdict: Verdict) -> Run {
        Run {
            tool: tool(),
            target: "built-in".to_owned(),
            started_at: SystemTime::UNIX_EPOCH,
            duration: Duration::ZERO,
            seed: 7,
            verdict,
            only: Vec::new(),
            coverage: touchstone_conformance::coverage::Coverage::default(),
            cases: Vec::new(),
        }
    }

    #[test]
    fn who_is_interrupted_before_the_load_run_gets_no_verdict_of_the_suite_alone() {
        for verdict in [Verdict::Passed, Verdict::Failed, Verdict::Interrupted] {
            let run = run(verdict);
            let document = Checked { run, load: None }.document();
            assert_eq!(
                summary::exit_code(document.verdict),
                exit::INTERRUPTED,
                "{verdict:?}"
            );
        }
    }

    #[test]
    fn a_hole_fails_the_check_of_the_whole_suite_and_no_other() {
        let uncovered = ClauseCoverage {
            id: ClauseId("echo/2a".to_owned()),
            level: Level::Must,
            sentence: "It echoes.".to_owned(),
            needs: None,
            cases: Vec::new(),
            not_judged: None,
        };
        let covered = ClauseCoverage {
            cases: vec!["echo/2a-x".to_owned()],
            ..uncovered.clone()
        };
        let elsewhere = ClauseCoverage {
            needs: Some("nodes".to_owned()),
            ..uncovered.clone()
        };
        for (name, verdict, only, clause, fails) in [
            ("a hole", Verdict::Passed, None, &uncovered, true),
            ("no hole", Verdict::Passed, None, &covered, false),
            ("not on this target", Verdict::Passed, None, &elsewhere, false),
            (
                "a part of the suite",
                Verdict::Passed,
                Some("echo/*"),
                &uncovered,
                false,
            ),
            ("interrupted", Verdict::Interrupted, None, &uncovered, false),
        ] {
            let mut run = run(verdict);
            run.only.extend(only.map(str::to_owned));
            run.coverage.clauses.push(clause.clone());
            let checked = Checked { run, load: None };
            assert_eq!(checked.holes().is_some(), fails, "{name}");
            let failed = checked.parts().iter().any(|part| part.verdict == Verdict::Failed);
            assert_eq!(failed, fails, "{name}: the verdict, which is the exit code");
            let failures = checked
                .suites()
                .suites
                .iter()
                .map(|suite| suite.cases.len())
                .sum::<usize>();
            assert_eq!(failures, usize::from(fails), "{name}: JUnit");
        }
    }
}
