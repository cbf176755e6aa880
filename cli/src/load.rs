//! `touchstone load`: a workload, a target and thresholds become a run and its reports.

mod processes;
mod worker;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use touchstone_loadgen::observe::Look;
use touchstone_loadgen::plan::Protocol;
use touchstone_loadgen::record::Latency;
use touchstone_loadgen::sources::Sources;
use touchstone_loadgen::workload::Compression;
use touchstone_loadgen::{
    Begin, CastError, Endpoint, Part, Plan, Progress as News, RunError, Summary, Workload,
};
use touchstone_report::{Document, Tone, Verdict, markdown, number};
use touchstone_scenarios::source::Source;
use touchstone_scenarios::{builtin_workloads, read_source};
use touchstone_sut::{Sut, Target};

use processes::Division;

use crate::args::{LoadCommand, LoadMergeArgs, LoadRunArgs};
use crate::exit::{self, Failure, Outcome};
use crate::outputs::{self, LoadFormat, LoadReport};
use crate::progress::Progress;
use crate::summary::Detail;
use crate::{descriptors, interrupt, print, summary, target, tool};

/// News that may wait to be shown: a run never waits for its audience.
const NEWS_MAX: usize = 256;
/// As progress calls what comes after the last phase.
const SETTLING: &str = "waiting for the last";

/// From where sessions connect, and what is looked at meanwhile.
#[derive(Debug, Default)]
pub(crate) struct Ways {
    sources: Sources,
    look: Look,
}

/// Runs a command of `load`.
pub(crate) async fn run(command: LoadCommand) -> Outcome {
    match command {
        LoadCommand::Run(args) => run_workload(*args).await,
        LoadCommand::List => list(),
        LoadCommand::Merge(args) => merge(&args),
    }
}

fn list() -> Outcome {
    for (name, source) in builtin_workloads() {
        let workload = read(&source)?;
        print::line(&format!("{name:<16} {}", workload.title))?;
    }
    Ok(exit::OK)
}

async fn run_workload(args: LoadRunArgs) -> Outcome {
    outputs::check_writable(&args.reports)?;
    let (workload, plan) = plan(&args)?;
    if let Some(at) = args.start_at.filter(|at| *at < SystemTime::now()) {
        let late = number::duration(at.elapsed().unwrap_or_default());
        return Err(Failure::usage(format!("--start-at is {late} ago")));
    }
    let target = args.target.or(|| built_in(&workload))?;
    let ways = Ways {
        sources: args.source.clone().unwrap_or_default(),
        look: Look {
            process: args.pid,
            scrape: args.scrape,
        },
    };
    descriptors::raise_limit();
    if args.worker {
        return work(plan, target, ways).await;
    }
    if args.processes > 1 {
        return over_processes(&args, &plan, target, ways).await;
    }
    let begin = args.start_at.map_or(Begin::Prepared, Begin::At);
    let done = interrupt::or_interrupted(async |stop| {
        let sut = Arc::new(target::start(target, &stop).await?);
        let summary = drive(plan, &sut, ways, begin, stop).await;
        target::shut_down(sut).await;
        summary
    });
    finish(&done.await?, &args)
}

/// Divides the run over processes of this machine.
async fn over_processes(args: &LoadRunArgs, plan: &Plan, target: Target, ways: Ways) -> Outcome {
    let processes = args.processes;
    if processes > plan.sessions {
        return Err(Failure::usage(format!(
            "--processes {processes}: each process plays one session or more, and this workload has {}",
            plan.sessions
        )));
    }
    let done = interrupt::or_interrupted(async |stop| {
        let sut = Arc::new(target::start(target, &stop).await?);
        let division = Division {
            plan,
            sut: &sut,
            processes,
            start_at: args.start_at,
        };
        let together = division.run(ways, stop).await;
        target::shut_down(sut).await;
        together
    });
    let together = done.await?;
    let code = finish(&together.summary, args)?;
    if together.missing.is_empty() {
        return Ok(code);
    }
    Err(Failure {
        code: exit::JUDGED,
        shown: format!(
            "error: the report is not of the whole run: {}",
            together.missing.join("; ")
        ),
    })
}

/// A worker's part of a run over several processes.
async fn work(plan: Plan, target: Target, ways: Ways) -> Outcome {
    let stop = CancellationToken::new();
    let (mut assignment, orders) = worker::assigned().await?;
    let worker::Obeying {
        begin,
        others,
        _tasks,
    } = worker::obey(orders, stop.clone());
    let part = worker::part(&mut assignment, others);
    let ways = Ways {
        look: assignment.look(),
        ..ways
    };
    let sut = Arc::new(Sut::handed_over(target, assignment.server).map_err(Failure::usage)?);
    let endpoint = endpoint(&plan, &sut, ways);
    let (to_audience, mut news) = mpsc::channel(NEWS_MAX);
    let telling = async {
        while let Some(news) = news.recv().await {
            let told = match &news {
                News::Second(figures) => worker::say(&worker::News::Second(figures.into())),
                News::Settling => worker::say(&worker::News::Phase(SETTLING.to_owned())),
                News::Phase { name, .. } => worker::say(&worker::News::Phase((*name).to_owned())),
                News::Casting { .. } => Ok(()),
            };
            if told.is_err() {
                // Nobody listens any more.
                stop.cancel();
            }
        }
    };
    let played = play(plan, part, endpoint, begin, to_audience, stop.clone());
    let (summary, ()) = tokio::join!(played, telling);
    let summary = summary?;
    worker::say(&worker::News::Report(Box::new(summary.to_json())))?;
    Ok(exit::OK)
}

