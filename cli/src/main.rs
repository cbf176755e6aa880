//! `touchstone`: flags, wiring and exit codes. What it does is in the libraries.

mod args;
mod backup;
mod check;
mod conform;
mod descriptors;
mod exit;
mod interrupt;
mod load;
mod log;
mod outputs;
mod print;
mod progress;
mod serve;
mod settings;
mod summary;
mod target;
mod terminal;

use std::process::ExitCode;
use std::time::Duration;

use clap::CommandFactory;

use touchstone_conformance::results::Tool;

use crate::args::{Cli, Command, SchemaOf};
use crate::exit::{Failure, Outcome};

/// What was started for a command and is not over with it has this long to be ended.
const TIDY_UP_DEADLINE: Duration = Duration::from_secs(1);

/// Which program this is, for every report.
pub(crate) fn tool() -> Tool {
    Tool {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        commit: option_env!("TOUCHSTONE_COMMIT").map(str::to_owned),
    }
}

fn main() -> ExitCode {
    match run(args::parse()) {
        Ok(code) => exit::code(code),
        Err(Failure { code, shown }) => {
            print::talk(&format!("{shown}\n"));
            exit::code(code)
        }
    }
}

fn run(cli: Cli) -> Outcome {
    if let Command::Completions { shell } = cli.command {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Cli::command(), "touchstone", &mut script);
        print::data(&String::from_utf8_lossy(&script))?;
        return Ok(exit::OK);
    }
    if let Command::Schema { of } = cli.command {
        let schema = match of {
            SchemaOf::Scenario => touchstone_scenarios::schema::scenario(),
            SchemaOf::Config => settings::schema(),
        };
        print::data(&outputs::json(&schema))?;
        return Ok(exit::OK);
    }
    if let Command::Backup(args) = cli.command {
        return backup::run(&args);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::usage(format!("this machine gives no threads: {error}")))?;
    let is_server = matches!(cli.command, Command::Serve(_));
    let outcome = runtime.block_on(async {
        match cli.command {
            Command::Check(args) => check::run(args).await,
            Command::Serve(args) => serve::run(args).await,
            Command::Conform { command } => conform::run(command).await,
            Command::Load { command } => load::run(command).await,
            Command::Completions { .. } | Command::Schema { .. } | Command::Backup(_) => {
                unreachable!("handled before the runtime was built")
            }
        }
    });
    if is_server {
        // The thread that reads stdin until its parent ends must not hold it up.
        runtime.shutdown_background();
    } else {
        // A case that was given up may still hold a server that we started: it ends when the case is dropped.
        runtime.shutdown_timeout(TIDY_UP_DEADLINE);
    }
    outcome
}
