//! A server's life: how soon it is ready, how soon everybody has been told that it stops, and what a crowd leaves behind.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use touchstone_protocol::Dialect;

use crate::crowd::Crowd;
use crate::idle::targets;
use crate::process::Server;
use crate::table::{self, Rounds};
use crate::{Args, accounting};

/// Crowds that come one after the other: what each leaves behind must not add up.
const CROWDS: usize = 3;

/// Sessions that are there before the crowd comes.
const WARM_UP: usize = 100;

/// A crowd's memory has been given back by so long after it has gone.
const AFTERWARDS: Duration = Duration::from_secs(10);

/// The close frame that says 1001: its beginning, without the reason.
const GOING_AWAY: [u8; 2] = 1_001_u16.to_be_bytes();

/// Prints a table for each.
pub(crate) async fn measure(args: &Args) -> Result<()> {
    table::heading(
        "From start to ready, and from SIGTERM to the end",
        &["what", "milliseconds"],
    );
    let mut starts = Rounds::default();
    for _ in 0..args.rounds {
        let server = Server::ours(&args.server, &[])?;
        starts.0.push(server.started_in.as_secs_f64() * 1e3);
    }
    table::row(&["start to ready, all dialects", &starts.shown()]);
    for dialect in Dialect::ALL {
        let (stopped, told) = stop(args, *dialect).await?;
        let what = format!("{} sessions of `{dialect}`: {told} were told 1001", args.sessions);
        table::row(&[what, format!("{:.0}", stopped.as_secs_f64() * 1e3)]);
    }
    table::end();
    table::heading(
        "Anonymous memory around a crowd",
        &[
            "dialect",
            "warm, MiB",
            "with the first crowd",
            "10 s after each has gone",
            "left of what the first added",
        ],
    );
    for dialect in Dialect::ALL {
        leave_behind(args, *dialect).await?;
    }
    table::end();
    Ok(())
}

/// Returns how long the server took to end, and how many of its sessions read a close frame with 1001 last.
async fn stop(args: &Args, dialect: Dialect) -> Result<(Duration, usize)> {
    let server = Server::ours(&args.server, &["--dialects", dialect.name()])?;
    let mut crowd = Crowd::default();
    crowd
        .connect(server.address, targets(&server, dialect, args.sessions)?)
        .await?;
    crowd.quiet().await;
    let stopping = tokio::task::spawn_blocking(move || server.stop());
    let tails = crowd.ended().await?;
    let told = tails.iter().filter(|tail| ends_with_1001(tail)).count();
    Ok((stopping.await??, told))
}

fn ends_with_1001(tail: &[u8]) -> bool {
    (0..tail.len()).any(|at| {
        let frame = &tail[at..];
        frame.len() >= 4
            && frame[0] == 0x88
            && usize::from(frame[1]) == frame.len() - 2
            && frame[2..4] == GOING_AWAY
    })
}

async fn leave_behind(args: &Args, dialect: Dialect) -> Result<()> {
    let server = Server::ours(&args.server, &["--dialects", dialect.name()])?;
    let targets = targets(&server, dialect, args.sessions)?;
    let mut few = Crowd::default();
    few.connect(server.address, targets[..WARM_UP].to_vec()).await?;
    few.quiet().await;
    drop(few);
    settle(&server, AFTERWARDS).await?;
    let warm = server.anonymous_bytes()?;
    let mut added = None;
    let mut afterwards = Vec::new();
    for _ in 0..CROWDS {
        let mut crowd = Crowd::default();
        crowd.connect(server.address, targets.clone()).await?;
        crowd.quiet().await;
        let crowded = server.anonymous_bytes()?;
        ensure!(crowded > warm, "a crowd costs memory");
        added.get_or_insert(crowded - warm);
        drop(crowd);
        tokio::time::sleep(AFTERWARDS).await;
        afterwards.push(server.anonymous_bytes()?);
    }
    let added = added.context("there was a crowd")?;
    let mebibytes = |bytes: u64| format!("{:.1}", bytes as f64 / f64::from(1 << 20));
    let left = |bytes: u64| format!("{:.0} %", (bytes as f64 - warm as f64) / added as f64 * 100.0);
    let each = |shown: &dyn Fn(u64) -> String| {
        afterwards
            .iter()
            .map(|bytes| shown(*bytes))
            .collect::<Vec<_>>()
            .join(", ")
    };
    table::row(&[
        dialect.name().to_owned(),
        mebibytes(warm),
        mebibytes(warm + added),
        each(&mebibytes),
        each(&left),
    ]);
    Ok(())
}

/// Lets the server come to rest.
pub(crate) async fn settle(server: &Server, at_most: Duration) -> Result<()> {
    let begun = Instant::now();
    let mut before = server.cpu()?;
    while begun.elapsed() < at_most {
        tokio::time::sleep(Duration::from_secs(2)).await;
        let now = server.cpu()?;
        if now - before < accounting::REST {
            return Ok(());
        }
        before = now;
    }
    Ok(())
}
