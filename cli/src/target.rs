//! Which system is under test: a target file, a URL, a command, or the built-in server.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use touchstone_sut::{BuiltIn, Origin, Security, StartError, Store, Sut, Target, TargetError, Trust};

use crate::args::TargetArgs;
use crate::exit::Failure;
use crate::{print, settings};

/// How the built-in server is set while the suite is run against it, so that waiting for a heartbeat or for the end
/// of a session takes moments.
const SUITE_TIMINGS: &[(&str, Duration)] = &[
    ("echo.heartbeat.interval", Duration::from_secs(1)),
    ("echo.session.ttl", Duration::from_secs(3)),
    ("echo.store.deadline", Duration::from_millis(500)),
    // A request has to be answered within it: longer than many logins wait for their turn on a busy machine.
    ("server.handshake.deadline", Duration::from_secs(4)),
    ("rooms.typing.ttl", Duration::from_millis(500)),
    ("outbox.sweep.interval", Duration::from_secs(1)),
    ("outbox.confirm.timeout", Duration::from_secs(1)),
    // Longer than its timeout: what comes of an answer, and of none, is told apart.
    ("feed.heartbeat.interval", Duration::from_secs(2)),
    ("feed.heartbeat.timeout", Duration::from_secs(1)),
    ("direct.heartbeat.interval", Duration::from_secs(2)),
    ("direct.heartbeat.timeout", Duration::from_secs(2)),
];

/// Its limits then: a rate that no case but the one about it comes near.
const SUITE_LIMITS: &[(&str, u64)] = &[("rate", 400)];

impl TargetArgs {
    /// The target that was asked for, or else `built_in`.
    pub(crate) fn or(&self, built_in: impl FnOnce() -> Result<Target, Failure>) -> Result<Target, Failure> {
        let target = match (&self.target, &self.url, &self.spawn) {
            (Some(file), _, _) => Target::from_file(&file.to_string_lossy()),
            (_, Some(url), _) => Target::from_url(url, &self.dialects),
            (_, _, Some(command)) => Target::from_command(command, &self.dialects),
            (None, None, None) if self.secret_file.is_some() => {
                return Err(Failure::usage(
                    "--secret-file is for a server of --url or --spawn: the built-in one is told a secret of its own",
                ));
            }
            (None, None, None) => {
                let target = built_in()?.within(self.built_in_security());
                return Ok(match &self.store {
                    None => target,
                    Some(url) => target.keeping_state_at(url),
                });
            }
        };
        let target = match self.trust() {
            None => target,
            Some(trust) => target.and_then(|target| target.trusting(trust)),
        };
        let target = target.map_err(unusable)?;
        match &self.secret_file {
            None => Ok(target),
            Some(path) => Ok(target.signed_with(&secret(path)?)),
        }
    }

    const fn built_in_security(&self) -> Security {
        if self.tls {
            Security::MadeUp
        } else {
            Security::Plain
        }
    }

    fn trust(&self) -> Option<Trust> {
        match &self.ca {
            Some(path) => Some(Trust::Authorities(path.clone())),
            None => self.insecure.then_some(Trust::Anyone),
        }
    }

    /// Whether it is the built-in server, which owes every clause.
    pub(crate) const fn is_built_in(&self) -> bool {
        self.target.is_none() && self.url.is_none() && self.spawn.is_none()
    }
}

/// A target that cannot be used as it is given.
pub(crate) fn unusable(error: TargetError) -> Failure {
    match error {
        TargetError::Invalid(diag) => Failure::mistakes(&[*diag]),
        other @ (TargetError::Key { .. } | TargetError::Value(_)) => Failure::usage(other),
    }
}

/// What tokens are signed with, without the end of its line.
fn secret(path: &Path) -> Result<String, Failure> {
    let shown = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::usage(format!("could not read the secret file {shown}: {error}")))?;
    match text.trim_end_matches(['\r', '\n']) {
        "" => Err(Failure::usage(format!("the secret file {shown} is empty"))),
        secret => Ok(secret.to_owned()),
    }
}

