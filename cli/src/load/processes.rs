//! `load run --processes N`: a run divided over processes of this machine, each with its own descriptors, and put together exactly.
//!
//! Each worker plays whole groups, as a run of its own with a seed that follows from the whole's. All begin at one moment.

use std::ffi::OsString;
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use touchstone_loadgen::{Plan, Summary};
use touchstone_report::{Tone, Verdict, number};

use super::worker::{self, News, Order};
use crate::exit::{self, Failure};
use crate::progress::Progress;

/// From the moment at which all are prepared to the first phase: every worker has been told by then.
const NOTICE: Duration = Duration::from_millis(250);
/// News of all workers that may wait.
const NEWS_MAX: usize = 1_024;
/// What is kept of what a worker says on stderr: its error is at the end.
const TALK_BYTES_MAX: usize = 4 << 10;
/// Flags that are not for the workers, each with a value.
const OWN_FLAGS: [&str; 4] = ["--processes", "--report", "--start-at", "--seed"];

/// One of them.
struct Worker {
    orders: ChildStdin,
}

/// What is heard of one, by its number.
enum Heard {
    News(News),
    /// Nothing more comes.
    End,
}

/// What came of one.
struct Ended {
    number: usize,
    report: Option<serde_json::Value>,
    code: Option<i32>,
    talk: String,
}

/// The result of all, and what became of those who gave none.
pub(super) struct Together {
    pub(super) summary: Summary,
    /// Workers that ended without a report, in sentences.
    pub(super) missing: Vec<String>,
}

/// Runs `plan` over `parts`, the sessions of each worker.
pub(super) async fn run(
    plan: &Plan,
    parts: &[u32],
    start_at: Option<SystemTime>,
    stop: CancellationToken,
) -> Result<Together, Failure> {
    let (tell, news) = mpsc::channel(NEWS_MAX);
    let (mut workers, mut running) = (Vec::new(), JoinSet::new());
    for (number, sessions) in parts.iter().enumerate() {
        let seed = plan.seed.wrapping_add(number as u64);
        let mut child = start(*sessions, seed)?;
        let orders = child.stdin.take().expect("stdin is a pipe");
        workers.push(Worker { orders });
        running.spawn(listen(number, child, tell.clone()));
    }
    drop(tell);
    let seconds = Duration::from_nanos(plan.end()).as_secs_f64().ceil() as u64;
    let shown = conduct(&mut workers, news, start_at, seconds, &stop);
    let ((), ended) = tokio::join!(shown, running.join_all());
    together(ended)
}

/// The same command line without what is this process's own business.
fn words() -> Vec<OsString> {
    let mut words = Vec::new();
    let mut given = std::env::args_os().skip(1);
    while let Some(word) = given.next() {
        let flag = word.to_string_lossy();
        if OWN_FLAGS.contains(&&*flag) {
            given.next();
        } else if !OWN_FLAGS
            .iter()
            .any(|own| flag.strip_prefix(own).is_some_and(|rest| rest.starts_with('=')))
        {
            words.push(word);
        }
    }
    words
}

