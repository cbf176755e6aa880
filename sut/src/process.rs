//! A server that we started, and that never outlives us.
//!
//! The built-in one ends with the pipe on its stdin and gets its secret and admin key through it, never on its
//! command line. A foreign one is ended with its whole process group, on Linux also by the parent-death signal, and
//! gets its secrets by environment. Neither is in our own group: Ctrl-C is for us to answer, not for the server.

use std::collections::BTreeMap;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::log::Log;
use crate::shown::shown;
use crate::transport::TlsError;

/// The signal that a server is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Graceful stop.
    Term,
    /// Graceful stop, as from a terminal.
    Int,
    /// No chance to say anything.
    Kill,
}

/// Why a server could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The program is not there, or may not be run.
    #[error("could not start `{program}`: {source}")]
    NotStarted {
        /// The first word of the command.
        program: String,
        /// What the system says.
        source: io::Error,
    },
    /// It ended before it was ready.
    #[error("`{program}` ended before it was ready ({status}){}", last_words(.log))]
    Ended {
        /// The first word of the command.
        program: String,
        /// How it ended.
        status: ExitStatus,
        /// Its last lines.
        log: Vec<String>,
    },
    /// It runs, but did not show that it is ready.
    #[error("`{program}` was not ready within {}: {waiting_for}{}", shown(*.deadline), last_words(.log))]
    NotReady {
        /// The first word of the command.
        program: String,
        /// How long was waited.
        deadline: Duration,
        /// What was waited for.
        waiting_for: String,
        /// Its last lines.
        log: Vec<String>,
    },
    /// A server that runs already does not answer.
    #[error("nothing answers at {address}: {reason}")]
    Unreachable {
        /// Host and port.
        address: String,
        /// What the system says.
        reason: String,
    },
    /// Somebody answers, but not in TLS that we believe.
    #[error("no TLS with {address}: {source}")]
    NoTls {
        /// Host and port.
        address: String,
        /// What is wrong, and what to change.
        source: TlsError,
    },
    /// The target cannot be used as it is written.
    #[error("{0}")]
    Target(String),
}

fn last_words(log: &[String]) -> String {
    if log.is_empty() {
        String::new()
    } else {
        format!("; it wrote:\n  {}", log.join("\n  "))
    }
}

/// What is started, and how.
#[derive(Debug, Clone)]
pub(crate) struct Launch {
    /// The program and its arguments.
    pub(crate) command: Vec<String>,
    /// Added to the environment.
    pub(crate) env: BTreeMap<String, String>,
    /// How it is tied to us.
    pub(crate) tie: Tie,
    /// How long it may take to be ready, and to stop.
    pub(crate) deadline: Duration,
}

/// How a server is tied to the life of its parent.
#[derive(Debug, Clone)]
pub(crate) enum Tie {
    /// The built-in server: one line on stdin, a ready line on stdout, and it ends when stdin does.
    Pipe {
        /// What it is told; holds secrets.
        greeting: String,
    },
    /// A foreign server: a process group, ended as a whole.
    Group,
}

/// A running server.
#[derive(Debug)]
pub(crate) struct Process {
    program: String,
    child: Child,
    /// Held open: the built-in server ends when it closes.
    _stdin: Option<ChildStdin>,
    /// Of a foreign server, until the server itself is known to have ended and the rest was ended with it.
    group: Option<i32>,
    /// Collects what it writes; ends with the pipes, joined by `Drop` of the set.
    _collectors: JoinSet<()>,
}

impl Process {
    /// Starts it. For the built-in server also returns its ready line, awaited within the launch's deadline.
    ///
    /// # Errors
    /// The program cannot be run, ends at once, or says nothing in time.
    pub(crate) async fn start(launch: &Launch, log: &Arc<Log>) -> Result<(Self, Option<String>), StartError> {
        let program = launch.command.first().cloned().unwrap_or_default();
        let named = program.clone();
        let not_started = |source| StartError::NotStarted {
            program: named.clone(),
            source,
        };
        let mut command = prepare(launch);
        // Forked by the main thread or a worker of the runtime: the parent-death signal counts the end of the thread
        // that forked, and those live as long as the program does its work.
        let mut child = command.spawn().map_err(not_started)?;
        let group = matches!(launch.tie, Tie::Group)
            .then(|| child.id().and_then(|id| i32::try_from(id).ok()))
            .flatten();
        let mut collectors = JoinSet::new();
        if let Some(stderr) = child.stderr.take() {
            let log = Arc::clone(log);
            collectors.spawn(async move { log.collect(stderr).await });
        }
        let stdin = child.stdin.take();
        let stdout = child.stdout.take();
        let mut process = Self {
            program,
            child,
            _stdin: None,
            group,
            _collectors: collectors,
        };
        match &launch.tie {
            Tie::Group => {
                if let Some(stdout) = stdout {
                    let log = Arc::clone(log);
                    process
                        ._collectors
                        .spawn(async move { log.collect(stdout).await });
                }
                Ok((process, None))
            }
            Tie::Pipe { greeting } => {
                let mut stdin = stdin.ok_or_else(|| not_started(io::Error::other("its stdin is no pipe")))?;
                let stdout = stdout.ok_or_else(|| not_started(io::Error::other("its stdout is no pipe")))?;
                // A server that has ended already cannot take its greeting; why it ended is found out below.
                let _ = stdin.write_all(format!("{greeting}\n").as_bytes()).await;
                process._stdin = Some(stdin);
                let mut stdout = BufReader::new(stdout);
                let mut line = String::new();
                match timeout(launch.deadline, stdout.read_line(&mut line)).await {
                    Ok(Ok(bytes)) if bytes > 0 => {
                        let log = Arc::clone(log);
                        process
                            ._collectors
                            .spawn(async move { log.collect(stdout).await });
                        Ok((process, Some(line)))
                    }
                    Ok(_) => Err(process.ended_early(launch.deadline, log).await),
                    Err(_) => Err(process.not_ready(launch.deadline, "its ready line", log)),
                }
            }
        }
    }

