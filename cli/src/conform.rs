//! `touchstone conform`: scenarios, a target and a choice of cases become a run and its reports.

mod coverage;
mod results;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use touchstone_conformance::explain::{Listed, explain, list};
use touchstone_conformance::results::{CaseResult, Run};
use touchstone_conformance::select::{KnownFailing, NamesNothing, Pattern};
use touchstone_conformance::verdict::{CaseVerdict, Strictness};
use touchstone_conformance::{Event, Options, Preflight};
use touchstone_report::{Document, Tone, markdown, tap};
use touchstone_scenarios::glob::Glob;
use touchstone_scenarios::rules::Rules;
use touchstone_scenarios::scenario::Scenario;
use touchstone_scenarios::{builtin_scenarios, load_all, load_dir};
use touchstone_sut::Sut;

use crate::args::{ConformCommand, ConformListArgs, ConformRunArgs, JOBS, JOBS_BUILT_IN, TargetArgs};
use crate::exit::{self, Failure, Outcome};
use crate::outputs::{self, ConformFormat, ConformReport};
use crate::progress::Progress;
use crate::summary::Detail;
use crate::{interrupt, mutants, print, summary, target, terminal, tool};

/// Events that may wait to be shown.
const EVENTS_MAX: usize = 256;

/// Runs a command of `conform`.
pub(crate) async fn run(command: ConformCommand) -> Outcome {
    match command {
        ConformCommand::Run(args) => run_suite(args).await,
        ConformCommand::List(args) => list_cases(&args),
        ConformCommand::Explain { id, scenarios } => {
            let known = self::scenarios(scenarios.as_deref())?;
            let mutants = mutants::mutants_for(None, scenarios.as_deref(), &known)?;
            let text = explain(&id, &known, &mutants, Rules::builtin()).map_err(Failure::usage)?;
            print::line(text.trim_end())?;
            Ok(exit::OK)
        }
        ConformCommand::Mutants(args) => mutants::run(&args).await,
        ConformCommand::Init(args) => crate::init::run(&args).await,
        ConformCommand::Coverage(args) => coverage::run(args).await,
        ConformCommand::Report(args) => results::report(&args),
        ConformCommand::Validate { paths } => validate(&paths),
    }
}

async fn run_suite(args: ConformRunArgs) -> Outcome {
    outputs::check_writable(&args.reports)?;
    let scenarios = scenarios(args.scenarios.as_deref())?;
    let options = options(&args)?;
    let target = args.target.or(target::for_suite)?;
    let show_all = args.trace;
    let done = interrupt::or_interrupted(async |stop| {
        let sut = Arc::new(target::start(target, &stop).await?);
        let run = judge(&sut, &scenarios, options, stop).await;
        target::shut_down(sut).await;
        run
    });
    let run = done.await?;
    let document = run.document();
    for report in &args.reports {
        write(report, &run, &document)?;
    }
    if !outputs::take_stdout(&args.reports) {
        let skips = if args.no_skips {
            Skips::InFull
        } else {
            Skips::Counted
        };
        if show_all {
            print_texts(run.cases.iter())?;
            print_second_attempts(&run)?;
        } else {
            print_run(&run, skips)?;
        }
        summary::print(&document, Detail::Glance)?;
    }
    Ok(summary::exit_code(run.verdict))
}

/// How much is said of cases that were skipped.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Skips {
    /// A line for each reason.
    Counted,
    /// They make the run fail, so each is shown.
    InFull,
}

/// What does not hold, and why the rest was not tried.
fn print_run(run: &Run, skips: Skips) -> Result<(), Failure> {
    print_failures(run)?;
    print_second_attempts(run)?;
    print_differences(run)?;
    match skips {
        Skips::InFull => print_texts(of_verdict(run, CaseVerdict::Skipped)),
        Skips::Counted => print_skipped(run),
    }
}

