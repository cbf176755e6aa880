//! Presence in a crowd (common/11a): what it costs the server that a user comes, and that he goes again, in crowds of
//! different sizes that come within seconds. Were everybody told of everybody, the cost of each would grow with the crowd.

use std::time::Duration;

use anyhow::{Result, ensure};
use touchstone_protocol::Dialect;

use crate::Args;
use crate::crowd::Crowd;
use crate::idle::targets;
use crate::life::settle;
use crate::process::Server;
use crate::table::{self, Rounds};

/// Crowds, as parts of the largest.
const PARTS: [usize; 4] = [10, 5, 2, 1];

/// Rounds; what is looked for is a slope of ten to one, not a few percent.
const ROUNDS_MAX: usize = 3;

/// Departures have been told by so long after the last: a batch comes once a second.
const AFTERWARDS: Duration = Duration::from_secs(10);

/// What one user of a crowd cost.
#[derive(Debug, Default)]
struct Costs {
    coming_micros: Rounds,
    going_micros: Rounds,
    heard_bytes: Rounds,
}

/// Prints a table.
pub(crate) async fn measure(args: &Args) -> Result<()> {
    table::heading(
        "Presence in a crowd that comes and goes",
        &[
            "dialect",
            "users",
            "µs of CPU for each who comes",
            "for each who goes",
            "both, × the smallest crowd",
            "bytes that each is told",
        ],
    );
    for dialect in [Dialect::Feed, Dialect::Direct] {
        let mut smallest = None;
        for part in PARTS {
            let users = args.sessions / part;
            ensure!(users > 0, "`--sessions` must be at least {}", PARTS[0]);
            let mut costs = Costs::default();
            for _ in 0..args.rounds.min(ROUNDS_MAX) {
                come_and_go(args, dialect, users, &mut costs).await?;
            }
            let both = costs.coming_micros.median() + costs.going_micros.median();
            let ratio = both / *smallest.get_or_insert(both);
            table::row(&[
                dialect.name().to_owned(),
                users.to_string(),
                costs.coming_micros.shown(),
                costs.going_micros.shown(),
                format!("{ratio:.2}"),
                format!("{:.0}", costs.heard_bytes.median()),
            ]);
        }
    }
    table::end();
    Ok(())
}

async fn come_and_go(args: &Args, dialect: Dialect, users: usize, costs: &mut Costs) -> Result<()> {
    let server = Server::ours(&args.server, &["--dialects", dialect.name()])?;
    let targets = targets(&server, dialect, users)?;
    let before = server.cpu()?;
    let mut crowd = Crowd::default();
    crowd.connect(server.address, targets).await?;
    crowd.quiet().await;
    let there = server.cpu()?;
    let heard = crowd.bytes();
    drop(crowd);
    settle(&server, AFTERWARDS).await?;
    let gone = server.cpu()?;
    let each = |all: Duration| all.as_secs_f64() * 1e6 / users as f64;
    costs.coming_micros.0.push(each(there - before));
    costs.going_micros.0.push(each(gone - there));
    costs.heard_bytes.0.push(heard as f64 / users as f64);
    Ok(())
}
