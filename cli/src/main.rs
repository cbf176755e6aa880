//! `touchstone`: flags, wiring and exit codes. What it does is in the libraries.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the program is where things are printed"
)]

mod args;
mod check;
mod conform;
mod descriptors;
mod exit;
mod interrupt;
mod load;
mod outputs;
mod progress;
mod serve;
mod summary;
mod target;
mod terminal;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use touchstone_conformance::results::Tool;

use crate::args::{Cli, Command};
use crate::exit::{Failure, Outcome};

/// Which program this is, for every report.
pub(crate) fn tool() -> Tool {
    Tool {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        commit: option_env!("TOUCHSTONE_COMMIT").map(str::to_owned),
    }
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(code) => exit::code(code),
        Err(Failure { code, shown }) => {
            eprintln!("{shown}");
            exit::code(code)
        }
    }
}

fn run(cli: Cli) -> Outcome {
    if let Command::Completions { shell } = cli.command {
        clap_complete::generate(shell, &mut Cli::command(), "touchstone", &mut std::io::stdout());
        return Ok(exit::OK);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::usage(format!("this machine gives no threads: {error}")))?;
    let outcome = runtime.block_on(async {
        match cli.command {
            Command::Check(args) => check::run(args).await,
            Command::Serve(args) => serve::run(args).await,
            Command::Conform { command } => conform::run(command).await,
            Command::Load { command } => load::run(command).await,
            Command::Completions { .. } => unreachable!("handled before the runtime was built"),
        }
    });
    // A thread that still reads stdin must not hold the program up.
    runtime.shutdown_background();
    outcome
}