fn options(args: &ConformRunArgs) -> Result<Options, Failure> {
    let known_failing = match &args.known_failing {
        None => KnownFailing::default(),
        Some(path) => known_failing(path)?,
    };
    let is_built_in = args.target.is_built_in();
    let jobs = args
        .jobs
        .unwrap_or(if is_built_in { JOBS_BUILT_IN } else { JOBS });
    Ok(Options {
        patterns: patterns(&args.ids)?,
        strictness: strictness(args.strict || is_built_in),
        known_failing,
        jobs: usize::from(jobs),
        fail_fast: args.fail_fast,
        no_skips: args.no_skips,
        patience: args.patience,
        order: args.order.map(|order| order as usize),
        seed: args.seed.unwrap_or_else(|| fastrand::u64(..1 << 32)),
        trace: args.trace,
        preflight: if args.target.is_built_in() {
            Preflight::Omitted
        } else {
            Preflight::Taken
        },
        rerun: rerun(&args.target, args.scenarios.as_deref(), args.strict),
        tool: tool(),
        ..Options::default()
    })
}

/// The cases that are asked for on the command line.
pub(crate) fn patterns(ids: &[String]) -> Result<Vec<Pattern>, Failure> {
    let parsed = ids.iter().map(|id| id.parse::<Pattern>());
    parsed.collect::<Result<_, _>>().map_err(Failure::usage)
}

/// How findings weigh.
pub(crate) const fn strictness(strict: bool) -> Strictness {
    if strict {
        Strictness::Strict
    } else {
        Strictness::ByLevel
    }
}

fn known_failing(path: &Path) -> Result<KnownFailing, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        Failure::usage(format!(
            "could not read --known-failing {}: {error}",
            path.display()
        ))
    })?;
    KnownFailing::parse(&text).map_err(|error| Failure::usage(format!("{}: {error}", path.display())))
}

/// What a command that reruns one case begins with.
fn rerun(target: &TargetArgs, scenarios: Option<&Path>, strict: bool) -> String {
    let mut words = vec!["touchstone".to_owned(), "conform".into(), "run".into()];
    let mut option = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            words.extend([name.to_owned(), quoted(&value)]);
        }
    };
    option(
        "--target",
        target.target.as_ref().map(|path| path.display().to_string()),
    );
    option("--url", target.url.clone());
    option("--spawn", target.spawn.clone());
    let dialects: Vec<_> = target.dialects.iter().map(|dialect| dialect.name()).collect();
    option("--dialects", (!dialects.is_empty()).then(|| dialects.join(",")));
    option(
        "--secret-file",
        target.secret_file.as_ref().map(|path| path.display().to_string()),
    );
    option("--ca", target.ca.as_ref().map(|path| path.display().to_string()));
    option("--scenarios", scenarios.map(|path| path.display().to_string()));
    let switches = [
        ("--insecure", target.insecure),
        ("--tls", target.tls),
        ("--strict", strict),
    ];
    let given = switches.into_iter().filter(|(_, given)| *given);
    words.extend(given.map(|(name, _)| name.to_owned()));
    words.join(" ")
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// The scenarios of a folder, or those that are built in.
pub(crate) fn scenarios(folder: Option<&Path>) -> Result<Vec<Arc<Scenario>>, Failure> {
    let (scenarios, diags) = match folder {
        None => match builtin_scenarios() {
            Ok(scenarios) => (scenarios, Vec::new()),
            Err(diags) => (Vec::new(), diags),
        },
        Some(folder) => load_dir(folder),
    };
    match (diags.is_empty(), scenarios.is_empty()) {
        (false, _) => Err(Failure::mistakes(&diags)),
        (true, true) => Err(Failure::usage(format!(
            "no scenario in {}: a scenario is a file that ends in .yaml",
            folder.unwrap_or(Path::new(".")).display()
        ))),
        (true, false) => Ok(scenarios.into_iter().map(Arc::new).collect()),
    }
}

/// Replays the scenarios, and shows how it goes.
pub(crate) async fn judge(
    sut: &Arc<Sut>,
    scenarios: &[Arc<Scenario>],
    options: Options,
    stop: CancellationToken,
) -> Result<Run, Failure> {
    let (to_audience, events) = mpsc::channel(EVENTS_MAX);
    let run = touchstone_conformance::run(
        Arc::clone(sut),
        scenarios,
        Rules::builtin(),
        options,
        to_audience,
        stop,
    );
    let (run, ()) = tokio::join!(run, show(events));
    run.map_err(Failure::usage)
}

