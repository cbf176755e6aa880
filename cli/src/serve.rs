//! `touchstone serve`: what was said becomes a configuration, signals become a stop.

use std::io::Write as _;
use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Stdin};
use tokio_util::sync::CancellationToken;
use touchstone_server::{Server, StartError, StoreChoice};

use crate::args::ServeArgs;
use crate::exit::{self, Failure, Outcome};
use crate::interrupt::{Request, Signals};
use crate::outputs::{self, ConformFormat};
use crate::settings::secrets::{self, Secrets};
use crate::settings::{self, Environment, Resolved, Said};
use crate::{descriptors, log, print};

/// The parent that started us has to tell the keys within this time.
const GREETING_DEADLINE: Duration = Duration::from_secs(10);

/// What the parent of a supervised server says, on one line of stdin.
#[derive(Deserialize)]
struct Greeting {
    secret: Option<String>,
    admin_key: String,
}

/// Runs the server until it is told to stop.
pub(crate) async fn run(args: ServeArgs) -> Outcome {
    let environment = Environment::of_this_process();
    let config_file = args.config.clone().or_else(|| environment.config_file());
    let mut resolved = settings::resolve(&Said {
        config_file: config_file.as_ref(),
        environment: &environment,
        flags: &args.flags,
        set: &args.set,
    })?;
    let mut secrets = secrets::read(&mut resolved, &environment)?;
    if args.dev {
        secrets::make_up(&mut resolved.settings, &mut secrets)?;
    }
    if args.print_config {
        return print_config(&args, &mut resolved, &secrets);
    }
    log::to_stderr(resolved.settings.log_format, &resolved.settings.log_filter);
    for warning in &resolved.warnings {
        tracing::warn!("{warning}");
    }
    descriptors::raise_limit();
    let mut parent = None;
    if args.supervised {
        let mut stdin = BufReader::new(tokio::io::stdin());
        let greeting = greeting(&mut stdin).await?;
        secrets::replace(&mut resolved.settings, greeting.secret, greeting.admin_key);
        parent = Some(stdin);
    }
    secrets::check_complete(&resolved.settings)?;
    let config = resolved.settings.server;
    let store = config.store.clone();
    let scheme = if config.tls.is_some() { "wss" } else { "ws" };
    if config.allow_faults && config.admin_key.is_none() {
        return Err(Failure::usage(
            "--allow-faults needs an admin key: give --admin-key-file FILE",
        ));
    }

    let server = Server::bind(config).await.map_err(|error| match error {
        StartError::Listen { .. } => Failure::usage(format!("{error}; choose another address with --listen")),
        StartError::Setting { key, .. } => Failure::usage(format!("{error} ({})", resolved.origins.of(key))),
        other => Failure::usage(other),
    })?;
    // Before anybody is told that we are ready: a signal that came earlier would end the program on the spot.
    let mut signals = Signals::listen()?;
    let (mut drain_asked, drain) = (Request::to_drain()?, server.drain());
    let (mut reload_asked, reload) = (Request::to_reload()?, server.reload());
    announce(&server, &store, args.supervised)?;
    if args.dev {
        print::data(&places_to_try(&server, scheme).await)?;
    }
    let stop = CancellationToken::new();
    let asked = async {
        tokio::select! {
            () = signals.received() => {}
            () = parent_gone(parent) => {}
        }
        stop.cancel();
        // From here on the server ends the program by itself, within its grace period.
        std::future::pending::<()>().await;
    };
    let requests = async {
        loop {
            tokio::select! {
                () = drain_asked.received() => drain.begin(),
                () = reload_asked.received() => reload.now(),
            }
        }
    };
    tokio::select! {
        _stopped = server.run(stop.clone()) => Ok(exit::OK),
        () = asked => unreachable!("it waits for ever once it has asked"),
        () = requests => unreachable!("there may always be one more signal"),
    }
}

async fn greeting(stdin: &mut BufReader<Stdin>) -> Result<Greeting, Failure> {
    let mut line = String::new();
    let told = tokio::time::timeout(GREETING_DEADLINE, stdin.read_line(&mut line)).await;
    match told {
        Ok(Ok(bytes)) if bytes > 0 => {
            // The line holds keys: what is wrong with it is not shown.
            serde_json::from_str(&line)
                .map_err(|_| Failure::usage("--supervised: the first line of stdin is no greeting"))
        }
        _ => Err(Failure::usage(
            "--supervised is for the child of another touchstone, which tells its keys by stdin",
        )),
    }
}

/// Shows every value with its origin.
fn print_config(args: &ServeArgs, resolved: &mut Resolved, secrets: &Secrets) -> Outcome {
    for warning in &resolved.warnings {
        print::talk(&format!("warning: {warning}\n"));
    }
    let (settings, origins) = (&mut resolved.settings, &resolved.origins);
    match &args.report {
        None => print::data(&settings::as_text(settings, origins, secrets))?,
        Some(report) if report.format == ConformFormat::Json => {
            let shown = settings::as_json(settings, origins, secrets);
            outputs::write(&report.path, &outputs::json(&shown))?;
        }
        Some(_) => {
            return Err(Failure::usage(
                "the configuration is shown as text, or with --report json=PATH as JSON",
            ));
        }
    }
    Ok(exit::OK)
}

/// Says where it listens to the parent, and to a person what the log does not say by itself.
fn announce(server: &Server, store: &StoreChoice, supervised: bool) -> Result<(), Failure> {
    if supervised {
        let line = serde_json::json!({"ready": {"http": server.addresses()[0].to_string()}});
        let mut stdout = std::io::stdout().lock();
        return writeln!(stdout, "{line}")
            .and_then(|()| stdout.flush())
            .map_err(|error| Failure::usage(format!("the parent does not read: {error}")));
    }
    if matches!(store, StoreChoice::Memory) {
        tracing::info!(
            store = "embedded:",
            "everything is kept in memory: nothing survives a restart"
        );
    }
    Ok(())
}

/// A line for everybody who was made for trying it out, with a URL that is ready to use.
async fn places_to_try(server: &Server, scheme: &str) -> String {
    let address = server.addresses()[0];
    let mut lines = String::new();
    for user in server.make_trial_users().await {
        let name = user.username.as_deref().unwrap_or("-");
        let (dialect, target) = (user.dialect.name(), &user.target);
        lines.push_str(&format!("{dialect:6}  {name:8}  {scheme}://{address}{target}\n"));
    }
    lines
}

/// Resolves when the parent's pipe ends; never, if there is no parent.
async fn parent_gone(parent: Option<BufReader<Stdin>>) {
    let Some(mut stdin) = parent else {
        return std::future::pending().await;
    };
    let mut ignored = [0; 64];
    while matches!(stdin.read(&mut ignored).await, Ok(read) if read > 0) {}
}