/// Tells what came of a run, and how the program ends.
fn finish(summary: &Summary, args: &LoadRunArgs) -> Outcome {
    tell(summary, &args.reports)?;
    if args.allow_saturated && summary.passes_but_for_saturation() {
        return Ok(exit::OK);
    }
    Ok(summary::exit_code(summary.verdict))
}

/// Puts reports together that runs wrote before.
fn merge(args: &LoadMergeArgs) -> Outcome {
    outputs::check_writable(&args.reports)?;
    let reports = args.files.iter().map(|path| {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|error| Failure::usage(format!("could not read the report {name}: {error}")))?;
        let report = serde_json::from_str(&text)
            .map_err(|error| Failure::usage(format!("{name}: not a JSON report: {error}")))?;
        Ok((name, report))
    });
    let reports = reports.collect::<Result<Vec<_>, Failure>>()?;
    let summary = touchstone_loadgen::merge(&reports).map_err(Failure::usage)?;
    tell(&summary, &args.reports)?;
    if args.allow_saturated && summary.passes_but_for_saturation() {
        return Ok(exit::OK);
    }
    Ok(summary::exit_code(summary.verdict))
}

/// Writes the reports that were asked for, and shows the summary unless one of them has stdout.
fn tell(summary: &Summary, reports: &[LoadReport]) -> Result<(), Failure> {
    let document = summary.document();
    for report in reports {
        write(report, summary, &document)?;
    }
    if !outputs::take_stdout(reports) {
        summary::print(&document, Detail::Brief)?;
    }
    Ok(())
}

/// The built-in server, set as the workload wants it.
pub(crate) fn built_in(workload: &Workload) -> Result<Target, Failure> {
    let timings: Vec<_> = workload
        .timings
        .iter()
        .map(|(name, span)| (name.as_str(), span.0))
        .collect();
    let switches: &[&str] = match workload.connect.compression {
        Compression::None => &[],
        Compression::PerMessage => &["--compression"],
        Compression::ContextTakeover => &["--compression", "--set", "compression.context_takeover=true"],
    };
    target::for_load(&timings, switches)
}

/// A ready-made workload by its name.
pub(crate) fn ready_made(name: &str) -> Result<Workload, Failure> {
    let known = builtin_workloads();
    let found = known.iter().find(|(known, _)| *known == name);
    let (_, source) = found.ok_or_else(|| {
        let names = known.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        Failure::usage(format!(
            "there is no file and no ready-made workload `{name}`; ready-made: {names}"
        ))
    })?;
    read(source)
}

fn plan(args: &LoadRunArgs) -> Result<(Workload, Plan), Failure> {
    let path = Path::new(&args.workload);
    let mut workload = if path.exists() {
        read(&read_source(path).map_err(|diag| Failure::mistakes(&[diag]))?)?
    } else {
        ready_made(&args.workload)?
    };
    for setting in &args.settings {
        let (key, value) = setting.split_once('=').ok_or_else(|| {
            Failure::usage(format!(
                "--set `{setting}`: write KEY=VALUE, for example sessions=500"
            ))
        })?;
        workload = workload.with(key, value).map_err(Failure::usage)?;
    }
    if let Some(compression) = &args.compression {
        workload = workload
            .with("connect.compression", compression)
            .map_err(Failure::usage)?;
    }
    if let Some(seed) = args.seed {
        workload.seed = seed;
    }
    workload.thresholds.extend(args.thresholds.iter().cloned());
    let plan = Plan::new(&args.workload, &workload).map_err(Failure::usage)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let plan = plan.with_feeds(&workload, folder).map_err(Failure::usage)?;
    Ok((workload, plan))
}

fn read(source: &Arc<Source>) -> Result<Workload, Failure> {
    Workload::read(source).map_err(|diag| Failure::mistakes(&[diag]))
}

/// Puts the system under the plan's load, and shows how it goes.
pub(crate) async fn drive(
    plan: Plan,
    sut: &Arc<Sut>,
    ways: Ways,
    begin: Begin,
    stop: CancellationToken,
) -> Result<Summary, Failure> {
    let seconds = Duration::from_nanos(plan.end()).as_secs_f64().ceil();
    let (to_audience, news) = mpsc::channel(NEWS_MAX);
    let endpoint = endpoint(&plan, sut, ways);
    let run = play(plan, Part::whole(), endpoint, begin, to_audience, stop);
    let (summary, ()) = tokio::join!(run, show(news, seconds as u64));
    summary
}

