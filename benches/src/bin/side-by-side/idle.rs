//! Sessions that do nothing: what each costs in anonymous memory, once it is connected and greeted.

use anyhow::{Context as _, Result};
use touchstone_protocol::{Dialect, routes};
use touchstone_sut::transport::{Tls, Transport, Trust};

use crate::Args;
use crate::crowd::Crowd;
use crate::process::Server;
use crate::table;
use crate::users::Users;

/// Sessions that are there before the measurement begins: what a server makes once is not counted.
const WARM_UP: usize = 100;

/// Members of each channel, on the dialect that has channels.
const MEMBERS: usize = 100;

/// Where servers that are measured listen; the certificate names it.
const LOOPBACK: &str = "127.0.0.1";

/// Prints a table.
pub(crate) async fn measure(args: &Args) -> Result<()> {
    table::heading(
        &format!("Idle sessions, {WARM_UP} to {}", args.sessions),
        &["dialect", "KiB of anonymous memory per session"],
    );
    for dialect in Dialect::ALL {
        let server = Server::ours(&args.server, &["--dialects", dialect.name()])?;
        let targets = targets(&server, *dialect, args.sessions)?;
        let kibibytes = one(&server, &Transport::Plain, &targets).await?;
        table::row(&[dialect.name(), &format!("{kibibytes:.2}")]);
    }
    let kibibytes = behind_tls(args).await?;
    table::row(&["echo, behind TLS", &format!("{kibibytes:.2}")]);
    table::end();
    Ok(())
}

/// The dialect that needs no users, who are made over HTTP: what TLS costs is the same for all.
async fn behind_tls(args: &Args) -> Result<f64> {
    let names = vec![LOOPBACK.to_owned()];
    let issued = rcgen::generate_simple_self_signed(names)?;
    let folder = tempfile::tempdir()?;
    let (certificate, key) = (folder.path().join("chain.pem"), folder.path().join("key.pem"));
    std::fs::write(&certificate, issued.cert.pem())?;
    std::fs::write(&key, issued.signing_key.serialize_pem())?;
    let flags = [
        "--dialects",
        Dialect::Echo.name(),
        "--tls-cert",
        certificate.to_str().context("a path of text")?,
        "--tls-key",
        key.to_str().context("a path of text")?,
    ];
    let server = Server::ours(&args.server, &flags)?;
    let transport = Transport::Tls(Tls::new(Trust::Authorities(certificate))?);
    let targets = targets(&server, Dialect::Echo, args.sessions)?;
    one(&server, &transport, &targets).await
}

async fn one(server: &Server, transport: &Transport, targets: &[String]) -> Result<f64> {
    let address = server.address;
    let mut crowd = Crowd::default();
    let (first, rest) = targets.split_at(WARM_UP);
    crowd.connect_through(transport, address, first.to_vec()).await?;
    crowd.quiet().await;
    let before = server.anonymous_bytes()?;
    crowd.connect_through(transport, address, rest.to_vec()).await?;
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
