//! Whole servers, started in turn, under one client: ours beside a bare writer of the same bytes and a minimal server on
//! axum's `ws`; and clients under one server: the load generator beside some that measure nothing. Costs are what the operating system
//! accounts to the process, as ratios over several rounds.
//!
//! `cargo xtask bench side-by-side [fan-out|echo|idle|presence|confirms|life|generator]…` builds everything and runs it.

mod accounting;
mod confirms;
mod crowd;
mod echo;
mod fan_out;
mod generator;
mod idle;
mod life;
mod presence;
mod process;
mod table;
mod users;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, ValueEnum};

/// Measures servers side by side.
#[derive(Debug, Parser)]
struct Args {
    /// What to measure; everything if left out
    measures: Vec<Measure>,
    /// The program that is measured
    #[arg(long, default_value = "target/dist/touchstone")]
    server: PathBuf,
    /// What it is measured against
    #[arg(long, default_value = "benches/rivals/target/release/rivals")]
    rivals: PathBuf,
    /// artillery, a rival of the load generator if it is there
    #[arg(long, default_value = "target/tools/node_modules/.bin/artillery")]
    artillery: PathBuf,
    /// locust, with websocket-client beside it: the same
    #[arg(long, default_value = "target/tools/venv/bin/locust")]
    locust: PathBuf,
    /// Rounds; each gives one ratio
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Sessions of the room that is told something
    #[arg(long, default_value_t = 5_000)]
    subscribers: usize,
    /// Sessions that do nothing, or are closed
    #[arg(long, default_value_t = 10_000)]
    sessions: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Measure {
    /// CPU per delivery, one publish at a time and eight in flight
    FanOut,
    /// CPU per message that comes back, one in flight
    Echo,
    /// Memory of a session that does nothing
    Idle,
    /// What each costs who comes and goes, in small crowds and large ones
    Presence,
    /// Messages confirmed by a durable store, beside what the store itself commits
    Confirms,
    /// From start to ready, from SIGTERM to the end with everybody told, and what is left of a crowd
    Life,
    /// CPU and memory of the load generator, beside clients that measure nothing
    Generator,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let wanted = |measure| args.measures.is_empty() || args.measures.contains(&measure);
    accounting::raise_descriptors()?;
    table::machine()?;
    runtime.block_on(async {
        if wanted(Measure::FanOut) {
            fan_out::measure(&args).await?;
        }
        if wanted(Measure::Echo) {
            echo::measure(&args).await?;
        }
        if wanted(Measure::Idle) {
            idle::measure(&args).await?;
        }
        if wanted(Measure::Presence) {
            presence::measure(&args).await?;
        }
        if wanted(Measure::Confirms) {
            confirms::measure(&args).await?;
        }
        if wanted(Measure::Life) {
            life::measure(&args).await?;
        }
        if wanted(Measure::Generator) {
            generator::measure(&args).await?;
        }
        Ok(())
    })
}