/// A part of it, before another audience.
async fn play(
    plan: Plan,
    part: Part,
    endpoint: Endpoint,
    begin: Begin,
    audience: mpsc::Sender<News>,
    stop: CancellationToken,
) -> Result<Summary, Failure> {
    let protocol = plan.protocol.clone();
    let summary = touchstone_loadgen::run_part(plan, part, endpoint, begin, audience, stop).await;
    let summary = summary.map(|summary| Summary {
        commit: tool().commit,
        ..summary
    });
    summary.map_err(|error| failure(&protocol, error))
}

/// Where the sessions of a plan go.
fn endpoint(plan: &Plan, sut: &Arc<Sut>, ways: Ways) -> Endpoint {
    let Ways { sources, look } = ways;
    Endpoint {
        sources,
        look,
        ..Endpoint::of(sut, &plan.protocol)
    }
}

/// Why there was no run of this protocol, and how the program ends.
fn failure(protocol: &Protocol, error: RunError) -> Failure {
    match error {
        RunError::Unreachable { .. } => {
            let path = match protocol.dialect() {
                Some(dialect) => format!("`paths.{dialect}.ws` of the target file"),
                None => "`custom.path` of the workload".to_owned(),
            };
            Failure::unreachable(format!(
                "{error}\n  to change: `urls` of the target file, or {path}"
            ))
        }
        RunError::Stopped | RunError::Cast(CastError::Stopped) => Failure::interrupted(error),
        RunError::Cast(CastError::Failed { .. }) => Failure::unreachable(error),
        RunError::Cast(
            CastError::Missing { .. } | CastError::NoColumn { .. } | CastError::Channels { .. },
        )
        | RunError::Url { .. }
        | RunError::NoBackDoor { .. }
        | RunError::DoesNotFit(_)
        | RunError::Source { .. }
        | RunError::Loop(_) => Failure::usage(error),
    }
}

async fn show(mut news: mpsc::Receiver<News>, seconds: u64) {
    let mut progress = Progress::new("load", Some(seconds));
    let mut phase = "";
    let mut at = 0;
    while let Some(news) = news.recv().await {
        match news {
            News::Casting { made, of } => {
                let casting = format!(
                    "{} of {} users made",
                    number::count(made as u64),
                    number::count(of as u64)
                );
                progress.at(0, vec![(Tone::Neutral, casting)]);
                continue;
            }
            News::Phase { name, .. } => phase = name,
            News::Settling => phase = SETTLING,
            News::Second(figures) => {
                at = u64::from(figures.at_seconds).min(seconds);
                let mut notes = vec![
                    (Tone::Neutral, phase.to_owned()),
                    (
                        Tone::Neutral,
                        format!("{} sessions", number::count(u64::from(figures.connected))),
                    ),
                    (
                        Tone::Neutral,
                        format!("{} answers/s", number::count(figures.answered)),
                    ),
                ];
                if figures.delivered > 0 {
                    let delivered = format!("{} delivered/s", number::count(figures.delivered));
                    notes.push((Tone::Neutral, delivered));
                }
                notes.extend(
                    figures
                        .interval(Latency::Delivery)
                        .or(figures.interval(Latency::Answer))
                        .map(|shown| {
                            let p99 = number::millis(shown.p99_ms);
                            (Tone::Neutral, format!("{} p99 {p99}", shown.latency.name()))
                        }),
                );
                if figures.errors > 0 {
                    notes.push((Tone::Warn, format!("{} errors", number::count(figures.errors))));
                }
                progress.at(at, notes);
                continue;
            }
        }
        progress.at(at, vec![(Tone::Neutral, phase.to_owned())]);
    }
    progress.finish();
}

/// The thresholds that do not hold, or that nothing decides.
pub(crate) fn print_failures(summary: Option<&Summary>) -> Result<(), Failure> {
    for judged in summary.iter().flat_map(|summary| &summary.thresholds) {
        let verdict = match judged.verdict {
            Verdict::Passed => continue,
            Verdict::Failed => "FAILED",
            Verdict::Undecided | Verdict::Interrupted => "UNDECIDED",
        };
        let actual = judged
            .actual
            .map_or("nothing measured".to_owned(), |actual| format!("actual {actual}"));
        print::line(&format!(
            "{verdict} threshold {}: {actual}\n",
            judged.threshold.expression
        ))?;
    }
    Ok(())
}

fn write(report: &LoadReport, summary: &Summary, document: &Document) -> Result<(), Failure> {
    let content = match report.format {
        LoadFormat::Json => outputs::json(&summary.to_json()),
        LoadFormat::Junit => outputs::junit(&summary.suites())?,
        LoadFormat::Csv => summary.to_csv(),
        LoadFormat::Hdr => summary.to_interval_log(),
        LoadFormat::Prometheus => summary.to_prometheus(),
        LoadFormat::Markdown => markdown::render(document, markdown::STEP_SUMMARY_BYTES_MAX),
        LoadFormat::Html => outputs::html(document)?,
    };
    outputs::write(&report.path, &content)
}
