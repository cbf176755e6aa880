//! `touchstone conform coverage`: what of the rules crossed the wire, and what did not.

use std::sync::Arc;

use touchstone_conformance::Options;
use touchstone_conformance::results::Run;
use touchstone_report::markdown;

use super::{judge, rerun, results, scenarios, strictness};
use crate::args::ConformCoverageArgs;
use crate::exit::{Failure, Outcome};
use crate::outputs::{self, CoverageFormat};
use crate::summary::{self, Detail};
use crate::{interrupt, target, tool};

/// Runs the suite, or reads the result of a run, and shows what it covered. A hole makes the exit code 1; a case that
/// failed does not: what it looked at was seen.
pub(super) async fn run(mut args: ConformCoverageArgs) -> Outcome {
    outputs::check_writable(&args.reports)?;
    let reports = std::mem::take(&mut args.reports);
    let run = match &args.from {
        Some(path) => results::read(path)?,
        None => run_suite(args).await?,
    };
    let document = run.coverage_document();
    for report in &reports {
        let content = match report.format {
            CoverageFormat::Json => outputs::json(&run.coverage_report_json()),
            CoverageFormat::Markdown => markdown::render(&document, markdown::STEP_SUMMARY_BYTES_MAX),
            CoverageFormat::Html => outputs::html(&document)?,
        };
        outputs::write(&report.path, &content)?;
    }
    if !outputs::take_stdout(&reports) {
        summary::print(&document, Detail::Brief)?;
    }
    Ok(summary::exit_code(document.verdict))
}

async fn run_suite(args: ConformCoverageArgs) -> Result<Run, Failure> {
    let scenarios = scenarios(args.scenarios.as_deref())?;
    let options = Options {
        strictness: strictness(args.target.is_built_in()),
        jobs: usize::from(args.jobs),
        seed: fastrand::u64(..1 << 32),
        rerun: rerun(&args.target, args.scenarios.as_deref(), false),
        tool: tool(),
        ..Options::default()
    };
    let target = args.target.or(target::for_suite)?;
    let done = interrupt::or_interrupted(async |stop| {
        let sut = Arc::new(target::start(target, &stop).await?);
        let run = judge(&sut, &scenarios, options, stop).await;
        target::shut_down(sut).await;
        run
    });
    done.await
}
