//! `cargo xtask test | needs | bench | prove | docs`: what is done with the repository, in one place.
#![allow(
    clippy::print_stderr,
    reason = "this is a command line tool: it says what it runs"
)]

mod configuration;
mod docs;
mod house;
mod needs;
mod steps;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use needs::Missing;

/// The repository's own tasks.
#[derive(Parser)]
#[command(bin_name = "cargo xtask", disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Formatting, lints, the house's rules, every mutant, every test, the documentation.
    Test {
        /// Fail instead of installing what a test needs.
        #[arg(long)]
        no_install: bool,
    },
    /// Installs the programs and libraries that tests need and this machine lacks.
    Needs,
    /// The criterion benchmarks, or with `side-by-side` whole servers under one client; what follows goes to them.
    Bench {
        /// Passed on.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        rest: Vec<String>,
    },
    /// What takes too long for every commit: the kill matrix, and the whole suite many times, 32 cases at once.
    Prove {
        /// How often the suite is run.
        #[arg(long, default_value_t = 20)]
        rounds: u32,
    },
    /// Writes `docs/dialects/*.md` anew from `scenarios/rules`, and `docs/configuration.md` from `cli/schema/config.json`.
    Docs,
}

fn main() -> ExitCode {
    let done = match Cli::parse().task {
        Task::Test { no_install: true } => steps::test(Missing::Refuse),
        Task::Test { no_install: false } => steps::test(Missing::Install),
        Task::Needs => needs::everything(Missing::Install),
        Task::Bench { rest } => steps::bench(&rest),
        Task::Prove { rounds } => steps::prove(rounds),
        Task::Docs => steps::docs(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
