//! Sessions that do nothing: what each costs in anonymous memory, once it is connected and greeted.

use anyhow::Result;
use touchstone_protocol::{Dialect, routes};

use crate::Args;
use crate::crowd::Crowd;
use crate::process::Server;
use crate::table;
use crate::users::Users;

/// Sessions that are there before the measurement begins: what a server makes once is not counted.
const WARM_UP: usize = 100;

/// Members of each channel, on the dialect that has channels.
const MEMBERS: usize = 100;

/// Prints a table.
pub(crate) async fn measure(args: &Args) -> Result<()> {
    table::heading(
        &format!("Idle sessions, {WARM_UP} to {}", args.sessions),
        &["dialect", "KiB of anonymous memory per session"],
    );
    for dialect in Dialect::ALL {
        let kibibytes = one(args, *dialect).await?;
        table::row(&[dialect.name(), &format!("{kibibytes:.2}")]);
    }
    table::end();
    Ok(())
}

async fn one(args: &Args, dialect: Dialect) -> Result<f64> {
    let server = Server::ours(&args.server, &["--dialects", dialect.name()])?;
    let targets = targets(&server, dialect, args.sessions)?;
    let mut crowd = Crowd::default();
    let (first, rest) = targets.split_at(WARM_UP);
    crowd.connect(server.address, first.to_vec()).await?;
    crowd.quiet().await;
    let before = server.anonymous_bytes()?;
    crowd.connect(server.address, rest.to_vec()).await?;
    crowd.quiet().await;
    let after = server.anonymous_bytes()?;
    Ok((after as f64 - before as f64) / 1_024.0 / rest.len() as f64)
}

/// How so many users connect, all of them made before anybody does.
pub(crate) fn targets(server: &Server, dialect: Dialect, sessions: usize) -> Result<Vec<String>> {
    if !dialect.has_tokens() {
        return Ok(vec![routes::websocket(dialect).to_owned(); sessions]);
    }
    let users = Users::make(server, dialect, sessions)?;
    let mut targets = Vec::with_capacity(sessions);
    for first in (0..sessions).step_by(MEMBERS) {
        let members = first..(first + MEMBERS).min(sessions);
        let channel = match dialect {
            Dialect::Rooms => users.channel(server, members.clone())?,
            Dialect::Echo | Dialect::Outbox | Dialect::Feed | Dialect::Direct => String::new(),
        };
        targets.extend(members.map(|number| users.target(number, &channel)));
    }
    Ok(targets)
}