/// The built-in server as the suite wants it: with short timings, faults on request and a log of messages.
pub(crate) fn for_suite() -> Result<Target, Failure> {
    built_in(Store::Durable, SUITE_TIMINGS, SUITE_LIMITS, SUITE_SWITCHES)
}

/// What is switched on then, so that all there is can be judged.
const SUITE_SWITCHES: &[&str] = &[
    "--allow-faults",
    "--log-messages",
    "--compression",
    "--set",
    "compression.context_takeover=true",
];

/// The built-in server as in production, but for the timings and what else a workload asks for.
pub(crate) fn for_load(timings: &[(&str, Duration)], switches: &[&str]) -> Result<Target, Failure> {
    built_in(Store::Memory, timings, &[], switches)
}

fn built_in(
    store: Store,
    timings: &[(&str, Duration)],
    limits: &[(&str, u64)],
    switches: &[&str],
) -> Result<Target, Failure> {
    let executable = std::env::current_exe().map_err(|error| {
        Failure::usage(format!(
            "this program cannot find itself to start a server: {error}"
        ))
    })?;
    let mut flags: Vec<String> = switches.iter().map(|switch| (*switch).to_owned()).collect();
    let mut set = |key: &str, value: String| {
        settings::check(key, &value)
            .map_err(|advice| Failure::usage(format!("the built-in server: {advice}")))?;
        flags.extend(["--set".to_owned(), format!("{key}={value}")]);
        Ok::<_, Failure>(())
    };
    for (key, value) in timings {
        set(key, format!("{}us", value.as_micros()))?;
    }
    for (name, value) in limits {
        set(&format!("limits.{name}"), value.to_string())?;
    }
    Ok(Target::built_in(
        BuiltIn {
            executable,
            flags,
            store,
        },
        timings,
        limits,
    ))
}

/// Starts it, or finds that it runs, unless `stop` comes first.
pub(crate) async fn start(target: Target, stop: &CancellationToken) -> Result<Sut, Failure> {
    if target.security == Security::Tls(Trust::Anyone) {
        print::talk(
            "warning: nothing is known of who answers: certificates are not checked (tls.insecure or --insecure)\n",
        );
    }
    let is_built_in = matches!(target.origin, Origin::BuiltIn(_));
    let started = stop.run_until_cancelled(Sut::start(target)).await;
    let started = started.ok_or_else(|| Failure::interrupted("interrupted before the server was ready"))?;
    started.map_err(|error| {
        let said = match key_to_change(&error).filter(|_| !is_built_in) {
            None => error.to_string(),
            Some(key) => format!("{error}\n  {key}"),
        };
        match error {
            StartError::NotStarted { .. } | StartError::Target(_) => Failure::usage(said),
            StartError::Ended { .. }
            | StartError::NotReady { .. }
            | StartError::Unreachable { .. }
            | StartError::NoTls { .. } => Failure::unreachable(said),
        }
    })
}

/// What of a target file, or of the command line, would change that.
const fn key_to_change(error: &StartError) -> Option<&'static str> {
    match error {
        StartError::NotStarted { .. } => Some("to change: `spawn.command` of the target file, or --spawn"),
        StartError::Ended { .. } => {
            Some("to change: `spawn.command` or `spawn.env` of the target file, or --spawn")
        }
        StartError::NotReady { .. } => Some(
            "to change: let it listen at the port in PORT or `${port}`, say in `spawn.ready` how it shows that it is ready, \
             or in `spawn.deadline` how long it may take",
        ),
        StartError::Unreachable { .. } => Some("to change: `urls` of the target file, or --url"),
        // They say themselves what to change.
        StartError::NoTls { .. } | StartError::Target(_) => None,
    }
}

/// Lets a system that was shared with a run stop gracefully; whoever still held it would only make that less graceful.
pub(crate) async fn shut_down(sut: Arc<Sut>) {
    if let Some(sut) = Arc::into_inner(sut) {
        sut.shut_down().await;
    }
}