    /// The pid while it runs.
    #[must_use]
    pub(crate) fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Whether it has ended, and how.
    ///
    /// # Errors
    /// The system cannot tell.
    pub(crate) fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        let status = self.child.try_wait()?;
        if status.is_some() {
            self.end_group();
        }
        Ok(status)
    }

    /// Awaits its end; `None` if it still runs after `within`.
    ///
    /// # Errors
    /// The system cannot tell.
    pub(crate) async fn wait(&mut self, within: Duration) -> io::Result<Option<ExitStatus>> {
        match timeout(within, self.child.wait()).await {
            Ok(status) => {
                let status = status?;
                self.end_group();
                Ok(Some(status))
            }
            Err(_) => Ok(None),
        }
    }

    /// Ends what a foreign server has left behind, now: later the system may have given the group's number away.
    fn end_group(&mut self) {
        if let Some(group) = self.group.take() {
            send_signal(-group, Signal::Kill);
        }
    }

    /// Sends it a signal; a foreign server's whole group gets it. A server that has ended already is no error.
    pub(crate) fn signal(&self, signal: Signal) {
        if let Some(pid) = self.child.id().and_then(|id| i32::try_from(id).ok()) {
            send_signal(self.group.map_or(pid, |group| -group), signal);
        }
    }

    /// Asks it to stop by this signal, and ends it if it has not within `deadline`.
    pub(crate) async fn stop(mut self, signal: Signal, deadline: Duration) {
        self.signal(signal);
        // Whether it obeyed in time or the system cannot tell: dropping ends it in both cases.
        let _ = self.wait(deadline).await;
    }

    pub(crate) fn not_ready(&self, deadline: Duration, waiting_for: &str, log: &Log) -> StartError {
        StartError::NotReady {
            program: self.program.clone(),
            deadline,
            waiting_for: waiting_for.to_owned(),
            log: log.tail(LAST_WORDS),
        }
    }

    /// Why it closed its output before it was ready.
    pub(crate) async fn ended_early(&mut self, deadline: Duration, log: &Log) -> StartError {
        match self.wait(deadline).await {
            Ok(Some(status)) => {
                // What it wrote last is still on its way through the collector.
                while let Ok(Some(_)) =
                    timeout(Duration::from_millis(500), self._collectors.join_next()).await
                {}
                StartError::Ended {
                    program: self.program.clone(),
                    status,
                    log: log.tail(LAST_WORDS),
                }
            }
            _ => self.not_ready(deadline, "its ready line", log),
        }
    }
}

/// Lines of a server's log that an error shows.
const LAST_WORDS: usize = 8;

impl Drop for Process {
    fn drop(&mut self) {
        // The process itself is ended by its own drop (`kill_on_drop`).
        self.end_group();
    }
}

fn prepare(launch: &Launch) -> Command {
    let mut command = Command::new(launch.command.first().map_or("", String::as_str));
    command
        .args(launch.command.iter().skip(1))
        .envs(&launch.env)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    match launch.tie {
        Tie::Pipe { .. } => {
            command.stdin(Stdio::piped());
            // How it is set is for its flags alone: what a person's environment sets would be judged as if the server
            // were wrong.
            for (name, _) in std::env::vars_os() {
                let ours = name.to_string_lossy().starts_with(OUR_VARIABLES);
                if ours || DOCUMENTED_VARIABLES.iter().any(|documented| name == *documented) {
                    command.env_remove(name);
                }
            }
        }
        Tie::Group => {
            command.stdin(Stdio::null());
            #[cfg(target_os = "linux")]
            die_with_parent(&mut command);
        }
    }
    #[cfg(unix)]
    command.process_group(0);
    command.kill_on_drop(true);
    command
}