fn start(sessions: u32, seed: u64) -> Result<Child, Failure> {
    let refused = |error: std::io::Error| Failure::usage(format!("a worker could not be started: {error}"));
    let mut command = Command::new(std::env::current_exe().map_err(refused)?);
    command
        .args(words())
        .arg("--worker")
        .arg(format!("--seed={seed}"))
        .arg(format!("--set=sessions={sessions}"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    // Ctrl-C is for this process; it tells the workers.
    #[cfg(unix)]
    command.process_group(0);
    command.spawn().map_err(refused)
}

/// Hands on what a worker says until it ends.
async fn listen(number: usize, mut child: Child, tell: mpsc::Sender<(usize, Heard)>) -> Ended {
    let mut lines = BufReader::new(child.stdout.take().expect("stdout is a pipe")).lines();
    let mut stderr = child.stderr.take().expect("stderr is a pipe");
    let mut report = None;
    let said = async {
        while let Ok(Some(line)) = lines.next_line().await {
            match serde_json::from_str(&line) {
                Ok(News::Report(whole)) => report = Some(*whole),
                // Who shows it may have ended.
                Ok(news) => {
                    let _shown = tell.send((number, Heard::News(news))).await;
                }
                // Not a worker's: whatever it is, its end tells.
                Err(_) => {}
            }
        }
    };
    let talked = async {
        let (mut talk, mut buffer) = (Vec::new(), [0; 1024]);
        while let Ok(read @ 1..) = stderr.read(&mut buffer).await {
            talk.extend_from_slice(&buffer[..read]);
            talk.drain(..talk.len().saturating_sub(TALK_BYTES_MAX));
        }
        talk
    };
    let ((), talk) = tokio::join!(said, talked);
    let status = child.wait().await.ok();
    let _shown = tell.send((number, Heard::End)).await;
    Ended {
        number,
        report,
        code: status.and_then(|status| status.code()),
        talk: String::from_utf8_lossy(&talk).trim().to_owned(),
    }
}

/// Begins when all are prepared, shows how they get on, and hands on that they are to stop.
async fn conduct(
    workers: &mut [Worker],
    mut news: mpsc::Receiver<(usize, Heard)>,
    start_at: Option<SystemTime>,
    seconds: u64,
    stop: &CancellationToken,
) {
    let mut progress = Progress::new("load", Some(seconds));
    let of = number::count(workers.len() as u64);
    let (mut prepared, mut stopped) = (0, false);
    let mut latest = vec![worker::Second::default(); workers.len()];
    loop {
        let heard = tokio::select! {
            () = stop.cancelled(), if !stopped => {
                stopped = true;
                order(workers, Order::Stop).await;
                continue;
            }
            heard = news.recv() => heard,
        };
        let Some((number, heard)) = heard else { break };
        match heard {
            Heard::End if prepared < workers.len() => {
                // Without it there is no run: the others need not wait.
                stopped = true;
                order(workers, Order::Stop).await;
            }
            Heard::News(News::Prepared) => {
                prepared += 1;
                progress.at(
                    0,
                    vec![(
                        Tone::Neutral,
                        format!("{prepared} of {of} processes are prepared"),
                    )],
                );
                if prepared == workers.len() {
                    let soon = SystemTime::now() + NOTICE;
                    let at = start_at.map_or(soon, |at| at.max(soon));
                    order(workers, Order::Begin(worker::nanoseconds(at))).await;
                }
            }
            Heard::News(News::Second(second)) => {
                latest[number] = second;
                let slowest = latest.iter().map(|second| second.at_seconds).min();
                let at = u64::from(slowest.unwrap_or_default()).min(seconds);
                progress.at(at, notes(&latest));
            }
            Heard::News(News::Settling | News::Report(_)) | Heard::End => {}
        }
    }
    progress.finish();
}

/// What all workers told last, together.
fn notes(latest: &[worker::Second]) -> Vec<(Tone, String)> {
    let sum = |which: fn(&worker::Second) -> u64| number::count(latest.iter().map(which).sum());
    let mut notes = vec![
        (Tone::Neutral, format!("{} processes", latest.len())),
        (
            Tone::Neutral,
            format!("{} sessions", sum(|second| second.connected)),
        ),
        (
            Tone::Neutral,
            format!("{} answers/s", sum(|second| second.answered)),
        ),
    ];
    if latest.iter().any(|second| second.delivered > 0) {
        notes.push((
            Tone::Neutral,
            format!("{} delivered/s", sum(|second| second.delivered)),
        ));
    }
    if latest.iter().any(|second| second.errors > 0) {
        notes.push((Tone::Warn, format!("{} errors", sum(|second| second.errors))));
    }
    notes
}

async fn order(workers: &mut [Worker], order: Order) {
    let line = format!(
        "{}\n",
        serde_json::to_string(&order).expect("an order is plain data")
    );
    for worker in workers {
        // One that has ended says so by its end.
        let _ended = worker.orders.write_all(line.as_bytes()).await;
    }
}

fn together(mut ended: Vec<Ended>) -> Result<Together, Failure> {
    ended.sort_by_key(|ended| ended.number);
    let (mut reports, mut missing) = (Vec::new(), Vec::new());
    // Of those who failed by themselves; the others were stopped for it.
    let mut failed: Option<Failure> = None;
    for worker in ended {
        let name = format!("process {}", worker.number + 1);
        match worker.report {
            Some(report) => reports.push((name, report)),
            None => {
                let code = worker.code.and_then(|code| u8::try_from(code).ok());
                let code = code.filter(|code| *code != exit::OK).unwrap_or(exit::JUDGED);
                let end = match worker.code {
                    Some(code) => format!("ended with {code}"),
                    None => "was killed".to_owned(),
                };
                missing.push(format!("{name} {end} and gave no report"));
                if failed
                    .as_ref()
                    .is_none_or(|failed| failed.code == exit::INTERRUPTED)
                {
                    let shown = format!("{}\n{name} {end}", worker.talk);
                    failed = Some(Failure { code, shown });
                }
            }
        }
    }
    if reports.is_empty() {
        return Err(failed.unwrap_or_else(|| Failure::usage("there is nothing to run")));
    }
    let mut summary = touchstone_loadgen::merge(&reports).map_err(Failure::usage)?;
    if !missing.is_empty() {
        // Whatever holds for the rest, it was not the run that was asked for.
        summary.verdict = Verdict::Interrupted;
    }
    Ok(Together { summary, missing })
}