async fn show(mut events: mpsc::Receiver<Event>) {
    let mut progress = Progress::new("conform", None);
    while let Some(event) = events.recv().await {
        match event {
            Event::RunStarted { cases } => progress = Progress::new("conform", Some(cases as u64)),
            Event::InTheWay { what } => progress.say(&format!("warning: {what}")),
            Event::CaseStarted { .. } => {}
            Event::CaseFinished { result, counts, .. } => {
                if result.verdict.fails_the_run() {
                    progress.say(&format!("{:>14} {}", result.verdict.name(), result.id));
                }
                let notes = CaseVerdict::ALL
                    .iter()
                    .filter(|verdict| counts.of(**verdict) > 0)
                    .map(|verdict| {
                        let tone = if verdict.fails_the_run() {
                            Tone::Bad
                        } else {
                            Tone::Neutral
                        };
                        (
                            tone,
                            format!("{} {}", counts.of(*verdict), verdict.name().replace('_', " ")),
                        )
                    });
                progress.at(counts.total() as u64, notes.collect());
            }
        }
    }
    progress.finish();
}

/// The failure text of every case that makes the run fail.
pub(crate) fn print_failures(run: &Run) -> Result<(), Failure> {
    print_texts(run.cases.iter().filter(|case| case.verdict.fails_the_run()))
}

/// A line for each case that was tried again: what was excused by the machine is never silent.
pub(crate) fn print_second_attempts(run: &Run) -> Result<(), Failure> {
    let lines: Vec<_> = run
        .second_attempts()
        .filter_map(CaseResult::second_attempt_line)
        .collect();
    for again in lines.iter().take(DIFFERENCES_SHOWN) {
        print::line(&format!("TRIED AGAIN {again}"))?;
    }
    if let Some(left @ 1..) = lines.len().checked_sub(DIFFERENCES_SHOWN) {
        print::line(&format!("… and {left} more that were tried again"))?;
    }
    if lines.is_empty() { Ok(()) } else { print::line("") }
}

/// Lines that what does not fail the run gets on a terminal; all of it is in every report.
const DIFFERENCES_SHOWN: usize = 30;

/// A line for each case that differs without failing the run: somebody wrote that server, and wants to know.
fn print_differences(run: &Run) -> Result<(), Failure> {
    let verdicts = [CaseVerdict::NonStrict, CaseVerdict::Informational];
    let differing: Vec<_> = verdicts
        .iter()
        .flat_map(|verdict| of_verdict(run, *verdict))
        .collect();
    for case in differing.iter().take(DIFFERENCES_SHOWN) {
        let verdict = case.verdict.name().replace('_', "-").to_uppercase();
        print::line(&format!("{verdict} {}   {}", case.id, case.message()))?;
    }
    if let Some(left @ 1..) = differing.len().checked_sub(DIFFERENCES_SHOWN) {
        print::line(&format!("… and {left} more that differ without failing"))?;
    }
    if !differing.is_empty() {
        print::line(
            "(--strict makes these fail, with their transcripts; --report html=FILE has all of them)\n",
        )?;
    }
    Ok(())
}

/// Why cases were skipped, a line for each reason.
fn print_skipped(run: &Run) -> Result<(), Failure> {
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    for case in of_verdict(run, CaseVerdict::Skipped) {
        *reasons
            .entry(case.reason.as_deref().unwrap_or_default())
            .or_default() += 1;
    }
    for (reason, count) in &reasons {
        print::line(&format!("SKIPPED {count}: {reason}"))?;
    }
    if reasons.is_empty() {
        Ok(())
    } else {
        print::line("")
    }
}

fn of_verdict(run: &Run, verdict: CaseVerdict) -> impl Iterator<Item = &CaseResult> {
    run.cases.iter().filter(move |case| case.verdict == verdict)
}

fn print_texts<'a>(mut cases: impl Iterator<Item = &'a CaseResult>) -> Result<(), Failure> {
    cases.try_for_each(|case| {
        print::line(&format!(
            "{}\n",
            case.failure_text_within(terminal::columns()).trim_end()
        ))
    })
}

