//! `load run --processes N`: a run divided over processes of this machine, each with its own descriptors, and put together exactly.
//!
//! This process starts the server, makes those who take part, and hands each worker its part: every N-th session of the one plan. All
//! begin at one moment, tell each other what they have sent, and are reckoned as one run.

mod conduct;

use std::ffi::OsString;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use touchstone_loadgen::observe::Look;
use touchstone_loadgen::{Plan, Progress as Casting, Share, Summary};
use touchstone_report::{Tone, Verdict, number};
use touchstone_sut::Sut;

use super::Ways;
use super::worker::{Assignment, News, Order};
use crate::exit::{self, Failure};
use crate::progress::Progress;
use conduct::{Conductor, Heard};

/// News of all workers that may wait.
const NEWS_MAX: usize = 1_024;
/// What is kept of what a worker says on stderr: its error is at the end.
const TALK_BYTES_MAX: usize = 4 << 10;
/// Flags that are not for the workers, each with a value.
const OWN_FLAGS: [&str; 4] = ["--processes", "--report", "--start-at", "--seed"];

/// A run that is to be divided.
pub(super) struct Division<'a> {
    pub(super) plan: &'a Plan,
    pub(super) sut: &'a Arc<Sut>,
    pub(super) processes: u32,
    pub(super) start_at: Option<SystemTime>,
}

/// What came of one worker.
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

impl Division<'_> {
    /// Runs it, if this machine can bear it.
    pub(super) async fn run(self, ways: Ways, stop: CancellationToken) -> Result<Together, Failure> {
        let look = ways.look;
        let borne = super::endpoint(self.plan, self.sut, ways).bears(self.plan, self.processes);
        borne.map_err(|error| super::failure(&self.plan.protocol, error))?;
        let seconds = Duration::from_nanos(self.plan.end()).as_secs_f64().ceil() as u64;
        let mut progress = Progress::new("load", Some(seconds));
        let shares = self.cast(&mut progress, &stop).await?;
        let (tell, news) = mpsc::channel(NEWS_MAX);
        let mut running = JoinSet::new();
        let mut conductor = Conductor::new(progress, seconds, self.start_at);
        for (number, assignment) in self.assignments(look, shares).await.into_iter().enumerate() {
            let mut child = start(self.plan.seed)?;
            let orders = child.stdin.take().expect("stdin is a pipe");
            running.spawn(listen(number, child, tell.clone()));
            conductor.engage(orders, &Order::Play(Box::new(assignment))).await;
        }
        drop(tell);
        let ((), ended) = tokio::join!(conductor.conduct(news, &stop), running.join_all());
        together(ended)
    }

    /// Makes those who take part, before anybody is started.
    async fn cast(
        &self,
        progress: &mut Progress,
        stop: &CancellationToken,
    ) -> Result<Option<Vec<Share>>, Failure> {
        let (tell, mut news) = mpsc::channel(NEWS_MAX);
        let casting =
            async move { touchstone_loadgen::cast(self.plan, self.sut, self.processes, &tell, stop).await };
        let showing = async {
            while let Some(news) = news.recv().await {
                if let Casting::Casting { made, of } = news {
                    let (made, of) = (number::count(made as u64), number::count(of as u64));
                    progress.at(0, vec![(Tone::Neutral, format!("{made} of {of} users made"))]);
                }
            }
        };
        let (shares, ()) = tokio::join!(casting, showing);
        shares.map_err(|error| super::failure(&self.plan.protocol, error))
    }

    async fn assignments(&self, look: Look, shares: Option<Vec<Share>>) -> Vec<Assignment> {
        // All parts of one run have one mark; that of another run is another.
        let run = fastrand::u32(..);
        let process = match look.process {
            Some(process) => Some(process),
            None => self.sut.pid().await,
        };
        let mut shares = shares.into_iter().flatten();
        let assignment = |number| Assignment {
            run,
            number,
            of: self.processes,
            server: self.sut.handover(),
            cast: shares.next(),
            // It is looked at once, by the first.
            process: process.filter(|_| number == 0),
            scrape: look.scrape && number == 0,
        };
        (0..self.processes).map(assignment).collect()
    }
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

fn start(seed: u64) -> Result<Child, Failure> {
    let refused = |error: std::io::Error| Failure::usage(format!("a worker could not be started: {error}"));
    let mut command = Command::new(std::env::current_exe().map_err(refused)?);
    command
        .args(words())
        .arg("--worker")
        .arg(format!("--seed={seed}"))
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
