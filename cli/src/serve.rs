//! `touchstone serve`: the flags become a configuration, signals become a stop, and the log goes to stderr.

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Stdin};
use tokio_util::sync::CancellationToken;
use touchstone_server::{Compression, Config, Rate, Secret, Server, StartError};
use tracing_subscriber::EnvFilter;

use crate::args::{LogFormat, ServeArgs};
use crate::descriptors;
use crate::exit::{self, Failure, Outcome};
use crate::interrupt::Signals;

/// The parent that started us has to tell the keys within this time.
const GREETING_DEADLINE: Duration = Duration::from_secs(10);

/// What the parent of a supervised server says, on one line of stdin.
#[derive(Deserialize)]
struct Greeting {
    admin_key: String,
}

/// Runs the server until it is told to stop.
pub(crate) async fn run(args: ServeArgs) -> Outcome {
    log_to_stderr(args.log_format)?;
    descriptors::raise_limit();
    let mut config = configuration(&args)?;
    let mut parent = None;
    if args.supervised {
        let mut stdin = BufReader::new(tokio::io::stdin());
        config.admin_key = Some(Secret::new(greeting(&mut stdin).await?.admin_key));
        parent = Some(stdin);
    } else if let Some(file) = &args.admin_key_file {
        config.admin_key = Some(Secret::new(key_from(file)?));
    }
    if config.allow_faults && config.admin_key.is_none() {
        return Err(Failure::usage(
            "--allow-faults needs an admin key: give --admin-key-file FILE",
        ));
    }

    let server = Server::bind(config).map_err(|error| match error {
        StartError::Listen { .. } => Failure::usage(format!("{error}; choose another address with --listen")),
        other => Failure::usage(other),
    })?;
    // Before anybody is told that we are ready: a signal that came earlier would end the program on the spot.
    let mut signals = Signals::listen()?;
    announce(&server, args.supervised)?;
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
    tokio::select! {
        _stopped = server.run(stop.clone()) => Ok(exit::OK),
        () = asked => unreachable!("it waits for ever once it has asked"),
    }
}

fn configuration(args: &ServeArgs) -> Result<Config, Failure> {
    let mut config = Config {
        listen: args.listen.clone(),
        admin_listen: args.admin_listen,
        dialects: args.dialects.clone(),
        origins: (!args.origins.is_empty()).then(|| args.origins.clone()),
        ..Config::default()
    };
    config.allow_faults = args.allow_faults;
    config.log_messages = args.log_messages;
    config.compression = args.compression.then(Compression::default);
    config.raw_echo.clone_from(&args.raw_echo);
    set(&mut config.limits.message_bytes, args.message_bytes);
    set(&mut config.limits.connections, args.connections);
    set(&mut config.limits.queue_bytes, args.queue_bytes);
    if let Some(rate) = args.rate {
        // A burst of two seconds' worth, as common/7b has it for the dialects that are limited by default.
        config.echo.rate = Some(Rate {
            per_second: f64::from(rate),
            burst: rate.saturating_mul(2),
        });
    }
    set(&mut config.deadlines.grace, args.grace);
    set(&mut config.deadlines.handshake, args.handshake_deadline);
    set(&mut config.echo.heartbeat_interval, args.echo_heartbeat_interval);
    set(&mut config.echo.session_ttl, documented_session_ttl()?);
    set(&mut config.echo.session_ttl, args.echo_session_ttl);
    set(&mut config.echo.store_deadline, args.echo_store_deadline);
    Ok(config)
}

fn set<T>(value: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *value = given;
    }
}

/// `REDIS_SESSION_TTL`, the document's own name for it, in seconds.
fn documented_session_ttl() -> Result<Option<Duration>, Failure> {
    let Ok(text) = std::env::var("REDIS_SESSION_TTL") else {
        return Ok(None);
    };
    match text.parse::<u64>() {
        Ok(seconds) if seconds > 0 => Ok(Some(Duration::from_secs(seconds))),
        _ => Err(Failure::usage(format!(
            "REDIS_SESSION_TTL is `{text}`: write a whole number of seconds"
        ))),
    }
}

fn key_from(file: &Path) -> Result<String, Failure> {
    let key = std::fs::read_to_string(file).map_err(|error| {
        Failure::usage(format!(
            "could not read the admin key file {}: {error}",
            file.display()
        ))
    })?;
    let key = key.trim();
    if key.is_empty() {
        return Err(Failure::usage(format!(
            "the admin key file {} is empty",
            file.display()
        )));
    }
    Ok(key.to_owned())
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

/// Says where it listens to the parent, and to a person what the log does not say by itself.
fn announce(server: &Server, supervised: bool) -> Result<(), Failure> {
    if supervised {
        let line = serde_json::json!({"ready": {"http": server.addresses()[0].to_string()}});
        let mut stdout = std::io::stdout().lock();
        return writeln!(stdout, "{line}")
            .and_then(|()| stdout.flush())
            .map_err(|error| Failure::usage(format!("the parent does not read: {error}")));
    }
    tracing::info!(
        store = "embedded:",
        "sessions are kept in memory: nothing survives a restart"
    );
    Ok(())
}

/// Resolves when the parent's pipe ends; never, if there is no parent.
async fn parent_gone(parent: Option<BufReader<Stdin>>) {
    let Some(mut stdin) = parent else {
        return std::future::pending().await;
    };
    let mut ignored = [0; 64];
    while matches!(stdin.read(&mut ignored).await, Ok(read) if read > 0) {}
}

fn log_to_stderr(format: LogFormat) -> Result<(), Failure> {
    let wanted = std::env::var("TOUCHSTONE_LOG").unwrap_or_else(|_| "info".into());
    let filter = EnvFilter::try_new(&wanted).map_err(|error| {
        Failure::usage(format!(
            "TOUCHSTONE_LOG is `{wanted}`: {error}; write for example debug, or touchstone_server=debug"
        ))
    })?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // It would complain on stderr, and panic if nobody reads that either.
        .log_internal_errors(false);
    match format {
        LogFormat::Text => builder
            .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
            .init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
    // A panic is caught where it happened, and logged like anything else: not as plain text between lines of JSON.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "panic: {}", panic.payload_as_str().unwrap_or("no message"));
    }));
    Ok(())
}
