//! `touchstone conform mutants`: mutants, scenarios and a target become a kill matrix and its reports.

use std::path::Path;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use touchstone_conformance::mutants::results::Matrix;
use touchstone_conformance::mutants::{self, Event, Extent};
use touchstone_conformance::verdict::CaseVerdict;
use touchstone_report::{Document, Tone, markdown, tap};
use touchstone_scenarios::glob::Glob;
use touchstone_scenarios::mutant::{Mutant, check_names};
use touchstone_scenarios::rules::Rules;
use touchstone_scenarios::scenario::Scenario;
use touchstone_scenarios::{builtin_mutants, generic_mutants, load_mutants};
use touchstone_sut::Sut;

use crate::args::ConformMutantsArgs;
use crate::conform::scenarios;
use crate::exit::{self, Failure, Outcome};
use crate::outputs::{self, ConformFormat, ConformReport};
use crate::progress::Progress;
use crate::summary::Detail;
use crate::{interrupt, print, summary, target, tool};

/// Events that may wait to be shown.
const EVENTS_MAX: usize = 256;

/// Runs the command.
pub(crate) async fn run(args: &ConformMutantsArgs) -> Outcome {
    outputs::check_writable(&args.reports)?;
    let scenarios = scenarios(args.scenarios.as_deref())?;
    let mutants = mutants_for(args.mutants.as_deref(), args.scenarios.as_deref(), &scenarios)?;
    let options = options(args)?;
    if args.list {
        return list(&mutants, &options.patterns);
    }
    let target = args.target.or(target::for_suite)?;
    let done = interrupt::or_interrupted(async |stop| {
        let sut = Arc::new(target::start(target, &stop).await?);
        let matrix = try_all(&sut, (&scenarios, &mutants), options, stop).await;
        target::shut_down(sut).await;
        matrix
    });
    let matrix = done.await?;
    let document = matrix.document();
    for report in &args.reports {
        write(report, &matrix, &document)?;
    }
    if !outputs::take_stdout(&args.reports) {
        for trace in matrix.mutants.iter().flat_map(|mutant| &mutant.traces) {
            print::line(&format!("{}\n", trace.trim_end()))?;
        }
        summary::print(&document, Detail::Brief)?;
    }
    Ok(summary::exit_code(matrix.verdict))
}

/// The mutants of a path; without one those that are built in, for scenarios of somebody's own the ones that break any
/// protocol.
pub(crate) fn mutants_for(
    path: Option<&Path>,
    own_scenarios: Option<&Path>,
    scenarios: &[Arc<Scenario>],
) -> Result<Vec<Arc<Mutant>>, Failure> {
    let (mutants, mut diags) = match (path, own_scenarios) {
        (Some(path), _) => load_mutants(path),
        (None, Some(_)) => built_in(generic_mutants()),
        (None, None) => built_in(builtin_mutants()),
    };
    if path.is_some() || own_scenarios.is_none() {
        let scenarios: Vec<Scenario> = scenarios.iter().map(|scenario| (**scenario).clone()).collect();
        diags.extend(check_names(&mutants, &scenarios));
    }
    if !diags.is_empty() {
        return Err(Failure::mistakes(&diags));
    }
    Ok(mutants.into_iter().map(Arc::new).collect())
}

fn built_in<D>(read: Result<Vec<Mutant>, Vec<D>>) -> (Vec<Mutant>, Vec<D>) {
    match read {
        Ok(mutants) => (mutants, Vec::new()),
        Err(diags) => (Vec::new(), diags),
    }
}

fn options(args: &ConformMutantsArgs) -> Result<mutants::Options, Failure> {
    let patterns = args
        .ids
        .iter()
        .map(|id| id.parse::<Glob>())
        .collect::<Result<_, _>>()
        .map_err(Failure::usage)?;
    let extent = match (args.named, args.quick) {
        (true, _) => Extent::Named,
        (false, true) => Extent::Quick,
        (false, false) => Extent::Full,
    };
    Ok(mutants::Options {
        patterns,
        extent,
        control_runs: args.control,
        at_once: usize::from(args.at_once),
        retries: args.retries,
        trace: args.trace,
        run: touchstone_conformance::Options {
            patience: args.patience,
            seed: args.seed.unwrap_or_else(|| fastrand::u64(..1 << 32)),
            tool: tool(),
            ..touchstone_conformance::Options::default()
        },
    })
}

fn list(mutants: &[Arc<Mutant>], patterns: &[Glob]) -> Outcome {
    let listed = mutants::list(mutants, patterns).map_err(Failure::usage)?;
    for mutant in listed {
        print::line(&format!("{}  {}", mutant.id, mutant.breaks))?;
        let clauses = mutant.clauses.join(", ");
        print::line(&format!("    {clauses}  <- {}", mutant.killed_by.join(", ")))?;
    }
    Ok(exit::OK)
}

/// Tries the mutants, and shows how it goes.
async fn try_all(
    sut: &Arc<Sut>,
    what: (&[Arc<Scenario>], &[Arc<Mutant>]),
    options: mutants::Options,
    stop: CancellationToken,
) -> Result<Matrix, Failure> {
    let (to_audience, events) = mpsc::channel(EVENTS_MAX);
    let matrix = mutants::run(
        Arc::clone(sut),
        what,
        Rules::builtin(),
        options,
        to_audience,
        stop,
    );
    let (matrix, ()) = tokio::join!(matrix, show(events));
    matrix.map_err(Failure::usage)
}

async fn show(mut events: mpsc::Receiver<Event>) {
    let mut progress = Progress::new("mutants", None);
    let (mut done, mut killed, mut red) = (0, 0, 0);
    while let Some(event) = events.recv().await {
        match event {
            Event::Begun { stage, trials } => {
                progress.finish();
                progress = Progress::new(&stage, Some(trials as u64));
                done = 0;
            }
            Event::Tried {
                case,
                verdict,
                mutant,
                killed: now_killed,
            } => {
                done += 1;
                killed = now_killed.unwrap_or(killed);
                let is_red = !matches!(verdict, CaseVerdict::Passed | CaseVerdict::Skipped);
                if mutant.is_none() && is_red {
                    red += 1;
                    progress.say(&format!("{:>14} {case} with nothing broken", verdict.name()));
                }
                let killed = (killed > 0).then(|| (Tone::Good, format!("{killed} killed")));
                let red = (red > 0).then(|| (Tone::Bad, format!("{red} not green")));
                progress.at(done, killed.into_iter().chain(red).collect());
            }
        }
    }
    progress.finish();
}

fn write(report: &ConformReport, matrix: &Matrix, document: &Document) -> Result<(), Failure> {
    let content = match report.format {
        ConformFormat::Json => outputs::json(&matrix.to_json()),
        ConformFormat::Junit => outputs::junit(&matrix.suites())?,
        ConformFormat::Tap => tap::render(&matrix.suites()),
        ConformFormat::Markdown => markdown::render(document, markdown::STEP_SUMMARY_BYTES_MAX),
        ConformFormat::Html => outputs::html(document)?,
    };
    outputs::write(&report.path, &content)
}
