//! `touchstone`: flags, wiring and exit codes. What it does is in the libraries.

mod args;
mod backup;
mod check;
mod conform;
mod descriptors;
mod exit;
mod init;
mod interrupt;
mod load;
mod log;
mod migrate;
mod mutants;
mod outputs;
mod print;
mod progress;
mod serve;
mod settings;
mod summary;
mod target;
mod terminal;
mod token;

use std::process::ExitCode;
use std::time::Duration;

use clap::CommandFactory;

use touchstone_conformance::results::Tool;

use crate::args::{Cli, Command, SchemaOf, TokenCommand};
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
    match cli.command {
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "touchstone", &mut script);
            print::data(&String::from_utf8_lossy(&script))?;
            Ok(exit::OK)
        }
        Command::Schema { of } => {
            let schema = match of {
                SchemaOf::Scenario => touchstone_scenarios::schema::scenario(),
                SchemaOf::Mutants => touchstone_scenarios::schema::mutants(),
                SchemaOf::Workload => touchstone_loadgen::workload::schema::workload(),
                SchemaOf::Target => touchstone_sut::schema::target(),
                SchemaOf::Config => settings::schema(),
            };
            print::data(&outputs::json(&schema))?;
            Ok(exit::OK)
        }
        Command::Token {
            command: TokenCommand::Mint(args),
        } => token::mint(&args),
        Command::Backup(args) => backup::run(&args),
        Command::Migrate(args) => asynchronously(migrate::run(args), Rest::IsEnded),
        Command::Check(args) => asynchronously(check::run(args), Rest::IsEnded),
        Command::Serve(args) => asynchronously(serve::run(args), Rest::IsLeft),
        Command::Conform { command } => asynchronously(conform::run(*command), Rest::IsEnded),
        Command::Load { command } => asynchronously(load::run(command), Rest::IsEnded),
    }
}

/// What becomes of that which a command leaves behind on the runtime.
#[derive(Clone, Copy)]
enum Rest {
    /// A case that was given up may still hold a server that we started: it ends when the case is dropped.
    IsEnded,
    /// The thread that reads stdin until its parent ends must not hold the program up.
    IsLeft,
}

fn asynchronously(command: impl Future<Output = Outcome>, rest: Rest) -> Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::usage(format!("this machine gives no threads: {error}")))?;
    let outcome = runtime.block_on(command);
    match rest {
        Rest::IsLeft => runtime.shutdown_background(),
        Rest::IsEnded => runtime.shutdown_timeout(TIDY_UP_DEADLINE),
    }
    outcome
}
