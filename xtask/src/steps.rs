//! The tasks, step by step. Every step says what it runs, so that it can be run alone.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::needs::Missing;
use crate::{docs, house, needs};

/// What `cargo xtask bench` is asked for to measure whole servers.
const SIDE_BY_SIDE: &str = "side-by-side";

/// Each mutant with the cases its file names. A machine that is busy otherwise may try again what it spoilt.
const NAMED_MUTANTS: [&str; 10] = [
    "run",
    "--quiet",
    "--package",
    "touchstone",
    "--",
    "conform",
    "mutants",
    "--named",
    "--retries",
    "2",
];

/// The example servers under all of their dialects' cases, also those that take minutes.
const WHOLE_EXAMPLES: [&str; 8] = [
    "test",
    "--package",
    "touchstone",
    "--test",
    "examples",
    "--",
    "--include-ignored",
    "all_of",
];

/// How many times in a row the suite has to be green while both cores are kept busy.
const CONTROL_RUNS: &str = "20";

/// How often what is tried on busy cores is tried again, a few at once: a sweep that comes late hides that it was not heard.
const BUSY_RETRIES: &str = "2";

/// How often a durable server is killed to prove that it keeps what it confirmed.
const KILLS: &str = "200";

/// All that a change has to pass.
pub(crate) fn test(missing: Missing) -> Result<()> {
    let started = Instant::now();
    needs::everything(missing)?;
    house::check_directions()?;
    house::check_settings()?;
    docs::check()?;
    cargo(&["fmt", "--all", "--check"])?;
    cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])?;
    // Alone, because a build of the whole workspace switches the message types on for everybody.
    cargo(&["check", "--package", "touchstone-conformance"])?;
    // The tests of the command line start the program itself.
    cargo(&["build", "--package", "touchstone"])?;
    // Can the suite fail? Each mutant has to be noticed by the cases that its file names.
    cargo(&NAMED_MUTANTS)?;
    cargo(&["test", "--workspace", "--doc"])?;
    cargo(&["test", "--workspace", "--all-targets"])?;
    run(Command::new(env!("CARGO"))
        .env("RUSTDOCFLAGS", "-D warnings")
        .args(["doc", "--workspace", "--no-deps"]))?;
    eprintln!("xtask: all passed in {} s", started.elapsed().as_secs());
    Ok(())
}

/// The benchmarks, or whole servers side by side.
pub(crate) fn bench(rest: &[String]) -> Result<()> {
    if let Some((SIDE_BY_SIDE, rest)) = rest.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        return side_by_side(rest);
    }
    let mut command = Command::new(env!("CARGO"));
    command
        .args(["bench", "--package", "touchstone-benches", "--"])
        .args(rest);
    run(&mut command)
}

/// Builds every server as it is shipped, and the client, and measures.
fn side_by_side(rest: &[String]) -> Result<()> {
    cargo(&["build", "--profile", "dist", "--package", "touchstone"])?;
    cargo(&[
        "build",
        "--release",
        "--manifest-path",
        "benches/rivals/Cargo.toml",
    ])?;
    let mut command = Command::new(env!("CARGO"));
    command
        .args([
            "run",
            "--release",
            "--package",
            "touchstone-benches",
            "--bin",
            SIDE_BY_SIDE,
            "--",
        ])
        .args(rest);
    run(&mut command)
}

/// The kill matrix; then every example server under its whole suite; then the built-in server, `rounds` times, with as many
/// cases at once as show a race if there is one; then once behind TLS.
pub(crate) fn prove(rounds: u32) -> Result<()> {
    cargo(&["build", "--release", "--package", "touchstone"])?;
    {
        let _busy = Busy::on_every_core()?;
        matrix(&["--quick", "--control", CONTROL_RUNS, "--retries", BUSY_RETRIES])
            .context("the control of the kill matrix on busy cores")?;
    }
    matrix(&[]).context("the kill matrix")?;
    run(Command::new(env!("CARGO")).env("KILLS", KILLS).args([
        "test",
        "--package",
        "touchstone",
        "--test",
        "program",
        "--",
        "kills",
    ]))?;
    needs::everything(Missing::Install)?;
    cargo(&WHOLE_EXAMPLES).context("an example server under its whole suite")?;
    for round in 1..=rounds {
        eprintln!("xtask: round {round} of {rounds}");
        cargo(&[
            "run",
            "--release",
            "--quiet",
            "--",
            "conform",
            "run",
            "--strict",
            "--jobs",
            "32",
        ])
        .with_context(|| format!("round {round}"))?;
    }
    eprintln!("xtask: a round behind TLS");
    cargo(&[
        "run",
        "--release",
        "--quiet",
        "--",
        "conform",
        "run",
        "--strict",
        "--tls",
    ])
    .context("a round behind TLS")
}

/// The kill matrix of the program as it is shipped.
fn matrix(more: &[&str]) -> Result<()> {
    let matrix = ["run", "--release", "--quiet", "--", "conform", "mutants"];
    cargo(&[&matrix, more].concat())
}

/// Threads that have every core do something else as well, until they are dropped.
struct Busy {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Busy {
    fn on_every_core() -> Result<Self> {
        let cores = thread::available_parallelism().context("the number of cores is not known")?;
        let stop = Arc::new(AtomicBool::new(false));
        let spin = |_| {
            let stop = Arc::clone(&stop);
            thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            })
        };
        let threads = (0..cores.get()).map(spin).collect();
        Ok(Self { stop, threads })
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // A thread that only spins does not panic.
            let _ended = thread.join();
        }
    }
}

/// The documents that are made from data.
pub(crate) fn docs() -> Result<()> {
    docs::write()
}

fn cargo(arguments: &[&str]) -> Result<()> {
    run(Command::new(env!("CARGO")).args(arguments))
}

fn run(command: &mut Command) -> Result<()> {
    let shown = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ");
    eprintln!("xtask: {shown}");
    let status = command
        .status()
        .with_context(|| format!("could not run {shown}"))?;
    if !status.success() {
        bail!("failed ({status}): {shown}");
    }
    Ok(())
}