/// What the built-in server's own environment variables begin with.
const OUR_VARIABLES: &str = "TOUCHSTONE_";
/// Those that the dialects' documents name, and others understand too.
const DOCUMENTED_VARIABLES: &[&str] = &[
    "REDIS_SESSION_TTL",
    "JWT_SECRET",
    "SECRET_KEY",
    "REDIS_HOST",
    "CHANNEL_REDIS_URL",
    "MESSAGE_REDIS_URL",
];

#[cfg(target_os = "linux")]
fn die_with_parent(command: &mut Command) {
    let parent = std::process::id();
    // SAFETY: the closure makes system calls that are async-signal-safe, and nothing else, between fork and exec.
    unsafe {
        command.pre_exec(move || {
            if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) == -1 {
                return Err(io::Error::last_os_error());
            }
            // A parent that ended before the line above sends no signal any more.
            if u32::try_from(libc::getppid()) != Ok(parent) {
                return Err(io::Error::from_raw_os_error(libc::ESRCH));
            }
            Ok(())
        });
    }
}

#[cfg(unix)]
fn send_signal(pid: i32, signal: Signal) {
    let number = match signal {
        Signal::Term => libc::SIGTERM,
        Signal::Int => libc::SIGINT,
        Signal::Kill => libc::SIGKILL,
    };
    // SAFETY: `kill` takes plain integers. A process that is gone already is what we wanted.
    unsafe { libc::kill(pid, number) };
}

#[cfg(not(unix))]
fn send_signal(_pid: i32, _signal: Signal) {}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn group(script: &str) -> Launch {
        Launch {
            command: vec!["sh".into(), "-c".into(), script.into()],
            env: BTreeMap::from([("GREETING".into(), "hello".into())]),
            tie: Tie::Group,
            deadline: Duration::from_secs(10),
        }
    }

    #[tokio::test]
    async fn what_it_writes_is_kept_and_its_exit_is_known() {
        let log = Arc::new(Log::default());
        let mark = log.mark();
        let (mut process, _) = Process::start(&group("echo $GREETING; exit 7"), &log)
            .await
            .unwrap();
        log.written_after(mark).await;
        assert_eq!(log.since(mark), ["hello"]);
        let status = process.wait(Duration::from_secs(10)).await.unwrap().unwrap();
        assert_eq!(status.code(), Some(7));
    }

    #[tokio::test]
    async fn dropping_it_ends_the_whole_group() {
        let log = Arc::new(Log::default());
        let mark = log.mark();
        let (process, _) = Process::start(&group("sleep 600 & echo $!; wait"), &log)
            .await
            .unwrap();
        log.written_after(mark).await;
        let grandchild: i32 = log.since(mark)[0].parse().unwrap();
        drop(process);
        // A killed process is gone, or a zombie until its reaper comes: in both cases its /proc entry has no memory.
        while std::fs::read_to_string(format!("/proc/{grandchild}/status"))
            .is_ok_and(|status| status.contains("VmRSS"))
        {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn what_a_server_leaves_behind_ends_with_it() {
        let log = Arc::new(Log::default());
        let (mut process, _) = Process::start(&group("sleep 600 & echo $!"), &log).await.unwrap();
        process.wait(Duration::from_secs(10)).await.unwrap().unwrap();
        // The grandchild has the pipe open: only its end ends the collectors.
        while process._collectors.join_next().await.is_some() {}
        assert!(process.group.is_none(), "its number may be another's by now");
    }

    #[tokio::test]
    async fn a_piped_server_reads_its_greeting_and_ends_with_the_pipe() {
        let launch = Launch {
            command: vec![
                "sh".into(),
                "-c".into(),
                "read line; echo ready $line; cat >/dev/null; echo gone >&2".into(),
            ],
            env: BTreeMap::new(),
            tie: Tie::Pipe {
                greeting: "secret".into(),
            },
            deadline: Duration::from_secs(10),
        };
        let log = Arc::new(Log::default());
        let (mut process, ready) = Process::start(&launch, &log).await.unwrap();
        assert_eq!(ready.as_deref(), Some("ready secret\n"));
        drop(process._stdin.take());
        assert!(
            process
                .wait(Duration::from_secs(10))
                .await
                .unwrap()
                .unwrap()
                .success()
        );
    }

    #[tokio::test]
    async fn one_that_ends_before_it_is_ready_is_quoted() {
        let launch = Launch {
            command: vec!["sh".into(), "-c".into(), "echo port in use >&2; exit 2".into()],
            env: BTreeMap::new(),
            tie: Tie::Pipe {
                greeting: String::new(),
            },
            deadline: Duration::from_secs(10),
        };
        let error = Process::start(&launch, &Arc::new(Log::default()))
            .await
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "`sh` ended before it was ready (exit status: 2); it wrote:\n  port in use"
        );
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_named() {
        let launch = Launch {
            command: vec!["/no/such/program".into()],
            ..group("")
        };
        let error = Process::start(&launch, &Arc::new(Log::default()))
            .await
            .unwrap_err();
        assert!(matches!(error, StartError::NotStarted { ref program, .. } if program == "/no/such/program"));
    }
}