fn write(report: &ConformReport, run: &Run, document: &Document) -> Result<(), Failure> {
    let content = match report.format {
        ConformFormat::Json => outputs::json(&run.to_json()),
        ConformFormat::Junit => outputs::junit(&run.suites())?,
        ConformFormat::Tap => tap::render(&run.suites()),
        ConformFormat::Markdown => markdown::render(document, markdown::STEP_SUMMARY_BYTES_MAX),
        ConformFormat::Html => outputs::html(document)?,
    };
    outputs::write(&report.path, &content)
}

fn list_cases(args: &ConformListArgs) -> Outcome {
    outputs::check_writable(&args.reports)?;
    let mut reports = args.reports.iter();
    if let Some(other) = reports.find(|report| report.format != ConformFormat::Json) {
        return Err(Failure::usage(format!(
            "a list is written as json only, not to {}",
            other.path.display()
        )));
    }
    let patterns: Vec<Glob> = args
        .ids
        .iter()
        .map(|id| id.parse())
        .collect::<Result<_, _>>()
        .map_err(Failure::usage)?;
    let scenarios = scenarios(args.scenarios.as_deref())?;
    let mut listed = list(&scenarios, Rules::builtin(), &target::for_suite()?);
    let names = |glob: &Glob, case: &Listed| glob.matches(&case.id) || glob.to_string() == case.rule.0;
    for glob in &patterns {
        if !listed.iter().any(|case| names(glob, case)) {
            let known = listed
                .iter()
                .flat_map(|case| [case.id.as_str(), case.rule.0.as_str()]);
            return Err(Failure::usage(NamesNothing::new(glob, None, known)));
        }
    }
    listed.retain(|case| patterns.is_empty() || patterns.iter().any(|glob| names(glob, case)));
    for report in &args.reports {
        outputs::write(&report.path, &outputs::json(&as_json_list(&listed)))?;
    }
    if !outputs::take_stdout(&args.reports) {
        for case in &listed {
            let Listed {
                level,
                rule,
                id,
                title,
                ..
            } = case;
            print::line(&format!("{level:<6} {:<22} {id}  {title}", rule.0))?;
        }
    }
    Ok(exit::OK)
}

fn as_json_list(listed: &[Listed]) -> serde_json::Value {
    let case = |case: &Listed| {
        serde_json::json!({
            "id": case.id,
            "title": case.title,
            "rule": case.rule.0,
            "level": case.level,
            "alone": case.alone,
            "skipped_without": case.skipped_without,
        })
    };
    serde_json::json!({ "cases": listed.iter().map(case).collect::<Vec<_>>() })
}

fn validate(paths: &[PathBuf]) -> Outcome {
    let (mut scenarios, mut mutants, mut diags) = (0, 0, Vec::new());
    for path in paths {
        let (some_scenarios, some_mutants, wrong) = load_all(path);
        scenarios += some_scenarios.len();
        mutants += some_mutants.len();
        diags.extend(wrong);
    }
    let right = match (scenarios, mutants) {
        (_, 0) => format!("{scenarios} scenarios are right"),
        (0, _) => format!("{mutants} mutants are right"),
        _ => format!("{scenarios} scenarios and {mutants} mutants are right"),
    };
    if !diags.is_empty() {
        let mut failure = Failure::mistakes(&diags);
        let noun = if diags.len() == 1 { "mistake" } else { "mistakes" };
        failure
            .shown
            .push_str(&format!("\n\n{} {noun}; {right}", diags.len()));
        return Err(failure);
    }
    if scenarios + mutants == 0 {
        return Err(Failure::usage(
            "no scenario there: a scenario is a file that ends in .yaml",
        ));
    }
    print::line(&right)?;
    Ok(exit::OK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_for_a_shell() {
        for (word, shown) in [
            ("ws://h:1", "ws://h:1"),
            ("node server.js", "'node server.js'"),
            ("it's", r"'it'\''s'"),
            ("", "''"),
        ] {
            assert_eq!(quoted(word), shown);
        }
    }
}
